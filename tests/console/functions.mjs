// The page Functions, as a person uses it: what is broken comes first, a search leaves what is sought, a call makes a function loaded, and a
// button mends what the doctor can mend. Arguments: the console's link, the gateway, the simulated WeChat.

import assert from 'node:assert/strict'

import { browsing } from './browser.mjs'

const [link, gateway, wechat] = process.argv.slice(2)
const { origin } = new URL(link)

const post = async (url, body, token) => {
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
  return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json()
}
const { code } = await post(`${wechat}/sim/client`, { user: 'alice', api: 'login' })
const { token } = await post(`${gateway}/v1/login`, { code })
const call = (name, data = {}) => post(`${gateway}/v1/functions/${name}`, { data }, token)

await browsing(async (browser) => {
  const page = await browser.open(link)
  const names = () =>
    page.evaluate(() =>
      [...document.querySelectorAll('.function')]
        .filter((card) => !card.hidden)
        .map((card) => card.dataset.name),
    )
  await page.shows('.function[data-name=works]', 'not loaded yet')
  assert.deepEqual(await names(), ['torn', 'checks', 'alone', 'reads', 'whoami', 'works'])
  await page.shows('.function[data-name=torn] .badge', 'cannot run')

  // Only what differs from the default; the next tick in the timers' zone.
  const facts = await page.text('.function[data-name=works]')
  assert.ok(facts.includes('7 s') && !facts.includes('256 MB') && !facts.includes('instances'), facts)
  assert.match(facts, /next \d{4}-\d\d-\d\d 09:00:00 UTC\+08:00/)

  // A call that went well, and one that did not.
  await call('works')
  await page.shows('.function[data-name=works] .badge', '✓ loaded')
  await call('alone')
  await page.shows('.function[data-name=alone] .badge', 'last call failed')
  assert.deepEqual(await names(), ['torn', 'alone', 'checks', 'reads', 'whoami', 'works'])

  // Whatever comes meanwhile, the search holds.
  await page.write('#search', 'WORK')
  await page.until(() => document.querySelectorAll('.function:not([hidden])').length === 1)
  await call('works')
  assert.deepEqual(await names(), ['works'])
  await page.write('#search', '')

  // What is mended is loaded anew, and no longer wrong.
  await page.click('.function[data-name=checks] .mend button')
  await page.until(() => document.querySelector('.function[data-name=checks] .findings') === null)
  // What was done stays to be read.
  await page.shows('#said .notice', 'config.json')
  assert.ok((await page.text('#told')).includes('config.json'), 'it is read out')

  // A collection that a call misses is made beside it.
  const { requestID } = await call('reads')
  await page.goto(`${origin}/calls?call=${requestID}`)
  await page.click('#call .mend button')
  await page.shows('#call .mending', 'Made: todos')
  const { result } = await call('reads')
  assert.deepEqual(result.data, [])

  // A template that a call misses is added where the link leads.
  const { requestID: missed } = await call('reads', { send: true })
  await page.goto(`${origin}/calls?call=${missed}`)
  await page.follow('#call .why a.button', '/wechat')
  await page.until(() => document.querySelector('#add-template').open)

  assert.deepEqual(browser.complaints, [])
})
