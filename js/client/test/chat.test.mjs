// The chat of examples/chat, its files as they are, on two phones.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { MiniProgram } from './mini-program.mjs'
import { gateway, openid } from './support.mjs'

const file = (name) =>
  readFileSync(new URL(`../../../examples/chat/miniprogram/${name}`, import.meta.url), 'utf8')

/** Launches the app and opens its page, as the base library does. */
function launch(user) {
  const mini = new MiniProgram(user)
  const given = JSON.stringify({ endpoint: gateway })
  mini.run(`require('@yunqiao/client').install(wx).init(${given})\n${file('app.js')}`)
  mini.app.onLaunch()
  mini.run(file('pages/index/index.js'), 'pages/index/index.js')
  const [page] = mini.pages
  page.data = { ...page.data }
  page.setData = (data) => Object.assign(page.data, data)
  page.onLoad()
  return page
}

/** Waits for what the page comes to show. */
async function shows(page, what) {
  for (let tries = 0; !what(page.data); tries++) {
    assert(tries < 3000, JSON.stringify(page.data))
    await delay(10)
  }
}

const texts = ({ list }) => list.map(({ text }) => text).join(' ')

async function send(page, text) {
  page.onInput({ detail: { value: text } })
  await page.onSend()
  assert.equal(page.data.problem, '')
  assert.equal(page.data.text, '')
}

test('what anybody writes and takes back is seen by all at once', async () => {
  const [alice, bob] = [launch('alice'), launch('bob')]
  await send(alice, '你好')
  await shows(bob, (data) => texts(data) === '你好')
  await send(bob, 'hi')
  for (const page of [alice, bob]) await shows(page, (data) => texts(data) === '你好 hi')
  const [first, second] = alice.data.list
  assert.equal(first._openid, await openid('alice'))

  // Nobody takes back what is another's.
  await bob.onRecall({ currentTarget: { dataset: { id: first._id } } })
  assert.match(bob.data.problem, /-502003/)
  await bob.onRecall({ currentTarget: { dataset: { id: second._id } } })
  assert.equal(bob.data.problem, '')
  for (const page of [alice, bob]) await shows(page, (data) => texts(data) === '你好')
  for (const page of [alice, bob]) await page.onUnload()
})
