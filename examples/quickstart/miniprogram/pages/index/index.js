Page({
  data: {
    openid: '',
    days: 0,
    steps: 0,
    phoneNumber: '',
    problem: '',
  },

  async onLogin() {
    await this.attempt(async () => {
      const { result } = await wx.cloud.callFunction({ name: 'login' })
      this.setData({ openid: result.openid })
    })
  },

  async onWeRun() {
    await this.attempt(async () => {
      const { cloudID } = await wx.getWeRunData()
      const { result } = await wx.cloud.callFunction({
        name: 'werun',
        data: {
          // 只有顶层字段的 CloudID 会被替换成开放数据
          weRunData: wx.cloud.CloudID(cloudID),
        },
      })
      this.setData({ days: result.days, steps: result.steps })
    })
  },

  async onPhoneNumber(e) {
    // 用户拒绝授权时没有 cloudID
    if (!e.detail.cloudID) {
      this.setData({ problem: e.detail.errMsg })
      return
    }
    await this.attempt(async () => {
      const { result } = await wx.cloud.callFunction({
        name: 'phone',
        data: { phone: wx.cloud.CloudID(e.detail.cloudID) },
      })
      this.setData({ phoneNumber: result.phoneNumber })
    })
  },

  async attempt(work) {
    this.setData({ problem: '' })
    try {
      await work()
    } catch (err) {
      this.setData({ problem: err.errMsg || err.message })
    }
  },
})
