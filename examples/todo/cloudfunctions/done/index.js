// 云函数：打勾。先读出来，看是不是自己的；没有这条，doc().get() 会抛错
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
const db = cloud.database()

exports.main = async ({ id }) => {
  const { OPENID } = cloud.getWXContext()
  let todo
  try {
    todo = (await db.collection('todos').doc(id).get()).data
  } catch (err) {
    return { errMsg: err.errMsg }
  }
  if (todo._openid !== OPENID) return { errMsg: '不是你的' }
  await db
    .collection('todos')
    .doc(id)
    .update({ data: { done: true, doneTime: db.serverDate() } })
  return { title: todo.title }
}
