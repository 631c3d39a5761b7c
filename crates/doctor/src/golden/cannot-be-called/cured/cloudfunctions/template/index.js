const cloud = require('wx-server-sdk')
exports.main = async (event) => {
  await cloud.openapi.templateMessage.send(event.message)
  await cloud.openapi.uniformMessage.send(event.message)
}
