// 云函数：往清单里加一条待办。清单里记着条数，用 _.inc 原子地加一
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
const db = cloud.database()
const _ = db.command

exports.main = async ({ list, title, tags = [] }) => {
  const { OPENID } = cloud.getWXContext()
  // 云函数端写入的记录没有 _openid，要自己带上
  const { _id } = await db.collection('todos').add({
    data: { _openid: OPENID, list, title, tags, done: false, edits: 0, createTime: db.serverDate() },
  })

  const id = `${OPENID}-${list}`
  const { stats } = await db
    .collection('lists')
    .doc(id)
    .update({
      data: { count: _.inc(1), updateTime: db.serverDate() },
    })
  if (stats.updated === 0) {
    await db
      .collection('lists')
      .doc(id)
      .set({
        data: { _openid: OPENID, name: list, count: 1, updateTime: db.serverDate() },
      })
  }
  return { _id }
}
