// The page Calls, as a person uses it: the list and its pages, the filter and the search, a call beside the list, the timeline, the logs;
// with the mouse and with the keyboard. Arguments: the console's link, the gateway, the simulated WeChat. Ten thousand calls lie on disk, of
// `old-one` and `old-two`; the project has `shop`, which calls `stock`, `gate`, which runs until there is a file, `reads`, which lacks a
// collection, and `checks`, which lacks a permission.

import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { browsing } from './browser.mjs'

const [link, gateway, wechat] = process.argv.slice(2)
const { origin } = new URL(link)

const post = async (url, body, token) => {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
  return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json()
}
const { code } = await post(`${wechat}/sim/client`, { user: 'alice', api: 'login' })
const { token } = await post(`${gateway}/v1/login`, { code })
const call = (name, data) => post(`${gateway}/v1/functions/${name}`, { data }, token)

await browsing(async (browser) => {
  const page = await browser.open(link)
  await page.wide(1280)
  /** Waits until the address has this. */
  const at = (name, value) =>
    page.until((name, value) => (new URLSearchParams(location.search).get(name) ?? '') === value, name, value)
  const counts = (text) => page.shows('.list .pages', text)

  // Calls of earlier runs, page by page.
  await page.goto(`${origin}/calls`)
  await counts('1–50 of 10000 calls')
  await page.shows('table.calls', 'earlier runs below')
  await page.click('#older')
  await counts('51–100 of 10000 calls')
  await page.click('#newest')
  await counts('1–50 of 10000 calls')

  // What is typed applies at once, and stands in the address; a request id is found, and what was printed.
  await page.write('#wanted input[name=q]', 'old-4321')
  await counts('1–1 of 1 calls')
  await at('q', 'old-4321')
  await page.write('#wanted input[name=q]', 'PRINTED BY 77 ')
  await counts('1–1 of 1 calls')
  await page.write('#wanted input[name=q]', 'nowhere')
  await page.shows('.list', 'Nothing fits the filter')
  await page.write('#wanted input[name=q]', '')
  await at('q', '')
  await page.choose('#wanted select[name=function]', 'old-two')
  await counts('1–50 of 5000 calls')
  await page.choose('#wanted select[name=status]', 'failed')
  await counts('1–50 of 500 calls')
  await at('function', 'old-two')
  await at('status', 'failed')

  // A page that is opened with such an address shows the same.
  await page.goto(await page.evaluate(() => location.href))
  await counts('1–50 of 500 calls')
  assert.equal(
    await page.evaluate(() => document.querySelector('#wanted select[name=status]').value),
    'failed',
  )

  // New ones come by themselves; only those that are wanted.
  await page.goto(`${origin}/calls?function=shop`)
  await page.shows('.list', 'Nothing fits the filter')
  const { requestID } = await call('shop', { fail: false, nested: { deep: { list: [1, 2, 3] } } })
  await page.shows('table.calls', 'shop')
  await counts('1–1 of 1 calls')

  // One of them, beside the list: what it did, in order, with what it printed and the call inside it.
  await page.click('table.calls tbody a')
  await page.shows('#call', requestID)
  await at('call', requestID)
  await at('function', 'shop')
  await page.until(() => document.querySelector('table.calls [aria-current]') !== null)
  const rows = await page.evaluate(() =>
    [...document.querySelectorAll('#call .path .what')].map((row) =>
      row.innerText.trim().replace(/\s+/g, ' '),
    ),
  )
  const place = (text) => {
    const found = rows.findIndex((row) => row.includes(text))
    assert.ok(found >= 0, `${text} in ${JSON.stringify(rows)}`)
    return found
  }
  // When something was printed the worker says, and when the cloud was asked the gateway: on a busy machine these may change places.
  assert.ok(place('before stock') < place('after stock'), JSON.stringify(rows))
  const below = rows.slice(place('callFunction stock') + 1, place('counting') + 1)
  assert.deepEqual(
    below.map((row) => row.replace(/ ?LOG ?/i, '')),
    ['wait for a worker', 'run', 'counting'],
    'what the callee did stands below its call',
  )

  // A row opens where it stands, and trees fold.
  await page.click('#call .path details[hx-get] > summary .took')
  await page.shows('#call .path .inside', 'left')
  await page.shows('#call .values', 'deep')
  await page.evaluate(() => {
    for (const folded of document.querySelectorAll('#call .tree details:not([open])')) folded.open = true
  })
  await page.shows('#call .values', 'list')

  // The callee is a click away, and leads back; what is chosen stays chosen.
  await page.click('#call .path a[aria-label="The call that was made"]')
  await page.shows('#call', 'called by shop')
  await at('function', 'shop')
  await page.click('#call .close')
  await at('call', '')
  await at('function', 'shop')

  // A failure: what it says and where, the stack behind a click, without what is not the function's.
  const failed = await call('shop', { fail: true })
  await page.goto(`${origin}/calls?call=${failed.requestID}`)
  await page.shows('#call .error', 'out of stock')
  await page.shows('#call .error .place', 'cloudfunctions/shop/index.js:')
  assert.equal(await page.evaluate(() => document.querySelector('#call .error details').open), false)
  await page.click('#call .error summary')
  const stack = await page.text('#call .error pre')
  assert.ok(stack.includes('index.js') && !/node:internal|worker-/.test(stack), stack)

  // The button sends it again with the same event.
  await page.follow('#call .head .button', '/call')
  assert.deepEqual(JSON.parse(await page.evaluate(() => document.querySelector('#event').value)), {
    fail: true,
  })

  // One of an earlier run is made again as itself, or not at all: its event is not kept.
  await page.goto(`${origin}/calls?call=old-4321`)
  await page.follow('#call .head .button', '/call')
  await page.shows('#check', 'The event of this call is not kept')
  const again = await page.evaluate(() => {
    const { elements } = document.querySelector('form#call')
    const chosen = elements.function.selectedOptions[0]
    return [
      chosen.textContent,
      chosen.value,
      elements.event.value,
      document.querySelector('form#call').checkValidity(),
    ]
  })
  assert.deepEqual(again, ['old-two (is not there any more)', '', '', false])

  // The older page keeps the call beside it.
  await page.goto(`${origin}/calls?function=old-two&call=old-4321`)
  await page.shows('#call', 'old-4321')
  await page.click('#older')
  await counts('51–100 of 5000 calls')
  await at('call', 'old-4321')
  await page.shows('#call', 'old-4321')

  // What holds the list still stands in the address, wherever one goes from there.
  await page.goto(`${origin}/calls?function=old-two`)
  await page.click('#wanted input[name=paused]')
  await at('paused', '1')
  await page.until(() => document.querySelector('#calls > .still') !== null)
  await page.click('table.calls tbody a')
  await page.until(() => document.querySelector('#call.open') !== null)
  await at('paused', '1')
  await page.click('#older')
  await counts('51–100 of 5000 calls')
  await at('paused', '1')
  await page.click('#newest')
  await counts('1–50 of 5000 calls')
  await page.until(() => document.querySelector('#calls > .still') !== null)

  // A collection that is missing is made with one click, and a permission that is missing is given.
  const reads = await call('reads', {})
  await page.goto(`${origin}/calls?call=${reads.requestID}`)
  await page.click('#call .why button')
  await page.shows('#call .mending', 'Made: novels')
  await page.until(() => document.querySelector('#call .mending form').checkVisibility() === false)
  assert.deepEqual((await call('reads', {})).result, [])
  const checks = await call('checks', {})
  await page.goto(`${origin}/calls?call=${checks.requestID}`)
  await page.click('#call .why button')
  await page.shows('#call .mending', '✓')

  // A call that runs is seen while it runs, and fills itself when it ends.
  const folder = await mkdtemp(join(tmpdir(), 'yunqiao-gate-'))
  const gate = join(folder, 'open')
  const waiting = call('gate', { gate })
  await page.goto(`${origin}/calls`)
  await page.shows('ul.running', 'at the gate')
  await page.click('ul.running a')
  await page.shows('#call', 'still runs')
  await page.shows('#call .lines', 'at the gate')
  // It is asked for again and again, and while nothing comes nothing moves, nor does the keyboard.
  await page.evaluate(() => {
    window.asked = window.given_up = 0
    document.addEventListener('htmx:afterRequest', ({ detail }) => {
      window.asked += detail.elt.matches('[data-follows]')
    })
    document.addEventListener('htmx:sendAbort', () => {
      window.given_up += 1
    })
    window.line = document.querySelector('#call .lines li')
    document.querySelector('#call .copy').focus()
  })
  await page.until(() => window.asked >= 2)
  const stays = () => [window.line.isConnected, document.activeElement.matches('#call .copy')]
  assert.deepEqual(await page.evaluate(stays), [true, true])
  // Its end waits for whoever has something marked in it.
  const before = await page.evaluate(() => {
    getSelection().selectAllChildren(window.line)
    return window.asked
  })
  await writeFile(gate, '')
  assert.equal((await waiting).result, 'let through')
  await page.until((before) => window.asked > before, before)
  assert.equal(await page.evaluate(() => window.line.isConnected), true)
  await page.evaluate(() => getSelection().empty())
  await page.shows('#call .values', 'let through')

  // The call that was wanted last is shown, also where the answer to an earlier question is still under way.
  const [first, second] = [requestID, failed.requestID]
  const hold = (...patterns) =>
    page.send('Fetch.enable', { patterns: patterns.map((urlPattern) => ({ urlPattern })) })
  await hold(`*call=${first}*`, `*call=${second}*`)
  await page.click(`#call-${first}`)
  await page.click(`#call-${second}`)
  await page.until(() => window.given_up === 1)
  await page.send('Fetch.disable')
  await page.shows('#call', second)
  await at('call', second)
  // So it is where the other question is that of a call that runs.
  await rm(gate)
  const running = call('gate', { gate })
  await page.click('ul.running a')
  await page.shows('#call', 'still runs')
  await page.evaluate(() => {
    document.addEventListener('htmx:beforeSend', ({ detail }) => {
      window.sent = detail.elt.matches('[data-follows]')
    })
  })
  await hold('*/now?*')
  await page.until(() => window.sent)
  await page.click(`#call-${first}`)
  await page.until(() => window.given_up === 2)
  await page.send('Fetch.disable')
  await page.shows('#call', first)
  await writeFile(gate, '')
  await running
  await rm(folder, { recursive: true })

  // Whoever is at a row or at a slice of the timeline stays there while calls come.
  await page.goto(`${origin}/calls?function=stock`)
  const [row] = await page.until(() => {
    const row = document.querySelector('table.calls tbody a')
    row?.focus()
    return row && document.activeElement === row && [row.id]
  })
  const seen = async (requestID) =>
    page.until((id) => document.getElementById(`call-${id}`) !== null, requestID)
  await seen((await call('stock', { say: 'one' })).requestID)
  assert.equal(await page.evaluate(() => document.activeElement.id), row)
  await page.until(() => {
    document.querySelector('.timeline').focus()
    return document.activeElement.matches('.timeline')
  })
  await page.press('ArrowLeft')
  await page.press('ArrowLeft')
  const told = await page.text('.timeline .told')
  const pointed = () =>
    page.evaluate(() => {
      const { from, step, pointed } = document.querySelector('.timeline').dataset
      return Number(from) + Number(step) * Number(pointed)
    })
  const at_first = await pointed()
  // With the day before it where the time line begins on another one.
  assert.match(told, /^(\d\d-\d\d )?\d\d:\d\d:\d\d – (\d\d-\d\d )?\d\d:\d\d:\d\d · /)
  await seen((await call('stock', { say: 'two' })).requestID)
  assert.equal(await page.evaluate(() => document.activeElement.id), 'timeline')
  assert.equal(await pointed(), at_first)

  // Without a mouse: to the search, from call to call, into one, and out again.
  await page.goto(`${origin}/calls?function=shop`)
  await counts('1–2 of 2 calls')
  await page.press('/')
  await page.until(() => document.activeElement.name === 'q')
  await page.evaluate(() => document.querySelector('table.calls tbody a').focus())
  await page.press('ArrowDown')
  await page.press('Enter')
  await page.shows('#call', requestID)
  await page.until(() => document.activeElement.id === 'call')
  await page.press('Escape')
  await at('call', '')
  await page.until((id) => document.activeElement.id === `call-${id}`, requestID)

  // The timeline tells, and shows the calls of a moment alone.
  await page.goto(`${origin}/calls?function=shop&paused=1`)
  await page.until(() => {
    document.querySelector('.timeline').focus()
    return document.activeElement.matches('.timeline')
  })
  const newest = () => {
    const slices = document.querySelector('.timeline').dataset.slices.split(';')
    return slices.length - 1 - [...slices].reverse().findIndex((slice) => slice !== '')
  }
  const back = 60 - (await page.evaluate(newest))
  for (let step = 0; step < back; step += 1) await page.press('ArrowLeft')
  await page.shows('.timeline .told', 'calls')
  assert.match(await page.text('.timeline .told'), /calls [12] · failed [01] · p50 .* · p99 /)
  await page.press('Enter')
  await page.until(() => new URLSearchParams(location.search).has('from'))
  await page.shows('.timeline', 'Show all times')
  await page.until(() => document.querySelectorAll('table.calls tbody a').length > 0)
  await page.click('.timeline [data-set]')
  await at('from', '')
  await counts('1–2 of 2 calls')

  // What all functions print, as it comes, and the call that printed it.
  await page.goto(`${origin}/calls?view=logs`)
  await page.shows('ol.lines', 'before stock')
  await call('stock', { say: 'a word from stock' })
  await page.shows('ol.lines', 'a word from stock')
  await page.write('#wanted input[name=q]', 'a word')
  await page.until(() => document.querySelectorAll('ol.lines li').length === 1)
  await page.click('ol.lines a')
  await page.shows('#call .path', 'a word from stock')
  await at('view', 'logs')

  // On a phone the call stands in the place of the list, and nothing sticks out.
  await page.wide(390)
  for (const path of ['/calls', '/calls?view=logs', `/calls?call=${failed.requestID}`]) {
    await page.goto(origin + path)
    assert.ok(
      (await page.evaluate(() => document.documentElement.scrollWidth)) <= 390,
      `${path} is wider than a phone`,
    )
  }
  assert.equal(await page.evaluate(() => getComputedStyle(document.querySelector('.list')).display), 'none')
  await page.press('Escape')
  await page.until(() => getComputedStyle(document.querySelector('.list')).display !== 'none')

  // Of the times below the timeline those that are shown stand where they are.
  await page.goto(`${origin}/calls`)
  const ticks = await page.evaluate(() => {
    const axis = document.querySelector('.timeline .axis')
    const { left, width } = axis.getBoundingClientRect()
    const shown = [...axis.children].filter((tick) => getComputedStyle(tick).visibility !== 'hidden')
    return shown.map((tick) => Math.round(((tick.getBoundingClientRect().left - left) / width) * 100))
  })
  assert.deepEqual(ticks, [0, 50, 100])

  assert.deepEqual(browser.complaints, [])
})
