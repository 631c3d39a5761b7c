// `watch`: two users' phones, whose sockets break off, against the real server. Nothing here waits for a time: each step waits for what
// the watcher is told.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import http from 'node:http'
import { createRequire } from 'node:module'
import { afterEach, test } from 'node:test'
import { install } from '@yunqiao/client'
import { code, gateway, openid, wechat } from './support.mjs'

const { createWx } = createRequire(import.meta.url)('../../wx')

/** A user's phone with the client in it. */
function phone(user) {
  const wx = createWx({ wechat, user })
  const cloud = install(wx)
  cloud.init({ endpoint: gateway, login: () => code(user) })
  return { db: cloud.database(), lose: () => wx.simulator.dropSockets() }
}

const alice = phone('alice')
const bob = phone('bob')
const open = new Set()

/** Watches, and remembers what it is told. */
class Watching {
  constructor(query) {
    this.snapshots = []
    this.waiting = new Set()
    this.error = undefined
    this.watcher = query.watch({
      onChange: (snapshot) => {
        this.snapshots.push(snapshot)
        this.told()
      },
      onError: (error) => {
        this.error = error
        this.told()
      },
    })
    open.add(this.watcher)
  }

  told() {
    for (const look of this.waiting) look()
  }

  /** Once `holds` gives something. */
  until(holds) {
    return new Promise((resolve) => {
      const look = () => {
        const value = holds()
        if (!value) return
        this.waiting.delete(look)
        resolve(value)
      }
      this.waiting.add(look)
      look()
    })
  }

  get docs() {
    return this.snapshots.length ? this.snapshots[this.snapshots.length - 1].docs : undefined
  }

  /** The snapshot after so many. */
  snapshot(place) {
    return this.until(() => this.snapshots[place])
  }

  failed() {
    return this.until(() => this.error)
  }
}

afterEach(async () => {
  await Promise.all([...open].map((watcher) => watcher.close()))
  open.clear()
})

const titles = (docs) => docs && docs.map(({ title }) => title).join()

test('what one user does, the other is told, in the shapes of the base library', async () => {
  const news = alice.db.collection('news')
  await news.doc('n1').set({ data: { title: 'a', n: 1 } })
  const watching = new Watching(bob.db.collection('news').orderBy('n', 'asc'))
  const first = await watching.snapshot(0)
  const _openid = await openid('alice')
  const one = { _id: 'n1', _openid, title: 'a', n: 1 }
  assert.deepEqual(first, {
    id: first.id,
    type: 'init',
    docs: [one],
    docChanges: [{ id: first.id, dataType: 'init', queueType: 'init', docId: 'n1', doc: one }],
  })

  const at = new Date(1_700_000_000_000)
  await news.doc('n0').set({ data: { title: 'b', n: 0, at } })
  const zero = { _id: 'n0', _openid, title: 'b', n: 0, at }
  const added = await watching.snapshot(1)
  assert.deepEqual(added, {
    id: first.id + 1,
    // In the query's order.
    docs: [zero, one],
    docChanges: [{ id: first.id + 1, dataType: 'add', queueType: 'enqueue', docId: 'n0', doc: zero }],
  })
  assert(added.docs[0].at instanceof Date)

  await news.doc('n0').update({ data: { n: 5, title: alice.db.command.remove() } })
  const changed = await watching.snapshot(2)
  const { title, ...rest } = { ...zero, n: 5 }
  assert.equal(title, 'b')
  assert.deepEqual(changed.docs, [one, rest])
  assert.deepEqual(changed.docChanges, [
    {
      id: first.id + 2,
      dataType: 'update',
      queueType: 'update',
      docId: 'n0',
      doc: rest,
      updatedFields: { n: 5 },
      removedFields: ['title'],
    },
  ])

  await news.doc('n1').remove()
  const removed = await watching.snapshot(3)
  assert.deepEqual(removed.docs, [rest])
  assert.deepEqual(removed.docChanges, [
    { id: first.id + 3, dataType: 'remove', queueType: 'dequeue', docId: 'n1', doc: one },
  ])
  await news.doc('n0').remove()
  await watching.until(() => watching.docs.length === 0)
})

test('a condition and a limit let documents in and out', async () => {
  const posts = alice.db.collection('posts')
  const query = bob.db.collection('posts').where({ published: true }).orderBy('n', 'desc').limit(2)
  const watching = new Watching(query)
  assert.deepEqual((await watching.snapshot(0)).docs, [])
  for (const n of [1, 2, 3]) {
    await posts.doc(`p${n}`).set({ data: { title: `p${n}`, n, published: true } })
  }
  await watching.until(() => titles(watching.docs) === 'p3,p2')
  const pushed = watching.snapshots[watching.snapshots.length - 1].docChanges
  assert.deepEqual(
    pushed.map(({ dataType, queueType, docId }) => [dataType, queueType, docId]),
    [
      ['add', 'enqueue', 'p3'],
      ['limit', 'dequeue', 'p1'],
    ],
  )
  // What becomes of it is kept from whoever may not read it any more.
  await posts.doc('p3').update({ data: { published: false, secret: 'swordfish' } })
  await watching.until(() => titles(watching.docs) === 'p2,p1')
  assert.doesNotMatch(JSON.stringify(watching.snapshots), /swordfish/)
  for (const n of [1, 2, 3]) await posts.doc(`p${n}`).remove()
  await watching.until(() => watching.docs.length === 0)
})

test('one document is watched by its id', async () => {
  const one = alice.db.collection('news').doc('one')
  const watching = new Watching(bob.db.collection('news').doc('one'))
  assert.deepEqual((await watching.snapshot(0)).docs, [])
  await one.set({ data: { n: 1 } })
  await one.update({ data: { n: alice.db.command.inc(1) } })
  await alice.db
    .collection('news')
    .doc('two')
    .set({ data: { n: 1 } })
  await one.remove()
  const { docs, docChanges } = await watching.snapshot(3)
  assert.deepEqual([docs, docChanges[0].dataType, docChanges[0].docId], [[], 'remove', 'one'])
  await alice.db.collection('news').doc('two').remove()
})

test("another's private documents are told to nobody, whatever is done to them", async () => {
  const his = new Watching(bob.db.collection('diary'))
  const hers = new Watching(alice.db.collection('diary'))
  await his.snapshot(0)
  await hers.snapshot(0)
  const diary = alice.db.collection('diary')
  await diary.doc('d').set({ data: { secret: 'swordfish' } })
  await diary.doc('d').update({ data: { secret: 'tuna' } })
  await diary.doc('d').remove()
  await hers.snapshot(3)
  await bob.db
    .collection('diary')
    .doc('mine')
    .set({ data: { n: 1 } })
  const next = await his.snapshot(1)
  assert.deepEqual(
    next.docChanges.map(({ docId }) => docId),
    ['mine'],
  )
  assert.doesNotMatch(JSON.stringify(his.snapshots), /swordfish|tuna/)
  await bob.db.collection('diary').doc('mine').remove()
})

test('whoever may not watch is told so, once', async () => {
  for (const [query, text] of [
    [bob.db.collection('closed'), /COLLECTION_PERMISSION_DENIED.*Permission denied/],
    [bob.db.collection('posts'), /COLLECTION_PERMISSION_DENIED.*Permission denied/],
    [
      bob.db.collection('news').where({ at: bob.db.command.geoNear({ geometry: bob.db.Geo.Point(1, 2) }) }),
      /geoNear/,
    ],
  ]) {
    const watching = new Watching(query)
    const error = await watching.failed()
    assert(error instanceof Error)
    assert.equal(error.errCode, -402002)
    assert.match(error.errMsg, /^collection\.watch:fail -402002 init watch fail\. /)
    assert.match(error.errMsg, text)
    assert.deepEqual(watching.snapshots, [])
  }
  assert.throws(() => bob.db.collection('news').watch({ onChange() {} }), /onError must be functions/)
})

test('a watch that was closed is told nothing more', async () => {
  const closed = new Watching(bob.db.collection('news'))
  const witness = new Watching(bob.db.collection('news'))
  await closed.snapshot(0)
  await witness.snapshot(0)
  const closing = closed.watcher.close()
  assert(closing instanceof Promise)
  await closing
  await alice.db
    .collection('news')
    .doc('late')
    .set({ data: { n: 1 } })
  await witness.until(() => witness.docs.length === 1)
  assert.equal(closed.snapshots.length, 1)
  await alice.db.collection('news').doc('late').remove()
  await witness.until(() => witness.docs.length === 0)
})

test('connections that break off at any moment leave every watcher with what there is', async () => {
  let seed = 7
  const below = (most) => {
    seed = (seed * 1103515245 + 12345) % 2147483648
    return Math.floor((seed / 2147483648) * most)
  }
  const news = alice.db.collection('news')
  const watching = [
    new Watching(bob.db.collection('news').orderBy('n', 'asc')),
    new Watching(bob.db.collection('news').where({ n: bob.db.command.lt(50) })),
    new Watching(alice.db.collection('news').orderBy('n', 'desc').limit(3)),
  ]
  await Promise.all(watching.map((one) => one.snapshot(0)))
  for (let step = 0; step < 60; step += 1) {
    const one = news.doc(`s${below(12)}`)
    if (below(4)) await one.set({ data: { n: below(100) } })
    else await one.remove()
    if (below(8) === 0) bob.lose()
    if (below(12) === 0) alice.lose()
  }
  const { data } = await news.orderBy('n', 'asc').get()
  const ids = (docs) =>
    docs &&
    docs
      .map(({ _id, n }) => `${_id}:${n}`)
      .sort()
      .join()
  const wanted = [
    ids(data),
    ids(data.filter(({ n }) => n < 50)),
    // Of several with the same number the greater id is the first.
    ids([...data].sort((one, other) => other.n - one.n || (one._id < other._id ? 1 : -1)).slice(0, 3)),
  ]
  await Promise.all(watching.map((one, at) => one.until(() => ids(one.docs) === wanted[at])))
  for (const one of watching) assert.equal(one.error, undefined)
  await news.where({ n: alice.db.command.gte(0) }).remove()
  await Promise.all(watching.map((one) => one.until(() => one.docs.length === 0)))
})

/** A socket by hand: `say` sends, `stop` reads no more. */
async function raw(user) {
  const { token } = await (
    await fetch(`${gateway}/v1/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code: await code(user) }),
    })
  ).json()
  const request = http.request(`${gateway}/v1/realtime`, {
    agent: false,
    headers: {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': randomBytes(16).toString('base64'),
    },
  })
  request.end()
  const socket = await new Promise((resolve, reject) => {
    request.on('error', reject)
    request.on('upgrade', (_response, socket) => resolve(socket))
  })
  socket.on('error', () => {})
  const over = new Promise((resolve) => socket.on('close', resolve))
  let heard = ''
  const waiting = new Set()
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1')
    for (const look of waiting) look()
  })
  const say = (message) => {
    const payload = Buffer.from(JSON.stringify(message))
    const head = Buffer.from([0x81, 0xfe, payload.length >> 8, payload.length & 255, 0, 0, 0, 0])
    socket.write(Buffer.concat([head, payload]))
  }
  const hears = (text) =>
    new Promise((resolve) => {
      const look = () => heard.includes(text) && resolve()
      waiting.add(look)
      look()
    })
  return { token, socket, say, hears, over }
}

const LOGIN = (accessToken) => ({ requestId: 'l', msgType: 'LOGIN', msgData: { envId: '', accessToken } })
const BEGIN = (collName) => ({ watchId: 'w', requestId: 'b', msgType: 'INIT_WATCH', msgData: { collName } })

test('whoever reads nothing is let go, and costs nobody', async () => {
  const slow = await raw('bob')
  slow.say({ ...LOGIN(slow.token), padding: 'x'.repeat(200) })
  await slow.hears('LOGIN_RES')
  slow.say({ ...BEGIN('news'), padding: 'x'.repeat(200) })
  await slow.hears('INIT_EVENT')
  slow.socket.pause()
  const witness = new Watching(bob.db.collection('news').where({ big: true }))
  await witness.snapshot(0)
  let isOver = false
  slow.over.then(() => (isOver = true))
  const text = 'x'.repeat(400_000)
  const news = alice.db.collection('news')
  let last = -1
  // What the two machines between them hold of it differs: in the end it is too much.
  while (!isOver) {
    assert((last += 1) < 500, 'it is still there, with 200 MB that wait for it')
    await news.doc(`big${last % 3}`).set({ data: { big: true, n: last, text } })
    // Whoever is let go learns of it when it says something.
    slow.say({ requestId: 'p', msgType: 'PING', msgData: null, padding: 'x'.repeat(200) })
  }
  await witness.until(() => witness.docs.some(({ n }) => n === last))
  await news.where({ big: true }).remove()
  await witness.until(() => witness.docs.length === 0)
})

test('a socket says who it is, or is let go', async () => {
  const stranger = await raw('bob')
  const padded = (message) => ({ ...message, padding: 'x'.repeat(200) })
  stranger.say(padded(BEGIN('news')))
  await stranger.hears('CHECK_LOGIN_FAILED')
  stranger.say(padded(LOGIN('forged')))
  await stranger.hears('"requestId":"l","msgType":"LOGIN_RES","msgData":{"code":"CHECK_LOGIN_FAILED"')
  stranger.say(
    padded({ requestId: 'l', msgType: 'LOGIN', msgData: {}, exMsgData: { signStr: stranger.token } }),
  )
  await stranger.hears('SIGN_INVALID_ERROR')
  // No word of the protocol.
  stranger.say({ padding: 'x'.repeat(200) })
  await stranger.over
  const plain = await fetch(`${gateway}/v1/realtime`)
  assert.equal(plain.status, 426)
  assert.equal((await plain.json()).errCode, -501007)
})
