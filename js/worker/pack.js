'use strict'

/*
 * A pack: the modules behind wx-server-sdk in one file, with their compiled code and with where each require led. Loading
 * the SDK from its 400 files takes a fresh Node some 180 ms, most of it for finding, reading and compiling them; from a
 * pack it takes about half.
 *
 * The first worker that prepares a tree writes the pack, later ones use it. The modules keep their names, their place in
 * Node's cache and their lines in stack traces. A module is taken from the pack only if its file still has the size and
 * time it had, and code that V8 does not accept (another version, other flags) is compiled as usual.
 */

const fs = require('fs')
const Module = require('module')
const path = require('path')
const vm = require('vm')

const HEAD = '(function (exports, require, module, __filename, __dirname) { '
const TAIL = '\n})'

/** Loads `sdk` from its pack if there is a good one; else loads it as usual and writes one. */
function prepare(spec, load) {
  if (open(spec)) return load()
  const record = start(spec.tree)
  try {
    return load()
  } finally {
    finish(record, spec)
  }
}

/** Uses the pack, if there is one, from the moment when something of the SDK is loaded. */
function expect(spec) {
  const first = path.join(spec.tree, spec.sdk) + path.sep
  const resolve = Module._resolveFilename
  Module._resolveFilename = function (...args) {
    const file = resolve.apply(this, args)
    if (file.startsWith(first)) {
      Module._resolveFilename = resolve
      open(spec)
    }
    return file
  }
}

// Using ------------------------------------------------------------------------------------------------------------

function open({ file, tree }) {
  let index
  let bytes
  try {
    bytes = fs.readFileSync(file)
    const size = bytes.readUInt32LE(0)
    index = JSON.parse(bytes.utf8Slice(4, 4 + size))
    bytes = bytes.subarray(4 + size)
    if (index.node !== process.version || index.lock !== stampOf(path.join(tree, '.package-lock.json')))
      return false
    if (!index.modules.every(([name, stamp]) => stamp === stampOf(path.join(tree, name)))) return false
  } catch {
    return false
  }

  const modules = new Map(index.modules.map((entry) => [path.join(tree, entry[0]), entry]))
  const resolve = Module._resolveFilename
  const prefix = tree.length + 1
  Module._resolveFilename = function (request, parent, ...rest) {
    if (parent && modules.has(parent.filename)) {
      const to = index.requires[path.dirname(parent.filename).slice(prefix) + '\n' + request]
      if (to !== undefined) return path.join(tree, to)
    }
    return resolve.call(this, request, parent, ...rest)
  }
  const text = ([, , at, length, ascii]) =>
    ascii ? bytes.latin1Slice(at, at + length) : bytes.utf8Slice(at, at + length)
  const js = Module._extensions['.js']
  Module._extensions['.js'] = function (module, filename) {
    const entry = modules.get(filename)
    if (entry === undefined) return js.call(this, module, filename)
    const [, , at, length, , code] = entry
    const cachedData = bytes.subarray(at + length, at + length + code)
    run(module, filename, new vm.Script(HEAD + text(entry) + TAIL, { ...PLACE, filename, cachedData }))
  }
  const json = Module._extensions['.json']
  Module._extensions['.json'] = function (module, filename) {
    const entry = modules.get(filename)
    if (entry === undefined) return json.call(this, module, filename)
    module.exports = JSON.parse(text(entry))
  }
  return true
}

/** The wrapper must not show in line and column numbers. */
const PLACE = { columnOffset: -HEAD.length }

/** What Node does with the source of a CommonJS module. */
function run(module, filename, script) {
  const require = (id) => module.require(id)
  require.resolve = (request, options) => Module._resolveFilename(request, module, false, options)
  require.resolve.paths = (request) => Module._resolveLookupPaths(request, module)
  require.main = process.mainModule
  require.extensions = Module._extensions
  require.cache = Module._cache
  const main = script.runInThisContext()
  main.call(module.exports, module.exports, require, module, filename, path.dirname(filename))
}

// Writing ----------------------------------------------------------------------------------------------------------

/** From now on notes what is loaded from the tree. */
function start(tree) {
  const record = { modules: new Map(), requires: {}, undo: [] }
  const inside = tree + path.sep
  const wrap = (object, name, wrapped) => {
    const before = object[name]
    object[name] = wrapped(before)
    record.undo.push(() => {
      object[name] = before
    })
  }
  wrap(
    Module,
    '_resolveFilename',
    (resolve) =>
      function (request, parent, ...rest) {
        const file = resolve.call(this, request, parent, ...rest)
        if (parent && parent.filename && parent.filename.startsWith(inside) && file.startsWith(inside)) {
          record.requires[path.dirname(parent.filename).slice(inside.length) + '\n' + request] = file.slice(
            inside.length,
          )
        }
        return file
      },
  )
  wrap(
    Module._extensions,
    '.js',
    (js) =>
      function (module, filename) {
        const source = fs.readFileSync(filename, 'utf8')
        const script = filename.startsWith(inside) ? compile(source, filename) : null
        if (script === null) return js.call(this, module, filename)
        record.modules.set(filename, { source, script })
        run(module, filename, script)
      },
  )
  wrap(
    Module._extensions,
    '.json',
    (json) =>
      function (module, filename) {
        json.call(this, module, filename)
        if (filename.startsWith(inside))
          record.modules.set(filename, { source: JSON.stringify(module.exports), script: null })
      },
  )
  return record
}

/** Compiles what can be run from a pack: an ordinary CommonJS module. */
function compile(source, filename) {
  // Node itself strips the first two, and only Node can give import() a loader.
  if (source.startsWith('#!') || source.startsWith('\ufeff') || /\bimport\s*\(/.test(source)) return null
  try {
    return new vm.Script(HEAD + source + TAIL, { ...PLACE, filename })
  } catch {
    // An ES module, or nothing that runs at all: Node knows what to say.
    return null
  }
}

function finish(record, { file, tree }) {
  for (const undo of record.undo) undo()
  if (record.modules.size === 0) return
  try {
    const parts = []
    const modules = []
    let at = 0
    for (const [filename, { source, script }] of record.modules) {
      const text = Buffer.from(source)
      // Made now, after the modules have run: it holds the functions that were needed to load them.
      const code = script === null ? Buffer.alloc(0) : script.createCachedData()
      const ascii = text.length === source.length
      modules.push([filename.slice(tree.length + 1), stampOf(filename), at, text.length, ascii, code.length])
      parts.push(text, code)
      at += text.length + code.length
    }
    const lock = stampOf(path.join(tree, '.package-lock.json'))
    const index = Buffer.from(
      JSON.stringify({ node: process.version, lock, modules, requires: record.requires }),
    )
    const size = Buffer.alloc(4)
    size.writeUInt32LE(index.length)
    // Others may be reading the one that is there, or writing the same.
    const draft = `${file}.${process.pid}`
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(draft, Buffer.concat([size, index, ...parts]))
    fs.renameSync(draft, file)
  } catch {
    // Without a pack everything works, only not as soon.
  }
}

/** Tells one state of a file from another. */
function stampOf(file) {
  const stat = fs.statSync(file, { throwIfNoEntry: false })
  return stat === undefined ? '' : `${stat.size} ${stat.mtimeMs}`
}

module.exports = { prepare, expect }
