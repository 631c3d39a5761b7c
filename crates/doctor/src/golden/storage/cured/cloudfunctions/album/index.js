const cloud = require('wx-server-sdk')
cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

const COVER = 'cloud://old-7f3a.6f6c-old-7f3a-1250000000/covers/default.png'
const BACK = 'cloud://old-7f3a.6f6c-old-7f3a-1250000000/covers/back.png'
const LOGO = 'https://6f6c-old-7f3a-1250000000.tcb.qcloud.la/logo.png'

exports.main = async ({ name, content }) => {
  const { fileID } = await cloud.uploadFile({ cloudPath: '/album/' + name, fileContent: Buffer.from(content, 'base64') })
  await cloud.uploadFile({ cloudPath: 'album/' + name, fileContent: Buffer.from(content, 'base64') })
  return { fileID, cover: COVER, back: BACK, logo: LOGO }
}
