// `db.command`: conditions of a query, changes of an update, and the operators of aggregates.

import { regExp, Special } from './ejson.mjs'
import { isGeo } from './geo.mjs'

/** MongoDB's name of a condition, where that is another. */
const NAMES = { neq: 'ne' }
const LISTS = ['in', 'nin', 'all']
const PLAIN = ['eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'elemMatch', 'exists', 'size']
const LOGIC = ['and', 'or', 'nor', 'not']
const PLACES = ['geoNear', 'geoWithin', 'geoIntersects']

/** A condition, or several that are joined. */
export class Condition extends Special {
  constructor(name, values) {
    super(() => this.inside())
    this.name = name
    this.values = values
  }

  get joins() {
    return LOGIC.includes(this.name)
  }

  /** `{$gt: 5}` */
  test() {
    const { name, values } = this
    if (PLACES.includes(name)) return near(name, values[0])
    return { [`$${NAMES[name] || name}`]: LISTS.includes(name) ? values : inside(values[0]) }
  }

  /** Where it stands in a value: of an element of a list, say. */
  inside() {
    const { name, values } = this
    if (!this.joins) return this.test()
    if (name === 'and') return Object.assign({}, ...values.map(inside))
    return { [`$${name}`]: name === 'not' ? inside(values[0]) : values.map(inside) }
  }
}

/** A value that may have conditions in it. */
function inside(value) {
  return value instanceof Condition ? value.inside() : value
}

/** A change of a field. */
export class Change extends Special {
  constructor(operator, value) {
    super(() => ({ [operator]: value }))
    this.operator = operator
    this.value = value
  }
}

function near(name, { geometry, maxDistance, minDistance, centerSphere }) {
  const $geometry = geometry && geometry.toJSON()
  if (name === 'geoNear')
    return { $nearSphere: { $geometry, $maxDistance: maxDistance, $minDistance: minDistance } }
  if (name === 'geoIntersects') return { $geoIntersects: { $geometry } }
  if (!centerSphere) return { $geoWithin: { $geometry } }
  const [center, radius] = centerSphere
  return { $geoWithin: { $centerSphere: [isGeo(center) ? center.toJSON().coordinates : center, radius] } }
}

const list = (given) => (Array.isArray(given[0]) ? given[0] : given)

export const command = {
  mod: (...given) => new Condition('mod', [given.length > 1 ? given : given[0]]),
  expr: ($expr) => ({ $expr }),
  remove: () => new Change('$unset', ''),
  push(...given) {
    const [options] = given
    if (!options || typeof options !== 'object' || !('each' in options))
      return new Change('$push', { $each: list(given) })
    const { each, position, sort, slice } = options
    return new Change('$push', { $each: each, $position: position, $sort: sort, $slice: slice })
  },
  unshift: (...given) => new Change('$push', { $each: list(given), $position: 0 }),
  pop: () => new Change('$pop', 1),
  shift: () => new Change('$pop', -1),
  addToSet: (value) =>
    new Change(
      '$addToSet',
      value && typeof value === 'object' && 'each' in value ? { $each: value.each } : value,
    ),
  project: {
    slice: (...given) => ({ $slice: given.length > 1 ? given : given[0] }),
    elemMatch: ($elemMatch) => ({ $elemMatch }),
  },
  /** Each operator is what it is called, before what it is given. */
  aggregate: new Proxy({}, { get: (_, name) => (value) => ({ [`$${name}`]: value }) }),
}
for (const name of ['set', 'inc', 'mul', 'min', 'max', 'rename', 'bit', 'pull', 'pullAll']) {
  command[name] = (value) => new Change(`$${name}`, value)
}
for (const name of [...PLAIN, ...PLACES]) command[name] = (value) => new Condition(name, [value])
for (const name of LISTS) command[name] = (values) => new Condition(name, values)
for (const name of LOGIC) command[name] = (...given) => new Condition(name, list(given))
for (const name of [...PLAIN, ...LISTS, ...PLACES, 'mod', 'not']) {
  Condition.prototype[name] = function (...given) {
    return this.and(command[name](...given))
  }
}
for (const name of ['and', 'or', 'nor']) {
  Condition.prototype[name] = function (...given) {
    return new Condition(name, [this, ...list(given)])
  }
}

/** `db.RegExp({ regexp, options })`: as `/regexp/options`, of a text that is known later. */
export function DbRegExp({ regexp, options = '' }) {
  return new Special(() => regExp(regexp, options))
}

/** `db.serverDate({ offset })`: the server's time when it writes, and so many milliseconds. */
export function serverDate({ offset = 0 } = {}) {
  return new Special(() => ({ $tcb_server_date: { offset } }))
}
