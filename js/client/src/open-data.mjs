// Open data that WeChat handed out without a cloudID, because Cloud Development is not opened. It gets a local
// handle at once, so that the app's code finds a `cloudID` where it looks for one; the server is asked for a real
// one when the handle is first used in a call.

import { CLOUD_ID_LIFE } from './cloud-id.mjs'

/** The server knows its own cloudIDs by how they begin: a handle that never got one is invalid, and WeChat is not asked. */
const PREFIX = 'yq_local_'
const HANDLE = /yq_local_[0-9a-z]+_\d+/g
/** A cloudID that the server made in the last moment of the data lives on for as long again. */
const KEPT = 2 * CLOUD_ID_LIFE

export class OpenData {
  /** @param exchange (data, token) gives a promise of `{cloudID}`; without `token` it is of the present login */
  constructor(exchange) {
    this.exchange = exchange
    this.kept = new Map()
    this.count = 0
  }

  /** Gives `result` a `cloudID` where it has open data and none. */
  adopt(result) {
    if (
      result &&
      typeof result.encryptedData === 'string' &&
      typeof result.iv === 'string' &&
      !result.cloudID
    ) {
      const now = Date.now()
      this.kept.forEach(({ at }, handle) => {
        if (now - at > KEPT) this.kept.delete(handle)
      })
      const { encryptedData, iv, rawData, signature } = result
      const data = Object.assign({ encryptedData, iv }, rawData && signature && { rawData, signature })
      result.cloudID = `${PREFIX}${now.toString(36)}_${++this.count}`
      this.kept.set(result.cloudID, { at: now, data, early: Promise.resolve(), cloudID: undefined })
    }
    return result
  }

  /**
   * A body with the server's cloudIDs in the places of handles, wherever they are: a function may get a cloudID as a plain
   * string, and ask `cloud.getOpenData` for it.
   */
  async redeem(body) {
    const handles = Array.from(new Set(body.match(HANDLE)))
    const cloudIDs = await Promise.all(handles.map((handle) => this.cloudID(handle)))
    return body.replace(HANDLE, (handle) => cloudIDs[handles.indexOf(handle)])
  }

  /** The server's cloudID for a handle; one that it does not get stays what it is. */
  cloudID(handle) {
    const kept = this.kept.get(handle)
    if (!kept) return handle
    if (!kept.cloudID) {
      kept.cloudID = kept.early
        .then((early) => early || this.exchange(kept.data))
        .then(
          ({ cloudID }) => cloudID,
          (error) => {
            kept.cloudID = undefined
            if (error.status !== 400) throw error
            // As with WeChat, the call goes on, and the function is told that the cloudID is invalid.
            console.warn(`open data was refused (${error.errCode}): ${error.errMsg}`)
            return handle
          },
        )
    }
    return kept.cloudID
  }

  /**
   * A new login is about to be made, which may rotate the key: what was taken under the key before is exchanged with the
   * token before. Where that fails, the new one is tried when the time comes.
   */
  flush(token) {
    const early = []
    this.kept.forEach((kept) => {
      if (kept.cloudID) return
      kept.early = kept.early
        .then((early) => early || token.then((token) => this.exchange(kept.data, token)))
        .catch(() => {})
      early.push(kept.early)
    })
    return Promise.all(early)
  }
}
