// 云函数：接收微信运动步数。event.weRunData 是平台用 cloudID 换来的开放数据
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

exports.main = async (event, context) => {
  const { OPENID, OPEN_DATA_INFO } = cloud.getWXContext()
  const { weRunData } = event

  // 换取失败时调用本身仍成功，字段里是 errCode 与 errMsg；
  // 字段若不在 OPEN_DATA_INFO 里，就不是平台填的，而是客户端自己写的，不可信
  const filled = OPEN_DATA_INFO ? JSON.parse(OPEN_DATA_INFO).keys : []
  const trusted = filled.includes('weRunData') && weRunData.data
  const stepInfoList = trusted ? weRunData.data.stepInfoList : []

  console.log(`${OPENID}: ${stepInfoList.length} days`)

  return {
    days: stepInfoList.length,
    steps: stepInfoList.reduce((sum, day) => sum + day.step, 0),
    received: event,
  }
}
