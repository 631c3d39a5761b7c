// 与云函数 remind 里的相同
const TEMPLATE_ID = 'Zp4mGq1S7vTn0cXeLr8wYb2HkUd5JfAo3iN6sQxV9tE'

Page({
  data: {
    subscribed: '',
    openid: '',
    problem: '',
  },

  async onSubscribe() {
    await this.attempt(async () => {
      // 必须在点击里调用；同意一次，只能收到一条
      const answer = await wx.requestSubscribeMessage({ tmplIds: [TEMPLATE_ID] })
      this.setData({ subscribed: answer[TEMPLATE_ID] === 'accept' ? '明早八点见' : '未同意' })
    })
  },

  async onWhoAmI() {
    await this.attempt(async () => {
      const { result } = await wx.cloud.callFunction({ name: 'whoami' })
      this.setData({ openid: result.openid })
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
