'use strict'

/*
 * The program that a worker runs. It connects to the host, shows its token, and then does what it is told: load the
 * dependencies that functions of a tree share (a spare), load a function, run calls. One worker serves one function.
 *
 * This is the hot path of the whole product. A call costs one read, JSON.parse of the event, `main`, JSON.stringify and
 * one write; what a function may or may not look at (environment, context, console) is worked out when it looks.
 */

const { env } = process
const socketPath = env.YUNQIAO_SOCKET
const token = env.YUNQIAO_TOKEN
delete env.YUNQIAO_SOCKET
delete env.YUNQIAO_TOKEN

const { Promise, exitNow, parse, stringify, then } = require('./intrinsics')
const { createRequire } = require('module')
const path = require('path')

const environment = require('./env')
environment.install()
const cloud = require('./cloud')
cloud.install()
const link = require('./link')
const calls = require('./call')
const output = require('./console')
const context = require('./context')
const modules = require('./modules')
const { load, isDetected, isLasting, describe } = require('./load')

output.install()

const { TO_HOST, FROM_HOST, NO_CALL } = link
/** A result may be as large as the platform allows: 1 MB of UTF-8, and what the call says where it goes to no client. */
const MAX_RESULT = 1024 * 1024

let main = null
let wantsCallback = false
let prepared = false
/** Where lines are remembered: see places.js. */
let places = null

function onframe(kind, id, head, event, budget) {
  if (kind === FROM_HOST.CALL) run(new calls.Call(id, head, budget), event)
  else if (kind === FROM_HOST.LOAD) loadFunction(parse(head))
  else if (kind === FROM_HOST.PREPARE) prepare(parse(head))
  else if (kind === FROM_HOST.IDENTIFY) identify(parse(head))
  else exitNow(1)
}

function run(call, event) {
  let value
  if (places !== null) places.begin()
  try {
    value = calls.enter(
      call,
      main,
      parse(event),
      context.make(call),
      wantsCallback ? (error, result) => (error ? threw(call, error) : reply(call, result)) : undefined,
    )
  } catch (error) {
    threw(call, error)
    return
  }
  if (value instanceof Promise) {
    then(
      value,
      (result) => reply(call, result),
      (error) => threw(call, error),
    )
  } else if (value !== null && typeof value === 'object' && typeof value.then === 'function') {
    then(
      new Promise((resolve) => resolve(value)),
      (result) => reply(call, result),
      (error) => threw(call, error),
    )
  } else if (!wantsCallback) {
    reply(call, value)
  }
}

/** Answers a call. Whatever answers first is the answer. */
function reply(call, value) {
  if (call.done) return
  let text
  try {
    text = stringify(value)
  } catch (error) {
    answer(call, TO_HOST.NOT_JSON, 0, describe(error).message)
    return
  }
  // A function, a symbol and undefined have no JSON; a result that is missing is a success.
  if (text === undefined) {
    answer(call, TO_HOST.UNDEFINED, 0, '')
    return
  }
  const bytes = answer(call, TO_HOST.RESULT, 0, text, call.most || MAX_RESULT)
  if (bytes >= 0) link.send(TO_HOST.TOO_LARGE, call.id, bytes, '')
}

function threw(call, error, number = 0) {
  if (call.done) return
  answer(call, TO_HOST.THREW, number, stringify(describe(error)))
}

function tellModules() {
  link.send(TO_HOST.MODULES, NO_CALL, 0, stringify(modules.take()))
}

function answer(call, kind, number, text, limit) {
  if (modules.any()) tellModules()
  if (call.rest !== null || call.dropped > 0) output.finish(call)
  calls.leave(call)
  if (calls.isConcurrent()) link.hold()
  return link.send(kind, call.id, number, text, limit)
}

/** Learns what is this worker's own: its way to the host, and the variables with its key pair. */
function identify({ socket, files, wechat, variables }) {
  cloud.identify(socket, files, wechat)
  environment.configure(variables)
  context.identify(variables)
}

async function loadFunction(spec) {
  try {
    output.configure(spec.logLimit)
    context.configure(spec.context)
    environment.configure(spec.env)
    process.chdir(spec.dir)
    const trees = spec.tree ? [spec.tree, ...spec.undeclared] : spec.undeclared
    modules.searchFolder(spec.dir, trees)
    modules.note(trees)
    const isModule = spec.isModule || isDetected(spec.entry)
    require('./resolve').install(spec.dir, spec.tree, trees, isModule)
    if (spec.pack && !prepared) require('./pack').expect(spec.pack)
    if (spec.concurrency > 1) calls.concurrent()
    if (spec.places) {
      places = require('./places')
      places.always()
    }
    main = await load(spec.entry, isModule)
    // Only a function that names a third parameter is called back; a promise from it counts all the same.
    wantsCallback = main.length >= 3
    tellModules()
    link.send(TO_HOST.LOADED, NO_CALL, 0, '')
  } catch (error) {
    tellModules()
    link.send(TO_HOST.LOAD_FAILED, NO_CALL, isLasting(error) ? 1 : 0, stringify(describe(error)))
  }
}

/** Loads what the functions of a tree have in common, before it is known which of them this worker will serve. */
function prepare(pack) {
  prepared = true
  try {
    const requireThere = createRequire(path.join(pack.tree, 'yunqiao.js'))
    require('./pack').prepare(pack, () => requireThere(pack.sdk))
  } catch (error) {
    // The function that needs it will meet the same error, and its author will see it there.
    output.complain(`${pack.sdk} in ${pack.tree}: ${describe(error).message}`)
  }
  link.send(TO_HOST.PREPARED, NO_CALL, 0, '')
}

process.on('unhandledRejection', (reason) => {
  // wx-server-sdk 4 leaves such promises behind; on the platform they end in the log, not the call.
  output.complain(`unhandled rejection: ${describe(reason).stack}`)
})

process.on('uncaughtException', (error) => {
  // A function that handles such errors itself goes on.
  if (process.listenerCount('uncaughtException') > 1) return
  const call = calls.current()
  if (call !== null && !call.done) {
    threw(call, error, 1)
    link.flush()
  } else {
    output.complain(`uncaught exception: ${describe(error).stack}`)
    process.exit(1)
  }
})

link.connect(socketPath, onframe, () => link.send(TO_HOST.HELLO, NO_CALL, 0, token))
