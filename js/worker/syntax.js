'use strict'

/*
 * Parses the source of functions without running it, with the parser that will run it: what cannot be parsed is said when
 * the functions are loaded, and not only when one of them is called. A program of its own, run as
 * `node --experimental-vm-modules -e <this>`.
 *
 * Standard input: a JSON array of `{entry, isModule}`. Standard output: for each an array of
 * `{file, line, text, message}`. From the entry it goes on to the files that are required or imported by a literal path;
 * packages are left out.
 */

const { spawnSync } = require('child_process')
const fs = require('fs')
const path = require('path')
const { pathToFileURL } = require('url')
const vm = require('vm')

/** Of one function: more than this is no hand-written function. */
const MOST_FILES = 1000
/** Larger files are bundles: they were parsed by whoever made them. */
const LARGEST = 2 * 1024 * 1024

const PARAMETERS = ['exports', 'require', 'module', '__filename', '__dirname']
const PATHS =
  /\b(?:require|import)\s*\(\s*(['"])(\.{1,2}(?:\/[^'"]*)?)\1\s*\)|\b(?:from|import)\s*(['"])(\.{1,2}\/[^'"]+)\3/g
/** What no code is on its own line. */
const COMMENT = /^\s*(?:\/\/|\*|\/\*)/

/** Whether Node loads a `.js` file as an ES module because it is one, and lets it be required. */
const detects = process.features.require_module === true
const types = new Map()
/** By file and kind: its fault or null, and the files to which it leads. */
const parsed = new Map()

function check({ entry, isModule }) {
  const faults = []
  const waiting = [[entry, isModule]]
  const seen = new Set()
  while (waiting.length > 0 && seen.size < MOST_FILES) {
    const [file, asModule] = waiting.pop()
    if (seen.has(file)) continue
    seen.add(file)
    const key = `${asModule} ${file}`
    if (!parsed.has(key)) parsed.set(key, parse(file, asModule))
    const { fault, leads } = parsed.get(key)
    if (fault !== null) faults.push(fault)
    waiting.push(...leads.map((to) => [to, isModuleFile(to)]))
  }
  return faults
}

function parse(file, asModule) {
  let source
  try {
    if (fs.statSync(file).size > LARGEST) return { fault: null, leads: [] }
    source = fs.readFileSync(file, 'utf8')
  } catch {
    // That it cannot be read is another fault than the one that is looked for here.
    return { fault: null, leads: [] }
  }
  if (source.startsWith('\ufeff')) source = source.slice(1)
  return { fault: faultOf(file, source, asModule), leads: leadsOf(file, source) }
}

function faultOf(file, source, asModule) {
  if (file.endsWith('.json')) {
    const fault = attempt(file, () => JSON.parse(source))
    const position = / position (\d+)/.exec(fault === null ? '' : fault.message)
    return position === null ? fault : { ...fault, ...lineAt(source, Number(position[1])) }
  }
  // What Node skips too.
  const code = source.replace(/^#!.*/, '')
  const module = () => new vm.SourceTextModule(code, { identifier: file })
  if (asModule) {
    const fault = attempt(file, module)
    return fault === null ? null : { ...fault, ...placeInModule(file) }
  }
  const fault = attempt(file, () => vm.compileFunction(code, PARAMETERS, { filename: file }))
  const isDetected = detects && file.endsWith('.js') && typeOf(path.dirname(file)) === undefined
  return fault !== null && isDetected && attempt(file, module) === null ? null : fault
}

/** Why it cannot be parsed, or null. */
function attempt(file, parse) {
  try {
    parse()
    return null
  } catch (error) {
    // "FILE:LINE\nTEXT\n  ^^^\n\nSyntaxError: …", where the position is known.
    return { file, message: `${error.name}: ${error.message}`, ...placeIn(String(error.stack), file) }
  }
}

/** Line and text of `FILE:LINE\nTEXT\n`, if a text begins so. */
function placeIn(told, file) {
  const [place, text] = told.split('\n')
  const line = place.startsWith(`${file}:`) ? Number.parseInt(place.slice(file.length + 1), 10) : 0
  return line > 0 ? { line, text: shown(text) } : { line: null, text: '' }
}

/** The same for a module that cannot be parsed: only Node's own command tells. */
function placeInModule(file) {
  const { stderr } = spawnSync(process.execPath, ['--check', file], { encoding: 'utf8', timeout: 5000 })
  const told = String(stderr)
  const { href } = pathToFileURL(file)
  return placeIn(told, told.startsWith(href) ? href : file)
}

function lineAt(source, position) {
  const before = source.slice(0, position).split('\n')
  return { line: before.length, text: shown(source.split('\n')[before.length - 1]) }
}

function shown(text) {
  return text.trim().slice(0, 200)
}

function leadsOf(file, source) {
  if (file.endsWith('.json')) return []
  const leads = []
  for (const line of source.split('\n')) {
    if (COMMENT.test(line)) continue
    for (const [, , required, , imported] of line.matchAll(PATHS)) {
      const found = resolve(path.resolve(path.dirname(file), required || imported))
      if (found !== undefined && !/[\\/]node_modules[\\/]/.test(found)) leads.push(found)
    }
  }
  return leads
}

/** The file that Node takes for a path. */
function resolve(place) {
  const candidates = ['', '.js', '.json'].map((ending) => place + ending)
  candidates.push(...['index.js', 'index.json'].map((name) => path.join(place, name)))
  const found = candidates.find((file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile())
  return found !== undefined && /\.(?:js|mjs|cjs|json)$/.test(found) ? found : undefined
}

function isModuleFile(file) {
  if (file.endsWith('.mjs')) return true
  return file.endsWith('.js') && typeOf(path.dirname(file)) === 'module'
}

/** `type` of the package.json that counts for a folder. */
function typeOf(folder) {
  if (types.has(folder)) return types.get(folder)
  let type
  const manifest = path.join(folder, 'package.json')
  if (fs.existsSync(manifest)) {
    try {
      type = JSON.parse(fs.readFileSync(manifest, 'utf8').replace(/^\ufeff/, '')).type
    } catch {
      // Told elsewhere.
    }
  } else if (path.dirname(folder) !== folder) {
    type = typeOf(path.dirname(folder))
  }
  types.set(folder, type)
  return type
}

process.stdout.write(JSON.stringify(JSON.parse(fs.readFileSync(0, 'utf8')).map(check)))
