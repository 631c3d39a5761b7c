// 云函数：每天早上八点，给名单上订阅了的人各发一条订阅消息。由 config.json 里的定时触发器调用
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

// 公众平台「订阅消息 → 我的模板」里的模板 ID，与 pages/index/index.js 里的相同
const TEMPLATE_ID = 'Zp4mGq1S7vTn0cXeLr8wYb2HkUd5JfAo3iN6sQxV9tE'

// 名单：逗号隔开的 openid，在 cloudbaserc.json 的 envVariables 里。人多了、常变动，就该放进数据库
const MEMBERS = (process.env.MEMBERS || '').split(',').filter(Boolean)

exports.main = async (event, context) => {
  // 小程序端也能调用这个云函数，也能在 event 里写 Type: 'Timer'；调用的来源写不了
  const { SOURCE } = cloud.getWXContext()
  if (SOURCE !== 'wx_trigger') {
    throw new Error('remind: only its timer calls this function')
  }

  const time = beijing(event.Time)
  const results = await Promise.allSettled(MEMBERS.map((openid) => send(openid, time)))
  // 一个人发不成，不耽误别人；都试过以后，再让调用失败
  const failed = results.find(({ status }) => status === 'rejected')
  if (failed) {
    if (failed.reason.errCode === 40037) {
      console.error(
        `${TEMPLATE_ID} is no template of this app: add it at mp.weixin.qq.com, and write its id here`,
      )
    }
    throw failed.reason
  }
  const sent = results.filter(({ value }) => value).length
  return { sent, notSubscribed: results.length - sent }
}

// 定时触发器按北京时间触发，event.Time 却是 UTC：2026-08-01T00:00:00Z 就是 2026-08-01 08:00
function beijing(time) {
  const shifted = new Date(Date.parse(time) + 8 * 3600 * 1000)
  return shifted.toISOString().slice(0, 16).replace('T', ' ')
}

// 发了没有
async function send(openid, time) {
  try {
    await cloud.openapi.subscribeMessage.send({
      touser: openid,
      page: 'pages/index/index',
      lang: 'zh_CN',
      data: {
        thing1: { value: '给办公室的花浇水' },
        time2: { value: time },
      },
      templateId: TEMPLATE_ID,
      miniprogramState: 'formal',
    })
    return true
  } catch (err) {
    if (err.errCode === 43101) {
      // 没有订阅，或者同意的次数用完了：常有的事，不是故障
      return false
    }
    console.error(`${openid}: ${err.errMsg}`)
    throw err
  }
}
