// Two Mini Programs as people write them, their files as they are: one by callbacks, one by promises. Each has the two lines
// above its app.js that every app has.

import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { MiniProgram } from './mini-program.mjs'
import { gateway, openid } from './support.mjs'

const file = (name) => readFileSync(new URL(`apps/${name}`, import.meta.url), 'utf8')

/** Launches the app and opens its page, as the base library does. */
async function launch(name, user) {
  const mini = new MiniProgram(user)
  const given = JSON.stringify({ endpoint: gateway })
  mini.run(`require('@yunqiao/client').install(wx).init(${given})\n${file(`${name}/app.js`)}`)
  await mini.app.onLaunch()
  mini.world.getApp = () => mini.app
  mini.run(file(`${name}/pages/index.js`), 'pages/index.js')
  const [page] = mini.pages
  page.data = { ...page.data }
  page.setData = (data) => Object.assign(page.data, data)
  return page
}

/** Waits for what the page comes to show. */
async function shows(page, what) {
  for (let tries = 0; !what(page.data); tries++) {
    assert(tries < 2000, JSON.stringify(page.data))
    await delay(10)
  }
}

/** Objects of the other world, as this one's. */
const plain = (value) => JSON.parse(JSON.stringify(value))

test('the diary, by callbacks', async () => {
  const page = await launch('diary', 'alice')
  assert.equal(page.onAdd({ detail: { value: '第一天' } }), undefined)
  await shows(page, ({ list }) => list.length === 1)
  const { list, last, message } = page.data
  assert.equal(message, 'collection.get:ok')
  assert.equal(list[0]._id, last)
  const { _id, at, place, ...rest } = list[0]
  assert.deepEqual(plain(rest), { title: '第一天', mood: { score: 3, tags: ['雨'] } })
  assert.equal(at.getTime(), Date.parse('2026-01-31T08:00:00Z'))
  assert.deepEqual([place.longitude, place.latitude], [113.3, 23.1])

  page.onScore(last)
  await shows(page, ({ done }) => done)
  const { record } = page.data
  assert.deepEqual(plain([record.mood, record.note]), [
    { score: 4, tags: ['雨', '晴', '风'] },
    { a: { b: 1 } },
  ])
  assert.equal(record._openid, await openid('alice'))
  assert.equal(typeof record.saved.getTime(), 'number')

  const bob = await launch('diary', 'bob')
  bob.onShow(last)
  await shows(bob, ({ done }) => done)
  assert.equal(bob.data.message, `document.get:fail document with _id ${last} does not exist`)
  bob.onList()
  await shows(bob, ({ message }) => message === 'collection.get:ok')
  assert.deepEqual(plain(bob.data.list), [])

  page.onRemove(last)
  await shows(page, ({ message }) => message === `document.get:fail document with _id ${last} does not exist`)
  assert.equal(page.data.removed, 1)
})

test('the diary’s pictures: data-src="cloud://…"', async () => {
  const picture = join(tmpdir(), `yunqiao-apps-${process.pid}.png`)
  writeFileSync(picture, Buffer.alloc(300_000, 7))
  const page = await launch('diary', 'alice')
  page.onUpload(picture)
  await shows(page, ({ cover }) => cover)
  assert.match(page.data.cover, /^cloud:\/\/[^/]+\/日记\/封面\.png$/)
  assert.equal(page.data.message, 'cloud.uploadFile:ok')
  assert.equal(page.data.status, 200)
  assert(page.data.progress.length > 1)
  assert.equal(page.data.progress.at(-1), 100)
  const tap = { currentTarget: { dataset: { src: page.data.cover } } }
  page.onPreview(tap)
  await shows(page, ({ local }) => local)
  assert.equal(page.data.message, 'cloud.downloadFile:ok')
  assert(readFileSync(page.data.local).equals(readFileSync(picture)))

  const bob = await launch('diary', 'bob')
  bob.onPreview(tap)
  await shows(bob, ({ code }) => code)
  assert.equal(bob.data.code, -503002)
  assert.match(bob.data.message, /^cloud\.downloadFile:fail -503002 storage permission denied\. /)
  bob.onUpload(picture)
  await shows(bob, ({ message }) => message.startsWith('cloud.uploadFile'))
  assert.match(bob.data.message, /^cloud\.uploadFile:fail -503002 storage permission denied\. /)

  const market = await launch('market', 'bob')
  const gone = page.data.cover.replace('封面', '没有')
  const [theirs, missing] = await market.pictures([page.data.cover, { fileID: gone, maxAge: 60 }])
  assert.deepEqual([theirs.status, theirs.tempFileURL, missing.status], [-503002, '', -503003])
  assert.deepEqual(plain(await market.clean([page.data.cover, gone])), [-503002, -503003])
  const own = await launch('market', 'alice')
  const [{ tempFileURL, status, errMsg, maxAge }] = await own.pictures([page.data.cover])
  assert.deepEqual([status, errMsg, maxAge], [0, 'ok', 86400])
  assert.equal((await (await fetch(tempFileURL)).arrayBuffer()).byteLength, 300_000)
  assert.deepEqual(plain(await own.clean([page.data.cover])), [0])
})

test('the market, by promises', async () => {
  const [alice, bob] = [await launch('market', 'alice'), await launch('market', 'bob')]
  const ids = []
  for (let price = 1; price <= 30; price++) ids.push(await alice.sell(`货${price}`, price))
  const list = await bob.all()
  assert.equal(list.length, 23)
  assert.deepEqual(plain(list.slice(0, 4).map(({ price }) => price)), [1, 2, 3, 11])
  assert.deepEqual(plain(await bob.byPrice()), [
    { _id: 'cheap', n: 10, top: 10 },
    { _id: 'dear', n: 20, top: 30 },
  ])
  assert.equal(await bob.buy(ids[0]), 0)
  assert.equal(await alice.buy(ids[0]), 1)
  assert.deepEqual(plain(await bob.mine()), [])
  assert.equal((await alice.mine()).length, 20)
  const { errMsg, stats, _id } = await alice.replace(ids[1], { name: '新', price: 5 })
  assert.deepEqual(plain([errMsg, _id, stats]), ['document.set:ok', ids[1], { updated: 1, created: 0 }])
  assert.deepEqual(plain((await bob.replace('bobs', { name: '铜', price: 7 })).stats), {
    updated: 0,
    created: 1,
  })
  await assert.rejects(bob.replace(ids[1], { name: '抢' }), { errCode: -502003 })
  assert.deepEqual(plain(await bob.mine()), ['铜'])
})
