const cloud = require('wx-server-sdk')
cloud.init()

exports.main = async () => {
  await cloud.openapi.security.msgSecCheck({ content: 'hello' })
  return cloud.openapi({ convertCase: false })
    .wxacode
    .getUnlimited({ scene: 'a=1' })
}
