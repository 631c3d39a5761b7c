// The simulated WeChat in place of the real `wx`: codes and open data of a simulated user.

import { post } from './transport.mjs'

/** Where `yunqiao dev` serves it, if it is not told otherwise. */
const PORT = 8788

export class Simulator {
  /** @param simulate a user's name, or `{user, wechat}`; without `wechat`, the usual port of the host of `endpoint` */
  constructor(wx, simulate, endpoint) {
    const { user, wechat } = typeof simulate === 'string' ? { user: simulate } : simulate
    this.wx = wx
    this.user = user
    this.url = wechat
      ? wechat.replace(/\/+$/, '')
      : `${/^https?:\/\/(\[[^\]]*\]|[^/:?#]+)/.exec(endpoint)[0]}:${PORT}`
  }

  /** What the user's `wx[api]` gives. */
  async call(api, options) {
    const text = JSON.stringify(Object.assign({}, options, { user: this.user, api }))
    const result = await post(this.wx, `${this.url}/sim/client`, text).catch(({ errMsg }) => {
      throw { errMsg: `${api}:fail ${errMsg}` }
    })
    if (result.errMsg !== `${api}:ok`) throw result
    return result
  }
}
