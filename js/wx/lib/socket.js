'use strict'

/*
 * wx.connectSocket: a WebSocket (RFC 6455) by Node's own http client, as Node 18 has none. What is sent is text or bytes, whole;
 * what comes may come in pieces, and the app gets it whole.
 */

const { createHash, randomBytes } = require('node:crypto')
const http = require('node:http')
const https = require('node:https')

const { callBack, requireString, Failure, answer, failed } = require('./call')
const { arrayBuffer, headersOf } = require('./payload')

const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
const OP = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 }
const ABNORMAL = 1006
/** How many sockets an app has at once (WeChat's document "network"). */
const MOST_AT_ONCE = 5
const STATE = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 }

/** One frame, masked as a client's has to be. */
function frame(op, payload) {
  const { length } = payload
  const head = length < 126 ? Buffer.alloc(2) : length < 65536 ? Buffer.alloc(4) : Buffer.alloc(10)
  head[0] = 0x80 | op
  head[1] = 0x80 | (length < 126 ? length : length < 65536 ? 126 : 127)
  if (head.length === 4) head.writeUInt16BE(length, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
  const mask = randomBytes(4)
  const masked = Buffer.from(payload)
  for (let at = 0; at < length; at += 1) masked[at] ^= mask[at & 3]
  return Buffer.concat([head, mask, masked])
}

/** Takes frames out of what has come so far; `take(op, payload, isLast)` gets each. */
class Frames {
  #bytes = Buffer.alloc(0)

  push(chunk, take) {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    for (;;) {
      const bytes = this.#bytes
      if (bytes.length < 2) return
      const short = bytes[1] & 0x7f
      const head = short < 126 ? 2 : short === 126 ? 4 : 10
      if (bytes.length < head) return
      const length =
        short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
      if (bytes.length < head + length) return
      this.#bytes = bytes.subarray(head + length)
      take(bytes[0] & 0x0f, bytes.subarray(head, head + length), Boolean(bytes[0] & 0x80))
    }
  }
}

/** How long a connection took, in milliseconds. Node tells none of its parts: the whole stands for the handshake. */
function profileOf(began, open) {
  const cost = open - began
  return {
    fetchStart: began,
    domainLookUpStart: began,
    domainLookUpEnd: began,
    connectStart: began,
    connectEnd: open,
    rtt: cost,
    handshakeCost: cost,
    cost,
  }
}

/** What wx.connectSocket gives. */
class SocketTask {
  #listeners = { open: new Set(), message: new Set(), close: new Set(), error: new Set() }
  #socket
  #pieces = []
  #op
  /** What the server said at its goodbye. */
  #goodbye

  constructor() {
    this.readyState = STATE.CONNECTING
    Object.assign(this, STATE)
  }

  onOpen(listener) {
    this.#listeners.open.add(listener)
  }
  onMessage(listener) {
    this.#listeners.message.add(listener)
  }
  onClose(listener) {
    this.#listeners.close.add(listener)
  }
  onError(listener) {
    this.#listeners.error.add(listener)
  }

  send(given) {
    const options = given ?? {}
    const { data } = options
    const end = (failure) =>
      setTimeout(() =>
        failure
          ? answer(options, false, failed('sendSocketMessage', failure))
          : answer(options, true, { errMsg: 'sendSocketMessage:ok' }),
      )
    if (this.readyState !== STATE.OPEN) return void end(new Failure('WebSocket is not connected'))
    const payload = typeof data === 'string' ? Buffer.from(data) : Buffer.from(new Uint8Array(data))
    this.#socket.write(frame(typeof data === 'string' ? OP.text : OP.binary, payload), (error) =>
      end(error ? new Failure(error.message) : undefined),
    )
  }

  close(given) {
    const options = given ?? {}
    const { code = 1000, reason = '' } = options
    setTimeout(() => answer(options, true, { errMsg: 'closeSocket:ok' }))
    if (this.readyState > STATE.OPEN) return
    const wasOpen = this.readyState === STATE.OPEN
    this.readyState = STATE.CLOSING
    if (!wasOpen) return void this.#request?.destroy()
    const payload = Buffer.alloc(2 + Buffer.byteLength(reason))
    payload.writeUInt16BE(code)
    payload.write(reason, 2)
    this.#goodbye = { code, reason }
    this.#socket.end(frame(OP.close, payload))
  }

  #request

  /** Breaks off, as a phone does that loses its network. */
  drop() {
    this.#request?.destroy()
    this.#socket?.destroy()
  }

  /** Connects; `over` is called once the task is over. */
  connect({ url, headers, protocols, timeout }, over) {
    const began = Date.now()
    const key = randomBytes(16).toString('base64')
    const { request } = /^wss:/i.test(url) ? https : http
    const asked = request(url.replace(/^ws/i, 'http'), {
      agent: false,
      autoSelectFamily: true,
      timeout,
      headers: {
        ...headers,
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': key,
        ...(protocols?.length ? { 'sec-websocket-protocol': protocols.join(', ') } : {}),
      },
    })
    this.#request = asked
    const end = (error) => {
      if (this.readyState === STATE.CLOSED) return
      const wasOpen = this.#socket !== undefined
      this.readyState = STATE.CLOSED
      over()
      if (error && !wasOpen) this.#tell('error', { errMsg: `connectSocket:fail ${error.message}` })
      this.#tell('close', this.#goodbye ?? { code: ABNORMAL, reason: 'abnormal closure' })
    }
    asked.on('timeout', () => asked.destroy(new Error('timeout')))
    asked.on('error', end)
    asked.on('close', () => this.#socket ?? end(new Error('closed before it was open')))
    asked.on('response', (response) => {
      response.resume()
      end(new Error(`Unexpected response code: ${response.statusCode}`))
    })
    asked.on('upgrade', (response, socket, first) => {
      const accept = createHash('sha1')
        .update(key + MAGIC)
        .digest('base64')
      if (response.headers['sec-websocket-accept'] !== accept) {
        socket.destroy()
        return end(new Error("Incorrect 'Sec-WebSocket-Accept' header"))
      }
      this.#socket = socket
      socket.setTimeout(0)
      socket.setNoDelay(true)
      this.readyState = STATE.OPEN
      const frames = new Frames()
      const push = (chunk) => frames.push(chunk, (...taken) => this.#take(...taken))
      socket.on('data', push)
      socket.on('error', () => {})
      socket.on('close', () => end())
      this.#tell('open', { header: response.headers, profile: profileOf(began, Date.now()) })
      if (first.length) push(first)
    })
    asked.end()
  }

  #take(op, payload, isLast) {
    if (op === OP.ping) return void this.#socket.write(frame(OP.pong, payload))
    if (op === OP.pong) return
    if (op === OP.close) {
      this.#goodbye ??= {
        code: payload.length < 2 ? 1005 : payload.readUInt16BE(0),
        reason: payload.subarray(2).toString(),
      }
      this.readyState = STATE.CLOSING
      this.#socket.end(frame(OP.close, payload))
      return
    }
    if (op !== OP.continuation) this.#op = op
    this.#pieces.push(payload)
    if (!isLast) return
    const whole = Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#tell('message', { data: this.#op === OP.text ? whole.toString() : arrayBuffer(whole) })
  }

  #tell(event, value) {
    for (const listener of this.#listeners[event]) callBack(listener, value)
  }
}

/** `connectSocket`, and `drop`, which breaks all sockets off. */
function socketsApi() {
  const open = new Set()
  return {
    drop() {
      for (const task of open) task.drop()
    },
    connectSocket(given) {
      const options = given ?? {}
      try {
        requireString(options, 'url')
        if (!/^wss?:\/\//i.test(options.url)) throw new Failure(`invalid url "${options.url}"`)
        if (open.size >= MOST_AT_ONCE) throw new Failure('exceed max task count')
      } catch (failure) {
        if (!(failure instanceof Failure)) throw failure
        setTimeout(() => answer(options, false, failed('connectSocket', failure)))
        return undefined
      }
      const task = new SocketTask()
      open.add(task)
      const { url, header, protocols, timeout } = options
      // Later: nobody has heard of the task yet.
      setTimeout(() => {
        answer(options, true, { errMsg: 'connectSocket:ok' })
        task.connect({ url, headers: headersOf(header), protocols, timeout }, () => open.delete(task))
      })
      return task
    },
  }
}

module.exports = { socketsApi }
