// Files without wx that tell how far they have come, as wx's own tasks do. To a server they go by `XMLHttpRequest` where there is one, which alone
// tells a page so.

import { Carriage } from './carriage.mjs'
import { failure } from './failure.mjs'

/** Bytes that are handed over at a time where it is told how far they have come. */
const PIECE = 64 * 1024

export class TellingCarriage extends Carriage {
  constructor() {
    super()
    this.listeners = { Progress: [], Headers: [] }
  }

  onProgressUpdate(listener) {
    this.listeners.Progress.push(listener)
  }

  offProgressUpdate(listener) {
    this.leave('Progress', listener)
  }

  onHeadersReceived(listener) {
    this.listeners.Headers.push(listener)
  }

  offHeadersReceived(listener) {
    this.leave('Headers', listener)
  }

  leave(what, listener) {
    const stays = (other) => listener !== undefined && other !== listener
    this.listeners[what] = this.listeners[what].filter(stays)
  }

  /** How far a file has come, as wx tells it; `verb` is a part of the names there. */
  came(verb, bytes, all) {
    const progress = all ? Math.min(100, Math.floor((bytes / all) * 100)) : 0
    const told = { progress, [`totalBytes${verb}`]: bytes }
    told[`totalBytesExpectedTo${verb === 'Sent' ? 'Send' : 'Write'}`] = all
    for (const listener of this.listeners.Progress) listener(told)
  }

  headed(statusCode, headers) {
    const header = {}
    for (const [name, value] of headers) header[name] = value
    for (const listener of this.listeners.Headers) listener({ header, statusCode })
  }

  fetched(url, how) {
    const read = (reply) => this.whole(reply)
    if (!how) return super.fetched(url, how, read)
    const { body, headers } = how
    if (typeof XMLHttpRequest === 'function') return byPage(this, url, body, headers)
    const all = body.size === undefined ? body.byteLength : body.size
    // Without an ear for it the content goes as it is.
    const isTold = this.listeners.Progress.length && all !== undefined
    const sent = isTold ? Object.assign({}, how, { body: told(this, body, all), duplex: 'half' }) : how
    return super.fetched(url, sent, read)
  }

  /** The bytes of a reply, as they come. */
  async whole(reply) {
    this.headed(reply.status, reply.headers)
    // What is encoded on its way is longer or shorter here.
    const isPlain = !reply.headers.get('content-encoding')
    const all = isPlain ? Number(reply.headers.get('content-length')) || 0 : 0
    if (!reply.body || !this.listeners.Progress.length) return reply.arrayBuffer()
    const pieces = []
    let length = 0
    const reader = reply.body.getReader()
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      pieces.push(value)
      length += value.length
      this.came('Written', length, all)
    }
    const data = new Uint8Array(length)
    let at = 0
    for (const piece of pieces) {
      data.set(piece, at)
      at += piece.length
    }
    return data.buffer
  }
}

/** Content as a stream that tells how far it has been taken. */
function told(carriage, content, all) {
  const bytes = ArrayBuffer.isView(content)
    ? new Uint8Array(content.buffer, content.byteOffset, content.byteLength)
    : content
  let at = 0
  return new ReadableStream({
    async pull(controller) {
      const end = Math.min(at + PIECE, all)
      if (at === end) return controller.close()
      const piece = bytes.slice(at, end)
      const buffer = piece.arrayBuffer ? await piece.arrayBuffer() : piece
      controller.enqueue(new Uint8Array(buffer))
      at = end
      carriage.came('Sent', at, all)
    },
  })
}

/** By what a page has. */
function byPage(carriage, url, content, header) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    const { signal } = carriage.ending
    request.open('PUT', url)
    for (const name of Object.keys(header || {})) request.setRequestHeader(name, header[name])
    request.upload.onprogress = ({ loaded, total }) => carriage.came('Sent', loaded, total)
    request.onreadystatechange = () => {
      if (request.readyState !== XMLHttpRequest.HEADERS_RECEIVED) return
      const lines = request.getAllResponseHeaders().trim().split('\r\n')
      const headers = lines.filter(Boolean).map((line) => /^([^:]*): ?(.*)$/.exec(line).slice(1))
      carriage.headed(request.status, new Headers(headers))
    }
    request.onload = () => resolve({ statusCode: request.status, data: request.responseText })
    request.onerror = () => reject(failure('the server cannot be reached, or does not allow this page'))
    request.onabort = () => reject(failure('abort'))
    signal.addEventListener('abort', () => request.abort())
    if (signal.aborted) return reject(failure('abort'))
    request.send(content)
  })
}
