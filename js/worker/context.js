'use strict'

/*
 * The second argument of a function, as the platform gives it. What is the same for every call of a function came once,
 * when it was loaded; what depends on the call is worked out when the function looks.
 */

const { Function, defineProperty, entries, floor, max, stringify } = require('./intrinsics')

/** Makes the context of a call, and of one that is made again. */
let made
let madeAgain
/** Variables that this worker has in all of its calls. */
let own = {}

/** Learns what is the same for every call: the JSON text of an object. */
function configure(text) {
  const constants = text.slice(1, -1)
  made = maker([constants])
  madeAgain = maker([constants, 'attempt: call.attempt'])
}

function identify(variables) {
  own = variables
}

/**
 * A function that makes contexts with these properties before the others. It is compiled from text, because V8 makes an object
 * of one literal four times as fast as one that the constants are spread into, and this is done for every call.
 */
function maker(first) {
  const properties = [
    ...first.filter((text) => text !== ''),
    'callbackWaitsForEmptyEventLoop: true',
    'getRemainingTimeInMillis: () => remaining(call)',
    "get request_id() { return fix(this, 'request_id', call.requestId) }",
    "get environment() { return fix(this, 'environment', environment(call)) }",
    "get environ() { return fix(this, 'environ', environ(call)) }",
  ]
  const text = `'use strict'; return (call) => ({ ${properties.join(', ')} })`
  return new Function('remaining', 'environment', 'environ', 'fix', text)(
    remaining,
    environment,
    environ,
    fix,
  )
}

function make(call) {
  return call.attempt === undefined ? made(call) : madeAgain(call)
}

function remaining(call) {
  return max(0, floor(call.budget - call.elapsed()))
}

/** The variables of the call and of its worker, as JSON text. */
function environment(call) {
  return stringify({ ...own, ...call.env })
}

/** The same as `K=V;K=V`. */
function environ(call) {
  return entries({ ...own, ...call.env })
    .map(([key, value]) => `${key}=${value}`)
    .join(';')
}

/** From the second look on the property is a plain value. */
function fix(context, name, value) {
  defineProperty(context, name, { value, writable: true, enumerable: true, configurable: true })
  return value
}

module.exports = { configure, identify, make }
