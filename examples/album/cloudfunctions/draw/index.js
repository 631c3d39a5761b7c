// 云函数：画一张渐变色的 PNG，上传到云存储，返回 fileID。生成海报、小程序码也是这样存的
const { deflateSync, crc32 } = require('node:zlib')
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

exports.main = async ({ name, from, to, size = 240 }) => {
  const { OPENID } = cloud.getWXContext()
  // 每人一个目录：否则换个人用同一个 name，就覆盖了别人的图片
  const { fileID } = await cloud.uploadFile({
    cloudPath: `album/${OPENID}/${name}.png`,
    fileContent: png(size, from, to),
  })
  return { fileID }
}

/** 从上到下由 from 渐变到 to（各为 [红, 绿, 蓝]） */
function png(size, from, to) {
  const rows = []
  for (let y = 0; y < size; y += 1) {
    const colour = from.map((value, i) => Math.round(value + ((to[i] - value) * y) / (size - 1)))
    // 每行的第一个字节是滤镜：0 为不处理
    rows.push(Buffer.concat([Buffer.from([0]), Buffer.alloc(size * 3, Buffer.from(colour))]))
  }
  const head = Buffer.alloc(13)
  head.writeUInt32BE(size, 0)
  head.writeUInt32BE(size, 4)
  // 每个通道 8 位，真彩色
  head.set([8, 2], 8)
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  const data = deflateSync(Buffer.concat(rows))
  return Buffer.concat([signature, chunk('IHDR', head), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))])
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type), data])
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
  length.writeUInt32BE(data.length)
  sum.writeUInt32BE(check(body))
  return Buffer.concat([length, body, sum])
}

/** CRC-32；Node 22 起 zlib 自带 */
function check(bytes) {
  if (crc32) return crc32(bytes)
  let sum = ~0
  for (const byte of bytes) {
    sum ^= byte
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0)
  }
  return ~sum >>> 0
}
