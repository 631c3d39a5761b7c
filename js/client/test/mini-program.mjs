// A stand-in for a Mini Program: a JavaScript world of its own, with `App`, `Page`, `Component` and the `wx` for tests of
// js/wx, and with nothing of Node's or a browser's.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import vm from 'node:vm'

import { wechat } from './support.mjs'

const { createWx } = createRequire(import.meta.url)('../../wx')

const main = fileURLToPath(new URL('../index.js', import.meta.url))

export class MiniProgram {
  /** @param user whose phone it is  @param cloud what the base library has at `wx.cloud` */
  constructor(user, cloud) {
    const wx = createWx({ wechat, user })
    /** The hold on the phone: `tap`, `deny` … */
    this.phone = wx.simulator
    /** The APIs that were called, and the requests that were made: `{url, sent, status, got}`. */
    this.called = []
    this.requests = []
    this.pages = []
    this.components = []
    this.warned = []
    /** Whether a login gives a new session_key, and how long after it the app hears of it, in milliseconds. */
    this.rotates = false
    this.late = 0
    this.world = vm.createContext(
      {
        setTimeout,
        clearTimeout,
        setInterval,
        clearInterval,
        console: { ...console, warn: (text) => this.warned.push(text) },
        wx: this.wx(wx, cloud),
        App: (options) => (this.app = options),
        Page: (options) => this.pages.push(options),
        Component: (options) => this.components.push(options),
      },
      { codeGeneration: { strings: false, wasm: false } },
    )
    this.client = undefined
  }

  /** Its members have getters alone, as the base library's. */
  wx(real, cloud) {
    const members = { cloud, request: (options) => real.request(this.recorded(options)) }
    for (const [name, api] of Object.entries(real)) {
      if (typeof api !== 'function' || name === 'request') continue
      members[name] = (options) => {
        this.called.push(name)
        return name === 'login' && (this.rotates || this.late) ? this.login(api, options) : api(options)
      }
    }
    const wx = {}
    for (const [name, member] of Object.entries(members)) {
      Object.defineProperty(wx, name, { get: () => member, enumerable: true, configurable: true })
    }
    return wx
  }

  login(login, { success, ...options }) {
    const rotated = this.rotates ? this.phone.rotateSessionKey() : Promise.resolve()
    const { late } = this
    rotated.then(() => login({ ...options, success: (result) => delay(late, result).then(success) }))
  }

  recorded({ success, ...options }) {
    if (typeof options.data !== 'string') return { success, ...options }
    return {
      ...options,
      success: (reply) => {
        const { url, data } = options
        this.requests.push({
          url,
          sent: JSON.parse(data),
          status: reply.statusCode,
          got: JSON.parse(reply.data),
        })
        success(reply)
      },
    }
  }

  /** Runs a file of the app's, which may require the client. */
  run(source, filename = 'app.js') {
    const module = { exports: {} }
    const require = (name) => {
      assert.equal(name, '@yunqiao/client')
      this.client ??= this.run(readFileSync(main, 'utf8'), main)
      return this.client
    }
    vm.runInContext(`(function (require, module, exports) {${source}\n})`, this.world, { filename })(
      require,
      module,
      module.exports,
    )
    return module.exports
  }

  /** Requests to the server at this path. */
  to(path) {
    return this.requests.filter(({ url }) => new URL(url).pathname === path)
  }

  /** The result of the function's only call, once it was made. */
  async result(name) {
    const path = `/v1/functions/${name}`
    for (let tries = 0; !this.to(path).length; tries++) {
      assert(tries < 1000, `${name} was not called`)
      await delay(10)
    }
    const [{ status, got }, ...more] = this.to(path)
    assert.equal(more.length, 0)
    assert.equal(status, 200, JSON.stringify(got))
    return got.result
  }
}
