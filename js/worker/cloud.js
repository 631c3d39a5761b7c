'use strict'

/*
 * The way of wx-server-sdk's requests: over a Unix socket to the host, not over the network to Tencent's servers. Every
 * version of the SDK uses http.request or https.request, so these are wrapped, before any function is loaded. A request
 * for one of the hosts below leaves as plain HTTP with method, path, headers and Host just as the client would have sent
 * them there, for the SDK signs those. So does one for a file's public address. A request for any other host is Node's own
 * business.
 *
 * Not covered, and so not served: `fetch`, `new http.ClientRequest`, http2, worker threads and child processes. No
 * version of the SDK uses any of them for this.
 */

const { String, URL, assign } = require('./intrinsics')
const http = require('http')
const https = require('https')
const { syncBuiltinESMExports } = require('module')
const { urlToHttpOptions } = require('url')

const calls = require('./call')

const OURS = [
  /(^|\.)(tcb-admin|tcb-open)\.tencent(yun|cloudapi)\.com$/,
  /(^|\.)tcb-api\.tencentcloudapi\.com$/,
  /^tcb\.local$/,
]
/** Where the SDK looks for keys when it believes that it runs elsewhere. There is nothing there for it. */
const METADATA = /^metadata\.tencentyun\.com$/

/** The options that say what is sent and how the answer is read; all others say how to get there. */
const KEPT = [
  'auth',
  'defaultPort',
  'headers',
  'host',
  'hostname',
  'insecureHTTPParser',
  'joinDuplicateHeaders',
  'maxHeaderSize',
  'method',
  'path',
  'port',
  'setDefaultHeaders',
  'setHost',
  'signal',
  'timeout',
  'uniqueHeaders',
]

/** Node's own, from before it is wrapped. */
const send = http.request

/** Connections to the host, whichever name a request was for. */
class HostAgent extends http.Agent {
  getName() {
    return 'host'
  }
}

// More connections at once than a listening socket queues on some systems (128) would be refused.
const agent = new HostAgent({ keepAlive: true, maxSockets: 100, maxFreeSockets: 8 })

/** The socket of this worker's own; null until the host has told. */
let socketPath = null

/** Where the addresses lead that files are read and written by: host, port and path, or null. */
let files = null
/** The path of the same door at the socket. */
const FILES = '/v1/files/'

function identify(path, filesAt) {
  socketPath = path
  if (!filesAt) return
  const { protocol, hostname, port, pathname } = urlToHttpOptions(new URL(filesAt))
  const ports = { 'http:': 80, 'https:': 443 }
  files = { host: String(hostname).toLowerCase(), port: Number(port || ports[protocol]), path: pathname }
}

/** The path at the socket of a request for a file, or null if it is none. Where no port can be reached, this one can. */
function fileAt(host, options, defaultPort) {
  if (files === null || host !== files.host) return null
  const { port, path } = options
  if (Number(port || defaultPort) !== files.port) return null
  const asked = String(path || '/')
  return asked.startsWith(files.path) ? FILES + asked.slice(files.path.length) : null
}

/** The arguments of http.request, in any of their forms, as options and callback. Null when Node will not take them. */
function read([first, second, third]) {
  const options = first
  if (typeof first === 'string' || first instanceof URL) {
    let url
    try {
      url = urlToHttpOptions(new URL(first))
    } catch {
      return null
    }
    if (typeof second === 'function') return { options: url, callback: second }
    return { options: { ...url, ...second }, callback: third }
  }
  if (options === null || typeof options !== 'object') return null
  return { options, callback: second }
}

/** The request over our way, or null if it is not ours. */
function redirect(args, defaultPort) {
  const given = read(args)
  if (given === null) return null
  const { options, callback } = given
  const host = String(options.hostname || options.host || '').toLowerCase()
  const forbidden = METADATA.test(host)
  const file = fileAt(host, options, options.defaultPort || defaultPort)
  if (!forbidden && file === null && !OURS.some((pattern) => pattern.test(host))) return null

  const sent = { defaultPort }
  for (const name of KEPT) {
    if (options[name] !== undefined) sent[name] = options[name]
  }
  if (file !== null) sent.path = file
  if (forbidden) {
    sent.createConnection = fail(`yunqiao: ${host} is not there: a worker's keys are in its environment`)
  } else if (socketPath === null) {
    sent.createConnection = fail(
      `yunqiao: ${host} cannot be reached: this worker has no connection to its host yet`,
    )
  } else {
    assign(sent, { agent, socketPath })
    const late = calls.ended()
    if (late !== null && !Array.isArray(sent.headers)) {
      sent.headers = {
        ...sent.headers,
        'x-yunqiao-late': new URLSearchParams({
          id: late.requestId,
          at: require('./places').place(),
        }).toString(),
      }
    }
  }
  return send(sent, callback)
}

/** A connection that cannot be made. */
function fail(message) {
  return (_, connected) => {
    connected(assign(new Error(message), { code: 'ENOTSERVED' }))
  }
}

function install() {
  for (const [owner, defaultPort] of [
    [http, 80],
    [https, 443],
  ]) {
    const { request, get } = owner
    owner.request = function (...args) {
      return redirect(args, defaultPort) || request.apply(this, args)
    }
    owner.get = function (...args) {
      const made = redirect(args, defaultPort)
      if (made === null) return get.apply(this, args)
      made.end()
      return made
    }
  }
  syncBuiltinESMExports()
}

module.exports = { install, identify }
