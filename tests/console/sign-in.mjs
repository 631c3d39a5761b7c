// Signing in, as a person meets it: it outlives a restart of `yunqiao dev`; one that is lost says so and how to come back.
//
//   node sign-in.mjs YUNQIAO PROJECT PORT      PORT is the operator's

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'
import { browsing } from './browser.mjs'

const [yunqiao, project, port] = process.argv.slice(2)
let dev

async function start() {
  const ports = ['--port', '0', '--wechat-port', '0', '--operator-port', port]
  // Something else on this machine may have the port for a while that was free.
  for (let tries = 300; tries > 0; tries -= 1) {
    dev = spawn(yunqiao, ['dev', project, '--json', ...ports], { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = once(dev, 'close').then(() => [])
    const [line] = await Promise.race([once(createInterface(dev.stdout), 'line'), ended])
    if (line) return JSON.parse(line).console
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error('`yunqiao dev` does not start')
}

async function stop() {
  const ended = once(dev, 'exit')
  dev.kill()
  await ended
  dev = undefined
}

const seen = (id) => (page) => page.until((id) => !document.getElementById(id).hidden, id)
const gone = (id) => (page) => page.until((id) => document.getElementById(id).hidden, id)

try {
  await browsing(async (browser) => {
    const page = await browser.open(await start())
    await page.shows('h1', 'Functions')

    // The server is gone, and comes back: the page follows again, with the sign-in that it had.
    await stop()
    await seen('offline')(page)
    await start()
    await gone('offline')(page)
    await gone('signed-out')(page)
    await page.goto(`http://127.0.0.1:${port}/`)
    await page.shows('h1', 'Functions')

    // It does not know this browser any more: that is something else, and a link leads back.
    await stop()
    await rm(join(project, '.yunqiao/sign-in.key'))
    const used = await start()
    await seen('signed-out')(page)
    await gone('offline')(page)
    await page.click('#signed-out a')
    await page.shows('body', 'yunqiao console')
    const link = execFileSync(yunqiao, ['console', '--dir', project], { encoding: 'utf8' }).trim()
    await page.goto(link)
    await page.shows('h1', 'Functions')

    // Another one's link is good once, and says so afterwards.
    await page.goto(used)
    await page.send('Network.clearBrowserCookies')
    await page.goto(used)
    await page.shows('[role=alert]', 'This link has been used')

    // A file leads there, which is no page of the console's; looked at again, it says the same.
    const env = { ...process.env, BROWSER: 'true' }
    execFileSync(yunqiao, ['console', '--open', '--dir', project], { env })
    const file = pathToFileURL(join(project, '.yunqiao/console.html')).href
    await page.goto(file)
    await page.shows('h1', 'Functions')
    await page.send('Network.clearBrowserCookies')
    await page.goto(file)
    await page.shows('[role=alert]', 'This link has been used')
  })
} finally {
  dev?.kill()
}
assert.ok(dev)
