// 云函数：生成一个带参数的小程序码，扫码后 pages/index/index 的 onLoad 收到 scene
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

exports.main = async (event, context) => {
  // scene 最多 32 个字符，只能是数字、英文和少数符号，不能是中文
  const scene = `id=${event.id}`
  if (!/^id=[\w-]{1,29}$/.test(scene)) {
    throw new Error('qrcode: id is 1 to 29 letters, digits, `_` or `-`')
  }

  try {
    const { contentType, buffer } = await cloud.openapi.wxacode.getUnlimited({
      scene,
      page: 'pages/index/index', // 开头没有 /，后面不带参数
      checkPath: true,
      envVersion: 'release',
      width: 280,
    })
    // Buffer 不能直接返回给小程序
    return { contentType, base64: buffer.toString('base64') }
  } catch (err) {
    if (err.errCode === 41030) {
      // checkPath 为 true 时，页面必须已经发布
      console.error(
        'pages/index/index is not in the published version yet: publish it, or say checkPath: false',
      )
    }
    throw err
  }
}
