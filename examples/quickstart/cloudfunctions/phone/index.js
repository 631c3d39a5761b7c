// 云函数：接收手机号。event.phone 是平台用 cloudID 换来的开放数据
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

exports.main = async (event, context) => {
  const { OPEN_DATA_INFO } = cloud.getWXContext()
  const { phone } = event

  // 只相信平台填的字段
  const filled = OPEN_DATA_INFO ? JSON.parse(OPEN_DATA_INFO).keys : []
  if (!filled.includes('phone')) {
    throw new Error('phone: send the cloudID of getPhoneNumber as a top-level wx.cloud.CloudID')
  }
  if (phone.errCode) {
    throw new Error(`phone: ${phone.errMsg} (${phone.errCode})`)
  }

  const { phoneNumber, purePhoneNumber, countryCode } = phone.data
  return { phoneNumber, purePhoneNumber, countryCode }
}
