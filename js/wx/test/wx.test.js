'use strict'

/*
 * The client APIs against a simulated WeChat, whose address is in YUNQIAO_WECHAT_URL. All that needs it is in this file, one
 * test after the other: they share WeChat's clock, and some step it.
 */

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { after, before, test } = require('node:test')
const vm = require('node:vm')

const { createWx } = require('..')
const { createBackend, serve } = require('../fixtures/backend')

const wechat = process.env.YUNQIAO_WECHAT_URL
const DAY = 24 * 3600

let app
let backend

before(async () => {
  assert.ok(wechat, 'YUNQIAO_WECHAT_URL is not set: give it the address of `yunqiao simulate`')
  app = await createWx().simulator.app()
  backend = await createBackend({ wechat, ...app })
})

after(() => backend?.close())

let people = 0

/** A wx in the hand of somebody new, who never logged in. */
async function stranger(options) {
  people += 1
  const user = `wx-test-${people}`
  const wx = createWx({ user, ...options })
  await wx.simulator.post('users', { name: user })
  return wx
}

/** Logs in at the backend, and gives its session. */
async function login(wx) {
  const { code } = await wx.login()
  const reply = await send(wx, `/onLogin?code=${code}`)
  assert.equal(reply.statusCode, 200, JSON.stringify(reply.data))
  return reply.data.session
}

/** wx.request to the backend, as a promise. */
function send(wx, url, data) {
  return new Promise((success, fail) => {
    wx.request({ url: backend.url + url, method: data ? 'POST' : 'GET', data, success, fail })
  })
}

/** What the backend reads in open data. */
async function opened(wx, session, sealed) {
  const { statusCode, data } = await send(wx, `/openData?session=${session}`, sealed)
  assert.equal(statusCode, 200, JSON.stringify(data))
  return data
}

/** The failure that a promise is rejected with. */
async function failure(promise) {
  return promise.then(
    (value) => assert.fail(`it succeeds: ${JSON.stringify(value)}`),
    (error) => error,
  )
}

/**
 * Runs an example of WeChat's documents as it is, with `wx` and what it needs beside. `seen` gets what each API answered;
 * https://example.com is the backend. A `Page` is built from what the example defines.
 */
function example(name, wx, { seen = {}, log = () => {} } = {}) {
  const spied = { ...wx }
  for (const api of ['login', 'checkSession', 'getUserInfo', 'getUserProfile', 'getWeRunData', 'request']) {
    seen[api] = new Promise((answered) => {
      spied[api] = (options = {}) => {
        const url = options.url?.replace('https://example.com', backend.url)
        return wx[api]({
          ...options,
          ...(url && { url }),
          complete(answer) {
            options.complete?.(answer)
            answered(answer)
          },
        })
      }
    })
  }
  const file = path.join(__dirname, '../fixtures/official', `${name}.js`)
  let page
  const Page = (definition) => {
    page = { ...definition, data: { ...definition.data } }
    page.setData = (change) => Object.assign(page.data, change)
  }
  vm.runInNewContext(fs.readFileSync(file, 'utf8'), { wx: spied, Page, console: { log } }, { filename: file })
  return { seen, page }
}

test('the traditional way, with the code of the documents', async () => {
  const wx = await stranger()

  const { data: session } = await example('login', wx).seen.request
  assert.match(session.openid, /^o/)

  const info = await example('user-info', wx).seen.getUserInfo
  assert.equal(info.errMsg, 'getUserInfo:ok')
  assert.deepEqual(JSON.parse(info.rawData), info.userInfo)
  const { encryptedData, iv, rawData, signature } = info
  const data = await opened(wx, session.session, { encryptedData, iv, rawData, signature })
  assert.equal(data.openId, session.openid)
  assert.equal(data.nickName, info.userInfo.nickName)
  assert.equal(data.watermark.appid, app.appid)

  const steps = await example('werun', wx).seen.getWeRunData
  assert.equal((await opened(wx, session.session, steps)).stepInfoList.length, 31)

  const forged = await send(wx, `/openData?session=${session.session}`, { ...info, rawData: `${rawData} ` })
  assert.equal(forged.statusCode, 403)
})

test('the document’s checkSession logs in when the session_key has lapsed', async () => {
  const wx = await stranger()
  const lapsed = example('check-session', wx).seen
  assert.deepEqual(await lapsed.checkSession, { errMsg: 'checkSession:fail session time out, need relogin' })
  assert.equal((await lapsed.login).errMsg, 'login:ok')
  assert.deepEqual(await example('check-session', wx).seen.checkSession, { errMsg: 'checkSession:ok' })
  await wx.simulator.advanceClock(4 * DAY)
  assert.match((await failure(wx.checkSession())).errMsg, /^checkSession:fail /)
})

test('the document’s page asks for a profile when it is tapped', async () => {
  const wx = await stranger()
  const session = await login(wx)
  const { page, seen } = example('user-profile-page', wx)
  page.onLoad()
  assert.equal(page.data.canIUseGetUserProfile, true)
  wx.simulator.tap(() => page.getUserProfile())
  const profile = await seen.getUserProfile
  assert.equal(page.data.hasUserInfo, true)
  assert.deepEqual(page.data.userInfo, profile.userInfo)
  const data = await opened(wx, session, profile)
  assert.equal(data.nickName, profile.userInfo.nickName)
  assert.equal(data.openId, undefined)
})

test('the document’s page reads the profile of who has allowed it, and of who taps its button', async () => {
  const wx = await stranger()
  await login(wx)
  const logged = []
  const { page, seen } = example('user-info-page', wx, { log: (line) => logged.push(line) })
  assert.equal(page.data.canIUse, true)
  const event = await wx.simulator.tapButton('getUserInfo', (event) => page.bindGetUserInfo(event))
  assert.equal(event.type, 'getuserinfo')
  assert.equal(event.detail.errMsg, 'getUserInfo:ok')
  page.onLoad()
  await seen.getUserInfo
  assert.equal(logged.length, 2)
  assert.deepEqual(logged[0], logged[1])
})

test('an API answers later, to callbacks or else as a promise', async () => {
  const wx = await stranger()
  const calls = []
  await new Promise((done) => {
    const returned = wx.login({
      success: (result) => calls.push(['success', result]),
      fail: (result) => calls.push(['fail', result]),
      complete(result) {
        calls.push(['complete', result])
        done()
      },
    })
    assert.equal(returned, undefined)
    assert.deepEqual(calls, [])
  })
  assert.deepEqual(
    calls.map(([name]) => name),
    ['success', 'complete'],
  )
  assert.equal(calls[0][1].errMsg, 'login:ok')
  assert.match(calls[0][1].code, /^0\w{31}$/)

  calls.length = 0
  await new Promise((done) => {
    wx.getShareInfo({
      success: () => calls.push('success'),
      fail: ({ errMsg }) => calls.push(errMsg),
      complete({ errMsg }) {
        calls.push(errMsg)
        done()
      },
    })
    assert.deepEqual(calls, [])
  })
  assert.deepEqual(calls, Array(2).fill('getShareInfo:fail invalid shareTicket'))

  const { login: detached } = wx
  assert.equal((await detached({ timeout: 5000 })).errMsg, 'login:ok')
  assert.deepEqual(await failure(wx.getShareInfo({})), { errMsg: 'getShareInfo:fail invalid shareTicket' })
})

test('what a callback throws is thrown alone, and complete is called', async (t) => {
  const wx = await stranger()
  const real = setTimeout
  let thrown
  await new Promise((complete) => {
    t.mock.method(globalThis, 'setTimeout', (work, ...rest) => {
      if (rest.length > 0) return real(work, ...rest)
      thrown = work
      return undefined
    })
    wx.login({
      success() {
        throw new Error('the app is wrong')
      },
      complete,
    })
  })
  assert.throws(thrown, /the app is wrong/)
})

test('calls reach WeChat in the order in which they were made', async () => {
  const wx = await stranger()
  const [first, , info] = await Promise.all([
    wx.checkSession().catch((error) => error),
    wx.login(),
    wx.getUserInfo(),
  ])
  assert.match(first.errMsg, /^checkSession:fail/)
  assert.equal(info.errMsg, 'getUserInfo:ok')

  const heard = []
  const slow = await serve(async (_, body) => {
    const { api } = JSON.parse(body)
    heard.push(`${api} is asked`)
    await new Promise((later) => setTimeout(later, 20))
    heard.push(`${api} is answered`)
    return [200, {}, JSON.stringify({ errMsg: `${api}:ok` })]
  })
  const other = createWx({ wechat: slow.url })
  await Promise.all([other.login(), other.getWeRunData()])
  const order = ['login is asked', 'login is answered', 'getWeRunData is asked', 'getWeRunData is answered']
  assert.deepEqual(heard, order)
  slow.close()
})

test('without credentials nothing is encrypted, and no login is needed', async () => {
  const wx = await stranger()
  const info = await wx.getUserInfo({ withCredentials: false, lang: 'zh_CN' })
  assert.deepEqual(Object.keys(info).sort(), ['errMsg', 'rawData', 'userInfo'])
  assert.match((await failure(wx.getUserInfo({ withCredentials: true }))).errMsg, /^getUserInfo:fail session/)
  assert.match((await failure(wx.getUserInfo())).errMsg, /^getUserInfo:fail session/)
})

test('getUserProfile says what for, and only in a tap', async () => {
  const wx = await stranger()
  await wx.login()
  const desc = '用于完善会员资料'
  const { tap } = wx.simulator
  for (const [call, text] of [
    [
      () => tap(() => wx.getUserProfile()),
      'parameter error: parameter.desc should be String instead of Undefined;',
    ],
    [
      () => tap(() => wx.getUserProfile({ desc: 7 })),
      'parameter error: parameter.desc should be String instead of Number;',
    ],
    [
      () => tap(() => wx.getUserProfile({ desc: '长'.repeat(31) })),
      'desc length does not meet the requirements',
    ],
    [() => wx.getUserProfile({ desc }), 'can only be invoked by user TAP gesture.'],
    [
      () =>
        tap(async () => {
          await null
          return wx.getUserProfile({ desc })
        }),
      'can only be invoked by user TAP gesture.',
    ],
  ]) {
    assert.deepEqual(await failure(call()), { errMsg: `getUserProfile:fail ${text}` })
  }
  const profile = await tap((given) => wx.getUserProfile({ desc: given, lang: 'zh_CN' }), '长'.repeat(30))
  assert.equal(profile.errMsg, 'getUserProfile:ok')
  wx.simulator.deny('getUserProfile')
  const denied = await failure(tap(() => wx.getUserProfile({ desc })))
  assert.deepEqual(denied, { errMsg: 'getUserProfile:fail auth deny' })

  const untouched = createWx({ user: wx.simulator.user, gestures: false })
  assert.equal((await untouched.getUserProfile({ desc })).errMsg, 'getUserProfile:ok')
})

test('each user allows or denies for themself', async () => {
  const wx = await stranger()
  const first = wx.simulator.user
  const second = (await stranger()).simulator.user
  const always = { 'scope.address': true, 'scope.invoice': true, 'scope.invoiceTitle': true }
  await wx.login()
  assert.deepEqual(await wx.getSetting(), { errMsg: 'getSetting:ok', authSetting: always })

  const { subscriptionsSetting } = await wx.getSetting({ withSubscriptions: true })
  assert.deepEqual(subscriptionsSetting, { mainSwitch: true, itemSettings: {} })

  wx.simulator.deny('scope.werun')
  assert.deepEqual(await failure(wx.getWeRunData()), { errMsg: 'getWeRunData:fail auth deny' })
  assert.deepEqual(await failure(wx.authorize({ scope: 'scope.werun' })), {
    errMsg: 'authorize:fail auth deny',
  })
  assert.deepEqual((await wx.getSetting()).authSetting, { 'scope.werun': false, ...always })

  wx.simulator.as(second)
  await wx.login()
  assert.equal((await wx.getWeRunData()).errMsg, 'getWeRunData:ok')
  wx.simulator.deny('scope.userInfo')
  assert.deepEqual(await failure(wx.getUserInfo()), { errMsg: 'getUserInfo:fail auth deny' })
  const { detail } = await wx.simulator.tapButton('getUserInfo')
  assert.deepEqual(detail, { errMsg: 'getUserInfo:fail auth deny' })

  wx.simulator.as(first)
  wx.simulator.allow('scope.werun')
  assert.equal((await wx.getWeRunData()).errMsg, 'getWeRunData:ok')
  assert.deepEqual(await wx.authorize({ scope: 'scope.address' }), { errMsg: 'authorize:ok' })
  assert.deepEqual(await failure(wx.authorize({ scope: 'scope.nonsense' })), {
    errMsg: 'authorize:fail invalid scope',
  })
  assert.match((await failure(wx.authorize({}))).errMsg, /^authorize:fail parameter error: parameter\.scope /)
  assert.throws(() => wx.simulator.deny('scope.nonsense'), /scope\.werun/)
  assert.throws(() => wx.simulator.as(''), /alice/)
})

test('a group is known to an app that was opened from it', async () => {
  const wx = await stranger()
  const session = await login(wx)
  const nowhere = { errMsg: 'getGroupEnterInfo:fail invalid scene', errCode: 40097 }
  assert.deepEqual(await failure(wx.getGroupEnterInfo()), nowhere)

  const { scene, shareTicket } = wx.simulator.openFromGroup()
  assert.equal(scene, 1044)
  const shared = await opened(wx, session, await wx.getShareInfo({ shareTicket }))
  const entered = await opened(wx, session, await wx.getGroupEnterInfo({ needGroupOpenID: true }))
  assert.equal(entered.opengid, shared.openGId)
  assert.match(entered.group_openid, /^o/)
  assert.notEqual(entered.group_openid, backend.sessions.get(session).openid)

  assert.equal(wx.simulator.openFromList().shareTicket, undefined)
  assert.deepEqual(await failure(wx.getGroupEnterInfo()), nowhere)
  const made = await failure(wx.getShareInfo({ shareTicket: 'made up' }))
  assert.deepEqual(made, { errMsg: 'getShareInfo:fail invalid shareTicket' })
})

test('the phone number button gives its event, with all three ways to the number', async () => {
  const wx = await stranger()
  const session = await login(wx)
  const { phone } = (await wx.simulator.get('users')).users.find(({ name }) => name === wx.simulator.user)

  let handled
  const event = await wx.simulator.tapButton('getPhoneNumber', (given) => {
    handled = given
  })
  assert.equal(handled, event)
  assert.equal(event.type, 'getphonenumber')
  const { errMsg, code, cloudID, ...sealed } = event.detail
  assert.equal(errMsg, 'getPhoneNumber:ok')
  assert.equal((await opened(wx, session, sealed)).purePhoneNumber, phone)

  const ask = async (api, body) => {
    const query = new URLSearchParams({
      grant_type: 'client_credential',
      appid: app.appid,
      secret: app.secret,
    })
    const { access_token: token } = await (await fetch(`${wechat}/cgi-bin/token?${query}`)).json()
    const url = `${wechat}/wxa/${api}access_token=${token}`
    return (await fetch(url, { method: 'POST', body: JSON.stringify(body) })).json()
  }
  assert.equal((await ask('business/getuserphonenumber?', { code })).phone_info.purePhoneNumber, phone)
  const { openid } = backend.sessions.get(session)
  const { data_list: items } = await ask(`getopendata?openid=${openid}&`, { cloudid_list: [cloudID] })
  assert.equal(JSON.parse(items[0].json).data.purePhoneNumber, phone)

  wx.simulator.deny('getPhoneNumber')
  const { detail } = await wx.simulator.tapButton('getPhoneNumber')
  assert.deepEqual(detail, { errMsg: 'getPhoneNumber:fail user deny' })
  await assert.rejects(wx.simulator.tapButton('contact'), /getPhoneNumber, getUserInfo/)
})

test('a user subscribes in a tap', async () => {
  const wx = await stranger()
  const { tap } = wx.simulator
  const { priTmplId } = await wx.simulator.post('templates', { title: '会议提醒' })
  const tmplIds = [priTmplId]
  const untapped = await failure(wx.requestSubscribeMessage({ tmplIds }))
  assert.deepEqual(untapped, {
    errMsg: 'requestSubscribeMessage:fail can only be invoked by user TAP gesture.',
  })
  assert.deepEqual(await tap(() => wx.requestSubscribeMessage({ tmplIds })), {
    errMsg: 'requestSubscribeMessage:ok',
    [priTmplId]: 'accept',
  })
  wx.simulator.deny('requestSubscribeMessage')
  assert.equal((await tap(() => wx.requestSubscribeMessage({ tmplIds })))[priTmplId], 'reject')
  for (const [given, errCode, text] of [
    [undefined, 10001, "TmplIds can't be empty"],
    [[], 10001, "TmplIds can't be empty"],
    ['one', 10004, 'Invalid template id'],
    [['unknown'], 20001, 'No template data return, verify the template id exist'],
    [Array(6).fill(priTmplId), 20003, 'Templates count out of max bounds'],
  ]) {
    const refused = await failure(tap(() => wx.requestSubscribeMessage({ tmplIds: given })))
    assert.deepEqual(refused, { errMsg: `requestSubscribeMessage:fail ${text}`, errCode })
  }
})

test('WeChat’s clock is stepped, and a session_key rotated', async () => {
  const wx = await stranger()
  const old = await wx.login()
  const before = await wx.simulator.advanceClock(0)
  assert.ok((await wx.simulator.advanceClock(301)) >= before + 301)
  const refused = await send(wx, `/onLogin?code=${old.code}`)
  assert.equal(refused.statusCode, 401)
  assert.equal(refused.data.errcode, 40029)

  const session = await login(wx)
  const sealed = await wx.getWeRunData()
  await opened(wx, session, sealed)
  await wx.simulator.rotateSessionKey()
  const later = await login(wx)
  assert.equal((await send(wx, `/openData?session=${later}`, sealed)).statusCode, 400)
  await opened(wx, later, await wx.getWeRunData())
})

test('canIUse and getAccountInfoSync', async () => {
  const wx = createWx({ user: 'alice' })
  for (const [schema, can] of [
    ['getUserProfile', true],
    ['getUserInfo.success.cloudID', true],
    ['getUserInfo.object.lang.zh_TW', true],
    ['request.object.method.GET', true],
    ['request.object.timeout', true],
    ['RequestTask.abort', true],
    ['button.open-type.getPhoneNumber', true],
    ['button.open-type.contact', false],
    ['request.object.method.CONNECT', false],
    ['request.object.timeout.long', false],
    ['getLocation', false],
    ['constructor', false],
    ['', false],
  ]) {
    assert.equal(wx.canIUse(schema), can, schema)
  }
  assert.throws(() => wx.canIUse({}), /schema should be an object/)

  assert.throws(() => wx.getAccountInfoSync(), /createWx\(\{ appid \}\)/)
  await wx.simulator.app()
  assert.equal(wx.getAccountInfoSync().miniProgram.appId, app.appid)
  assert.equal(createWx({ appid: 'wx1' }).getAccountInfoSync().miniProgram.appId, 'wx1')
})

test('a mistake of the test is named, and goes where the failure goes', async () => {
  for (const address of ['', 'localhost:8788', 7]) {
    assert.throws(() => createWx({ wechat: address }), /yunqiao simulate/)
  }
  const nobody = createWx({ user: 'nobody-of-that-name' })
  assert.match(
    (await failure(nobody.login())).errMsg,
    /^login:fail there is no user "nobody-of-that-name": there are alice/,
  )
  await assert.rejects(nobody.simulator.advanceClock(-1), /advance|body/)

  for (const [answer, text] of [
    ['hello', /^login:fail http:.* is no simulated WeChat: it answers 200 hello$/],
    ['null', /^login:fail http:.* is no simulated WeChat: it answers 200 null$/],
    ['{}', /^login:fail http:.* is no simulated WeChat: it answers without an errMsg$/],
  ]) {
    const other = await serve(() => [200, {}, answer])
    assert.match((await failure(createWx({ wechat: other.url }).login())).errMsg, text)
    other.close()
    const { port } = new URL(other.url)
    for (const host of ['127.0.0.1', 'localhost']) {
      const { errMsg } = await failure(createWx({ wechat: `http://${host}:${port}` }).login())
      assert.match(errMsg, /^login:fail no simulated WeChat answers at .*ECONNREFUSED.*yunqiao simulate/)
    }
  }
  const { port } = new URL(wechat)
  assert.equal((await createWx({ wechat: `http://localhost:${port}/` }).login()).errMsg, 'login:ok')
})

test('a login that takes too long fails in time', async () => {
  let release
  const released = new Promise((resolve) => {
    release = resolve
  })
  const slow = await serve(async () => {
    await released
    return [200, {}, '{"errMsg":"login:ok","code":"late"}']
  })
  const wx = createWx({ wechat: slow.url })
  assert.deepEqual(await failure(wx.login({ timeout: 20 })), { errMsg: 'login:fail timeout', errno: 5 })
  release()
  assert.equal((await wx.login({ timeout: 5000 })).code, 'late')
  slow.close()
})

test('the ES module is the same', async () => {
  const module = await import('../index.mjs')
  assert.equal(module.createWx, createWx)
})
