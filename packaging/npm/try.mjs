// Tries packed packages as a new user would, in an empty folder with Node alone: install, make a project, run it, call a function. Each step
// is printed with the seconds since the first.
//
//   node packaging/npm/try.mjs target/npm
//   node packaging/npm/try.mjs target/npm --film FOLDER      makes the first call in the console, in Chromium, with a picture of each step
//
// Nothing is asked of the registry for `yunqiao` itself; the project's own dependencies come from there.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

const { values, positionals } = parseArgs({ options: { film: { type: 'string' } }, allowPositionals: true })
const packed = resolve(positionals[0] ?? 'target/npm')
const tarballs = readdirSync(packed).filter((name) => name.endsWith('.tgz'))
assert.ok(tarballs.length > 0, `no packages in ${packed}: run packaging/npm/build`)

const folder = mkdtempSync(join(tmpdir(), 'yunqiao-try-'))
// Node, npm and what every system has.
const env = { ...process.env, PATH: `${dirname(process.execPath)}:/usr/bin:/bin` }
let began
let running
const seconds = () => ((performance.now() - began) / 1000).toFixed(1)
const told = (what) => console.log(`${seconds()} s  ${what}`)

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

/** Starts `yunqiao dev`, and waits until it is ready: the process, the line that says so, and what else it has printed by then. */
async function serve() {
  const ports = ['--port', '0', '--wechat-port', '0', '--operator-port', '0']
  const dev = spawn('npx', ['yunqiao', 'dev', 'hello', ...ports], {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  dev.stderr.setEncoding('utf8').on('data', (chunk) => (printed += chunk))
  dev.stderr.pipe(process.stderr)
  const ended = once(dev, 'close').then(() => [])
  const [line] = await Promise.race([once(createInterface(dev.stdout), 'line'), ended])
  assert.match(line ?? '', /^ready http:/, printed)
  // The other stream may be read later.
  while (!/\?once=\S+\n/.test(printed)) await once(dev.stderr, 'data')
  return { dev, line, printed: `${printed}${line}\n` }
}

/** Makes the first call in the console, and takes a picture of each step; its name begins with the seconds since the first one. */
async function film(page, printed) {
  mkdirSync(values.film, { recursive: true })
  let taken = 0
  const picture = async (what) => {
    const at = seconds()
    const { data } = await page.send('Page.captureScreenshot', { format: 'png' })
    taken += 1
    writeFileSync(join(values.film, `${taken}-${what}-${at}s.png`), data, 'base64')
  }
  const terminal = `<title>yunqiao dev hello</title><style>body{background:#1b2126;color:#e6eaed;font:16px/1.5 monospace;padding:8px 16px}</style>
    <pre>$ npx yunqiao dev hello\n${printed.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</pre>`
  await page.goto(`data:text/html;charset=utf-8,${encodeURIComponent(terminal)}`)
  await picture('ready')
  const [link] = printed.match(/http\S+\?once=\S+/)
  await page.goto(link)
  await page.shows('.function[data-name=login]', 'login')
  told('the console is there')
  await picture('console')
  await page.follow('#call-login', '/call')
  await page.shows('form#call', 'alice')
  await picture('form')
  await page.click('form#call button[type=submit]')
  await page.shows('#result .values', 'openid')
  told('the first call in the console')
  await picture('result')
}

async function tries(page) {
  began = performance.now()
  const files = tarballs.map((name) => join(packed, name))
  await runs('npm', 'install', '--offline', '--no-audit', '--no-fund', ...files)
  told(`installed: ${(await runs('npx', 'yunqiao', '--version')).trim()}`)
  assert.equal((await run('npx', 'yunqiao', 'call', 'x', '--dir', 'nowhere')).code, 1)

  await runs('npx', 'yunqiao', 'init', 'hello')
  told('a project: npx yunqiao init hello')
  const { dev, line, printed } = await serve()
  told(line)
  running = JSON.parse(readFileSync(join(folder, 'hello/.yunqiao/run.json'), 'utf8'))
  if (page) await film(page, printed)
  const result = JSON.parse(await runs('npx', 'yunqiao', 'call', 'login', '--as', 'bob', '--dir', 'hello'))
  assert.match(result.openid, /^\w+/)
  told(`${page ? 'a' : 'the first'} call: ${JSON.stringify(result)}`)
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
}

/** The same beside a browser, which stands open before. */
async function filmed() {
  const { browsing } = await import('../../tests/console/browser.mjs')
  await browsing(async (browser) => {
    const page = await browser.open('data:text/html,')
    await page.wide(1280)
    await tries(page)
    assert.deepEqual(browser.complaints, [])
  })
}

try {
  await (values.film ? filmed() : tries())
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
