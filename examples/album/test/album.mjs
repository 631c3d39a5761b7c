// Pictures in the cloud's storage, end to end: drawn and uploaded by a function, listed with temporary addresses, removed.
//
//   yunqiao exec examples/album -- node examples/album/test/album.mjs
//
// Plain Node (18 or later), no dependencies. One line for each thing shown; exit status 1 at the first that fails.

import assert from 'node:assert/strict'

const gateway = variable('YUNQIAO_URL')
const wechat = variable('YUNQIAO_WECHAT_URL')
const web = variable('YUNQIAO_WEB_URL')

function variable(name) {
  const value = process.env[name]
  if (!value) {
    console.error(`${name} is not set: run this through \`yunqiao exec examples/album -- node …\``)
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

const empty = await call('alice', 'list')
assert.deepEqual(empty.photos, [])
assert.match(empty.folder, /^album\/[^/]+$/)
const folder = empty.folder
ok('an album that nobody put anything into is empty')

const colours = [
  ['日出', [255, 94, 58], [255, 204, 128]],
  ['海', [9, 32, 63], [83, 120, 149]],
  ['100% 草地 #1', [17, 153, 142], [56, 239, 125]],
]
const photos = []
const files = []
for (const [name, from, to] of colours) {
  const { fileID } = await call('alice', 'draw', { name, from, to })
  assert.ok(fileID.startsWith('cloud://') && fileID.endsWith(`/${folder}/${name}.png`), fileID)
  files.push(fileID)
  photos.push(await call('alice', 'add', { fileID, title: name }))
}
ok('pictures are drawn, uploaded and put into the album, whatever they are called')

const nowhere = files[0].replace(/[^/]+$/, 'nowhere.png')
assert.match((await call('alice', 'add', { fileID: nowhere, title: 'none' })).refused, /not exists/)
ok('one that was never uploaded is refused')

const bobs = (await call('bob', 'list')).folder
assert.notEqual(bobs, folder)
const [sunrise] = files
const around = sunrise.replace(folder, `${bobs}/../${folder.slice('album/'.length)}`)
for (const fileID of [sunrise, around, `cloud://x/${bobs}`, '', undefined, [sunrise]]) {
  assert.match((await call('bob', 'add', { fileID, title: 'mine' })).refused, /not yours/, String(fileID))
}
const drawn = await call('bob', 'draw', { name: '日出', from: [0, 0, 0], to: [0, 0, 0] })
assert.notEqual(drawn.fileID, sunrise)
ok("nobody takes in, overwrites or removes another's picture")

const listed = (await call('bob', 'list')).photos
assert.deepEqual(
  listed.map(({ title }) => title),
  ['100% 草地 #1', '海', '日出'],
)
for (const { url } of listed) {
  const reply = await fetch(url)
  assert.equal(reply.status, 200, url)
  assert.equal(reply.headers.get('content-type'), 'image/png')
  const bytes = Buffer.from(await reply.arrayBuffer())
  assert.equal(bytes.subarray(1, 4).toString(), 'PNG')
  assert.equal(bytes.readUInt32BE(16), 240)
}
ok('everybody sees the album, the newest first, and gets each picture by its temporary address')

const byHttp = await fetch(`${web}/album?page=0`)
assert.equal(byHttp.status, 200)
assert.deepEqual(
  (await byHttp.json()).photos.map(({ title }) => title),
  listed.map(({ title }) => title),
)
assert.deepEqual(await (await fetch(`${web}/album?page=1`)).json(), { photos: [], folder: null })
const page = await fetch(`${web}/`)
assert.match(page.headers.get('content-type'), /^text\/html/)
assert.match(await page.text(), /album\.js/)
ok('a page in a browser has the same by plain HTTP')

const [{ url }] = listed
const part = await fetch(url, { headers: { range: 'bytes=1-3' } })
assert.equal(part.status, 206)
assert.equal(await part.text(), 'PNG')
const etag = part.headers.get('etag')
assert.equal((await fetch(url, { headers: { 'if-none-match': etag } })).status, 304)
ok('a part of a picture comes alone, and one that a browser has is not sent again')

const altered = new URL(url)
altered.pathname = altered.pathname.replace(
  /\/files\/./,
  (begin) => `/files/${begin.endsWith('A') ? 'B' : 'A'}`,
)
assert.equal((await fetch(altered)).status, 403)
ok('an address that somebody made up opens nothing')

const [first] = photos
assert.deepEqual(await call('bob', 'remove', { id: first._id }), { removed: 0 })
assert.deepEqual(await call('alice', 'remove', { id: first._id }), { removed: 1 })
assert.equal((await call('alice', 'list')).photos.length, 2)
assert.equal((await fetch(listed[2].url)).status, 404)
ok('whoever put a picture there takes it out, and its file is gone')
