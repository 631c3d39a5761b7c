// WeChat's server APIs from cloud functions, end to end: `cloud.openapi.*`, with no access_token in sight.
//
//   yunqiao exec examples/openapi -- node examples/openapi/test/openapi.mjs
//
// Plain Node (18 or later), no dependencies. One line for each thing shown; exit status 1 at the first that fails.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { inflateSync } from 'node:zlib'

const gateway = variable('YUNQIAO_URL')
const wechat = variable('YUNQIAO_WECHAT_URL')
const operator = variable('YUNQIAO_OPERATOR_URL')
const secret = variable('YUNQIAO_OPERATOR_SECRET')

function variable(name) {
  const value = process.env[name]
  if (!value) {
    console.error(`${name} is not set: run this through \`yunqiao exec examples/openapi -- node …\``)
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

// The simulator's own: users in front of it, and what it is set to.
async function sim(path, body) {
  const answer = await send(`${wechat}/sim/${path}`, body)
  assert.equal(answer.status, 200, JSON.stringify(answer.body))
  return answer.body
}

// What the Mini Program's client APIs give: wx.login, wx.requestSubscribeMessage …
async function client(user, api, more = {}) {
  const answer = await sim('client', { user, api, ...more })
  assert.equal(answer.errMsg, `${api}:ok`, `${user}: ${api}`)
  return answer
}

async function login(user) {
  const { code } = await client(user, 'login')
  const { status, body } = await send(`${gateway}/v1/login`, { code })
  assert.equal(status, 200, JSON.stringify(body))
  return body
}

// wx.cloud.callFunction({ name, data })
function call(user, name, data) {
  return send(`${gateway}/v1/functions/${name}`, { data }, user.token)
}

async function result(user, name, data) {
  const { status, body } = await call(user, name, data)
  assert.equal(status, 200, JSON.stringify(body))
  return body.result
}

// Walks a PNG of eight bits a sample to its end, unpacks its pixels, and gives its size.
function picture(png) {
  assert.equal(png.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n')
  const chunks = []
  for (let at = 8; at < png.length; ) {
    const end = at + 8 + png.readUInt32BE(at)
    chunks.push({ type: png.toString('latin1', at + 4, at + 8), data: png.subarray(at + 8, end) })
    at = end + 4
  }
  assert.equal(chunks.at(0).type, 'IHDR')
  assert.equal(chunks.at(-1).type, 'IEND')
  const head = chunks[0].data
  const [width, height, depth] = [head.readUInt32BE(0), head.readUInt32BE(4), head[8]]
  const samples = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 }[head[9]]
  const pixels = inflateSync(
    Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data)),
  )
  assert.equal(depth, 8)
  assert.equal(pixels.length, height * (1 + width * samples))
  assert.ok(new Set(pixels).size > 1, 'it is of one colour')
  return { width, height }
}

async function shown(what, work) {
  try {
    const value = await work()
    console.log(`ok    ${what}`)
    return value
  } catch (error) {
    console.log(`FAIL  ${what}\n${error.stack}`)
    process.exit(1)
  }
}

const alice = await shown('alice logs in', () => login('alice'))

// Subscribe messages. The template is the one that the function names; a simulated app has none at its start.
const source = await readFile(new URL('../cloudfunctions/remind/index.js', import.meta.url), 'utf8')
const template = source.match(/TEMPLATE_ID = '([\w-]+)'/)[1]
const appointment = { what: '洗牙', when: '2026-08-01 09:30' }

await shown('a template that the app does not have fails the call, and says so: 40037', async () => {
  const { status, body } = await call(alice, 'remind', appointment)
  assert.equal(status, 500, JSON.stringify(body))
  assert.equal(body.errCode, -504002)
  assert.match(body.errMsg, /40037.*openapi\.subscribeMessage\.send:fail invalid template_id/)
})
await sim('templates', {
  priTmplId: template,
  title: '预约提醒',
  content: '项目:{{thing1.DATA}}\n时间:{{time2.DATA}}\n',
})

await shown('alice did not subscribe, and gets no message: 43101', async () =>
  assert.deepEqual(await result(alice, 'remind', appointment), { sent: false, reason: 'not subscribed' }),
)
await shown('alice subscribes once, and the message goes through', async () => {
  const answer = await client('alice', 'requestSubscribeMessage', { tmplIds: [template] })
  assert.equal(answer[template], 'accept')
  assert.deepEqual(await result(alice, 'remind', appointment), { sent: true })
})
await shown('it is in the outbox, marked as simulated: nobody received it', async () => {
  const { items } = await (await fetch(`${wechat}/sim/outbox`)).json()
  const sent = items.filter(({ api }) => api === 'subscribeMessage.send')
  assert.equal(sent.length, 1, JSON.stringify(items))
  assert.equal(sent[0].simulated, true)
  assert.equal(sent[0].to, alice.openid)
  assert.equal(sent[0].body.template_id, template)
  assert.deepEqual(sent[0].body.data, { thing1: { value: '洗牙' }, time2: { value: '2026-08-01 09:30' } })
})
await shown('a second one is refused, for the one subscription is used up: 43101', async () =>
  assert.deepEqual(await result(alice, 'remind', appointment), { sent: false, reason: 'not subscribed' }),
)
await shown('what WeChat says of a message with a field left out reaches the caller: 47003', async () => {
  const { status, body } = await call(alice, 'remind', { what: '洗牙' })
  assert.equal(status, 500, JSON.stringify(body))
  assert.match(body.errMsg, /47003.*data\.time2\.value is empty/)
})

// Mini Program codes.
async function drawn(id) {
  const { contentType, base64 } = await result(alice, 'qrcode', { id })
  assert.equal(contentType, 'image/png')
  return Buffer.from(base64, 'base64')
}

const code = await shown('a code is a real PNG, of the width that was asked for', async () => {
  const png = await drawn('table-7')
  assert.deepEqual(picture(png), { width: 280, height: 280 })
  return png
})
const other = await shown('a code with another scene is another picture', async () => {
  const png = await drawn('table-8')
  assert.notDeepEqual(png, code)
  return png
})

// Text and image checks: all pass but what a verdict is about.
await shown('a harmless text passes', async () =>
  assert.deepEqual(await result(alice, 'checkText', { content: '今天天气不错' }), {
    suggest: 'pass',
    label: 100,
  }),
)
await shown('the text that the document gives to try it with is risky', async () => {
  const content = '特3456书yuuo莞6543李zxcz蒜7782法fgnv级'
  assert.equal((await result(alice, 'checkText', { content })).suggest, 'risky')
})
await shown('a verdict of our own: a text that somebody should look at', async () => {
  await sim('verdicts', { kind: 'text', contains: '加微信', suggest: 'review', label: 10001 })
  const said = await result(alice, 'checkText', { content: '优惠多多，加微信详聊' })
  assert.deepEqual(said, { suggest: 'review', label: 10001 })
})

const checkImage = (png) =>
  result(alice, 'checkImage', { contentType: 'image/png', base64: png.toString('base64') })

await shown('a harmless image passes', async () =>
  assert.deepEqual(await checkImage(code), { suggest: 'pass' }),
)
await shown('a risky one, known by its bytes, does not: 87014', async () => {
  const sha256 = createHash('sha256').update(other).digest('hex')
  await sim('verdicts', { kind: 'image', sha256, suggest: 'risky' })
  assert.deepEqual(await checkImage(other), { suggest: 'risky' })
  assert.deepEqual(await checkImage(code), { suggest: 'pass' })
})

// The phone number button gives a code, which is not that of wx.login.
const late = await client('alice', 'getPhoneNumber')
await shown("a phone number comes by the button's code, once: 40029", async () => {
  const { code } = await client('alice', 'getPhoneNumber')
  const { users } = await (await fetch(`${wechat}/sim/users`)).json()
  const { phone } = users.find(({ openid }) => openid === alice.openid)
  const first = await result(alice, 'phone', { code })
  assert.equal(first.purePhoneNumber, phone)
  assert.equal(first.countryCode, '86')
  const second = await result(alice, 'phone', { code })
  assert.deepEqual(second, { phoneNumber: null, reason: 'code expired or used' })
})
await shown('and not after five minutes: 40029', async () => {
  await sim('clock', { advance: 301 })
  const { phoneNumber, reason } = await result(alice, 'phone', { code: late.code })
  assert.deepEqual({ phoneNumber, reason }, { phoneNumber: null, reason: 'code expired or used' })
})

// Any language can do the same from its own server: WeChat's own path below /operator/wx, and no token.
const templates = `${operator}/operator/wx/wxaapi/newtmpl/gettemplate`
await shown("WeChat's own path answers the operator, without a token", async () => {
  const reply = await fetch(templates, { headers: { authorization: `Bearer ${secret}` } })
  const body = await reply.json()
  assert.equal(body.errcode, 0, JSON.stringify(body))
  assert.equal(body.data[0].priTmplId, template)
})
await shown('and nobody else', async () => {
  const reply = await fetch(templates)
  assert.equal(reply.status, 401, await reply.text())
})
