// The database and files of the client, in Node: results, texts, limits, and what each call refuses by itself.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import * as whole from '@yunqiao/client'
import * as lite from '@yunqiao/client/lite'
import { code, gateway, openid } from './support.mjs'

const { database, deleteFile, downloadFile, getTempFileURL, init, uploadFile } = whole

function as(user) {
  init({ endpoint: gateway, simulate: undefined, login: () => code(user) })
  return database()
}

/** What it fails with, its message in the database's form. */
async function refusal(calling) {
  const error = await calling.then(
    (result) => assert.fail(`it did not fail: ${JSON.stringify(result)}`),
    (error) => error,
  )
  assert(error instanceof Error)
  return error
}

test('each call gives what the documents say, and its errMsg', async () => {
  const db = as('alice')
  const records = db.collection('records')
  const added = await records.add({ data: { title: 'a', n: 1 } })
  assert.deepEqual(Object.keys(added), ['_id', 'errMsg'])
  assert.equal(added.errMsg, 'collection.add:ok')
  const one = records.doc(added._id)
  const { data, errMsg } = await one.get()
  assert.equal(errMsg, 'document.get:ok')
  assert.deepEqual(data, { _id: added._id, _openid: await openid('alice'), title: 'a', n: 1 })
  assert.deepEqual(await one.field({ n: true, _id: false }).get(), {
    data: { n: 1 },
    errMsg: 'document.get:ok',
  })
  assert.deepEqual(await one.update({ data: { n: 2 } }), {
    stats: { updated: 1 },
    errMsg: 'document.update:ok',
  })
  assert.deepEqual(await one.set({ data: { n: 3 } }), {
    _id: added._id,
    stats: { updated: 1, created: 0 },
    errMsg: 'document.set:ok',
  })
  assert.deepEqual(await records.where({ n: 3 }).count(), { total: 1, errMsg: 'collection.count:ok' })
  assert.deepEqual(await records.where({ n: 3 }).update({ data: { m: db.command.set(1) } }), {
    stats: { updated: 1 },
    errMsg: 'collection.update:ok',
  })
  assert.deepEqual(await records.aggregate().match({ n: 3 }).project({ _id: 0, n: 1 }).end(), {
    list: [{ n: 3 }],
    errMsg: 'collection.aggregate:ok',
  })
  assert.deepEqual(await one.remove(), { stats: { removed: 1 }, errMsg: 'document.remove:ok' })
  assert.deepEqual(await records.where({ n: 3 }).remove(), {
    stats: { removed: 0 },
    errMsg: 'collection.remove:ok',
  })
})

test('who says so gets null for a document that is not there', async () => {
  as('alice')
  const { data, errMsg } = await database({ throwOnNotFound: false }).collection('records').doc('none').get()
  assert.deepEqual([data, errMsg], [null, 'document.get:ok'])
})

test('twenty documents, whatever is asked for', async () => {
  const db = as('alice')
  for (let n = 0; n < 25; n++) await db.collection('numbers').add({ data: { n } })
  for (const query of [db.collection('numbers'), db.collection('numbers').limit(100)]) {
    assert.equal((await query.get()).data.length, 20)
  }
  const { data } = await db.collection('numbers').orderBy('n', 'desc').skip(20).get()
  assert.deepEqual(
    data.map(({ n }) => n),
    [4, 3, 2, 1, 0],
  )
})

test('refusals read as on the platform', async () => {
  const db = as('bob')
  const records = db.collection('records')
  const denied = await refusal(db.collection('posts').get())
  assert.equal(denied.errCode, -502003)
  assert.equal(denied.errMsg, 'collection.get:fail -502003 database permission denied. Permission denied')
  assert.equal(denied.message, 'errCode: -502003 database permission denied | errMsg: Permission denied')
  for (const [call, errCode, text] of [
    [() => records.doc('none').get(), -1, 'document.get:fail document with _id none does not exist'],
    [
      () => records.add({ data: { _openid: 'x' } }),
      -501007,
      /^collection\.add:fail -501007 invalid parameters\. Invalid Key Name: _openid$/,
    ],
    [() => records.add({}), -1, 'collection.add:fail parameter.data should be object instead of undefined;'],
    [() => records.doc('a').update({ data: {} }), -1, 'document.update:fail options.data must not be empty'],
    [
      () => records.doc('a').set({ data: { _id: 'b' } }),
      -501007,
      /^document\.set:fail -501007 invalid parameters\. 不能更新_id的值$/,
    ],
    [() => records.doc('a').set({ data: { n: db.command.inc(1) } }), -502001, /update operator complicit$/],
    [
      () => records.aggregate().lookup({ from: 'posts', localField: 'a', foreignField: 'b', as: 'c' }).end(),
      -502003,
      /Permission denied$/,
    ],
    [
      () => records.where({ a: { $gtt: 1 } }).get(),
      -502001,
      /^collection\.get:fail -502001 database request fail\. /,
    ],
    [
      () => getTempFileURL({}),
      -1,
      'cloud.getTempFileURL:fail parameter.fileList should be array instead of undefined;',
    ],
    [
      () => getTempFileURL({ fileList: ['cloud://e.b/a', null] }),
      -1,
      'cloud.getTempFileURL:fail parameter.fileList[1] should be string instead of null;',
    ],
    [
      () => getTempFileURL({ fileList: [{ maxAge: 5 }] }),
      -1,
      'cloud.getTempFileURL:fail parameter.fileList[0].fileID should be string instead of undefined;',
    ],
    [
      () => deleteFile({ fileList: [{}] }),
      -1,
      'cloud.deleteFile:fail parameter.fileList[0] should be string instead of object;',
    ],
    [
      () => uploadFile({ cloudPath: 'a' }),
      -1,
      'cloud.uploadFile:fail parameter.filePath should be string instead of undefined;',
    ],
    [
      () => uploadFile({ cloudPath: '/a', file: new Blob(['x']) }),
      -501007,
      /^cloud\.uploadFile:fail -501007 /,
    ],
    [
      () => downloadFile({}),
      -1,
      'cloud.downloadFile:fail parameter.fileID should be string instead of undefined;',
    ],
    [
      () => downloadFile({ fileID: 'cloud://e.b/none' }),
      -503003,
      /^cloud\.downloadFile:fail -503003 storage file not exists\. /,
    ],
  ]) {
    const error = await refusal(call())
    assert.equal(error.errCode, errCode, error.errMsg)
    if (typeof text === 'string') assert.equal(error.errMsg, text)
    else assert.match(error.errMsg, text)
  }
})

test('data that refers to itself is refused, and data that is there twice is sent', async () => {
  const records = as('bob').collection('records')
  const own = { n: 1 }
  const deep = { list: [{}] }
  deep.list[0].up = deep
  own.own = own
  for (const data of [own, deep]) {
    for (const call of [
      () => records.add({ data }),
      () => records.doc('a').set({ data }),
      () => records.doc('a').update({ data: { x: data } }),
      () => records.doc('a').update({ data: { x: [data] } }),
    ]) {
      const error = await refusal(call())
      assert.equal(error.errCode, -402001, error.errMsg)
      assert.match(error.errMsg, /^(collection|document)\.\w+:fail -402001 circular reference\. /)
    }
  }
  const shared = { n: 1 }
  const { _id } = await records.add({ data: { a: shared, b: [shared, shared] } })
  const { data } = await records.doc(_id).get()
  assert.deepEqual([data.a, data.b], [shared, [shared, shared]])
})

test('what carries a file can be ended, and takes as long as the app says', async () => {
  as('bob')
  const ended = (api, options) =>
    new Promise((fail, failed) => {
      const success = () => failed(new Error(`${api.name} was not ended`))
      api(Object.assign({ success, fail }, options)).abort()
    })
  const file = new Blob([new Uint8Array(1 << 20)])
  const upload = await ended(uploadFile, { cloudPath: 'bob/ended.bin', file })
  assert.match(upload.errMsg, /^cloud\.uploadFile:fail abort$/)
  const { fileID } = await uploadFile({ cloudPath: 'bob/whole.bin', file })
  const download = await ended(downloadFile, { fileID })
  assert.match(download.errMsg, /^cloud\.downloadFile:fail abort$/)
  const gone = fileID.replace('whole', 'ended')
  const { fileList } = await getTempFileURL({ fileList: [gone] })
  assert.equal(fileList[0].status, -503003)
})

test('a file tells how far it has come, and what its head says', async () => {
  as('bob')
  const size = (1 << 20) + 5
  const bytes = Uint8Array.from({ length: size }, (_, at) => at % 251)
  const carried = (api, options) =>
    new Promise((success, fail) => {
      const told = { progress: [], heads: [], left: 0 }
      const leaving = () => (told.left += 1)
      const task = api({ ...options, success: (result) => success({ ...told, result }), fail })
      task.onProgressUpdate((progress) => told.progress.push(progress))
      task.onProgressUpdate(leaving)
      task.offProgressUpdate(leaving)
      task.onHeadersReceived((head) => told.heads.push(head))
    })
  for (const file of [bytes, bytes.buffer, Buffer.from(bytes), new Blob([bytes])]) {
    const up = await carried(uploadFile, { cloudPath: 'bob/far.bin', file })
    const down = await carried(downloadFile, { fileID: up.result.fileID })
    assert.deepEqual(new Uint8Array(down.result.data), bytes)
    for (const [{ progress, heads, left }, verb, infinitive] of [
      [up, 'Sent', 'Send'],
      [down, 'Written', 'Write'],
    ]) {
      assert(progress.length > 1)
      const [all, came] = [`totalBytesExpectedTo${infinitive}`, `totalBytes${verb}`]
      assert.deepEqual(progress.at(-1), { progress: 100, [came]: size, [all]: size })
      const lengths = progress.map((told) => told[came])
      assert.deepEqual(
        lengths,
        [...new Set(lengths)].sort((a, b) => a - b),
      )
      assert.deepEqual([heads.length, heads[0].statusCode, left], [1, 200, 0])
    }
    assert.equal(down.heads[0].header['content-length'], String(size))
  }
})

test('a file takes no longer than its timeout, however much of it has come', { timeout: 30e3 }, async (t) => {
  as('bob')
  const { fileID } = await uploadFile({ cloudPath: 'bob/slow.bin', file: new Blob(['slow']) })
  // Its head comes at once, and the rest never.
  const stalled = createServer((_, reply) => reply.writeHead(200, { 'content-length': 4 }).write('s'))
  await new Promise((resolve) => stalled.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    stalled.closeAllConnections()
    stalled.close()
  })
  const real = globalThis.fetch
  t.mock.method(globalThis, 'fetch', (url, how) =>
    real(String(url).includes('/v1/files/') ? `http://127.0.0.1:${stalled.address().port}/` : url, how),
  )
  const cloudPath = 'bob/slower.bin'
  for (const [calling, name] of [
    [() => downloadFile({ fileID, timeout: 300 }), 'downloadFile'],
    [() => uploadFile({ cloudPath, file: new Blob(['x']), timeout: 300 }), 'uploadFile'],
  ]) {
    const error = await refusal(calling())
    assert.equal(error.errMsg, `cloud.${name}:fail timeout`)
  }
})

test('what is wrong with a query is thrown at once', () => {
  const records = as('bob').collection('records')
  for (const [wrong, text] of [
    [() => records.where(), '查询参数必须为对象'],
    [() => records.where({ a: undefined }), '查询参数对象值不能均为undefined'],
    [() => records.orderBy('a', 'up'), '排序字符不合法'],
    [() => records.limit('5'), 'limitmust be integer'],
    [() => records.doc({}), 'docId必须为字符串或数字'],
    [() => database().collection(''), 'Collection name is required'],
    [() => database().Geo.Point(200, 0), 'longitude should be a number from -180 to 180 instead of 200'],
  ]) {
    assert.throws(wrong, { message: text })
  }
})

test('callbacks give nothing back, and are called', async () => {
  const records = as('alice').collection('records')
  const ended = await new Promise((end) => {
    let succeeded
    const given = records.get({
      success: (result) => (succeeded = result),
      complete: (result) => end({ given, succeeded, result }),
    })
  })
  assert.equal(ended.given, undefined)
  assert.equal(ended.succeeded, ended.result)
  const error = await new Promise((fail) => records.doc('none').get({ fail }))
  assert.equal(error.errCode, -1)
})

test('a file of bytes, without wx', async () => {
  as('alice')
  const { fileID, statusCode, errMsg } = await uploadFile({
    cloudPath: 'a b/文.txt',
    file: new Blob(['云桥']),
  })
  assert.deepEqual([statusCode, errMsg], [200, 'cloud.uploadFile:ok'])
  const { data } = await downloadFile({ fileID })
  assert.equal(new TextDecoder().decode(data), '云桥')
  const { fileList } = await deleteFile({ fileList: [fileID, fileID] })
  assert.deepEqual(fileList[0], { fileID, status: 0, errMsg: 'ok' })
})

test('addresses of public files are put together from their ids', () => {
  as('alice')
  assert.equal(
    whole.cloudUrl('cloud://env.bucket/a b/图?.png'),
    `${gateway}/v1/files/public/a%20b/%E5%9B%BE%3F.png`,
  )
  for (const id of ['https://example.com/a.png', '/local.png', '']) assert.equal(whole.cloudUrl(id), id)
})

test('another environment of the server is the server', async () => {
  as('alice')
  const other = new whole.Cloud({ resourceAppid: 'wx1', resourceEnv: 'shared' })
  await other.init()
  const { total } = await other.database().collection('records').count()
  assert.equal(typeof total, 'number')
})

test('the small one has no database, and the rest', async () => {
  lite.init({ endpoint: gateway, login: () => code('alice') })
  assert.equal(lite.database, undefined)
  const { result } = await lite.callFunction({ name: 'add', data: { x: 1, y: 2 } })
  assert.equal(result, 3)
  const { fileList } = await lite.getTempFileURL({ fileList: ['cloud://e.b/none'] })
  assert.equal(fileList[0].status, -503003)
})

test('a CDN value is uploaded, and the function gets its address', async () => {
  as('alice')
  const { result } = await whole.callFunction({ name: 'echo', data: { file: whole.CDN('云'), n: 1 } })
  assert.equal(result.n, 1)
  assert.equal(await (await fetch(result.file)).text(), '云')
})
