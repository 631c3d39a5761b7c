// 云函数：一张图片能不能发布。suggest 是 pass 或 risky，含义与 checkText 相同
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

// 接口的限制：1 MB，不超过 750 × 1334 像素
const LARGEST = 1024 * 1024

exports.main = async (event, context) => {
  const { contentType, base64 = '' } = event
  const value = Buffer.from(base64, 'base64')
  if (value.length === 0 || value.length > LARGEST) {
    throw new Error('checkImage: send an image of at most 1 MB as base64')
  }

  try {
    await cloud.openapi.security.imgSecCheck({
      media: { contentType, value },
    })
    return { suggest: 'pass' }
  } catch (err) {
    // 内容违规：结论就是错误码。（2.0 版的 mediaCheckAsync 是异步的，结论由消息推送送来）
    if (err.errCode === 87014) {
      return { suggest: 'risky' }
    }
    // 其余的照样抛出：没有结论就不是 pass
    throw err
  }
}
