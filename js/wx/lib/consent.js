'use strict'

/*
 * wx.authorize and wx.getSetting: what the user has allowed. Here the user answers as the test said with
 * `wx.simulator.deny` and `allow`, and allows what it said nothing about.
 */

const { Failure, api, requireString } = require('./call')

/** Nobody here ticks "always keep this choice", which is what `itemSettings` would tell of. */
const SUBSCRIPTIONS = { mainSwitch: true, itemSettings: {} }

module.exports = (phone) => ({
  authorize: api('authorize', async (options) => {
    requireString(options, 'scope')
    // The text is a choice.
    if (!phone.knows(options.scope)) throw new Failure('invalid scope')
    if (!phone.allows(options.scope)) throw new Failure('auth deny')
  }),

  getSetting: api('getSetting', async ({ withSubscriptions }) => ({
    authSetting: phone.settings(),
    ...(withSubscriptions === true && { subscriptionsSetting: SUBSCRIPTIONS }),
  })),
})
