/** An error of ours: nothing of the server's says a code. */
export function failure(errMsg, more) {
  return Object.assign(new Error(errMsg), { errCode: -1, errMsg }, more)
}

/** What a value is called that is another than was wanted. */
export const kind = (value) => (Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value)

/** Data that stands in itself: no text has it. */
export function circular() {
  const errMsg = '-402001 circular reference. the data refers to itself: send what it refers to by its _id'
  return failure(errMsg, { errCode: -402001 })
}

/** What an API fails with, as programs read it. */
export function failed(api, cause) {
  // What the server refuses; an error of the network has a code too.
  if (Object(cause).code && !(cause instanceof Error)) return refused(api, cause)
  const { errCode = -1, errMsg: text, message, requestID } = Object(cause)
  const errMsg = `${api}:fail ${text || message || cause}`
  const error = new Error(`errCode: ${errCode}  | errMsg: ${errMsg}`)
  return Object.assign(error, { errCode, errMsg }, requestID && { requestID })
}

/** What a call of a function fails with: the platform's client writes code and cause into the text, where programs look for them. */
export function notCalled(cause) {
  const api = 'cloud.callFunction'
  const { errCode, errMsg: text, requestID } = Object(cause)
  // What failed before a function was asked for is no failure of the platform's.
  if (!(errCode <= -500000)) return failed(api, cause)
  const [known, link] = CALLS[errCode] || [textOf(errCode)]
  const more = link ? ` 更多错误信息请访问：https://docs.cloudbase.net/error-code/basic/${link}` : ''
  const errMsg = `${api}:fail Error: errCode: ${errCode} ${known} | errMsg: ${text}${more}`
  return Object.assign(new Error(errMsg), { errCode, errMsg }, requestID && { requestID })
}

/** Of the codes that calls alone fail with: the text, and where the platform's text leads to. */
const CALLS = {
  '-501000': ['', 'FUNCTION_NOT_FOUND'],
  '-504001': ['functions request fail'],
  '-504002': ['functions execute fail'],
  '-504003': ['', 'FUNCTIONS_TIME_LIMIT_EXCEEDED'],
  '-604001': ['cloudfunction result size exceed limit (1MB)'],
}

/** The numbers and texts of the server's codes. */
const CODES = {
  SYS_ERR: [-501001, 'resource system error'],
  SERVER_TIMEOUT: [-501002, 'resource server timeout'],
  EXCEED_REQUEST_LIMIT: [-501003, 'exceed request limit'],
  EXCEED_CONCURRENT_REQUEST_LIMIT: [-501004, 'exceed concurrent request limit'],
  INVALIID_ENV: [-501005, 'invalid env'],
  INVALID_PARAM: [-501007, 'invalid parameters'],
  DATABASE_REQUEST_FAILED: [-502001, 'database request fail'],
  DATABASE_PERMISSION_DENIED: [-502003, 'database permission denied'],
  DATABASE_COLLECTION_NOT_EXIST: [-502005, 'database collection not exists'],
  STORAGE_REQUEST_FAIL: [-503001, 'storage request fail'],
  STORAGE_EXCEED_AUTHORITY: [-503002, 'storage permission denied'],
  STORAGE_FILE_NONEXIST: [-503003, 'storage file not exists'],
  STORAGE_SIGN_PARAM_INVALID: [-503004, 'storage invalid sign parameter'],
}

function textOf(number) {
  const code = Object.keys(CODES).find((code) => CODES[code][0] === number)
  return code ? CODES[code][1] : ''
}

/** The number of a code. */
export const numberOf = (code) => (CODES[code] || CODES.SYS_ERR)[0]

/** What an API fails with where the server refuses by a code and its message. */
export function refused(api, { code, message, requestId }) {
  const [errCode, text] = CODES[code] || CODES.SYS_ERR
  const error = new Error(`errCode: ${errCode} ${text} | errMsg: ${message}`)
  const errMsg = `${api}:fail ${errCode} ${text}. ${message}`
  return Object.assign(error, { errCode, errMsg }, requestId && { requestID: requestId })
}
