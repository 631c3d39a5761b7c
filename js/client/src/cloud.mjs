// The cloud: what `wx.cloud` is to an app, as far as it is served by a server of its owner's.

import { CloudID, CLOUD_ID_LIFE } from './cloud-id.mjs'
import { body, fields } from './encode.mjs'
import { failed, failure } from './failure.mjs'
import { OpenData } from './open-data.mjs'
import { Session } from './session.mjs'
import { promised, settle } from './settle.mjs'
import { Simulator } from './simulator.mjs'
import { post } from './transport.mjs'

export class Cloud {
  constructor(wx) {
    this.wx = wx
    /** WeChat's own APIs, where `install` put others in their places. */
    this.natives = {}
    this.installed = false
    this.settings = undefined
    this.endpoint = undefined
    this.simulator = undefined
    this.session = new Session(() => this.logIn())
    this.openData = new OpenData((data, once) => this.ask('/v1/open-data', JSON.stringify(data), once))
  }

  /** Again, it changes what is given: an app's own `wx.cloud.init` may stay as it is where `endpoint` was given before. */
  init(options) {
    const before = this.settings || {}
    const settings = Object.assign({}, before, options)
    const { endpoint, login, simulate } = settings
    if (!/^https?:\/\/[^/]/.test(endpoint)) {
      throw failed('cloud.init', `endpoint should be the address of your server, such as https://cloud.example.com, instead of ${endpoint}`)
    }
    if (login && typeof login !== 'function') {
      throw failed('cloud.init', `login should be a function that gives a code instead of ${typeof login}`)
    }
    this.settings = settings
    if (endpoint === before.endpoint && login === before.login && simulate === before.simulate) return
    this.endpoint = endpoint.replace(/\/+$/, '')
    this.simulator = simulate ? new Simulator(this.wx, simulate, endpoint) : undefined
    this.session = new Session(() => this.logIn())
    // Open data is encrypted with the key of the last login: be logged in before the app takes any.
    if (this.installed) this.session.begin()
  }

  callFunction(options) {
    options = options || {}
    const calling = this.call(options).catch((error) => {
      throw failed('cloud.callFunction', error)
    })
    return settle(options, calling)
  }

  async call({ name, data }) {
    if (!this.settings) {
      throw failure('Cloud API isn\'t enabled, please call init first, with the endpoint of your server')
    }
    if (typeof name !== 'string' || !name) {
      throw failure(`parameter.name should be ${name === '' ? 'the name of a function' : 'string'} instead of ${name === '' ? 'empty' : typeof name};`)
    }
    const sent = fields(data)
    await Promise.all(
      sent.map(async (field) => {
        if (field.id !== undefined) field.id = await this.openData.cloudID(field.id)
      }),
    )
    const { result, errMsg, requestID, warnings } = await this.ask(`/v1/functions/${encodeURIComponent(name)}`, body(sent))
    for (const { field, errMsg } of warnings || []) console.warn(`data.${field}: ${errMsg}`)
    return { result, errMsg, requestID }
  }

  /** Asks the server as the user. A token that has ended is a reason for one new login, and for asking once more. */
  async ask(path, text, once) {
    const { session } = this
    const url = this.endpoint + path
    const token = await session.token()
    return post(this.wx, url, text, token).catch(async (error) => {
      if (error.status !== 401 || once) throw error
      session.end(token)
      return post(this.wx, url, text, await session.token())
    })
  }

  async logIn() {
    const code = await this.code()
    if (typeof code !== 'string' || !code) throw failure(`login gave no code but ${code}`)
    return post(this.wx, `${this.endpoint}/v1/login`, JSON.stringify({ code }))
  }

  async code() {
    const { login } = this.settings
    if (login) return login()
    if (!this.simulator && !(this.wx && this.wx.login)) {
      throw failure('there is no wx.login here: give init a `login`, a function that gives a code')
    }
    return (await this.native('login')).code
  }

  /** What the user's WeChat gives: the simulated one's, where there is one. */
  native(api, options) {
    if (this.simulator) return this.simulator.call(api, options)
    return promised(this.wx, this.natives[api] || this.wx[api], options)
  }

  /** Resolves when open data may be taken: it will be encrypted with a key that the server knows. */
  async ready() {
    if (this.settings) await this.session.token(CLOUD_ID_LIFE).catch(() => {})
  }

  /**
   * The app has logged in by itself, which may have rotated the key. The server learns the new one by a login at once:
   * WeChat does not rotate again so soon. What was taken before is exchanged first, and a login under way ends first, or
   * the server would end with the older key.
   */
  renew() {
    const { session } = this
    if (!session.login) return
    const exchanged = this.openData.flush()
    session.begin(Promise.all([exchanged, session.login.token.catch(() => {})]))
  }
}

Cloud.prototype.CloudID = CloudID
