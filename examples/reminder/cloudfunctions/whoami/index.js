// 云函数：告诉用户自己的 openid，好写进名单
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

exports.main = async (event, context) => {
  const { OPENID } = cloud.getWXContext()
  return { openid: OPENID }
}
