// What htmx leaves to do: copying a text, sending a form from the keyboard, and sending a file as it is.
document.addEventListener('click', async ({ target }) => {
  const button = target.closest('[data-copy]')
  if (!button) return
  const text = document.getElementById(button.dataset.copy).textContent
  await navigator.clipboard.writeText(text)
  button.textContent = button.dataset.copied
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

// A form that htmx has not taken over yet, because it was put there a moment ago, is sent again when it has.
document.addEventListener('submit', (event) => {
  const form = event.target
  if (event.defaultPrevented || !form.hasAttribute('hx-post')) return
  event.preventDefault()
  setTimeout(() => form.isConnected && form.requestSubmit(event.submitter), 50)
})

// An answer that says what went wrong is shown where the good one would have been.
document.addEventListener('htmx:beforeSwap', ({ detail }) => {
  if (detail.xhr.status >= 400 && detail.xhr.getResponseHeader('content-type')?.startsWith('text/html')) detail.shouldSwap = true
})

// A page that no longer follows says so.
const offline = (is) => () => (document.getElementById('offline').hidden = !is)
document.addEventListener('htmx:sseError', offline(true))
document.addEventListener('htmx:sseOpen', offline(false))

// What somebody has opened or marked is not taken away by what happens meanwhile; nor is what has not changed put there
// anew, under the mouse of whoever is about to click.
document.addEventListener('htmx:sseBeforeMessage', (event) => {
  const { target, detail } = event
  const marked = getSelection()
  const busy = target.querySelector('details[open]') || (!marked.isCollapsed && target.contains(marked.anchorNode))
  const next = document.createElement('template')
  next.innerHTML = detail.data
  if (busy || next.innerHTML === target.innerHTML) event.preventDefault()
})
