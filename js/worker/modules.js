'use strict'

/*
 * Which files a function consists of: the host loads it anew when one of them changes, wherever it lies. Modules are
 * noted as Node loads them, and told when the function is loaded and after a call that loaded more. What `import` loads
 * is not noted: only files of the function's own folder, which the host watches by itself.
 */

const Module = require('module')
const path = require('path')

/** Files that were loaded and not told yet. */
let files = []

/** From now on notes what is loaded, but for what cannot change: the worker itself, and `trees`, which are the cache's. */
function note(trees) {
  const constant = [__dirname, ...trees].map((folder) => folder + path.sep)
  const { load } = Module.prototype
  Module.prototype.load = function (filename) {
    if (!constant.some((folder) => filename.startsWith(folder))) files.push(filename)
    return load.call(this, filename)
  }
}

function any() {
  return files.length > 0
}

/** What has not been told yet. */
function take() {
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

module.exports = { note, any, take, searchFolder }
