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

/** Makes `tree` (a node_modules folder) visible to the modules under `folder`. */
function install(folder, tree, isModule) {
  const own = path.join(folder, 'node_modules')
  const inside = folder + path.sep
  const lookup = Module._nodeModulePaths
  Module._nodeModulePaths = function (from) {
    const places = lookup.call(this, from)
    if (from !== folder && !from.startsWith(inside)) return places
    const at = places.indexOf(own) + 1
    return [...places.slice(0, at), tree, ...places.slice(at)]
  }

  // The same for import. It is needed by ES modules, and by the first CommonJS module that says import(…).
  if (isModule) return installImport(folder, tree)
  const compile = Module.prototype._compile
  Module.prototype._compile = function (content, filename, ...rest) {
    if (filename.startsWith(inside) && /\bimport\s*\(/.test(content)) {
      Module.prototype._compile = compile
      installImport(folder, tree)
    }
    return compile.call(this, content, filename, ...rest)
  }
}

function installImport(folder, tree) {
  const data = {
    inside: pathToFileURL(folder + path.sep).href,
    own: pathToFileURL(path.join(folder, 'node_modules') + path.sep).href,
    parent: pathToFileURL(path.join(path.dirname(tree), 'x.js')).href,
  }
  if (Module.registerHooks) {
    Module.registerHooks({
      resolve(specifier, context, next) {
        try {
          return next(specifier, context)
        } catch (error) {
          if (!applies(data, error, specifier, context)) throw error
          return next(specifier, { ...context, parentURL: data.parent })
        }
      },
    })
  } else if (Module.register) {
    Module.register(pathToFileURL(path.join(__dirname, 'resolve-import.mjs')).href, { data })
  }
}

function applies(data, error, specifier, context) {
  const bare = !/^(\.|\/|[a-z]+:)/i.test(specifier)
  const missing = error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND'
  const parent = context.parentURL || ''
  return bare && missing && parent.startsWith(data.inside) && !parent.startsWith(data.own)
}

module.exports = { install, applies }
