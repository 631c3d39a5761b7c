// A backend of somebody else's on our database, by the npm driver `mongodb`: what it relies on, one check after the other.

const assert = require('node:assert/strict')
const { Binary, Decimal128, Double, Int32, Long, MongoClient, ObjectId, Timestamp } = require('mongodb')

const url = process.env.YUNQIAO_DATABASE_URL

const fails = async (promise, expected) => {
  const error = await promise.then(
    () => assert.fail('it was done'),
    (error) => error,
  )
  for (const [field, value] of Object.entries(expected))
    assert.deepEqual(error[field], value, `${field}: ${error}`)
  return error
}

const checks = {
  documents_of_every_type: async (db) => {
    const document = {
      _id: new ObjectId(),
      text: '云桥 😀',
      int: new Int32(1),
      long: Long.fromString('9007199254740993'),
      double: new Double(2),
      decimal: Decimal128.fromString('0.1'),
      date: new Date(-1),
      bytes: new Binary(Buffer.from([0, 1])),
      regex: /^a.*b$/i,
      timestamp: new Timestamp({ t: 7, i: 8 }),
      nothing: null,
      nested: { z: 1, a: [1, [2, { b: 3 }]], m: {} },
    }
    await db.collection('types').insertOne(document)
    const raw = { promoteValues: false, promoteLongs: false }
    const found = await db.collection('types').findOne({ _id: document._id }, raw)
    assert.equal(found.long.toString(), '9007199254740993')
    assert.equal(found.decimal.toString(), '0.1')
    assert.deepEqual([found.double._bsontype, found.int._bsontype], ['Double', 'Int32'])
    assert.deepEqual(Object.keys(found), Object.keys(document))
    const plain = await db.collection('types').findOne({ decimal: Decimal128.fromString('0.10') })
    assert.deepEqual(plain.date, document.date)
    assert.deepEqual(plain.nested, document.nested)
    assert.deepEqual(plain.regex, document.regex)
  },

  reading: async (db) => {
    const things = db.collection('things')
    await things.insertMany(Array.from({ length: 3000 }, (_, n) => ({ _id: n, n: n % 7 })))
    assert.equal((await things.find().toArray()).length, 3000)
    const some = await things
      .find({ n: 3 }, { sort: { _id: -1 }, skip: 1, limit: 2, projection: { _id: 1 } })
      .toArray()
    assert.deepEqual(some, [{ _id: 2992 }, { _id: 2985 }])
    const met = []
    for await (const thing of things.find({ _id: { $lt: 500 } }).batchSize(13)) met.push(thing._id)
    assert.deepEqual(met, [...Array(500).keys()])
    assert.equal(await things.countDocuments({ n: 1 }), 429)
    assert.equal(await things.estimatedDocumentCount(), 3000)
    assert.deepEqual((await things.distinct('n')).sort(), [0, 1, 2, 3, 4, 5, 6])
    const groups = things.aggregate([
      { $group: { _id: '$n', count: { $sum: 1 } } },
      { $sort: { _id: 1 } },
      { $limit: 1 },
    ])
    assert.deepEqual(await groups.toArray(), [{ _id: 0, count: 429 }])
    const early = things.find().batchSize(2)
    await early.next()
    await early.close()
    await fails(things.findOne({ a: { $nope: 1 } }), { code: 2, codeName: 'BadValue' })
    assert.equal(await things.findOne({ _id: 'none' }), null)
  },

  writing: async (db) => {
    const c = db.collection('writing')
    const upserted = await c.updateOne({ _id: 1 }, { $set: { a: 1 } }, { upsert: true })
    assert.deepEqual([upserted.upsertedId, upserted.upsertedCount, upserted.matchedCount], [1, 1, 0])
    assert.deepEqual(await c.findOneAndUpdate({ _id: 1 }, { $inc: { a: 1 } }, { returnDocument: 'after' }), {
      _id: 1,
      a: 2,
    })
    const meta = await c.findOneAndUpdate(
      { _id: 2 },
      { $set: { b: 1 } },
      { upsert: true, includeResultMetadata: true },
    )
    assert.deepEqual(meta.lastErrorObject, { n: 1, updatedExisting: false, upserted: 2 })
    assert.deepEqual(await c.findOneAndDelete({ _id: 2 }), { _id: 2, b: 1 })
    assert.equal((await c.replaceOne({ _id: 1 }, { z: 1 })).modifiedCount, 1)
    assert.deepEqual(await c.findOne({}), { _id: 1, z: 1 })
    await c.insertOne({ _id: 9 }, { writeConcern: { w: 0 } })
    while (!(await c.findOne({ _id: 9 })));
    assert.equal((await c.deleteMany({})).deletedCount, 2)
  },

  duplicates: async (db) => {
    const c = db.collection('duplicates')
    await c.createIndex({ phone: 1 }, { unique: true })
    await c.insertOne({ phone: '1' })
    const error = await fails(c.insertOne({ phone: '1' }), {
      code: 11000,
      keyPattern: { phone: 1 },
      keyValue: { phone: '1' },
    })
    assert.match(
      error.message,
      /^E11000 duplicate key error collection: \S+\.duplicates index: phone_1 dup key: \{ phone: "1" \}$/,
    )
    await fails(c.updateOne({ _id: 'new' }, { $set: { phone: '1' } }, { upsert: true }), { code: 11000 })
    await fails(c.findOneAndUpdate({ _id: 'new' }, { $set: { phone: '1' } }, { upsert: true }), {
      code: 11000,
    })
  },

  bulk: async (db) => {
    const c = db.collection('bulk')
    const done = await c.bulkWrite([
      { insertOne: { document: { _id: 1 } } },
      { updateOne: { filter: { _id: 1 }, update: { $set: { a: 1 } } } },
      { updateMany: { filter: {}, update: { $inc: { a: 1 } } } },
      { replaceOne: { filter: { _id: 2 }, replacement: { b: 1 }, upsert: true } },
      { deleteOne: { filter: { _id: 1 } } },
    ])
    assert.deepEqual(
      [done.insertedCount, done.matchedCount, done.deletedCount, done.upsertedIds],
      [1, 2, 1, { 3: 2 }],
    )
    const error = await fails(
      c.insertMany([{ _id: 5 }, { _id: 2 }, { _id: 6 }, { _id: 5 }], { ordered: false }),
      {
        code: 11000,
      },
    )
    assert.deepEqual([error.result.insertedCount, error.writeErrors.map((one) => one.index)], [2, [1, 3]])
    const ordered = await fails(c.insertMany([{ _id: 7 }, { _id: 2 }, { _id: 8 }]), { code: 11000 })
    assert.equal(ordered.result.insertedCount, 1)
    assert.equal(await c.findOne({ _id: 8 }), null)
  },

  catalog: async (db) => {
    await db.createCollection('made')
    await fails(db.createCollection('made'), { code: 48 })
    const names = (await db.listCollections({}, { nameOnly: true }).toArray()).map((one) => one.name)
    assert.ok(names.includes('made') && names.includes('things'))
    await db
      .collection('made')
      .createIndexes([{ key: { a: 1, b: -1 }, name: 'ab' }, { key: { where: '2dsphere' } }])
    const indexes = await db.collection('made').indexes()
    assert.deepEqual(
      indexes.map((one) => [one.name, one.key]),
      [
        ['_id_', { _id: 1 }],
        ['ab', { a: 1, b: -1 }],
        ['where_2dsphere', { where: '2dsphere' }],
      ],
    )
    assert.ok(await db.collection('made').indexExists('ab'))
    await db.collection('made').dropIndex('ab')
    assert.ok(await db.dropCollection('made'))
    assert.deepEqual(
      (await db.admin().listDatabases()).databases.map((one) => one.name),
      [db.databaseName],
    )
    assert.equal((await db.stats()).db, db.databaseName)
  },

  transactions_under_conflict: async (db, client) => {
    const c = db.collection('counters')
    await c.insertOne({ _id: 'n', n: 0 })
    const increment = async () => {
      await client.withSession((session) =>
        session.withTransaction(async () => {
          const { n } = await c.findOne({ _id: 'n' }, { session })
          await c.updateOne({ _id: 'n' }, { $set: { n: n + 1 } }, { session })
        }),
      )
    }
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let turn = 0; turn < 10; turn++) await increment()
      }),
    )
    assert.equal((await c.findOne({ _id: 'n' })).n, 80)
    await client.withSession(async (session) => {
      const thrown = new Error('mine')
      await assert.rejects(
        session.withTransaction(async () => {
          await c.updateOne({ _id: 'n' }, { $set: { n: -1 } }, { session })
          assert.equal((await c.findOne({ _id: 'n' }, { session })).n, -1)
          throw thrown
        }),
        thrown,
      )
    })
    assert.equal((await c.findOne({ _id: 'n' })).n, 80)
  },

  changes: async (db) => {
    const c = db.collection('watched')
    await c.insertOne({ _id: 0 })
    const stream = c.watch([{ $match: { operationType: { $ne: 'delete' } } }], {
      fullDocument: 'updateLookup',
    })
    // Open from here on.
    assert.equal(await stream.tryNext(), null)
    await c.insertOne({ _id: 1, n: 1 })
    await c.updateOne({ _id: 1 }, { $inc: { n: 1 } })
    await c.deleteOne({ _id: 0 })
    await db.collection('another').insertOne({ _id: 5 })
    await c.replaceOne({ _id: 1 }, { m: 1 })
    const seen = []
    for (let at = 0; at < 3; at++) seen.push(await stream.next())
    assert.deepEqual(
      seen.map((one) => [one.operationType, one.documentKey._id, one.fullDocument]),
      [
        ['insert', 1, { _id: 1, n: 1 }],
        ['update', 1, { _id: 1, n: 2 }],
        ['replace', 1, { _id: 1, m: 1 }],
      ],
    )
    assert.deepEqual(seen[0].ns, { db: db.databaseName, coll: 'watched' })
    const resumed = c.watch([], { resumeAfter: seen[0]._id })
    const behind = []
    for (let at = 0; at < 3; at++) behind.push((await resumed.next()).operationType)
    assert.deepEqual(behind, ['update', 'delete', 'replace'])
    await resumed.close()
    await fails(c.watch([{ $group: { _id: 1 } }]).next(), { code: 20 })
    await c.drop()
    assert.equal((await stream.next()).operationType, 'drop')
    assert.equal((await stream.next()).operationType, 'invalidate')
  },

  // Each write has its number, so that one whose answer is lost is not done twice.
  retried_writes: async (db, client) => {
    await client.withSession(async (session) => {
      const command = {
        update: 'retried',
        updates: [{ q: { _id: 1 }, u: { $inc: { n: 1 } }, upsert: true }],
        txnNumber: Long.fromNumber(1000),
      }
      const first = await db.command(command, { session })
      assert.deepEqual(await db.command(command, { session }), first)
    })
    assert.deepEqual(await db.collection('retried').find().toArray(), [{ _id: 1, n: 1 }])
  },
}

const main = async () => {
  const client = await new MongoClient(url).connect()
  // As drivers find servers by themselves.
  const found = await new MongoClient(url.replace('directConnection=true', '')).connect()
  await found.db().command({ ping: 1 })
  await found.close()
  for (const [name, check] of Object.entries(checks)) {
    await check(client.db(), client)
    console.log('ok', name)
  }
  await client.close()
}

main()
