// The server ends without a goodbye and another takes its place on the same documents: watches go on.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { install } from '@yunqiao/client'

const { createWx } = createRequire(import.meta.url)('../../wx')
const program = process.env.YUNQIAO_BIN

/** A process of ours, once it says where it listens. */
async function start(t, args, options) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], ...options })
  t.after(() => child.kill('SIGKILL'))
  for await (const line of createInterface({ input: child.stdout })) {
    const [, port] = /http:\/\/127\.0\.0\.1:(\d+)/.exec(line) ?? []
    if (port) {
      child.stdout.resume()
      return { child, port: Number(port), url: `http://127.0.0.1:${port}` }
    }
  }
  throw new Error(`yunqiao ${args[0]} ended`)
}

test('a watch goes on when its server was killed and started anew', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'yunqiao-restart-'))
  t.after(() => rm(dir, { recursive: true, force: true }))
  const wechat = await start(t, ['simulate', '--port', '0'])
  const app = await (await fetch(`${wechat.url}/sim/app`)).json()
  const config = join(dir, 'yunqiao.toml')
  await writeFile(
    config,
    `appid = "${app.appid}"
listen = "127.0.0.1:0"
store = "store.redb"
wechat = "${wechat.url}"
[database]
missing = "create"
[database.collections.news]
rule = { read = true, write = true }
`,
  )
  const serve = () =>
    start(t, ['serve', '-c', config], { cwd: dir, env: { ...process.env, YUNQIAO_APPSECRET: app.secret } })
  let server = await serve()

  // The address stays; what is behind it does not.
  const front = net.createServer((client) => {
    const behind = net.connect(server.port, '127.0.0.1')
    for (const [one, other] of [
      [client, behind],
      [behind, client],
    ]) {
      one.on('error', () => other.destroy())
      one.on('close', () => other.destroy())
      one.pipe(other)
    }
  })
  front.listen(0, '127.0.0.1')
  await once(front, 'listening')
  t.after(() => front.close())

  const wx = createWx({ wechat: wechat.url, user: 'alice' })
  const cloud = install(wx)
  cloud.init({ endpoint: `http://127.0.0.1:${front.address().port}` })
  const news = cloud.database().collection('news')
  await news.doc('a').set({ data: { n: 1 } })
  let look
  const snapshots = []
  const watcher = news.orderBy('n', 'asc').watch({
    onChange: (snapshot) => {
      snapshots.push(snapshot)
      look?.()
    },
    onError: (error) => assert.fail(error),
  })
  const until = (ids) =>
    new Promise((resolve) => {
      look = () => {
        const { docs = [] } = snapshots[snapshots.length - 1] ?? {}
        if (docs.map(({ _id }) => _id).join() === ids) resolve()
      }
      look()
    })
  await until('a')
  for (const [id, n] of [
    ['b', 2],
    ['c', 3],
  ]) {
    server.child.kill('SIGKILL')
    await once(server.child, 'exit')
    server = await serve()
    await news.doc(id).set({ data: { n } })
    await until(n === 2 ? 'a,b' : 'a,b,c')
  }
  for (const [at, { id }] of snapshots.entries()) assert.equal(id, snapshots[0].id + at)
  await watcher.close()
})
