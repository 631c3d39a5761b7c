const tcb = require('@cloudbase/node-sdk')

const app = tcb.init({ env: tcb.SYMBOL_CURRENT_ENV })

/** How many things everybody has to do, and how many of them are the caller's. */
exports.main = async () => {
  const { uid } = app.auth().getUserInfo()
  const todos = app.database().collection('todos')
  const [all, own] = await Promise.all([todos.count(), todos.where({ _openid: uid }).count()])
  return { all: all.total, own: own.total }
}
