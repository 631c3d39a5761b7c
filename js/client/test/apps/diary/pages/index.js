const db = wx.cloud.database()
const _ = db.command

Page({
  data: { list: [], count: 0, cover: '', message: '', progress: [] },

  onAdd: function (e) {
    db.collection('records').add({
      data: {
        title: e.detail.value,
        mood: { score: 3, tags: ['雨'] },
        at: new Date('2026-01-31T08:00:00Z'),
        saved: db.serverDate(),
        place: db.Geo.Point(113.3, 23.1),
      },
      success: (res) => {
        if (res.errMsg === 'collection.add:ok') this.setData({ last: res._id })
        this.onList()
      },
      fail: (err) => this.setData({ message: err.errMsg }),
    })
  },

  onList: function () {
    db.collection('records')
      .where({ mood: { score: _.gte(1).and(_.lt(9)) }, title: db.RegExp({ regexp: '^第', options: 'i' }) })
      .orderBy('at', 'desc')
      .orderBy('title', 'asc')
      .field({ title: true, mood: true, at: true, place: true })
      .skip(0)
      .limit(10)
      .get({
        success: (res) => {
          this.setData({ list: res.data, message: res.errMsg })
        },
      })
  },

  onScore: function (id) {
    db.collection('records')
      .doc(id)
      .update({
        data: { mood: { score: _.inc(1), tags: _.push(['晴', '风']) }, note: _.set({ a: { b: 1 } }) },
        success: (res) => {
          if (res.stats.updated === 1) this.onShow(id)
        },
      })
  },

  onShow: function (id) {
    db.collection('records')
      .doc(id)
      .get({
        success: (res) => this.setData({ record: res.data }),
        fail: (err) => this.setData({ message: err.errMsg }),
        complete: () => this.setData({ done: true }),
      })
  },

  onRemove: function (id) {
    db.collection('records')
      .doc(id)
      .remove({
        success: (res) => {
          this.setData({ removed: res.stats.removed })
          this.onShow(id)
        },
      })
  },

  onUpload: function (filePath) {
    const task = wx.cloud.uploadFile({
      cloudPath: '日记/封面.png',
      filePath,
      success: (res) => this.setData({ cover: res.fileID, message: res.errMsg, status: res.statusCode }),
      fail: (err) => this.setData({ message: err.errMsg }),
    })
    task.onProgressUpdate((res) => this.setData({ progress: this.data.progress.concat(res.progress) }))
  },

  // <image data-src="cloud://…" bindtap="onPreview" />
  onPreview: function (e) {
    wx.cloud.downloadFile({
      fileID: e.currentTarget.dataset.src,
      success: (res) => this.setData({ local: res.tempFilePath, message: res.errMsg }),
      fail: (err) => this.setData({ message: err.errMsg, code: err.errCode }),
    })
  },
})
