// How `watch` keeps its socket, against a server and a clock of the test's own: what happens within minutes is tried at once.

import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { watch } from '../src/watch.mjs'

/** The time of the test, in milliseconds, and what is to happen then. */
const clock = {
  now: 0,
  timers: new Map(),
  last: 0,
  set(work, wait = 0, every) {
    this.timers.set(++this.last, { work, at: this.now + wait, every })
    return this.last
  },
  async pass(milliseconds) {
    const until = this.now + milliseconds
    for (;;) {
      await settled()
      const due = [...this.timers].filter(([, { at }]) => at <= until).sort((a, b) => a[1].at - b[1].at)
      if (!due.length) break
      const [id, timer] = due[0]
      this.now = Math.max(this.now, timer.at)
      if (timer.every) timer.at = this.now + timer.every
      else this.timers.delete(id)
      timer.work()
    }
    this.now = until
  },
}

/** Once all promises have had their turn. */
const settled = () => new Promise((resolve) => setImmediate(resolve))

/** The sockets that were made, the newest last. */
let made = []

class FakeSocket {
  constructor() {
    this.said = []
    this.at = clock.now
    made.push(this)
  }
  send(text) {
    this.said.push(JSON.parse(text))
  }
  close(code) {
    this.closed = code
  }
  /** The messages of a kind that the client sent. */
  of(kind) {
    return this.said.filter(({ msgType }) => msgType === kind)
  }
  tells(message) {
    this.onmessage({ data: JSON.stringify(message) })
  }
  opens() {
    this.onopen()
    this.tells({ msgType: 'LOGIN_RES', msgData: {} })
  }
  /** Answers what a watch asked for last. */
  answers(asked, currEvent, events = []) {
    const { watchId, requestId, msgType } = asked
    const kind = msgType === 'INIT_WATCH' ? 'INIT_EVENT' : 'NEXT_EVENT'
    this.tells({ watchId, requestId, msgType: kind, msgData: { queryID: 'q', currEvent, events } })
  }
  /** Tells of one document. */
  adds(asked, ID, _id) {
    const event = { ID, DataType: 'add', QueueType: 'enqueue', DocID: _id, Doc: JSON.stringify({ _id }) }
    const msgData = { queryID: 'q', currEvent: ID, events: [event] }
    this.tells({ watchId: asked.watchId, requestId: '', msgType: 'NEXT_EVENT', msgData })
  }
  loses(code = 1006) {
    this.onclose({ code, reason: '' })
  }
}

const real = {}
const globals = {
  WebSocket: FakeSocket,
  setTimeout: (work, wait) => clock.set(work, wait),
  clearTimeout: (id) => clock.timers.delete(id),
  setInterval: (work, wait) => clock.set(work, wait, wait),
  clearInterval: (id) => clock.timers.delete(id),
}

beforeEach(() => {
  made = []
  clock.timers.clear()
  for (const name of Object.keys(globals)) {
    real[name] = globalThis[name]
    globalThis[name] = globals[name]
  }
  real.now = Date.now
  Date.now = () => clock.now
})

afterEach(() => {
  Date.now = real.now
  delete real.now
  Object.assign(globalThis, real)
})

const cloud = () => ({
  endpoint: 'http://server',
  settings: {},
  isEnabled() {},
  session: { token: async () => 'token', end() {} },
})

/** Watches a collection, and remembers what it is told. */
function watching(of, callbacks = {}) {
  const seen = { snapshots: [], errors: [] }
  const onChange = (snapshot) => {
    seen.snapshots.push(snapshot)
    if (callbacks.onChange) callbacks.onChange(snapshot)
  }
  const onError = (error) => {
    seen.errors.push(error)
    if (callbacks.onError) callbacks.onError(error)
  }
  seen.watcher = watch(of, { collectionName: 'c', said: {} }, { onChange, onError })
  return seen
}

/** The socket that was made last, open. */
async function opened() {
  await settled()
  const socket = made[made.length - 1]
  socket.opens()
  return socket
}

test('where there are no sockets, a watch ends at once and says what to do', async () => {
  delete globalThis.WebSocket
  const { errors } = watching(cloud())
  await settled()
  assert.equal(errors.length, 1)
  assert.equal(errors[0].errCode, -402002)
  assert.match(
    errors[0].errMsg,
    /^collection\.watch:fail -402002 .*set globalThis\.WebSocket to that of the package ws$/,
  )
  assert.equal(clock.timers.size, 0, 'it does not try again')
})

test('what the app throws is its own, and no other watch ends by it', async () => {
  const of = cloud()
  const fail = () => {
    throw new Error('of the app')
  }
  const throwing = watching(of, { onChange: fail, onError: fail })
  const other = watching(of)
  const socket = await opened()
  const [asked, its] = socket.of('INIT_WATCH')
  socket.answers(asked, 1)
  socket.adds(asked, 2, 'a')
  socket.answers(its, 1)
  assert.equal(throwing.snapshots.length, 2, 'it is told further')
  // It is thrown where it ends nothing.
  await assert.rejects(clock.pass(1), /of the app/)
  socket.loses()
  // No server comes back.
  for (let tries = 0; tries < 30 && !other.errors.length; tries += 1) {
    await clock.pass(60e3).catch(({ message }) => assert.equal(message, 'of the app'))
    made[made.length - 1].loses()
  }
  assert.deepEqual(
    [throwing, other].map(({ errors }) => errors.map(({ errCode }) => errCode)),
    [[-402003], [-402003]],
  )
})

test('a socket that was closed for others comes back late, and no sooner for another watch', async () => {
  const of = cloud()
  const first = watching(of)
  let socket = await opened()
  socket.answers(socket.of('INIT_WATCH')[0], 1)
  for (let round = 0; round < 5; round += 1) {
    const count = made.length
    socket.loses(4003)
    await clock.pass(14e3)
    watching(of)
    await clock.pass(900)
    assert.equal(made.length, count, `round ${round}`)
    await clock.pass(16e3)
    assert.equal(made.length, count + 1)
    socket = await opened()
    // It is let in, told what it missed, and closed again: that is no peace.
    socket.answers(socket.of('REBUILD_WATCH')[0], 1)
  }
  assert.deepEqual(first.errors, [])
})

test('tries are forgotten once a socket has stood for a while, and no sooner', async () => {
  const of = cloud()
  const seen = watching(of)
  let socket = await opened()
  socket.answers(socket.of('INIT_WATCH')[0], 1)
  const waits = []
  const lose = async () => {
    const count = made.length
    const lost = clock.now
    socket.loses()
    while (made.length === count) await clock.pass(50)
    waits.push(clock.now - lost)
    socket = await opened()
    socket.answers(socket.of('REBUILD_WATCH')[0], 1)
  }
  for (let round = 0; round < 10; round += 1) await lose()
  assert(waits[0] <= 550 && waits[4] > 3e3, `${waits}`)
  // However often it is lost, it is never given up while it can be had.
  for (let round = 0; round < 20; round += 1) await lose()
  assert.deepEqual(seen.errors, [])
  for (let passed = 0; passed < 40e3; passed += 5e3) {
    await clock.pass(5e3)
    socket.tells({ msgType: 'PONG', msgData: null })
  }
  await lose()
  assert(waits[waits.length - 1] <= 550, `${waits}`)
})

test('a gap is asked for once, however much comes behind it', async () => {
  const seen = watching(cloud())
  const socket = await opened()
  const [asked] = socket.of('INIT_WATCH')
  socket.answers(asked, 1)
  for (const id of [4, 5, 6]) socket.adds(asked, id, `d${id}`)
  assert.equal(socket.of('REBUILD_WATCH').length, 1)
  assert.equal(seen.snapshots.length, 1)
  const event = (ID) => ({
    ID,
    DataType: 'add',
    QueueType: 'enqueue',
    DocID: `d${ID}`,
    Doc: `{"_id":"d${ID}"}`,
  })
  socket.answers(socket.of('REBUILD_WATCH')[0], 6, [2, 3, 4, 5, 6].map(event))
  assert.deepEqual(
    seen.snapshots[seen.snapshots.length - 1].docs.map(({ _id }) => _id),
    ['d2', 'd3', 'd4', 'd5', 'd6'],
  )
  socket.adds(asked, 8, 'd8')
  assert.equal(socket.of('REBUILD_WATCH').length, 2, 'the next gap is another')
})

test('an answer may take a minute on a slow line, and a server that says nothing may not', async () => {
  watching(cloud())
  const socket = await opened()
  await clock.pass(70e3)
  assert.equal(socket.closed, undefined)
  socket.answers(socket.of('INIT_WATCH')[0], 1)
  await clock.pass(35e3)
  assert.equal(socket.closed, 4000)
})

test('whoever never gets an answer is told so in the end', async () => {
  const seen = watching(cloud())
  for (let tries = 0; tries < 40 && !seen.errors.length; tries += 1) {
    await settled()
    if (!made[tries]) await clock.pass(40e3)
    made[made.length - 1].opens()
    await clock.pass(200e3)
  }
  assert.deepEqual(
    seen.errors.map(({ errCode }) => errCode),
    [-402002],
  )
})

test('a socket that was left says nothing more, however late it is closed', async () => {
  const of = cloud()
  const seen = watching(of)
  const left = await opened()
  left.answers(left.of('INIT_WATCH')[0], 1)
  await seen.watcher.close()
  // Nobody is there to close it: the network is gone.
  await clock.pass(60e3)
  assert.deepEqual(left.of('PING'), [])
  watching(of)
  await settled()
  const socket = made[made.length - 1]
  assert.notEqual(socket, left)
  // It takes long to open, and nothing is said on it before.
  await clock.pass(12e3)
  assert.deepEqual(socket.said, [])
  // A login that was refused is another that is left.
  socket.onopen()
  socket.tells({ msgType: 'LOGIN_RES', msgData: { code: 'CHECK_LOGIN_FAILED', message: 'no' } })
  await clock.pass(12e3)
  assert.deepEqual(socket.of('PING'), [])
})
