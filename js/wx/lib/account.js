'use strict'

/* wx.getAccountInfoSync. It cannot wait, so that the appid must be known before: given, or told by the simulator. */

module.exports = (simulator) => ({
  getAccountInfoSync() {
    if (simulator.appid === undefined) {
      throw new Error(
        'getAccountInfoSync: the appid is not known yet: createWx({ appid }), or await wx.simulator.app() before',
      )
    }
    return { miniProgram: { appId: simulator.appid, envVersion: 'develop', version: '' } }
  },
})
