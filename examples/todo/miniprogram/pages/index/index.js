const LIST = '生活'

Page({
  data: {
    title: '',
    todos: [],
    total: 0,
    problem: '',
  },

  async onShow() {
    await this.attempt(async () => {
      await wx.cloud.callFunction({ name: 'setup' })
      await this.refresh()
    })
  },

  onTitle({ detail }) {
    this.setData({ title: detail.value })
  },

  async onAdd() {
    await this.attempt(async () => {
      await wx.cloud.callFunction({ name: 'add', data: { list: LIST, title: this.data.title } })
      this.setData({ title: '' })
      await this.refresh()
    })
  },

  async onDone({ currentTarget }) {
    await this.attempt(async () => {
      await wx.cloud.callFunction({ name: 'done', data: { id: currentTarget.dataset.id } })
      await this.refresh()
    })
  },

  async refresh() {
    const { result } = await wx.cloud.callFunction({ name: 'list', data: { list: LIST } })
    this.setData({ todos: result.todos, total: result.total })
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
