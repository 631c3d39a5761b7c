// 云函数：接收微信运动步数。event.weRunData 是平台用 cloudID 换来的开放数据
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

exports.main = async (event) => {
  const { OPEN_DATA_INFO } = cloud.getWXContext()
  // 不在 OPEN_DATA_INFO 里的字段是客户端自己写的，不可信
  const filled = OPEN_DATA_INFO ? JSON.parse(OPEN_DATA_INFO).keys : []
  if (!filled.includes('weRunData')) throw new Error('weRunData 要用 wx.cloud.CloudID 传')
  const { errMsg, data } = event.weRunData
  if (!data) throw new Error(errMsg)
  return { days: data.stepInfoList.length, today: data.stepInfoList.at(-1).step }
}
