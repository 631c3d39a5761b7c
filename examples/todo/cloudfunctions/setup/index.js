// 云函数：建集合。已经建过的不算错
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
const db = cloud.database()

exports.main = async () => {
  const created = []
  for (const name of ['lists', 'todos']) {
    try {
      await db.createCollection(name)
      created.push(name)
    } catch (err) {
      if (!/DATABASE_COLLECTION_ALREADY_EXIST/.test(err.errMsg + err.code)) throw err
    }
  }
  return { created }
}
