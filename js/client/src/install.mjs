// Puts the cloud into a Mini Program: at `wx.cloud`, into the APIs that hand out open data, and into the handlers of
// pages and components, whose buttons do. Whoever wrote the app need not know.

/* global Page:writable, Component:writable, Behavior:writable */

import { failed } from './failure.mjs'
import { settle } from './settle.mjs'
import { surface } from './surface.mjs'

/**
 * APIs whose results carry `encryptedData` and `iv` (WeChat's documents, and those of mini games). `authPrivateMessage` is not
 * among them: what it encrypts is no open data, but a text, for which there is no cloudID.
 */
const OPEN_DATA = [
  'getUserInfo',
  'getWeRunData',
  'getShareInfo',
  'getGroupEnterInfo',
  'getChatToolInfo',
  'getGameClubData',
  'getUserInteractiveStorage',
]
/** The same, to be called while the user's tap is handled: nothing may be awaited before. */
const ON_TAP = ['getUserProfile']
/** What the buttons that hand out open data say in `detail.errMsg`, and which of the simulator's APIs is like it. */
const BUTTON = /^(getUserInfo|get(?:Realtime)?(PhoneNumber)):(?!.*deny)/
/** What they hand out. */
const HANDED_OUT = ['cloudID', 'code', 'encryptedData', 'iv', 'rawData', 'signature', 'userInfo']

const installed = new WeakMap()
/** The `detail`s that hold what a simulated user's button handed out. */
const simulated = new WeakSet()

/** Gives the cloud that is at `wx.cloud` from now on. */
export function install(wx, cloud) {
  if (!wx || typeof wx.request !== 'function')
    throw failed('cloud.install', 'install takes the wx of a Mini Program')
  if (installed.has(wx)) return installed.get(wx)
  const front = facade(cloud, wx.cloud)
  installed.set(wx, front)
  cloud.installed = true
  put(wx, 'cloud', front)

  const wrap = (name, wrapped) => {
    if (typeof wx[name] !== 'function') return
    cloud.natives[name] = wx[name]
    put(wx, name, (given) => {
      const options = given || {}
      return settle(options, wrapped(name, options))
    })
  }
  const open = async (api, options) => {
    if (cloud.simulator || !ON_TAP.includes(api)) await cloud.ready()
    return cloud.openData.adopt(await cloud.native(api, options))
  }
  for (const name of OPEN_DATA.concat(ON_TAP)) wrap(name, open)
  wrap('login', (api, options) => cloud.loginOfApp(options))
  wrap('checkSession', (api, options) => cloud.native(api, options))

  const handle = (options) => handlers(cloud, options)
  const handleMethods = (options) =>
    Object.assign({}, options, options.methods && { methods: handle(options.methods) })
  if (typeof Page === 'function') Page = before(Page, handle)
  if (typeof Component === 'function') Component = before(Component, handleMethods)
  if (typeof Behavior === 'function') Behavior = before(Behavior, handleMethods)
  return front
}

/** Ours where it is served, and WeChat's own for the rest; that one is initialized when something of it is first used. */
function facade(cloud, original) {
  const own = surface(cloud)
  let initialized
  return new Proxy(own, {
    has: (own, key) => key in own || Boolean(original && key in original),
    get(own, key) {
      if (key in own || !original || original[key] === undefined) return own[key]
      if (initialized !== cloud.settings && original.init) {
        initialized = cloud.settings
        const { env, traceUser } = initialized
        original.init({ env, traceUser })
      }
      return typeof original[key] === 'function' ? original[key].bind(original) : original[key]
    },
  })
}

/** WeChat's objects have getters that assignment does not reach. */
function put(target, key, value) {
  Object.defineProperty(target, key, { value, configurable: true, enumerable: true, writable: true })
}

/** `register`, which takes options, with the options changed. */
function before(register, change) {
  return function (options) {
    return register.call(this, options && typeof options === 'object' ? change(options) : options)
  }
}

/** Functions that may be handlers of events, seeing to the open data in `detail` first. */
function handlers(cloud, options) {
  const handling = Object.assign({}, options)
  for (const key of Object.keys(options)) {
    const handler = options[key]
    if (typeof handler !== 'function') continue
    handling[key] = function (event) {
      const detail = event && event.detail
      const run = () => {
        if (detail) cloud.openData.adopt(detail)
        return handler.apply(this, arguments)
      }
      const button = cloud.simulator && detail && BUTTON.exec(detail.errMsg)
      return button && !simulated.has(detail) ? simulate(cloud, button, detail).then(run) : run()
    }
  }
  return handling
}

/** What the simulated user's button would have handed out, in place of the real user's. */
async function simulate(cloud, [, api, phone], detail) {
  simulated.add(detail)
  for (const key of HANDED_OUT) delete detail[key]
  await cloud.ready()
  const result = await cloud.native(phone ? `get${phone}` : api).catch((error) => error)
  Object.assign(detail, result, { errMsg: result.errMsg })
}
