// Records what the unmodified wx-server-sdk sends for a fixed set of calls, one request a line, as requests.jsonl has them:
//
//   npm install wx-server-sdk@VERSION     (in DIR, for 0.5.1, 1.8.3, 2.1.2, 2.6.3, 3.0.4 and 4.0.2)
//   node record.mjs DIR VERSION >> requests.jsonl
//
// Whatever is addressed to Tencent's gateways goes to a server in this process instead, which refuses everything.
import http from 'node:http';
import https from 'node:https';
import { createRequire, syncBuiltinESMExports } from 'node:module';
import path from 'node:path';

const [dir, version] = process.argv.slice(2);
let call = '';

const server = http.createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const headers = [];
    for (let i = 0; i < request.rawHeaders.length; i += 2) headers.push(request.rawHeaders.slice(i, i + 2));
    const at = Math.floor(Date.now() / 1000);
    const body = Buffer.concat(chunks).toString('base64');
    console.log(JSON.stringify({ version, call, at, method: request.method, target: request.url, headers, body }));
    response.writeHead(200, { 'content-type': 'application/json; charset=utf-8' });
    response.end('{"code":"SYS_ERR","message":"recorded","requestId":"r"}');
  });
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));

const request = http.request;
const redirected = function (...args) {
  const options = args.find((arg) => arg && typeof arg === 'object' && !(arg instanceof URL)) ?? {};
  const url = args[0] === options ? undefined : new URL(args[0]);
  const host = url?.host ?? options.hostname ?? options.host;
  if (!/tencent|tcb\.local/.test(host)) return request.apply(http, args);
  const headers = { ...options.headers };
  if (!Object.keys(headers).some((name) => name.toLowerCase() === 'host')) headers.Host = host;
  const { method, path = url.pathname + url.search } = options;
  const callback = args.find((arg) => typeof arg === 'function');
  return request.call(http, { host: '127.0.0.1', port: server.address().port, method, path, headers }, callback);
};
http.request = https.request = redirected;
syncBuiltinESMExports();

Object.assign(process.env, {
  TENCENTCLOUD_RUNENV: 'SCF',
  TENCENTCLOUD_REGION: 'ap-shanghai',
  TENCENTCLOUD_SECRETID: 'AKIDrecorded',
  TENCENTCLOUD_SECRETKEY: 'recorded-secret',
  TENCENTCLOUD_SESSIONTOKEN: 'session',
  SCF_NAMESPACE: 'env-1',
  TCB_ENV: 'env-1',
  TCB_CONTEXT_CNFG: '{"URL":"http://tcb.local/admin"}',
  TCB_CONTEXT_KEYS: 'TCB_ENV,TCB_SEQID,TRIGGER_SRC,TCB_SOURCE',
  TCB_SOURCE: 'wx_client',
  TCB_SEQID: '7cf8-trace',
  TRIGGER_SRC: 'tcb',
  WX_CONTEXT_KEYS: 'WX_OPENID,WX_APPID,WX_API_TOKEN',
  WX_OPENID: 'oABC',
  WX_APPID: 'wx0123456789abcdef',
  WX_API_TOKEN: 'T0ken',
});
console.warn = () => {};
process.on('unhandledRejection', () => {});

const cloud = createRequire(path.resolve(dir) + '/')('wx-server-sdk');
cloud.init({ env: 'env-1' });
const collection = () => cloud.database().collection('todos');

const calls = {
  invoke: () =>
    cloud.callFunction({
      name: 'sum',
      data: { a: 1.5, s: ' 中😀 ', q: '"\\ \ud800 &=%\r\n', big: 1e21, nested: { list: [1, null, true], o: {} } },
    }),
  invokeNothing: () => cloud.callFunction({ name: 'sum' }),
  invokeBlanks: () =>
    cloud.callFunction({ name: ' \u00a0blanks\ufeff\u0085 ', data: {}, config: { env: 'other-env' } }),
  invokeSurrogate: () => cloud.callFunction({ name: 'lone\ud800', data: {} }),
  openapi: () =>
    cloud.openapi.subscribeMessage.send({
      touser: 'oABC',
      page: 'p',
      data: { thing1: { value: 'v' } },
      lang: 'zh_CN',
      templateId: 'T1',
      miniprogramState: 'trial',
    }),
  openapiNothing: () => cloud.openapi.templateMessage.getTemplateLibraryList(),
  openapiOptions: () =>
    cloud
      .openapi({ appid: 'wxother', convertCase: false, version: 'v2' })
      .wxacode.getUnlimited({ scene: 'a=1', width: 280, line_color: { r: 0 } }),
  media: () =>
    cloud.openapi.security.imgSecCheck({
      media: { contentType: 'image/png', value: Buffer.from('8950fffe0d0a2d2d0001', 'hex') },
    }),
  openData: () =>
    cloud.getOpenData({ list: ['yq_one', '61_huCyHuY48m72wWN0PmHTYGw4dmUTYFxAFLm3-Q-UYWZj4LbqBFqTWNXAk7E'] }),
  openDataAppid: () => cloud.getOpenData({ list: ['c1'], appid: 'wxother' }),
  voipSign: () => cloud.getVoIPSign({ groupId: 'g1', nonce: 'n1', timestamp: 1700000000 }),
  cloudCallSign: () => cloud.getCloudCallSign({ parameterList: ['a', 'b'] }),
  callOpenAPI: () => cloud.callOpenAPI({ api: 'token.get', data: { a: 1 } }),
  cloudPay: () =>
    cloud.cloudPay.unifiedOrder({ body: 'x', outTradeNo: 'ot1', totalFee: 1, subMchId: '1900' }),
  databaseGet: () => collection().where({ done: false }).orderBy('n', 'desc').limit(20).get(),
  databaseAdd: () => collection().add({ data: { a: 1, s: "it's (ok)*!", at: new Date(1700000000000), n: null } }),
  tempFileUrl: () => cloud.getTempFileURL({ fileList: ['cloud://e.b/x', { fileID: 'cloud://e.b/y', maxAge: 60 }] }),
  upload: () => cloud.uploadFile({ cloudPath: 'a/b.txt', fileContent: Buffer.from('content') }),
  crossAccount: async () => {
    const other = new cloud.Cloud({ resourceAppid: 'wxother', resourceEnv: 'other-env' });
    await other.init();
  },
};
for (const [name, start] of Object.entries(calls)) {
  call = name;
  // All are refused, and old versions lack some.
  await Promise.resolve().then(start).catch(() => {});
}
process.exit(0);
