'use strict'

/*
 * The worker's end of the socket to the host: frames in, frames out, nothing of what they mean. The other end, and the
 * layout in full, is `frame.rs` of the crate `runtime`.
 *
 * In:  u32 body length | u32 call id | u32 head length | u32 milliseconds left | u32 magic, flags, kind | head | event
 * Out: u32 body length | u32 call id | u32 a number that depends on the kind   | u32 magic, kind        | body
 *
 * Everything is little endian. Replies are written with fs.writeSync on the socket's own descriptor, from one buffer
 * that lives as long as the worker: that is a tenth faster than socket.write, and a log line is out before an endless
 * loop begins. When the host is slow to read, the stream takes over and keeps the order.
 */

const net = require('net')
const { allocate, bufferFrom, byteLength, exitNow, min, nextTick, wait, writeSync } = require('./intrinsics')

const IN_HEADER = 20
const OUT_HEADER = 16
const MAGIC = 0x5951
const ASCII = 0x100
const MAX_BODY = 64 * 1024 * 1024
/** How long a line of output may wait for the host, in milliseconds. */
const PATIENCE_MS = 1000
const sleeper = new Int32Array(new SharedArrayBuffer(4))

/** Kinds of frames to the host. */
const TO_HOST = {
  HELLO: 1,
  PREPARED: 2,
  LOADED: 3,
  LOAD_FAILED: 4,
  RESULT: 5,
  UNDEFINED: 6,
  THREW: 7,
  NOT_JSON: 8,
  TOO_LARGE: 9,
  LOG: 10,
  DROPPED: 11,
  MODULES: 12,
}

/** Kinds of frames from the host. */
const FROM_HOST = { CALL: 1, LOAD: 2, PREPARE: 3, IDENTIFY: 4 }

/** The call id of a frame that belongs to no call. */
const NO_CALL = 0xffffffff

let socket
let fd = -1
let out
let words
grow(64 * 1024)
// Bytes of `out` not written yet: more than one frame only when calls run side by side.
let held = 0
let batching = false

/** The frame that a chunk did not complete, and how much of it is there. */
let partial = null
let have = 0

function connect(path, onframe, onopen) {
  socket = net.connect({
    path,
    onread: {
      buffer: allocate(64 * 1024),
      callback: (n, chunk) => {
        receive(n, chunk, onframe)
        return true
      },
    },
  })
  socket.on('connect', () => {
    fd = socket._handle.fd
    onopen()
  })
  // The host is gone, or done with this worker: nothing that runs here has anybody left to answer.
  socket.on('error', () => exitNow(1))
  socket.on('close', () => exitNow(1))
}

function receive(n, chunk, onframe) {
  let at = 0
  while (at < n) {
    if (partial === null) {
      if (n - at >= IN_HEADER) {
        const size = frameSize(chunk, at)
        if (n - at >= size) {
          deliver(chunk, at, onframe)
          at += size
          continue
        }
        partial = allocate(size)
      } else {
        partial = allocate(IN_HEADER)
      }
      have = 0
    }
    const taken = min(n - at, partial.length - have)
    chunk.copy(partial, have, at, at + taken)
    have += taken
    at += taken
    if (have < partial.length) continue
    const size = frameSize(partial, 0)
    if (size > partial.length) {
      const whole = allocate(size)
      partial.copy(whole, 0, 0, have)
      partial = whole
      continue
    }
    const whole = partial
    partial = null
    deliver(whole, 0, onframe)
  }
}

function frameSize(buffer, at) {
  const body = buffer.readUInt32LE(at)
  if (buffer.readUInt16LE(at + 18) !== MAGIC || body > MAX_BODY) exitNow(1)
  return IN_HEADER + body
}

function deliver(buffer, at, onframe) {
  const start = at + IN_HEADER
  const end = start + buffer.readUInt32LE(at)
  const middle = start + buffer.readUInt32LE(at + 8)
  const tag = buffer.readUInt16LE(at + 16)
  const ascii = (tag & ASCII) !== 0
  const head = ascii ? buffer.latin1Slice(start, middle) : buffer.utf8Slice(start, middle)
  const event = ascii ? buffer.latin1Slice(middle, end) : buffer.utf8Slice(middle, end)
  onframe(tag & 0xff, buffer.readUInt32LE(at + 4), head, event, buffer.readUInt32LE(at + 12))
}

/**
 * Sends a frame whose body is `text`. When that is more than `limit` bytes nothing is sent, and their number is the
 * answer; else it is -1. After `hold` the frame goes out with the others of this turn.
 */
function send(kind, id, number, text, limit = MAX_BODY) {
  // A UTF-16 unit is at most three bytes of UTF-8, so that usually nothing has to be measured.
  let room = text.length * 3
  if (held + OUT_HEADER + room > out.length) {
    const bytes = byteLength(text)
    if (bytes > limit) return bytes
    room = bytes
    if (held > 0) flush()
    grow(OUT_HEADER + room)
  }
  const bytes = room === 0 ? 0 : out.utf8Write(text, held + OUT_HEADER, room)
  if (bytes > limit) return bytes
  const at = held >>> 2
  if ((held & 3) === 0) {
    words[at] = bytes
    words[at + 1] = id
    words[at + 2] = number
    words[at + 3] = ((MAGIC << 16) | kind) >>> 0
  } else {
    out.writeUInt32LE(bytes, held)
    out.writeUInt32LE(id, held + 4)
    out.writeUInt32LE(number, held + 8)
    out.writeUInt32LE(((MAGIC << 16) | kind) >>> 0, held + 12)
  }
  held += OUT_HEADER + bytes
  // A line of output does not wait for the end of the turn, which may never come.
  const urgent = kind === TO_HOST.LOG
  if (urgent || !batching) flush(urgent)
  return -1
}

function grow(size) {
  if (out !== undefined && size <= out.length) return
  out = allocate(size)
  words = new Uint32Array(out.buffer, 0, size >>> 2)
}

/** Keeps the frames of this turn back, and sends them in one write after the microtasks. */
function hold() {
  if (batching) return
  batching = true
  nextTick(release)
}

function release() {
  batching = false
  flush()
}

/**
 * Writes what is held. What a full socket does not take is left to the stream, which writes when this turn is over; with
 * `patient` the host gets a moment to read first, for what must not wait for that.
 */
function flush(patient = false) {
  const size = held
  if (size === 0) return
  held = 0
  let sent = 0
  let tries = patient ? PATIENCE_MS : 0
  while (socket.writableLength === 0) {
    try {
      sent += writeSync(fd, out, sent, size - sent)
    } catch (error) {
      // Only a full socket means "later"; anything else means that the host is gone.
      if (error.code !== 'EAGAIN') exitNow(1)
    }
    if (sent === size) return
    if (tries-- === 0) break
    wait(sleeper, 0, 0, 1)
  }
  socket.write(bufferFrom(out.subarray(sent, size)))
}

module.exports = { connect, send, hold, flush, TO_HOST, FROM_HOST, NO_CALL }
