const fs = require('fs/promises')
const cloud = require('wx-server-sdk')
const dayjs = require('dayjs')
exports.main = async () => dayjs().toString()
