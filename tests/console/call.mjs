// The page Call: a function called by a client, its timer and over HTTP; what came back beside it, what was sent before offered again.
// Arguments: the console's link. The project has `echo`, `job` with a timer, `hook` behind a route, and tests that Jest runs.

import assert from 'node:assert/strict'

import { browsing } from './browser.mjs'

const [link] = process.argv.slice(2)
const { origin } = new URL(link)
const CONTROL = 2

await browsing(async (browser) => {
  const page = await browser.open(link)
  await page.wide(1280)
  const event = () => page.evaluate(() => document.querySelector('#event').value)
  const by = (name) => page.choose('select[name=by]', name)
  const send = async (selector, text) => {
    await page.click('form#call button[type=submit]')
    await page.shows(selector, text)
  }
  const seen = (selector) =>
    page.evaluate((selector) => document.querySelector(selector).checkVisibility(), selector)

  // By a client; what comes back stands beside the form.
  await page.goto(`${origin}/call?function=echo`)
  await page.shows('#result', 'What comes back stands here.')
  await page.write('#event', '{"first": "one"}')
  await page.press('Enter', CONTROL)
  await page.shows('#result .values', 'first')
  const [form, result] = await page.evaluate(() =>
    ['form#call', '#result'].map((selector) =>
      document.querySelector(selector).getBoundingClientRect().toJSON(),
    ),
  )
  assert.ok(result.left >= form.right && result.top < form.bottom, JSON.stringify({ form, result }))

  // The test is for what runs the project's tests; what a client hands over is folded away.
  await page.shows('#as-test summary', 'For Jest')
  assert.match(
    await page.evaluate(() => document.querySelector('#test').textContent),
    /npx jest[\s\S]*expect\(reply\.errMsg\)/,
  )
  assert.equal(await seen('input[name=with-weRunData]'), false)

  // What was sent is remembered, for each function, and outlives the page.
  await page.write('#event', '{"second": "two"}')
  await send('#result .values', 'second')
  await page.choose('select[name=function]', 'job')
  assert.equal(await event(), '{}')
  await page.choose('select[name=function]', 'echo')
  assert.equal(await event(), '{"second": "two"}')
  await page.goto(`${origin}/call?function=echo`)
  await page.until(() => document.querySelectorAll('#remembered option').length === 3)
  await page.choose('#remembered', '{"first": "one"}')
  assert.equal(await event(), '{"first": "one"}')
  await page.shows('#check', 'a JSON object')
  // What somebody writes and did not send stays.
  await page.write('#event', '{"third": 3}')
  await page.choose('select[name=function]', 'whoami')
  assert.equal(await event(), '{"third": 3}')

  // By its timer: what is no matter of a timer's is not asked.
  await by('timer')
  for (const selector of ['#event', 'select[name=function]', 'select[name=user]'])
    assert.equal(await seen(selector), false)
  await page.choose('select[name=timer]', 'job/nightly')
  await send('#result .values', 'it is nightly')
  await page.shows('#command', 'yunqiao call job --timer nightly --dir ')

  // Over HTTP.
  await by('http')
  await page.write('input[name=path]', '/hook?a=b')
  await page.write('#event', '{"to": "the hook"}')
  await send('#result .value', 'httpMethod')
  await page.shows('#result h2', '201')
  await page.shows('#result .value', 'the hook')
  await page.shows('#result .path', 'run')
  await page.shows('#command', '/hook?a=b')
  await page.choose('select[name=method]', 'GET')
  await send('#result .value', 'GET')
  await page.write('input[name=path]', 'hook')
  await send('#result .trouble', 'a path begins with a slash')
  await page.write('input[name=path]', '/nothing')
  await send('#result h2', '404')
  await page.shows('#result', 'No function was called for it.')

  assert.deepEqual(browser.complaints, [])
})
