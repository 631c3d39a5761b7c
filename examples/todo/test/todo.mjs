// Lists in the cloud's database, end to end: add, read by pages, change, tick off, count, move by a transaction.
//
//   yunqiao exec examples/todo -- node examples/todo/test/todo.mjs
//
// Plain Node (18 or later), no dependencies. One line for each thing shown; exit status 1 at the first that fails.

import assert from 'node:assert/strict'

const gateway = variable('YUNQIAO_URL')
const wechat = variable('YUNQIAO_WECHAT_URL')

function variable(name) {
  const value = process.env[name]
  if (!value) {
    console.error(`${name} is not set: run this through \`yunqiao exec examples/todo -- node …\``)
    process.exit(2)
  }
  return value
}

async function send(url, body, token) {
  const headers = { 'content-type': 'application/json' }
  if (token) headers.authorization = `Bearer ${token}`
  const reply = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  return { status: reply.status, body: await reply.json() }
}

async function login(user) {
  const { body } = await send(`${wechat}/sim/client`, { user, api: 'login' })
  const answer = await send(`${gateway}/v1/login`, { code: body.code })
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  return answer.body.token
}

const tokens = { alice: await login('alice'), bob: await login('bob') }

// wx.cloud.callFunction({ name, data })
async function call(user, name, data = {}) {
  const { status, body } = await send(`${gateway}/v1/functions/${name}`, { data }, tokens[user])
  assert.equal(status, 200, JSON.stringify(body))
  return body.result
}

function ok(what) {
  console.log(`ok    ${what}`)
}

await call('alice', 'setup')
assert.deepEqual(await call('alice', 'setup'), { created: [] })
ok('collections are made once; a second time is no error')

const ids = []
for (let i = 0; i < 23; i += 1) {
  const { _id } = await call('alice', 'add', {
    list: 'home',
    title: `todo ${i}`,
    tags: i % 2 ? ['odd'] : ['even'],
  })
  assert.match(_id, /^[0-9a-f]{32}$/)
  ids.push(_id)
}
await call('alice', 'add', { list: 'work', title: 'Report' })
await call('bob', 'add', { list: 'home', title: "bob's" })
ok('what is added has an id of 32 hex digits')

const first = await call('alice', 'list', { list: 'home' })
assert.equal(first.total, 23)
assert.equal(first.pages, 3)
assert.deepEqual(
  first.todos.map(({ title }) => title),
  Array.from({ length: 10 }, (_, i) => `todo ${22 - i}`),
)
assert.deepEqual(Object.keys(first.todos[0]).sort(), ['_id', 'createTime', 'done', 'tags', 'title'])
const last = await call('alice', 'list', { list: 'home', page: 2 })
assert.deepEqual(
  last.todos.map(({ title }) => title),
  ['todo 2', 'todo 1', 'todo 0'],
)
ok('pages follow each other, the newest first')

assert.equal((await call('alice', 'list', { list: 'home', search: '^TODO 1\\d$' })).total, 10)
assert.equal((await call('bob', 'list', { list: 'home' })).total, 1)
ok('a search is a regular expression, and everybody sees their own')

assert.deepEqual(await call('alice', 'change', { id: ids[0], title: 'renamed', tags: ['a', 'b'] }), {
  updated: 1,
})
assert.deepEqual(await call('bob', 'change', { id: ids[0], title: 'mine' }), { updated: 0 })
const [renamed] = (await call('alice', 'list', { list: 'home', search: '^renamed$' })).todos
assert.deepEqual(renamed.tags, ['even', 'a', 'b'])
ok('a change of another user finds nothing to change')

assert.deepEqual(await call('alice', 'done', { id: ids[0] }), { title: 'renamed' })
assert.deepEqual(await call('alice', 'done', { id: 'nothing' }), {
  errMsg: 'document.get:fail document with _id nothing does not exist',
})
assert.equal((await call('alice', 'list', { list: 'home', open: true })).total, 22)
ok('a document that is not there rejects, with the text of the platform')

const { lists } = await call('alice', 'stats')
assert.deepEqual(lists, [
  { count: 23, total: 23, done: 1, list: 'home', rate: 1 / 23, tagged: 4 },
  { count: 1, total: 1, done: 0, list: 'work', rate: 0, tagged: 0 },
])
ok('an aggregate joins, groups and computes')

assert.deepEqual(await call('alice', 'move', { id: ids[1], to: 'work' }), {
  from: 'home',
  to: 'work',
  count: 2,
})
assert.deepEqual(await call('alice', 'move', { id: ids[2], to: 'nowhere' }), { refused: '没有这个清单' })
assert.deepEqual(
  (await call('alice', 'stats')).lists.map(({ list, count, total }) => [list, count, total]),
  [
    ['home', 22, 22],
    ['work', 2, 2],
  ],
)
ok('a transaction moves a todo and both counts, or nothing')
