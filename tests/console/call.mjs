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

  // A body is any JSON, and nothing else; a GET has none.
  await page.shows('#check', 'a GET has no body')
  await page.choose('select[name=method]', 'PUT')
  await page.shows('#check', '✓ JSON')
  await page.write('input[name=path]', '/hook')
  await page.write('#event', '[1]')
  await page.shows('#check', '✓ JSON')
  await send('#result .value', '"[1]"')
  await page.write('#event', 'no json')
  await page.shows('#check .trouble', 'expected a value')
  await send('#result .trouble', 'expected a value')
  // A long answer is not taken for the whole.
  await page.write('#event', '{}')
  await page.write('input[name=path]', '/hook?long=40000')
  await send('#result .value h3', 'Copy the beginning')

  // What stands beside a result is done once more, whatever is written for the next call.
  await by('client')
  await page.choose('select[name=function]', 'echo')
  await page.write('#event', '{"kept": "as it was"}')
  await send('#result .values', 'as it was')
  const first = await page.evaluate(() => document.querySelector('#result .actions a').href)
  await page.choose('select[name=function]', 'whoami')
  await page.write('#event', '{"next": 1}')
  await page.click('#repeat')
  await page.until((first) => document.querySelector('#result .actions a')?.href !== first, first)
  await page.shows('#result .values', 'as it was')
  assert.equal(await event(), '{"next": 1}')

  // A call whose function and user are gone, and whose event is not kept, keeps nothing else from being sent.
  await page.goto(`${origin}/call?again=old`)
  await page.shows('#check', 'The event of this call is not kept')
  const isValid = () => page.evaluate(() => document.querySelector('form#call').checkValidity())
  assert.equal(await isValid(), false)
  await by('timer')
  assert.equal(await isValid(), true)
  await send('#result .values', 'it is nightly')
  await by('http')
  await page.write('input[name=path]', '/hook')
  await send('#result h2', '201')
  await by('push')
  await page.choose('select[name=user]', 'alice')
  await send('#result h2', 'Pushed')
  // Its own event must be written anew, and blanks are none.
  await by('client')
  await page.shows('#check', 'The event of this call is not kept')
  await page.choose('select[name=function]', 'echo')
  assert.deepEqual([await event(), await isValid()], ['', false])
  await page.write('#event', ' ')
  await send('#result .trouble', 'The event of this call is not kept')
  await page.write('#event', '{"anew": 1}')
  await send('#result .values', 'anew')

  assert.deepEqual(browser.complaints, [])
})
