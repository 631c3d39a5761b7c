// In headless Chromium, on a page of another origin than the server's.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { client, code, gateway, openid } from './support.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const BROWSERS = [process.env.CHROMIUM, 'chromium', 'chromium-browser', 'google-chrome'].filter(Boolean)

/** What the page does, in the browser. */
async function visit() {
  const { callFunction, CloudID, downloadFile, init, uploadFile } = await import('/src/index.mjs')
  const fetched = async (path) => (await fetch(path)).text()
  const outcome = (calling) =>
    calling.then(
      (value) => value,
      ({ errCode, errMsg }) => ({ errCode, errMsg }),
    )
  let logins = 0
  const login = () => {
    logins += 1
    return fetched('/code')
  }
  init({ endpoint: await fetched('/gateway'), login })
  const calls = [1, 2, 3].map((x) => callFunction({ name: 'add', data: { x, y: 1 } }))
  const sums = await outcome(Promise.all(calls).then((answers) => answers.map(({ result }) => result)))
  const run = CloudID(await fetched('/cloudID'))
  /** How far a file is told to have come, and what came of it. */
  const carried = (api, options) =>
    new Promise((resolve) => {
      const told = { progress: [], statuses: [] }
      const success = (result) => resolve({ ...told, result })
      const fail = ({ errMsg }) => resolve({ ...told, errMsg })
      const task = api({ ...options, success, fail })
      task.onProgressUpdate((progress) => told.progress.push(progress))
      task.onHeadersReceived(({ statusCode }) => told.statuses.push(statusCode))
      if (options.ended) task.onProgressUpdate(() => task.abort())
    })
  const file = new Blob([new Uint8Array(3 << 20)])
  const up = await carried(uploadFile, { cloudPath: 'page/up.bin', file })
  const down = up.result && (await carried(downloadFile, { fileID: up.result.fileID }))
  if (down && down.result) down.length = down.result.data.byteLength
  return {
    up,
    down,
    ended: await carried(uploadFile, { cloudPath: 'page/ended.bin', file, ended: true }),
    origin: location.origin,
    sums,
    logins,
    echo: await outcome(callFunction({ name: 'echo', data: { run } })),
    missing: await outcome(callFunction({ name: 'missing' })),
  }
}

/** Opens the page at `host`, and gives what it reports. */
async function browse(t, host) {
  let report
  const reported = new Promise((resolve) => (report = resolve))
  const page = createServer(async (request, reply) => {
    const answer = {
      '/': () => `<!doctype html><meta charset="utf-8"><script type="module">
        const report = (body) => fetch('/report', { method: 'POST', body: JSON.stringify(body) })
        ;(${visit})().then(report, (error) => report({ error: String(error && error.stack) }))
      </script>`,
      '/gateway': () => gateway,
      '/code': () => code('alice'),
      '/cloudID': async () => (await client('alice', 'getWeRunData')).cloudID,
      '/report': async () => {
        let body = ''
        for await (const chunk of request) body += chunk
        report(JSON.parse(body))
        return ''
      },
    }[request.url]
    const module = /^\/src\/([a-z-]+\.mjs)$/.exec(request.url)
    if (!answer && !module) return reply.writeHead(404).end()
    const body = module ? await readFile(join(root, 'src', module[1])) : await answer()
    reply
      .writeHead(200, { 'content-type': module ? 'text/javascript' : 'text/html; charset=utf-8' })
      .end(body)
  })
  await new Promise((resolve) => page.listen(0, '127.0.0.1', resolve))
  const profile = await mkdtemp(join(tmpdir(), 'yunqiao-client-'))
  const flags = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--no-proxy-server',
    '--host-resolver-rules=MAP shop.example 127.0.0.1',
    `--user-data-dir=${profile}`,
  ]
  const browser = await start([...flags, `http://${host}:${page.address().port}/`])
  t.after(async () => {
    browser.kill('SIGKILL')
    await browser.ended
    page.closeAllConnections()
    page.close()
    await rm(profile, { recursive: true, force: true, maxRetries: 20 })
  })
  const gone = browser.ended.then((how) => ({ error: `the browser ended (${how}): ${browser.said}` }))
  const { error, ...outcome } = await Promise.race([reported, gone])
  assert.equal(error, undefined)
  return { ...outcome, port: page.address().port }
}

async function start(args) {
  for (const name of BROWSERS) {
    const browser = spawn(name, args, { stdio: ['ignore', 'ignore', 'pipe'] })
    browser.said = ''
    browser.stderr.on('data', (text) => (browser.said += text))
    browser.ended = new Promise((resolve) =>
      browser.once('close', (status, signal) => resolve(signal || status)),
    )
    const started = await new Promise((resolve) => {
      browser.once('spawn', () => resolve(true))
      browser.once('error', () => resolve(false))
    })
    if (started) return browser
  }
  throw new Error(`there is none of ${BROWSERS.join(', ')}: install chromium, or name one in CHROMIUM`)
}

test('a page of another origin calls functions, logged in by its own server', {
  timeout: 60e3,
}, async (t) => {
  const { up, down, ended, ...called } = await browse(t, '127.0.0.1')
  const { origin, port, sums, logins, echo, missing } = called
  assert.equal(origin, `http://127.0.0.1:${port}`)
  assert.notEqual(origin, gateway)
  assert.deepEqual(sums, [2, 3, 4])
  assert.equal(logins, 1)
  assert.equal(echo.errMsg, 'cloud.callFunction:ok')
  assert.equal(echo.result.run.data.stepInfoList.length, 31)
  assert.equal(echo.result.userInfo.openId, await openid('alice'))
  assert.deepEqual(missing, {
    errCode: -501000,
    errMsg:
      'cloud.callFunction:fail Error: errCode: -501000  | errMsg: FunctionName parameter could not be found ' +
      '更多错误信息请访问：https://docs.cloudbase.net/error-code/basic/FUNCTION_NOT_FOUND',
  })
  const size = 3 << 20
  assert.equal(up.errMsg, undefined)
  assert.deepEqual(up.progress.at(-1), {
    progress: 100,
    totalBytesSent: size,
    totalBytesExpectedToSend: size,
  })
  assert.deepEqual(down.progress.at(-1), {
    progress: 100,
    totalBytesWritten: size,
    totalBytesExpectedToWrite: size,
  })
  assert.deepEqual([up.statuses, down.statuses, down.length], [[200], [200], size])
  assert.equal(ended.errMsg, 'cloud.uploadFile:fail abort')
})

test('a page of an origin that may not call gets an error, and nothing else', {
  timeout: 60e3,
}, async (t) => {
  const { sums, echo, missing, logins } = await browse(t, 'shop.example')
  assert.equal(logins > 0, true)
  for (const { errCode, errMsg } of [sums, echo, missing]) {
    assert.equal(errCode, -1)
    assert.match(
      errMsg,
      /^cloud\.callFunction:fail Failed to fetch \(http:\/\/127\.0\.0\.1:\d+\/v1\/login\)$/,
    )
  }
})
