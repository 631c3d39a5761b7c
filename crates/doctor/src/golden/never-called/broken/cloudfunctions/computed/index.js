const cloud = require('wx-server-sdk')
exports.main = async ({ kind, params }) => cloud.openapi.wxacode[kind](params)
