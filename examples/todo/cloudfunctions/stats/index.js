// 云函数：各个清单做完了多少，聚合加联表
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
const db = cloud.database()
const $ = db.command.aggregate

exports.main = async () => {
  const { OPENID } = cloud.getWXContext()
  const { list } = await db
    .collection('lists')
    .aggregate()
    .match({ _openid: OPENID })
    .lookup({ from: 'todos', localField: 'name', foreignField: 'list', as: 'todos' })
    .unwind('$todos')
    .match({ 'todos._openid': OPENID })
    .group({
      _id: '$name',
      count: $.first('$count'),
      total: $.sum(1),
      done: $.sum($.cond(['$todos.done', 1, 0])),
      tags: $.addToSet('$todos.tags'),
    })
    .project({
      _id: 0,
      list: '$_id',
      count: 1,
      total: 1,
      done: 1,
      rate: $.divide(['$done', '$total']),
      tagged: $.size($.reduce({ input: '$tags', initialValue: [], in: $.setUnion(['$$value', '$$this']) })),
    })
    .sort({ list: 1 })
    .end()
  return { lists: list }
}
