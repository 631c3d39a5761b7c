// 云函数：用手机号按钮给的 code 换手机号。与 wx.login 的 code 不是一回事
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

exports.main = async (event, context) => {
  try {
    const { phoneInfo } = await cloud.openapi.phonenumber.getPhoneNumber({
      code: event.code,
    })
    const { phoneNumber, purePhoneNumber, countryCode } = phoneInfo
    return { phoneNumber, purePhoneNumber, countryCode }
  } catch (err) {
    // code 五分钟内有效，只能用一次：让用户再点一次按钮
    if (err.errCode === 40029) {
      return { phoneNumber: null, reason: 'code expired or used' }
    }
    throw err
  }
}
