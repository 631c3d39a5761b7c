// A push server built on node-easywechat. With its cryptography it can push, too.

const http = require('node:http')
const { MiniApp, ServerRequest } = require('node-easywechat')
const { settings, listen } = require('./talk')

const { appid, secret, token, encodingAESKey, mode } = settings
const application = () => new MiniApp({ app_id: appid, secret, token, aes_key: encodingAESKey })
const parsed = (body) => new ServerRequest('POST', '/', {}, Buffer.from(body)).getParsedBody()
let received = []

const server = http.createServer(async (request, response) => {
  try {
    const app = application()
    app.setRequest(await ServerRequest.createFromIncomingMessage(request))
    const one = app.getServer()
    one.withHandler(async (message) => {
      received.push(message.toObject())
      // It encrypts whatever object it answers, which is wrong in plain mode.
      return message.MsgType === 'event' || mode === 'plain' ? true : { MsgType: 'transfer_customer_service' }
    })
    const answer = await one.serve()
    response.writeHead(answer.getStatusCode(), answer.getHeaders())
    response.end(answer.getBody())
  } catch (error) {
    response.writeHead(403)
    response.end(error.message)
  }
})

server.listen(0, '127.0.0.1', () =>
  listen({
    url: async () => `http://127.0.0.1:${server.address().port}/`,
    received: async () => {
      const all = received
      received = []
      return all
    },
    // A packet as WeChat encrypts it, with the signature of the request and its own.
    seal: async (packet, timestamp, nonce) => {
      const encryptor = application().getEncryptor()
      const sent = await parsed(encryptor.encrypt(packet, nonce, timestamp))
      const signature = encryptor.createSignature(token, timestamp, nonce)
      return { signature, msg_signature: sent.MsgSignature, encrypt: sent.Encrypt }
    },
    // What the other side answered.
    open: async (answer) => {
      const said = await parsed(answer)
      return application()
        .getEncryptor()
        .decrypt(said.Encrypt, said.MsgSignature, said.Nonce, String(said.TimeStamp))
    },
  }),
)
