// JSON over HTTP, by what is there: `wx.request` in a Mini Program, `fetch` in a browser or in Node.

import { failure } from './failure.mjs'
import { promised } from './settle.mjs'

/** In WeChat's client. A call may wait as long as it may run, and a function may run for 60 seconds. */
export const TIMEOUT = 120e3

/**
 * Posts a JSON text and gives the answer's value. Rejects with what the server said when it did not answer 2xx,
 * and with what the network said when there was no answer; `status` tells the two apart.
 */
export async function post(wx, url, text, token) {
  const header = { 'content-type': 'application/json' }
  if (token) header.authorization = `Bearer ${token}`
  const send = wx && wx.request ? byWx : byFetch
  const { status, body } = await send(url, text, header, wx).catch((error) => {
    const { errMsg, message, cause } = error
    throw failure(`${errMsg || (cause && cause.message) || message} (${url})`)
  })
  const answer = parsed(body)
  if (status >= 200 && status < 300 && answer) return answer
  const {
    errCode = -1,
    errMsg = `HTTP ${status}: ${String(body).slice(0, 200)} (${url})`,
    requestID,
  } = answer || {}
  throw failure(errMsg, { errCode, requestID, status })
}

// What a function gave as a Buffer is an ArrayBuffer, as pages take it; it has the `type` and `data` of a Buffer's JSON as well, which is
// what other pages read.
const revived = (_, value) =>
  Object(value).type === 'Buffer' && Array.isArray(value.data)
    ? Object.assign(new Uint8Array(value.data).buffer, value)
    : value

function parsed(body) {
  try {
    const value = typeof body === 'string' ? JSON.parse(body, revived) : body
    return value && typeof value === 'object' ? value : undefined
  } catch {
    return undefined
  }
}

async function byWx(url, data, header, wx) {
  const options = { url, method: 'POST', data, header, dataType: 'text', timeout: TIMEOUT }
  const reply = await promised(wx, wx.request, options)
  return { status: reply.statusCode, body: reply.data }
}

async function byFetch(url, body, headers) {
  if (typeof fetch !== 'function') throw failure('there is neither wx.request nor fetch here')
  const reply = await fetch(url, { method: 'POST', headers, body, credentials: 'omit' })
  return { status: reply.status, body: await reply.text() }
}
