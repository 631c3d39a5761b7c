'use strict'

/*
 * One HTTP exchange, with Node's own client: the server's header names stay as they were written, redirects are followed,
 * and what is compressed is unpacked. Each has a connection of its own: servers of tests come and go, and a kept one would
 * outlive them.
 */

const http = require('node:http')
const https = require('node:https')
const { pipeline } = require('node:stream')
const zlib = require('node:zlib')

/** As Chromium's, which is what carries WeChat's requests. */
const MOST_REDIRECTS = 20

/** By `content-encoding`. */
const UNPACK = new Map([
  ['gzip', zlib.createGunzip],
  ['x-gzip', zlib.createGunzip],
  ['deflate', zlib.createInflate],
  ['br', zlib.createBrotliDecompress],
])

/**
 * Begins an exchange. `body` is text, bytes or null. `done` gives `{statusCode, header, cookies, body}`, where `header` has
 * one text for each name; `abort(error)` makes it fail with that error. `onSent` is told how many bytes of a body have left, `onHeaders` gets
 * the same without the body, and `onChunk` each piece of the body as bytes.
 */
function exchange({ url, method, headers, body = null, redirect = 'follow', onSent, onHeaders, onChunk }) {
  let current = null
  let aborted = null
  const send = (next) => {
    if (aborted) throw aborted
    return new Promise((response, fail) => {
      current = begin(next, onSent).on('response', response).on('error', fail)
    })
  }
  const run = async () => {
    let next = { url, method, headers: { 'accept-encoding': 'gzip, deflate, br', ...headers }, body }
    let response = await send(next)
    for (let followed = 0; redirect === 'follow' && leadsOn(response); followed += 1) {
      response.resume()
      if (followed === MOST_REDIRECTS)
        throw Object.assign(new Error('too many redirects'), { code: 'TOO_MANY_REDIRECTS' })
      next = redirected(next, response)
      response = await send(next)
    }
    const head = { statusCode: response.statusCode, ...read(response.rawHeaders) }
    onHeaders?.(head)
    const chunks = []
    for await (const chunk of unpacked(response, next.method)) {
      chunks.push(chunk)
      onChunk?.(chunk)
    }
    return { ...head, body: Buffer.concat(chunks) }
  }
  return {
    done: run().catch((error) => {
      throw aborted ?? error
    }),
    abort(error) {
      aborted ??= error
      current?.destroy(aborted)
    },
  }
}

/** Bytes of a body that are sent at a time, where somebody wants to be told of them. */
const PIECE = 64 << 10

/** Sends one request. */
function begin({ url, method, headers, body }, onSent) {
  const { request } = /^https:/i.test(url) ? https : http
  // Node itself says no length to a DELETE.
  const length = body ? { 'content-length': Buffer.byteLength(body) } : {}
  // localhost is reached by whichever of its addresses answers, in Node 18 too.
  const options = { agent: false, autoSelectFamily: true }
  const begun = request(url, { method, headers: { ...headers, ...length }, ...options })
  if (onSent && body) pieces(begun, body, onSent)
  else begun.end(body ?? undefined)
  return begun
}

/** Sends a body piece by piece, and tells of each that left. */
function pieces(begun, body, onSent, from = 0) {
  const to = Math.min(from + PIECE, body.length)
  begun.write(body.subarray(from, to), (error) => {
    if (error) return
    onSent(to)
    if (to < body.length) pieces(begun, body, onSent, to)
    else begun.end()
  })
}

function leadsOn({ statusCode, headers }) {
  return [301, 302, 303, 307, 308].includes(statusCode) && headers.location !== undefined
}

/** The request after a redirect: 303, and 301 and 302 after a POST, ask with GET (WHATWG Fetch, HTTP-redirect fetch). */
function redirected({ url, method, headers, body }, { statusCode, headers: { location } }) {
  const to = new URL(location, url)
  const kept = { ...headers }
  if (to.origin !== new URL(url).origin) drop(kept, ['authorization', 'cookie'])
  const asksAgain =
    (statusCode === 303 && method !== 'HEAD') || ([301, 302].includes(statusCode) && method === 'POST')
  if (!asksAgain) return { url: to.href, method, headers: kept, body }
  drop(kept, ['content-type', 'content-length'])
  return { url: to.href, method: 'GET', headers: kept, body: null }
}

function drop(headers, names) {
  for (const name of Object.keys(headers)) {
    if (names.includes(name.toLowerCase())) delete headers[name]
  }
}

/** Names and values in turn, as they came: a name that comes again is joined with a comma. */
function read(rawHeaders) {
  const header = {}
  const names = new Map()
  const cookies = []
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const [name, value] = [rawHeaders[at], rawHeaders[at + 1]]
    const lower = name.toLowerCase()
    if (lower === 'set-cookie') cookies.push(value)
    if (names.has(lower)) {
      header[names.get(lower)] += `,${value}`
    } else {
      names.set(lower, name)
      header[name] = value
    }
  }
  return { header, cookies }
}

/** The body as it was before it was compressed. */
function unpacked(response, method) {
  const unpack = UNPACK.get(response.headers['content-encoding']?.trim().toLowerCase())
  const empty = method === 'HEAD' || [204, 304].includes(response.statusCode)
  if (unpack === undefined || empty) return response
  // Whoever reads the end of the pipe is told of errors.
  return pipeline(response, unpack(), () => {})
}

module.exports = { exchange }
