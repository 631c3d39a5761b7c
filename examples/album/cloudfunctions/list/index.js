// 云函数：一页相册，新的在前，每张图附上临时链接，不给 fileID：里面有主人的 OPENID。小程序里用 callFunction 调，网页用 HTTP 访问服务调
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })
const db = cloud.database()

// getTempFileURL 一次最多 50 个
const PAGE = 20
const HOUR = 60 * 60

exports.main = async (event) => {
  // 调用者自己的目录，上传到这里；HTTP 访问没有 OPENID
  const { OPENID } = cloud.getWXContext()
  const folder = OPENID ? `album/${OPENID}` : null
  // HTTP 访问时参数在 queryStringParameters 里
  const query = event.queryStringParameters || event
  const page = Number(query.page) || 0
  const { data } = await db
    .collection('photos')
    .orderBy('createTime', 'desc')
    .orderBy('_id', 'asc')
    .skip(page * PAGE)
    .limit(PAGE)
    .get()
    .catch((err) => {
      // 还没有人加过图片
      if (err.errCode === -502005) return { data: [] }
      throw err
    })
  if (data.length === 0) return { photos: [], folder }

  const { fileList } = await cloud.getTempFileURL({
    fileList: data.map(({ fileID }) => ({ fileID, maxAge: HOUR })),
  })
  // 文件被删掉的那张没有链接，页面上显示为缺失
  const photos = data.map(({ _id, title }, i) => ({
    _id,
    title,
    url: fileList[i].tempFileURL,
  }))
  return { photos, folder }
}
