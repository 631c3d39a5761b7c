// What an app imports. There is one cloud, as there is one `wx.cloud`: the app's own `wx` where it runs in
// WeChat, and no `wx` at all in a browser or in Node. `install` of any other `wx` gives that one a cloud of
// its own.

import { Cloud } from './cloud.mjs'
import { CloudID } from './cloud-id.mjs'
import { install as into } from './install.mjs'

/** @type {any} WeChat's web pages have a `wx` too, which is another thing: it makes no requests. */
const app = typeof wx === 'object' && wx && wx.request ? wx : undefined
const cloud = new Cloud(app)

export { CloudID }
export const init = (options) => cloud.init(options)
export const callFunction = (options) => cloud.callFunction(options)
export const install = (wx) => into(wx, wx === app ? cloud : new Cloud(wx))
