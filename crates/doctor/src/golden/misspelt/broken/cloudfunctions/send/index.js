const cloud = require('wx-server-sdk')
exports.main = async (event) => {
  await cloud.openapi.security.imgSecCheck({ media: event.media })
  return cloud.openapi.subscribeMessage.send(event.message)
}
