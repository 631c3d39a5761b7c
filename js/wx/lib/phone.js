'use strict'

/*
 * The phone: in whose hand it is, what that user answers when asked, whether a finger is on the screen, and where the app
 * was opened from.
 */

const { Failure } = require('./call')

/** What a user is asked once and may take back in the settings (WeChat's document "authorize"). */
const SCOPES = [
  'scope.userInfo',
  'scope.userLocation',
  'scope.userFuzzyLocation',
  'scope.werun',
  'scope.record',
  'scope.writePhotosAlbum',
  'scope.camera',
  'scope.bluetooth',
  'scope.addPhoneContact',
  'scope.addPhoneCalendar',
]

/** What no user is asked any more: always allowed (WeChat's document "AuthSetting"). */
const ALWAYS = ['scope.address', 'scope.invoice', 'scope.invoiceTitle']

/** What a user is asked each time, by the API's or the button's name. */
const DIALOGS = ['getUserProfile', 'getPhoneNumber', 'requestSubscribeMessage']

/** An app found in the list (发现栏小程序主入口), and opened from a card in a group, with a shareTicket. */
const SCENE_MAIN = 1001
const SCENE_CARD = 1044

class Phone {
  /** By user: what is denied, and which scopes were asked for. */
  #answers = new Map()
  #taps = 0
  #tickets = new Set()

  constructor(user, gestures) {
    this.gestures = gestures
    this.scene = SCENE_MAIN
    this.as(user)
  }

  as(user) {
    if (typeof user !== 'string' || user === '') {
      throw new TypeError(`a user of the simulator has a name such as 'alice', not ${JSON.stringify(user)}`)
    }
    this.user = user
  }

  /** Sets what the user says from now on: `what` is a scope, or what is asked each time. */
  say(what, yes) {
    if (!SCOPES.includes(what) && !DIALOGS.includes(what)) {
      throw new TypeError(
        `nobody is asked for ${JSON.stringify(what)}, but for ${[...SCOPES, ...DIALOGS].join(', ')}`,
      )
    }
    const { denied } = this.#answer()
    if (yes) denied.delete(what)
    else denied.add(what)
  }

  /** What the user says to `what`; of a scope it is remembered that it was asked for. */
  allows(what) {
    if (ALWAYS.includes(what)) return true
    const { denied, asked } = this.#answer()
    if (SCOPES.includes(what)) asked.add(what)
    return !denied.has(what)
  }

  knows(scope) {
    return SCOPES.includes(scope) || ALWAYS.includes(scope)
  }

  /** `authSetting`: each scope that was asked for, and those that need no asking. */
  settings() {
    const { denied, asked } = this.#answer()
    const always = ALWAYS.map((scope) => [scope, true])
    return Object.fromEntries([...[...asked].map((scope) => [scope, !denied.has(scope)]), ...always])
  }

  /** Runs a handler as bindtap does. As in the client the tap is over when the handler returns: not after an await. */
  tap(handler, ...given) {
    this.#taps += 1
    try {
      return handler(...given)
    } finally {
      this.#taps -= 1
    }
  }

  /** Refuses what only a user's tap may start. */
  requireTap() {
    if (this.gestures && this.#taps === 0) throw new Failure('can only be invoked by user TAP gesture.')
  }

  /** Opens the app from a card in a group chat, or as one finds it in the list. Gives what App.onShow gets. */
  open(fromGroup) {
    this.scene = fromGroup ? SCENE_CARD : SCENE_MAIN
    const options = { path: 'pages/index/index', query: {}, scene: this.scene, referrerInfo: {} }
    if (!fromGroup) return options
    const shareTicket = `ticket-${this.#tickets.size + 1}-${Math.random().toString(36).slice(2)}`
    this.#tickets.add(shareTicket)
    return { ...options, shareTicket }
  }

  isInGroup() {
    return this.scene === SCENE_CARD
  }

  issued(shareTicket) {
    return this.#tickets.has(shareTicket)
  }

  #answer() {
    if (!this.#answers.has(this.user)) this.#answers.set(this.user, { denied: new Set(), asked: new Set() })
    return this.#answers.get(this.user)
  }
}

module.exports = { Phone }
