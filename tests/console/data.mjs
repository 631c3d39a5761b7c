// The page Data by clicks, on the lists of examples/todo. Arguments: the console's link, the gateway, the simulated WeChat.

import assert from 'node:assert/strict'

import { browsing } from './browser.mjs'

const [link, gateway, wechat] = process.argv.slice(2)
const CONTROL = 2

async function post(url, body, token) {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
  const reply = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  return reply.json()
}

const { code } = await post(`${wechat}/sim/client`, { user: 'alice', api: 'login' })
const { token } = await post(`${gateway}/v1/login`, { code })

/** A call from outside the console. */
async function call(name, data = {}) {
  const reply = await post(`${gateway}/v1/functions/${name}`, { data }, token)
  assert.equal(reply.errMsg, 'cloud.callFunction:ok', JSON.stringify(reply))
  return reply
}

await browsing(async (browser) => {
  const page = await browser.open(link)
  const counts = (selector, count) =>
    page.until((selector, count) => document.querySelectorAll(selector).length === count, selector, count)

  /** Shows what meets a filter, sent from the keyboard. */
  const search = async (filter, sort = '') => {
    await page.write('#filter', filter)
    await page.write('input[name=sort]', sort)
    await page.press('Enter', CONTROL)
    await page.until(
      (filter) =>
        new URLSearchParams(location.search).get('filter') === filter && document.readyState === 'complete',
      filter,
    )
  }

  /** Turns the page. */
  const turn = async (way) => {
    await page.click(`#${way}`)
    await page.until(
      (way) => new URLSearchParams(location.search).has(way) && document.readyState === 'complete',
      way,
    )
  }

  // Before anything was written there is nothing; what functions make is seen at once.
  await page.follow('nav a[href="/data"]', '/data')
  await page.shows('#data', 'There is no collection yet')
  await call('setup')
  for (let i = 0; i < 23; i += 1) {
    await call('add', { list: 'home', title: `todo ${i}`, tags: ['a', 'b'] })
  }
  await page.shows('table.collections', 'todos')
  await page.until(() => document.querySelector('table.collections').innerText.includes('23'))

  // A database call is a row of the path of its call.
  const { requestID } = await call('list', { list: 'home' })
  await page.goto(`${new URL(link).origin}/calls?call=${requestID}`)
  await page.shows('.path', 'todos find {_openid: ')
  const open = () =>
    page.evaluate(() => {
      for (const row of document.querySelectorAll('.path details')) row.open = true
    })
  await open()
  await page.shows('.path', 'sort {createTime: -1, _id: 1}')
  await page.shows('.path', 'looked at 23, returned 10')
  await page.shows('.path', 'todos count {')

  // One that no index serves is marked, with the index that would; a click adds it.
  const unserved = await call('titled', { title: 'todo 7' })
  await page.goto(`${new URL(link).origin}/calls?call=${unserved.requestID}`)
  await page.shows('.path .badge', 'no index')
  await open()
  await page.shows('.path', '[database.collections.todos] indexes = [["title"]]')
  await page.follow('.path a', '/data')
  await page.shows('.queries', 'todos find {title: "todo 7"}')
  const add = '.queries form:has(input[name=field][value=title]) button'
  await page.click(add)
  await page.shows('#said', 'indexes = [["title"]]')
  await counts(add, 0)
  await page.shows('table.collections', 'title_1')
  const served = await call('titled', { title: 'todo 7' })
  await page.goto(`${new URL(link).origin}/calls?call=${served.requestID}`)
  await open()
  await page.shows('.path', 'looked at 1, returned 1 · by title_1')

  // Pages of documents, and a filter in the shell's syntax, whose fault is shown where it is.
  await page.follow('nav a[href="/data"]', '/data')
  await page.follow('table.collections tbody tr:last-child a', '/data/collection')
  await counts('.doc', 20)
  await turn('after')
  await counts('.doc', 3)
  await turn('before')
  await counts('.doc', 20)
  await page.write('#filter', '{\n  title: /^todo 1\\d$/,\n  done: fals\n}')
  await page.shows('#fault', 'line 3, column 9: "fals" is not known here')
  await search('{title: /^todo 1\\d$/, done: false}', '-createTime')
  await counts('.doc', 10)
  await page.shows('#count', '10 meet the filter')
  await page.shows('.doc', 'title: "todo 19"')

  // It follows what happens; and what somebody opened stays.
  await call('add', { list: 'home', title: 'todo 10' })
  await counts('.doc', 11)

  // A document is edited; its fault is shown; somebody else's change is not overwritten unawares.
  await page.follow('.doc .edit-link', '/data/document')
  const text = await page.evaluate(() => document.querySelector('#text').value)
  assert.match(text, /createTime: ISODate\("20/)
  await page.write('#text', text.replace('title: "todo 10"', 'title: todo 10'))
  await page.shows('#check', '"todo" is not known here')
  await page.write('#text', text.replace('title: "todo 10"', 'title: "todo ten"'))
  await page.shows('#check', 'a document')
  await page.click('#edit button[type=submit]')
  await page.shows('#said', 'Saved.')
  const id = text.match(/_id: "(\w+)"/)[1]
  await call('change', { id, title: 'renamed' })
  await page.click('#edit button[type=submit]')
  await page.shows('#said', 'The document has changed meanwhile')
  await page.shows('#said pre', 'title: "renamed"')
  await page.click('#said button[name=over]')
  await page.shows('#said', 'Saved.')
  await page.click('#said form button')
  await page.shows('#said', 'Undone.')
  await page.follow('#back', '/data/collection')

  // Found by its id alone; deleted, and brought back.
  await search(`"${id}"`)
  await counts('.doc', 1)
  await page.shows('.doc', 'title: "renamed"')
  await page.click('.doc .delete')
  await page.shows('#said', 'Deleted: ')
  await counts('.doc', 0)
  await page.click('#said form button')
  await page.shows('#said', 'Undone.')
  await page.shows('.doc', 'title: "renamed"')

  // Added, with types that JSON lacks, and hostile text.
  await page.follow('#add', '/data/add')
  await page.write('#text', '{a: }')
  await page.click('#edit button[type=submit]')
  await page.shows('#said', 'line 1, column 5: expected a value')
  await page.write(
    '#text',
    `{_id: ObjectId("65f0c0ffee65f0c0ffee65f0"), at: ISODate('2026-01-31'), place: {type: 'Point', coordinates: [113.5, 23]},
      list: '<img src=x onerror=alert(1)>\\u202e', long: '${'云'.repeat(300)}', deep: {a: [1, NumberLong(2)]}}`,
  )
  await page.click('#edit button[type=submit]')
  await page.shows('#said', 'ObjectId("65f0c0ffee65f0c0ffee65f0")')
  await page.click('#edit button[type=submit]')
  await page.shows('#said', 'Another document has the same value in the index _id_')
  await page.follow('#back', '/data/collection')
  await search('ObjectId("65f0c0ffee65f0c0ffee65f0")')
  await counts('.doc', 1)
  for (const shown of ['Point 113.5, 23', '<img src=x onerror=alert(1)>\\u202e', 'characters: 300', 'date'])
    await page.shows('.doc', shown)
  await page.click('.doc .tree > li:last-child summary')
  await page.shows('.doc .tree .tree', '[ 2 elements ]')

  // Out into a file and in again, also from one that is wrong.
  const exported = async (as) => {
    const query = new URLSearchParams({ name: 'todos', filter: '{title: /^todo/}', as })
    return page.evaluate(async (query) => (await fetch(`/data/export?${query}`)).text(), `${query}`)
  }
  const lines = await exported('lines')
  assert.equal(lines.trim().split('\n').length, 23)
  assert.match(lines, /"createTime":\{"\$date":"20/)
  assert.equal(JSON.parse(await exported('array')).length, 23)
  assert.match(await exported('csv'), /^\ufeff?_id,.*createTime/)
  const upload = async (name, text) => {
    await page.evaluate(
      (name, text) => {
        const files = new DataTransfer()
        files.items.add(new File([text], name))
        document.querySelector('#import input[type=file]').files = files.files
      },
      name,
      text,
    )
    await page.click('#import button')
  }
  await page.goto(new URL('/data/collection?name=todos', link).href)
  await upload('todos.json', lines)
  await page.shows('#said', 'Added: 0, refused: 23')
  await page.click('#import input[name=over]')
  await upload('todos.json', lines)
  await page.shows('#said', 'replaced: 23')
  await upload('more.csv', '_id,title\n00-imported,from a table\n')
  await page.shows('#said', 'Added: 1')
  await page.shows('#documents', 'from a table')
  await upload('wrong.json', '{"_id": "x", "n": 1}\n{"_id": \n')
  await page.shows('#said', 'line 2')
  await page.goto(
    `${new URL(link).origin}/data/collection?name=todos&filter=ObjectId(%2265f0c0ffee65f0c0ffee65f0%22)`,
  )

  // In Chinese, in the dark, on a phone; nothing sticks out.
  await page.follow('.lang', '/data/collection')
  await page.shows('h1', '数据')
  await page.seenAs([{ name: 'prefers-color-scheme', value: 'dark' }])
  await page.wide(320)
  for (const path of [
    '/data',
    '/data/collection?name=todos',
    '/data/document?name=todos&id=ObjectId(%2265f0c0ffee65f0c0ffee65f0%22)',
    '/data/add?name=todos',
    `/calls/${unserved.requestID}`,
  ]) {
    await page.goto(new URL(path, link).href)
    assert.ok(
      (await page.evaluate(() => document.documentElement.scrollWidth)) <= 320,
      `${path} is wider than a phone`,
    )
  }

  // A collection is dropped only by its name.
  await page.goto(new URL('/data/collection?name=lists', link).href)
  await page.click('details summary:not(.tree summary)')
  await page.write('input[name=sure]', 'list')
  await page.click('button.danger')
  await page.shows('#dropped', '名称不一致')
  await page.write('input[name=sure]', 'lists')
  await page.click('button.danger')
  await page.until(() => location.pathname === '/data' && document.readyState === 'complete')
  await page.shows('table.collections', 'todos')
  assert.ok(!(await page.text('table.collections')).includes('lists'))

  assert.deepEqual(browser.complaints, [])
})
