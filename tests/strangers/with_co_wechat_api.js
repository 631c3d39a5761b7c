// A backend built on co-wechat-api.

const API = require('co-wechat-api')
const { settings, listen } = require('./talk')

const { appid, secret, wechat } = settings
const api = new API(appid, secret)
api.prefix = `${wechat}/cgi-bin/`
api.snsPrefix = `${wechat}/sns/`
api.wxaPrefix = `${wechat}/wxa/`

listen(
  {
    log_in: (code) => api.code2Session(code),
    token: async () => (await api.ensureAccessToken()).accessToken,
    refresh: async () => (await api.getAccessToken()).accessToken,
    // With this token, and as it is: without another try.
    call: (path, token, body) =>
      api.request(
        `${wechat}${path}?access_token=${token}`,
        body === null
          ? {}
          : { method: 'POST', data: JSON.stringify(body), headers: { 'Content-Type': 'application/json' } },
        0,
      ),
    subscribe_message: (openid, template, data) => api.sendSubscribeMessage(openid, template, 'index', data),
    text_message: (openid, text) => api.sendText(openid, text),
    code: (scene, page) => api.getWXACodeUnlimit(scene, page),
    upload: (name, kind, data) => api.uploadMedia(Buffer.from(data, 'base64'), 'image', name, kind),
  },
  (error) => error.code,
)
