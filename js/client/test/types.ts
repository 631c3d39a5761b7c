// Compiled, never run: an app's code with `miniprogram-api-typings`, and what is to be an error in it.

import { type Cloud, type CloudError, CloudID, callFunction, init, install } from '@yunqiao/client'

// It can stand where `wx.cloud` stands.
declare const cloud: Cloud
export const theirs: Pick<WxCloud, 'init' | 'callFunction' | 'CloudID'> = cloud
export const all: WxCloud = install(wx)

init({ endpoint: 'https://cloud.example.com', env: 'prod', traceUser: true, simulate: { user: 'alice' } })
wx.cloud.init({ endpoint: 'https://cloud.example.com', env: 'prod', simulate: 'alice' })
install(wx).database().collection('todos')

export const promise: Promise<ICloud.CallFunctionResult> = callFunction({
  name: 'f',
  data: { run: CloudID('x'), more: new CloudID('y') },
})
export const nothing: void = callFunction({
  name: 'f',
  config: { env: 'prod' },
  slow: true,
  success: ({ result, requestID }) => console.log(result.days, requestID.length),
  fail: (error: CloudError) => console.log(error.errCode.toFixed(), error.errMsg),
  complete: ({ errMsg }) => console.log(errMsg),
})

wx.getWeRunData({
  success({ cloudID }) {
    wx.cloud
      .callFunction({ name: 'f', data: { weRunData: wx.cloud.CloudID(cloudID!) } })
      .then(({ result }) => console.log(result))
  },
})

// @ts-expect-error a name is missing
callFunction({ data: {} })
// @ts-expect-error data is an object
callFunction({ name: 'f', data: 'text' })
// @ts-expect-error an id is a string
CloudID(7)
// @ts-expect-error with callbacks there is no promise
callFunction({ name: 'f', success: () => {} }).then(() => {})
// @ts-expect-error there is no such option
init({ endpiont: 'https://cloud.example.com' })
// @ts-expect-error wx is missing
install()
