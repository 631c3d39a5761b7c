// 云函数：一页一页地读清单，新的在前
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
const db = cloud.database()
const _ = db.command

const PAGE = 10

exports.main = async ({ list, page = 0, search, open }) => {
  const { OPENID } = cloud.getWXContext()
  const where = { _openid: OPENID, list }
  if (open) where.done = _.neq(true)
  if (search) where.title = db.RegExp({ regexp: search, options: 'i' })

  const query = db.collection('todos').where(where)
  const { total } = await query.count()
  const { data } = await query
    .orderBy('createTime', 'desc')
    .orderBy('_id', 'asc')
    .skip(page * PAGE)
    .limit(PAGE)
    .field({ title: true, tags: true, done: true, createTime: true })
    .get()
  return { todos: data, total, pages: Math.ceil(total / PAGE) }
}
