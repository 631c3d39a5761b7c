/*
 * resolve.js for `import` on a Node without module.registerHooks, where such hooks live on a thread of their own.
 */

import resolve from './resolve.js'

let parents = []
let port

export function initialize(data) {
  parents = data.parents
  port = data.port
}

function noted(found) {
  port.postMessage(found.url)
  return found
}

export async function resolveHook(specifier, context, next) {
  try {
    return noted(await next(specifier, context))
  } catch (error) {
    if (!resolve.applies(error, specifier, context)) throw error
    for (const parentURL of parents) {
      try {
        return noted(await next(specifier, { ...context, parentURL }))
      } catch {
        // It may be in the next one; else the first error is the one to tell.
      }
    }
    throw error
  }
}

export { resolveHook as resolve }
