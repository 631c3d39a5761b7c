const cloud = require('wx-server-sdk')
exports.main = async () => cloud.openapi.wxacode.get({ path: 'pages/index/index' })
