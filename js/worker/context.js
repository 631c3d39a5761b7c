'use strict';

/*
 * The second argument of a function, as the platform gives it. What is the same for every call of a function came once,
 * when it was loaded; what depends on the call is worked out when the function looks.
 */

let constants = {};

function configure(text) {
  constants = JSON.parse(text);
}

function make(call) {
  return {
    ...constants,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, Math.floor(call.budget - call.elapsed())),
    get request_id() {
      return fix(this, 'request_id', call.requestId);
    },
    /** The call's variables as JSON text. */
    get environment() {
      return fix(this, 'environment', JSON.stringify(call.env));
    },
    /** The same as `K=V;K=V`. */
    get environ() {
      return fix(
        this,
        'environ',
        Object.entries(call.env)
          .map(([key, value]) => `${key}=${value}`)
          .join(';'),
      );
    },
  };
}

/** From the second look on the property is a plain value. */
function fix(context, name, value) {
  Object.defineProperty(context, name, { value, writable: true, enumerable: true, configurable: true });
  return value;
}

module.exports = { configure, make };
