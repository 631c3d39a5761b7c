// Without the database, for an app that has none: half the size.

import { entry } from './entry.mjs'

export const {
  init,
  install,
  callFunction,
  uploadFile,
  downloadFile,
  getTempFileURL,
  deleteFile,
  cloudUrl,
  CloudID,
  CDN,
  Cloud,
} = entry()
