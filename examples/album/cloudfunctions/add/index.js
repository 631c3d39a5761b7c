// 云函数：把一张已上传的图片放进相册。存的是 fileID，不是链接：链接会过期
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
const db = cloud.database()

exports.main = async ({ fileID, title }) => {
  const { OPENID } = cloud.getWXContext()
  // fileID 是调用者给的，而云函数什么文件都能读、能删：只收他自己目录里的
  if (!isBelow(`album/${OPENID}`, fileID)) return { refused: 'this file is not yours' }

  // 先看看文件在不在：getTempFileURL 不会整体失败，每个文件各有各的 status
  const { fileList } = await cloud.getTempFileURL({ fileList: [fileID] })
  const [file] = fileList
  if (file.status !== 0) return { refused: file.errMsg }

  await db.createCollection('photos').catch(() => {})
  const { _id } = await db.collection('photos').add({
    data: { _openid: OPENID, fileID, title, createTime: db.serverDate() },
  })
  return { _id }
}

/** cloud://环境.存储桶/路径：路径是否在目录 folder 里 */
function isBelow(folder, fileID) {
  const [, path] = /^cloud:\/\/[^/]+\/(.+)$/.exec(fileID) || []
  return path?.startsWith(`${folder}/`) && !path.split('/').includes('..')
}
