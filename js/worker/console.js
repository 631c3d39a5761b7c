'use strict'

/*
 * What a function prints belongs to the call that printed it. console.* and process.stdout/stderr.write end here, not in
 * a descriptor: each line becomes one frame with its level and the milliseconds since the call began, written before
 * anything else happens. Of one call `limit` bytes are kept; the rest is counted and dropped on this side, so that a
 * flood costs the function its own time and nobody's memory. Outside of calls the same limit holds for each second.
 */

const { Writable } = require('stream')
const calls = require('./call')
const { bufferFrom, byteLength, floor, min } = require('./intrinsics')
const { send, TO_HOST, NO_CALL } = require('./link')

const LEVELS = { debug: 0, log: 1, info: 2, warn: 3, error: 4 }

/** The level of each console method that does not print at `log`. */
const METHODS = {
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  trace: 'error',
  assert: 'error',
}
const PLAIN = ['log', 'dir', 'dirxml', 'table', 'timeEnd', 'timeLog', 'count', 'group', 'groupCollapsed']

/** So many dropped bytes are told at once. */
const REPORT_AT = 1024 * 1024

let limit = 256 * 1024
/** The level that a console method set for what it prints. */
let level = null
/** Output outside of any call, counted per second like a call's. */
const outside = { id: NO_CALL, kept: 0, dropped: 0, rest: null, second: 0, elapsed: () => 0 }

function owner() {
  const call = calls.current()
  if (call !== null && !call.done) return call
  const second = floor(process.uptime())
  if (second !== outside.second) {
    outside.second = second
    report(outside)
    outside.kept = 0
  }
  return outside
}

/** One entry of the log: cut to what is left of the limit. */
function entry(to, number, text) {
  const left = limit - to.kept
  let size = byteLength(text)
  if (size > left) {
    const cut =
      left > 0
        ? bufferFrom(text)
            .subarray(0, left)
            .toString()
            .replace(/\ufffd+$/, '')
        : ''
    drop(to, size - byteLength(cut))
    to.kept = limit
    if (cut === '') return
    text = cut
    size = 0
  }
  to.kept += size
  const at = min(floor(to.elapsed()), 0xffffff)
  send(TO_HOST.LOG, to.id, ((at << 8) | number) >>> 0, text)
}

/** Counts what is not kept. The host is told now and then: a call that is ended from outside tells nothing any more. */
function drop(to, bytes) {
  to.dropped += bytes
  if (to.dropped >= REPORT_AT) report(to)
}

/** Takes what was written to stdout or stderr: whole lines at once, the rest of a line when it ends or the call does. */
function capture(stream, chunk) {
  const to = owner()
  let text = typeof chunk === 'string' ? chunk : chunk.toString()
  if (level !== null) {
    // A console method writes whole entries, possibly of several lines.
    entry(to, level, text.endsWith('\n') ? text.slice(0, -1) : text)
    return
  }
  if (to.kept >= limit) {
    drop(to, byteLength(text))
    return
  }
  const number = stream === 1 ? LEVELS.log : LEVELS.error
  if (to.rest !== null && to.rest[stream]) text = to.rest[stream] + text
  const end = text.lastIndexOf('\n')
  if (end >= 0) entry(to, number, text.slice(0, end))
  const rest = text.slice(end + 1)
  if (rest.length > limit) {
    entry(to, number, rest)
    if (to.rest !== null) to.rest[stream] = ''
  } else if (rest !== '' || to.rest !== null) {
    if (to.rest === null) to.rest = { 1: '', 2: '' }
    to.rest[stream] = rest
  }
}

function stream(fd) {
  const writable = new Writable({
    decodeStrings: false,
    write(chunk, encoding, done) {
      capture(fd, typeof chunk === 'string' && encoding !== 'utf8' ? bufferFrom(chunk, encoding) : chunk)
      done()
    },
  })
  writable.fd = fd
  // As the real ones: a function that ends or destroys them does not lose the next call's output.
  writable.destroy = function () {
    return this
  }
  writable.end = function (chunk, ...rest) {
    if (chunk !== undefined && typeof chunk !== 'function') this.write(chunk, ...rest)
    return this
  }
  return writable
}

/** Sends what a call printed without ending the line, and how much was dropped. */
function finish(call) {
  if (call.rest !== null) {
    if (call.rest[1]) entry(call, LEVELS.log, call.rest[1])
    if (call.rest[2]) entry(call, LEVELS.error, call.rest[2])
    call.rest = null
  }
  report(call)
}

function report(to) {
  if (to.dropped === 0) return
  send(TO_HOST.DROPPED, to.id, min(to.dropped, 0xffffffff), '')
  to.dropped = 0
}

function install() {
  for (const [name, fd] of [
    ['stdout', 1],
    ['stderr', 2],
  ]) {
    let made = null
    Object.defineProperty(process, name, {
      configurable: true,
      enumerable: true,
      get: () => made || (made = stream(fd)),
    })
  }
  for (const name of [...Object.keys(METHODS), ...PLAIN]) {
    const print = console[name]
    const number = LEVELS[METHODS[name] || 'log']
    console[name] = function (...values) {
      const before = level
      level = before === null ? number : before
      try {
        print.apply(console, values)
      } finally {
        level = before
      }
    }
  }
  // wx-server-sdk 1.8.3 calls it whenever a logger is used, later ones where _SCF_TCB_LOG is 1.
  Object.defineProperty(console, '__baseLog__', {
    value: (object, name) => console[name in LEVELS ? name : 'log'](object),
    writable: true,
    configurable: true,
  })
}

/** A line of the runtime's own, at level `error`. */
function complain(text) {
  entry(owner(), LEVELS.error, text)
}

function configure(bytes) {
  limit = bytes
}

module.exports = { install, configure, finish, complain }
