// 与云函数 remind 里的相同
const TEMPLATE_ID = 'kxqQ_v0nAIDEQ6z0xa0xfAr3N3sPM2fv1_xomR10QFM'

Page({
  data: {
    scene: '',
    reminded: '',
    code: '',
    content: '',
    text: '',
    image: '',
    phoneNumber: '',
    problem: '',
  },

  // 扫小程序码进来时有 scene
  onLoad({ scene }) {
    this.setData({ scene: scene ? decodeURIComponent(scene) : '' })
  },

  async onRemind() {
    await this.attempt(async () => {
      // 必须在点击里调用；同意一次，只能收到一条
      const answer = await wx.requestSubscribeMessage({ tmplIds: [TEMPLATE_ID] })
      if (answer[TEMPLATE_ID] !== 'accept') {
        this.setData({ reminded: '未同意' })
        return
      }
      const result = await this.call('remind', { what: '洗牙', when: '2026-08-01 09:30' })
      this.setData({ reminded: result.sent ? '已发送' : '未订阅，请再点一次' })
    })
  },

  async onCode() {
    await this.attempt(async () => {
      const { contentType, base64 } = await this.call('qrcode', { id: 'table-7' })
      this.setData({ code: `data:${contentType};base64,${base64}` })
    })
  },

  onInput(e) {
    this.setData({ content: e.detail.value })
  },

  async onText() {
    await this.attempt(async () => {
      const { suggest } = await this.call('checkText', { content: this.data.content })
      this.setData({ text: this.said(suggest) })
    })
  },

  async onImage() {
    await this.attempt(async () => {
      const { tempFiles } = await wx.chooseMedia({ count: 1, mediaType: ['image'] })
      const src = tempFiles[0].tempFilePath
      // 接口只收 750 × 1334 像素以内的图片；请求也越小越好
      const { width, height } = await wx.getImageInfo({ src })
      const scale = Math.min(1, 750 / width, 1334 / height)
      const small = await wx.compressImage({ src, quality: 60, compressedWidth: Math.floor(width * scale) })
      const { type } = await wx.getImageInfo({ src: small.tempFilePath })
      const base64 = wx.getFileSystemManager().readFileSync(small.tempFilePath, 'base64')
      const { suggest } = await this.call('checkImage', { contentType: `image/${type}`, base64 })
      this.setData({ image: this.said(suggest) })
    })
  },

  async onPhoneNumber(e) {
    // 用户拒绝授权时没有 code
    if (!e.detail.code) {
      this.setData({ problem: e.detail.errMsg })
      return
    }
    await this.attempt(async () => {
      const { phoneNumber } = await this.call('phone', { code: e.detail.code })
      this.setData({ phoneNumber: phoneNumber || '已过期，请再点一次' })
    })
  },

  said(suggest) {
    return { pass: '可以发布', review: '等待人工审核', risky: '含有违规内容' }[suggest]
  },

  async call(name, data) {
    const { result } = await wx.cloud.callFunction({ name, data })
    return result
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
