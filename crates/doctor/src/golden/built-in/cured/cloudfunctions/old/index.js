const request = require('request')
const uuid = require('uuid/v4')
exports.main = async () => request.get(uuid())
