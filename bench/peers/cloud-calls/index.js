// The measured cloud calls: the same file runs under Yunqiao and in a plain Node whose SDK gets its answers at once.
// It makes one call after the other and times each by itself, so that calling this function is not in the figures.
const cloud = require('wx-server-sdk')
cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

const CALLS = {
  msgSecCheck: () => cloud.openapi.security.msgSecCheck({ content: 'hello world!' }),
  callFunction: () => cloud.callFunction({ name: 'empty', data: {} }),
  getOpenData: async ({ id }) => {
    const answer = await cloud.getOpenData({ list: [id] })
    if (answer.list[0].data === undefined) throw new Error(JSON.stringify(answer))
    return answer
  },
}

exports.main = async (event) => {
  if (event.call === 'environment') return { ...process.env }
  const call = CALLS[event.call]
  const nanos = []
  let answer
  let since = process.hrtime.bigint()
  const end = since + BigInt(event.millis) * 1000000n
  while (since < end) {
    // A call that fails rejects, and ends the measurement.
    answer = await call(event)
    const now = process.hrtime.bigint()
    nanos.push(Number(now - since))
    since = now
  }
  return { nanos, answer }
}
