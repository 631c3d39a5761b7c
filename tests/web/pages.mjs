// Uses the page as a person would: clicks, a reload in the middle of it, a new build; then two pages of other origins call.

import { deepStrictEqual, strictEqual } from 'node:assert'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'

import { browsing } from '../console/browser.mjs'

const [, , web, dist] = process.argv

await browsing(async (browser) => {
  const page = await browser.open(`${web}/`)
  await page.shows('#title', '首页')
  await page.click('#to-user')
  await page.shows('#title', 'user john.doe')
  strictEqual(await page.evaluate(() => location.pathname), '/users/john.doe')
  await page.click('#ask')
  await page.shows('#path', '/users/john.doe')

  // The server knows no such file, and gives the page that knows what to show.
  await page.goto(`${web}/users/john.doe?again`)
  await page.shows('#title', 'user john.doe')

  // A new build shows by itself.
  const document = join(dist, 'index.html')
  await writeFile(document, (await readFile(document, 'utf8')).replace('<title>page', '<title>anew'))
  await page.until(() => document.title === 'anew')
  await page.shows('#title', 'user john.doe')
  deepStrictEqual(browser.complaints, [])

  await acrossOrigins(browser)
})

/** Pages of this machine may call in `dev`, with what is theirs; one of another name may not. */
async function acrossOrigins(browser) {
  const other = createServer((_, reply) =>
    reply.setHeader('content-type', 'text/html').end('<link rel="icon" href="data:,">other'),
  )
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  const { port } = other.address()
  try {
    const friend = await browser.open(`http://127.0.0.1:${port}/`)
    for (const before of [0, 1]) {
      deepStrictEqual(await friend.evaluate(call, `${web}/visits`), {
        before,
        method: 'PUT',
        own: 'here',
        body: '{"a":"中"}',
      })
    }
    const stranger = await browser.open(`http://evil.localhost:${port}/`)
    strictEqual(await stranger.evaluate(call, `${web}/visits`), 'TypeError')
    // Nor does it read what it may send without asking first.
    strictEqual(await stranger.evaluate(read, `${web}/visits`), 'TypeError')
  } finally {
    other.close()
    other.closeAllConnections()
  }
}

function call(url) {
  const headers = { 'content-type': 'application/json', 'x-own': 'here' }
  const request = { method: 'PUT', credentials: 'include', headers, body: JSON.stringify({ a: '中' }) }
  return fetch(url, request).then(
    (reply) => reply.json(),
    (error) => error.name,
  )
}

function read(url) {
  return fetch(url, { credentials: 'include' }).then(
    (reply) => reply.json(),
    (error) => error.name,
  )
}
