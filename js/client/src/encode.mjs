// `data` as it goes over the wire: field by field, so that what cannot be sent is named, and each value is that of
// the moment of the call.

import { CloudID, MAX_CLOUD_IDS } from './cloud-id.mjs'
import { failure } from './failure.mjs'

/** The body of a call. Throws what says why `data` cannot be sent. */
export function encode(data) {
  if (data === undefined || data === null) data = {}
  if (typeof data !== 'object' || Array.isArray(data)) {
    throw failure(
      `parameter.data should be object instead of ${Array.isArray(data) ? 'array' : typeof data};`,
    )
  }
  const members = []
  const cloudIDs = []
  for (const key of Object.keys(data)) {
    const value = data[key]
    if (value instanceof CloudID) {
      if (typeof value.cloudID !== 'string') {
        throw failure(
          `data.${key} is a CloudID of ${value.cloudID}: the result that it is from has no cloudID`,
        )
      }
      if (cloudIDs.length < MAX_CLOUD_IDS) cloudIDs.push(key)
      else
        console.warn(
          `data.${key}: at most ${MAX_CLOUD_IDS} CloudIDs are replaced in one call; this one is sent as its string`,
        )
    }
    const text = json(key, value)
    // What JSON cannot say, such as a function, is left out.
    if (text !== undefined) members.push(`${JSON.stringify(key)}:${text}`)
  }
  return `{"data":{${members.join()}},"cloudIDs":${JSON.stringify(cloudIDs)}}`
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
  const bytes = whole
    ? new Uint8Array(value)
    : new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
  return { type: 'Buffer', data: Array.from(bytes) }
}
