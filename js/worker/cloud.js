'use strict'

/*
 * The way of wx-server-sdk's requests: over a Unix socket to the host, not over the network to Tencent's servers. Every
 * version of the SDK uses http.request or https.request, so these are wrapped, before any function is loaded. A request
 * for one of the hosts below leaves as plain HTTP with method, path, headers and Host just as the client would have sent
 * them there, for the SDK signs those. So does one for a file's public address. A request for any other host is Node's own
 * business.
 *
 * A function may also ask WeChat's server API by itself, with an AppSecret of its own. Where something else stands in
 * WeChat's place, a simulated one say, such requests go there, those by `fetch` too: WeChat itself knows none of its codes.
 *
 * Not covered, and so not served: `new http.ClientRequest`, http2, worker threads and child processes. No version of the
 * SDK uses any of them for this, nor `fetch`.
 */

const { String, URL, assign } = require('./intrinsics')
const http = require('http')
const https = require('https')
const { syncBuiltinESMExports } = require('module')
const net = require('net')
const { urlToHttpOptions } = require('url')

const calls = require('./call')

const OURS = [
  /(^|\.)(tcb-admin|tcb-open)\.tencent(yun|cloudapi)\.com$/,
  /(^|\.)tcb-api\.tencentcloudapi\.com$/,
  /^tcb\.local$/,
]
/** Of WeChat's server API, and of its places (容灾域名). */
const WECHAT = /^((sh|sz|hk)\.api|api2?)\.weixin\.qq\.com$/
/** Tells what stands in WeChat's place that a function asks: the appid and AppSecret in its code are another's. */
const OF_FUNCTION = 'x-yunqiao-function'
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

/** What stands in WeChat's place: its address, and the connections to it. Null where WeChat itself does. */
let wechat = null

/** Connections to it, whichever of WeChat's names a request was for. */
class WeChatAgent extends http.Agent {
  constructor(address) {
    super({ keepAlive: true })
    this.address = address
  }
  getName() {
    return 'wechat'
  }
  createConnection(_, connected) {
    const { protocol, hostname, port } = this.address
    const host = hostname.replace(/^\[|\]$/g, '')
    return protocol === 'https:'
      ? require('tls').connect({ host, port: port || 443, servername: net.isIP(host) ? '' : host }, connected)
      : net.connect({ host, port: port || 80 }, connected)
  }
}

function identify(path, filesAt, wechatAt) {
  socketPath = path
  if (wechatAt) {
    const address = new URL(wechatAt)
    wechat = { address, agent: new WeChatAgent(address) }
  }
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
  const api = wechat !== null && WECHAT.test(host)
  if (!forbidden && file === null && !api && !OURS.some((pattern) => pattern.test(host))) return null

  const sent = { defaultPort }
  for (const name of KEPT) {
    if (options[name] !== undefined) sent[name] = options[name]
  }
  if (file !== null) sent.path = file
  if (forbidden) {
    sent.createConnection = fail(`yunqiao: ${host} is not there: a worker's keys are in its environment`)
  } else if (api) {
    sent.agent = wechat.agent
    if (!Array.isArray(sent.headers)) sent.headers = { ...sent.headers, [OF_FUNCTION]: 1 }
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
  installFetch()
  syncBuiltinESMExports()
}

/** A function that is there before anybody has used it: Node loads what is behind it at the first call. */
function installFetch() {
  const nodes = globalThis.fetch
  if (typeof nodes !== 'function') return
  globalThis.fetch = function fetch(resource, ...rest) {
    const { Request } = globalThis
    if (wechat === null) return nodes(resource, ...rest)
    const url = urlOf(resource instanceof Request ? resource.url : resource)
    if (url === null || !WECHAT.test(url.hostname)) return nodes(resource, ...rest)
    const request = new Request(resource, ...rest)
    request.headers.set(OF_FUNCTION, '1')
    return nodes(new Request(new URL(url.pathname + url.search, wechat.address), request))
  }
}

/** The URL that a text or URL is, or null. */
function urlOf(resource) {
  try {
    return new URL(String(resource))
  } catch {
    return null
  }
}

module.exports = { install, identify }
