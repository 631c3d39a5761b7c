// The page Files by clicks. Arguments: the console's link, the gateway, the simulated WeChat. Files are PRIVATE in the project.

import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { browsing } from './browser.mjs'

const [link, gateway] = process.argv.slice(2)
const console_ = new URL(link).origin
const PNG = Buffer.from(
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==',
  'base64',
)

/** A tenth of a second of silence. */
function wav() {
  const samples = 800
  const head = Buffer.alloc(44)
  head.write('RIFF', 0)
  head.writeUInt32LE(36 + samples, 4)
  head.write('WAVEfmt ', 8)
  head.writeUInt32LE(16, 16)
  head.writeUInt16LE(1, 20)
  head.writeUInt16LE(1, 22)
  head.writeUInt32LE(8000, 24)
  head.writeUInt32LE(8000, 28)
  head.writeUInt16LE(1, 32)
  head.writeUInt16LE(8, 34)
  head.write('data', 36)
  head.writeUInt32LE(samples, 40)
  return Buffer.concat([head, Buffer.alloc(samples, 128)])
}

const folder = await mkdtemp(join(tmpdir(), 'yunqiao-files-'))
const file = async (name, content) => {
  await writeFile(join(folder, name), content)
  return join(folder, name)
}

try {
  await browsing(async (browser) => {
    const page = await browser.open(link)
    await page.send('Browser.grantPermissions', {
      permissions: ['clipboardReadWrite', 'clipboardSanitizedWrite'],
    })
    const counts = (selector, count) =>
      page.until((selector, count) => document.querySelectorAll(selector).length === count, selector, count)
    /** Chooses files in the form, as the dialog would, and sends them. */
    const send = async (paths, into = '') => {
      const { root } = await page.send('DOM.getDocument')
      const { nodeId } = await page.send('DOM.querySelector', {
        nodeId: root.nodeId,
        selector: '#send input[type=file]',
      })
      await page.send('DOM.setFileInputFiles', { nodeId, files: paths })
      if (into) await page.write('#send input[name=folder]', into)
      await page.click('#send form button')
    }
    /** Drops what is named on the page; a folder with what is in it. */
    const drop = async (paths) => {
      const [x, y] = await page.evaluate(() => {
        const send = document.querySelector('#send')
        send.scrollIntoView({ block: 'center', behavior: 'instant' })
        const box = send.getBoundingClientRect()
        return [box.x + 20, box.y + 20]
      })
      const data = { items: [], files: paths, dragOperationsMask: 1 }
      for (const type of ['dragEnter', 'dragOver', 'drop'])
        await page.send('Input.dispatchDragEvent', { type, x, y, data })
    }

    // Nothing yet; files are sent by the button, several at once, into a folder that is new.
    await page.follow('nav a[href="/files"]', '/files')
    await page.shows('#files', 'No file here.')
    await send(
      [
        await file('picture.png', PNG),
        await file('sound.wav', wav()),
        await file('注意.txt', 'first\u202e <img src=x onerror=alert(1)>\nsecond ✓\n'),
        await file('large.bin', Buffer.alloc(24 << 20, 7)),
      ],
      '相册/2026',
    )
    await counts('.uploads li .bad', 0)
    await page.until(
      () =>
        [...document.querySelectorAll('.uploads li')].filter((li) => li.innerText.includes('sent')).length ===
        4,
    )
    await page.shows('#files', '相册/')
    await page.follow('.files .folder a', '/files')
    await page.follow('.files .folder a', '/files')
    await counts('.files tbody tr', 4)
    await page.shows('.files', '24.0 MB')
    // What counts in the quota is more than the contents.
    await page.shows(
      'main p.dim',
      'Total: 4 files, 24.0 MB; with 4 KB more for each, 24.0 MB of the quota of 100.0 MB',
    )
    await page.shows('.crumbs', '2026')

    // One of the same path only where that is wanted; what storage refuses it says.
    await send([join(folder, 'picture.png')])
    await page.shows('.uploads', 'there is a file of this path')
    await page.click('#send input[name=over]')
    await send([join(folder, 'picture.png')])
    await page.shows('.uploads li:last-child', 'sent')
    await send([join(folder, 'picture.png')], 'a/../b')
    await page.shows('.uploads li:last-child', '".." as a name')

    // The picture: what is known of it, seen from its address, copied.
    await page.follow('.files a[href*="picture.png"]', '/files/file')
    await page.shows('.facts', 'image/png')
    await page.shows('.facts', 'none')
    await page.until(() => document.querySelector('img.preview')?.naturalWidth === 1)
    const address = await page.text('#address')
    assert.ok(address.startsWith(`${gateway}/v1/files/`), address)
    assert.equal(
      (await fetch(address)).headers.get('etag'),
      `"${await page.text('.facts div:last-child code')}"`,
    )
    await page.click('button[data-copy=file-id]')
    await page.shows('button[data-copy=file-id]', 'Copied')
    const id = await page.evaluate(() => navigator.clipboard.readText())
    assert.match(id, /^cloud:\/\/[^/]+\/相册\/2026\/picture\.png$/)
    await page.click('button[data-copy=address]')
    await page.shows('button[data-copy=address]', 'Copied')
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), address)

    // Sound plays; text is text, with what is invisible shown.
    await page.follow('main > p a', '/files')
    await page.follow('.files a[href*="sound.wav"]', '/files/file')
    await page.until(() => document.querySelector('audio.preview')?.readyState >= 1)
    await page.follow('main > p a', '/files')
    await page.follow('.files a[href*=".txt"]', '/files/file')
    await page.shows('pre.preview', 'first\\u202e <img src=x onerror=alert(1)>')
    await page.shows('pre.preview', 'second ✓')

    // One is kept, and then removed, from its page; two are ticked in the list, which holds still meanwhile.
    await page.click('form:not(#sure) .danger')
    await page.shows('#sure', '注意.txt')
    await page.click('#sure [data-dismiss]')
    await counts('#sure', 0)
    await page.click('form:not(#sure) .danger')
    await page.click('#sure .danger')
    await page.until(() => location.pathname === '/files' && document.readyState === 'complete')
    await counts('.files tbody tr', 3)
    await page.click('#chosen button')
    await page.shows('#said', 'No file is ticked.')
    await page.click('input[name=path][value$="sound.wav"]')
    await page.click('input[name=path][value$="large.bin"]')
    await page.click('#chosen button')
    await page.shows('#sure', 'Delete for good: 2')
    await page.until(() => document.activeElement.matches('#sure .danger'))
    await page.press('Enter')
    await page.shows('#said', 'Deleted: 2')
    await counts('.files tbody tr', 1)
    assert.equal((await fetch(address)).status, 200)

    // A folder is dropped, with what is in it.
    await mkdir(join(folder, 'many/deep'), { recursive: true })
    for (let n = 0; n < 230; n += 1) await file(`many/${String(n).padStart(3, '0')}.txt`, `${n}`)
    await file('many/deep/空 格%20#.txt', 'deep')
    await page.goto(`${console_}/files`)
    await drop([join(folder, 'many')])
    await page.until(
      () =>
        document.querySelectorAll('.uploads li').length === 231 &&
        [...document.querySelectorAll('.uploads li')].every((li) => li.innerText.includes('sent')),
    )
    await page.goto(`${console_}/files?prefix=many/`)
    await counts('.files tbody tr', 100)
    await page.click('#after')
    await page.until(() => location.search.includes('after') && document.readyState === 'complete')
    await counts('.files tbody tr', 100)
    await page.click('#after')
    await page.until(() => document.querySelectorAll('.files tbody tr').length === 31)
    await page.shows('.files', 'deep/')
    await page.click('#first')
    await page.until(() => !location.search.includes('after') && document.readyState === 'complete')
    await page.write('#prefix', 'many/22')
    await page.press('Enter')
    await counts('.files tbody tr', 10)
    await page.goto(`${console_}/files?prefix=many/deep/`)
    await page.follow('.files a[href*="file?"]', '/files/file')
    await page.shows('pre.preview', 'deep')
    assert.equal(await (await fetch(await page.text('#address'))).text(), 'deep')

    // It follows what happens elsewhere.
    const other = await browser.open(`${console_}/files?prefix=many/deep/`)
    await page.follow('main > p a', '/files')
    await other.click('.files input')
    await other.click('#chosen button')
    await other.click('#sure .danger')
    await other.shows('#said', 'Deleted: 1')
    await page.shows('#files', 'No file here.')

    // In Chinese, in the dark, on a phone; nothing sticks out.
    await page.follow('.lang', '/files')
    await page.shows('h1', '文件')
    await page.seenAs([{ name: 'prefers-color-scheme', value: 'dark' }])
    await page.wide(320)
    const picture = encodeURIComponent('相册/2026/picture.png')
    for (const path of ['/files', '/files?prefix=many/', `/files/file?path=${picture}`]) {
      await page.goto(`${console_}${path}`)
      assert.ok(
        (await page.evaluate(() => document.documentElement.scrollWidth)) <= 320,
        `${path} is wider than a phone`,
      )
    }
    assert.deepEqual(browser.complaints, [])
  })
} finally {
  await rm(folder, { recursive: true, force: true })
}
