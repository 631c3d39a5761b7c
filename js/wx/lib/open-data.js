'use strict'

/*
 * Login, and what hands out open data. The simulator has the users, their session_keys and what is encrypted with them;
 * what is here is the client's part of each API: which options must be there, what the user must have allowed, what only
 * a tap may start.
 */

const { Failure, api, requireString } = require('./call')

/** The longest `desc`, in characters (WeChat's document "wx.getUserProfile"). */
const LONGEST_DESC = 30
/** How many templates one call may name (WeChat's document "wx.requestSubscribeMessage"). */
const MOST_TEMPLATES = 5
/** `errno` of what took too long (observed). */
const TIMED_OUT = 5

/** Ends the wait for `work` after `timeout` milliseconds, if that is a number. The text is a choice. */
async function within(timeout, work) {
  if (typeof timeout !== 'number') return work
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Failure('timeout', { errno: TIMED_OUT })), timeout)
  })
  // Whoever comes second is heard by nobody.
  work.catch(() => {})
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

function requireScope(phone, scope) {
  if (!phone.allows(scope)) throw new Failure('auth deny')
}

function userInfo(simulator, phone, { withCredentials, lang } = {}) {
  requireScope(phone, 'scope.userInfo')
  // Whatever is no boolean counts as true (observed with base library 2.3.2).
  const credentials = typeof withCredentials === 'boolean' ? withCredentials : true
  return simulator.client(phone.user, 'getUserInfo', { withCredentials: credentials, lang })
}

function subscribe(simulator, phone, { tmplIds }) {
  if (tmplIds !== undefined && !isListOfTexts(tmplIds))
    throw new Failure('Invalid template id', { errCode: 10004 })
  if (tmplIds?.length > MOST_TEMPLATES)
    throw new Failure('Templates count out of max bounds', { errCode: 20003 })
  phone.requireTap()
  const answer = phone.allows('requestSubscribeMessage') ? 'accept' : 'reject'
  return simulator.client(phone.user, 'requestSubscribeMessage', { tmplIds, answer })
}

function isListOfTexts(value) {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

/** The part of `wx` that logs in and hands out open data. */
const openDataApi = (simulator, phone) => ({
  login: api('login', ({ timeout }) => within(timeout, simulator.client(phone.user, 'login', {}))),

  checkSession: api('checkSession', () => simulator.client(phone.user, 'checkSession', {})),

  getUserInfo: api('getUserInfo', async (options) =>
    within(options.timeout, userInfo(simulator, phone, options)),
  ),

  getUserProfile: api('getUserProfile', async (options) => {
    requireString(options, 'desc')
    const { desc, lang } = options
    if (desc === '' || [...desc].length > LONGEST_DESC)
      throw new Failure('desc length does not meet the requirements')
    phone.requireTap()
    if (!phone.allows('getUserProfile')) throw new Failure('auth deny')
    return simulator.client(phone.user, 'getUserProfile', { desc, lang })
  }),

  getWeRunData: api('getWeRunData', async ({ timeout }) => {
    requireScope(phone, 'scope.werun')
    return within(timeout, simulator.client(phone.user, 'getWeRunData', {}))
  }),

  getShareInfo: api('getShareInfo', async ({ shareTicket, timeout }) => {
    // Observed with base library 2.3.2: also where there is none.
    if (!phone.issued(shareTicket)) throw new Failure('invalid shareTicket')
    return within(timeout, simulator.client(phone.user, 'getShareInfo', { shareTicket }))
  }),

  getGroupEnterInfo: api('getGroupEnterInfo', async ({ allowSingleChat, needGroupOpenID }) => {
    // The number is the document's, the text as observed.
    if (!phone.isInGroup()) throw new Failure('invalid scene', { errCode: 40097 })
    return simulator.client(phone.user, 'getGroupEnterInfo', { allowSingleChat, needGroupOpenID })
  }),

  requestSubscribeMessage: api('requestSubscribeMessage', async (options) =>
    subscribe(simulator, phone, options),
  ),
})

/** What a button of each open-type does, and what its event is called. */
const BUTTONS = {
  getPhoneNumber: {
    event: 'getphonenumber',
    api: async (simulator, phone) => {
      if (!phone.allows('getPhoneNumber')) throw new Failure('user deny')
      return simulator.client(phone.user, 'getPhoneNumber', {})
    },
  },
  getUserInfo: { event: 'getuserinfo', api: async (simulator, phone) => userInfo(simulator, phone) },
}

/** The event that a button with this open-type gives its handler; that the user refused is told in its `detail` too. */
async function openDataEvent(simulator, phone, openType) {
  if (!Object.hasOwn(BUTTONS, openType)) {
    throw new TypeError(
      `there is no button of open-type ${JSON.stringify(openType)} here, but of ${Object.keys(BUTTONS).join(', ')}`,
    )
  }
  const button = BUTTONS[openType]
  const detail = await api(openType, () => button.api(simulator, phone))().catch((failure) => {
    if (failure instanceof Error) throw failure
    return failure
  })
  const target = { id: '', dataset: {}, offsetTop: 0, offsetLeft: 0 }
  return { type: button.event, timeStamp: performance.now(), target, currentTarget: target, detail }
}

module.exports = { openDataApi, openDataEvent }
