'use strict'

/*
 * The second argument of a function, as the platform gives it. What is the same for every call of a function came once,
 * when it was loaded; what depends on the call is worked out when the function looks.
 */

const { defineProperty, entries, floor, max, parse, stringify } = require('./intrinsics')

let constants = {}
/** Variables that this worker has in all of its calls. */
let own = {}

function configure(text) {
  constants = parse(text)
}

function identify(variables) {
  own = variables
}

function make(call) {
  const { attempt } = call
  return {
    ...constants,
    ...(attempt === undefined ? {} : { attempt }),
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => max(0, floor(call.budget - call.elapsed())),
    get request_id() {
      return fix(this, 'request_id', call.requestId)
    },
    /** The variables of the call and of its worker, as JSON text. */
    get environment() {
      return fix(this, 'environment', stringify({ ...own, ...call.env }))
    },
    /** The same as `K=V;K=V`. */
    get environ() {
      return fix(
        this,
        'environ',
        entries({ ...own, ...call.env })
          .map(([key, value]) => `${key}=${value}`)
          .join(';'),
      )
    },
  }
}

/** From the second look on the property is a plain value. */
function fix(context, name, value) {
  defineProperty(context, name, { value, writable: true, enumerable: true, configurable: true })
  return value
}

module.exports = { configure, identify, make }
