// What clients do at this moment, by clicks: their watches on the page Data, and those who have logged in on a web page on the page Users.
// Arguments: the console's link, the gateway, the simulated WeChat.

import assert from 'node:assert/strict'

import { browsing } from './browser.mjs'

const [link, gateway, wechat] = process.argv.slice(2)
const { origin } = new URL(link)

await browsing(async (browser) => {
  const page = await browser.open(link)
  await page.goto(`${origin}/data`)
  const watched = () => page.text('table.watches')
  await page.until(() => document.querySelector('#watches + p')?.innerText === 'Nothing at the moment.')

  // A client of alice's, at the gateway's own origin.
  const login = await fetch(`${wechat}/sim/client`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ user: 'alice', api: 'login' }),
  })
  const { code } = await login.json()
  const client = await browser.open(`${gateway}/healthz`)
  const openid = await client.evaluate(async (code) => {
    const ask = async (path, body, token) => {
      const headers = {
        'content-type': 'application/json',
        ...(token && { authorization: `Bearer ${token}` }),
      }
      return (await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) })).json()
    }
    const { token, openid } = await ask('/v1/login', { code })
    globalThis.add = (text) => {
      const data = [JSON.stringify({ room: 'r1', text })]
      return ask(
        '/v1/database',
        { action: 'database.insertDocument', collectionName: 'messages', data },
        token,
      )
    }
    await add('<b>first</b>')
    globalThis.socket = new WebSocket(`${location.origin.replace('http', 'ws')}/v1/realtime`)
    const say = (msgType, msgData) =>
      socket.send(JSON.stringify({ watchId: 'w', requestId: msgType, msgType, msgData }))
    const ended = new Promise((_, reject) => {
      for (const event of ['error', 'close']) socket.addEventListener(event, () => reject(new Error(event)))
    })
    ended.catch(() => {})
    const opened = new Promise((resolve) => socket.addEventListener('open', resolve))
    await Promise.race([opened, ended])
    const heard = new Promise((resolve) => {
      socket.addEventListener('message', ({ data }) => {
        const { msgType } = JSON.parse(data)
        if (msgType === 'LOGIN_RES') {
          const query = JSON.stringify({ room: 'r1' })
          say('INIT_WATCH', { collName: 'messages', query, limit: 5, orderBy: { text: 'asc' } })
        } else if (msgType !== 'PONG') {
          resolve(msgType)
        }
      })
    })
    say('LOGIN', { envId: '', accessToken: token })
    const first = await Promise.race([heard, ended])
    if (first !== 'INIT_EVENT') throw new Error(first)
    return openid
  }, code)

  // It is shown without being asked for, and so is what it is told.
  await page.shows('table.watches', 'messages')
  const row = (await watched()).split('\n').at(-1)
  assert.match(row, /messages\s+\{"room":"r1"\} · text · at most 5\s+/)
  assert(row.includes(openid), row)
  const told = async () => Number((await watched()).trim().split(/\s+/).at(-1))
  const before = await told()
  await client.evaluate((text) => add(text), 'second')
  await page.until(
    (before) => Number(document.querySelector('table.watches td:last-child').innerText) > before,
    before,
  )
  await page.click('table.watches a')
  await page.until(() => location.pathname === '/data/collection')
  await page.shows('#content', '<b>first</b>')
  await page.goto(`${origin}/data`)
  await page.shows('table.watches', 'messages')
  await client.evaluate(() => socket.close())
  await page.until(() => !document.querySelector('table.watches'))

  // Who logs in on a web page.
  await page.follow('nav a[href="/users"]', '/users')
  await page.shows('#content', 'Nobody yet.')
  const uid = await client.evaluate(async () => {
    const headers = { 'x-device-id': '0123456789abcdef0123456789abcdef' }
    const reply = await fetch('/auth/v1/signin/anonymously', { method: 'POST', headers, body: '{}' })
    return (await reply.json()).sub
  })
  await page.goto(`${origin}/users`)
  const user = await page.text('table.web-users tbody')
  assert.match(user, new RegExp(`${uid}\\s+ANONYMOUS\\s+–\\s+1\\s`))
  assert.match(await page.text('#web-users ~ ul.chips'), /\[auth\] anonymous on\s+\[auth\] ticket_keys off/)

  // In Chinese nothing is out of place on a narrow screen.
  for (const path of ['/users', '/data', '/data/permissions']) {
    await page.goto(`${origin}/lang?to=zh&back=${path}`)
    await page.wide(390)
    const over = await page.evaluate(
      () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
    )
    assert(over <= 0, `${path} is ${over} px too wide`)
    await page.wide(1280)
  }
  // The gateway has no icon.
  assert.deepEqual(
    browser.complaints.filter((complaint) => !complaint.includes('status of 404')),
    [],
  )
})
