// What stands before the operations where they run on an SDK whose own names these are. PACKAGE is its name.
const sdk = require('PACKAGE')
const app = sdk.init({ env: sdk.SYMBOL_CURRENT_ENV })

// Its errors have other names than wx-server-sdk's; what they say is its own.
const named = async (promise) => {
  try {
    const result = { ...(await promise) }
    delete result.requestId
    return result
  } catch (error) {
    throw { errCode: error.code, errMsg: String(error.message) }
  }
}

// biome-ignore lint/correctness/noUnusedVariables: what follows uses it
const cloud = {
  init() {},
  uploadFile: (options) => named(app.uploadFile(options)),
  downloadFile: (options) => named(app.downloadFile(options)),
  getTempFileURL: ({ fileList }) => named(app.getTempFileURL({ fileList })),
  deleteFile: (options) => named(app.deleteFile(options)),
}
