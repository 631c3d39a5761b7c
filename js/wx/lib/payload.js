'use strict'

/*
 * What a request carries and an answer brings: headers, query, body, data, turned as base library 2.3.2 turns them, and as
 * WeChat's document "wx.request" says.
 */

const { typeName } = require('./call')

/** Texts and numbers as they are, anything else as its type; content-type in lower case, and no Referer of the app's own. */
function headersOf(given) {
  const headers = {}
  if (typeName(given) === 'Object') {
    for (const [name, value] of Object.entries(given)) {
      const lower = name.toLowerCase()
      if (lower === 'referer') continue
      const text = ['string', 'number'].includes(typeof value)
        ? String(value)
        : Object.prototype.toString.call(value)
      headers[lower === 'content-type' ? lower : name] = text
    }
  }
  headers['content-type'] ||= 'application/json'
  return headers
}

/** GET takes data as its query: a name that the URL has already gets the new value, and a nested object is JSON. */
function withQuery(url, data) {
  if (data === null || typeof data !== 'object' || Object.keys(data).length === 0) return url
  const [path, query = ''] = url.split('?')
  const fields = {}
  for (const part of query.split('&').filter((part) => part !== '')) {
    const [name, value] = part.split('=')
    fields[name] = value
  }
  for (const [name, value] of Object.entries(data)) {
    fields[encodeURIComponent(name)] = encodeURIComponent(
      typeof value === 'object' ? JSON.stringify(value) : value,
    )
  }
  const pairs = Object.entries(fields).map(([name, value]) => `${name}=${value}`)
  return `${path}?${pairs.join('&')}`
}

/** The body that data becomes, by the content type. */
function bodyOf(data, contentType) {
  if (data === undefined) return ''
  if (typeof data === 'string') return data
  if (typeName(data) === 'ArrayBuffer') return Buffer.from(data)
  if (
    contentType.includes('application/x-www-form-urlencoded') &&
    data !== null &&
    typeof data === 'object'
  ) {
    const pairs = Object.entries(data)
    return pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&')
  }
  return contentType.includes('application/json') || typeof data === 'object'
    ? JSON.stringify(data)
    : String(data)
}

/** The body of an answer as the app wants it. Text that should be JSON and is none stays text. */
function dataOf(bytes, { responseType, dataType }) {
  if (String(responseType).toLowerCase() === 'arraybuffer') return arrayBuffer(bytes)
  const text = bytes.toString().replace(/^\ufeff/, '')
  if ((dataType || 'json') !== 'json') return text
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** A copy of these bytes alone: Node's lie in a buffer that others use too. */
function arrayBuffer(bytes) {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
}

module.exports = { arrayBuffer, bodyOf, dataOf, headersOf, withQuery }
