const cloud = require('wx-server-sdk')
exports.main = async () => {
  await cloud.openapi.wxacode.get({ path: 'pages/index' })
  await cloud.openapi.wxacode.getUnlimited({ scene: 'a' })
  return cloud.openapi.subscribeMessage.send({})
}
