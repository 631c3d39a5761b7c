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
