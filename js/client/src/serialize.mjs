// Queries and updates as the server reads them. Objects in objects become dotted paths, so that `{a: {b: 1}}` asks for a field and not
// for an object that has nothing else; raw operators (`{$gt: 1}`) stay as they are.

import { Change, Condition } from './command.mjs'
import { put, Special } from './ejson.mjs'
import { circular } from './failure.mjs'
import { isGeo } from './geo.mjs'

export const isObject = (value) => Object.prototype.toString.call(value) === '[object Object]'

/** Whether it is a value and no object to look into. */
const isLeaf = (value) => !isObject(value) || value instanceof Special || isGeo(value)

/** Its fields, each with its dotted path. */
function flat(object, above = [object]) {
  const fields = {}
  for (const key of Object.keys(object)) {
    const value = object[key]
    if (value === undefined) continue
    if (key[0] === '$' || isLeaf(value)) {
      put(fields, key, value)
      continue
    }
    if (above.includes(value)) throw circular()
    const raw = {}
    const inner = flat(value, [...above, value])
    for (const name of Object.keys(inner)) {
      if (name[0] === '$') raw[name] = inner[name]
      else put(fields, `${key}.${name}`, inner[name])
    }
    if (Object.keys(raw).length) put(fields, key, raw)
  }
  return fields
}

/** A query: an object, or a condition; of `field` where it stands below one. */
export function query(given, field) {
  if (given instanceof Condition) return condition(given, field)
  if (isLeaf(given)) return { [field]: given }
  const asked = {}
  const fields = flat(given)
  for (const key of Object.keys(fields)) {
    const value = fields[key]
    if (value instanceof Condition) merge(asked, condition(value, key))
    else merge(asked, { [key]: value })
  }
  return asked
}

function condition(given, field) {
  const { name, values } = given
  if (!given.joins) {
    if (field === undefined) throw new Error('Cannot encode a comparison command with unset field name')
    return { [field]: given.test() }
  }
  if (name !== 'not') return { [`$${name}`]: values.map((value) => query(value, field)) }
  const [inner] = values
  return { [field]: { $not: inner instanceof Condition ? query(inner, field)[field] : inner } }
}

/** Several `$and` are one. */
function merge(asked, more) {
  for (const key of Object.keys(more)) {
    const [old, value] = [asked[key], more[key]]
    put(asked, key, Array.isArray(old) && Array.isArray(value) ? old.concat(value) : value)
  }
}

/** An update by operators: what is no command is set. */
export function update(data) {
  const operators = {}
  const fields = flat(data)
  for (const key of Object.keys(fields)) {
    const value = fields[key]
    const [operator, change] = value instanceof Change ? [value.operator, value.value] : ['$set', value]
    if (key[0] === '$') operators[key] = Object.assign({}, operators[key], value)
    else put((operators[operator] = operators[operator] || {}), key, change)
  }
  return operators
}

/** Whether there is a command of updates in it. */
export function hasChange(value) {
  if (value instanceof Change) return true
  if (Array.isArray(value)) return value.some(hasChange)
  return !isLeaf(value) && Object.keys(value).some((key) => hasChange(value[key]))
}
