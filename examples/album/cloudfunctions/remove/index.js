// 云函数：删除自己的一张图片，先删记录再删文件
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
const db = cloud.database()

exports.main = async ({ id }) => {
  const { OPENID } = cloud.getWXContext()
  const mine = db.collection('photos').where({ _id: id, _openid: OPENID })
  const {
    data: [photo],
  } = await mine.get()
  if (!photo) return { removed: 0 }
  const { stats } = await mine.remove()
  await cloud.deleteFile({ fileList: [photo.fileID] })
  return stats
}
