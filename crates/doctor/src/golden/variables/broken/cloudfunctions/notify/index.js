const { sender } = require('./lib')

// What the platform gives, what is set, and what has something to take its place, is no cause for a word.
const env = process.env.TCB_ENV + process.env.TEMPLATE + (process.env.LEVEL || 'info') + (process.env.MORE ?? '')
process.env.OWN = env

exports.main = async () => {
  if (process.env.author.indexOf('o1') < 0) return 0
  return sender(process.env['SMS_KEY'], process.env.OWN, process.env.author)
}
