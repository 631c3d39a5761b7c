// Files without wx: carried by `fetch`.

import { failure } from './failure.mjs'

/** A file that is under way, which can be ended. */
export class Carriage {
  constructor() {
    this.ending = new AbortController()
  }

  abort(why = 'abort') {
    this.why = this.why || why
    this.ending.abort()
  }

  /** Fetches or sends, all of it within the time of `task`, which is told of it. */
  async carry(task, url, how) {
    task.begun(this)
    // The longest time that a timer takes.
    const late = setTimeout(() => this.abort('timeout'), Math.min(task.timeout, 0x7fffffff))
    try {
      return await this.fetched(url, how)
    } catch (error) {
      throw this.why ? failure(this.why) : error
    } finally {
      clearTimeout(late)
    }
  }

  /** Fetches or, where `how` has a body, sends: gives what came, and where it is refused what is said of that. `read` has the bytes of a reply. */
  async fetched(url, how, read = (reply) => reply.arrayBuffer()) {
    const asked = Object.assign({ credentials: 'omit', signal: this.ending.signal }, how)
    const reply = await fetch(url, asked)
    return { statusCode: reply.status, data: await (reply.ok ? read(reply) : reply.text()) }
  }
}
