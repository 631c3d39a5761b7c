// `wx.cloud.database()`: what a Mini Program asks of collections, by itself. The server judges what it may.

import { command, DbRegExp, serverDate } from './command.mjs'
import { parse, text } from './ejson.mjs'
import { failed, failure, kind, refused } from './failure.mjs'
import { Geo } from './geo.mjs'
import { hasChange, isObject, query, update } from './serialize.mjs'
import { settle } from './settle.mjs'
import { watch } from './watch.mjs'

/** Documents of one `get`: what it gives where nothing is said, and at most. */
const MOST = 20

/** What a collection's name, and what was said of it so far, come to. */
class Query {
  constructor(ask, name, said) {
    this.ask = ask
    this.collectionName = name
    this.said = said
  }

  /** The same, and this said too. */
  and(more) {
    return new Query(this.ask, this.collectionName, Object.assign({}, this.said, more))
  }

  where(given) {
    if (!isObject(given)) throw new Error('查询参数必须为对象')
    const keys = Object.keys(given)
    if (keys.length && keys.every((key) => given[key] === undefined)) {
      throw new Error('查询参数对象值不能均为undefined')
    }
    return this.and({ query: text(query(given)) })
  }

  orderBy(field, direction) {
    if (direction !== 'asc' && direction !== 'desc') throw new Error('排序字符不合法')
    const order = Object.assign({}, this.said.order, { [field]: direction === 'desc' ? -1 : 1 })
    return this.and({ order })
  }

  limit(limit) {
    return this.and({ limit: integer('limit', limit) })
  }

  skip(offset) {
    return this.and({ offset: integer('offset', offset) })
  }

  field(fields) {
    const projection = {}
    for (const key of Object.keys(fields)) {
      projection[key] = isObject(fields[key]) ? fields[key] : Number(Boolean(fields[key]))
    }
    return this.and({ projection })
  }

  get(options) {
    return this.call('get', options, async () => {
      const { order, projection, limit, offset } = this.said
      const { data } = await this.ask('getDocument', this, {
        order: order && text(order),
        projection: projection && text(projection),
        limit: Math.min(limit || MOST, MOST),
        offset,
      })
      return { data: data.list.map(parse) }
    })
  }

  /** Tells what it finds, and each change of that. */
  watch(options) {
    return watch(this.ask.cloud, this, options)
  }

  count(options) {
    return this.call('count', options, async () => {
      const { data } = await this.ask('calculateDocument', this)
      return { total: data.total }
    })
  }

  update(options) {
    return this.call('update', options, async (api) => {
      const data = text(update(changed(api, options)))
      const answer = await this.ask('modifyDocument', this, {
        query: this.said.query || '{}',
        data,
        merge: true,
        upsert: false,
        multi: true,
      })
      return { stats: { updated: answer.data.updated } }
    })
  }

  remove(options) {
    return this.call('remove', options, async () => {
      const { data } = await this.ask('removeDocument', this, { query: this.said.query || '{}', multi: true })
      return { stats: { removed: data.deleted } }
    })
  }

  call(name, options, work) {
    return call(`collection.${name}`, options, work)
  }
}

class Collection extends Query {
  constructor(ask, name) {
    if (typeof name !== 'string' || !name) throw new Error('Collection name is required')
    super(ask, name, {})
  }

  doc(id) {
    return new Document(this, id)
  }

  add(options) {
    return this.call('add', options, async () => {
      const data = [text(dataOf(options))]
      const answer = await this.ask('insertDocument', this, { data })
      return { _id: answer.data.insertedIds[0] }
    })
  }

  aggregate() {
    return new Aggregate(this)
  }
}

class Document {
  constructor(collection, id) {
    if (typeof id !== 'string' && typeof id !== 'number') throw new Error('docId必须为字符串或数字')
    this._id = id
    this.of = collection.and({ query: text({ _id: id }) })
  }

  field(fields) {
    const document = Object.create(Document.prototype)
    return Object.assign(document, { _id: this._id, of: this.of.field(fields) })
  }

  get(options) {
    return this.call('get', options, async () => {
      const { projection } = this.of.said
      const { data } = await this.of.ask('getDocument', this.of, {
        projection: projection && text(projection),
        queryType: 'DOC',
        limit: 1,
      })
      if (!data.list.length && this.of.ask.config.throwOnNotFound === false) return { data: null }
      if (!data.list.length) throw failure(`document with _id ${this._id} does not exist`)
      return { data: parse(data.list[0]) }
    })
  }

  set(options) {
    return this.call('set', options, async (api) => {
      const given = changed(api, options)
      const replacement = text(given)
      if (hasChange(given)) {
        throw refused(api, { code: 'DATABASE_REQUEST_FAILED', message: 'update operator complicit' })
      }
      const { data } = await this.write({ data: replacement, merge: false, upsert: true })
      const created = data.upsert_id !== undefined
      return { _id: this._id, stats: { updated: data.updated, created: Number(created) } }
    })
  }

  update(options) {
    return this.call('update', options, async (api) => {
      const { data } = await this.write({
        data: text(update(changed(api, options))),
        merge: true,
        upsert: false,
      })
      return { stats: { updated: data.updated } }
    })
  }

  remove(options) {
    return this.call('remove', options, async () => {
      const { data } = await this.of.ask('removeDocument', this.of, { queryType: 'DOC', multi: false })
      return { stats: { removed: data.deleted } }
    })
  }

  watch(options) {
    return this.of.watch(options)
  }

  write(fields) {
    return this.of.ask('modifyDocument', this.of, Object.assign({ queryType: 'DOC', multi: false }, fields))
  }

  call(name, options, work) {
    return call(`document.${name}`, options, work)
  }
}

const STAGES = [
  'addFields',
  'bucket',
  'bucketAuto',
  'count',
  'geoNear',
  'group',
  'limit',
  'lookup',
  'match',
  'project',
  'replaceRoot',
  'sample',
  'skip',
  'sort',
  'sortByCount',
  'unwind',
]

class Aggregate {
  constructor(collection) {
    this.of = collection
    this.stages = []
  }

  end(options) {
    return call('collection.aggregate', options, async () => {
      const { data } = await this.of.ask('aggregateDocuments', this.of, { stages: this.stages })
      return { list: data.list.map(parse) }
    })
  }
}

for (const name of STAGES) {
  Aggregate.prototype[name] = function (given) {
    let value = given
    if (name === 'match') value = query(given)
    if (name === 'geoNear' && given.query) value = Object.assign({}, given, { query: query(given.query) })
    this.stages.push({ stageKey: `$${name}`, stageValue: text(value) })
    return this
  }
}

function integer(name, value) {
  if (!Number.isInteger(value)) throw new Error(`${name}must be integer`)
  return value
}

/** By a promise or by callbacks; with `errMsg` in what it gives, and the API's name in what it fails with. */
function call(api, options, work) {
  const calling = Promise.resolve(api)
    .then(work)
    .then(
      (result) => Object.assign(result, { errMsg: `${api}:ok` }),
      (error) => {
        throw error.errMsg && error.errMsg.startsWith(`${api}:fail`) ? error : failed(api, error)
      },
    )
  return settle(options || {}, calling)
}

function dataOf(options) {
  if (!isObject(options)) throw failure(`parameter should be object instead of ${typeof options}; `)
  const { data } = options
  if (!isObject(data)) throw failure(`parameter.data should be object instead of ${kind(data)};`)
  return data
}

/** What a document is changed to. */
function changed(api, options) {
  const data = dataOf(options)
  if (!Object.keys(data).length) throw failure('options.data must not be empty')
  if ('_id' in data) throw refused(api, { code: 'INVALID_PARAM', message: '不能更新_id的值' })
  return data
}

/** The database of a cloud. */
export function database(cloud, config) {
  const ask = async (action, { collectionName, said }, fields) => {
    const body = Object.assign(
      { action: `database.${action}`, collectionName, queryType: 'WHERE', query: said.query },
      fields,
    )
    const answer = await cloud.ask('/v1/database', JSON.stringify(body))
    if (answer.code) throw answer
    return answer
  }
  ask.config = Object.assign({}, config)
  ask.cloud = cloud
  return {
    config: ask.config,
    command,
    Geo,
    serverDate,
    RegExp: DbRegExp,
    collection: (name) => new Collection(ask, name),
  }
}
