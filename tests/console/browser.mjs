// A headless Chromium, driven over a pipe by its own protocol: pages are opened, clicked and read as a person would.

import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const NAMES = [process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome'].filter(Boolean)
const PATIENCE = 20e3
/** How long a browser may take to answer what it is asked, however busy the machine. */
const ANSWERED_WITHIN = 120e3

/** Starts a browser, hands it to `job`, and ends it. */
export async function browsing(job) {
  const profile = await mkdtemp(join(tmpdir(), 'yunqiao-console-'))
  const browser = await start([
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--no-proxy-server',
    '--remote-debugging-pipe',
    `--user-data-dir=${profile}`,
    '--lang=en',
    'about:blank',
  ])
  try {
    return await job(new Browser(browser))
  } finally {
    browser.kill('SIGKILL')
    await browser.ended
    await rm(profile, { recursive: true, force: true, maxRetries: 20 })
  }
}

async function start(flags) {
  for (const name of NAMES) {
    const browser = spawn(name, flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] })
    browser.ended = new Promise((resolve) => browser.once('close', resolve))
    const started = await new Promise((resolve) => {
      browser.once('spawn', () => resolve(true))
      browser.once('error', () => resolve(false))
    })
    if (started) return browser
  }
  throw new Error(`there is none of ${NAMES.join(', ')}: install chromium, or name one in CHROMIUM`)
}

class Browser {
  #asked = new Map()
  #last = 0
  #pipe
  /** What pages complained of: exceptions, refused scripts and styles. */
  complaints = []

  constructor(process) {
    this.#pipe = process.stdio[3]
    // The browser may be gone before it has read everything.
    this.#pipe.on('error', () => {})
    let text = ''
    process.stdio[4].setEncoding('utf8').on('data', (chunk) => {
      const messages = (text + chunk).split('\0')
      text = messages.pop()
      for (const message of messages) this.#heard(JSON.parse(message))
    })
    process.ended.then(() => {
      for (const { reject } of this.#asked.values()) reject(new Error('the browser ended'))
    })
  }

  #heard({ id, result, error, method, params }) {
    if (id) {
      const { resolve, reject } = this.#asked.get(id)
      this.#asked.delete(id)
      return error ? reject(new Error(error.message)) : resolve(result)
    }
    if (method === 'Runtime.exceptionThrown')
      this.complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text)
    if (method === 'Log.entryAdded' && params.entry.level === 'error') this.complaints.push(params.entry.text)
    if (method === 'Runtime.consoleAPICalled' && ['error', 'warning'].includes(params.type)) {
      const text = params.args.map(({ value }) => value).join(' ')
      // What is given up for something that is wanted more is no fault; of a request that fails htmx says more than these.
      if (!/^htmx:(afterRequest|sendAbort)\b/.test(text)) this.complaints.push(text)
    }
  }

  send(method, params = {}, sessionId) {
    const id = ++this.#last
    this.#pipe.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    return new Promise((resolve, reject) => {
      this.#asked.set(id, { resolve, reject })
      setTimeout(() => reject(new Error(`${method} is not answered`)), ANSWERED_WITHIN).unref()
    })
  }

  async open(url) {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' })
    const { sessionId } = await this.send('Target.attachToTarget', { targetId, flatten: true })
    const page = new Page((method, params) => this.send(method, params, sessionId))
    for (const domain of ['Page', 'Runtime', 'Log']) await page.send(`${domain}.enable`)
    await page.goto(url)
    return page
  }
}

class Page {
  constructor(send) {
    this.send = send
  }

  async goto(url) {
    await this.send('Page.navigate', { url })
    await this.until(() => document.readyState === 'complete' && location.href !== 'about:blank')
  }

  /** What a function gives in the page. */
  async evaluate(what, ...args) {
    const expression = `(${what})(...${JSON.stringify(args)})`
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text)
    return result.value
  }

  /** Waits until a function gives something in the page, and gives that. */
  async until(what, ...args) {
    const deadline = Date.now() + PATIENCE
    for (;;) {
      // A page that is being left answers nothing.
      const found = await this.evaluate(what, ...args).catch((error) =>
        Date.now() < deadline ? undefined : Promise.reject(error),
      )
      if (found) return found
      if (Date.now() > deadline) {
        throw new Error(
          `it did not happen: ${what} of ${JSON.stringify(args)}, on the page: ${await this.text('body')}`,
        )
      }
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  text(selector) {
    return this.evaluate((selector) => document.querySelector(selector)?.innerText ?? '', selector)
  }

  /** Waits until the text is there. */
  shows(selector, text) {
    return this.until(
      (selector, text) => document.querySelector(selector)?.innerText.includes(text),
      selector,
      text,
    )
  }

  /**
   * Clicks what is seen there, with the mouse: again where the page moved below the mouse, or put another element in its place
   * between press and release.
   */
  async click(selector) {
    for (;;) {
      const [x, y] = await this.until((selector) => {
        const found = document.querySelector(selector)
        found?.scrollIntoView({ block: 'center', behavior: 'instant' })
        const box = found?.getBoundingClientRect()
        if (!box?.width) return undefined
        const [x, y] = [box.x + box.width / 2, box.y + box.height / 2]
        if (!found.contains(document.elementFromPoint(x, y))) return undefined
        const seen = ({ target }) => {
          window.awaited = !target.closest?.(selector)
        }
        window.awaited = true
        document.addEventListener('click', seen, { capture: true, once: true })
        return [x, y]
      }, selector)
      const mouse = { x, y, button: 'left', clickCount: 1 }
      await this.send('Input.dispatchMouseEvent', { type: 'mousePressed', ...mouse })
      await this.send('Input.dispatchMouseEvent', { type: 'mouseReleased', ...mouse })
      // A page that was left, or that is another by now, was left by the click.
      if (!(await this.evaluate(() => window.awaited).catch(() => false))) return
    }
  }

  /** Clicks a link, and waits for the page that it leads to. */
  async follow(selector, path) {
    await this.click(selector)
    await this.until((path) => location.pathname === path && document.readyState === 'complete', path)
  }

  async press(key, modifiers = 0) {
    const code = {
      Enter: 13,
      Tab: 9,
      Escape: 27,
      ArrowLeft: 37,
      ArrowUp: 38,
      ArrowRight: 39,
      ArrowDown: 40,
      '/': 191,
    }[key]
    for (const type of ['keyDown', 'keyUp'])
      await this.send('Input.dispatchKeyEvent', {
        type,
        key,
        code: key,
        modifiers,
        windowsVirtualKeyCode: code,
        // Without it a button is not pressed, and a form not sent.
        ...(key === 'Enter' && modifiers === 0 && { text: '\r' }),
      })
  }

  /** Writes into a field, in place of what it held. */
  async write(selector, text) {
    await this.click(selector)
    await this.evaluate((selector) => document.querySelector(selector).select(), selector)
    await this.send('Input.insertText', { text })
  }

  async choose(selector, value) {
    await this.evaluate(
      (selector, value) => {
        const select = document.querySelector(selector)
        select.value = value
        select.dispatchEvent(new Event('change', { bubbles: true }))
      },
      selector,
      value,
    )
  }

  async seenAs(features) {
    await this.send('Emulation.setEmulatedMedia', { features })
  }

  async wide(width) {
    await this.send('Emulation.setDeviceMetricsOverride', {
      width,
      height: 800,
      deviceScaleFactor: 1,
      mobile: false,
    })
  }
}
