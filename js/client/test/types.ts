// Compiled, never run: an app's code with `miniprogram-api-typings`, and what is to be an error in it.

import {
  type Cloud,
  type CloudError,
  CloudID,
  callFunction,
  database,
  downloadFile,
  getTempFileURL,
  init,
  install,
  uploadFile,
} from '@yunqiao/client'
import * as lite from '@yunqiao/client/lite'

// It can stand where `wx.cloud` stands.
declare const cloud: Cloud
export const theirs: Pick<WxCloud, 'init' | 'callFunction' | 'CloudID'> = cloud
export const all: WxCloud = install(wx)

init({ endpoint: 'https://cloud.example.com', env: 'prod', traceUser: true, simulate: { user: 'alice' } })
wx.cloud.init({ endpoint: 'https://cloud.example.com', env: 'prod', simulate: 'alice' })
install(wx).database().collection('todos')
export const ofWeChat: DB.Database = lite.install(wx).database()

// What their types say of the database and of files holds for ours.
const db = database({ env: 'prod' })
const _ = db.command
const got: Promise<DB.IQueryResult> = db
  .collection('todos')
  .where({ n: _.gt(1).and(_.lt(5)), tags: _.in(['a']), at: _.geoNear({ geometry: db.Geo.Point(113, 23) }) })
  .orderBy('n', 'desc')
  .skip(1)
  .limit(20)
  .field({ n: true })
  .get()
const one: Promise<DB.IQuerySingleResult> = db.collection('todos').doc('a').get()
const added: Promise<DB.IAddResult> = db.collection('todos').add({ data: { at: db.serverDate() } })
const changed: Promise<DB.IUpdateResult> = db
  .collection('todos')
  .doc('a')
  .update({ data: { n: _.inc(1) } })
const put: Promise<DB.ISetResult> = db
  .collection('todos')
  .doc('a')
  .set({ data: { n: 1 } })
const removed: Promise<DB.IRemoveResult> = db.collection('todos').doc('a').remove()
const counted: Promise<DB.ICountResult> = db.collection('todos').count()
const unanswered: void = db.collection('todos').get({ success: ({ data }) => console.log(data[0].n) })
const uploaded: Promise<ICloud.UploadFileResult> = uploadFile({ cloudPath: 'a', filePath: 'b' })
const uploading = uploadFile({ cloudPath: 'a', filePath: 'b', success: ({ fileID }) => console.log(fileID) })
uploading.onProgressUpdate(({ progress }) => console.log(progress))
const downloaded: Promise<ICloud.DownloadFileResult> = downloadFile({ fileID: 'cloud://a.b/c' })
const urls: Promise<ICloud.GetTempFileURLResult> = getTempFileURL({ fileList: [{ fileID: 'a', maxAge: 5 }] })
export const results = [
  got,
  one,
  added,
  changed,
  put,
  removed,
  counted,
  unanswered,
  uploaded,
  downloaded,
  urls,
]
const watching: DB.RealtimeListener = db
  .collection('todos')
  .where({ done: false })
  .orderBy('n', 'asc')
  .limit(10)
  .watch({
    onChange: (snapshot: DB.ISnapshot) => console.log(snapshot.docChanges[0].docId.length),
    onError: console.error,
  })
export const ended: Promise<void> = watching.close()
// @ts-expect-error onError is missing
db.collection('todos').watch({ onChange() {} })
// @ts-expect-error the direction is one of two
db.collection('todos').orderBy('n', 'up')
// @ts-expect-error data is missing
db.collection('todos').add({})

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
