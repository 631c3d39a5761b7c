// Every operation of the database that the SDKs have, one after the other: what each gives, or how it fails.
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

const db = cloud.database()
const _ = db.command
const $ = _.aggregate
const all = (name) => db.collection(name).orderBy('_id', 'asc').get()

const operations = {
  create: () => db.createCollection('c'),
  createAgain: () => db.createCollection('c'),
  createOther: () => db.createCollection('users'),
  missingGet: () => db.collection('missing').get(),
  missingAdd: () => db.collection('missing').add({ data: { a: 1 } }),
  missingCount: () => db.collection('missing').count(),
  missingUpdate: () =>
    db
      .collection('missing')
      .doc('x')
      .update({ data: { a: 1 } }),

  add: () =>
    db.collection('c').add({
      data: {
        _id: 'a',
        n: 1,
        big: 9007199254740991,
        half: 1.5,
        tags: ['x', 'y'],
        o: { p: 1, q: null },
        at: new Date(1700000000000),
        done: false,
      },
    }),
  addNumber: () => db.collection('c').add({ data: { _id: 7, n: 7 } }),
  addWithout: () =>
    db
      .collection('c')
      .add({ data: { name: '小明', made: db.serverDate(), later: db.serverDate({ offset: 60000 }) } }),
  addDuplicate: () => db.collection('c').add({ data: { _id: 'a' } }),
  addMore: async () => {
    for (let i = 0; i < 5; i += 1)
      await db
        .collection('c')
        .add({ data: { _id: `m${i}`, n: i, kind: i % 2 ? 'odd' : 'even', list: [{ k: i }, { k: i + 1 }] } })
    await db.collection('users').add({ data: { _id: 'u1', kind: 'odd', name: 'Ann' } })
  },

  get: () => db.collection('c').doc('a').get(),
  getNumber: () => db.collection('c').doc(7).get(),
  getMissing: () => db.collection('c').doc('nothing').get(),
  getMissingNull: () => cloud.database({ throwOnNotFound: false }).collection('c').doc('nothing').get(),
  serverDate: async () => {
    const { data } = await db.collection('c').where({ name: '小明' }).get()
    return {
      later: data[0].later - data[0].made,
      near: Math.abs(Date.now() - data[0].made) < 60000,
      id: data[0]._id,
    }
  },
  where: () =>
    db
      .collection('c')
      .where({ kind: 'odd', n: _.gt(0) })
      .get(),
  whereNested: () =>
    db
      .collection('c')
      .where({ o: { p: 1 } })
      .count(),
  whereDotted: () => db.collection('c').where({ 'list.k': 3 }).orderBy('n', 'desc').get(),
  whereNull: () => db.collection('c').where({ kind: null }).count(),
  page: () =>
    db
      .collection('c')
      .where({ kind: _.exists(true) })
      .orderBy('n', 'desc')
      .skip(1)
      .limit(2)
      .field({ n: true, _id: false })
      .get(),
  fieldFalse: () => db.collection('c').where({ _id: 'm1' }).field({ list: false }).get(),
  commands: async () => {
    const count = async (where) => (await db.collection('c').where(where).count()).total
    return [
      await count({ n: _.gte(3) }),
      await count({ n: _.lt(2).or(_.gt(3)) }),
      await count({ n: _.in([1, 2, 99]) }),
      await count({ n: _.nin([1, 2]) }),
      await count({ n: _.neq(1) }),
      await count(_.or([{ n: 1 }, { kind: 'even' }])),
      await count(_.and([{ kind: 'even' }, { n: _.gt(1) }])),
      await count({ kind: /^EV/i }),
      await count({ kind: db.RegExp({ regexp: '^ev' }) }),
      await count({ n: { $gte: 3 } }),
      await count({ at: _.lte(new Date()) }),
    ]
  },
  newCommands: async () => {
    const count = async (where) => (await db.collection('c').where(where).count()).total
    return [
      await count({ list: _.elemMatch({ k: _.gt(4) }) }),
      await count({ tags: _.all(['y', 'x']) }),
      await count({ tags: _.size(2) }),
      await count({ n: _.mod(2, 0) }),
      await count({ n: _.not(_.gt(1)) }),
      await count(_.expr($.gt(['$n', 3]))),
      await count({ made: _.lt(db.serverDate({ offset: 1000 })) }),
    ]
  },
  unknownOperator: () =>
    db
      .collection('c')
      .where({ n: { $gtt: 1 } })
      .get(),

  update: () =>
    db
      .collection('c')
      .doc('a')
      .update({
        data: { n: _.inc(2), tags: _.push(['z']), 'o.r': 3, done: true, half: _.mul(2), big: _.remove() },
      }),
  updated: () => db.collection('c').doc('a').get(),
  updateSame: () =>
    db
      .collection('c')
      .doc('a')
      .update({ data: { done: true } }),
  updateMissing: () =>
    db
      .collection('c')
      .doc('nothing')
      .update({ data: { a: 1 } }),
  updateNull: () =>
    db
      .collection('c')
      .doc('a')
      .update({ data: { o: { q: { r: 1 } } } }),
  updateId: () =>
    db
      .collection('c')
      .doc('a')
      .update({ data: { _id: 'b' } }),
  updateSet: () =>
    db
      .collection('c')
      .doc('a')
      .update({ data: { o: _.set({ fresh: 1 }) } }),
  updateArray: async () => {
    const doc = db.collection('c').doc('a')
    await doc.update({ data: { tags: _.unshift(['0']) } })
    await doc.update({ data: { tags: _.pop() } })
    await doc.update({ data: { tags: _.shift() } })
    return (await doc.get()).data.tags
  },
  updateNewer: async () => {
    const doc = db.collection('c').doc('a')
    await doc.update({ data: { tags: _.addToSet({ each: ['x', 'w'] }) } })
    await doc.update({ data: { tags: _.push({ each: ['b', 'a'], sort: 1, slice: 3 }) } })
    await doc.update({ data: { tags: _.pull('b'), half: _.max(10), n: _.min(0) } })
    await doc.update({ data: { half: _.rename('renamed') } })
    return (await doc.get()).data
  },
  updateWhere: () =>
    db
      .collection('c')
      .where({ kind: 'even' })
      .update({ data: { seen: true } }),
  updatePositional: async () => {
    await db
      .collection('c')
      .where({ _id: 'm2', 'list.k': 3 })
      .update({ data: { 'list.$.hit': true } })
    return (await db.collection('c').doc('m2').get()).data
  },
  set: () =>
    db
      .collection('c')
      .doc('a')
      .set({ data: { only: 1 } }),
  setNew: () =>
    db
      .collection('c')
      .doc('fresh')
      .set({ data: { only: 2 } }),
  afterSet: () =>
    db
      .collection('c')
      .where({ only: _.gt(0) })
      .orderBy('only', 'asc')
      .get(),
  remove: () => db.collection('c').doc('fresh').remove(),
  removeMissing: () => db.collection('c').doc('fresh').remove(),
  removeWhere: () =>
    db
      .collection('c')
      .where({ seen: true, n: _.lt(2) })
      .remove(),
  rest: async () =>
    (await all('c')).data.map(({ _id }) => (/^[0-9a-f]{32}$/.test(_id) ? '<id>' : String(_id))).sort(),

  aggregate: () =>
    db
      .collection('c')
      .aggregate()
      .match({ n: _.gt(0) })
      .group({ _id: '$kind', total: $.sum('$n'), count: $.sum(1) })
      .sort({ total: 1, _id: 1 })
      .end(),
  lookup: () =>
    db
      .collection('users')
      .aggregate()
      .lookup({ from: 'c', localField: 'kind', foreignField: 'kind', as: 'numbers' })
      .project({ _id: 0, name: 1, numbers: '$numbers.n' })
      .end(),
  aggregateMissing: () => db.collection('missing').aggregate().match({}).end(),
  aggregateUnknown: () =>
    db
      .collection('c')
      .aggregate()
      .addFields({ a: { $nothing: 1 } })
      .end(),
  geo: async () => {
    await db.collection('users').add({ data: { _id: 'place', at: db.Geo.Point(113.3, 23.1) } })
    const near = db.command.geoNear({ geometry: db.Geo.Point(113.3, 23.1), maxDistance: 1000 })
    const { data } = await db.collection('users').where({ at: near }).get()
    return { id: data[0]._id, longitude: data[0].at.longitude, coordinates: data[0].at.coordinates }
  },

  transaction: () =>
    db.runTransaction(async (transaction) => {
      const doc = transaction.collection('users').doc('u1')
      const { data } = await doc.get()
      await doc.update({ data: { visits: _.inc(1) } })
      const added = await transaction.collection('users').add({ data: { _id: 'u2', name: 'Bo' } })
      await transaction
        .collection('users')
        .doc('u3')
        .set({ data: { name: 'Cy' } })
      return { name: data.name, added: added._id, after: (await doc.get()).data.visits }
    }),
  afterTransaction: () =>
    db
      .collection('users')
      .where({ name: _.exists(true) })
      .orderBy('_id', 'asc')
      .get(),
  rollback: () =>
    db.runTransaction(async (transaction) => {
      await transaction.collection('users').doc('u2').remove()
      await transaction.rollback('no')
    }),
  conflict: async () => {
    const [first, second] = [await db.startTransaction(), await db.startTransaction()]
    await first
      .collection('users')
      .doc('u1')
      .update({ data: { by: 'first' } })
    let failure
    try {
      await second
        .collection('users')
        .doc('u1')
        .update({ data: { by: 'second' } })
    } catch (error) {
      failure = error
    }
    await first.commit()
    await second.rollback().catch(() => {})
    const { data } = await db.collection('users').doc('u1').get()
    if (!failure) return { by: data.by }
    throw Object.assign(failure, { by: data.by })
  },
  ended: async () => {
    const transaction = await db.startTransaction()
    await transaction.commit()
    return transaction.collection('users').doc('u1').get()
  },
}

// Ids and times differ from run to run.
const stable = (text) =>
  text.replace(/[0-9a-f]{32}/g, '<id>').replace(/"requestId":"[^"]*"/g, '"requestId":"<id>"')

exports.main = async ({ only }) => {
  const results = {}
  for (const [name, operation] of Object.entries(operations)) {
    if (only && !only.includes(name)) continue
    try {
      results[name] = { got: (await operation()) ?? null }
    } catch (error) {
      const { errCode, errMsg, code, by } = error
      results[name] =
        typeof error === 'string'
          ? { rejected: error }
          : { errCode, errMsg, code, by, message: errMsg ? undefined : error.message }
    }
  }
  return JSON.parse(stable(JSON.stringify(results)))
}
