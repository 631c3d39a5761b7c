// In Node: js-sdk 3.7.0 as a client, and node-sdk 3.18.3 with a key pair, both unmodified.

import { deepStrictEqual, match, ok, rejects, strictEqual } from 'node:assert'
import { createRequire } from 'node:module'
import { join } from 'node:path'

import * as program from './operations.mjs'

const [, , modules, settings] = process.argv
const { url, env, admin, secretId, secretKey } = JSON.parse(settings)
const from = createRequire(join(modules, 'driver.js'))
const { host } = new URL(url)

async function client() {
  const cloudbase = from('js-sdk-3')
  const { app, auth, words } = program.open(cloudbase, { generation: 3, env, host })
  await words.anonymously(auth)
  const uid = await words.uid(auth)
  match(uid, /^[0-9a-f]{32}$/)
  const { result } = await app.callFunction({ name: 'who', data: { a: [1, null, '中'] } })
  deepStrictEqual(result.event, { a: [1, null, '中'] })
  strictEqual(result.user.uid, uid)
  const report = await program.documents(app, 'in_node')
  deepStrictEqual([report.owner, report.found, report.left], [uid, [4, 3], 3])
  const refused = await program.attempt(() => app.callFunction({ name: 'nobody' }))
  match(refused.refused, /FUNCTION_NOT_FOUND/)
}

async function server() {
  const tcb = from('@cloudbase/node-sdk')
  const open = (secretKey) => tcb.init({ env, secretId, secretKey, serviceUrl: `${admin}/admin` })
  const app = open(secretKey)
  const db = app.database()
  const _ = db.command
  const { result } = await app.callFunction({ name: 'who', data: { a: 1 } })
  deepStrictEqual([result.event, result.user.uid, result.user.openId], [{ a: 1 }, '', ''])
  const notes = db.collection('of_server')
  const { id } = await notes.add({ n: 1, at: new Date(5) })
  deepStrictEqual((await notes.doc(id).get()).data, [{ _id: id, n: 1, at: new Date(5) }])
  strictEqual((await notes.where({ n: _.lt(2) }).update({ n: _.inc(1) })).updated, 1)
  await db.runTransaction(async (transaction) => {
    await transaction
      .collection('of_server')
      .doc(id)
      .update({ n: _.inc(1) })
  })
  strictEqual((await notes.where({ n: 3 }).count()).total, 1)
  // It sees everybody's, as functions do.
  strictEqual((await db.collection('in_node').count()).total, 3)

  const { fileID } = await app.uploadFile({ cloudPath: 'from/服务器.txt', fileContent: Buffer.from('你好') })
  const { fileList } = await app.getTempFileURL({ fileList: [fileID] })
  strictEqual(await (await fetch(fileList[0].tempFileURL)).text(), '你好')
  strictEqual((await app.downloadFile({ fileID })).fileContent.toString(), '你好')
  strictEqual((await app.deleteFile({ fileList: [fileID] })).fileList[0].code, 'SUCCESS')

  await rejects(
    open(`${secretKey}x`).database().collection('of_server').get(),
    /INVALID_REQUEST_SOURCE|SIGN|invalid/i,
  )
  const stranger = tcb.init({ env, secretId: 'other', secretKey, serviceUrl: `${admin}/admin` })
  const answer = await stranger
    .database()
    .collection('of_server')
    .get()
    .then(
      (done) => done,
      (error) => error,
    )
  ok(answer.code && !answer.data, JSON.stringify(answer))
}

await client()
console.log('js-sdk: done')
await server()
console.log('node-sdk: done')
process.exit(0)
