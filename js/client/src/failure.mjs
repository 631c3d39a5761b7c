// Errors as the base library makes them: `errMsg` is `<api>:fail <text>`, and `errCode` is -1 where nobody gave a
// better one (observed in the base library's messages, and in wx-server-sdk, which shares its code).

/** A failure that does not know yet which API it is of. */
export function failure(errMsg, more) {
  return Object.assign(new Error(errMsg), { errCode: -1, errMsg }, more)
}

/** The failure of `api`. A new one each time: several calls may fail for one cause, such as a login. */
export function failed(api, cause) {
  const { errCode = -1, errMsg: text, message, requestID } = Object(cause)
  const errMsg = `${api}:fail ${text || message || cause}`
  const error = new Error(`errCode: ${errCode}  | errMsg: ${errMsg}`)
  return Object.assign(error, { errCode, errMsg }, requestID && { requestID })
}
