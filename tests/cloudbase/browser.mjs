// Pages of another origin that are made of CloudBase's own SDKs, unmodified, used in Chromium: every generation, every login.

import { deepStrictEqual, match, notStrictEqual, ok, strictEqual } from 'node:assert'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { join } from 'node:path'

import { browsing } from '../console/browser.mjs'

const [, , modules, settings] = process.argv
const { url, env, key, keyId } = JSON.parse(settings)
const from = createRequire(join(modules, 'driver.js'))
const esbuild = from('esbuild')
const { host } = new URL(url)

/** What each page is made of: the generation, and the mode that it is asked for. */
const PAGES = [
  { name: '1.8.4', generation: 1 },
  { name: '2.28.8', generation: 2 },
  { name: '2.28.8 by the gateway', generation: 2, mode: 'GATEWAY' },
  { name: '3.7.0', generation: 3 },
  { name: '3.7.0 by the envelope', generation: 3, mode: 'CLOUD_API' },
]

/** A script of this generation's SDK and of the program. */
async function bundle(generation) {
  const { outputFiles } = await esbuild.build({
    entryPoints: [join(import.meta.dirname, 'page.mjs')],
    bundle: true,
    write: false,
    format: 'iife',
    platform: 'browser',
    define: { global: 'globalThis' },
    alias: { sdk: `js-sdk-${generation}` },
    nodePaths: [modules],
    logLevel: 'error',
  })
  return outputFiles[0].contents
}

/** As node-sdk of whoever vouches for users makes it. */
function ticketOf(uid) {
  const app = from('@cloudbase/node-sdk').init({
    env,
    secretId: 'none',
    secretKey: 'none',
    credentials: { private_key_id: keyId, private_key: key, env_id: env },
  })
  return app.auth().createTicket(uid)
}

const scripts = new Map()
for (const generation of [1, 2, 3]) scripts.set(generation, await bundle(generation))
/** A site of its own: what SDKs keep, they keep by origin, so each is another person's browser. */
async function siteOf(generation) {
  const site = createServer(({ url }, reply) => {
    if (url === '/page.js')
      return reply.setHeader('content-type', 'text/javascript').end(scripts.get(generation))
    reply.setHeader('content-type', 'text/html; charset=utf-8')
    reply.end('<!doctype html><link rel="icon" href="data:,"><script src="/page.js"></script>')
  })
  site.listen(0, '127.0.0.1')
  await once(site, 'listening')
  sites.push(site)
  return `http://127.0.0.1:${site.address().port}/`
}

const sites = []
await browsing(async (browser) => {
  for (const { name, generation, mode } of PAGES) {
    const open = async (page) => {
      await page.until(() => window.run)
      await page.evaluate((settings) => window.run.open(settings), { generation, env, host, mode })
      return page
    }
    const person = async () => open(await browser.open(await siteOf(generation)))
    await tried(name, person, open)
    console.log(`${name}: done`)
  }
})
for (const site of sites) {
  site.close()
  site.closeAllConnections()
}

async function tried(name, person, open) {
  const alice = await person()
  const collection = `todos_${name.replace(/[^0-9a-z]/g, '_')}`
  const run = (page, what, ...args) =>
    page.evaluate((what, ...args) => window.run[what](...args), what, ...args)

  const anonymous = await run(alice, 'signIn', 'anonymously')
  match(String(anonymous), /^[0-9a-f]{32}$/, name)
  const seen = await run(alice, 'call', 'who', { a: 1, 中: '文' })
  deepStrictEqual(seen.event, { a: 1, 中: '文' }, name)
  deepStrictEqual(
    { ...seen.user, loginType: seen.loginType },
    {
      openId: '',
      appId: seen.user.appId,
      uid: anonymous,
      customUserId: '',
      isAnonymous: true,
      loginType: 'ANONYMOUS',
    },
    name,
  )
  strictEqual(await run(alice, 'call', 'who').then(({ event }) => JSON.stringify(event)), '{}', name)
  const failed = await run(alice, 'fails', 'who', { throws: 'so it is' })
  match(failed.refused, /FUNCTIONS_EXECUTE_FAIL|so it is/, name)
  const missing = await run(alice, 'fails', 'nobody')
  match(missing.refused, /FUNCTION_NOT_FOUND|FunctionName/, name)

  deepStrictEqual(
    await run(alice, 'documents', collection),
    {
      ids: [32, 32, 32, 32],
      found: [4, 3],
      date: 1_700_000_000_004,
      nested: 2,
      either: 3,
      near: 1,
      far: 3,
      one: 1,
      owner: anonymous,
      updated: 1,
      many: 2,
      changed: 11,
      set: ['_id', '_openid', 'at', 'n'],
      fresh: true,
      sum: 11 + 20 + 3 + 4,
      pattern: 2,
      removed: 1,
      left: 3,
    },
    name,
  )
  const file = await run(alice, 'files', `notes/${name}.txt`, '你好，文件')
  deepStrictEqual(
    file,
    { fileID: file.fileID, progress: true, there: '你好，文件', gone: 'SUCCESS', after: '' },
    name,
  )

  // The same browser is the same user after its page was left.
  await alice.goto(`${await alice.evaluate(() => location.href)}?again`)
  await open(alice)
  strictEqual(await run(alice, 'uid'), anonymous, name)

  const bob = await person()
  const custom = await run(bob, 'signIn', 'byTicket', ticketOf('user-0042'))
  match(String(custom), /^[0-9a-f]{32}$/, name)
  notStrictEqual(custom, anonymous, name)
  const { user, loginType } = await run(bob, 'call', 'who')
  deepStrictEqual(
    [user.uid, user.customUserId, user.isAnonymous, loginType],
    [custom, 'user-0042', false, 'CUSTOM'],
    name,
  )

  // What is alice's alone, bob never sees, changes or learns of.
  const id = await run(alice, 'add', collection, { secret: 'of alice' })
  const secret = await run(alice, 'upload', `private/${name}.txt`, 'of alice')
  const theirs = await run(bob, 'ofAnother', collection, { id, openid: anonymous, file: secret })
  for (const [what, found] of Object.entries(theirs)) {
    ok(!JSON.stringify(found).includes('of alice'), `${name} ${what}: ${JSON.stringify(found)}`)
  }
  const { byId, byOwner, all, count, grouped, updated, removed, url: address, deleted } = theirs
  deepStrictEqual(
    { byId, byOwner, all, count, grouped, updated, removed, address },
    { byId: [], byOwner: [], all: [], count: 0, grouped: [], updated: 0, removed: 0, address: '' },
    name,
  )
  match(deleted, /STORAGE_EXCEED_AUTHORITY/, name)
  const [mine] = await run(alice, 'call', 'look', { collection, id })
  deepStrictEqual([mine.secret, mine.stolen], ['of alice', undefined], name)

  await watched(name, run, alice, bob, collection)

  const carol = await person()
  const wrong = await run(carol, 'signIn', 'byPassword', 'carol', 'not her password')
  ok(wrong.refused, name)
  const named = await run(carol, 'signIn', 'byPassword', 'carol', 'correct horse')
  strictEqual(named, 'uid-of-carol', name)
  const carols = await run(carol, 'call', 'who')
  deepStrictEqual([carols.user.uid, carols.loginType], ['uid-of-carol', 'USERNAME'], name)
  const out = await run(carol, 'signOut')
  ok(!out?.refused, `${name}: ${JSON.stringify(out)}`)
  const after = await run(carol, 'fails', 'who')
  ok(after?.refused, `${name}: ${JSON.stringify(after)}`)
}

/** What one browser changes the other sees, as far as it may. */
async function watched(name, run, alice, bob, collection) {
  await run(alice, 'watch', 'news', { of: name })
  await alice.until(() => window.seen.length > 0)
  const id = await run(bob, 'add', 'news', { n: 1, of: name })
  const docs = (page, ...wanted) =>
    page.until((wanted) => JSON.stringify(window.seen.at(-1).docs) === wanted, JSON.stringify(wanted))
  await docs(alice, 1)
  strictEqual(await run(bob, 'change', 'news', id, { n: 2 }), 1, name)
  await docs(alice, 2)
  // It leaves what the query finds, and another comes.
  strictEqual(await run(bob, 'change', 'news', id, { of: 'another' }), 1, name)
  await docs(alice)
  const next = await run(bob, 'add', 'news', { n: 3, of: name })
  await docs(alice, 3)
  strictEqual(await run(bob, 'remove', 'news', next), 1, name)
  await docs(alice)
  const changes = (await alice.evaluate(() => window.seen)).flatMap((seen) => seen.changes ?? [seen])
  deepStrictEqual(
    changes,
    [
      ['enqueue', 1],
      ['update', 2],
      ['dequeue', 2],
      ['enqueue', 3],
      ['dequeue', 3],
    ],
    name,
  )
  await run(alice, 'unwatch')

  // Of a collection where each has their own, nothing of another's is seen, whatever becomes of it.
  await run(bob, 'watch', collection, {})
  await bob.until(() => window.seen.length > 0)
  const theirs = await run(alice, 'add', collection, { n: 70, secret: 'of alice' })
  strictEqual(await run(alice, 'change', collection, theirs, { n: 71 }), 1, name)
  strictEqual(await run(alice, 'remove', collection, theirs), 1, name)
  await run(bob, 'add', collection, { n: 80 })
  await bob.until(() => window.seen.at(-1).docs?.includes(80))
  const seen = await bob.evaluate(() => window.seen)
  ok(!/"?7[01]"?|of alice/.test(JSON.stringify(seen)), `${name}: ${JSON.stringify(seen)}`)
  await run(bob, 'unwatch')
}
