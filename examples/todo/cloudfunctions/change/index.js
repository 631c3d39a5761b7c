// 云函数：改名、加标签。where 里带上 _openid，别人的改不了
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
const db = cloud.database()
const _ = db.command

exports.main = async ({ id, title, tags }) => {
  const { OPENID } = cloud.getWXContext()
  const data = { edits: _.inc(1) }
  if (title) data.title = title
  if (tags) data.tags = _.push({ each: tags, slice: -5 })

  const { stats } = await db.collection('todos').where({ _id: id, _openid: OPENID }).update({ data })
  return { updated: stats.updated }
}
