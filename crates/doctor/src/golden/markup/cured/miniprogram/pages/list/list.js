Page({
  data: { avatar: '', cover: '', images: [], posts: [] },
  async choose(path) {
    const res = await wx.cloud.uploadFile({ cloudPath: 'a.png', filePath: path })
    this.setData({ avatar: res.fileID, images: this.data.images.concat(res.fileID) })
    const { fileList } = await wx.cloud.getTempFileURL({ fileList: [res.fileID] })
    this.setData({ cover: fileList[0].tempFileURL })
  },
})
