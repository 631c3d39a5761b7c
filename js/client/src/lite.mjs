// Without the database, for an app that has none: half the size. Without wx its files do not tell how far they have come.

import { Carriage } from './carriage.mjs'
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
} = entry({ Carriage })
