'use strict'

/*
 * process.env as a Proxy. A call brings its own variables; assigning and deleting them on the real process.env costs a
 * third of the throughput, and would mix the callers of a worker that serves several. So what a function sees is the
 * call's variables, parsed at the first look, in front of a plain copy of the worker's own. The copy holds PATH, HOME,
 * TMPDIR, LANG, the worker's key pair, and, once a function is loaded, the variables configured for it.
 *
 * A write inside a call to one of the call's variables lasts until the next call. Any other write goes to the copy and
 * to the real environment, as on the platform, where a process keeps what it was given; with several calls at a time it
 * stays in its call.
 */

const calls = require('./call')
const { String, assign, defineProperty, hasOwn, keys, ownKeys } = require('./intrinsics')

const real = process.env
const base = {}

/** Variables of the process that a function sees outside of, and underneath, its calls. */
function install() {
  for (const key of keys(real)) base[key] = real[key]
  const proxy = new Proxy(base, traps)
  defineProperty(process, 'env', { value: proxy, writable: true, enumerable: true, configurable: true })
}

/** Adds variables to the base, for the time when no call runs. */
function configure(variables) {
  assign(base, variables)
  assign(real, variables)
}

/** The variables of the call; a deleted one is null. */
function overlay() {
  const call = calls.visible()
  return call === null ? null : call.env
}

const traps = {
  get(target, key) {
    const own = overlay()
    if (own !== null && typeof key === 'string') {
      // Only strings are variables: whatever else an object inherits is not one.
      const value = own[key]
      if (typeof value === 'string') return value
      if (value === null) return undefined
    }
    return target[key]
  },

  set(target, key, value) {
    if (typeof key === 'symbol') throw new TypeError('Cannot convert a Symbol value to a string')
    const text = String(value)
    const own = overlay()
    if (own !== null && (calls.isConcurrent() || hasOwn(own, key))) {
      own[key] = text
    } else {
      target[key] = text
      real[key] = text
    }
    return true
  },

  has(target, key) {
    const own = overlay()
    if (own !== null && hasOwn(own, key)) return own[key] !== null
    return key in target
  },

  deleteProperty(target, key) {
    if (typeof key === 'symbol') return true
    const own = overlay()
    if (own !== null && (calls.isConcurrent() || hasOwn(own, key))) own[key] = null
    if (own === null || !calls.isConcurrent()) {
      delete target[key]
      delete real[key]
    }
    return true
  },

  ownKeys(target) {
    const own = overlay()
    if (own === null) return ownKeys(target)
    const all = new Set(keys(own))
    for (const key of keys(target)) all.add(key)
    return [...all].filter((key) => own[key] !== null)
  },

  getOwnPropertyDescriptor(target, key) {
    const own = overlay()
    let value
    if (own !== null && hasOwn(own, key)) value = own[key]
    else if (hasOwn(target, key)) value = target[key]
    if (typeof value !== 'string') return undefined
    return { value, writable: true, enumerable: true, configurable: true }
  },

  defineProperty(target, key, descriptor) {
    return 'value' in descriptor ? traps.set(target, key, descriptor.value) : false
  },
}

module.exports = { install, configure }
