// 云函数：每天清理七天前的消息。云函数不受安全规则限制
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

const DAYS = 7

exports.main = async () => {
  const db = cloud.database()
  const before = new Date(Date.now() - DAYS * 24 * 3600 * 1000)
  const { stats } = await db
    .collection('messages')
    .where({ at: db.command.lt(before) })
    .remove()
  return stats
}
