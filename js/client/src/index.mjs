// The whole of it.

import { database as make } from './database.mjs'
import { entry } from './entry.mjs'
import { TellingCarriage } from './telling.mjs'

export const {
  init,
  install,
  callFunction,
  database,
  uploadFile,
  downloadFile,
  getTempFileURL,
  deleteFile,
  cloudUrl,
  CloudID,
  CDN,
  Cloud,
} = entry({ Carriage: TellingCarriage, database: make })
