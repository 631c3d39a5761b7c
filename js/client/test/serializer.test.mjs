// What is sent for queries, updates and values, held against the serializer of @cloudbase/database 1.4.3, which is what runs in functions.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'

import { command as _, DbRegExp, serverDate } from '../src/command.mjs'
import { parse, text } from '../src/ejson.mjs'
import { Geo } from '../src/geo.mjs'
import { query, update } from '../src/serialize.mjs'

const require = createRequire(join(process.env.CLIENT_TOOLS, 'package.json'))
const { Db } = require('@cloudbase/database')
const commonjs = join(require.resolve('@cloudbase/database'), '../')
const { QuerySerializer } = require(join(commonjs, 'serializer/query.js'))
const { UpdateSerializer } = require(join(commonjs, 'serializer/update.js'))
const theirs = new Db({ env: 'e' })

/** The same made of ours and of theirs. */
const OURS = { _, Geo, serverDate, RegExp: DbRegExp }
const THEIRS = {
  _: theirs.command,
  Geo: Object.fromEntries(
    Object.keys(Geo).map((name) => [name, (...given) => new theirs.Geo[name](...given)]),
  ),
  serverDate: (options) => theirs.serverDate(options),
  RegExp: (options) => new theirs.RegExp(options),
}

const QUERIES = {
  values: () => ({ a: 1, b: 'x', c: true, d: null, e: 1.5, f: 2 ** 40, g: -0, h: [1, 'y'], i: undefined }),
  'objects become paths': () => ({ a: { b: { c: 1, d: 'x' } }, e: {} }),
  dates: () => ({ at: new Date(1.7e12), in: { at: new Date(0) } }),
  'regular expressions': ({ RegExp: OfDb }) => ({ a: /^x.y/i, b: OfDb({ regexp: 'a|b', options: 'im' }) }),
  comparisons: ({ _ }) => ({
    eq: _.eq('x'),
    neq: _.neq(1),
    gt: _.gt(1),
    gte: _.gte(1.5),
    lt: _.lt(new Date(0)),
    lte: _.lte(5),
    in: _.in(['a', 1]),
    nin: _.nin([]),
  }),
  'of fields and lists': ({ _ }) => ({
    exists: _.exists(true),
    all: _.all(['a', 'b']),
    size: _.size(2),
    mod: _.mod(4, 0),
    elemMatch: _.elemMatch({ a: _.gt(1), b: 'x' }),
  }),
  chained: ({ _ }) => ({ n: _.gt(1).and(_.lt(5)), m: _.gt(1).lt(5), o: _.eq(1).or(_.eq(2)) }),
  'logic of a field': ({ _ }) => ({
    n: _.and(_.gt(1), _.lt(5)),
    m: _.or([_.lt(1), _.gt(5)]),
    k: _.not(_.eq(3)),
  }),
  'logic of fields': ({ _ }) => _.or([{ a: _.gt(1), b: 2 }, { c: { d: 1 } }]),
  'logic in logic': ({ _ }) => _.and([{ a: _.or(_.eq(1), _.eq(2)) }, _.or([{ b: 1 }, { c: _.nin([1]) }])]),
  nor: ({ _ }) => _.nor([{ a: 1 }, { b: _.exists(false) }]),
  'paths and positions': ({ _ }) => ({ 'a.b': _.gt(1), 'list.0.x': 1 }),
  'operators as they are': () => ({ a: { $gt: 1 }, b: { $in: ['x'], c: 1 }, $or: [{ d: 1 }] }),
  near: ({ _, Geo }) => ({
    at: _.geoNear({ geometry: Geo.Point(113, 23), maxDistance: 1000, minDistance: 5 }),
  }),
  within: ({ _, Geo }) => ({
    at: _.geoWithin({
      geometry: Geo.Polygon([
        Geo.LineString([Geo.Point(0, 0), Geo.Point(3, 2), Geo.Point(2, 3), Geo.Point(0, 0)]),
      ]),
    }),
    by: _.geoWithin({ centerSphere: [Geo.Point(1, 2), 0.5] }),
  }),
  intersects: ({ _, Geo }) => ({ at: _.geoIntersects({ geometry: Geo.Point(1, 2) }) }),
}

const UPDATES = {
  values: () => ({
    a: 1,
    b: { c: 'x', d: { e: null } },
    f: [1, { g: 2 }],
    h: new Date(5),
    i: undefined,
    j: 1e21,
  }),
  commands: ({ _ }) => ({
    set: _.set({ a: { b: 1 } }),
    remove: _.remove(),
    inc: _.inc(1),
    mul: _.mul(2),
    min: _.min(3),
    max: _.max(4),
    rename: _.rename('other'),
    bit: _.bit({ and: 5 }),
  }),
  lists: ({ _ }) => ({
    push: _.push(['a', 'b']),
    several: _.push('a', 'b'),
    sorted: _.push({ each: [{ a: 1 }], position: 0, sort: { a: -1 }, slice: 3 }),
    pop: _.pop(),
    shift: _.shift(),
    unshift: _.unshift([1, 2]),
    pull: _.pull(_.in(['a'])),
    objects: _.pull({ a: _.gt(1), b: 'x' }),
    pullAll: _.pullAll(['a', 'b']),
    addToSet: _.addToSet('x'),
  }),
  'below others': ({ _ }) => ({ a: { b: _.inc(1), c: 2 }, 'd.0.e': _.remove() }),
  'server dates': ({ serverDate }) => ({ at: serverDate(), later: serverDate({ offset: 60_000 }) }),
  places: ({ Geo }) => ({ at: Geo.Point(1.5, 2) }),
  'operators as they are': () => ({ $inc: { a: 1 }, b: 2 }),
}

for (const [name, of] of Object.entries(QUERIES)) {
  test(`query: ${name}`, () => {
    assert.deepEqual(JSON.parse(text(query(of(OURS)))), JSON.parse(QuerySerializer.encodeEJSON(of(THEIRS))))
  })
}

for (const [name, of] of Object.entries(UPDATES)) {
  test(`update: ${name}`, () => {
    assert.deepEqual(JSON.parse(text(update(of(OURS)))), JSON.parse(UpdateSerializer.encodeEJSON(of(THEIRS))))
  })
}

test('random queries and updates', () => {
  // xorshift: the same at every run.
  let state = 88172645463325252n
  const random = (below) => {
    state ^= (state << 13n) & 0xffffffffffffffffn
    state ^= state >> 7n
    state ^= (state << 17n) & 0xffffffffffffffffn
    return Number(state % BigInt(below))
  }
  const pick = (list) => list[random(list.length)]
  const value = (depth) =>
    pick([
      () => random(10),
      () => pick(['', 'x', '云', '$a']),
      () => pick([true, false, null, 2 ** 31, -(2 ** 31), 0.25, NaN, Infinity]),
      () => new Date(random(1e6)),
      () => (depth ? [value(depth - 1), value(depth - 1)] : []),
      () => (depth ? { [pick(['p', 'q'])]: value(depth - 1) } : 1),
    ])()
  // A plan is made once, and carried out for both.
  const planned = (depth) => {
    const field = pick(['a', 'b', 'c.d'])
    const of = pick(['eq', 'neq', 'gt', 'lte', 'value', 'in', ...(depth ? ['and', 'or', 'object'] : [])])
    if (of === 'and' || of === 'or')
      return {
        field,
        of,
        parts: [pick(['gt', 'lt']), pick(['eq', 'neq'])].map((of) => ({ of, given: value(1) })),
      }
    if (of === 'object') return { field, of, inner: planned(depth - 1) }
    return { field, of, given: of === 'in' ? [value(1), value(1)] : value(1) }
  }
  const made = ({ field, of, given, parts, inner }, { _ }) => {
    if (of === 'value') return { [field]: given }
    if (of === 'object') return { [field]: made(inner, { _ }) }
    if (parts) return { [field]: _[of](parts.map(({ of, given }) => _[of](given))) }
    return { [field]: _[of](given) }
  }
  for (let round = 0; round < 3000; round++) {
    const plan = planned(2)
    assert.deepEqual(
      JSON.parse(text(query(made(plan, OURS)))),
      JSON.parse(QuerySerializer.encodeEJSON(made(plan, THEIRS))),
      JSON.stringify(plan),
    )
    const data = { a: value(2), b: { c: value(1) } }
    assert.deepEqual(
      JSON.parse(text(update(data))),
      JSON.parse(UpdateSerializer.encodeEJSON(structuredClone(data))),
    )
  }
})

test('what comes back is what was sent', () => {
  const { Point, LineString } = Geo
  const value = {
    a: [1, -5, 1.5, 2 ** 40, 'x', null, true],
    at: new Date(1.7e12),
    place: Point(1, 2),
    way: LineString([Point(1, 2), Point(3, 4)]),
    type: 'Point',
    ['__proto__']: 1,
  }
  const back = parse(text(value))
  assert.deepEqual(back, value)
  assert(back.place instanceof Point && back.way.points[1] instanceof Point && back.at instanceof Date)
  assert.deepEqual(
    parse('{"_id":{"$oid":"5f"},"d":{"$date":"2026-01-01T00:00:00Z"},"n":{"$numberDouble":"NaN"}}'),
    {
      _id: '5f',
      d: new Date('2026-01-01T00:00:00Z'),
      n: NaN,
    },
  )
})

test('the operators of aggregates are what they are called', () => {
  const $ = _.aggregate
  assert.deepEqual($.sum($.multiply(['$a', 2])), { $sum: { $multiply: ['$a', 2] } })
  assert.deepEqual(_.expr($.eq(['$a', '$b'])), { $expr: { $eq: ['$a', '$b'] } })
  assert.deepEqual([_.project.slice(2), _.project.slice(1, 2)], [{ $slice: 2 }, { $slice: [1, 2] }])
})
