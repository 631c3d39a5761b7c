const cloud = require('wx-server-sdk')
cloud.init()
const db = cloud.database()
const _ = db.command
const MAX = 100
const notes = db.collection('notes')

exports.main = async ({ status, city }) => {
  // An index in yunqiao.toml serves this one.
  const todos = await db.collection('todos').where({ status }).orderBy('createTime', 'desc').get()
  const late = await db
    .collection('todos')
    .where({ city, due: _.lt(new Date()) })
    .orderBy('due', 'asc')
    .get()
  const all = []
  for (let page = 0; page < 10; page++) {
    all.push(await notes.skip(page * MAX).limit(MAX).get())
  }
  return { todos, late, all }
}
