// A backend built on node-easywechat, with WeChat's stable access_token.

const { FormData, MiniApp } = require('node-easywechat')
const { settings, listen } = require('./talk')

const { appid, secret, wechat } = settings
const app = new MiniApp({
  app_id: appid,
  secret,
  use_stable_access_token: true,
  http: { baseURL: wechat, proxy: false },
})

// It keeps tokens in files unless it is given another place.
const kept = new Map()
app.setCache({
  get: async (name) => kept.get(name) ?? null,
  set: async (name, what) => !!kept.set(name, what),
  has: async (name) => kept.has(name),
  delete: async (name) => kept.delete(name),
})

class Refused extends Error {
  constructor({ errcode, errmsg }) {
    super(errmsg)
    this.errcode = errcode
  }
}

// It leaves it to the caller to look at the errcode.
const checked = (reply) => {
  const body = reply.toObject()
  if (body?.errcode) throw new Refused(body)
  return body
}
const post = async (path, json) => checked(await app.getClient().request('POST', path, { json }))
const post_file = async (path, params, name, contentType, data) => {
  const form = new FormData()
  form.append('media', Buffer.from(data, 'base64'), { filename: name, contentType })
  return checked(await app.getClient().request('POST', path, { params, formData: form }))
}

listen(
  {
    log_in: (code) => app.getUtils().codeToSession(code),
    decrypt: (key, iv, data) => app.getUtils().decryptSession(key, iv, data),
    token: () => app.getAccessToken().getToken(),
    refresh: () => app.getAccessToken().refresh(),
    force: () => app.getAccessToken().getStableAccessToken(true),
    call: async (path, token, json) =>
      checked(
        json === null
          ? await app.getHttpClient().request('GET', path, { params: { access_token: token } })
          : await app.getHttpClient().request('POST', path, { params: { access_token: token }, json }),
      ),
    subscribe_message: (touser, template_id, data) =>
      post('cgi-bin/message/subscribe/send', { touser, template_id, data }),
    text_message: (touser, content) =>
      post('cgi-bin/message/custom/send', { touser, msgtype: 'text', text: { content } }),
    code: async (scene, page) => {
      const reply = await app
        .getClient()
        .request('POST', 'wxa/getwxacodeunlimit', { json: { scene, page }, responseType: 'arraybuffer' })
      return reply.getContent()
    },
    upload: (name, kind, data) => post_file('cgi-bin/media/upload', { type: 'image' }, name, kind, data),
    check_text: (content, version, scene, openid) =>
      post('wxa/msg_sec_check', { content, version, scene, openid }),
    check_image: (name, kind, data) => post_file('wxa/img_sec_check', {}, name, kind, data),
    phone_number: (code) => post('wxa/business/getuserphonenumber', { code }),
  },
  // `code2Session error: {"errcode":…}` and the like of a refused login or token.
  (error) => error.errcode ?? JSON.parse(/^[^{]*(\{.*\})$/.exec(error.message)?.[1] ?? '{}').errcode,
)
