// Tries packed packages as a new user would, in an empty folder with Node alone: install, make a project, run it, call a function. Each step
// is printed with the seconds since the first.
//
//   node packaging/npm/try.mjs target/npm
//
// Nothing is asked of the registry for `yunqiao` itself; the project's own dependencies come from there.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'

const packed = resolve(process.argv[2] ?? 'target/npm')
const tarballs = readdirSync(packed).filter((name) => name.endsWith('.tgz'))
assert.ok(tarballs.length > 0, `no packages in ${packed}: run packaging/npm/build`)

const folder = mkdtempSync(join(tmpdir(), 'yunqiao-try-'))
// Node, npm and what every system has.
const env = { ...process.env, PATH: `${dirname(process.execPath)}:/usr/bin:/bin` }
const began = performance.now()
let running
const told = (what) => console.log(`${((performance.now() - began) / 1000).toFixed(1)} s  ${what}`)

async function run(command, ...args) {
  const child = spawn(command, args, { cwd: folder, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const text = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr']) child[stream].on('data', (chunk) => (text[stream] += chunk))
  const [code] = await once(child, 'close')
  return { code, ...text }
}

async function runs(command, ...args) {
  const { code, stdout, stderr } = await run(command, ...args)
  assert.equal(code, 0, `${command} ${args.join(' ')}: ${stdout}${stderr}`)
  return stdout
}

try {
  const files = tarballs.map((name) => join(packed, name))
  await runs('npm', 'install', '--offline', '--no-audit', '--no-fund', ...files)
  told(`installed: ${(await runs('npx', 'yunqiao', '--version')).trim()}`)
  assert.equal((await run('npx', 'yunqiao', 'call', 'x', '--dir', 'nowhere')).code, 1)

  await runs('npx', 'yunqiao', 'init', 'hello')
  const ports = ['--port', '0', '--wechat-port', '0', '--operator-port', '0']
  const dev = spawn('npx', ['yunqiao', 'dev', 'hello', ...ports], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(createInterface(dev.stdout), 'line')
  assert.match(line, /^ready http:/)
  told(line)
  running = JSON.parse(readFileSync(join(folder, 'hello/.yunqiao/run.json'), 'utf8'))
  const result = JSON.parse(await runs('npx', 'yunqiao', 'call', 'login', '--as', 'bob', '--dir', 'hello'))
  assert.match(result.openid, /^\w+/)
  told(`the first call: ${JSON.stringify(result)}`)
  const ended = once(dev, 'exit')
  dev.kill('SIGTERM')
  await ended
  // The binary itself, behind npx and the launcher.
  for (let waited = 0; alive(running.pid); waited += 1) {
    assert.ok(waited < 3000, 'the request to end did not reach the binary')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  told('ended')

  // Without its platform's package the launcher says what to do.
  rmSync(join(folder, 'node_modules/@yunqiao'), { recursive: true })
  const without = await run('npx', 'yunqiao', '--version')
  assert.equal(without.code, 1)
  assert.match(without.stderr, /is not installed\.\n.*--omit=optional/)
  told('and without its binary it says how to get it')
} finally {
  if (running && alive(running.pid)) process.kill(running.pid)
  rmSync(folder, { recursive: true, force: true })
}

function alive(pid) {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
