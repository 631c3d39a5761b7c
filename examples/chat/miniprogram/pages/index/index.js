const db = wx.cloud.database()
const messages = db.collection('messages')

Page({
  data: { list: [], text: '', problem: '' },

  onLoad() {
    // 监听：别人发的、撤回的，都会立刻推过来
    this.watcher = messages.where({ room: 'hall' }).watch({
      onChange: ({ docs }) => {
        const list = docs.slice().sort((a, b) => new Date(a.at) - new Date(b.at))
        this.setData({ list })
      },
      onError: (error) => this.setData({ problem: error.errMsg }),
    })
  },

  onUnload() {
    this.watcher.close()
  },

  onInput({ detail }) {
    this.setData({ text: detail.value })
  },

  async onSend() {
    const text = this.data.text.trim()
    if (!text) return
    try {
      await messages.add({ data: { room: 'hall', text, at: db.serverDate() } })
      this.setData({ text: '', problem: '' })
    } catch (error) {
      this.setData({ problem: error.errMsg })
    }
  },

  // 撤回：安全规则只允许撤回自己的
  async onRecall({ currentTarget }) {
    try {
      await messages.doc(currentTarget.dataset.id).remove()
      this.setData({ problem: '' })
    } catch (error) {
      this.setData({ problem: error.errMsg })
    }
  },
})
