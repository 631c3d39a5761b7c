// The page Call in production, where nobody is simulated: a function is called as an openid, and by its timer, which needs none.
// Arguments: the operator's listener, the operator's secret. The project has `whoami`, and `job` with a timer.

import assert from 'node:assert/strict'

import { browsing } from './browser.mjs'

const [origin, secret] = process.argv.slice(2)

await browsing(async (browser) => {
  const page = await browser.open(`${origin}/`)
  await page.write('input[name=secret]', secret)
  await page.click('button')
  await page.shows('h1', 'Functions')
  // That nobody was let in without the secret is no complaint of this page.
  browser.complaints.length = 0

  await page.goto(`${origin}/call?function=job`)
  await page.shows('.notice', 'This is production')
  const isValid = () => page.evaluate(() => document.querySelector('form#call').checkValidity())
  assert.equal(await isValid(), false, 'whose call is it?')
  await page.choose('select[name=by]', 'timer')
  assert.equal(await isValid(), true)
  await page.click('form#call button[type=submit]')
  await page.shows('#result .values', 'it is nightly')

  await page.choose('select[name=by]', 'client')
  await page.choose('select[name=function]', 'whoami')
  await page.write('input[name=user]', 'o-somebody')
  await page.click('form#call button[type=submit]')
  await page.shows('#result h2', 'whoami')
  await page.shows('#result .values', 'o-somebody')

  // What stands beside it is done once more, whatever is written for the next call.
  const shown = () => page.evaluate(() => document.querySelector('#result .actions a').href)
  const first = await shown()
  await page.write('input[name=user]', 'o-else')
  await page.click('#repeat')
  await page.until((first) => document.querySelector('#result .actions a')?.href !== first, first)
  await page.shows('#result .values', 'o-somebody')
  assert.deepEqual(browser.complaints, [])
})
