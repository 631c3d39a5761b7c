// Made from src/ by: npm run build
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __export = (target, all) => {
  for (var name in all)
    __defProp(target, name, { get: all[name], enumerable: true });
};
var __copyProps = (to, from, except, desc) => {
  if (from && typeof from === "object" || typeof from === "function") {
    for (let key of __getOwnPropNames(from))
      if (!__hasOwnProp.call(to, key) && key !== except)
        __defProp(to, key, { get: () => from[key], enumerable: !(desc = __getOwnPropDesc(from, key)) || desc.enumerable });
  }
  return to;
};
var __toCommonJS = (mod) => __copyProps(__defProp({}, "__esModule", { value: true }), mod);

// src/lite.mjs
var lite_exports = {};
__export(lite_exports, {
  CDN: () => CDN2,
  Cloud: () => Cloud2,
  CloudID: () => CloudID2,
  callFunction: () => callFunction,
  cloudUrl: () => cloudUrl2,
  deleteFile: () => deleteFile,
  downloadFile: () => downloadFile,
  getTempFileURL: () => getTempFileURL,
  init: () => init,
  install: () => install2,
  uploadFile: () => uploadFile
});
module.exports = __toCommonJS(lite_exports);

// src/failure.mjs
function failure(errMsg, more) {
  return Object.assign(new Error(errMsg), { errCode: -1, errMsg }, more);
}
var kind = (value) => Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
function failed(api, cause) {
  if (Object(cause).code && !(cause instanceof Error)) return refused(api, cause);
  const { errCode = -1, errMsg: text2, message, requestID } = Object(cause);
  const errMsg = `${api}:fail ${text2 || message || cause}`;
  const error = new Error(`errCode: ${errCode}  | errMsg: ${errMsg}`);
  return Object.assign(error, { errCode, errMsg }, requestID && { requestID });
}
function notCalled(cause) {
  const api = "cloud.callFunction";
  const { errCode, errMsg: text2, requestID } = Object(cause);
  if (!(errCode <= -5e5)) return failed(api, cause);
  const [known, link] = CALLS[errCode] || [textOf(errCode)];
  const more = link ? ` 更多错误信息请访问：https://docs.cloudbase.net/error-code/basic/${link}` : "";
  const errMsg = `${api}:fail Error: errCode: ${errCode} ${known} | errMsg: ${text2}${more}`;
  return Object.assign(new Error(errMsg), { errCode, errMsg }, requestID && { requestID });
}
var CALLS = {
  "-501000": ["", "FUNCTION_NOT_FOUND"],
  "-504001": ["functions request fail"],
  "-504002": ["functions execute fail"],
  "-504003": ["", "FUNCTIONS_TIME_LIMIT_EXCEEDED"],
  "-604001": ["cloudfunction result size exceed limit (1MB)"]
};
var CODES = {
  SYS_ERR: [-501001, "resource system error"],
  SERVER_TIMEOUT: [-501002, "resource server timeout"],
  EXCEED_REQUEST_LIMIT: [-501003, "exceed request limit"],
  EXCEED_CONCURRENT_REQUEST_LIMIT: [-501004, "exceed concurrent request limit"],
  INVALIID_ENV: [-501005, "invalid env"],
  INVALID_PARAM: [-501007, "invalid parameters"],
  DATABASE_REQUEST_FAILED: [-502001, "database request fail"],
  DATABASE_PERMISSION_DENIED: [-502003, "database permission denied"],
  DATABASE_COLLECTION_NOT_EXIST: [-502005, "database collection not exists"],
  STORAGE_REQUEST_FAIL: [-503001, "storage request fail"],
  STORAGE_EXCEED_AUTHORITY: [-503002, "storage permission denied"],
  STORAGE_FILE_NONEXIST: [-503003, "storage file not exists"],
  STORAGE_SIGN_PARAM_INVALID: [-503004, "storage invalid sign parameter"]
};
function textOf(number) {
  const code = Object.keys(CODES).find((code2) => CODES[code2][0] === number);
  return code ? CODES[code][1] : "";
}
var numberOf = (code) => (CODES[code] || CODES.SYS_ERR)[0];
function refused(api, { code, message, requestId }) {
  const [errCode, text2] = CODES[code] || CODES.SYS_ERR;
  const error = new Error(`errCode: ${errCode} ${text2} | errMsg: ${message}`);
  const errMsg = `${api}:fail ${errCode} ${text2}. ${message}`;
  return Object.assign(error, { errCode, errMsg }, requestId && { requestID: requestId });
}

// src/carriage.mjs
var Carriage = class {
  constructor() {
    this.ending = new AbortController();
  }
  abort(why = "abort") {
    this.why = this.why || why;
    this.ending.abort();
  }
  /** Fetches or sends, all of it within the time of `task`, which is told of it. */
  async carry(task, url, how) {
    task.begun(this);
    const late = setTimeout(() => this.abort("timeout"), Math.min(task.timeout, 2147483647));
    try {
      return await this.fetched(url, how);
    } catch (error) {
      throw this.why ? failure(this.why) : error;
    } finally {
      clearTimeout(late);
    }
  }
  /** Fetches or, where `how` has a body, sends: gives what came, and where it is refused what is said of that. `read` has the bytes of a reply. */
  async fetched(url, how, read = (reply) => reply.arrayBuffer()) {
    const asked = Object.assign({ credentials: "omit", signal: this.ending.signal }, how);
    const reply = await fetch(url, asked);
    return { statusCode: reply.status, data: await (reply.ok ? read(reply) : reply.text()) };
  }
};

// src/cloud-id.mjs
var MAX_CLOUD_IDS = 5;
var CLOUD_ID_LIFE = 3e5;
function CloudID(id) {
  if (!(this instanceof CloudID)) return new CloudID(id);
  this.cloudID = id;
}
CloudID.prototype.toJSON = function() {
  return this.cloudID;
};

// src/encode.mjs
function encode(data) {
  if (data === void 0 || data === null) data = {};
  if (typeof data !== "object" || Array.isArray(data)) {
    throw failure(
      `parameter.data should be object instead of ${Array.isArray(data) ? "array" : typeof data};`
    );
  }
  const members = [];
  const cloudIDs = [];
  for (const key of Object.keys(data)) {
    const value = data[key];
    if (value instanceof CloudID) {
      if (typeof value.cloudID !== "string") {
        throw failure(
          `data.${key} is a CloudID of ${value.cloudID}: the result that it is from has no cloudID`
        );
      }
      if (cloudIDs.length < MAX_CLOUD_IDS) cloudIDs.push(key);
      else
        console.warn(
          `data.${key}: at most ${MAX_CLOUD_IDS} CloudIDs are replaced in one call; this one is sent as its string`
        );
    }
    const text2 = json(key, value);
    if (text2 !== void 0) members.push(`${JSON.stringify(key)}:${text2}`);
  }
  return `{"data":{${members.join()}},"cloudIDs":${JSON.stringify(cloudIDs)}}`;
}
function json(key, value) {
  try {
    return JSON.stringify(value, binary);
  } catch (error) {
    throw failure(`data.${key} cannot be sent as JSON: ${error.message}`);
  }
}
function binary(key, value) {
  const whole = Object.prototype.toString.call(value) === "[object ArrayBuffer]";
  if (!whole && !ArrayBuffer.isView(value)) return value;
  const bytes2 = whole ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return { type: "Buffer", data: Array.from(bytes2) };
}

// src/settle.mjs
var hasCallback = ({ success, fail, complete }) => Boolean(success || fail || complete);
function settle(options, promise) {
  if (!hasCallback(options)) return promise;
  const { success, fail, complete } = options;
  const tell = (callback) => (outcome) => {
    if (callback) callback(outcome);
    if (complete) complete(outcome);
  };
  promise.then(tell(success), tell(fail));
}
function promised(wx2, api, options) {
  return new Promise((success, fail) => {
    const asked = Object.assign({}, options, { success, fail });
    delete asked.complete;
    api.call(wx2, asked);
  });
}

// src/files.mjs
var TIMEOUT = 30 * 6e4;
var FILE_ID = /^cloud:\/\/[^/]+\/(.+)$/;
function CDN(content) {
  if (!(this instanceof CDN)) return new CDN(content);
  this.content = content;
}
var Task = class {
  constructor({ timeout = TIMEOUT } = {}) {
    this.waiting = [];
    this.native = void 0;
    this.timeout = timeout;
  }
  begun(native) {
    this.native = native;
    for (const [name, given] of this.waiting) this.tell(name, given);
  }
  tell(name, given) {
    if (!this.native) this.waiting.push([name, given]);
    else if (this.native[name]) this.native[name](...given);
  }
};
for (const name of [
  "abort",
  "onProgressUpdate",
  "offProgressUpdate",
  "onHeadersReceived",
  "offHeadersReceived"
]) {
  Task.prototype[name] = function(...given) {
    this.tell(name, given);
  };
}
function files(cloud) {
  const ask = async (action, fields) => {
    const body = Object.assign({ action: `storage.${action}` }, fields);
    const answer = await cloud.ask("/v1/storage", JSON.stringify(body));
    if (answer.code) throw answer;
    return answer.data;
  };
  const carried = (api2, options, task) => new Promise((success, fail) => {
    task.begun(cloud.wx[api2](Object.assign({ timeout: task.timeout }, options, { success, fail })));
  });
  const send = async ({ cloudPath: path, filePath, file, header }, task) => {
    text("cloudPath", path);
    const content = filePath === void 0 ? file : filePath;
    if (!content && content !== "")
      throw failure(`parameter.filePath should be string instead of ${typeof filePath};`);
    const place = await ask("getUploadMetadata", { path });
    await sent(place, path, content, header, task);
    return { fileID: place.fileId, statusCode: 200 };
  };
  const sent = async ({ url, authorization, token, cosFileId }, path, content, header, task) => {
    let reply;
    if (typeof content === "string") {
      if (!cloud.wx || !cloud.wx.uploadFile)
        throw failure("there is no wx.uploadFile here: give the content as `file`");
      const formData = {
        key: path,
        Signature: authorization,
        "x-cos-security-token": token,
        "x-cos-meta-fileid": cosFileId
      };
      const asked = { url, filePath: content, name: "file", formData };
      reply = await carried("uploadFile", header ? Object.assign(asked, { header }) : asked, task);
    } else reply = await put2(url, content, header, task);
    const { statusCode, data } = reply;
    if (statusCode < 200 || statusCode > 299) throw fault(statusCode, data);
  };
  const put2 = async (url, content, header, task) => {
    if (cloud.wx && cloud.wx.request) {
      const asked = {
        url,
        method: "PUT",
        data: content,
        header: Object.assign({ "content-type": "application/octet-stream" }, header)
      };
      return carried("request", asked, task);
    }
    const how = { method: "PUT", body: content, headers: header };
    return new cloud.Carriage().carry(task, url, how);
  };
  const urls = async (fileList) => {
    const file_list = list(fileList).map((file, at) => {
      const isNamed = kind(file) === "object";
      const name = `fileList[${at}]${isNamed ? ".fileID" : ""}`;
      const fileid = text(name, isNamed ? file.fileID : file);
      return isNamed ? { fileid, max_age: file.maxAge } : { fileid };
    });
    const { download_list } = await ask("batchGetDownloadUrl", { file_list });
    return download_list.map(
      ({ fileID, tempFileURL, maxAge, code, message }) => code === "SUCCESS" ? { fileID, tempFileURL, maxAge, status: 0, errMsg: "ok" } : { fileID, tempFileURL: "", maxAge: 0, status: numberOf(code), errMsg: told(code, message), code }
    );
  };
  const bring = async ({ fileID }, task) => {
    text("fileID", fileID);
    const [{ tempFileURL, code, errMsg: message }] = await urls([fileID]);
    if (code) throw { code, message };
    if (!cloud.wx || !cloud.wx.downloadFile) {
      const reply = await new cloud.Carriage().carry(task, tempFileURL);
      if (reply.statusCode !== 200) throw fault(reply.statusCode, reply.data);
      return reply;
    }
    const { tempFilePath, statusCode } = await carried("downloadFile", { url: tempFileURL }, task);
    if (statusCode !== 200) throw fault(statusCode);
    return { tempFilePath, statusCode };
  };
  const api = (name, work, isTask) => (given) => {
    const options = given || {};
    const task = new Task(options);
    const calling = work(options, task).then(
      (result) => Object.assign(result, { errMsg: `cloud.${name}:ok` }),
      (error) => {
        throw failed(`cloud.${name}`, error);
      }
    );
    return settle(options, calling) || (isTask ? task : void 0);
  };
  const apis = {
    uploadFile: api("uploadFile", send, true),
    downloadFile: api("downloadFile", bring, true),
    getTempFileURL: api("getTempFileURL", async ({ fileList }) => ({
      fileList: (await urls(fileList)).map((file) => {
        delete file.code;
        return file;
      })
    })),
    deleteFile: api("deleteFile", async ({ fileList }) => {
      const fileid_list = list(fileList).map((id, at) => text(`fileList[${at}]`, id));
      const { delete_list } = await ask("batchDeleteFile", { fileid_list });
      const item = ({ fileID, code, message }) => code === "SUCCESS" ? { fileID, status: 0, errMsg: "ok" } : { fileID, status: numberOf(code), errMsg: told(code, message) };
      return { fileList: delete_list.map(item) };
    })
  };
  const address = async ({ content }) => {
    const kept = content && content.type === "filePath" ? content.filePath : bytes(content);
    if (!kept) throw failure('a CDN value holds a text, an ArrayBuffer or {type: "filePath", filePath}');
    const place = await ask("getCDNPlace", {});
    await sent(place, "cdn", kept, void 0, new Task());
    return place.download_url;
  };
  return { apis, address };
}
function cloudUrl(endpoint, id) {
  const [, path] = FILE_ID.exec(id) || [];
  if (!path) return id;
  return `${endpoint}/v1/files/public/${path.split("/").map(encodeURIComponent).join("/")}`;
}
function text(name, value) {
  if (typeof value !== "string")
    throw failure(`parameter.${name} should be string instead of ${kind(value)};`);
  return value;
}
function list(fileList) {
  if (!Array.isArray(fileList))
    throw failure(`parameter.fileList should be array instead of ${kind(fileList)};`);
  return fileList;
}
function bytes(content) {
  if (typeof content !== "string") return content;
  const escaped = unescape(encodeURIComponent(content));
  return Uint8Array.from(escaped, (character) => character.charCodeAt(0)).buffer;
}
function told(code, message) {
  return code === "STORAGE_EXCEED_AUTHORITY" ? code : message;
}
function fault(status, xml) {
  const part = (name) => (new RegExp(`<${name}>([^<]*)<`).exec(xml) || [])[1];
  const code = status === 403 ? "STORAGE_EXCEED_AUTHORITY" : "STORAGE_REQUEST_FAIL";
  return { code, message: `[${part("Code") || `HTTP ${status}`}]: ${part("Message") || ""}` };
}

// src/open-data.mjs
var PREFIX = "yq_local_";
var HANDLE = /yq_local_[0-9a-z]+_\d+/g;
var KEPT = 2 * CLOUD_ID_LIFE;
var OpenData = class {
  /** @param exchange (data, token) gives a promise of `{cloudID}`; without `token` it is of the present login */
  constructor(exchange) {
    this.exchange = exchange;
    this.kept = /* @__PURE__ */ new Map();
    this.count = 0;
  }
  /** Gives `result` a `cloudID` where it has open data and none. */
  adopt(result) {
    if (result && typeof result.encryptedData === "string" && typeof result.iv === "string" && !result.cloudID) {
      const now = Date.now();
      this.kept.forEach(({ at }, handle) => {
        if (now - at > KEPT) this.kept.delete(handle);
      });
      const { encryptedData, iv, rawData, signature } = result;
      const data = Object.assign({ encryptedData, iv }, rawData && signature && { rawData, signature });
      result.cloudID = `${PREFIX}${now.toString(36)}_${++this.count}`;
      this.kept.set(result.cloudID, { at: now, data, early: Promise.resolve(), cloudID: void 0 });
    }
    return result;
  }
  /**
   * A body with the server's cloudIDs in the places of handles, wherever they are: a function may get a cloudID as a plain
   * string, and ask `cloud.getOpenData` for it.
   */
  async redeem(body) {
    const handles = Array.from(new Set(body.match(HANDLE)));
    const cloudIDs = await Promise.all(handles.map((handle) => this.cloudID(handle)));
    return body.replace(HANDLE, (handle) => cloudIDs[handles.indexOf(handle)]);
  }
  /** The server's cloudID for a handle; one that it does not get stays what it is. */
  cloudID(handle) {
    const kept = this.kept.get(handle);
    if (!kept) return handle;
    if (!kept.cloudID) {
      kept.cloudID = kept.early.then((early) => early || this.exchange(kept.data)).then(
        ({ cloudID }) => cloudID,
        (error) => {
          kept.cloudID = void 0;
          if (error.status !== 400) throw error;
          console.warn(`open data was refused (${error.errCode}): ${error.errMsg}`);
          return handle;
        }
      );
    }
    return kept.cloudID;
  }
  /**
   * A new login is about to be made, which may rotate the key: what was taken under the key before is exchanged with the
   * token before. Where that fails, the new one is tried when the time comes.
   */
  flush(token) {
    const early = [];
    this.kept.forEach((kept) => {
      if (kept.cloudID) return;
      kept.early = kept.early.then((early2) => early2 || token.then((token2) => this.exchange(kept.data, token2))).catch(() => {
      });
      early.push(kept.early);
    });
    return Promise.all(early);
  }
};

// src/session.mjs
var Session = class {
  /**
   * @param logIn gives a promise of `{token, expiresIn}`, in seconds
   * @param before is given the (promise of the) token that is about to be followed by another, and may use it until
   * the promise that it gives resolves
   */
  constructor(logIn, before2) {
    this.logIn = logIn;
    this.before = before2;
    this.login = void 0;
  }
  /**
   * The token, good for `spare` more milliseconds if it can be. Whoever asks while a login is under way waits for
   * that one.
   */
  token(spare = 0) {
    const { login } = this;
    if (!login || Date.now() > login.until - Math.min(spare, login.life / 2)) this.begin();
    return this.login.token;
  }
  /** Logs in anew. One login ends before the next begins, or the server might hear of the last key first. */
  begin() {
    const last = this.login && this.login.token;
    const login = { until: Infinity, life: Infinity };
    const ready = last && Promise.all([this.before(last), last.catch(() => {
    })]);
    login.token = Promise.resolve(ready).then(this.logIn).then(
      ({ token, expiresIn }) => {
        login.life = expiresIn * 1e3;
        login.until = Date.now() + login.life;
        return login.text = token;
      },
      (error) => {
        if (this.login === login) this.login = void 0;
        throw error;
      }
    );
    login.token.catch(() => {
    });
    this.login = login;
  }
  /** The server does not take `token` any more. */
  end(token) {
    if (this.login && this.login.text === token) this.login = void 0;
  }
};

// src/transport.mjs
var TIMEOUT2 = 12e4;
async function post(wx2, url, text2, token) {
  const header = { "content-type": "application/json" };
  if (token) header.authorization = `Bearer ${token}`;
  const send = wx2 && wx2.request ? byWx : byFetch;
  const { status, body } = await send(url, text2, header, wx2).catch((error) => {
    const { errMsg: errMsg2, message, cause } = error;
    throw failure(`${errMsg2 || cause && cause.message || message} (${url})`);
  });
  const answer = parsed(body);
  if (status >= 200 && status < 300 && answer) return answer;
  const {
    errCode = -1,
    errMsg = `HTTP ${status}: ${String(body).slice(0, 200)} (${url})`,
    requestID
  } = answer || {};
  throw failure(errMsg, { errCode, requestID, status });
}
var revived = (_, value) => Object(value).type === "Buffer" && Array.isArray(value.data) ? Object.assign(new Uint8Array(value.data).buffer, value) : value;
function parsed(body) {
  try {
    const value = typeof body === "string" ? JSON.parse(body, revived) : body;
    return value && typeof value === "object" ? value : void 0;
  } catch (e) {
    return void 0;
  }
}
async function byWx(url, data, header, wx2) {
  const options = { url, method: "POST", data, header, dataType: "text", timeout: TIMEOUT2 };
  const reply = await promised(wx2, wx2.request, options);
  return { status: reply.statusCode, body: reply.data };
}
async function byFetch(url, body, headers) {
  if (typeof fetch !== "function") throw failure("there is neither wx.request nor fetch here");
  const reply = await fetch(url, { method: "POST", headers, body, credentials: "omit" });
  return { status: reply.status, body: await reply.text() };
}

// src/simulator.mjs
var PORT = 8788;
var Simulator = class {
  /** @param simulate a user's name, or `{user, wechat}`; without `wechat`, the usual port of the host of `endpoint` */
  constructor(wx2, simulate2, endpoint) {
    const { user, wechat } = typeof simulate2 === "string" ? { user: simulate2 } : simulate2;
    this.wx = wx2;
    this.user = user;
    this.url = wechat ? wechat.replace(/\/+$/, "") : `${/^https?:\/\/(\[[^\]]*\]|[^/:?#]+)/.exec(endpoint)[0]}:${PORT}`;
  }
  /** What the user's `wx[api]` gives. */
  async call(api, options) {
    const text2 = JSON.stringify(Object.assign({}, options, { user: this.user, api }));
    const result = await post(this.wx, `${this.url}/sim/client`, text2).catch(({ errMsg }) => {
      throw { errMsg: `${api}:fail ${errMsg}` };
    });
    if (result.errMsg !== `${api}:ok`) throw result;
    return result;
  }
};

// src/cloud.mjs
var Cloud = class {
  /**
   * @param parts `Carriage`, by which files go where there is no wx, and `database`, which makes the database of a cloud, where it has
   * one
   */
  constructor(wx2, { Carriage: Carriage2, database }) {
    this.wx = wx2;
    this.Carriage = Carriage2;
    this.database = database;
    this.settings = void 0;
    this.endpoint = void 0;
    this.simulator = void 0;
    this.session = void 0;
    this.openData = new OpenData((data, token) => this.exchange(JSON.stringify(data), token));
    this.files = files(this);
    this.natives = {};
    this.installed = false;
    this.appLogin = void 0;
  }
  /** Again, it changes what is given: an app's own `wx.cloud.init` may stay as it is where `endpoint` was given before. */
  init(options) {
    const before2 = this.settings || {};
    const settings = Object.assign({}, before2, options);
    const { endpoint, login, simulate: simulate2 } = settings;
    if (!/^https?:\/\/[^/]/.test(endpoint)) {
      throw failed(
        "cloud.init",
        `endpoint should be the address of your server, such as https://cloud.example.com, instead of ${endpoint}`
      );
    }
    if (login && typeof login !== "function") {
      throw failed("cloud.init", `login should be a function that gives a code instead of ${typeof login}`);
    }
    this.settings = settings;
    if (endpoint === before2.endpoint && login === before2.login && simulate2 === before2.simulate) return;
    this.endpoint = endpoint.replace(/\/+$/, "");
    this.simulator = simulate2 ? new Simulator(this.wx, simulate2, endpoint) : void 0;
    this.session = new Session(
      () => this.logIn(),
      (token) => this.openData.flush(token)
    );
    if (this.installed) this.session.begin();
  }
  callFunction(options) {
    options = options || {};
    const calling = this.call(options).catch((error) => {
      throw notCalled(error);
    });
    return settle(options, calling);
  }
  async call({ name, data }) {
    this.isEnabled();
    if (typeof name !== "string") throw failure(`parameter.name should be string instead of ${typeof name};`);
    if (!name) throw failure("parameter.name should be the name of a function instead of empty;");
    const body = await this.openData.redeem(encode(await this.uploaded(data)));
    const answer = await this.ask(`/v1/functions/${encodeURIComponent(name)}`, body);
    const { result, errMsg, requestID, warnings } = answer;
    for (const { field, errMsg: errMsg2 } of warnings || []) console.warn(`data.${field}: ${errMsg2}`);
    return { result, errMsg, requestID };
  }
  isEnabled() {
    if (!this.settings) {
      throw failure("Cloud API isn't enabled, please call init first, with the endpoint of your server");
    }
  }
  /** `data` with the addresses of what its `CDN`s hold. */
  async uploaded(data) {
    const held = Object.keys(Object(data)).filter((key) => data[key] instanceof CDN);
    if (!held.length) return data;
    const addresses = await Promise.all(held.map((key) => this.files.address(data[key])));
    return Object.assign({}, data, ...held.map((key, at) => ({ [key]: addresses[at] })));
  }
  async exchange(text2, token) {
    const path = "/v1/open-data";
    if (token) return post(this.wx, this.endpoint + path, text2, token);
    await this.appLogin;
    return this.ask(path, text2);
  }
  /** Asks the server as the user. A token that has ended is a reason for one new login, and for asking once more. */
  async ask(path, text2) {
    this.isEnabled();
    const { session } = this;
    const url = this.endpoint + path;
    const token = await session.token();
    return post(this.wx, url, text2, token).catch(async (error) => {
      if (error.status !== 401) throw error;
      session.end(token);
      return post(this.wx, url, text2, await session.token());
    });
  }
  async logIn() {
    const code = await this.code();
    if (typeof code !== "string" || !code) throw failure(`login gave no code but ${code}`);
    return post(this.wx, `${this.endpoint}/v1/login`, JSON.stringify({ code, appid: this.settings.appid }));
  }
  async code() {
    const { login } = this.settings;
    if (login) return login();
    if (!this.simulator && !(this.wx && this.wx.login)) {
      throw failure("there is no wx.login here: give init a `login`, a function that gives a code");
    }
    return (await this.native("login")).code;
  }
  /** What the user's WeChat gives: the simulated one's, where there is one. */
  native(api, options) {
    if (this.simulator) return this.simulator.call(api, options);
    return promised(this.wx, this.natives[api] || this.wx[api], options);
  }
  /** Resolves when open data may be taken: it will be encrypted with a key that the server knows. */
  async ready() {
    await this.appLogin;
    if (this.session) await this.session.token(CLOUD_ID_LIFE).catch(() => {
    });
  }
  /**
   * The app's own `wx.login`. It may rotate the key, of which the server learns by a login of ours at once: WeChat does
   * not rotate again so soon.
   */
  async loginOfApp(options) {
    const login = this.native("login", options).then((result) => {
      if (this.session && this.session.login) this.session.begin();
      return result;
    });
    const over = login.catch(() => {
    }).then(() => {
      if (this.appLogin === over) this.appLogin = void 0;
    });
    this.appLogin = over;
    return login;
  }
};

// src/surface.mjs
function surface(cloud) {
  const apis = {
    init: (options) => cloud.init(options),
    callFunction: (options) => cloud.callFunction(options),
    cloudUrl: (id) => cloudUrl(cloud.endpoint, id),
    CloudID,
    CDN,
    Cloud: Another
  };
  function Another() {
    return Object.assign(surface(cloud), { init: async () => {
    } });
  }
  const database = cloud.database && { database: (config) => cloud.database(cloud, config) };
  return Object.assign(apis, cloud.files.apis, database);
}

// src/install.mjs
var OPEN_DATA = [
  "getUserInfo",
  "getWeRunData",
  "getShareInfo",
  "getGroupEnterInfo",
  "getChatToolInfo",
  "getGameClubData",
  "getUserInteractiveStorage"
];
var ON_TAP = ["getUserProfile"];
var BUTTON = /^(getUserInfo|get(?:Realtime)?(PhoneNumber)):(?!.*deny)/;
var HANDED_OUT = ["cloudID", "code", "encryptedData", "iv", "rawData", "signature", "userInfo"];
var installed = /* @__PURE__ */ new WeakMap();
var simulated = /* @__PURE__ */ new WeakSet();
function install(wx2, cloud) {
  if (!wx2 || typeof wx2.request !== "function")
    throw failed("cloud.install", "install takes the wx of a Mini Program");
  if (installed.has(wx2)) return installed.get(wx2);
  const front = facade(cloud, wx2.cloud);
  installed.set(wx2, front);
  cloud.installed = true;
  put(wx2, "cloud", front);
  const wrap = (name, wrapped) => {
    if (typeof wx2[name] !== "function") return;
    cloud.natives[name] = wx2[name];
    put(wx2, name, (given) => {
      const options = given || {};
      return settle(options, wrapped(name, options));
    });
  };
  const open = async (api, options) => {
    if (cloud.simulator || !ON_TAP.includes(api)) await cloud.ready();
    return cloud.openData.adopt(await cloud.native(api, options));
  };
  for (const name of OPEN_DATA.concat(ON_TAP)) wrap(name, open);
  wrap("login", (api, options) => cloud.loginOfApp(options));
  wrap("checkSession", (api, options) => cloud.native(api, options));
  const handle = (options) => handlers(cloud, options);
  const handleMethods = (options) => Object.assign({}, options, options.methods && { methods: handle(options.methods) });
  if (typeof Page === "function") Page = before(Page, handle);
  if (typeof Component === "function") Component = before(Component, handleMethods);
  if (typeof Behavior === "function") Behavior = before(Behavior, handleMethods);
  return front;
}
function facade(cloud, original) {
  const own = surface(cloud);
  let initialized;
  return new Proxy(own, {
    has: (own2, key) => key in own2 || Boolean(original && key in original),
    get(own2, key) {
      if (key in own2 || !original || original[key] === void 0) return own2[key];
      if (initialized !== cloud.settings && original.init) {
        initialized = cloud.settings;
        const { env, traceUser } = initialized;
        original.init({ env, traceUser });
      }
      return typeof original[key] === "function" ? original[key].bind(original) : original[key];
    }
  });
}
function put(target, key, value) {
  Object.defineProperty(target, key, { value, configurable: true, enumerable: true, writable: true });
}
function before(register, change) {
  return function(options) {
    return register.call(this, options && typeof options === "object" ? change(options) : options);
  };
}
function handlers(cloud, options) {
  const handling = Object.assign({}, options);
  for (const key of Object.keys(options)) {
    const handler = options[key];
    if (typeof handler !== "function") continue;
    handling[key] = function(event) {
      const detail = event && event.detail;
      const run = () => {
        if (detail) cloud.openData.adopt(detail);
        return handler.apply(this, arguments);
      };
      const button = cloud.simulator && detail && BUTTON.exec(detail.errMsg);
      return button && !simulated.has(detail) ? simulate(cloud, button, detail).then(run) : run();
    };
  }
  return handling;
}
async function simulate(cloud, [, api, phone], detail) {
  simulated.add(detail);
  for (const key of HANDED_OUT) delete detail[key];
  await cloud.ready();
  const result = await cloud.native(phone ? `get${phone}` : api).catch((error) => error);
  Object.assign(detail, result, { errMsg: result.errMsg });
}

// src/entry.mjs
var app = typeof wx === "object" && wx && wx.request ? wx : void 0;
function entry(parts) {
  const cloud = new Cloud(app, parts);
  return Object.assign(surface(cloud), {
    install: (wx2) => install(wx2, wx2 === app ? cloud : new Cloud(wx2, parts))
  });
}

// src/lite.mjs
var {
  init,
  install: install2,
  callFunction,
  uploadFile,
  downloadFile,
  getTempFileURL,
  deleteFile,
  cloudUrl: cloudUrl2,
  CloudID: CloudID2,
  CDN: CDN2,
  Cloud: Cloud2
} = entry({ Carriage });
