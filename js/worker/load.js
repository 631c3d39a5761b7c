'use strict'

/*
 * From a function's folder to its `main`. The modules of a function run outside of any call, as on the platform when an
 * instance starts.
 */

const fs = require('fs')
const path = require('path')
const { inspect } = require('util')
const { pathToFileURL } = require('url')
const vm = require('vm')

/** Codes of errors that the next attempt would only repeat, until a file changes. */
const LASTING = new Set([
  'MODULE_NOT_FOUND',
  'ERR_MODULE_NOT_FOUND',
  'ERR_REQUIRE_ESM',
  'ERR_PACKAGE_PATH_NOT_EXPORTED',
])

/** How much of a message or stack is passed on, in characters. */
const LONGEST_TEXT = 64 * 1024

/** How deep causes are followed, and how many gathered errors are shown. */
const MOST_CAUSES = 8
const MOST_ERRORS = 10

const FRAME = /^\s+at /
const NODES_FRAME = /^\s+at .*\(?node:internal\//

class MissingMain extends Error {}

/** What a module is called with that is none of `import`'s. */
const PARAMETERS = ['exports', 'require', 'module', '__filename', '__dirname']

async function load(entry, isModule) {
  const loaded = isModule ? await import(pathToFileURL(entry).href) : require(entry)
  for (const place of [loaded, loaded && loaded.default]) {
    if (place && typeof place.main === 'function') return place.main
  }
  const names = loaded && typeof loaded === 'object' ? Object.keys(loaded).join(', ') : typeof loaded
  throw new MissingMain(
    `${entry} exports no function "main"` +
      (names ? ` (it exports: ${names})` : '') +
      '; write exports.main = async (event, context) => { … }',
  )
}

/**
 * Whether Node takes a `.js` file for an ES module by what stands in it. It could be required as well; but what it imports then is not
 * looked for where resolve.js says, on a Node without module.registerHooks.
 */
function isDetected(entry) {
  if (process.features.require_module !== true || !entry.endsWith('.js')) return false
  try {
    const source = fs
      .readFileSync(entry, 'utf8')
      .replace(/^\ufeff/, '')
      .replace(/^#!.*/, '')
    if (!/^\s*(?:import|export)\b/m.test(source)) return false
    vm.compileFunction(source, PARAMETERS)
    return false
  } catch (error) {
    return error instanceof SyntaxError
  }
}

/** Whether loading again could end otherwise. */
function isLasting(error) {
  return error instanceof MissingMain || error instanceof SyntaxError || LASTING.has(error && error.code)
}

/** What was thrown, as text: a function may throw anything, of any length. */
function describe(thrown) {
  try {
    if (thrown !== null && typeof thrown === 'object' && typeof thrown.message === 'string') {
      return {
        message: ofOthers(thrown.message.split('\n')).join('\n').slice(0, LONGEST_TEXT),
        stack: stackOf(thrown, 0, new Set()).slice(0, LONGEST_TEXT),
      }
    }
    const text = (typeof thrown === 'string' ? thrown : inspect(thrown)).slice(0, LONGEST_TEXT)
    return { message: text, stack: text }
  } catch {
    return { message: 'something was thrown that cannot be shown', stack: '' }
  }
}

/**
 * An error's stack, and below it those of its cause and of the errors that it gathers: "fetch failed" alone says nothing. The
 * worker's own frames, and Node's at the end, say nothing of the function.
 */
function stackOf(error, depth, seen) {
  seen.add(error)
  const own = typeof error.stack === 'string' ? error.stack : inspect(error)
  const lines = ofOthers(own.split('\n'))
  while (lines.length > 1 && NODES_FRAME.test(lines[lines.length - 1])) lines.pop()
  const inner = []
  if (error.cause !== undefined) inner.push(['[cause]', error.cause])
  if (Array.isArray(error.errors)) {
    error.errors.slice(0, MOST_ERRORS).forEach((one, at) => {
      inner.push([`[errors][${at}]`, one])
    })
    const more = error.errors.length - MOST_ERRORS
    if (more > 0) lines.push(`  [errors]: ${more} more`)
  }
  for (const [name, value] of inner) {
    const isError = value !== null && typeof value === 'object' && typeof value.message === 'string'
    if (seen.has(value)) lines.push(`  ${name}: [Circular]`)
    else if (isError && depth === MOST_CAUSES) lines.push(`  ${name}: ${value.message}`)
    else
      lines.push(
        `  ${name}: ${(isError ? stackOf(value, depth + 1, seen) : inspect(value)).replace(/\n/g, '\n  ')}`,
      )
  }
  return lines.join('\n')
}

/** The lines that are not about the worker's own files: its frames, and where it stands in a "Require stack". */
function ofOthers(lines) {
  const own = __dirname + path.sep
  return lines.filter((line) => !(line.startsWith(`- ${own}`) || (FRAME.test(line) && line.includes(own))))
}

module.exports = { load, isDetected, isLasting, describe }
