// 云函数：客服机器人。用户在客服会话里发的文字、图片，以及进入会话的事件，由消息推送送到这里
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

const ANSWERS = [
  { asked: /你好|您好|在吗/, answer: '你好！问我营业时间、地址，或者发一张图片。说「人工」转人工客服。' },
  { asked: /时间|几点|营业/, answer: '每天 9:00 到 18:00 营业。' },
  { asked: /地址|在哪/, answer: '云桥路 1 号，地铁 2 号线 B 出口。' },
]
const NO_ANSWER = '这个我还不会。说「人工」转人工客服。'

exports.main = async (event, context) => {
  switch (event.MsgType) {
    case 'text':
      if (event.Content.includes('人工')) {
        return toStaff(event)
      }
      await send({ msgtype: 'text', text: { content: answerTo(event.Content) } })
      break
    case 'image':
      // 收到的图片是一份临时素材：用它的 MediaId 把同一张图发回去
      await send({ msgtype: 'image', image: { mediaId: event.MediaId } })
      break
    case 'event':
      if (event.Event === 'user_enter_tempsession') {
        await send({ msgtype: 'text', text: { content: greeting(event.SessionFrom) } })
      }
      break
  }
  // 返回的内容用户看不到，只表示收到了
  return 'success'
}

function answerTo(content) {
  const found = ANSWERS.find(({ asked }) => asked.test(content))
  return found ? found.answer : NO_ANSWER
}

// SessionFrom 是客服按钮的 session-from
function greeting(from) {
  const order = /^order-(\d+)$/.exec(from)
  return order ? `欢迎！是要问订单 ${order[1]} 吗？` : '欢迎！有什么可以帮你？'
}

// 把这条消息转给人工客服：靠返回值，不用调用接口。只能转用户发的消息，不能转事件
function toStaff(event) {
  return {
    MsgType: 'transfer_customer_service',
    ToUserName: event.FromUserName,
    FromUserName: event.ToUserName,
    CreateTime: Math.floor(Date.now() / 1000),
  }
}

async function send(message) {
  // 发给 OPENID，而不是 event.FromUserName：小程序端也能调用这个云函数，event 里可以随便写
  const { OPENID } = cloud.getWXContext()
  try {
    await cloud.openapi.customerServiceMessage.send({ touser: OPENID, ...message })
  } catch (err) {
    switch (err.errCode) {
      case 45015: // 来晚了：用户发消息后 48 小时内、进入会话后 1 分钟内才能发
      case 45047: // 发多了：用户发一条消息后最多 5 条，进入会话后最多 2 条
        // 再试也没有用，等用户再开口：当作处理完了
        console.warn(`${OPENID} gets no answer: ${err.errCode}`)
        break
      default:
        // 抛出就表示没有处理成功，这条推送稍后会再来一次
        throw err
    }
  }
}
