// Values as the server's database reads and writes them: canonical Extended JSON.

import { circular } from './failure.mjs'
import { isGeo, place } from './geo.mjs'

/** Something that a value is written as, other than its fields. */
export class Special {
  constructor(json) {
    this.json = json
  }
}

const MOST_INT = 2 ** 31
/** What bounds an int64: a double at it is none. */
const MOST_LONG = 2 ** 63

/** What `JSON.stringify` makes the text of. What is undefined is left out. `above` is what the value stands in. */
export function extended(value, above = []) {
  if (typeof value === 'number') return number(value)
  if (!value || typeof value !== 'object') return value
  if (value instanceof Date) return { $date: { $numberLong: String(value.getTime()) } }
  if (value instanceof RegExp) return regExp(value.source, value.flags)
  if (value instanceof Special) return extended(value.json(), above)
  if (isGeo(value)) return extended(value.toJSON())
  if (above.includes(value)) throw circular()
  const within = [...above, value]
  if (Array.isArray(value)) return value.map((item) => extended(item, within))
  const fields = {}
  for (const key of Object.keys(value)) put(fields, key, extended(value[key], within))
  return fields
}

/** The text of a value. */
export const text = (value) => JSON.stringify(extended(value))

export const regExp = (pattern, options) => ({ $regularExpression: { pattern, options } })

function number(value) {
  if (!Number.isInteger(value) || value >= MOST_LONG || value < -MOST_LONG)
    return { $numberDouble: String(value) }
  const name = value >= -MOST_INT && value < MOST_INT ? '$numberInt' : '$numberLong'
  return { [name]: String(value) }
}

/** The value of a text. */
export const parse = (json) => JSON.parse(json, revive)

function revive(key, value) {
  if (!value || typeof value !== 'object' || Array.isArray(value)) return value
  const [name, ...more] = Object.keys(value)
  if (!more.length) {
    const inner = value[name]
    if (name === '$numberInt' || name === '$numberLong' || name === '$numberDouble') return Number(inner)
    if (name === '$date') return new Date(inner)
    if (name === '$oid') return inner
  }
  return place(value) || value
}

/** `__proto__` is a name like any other. */
export function put(target, key, value) {
  if (key === '__proto__')
    Object.defineProperty(target, key, { value, configurable: true, enumerable: true, writable: true })
  else target[key] = value
}
