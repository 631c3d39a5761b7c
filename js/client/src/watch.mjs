// `watch`: what a query finds, and what becomes of it, by one socket for all watches of a cloud. The socket is there as long as anything is
// watched; when it is lost it is made anew, and every watch goes on from the last events that it had.

import { parse } from './ejson.mjs'
import { failure } from './failure.mjs'

const PATH = '/v1/realtime'
/** Milliseconds after which the server is asked whether it is there, and after which it is not. */
const QUIET = 10e3
const GONE = 25e3
/** The same while an answer is under way, which on a slow line may be a minute long. */
const GONE_ASKED = 90e3
/** Milliseconds before the socket is made anew: at first, and at most; then doubled at each try. */
const SOON = 500
const LATE = 30e3
/** Tries in a row until the watches end: some minutes. */
const TRIES = 20
/** Milliseconds after which a socket that told something is no try any more. Before that, tries count as no more than so many. */
const STEADY = 30e3
const UNSTEADY = 6
/** The server's code for a socket that had to make room for the user's others: those would be closed in turn. */
const CROWDED = 4003
/** Milliseconds that the server may take to answer the first message. */
const PATIENCE = 15e3

/** What a watch ends with (WeChat's table of errCodes). */
const ENDS = {
  begin: [-402002, 'init watch fail'],
  connect: [-402003, 'reconnect fail'],
  rebuild: [-402004, 'rebuild watch fail'],
  told: [-402006, 'receive server error'],
}

let last = 0
const nextId = () => `${Date.now()}_${++last}`

/** Tells the app something. What it throws is its own, and ends nothing here. */
function tell(callback, value) {
  try {
    callback(value)
  } catch (error) {
    setTimeout(() => {
      throw error
    })
  }
}

/** The watches of a cloud, and their socket. */
class Sockets {
  constructor(cloud) {
    this.cloud = cloud
    this.watches = new Map()
    this.link = undefined
    this.tries = 0
  }

  add(watch) {
    this.watches.set(watch.id, watch)
    if (this.link && this.link.ready) this.start(watch)
    else if (!this.link && !this.timer) this.connect()
  }

  remove(watch) {
    if (!this.watches.delete(watch.id)) return
    const { link } = this
    if (link && link.ready) this.say('CLOSE_WATCH', null, watch)
    if (this.watches.size) return
    clearTimeout(this.timer)
    this.timer = undefined
    this.link = undefined
    if (link) link.close(1000)
  }

  /** Makes the socket, and logs in on it. */
  async connect() {
    const { cloud } = this
    const link = (this.link = { ready: false, heard: Date.now(), close() {} })
    const isCurrent = () => this.link === link
    /** Makes it anew, unless that was done. */
    const lost = (error) => {
      clearInterval(link.beat)
      if (isCurrent()) this.again(error)
    }
    try {
      link.token = await cloud.session.token(60e3)
      if (!isCurrent()) return
      const open = cloud.wx && cloud.wx.connectSocket ? byWx : byWebSocket
      const heard = (text) => {
        link.heard = Date.now()
        if (isCurrent() && typeof text === 'string') this.hear(JSON.parse(text), link)
      }
      const opened = () => {
        if (!isCurrent()) return link.close(1000)
        const { env = '' } = cloud.settings
        this.say('LOGIN', { envId: env, accessToken: link.token, referrer: 'yunqiao' })
        link.beat = setInterval(() => {
          // It may be long until the old one is closed.
          if (!isCurrent()) return clearInterval(link.beat)
          const now = Date.now()
          const quiet = now - link.heard
          if (link.told && now - link.told > STEADY) this.tries = 0
          const isAsked = [...this.watches.values()].some(({ asking }) => asking)
          if (quiet > (!link.ready ? PATIENCE : isAsked ? GONE_ASKED : GONE)) {
            link.close(4000)
            lost(failure('the server does not answer'))
          } else if (link.ready && quiet >= QUIET) this.say('PING', null)
        }, QUIET / 2)
      }
      const url = cloud.endpoint.replace(/^http/, 'ws') + PATH
      Object.assign(link, open(url, { opened, heard, lost }, cloud.wx))
    } catch (error) {
      lost(error)
    }
  }

  again(error) {
    this.link = undefined
    if (!this.watches.size) return
    this.tries += 1
    if (error && error.code === CROWDED) this.tries = Math.max(this.tries, UNSTEADY + 1)
    if (this.tries > TRIES || (error && error.isFinal)) {
      this.tries = 0
      for (const watch of [...this.watches.values()]) {
        watch.end(
          watch.queryID ? 'connect' : 'begin',
          (error && (error.errMsg || error.message)) || 'no connection',
        )
      }
      return
    }
    const wait = Math.min(SOON * 2 ** (this.tries - 1), LATE)
    // Not all clients at once, when a server comes back.
    clearTimeout(this.timer)
    this.timer = setTimeout(
      () => {
        this.timer = undefined
        if (this.watches.size && !this.link) this.connect()
      },
      wait * (0.5 + Math.random() / 2),
    )
  }

  say(msgType, msgData, watch) {
    const message = { requestId: nextId(), msgType, msgData }
    if (watch) message.watchId = watch.id
    this.link.send(JSON.stringify(message))
    return message.requestId
  }

  /** A watch begins, or goes on. */
  start(watch) {
    const { queryID, eventID, asked } = watch
    watch.asking = queryID
      ? this.say('REBUILD_WATCH', { collName: asked.collName, queryID, eventID }, watch)
      : this.say('INIT_WATCH', asked, watch)
  }

  hear({ msgType, msgData, watchId, requestId }, link) {
    if (msgType === 'LOGIN_RES' && msgData.code) {
      this.cloud.session.end(link.token)
      link.close(1000)
      return this.again(failure(msgData.message))
    }
    if (msgType === 'LOGIN_RES') {
      link.ready = true
      for (const watch of this.watches.values()) this.start(watch)
    }
    const watch = this.watches.get(watchId)
    if (!watch) return
    if (requestId === watch.asking) watch.asking = undefined
    if (msgType === 'ERROR') return watch.refused(msgData)
    if (!msgData.events) return
    if (!link.told) {
      link.told = Date.now()
      this.tries = Math.min(this.tries, UNSTEADY)
    }
    // What is missing is asked for once, however much comes behind it.
    if (!watch.hear(msgType, msgData) && !watch.asking) this.start(watch)
  }
}

/** One watch, as its app knows it. */
class Watch {
  constructor(sockets, asked, { onChange, onError }) {
    this.sockets = sockets
    this.id = `watchid_${nextId()}`
    /** The request that is to be answered. */
    this.asking = undefined
    this.asked = asked
    this.onChange = onChange
    this.onError = onError
    this.docs = []
  }

  refused({ code, message }) {
    // Its server has never heard of it.
    if (code === 'QUERYID_INVALID_ERROR' && this.queryID) {
      this.queryID = undefined
      return this.sockets.start(this)
    }
    const how = !this.queryID ? 'begin' : 'told'
    this.end(how, `[${code}] ${message}`)
  }

  end(how, why) {
    this.sockets.remove(this)
    const [errCode, text] = ENDS[how]
    const error = new Error(`errCode: ${errCode} ${text} | errMsg: ${why}`)
    Object.assign(error, { errCode, errMsg: `collection.watch:fail ${errCode} ${text}. ${why}` })
    tell(this.onError, error)
  }

  /** Takes events; answers whether none is missing before them. */
  hear(msgType, { queryID, currEvent, events }) {
    if (msgType === 'INIT_EVENT') {
      this.queryID = queryID
      this.eventID = currEvent
      for (const event of events) event.ID = currEvent
      this.tell(events, true)
      return true
    }
    let at = 0
    while (at < events.length) {
      const id = events[at].ID
      let end = at
      while (end < events.length && events[end].ID === id) end += 1
      if (id > this.eventID + 1) return false
      if (id > this.eventID) {
        this.eventID = id
        this.tell(events.slice(at, end))
      }
      at = end
    }
    return true
  }

  /** Applies the events of one snapshot, and tells the app. */
  tell(events, begins) {
    if (begins || (events.length && events[0].QueueType === 'init')) {
      begins = true
      this.docs = []
    }
    let { docs } = this
    docs = docs.slice()
    const docChanges = []
    for (const { ID, DataType, QueueType, DocID, Doc, At } of events) {
      // Stands for no document, where there is none to begin with.
      if (DocID === '') continue
      const docId = parse(JSON.stringify(DocID))
      const place = docs.findIndex(({ _id }) => _id === docId)
      const before = docs[place]
      const doc = Doc ? parse(Doc) : before
      if (place >= 0) docs.splice(place, 1)
      if (QueueType !== 'dequeue') docs.splice(At === undefined ? docs.length : At, 0, doc)
      const change = { id: ID, dataType: DataType, queueType: QueueType, docId, doc }
      docChanges.push(
        Object.assign(
          change,
          before && DataType === 'update' && QueueType === 'update' && difference(before, doc),
        ),
      )
    }
    this.docs = docs
    const snapshot = { id: this.eventID, docChanges, docs: docs.slice() }
    if (begins) snapshot.type = 'init'
    tell(this.onChange, snapshot)
  }
}

/** Which fields are other than they were. */
function difference(before, now) {
  const updatedFields = {}
  for (const key of Object.keys(now)) {
    if (JSON.stringify(before[key]) !== JSON.stringify(now[key])) updatedFields[key] = now[key]
  }
  return { updatedFields, removedFields: Object.keys(before).filter((key) => !(key in now)) }
}

function byWx(url, { opened, heard, lost }, wx) {
  const task = wx.connectSocket({ url, fail: lost })
  if (!task) throw failure(`there is no socket to ${url}`)
  task.onOpen(opened)
  task.onMessage(({ data }) => heard(data))
  task.onError(lost)
  task.onClose(lost)
  return { send: (data) => task.send({ data }), close: (code) => task.close({ code }) }
}

function byWebSocket(url, { opened, heard, lost }) {
  if (typeof WebSocket !== 'function')
    throw failure(
      'there is neither wx.connectSocket nor WebSocket here: in Node before 22, set globalThis.WebSocket to that of the package ws',
      { isFinal: true },
    )
  const socket = new WebSocket(url)
  socket.onopen = opened
  socket.onmessage = ({ data }) => heard(data)
  socket.onerror = () => {}
  socket.onclose = ({ code, reason }) => {
    lost(failure(`the socket was closed: ${code} ${reason} (${url})`, { code }))
  }
  return { send: (data) => socket.send(data), close: (code) => socket.close(code) }
}

/** By the cloud: all of its databases have one socket. */
const sockets = new WeakMap()

/** Watches what was asked for, and gives `{ close }`. */
export function watch(cloud, { collectionName: collName, said }, options) {
  const { onChange, onError } = Object(options)
  if (typeof onChange !== 'function' || typeof onError !== 'function') {
    throw new Error('watch: options.onChange and options.onError must be functions')
  }
  cloud.isEnabled()
  if (!sockets.has(cloud)) sockets.set(cloud, new Sockets(cloud))
  const asked = { collName, query: said.query || '', limit: said.limit }
  const order = Object.keys(said.order || {})
  if (order.length) {
    asked.orderBy = {}
    for (const field of order) asked.orderBy[field] = said.order[field] > 0 ? 'asc' : 'desc'
  }
  const begun = new Watch(sockets.get(cloud), asked, { onChange, onError })
  begun.sockets.add(begun)
  return {
    close: async () => begun.sockets.remove(begun),
  }
}
