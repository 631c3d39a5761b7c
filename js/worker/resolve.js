'use strict'

/*
 * Where a function's dependencies are found when they lie in the cache and not in its folder. Modules inside the
 * function's folder get one more place to look, right after the folder's own node_modules; modules anywhere else are
 * left alone. Real paths are the key of Node's module cache, so that every function of a tree meets the copy of
 * wx-server-sdk that a spare worker has loaded already.
 */

const Module = require('module')
const path = require('path')
const { pathToFileURL } = require('url')

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

  // The same for import. It is needed by ES modules, and by the first CommonJS module that says import(…).
  if (isModule) return installImport(trees)
  const compile = Module.prototype._compile
  Module.prototype._compile = function (content, filename, ...rest) {
    if (!isInstalled(filename) && /\bimport\s*\(/.test(content)) {
      Module.prototype._compile = compile
      installImport(trees)
    }
    return compile.call(this, content, filename, ...rest)
  }
}

function installImport(trees) {
  const parents = trees.map((tree) => pathToFileURL(path.join(path.dirname(tree), 'x.js')).href)
  if (Module.registerHooks) {
    Module.registerHooks({
      resolve(specifier, context, next) {
        try {
          return next(specifier, context)
        } catch (error) {
          if (!applies(error, specifier, context)) throw error
          for (const parentURL of parents) {
            try {
              return next(specifier, { ...context, parentURL })
            } catch {
              // It may be in the next one; else the first error is the one to tell.
            }
          }
          throw error
        }
      },
    })
  } else if (Module.register) {
    Module.register(pathToFileURL(path.join(__dirname, 'resolve-import.mjs')).href, { data: { parents } })
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
