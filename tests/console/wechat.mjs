// The simulated WeChat with the mouse: faults, content checks, templates and who takes them, what users do; the routes of pushes, and which
// function took one and how that ended; the outbox, with what was sent to people apart. Arguments: the console's link, the gateway, the
// simulated WeChat. The project has `answer`, which takes `text` and sends a message back, and throws at the word "fail".

import assert from 'node:assert/strict'

import { browsing } from './browser.mjs'

const [link, , wechat] = process.argv.slice(2)
const { origin } = new URL(link)
const sim = async (path, body) => {
  const headers = { 'content-type': 'application/json' }
  const order = body && { method: 'POST', headers, body: JSON.stringify(body) }
  return (await fetch(`${wechat}/sim/${path}`, order)).json()
}

await browsing(async (browser) => {
  const page = await browser.open(link)

  // A fault is set and cleared; what is wrong with one is said.
  await page.follow('nav a[href="/wechat"]', '/wechat')
  await page.shows('#faults', 'None is set')
  const fault = '#faults form[hx-post="/wechat/fault"]'
  await page.write(`${fault} input[name=api]`, 'getopendatas')
  await page.write(`${fault} input[name=value]`, '45009')
  const verdict = '#verdicts form[hx-post="/wechat/verdict"]'
  await page.write(`${verdict} input[name=contains]`, '洗牙')
  await page.click(`${fault} button`)
  await page.shows('#said .trouble', 'no API is called')
  // What was written is there to be mended.
  const value = (field) => page.evaluate((field) => document.querySelector(field).value, field)
  assert.equal(await value(`${fault} input[name=value]`), '45009')
  await page.write(`${fault} input[name=api]`, 'getopendata')
  await page.click(`${fault} button`)
  await page.shows('#faults table', 'getopendata')
  assert.equal((await sim('faults')).faults[0].value, 45009)
  await page.click('#faults form[hx-post="/wechat/faults-clear"] button')
  await page.shows('#faults', 'None is set')

  // A verdict of the content checks, which was half written all the while, and back to what they say at the start.
  await page.click(`${verdict} button`)
  await page.shows('#verdicts table', '洗牙')
  await page.click('#verdicts form[hx-post="/wechat/verdicts-reset"] button')
  await page.until(() => !document.querySelector('#verdicts table').innerText.includes('洗牙'))

  // A template, and a user who takes its messages.
  await page.click('#templates summary')
  const template = '#templates form[hx-post="/wechat/template"]'
  await page.write(`${template} input[name=title]`, '预约提醒')
  await page.write(`${template} textarea`, '时间:{{time1.DATA}}')
  await page.click(`${template} button`)
  await page.shows('#templates .chips', '预约提醒')
  await page.click('#templates form[hx-post="/wechat/subscribe"] button')
  await page.shows('#said .notice', 'requestSubscribeMessage:ok')
  assert.equal(await value(`${template} input[name=title]`), '', 'what was added is no longer in its form')

  // The outbox follows what happens, whatever is open in it. Of a push that fails nothing is sent but the check.
  await sim('client', { user: 'alice', api: 'login' })
  await sim('client', { user: 'bob', api: 'login' })
  await page.goto(`${origin}/outbox`)
  await page.shows('.outbox, main', 'Nothing')
  await sim('client', { user: 'bob', api: 'sendMessage', content: 'fail' })
  await page.shows('#checks summary', 'Checks')
  await page.click('#checks summary')
  await page.shows('#checks', 'msgSecCheck')
  await sim('client', { user: 'alice', api: 'sendMessage', content: 'good morning' })
  await page.shows('#sent', 'you wrote good morning')
  await page.shows('#checks ol', 'good morning')
  await page.goto(`${origin}/wechat`)

  // A user writes to customer service: which function took that, and how it ended, is a click away.
  const message = '#deeds form[hx-post="/wechat/message"]'
  await page.choose(`${message} select[name=user]`, 'alice')
  await page.write(`${message} input[name=content]`, 'hello')
  await page.click(`${message} button`)
  await page.shows('#said .notice', 'sendMessage:ok')
  await page.until((field) => document.querySelector(field).value === '', `${message} input[name=content]`)
  await page.choose(`${message} select[name=user]`, 'bob')
  await page.click('#deeds form[hx-post="/wechat/session"] button')
  await page.shows('#said .notice', 'enterSession:ok')
  assert.equal(await value(`${message} select[name=user]`), 'bob', 'nobody is chosen anew')
  await page.follow('nav a[href="/push"]', '/push')
  await page.shows('#routes', 'text → answer')
  await page.until(() =>
    [...document.querySelectorAll('.outbox .last')].some((last) => last.innerText.includes('✓ ok answer')),
  )

  // One that failed says how often it was tried, and is given up; a letter that nobody wants is dropped.
  const failed = () => {
    const pushes = [...document.querySelectorAll('#pushes + .outbox > li')]
    return pushes.find((push) => push.innerText.includes('✗ failed answer'))?.innerText.includes('attempt 3')
  }
  await page.until(failed)
  await page.shows('body', 'Dead letters')
  await page.click('[id^=drop-]')
  await page.until(() => document.querySelector('[id^=drop-]') === null)

  // One that no function takes has no mark of having gone well.
  await page.choose('select[name=type]', 'user_enter_tempsession')
  await page.click('form#push button[type=submit]')
  await page.shows('#result', 'No route takes it')
  assert.ok(!(await page.text('#result')).includes('✓'))

  // Of what was sent, the answer to alice stands first, and the check apart from it.
  await page.follow('nav a[href="/outbox"]', '/outbox')
  await page.shows('#sent', 'you wrote hello')
  assert.ok(!(await page.text('#sent')).includes('msgSecCheck'))
  await page.click('#checks summary')
  await page.shows('#checks', 'msgSecCheck')

  // In Chinese, on a phone. What is set is told in words, not in those of the simulator's API.
  await sim('faults', { api: 'getopendata', kind: 'latency', value: 300, next: 1 })
  await page.goto(`${origin}/lang?to=zh&back=/wechat`)
  await page.shows('#faults table', '延迟 300 毫秒')
  await page.shows('#verdicts table', '文本')
  await page.shows('#verdicts table', '违规 risky')
  // Cards stand below each other without a gap as high as the highest beside them.
  assert.equal(
    await page.evaluate(() => getComputedStyle(document.querySelector('#wechat')).display),
    'block',
  )
  await page.wide(390)
  for (const path of ['/wechat', '/push', '/outbox']) {
    await page.goto(origin + path)
    assert.ok(
      (await page.evaluate(() => document.documentElement.scrollWidth)) <= 390,
      `${path} is wider than a phone`,
    )
  }
  assert.deepEqual(browser.complaints, [])
})
