// 日记: callbacks throughout, as Mini Programs of 2019 are written.
App({
  onLaunch: function () {
    if (!wx.cloud) {
      console.error('请使用 2.2.3 或以上的基础库以使用云能力')
    } else {
      wx.cloud.init({ env: 'diary-0a1b2c', traceUser: true })
    }
    this.globalData = {}
  },
})
