#!/usr/bin/env node

/*
 * Starts the binary, which lies in the package of this machine's platform: npm installs the one of the optional dependencies whose `os`
 * and `cpu` fit.
 */

const { spawn } = require('node:child_process')
const { constants } = require('node:os')
const { optionalDependencies, version } = require('./package.json')

function fail(what, ...mends) {
  console.error([`yunqiao: ${what}`, ...mends].join('\n  '))
  process.exit(1)
}

/** Says why there is no binary that runs here, and what to do. */
function missing(name) {
  const source = 'cargo install --locked --path crates/cli'
  if (process.platform === 'win32') {
    fail('there is no binary for Windows.', 'Run it in WSL: https://learn.microsoft.com/windows/wsl/install')
  }
  if (!(name in optionalDependencies)) {
    fail(
      `there is no binary for ${process.platform} on ${process.arch}.`,
      `Build it from source, with Rust: ${source}`,
    )
  }
  if (process.platform === 'linux' && !process.report.getReport().header.glibcVersionRuntime) {
    fail(
      'the binary needs glibc 2.17 or later, and this Linux has musl (Alpine?).',
      `Take an image with glibc, such as node:22-slim, or build it from source, with Rust: ${source}`,
    )
  }
  fail(
    `the package ${name}, which has the binary for this machine, is not installed.`,
    'Either npm was run with --no-optional or --omit=optional: run it without;',
    'or node_modules was made on another machine: remove it and install anew;',
    `or your registry lacks it: npm install ${name}@${version} --registry https://registry.npmjs.org`,
  )
}

function binary() {
  const name = `@yunqiao/${process.platform}-${process.arch}`
  try {
    return require.resolve(`${name}/bin/yunqiao`)
  } catch {
    return missing(name)
  }
}

// Where the whole group has the signal, as from a terminal, the binary has it twice, and takes the second for the same request.
// What comes while it is being started is passed on after that.
let asked = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) {
  process.on(signal, () => {
    asked = true
    child.kill(signal)
  })
}
const child = spawn(binary(), process.argv.slice(2), { stdio: 'inherit' })

// npx that is asked to end asks nobody else, and leaves this one an orphan.
if (process.env.npm_command === 'exec') {
  const parent = process.ppid
  const looking = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(looking)
    if (!asked) child.kill()
  }, 300)
  looking.unref()
}

child.on('error', (error) => {
  fail(
    `${child.spawnfile} could not be started: ${error.message}`,
    'It needs glibc 2.17 or later; on Alpine, take an image with glibc, such as node:22-slim.',
  )
})
child.on('exit', (code, signal) => {
  process.exitCode = signal ? 128 + constants.signals[signal] : code
})
