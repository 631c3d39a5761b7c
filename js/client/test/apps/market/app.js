// 集市: promises and async functions.
App({
  async onLaunch() {
    wx.cloud.init({ env: wx.cloud.DYNAMIC_CURRENT_ENV })
    this.db = wx.cloud.database({ env: 'market-9z8y7x' })
  },
})
