// 云函数：把一条待办挪到另一个清单。两边的条数和待办本身要么都改，要么都不改，所以用事务
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
const db = cloud.database({ throwOnNotFound: false })
const _ = db.command

exports.main = async ({ id, to }) => {
  const { OPENID } = cloud.getWXContext()
  try {
    return await db.runTransaction(async (transaction) => {
      const todo = (await transaction.collection('todos').doc(id).get()).data
      if (!todo || todo._openid !== OPENID) await transaction.rollback('没有这条待办')
      const target = (await transaction.collection('lists').doc(`${OPENID}-${to}`).get()).data
      if (!target) await transaction.rollback('没有这个清单')

      await transaction
        .collection('lists')
        .doc(`${OPENID}-${todo.list}`)
        .update({ data: { count: _.inc(-1) } })
      await transaction
        .collection('lists')
        .doc(target._id)
        .update({ data: { count: _.inc(1) } })
      await transaction
        .collection('todos')
        .doc(id)
        .update({ data: { list: to } })
      return { from: todo.list, to, count: target.count + 1 }
    })
  } catch (err) {
    if (typeof err === 'string') return { refused: err }
    throw err
  }
}
