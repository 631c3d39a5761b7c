// A push server built on node-easywechat.
'use strict';

const http = require('node:http');
const { MiniApp, ServerRequest } = require('node-easywechat');
const { settings, listen } = require('./talk');

const { appid, secret, token, aesKey, mode } = settings;
let received = [];

const server = http.createServer(async (request, response) => {
  try {
    const app = new MiniApp({ app_id: appid, secret, token, aes_key: aesKey });
    app.setRequest(await ServerRequest.createFromIncomingMessage(request));
    const one = app.getServer();
    one.withHandler(async (message) => {
      received.push(message.toObject());
      // It encrypts whatever object it answers, which is wrong in plain mode.
      return message.MsgType === 'event' || mode === 'plain' ? true : { MsgType: 'transfer_customer_service' };
    });
    const answer = await one.serve();
    response.writeHead(answer.getStatusCode(), answer.getHeaders());
    response.end(answer.getBody());
  } catch (error) {
    response.writeHead(403);
    response.end(error.message);
  }
});

server.listen(0, '127.0.0.1', () =>
  listen({
    url: async () => `http://127.0.0.1:${server.address().port}/`,
    received: async () => {
      const all = received;
      received = [];
      return all;
    },
  }),
);
