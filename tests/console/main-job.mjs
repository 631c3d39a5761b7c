// The quickstart's main job by clicks, and a failing call explained. Arguments: the console's link, the gateway, the simulated WeChat.

import assert from 'node:assert/strict'

import { browsing } from './browser.mjs'

const [link, gateway, wechat] = process.argv.slice(2)
const CONTROL = 2

/** A call from outside the console. */
async function callAs(user, name) {
  const post = async (url, body, token) => {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
    return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json()
  }
  const { code } = await post(`${wechat}/sim/client`, { user, api: 'login' })
  const { token } = await post(`${gateway}/v1/login`, { code })
  return post(`${gateway}/v1/functions/${name}`, { data: {} }, token)
}

await browsing(async (browser) => {
  const page = await browser.open(link)
  assert.equal(await page.evaluate(() => location.search), '', 'the link is not left in the address bar')
  for (const name of ['login', 'phone', 'werun']) await page.shows('#content', name)

  // The main job: alice's steps, handed over as a cloudID.
  await page.follow('#call-werun', '/call')
  await page.click('#open-data summary')
  await page.click('input[name=with-weRunData]')
  await page.click('form#call button[type=submit]')
  await page.shows('#result', 'days: 31')
  await page.shows('#result .path', '31 days')
  await page.shows('#result .path', 'redeem cloudIDs')
  await page.shows('#command', 'yunqiao call werun --as alice --cloud-id weRunData=weRunData --dir ')
  await page.click('[data-copy=command]')

  // What is no JSON is said while it is being written.
  await page.write('#event', '{\n  "a": undefined\n}')
  await page.shows('#check', 'line 2, column 8')
  await page.write('#event', '{"a": 1}')
  await page.shows('#check', 'a JSON object')

  // A call that fails, explained; then mended, sent from the keyboard.
  await page.choose('select[name=function]', 'phone')
  await page.click('input[name=with-weRunData]')
  await page.click('form#call button[type=submit]')
  await page.shows(
    '#result .error',
    'phone: send the cloudID of getPhoneNumber as a top-level wx.cloud.CloudID',
  )
  await page.click('input[name=with-phoneNumber]')
  await page.write('input[name=field-phoneNumber]', 'phone')
  await page.press('Enter', CONTROL)
  await page.shows('#result', '12066600001')

  // The list follows what happens elsewhere, and its filter holds.
  await page.follow('nav a[href="/calls"]', '/calls')
  await page.choose('select[name=status]', 'failed')
  await page.until(
    () =>
      location.search.includes('status=failed') &&
      document.querySelectorAll('table.calls tbody tr').length === 1,
  )
  await page.goto(`${new URL(link).origin}/calls?function=login`)
  const { requestID } = await callAs('bob', 'login')
  await page.shows('table.calls', 'bob')
  await page.click('table.calls tbody a')
  await page.shows('#call', requestID)

  // A push, composed; nobody takes it here, and it is acknowledged.
  await page.follow('nav a[href="/push"]', '/push')
  await page.choose('select[name=type]', 'user_enter_tempsession')
  await page.shows('#fields', 'SessionFrom')
  await page.write('#event', '{"SessionFrom": "console"}')
  await page.click('form#push button[type=submit]')
  await page.shows('#result', 'acknowledged')
  await page.shows('[sse-swap]', 'user_enter_tempsession')

  // Later, by WeChat's time.
  await page.follow('nav a[href="/users"]', '/users')
  const before = await page.text('#users time')
  await page.click('button[name=advance][value="259201"]')
  await page.until((before) => document.querySelector('#users time').innerText > before, before)

  // In Chinese, in the dark, on a phone; nothing sticks out.
  await page.follow('.lang', '/users')
  await page.shows('h1', '用户')
  await page.seenAs([{ name: 'prefers-color-scheme', value: 'dark' }])
  const light = (color) =>
    color
      .match(/\d+/g)
      .slice(0, 3)
      .every((part) => Number(part) > 128)
  assert.equal(light(await page.evaluate(() => getComputedStyle(document.body).backgroundColor)), false)
  await page.wide(320)
  for (const path of [
    '/',
    '/call',
    '/calls',
    `/calls?call=${requestID}`,
    '/calls?view=logs',
    '/outbox',
    '/push',
    '/users',
    '/wechat',
  ]) {
    await page.goto(new URL(path, link).href)
    assert.ok(
      (await page.evaluate(() => document.documentElement.scrollWidth)) <= 320,
      `${path} is wider than a phone`,
    )
  }

  // With the keyboard: the first stop leads past the navigation.
  await page.press('Tab')
  await page.press('Enter')
  assert.equal(await page.evaluate(() => document.activeElement.id), 'content')

  assert.deepEqual(browser.complaints, [])
})
