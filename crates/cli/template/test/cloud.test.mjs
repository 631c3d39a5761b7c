// 测试云函数：像小程序那样登录、取开放数据、调用。
//
//   yunqiao exec . -- npm test
//
// 只用 Node 18 自带的 node:test，没有别的依赖。

import assert from 'node:assert/strict'
import { test } from 'node:test'

const { YUNQIAO_URL, YUNQIAO_WECHAT_URL } = process.env
assert.ok(YUNQIAO_URL && YUNQIAO_WECHAT_URL, '请这样运行：yunqiao exec . -- npm test')

async function post(url, body, token) {
  const headers = { 'content-type': 'application/json' }
  if (token) headers.authorization = `Bearer ${token}`
  const reply = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  return reply.json()
}

/** 模拟的手机里，用户 user 调用 wx.login、wx.getWeRunData 等接口。 */
const wx = (user, api) => post(`${YUNQIAO_WECHAT_URL}/sim/client`, { user, api })

async function login(user) {
  const { code } = await wx(user, 'login')
  const { token, openid } = await post(`${YUNQIAO_URL}/v1/login`, { code })
  return { token, openid }
}

/** 相当于 wx.cloud.callFunction；cloudIDs 是 data 里写成 wx.cloud.CloudID(…) 的字段。 */
const callFunction = ({ token }, name, data = {}, cloudIDs = []) =>
  post(`${YUNQIAO_URL}/v1/functions/${name}`, { data, cloudIDs }, token)

test('login 返回调用者的 openid', async () => {
  const alice = await login('alice')
  const bob = await login('bob')
  const { result } = await callFunction(alice, 'login')
  assert.equal(result.openid, alice.openid)
  assert.notEqual(result.openid, bob.openid)
})

test('werun 收到解密后的微信运动步数', async () => {
  const alice = await login('alice')
  const { cloudID } = await wx('alice', 'getWeRunData')
  const { result } = await callFunction(alice, 'werun', { weRunData: cloudID }, ['weRunData'])
  assert.equal(result.days, 31)
  assert.equal(typeof result.today, 'number')
})

test('别人的 cloudID 换不到数据', async () => {
  const { cloudID } = await wx('alice', 'getWeRunData')
  const { errCode, errMsg } = await callFunction(await login('bob'), 'werun', { weRunData: cloudID }, [
    'weRunData',
  ])
  assert.equal(errCode, -504002)
  assert.match(errMsg, /cloudID not belong to user/)
})
