'use strict'

// Shows the page anew when its files have changed, or its server was started anew.
;(() => {
  const changes = new EventSource('/__yunqiao/reload')
  let lost = false
  changes.onmessage = () => location.reload()
  changes.onerror = () => {
    lost = true
  }
  changes.onopen = () => {
    if (lost) location.reload()
  }
})()
