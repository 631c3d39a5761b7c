'use strict'

/*
 * wx.uploadFile and wx.downloadFile: a file goes in a form, and comes into the phone's temporary files, which here are this machine's.
 */

const { randomUUID } = require('node:crypto')
const { readFileSync } = require('node:fs')
const { writeFile } = require('node:fs/promises')
const { tmpdir } = require('node:os')
const { basename, extname, join } = require('node:path')

const { Failure, callBack, requireString } = require('./call')
const { checked } = require('./request')

/** A form with the fields, and behind them the file. */
function form(fields, name, filePath) {
  const boundary = `----wx${randomUUID()}`
  const parts = []
  for (const [field, value] of Object.entries(fields ?? {})) {
    parts.push(`--${boundary}\r\nContent-Disposition: form-data; name="${field}"\r\n\r\n${value}\r\n`)
  }
  const head = `Content-Disposition: form-data; name="${name}"; filename="${basename(filePath)}"`
  parts.push(`--${boundary}\r\n${head}\r\nContent-Type: application/octet-stream\r\n\r\n`)
  let content
  try {
    content = readFileSync(filePath)
  } catch {
    throw new Failure('file not found')
  }
  const body = Buffer.concat([Buffer.from(parts.join('')), content, Buffer.from(`\r\n--${boundary}--\r\n`)])
  return { body, type: `multipart/form-data; boundary=${boundary}` }
}

/** Listeners of how far a file has come, as a task has them. */
class Progress {
  #listeners = new Set()

  tell(done, all, names) {
    const event = { progress: all ? Math.floor((done / all) * 100) : 0, [names[0]]: done, [names[1]]: all }
    for (const listener of this.#listeners) callBack(listener, event)
  }

  /** Gives a task what it has for listeners. */
  join(task) {
    if (!task) return task
    return Object.assign(task, {
      onProgressUpdate: (listener) => this.#listeners.add(listener),
      offProgressUpdate: (listener) => {
        if (listener === undefined) this.#listeners.clear()
        else this.#listeners.delete(listener)
      },
    })
  }
}

module.exports = ({ begin }) => ({
  uploadFile(given) {
    const progress = new Progress()
    const task = begin('uploadFile', given ?? {}, {
      check(options) {
        for (const name of ['url', 'filePath', 'name']) requireString(options, name)
        const { body, type } = form(options.formData, options.name, options.filePath)
        const header = { ...options.header, 'content-type': type }
        return { ...checked({ url: options.url, method: 'POST', header }), body }
      },
      sent: (done, all) => progress.tell(done, all, ['totalBytesSent', 'totalBytesExpectedToSend']),
      result: ({ body, ...head }) => ({ data: body.toString(), ...head }),
    })
    return progress.join(task)
  },

  downloadFile(given) {
    const progress = new Progress()
    let [done, all] = [0, 0]
    const task = begin(
      'downloadFile',
      { ...given, enableChunked: true },
      {
        check: ({ url, header }) => {
          requireString({ url }, 'url')
          return checked({ url, header })
        },
        async result({ body, ...head }, { filePath, url }) {
          const to = filePath ?? join(tmpdir(), `wx-${randomUUID()}${extname(new URL(url).pathname)}`)
          await writeFile(to, body)
          return { ...(filePath ? { filePath } : { tempFilePath: to }), ...head }
        },
      },
    )
    task?.onHeadersReceived(({ header }) => {
      const length = Object.entries(header).find(([name]) => name.toLowerCase() === 'content-length')
      all = Number(length?.[1] ?? 0)
    })
    task?.onChunkReceived(({ data }) => {
      done += data.byteLength
      progress.tell(done, all, ['totalBytesWritten', 'totalBytesExpectedToWrite'])
    })
    return progress.join(task)
  },
})
