'use strict'

/*
 * wx.request: what a Mini Program sends to its own backend, how many of them at once, and how each ends.
 */

const { Failure, answer, callBack, failed, requireString } = require('./call')
const { exchange } = require('./http')
const { arrayBuffer, bodyOf, dataOf, headersOf, withQuery } = require('./payload')

/** Milliseconds (WeChat's document "wx.request"). */
const DEFAULT_TIMEOUT = 60000
/** How many requests go at once; the others wait (WeChat's document "network"). */
const MOST_AT_ONCE = 10

/** `errno` (WeChat's document "Errno"; the numbers as observed). */
const ERRNO = { timedOut: 5, parameter: 1001, network: 600001, invalidUrl: 600009 }

/** What Chromium's network calls the errors of Node's. */
const NET_ERRORS = {
  ECONNREFUSED: [-102, 'ERR_CONNECTION_REFUSED'],
  ECONNRESET: [-101, 'ERR_CONNECTION_RESET'],
  EPIPE: [-101, 'ERR_CONNECTION_RESET'],
  ENOTFOUND: [-105, 'ERR_NAME_NOT_RESOLVED'],
  EAI_AGAIN: [-105, 'ERR_NAME_NOT_RESOLVED'],
  EHOSTUNREACH: [-109, 'ERR_ADDRESS_UNREACHABLE'],
  ENETUNREACH: [-109, 'ERR_ADDRESS_UNREACHABLE'],
  ETIMEDOUT: [-118, 'ERR_CONNECTION_TIMED_OUT'],
  TOO_MANY_REDIRECTS: [-310, 'ERR_TOO_MANY_REDIRECTS'],
  DEPTH_ZERO_SELF_SIGNED_CERT: [-202, 'ERR_CERT_AUTHORITY_INVALID'],
  SELF_SIGNED_CERT_IN_CHAIN: [-202, 'ERR_CERT_AUTHORITY_INVALID'],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: [-202, 'ERR_CERT_AUTHORITY_INVALID'],
  CERT_HAS_EXPIRED: [-201, 'ERR_CERT_DATE_INVALID'],
  ERR_TLS_CERT_ALTNAME_INVALID: [-200, 'ERR_CERT_COMMON_NAME_INVALID'],
}

function netFailure(error) {
  if (error instanceof Failure) return error
  // What Chromium has no name for keeps Node's own words.
  const [code, name] = NET_ERRORS[error.code] ?? [-2, `ERR_FAILED (${error.message})`]
  return new Failure(`errcode:${code} cronet_error_code:${code} error_msg:net::${name}`, {
    errno: ERRNO.network,
    exception: { retryCount: 0, reasons: [] },
  })
}

function isHttp(url) {
  try {
    return /^https?:$/.test(new URL(url).protocol)
  } catch {
    return false
  }
}

/** What the app asked for, checked, or a {@link Failure}. */
function checked(options) {
  requireString(options, 'url', { errno: ERRNO.parameter })
  const { url, data } = options
  if (!isHttp(url)) {
    throw new Failure(`invalid url "${url}"`, { errno: ERRNO.invalidUrl })
  }
  const method = typeof options.method === 'string' ? options.method.toUpperCase() : 'GET'
  // Ours: Node gives no answer to CONNECT as it does to others, and no app is known that would ask for one.
  if (method === 'CONNECT') throw new Failure('CONNECT is not carried by this wx', { errno: ERRNO.parameter })
  const headers = headersOf(options.header)
  const bodiless = method === 'GET' || method === 'HEAD'
  return {
    url: method === 'GET' ? withQuery(url, data) : url,
    method,
    headers,
    body: bodiless ? null : bodyOf(data, headers['content-type']),
    redirect: options.redirect,
  }
}

/** What wx.request gives: a request on its way, or waiting for its turn. */
class RequestTask {
  #events
  #abort

  constructor(events, abort) {
    this.#events = events
    this.#abort = abort
  }

  /** Makes the request fail, if it is not over. */
  abort() {
    this.#abort(new Failure('abort'))
  }

  onHeadersReceived(listener) {
    this.#events.headers.add(listener)
  }

  offHeadersReceived(listener) {
    forget(this.#events.headers, listener)
  }

  /** With `enableChunked`. */
  onChunkReceived(listener) {
    this.#events.chunk.add(listener)
  }

  offChunkReceived(listener) {
    forget(this.#events.chunk, listener)
  }
}

/** Without a listener all are meant. */
function forget(listeners, listener) {
  if (listener === undefined) listeners.clear()
  else listeners.delete(listener)
}

/**
 * Makes what carries requests: `request` is `wx.request`, and `begin` what stands behind it and behind the APIs of files. The
 * simulator is only asked for the appid, which stands in the Referer.
 */
function createRequests(simulator) {
  let going = 0
  const waiting = []

  /** Ends when it is this one's turn, or fails when `aborted` does before that. */
  const turn = (aborted) => {
    if (going < MOST_AT_ONCE) {
      going += 1
      return Promise.resolve()
    }
    return new Promise((begin, fail) => {
      waiting.push(begin)
      aborted.catch((failure) => {
        const at = waiting.indexOf(begin)
        if (at < 0) return
        waiting.splice(at, 1)
        fail(failure)
      })
    })
  }
  const over = () => {
    const begin = waiting.shift()
    if (begin === undefined) going -= 1
    else begin()
  }

  /** `https://servicewechat.com/{appid}/{version}/page-frame.html` (WeChat's document "network"). */
  const referer = async () => {
    const appid =
      simulator.appid ??
      (await simulator.app().then(
        (app) => app.appid,
        () => undefined,
      ))
    return appid === undefined
      ? {}
      : { Referer: `https://servicewechat.com/${appid}/devtools/page-frame.html` }
  }

  /** Carries one request, until `aborted` fails, as `abort` makes it. */
  const carry = async (asked, options, events, { abort, aborted }) => {
    const late = () => abort(new Failure('timeout', { errno: ERRNO.timedOut }))
    const timer = setTimeout(late, options.timeout ?? DEFAULT_TIMEOUT)
    try {
      const headers = { ...asked.headers, ...(await Promise.race([referer(), aborted])) }
      const exchanged = exchange({
        ...asked,
        headers,
        onSent: events.sent,
        onHeaders: (head) => {
          for (const listener of events.headers) callBack(listener, head)
        },
        onChunk: (chunk) => {
          if (!options.enableChunked) return
          for (const listener of events.chunk) callBack(listener, { data: arrayBuffer(chunk) })
        },
      })
      aborted.catch(exchanged.abort)
      return await exchanged.done
    } finally {
      clearTimeout(timer)
    }
  }

  const outcome = async (asked, options, events, ending) => {
    await turn(ending.aborted)
    try {
      return await carry(asked, options, events, ending)
    } finally {
      over()
    }
  }

  /**
   * Begins the request that `check` gives for the API called `name`, and gives its task; `result` makes what it succeeds with of
   * `{statusCode, header, cookies, body}`. `sent` is told of the bytes that left.
   */
  const begin = (name, options, { check, result, sent }) => {
    let asked
    try {
      asked = check(options)
    } catch (failure) {
      if (!(failure instanceof Failure)) throw failure
      // What is refused never becomes a task (observed with base library 2.3.2).
      setTimeout(() => answer(options, false, failed(name, failure)))
      return undefined
    }
    const events = {
      headers: new Set(),
      chunk: new Set(),
      sent: sent && ((bytes) => sent(bytes, asked.body.length)),
    }
    const ending = {}
    ending.aborted = new Promise((_, abort) => {
      ending.abort = abort
    })
    // It has ended otherwise, where nobody hears of it.
    ending.aborted.catch(() => {})
    outcome(asked, options, events, ending)
      .then((got) => result(got, options))
      .then(
        (value) => answer(options, true, { ...value, errMsg: `${name}:ok` }),
        (error) => answer(options, false, failed(name, netFailure(error))),
      )
    return new RequestTask(events, ending.abort)
  }

  const request = (given) =>
    begin('request', given ?? {}, {
      check: checked,
      result: ({ body, ...head }, options) => ({
        data: dataOf(body, options),
        ...head,
        exception: { retryCount: 0, reasons: [] },
      }),
    })
  return { begin, request }
}

module.exports = { checked, createRequests }
