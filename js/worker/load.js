'use strict';

/*
 * From a function's folder to its `main`. The modules of a function run outside of any call, as on the platform when an
 * instance starts.
 */

const { inspect } = require('util');
const { pathToFileURL } = require('url');

/** Codes of errors that the next attempt would only repeat, until a file changes. */
const LASTING = new Set(['MODULE_NOT_FOUND', 'ERR_MODULE_NOT_FOUND', 'ERR_REQUIRE_ESM', 'ERR_PACKAGE_PATH_NOT_EXPORTED']);

/** How much of a message or stack is passed on, in characters. */
const LONGEST_TEXT = 64 * 1024;

class MissingMain extends Error {}

async function load(entry, isModule) {
  const loaded = isModule ? await import(pathToFileURL(entry).href) : require(entry);
  for (const place of [loaded, loaded && loaded.default]) {
    if (place && typeof place.main === 'function') return place.main;
  }
  const names = loaded && typeof loaded === 'object' ? Object.keys(loaded).join(', ') : typeof loaded;
  throw new MissingMain(
    `${entry} exports no function "main"` +
      (names ? ` (it exports: ${names})` : '') +
      '; write exports.main = async (event, context) => { … }',
  );
}

/** Whether loading again could end otherwise. */
function isLasting(error) {
  return error instanceof MissingMain || error instanceof SyntaxError || LASTING.has(error && error.code);
}

/** What was thrown, as text: a function may throw anything, of any length. */
function describe(thrown) {
  try {
    if (thrown !== null && typeof thrown === 'object' && typeof thrown.message === 'string') {
      const stack = typeof thrown.stack === 'string' ? thrown.stack : inspect(thrown);
      return { message: thrown.message.slice(0, LONGEST_TEXT), stack: stack.slice(0, LONGEST_TEXT) };
    }
    const text = (typeof thrown === 'string' ? thrown : inspect(thrown)).slice(0, LONGEST_TEXT);
    return { message: text, stack: text };
  } catch {
    return { message: 'something was thrown that cannot be shown', stack: '' };
  }
}

module.exports = { load, isLasting, describe };
