// Whether everybody can read each page of the console: axe-core finds nothing serious and nothing critical in it, in both schemes and both
// languages, and whoever reads Chinese meets no English sentence. Arguments: the console's link, the gateway, the simulated WeChat, and
// axe-core's file.

import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'

import { browsing } from './browser.mjs'
import { fill, show } from './filled.mjs'

const [link, gateway, wechat, axe] = process.argv.slice(2)
const site = { origin: new URL(link).origin, gateway, wechat }
const source = await readFile(axe, 'utf8')

/** What the platform, a function or a file says is what it is in every language; and so is code. */
const OTHERS = 'code, pre, textarea, .text, .brief, .tree, .query, .path .what .dim, [lang=en]'

/** English sentences on the page, three words in a row, but for what others said: also within a Chinese sentence. */
const english = (others) => {
  const sentence = /\b[A-Za-z]?[a-z]+(?:[ ,]+[a-z]+){2,}/
  const texts = [document.title]
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const { parentElement, textContent } = walker.currentNode
    if (!parentElement.closest(`${others}, script`)) texts.push(textContent)
  }
  for (const element of document.querySelectorAll('[title], [aria-label], [placeholder], [alt]')) {
    if (element.closest(others)) continue
    for (const name of ['title', 'aria-label', 'placeholder', 'alt'])
      texts.push(element.getAttribute(name) ?? '')
  }
  // What another program says of an error may stand within a Chinese sentence.
  const own = (text) => text.replace(/\w*Error: .*/g, '')
  return texts.filter((text) => sentence.test(own(text))).map((text) => text.trim())
}

await browsing(async (browser) => {
  const page = await browser.open(link)
  const found = []
  const look = async (name, only) => {
    await page.send('Runtime.evaluate', { expression: source })
    const wrong = await page.evaluate(async (only) => {
      const { violations } = await axe.run(document, {
        resultTypes: ['violations'],
        ...(only && { runOnly: only }),
      })
      return violations
        .filter(({ impact }) => impact === 'serious' || impact === 'critical')
        .map(
          ({ id, help, nodes }) =>
            `${id}: ${help}: ${nodes.map(({ html }) => html.slice(0, 200)).join('\n    ')}`,
        )
    }, only)
    found.push(...wrong.map((text) => `${name}: ${text}`))
  }

  const pages = await fill(page, site)
  pages.missing = { path: '/nothing-here' }
  // What is wrong with what somebody writes, and with what they send.
  const write = async (path, event, selector) => {
    await page.goto(site.origin + path)
    await page.write('#event', event)
    await page.until((selector) => document.querySelector(selector) !== null, selector)
  }
  const faulty = `{'a': 1}`
  pages['no JSON'] = { path: '/call', open: () => write('/call', faulty, '#check .trouble') }
  pages['a field that is none'] = {
    path: '/push',
    open: async () => {
      await write('/push', '{"Contnet": "1"}', '#check .dim')
      await page.click('form#push button[type=submit]')
      await page.until(() => document.querySelector('#result .warn') !== null)
    },
  }
  pages['a letter that is gone'] = {
    path: '/push',
    open: () =>
      page.evaluate(async () => {
        const reply = await fetch('/push/dead/7/drop', { method: 'POST', headers: { 'hx-request': 'true' } })
        document.querySelector('#result').innerHTML = await reply.text()
      }),
  }
  pages['a field of the platform'] = {
    path: '/call',
    open: async () => {
      await write('/call', '{"tcbContext": 1}', '#check .dim')
      await page.click('form#call button[type=submit]')
      await page.until(() => document.querySelector('#result .why') !== null)
    },
  }
  for (const scheme of ['light', 'dark']) {
    await page.seenAs([{ name: 'prefers-color-scheme', value: scheme }])
    for (const lang of ['en', 'zh']) {
      for (const [name, shown] of Object.entries(pages)) {
        await show(page, site, shown, lang)
        // Colours are all that a scheme changes.
        await look(`${name}, ${scheme}, ${lang}`, scheme === 'dark' ? ['color-contrast'] : undefined)
        if (lang === 'zh' && scheme === 'light') {
          const said = await page.evaluate(english, OTHERS)
          found.push(...said.map((text) => `${name} says in English: ${text}`))
        }
      }
    }
  }
  // On a phone some things stand elsewhere, or are not shown.
  await page.wide(390)
  for (const [name, shown] of Object.entries(pages)) {
    await show(page, site, shown, 'zh')
    await look(`${name}, on a phone`)
  }
  assert.deepEqual(found, [])
})
