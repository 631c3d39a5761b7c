// js-sdk 3.7.0's build for Mini Programs, unmodified, in the `wx` for tests: login by WeChat, and everything else by `wx.request`.

import { deepStrictEqual, match, strictEqual } from 'node:assert'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { createWx } from '../../js/wx/index.mjs'
import * as program from './operations.mjs'

const [, , modules, settings] = process.argv
const { url, env, wechat, openid } = JSON.parse(settings)
const { host } = new URL(url)

/** What a phone has beside what the `wx` for tests has. */
const kept = new Map()
globalThis.wx = Object.assign(createWx({ wechat, user: 'alice' }), {
  getSystemInfoSync: () => ({ platform: 'devtools', AppPlatform: 'wx' }),
  getStorageSync: (key) => kept.get(key),
  setStorageSync: (key, value) => void kept.set(key, value),
  removeStorageSync: (key) => void kept.delete(key),
  clearStorageSync: () => kept.clear(),
  connectSocket: () => ({}),
  getFileSystemManager: () => ({ readFileSync: (path) => new Uint8Array(readFileSync(path)).buffer }),
})
globalThis.Page = () => {}
// Its appid is known from then on.
await wx.simulator.app()

// As DevTools builds npm packages: by the folder that `miniprogram` names.
const cloudbase = createRequire(import.meta.url)(join(modules, 'js-sdk-3/miniprogram_dist/index.js'))
const { app, auth } = program.open(cloudbase, { generation: 3, env, host })
const { error } = (await auth.signInWithOpenId({ useWxCloud: false })) ?? {}
strictEqual(error ?? null, null)
const { result } = await app.callFunction({ name: 'who', data: { a: 1 } })
deepStrictEqual([result.event, result.user.openId, result.loginType], [{ a: 1 }, openid, 'WECHAT'])
const report = await program.documents(app, 'in_mini_program')
deepStrictEqual([report.owner, report.found, report.sum, report.left], [openid, [4, 3], 38, 3])

const folder = await mkdtemp(join(tmpdir(), 'yunqiao-mini-'))
const path = join(folder, 'a.txt')
await writeFile(path, '你好')
const { fileID } = await app.uploadFile({ cloudPath: 'mini/a.txt', filePath: path })
match(fileID, /^cloud:\/\/.*\/mini\/a\.txt$/)
const { fileList } = await app.getTempFileURL({ fileList: [fileID] })
strictEqual(await (await fetch(fileList[0].tempFileURL)).text(), '你好')
await rm(folder, { recursive: true })
console.log('the Mini Program: done')
process.exit(0)
