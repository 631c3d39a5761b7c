// Somebody else's models on our database, by mongoose: schemas, references, validation, transactions, one check after the other.

const assert = require('node:assert/strict')
const mongoose = require('mongoose')

const { Schema } = mongoose

const checks = {
  a_schema_round_trip: async () => {
    const schema = new Schema(
      {
        name: { type: String, required: true, trim: true },
        phone: { type: String, unique: true },
        price: Schema.Types.Decimal128,
        big: BigInt,
        at: { type: Date, default: () => new Date(0) },
        tags: [String],
        address: { city: String, point: { type: { type: String }, coordinates: [Number] } },
        lines: [{ what: String, many: { type: Number, min: 1 } }],
        extra: Schema.Types.Mixed,
        data: Buffer,
        map: { type: Map, of: Number },
      },
      { timestamps: true },
    )
    schema.index({ 'address.point': '2dsphere' })
    const Order = mongoose.model('Order', schema)
    await Order.init()
    assert.deepEqual((await Order.collection.indexes()).map((index) => index.name).sort(), [
      '_id_',
      'address.point_2dsphere',
      'phone_1',
    ])
    const order = await Order.create({
      name: ' 云桥 ',
      phone: '1',
      price: '12.50',
      big: 9007199254740993n,
      tags: ['a'],
      address: { city: '广州', point: { type: 'Point', coordinates: [113.3, 23.1] } },
      lines: [{ what: 'x', many: 2 }],
      extra: { any: [1, { thing: null }] },
      data: Buffer.from([1, 2]),
      map: { one: 1 },
    })
    const found = await Order.findById(order.id)
    assert.equal(found.name, '云桥')
    assert.equal(found.price.toString(), '12.50')
    assert.equal(found.big, 9007199254740993n)
    assert.deepEqual(found.at, new Date(0))
    assert.deepEqual(found.extra, { any: [1, { thing: null }] })
    assert.deepEqual([...found.data], [1, 2])
    assert.equal(found.map.get('one'), 1)
    assert.ok(found.lines[0]._id instanceof mongoose.Types.ObjectId)
    found.tags.push('b')
    found.lines[0].many += 1
    found.map.set('two', 2)
    await found.save()
    const again = await Order.findOne({ 'lines.many': 3, tags: 'b' }).lean()
    assert.deepEqual(again.tags, ['a', 'b'])
    assert.deepEqual(again.map, { one: 1, two: 2 })
    assert.ok(again.updatedAt >= again.createdAt)
    await assert.rejects(Order.create({ phone: '2' }), { name: 'ValidationError' })
    await assert.rejects(Order.create({ name: 'x', phone: '1' }), { code: 11000, keyValue: { phone: '1' } })
    const near = { $near: { $geometry: { type: 'Point', coordinates: [113.3, 23.1] }, $maxDistance: 100 } }
    assert.equal((await Order.find({ 'address.point': near })).length, 1)
    // A change of its model: old documents are read by the new one.
    mongoose.deleteModel('Order')
    const Newer = mongoose.model(
      'Order',
      new Schema({ name: String, stage: { type: String, default: 'new' } }),
      'orders',
    )
    const old = await Newer.findById(order.id)
    assert.equal(old.stage, 'new')
    old.stage = 'paid'
    await old.save()
    const kept = await Newer.findById(order.id).lean()
    assert.deepEqual([kept.stage, kept.phone], ['paid', '1'])
  },

  references_and_versions: async () => {
    const Author = mongoose.model('Author', new Schema({ name: String }))
    const Book = mongoose.model(
      'Book',
      new Schema(
        { title: String, by: { type: Schema.Types.ObjectId, ref: 'Author' }, notes: [String] },
        { optimisticConcurrency: true },
      ),
    )
    const author = await Author.create({ name: '鲁迅' })
    await Book.create([
      { title: '呐喊', by: author },
      { title: '彷徨', by: author },
    ])
    const books = await Book.find().populate('by').sort('title')
    assert.deepEqual(
      books.map((book) => book.by.name),
      ['鲁迅', '鲁迅'],
    )
    const [one, two] = [await Book.findById(books[0].id), await Book.findById(books[0].id)]
    one.title = 'a'
    two.title = 'b'
    await one.save()
    await assert.rejects(two.save(), { name: 'VersionError' })
    const grouped = await Book.aggregate([
      { $lookup: { from: 'authors', localField: 'by', foreignField: '_id', as: 'author' } },
      { $unwind: '$author' },
      { $group: { _id: '$author.name', books: { $sum: 1 } } },
    ])
    assert.deepEqual(grouped, [{ _id: '鲁迅', books: 2 }])
    assert.equal(await Book.countDocuments({ by: author._id }), 2)
    const changed = await Book.findOneAndUpdate(
      { title: 'a' },
      { $push: { notes: 'x' } },
      { returnDocument: 'after' },
    )
    assert.deepEqual([...changed.notes], ['x'])
    const titles = []
    for await (const book of Book.find().sort('title').cursor({ batchSize: 1 })) titles.push(book.title)
    assert.deepEqual(titles, [...titles].sort())
    assert.equal((await Book.deleteMany({ by: author })).deletedCount, 2)
    const many = await Book.insertMany(Array.from({ length: 200 }, (_, n) => ({ title: `t${n}` })))
    assert.equal(many.length, 200)
    const bulk = await Book.bulkWrite(
      many.map((book) => ({ updateOne: { filter: { _id: book._id }, update: { $set: { title: 'z' } } } })),
    )
    assert.equal(bulk.modifiedCount, 200)
  },

  transactions: async () => {
    const Account = mongoose.model('Account', new Schema({ _id: String, money: Number }))
    await Account.create([
      { _id: 'a', money: 100 },
      { _id: 'b', money: 0 },
    ])
    const pay = (sum) =>
      mongoose.connection.transaction(async (session) => {
        const from = await Account.findById('a').session(session)
        if (from.money < sum) throw new Error('not enough')
        from.money -= sum
        await from.save({ session })
        await Account.updateOne({ _id: 'b' }, { $inc: { money: sum } }, { session })
      })
    const paid = await Promise.allSettled(Array.from({ length: 8 }, () => pay(30)))
    assert.equal(paid.filter((one) => one.status === 'fulfilled').length, 3)
    const money = Object.fromEntries((await Account.find()).map((one) => [one.id, one.money]))
    assert.deepEqual(money, { a: 10, b: 90 })
  },
}

const main = async () => {
  await mongoose.connect(process.env.YUNQIAO_DATABASE_URL)
  for (const [name, check] of Object.entries(checks)) {
    await check()
    console.log('ok', name)
  }
  await mongoose.disconnect()
}

main()
