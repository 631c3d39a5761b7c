// How a stranger is talked to: a line of JSON in, {"do": name, "with": arguments}, and a line of JSON out.

const readline = require('node:readline')

exports.settings = JSON.parse(process.argv[2])

// Standard output is for answers; what a library prints is none.
const answer = (said) => process.stdout.write(`${JSON.stringify(said)}\n`)
console.log = console.error

// Does what it is told until nobody tells any more. `errcode` finds WeChat's in what was thrown.
exports.listen = async (deeds, errcode = () => undefined) => {
  answer({ ok: 'ready' })
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const told = JSON.parse(line)
    try {
      const done = await deeds[told.do](...told.with)
      answer({ ok: Buffer.isBuffer(done) ? done.toString('base64') : (done ?? null) })
    } catch (error) {
      const code = errcode(error)
      answer(
        code === undefined
          ? { error: error.name, text: String(error.stack) }
          : { errcode: code, errmsg: error.message },
      )
    }
  }
  process.exit(0)
}
