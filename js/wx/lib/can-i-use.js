'use strict'

/*
 * wx.canIUse, of what there is in this wx: `${API}.${method}.${param}.${option}` or `${component}.${attribute}.${option}`.
 * A wx of tests has no versions: what is here can be used.
 */

const openData = ['encryptedData', 'iv', 'cloudID']
const profile = ['userInfo', 'rawData', 'signature', ...openData]
const languages = ['en', 'zh_CN', 'zh_TW']

const KNOWN = {
  login: { object: ['timeout'], success: ['code'] },
  checkSession: {},
  getUserInfo: { object: { withCredentials: [], lang: languages, timeout: [] }, success: profile },
  getUserProfile: { object: { desc: [], lang: languages }, success: profile },
  getWeRunData: { object: ['timeout'], success: openData },
  getShareInfo: { object: ['shareTicket', 'timeout'], success: openData },
  getGroupEnterInfo: { object: ['allowSingleChat', 'needGroupOpenID'], success: openData },
  requestSubscribeMessage: { object: ['tmplIds'] },
  authorize: { object: ['scope'] },
  getSetting: { object: ['withSubscriptions'], success: ['authSetting', 'subscriptionsSetting'] },
  getAccountInfoSync: { return: { miniProgram: ['appId', 'envVersion', 'version'] } },
  canIUse: {},
  request: {
    object: {
      url: [],
      data: [],
      header: [],
      method: ['OPTIONS', 'GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'TRACE'],
      dataType: [],
      responseType: ['text', 'arraybuffer'],
      timeout: [],
      enableChunked: [],
      redirect: ['follow', 'manual'],
    },
    success: ['data', 'statusCode', 'header', 'cookies', 'exception'],
  },
  uploadFile: {
    object: ['url', 'filePath', 'name', 'header', 'formData', 'timeout'],
    success: ['data', 'statusCode'],
  },
  UploadTask: ['abort', 'onProgressUpdate', 'offProgressUpdate', 'onHeadersReceived', 'offHeadersReceived'],
  downloadFile: {
    object: ['url', 'header', 'timeout', 'filePath'],
    success: ['tempFilePath', 'filePath', 'statusCode'],
  },
  DownloadTask: ['abort', 'onProgressUpdate', 'offProgressUpdate', 'onHeadersReceived', 'offHeadersReceived'],
  RequestTask: ['abort', 'onHeadersReceived', 'offHeadersReceived', 'onChunkReceived', 'offChunkReceived'],
  button: {
    'open-type': ['getPhoneNumber', 'getUserInfo'],
    bindgetphonenumber: [],
    bindgetuserinfo: [],
  },
}

function has(known, [first, ...rest]) {
  if (first === undefined) return true
  if (Array.isArray(known)) return known.includes(first) && rest.length === 0
  return Object.hasOwn(known, first) && has(known[first], rest)
}

module.exports = function canIUse(schema) {
  // The words are the base library's (observed with 2.3.2).
  if (typeof schema !== 'string') throw new Error('canIUse: schema should be an object')
  return has(KNOWN, schema.split('.'))
}
