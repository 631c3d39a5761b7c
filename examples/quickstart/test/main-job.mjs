// The main job of a WeChat cloud, end to end: a simulated user logs in, takes open data, and a cloud function receives it.
//
//   yunqiao exec examples/quickstart -- node examples/quickstart/test/main-job.mjs
//
// Plain Node (18 or later), no dependencies. One line for each thing shown; exit status 1 at the first that fails.

import assert from 'node:assert/strict'

const gateway = address('YUNQIAO_URL')
const wechat = address('YUNQIAO_WECHAT_URL')

function address(name) {
  const value = process.env[name]
  if (!value) {
    console.error(`${name} is not set: run this through \`yunqiao exec examples/quickstart -- node …\``)
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

// What the Mini Program's client APIs give: wx.login, wx.getWeRunData …
async function client(user, api, more = {}) {
  const { status, body } = await send(`${wechat}/sim/client`, { user, api, ...more })
  assert.equal(body.errMsg, `${api}:ok`, `${user}: ${api} (${status})`)
  return body
}

async function login(user, more) {
  const { code } = await client(user, 'login', more)
  const { status, body } = await send(`${gateway}/v1/login`, { code })
  assert.equal(status, 200, JSON.stringify(body))
  return body
}

async function advance(seconds) {
  const { status, body } = await send(`${wechat}/sim/clock`, { advance: seconds })
  assert.equal(status, 200, JSON.stringify(body))
}

// wx.cloud.callFunction({ name: 'werun', data: { weRunData: wx.cloud.CloudID(id), obj: { shareInfo } } })
async function werun(token, id) {
  const { status, body } = await send(
    `${gateway}/v1/functions/werun`,
    { data: { weRunData: id, obj: { shareInfo: '79_nested' } }, cloudIDs: ['weRunData'] },
    token,
  )
  assert.equal(status, 200, JSON.stringify(body))
  assert.equal(body.errMsg, 'cloud.callFunction:ok')
  return body.result
}

function assertReceived({ received, days, steps }, user, id) {
  const { weRunData } = received
  assert.equal(weRunData.cloudID, id)
  assert.equal(weRunData.data.stepInfoList.length, 31)
  assert.equal(weRunData.data.watermark.appid, appid)
  assert.equal(received.userInfo.openId, user.openid)
  assert.equal(received.userInfo.appId, appid)
  assert.equal(received.obj.shareInfo, '79_nested')
  assert.equal(days, 31)
  assert.equal(
    steps,
    weRunData.data.stepInfoList.reduce((sum, day) => sum + day.step, 0),
  )
}

function assertRefused({ received, days }, id, errCode, errMsg) {
  assert.deepEqual(received.weRunData, { cloudID: id, errCode, errMsg })
  assert.equal(days, 0)
}

async function openData(user, { encryptedData, iv }, more = {}) {
  return send(`${gateway}/v1/open-data`, { encryptedData, iv, ...more }, user.token)
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

const app = await fetch(`${wechat}/sim/app`)
const { appid } = await app.json()

const alice = await shown('alice logs in', () => login('alice'))
const bob = await shown('bob logs in, and is somebody else', async () => {
  const user = await login('bob')
  assert.notEqual(user.openid, alice.openid)
  return user
})

await shown('the function knows who calls it', async () => {
  const { status, body } = await send(`${gateway}/v1/functions/login`, {}, alice.token)
  assert.equal(status, 200, JSON.stringify(body))
  assert.equal(body.result.openid, alice.openid)
  assert.equal(body.result.appid, appid)
  assert.equal(body.result.source, 'wx_client')
})

// The cloud way: the client hands over a cloudID.
const run = await client('alice', 'getWeRunData')
await shown('a cloudID becomes 31 days of steps; the nested one stays a string', async () =>
  assertReceived(await werun(alice.token, run.cloudID), alice, run.cloudID),
)
await shown("another user's cloudID is refused: -601007", async () =>
  assertRefused(await werun(bob.token, run.cloudID), run.cloudID, -601007, 'cloudID not belong to user.'),
)
await shown('nonsense is refused: -601005', async () =>
  assertRefused(await werun(alice.token, 'nonsense'), 'nonsense', -601005, 'invalid cloudID.'),
)
await advance(301)
await shown('a cloudID of 301 seconds ago is refused: -601006', async () =>
  assertRefused(await werun(alice.token, run.cloudID), run.cloudID, -601006, 'cloudID expired.'),
)

// The traditional way: the client hands over encryptedData and iv, and gets a cloudID of ours for them.
const sealed = await client('alice', 'getWeRunData')
const ticket = await shown('encryptedData and iv become a cloudID', async () => {
  const { status, body } = await openData(alice, sealed)
  assert.equal(status, 200, JSON.stringify(body))
  assert.equal(body.expiresIn, 300)
  return body.cloudID
})
await shown('it becomes the same 31 days of steps as the cloud way gives', async () => {
  const traditional = await werun(alice.token, ticket)
  assertReceived(traditional, alice, ticket)
  const cloud = await werun(alice.token, sealed.cloudID)
  assert.deepEqual(traditional.received.weRunData.data, cloud.received.weRunData.data)
})
await shown("another user's is refused: -601007", async () =>
  assertRefused(await werun(bob.token, ticket), ticket, -601007, 'cloudID not belong to user.'),
)
await shown('a forged one is refused: -601005', async () => {
  const forged = `${ticket.slice(0, -5)}AAAAA`
  assertRefused(await werun(alice.token, forged), forged, -601005, 'invalid cloudID.')
})

await shown('a signature over rawData is checked where it is given', async () => {
  const profile = await client('alice', 'getUserInfo')
  const { rawData, signature } = profile
  const right = await openData(alice, profile, { rawData, signature })
  assert.equal(right.status, 200, JSON.stringify(right.body))
  const wrong = await openData(alice, profile, { rawData: `${rawData} `, signature })
  assert.equal(wrong.status, 400, JSON.stringify(wrong.body))
  assert.equal(wrong.body.errCode, -41003)
})
await shown('a phone number comes by both ways', async () => {
  const phone = await client('alice', 'getPhoneNumber')
  const { body } = await openData(alice, phone)
  for (const id of [phone.cloudID, body.cloudID]) {
    const call = await send(
      `${gateway}/v1/functions/phone`,
      { data: { phone: id }, cloudIDs: ['phone'] },
      alice.token,
    )
    assert.equal(call.status, 200, JSON.stringify(call.body))
    assert.match(call.body.result.phoneNumber, /^\d{11}$/)
  }
})

await advance(301)
await shown('301 seconds later it is refused: -601006', async () =>
  assertRefused(await werun(alice.token, ticket), ticket, -601006, 'cloudID expired.'),
)
await shown('so is the data itself, by its watermark: -41003', async () => {
  const { status, body } = await openData(alice, sealed)
  assert.equal(status, 400, JSON.stringify(body))
  assert.equal(body.errCode, -41003)
})

const old = await client('alice', 'getWeRunData')
await shown('data from before a login that rotated the session_key is refused: -41003', async () => {
  const again = await login('alice', { rotate: true })
  const { status, body } = await openData(again, old)
  assert.equal(status, 400, JSON.stringify(body))
  assert.equal(body.errCode, -41003)
  const fresh = await openData(again, await client('alice', 'getWeRunData'))
  assert.equal(fresh.status, 200, JSON.stringify(fresh.body))
})
