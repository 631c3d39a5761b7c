// `data` as it goes over the wire: field by field, so that what cannot be sent is named, and each value is that of
// the moment of the call.

import { CloudID, MAX_CLOUD_IDS } from './cloud-id.mjs'
import { failure } from './failure.mjs'

/** The fields of `data`: `{key, text}`, or `{key, id}` where it is to be replaced. Throws what says why it cannot be sent. */
export function fields(data) {
  if (data === undefined || data === null) return []
  if (typeof data !== 'object' || Array.isArray(data)) {
    throw failure(`parameter.data should be object instead of ${Array.isArray(data) ? 'array' : typeof data};`)
  }
  let room = MAX_CLOUD_IDS
  return Object.keys(data).map((key) => {
    const value = data[key]
    if (!(value instanceof CloudID)) return { key, text: json(key, value) }
    const id = value.cloudID
    if (typeof id !== 'string') {
      throw failure(`data.${key} is a CloudID of ${id}: the result that it is from has no cloudID`)
    }
    if (room-- > 0) return { key, id }
    console.warn(`data.${key}: at most ${MAX_CLOUD_IDS} CloudIDs are replaced in one call; this one is sent as the string that it is`)
    return { key, text: json(key, id) }
  })
}

/** The request's body, once each `id` is one that the server knows. */
export function body(fields) {
  const members = []
  const names = []
  for (const { key, id, text = JSON.stringify(id) } of fields) {
    const name = JSON.stringify(key)
    if (id !== undefined) names.push(name)
    // What JSON cannot say, such as a function, is left out.
    if (text !== undefined) members.push(`${name}:${text}`)
  }
  return `{"data":{${members.join()}},"cloudIDs":[${names.join()}]}`
}

function json(key, value) {
  try {
    return JSON.stringify(value, binary)
  } catch (error) {
    throw failure(`data.${key} cannot be sent as JSON: ${error.message}`)
  }
}

/** Bytes arrive as the document on callFunction shows. */
function binary(key, value) {
  const whole = Object.prototype.toString.call(value) === '[object ArrayBuffer]'
  if (!whole && !ArrayBuffer.isView(value)) return value
  const bytes = whole ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  return { type: 'Buffer', data: Array.from(bytes) }
}
