// Draws each page of the console, for people to look at. Start `yunqiao dev` on a project made of the examples (its README says how),
// then: node tests/console/screenshots.mjs LINK WECHAT FOLDER

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { browsing } from './browser.mjs'

const [link, wechat, folder] = process.argv.slice(2)
const { origin } = new URL(link)
const TEMPLATE = 'kxqQ_v0nAIDEQ6z0xa0xfAr3N3sPM2fv1_xomR10QFM'
const MESSAGE = '{"what": "洗牙", "when": "2026-08-01 09:30"}'

const sim = (path, body) =>
  fetch(`${wechat}/sim/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
const pause = () => new Promise((resolve) => setTimeout(resolve, 500))

await mkdir(folder, { recursive: true })
await browsing(async (browser) => {
  const page = await browser.open(link)

  const call = async (name, event, kind) => {
    await page.goto(`${origin}/call?function=${name}`)
    await page.write('#event', event)
    if (kind) {
      await page.click('#open-data summary')
      await page.click(`input[name=with-${kind}]`)
    }
    await page.click('form#call button[type=submit]')
    await page.until(() => document.querySelector('#result h2'))
    await pause()
  }
  const draw = async (name, width) => {
    await page.wide(width)
    await pause()
    const { cssContentSize } = await page.send('Page.getLayoutMetrics')
    const clip = { ...cssContentSize, width, height: Math.min(cssContentSize.height, 2000), scale: 1 }
    const { data } = await page.send('Page.captureScreenshot', {
      format: 'png',
      clip,
      captureBeyondViewport: true,
    })
    await writeFile(join(folder, `${name}.png`), data, 'base64')
  }

  await page.wide(1280)
  await call('remind', MESSAGE)
  await draw('call-failed', 1280)
  const failed = await page.evaluate(() =>
    document.querySelector('#result a[href^="/calls?call="]').getAttribute('href'),
  )
  await sim('templates', {
    priTmplId: TEMPLATE,
    title: '预约提醒',
    content: '项目:{{thing1.DATA}}\n时间:{{time2.DATA}}',
  })
  await sim('client', { user: 'alice', api: 'login' })
  await sim('client', { user: 'alice', api: 'requestSubscribeMessage', tmplIds: [TEMPLATE] })
  await call('remind', MESSAGE)
  await call('qrcode', '{"id": "7"}')
  await call('login', '{}')
  await call('werun', '{"note": "hello"}', 'weRunData')
  await draw('call', 1280)
  const pages = {
    functions: '/',
    calls: '/calls',
    details: failed,
    logs: '/calls?view=logs',
    outbox: '/outbox',
    push: '/push',
    users: '/users',
    wechat: '/wechat',
  }
  for (const [name, path] of Object.entries(pages)) {
    await page.goto(origin + path)
    await draw(name, 1280)
  }
  await page.seenAs([{ name: 'prefers-color-scheme', value: 'dark' }])
  await page.goto(`${origin}/lang?to=zh&back=/`)
  await draw('functions-zh-dark', 1280)
  const phone = {
    call: `/call?again=${failed.split('=').pop()}`,
    calls: '/calls',
    outbox: '/outbox',
    users: '/users',
  }
  for (const [name, path] of Object.entries(phone)) {
    await page.goto(origin + path)
    await draw(`${name}-zh-dark-phone`, 390)
  }
})
