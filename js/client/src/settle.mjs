// How WeChat's APIs tell their end: by callbacks where one is given, else by a promise.

export const hasCallback = ({ success, fail, complete }) => Boolean(success || fail || complete)

export function settle(options, promise) {
  if (!hasCallback(options)) return promise
  const { success, fail, complete } = options
  const tell = (callback) => (outcome) => {
    if (callback) callback(outcome)
    if (complete) complete(outcome)
  }
  promise.then(tell(success), tell(fail))
}

/** One of WeChat's APIs as a promise. */
export function promised(wx, api, options) {
  return new Promise((success, fail) => {
    const asked = Object.assign({}, options, { success, fail })
    delete asked.complete
    api.call(wx, asked)
  })
}
