// Files: `uploadFile`, `downloadFile`, `getTempFileURL`, `deleteFile`, `CDN`. Content goes straight to the server's address for it.

import { failed, failure, kind, numberOf } from './failure.mjs'
import { settle } from './settle.mjs'

/** Milliseconds that a file may be under way where the app does not say: those of 100 MB take minutes on a phone's line. */
const TIMEOUT = 30 * 60e3

const FILE_ID = /^cloud:\/\/[^/]+\/(.+)$/

/** What stands for its address, once it has one: in `data` of `callFunction`. */
export function CDN(content) {
  if (!(this instanceof CDN)) return new CDN(content)
  this.content = content
}

/** What a call with callbacks gives at once. What is asked of it before the file is under way is asked then. */
class Task {
  constructor({ timeout = TIMEOUT } = {}) {
    this.waiting = []
    this.native = undefined
    this.timeout = timeout
  }

  begun(native) {
    this.native = native
    for (const [name, given] of this.waiting) this.tell(name, given)
  }

  tell(name, given) {
    if (!this.native) this.waiting.push([name, given])
    else if (this.native[name]) this.native[name](...given)
  }
}

for (const name of [
  'abort',
  'onProgressUpdate',
  'offProgressUpdate',
  'onHeadersReceived',
  'offHeadersReceived',
]) {
  Task.prototype[name] = function (...given) {
    this.tell(name, given)
  }
}

/** The APIs of a cloud. */
export function files(cloud) {
  const ask = async (action, fields) => {
    const body = Object.assign({ action: `storage.${action}` }, fields)
    const answer = await cloud.ask('/v1/storage', JSON.stringify(body))
    if (answer.code) throw answer
    return answer.data
  }

  /** Has `api` of wx carry a file, while `task` is told of it. */
  const carried = (api, options, task) =>
    new Promise((success, fail) => {
      task.begun(cloud.wx[api](Object.assign({ timeout: task.timeout }, options, { success, fail })))
    })

  const send = async ({ cloudPath: path, filePath, file, header }, task) => {
    text('cloudPath', path)
    const content = filePath === undefined ? file : filePath
    if (!content && content !== '')
      throw failure(`parameter.filePath should be string instead of ${typeof filePath};`)
    const place = await ask('getUploadMetadata', { path })
    await sent(place, path, content, header, task)
    // Whatever a bucket answers, 204 by itself: pages compare with what the platform gives.
    return { fileID: place.fileId, statusCode: 200 }
  }

  /** Sends a file, by its path or its content, to its place. */
  const sent = async ({ url, authorization, token, cosFileId }, path, content, header, task) => {
    let reply
    if (typeof content === 'string') {
      if (!cloud.wx || !cloud.wx.uploadFile)
        throw failure('there is no wx.uploadFile here: give the content as `file`')
      const formData = {
        key: path,
        Signature: authorization,
        'x-cos-security-token': token,
        'x-cos-meta-fileid': cosFileId,
      }
      const asked = { url, filePath: content, name: 'file', formData }
      reply = await carried('uploadFile', header ? Object.assign(asked, { header }) : asked, task)
    } else reply = await put(url, content, header, task)
    const { statusCode, data } = reply
    if (statusCode < 200 || statusCode > 299) throw fault(statusCode, data)
  }

  /** Without `wx.uploadFile`: content that is in memory. */
  const put = async (url, content, header, task) => {
    if (cloud.wx && cloud.wx.request) {
      const asked = {
        url,
        method: 'PUT',
        data: content,
        header: Object.assign({ 'content-type': 'application/octet-stream' }, header),
      }
      return carried('request', asked, task)
    }
    const how = { method: 'PUT', body: content, headers: header }
    return new cloud.Carriage().carry(task, url, how)
  }

  const urls = async (fileList) => {
    const file_list = list(fileList).map((file, at) => {
      const isNamed = kind(file) === 'object'
      const name = `fileList[${at}]${isNamed ? '.fileID' : ''}`
      const fileid = text(name, isNamed ? file.fileID : file)
      return isNamed ? { fileid, max_age: file.maxAge } : { fileid }
    })
    const { download_list } = await ask('batchGetDownloadUrl', { file_list })
    return download_list.map(({ fileID, tempFileURL, maxAge, code, message }) =>
      code === 'SUCCESS'
        ? { fileID, tempFileURL, maxAge, status: 0, errMsg: 'ok' }
        : { fileID, tempFileURL: '', maxAge: 0, status: numberOf(code), errMsg: told(code, message), code },
    )
  }

  const bring = async ({ fileID }, task) => {
    text('fileID', fileID)
    const [{ tempFileURL, code, errMsg: message }] = await urls([fileID])
    if (code) throw { code, message }
    if (!cloud.wx || !cloud.wx.downloadFile) {
      const reply = await new cloud.Carriage().carry(task, tempFileURL)
      if (reply.statusCode !== 200) throw fault(reply.statusCode, reply.data)
      return reply
    }
    const { tempFilePath, statusCode } = await carried('downloadFile', { url: tempFileURL }, task)
    if (statusCode !== 200) throw fault(statusCode)
    return { tempFilePath, statusCode }
  }

  /** An API; with callbacks it gives nothing, or a task where there `isTask`. */
  const api = (name, work, isTask) => (given) => {
    const options = given || {}
    const task = new Task(options)
    const calling = work(options, task).then(
      (result) => Object.assign(result, { errMsg: `cloud.${name}:ok` }),
      (error) => {
        throw failed(`cloud.${name}`, error)
      },
    )
    return settle(options, calling) || (isTask ? task : undefined)
  }

  const apis = {
    uploadFile: api('uploadFile', send, true),
    downloadFile: api('downloadFile', bring, true),
    getTempFileURL: api('getTempFileURL', async ({ fileList }) => ({
      fileList: (await urls(fileList)).map((file) => {
        delete file.code
        return file
      }),
    })),
    deleteFile: api('deleteFile', async ({ fileList }) => {
      const fileid_list = list(fileList).map((id, at) => text(`fileList[${at}]`, id))
      const { delete_list } = await ask('batchDeleteFile', { fileid_list })
      const item = ({ fileID, code, message }) =>
        code === 'SUCCESS'
          ? { fileID, status: 0, errMsg: 'ok' }
          : { fileID, status: numberOf(code), errMsg: told(code, message) }
      return { fileList: delete_list.map(item) }
    }),
  }

  /** The address of what a `CDN` holds, which is uploaded for it. */
  const address = async ({ content }) => {
    const kept = content && content.type === 'filePath' ? content.filePath : bytes(content)
    if (!kept) throw failure('a CDN value holds a text, an ArrayBuffer or {type: "filePath", filePath}')
    const place = await ask('getCDNPlace', {})
    await sent(place, 'cdn', kept, undefined, new Task())
    return place.download_url
  }

  return { apis, address }
}

/** The address of a file that all may read, by its id alone; anything else stays what it is. */
export function cloudUrl(endpoint, id) {
  const [, path] = FILE_ID.exec(id) || []
  if (!path) return id
  return `${endpoint}/v1/files/public/${path.split('/').map(encodeURIComponent).join('/')}`
}

function text(name, value) {
  if (typeof value !== 'string')
    throw failure(`parameter.${name} should be string instead of ${kind(value)};`)
  return value
}

function list(fileList) {
  if (!Array.isArray(fileList))
    throw failure(`parameter.fileList should be array instead of ${kind(fileList)};`)
  return fileList
}

/** A text, as bytes of UTF-8. */
function bytes(content) {
  if (typeof content !== 'string') return content
  const escaped = unescape(encodeURIComponent(content))
  return Uint8Array.from(escaped, (character) => character.charCodeAt(0)).buffer
}

/** The `errMsg` of one file of several: where that is a right, programs compare it with the code. */
function told(code, message) {
  return code === 'STORAGE_EXCEED_AUTHORITY' ? code : message
}

/** What storage says where it refuses: XML. */
function fault(status, xml) {
  const part = (name) => (new RegExp(`<${name}>([^<]*)<`).exec(xml) || [])[1]
  const code = status === 403 ? 'STORAGE_EXCEED_AUTHORITY' : 'STORAGE_REQUEST_FAIL'
  return { code, message: `[${part('Code') || `HTTP ${status}`}]: ${part('Message') || ''}` }
}
