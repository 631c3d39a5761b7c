Page({
  data: {
    photos: [],
    folder: '',
    sending: false,
    sent: 0,
    problem: '',
  },

  async onShow() {
    await this.attempt(() => this.refresh())
  },

  async onChoose() {
    await this.attempt(async () => {
      // 上次刷新失败的话，还不知道自己的目录
      if (!this.data.folder) await this.refresh()
      const { tempFiles } = await wx.chooseMedia({ count: 1, mediaType: ['image'] })
      const [{ tempFilePath }] = tempFiles
      const ending = tempFilePath.split('.').pop()
      // 文件名不要让用户决定：重名会互相覆盖
      const name = `${Date.now()}-${Math.random().toString(36).slice(2)}.${ending}`
      this.setData({ sending: true, sent: 0 })
      const fileID = await this.upload(`${this.data.folder}/${name}`, tempFilePath)
      await wx.cloud.callFunction({ name: 'add', data: { fileID, title: new Date().toLocaleDateString() } })
      await this.refresh()
    })
    this.setData({ sending: false })
  },

  upload(cloudPath, filePath) {
    return new Promise((resolve, reject) => {
      const task = wx.cloud.uploadFile({
        cloudPath,
        filePath,
        success: ({ fileID }) => resolve(fileID),
        fail: reject,
      })
      task.onProgressUpdate(({ progress }) => this.setData({ sent: progress }))
    })
  },

  async onRemove({ currentTarget }) {
    await this.attempt(async () => {
      const { confirm } = await wx.showModal({ title: '删除这张图片？' })
      if (!confirm) return
      await wx.cloud.callFunction({ name: 'remove', data: { id: currentTarget.dataset.id } })
      await this.refresh()
    })
  },

  async refresh() {
    const { result } = await wx.cloud.callFunction({ name: 'list' })
    this.setData({ photos: result.photos, folder: result.folder })
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
