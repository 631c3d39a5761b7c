// What `wx.cloud` has: every API that is served, of one cloud.

import { CloudID } from './cloud-id.mjs'
import { CDN, cloudUrl } from './files.mjs'

export function surface(cloud) {
  const apis = {
    init: (options) => cloud.init(options),
    callFunction: (options) => cloud.callFunction(options),
    cloudUrl: (id) => cloudUrl(cloud.endpoint, id),
    CloudID,
    CDN,
    Cloud: Another,
  }
  /** `new wx.cloud.Cloud({ resourceEnv })`: another environment of the same server, which is the same. */
  function Another() {
    return Object.assign(surface(cloud), { init: async () => {} })
  }
  const database = cloud.database && { database: (config) => cloud.database(cloud, config) }
  return Object.assign(apis, cloud.files.apis, database)
}
