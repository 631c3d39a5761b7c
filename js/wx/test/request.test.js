'use strict'

/* wx.request against servers of its own; the simulated WeChat in YUNQIAO_WECHAT_URL only tells the appid. */

const assert = require('node:assert/strict')
const { readFileSync, rmSync, writeFileSync } = require('node:fs')
const http = require('node:http')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { after, before, test } = require('node:test')
const zlib = require('node:zlib')

const { createWx } = require('..')
const { listen, serve } = require('../fixtures/backend')

let wx
let server
/** The answers of `/answer/<name>`. */
const ANSWERS = {
  json: [200, { 'Content-Type': 'text/plain', 'X-Own': 'Case' }, '\ufeff{"a":[1,"二"]}'],
  text: [500, {}, '{"not json'],
  empty: [204, {}, ''],
  bytes: [200, {}, Buffer.from([0, 255, 128])],
  gzip: [200, { 'Content-Encoding': 'gzip' }, zlib.gzipSync('"unpacked"')],
  br: [200, { 'Content-Encoding': 'br' }, zlib.brotliCompressSync('"unpacked"')],
  broken: [200, { 'Content-Encoding': 'gzip' }, 'this is no gzip'],
  cookies: [200, { 'Set-Cookie': ['a=1; Path=/', 'b=2'] }, ''],
  found: [302, { Location: '/echo' }, ''],
  kept: [307, { Location: '/echo' }, ''],
  round: [302, { Location: '/answer/round' }, ''],
}

before(async () => {
  wx = createWx()
  server = await serve(async ({ url, method, headers }, body) => {
    if (url.startsWith('/echo'))
      return [200, {}, JSON.stringify({ url, method, headers, body: body.toString('latin1') })]
    if (url.startsWith('/never')) return new Promise(() => {})
    return ANSWERS[url.replace('/answer/', '')]
  })
})

after(() => server?.close())

function ask(path, options) {
  return new Promise((success, fail) => {
    wx.request({ url: server.url + path, success, fail, ...options })
  })
}

async function failure(path, options) {
  return ask(path, options).then(
    ({ data }) => assert.fail(`it succeeds: ${data}`),
    (error) => error,
  )
}

const echo = async (options, path = '/echo') => (await ask(path, options)).data

test('a request says it is JSON and where it comes from', async () => {
  const { appid } = await wx.simulator.app()
  const { method, headers, body } = await echo({
    header: { Referer: 'https://elsewhere', 'X-N': 7, 'X-O': {} },
  })
  assert.equal(method, 'GET')
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(headers.referer, `https://servicewechat.com/${appid}/devtools/page-frame.html`)
  assert.equal(headers['x-n'], '7')
  assert.equal(headers['x-o'], '[object Object]')
  assert.equal(body, '')
})

test('the data of a GET is its query', async () => {
  const data = { b: '& 二', c: [1, { d: 2 }], e: null }
  const { url, body } = await echo({ data, method: 'get' }, '/echo?a=1&b=0')
  assert.equal(url, `/echo?a=1&b=${encodeURIComponent('& 二')}&c=${encodeURIComponent('[1,{"d":2}]')}&e=null`)
  assert.equal(body, '')
  assert.equal((await echo({ data: {} }, '/echo?a=1')).url, '/echo?a=1')
  assert.equal((await echo({ data: 'text' }, '/echo?a=1')).url, '/echo?a=1')
})

test('other data is a body, by its content type', async () => {
  const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
  const bytes = new Uint8Array([0, 200]).buffer
  for (const [options, expected] of [
    [{ data: { a: 1, b: '二' } }, Buffer.from('{"a":1,"b":"二"}').toString('latin1')],
    [{ data: [1] }, '[1]'],
    [{ data: 'as it is' }, 'as it is'],
    [{ data: { a: '& 二', b: 1 }, header: form }, 'a=%26%20%E4%BA%8C&b=1'],
    [{ data: 'a=1', header: form }, 'a=1'],
    [{ data: { a: 1 }, header: { 'content-type': 'text/plain' } }, '{"a":1}'],
    [{ data: 7, header: { 'content-type': 'text/plain' } }, '7'],
    [{ data: bytes, header: { 'content-type': 'application/octet-stream' } }, '\u0000\u00c8'],
    [{}, ''],
    [{ method: 'DELETE', data: { a: 1 } }, '{"a":1}'],
  ]) {
    const { body, url } = await echo({ method: 'POST', ...options })
    assert.equal(body, expected)
    assert.equal(url, '/echo')
  }
  assert.equal(
    (await echo({ method: 'POST', header: form, data: {} })).headers['content-type'],
    form['Content-Type'],
  )
})

test('an answer of any status is a success', async () => {
  const json = await ask('/answer/json')
  assert.deepEqual(json.data, { a: [1, '二'] })
  assert.equal(json.header['X-Own'], 'Case')
  assert.equal(json.errMsg, 'request:ok')
  assert.deepEqual(json.cookies, [])
  assert.deepEqual(json.exception, { retryCount: 0, reasons: [] })
  assert.equal((await ask('/answer/json', { dataType: '其他' })).data, '{"a":[1,"二"]}')

  const text = await ask('/answer/text')
  assert.equal(text.statusCode, 500)
  assert.equal(text.data, '{"not json')
  assert.equal((await ask('/answer/empty')).data, '')

  const bytes = await ask('/answer/bytes', { responseType: 'arraybuffer' })
  assert.ok(bytes.data instanceof ArrayBuffer)
  assert.deepEqual([...new Uint8Array(bytes.data)], [0, 255, 128])

  for (const packed of ['gzip', 'br']) assert.equal((await ask(`/answer/${packed}`)).data, 'unpacked')
  const head = await ask('/answer/gzip', { method: 'HEAD' })
  assert.deepEqual([head.statusCode, head.data], [200, ''])

  const { cookies, header } = await ask('/answer/cookies')
  assert.deepEqual(cookies, ['a=1; Path=/', 'b=2'])
  assert.equal(header['Set-Cookie'], 'a=1; Path=/,b=2')
})

test('redirects are followed, or shown', async () => {
  const posted = { method: 'POST', data: { a: 1 } }
  const found = await echo(posted, '/answer/found')
  assert.deepEqual([found.method, found.body, found.headers['content-type']], ['GET', '', undefined])
  const kept = await echo(posted, '/answer/kept')
  assert.deepEqual([kept.method, kept.body], ['POST', '{"a":1}'])
  const shown = await ask('/answer/found', { redirect: 'manual' })
  assert.deepEqual([shown.statusCode, shown.header.Location], [302, '/echo'])
  assert.match((await failure('/answer/round')).errMsg, /ERR_TOO_MANY_REDIRECTS$/)
})

test('what a redirect leads elsewhere is not told secrets', async () => {
  const elsewhere = await serve(({ headers }) => [200, {}, JSON.stringify(headers)])
  ANSWERS.away = [302, { Location: elsewhere.url }, '']
  const header = { Authorization: 'Bearer secret', Cookie: 'a=1', 'X-Own': '1' }
  const { data } = await ask('/answer/away', { header })
  assert.deepEqual([data.authorization, data.cookie, data['x-own']], [undefined, undefined, '1'])
  elsewhere.close()
})

test('failures carry WeChat’s text and errno', async () => {
  assert.deepEqual(await failure('/never', { timeout: 30 }), { errMsg: 'request:fail timeout', errno: 5 })

  const closed = await serve(() => [200, {}, ''])
  closed.close()
  const refused = await failure('', { url: closed.url })
  assert.equal(
    refused.errMsg,
    'request:fail errcode:-102 cronet_error_code:-102 error_msg:net::ERR_CONNECTION_REFUSED',
  )
  assert.equal(refused.errno, 600001)

  const cut = http.createServer((_, response) => {
    response.writeHead(200, { 'Content-Length': 100 }).write('part')
    setTimeout(() => response.destroy(), 10)
  })
  const { url, close } = await listen(cut)
  assert.match((await failure('', { url })).errMsg, /ERR_CONNECTION_RESET$/)
  close()

  assert.match((await failure('/answer/broken')).errMsg, /^request:fail errcode:-2 .*ERR_FAILED \(.*header/)
  assert.match((await failure('/echo', { header: { 'X-Bad': '\n' } })).errMsg, /ERR_FAILED \(.*X-Bad/)
})

test('what is no request is refused, later, and is no task', async () => {
  for (const [options, errno, text] of [
    [undefined, 1001, 'parameter error: parameter.url should be String instead of Undefined;'],
    [{ url: null }, 1001, 'parameter error: parameter.url should be String instead of Null;'],
    [{ url: '/relative' }, 600009, 'invalid url "/relative"'],
    [{ url: 'ftp://host/' }, 600009, 'invalid url "ftp://host/"'],
    [{ url: 'http://' }, 600009, 'invalid url "http://"'],
  ]) {
    const refused = await new Promise((done) => {
      let returned = false
      const task = wx.request({
        ...options,
        fail(error) {
          assert.ok(returned)
          done(error)
        },
      })
      returned = true
      assert.equal(task, undefined)
    })
    assert.deepEqual(refused, { errMsg: `request:fail ${text}`, errno })
  }
  assert.match((await failure('/echo', { method: 'CONNECT' })).errMsg, /CONNECT is not carried/)
})

test('a task can be aborted, and tells of headers and chunks', async () => {
  const ended = []
  const task = await new Promise((done) => {
    const given = wx.request({
      url: `${server.url}/never`,
      success: () => ended.push('success'),
      fail: (error) => ended.push(error),
      complete: () => done(given),
    })
    given.abort()
  })
  assert.deepEqual(ended, [{ errMsg: 'request:fail abort' }])
  task.abort()

  const seen = []
  const result = await new Promise((success) => {
    const listening = wx.request({ url: `${server.url}/answer/json`, enableChunked: true, success })
    const never = () => assert.fail('it is not listened to any more')
    listening.onHeadersReceived(never)
    listening.offHeadersReceived(never)
    listening.onHeadersReceived(({ statusCode, header }) => seen.push([statusCode, header['X-Own']]))
    listening.onChunkReceived(never)
    listening.offChunkReceived()
    listening.onChunkReceived(({ data }) => seen.push(data))
  })
  assert.deepEqual(seen[0], [200, 'Case'])
  const chunks = Buffer.concat(seen.slice(1).map((chunk) => Buffer.from(chunk)))
  assert.equal(chunks.toString(), ANSWERS.json[2])
  assert.deepEqual(result.data, { a: [1, '二'] })
})

test('an answer that stalls is ended in the middle', async () => {
  const stalls = http.createServer(({ url }, response) => {
    response.writeHead(200, url === '/gzip' ? { 'Content-Encoding': 'gzip' } : { 'Content-Length': 100 })
    response.write(url === '/gzip' ? zlib.gzipSync('part').subarray(0, 12) : 'part')
  })
  const { url, close } = await listen(stalls)
  for (const path of ['/', '/gzip']) {
    assert.deepEqual(await failure('', { url: url + path, timeout: 50 }), {
      errMsg: 'request:fail timeout',
      errno: 5,
    })
    const ended = await new Promise((complete) => {
      const task = wx.request({ url: url + path, complete })
      task.onHeadersReceived(() => task.abort())
    })
    assert.deepEqual(ended, { errMsg: 'request:fail abort' })
  }
  close()
})

test('a silent simulator holds no request up for longer than its timeout', async () => {
  const silent = createWx({ wechat: `${server.url}/never` })
  const late = await new Promise((fail) => silent.request({ url: `${server.url}/echo`, timeout: 30, fail }))
  assert.deepEqual(late, { errMsg: 'request:fail timeout', errno: 5 })
})

test('ten go at once, the others wait for their turn', async () => {
  let open = 0
  let most = 0
  const waiting = []
  const busy = await serve(async () => {
    open += 1
    most = Math.max(most, open)
    await new Promise((go) => {
      waiting.push(go)
    })
    open -= 1
    return [200, {}, '1']
  })
  const ends = []
  const tasks = []
  for (let at = 0; at < 13; at += 1) {
    ends.push(
      new Promise((complete) => {
        tasks.push(wx.request({ url: busy.url, complete }))
      }),
    )
  }
  while (open < 10) await new Promise((later) => setTimeout(later, 5))
  tasks[12].abort()
  assert.equal((await ends[12]).errMsg, 'request:fail abort')
  const release = setInterval(() => waiting.shift()?.(), 1)
  const results = await Promise.all(ends.slice(0, 12))
  clearInterval(release)
  assert.ok(results.every(({ errMsg }) => errMsg === 'request:ok'))
  assert.equal(most, 10)
  busy.close()
})

test('a file goes in a form, with its fields before it, and its progress is told', async () => {
  const filePath = join(tmpdir(), `wx-test-${process.pid}.txt`)
  writeFileSync(filePath, 'x'.repeat(200_000))
  const told = []
  const heads = []
  const result = await new Promise((success, fail) => {
    const asked = { url: `${server.url}/echo`, filePath, name: 'file', formData: { key: '键', n: 1 } }
    const task = wx.uploadFile({ ...asked, header: { 'X-Own': 'a' }, success, fail })
    task.onProgressUpdate((event) => told.push(event))
    task.onHeadersReceived(({ statusCode }) => heads.push(statusCode))
  })
  const { method, headers, body } = JSON.parse(result.data)
  assert.equal(result.errMsg, 'uploadFile:ok')
  assert.equal(method, 'POST')
  assert.match(headers['content-type'], /^multipart\/form-data; boundary=/)
  assert.equal(headers['x-own'], 'a')
  const text = Buffer.from(body, 'latin1').toString()
  assert.match(
    text,
    /name="key"\r\n\r\n键\r\n[\s\S]*name="n"\r\n\r\n1\r\n[\s\S]*name="file"; filename="wx-test-/,
  )
  assert.ok(text.includes('x'.repeat(200_000)))
  assert.deepEqual(heads, [200])
  assert.ok(told.length > 2)
  const { progress, totalBytesSent, totalBytesExpectedToSend } = told.at(-1)
  assert.equal(progress, 100)
  assert.equal(totalBytesSent, totalBytesExpectedToSend)
  rmSync(filePath)
  const missing = await new Promise((fail) => wx.uploadFile({ url: server.url, filePath, name: 'f', fail }))
  assert.deepEqual(missing, { errMsg: 'uploadFile:fail file not found' })
})

test('a file comes into the temporary files, or where it is wanted', async () => {
  const told = []
  const { tempFilePath, errMsg, statusCode } = await new Promise((success, fail) => {
    const task = wx.downloadFile({ url: `${server.url}/answer/bytes`, success, fail })
    task.onProgressUpdate((event) => told.push(event))
  })
  assert.deepEqual([errMsg, statusCode], ['downloadFile:ok', 200])
  assert.deepEqual([...readFileSync(tempFilePath)], [0, 255, 128])
  assert.equal(told.at(-1).totalBytesWritten, 3)
  const kept = await new Promise((success, fail) => {
    wx.downloadFile({ url: `${server.url}/answer/text`, filePath: tempFilePath, success, fail })
  })
  assert.deepEqual([kept.filePath, kept.tempFilePath, kept.statusCode], [tempFilePath, undefined, 500])
  assert.equal(readFileSync(tempFilePath, 'utf8'), '{"not json')
  rmSync(tempFilePath)
  const refused = await new Promise((fail) => wx.downloadFile({ fail }))
  assert.match(refused.errMsg, /^downloadFile:fail parameter error: parameter.url/)
})
