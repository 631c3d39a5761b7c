'use strict'

/*
 * Which files a function consists of: the host loads it anew when one of them changes, wherever it lies. They are noted as
 * Node finds them, each with its size and time before it is read: a file that is written meanwhile is then seen to have
 * changed. They are told when the function is loaded, and after a call that loaded more.
 */

const fs = require('fs')
const Module = require('module')
const path = require('path')
const { fileURLToPath } = require('url')

/** Files that were loaded and not told yet: path, size, time in nanoseconds. */
let files = []
/** Those that were noted. */
const known = new Set()
/** Folders of which nothing changes: the worker's own, and those in the cache. */
let constant = []
/** Fetches what has come by a port and was not noted yet. */
let drain = () => {}

/** From now on notes what is loaded, but for what cannot change: the worker itself, and `trees`, which are the cache's. */
function note(trees) {
  constant = [__dirname, ...trees].map((folder) => folder + path.sep)
  const { load } = Module.prototype
  Module.prototype.load = function (filename) {
    noteFile(filename)
    return load.call(this, filename)
  }
}

function noteFile(filename) {
  if (known.has(filename) || constant.some((folder) => filename.startsWith(folder))) return
  known.add(filename)
  const found = fs.statSync(filename, { bigint: true, throwIfNoEntry: false })
  if (found !== undefined) files.push([filename, Number(found.size), String(found.mtimeNs)])
}

/** Notes what an import was resolved to. */
function noteUrl(url) {
  if (!url.startsWith('file:')) return
  // A query makes another module of the same file.
  noteFile(fileURLToPath(url.replace(/[?#].*$/s, '')))
}

/** Notes the addresses that come by a port. */
function noteFrom(port) {
  port.on('message', noteUrl).unref()
  const { receiveMessageOnPort } = require('worker_threads')
  drain = () => {
    for (let got = receiveMessageOnPort(port); got !== undefined; got = receiveMessageOnPort(port))
      noteUrl(got.message)
  }
}

/** Whether there is something to tell. What a call imported has come by the port when the call ends, and may not be noted yet. */
function any() {
  drain()
  return files.length > 0
}

/** What has not been told yet. */
function take() {
  drain()
  const taken = files
  files = []
  return taken
}

/**
 * Modules are looked for in the function's folder too, after every `node_modules`: on the platform NODE_PATH names it, and
 * `require('common')` finds `common.js` beside `index.js`. Then in `trees`: files outside of the folder find there what the
 * function depends on, and everybody what nobody declares, as the packages that old runtimes had built in.
 */
function searchFolder(folder, trees) {
  process.env.NODE_PATH = [folder, path.join(folder, 'node_modules'), process.env.NODE_PATH, ...trees]
    .filter(Boolean)
    .join(path.delimiter)
  Module._initPaths()
}

module.exports = { note, noteUrl, noteFrom, any, take, searchFolder }
