'use strict'

/*
 * The simulated WeChat, as this phone and this test reach it: its own API below /sim/. What the client asks goes one
 * after the other, in the order in which the app asked: a real client's calls do not overtake each other either, and
 * a login and what is encrypted with its session_key may be asked for in one breath.
 */

const { Failure } = require('./call')
const { exchange } = require('./http')

const HOW = 'start one with `yunqiao simulate`, or run the tests through `yunqiao exec -- …`'

class Simulator {
  #url
  #app = null
  #last = Promise.resolve()

  /** `url` is where the simulator listens; `appid` what it plays for, if the test knows it already. */
  constructor(url, appid) {
    if (typeof url !== 'string' || !/^https?:\/\/[^/]/.test(url)) {
      throw new TypeError(
        `createWx({ wechat }) wants the address of a simulated WeChat, not ${JSON.stringify(url)}: ${HOW}`,
      )
    }
    this.#url = url.replace(/\/+$/, '')
    this.appid = appid
  }

  /** What `GET /sim/<path>` tells. */
  get(path) {
    return this.#ask('GET', path)
  }

  /** What `POST /sim/<path>` answers. */
  post(path, body) {
    return this.#ask('POST', path, body)
  }

  /** `GET /sim/app`, asked once. */
  app() {
    this.#app ??= this.get('app').then(
      (app) => {
        this.appid ??= app.appid
        return app
      },
      (error) => {
        this.#app = null
        throw error
      },
    )
    return this.#app
  }

  /** What `user`'s client is answered to `api`: the result without its errMsg, or a {@link Failure}. */
  async client(user, api, options) {
    const before = this.#last
    const asked = before.then(() => this.post('client', { ...options, user, api }))
    this.#last = asked.catch(() => {})
    let answer
    try {
      answer = await asked
    } catch (error) {
      throw new Failure(error.message)
    }
    const { errMsg, ...rest } = answer
    if (typeof errMsg !== 'string')
      throw new Failure(`${this.#url} is no simulated WeChat: it answers without an errMsg`)
    if (errMsg === `${api}:ok`) return rest
    throw new Failure(errMsg.replace(`${api}:fail`, '').trimStart(), rest)
  }

  async #ask(method, path, body) {
    const url = `${this.#url}/sim/${path}`
    let reply
    try {
      reply = await exchange({
        url,
        method,
        headers: body === undefined ? {} : { 'content-type': 'application/json' },
        body: body === undefined ? null : JSON.stringify(body),
      }).done
    } catch (error) {
      throw new Error(`no simulated WeChat answers at ${url} (${error.message || error.code}): ${HOW}`, {
        cause: error,
      })
    }
    const answer = jsonObject(reply.body)
    if (answer === null) {
      const shown = reply.body.toString().slice(0, 100)
      throw new Error(`${url} is no simulated WeChat: it answers ${reply.statusCode} ${shown}`)
    }
    if (reply.statusCode !== 200) throw new Error(answer.errMsg ?? `${url} answers ${reply.statusCode}`)
    return answer
  }
}

/** What the text says, if it is an object's; else null. */
function jsonObject(bytes) {
  try {
    const value = JSON.parse(bytes.toString())
    return typeof value === 'object' ? value : null
  } catch {
    return null
  }
}

module.exports = { Simulator }
