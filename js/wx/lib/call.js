'use strict'

/*
 * How an API of wx is called and answers: options with success, fail and complete, of which all may be missing, and then a
 * promise; always later, never before the call returned; and an errMsg that begins with the API's name.
 */

/** Why an API fails: what stands after `fail `, and what the failure carries beside errMsg. */
class Failure extends Error {
  constructor(text, more = {}) {
    super(text)
    this.more = more
  }
}

/** `value` as the base library names its type in a parameter error. */
function typeName(value) {
  return Object.prototype.toString.call(value).slice(8, -1)
}

/** Refuses an option that is no string, in the base library's words (observed with 2.3.2). */
function requireString(options, name, more) {
  if (typeof options[name] !== 'string') {
    throw new Failure(
      `parameter error: parameter.${name} should be String instead of ${typeName(options[name])};`,
      more,
    )
  }
}

/** Runs a callback of the app. What it throws is the test's to see, but stops nothing here: it is thrown again, alone. */
function callBack(callback, value) {
  if (typeof callback !== 'function') return
  try {
    callback(value)
  } catch (error) {
    setTimeout(() => {
      throw error
    })
  }
}

/** Calls success or fail, then complete. */
function answer(options, ok, value) {
  callBack(ok ? options.success : options.fail, value)
  callBack(options.complete, value)
}

function failed(name, failure) {
  const { message, more } = failure
  return { errMsg: `${name}:fail${message && ` ${message}`}`, ...more }
}

/**
 * The API called `name`. `work` is begun before the call returns, gets the options and gives the result without its
 * errMsg, or throws a {@link Failure}; any other error is one of ours, and goes the way of an unhandled one.
 */
function api(name, work) {
  const outcome = async (options) => {
    try {
      return { ok: true, value: { errMsg: `${name}:ok`, ...(await work(options)) } }
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      return { ok: false, value: failed(name, error) }
    }
  }
  return (given) => {
    const options = given ?? {}
    const end = outcome(options)
    if (['success', 'fail', 'complete'].some((callback) => typeof options[callback] === 'function')) {
      end.then(({ ok, value }) => answer(options, ok, value))
      return undefined
    }
    return end.then(({ ok, value }) => {
      // As the real one: a plain object.
      if (!ok) throw value
      return value
    })
  }
}

module.exports = { Failure, answer, api, callBack, failed, requireString, typeName }
