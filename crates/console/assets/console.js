// What htmx leaves to do: copying a text, and sending a form from the keyboard.
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

// An answer that says what went wrong is shown where the good one would have been.
document.addEventListener('htmx:beforeSwap', ({ detail }) => {
  if (detail.xhr.status >= 400 && detail.xhr.getResponseHeader('content-type')?.startsWith('text/html')) detail.shouldSwap = true
})

// A page that no longer follows says so.
const offline = (is) => () => (document.getElementById('offline').hidden = !is)
document.addEventListener('htmx:sseError', offline(true))
document.addEventListener('htmx:sseOpen', offline(false))

// What somebody has opened or marked is not taken away by what happens meanwhile.
document.addEventListener('htmx:sseBeforeMessage', (event) => {
  const marked = getSelection()
  const busy = event.target.querySelector('details[open]') || (!marked.isCollapsed && event.target.contains(marked.anchorNode))
  if (busy) event.preventDefault()
})
