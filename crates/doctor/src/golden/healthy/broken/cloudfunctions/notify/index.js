const cloud = require('wx-server-sdk')
cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

// Without the permission, cloud.openapi.wxacode.get would be answered with -604101.
exports.main = async (event) =>
  cloud.openapi.subscribeMessage.send({ touser: cloud.getWXContext().OPENID, templateId: event.templateId, data: {} })
