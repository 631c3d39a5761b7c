const cloud = require('wx-server-sdk')
exports.main = async ({ code }) => cloud.openapi.phonenumber.getPhoneNumberk({ code })
