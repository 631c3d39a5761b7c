// Every operation of the storage that the SDKs have, one after the other: what each gives, or how it fails.
const cloud = require('wx-server-sdk')
const fs = require('node:fs')
const http = require('node:http')
const os = require('node:os')
const path = require('node:path')

cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV })

const ids = {}
const upload = async (cloudPath, fileContent) => {
  const result = await cloud.uploadFile({ cloudPath, fileContent })
  ids[cloudPath] = result.fileID
  return result
}
const read = async (fileID) => {
  const { fileContent, statusCode } = await cloud.downloadFile({ fileID })
  return { statusCode, text: fileContent.toString() }
}
const streamed = (text, name) => {
  const file = path.join(os.tmpdir(), name)
  fs.writeFileSync(file, text)
  return fs.createReadStream(file)
}
// An address as a program uses it that knows no SDK.
const fetched = (url) =>
  new Promise((resolve, reject) => {
    const asked = http.get(url, (response) => {
      const parts = []
      response.on('data', (part) => parts.push(part))
      response.on('end', () =>
        resolve({ status: response.statusCode, text: Buffer.concat(parts).toString() }),
      )
    })
    asked.on('error', reject)
  })
const elsewhere = 'cloud://another-env.616e-another-env-1250000000/old.txt'

const operations = {
  uploadBuffer: () => upload('plain.txt', Buffer.from('hello')),
  uploadStream: () => upload('folder/streamed.txt', streamed('from a stream', 'streamed.txt')),
  uploadEmpty: () => upload('empty', Buffer.alloc(0)),
  uploadLarge: () => upload('large.bin', Buffer.alloc(3000000, 'x')),
  uploadChinese: () => upload('头像/小明 的照片.png', Buffer.from('picture')),
  uploadOdd: () => upload('a%20b #1+c?d&e=f.txt', Buffer.from('odd')),
  uploadQuoted: () => upload('say "hi".txt', Buffer.from('quoted')),
  uploadEmoji: () => upload('😀.gif', Buffer.from('smile')),
  uploadAgain: () => upload('plain.txt', Buffer.from('hello again')),
  uploadSlash: () => upload('/plain.txt', Buffer.from('x')),
  uploadDots: () => upload('a/../b.txt', Buffer.from('x')),
  uploadNothing: () => upload('', Buffer.from('x')),

  download: () => read(ids['plain.txt']),
  downloadStream: () => read(ids['folder/streamed.txt']),
  downloadEmpty: () => read(ids.empty),
  downloadLarge: async () => (await read(ids['large.bin'])).text.length,
  downloadChinese: () => read(ids['头像/小明 的照片.png']),
  downloadOdd: () => read(ids['a%20b #1+c?d&e=f.txt']),
  downloadQuoted: () => read(ids['say "hi".txt']),
  downloadEmoji: () => read(ids['😀.gif']),
  downloadMissing: () => read(ids['plain.txt'].replace('plain', 'missing')),
  downloadElsewhere: () => read(elsewhere.replace('old', 'plain')),
  downloadNothing: () => read('no file id'),

  urls: async () => {
    const fileList = [ids['plain.txt'], ids['头像/小明 的照片.png'], elsewhere]
    const { fileList: files, errMsg } = await cloud.getTempFileURL({ fileList })
    return {
      errMsg,
      // Some SDKs give it under both names.
      files: files.map(({ tempFileURL, download_url, ...rest }) => ({
        ...rest,
        address: (tempFileURL ?? download_url) !== '',
      })),
    }
  },
  urlWithAge: async () => {
    const { fileList } = await cloud.getTempFileURL({ fileList: [{ fileID: ids['plain.txt'], maxAge: 60 }] })
    return { maxAge: fileList[0].maxAge, got: await fetched(fileList[0].tempFileURL) }
  },
  urlEncoded: async () => {
    const { fileList } = await cloud.getTempFileURL({ fileList: [ids['头像/小明 的照片.png']] })
    return fetched(encodeURI(fileList[0].tempFileURL))
  },
  urlsOfNone: async () => cloud.getTempFileURL({ fileList: ['no file id'] }),
  urlsOfTooMany: () => cloud.getTempFileURL({ fileList: Array(51).fill(ids['plain.txt']) }),

  remove: () =>
    cloud.deleteFile({ fileList: [ids['plain.txt'], ids['plain.txt'], ids['😀.gif'], 'no file id'] }),
  afterRemove: () => read(ids['plain.txt']),
  removeNothing: () => cloud.deleteFile({ fileList: [] }),
}

exports.main = async () => {
  const results = {}
  for (const [name, operation] of Object.entries(operations)) {
    try {
      results[name] = { got: await operation() }
    } catch (error) {
      results[name] = { errCode: error.errCode, errMsg: error.errMsg || error.message }
    }
  }
  // What is another each time, or each machine's own.
  return JSON.parse(
    JSON.stringify(results)
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<id>')
      .replace(/127\.0\.0\.1:[0-9]+/g, '<host>'),
  )
}
