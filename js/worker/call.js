'use strict'

/*
 * One call while it runs, and which one is running. With one call at a time that is a variable; with several it is an
 * AsyncLocalStorage. Everything that depends on the caller (process.env, console, errors that nobody caught) asks here.
 */

const { now, parse } = require('./intrinsics')

class Call {
  constructor(id, head, budget) {
    this.id = id
    /** The head as it came: `{"r":request id,"e":{environment}}`, or `{"a":attempt,…`, `{"m":most bytes,…`. Parsed when somebody asks. */
    this.head = head
    this.parsed = null
    this.startedAt = now()
    this.budget = budget
    this.done = false
    /** Bytes of output kept and dropped, and the unfinished lines of stdout and stderr. */
    this.kept = 0
    this.dropped = 0
    this.rest = null
  }

  get requestId() {
    return this.content().r
  }

  /** Of a message push: how often it has been tried with this call, from 1. */
  get attempt() {
    return this.head[2] === 'a' ? this.content().a : undefined
  }

  /** How many bytes the result may have, where it is not as usual. */
  get most() {
    return this.head[2] === 'm' ? this.content().m : undefined
  }

  /** The environment of this call; writes of the function change it for this call. */
  get env() {
    return this.content().e
  }

  content() {
    if (this.parsed === null) this.parsed = parse(this.head)
    return this.parsed
  }

  elapsed() {
    return now() - this.startedAt
  }
}

let running = null
let storage = null
/** The call that ended last. */
let last = null

/** The running call, or null outside of any. */
function current() {
  return storage === null ? running : storage.getStore() || null
}

/** From now on calls run side by side. */
function concurrent() {
  const { AsyncLocalStorage } = require('async_hooks')
  storage = new AsyncLocalStorage()
}

/** Runs `main` inside `call`. */
function enter(call, main, event, context, callback) {
  if (storage !== null) return storage.run(call, main, event, context, callback)
  running = call
  return main(event, context, callback)
}

/** After this the call is nobody's any more. */
function leave(call) {
  call.done = true
  last = call
  if (running === call) running = null
}

/**
 * The call whose variables are seen: between two calls still those of the one before, as on the platform, where a process keeps
 * them. What was begun there and not awaited may be about to be signed with them.
 */
function visible() {
  return storage === null ? running || last : current()
}

/** The call that a request belongs to which no running call makes: the one that began it, as far as that can be known. */
function ended() {
  const call = current()
  if (call === null) return last
  return call.done ? call : null
}

module.exports = {
  Call,
  current,
  visible,
  ended,
  concurrent,
  enter,
  leave,
  isConcurrent: () => storage !== null,
}
