// Has everything happen that the console shows, in a project made of the examples (docs/console/README.md says how): calls that go well and that
// fail, messages, pushes, documents, files. For whoever looks at all pages.

const TEMPLATE = 'kxqQ_v0nAIDEQ6z0xa0xfAr3N3sPM2fv1_xomR10QFM'
const PICTURE =
  'iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAIAAAACUFjqAAAAEklEQVR4nGNgGAWjYBSMAggAAASaAAHn6hCFAAAAAElFTkSuQmCC'

/**
 * Makes it happen, and gives the pages: each by its name, as its path, and what is to be done on it before it is looked at.
 * @param page a page of the console that has been let in
 */
export async function fill(page, { origin, gateway, wechat }) {
  const post = async (url, body, token) => {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
    return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).json()
  }
  const sim = (path, body) => post(`${wechat}/sim/${path}`, body)
  const login = async (user) => {
    const { code } = await sim('client', { user, api: 'login' })
    return (await post(`${gateway}/v1/login`, { code })).token
  }
  const [alice, bob] = [await login('alice'), await login('bob')]
  const call = (name, data = {}, token = alice) => post(`${gateway}/v1/functions/${name}`, { data }, token)

  await call('setup')
  for (const [list, title] of [
    ['家', '交电费'],
    ['家', '给花浇水'],
    ['工作', '回复邮件'],
    ['工作', '写周报'],
  ]) {
    await call('add', { list, title, tags: ['今天'] })
  }
  await call('list', { list: '家' })
  await call('stats', {}, bob)
  await call('login')
  const message = { what: '洗牙', when: '2026-08-01 09:30' }
  const { requestID: failed } = await call('remind', message)
  await sim('templates', {
    priTmplId: TEMPLATE,
    title: '预约提醒',
    content: '项目:{{thing1.DATA}}\n时间:{{time2.DATA}}',
  })
  await sim('client', { user: 'alice', api: 'requestSubscribeMessage', tmplIds: [TEMPLATE] })
  const { requestID: reminded } = await call('remind', message)
  await call('remind', message)
  await call('qrcode', { id: '7' })
  await call('checkText', { content: '你好' })
  await sim('client', { user: 'alice', api: 'sendMessage', content: '在吗' })
  await sim('push', { type: 'user_enter_tempsession', user: 'bob', fields: { SessionFrom: 'order-7' } })
  await sim('push', { type: 'wxa_media_check', user: 'alice' })
  await sim('faults', { api: 'getopendata', kind: 'errcode', value: 45009, next: 2 })
  await sim('faults', { api: 'push', kind: 'latency', value: 300, next: 1 })

  await page.goto(`${origin}/files`)
  await page.evaluate(async (picture) => {
    const put = async (path, body) => {
      const headers = { 'hx-request': 'true' }
      const form = new URLSearchParams({ path, over: '1' })
      const place = await (await fetch('/files/place', { method: 'POST', headers, body: form })).json()
      await fetch(place.url, { method: 'PUT', headers, body })
    }
    const bytes = Uint8Array.from(atob(picture), (char) => char.charCodeAt(0))
    await put('album/cover.png', bytes)
    await put('readme.txt', '云桥的文件\n')
  }, PICTURE)

  const document = await page.evaluate(async () => {
    const text = await (await fetch('/data/collection?name=todos')).text()
    const shown = new DOMParser().parseFromString(text, 'text/html')
    return shown.querySelector('a[href^="/data/document"]').getAttribute('href')
  })
  const ask = async (name, event) => {
    await page.goto(`${origin}/call?function=${name}`)
    await page.write('#event', event)
    await page.click('form#call button[type=submit]')
    await page.until(() => globalThis.document.querySelector('#result h2'))
  }
  return {
    functions: { path: '/' },
    call: { path: '/call', open: () => ask('login', '{}') },
    'call-failed': { path: '/call', open: () => ask('remind', '{"what": "洗牙", "when": ""}') },
    calls: { path: '/calls' },
    details: { path: `/calls?call=${reminded}` },
    'details-failed': { path: `/calls?call=${failed}` },
    logs: { path: '/calls?view=logs' },
    data: { path: '/data' },
    collection: { path: '/data/collection?name=todos' },
    document: { path: document },
    permissions: { path: '/data/permissions' },
    files: { path: '/files' },
    file: { path: '/files/file?path=album%2Fcover.png' },
    outbox: { path: '/outbox' },
    push: { path: '/push' },
    users: { path: '/users' },
    wechat: { path: '/wechat' },
  }
}

/** Opens one of these pages, as whoever reads this language. */
export async function show(page, { origin }, { path, open }, lang) {
  await page.goto(`${origin}/lang?to=${lang}&back=${encodeURIComponent(path)}`)
  await open?.()
}
