// What htmx leaves to do: copying a text, sending a form from the keyboard, and sending files as they are.
document.addEventListener('click', async ({ target }) => {
  const button = target.closest('[data-copy], [data-text]')
  if (!button) return
  const text = button.dataset.text ?? document.getElementById(button.dataset.copy).textContent
  await navigator.clipboard.writeText(text)
  button.textContent = button.dataset.copied
})

// The page Calls. Its filter stands in the address: what is not chosen does not, and the call beside the list stays.
const filter = document.getElementById('wanted')
const shown = () => new URLSearchParams(location.search).get('call') ?? ''
document.addEventListener('htmx:configRequest', ({ detail }) => {
  if (detail.elt.matches('#older, #newest') && shown() !== '') {
    const to = new URL(detail.path, location)
    to.searchParams.set('call', shown())
    detail.path = to.pathname + to.search
  }
  if (detail.elt !== filter) return
  detail.formData.set('call', shown())
  for (const [name, value] of [...detail.formData]) if (value === '') detail.formData.delete(name)
})

/** Chooses what `from=1&to=2` says. */
const choose = (query) => {
  for (const [name, value] of new URLSearchParams(query)) filter.elements[name].value = value
  htmx.trigger(filter, 'change')
}
document.addEventListener('click', ({ target }) => {
  const button = target.closest('[data-set]')
  if (button) choose(button.dataset.set)
})

/** Marks the call that is shown beside the list. */
const mark = (root) => {
  const call = shown()
  for (const link of root.querySelectorAll('table.calls a, ol.lines a')) {
    const is = call !== '' && new URL(link.getAttribute('href'), location).searchParams.get('call') === call
    if (is) link.setAttribute('aria-current', 'true')
    else link.removeAttribute('aria-current')
  }
}
if (filter) {
  mark(document)
  // What was typed applied as it was typed: that the search is left changes nothing.
  filter.elements.q.addEventListener('change', (event) => event.stopPropagation())
  document.addEventListener('htmx:pushedIntoHistory', () => mark(document))
  // Whoever opens a call is in it, and back where they came from when it is closed.
  let opener
  document.addEventListener('htmx:beforeRequest', ({ detail }) => {
    if (detail.elt.closest('.list') && detail.elt.id) opener = detail.elt.id
  })
  document.addEventListener('htmx:afterSettle', ({ target, detail }) => {
    mark(document)
    // What is drawn anew without anybody asking for it leaves the keyboard where it is.
    if (!target.matches('#call.open') || !detail.requestConfig) return
    target.focus({ preventScroll: true })
    // On a phone the call stands in the place of the list.
    if (matchMedia('(max-width: 900px)').matches) target.scrollIntoView()
  })
  document.addEventListener('click', (event) => {
    const close = event.target.closest('#call .close')
    if (!close || event.ctrlKey || event.metaKey || event.shiftKey) return
    event.preventDefault()
    const row = document.getElementById(opener) ?? document.querySelector('.list [aria-current]')
    const closed = document.createElement('section')
    closed.id = 'call'
    document.getElementById('call').replaceWith(closed)
    history.pushState({ htmx: true }, '', close.href)
    mark(document)
    ;(row ?? document.getElementById('content')).focus()
  })
}

// The timeline tells of the slice that is pointed at, or reached by arrow keys, and shows its calls alone when it is chosen.
const slices = (timeline) => timeline.dataset.slices.split(';')
const slice = (timeline, number) => {
  const { from, step, times, names } = timeline.dataset
  const all = slices(timeline)
  // As the server says them: this browser may be elsewhere.
  const ends = times.split(';')
  const start = Number(from) + number * Number(step)
  const [calls, failed, p50, p99] = all[number].split(',')
  const [named, ofFailed, ofP50, ofP99] = names.split('|')
  const told = calls ? `${named} ${calls} · ${ofFailed} ${failed} · ${ofP50} ${p50} · ${ofP99} ${p99}` : `${named} 0`
  timeline.dataset.pointed = number
  timeline.querySelector('.told').textContent = `${ends[number]} – ${ends[number + 1]} · ${told}`
  const pointed = timeline.querySelector('.pointed')
  pointed.setAttribute('x', number * pointed.width.baseVal.value)
  return { start, end: start + Number(step) }
}
document.addEventListener('pointermove', ({ target, clientX }) => {
  const plot = target.closest?.('.timeline .plot')
  if (!plot) return
  const timeline = plot.closest('.timeline')
  const { left, width } = plot.querySelector('svg').getBoundingClientRect()
  const count = slices(timeline).length
  const number = Math.floor(((clientX - left) / width) * count)
  if (number >= 0 && number < count) slice(timeline, number)
})
const zoom = (timeline) => {
  const { start, end } = slice(timeline, Number(timeline.dataset.pointed))
  choose(`from=${start}&to=${end}`)
}
// The slice that is pointed at stays so when the timeline is drawn anew, wherever it stands then.
let pointedAt
document.addEventListener('htmx:sseBeforeMessage', ({ target }) => {
  const { from, step, pointed } = target.querySelector('.timeline')?.dataset ?? {}
  pointedAt = pointed && Number(from) + Number(pointed) * Number(step)
})
document.addEventListener('htmx:sseMessage', ({ target }) => {
  const timeline = target.querySelector('.timeline')
  if (pointedAt === undefined || !timeline || timeline.dataset.pointed) return
  const number = Math.round((pointedAt - Number(timeline.dataset.from)) / Number(timeline.dataset.step))
  if (number >= 0 && number < slices(timeline).length) slice(timeline, number)
})
document.addEventListener('click', ({ target }) => {
  const timeline = target.closest('.timeline .plot')?.closest('.timeline')
  if (timeline?.dataset.pointed) zoom(timeline)
})

document.addEventListener('keydown', (event) => {
  const { target, key } = event
  if (event.ctrlKey || event.metaKey || event.altKey || !filter) return
  if (target.matches('.timeline')) {
    const count = slices(target).length
    const now = Number(target.dataset.pointed ?? count)
    const next = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: count - 1 }[key]
    if (key === 'Enter' && target.dataset.pointed) return zoom(target)
    if (next === undefined) return
    event.preventDefault()
    return slice(target, Math.min(Math.max(next, 0), count - 1))
  }
  if (target.matches('input, select, textarea')) return
  if (key === '/') {
    event.preventDefault()
    filter.elements.q.focus()
  }
  if (key === 'Escape') document.querySelector('#call .close')?.click()
  if (key !== 'ArrowDown' && key !== 'ArrowUp') return
  // From call to call.
  const links = [...document.querySelectorAll('table.calls a, ol.lines a')]
  const at = links.indexOf(target.closest('a'))
  const next = links[key === 'ArrowDown' ? at + 1 : at - 1]
  if (at < 0 || !next) return
  event.preventDefault()
  next.focus()
})

// A link may lead to what is folded.
const linked = document.getElementById(location.hash.slice(1))
if (linked?.matches('details')) linked.open = true

// The language is switched on the page as it is by now.
document.addEventListener('click', ({ target }) => {
  const link = target.closest('a.lang')
  if (!link) return
  const to = new URL(link.href)
  to.searchParams.set('back', location.pathname + location.search)
  link.href = to.href
})

// A question that is not answered goes away.
document.addEventListener('click', ({ target }) => {
  const button = target.closest('[data-dismiss]')
  if (button) document.getElementById(button.dataset.dismiss).remove()
})

document.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return
  event.target.closest('form')?.requestSubmit()
})

document.addEventListener('submit', async (event) => {
  const form = event.target.closest('form[data-upload]')
  if (!form) return
  event.preventDefault()
  const { file, over } = form.elements
  const [chosen] = file.files
  const button = form.querySelector('button')
  const say = (text) => htmx.swap('#said', text, { swapStyle: 'innerHTML' })
  const trouble = (text) => {
    const said = document.createElement('p')
    said.className = 'trouble'
    said.textContent = text
    say(said.outerHTML)
  }
  if (chosen.size > Number(form.dataset.most)) return trouble(form.dataset.larger)
  const query = new URLSearchParams({ file: chosen.name, over: over.checked ? '1' : '' })
  button.disabled = true
  try {
    // The header says that it comes from this page: a form of another site's cannot send it.
    const headers = { 'hx-request': 'true', 'content-type': 'application/octet-stream' }
    const reply = await fetch(`${form.dataset.upload}&${query}`, { method: 'POST', headers, body: chosen })
    const text = await reply.text()
    if (reply.headers.get('content-type')?.startsWith('text/html')) say(text)
    else trouble(text)
    form.reset()
  } catch {
    trouble(form.dataset.failed)
  }
  button.disabled = false
  htmx.trigger(document.body, 'documents-changed')
})

// The page Files: what is chosen or dropped is sent to its place, a few at a time, each with its progress.
const send = document.getElementById('send')
if (send) {
  const AT_ONCE = 3
  const form = send.querySelector('form')
  const waiting = []
  let under = 0

  // Tells where a file goes: an address, or why it cannot.
  const place = async (path) => {
    const body = new URLSearchParams({ path, over: form.elements.over.checked ? '1' : '' })
    const reply = await fetch('/files/place', { method: 'POST', headers: { 'hx-request': 'true' }, body })
    const { url, error } = await reply.json()
    if (error) throw new Error(error)
    return url
  }

  const put = (url, file, line) =>
    new Promise((resolve, reject) => {
      const request = new XMLHttpRequest()
      request.open('PUT', url)
      request.setRequestHeader('hx-request', 'true')
      request.upload.onprogress = ({ loaded, total }) => {
        line.progress.max = total
        line.progress.value = loaded
      }
      request.onload = () => {
        if (request.status === 200) return resolve()
        // What storage refuses it says in XML.
        const said = request.responseXML?.querySelector('Message')?.textContent
        reject(new Error(said || send.dataset.failed))
      }
      request.onerror = () => reject(new Error(send.dataset.failed))
      request.onabort = () => reject(new Error(send.dataset.stopped))
      line.stop.onclick = () => request.abort()
      request.send(file)
    })

  const next = async () => {
    if (under === AT_ONCE || waiting.length === 0) return
    under += 1
    const { path, file, line } = waiting.shift()
    try {
      await put(await place(path), file, line)
      line.progress.max = line.progress.value = 1
      line.told.textContent = `✓ ${send.dataset.done}`
    } catch ({ message }) {
      line.told.textContent = `✗ ${message}`
      line.told.className = 'bad'
      line.progress.remove()
    }
    line.stop.remove()
    under -= 1
    if (under === 0 && waiting.length === 0) htmx.trigger(document.body, 'files-changed')
    next()
  }

  const queue = (name, file) => {
    const folder = form.elements.folder.value.trim().replace(/^\/+/, '').replace(/([^/])$/, '$1/')
    const path = folder + name
    const line = {
      item: document.createElement('li'),
      name: document.createElement('code'),
      progress: document.createElement('progress'),
      told: document.createElement('span'),
      stop: document.createElement('button'),
    }
    line.name.textContent = path
    line.progress.max = 1
    line.progress.value = 0
    line.progress.setAttribute('aria-label', path)
    line.stop.type = 'button'
    line.stop.className = 'small'
    line.stop.textContent = send.dataset.stop
    const job = { path, file, line }
    // Before its turn has come there is nothing to break off.
    line.stop.onclick = () => {
      const at = waiting.indexOf(job)
      if (at < 0) return
      waiting.splice(at, 1)
      line.item.remove()
    }
    line.item.append(line.name, line.progress, line.told, line.stop)
    send.querySelector('.uploads').append(line.item)
    waiting.push(job)
    next()
  }

  /** What was dropped, and whatever is in it where it is a folder. */
  const enter = async (entry, above) => {
    const name = above + entry.name
    if (entry.isFile) return entry.file((file) => queue(name, file))
    const reader = entry.createReader()
    for (;;) {
      const found = await new Promise((resolve, reject) => reader.readEntries(resolve, reject))
      if (found.length === 0) return
      for (const inside of found) await enter(inside, `${name}/`)
    }
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault()
    for (const file of form.elements.files.files) queue(file.name, file)
    form.elements.files.value = ''
  })
  const over = (is) => (event) => {
    if (!event.dataTransfer.types.includes('Files')) return
    event.preventDefault()
    send.classList.toggle('over', is)
  }
  document.addEventListener('dragover', over(true))
  document.addEventListener('dragleave', over(false))
  document.addEventListener('drop', (event) => {
    over(false)(event)
    // They are there only until this returns.
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean)
    if (entries.length === 0) for (const file of event.dataTransfer.files) queue(file.name, file)
    for (const entry of entries) enter(entry, '')
  })
}

// The page Call: what belongs to another way of calling than the chosen one is not shown, not sent, and keeps nothing from being sent.
const calling = document.querySelector('form#call')
if (calling) {
  const { by, event, lost } = calling.elements
  const part = () => {
    for (const element of calling.querySelectorAll('[data-by]')) {
      const isOther = !element.dataset.by.split(' ').includes(by.value)
      if (element.matches('fieldset')) element.disabled = isOther
      else element.hidden = isOther
    }
    if (lost) event.required = by.value === 'client'
  }
  // Before anything else looks at what is there to be sent.
  calling.addEventListener('change', part, { capture: true })
  // A browser may have kept what was chosen when the page was left.
  window.addEventListener('pageshow', part)
  part()
}

// What was sent is remembered in this browser, a little of each function; in no browser that calls functions of a real app.
const remembered = document.getElementById('remembered')
const asking = document.querySelector('form#call[data-project]')
if (remembered && asking) {
  const KEPT = 10
  const LONGEST = 20_000
  const place = `yunqiao-sent:${asking.dataset.project}`
  const { elements } = asking
  const read = () => {
    try {
      return JSON.parse(localStorage.getItem(place)) ?? {}
    } catch {
      return {}
    }
  }
  /** What is called: things that are sent to one are no use to another. */
  const called = () => {
    const by = elements.by.value
    const what = { http: elements.path, push: elements.type }[by] ?? elements.function
    return `${by} ${what.value}`
  }
  const of = (what) => read()[what] ?? []
  const offer = () => {
    const sent = of(called())
    remembered.hidden = sent.length === 0
    while (remembered.options.length > 1) remembered.remove(1)
    for (const text of sent) remembered.add(new Option(text.replace(/\s+/g, ' ').slice(0, 80), text))
  }
  const put = (text) => {
    elements.event.value = text
    htmx.trigger(elements.event, 'input')
  }
  asking.addEventListener('change', ({ target }) => {
    if (target === remembered) {
      put(remembered.value)
      remembered.value = ''
      return
    }
    if (!['function', 'by', 'type', 'path'].includes(target.name)) return
    // What somebody wrote and did not send yet stays.
    const now = elements.event.value
    // What is not kept of a call is asked for, and nothing is put in its place.
    if (elements.lost && now.trim() === '') return offer()
    const known = Object.values(read()).flat()
    if (now.trim() === '' || now.trim() === '{}' || known.includes(now)) put(of(called())[0] ?? '{}')
    offer()
  })
  asking.addEventListener('htmx:beforeRequest', ({ detail }) => {
    const { value } = elements.event
    if (detail.elt !== asking || elements.by.value === 'timer' || value.length > LONGEST) return
    const sent = [value, ...of(called()).filter((text) => text !== value)].slice(0, KEPT)
    try {
      localStorage.setItem(place, JSON.stringify({ ...read(), [called()]: sent }))
    } catch {
      // There is no room, or the browser keeps nothing.
    }
    offer()
  })
  offer()
}

// A search that needs no server: what does not have the text in it is not shown, also of what comes later.
const search = document.querySelector('input[data-filters]')
if (search) {
  const show = () => {
    const wanted = search.value.trim().toLowerCase()
    for (const item of document.querySelectorAll(search.dataset.filters)) {
      item.hidden = !item.textContent.toLowerCase().includes(wanted)
    }
  }
  search.addEventListener('input', show)
  document.addEventListener('htmx:afterSettle', show)
}

// What is said of what was done is read out too: only a place that was there before is, to many readers of screens.
const told = document.getElementById('told')
document.addEventListener('htmx:afterSwap', ({ target }) => {
  const said = target.matches('[role=status]') ? target : target.querySelector('[role=status]')
  if (!said?.textContent.trim()) return
  said.removeAttribute('role')
  told.textContent = said.textContent
})

// What was done is no longer in the form that asked for it, but for whom it was chosen to be done.
document.addEventListener('done', ({ target }) => {
  for (const field of target.querySelectorAll('[data-once]')) field.value = field.defaultValue
})

// A form that htmx has not taken over yet, because the page was opened a moment ago, is sent again when it has.
document.addEventListener('submit', (event) => {
  const form = event.target
  if (event.defaultPrevented || !form.hasAttribute('hx-post')) return
  event.preventDefault()
  setTimeout(() => form.isConnected && form.requestSubmit(event.submitter), 50)
})

// An answer that says what went wrong is shown where the good one would have been.
document.addEventListener('htmx:beforeSwap', ({ detail }) => {
  if (detail.xhr.status === 401) return signedOut(true)
  if (detail.xhr.status >= 400 && detail.xhr.getResponseHeader('content-type')?.startsWith('text/html')) detail.shouldSwap = true
})

// A page that no longer follows says so, and why: the server is gone, or does not know this browser any more.
const shows = (id) => (is) => (document.getElementById(id).hidden = !is)
const offline = shows('offline')
const signedOut = shows('signed-out')
document.addEventListener('htmx:sseError', async () => {
  const reply = await fetch(location.href, { method: 'HEAD' }).catch(() => undefined)
  offline(!reply)
  signedOut(reply?.status === 401)
})
document.addEventListener('htmx:sseOpen', () => {
  offline(false)
  signedOut(false)
})

// What somebody has opened or marked is not taken away by what happens meanwhile: it is held until they let go, or opened again where it
// has a name. Nor is what has not changed put there anew, under the mouse of whoever is about to click; and the keyboard stays where it was.
document.addEventListener('click', ({ target }) => {
  const details = target.closest('summary')?.parentElement
  if (details) details.toggleAttribute('data-opened', !details.open)
})
const busy = (part) => {
  const marked = getSelection()
  return (
    part.querySelector('details[data-opened]:not([id]), input:checked') !== null ||
    (!marked.isCollapsed && part.contains(marked.anchorNode))
  )
}
/** How the element that has the keyboard is found again; htmx itself finds what has an id. */
const nameOf = (element) => {
  if (element.matches('a[href]:not([id])')) return `a[href="${CSS.escape(element.getAttribute('href'))}"]`
  if (element.matches('button[data-text]:not([id])')) return `button[data-text="${CSS.escape(element.dataset.text)}"]`
  if (element.matches('details[id] > summary')) return `#${CSS.escape(element.parentElement.id)} > summary`
}
const held = new Map()
const show = (part, html) => {
  if (busy(part)) return held.set(part, html)
  held.delete(part)
  const next = document.createElement('template')
  next.innerHTML = html
  mark(next.content)
  for (const { id } of part.querySelectorAll('details[data-opened]')) {
    const again = next.content.getElementById(id)
    for (const name of ['data-opened', 'open']) again?.setAttribute(name, '')
  }
  if (next.innerHTML === part.innerHTML) return
  const name = part.contains(document.activeElement) && nameOf(document.activeElement)
  htmx.swap(part, next.innerHTML, { swapStyle: 'innerHTML' })
  if (name) part.querySelector(name)?.focus({ preventScroll: true })
  htmx.trigger(part, 'htmx:sseMessage')
}
document.addEventListener('htmx:sseBeforeMessage', (event) => {
  event.preventDefault()
  show(event.target, event.detail.data)
})
// A call that still runs is asked for again and again, but for as long as what came is held.
const follows = ({ elt }) => elt.matches('[data-follows]') && elt.closest('#call')
document.addEventListener('htmx:beforeRequest', (event) => {
  if (held.has(follows(event.detail))) event.preventDefault()
})
document.addEventListener('htmx:beforeSwap', (event) => {
  const { requestConfig, serverResponse, xhr } = event.detail
  const part = xhr.status === 200 && requestConfig && follows(requestConfig)
  if (!part) return
  event.preventDefault()
  if (part.isConnected) show(part, serverResponse)
})
const letGo = () => {
  for (const [part, html] of held) {
    if (part.isConnected) show(part, html)
    else held.delete(part)
  }
}
for (const name of ['toggle', 'change', 'selectionchange']) document.addEventListener(name, letGo, { capture: true })
