// The example web-todo, used by clicks in Chromium: as a visitor, and as somebody with a password in two browsers.

import { deepStrictEqual, strictEqual } from 'node:assert'

import { browsing } from '../console/browser.mjs'

const [, , , settings] = process.argv
const { web } = JSON.parse(settings)
const { port } = new URL(web)
/** Another name of this machine is another browser to whatever is kept by origin. */
const NAMES = { one: 'localhost', two: '127.0.0.1' }
const at = (name, path = '/') => `http://${NAMES[name]}:${port}${path}`

await browsing(async (browser) => {
  const visitor = await browser.open(at('one'))
  await visitor.shows('#user', '访客')
  await visitor.shows('#summary', '你有 0 件，大家一共 0 件')
  await visitor.write('#title', '买牛奶')
  await visitor.click('#add-it')
  await visitor.shows('#todos', '买牛奶')
  await visitor.shows('#summary', '你有 1 件，大家一共 1 件')
  await visitor.click('#todos li button')
  await visitor.until(() => document.querySelector('#todos').children.length === 0)
  await visitor.click('#to-done')
  await visitor.shows('#todos', '买牛奶')
  strictEqual(await visitor.evaluate(() => location.pathname), '/done')
  // The server gives the page at this path too, and the browser is the same visitor.
  await visitor.goto(at('one', '/done?again'))
  await visitor.shows('#todos', '买牛奶')

  const other = await browser.open(at('two'))
  await other.shows('#summary', '你有 0 件，大家一共 1 件')
  for (const page of [visitor, other]) {
    await page.goto(at(page === other ? 'two' : 'one'))
    await page.shows('#user', '访客')
    await page.write('#name', 'alice')
    await page.write('#password', 'wrong horse')
    await page.click('#log-in')
    await page.until(() => !document.querySelector('#problem').hidden)
    await page.write('#password', 'correct horse')
    await page.click('#log-in')
    await page.shows('#user', 'alice')
  }
  await visitor.write('#title', '写信 <b>')
  await visitor.click('#add-it')
  await visitor.shows('#todos', '写信 <b>')
  await other.click('#to-open')
  await other.shows('#todos', '写信 <b>')
  await visitor.click('#log-out')
  await visitor.shows('#user', '访客')
  await visitor.until(() => document.querySelector('#todos').children.length === 0)
  const complaints = browser.complaints.filter((complaint) => !complaint.includes('status of 400'))
  deepStrictEqual(
    complaints.filter((complaint) => /Refused|Uncaught|blocked/.test(complaint)),
    [],
  )
})
