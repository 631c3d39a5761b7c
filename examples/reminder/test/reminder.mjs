// A timer that sends subscribe messages, end to end: who asked for one gets it, once.
//
//   yunqiao exec examples/reminder -- node examples/reminder/test/reminder.mjs
//
// Plain Node (18 or later), no dependencies. One line for each thing shown; exit status 1 at the first that fails.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'

const gateway = variable('YUNQIAO_URL')
const wechat = variable('YUNQIAO_WECHAT_URL')
const operator = variable('YUNQIAO_OPERATOR_URL')
const secret = variable('YUNQIAO_OPERATOR_SECRET')

function variable(name) {
  const value = process.env[name]
  if (!value) {
    console.error(`${name} is not set: run this through \`yunqiao exec examples/reminder -- node …\``)
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

async function login(user) {
  const { code } = await sim('client', { user, api: 'login' })
  const { status, body } = await send(`${gateway}/v1/login`, { code })
  assert.equal(status, 200, JSON.stringify(body))
  return body
}

// wx.requestSubscribeMessage, and the user accepts.
async function subscribe(user) {
  const answer = await sim('client', { user, api: 'requestSubscribeMessage', tmplIds: [template] })
  assert.equal(answer[template], 'accept', JSON.stringify(answer))
}

// While a command runs, timers wait to be fired.
function fire(token = secret) {
  return send(`${operator}/operator/functions/remind/timer`, { trigger: 'eachMorning' }, token)
}

async function result() {
  const { status, body } = await fire()
  assert.equal(status, 200, JSON.stringify(body))
  return body.result
}

// What was sent to users since the last look.
let seen = 0
async function sent() {
  const { items } = await (await fetch(`${wechat}/sim/outbox`)).json()
  const messages = items.filter(({ api }) => api === 'subscribeMessage.send')
  return messages.slice(seen, (seen = messages.length))
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

const project = (path) => readFile(new URL(`../${path}`, import.meta.url), 'utf8')
const template = (await project('cloudfunctions/remind/index.js')).match(/TEMPLATE_ID = '([\w-]+)'/)[1]
const { functions } = JSON.parse(await project('cloudbaserc.json'))
const members = functions[0].envVariables.MEMBERS.split(',')

const [alice, bob] = await shown(
  'alice and bob are told their openids, which are those on the list',
  async () => {
    const users = [await login('alice'), await login('bob')]
    for (const [nth, { token }] of users.entries()) {
      const { body } = await send(`${gateway}/v1/functions/whoami`, {}, token)
      assert.equal(body.result.openid, members[nth], JSON.stringify(body))
    }
    return users
  },
)

await shown('a template that the app does not have fails the timer, and says so: 40037', async () => {
  const { status, body } = await fire()
  assert.equal(status, 500, JSON.stringify(body))
  assert.match(body.errMsg, /40037/)
})
await sim('templates', {
  priTmplId: template,
  title: '值日提醒',
  content: '事项:{{thing1.DATA}}\n时间:{{time2.DATA}}\n',
})

await shown('nobody subscribed, and nobody is reminded', async () => {
  assert.deepEqual(await result(), { sent: 0, notSubscribed: 2 })
  assert.deepEqual(await sent(), [])
})
await shown('alice asks to be reminded, and is, at the time in Beijing', async () => {
  await subscribe('alice')
  assert.deepEqual(await result(), { sent: 1, notSubscribed: 1 })
  const messages = await sent()
  assert.equal(messages.length, 1, JSON.stringify(messages))
  const [{ to, body, simulated }] = messages
  assert.equal(to, alice.openid)
  assert.equal(simulated, true)
  assert.equal(body.template_id, template)
  assert.equal(body.data.thing1.value, '给办公室的花浇水')
  const age = Date.now() - Date.parse(`${body.data.time2.value.replace(' ', 'T')}:00+08:00`)
  assert.ok(age > -1000 && age < 120_000, body.data.time2.value)
})
await shown('the next time she is not, for once is once: 43101', async () => {
  assert.deepEqual(await result(), { sent: 0, notSubscribed: 2 })
  assert.deepEqual(await sent(), [])
})
await shown('both ask, and both are reminded', async () => {
  await subscribe('alice')
  await subscribe('bob')
  assert.deepEqual(await result(), { sent: 2, notSubscribed: 0 })
  const to = (await sent()).map(({ to }) => to)
  assert.deepEqual(to.sort(), [alice.openid, bob.openid].sort())
})
await shown('what is wrong with one message does not hold up the other, and fails the timer', async () => {
  await subscribe('alice')
  await subscribe('bob')
  await sim('faults', { api: 'subscribeMessage.send', kind: 'errcode', value: 45009, next: 1 })
  const { status, body } = await fire()
  assert.equal(status, 500, JSON.stringify(body))
  assert.match(body.errMsg, /45009/)
  assert.equal((await sent()).length, 1)
})
await shown('who is not on the list is not reminded', async () => {
  // One of the two is still owed the message that failed.
  await sim('users', { name: 'carol' })
  await subscribe('carol')
  assert.deepEqual(await result(), { sent: 1, notSubscribed: 1 })
  const [{ to }] = await sent()
  assert.ok(members.includes(to), to)
})

// Only the clock sets it off.
await shown('a client cannot, though it says that it is the timer', async () => {
  await subscribe('bob')
  const forged = { Type: 'Timer', TriggerName: 'eachMorning', Time: '2026-08-01T00:00:00Z', Message: '' }
  const { status, body } = await send(`${gateway}/v1/functions/remind`, { data: forged }, bob.token)
  assert.equal(status, 500, JSON.stringify(body))
  assert.match(body.errMsg, /only its timer calls this function/)
  assert.deepEqual(await sent(), [])
})
await shown('nor can who does not know the secret', async () => {
  const { status } = await fire('guessed')
  assert.equal(status, 401)
  assert.deepEqual(await sent(), [])
})
