'use strict';

/*
 * The hosts behind wx-server-sdk. Nothing serves them here yet, and nothing must reach the real ones by mistake: such a
 * request fails at once, on this machine, with an error that says so. http and https are wrapped before any function is
 * loaded; every version of wx-server-sdk goes through them.
 */

const http = require('http');
const https = require('https');
const { syncBuiltinESMExports } = require('module');

const HOSTS = [
  /(^|\.)(tcb-admin|tcb-open)\.tencent(yun|cloudapi)\.com$/,
  /(^|\.)tcb-api\.tencentcloudapi\.com$/,
  /^tcb\.local$/,
  /^metadata\.tencentyun\.com$/,
];

const MESSAGE = 'yunqiao: cloud.openapi and other SDK calls from inside a function are not served yet';

/** The host that a call of http.request is for, whichever of its forms was used. */
function hostOf(args) {
  let host;
  for (const arg of args.slice(0, 2)) {
    if (typeof arg === 'string') host = hostOfText(arg);
    else if (arg instanceof URL) host = arg.hostname;
    else if (arg !== null && typeof arg === 'object') host = arg.hostname || arg.host || host;
  }
  return String(host || '').toLowerCase().replace(/:\d+$/, '');
}

function hostOfText(text) {
  try {
    return new URL(text).hostname;
  } catch {
    return undefined;
  }
}

/** The same request over a connection that cannot be made. */
function refused(request, owner, args) {
  const callback = args.find((arg) => typeof arg === 'function');
  const options = {};
  for (const arg of args) {
    if (arg !== null && typeof arg === 'object' && !(arg instanceof URL)) Object.assign(options, arg);
  }
  for (const name of ['agent', 'lookup', 'socketPath', 'servername']) delete options[name];
  options.hostname = options.host = 'localhost';
  options.createConnection = (_, connected) => {
    connected(Object.assign(new Error(MESSAGE), { code: 'ENOTSERVED' }));
  };
  return request.call(owner, options, callback);
}

function install() {
  for (const owner of [http, https]) {
    const { request } = owner;
    owner.request = function (...args) {
      const host = hostOf(args);
      return HOSTS.some((pattern) => pattern.test(host)) ? refused(request, this, args) : request.apply(this, args);
    };
    owner.get = function (...args) {
      const made = owner.request(...args);
      made.end();
      return made;
    };
  }
  syncBuiltinESMExports();
}

module.exports = { install };
