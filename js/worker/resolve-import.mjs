/*
 * resolve.js for `import` on a Node without module.registerHooks, where such hooks live on a thread of their own.
 */

import resolve from './resolve.js'

let data

export function initialize(given) {
  data = given
}

export async function resolveHook(specifier, context, next) {
  try {
    return await next(specifier, context)
  } catch (error) {
    if (!resolve.applies(data, error, specifier, context)) throw error
    return next(specifier, { ...context, parentURL: data.parent })
  }
}

export { resolveHook as resolve }
