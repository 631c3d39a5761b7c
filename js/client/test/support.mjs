// What the tests share: where the server and the simulated WeChat are, and what a user's WeChat client does.

import assert from 'node:assert/strict'

export const gateway = address('YUNQIAO_URL')
export const wechat = address('YUNQIAO_WECHAT_URL')

function address(name) {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: run the tests as README says`)
  return value
}

async function sim(path, body) {
  const headers = { 'content-type': 'application/json' }
  const reply = await fetch(`${wechat}/sim/${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  return reply.json()
}

/** What `wx[api]` of a user's gives. */
export const client = (user, api, options) => sim('client', { ...options, user, api })

/** A code of the user's `wx.login`. */
export const code = async (user, options) => (await client(user, 'login', options)).code

export const advance = (seconds) => sim('clock', { advance: seconds })

export async function openid(name) {
  const { users } = await (await fetch(`${wechat}/sim/users`)).json()
  return users.find((user) => user.name === name).openid
}

/** `console.warn` while `work` runs. */
export async function warnings(t, work) {
  const warn = t.mock.method(console, 'warn', () => {})
  await work()
  const texts = warn.mock.calls.map(({ arguments: [text] }) => text)
  warn.mock.restore()
  return texts
}

/** The error that a call fails with. */
export async function failure(calling) {
  const error = await calling.then(
    (result) => assert.fail(`it did not fail: ${JSON.stringify(result)}`),
    (error) => error,
  )
  assert(error instanceof Error)
  // What a function fails with has its code in its text.
  const told = error.errMsg.startsWith(`cloud.callFunction:fail Error: errCode: ${error.errCode} `)
  assert.equal(error.message, told ? error.errMsg : `errCode: ${error.errCode}  | errMsg: ${error.errMsg}`)
  return error
}
