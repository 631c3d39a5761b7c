Page({
  data: { openid: '', today: '', problem: '' },

  onLogin() {
    return this.attempt(async () => {
      const { result } = await wx.cloud.callFunction({ name: 'login' })
      this.setData({ openid: result.openid })
    })
  },

  onWeRun() {
    return this.attempt(async () => {
      const { cloudID } = await wx.getWeRunData()
      const { result } = await wx.cloud.callFunction({
        name: 'werun',
        // 只有顶层字段的 CloudID 会被换成开放数据
        data: { weRunData: wx.cloud.CloudID(cloudID) },
      })
      this.setData({ today: result.today })
    })
  },

  async attempt(work) {
    this.setData({ problem: '' })
    try {
      await work()
    } catch (error) {
      this.setData({ problem: error.errMsg || error.message })
    }
  },
})
