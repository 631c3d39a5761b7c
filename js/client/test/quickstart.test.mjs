// The quickstart's own Mini Program, its files as they are, in a Mini Program for which Cloud Development is opened.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { MiniProgram } from './mini-program.mjs'
import { client, code, gateway, openid, wechat } from './support.mjs'

const file = (name) =>
  readFileSync(new URL(`../../../examples/quickstart/miniprogram/${name}`, import.meta.url), 'utf8')

/** Launches the app and opens its page, as the base library does. */
function launch(user, options) {
  const mini = new MiniProgram(user, { init: () => assert.fail('nothing is passed on') })
  const given = JSON.stringify({ endpoint: gateway, ...options })
  mini.run(`require('@yunqiao/client').install(wx).init(${given})\n${file('app.js')}`)
  mini.app.onLaunch()
  mini.run(file('pages/index/index.js'), 'pages/index/index.js')
  const [page] = mini.pages
  page.setData = (data) => Object.assign(page.data, data)
  return { mini, page }
}

async function use({ mini, page }, user) {
  const { phone } = await (await fetch(`${wechat}/sim/users`))
    .json()
    .then(({ users }) => users.find(({ name }) => name === user))
  await page.onLogin()
  await page.onWeRun()
  assert.equal(page.data.problem, '')
  assert.equal(page.data.openid, await openid(user))
  assert.equal(page.data.days, 31)
  assert.equal(page.data.steps > 0, true)
  await page.onPhoneNumber(await mini.phone.tapButton('getPhoneNumber'))
  assert.equal(page.data.problem, '')
  assert.equal(page.data.phoneNumber, phone)
  await page.onPhoneNumber({ type: 'getphonenumber', detail: { errMsg: 'getPhoneNumber:fail user deny' } })
  assert.equal(page.data.problem, 'getPhoneNumber:fail user deny')
}

test('login, steps and phone number', async () => {
  const launched = launch('alice')
  await use(launched, 'alice')
  // WeChat's own cloudIDs are sent as they are.
  assert.equal(launched.mini.to('/v1/open-data').length, 0)
  assert.deepEqual(launched.mini.warned, [])
})

test('the same on the phone of somebody else, as a simulated user', async () => {
  const launched = launch('bob', { simulate: { user: 'alice', wechat } })
  await use(launched, 'alice')
  assert.deepEqual(launched.mini.called, [])
})

test("somebody else's cloudID is the function's to judge", async () => {
  const { page } = launch('alice')
  await code('bob')
  const { cloudID } = await client('bob', 'getPhoneNumber')
  await page.onPhoneNumber({ type: 'getphonenumber', detail: { errMsg: 'getPhoneNumber:ok', cloudID } })
  assert.match(page.data.problem, /^cloud\.callFunction:fail .*phone: /s)
})
