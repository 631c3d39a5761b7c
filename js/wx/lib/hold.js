'use strict'

/*
 * `wx.simulator`: what a test holds and an app does not. None of it is WeChat's.
 */

const { openDataEvent } = require('./open-data')

module.exports = (simulator, phone, dropSockets) => ({
  /** In whose hand the phone is. */
  get user() {
    return phone.user
  },

  /** Hands the phone to another user of the simulator. What was asked before is still the one's before. */
  as(user) {
    phone.as(user)
  },

  /** The user says no: to a scope, or to the dialog of getUserProfile, getPhoneNumber or requestSubscribeMessage. */
  deny(what) {
    phone.say(what, false)
  },

  /** The user says yes, as unless told otherwise. */
  allow(what) {
    phone.say(what, true)
  },

  /** Runs `handler(...given)` as the handler of a tap, and gives what it gives. */
  tap(handler, ...given) {
    return phone.tap(handler, ...given)
  },

  /**
   * Taps `<button open-type="getPhoneNumber">` or `"getUserInfo"`, answers its dialog, calls `handler(event)` and gives the
   * event.
   */
  async tapButton(openType, handler) {
    const event = await openDataEvent(simulator, phone, openType)
    if (handler !== undefined) await handler(event)
    return event
  },

  /** Opens the app from its card in a group chat. Gives what App.onShow gets, with the shareTicket. */
  openFromGroup() {
    return phone.open(true)
  },

  /** Opens the app as one finds it in WeChat's list: how it was opened at first. */
  openFromList() {
    return phone.open(false)
  },

  /** The phone loses its network for a moment: all sockets break off, without a goodbye. */
  dropSockets,

  /** Steps WeChat's time, for everybody who uses this simulator, and gives it: Unix seconds. */
  async advanceClock(seconds) {
    const { now } = await simulator.post('clock', { advance: seconds })
    return now
  },

  /** Gives the user a new session_key, as a login may: what was encrypted before can no longer be decrypted. */
  async rotateSessionKey() {
    await simulator.client(phone.user, 'login', { rotate: true })
  },

  /** The app that is simulated: `{appid, secret, token, encodingAESKey}`, for the backend under test. */
  app() {
    return simulator.app()
  },

  /** Everything else: `GET /sim/<path>`. */
  get(path) {
    return simulator.get(path)
  },

  /** Everything else: `POST /sim/<path>`, such as `post('users', { name: 'carol' })`. */
  post(path, body) {
    return simulator.post(path, body)
  },
})
