'use strict'

/*
 * Parses the source of functions without running it, with the parser that will run it: what cannot be parsed, and which
 * file is required and not there, is said when the functions are loaded, and not only when one of them is called. A program
 * of its own, run as `node --experimental-vm-modules -e <this>`.
 *
 * Standard input: a JSON array of `{entry, isModule}`. Standard output: for each an array of
 * `{file, line, text}` with `error`, and `isModule` where it would parse as an ES module, or with `required` and perhaps `copy`, `folder` or `spelt`. From the entry it goes on
 * to the files that are required or imported by a literal path; packages are left out. So is a file whose absence the
 * function expects: one that is required in a `try`.
 */

const { spawnSync } = require('child_process')
const fs = require('fs')
const { createRequire } = require('module')
const path = require('path')
const { pathToFileURL } = require('url')
const vm = require('vm')

/** Of one function: more than this is no hand-written function. */
const MOST_FILES = 1000
/** Larger files are bundles: they were parsed by whoever made them. */
const LARGEST = 2 * 1024 * 1024

const PARAMETERS = ['exports', 'require', 'module', '__filename', '__dirname']
const PATHS =
  /\b(?<way>require|import)\s*\(\s*(?<quote>['"])(?<called>\.{1,2}(?:\/[^'"]*)?)\k<quote>\s*\)|\b(?:from|import)\s*(?<mark>['"])(?<named>\.{1,2}\/[^'"]+)\k<mark>/g
/** What no code is on its own line. */
const COMMENT = /^\s*(?:\/\/|\*|\/\*)/

/** Whether Node loads a `.js` file as an ES module because it is one, and lets it be required. */
const detects = process.features.require_module === true
const types = new Map()
/** By file and kind: its faults, and the files to which it leads. */
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
    const known = parsed.get(key)
    faults.push(...known.faults)
    waiting.push(...known.leads.map((to) => [to, isModuleFile(to)]))
  }
  return faults
}

function parse(file, asModule) {
  let source
  try {
    if (fs.statSync(file).size > LARGEST) return { faults: [], leads: [] }
    source = fs.readFileSync(file, 'utf8')
  } catch {
    // That it cannot be read is another fault than the ones that are looked for here.
    return { faults: [], leads: [] }
  }
  if (source.startsWith('\ufeff')) source = source.slice(1)
  const fault = faultOf(file, source, asModule)
  const { leads, missing } = leadsOf(file, source, asModule)
  // One that cannot be parsed requires nothing.
  return { faults: fault === null ? missing : [fault], leads }
}

function faultOf(file, source, asModule) {
  if (file.endsWith('.json')) {
    const fault = attempt(file, () => JSON.parse(source))
    const position = / position (\d+)/.exec(fault === null ? '' : fault.error)
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
  if (fault === null || !file.endsWith('.js') || attempt(file, module) !== null) return fault
  const isDetected = detects && typeOf(path.dirname(file)) === undefined
  return isDetected ? null : { ...fault, isModule: true }
}

/** Why it cannot be parsed, or null. */
function attempt(file, parse) {
  try {
    parse()
    return null
  } catch (error) {
    // "FILE:LINE\nTEXT\n  ^^^\n\nSyntaxError: …", where the position is known.
    return {
      file,
      error: `${error.name}: ${error.message}`,
      ...placeIn(String(error.stack), file),
    }
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

/** The source files that a file requires by their paths, and what is to be told of those that are not there. */
function leadsOf(file, source, asModule) {
  const found = { leads: [], missing: [] }
  if (file.endsWith('.json')) return found
  const code = withoutComments(source)
  for (const { index, 0: text, groups } of source.matchAll(PATHS)) {
    const wanted = groups.called || groups.named
    const target = resolve(file, wanted, groups.way)
    // For what only looks like code nothing is claimed, nor is anything left unparsed.
    const isComment = COMMENT.test(source.slice(source.lastIndexOf('\n', index) + 1, index + 2))
    if (isSource(target) && !isComment) found.leads.push(target)
    const isCode = code.startsWith(text, index) && (groups.way !== undefined || asModule)
    if (isCode && target === undefined && !isTried(code, index)) {
      found.missing.push({
        file,
        required: wanted,
        ...(sample(file, wanted) || spelt(file, wanted)),
        ...lineAt(source, index),
      })
    }
  }
  return found
}

/** The source with blanks where comments are, as far as that can be told without parsing. */
function withoutComments(source) {
  const blank = (text) => text.replace(/[^\n]/g, ' ')
  return source.replace(/\/\*[\s\S]*?\*\//g, blank).replace(/(?<![:'"`\w])\/\/.*/g, blank)
}

/** Whether one of the blocks around this place is that of a `try`, or a promise's fault is caught on the line. */
function isTried(code, at) {
  const rest = code.slice(at, code.indexOf('\n', at) < 0 ? undefined : code.indexOf('\n', at))
  if (/\.catch\s*\(/.test(rest)) return true
  let closed = 0
  for (let place = at - 1; place >= 0; place--) {
    if (code[place] === '}') closed++
    else if (code[place] === '{' && closed-- === 0) {
      if (/\btry\s*$/.test(code.slice(0, place))) return true
      closed = 0
    }
  }
  return false
}

/** The file that Node takes for a path; undefined where there is none, null where that cannot be told. */
function resolve(file, wanted, way) {
  if (way !== 'require') {
    const place = path.resolve(path.dirname(file), wanted.replace(/[?#].*/, ''))
    return fs.existsSync(place) ? place : undefined
  }
  try {
    return createRequire(path.resolve(file)).resolve(wanted)
  } catch (error) {
    return error.code === 'MODULE_NOT_FOUND' ? undefined : null
  }
}

/** What marks a file that stands for another, which its author keeps to themselves: `config.example.js`, `config/sample.js`. */
const SAMPLE = /(?:^|[._-])(?:example|sample|template|tpl)(?:[._-]|$)/i

/** The file to copy, and to where, where a sample of the file is there: secrets are often left out of a repository. */
function sample(file, wanted) {
  const place = path.resolve(path.dirname(file), wanted)
  const ending = path.extname(wanted) || '.js'
  const name = path.basename(wanted, ending)
  const isSample = (entry, of) => {
    const stem = entry.replace(/\.[^.]*$/, '')
    return SAMPLE.test(stem) && (of === null || stem.split(/[._-]/).includes(of))
  }
  // Below a folder of that name: `config/example.js` for `config/index.js`; or beside: `config.example.js` for `config.js`.
  const [folder, made, of] = isFolder(place)
    ? [place, 'index.js', null]
    : [path.dirname(place), `${name}${ending}`, name]
  const found = list(folder).find(
    (entry) => path.extname(entry) === ending && isSample(entry, of === 'index' ? null : of),
  )
  if (found === undefined) return null
  const shown = (entry) => path.relative(path.dirname(path.resolve(file)), path.join(folder, entry))
  return { copy: { from: shown(found), to: shown(made) } }
}

function isFolder(place) {
  return fs.statSync(place, { throwIfNoEntry: false })?.isDirectory() === true
}

/** How the path is spelt, where it is there in other letters or with another ending (some systems do not mind), or is a folder. */
function spelt(file, wanted) {
  let place = path.dirname(path.resolve(file))
  const parts = []
  for (const part of wanted.split('/')) {
    const entries = part === '.' || part === '..' ? [part] : list(place)
    const same = (name) => name.replace(/\.(?:js|json|mjs|cjs|node)$/i, '').toLowerCase()
    const found =
      entries.find((name) => name === part) ||
      entries.find((name) => name.toLowerCase() === part.toLowerCase() || same(name) === same(part))
    if (found === undefined) return null
    parts.push(found)
    place = path.join(place, found)
  }
  return isFolder(place) ? { folder: true } : { spelt: parts.join('/') }
}

function list(folder) {
  try {
    return fs.readdirSync(folder)
  } catch {
    return []
  }
}

/** Whether a file is the function's own source, and of a kind that can be parsed here. */
function isSource(file) {
  return Boolean(file) && /\.(?:js|mjs|cjs|json)$/.test(file) && !/[\\/]node_modules[\\/]/.test(file)
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
