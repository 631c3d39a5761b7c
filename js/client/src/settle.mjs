// How WeChat's APIs tell their end: by callbacks where one is given, else by a promise.

export function settle({ success, fail, complete }, promise) {
  if (!success && !fail && !complete) return promise
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
