'use strict'

/*
 * Where a function's dependencies are found when they lie in the cache and not in its folder. Modules inside the
 * function's folder get one more place to look, right after the folder's own node_modules. Real paths are the key of Node's
 * module cache, so that every function of a tree meets the copy of wx-server-sdk that a spare worker has loaded already.
 *
 * What is imported is noted on the way: see modules.js.
 */

const Module = require('module')
const path = require('path')
const { pathToFileURL } = require('url')

const modules = require('./modules')

/** Makes `tree` (a node_modules folder, or null) visible to the modules under `folder`, and all of `trees` to their imports. */
function install(folder, tree, trees, isModule) {
  const own = path.join(folder, 'node_modules')
  const inside = folder + path.sep
  if (tree) {
    const lookup = Module._nodeModulePaths
    Module._nodeModulePaths = function (from) {
      const places = lookup.call(this, from)
      if (from !== folder && !from.startsWith(inside)) return places
      const at = places.indexOf(own) + 1
      return [...places.slice(0, at), tree, ...places.slice(at)]
    }
  }

  // The same for import. It is needed by ES modules, and by the first of the project's own modules that says import.
  if (isModule) return installImport(trees)
  const { _compile: compile, load } = Module.prototype
  let installed = false
  const expectImports = () => {
    if (!installed) installImport(trees)
    installed = true
  }
  Module.prototype._compile = function (content, filename, ...rest) {
    if (!installed && !isInstalled(filename) && /\bimport\b/.test(content)) expectImports()
    return compile.call(this, content, filename, ...rest)
  }
  Module.prototype.load = function (filename) {
    if (filename.endsWith('.mjs')) expectImports()
    return load.call(this, filename)
  }
}

function installImport(trees) {
  const parents = trees.map((tree) => pathToFileURL(path.join(path.dirname(tree), 'x.js')).href)
  if (Module.registerHooks) {
    const noted = (found) => {
      modules.noteUrl(found.url)
      return found
    }
    Module.registerHooks({
      resolve(specifier, context, next) {
        try {
          return noted(next(specifier, context))
        } catch (error) {
          if (!applies(error, specifier, context)) throw error
          for (const parentURL of parents) {
            try {
              return noted(next(specifier, { ...context, parentURL }))
            } catch {
              // It may be in the next one; else the first error is the one to tell.
            }
          }
          throw error
        }
      },
    })
  } else if (Module.register) {
    // There they live on a thread of their own.
    const { port1, port2 } = new (require('worker_threads').MessageChannel)()
    modules.noteFrom(port1)
    Module.register(pathToFileURL(path.join(__dirname, 'resolve-import.mjs')).href, {
      data: { parents, port: port2 },
      transferList: [port2],
    })
  }
}

/** Whether a failed import is one of the project's own, of a package. What packages import is their own affair. */
function applies(error, specifier, context) {
  const bare = !/^(\.|\/|#|[a-z]+:)/i.test(specifier)
  const missing = error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND'
  return bare && missing && !isInstalled(context.parentURL || '')
}

function isInstalled(file) {
  return /[\\/]node_modules[\\/]/.test(file)
}

module.exports = { install, applies }
