// What clients may do, and whether a query would pass, by clicks. Arguments: the console's link, the gateway, the simulated WeChat.

import assert from 'node:assert/strict'

import { browsing } from './browser.mjs'

const [link, gateway, wechat] = process.argv.slice(2)

const post = async (url, body, token) => {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
  return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json()
}
/** Asks for documents as a client of this user. */
const asks = async (user) => {
  const { code } = await post(`${wechat}/sim/client`, { user, api: 'login' })
  const { token } = await post(`${gateway}/v1/login`, { code })
  return (action, fields) =>
    post(
      `${gateway}/v1/database`,
      { action: `database.${action}`, collectionName: 'plain', ...fields },
      token,
    )
}

await browsing(async (browser) => {
  const page = await browser.open(link)
  await page.follow('nav a[href="/data"]', '/data')
  await page.follow('#permissions', '/data/permissions')

  // What a client found nothing in, with the command that says who may read it; nothing before.
  assert.equal(await page.evaluate(() => document.querySelector('#kept-back')), null)
  const [alice, bob] = [await asks('alice'), await asks('bob')]
  await alice('insertDocument', { data: ['{"a":1}'] })
  await bob('getDocument', { query: '{}' })
  for (const until = Date.now() + 10_000; Date.now() < until; ) {
    await page.goto(new URL('/data/permissions', link).href)
    if (await page.evaluate(() => Boolean(document.querySelector('#kept-back')))) break
  }
  assert.match(await page.text('#kept-back code'), /^yunqiao db permission --set READONLY --dir \/\S+ plain$/)

  // Each collection with its permission, and the file that says it.
  const row = (name) =>
    page.evaluate(
      (name) =>
        [...document.querySelectorAll('table.collections tbody tr')]
          .find((row) => row.cells[0].innerText === name)
          ?.innerText.replaceAll(/\s+/g, ' '),
      name,
    )
  assert.match(await row('news'), /ADMINWRITE all read, no client writes yunqiao\.toml/)
  assert.match(await row('posts'), /read: doc\.published == true .*write: .* database\.rules\.json/)
  assert.match(await row('shops'), /READONLY .* cloudbaserc\.json/)
  assert.match(await row('plain'), /PRIVATE .* nowhere: the default/)
  assert.match(await row('any other'), /PRIVATE/)

  /** Chooses in a select. */
  const choose = (name, text) =>
    page.evaluate(
      (name, text) => {
        const select = document.querySelector(`#tester select[name=${name}]`)
        select.value = [...select.options].find((option) => option.text.startsWith(text)).value
      },
      name,
      text,
    )
  let asked = 0
  /** Asks, and waits for the answer to this question. */
  const judge = async ({ name, user, operation, query = '', data = '' }) => {
    await page.write('#tester input[name=name]', name)
    await choose('user', user)
    await choose('operation', operation)
    await page.write('#tester textarea[name=query]', query)
    await page.write('#tester textarea[name=data]', data)
    asked += 1
    await page.evaluate((asked) => {
      document.querySelector('#verdict').replaceChildren(`waits ${asked}`)
    }, asked)
    await page.click('#tester button')
    await page.until((asked) => document.querySelector('#verdict').innerText !== `waits ${asked}`, asked)
    return page.text('#verdict')
  }

  // A rule: which one, which part of it, and what would pass.
  const posts = { name: 'posts', user: 'alice', operation: 'get' }
  const refused = await judge({ ...posts, query: "{title: 'x'}" })
  assert.match(refused, /refused -502003 by the rule "read"/)
  assert.match(refused, /The part that does not hold: doc\.published == true/)
  assert.match(refused, /where\(\{published: true\}\) would pass/)
  assert.match(
    await judge({ ...posts, query: "{published: true, title: 'x'}" }),
    /allowed CUSTOM\s+It is asked as it is/,
  )
  assert.match(
    await judge({ ...posts, user: 'not logged in', query: '{published: true}' }),
    /false for this caller/,
  )
  assert.match(await judge({ ...posts, query: '{published: tru}' }), /Query, line 1, column 13/)
  assert.match(
    await judge({ ...posts, operation: 'update', query: "{_openid: '{openid}'}", data: '{title: "y"}' }),
    /allowed/,
  )
  assert.match(
    await judge({ ...posts, operation: 'update', query: "{_openid: '{openid}'}", data: '{_openid: "y"}' }),
    /refused\s+Invalid Key Name: _openid/,
  )

  // A level: what it adds to the query, and what it forbids.
  const own = await judge({ name: 'plain', user: 'alice', operation: 'get', query: '{a: 1}' })
  assert.match(own, /allowed PRIVATE\s+It is asked as \{_openid: "o\S+", a: 1\}/)
  assert.match(
    await judge({ name: 'plain', user: 'alice', operation: 'add', data: '{a: 1}' }),
    /added as \{_openid: "o/,
  )
  assert.match(
    await judge({ name: 'news', user: 'alice', operation: 'remove', query: '{}' }),
    /by the permission ADMINWRITE\s+it lets no client do this/,
  )
  assert.match(
    await judge({ name: 'news', user: 'not logged in', operation: 'get' }),
    /it lets nobody do anything who has not logged in/,
  )

  // Somebody else, who is typed.
  await page.click('#tester details summary')
  await page.write('#tester input[name=uid]', 'uma<script>')
  const typed = await judge({ name: 'plain', user: 'as typed below', operation: 'aggregate' })
  assert.match(typed, /It is asked as \{_openid: "uma<script>"\}/)

  // From a collection's own page; in Chinese, in the dark, on a phone; nothing sticks out.
  await page.goto(new URL('/data/collection?name=plain', link).href)
  await page.follow('#permission', '/data/permissions')
  assert.equal(await page.evaluate(() => document.querySelector('#tester input[name=name]').value), 'plain')
  await page.follow('.lang', '/data/permissions')
  await page.shows('h2', '客户端权限')
  await page.seenAs([{ name: 'prefers-color-scheme', value: 'dark' }])
  await page.wide(320)
  assert.match(await judge({ ...posts, operation: 'remove', query: '{}' }), /拒绝 -502003 依据：/)
  assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 320, 'wider than a phone')
  assert.deepEqual(browser.complaints, [])
})
