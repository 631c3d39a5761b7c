'use strict'

/*
 * A `wx` for tests. What a Mini Program calls in a phone is called here against a simulated WeChat (`yunqiao simulate`,
 * or the one behind `yunqiao dev` and `exec`), with the results, the errMsg texts and the refusals of the real client.
 * What WeChat has not, a test's hold on the phone and its user, is all below `wx.simulator`.
 */

const accountApi = require('./lib/account')
const canIUse = require('./lib/can-i-use')
const consentApi = require('./lib/consent')
const filesApi = require('./lib/files')
const hold = require('./lib/hold')
const { openDataApi } = require('./lib/open-data')
const { Phone } = require('./lib/phone')
const { createRequests } = require('./lib/request')
const { Simulator } = require('./lib/simulator')
const { socketsApi } = require('./lib/socket')

/**
 * Makes a `wx` of its own: one phone, in one user's hand. Its functions need no `this`.
 *
 * `wechat` is the simulator's address, by default what `yunqiao exec` set in YUNQIAO_WECHAT_URL; `user` one of its users.
 * `gestures: false` lets getUserProfile and requestSubscribeMessage be called without a tap. `appid` is only for
 * getAccountInfoSync to know it before anything was asked of the simulator.
 */
function createWx({ wechat = process.env.YUNQIAO_WECHAT_URL, user = 'alice', gestures = true, appid } = {}) {
  const simulator = new Simulator(wechat, appid)
  const phone = new Phone(user, gestures)
  const requests = createRequests(simulator)
  const { connectSocket, drop } = socketsApi()
  return {
    ...openDataApi(simulator, phone),
    ...consentApi(phone),
    ...accountApi(simulator),
    ...filesApi(requests),
    request: requests.request,
    connectSocket,
    canIUse,
    simulator: hold(simulator, phone, drop),
  }
}

module.exports = { createWx }
