// Decryption of open data as WeChat's demo for Node shows it: AES-128-CBC with PKCS#7 padding, JSON.parse, and the
// comparison of the watermark's appid. Reads {appId, sessionKey, encryptedData, iv, count} on stdin, decrypts `count`
// times after a warm-up, and prints the nanoseconds that one took.
const crypto = require('node:crypto')

function WXBizDataCrypt(appId, sessionKey) {
  this.appId = appId
  this.sessionKey = sessionKey
}

WXBizDataCrypt.prototype.decryptData = function (encryptedData, iv) {
  const key = Buffer.from(this.sessionKey, 'base64')
  const data = Buffer.from(encryptedData, 'base64')
  const vector = Buffer.from(iv, 'base64')
  let decoded
  try {
    const decipher = crypto.createDecipheriv('aes-128-cbc', key, vector)
    decipher.setAutoPadding(true)
    decoded = decipher.update(data, 'binary', 'utf8')
    decoded += decipher.final('utf8')
    decoded = JSON.parse(decoded)
  } catch {
    throw new Error('Illegal Buffer')
  }
  if (decoded.watermark.appid !== this.appId) {
    throw new Error('Illegal Buffer')
  }
  return decoded
}

const { appId, sessionKey, encryptedData, iv, count } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'))

function decryptMany(times) {
  let days = 0
  for (let i = 0; i < times; i++) {
    // A request's own: each comes with its user's key.
    const crypt = new WXBizDataCrypt(appId, sessionKey)
    days += crypt.decryptData(encryptedData, iv).stepInfoList.length
  }
  if (days !== times * 31) throw new Error(`decrypted ${days} days, not ${times * 31}`)
}

decryptMany(Math.ceil(count / 10))
const start = process.hrtime.bigint()
decryptMany(count)
console.log(Number(process.hrtime.bigint() - start) / count)
