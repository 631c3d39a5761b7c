// 云函数：一段文字能不能发布。suggest 是 pass（发布）、review（转人工）或 risky（拒绝）
const cloud = require('wx-server-sdk')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

exports.main = async (event, context) => {
  const { OPENID } = cloud.getWXContext()

  try {
    const { result, traceId } = await cloud.openapi.security.msgSecCheck({
      openid: OPENID,
      scene: 2, // 1 资料，2 评论，3 论坛，4 社交日志
      version: 2,
      content: event.content,
    })
    // 2.0 版不会因为内容违规而抛出错误，结论在 result 里；申诉时要提供 traceId
    if (result.suggest !== 'pass') {
      console.warn(`${OPENID}: ${result.suggest}, label ${result.label}, trace ${traceId}`)
    }
    return { suggest: result.suggest, label: result.label }
  } catch (err) {
    // 用户两小时内没有访问过小程序，查不了：转人工
    if (err.errCode === 61010) {
      return { suggest: 'review', label: null }
    }
    // 其余的照样抛出：没有结论就不是 pass，调用失败时客户端什么也不发布
    throw err
  }
}
