// 云函数：给调用者发一条订阅消息。一次性模板，用户每同意一次只能发一条
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

// 公众平台「订阅消息 → 我的模板」里的模板 ID，与 pages/index/index.js 里的相同
const TEMPLATE_ID = 'kxqQ_v0nAIDEQ6z0xa0xfAr3N3sPM2fv1_xomR10QFM'

exports.main = async (event, context) => {
  const { OPENID } = cloud.getWXContext()
  const { what = '', when = '' } = event

  try {
    await cloud.openapi.subscribeMessage.send({
      touser: OPENID,
      page: 'pages/index/index',
      lang: 'zh_CN',
      data: {
        // thing 最多 20 个字，超出时整条消息会被拒绝：47003
        thing1: { value: Array.from(what).slice(0, 20).join('') },
        time2: { value: when },
      },
      templateId: TEMPLATE_ID,
      miniprogramState: 'formal',
    })
    return { sent: true }
  } catch (err) {
    switch (err.errCode) {
      case 43101:
        // 用户没有同意，或者同意的次数用完了：常有的事，不是故障。客户端下次点击时再征求
        return { sent: false, reason: 'not subscribed' }
      case 40037:
        // 模板 ID 写错了，或者模板被删了：重试没有用，要人来改，所以让调用失败
        console.error(
          `${TEMPLATE_ID} is no template of this app: add it at mp.weixin.qq.com, and write its id here`,
        )
        throw err
      default:
        throw err
    }
  }
}
