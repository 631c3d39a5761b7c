'use strict'

/*
 * What the language and Node offer, as it was before any function was loaded. A function may replace JSON.stringify, Promise or
 * fs.writeSync, for itself and its modules; what the worker says to the host stays what it is.
 */

/** Makes a method a function whose first argument is `this`. */
const uncurry = Function.prototype.bind.bind(Function.prototype.call)

module.exports = {
  Function,
  Promise,
  String,
  URL,
  parse: JSON.parse,
  stringify: JSON.stringify,
  then: uncurry(Promise.prototype.then),
  assign: Object.assign,
  defineProperty: Object.defineProperty,
  entries: Object.entries,
  hasOwn: Object.hasOwn,
  keys: Object.keys,
  ownKeys: Reflect.ownKeys,
  floor: Math.floor,
  max: Math.max,
  min: Math.min,
  byteLength: Buffer.byteLength,
  bufferFrom: Buffer.from,
  allocate: Buffer.allocUnsafeSlow,
  wait: Atomics.wait,
  writeSync: require('fs').writeSync,
  nextTick: process.nextTick.bind(process),
  exitNow: process.reallyExit.bind(process),
  now: require('perf_hooks').performance.now.bind(require('perf_hooks').performance),
}
