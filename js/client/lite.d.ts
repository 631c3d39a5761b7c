import type { LiteCloud, Cloud as Whole } from './index'

export type * from './index'

export const init: Whole['init']
export const callFunction: Whole['callFunction']
export const uploadFile: Whole['uploadFile']
export const downloadFile: Whole['downloadFile']
export const getTempFileURL: Whole['getTempFileURL']
export const deleteFile: Whole['deleteFile']
export const cloudUrl: Whole['cloudUrl']
export const CloudID: Whole['CloudID']
export const CDN: Whole['CDN']
export const Cloud: Whole['Cloud']

/** As the whole one, without a database: that of WeChat's own `wx.cloud` is what an app reaches. */
export function install<Original = unknown>(wx: {
  cloud?: Original
  request: (...args: any[]) => any
}): Original & LiteCloud
