// The cloud: what `wx.cloud` is to an app, as far as it is served by a server of its owner's.

import { CLOUD_ID_LIFE } from './cloud-id.mjs'
import { encode } from './encode.mjs'
import { failed, failure, notCalled } from './failure.mjs'
import { CDN, files } from './files.mjs'
import { OpenData } from './open-data.mjs'
import { Session } from './session.mjs'
import { promised, settle } from './settle.mjs'
import { Simulator } from './simulator.mjs'
import { post } from './transport.mjs'

export class Cloud {
  /**
   * @param parts `Carriage`, by which files go where there is no wx, and `database`, which makes the database of a cloud, where it has
   * one
   */
  constructor(wx, { Carriage, database }) {
    this.wx = wx
    this.Carriage = Carriage
    this.database = database
    this.settings = undefined
    this.endpoint = undefined
    this.simulator = undefined
    this.session = undefined
    this.openData = new OpenData((data, token) => this.exchange(JSON.stringify(data), token))
    this.files = files(this)
    /** WeChat's own APIs, where `install` put others in their places. */
    this.natives = {}
    this.installed = false
    /** A login that the app makes by itself, while it is under way. */
    this.appLogin = undefined
  }

  /** Again, it changes what is given: an app's own `wx.cloud.init` may stay as it is where `endpoint` was given before. */
  init(options) {
    const before = this.settings || {}
    const settings = Object.assign({}, before, options)
    const { endpoint, login, simulate } = settings
    if (!/^https?:\/\/[^/]/.test(endpoint)) {
      throw failed(
        'cloud.init',
        `endpoint should be the address of your server, such as https://cloud.example.com, instead of ${endpoint}`,
      )
    }
    if (login && typeof login !== 'function') {
      throw failed('cloud.init', `login should be a function that gives a code instead of ${typeof login}`)
    }
    this.settings = settings
    if (endpoint === before.endpoint && login === before.login && simulate === before.simulate) return
    this.endpoint = endpoint.replace(/\/+$/, '')
    this.simulator = simulate ? new Simulator(this.wx, simulate, endpoint) : undefined
    this.session = new Session(
      () => this.logIn(),
      (token) => this.openData.flush(token),
    )
    // Open data is encrypted with the key of the last login: be logged in before the app takes any.
    if (this.installed) this.session.begin()
  }

  callFunction(options) {
    options = options || {}
    const calling = this.call(options).catch((error) => {
      throw notCalled(error)
    })
    return settle(options, calling)
  }

  async call({ name, data }) {
    this.isEnabled()
    if (typeof name !== 'string') throw failure(`parameter.name should be string instead of ${typeof name};`)
    if (!name) throw failure('parameter.name should be the name of a function instead of empty;')
    const body = await this.openData.redeem(encode(await this.uploaded(data)))
    const answer = await this.ask(`/v1/functions/${encodeURIComponent(name)}`, body)
    const { result, errMsg, requestID, warnings } = answer
    for (const { field, errMsg } of warnings || []) console.warn(`data.${field}: ${errMsg}`)
    return { result, errMsg, requestID }
  }

  isEnabled() {
    if (!this.settings) {
      throw failure("Cloud API isn't enabled, please call init first, with the endpoint of your server")
    }
  }

  /** `data` with the addresses of what its `CDN`s hold. */
  async uploaded(data) {
    const held = Object.keys(Object(data)).filter((key) => data[key] instanceof CDN)
    if (!held.length) return data
    const addresses = await Promise.all(held.map((key) => this.files.address(data[key])))
    return Object.assign({}, data, ...held.map((key, at) => ({ [key]: addresses[at] })))
  }

  async exchange(text, token) {
    const path = '/v1/open-data'
    if (token) return post(this.wx, this.endpoint + path, text, token)
    await this.appLogin
    return this.ask(path, text)
  }

  /** Asks the server as the user. A token that has ended is a reason for one new login, and for asking once more. */
  async ask(path, text) {
    this.isEnabled()
    const { session } = this
    const url = this.endpoint + path
    const token = await session.token()
    return post(this.wx, url, text, token).catch(async (error) => {
      if (error.status !== 401) throw error
      session.end(token)
      return post(this.wx, url, text, await session.token())
    })
  }

  async logIn() {
    const code = await this.code()
    if (typeof code !== 'string' || !code) throw failure(`login gave no code but ${code}`)
    return post(this.wx, `${this.endpoint}/v1/login`, JSON.stringify({ code, appid: this.settings.appid }))
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
    await this.appLogin
    if (this.session) await this.session.token(CLOUD_ID_LIFE).catch(() => {})
  }

  /**
   * The app's own `wx.login`. It may rotate the key, of which the server learns by a login of ours at once: WeChat does
   * not rotate again so soon.
   */
  async loginOfApp(options) {
    const login = this.native('login', options).then((result) => {
      if (this.session && this.session.login) this.session.begin()
      return result
    })
    const over = login
      .catch(() => {})
      .then(() => {
        if (this.appLogin === over) this.appLogin = undefined
      })
    this.appLogin = over
    return login
  }
}
