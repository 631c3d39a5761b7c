'use strict'

/*
 * Where in the function's code a request was begun. The stack of the request itself mostly does not tell: the SDK makes it
 * some turns later. So whatever is begun (a promise, a timer) remembers the line of the function that began it, or else what
 * its own beginner remembers. Where a developer works (`always`) that is done in every call, for as many things as cost no
 * time that anybody would notice. In production it is too much for every call: it is done for a while once a request has come
 * too late, so that the line is known when that happens again.
 */

const { createHook, executionAsyncResource } = require('async_hooks')

/** For how long lines are remembered, in milliseconds. */
const WHILE = 10 * 60 * 1000
/** Of one call: so many stacks are looked at, some 10 µs each. What is begun later knows its beginner's line. */
const MOST = 1000
const PLACE = Symbol('place')
const OTHERS = ['node:', '/node_modules/', __dirname]

const hook = createHook({
  init(id, type, trigger, resource) {
    const found = left > 0 && ofStack(15)
    left--
    resource[PLACE] = found || executionAsyncResource()[PLACE]
  },
})
let left = Number.POSITIVE_INFINITY
let isAlways = false
let forgetting = null

/** Lines are remembered from now on. */
function always() {
  isAlways = true
  begin()
  hook.enable()
}

/** A call begins. */
function begin() {
  if (isAlways) left = MOST
}

/** The line of the function that does this now, or began it; '' if that is not known. From now on it will be. */
function place() {
  const found = ofStack(50) || executionAsyncResource()[PLACE] || ''
  if (isAlways) return found
  hook.enable()
  clearTimeout(forgetting)
  forgetting = setTimeout(() => hook.disable(), WHILE).unref()
  return found
}

/** The first line of the stack that is neither Node's, nor ours, nor a package's. */
function ofStack(limit) {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = limit
  const { stack } = new Error()
  Error.stackTraceLimit = stackTraceLimit
  const line = String(stack)
    .split('\n')
    .find((one) => /^ +at .*:\d+:\d+\)?$/.test(one) && !OTHERS.some((other) => one.includes(other)))
  return line === undefined ? '' : line.replace(/^ +at (.*\()?/, '').replace(/\)$/, '')
}

module.exports = { always, begin, place }
