// In a Mini Program for which Cloud Development is not opened: what `wx` hands out has no cloudID of its own.

import assert from 'node:assert/strict'
import { rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { MiniProgram } from './mini-program.mjs'
import { advance, gateway, openid, wechat } from './support.mjs'

/** The two lines that an app adds, and its own code below them, which stays as it was. */
async function app(user, source, { cloud, options = {} } = {}) {
  const mini = new MiniProgram(user, cloud)
  const given = JSON.stringify({ endpoint: gateway, ...options })
  mini.run(`
    const { install } = require('@yunqiao/client')
    install(wx).init(${given})
    ${source}`)
  return mini
}

/** What the function got for a field: the data, by a cloudID of the server's. */
function received(field) {
  assert.match(field.cloudID, /^yq_/)
  assert.doesNotMatch(field.cloudID, /^yq_local_/)
  return field.data
}

test('the open data document: a cloudID by callback', async () => {
  const mini = await app(
    'alice',
    `
    wx.cloud.init({ traceUser: true })
    wx.getWeRunData({
      success(res) {
        const id = res.cloudID
        wx.cloud.callFunction({
          name: 'myFunction',
          data: {
            weRunData: wx.cloud.CloudID(id), // 这个 CloudID 值到云函数端会被替换
            obj: {
              shareInfo: wx.cloud.CloudID('yyy'), // 非顶层字段的 CloudID 不会被替换，会原样字符串展示
            },
          },
        })
      },
    })`,
  )
  const event = await mini.result('myFunction')
  assert.equal(received(event.weRunData).stepInfoList.length, 31)
  assert.deepEqual(event.obj, { shareInfo: 'yyy' })
  assert.equal(event.userInfo.openId, await openid('alice'))
  assert.equal(mini.to('/v1/login').length, 1)
})

test('the callFunction document: by callbacks, and by a promise', async () => {
  const mini = await app(
    'alice',
    `
    App({
      callbacks: tell => wx.cloud.callFunction({
        // 要调用的云函数名称
        name: 'add',
        // 传递给云函数的参数
        data: {
          x: 1,
          y: 2,
        },
        success: res => {
          tell(res.result)
        },
        fail: err => {
          tell(err)
        },
        complete: () => {
          tell('complete')
        },
      }),
      promise: tell => wx.cloud.callFunction({
        name: 'add',
        data: {
          x: 1,
          y: 2,
        },
      }).then(res => {
        tell(res.result)
      }).catch(err => {
        tell(err)
      }),
    })`,
  )
  const told = []
  await mini.app.promise((value) => told.push(value))
  await new Promise((resolve) => mini.app.callbacks((value) => told.push(value) === 3 && resolve()))
  assert.deepEqual(told, [3, 3, 'complete'])
})

test('the phone number document: a button of a page', async () => {
  const mini = await app(
    'alice',
    `
    Page({
      data: { phone: 'none' },
      getPhoneNumber (e) {
        this.asked = e.detail
        return wx.cloud.callFunction({
          name: 'echo',
          data: { phone: wx.cloud.CloudID(e.detail.cloudID) },
        })
      },
    })`,
  )
  const [page] = mini.pages
  assert.equal(page.data.phone, 'none')
  await mini.client.callFunction({ name: 'nothing' })
  const { result } = await page.getPhoneNumber(await mini.phone.tapButton('getPhoneNumber'))
  assert.match(received(result.phone).phoneNumber, /^\d{11}$/)
  // The handler's `this` is the page, and the rest of `detail` is as it was.
  assert.match(page.asked.code, /^[0-9a-f]+$/)
  // An event without open data is none of ours, nor is a call without an event.
  const plain = { type: 'tap', detail: { x: 1, y: 2 } }
  await page.getPhoneNumber(plain).catch(() => {})
  assert.deepEqual(plain, { type: 'tap', detail: { x: 1, y: 2 } })
})

test('a button of a component, with the profile and its signature', async () => {
  const mini = await app(
    'alice',
    `
    Component({
      properties: { name: String },
      methods: {
        onUserInfo (e) {
          return wx.cloud.callFunction({ name: 'echo', data: { user: new wx.cloud.CloudID(e.detail.cloudID) } })
        },
      },
    })
    Component({ properties: {} })`,
  )
  await mini.client.callFunction({ name: 'nothing' })
  const [{ methods }, bare] = mini.components
  assert.deepEqual(Object.keys(bare), ['properties'])
  const { result } = await methods.onUserInfo(await mini.phone.tapButton('getUserInfo'))
  assert.equal(received(result.user).openId, await openid('alice'))
  assert.deepEqual(Object.keys(mini.to('/v1/open-data')[0].sent), [
    'encryptedData',
    'iv',
    'rawData',
    'signature',
  ])
})

test('every API that hands out open data has a cloudID, and each is exchanged once', async () => {
  const mini = await app('alice', '')
  const { wx } = mini.world
  await wx.cloud.callFunction({ name: 'nothing' })
  const { shareTicket } = mini.phone.openFromGroup()
  const results = {
    getUserInfo: await wx.getUserInfo(),
    // Refused where it is not called while the tap is handled.
    getUserProfile: await mini.phone.tap(() => wx.getUserProfile({ desc: '展示' })),
    getWeRunData: await wx.getWeRunData(),
    getShareInfo: await wx.getShareInfo({ shareTicket }),
    getGroupEnterInfo: await wx.getGroupEnterInfo(),
  }
  const data = {}
  for (const [name, { errMsg, cloudID }] of Object.entries(results)) {
    assert.equal(errMsg, `${name}:ok`)
    data[name] = wx.cloud.CloudID(cloudID)
  }
  assert.equal(mini.to('/v1/open-data').length, 0)
  const call = () => wx.cloud.callFunction({ name: 'echo', data })
  const [{ result }] = await Promise.all([call(), call()])
  for (const name of Object.keys(data)) received(result[name])
  assert.equal(mini.to('/v1/open-data').length, 5)
  // Without credentials there is nothing to exchange.
  assert.equal((await wx.getUserInfo({ withCredentials: false })).cloudID, undefined)
})

test('a cloudID that is sent as a plain string is one that a function can redeem', async () => {
  const mini = await app('alice', '')
  const { wx } = mini.world
  const { cloudID } = await wx.getWeRunData()
  const data = {
    plain: cloudID,
    deep: [{ nested: wx.cloud.CloudID(cloudID) }],
    text: JSON.stringify({ cloudID }),
    other: 'yq_local_x_1',
  }
  const { result } = await wx.cloud.callFunction({ name: 'echo', data })
  assert.match(result.plain, /^yq_(?!local_)[\w-]{100,}$/)
  assert.equal(result.deep[0].nested, result.plain)
  assert.equal(result.text, JSON.stringify({ cloudID: result.plain }))
  assert.equal(result.other, 'yq_local_x_1')
  // The server takes it as any cloudID.
  const again = await wx.cloud.callFunction({ name: 'echo', data: { run: wx.cloud.CloudID(result.plain) } })
  received(again.result.run)
  assert.equal(mini.to('/v1/open-data').length, 1)
})

test('what WeChat refuses is told as WeChat tells it', async () => {
  const mini = await app('alice', '')
  mini.phone.deny('scope.werun')
  const { wx } = mini.world
  const refused = 'getWeRunData:fail auth deny'
  await assert.rejects(wx.getWeRunData(), { errMsg: refused })
  const told = []
  await new Promise((resolve) => {
    const complete = ({ errMsg }) => resolve(told.push(errMsg))
    wx.getWeRunData({ success: () => assert.fail(), fail: ({ errMsg }) => told.push(errMsg), complete })
  })
  assert.deepEqual(told, [refused, refused])
})

test('the app logs in by itself, which rotates the key: open data taken after it is good', async () => {
  const mini = await app('alice', '')
  const { wx } = mini.world
  await wx.cloud.callFunction({ name: 'nothing' })
  mini.rotates = true
  await wx.login()
  mini.rotates = false
  const { cloudID } = await wx.getWeRunData()
  const { result } = await wx.cloud.callFunction({ name: 'echo', data: { run: wx.cloud.CloudID(cloudID) } })
  received(result.run)
  assert.equal(mini.to('/v1/login').length, 2)
  assert.deepEqual(mini.warned, [])
})

test('so is open data taken before it, and handed over after it', async () => {
  const mini = await app('alice', '')
  const { wx } = mini.world
  const { cloudID } = await wx.getWeRunData()
  mini.rotates = true
  await wx.login()
  mini.rotates = false
  const { result } = await wx.cloud.callFunction({ name: 'echo', data: { run: wx.cloud.CloudID(cloudID) } })
  received(result.run)
  assert.deepEqual(mini.warned, [])
})

test('and open data that a button hands out while the app logs in', async () => {
  const mini = await app(
    'alice',
    `
    Page({
      onPhone (e) {
        return wx.cloud.callFunction({ name: 'echo', data: { phone: wx.cloud.CloudID(e.detail.cloudID) } })
      },
    })`,
  )
  const { wx } = mini.world
  await wx.cloud.callFunction({ name: 'nothing' })
  // The key is rotated at once; the app hears of it later.
  Object.assign(mini, { rotates: true, late: 100 })
  const login = wx.login()
  mini.rotates = false
  await delay(50)
  const { result } = await mini.pages[0].onPhone(await mini.phone.tapButton('getPhoneNumber'))
  received(result.phone)
  await login
  assert.deepEqual(mini.warned, [])
})

test('without calls of its own the app is logged in once, before open data is taken', async () => {
  const mini = await app('alice', '')
  await Promise.all([mini.world.wx.getWeRunData(), mini.world.wx.getUserInfo()])
  assert.deepEqual(mini.called, ['login', 'getWeRunData', 'getUserInfo'])
  assert.equal(mini.to('/v1/login').length, 1)
})

test('open data that is too old is invalid for the function, and the reason is told', async () => {
  const mini = await app('alice', '')
  const { wx } = mini.world
  const { cloudID } = await wx.getWeRunData()
  await advance(400)
  const { result } = await wx.cloud.callFunction({ name: 'echo', data: { run: wx.cloud.CloudID(cloudID) } })
  assert.deepEqual({ ...result.run }, { cloudID, errCode: -601005, errMsg: 'invalid cloudID.' })
  assert.equal(mini.warned.length, 1)
  assert.match(mini.warned[0], /^open data was refused \(-41003\)/)
})

test('an exchanged cloudID that is too old has expired', async () => {
  const mini = await app('alice', '')
  const { wx } = mini.world
  const { cloudID } = await wx.getWeRunData()
  const data = { run: wx.cloud.CloudID(cloudID) }
  received((await wx.cloud.callFunction({ name: 'echo', data })).result.run)
  await advance(301)
  const { result } = await wx.cloud.callFunction({ name: 'echo', data })
  assert.equal(result.run.errCode, -601006)
})

test('open data cannot be exchanged while the server is away: the call fails, and works later', async () => {
  const mini = await app('alice', '')
  const { wx } = mini.world
  const { cloudID } = await wx.getWeRunData()
  const data = { run: wx.cloud.CloudID(cloudID) }
  const { request } = wx
  Object.defineProperty(wx, 'request', {
    value: ({ fail }) => fail({ errMsg: 'request:fail timeout' }),
    configurable: true,
  })
  const error = await wx.cloud.callFunction({ name: 'echo', data }).catch((error) => error)
  assert.match(error.errMsg, /^cloud\.callFunction:fail request:fail timeout \(http/)
  Object.defineProperty(wx, 'request', { value: request, configurable: true })
  received((await wx.cloud.callFunction({ name: 'echo', data })).result.run)
})

test('what we do not serve is passed on to the wx.cloud that was there', async () => {
  const log = []
  const cloud = {
    init: (options) => log.push(['init', { ...options }]),
    callContainer() {
      log.push(['callContainer', this === cloud])
      return 'theirs'
    },
    callFunction: () => assert.fail('it is served'),
    extend: { AI: 1 },
  }
  const mini = await app('alice', `wx.cloud.init({ env: 'prod-1', traceUser: true })`, { cloud })
  const { wx } = mini.world
  await wx.cloud.callFunction({ name: 'nothing' })
  assert.deepEqual(log, [])
  assert.equal(wx.cloud.callContainer(), 'theirs')
  assert.equal(wx.cloud.callContainer(), 'theirs')
  assert.deepEqual(wx.cloud.extend, { AI: 1 })
  assert.deepEqual(log, [
    ['init', { env: 'prod-1', traceUser: true }],
    ['callContainer', true],
    ['callContainer', true],
  ])
  assert.equal('callContainer' in wx.cloud, true)
  assert.equal('services' in wx.cloud, false)
  assert.equal(wx.cloud.services, undefined)
})

test('a CDN value is uploaded, a text, bytes or a file of the phone, and the function gets its address', async () => {
  const { wx } = (await app('alice', '')).world
  const filePath = join(tmpdir(), `yunqiao-cdn-${process.pid}.txt`)
  writeFileSync(filePath, 'file')
  const { CDN } = wx.cloud
  const data = {
    text: CDN('云'),
    bytes: new CDN(new Uint8Array([66, 67]).buffer),
    file: CDN({ type: 'filePath', filePath }),
    n: 1,
  }
  const { result } = await wx.cloud.callFunction({ name: 'echo', data })
  const read = async (url) => (await fetch(url)).text()
  assert.equal(result.n, 1)
  assert.deepEqual(
    [await read(result.text), await read(result.bytes), await read(result.file)],
    ['云', 'BC', 'file'],
  )
  rmSync(filePath)
})

test('installed twice, it is there once; of what is no wx, it says so', async () => {
  const mini = await app('alice', '')
  const { install } = mini.client
  const { wx } = mini.world
  const { cloud, getWeRunData } = wx
  assert.equal(install(wx), cloud)
  assert.equal(wx.getWeRunData, getWeRunData)
  for (const no of [undefined, null, {}])
    assert.throws(() => install(no), { errMsg: 'cloud.install:fail install takes the wx of a Mini Program' })
})

test('not installed, the client is one of its own and wx stays as it was', async () => {
  const mini = new MiniProgram('bob', undefined)
  mini.run(`
    const { init, callFunction } = require('@yunqiao/client')
    init({ endpoint: '${gateway}' })
    callFunction({ name: 'echo' })`)
  assert.equal((await mini.result('echo')).userInfo.openId, await openid('bob'))
  assert.equal(mini.world.wx.cloud, undefined)
  assert.deepEqual(mini.called, ['login'])
})

test("simulate: codes and open data are a simulated user's, whoever holds the phone", async () => {
  const simulate = { user: 'alice', wechat }
  const mini = await app(
    'bob',
    `
    Page({
      async onPhone (e) {
        this.detail = e.detail
        return wx.cloud.callFunction({ name: 'echo', data: { phone: wx.cloud.CloudID(e.detail.cloudID) } })
      },
      onAgain (e) {
        return this.onPhone(e)
      },
    })`,
    { options: { simulate } },
  )
  const { wx } = mini.world
  const { cloudID } = await wx.getWeRunData()
  const { result } = await wx.cloud.callFunction({ name: 'echo', data: { run: wx.cloud.CloudID(cloudID) } })
  assert.equal(result.userInfo.openId, await openid('alice'))
  received(result.run)
  await wx.login()
  await wx.checkSession()
  assert.deepEqual(mini.called, [])

  const [page] = mini.pages
  const event = await mini.phone.tapButton('getPhoneNumber')
  const bobs = { ...event.detail }
  const again = await page.onAgain(event)
  assert.notEqual(page.detail.encryptedData, bobs.encryptedData)
  assert.equal(page.detail.errMsg, 'getPhoneNumber:ok')
  const { users } = await (await fetch(`${wechat}/sim/users`)).json()
  const phone = (name) => users.find((user) => user.name === name).phone
  assert.notEqual(phone('alice'), phone('bob'))
  assert.equal(received(again.result.phone).purePhoneNumber, phone('alice'))
  // The handler called another one with the same event: it was simulated once.
  assert.equal(mini.requests.filter(({ sent }) => sent.api === 'getPhoneNumber').length, 1)
  // Even where the account may not ask for phone numbers; but not where the user said no.
  const may = { type: 'getphonenumber', detail: { errMsg: 'getPhoneNumber:fail no permission' } }
  received((await page.onPhone(may)).result.phone)
  const no = { type: 'getphonenumber', detail: { errMsg: 'getPhoneNumber:fail user deny' } }
  await page.onPhone(no).catch(() => {})
  assert.deepEqual(page.detail, { errMsg: 'getPhoneNumber:fail user deny' })
})

test('simulate: a user that is not there fails with what is wrong', async () => {
  const mini = await app('alice', '', { options: { simulate: { user: 'zoe', wechat } } })
  const error = await mini.world.wx.getWeRunData().catch((error) => error)
  assert.match(error.errMsg, /^getWeRunData:fail there is no user "zoe"/)
})
