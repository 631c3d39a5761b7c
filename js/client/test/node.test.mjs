// In Node, against the real server: calls, cloudIDs, logins, and everything that can go wrong.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import * as esm from '@yunqiao/client'

import { Session } from '../src/session.mjs'
import { advance, client, code, failure, gateway, openid, warnings, wechat } from './support.mjs'

const { callFunction, CloudID, init } = esm
/** Nobody listens there any more: whoever asks gets an error of the network. */
const nowhere = await serve(
  () => {},
  (server) => server.close(),
)
let logins = 0

/** The address of a server of the test's own. */
async function serve(answer, end) {
  const server = createServer(answer)
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${server.address().port}`
  await end(server)
  return url
}

function as(user, options) {
  logins = 0
  init({
    endpoint: gateway,
    simulate: undefined,
    login: () => {
      logins++
      return code(user)
    },
    ...options,
  })
}

test('before init a call fails, and says so', async () => {
  const { errCode, errMsg } = await failure(callFunction({ name: 'echo' }))
  assert.equal(errCode, -1)
  assert.match(errMsg, /^cloud\.callFunction:fail Cloud API isn't enabled, please call init first/)
})

test('init wants the address of a server', () => {
  for (const endpoint of [undefined, '', 'cloud.example.com', 'ftp://cloud.example.com', 'https://']) {
    assert.throws(() => init({ endpoint }), {
      errCode: -1,
      errMsg: /^cloud\.init:fail endpoint should be the address/,
    })
  }
  assert.throws(() => init({ endpoint: gateway, login: 'code' }), {
    errMsg: /^cloud\.init:fail login should be a function/,
  })
})

test('a call gives result, errMsg and requestID', async () => {
  as('alice', { endpoint: `${gateway}/` })
  const { requestID, ...rest } = await callFunction({ name: 'add', data: { x: 1, y: 2 } })
  assert.deepEqual(rest, { result: 3, errMsg: 'cloud.callFunction:ok' })
  assert.match(requestID, /^[0-9a-f-]{36}$/)
})

test('the function sees the user, and the data as it was sent', async () => {
  as('alice')
  const data = {
    z: 1.5,
    a: [null, { b: '云桥' }],
    '': '',
    中: true,
    when: new Date(0),
    left: undefined,
    ['__proto__']: 1,
  }
  const { result } = await callFunction({ name: 'echo', data, config: { env: 'other' }, slow: true })
  assert.equal(result.userInfo.openId, await openid('alice'))
  const { userInfo, tcbContext, ...sent } = result
  assert.equal(JSON.stringify(sent), JSON.stringify(data))
})

test('a function that gives nothing gives null', async () => {
  as('alice')
  for (const data of [undefined, null, {}]) {
    const answer = await callFunction({ name: 'nothing', data })
    assert.deepEqual(Object.keys(answer), ['result', 'errMsg', 'requestID'])
    assert.equal(answer.result, null)
  }
})

test('bytes arrive as the document on callFunction shows', async () => {
  as('alice')
  const buffer = new Uint8Array([17, 0, 255]).buffer
  const { result } = await callFunction({
    name: 'echo',
    data: { whole: buffer, part: { of: new Uint8Array(buffer, 1, 1) } },
  })
  // And come back as pages read them: as bytes, or as the JSON of Node's Buffer.
  for (const [bytes, expected] of [
    [result.whole, [17, 0, 255]],
    [result.part.of, [0]],
  ]) {
    assert(bytes instanceof ArrayBuffer)
    assert.deepEqual(Array.from(new Uint8Array(bytes)), expected)
    assert.deepEqual([bytes.type, bytes.data], ['Buffer', expected])
  }
  const others = [
    { type: 'Bytes', data: [1] },
    { type: 'Buffer', data: 1 },
  ]
  const echoed = await callFunction({ name: 'echo', data: { others, back: result.whole } })
  assert.deepEqual(echoed.result.others, others)
  assert.deepEqual(Array.from(new Uint8Array(echoed.result.back)), [17, 0, 255])
})

test('callbacks are called, and then there is no promise', async () => {
  as('alice')
  const told = (options) =>
    new Promise((resolve) => {
      const calls = []
      const call = (name) => (outcome) => {
        calls.push([name, outcome.errMsg])
        if (name === 'complete') resolve(calls)
      }
      const callbacks = { success: call('success'), fail: call('fail'), complete: call('complete') }
      assert.equal(callFunction({ ...options, ...callbacks }), undefined)
    })
  const ok = 'cloud.callFunction:ok'
  assert.deepEqual(await told({ name: 'nothing' }), [
    ['success', ok],
    ['complete', ok],
  ])
  const fail =
    'cloud.callFunction:fail Error: errCode: -501000  | errMsg: FunctionName parameter could not be found ' +
    '更多错误信息请访问：https://docs.cloudbase.net/error-code/basic/FUNCTION_NOT_FOUND'
  assert.deepEqual(await told({ name: 'missing' }), [
    ['fail', fail],
    ['complete', fail],
  ])
  const { errMsg } = await new Promise((success) => callFunction({ name: 'nothing', success }))
  assert.equal(errMsg, ok)
})

test('cloudIDs at the top level are replaced, and deeper ones are strings', async () => {
  as('alice')
  const { cloudID } = await client('alice', 'getWeRunData')
  const { result } = await callFunction({
    name: 'echo',
    data: {
      a: CloudID(cloudID),
      b: new CloudID(cloudID),
      obj: { shareInfo: CloudID('yyy') },
      plain: cloudID,
      empty: CloudID(''),
    },
  })
  for (const field of [result.a, result.b]) {
    assert.equal(field.cloudID, cloudID)
    assert.equal(field.data.stepInfoList.length, 31)
  }
  assert.deepEqual(result.obj, { shareInfo: 'yyy' })
  assert.equal(result.plain, cloudID)
  assert.deepEqual(result.empty, { cloudID: '', errCode: -601005, errMsg: 'invalid cloudID.' })
})

test('a sixth CloudID goes through as its string, with a warning', async (t) => {
  as('alice')
  const { cloudID } = await client('alice', 'getUserInfo')
  const data = Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((key) => [key, CloudID(cloudID)]))
  let answer
  const told = await warnings(t, async () => (answer = await callFunction({ name: 'echo', data })))
  assert.equal(answer.result.e.data.nickName.length > 0, true)
  assert.equal(answer.result.f, cloudID)
  assert.equal(told.length, 1)
  assert.match(told[0], /^data\.f: at most 5 CloudIDs/)
})

test('what the server warns of is told', async (t) => {
  as('alice')
  const told = await warnings(t, () =>
    callFunction({ name: 'echo', data: { tcbContext: { uid: 'forged' } } }),
  )
  assert.equal(told.length, 1)
  assert.match(told[0], /^data\.tcbContext: this field is the platform's own/)
})

test('a profile that is sent as userInfo stays, beside who calls', async (t) => {
  as('alice')
  const profile = { nickName: '甲', avatarUrl: 'https://example.com/a.png', openId: 'forged' }
  const told = await warnings(t, async () => {
    const { userInfo } = (await callFunction({ name: 'echo', data: { userInfo: profile } })).result
    const { appId, ...rest } = userInfo
    assert.match(appId, /^wx/)
    assert.deepEqual(rest, { ...profile, openId: await openid('alice') })
  })
  assert.deepEqual(told, [])
})

test('what cannot be sent is named, and nobody is asked', async () => {
  as('alice', { endpoint: nowhere })
  const circular = { deep: {} }
  circular.deep.self = circular
  for (const [options, text] of [
    [undefined, 'parameter.name should be string instead of undefined;'],
    [null, 'parameter.name should be string instead of undefined;'],
    [{ name: 7 }, 'parameter.name should be string instead of number;'],
    [{ name: '' }, 'parameter.name should be the name of a function instead of empty;'],
    [{ name: 'echo', data: 'text' }, 'parameter.data should be object instead of string;'],
    [{ name: 'echo', data: [1] }, 'parameter.data should be object instead of array;'],
    [
      { name: 'echo', data: { ok: 1, circular } },
      'data.circular cannot be sent as JSON: Converting circular structure',
    ],
    [
      { name: 'echo', data: { big: 1n } },
      'data.big cannot be sent as JSON: Do not know how to serialize a BigInt',
    ],
    [
      { name: 'echo', data: { run: CloudID(undefined) } },
      'data.run is a CloudID of undefined: the result that it is from has no cloudID',
    ],
  ]) {
    const { errCode, errMsg } = await failure(callFunction(options))
    assert.equal(errCode, -1)
    assert.equal(errMsg.startsWith(`cloud.callFunction:fail ${text}`), true, errMsg)
  }
  assert.equal(logins, 0)
})

test('errors of the server have its code, text and requestID', async () => {
  as('alice')
  const missing = await failure(callFunction({ name: 'a/b?c' }))
  assert.equal(missing.errCode, -501000)
  const link = '更多错误信息请访问：https://docs.cloudbase.net/error-code/basic/'
  assert.equal(
    missing.errMsg,
    `cloud.callFunction:fail Error: errCode: -501000  | errMsg: FunctionName parameter could not be found ${link}FUNCTION_NOT_FOUND`,
  )
  assert.match(missing.requestID, /^[0-9a-f-]{36}$/)
  const threw = await failure(callFunction({ name: 'fail' }))
  assert.equal(threw.errCode, -504002)
  assert.match(
    threw.errMsg,
    /^cloud\.callFunction:fail Error: errCode: -504002 functions execute fail \| errMsg: Error: no such luck\n {4}at /,
  )
  const slow = await failure(callFunction({ name: 'never' }))
  assert.equal(slow.errCode, -504003)
  assert.equal(
    slow.errMsg,
    `cloud.callFunction:fail Error: errCode: -504003  | errMsg: Invoking task timed out after 3 seconds ${link}FUNCTIONS_TIME_LIMIT_EXCEEDED`,
  )
})

test('a server that is not there, or is another, is told from an error of its own', async (t) => {
  as('alice', { endpoint: nowhere })
  const none = await failure(callFunction({ name: 'echo' }))
  assert.equal(none.errCode, -1)
  assert.match(
    none.errMsg,
    /^cloud\.callFunction:fail .*ECONNREFUSED.*\(http:\/\/127\.0\.0\.1:\d+\/v1\/login\)$/,
  )

  const other = (request, reply) => reply.writeHead(502).end('<h1>Bad Gateway</h1>')
  as('alice', { endpoint: await serve(other, (server) => t.after(() => server.close())) })
  const { errCode, errMsg } = await failure(callFunction({ name: 'echo' }))
  assert.equal(errCode, -1)
  assert.match(errMsg, /^cloud\.callFunction:fail HTTP 502: <h1>Bad Gateway<\/h1> \(http/)
})

test('there is one login, however many calls wait for it', async () => {
  as('alice')
  const calls = Array.from({ length: 20 }, (_, x) => callFunction({ name: 'add', data: { x, y: 0 } }))
  assert.deepEqual(
    (await Promise.all(calls)).map(({ result }) => result),
    Array.from(calls.keys()),
  )
  await callFunction({ name: 'nothing' })
  assert.equal(logins, 1)
})

test('when the token has ended there is one login more, and each call is repeated', async () => {
  as('alice')
  await callFunction({ name: 'nothing' })
  // A day of WeChat's time, of which this machine knows nothing: the server is the first to say so.
  await advance(24 * 3600)
  const calls = Array.from({ length: 5 }, (_, x) => callFunction({ name: 'add', data: { x, y: 0 } }))
  assert.deepEqual(
    (await Promise.all(calls)).map(({ result }) => result),
    [0, 1, 2, 3, 4],
  )
  assert.equal(logins, 2)
})

test('one login ends before the next begins, and one that fails is none', async () => {
  let under = 0
  const made = []
  const logIn = async () => {
    assert.equal(++under, 1)
    await delay(10)
    under--
    made.push(made.length)
    if (made.length === 1) throw new Error('the first fails')
    return { token: `t${made.length}`, expiresIn: 600 }
  }
  const before = []
  const session = new Session(logIn, async (token) =>
    before.push(await token.catch(({ message }) => message)),
  )
  const first = session.token()
  session.begin()
  session.begin()
  await assert.rejects(first, { message: 'the first fails' })
  assert.equal(await session.token(), 't3')
  assert.deepEqual(before, ['the first fails', 't2'])
})

test('a token is followed by another before it ends under open data, but not sooner than at half its life', async (t) => {
  let count = 0
  const session = new Session(
    async () => ({ token: `t${++count}`, expiresIn: 400 }),
    async () => {},
  )
  let now = Date.now()
  t.mock.method(Date, 'now', () => now)
  const good = async (spare) => [await session.token(), await session.token(spare)]
  assert.deepEqual(await good(300e3), ['t1', 't1'])
  now += 199e3
  assert.deepEqual(await good(300e3), ['t1', 't1'])
  now += 2e3
  assert.deepEqual(await good(300e3), ['t1', 't2'])
  now += 401e3
  assert.deepEqual(await good(0), ['t3', 't3'])
})

test('a token that the server never takes is no reason to go on logging in', async (t) => {
  const paths = []
  const stubborn = (request, reply) => {
    paths.push(request.url)
    const login = request.url === '/v1/login'
    reply.writeHead(login ? 200 : 401, { 'content-type': 'application/json' })
    reply.end(
      JSON.stringify(
        login
          ? { token: 't', expiresIn: 60 }
          : { errCode: -501008, errMsg: 'no valid token', requestID: 'r' },
      ),
    )
  }
  as('alice', { endpoint: await serve(stubborn, (server) => t.after(() => server.close())) })
  const { errCode, errMsg, requestID } = await failure(callFunction({ name: 'echo' }))
  assert.deepEqual(
    [errCode, errMsg, requestID],
    [-501008, 'cloud.callFunction:fail Error: errCode: -501008  | errMsg: no valid token', 'r'],
  )
  assert.deepEqual(paths, ['/v1/login', '/v1/functions/echo', '/v1/login', '/v1/functions/echo'])
})

test('a login that is refused fails all that wait for it, and the next call tries again', async () => {
  const codes = ['nonsense', code('alice')]
  as('alice', { login: () => codes.shift() })
  const refused = await Promise.all([1, 2].map(() => failure(callFunction({ name: 'nothing' }))))
  assert.notEqual(refused[0], refused[1])
  for (const { errCode, errMsg } of refused) {
    assert.equal(errCode, 40029)
    assert.match(errMsg, /^cloud\.callFunction:fail invalid code/)
  }
  await callFunction({ name: 'nothing' })
  assert.equal(codes.length, 0)
})

test('a login that throws, or gives no code, is told as what it is', async () => {
  as('alice', { login: () => Promise.reject(new Error('the user is away')) })
  assert.equal(
    (await failure(callFunction({ name: 'nothing' }))).errMsg,
    'cloud.callFunction:fail the user is away',
  )
  as('alice', { login: () => Promise.reject() })
  assert.equal((await failure(callFunction({ name: 'nothing' }))).errMsg, 'cloud.callFunction:fail undefined')
  as('alice', { login: () => undefined })
  assert.equal(
    (await failure(callFunction({ name: 'nothing' }))).errMsg,
    'cloud.callFunction:fail login gave no code but undefined',
  )
  init({ endpoint: gateway, login: undefined })
  assert.match(
    (await failure(callFunction({ name: 'nothing' }))).errMsg,
    /there is no wx\.login here: give init a `login`/,
  )
})

test('a simulated user logs in by the simulator', async () => {
  init({ endpoint: gateway, login: undefined, simulate: { user: 'bob', wechat: `${wechat}/` } })
  const { result } = await callFunction({ name: 'echo' })
  assert.equal(result.userInfo.openId, await openid('bob'))
  init({ endpoint: gateway, simulate: { user: 'nobody', wechat } })
  assert.match(
    (await failure(callFunction({ name: 'echo' }))).errMsg,
    /^cloud\.callFunction:fail login:fail there is no user "nobody"/,
  )
})

test('without its address the simulator is taken to be at port 8788 of the same host', async (t) => {
  const asked = []
  t.mock.method(globalThis, 'fetch', async (url) => {
    asked.push(url)
    throw new TypeError('not today')
  })
  for (const endpoint of ['http://192.168.1.5:8787/', 'https://dev.example.com/cloud', 'http://[::1]:1']) {
    init({ endpoint, simulate: 'alice' })
    await failure(callFunction({ name: 'echo' }))
  }
  assert.deepEqual(
    asked,
    ['http://192.168.1.5', 'https://dev.example.com', 'http://[::1]'].map(
      (host) => `${host}:8788/sim/client`,
    ),
  )
})

test('each wx has a cloud of its own', async () => {
  const { createWx } = createRequire(import.meta.url)('../../wx')
  const calling = ['alice', 'bob'].map(async (user) => {
    const wx = createWx({ wechat, user })
    const cloud = esm.install(wx)
    assert.equal(wx.cloud, cloud)
    cloud.init({ endpoint: gateway })
    const { cloudID } = await wx.getUserInfo()
    const { result } = await cloud.callFunction({ name: 'echo', data: { user: cloud.CloudID(cloudID) } })
    assert.equal(result.userInfo.openId, await openid(user))
    assert.equal(result.user.data.openId, await openid(user))
  })
  await Promise.all(calling)
})

test('init again keeps the login as long as server and user are the same', async () => {
  as('alice')
  await callFunction({ name: 'nothing' })
  init({ env: 'prod', traceUser: true })
  await callFunction({ name: 'nothing' })
  assert.equal(logins, 1)
})

test('CommonJS gives the same as the ES module', async () => {
  const cjs = createRequire(import.meta.url)('@yunqiao/client')
  assert.deepEqual(Object.keys(cjs).sort(), Object.keys(esm).sort())
  cjs.init({ endpoint: gateway, login: () => code('alice') })
  const { cloudID } = await client('alice', 'getPhoneNumber')
  const { result } = await cjs.callFunction({ name: 'echo', data: { phone: cjs.CloudID(cloudID) } })
  assert.match(result.phone.data.phoneNumber, /^\d{11}$/)
})
