// Draws each page of the console, for people to look at: in both languages and both schemes, as wide as a desk's screen and as a phone's.
// Start `yunqiao dev` on a project made of the examples (docs/console/README.md says how), then:
// node tests/console/screenshots.mjs LINK GATEWAY WECHAT FOLDER [PAGE …]

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

import { browsing } from './browser.mjs'
import { fill, show } from './filled.mjs'

const [link, gateway, wechat, folder, ...only] = process.argv.slice(2)
const site = { origin: new URL(link).origin, gateway, wechat }
/** No picture is higher: what is below looks as what is above. */
const HIGHEST = 1400

await mkdir(folder, { recursive: true })
await browsing(async (browser) => {
  const page = await browser.open(link)
  const all = Object.entries(await fill(page, site))
  const pages = all.filter(([name]) => only.length === 0 || only.includes(name))
  for (const width of [1280, 390]) {
    await page.wide(width)
    for (const scheme of ['light', 'dark']) {
      await page.seenAs([{ name: 'prefers-color-scheme', value: scheme }])
      for (const lang of ['zh', 'en']) {
        for (const [name, shown] of pages) {
          await show(page, site, shown, lang)
          // What follows what happens is shown once it does.
          await page.until(() => document.fonts.status === 'loaded')
          await new Promise((resolve) => setTimeout(resolve, 500))
          const { cssContentSize } = await page.send('Page.getLayoutMetrics')
          const clip = {
            ...cssContentSize,
            width,
            height: Math.min(cssContentSize.height, HIGHEST),
            scale: 1,
          }
          const { data } = await page.send('Page.captureScreenshot', {
            format: 'png',
            clip,
            captureBeyondViewport: true,
          })
          await writeFile(join(folder, `${name}-${lang}-${scheme}-${width}.png`), data, 'base64')
        }
      }
    }
  }
})
