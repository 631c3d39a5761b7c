// The measured reads and writes of the database from inside a function, with an unmodified wx-server-sdk: one after the other, each
// timed by itself. The same file runs under Yunqiao and in a plain Node whose SDK gets its answers at once.
const cloud = require('wx-server-sdk')
cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
const documents = cloud.database().collection('documents')

const CALLS = {
  id: ({ id }) => documents.doc(id).get(),
  page: ({ status }) => documents.where({ status }).orderBy('createTime', 'desc').limit(20).get(),
  insert: ({ document }) => documents.add({ data: document }),
}

exports.main = async (event) => {
  if (event.call === 'environment') return { ...process.env }
  const call = CALLS[event.call]
  const nanos = []
  let answer
  let since = process.hrtime.bigint()
  const end = since + BigInt(event.millis) * 1000000n
  while (since < end) {
    answer = await call(event)
    const now = process.hrtime.bigint()
    nanos.push(Number(now - since))
    since = now
  }
  return { nanos, answer }
}
