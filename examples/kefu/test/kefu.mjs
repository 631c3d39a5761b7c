// A customer-service bot, end to end: what users write is pushed to a cloud function, which answers by cloud call.
//
//   yunqiao exec examples/kefu -- node examples/kefu/test/kefu.mjs
//
// Plain Node (18 or later), no dependencies. One line for each thing shown; exit status 1 at the first that fails.

import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

const gateway = variable('YUNQIAO_URL')
const wechat = variable('YUNQIAO_WECHAT_URL')
const operator = variable('YUNQIAO_OPERATOR_URL')
const secret = variable('YUNQIAO_OPERATOR_SECRET')

function variable(name) {
  const value = process.env[name]
  if (!value) {
    console.error(`${name} is not set: run this through \`yunqiao exec examples/kefu -- node …\``)
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

// WeChat pushes a message or an event to the function; gives what it took for the answer.
async function push(type, fields = {}, user = 'alice') {
  const { packet, attempts } = await sim('push', { type, user, fields })
  assert.equal(attempts.length, 1, JSON.stringify(attempts))
  const [{ acknowledged, meaning, reply }] = attempts
  assert.equal(acknowledged, true, meaning)
  return { packet, meaning, reply }
}

// What was sent to users since the last look.
let seen = 0
async function sent() {
  const { items } = await (await fetch(`${wechat}/sim/outbox`)).json()
  const messages = items.filter(({ api }) => api === 'customerServiceMessage.send').map(({ body }) => body)
  return messages.slice(seen, (seen = messages.length))
}

// The one message that a user gets.
async function answer(user = alice) {
  for (let tries = 0; tries < 100; tries++) {
    const messages = await sent()
    if (messages.length > 0) {
      assert.equal(messages.length, 1, JSON.stringify(messages))
      const { touser, ...message } = messages[0]
      assert.equal(touser, user.openid)
      return message
    }
    await sleep(100)
  }
  throw new Error('nothing was sent within ten seconds')
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

const { users } = await (await fetch(`${wechat}/sim/users`)).json()
const alice = users.find(({ name }) => name === 'alice')
const bob = users.find(({ name }) => name === 'bob')

// What users do.
await shown('a text is answered', async () => {
  const { meaning } = await push('text', { Content: '你好' })
  assert.equal(meaning, 'acknowledged')
  const { msgtype, text } = await answer()
  assert.equal(msgtype, 'text')
  assert.match(text.content, /^你好！/)
})
await shown('another text is answered otherwise', async () => {
  await push('text', { Content: '几点关门？' })
  assert.equal((await answer()).text.content, '每天 9:00 到 18:00 营业。')
})
await shown('an image comes back', async () => {
  const { packet } = await push('image')
  assert.deepEqual(await answer(), { msgtype: 'image', image: { media_id: packet.MediaId } })
})
await shown('who enters is greeted, by where they come from', async () => {
  await push('user_enter_tempsession', { SessionFrom: 'order-1024' })
  assert.equal((await answer()).text.content, '欢迎！是要问订单 1024 吗？')
})
await shown('what a user does in the client is pushed of itself', async () => {
  await sim('client', { user: 'alice', api: 'sendMessage', content: '地址在哪' })
  const { text } = await answer()
  assert.match(text.content, /云桥路/)
})
await shown('人工 hands the message to the staff, and the bot says nothing', async () => {
  const { packet, meaning, reply } = await push('text', { Content: '我要找人工' })
  assert.equal(meaning, 'passed on to the customer-service staff')
  assert.equal(reply.ToUserName, alice.openid)
  assert.equal(reply.FromUserName, packet.ToUserName)
  assert.deepEqual(await sent(), [])
})
await shown('bob gets his own answer', async () => {
  await push('text', { Content: '你好' }, 'bob')
  await answer(bob)
})

// A client may call the function, too, and say what it likes.
await shown('a client that says that it is alice writes to nobody but itself', async () => {
  const { code } = await sim('client', { user: 'bob', api: 'login' })
  const { body } = await send(`${gateway}/v1/login`, { code })
  const forged = { MsgType: 'text', FromUserName: alice.openid, Content: '你好' }
  const call = await send(`${gateway}/v1/functions/kefu`, { data: forged }, body.token)
  assert.equal(call.status, 200, JSON.stringify(call.body))
  await answer(bob)
})

// What WeChat refuses. A fault holds carol's event back until bob's has gone out, so that the function gets it late.
async function late(meanwhile) {
  const carol = await sim('users', { name: `carol-${Math.random().toString(36).slice(2)}` })
  await sim('faults', { api: 'push', kind: 'reorder', next: 1 })
  const { heldBack } = await sim('push', { type: 'user_enter_tempsession', user: carol.name })
  assert.equal(heldBack, true)
  await meanwhile(carol)
  await push('text', { Content: '你好' }, 'bob')
  const { pushes } = await (await fetch(`${wechat}/sim/push`)).json()
  const { packet, attempts } = pushes.at(-1)
  assert.equal(packet.FromUserName, carol.openid)
  // Acknowledged at once: to try again would be of no use.
  assert.deepEqual(
    attempts.map(({ meaning }) => meaning),
    ['acknowledged'],
  )
  return (await sent()).filter(({ touser }) => touser === carol.openid)
}

await shown('who entered two minutes ago gets no greeting any more: 45015', async () => {
  const messages = await late(() => sim('clock', { advance: 120 }))
  assert.deepEqual(messages, [])
})
await shown('who was written to twice since gets no third message: 45047', async () => {
  const by = 'our own server'
  const messages = await late(async ({ openid }) => {
    for (let count = 0; count < 2; count++) {
      const message = { touser: openid, msgtype: 'text', text: { content: by } }
      const { body } = await send(`${operator}/operator/wx/cgi-bin/message/custom/send`, message, secret)
      assert.equal(body.errcode, 0, JSON.stringify(body))
    }
  })
  assert.deepEqual(
    messages.map(({ text }) => text.content),
    [by, by],
  )
})
await shown('what WeChat refuses for the moment is tried again', async () => {
  await sim('faults', { api: 'customerServiceMessage.send', kind: 'errcode', value: 45011, next: 1 })
  await push('text', { Content: '营业吗' })
  const { text } = await answer()
  assert.match(text.content, /营业/)
})
