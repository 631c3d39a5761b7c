// The peers of our database: mingo, NeDB and better-sqlite3 in Node, each in a process of its own, told on stdin what to do, one
// JSON text a line, and answering on stdout in the same way. `bench/src/database/engine.rs` is the same for ours.
const fs = require('node:fs')
const path = require('node:path')
const readline = require('node:readline')

const [engineName, file] = process.argv.slice(2)

const GROUP = (least) => [
  { $match: { priority: { $gte: least } } },
  { $group: { _id: '$address.city', count: { $sum: 1 }, total: { $sum: '$amount' } } },
  { $sort: { total: -1 } },
]

const ENGINES = {
  // MongoDB's language over an array. Nothing is kept, and there are no indexes.
  mingo() {
    const { Query, Aggregator } = require('mingo')
    let documents = []
    return {
      load: (all) => {
        documents = all
      },
      id: (id) => new Query({ _id: id }).find(documents).all(),
      page: (status) => new Query({ status }).find(documents).sort({ createTime: -1 }).limit(20).all(),
      filter: ({ city, least }) =>
        new Query({ 'address.city': city, amount: { $gte: least } }).find(documents).all(),
      group: (least) => new Aggregator(GROUP(least)).run(documents),
    }
  },

  // Documents in memory, with indexes of one field; a file that is appended to, and not synchronised with the disk.
  nedb() {
    const Datastore = require('@seald-io/nedb')
    const store = new Datastore({ filename: file, autoload: true })
    return {
      async load(documents) {
        for (const fieldName of ['_openid', 'status', 'createTime'])
          await store.ensureIndexAsync({ fieldName })
        await store.insertAsync(documents)
      },
      id: (id) => store.findAsync({ _id: id }),
      page: (status) => store.findAsync({ status }).sort({ createTime: -1 }).limit(20),
      filter: ({ city, least }) => store.findAsync({ 'address.city': city, amount: { $gte: least } }),
      insert: (document) => store.insertAsync(document),
    }
  },

  // A column of JSON, with the indexes that ours has; each transaction is on disk before it is acknowledged.
  sqlite() {
    const Database = require('better-sqlite3')
    const db = new Database(file)
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = FULL')
    db.exec(`
      CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, doc TEXT NOT NULL);
      CREATE INDEX IF NOT EXISTS openid ON documents (json_extract(doc, '$._openid'));
      CREATE INDEX IF NOT EXISTS page ON documents (json_extract(doc, '$.status'), json_extract(doc, '$.createTime') DESC);
    `)
    const insert = db.prepare('INSERT INTO documents VALUES (?, ?)')
    const byId = db.prepare('SELECT doc FROM documents WHERE id = ?').pluck()
    const page = db
      .prepare(`SELECT doc FROM documents WHERE json_extract(doc, '$.status') = ?
      ORDER BY json_extract(doc, '$.createTime') DESC LIMIT 20`)
      .pluck()
    const filter = db
      .prepare(`SELECT doc FROM documents
      WHERE json_extract(doc, '$.address.city') = ? AND json_extract(doc, '$.amount') >= ?`)
      .pluck()
    const group = db.prepare(`SELECT json_extract(doc, '$.address.city') AS _id, count(*) AS count,
      sum(json_extract(doc, '$.amount')) AS total FROM documents
      WHERE json_extract(doc, '$.priority') >= ? GROUP BY _id ORDER BY total DESC`)
    return {
      load: db.transaction((documents) => {
        for (const document of documents) insert.run(document._id, JSON.stringify(document))
      }),
      id: (id) => byId.all(id).map(JSON.parse),
      page: (status) => page.all(status).map(JSON.parse),
      filter: ({ city, least }) => filter.all(city, least).map(JSON.parse),
      group: (least) => group.all(least),
      insert: (document) => insert.run(document._id, JSON.stringify(document)),
    }
  },
}

const engine = ENGINES[engineName]()

// A thousand at a time, as a file of a million is no string.
const load = async ({ documents }) => {
  const whole = []
  let batch = []
  for await (const line of readline.createInterface({ input: fs.createReadStream(documents) })) {
    batch.push(JSON.parse(line))
    if (batch.length === 1000 && engineName === 'sqlite') {
      engine.load(batch)
      batch = []
    } else if (batch.length === 1000) {
      whole.push(...batch)
      batch = []
    }
  }
  await engine.load([...whole, ...batch])
  return {}
}

const COMMANDS = {
  load,

  // What the reads are answered, to be compared.
  async check({ read, cases }) {
    const answers = []
    for (const one of cases) answers.push(await engine[read](one))
    return { answers }
  },

  // How long each read takes, case after case, for so many milliseconds.
  async read({ read, cases, millis }) {
    const nanos = []
    const run = engine[read]
    let since = process.hrtime.bigint()
    const end = since + BigInt(millis) * 1000000n
    for (let at = 0; since < end; at++) {
      const answer = run(cases[at % cases.length])
      // Awaiting what is no promise would cost as much as a quick read.
      if (typeof answer.then === 'function') await answer
      const now = process.hrtime.bigint()
      nanos.push(Number(now - since))
      since = now
    }
    return { nanos }
  },

  // How long each insert takes until it is acknowledged, one after the other.
  async insert({ documents }) {
    const nanos = []
    for (const document of documents) {
      const since = process.hrtime.bigint()
      const done = engine.insert(document)
      if (typeof done.then === 'function') await done
      nanos.push(Number(process.hrtime.bigint() - since))
    }
    return { nanos }
  },

  // How long so many writers take together, each of which inserts one document after the other.
  async writers({ documents, writers }) {
    const since = process.hrtime.bigint()
    await Promise.all(
      Array.from({ length: writers }, async (_, at) => {
        for (let next = at; next < documents.length; next += writers) await engine.insert(documents[next])
      }),
    )
    return { nanos: [Number(process.hrtime.bigint() - since)] }
  },
}

;(async () => {
  console.log(JSON.stringify({ ready: path.basename(file ?? '') }))
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { command, ...rest } = JSON.parse(line)
    console.log(JSON.stringify(await COMMANDS[command](rest)))
  }
})()
