// What an app imports, with a database or without. There is one cloud, as there is one `wx.cloud`: the app's own `wx` where it runs in
// WeChat, and no `wx` at all in a browser or in Node. `install` of any other `wx` gives that one a cloud of
// its own.

import { Cloud } from './cloud.mjs'
import { install } from './install.mjs'
import { surface } from './surface.mjs'

/** @type {any} WeChat's web pages have a `wx` too, which is another thing: it makes no requests. */
const app = typeof wx === 'object' && wx && wx.request ? wx : undefined

export function entry(parts) {
  const cloud = new Cloud(app, parts)
  return Object.assign(surface(cloud), {
    install: (wx) => install(wx, wx === app ? cloud : new Cloud(wx, parts)),
  })
}
