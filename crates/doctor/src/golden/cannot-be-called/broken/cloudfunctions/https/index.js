const cloud = require('wx-server-sdk')
exports.main = async ({ code }) => {
  const user = await cloud.openapi.auth.code2Session({ jsCode: code })
  return cloud.openapi.wxacode.getUnlimited({ scene: user.openid })
}
