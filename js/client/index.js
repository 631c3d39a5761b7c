// Made from src/ by: npm run build
var __defProp = Object.defineProperty;
var __getOwnPropDesc = Object.getOwnPropertyDescriptor;
var __getOwnPropNames = Object.getOwnPropertyNames;
var __getOwnPropSymbols = Object.getOwnPropertySymbols;
var __hasOwnProp = Object.prototype.hasOwnProperty;
var __propIsEnum = Object.prototype.propertyIsEnumerable;
var __objRest = (source, exclude) => {
  var target = {};
  for (var prop in source)
    if (__hasOwnProp.call(source, prop) && exclude.indexOf(prop) < 0)
      target[prop] = source[prop];
  if (source != null && __getOwnPropSymbols)
    for (var prop of __getOwnPropSymbols(source)) {
      if (exclude.indexOf(prop) < 0 && __propIsEnum.call(source, prop))
        target[prop] = source[prop];
    }
  return target;
};
var __export = (target, all2) => {
  for (var name in all2)
    __defProp(target, name, { get: all2[name], enumerable: true });
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

// src/index.mjs
var index_exports = {};
__export(index_exports, {
  CDN: () => CDN2,
  Cloud: () => Cloud2,
  CloudID: () => CloudID2,
  callFunction: () => callFunction,
  cloudUrl: () => cloudUrl2,
  database: () => database2,
  deleteFile: () => deleteFile,
  downloadFile: () => downloadFile,
  getTempFileURL: () => getTempFileURL,
  init: () => init,
  install: () => install2,
  uploadFile: () => uploadFile
});
module.exports = __toCommonJS(index_exports);

// src/failure.mjs
function failure(errMsg, more) {
  return Object.assign(new Error(errMsg), { errCode: -1, errMsg }, more);
}
var kind = (value) => Array.isArray(value) ? "array" : value === null ? "null" : typeof value;
function circular() {
  const errMsg = "-402001 circular reference. the data refers to itself: send what it refers to by its _id";
  return failure(errMsg, { errCode: -402001 });
}
function failed(api, cause) {
  if (Object(cause).code && !(cause instanceof Error)) return refused(api, cause);
  const { errCode = -1, errMsg: text3, message, requestID } = Object(cause);
  const errMsg = `${api}:fail ${text3 || message || cause}`;
  const error = new Error(`errCode: ${errCode}  | errMsg: ${errMsg}`);
  return Object.assign(error, { errCode, errMsg }, requestID && { requestID });
}
function notCalled(cause) {
  const api = "cloud.callFunction";
  const { errCode, errMsg: text3, requestID } = Object(cause);
  if (!(errCode <= -5e5)) return failed(api, cause);
  const [known, link] = CALLS[errCode] || [textOf(errCode)];
  const more = link ? ` 更多错误信息请访问：https://docs.cloudbase.net/error-code/basic/${link}` : "";
  const errMsg = `${api}:fail Error: errCode: ${errCode} ${known} | errMsg: ${text3}${more}`;
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
function textOf(number2) {
  const code = Object.keys(CODES).find((code2) => CODES[code2][0] === number2);
  return code ? CODES[code][1] : "";
}
var numberOf = (code) => (CODES[code] || CODES.SYS_ERR)[0];
function refused(api, { code, message, requestId }) {
  const [errCode, text3] = CODES[code] || CODES.SYS_ERR;
  const error = new Error(`errCode: ${errCode} ${text3} | errMsg: ${message}`);
  const errMsg = `${api}:fail ${errCode} ${text3}. ${message}`;
  return Object.assign(error, { errCode, errMsg }, requestId && { requestID: requestId });
}

// src/geo.mjs
var pair = (point2) => [point2.longitude, point2.latitude];
var all = (of) => (parts) => parts.map(of);
var SHAPES = {
  MultiPoint: ["points", all(pair), all(point)],
  LineString: ["points", all(pair), all(point)],
  MultiLineString: ["lines", all(coordinates), all(made("LineString"))],
  Polygon: ["lines", all(coordinates), all(made("LineString"))],
  MultiPolygon: ["polygons", all(coordinates), all(made("Polygon"))]
};
var Geo = {};
var isGeo = (value) => Boolean(value) && value.isGeo === true;
function coordinates(shape) {
  return shape.toJSON().coordinates;
}
function point([longitude, latitude]) {
  return new Geo.Point(longitude, latitude);
}
function made(type) {
  return (values) => new Geo[type](SHAPES[type][2](values));
}
function define(type, make, toCoordinates) {
  function Shape(...given) {
    if (!(this instanceof Shape)) return new Shape(...given);
    make(this, ...given);
  }
  Object.assign(Shape.prototype, {
    isGeo: true,
    toJSON() {
      return { type, coordinates: toCoordinates(this) };
    },
    toString() {
      return JSON.stringify(this);
    }
  });
  Geo[type] = Shape;
}
define(
  "Point",
  (shape, longitude, latitude) => {
    for (const [name, value, most] of [
      ["longitude", longitude, 180],
      ["latitude", latitude, 90]
    ]) {
      if (typeof value !== "number" || !(Math.abs(value) <= most)) {
        throw new Error(`${name} should be a number from -${most} to ${most} instead of ${value}`);
      }
    }
    Object.assign(shape, { longitude, latitude });
  },
  pair
);
for (const type of Object.keys(SHAPES)) {
  const [field, toCoordinates] = SHAPES[type];
  define(
    type,
    (shape, parts) => {
      if (!Array.isArray(parts) || !parts.length || !parts.every(isGeo)) {
        throw new TypeError(`Geo.${type} takes an array of places`);
      }
      shape[field] = parts;
    },
    (shape) => toCoordinates(shape[field])
  );
}
function place(_a) {
  var _b = _a, { type, coordinates: coordinates2 } = _b, more = __objRest(_b, ["type", "coordinates"]);
  if (!Array.isArray(coordinates2) || Object.keys(more).length) return void 0;
  try {
    if (type === "Point") return coordinates2.length === 2 ? point(coordinates2) : void 0;
    return SHAPES[type] && made(type)(coordinates2);
  } catch (e) {
    return void 0;
  }
}

// src/ejson.mjs
var Special = class {
  constructor(json2) {
    this.json = json2;
  }
};
var MOST_INT = 2 ** 31;
var MOST_LONG = 2 ** 63;
function extended(value, above = []) {
  if (typeof value === "number") return number(value);
  if (!value || typeof value !== "object") return value;
  if (value instanceof Date) return { $date: { $numberLong: String(value.getTime()) } };
  if (value instanceof RegExp) return regExp(value.source, value.flags);
  if (value instanceof Special) return extended(value.json(), above);
  if (isGeo(value)) return extended(value.toJSON());
  if (above.includes(value)) throw circular();
  const within = [...above, value];
  if (Array.isArray(value)) return value.map((item) => extended(item, within));
  const fields = {};
  for (const key of Object.keys(value)) put(fields, key, extended(value[key], within));
  return fields;
}
var text = (value) => JSON.stringify(extended(value));
var regExp = (pattern, options) => ({ $regularExpression: { pattern, options } });
function number(value) {
  if (!Number.isInteger(value) || value >= MOST_LONG || value < -MOST_LONG)
    return { $numberDouble: String(value) };
  const name = value >= -MOST_INT && value < MOST_INT ? "$numberInt" : "$numberLong";
  return { [name]: String(value) };
}
var parse = (json2) => JSON.parse(json2, revive);
function revive(key, value) {
  if (!value || typeof value !== "object" || Array.isArray(value)) return value;
  const [name, ...more] = Object.keys(value);
  if (!more.length) {
    const inner = value[name];
    if (name === "$numberInt" || name === "$numberLong" || name === "$numberDouble") return Number(inner);
    if (name === "$date") return new Date(inner);
    if (name === "$oid") return inner;
  }
  return place(value) || value;
}
function put(target, key, value) {
  if (key === "__proto__")
    Object.defineProperty(target, key, { value, configurable: true, enumerable: true, writable: true });
  else target[key] = value;
}

// src/command.mjs
var NAMES = { neq: "ne" };
var LISTS = ["in", "nin", "all"];
var PLAIN = ["eq", "neq", "gt", "gte", "lt", "lte", "elemMatch", "exists", "size"];
var LOGIC = ["and", "or", "nor", "not"];
var PLACES = ["geoNear", "geoWithin", "geoIntersects"];
var Condition = class extends Special {
  constructor(name, values) {
    super(() => this.inside());
    this.name = name;
    this.values = values;
  }
  get joins() {
    return LOGIC.includes(this.name);
  }
  /** `{$gt: 5}` */
  test() {
    const { name, values } = this;
    if (PLACES.includes(name)) return near(name, values[0]);
    return { [`$${NAMES[name] || name}`]: LISTS.includes(name) ? values : inside(values[0]) };
  }
  /** Where it stands in a value: of an element of a list, say. */
  inside() {
    const { name, values } = this;
    if (!this.joins) return this.test();
    if (name === "and") return Object.assign({}, ...values.map(inside));
    return { [`$${name}`]: name === "not" ? inside(values[0]) : values.map(inside) };
  }
};
function inside(value) {
  return value instanceof Condition ? value.inside() : value;
}
var Change = class extends Special {
  constructor(operator, value) {
    super(() => ({ [operator]: value }));
    this.operator = operator;
    this.value = value;
  }
};
function near(name, { geometry, maxDistance, minDistance, centerSphere }) {
  const $geometry = geometry && geometry.toJSON();
  if (name === "geoNear")
    return { $nearSphere: { $geometry, $maxDistance: maxDistance, $minDistance: minDistance } };
  if (name === "geoIntersects") return { $geoIntersects: { $geometry } };
  if (!centerSphere) return { $geoWithin: { $geometry } };
  const [center, radius] = centerSphere;
  return { $geoWithin: { $centerSphere: [isGeo(center) ? center.toJSON().coordinates : center, radius] } };
}
var list = (given) => Array.isArray(given[0]) ? given[0] : given;
var command = {
  mod: (...given) => new Condition("mod", [given.length > 1 ? given : given[0]]),
  expr: ($expr) => ({ $expr }),
  remove: () => new Change("$unset", ""),
  push(...given) {
    const [options] = given;
    if (!options || typeof options !== "object" || !("each" in options))
      return new Change("$push", { $each: list(given) });
    const { each, position, sort, slice } = options;
    return new Change("$push", { $each: each, $position: position, $sort: sort, $slice: slice });
  },
  unshift: (...given) => new Change("$push", { $each: list(given), $position: 0 }),
  pop: () => new Change("$pop", 1),
  shift: () => new Change("$pop", -1),
  addToSet: (value) => new Change(
    "$addToSet",
    value && typeof value === "object" && "each" in value ? { $each: value.each } : value
  ),
  project: {
    slice: (...given) => ({ $slice: given.length > 1 ? given : given[0] }),
    elemMatch: ($elemMatch) => ({ $elemMatch })
  },
  /** Each operator is what it is called, before what it is given. */
  aggregate: new Proxy({}, { get: (_, name) => (value) => ({ [`$${name}`]: value }) })
};
for (const name of ["set", "inc", "mul", "min", "max", "rename", "bit", "pull", "pullAll"]) {
  command[name] = (value) => new Change(`$${name}`, value);
}
for (const name of [...PLAIN, ...PLACES]) command[name] = (value) => new Condition(name, [value]);
for (const name of LISTS) command[name] = (values) => new Condition(name, values);
for (const name of LOGIC) command[name] = (...given) => new Condition(name, list(given));
for (const name of [...PLAIN, ...LISTS, ...PLACES, "mod", "not"]) {
  Condition.prototype[name] = function(...given) {
    return this.and(command[name](...given));
  };
}
for (const name of ["and", "or", "nor"]) {
  Condition.prototype[name] = function(...given) {
    return new Condition(name, [this, ...list(given)]);
  };
}
function DbRegExp({ regexp, options = "" }) {
  return new Special(() => regExp(regexp, options));
}
function serverDate({ offset = 0 } = {}) {
  return new Special(() => ({ $tcb_server_date: { offset } }));
}

// src/serialize.mjs
var isObject = (value) => Object.prototype.toString.call(value) === "[object Object]";
var isLeaf = (value) => !isObject(value) || value instanceof Special || isGeo(value);
function flat(object, above = [object]) {
  const fields = {};
  for (const key of Object.keys(object)) {
    const value = object[key];
    if (value === void 0) continue;
    if (key[0] === "$" || isLeaf(value)) {
      put(fields, key, value);
      continue;
    }
    if (above.includes(value)) throw circular();
    const raw = {};
    const inner = flat(value, [...above, value]);
    for (const name of Object.keys(inner)) {
      if (name[0] === "$") raw[name] = inner[name];
      else put(fields, `${key}.${name}`, inner[name]);
    }
    if (Object.keys(raw).length) put(fields, key, raw);
  }
  return fields;
}
function query(given, field) {
  if (given instanceof Condition) return condition(given, field);
  if (isLeaf(given)) return { [field]: given };
  const asked = {};
  const fields = flat(given);
  for (const key of Object.keys(fields)) {
    const value = fields[key];
    if (value instanceof Condition) merge(asked, condition(value, key));
    else merge(asked, { [key]: value });
  }
  return asked;
}
function condition(given, field) {
  const { name, values } = given;
  if (!given.joins) {
    if (field === void 0) throw new Error("Cannot encode a comparison command with unset field name");
    return { [field]: given.test() };
  }
  if (name !== "not") return { [`$${name}`]: values.map((value) => query(value, field)) };
  const [inner] = values;
  return { [field]: { $not: inner instanceof Condition ? query(inner, field)[field] : inner } };
}
function merge(asked, more) {
  for (const key of Object.keys(more)) {
    const [old, value] = [asked[key], more[key]];
    put(asked, key, Array.isArray(old) && Array.isArray(value) ? old.concat(value) : value);
  }
}
function update(data) {
  const operators = {};
  const fields = flat(data);
  for (const key of Object.keys(fields)) {
    const value = fields[key];
    const [operator, change] = value instanceof Change ? [value.operator, value.value] : ["$set", value];
    if (key[0] === "$") operators[key] = Object.assign({}, operators[key], value);
    else put(operators[operator] = operators[operator] || {}, key, change);
  }
  return operators;
}
function hasChange(value) {
  if (value instanceof Change) return true;
  if (Array.isArray(value)) return value.some(hasChange);
  return !isLeaf(value) && Object.keys(value).some((key) => hasChange(value[key]));
}

// src/settle.mjs
var hasCallback = ({ success, fail, complete }) => Boolean(success || fail || complete);
function settle(options, promise) {
  if (!hasCallback(options)) return promise;
  const { success, fail, complete } = options;
  const tell2 = (callback) => (outcome) => {
    if (callback) callback(outcome);
    if (complete) complete(outcome);
  };
  promise.then(tell2(success), tell2(fail));
}
function promised(wx2, api, options) {
  return new Promise((success, fail) => {
    const asked = Object.assign({}, options, { success, fail });
    delete asked.complete;
    api.call(wx2, asked);
  });
}

// src/watch.mjs
var PATH = "/v1/realtime";
var QUIET = 1e4;
var GONE = 25e3;
var GONE_ASKED = 9e4;
var SOON = 500;
var LATE = 3e4;
var TRIES = 20;
var STEADY = 3e4;
var UNSTEADY = 6;
var CROWDED = 4003;
var PATIENCE = 15e3;
var ENDS = {
  begin: [-402002, "init watch fail"],
  connect: [-402003, "reconnect fail"],
  rebuild: [-402004, "rebuild watch fail"],
  told: [-402006, "receive server error"]
};
var last = 0;
var nextId = () => `${Date.now()}_${++last}`;
function tell(callback, value) {
  try {
    callback(value);
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
  }
}
var Sockets = class {
  constructor(cloud) {
    this.cloud = cloud;
    this.watches = /* @__PURE__ */ new Map();
    this.link = void 0;
    this.tries = 0;
  }
  add(watch2) {
    this.watches.set(watch2.id, watch2);
    if (this.link && this.link.ready) this.start(watch2);
    else if (!this.link && !this.timer) this.connect();
  }
  remove(watch2) {
    if (!this.watches.delete(watch2.id)) return;
    const { link } = this;
    if (link && link.ready) this.say("CLOSE_WATCH", null, watch2);
    if (this.watches.size) return;
    clearTimeout(this.timer);
    this.timer = void 0;
    this.link = void 0;
    if (link) link.close(1e3);
  }
  /** Makes the socket, and logs in on it. */
  async connect() {
    const { cloud } = this;
    const link = this.link = { ready: false, heard: Date.now(), close() {
    } };
    const isCurrent = () => this.link === link;
    const lost = (error) => {
      clearInterval(link.beat);
      if (isCurrent()) this.again(error);
    };
    try {
      link.token = await cloud.session.token(6e4);
      if (!isCurrent()) return;
      const open = cloud.wx && cloud.wx.connectSocket ? byWx : byWebSocket;
      const heard = (text3) => {
        link.heard = Date.now();
        if (isCurrent() && typeof text3 === "string") this.hear(JSON.parse(text3), link);
      };
      const opened = () => {
        if (!isCurrent()) return link.close(1e3);
        const { env = "" } = cloud.settings;
        this.say("LOGIN", { envId: env, accessToken: link.token, referrer: "yunqiao" });
        link.beat = setInterval(() => {
          if (!isCurrent()) return clearInterval(link.beat);
          const now = Date.now();
          const quiet = now - link.heard;
          if (link.told && now - link.told > STEADY) this.tries = 0;
          const isAsked = [...this.watches.values()].some(({ asking }) => asking);
          if (quiet > (!link.ready ? PATIENCE : isAsked ? GONE_ASKED : GONE)) {
            link.close(4e3);
            lost(failure("the server does not answer"));
          } else if (link.ready && quiet >= QUIET) this.say("PING", null);
        }, QUIET / 2);
      };
      const url = cloud.endpoint.replace(/^http/, "ws") + PATH;
      Object.assign(link, open(url, { opened, heard, lost }, cloud.wx));
    } catch (error) {
      lost(error);
    }
  }
  again(error) {
    this.link = void 0;
    if (!this.watches.size) return;
    this.tries += 1;
    if (error && error.code === CROWDED) this.tries = Math.max(this.tries, UNSTEADY + 1);
    if (this.tries > TRIES || error && error.isFinal) {
      this.tries = 0;
      for (const watch2 of [...this.watches.values()]) {
        watch2.end(
          watch2.queryID ? "connect" : "begin",
          error && (error.errMsg || error.message) || "no connection"
        );
      }
      return;
    }
    const wait = Math.min(SOON * 2 ** (this.tries - 1), LATE);
    clearTimeout(this.timer);
    this.timer = setTimeout(
      () => {
        this.timer = void 0;
        if (this.watches.size && !this.link) this.connect();
      },
      wait * (0.5 + Math.random() / 2)
    );
  }
  say(msgType, msgData, watch2) {
    const message = { requestId: nextId(), msgType, msgData };
    if (watch2) message.watchId = watch2.id;
    this.link.send(JSON.stringify(message));
    return message.requestId;
  }
  /** A watch begins, or goes on. */
  start(watch2) {
    const { queryID, eventID, asked } = watch2;
    watch2.asking = queryID ? this.say("REBUILD_WATCH", { collName: asked.collName, queryID, eventID }, watch2) : this.say("INIT_WATCH", asked, watch2);
  }
  hear({ msgType, msgData, watchId, requestId }, link) {
    if (msgType === "LOGIN_RES" && msgData.code) {
      this.cloud.session.end(link.token);
      link.close(1e3);
      return this.again(failure(msgData.message));
    }
    if (msgType === "LOGIN_RES") {
      link.ready = true;
      for (const watch3 of this.watches.values()) this.start(watch3);
    }
    const watch2 = this.watches.get(watchId);
    if (!watch2) return;
    if (requestId === watch2.asking) watch2.asking = void 0;
    if (msgType === "ERROR") return watch2.refused(msgData);
    if (!msgData.events) return;
    if (!link.told) {
      link.told = Date.now();
      this.tries = Math.min(this.tries, UNSTEADY);
    }
    if (!watch2.hear(msgType, msgData) && !watch2.asking) this.start(watch2);
  }
};
var Watch = class {
  constructor(sockets2, asked, { onChange, onError }) {
    this.sockets = sockets2;
    this.id = `watchid_${nextId()}`;
    this.asking = void 0;
    this.asked = asked;
    this.onChange = onChange;
    this.onError = onError;
    this.docs = [];
  }
  refused({ code, message }) {
    if (code === "QUERYID_INVALID_ERROR" && this.queryID) {
      this.queryID = void 0;
      return this.sockets.start(this);
    }
    const how = !this.queryID ? "begin" : "told";
    this.end(how, `[${code}] ${message}`);
  }
  end(how, why) {
    this.sockets.remove(this);
    const [errCode, text3] = ENDS[how];
    const error = new Error(`errCode: ${errCode} ${text3} | errMsg: ${why}`);
    Object.assign(error, { errCode, errMsg: `collection.watch:fail ${errCode} ${text3}. ${why}` });
    tell(this.onError, error);
  }
  /** Takes events; answers whether none is missing before them. */
  hear(msgType, { queryID, currEvent, events }) {
    if (msgType === "INIT_EVENT") {
      this.queryID = queryID;
      this.eventID = currEvent;
      for (const event of events) event.ID = currEvent;
      this.tell(events, true);
      return true;
    }
    let at = 0;
    while (at < events.length) {
      const id = events[at].ID;
      let end = at;
      while (end < events.length && events[end].ID === id) end += 1;
      if (id > this.eventID + 1) return false;
      if (id > this.eventID) {
        this.eventID = id;
        this.tell(events.slice(at, end));
      }
      at = end;
    }
    return true;
  }
  /** Applies the events of one snapshot, and tells the app. */
  tell(events, begins) {
    if (begins || events.length && events[0].QueueType === "init") {
      begins = true;
      this.docs = [];
    }
    let { docs } = this;
    docs = docs.slice();
    const docChanges = [];
    for (const { ID, DataType, QueueType, DocID, Doc, At } of events) {
      if (DocID === "") continue;
      const docId = parse(JSON.stringify(DocID));
      const place2 = docs.findIndex(({ _id }) => _id === docId);
      const before2 = docs[place2];
      const doc = Doc ? parse(Doc) : before2;
      if (place2 >= 0) docs.splice(place2, 1);
      if (QueueType !== "dequeue") docs.splice(At === void 0 ? docs.length : At, 0, doc);
      const change = { id: ID, dataType: DataType, queueType: QueueType, docId, doc };
      docChanges.push(
        Object.assign(
          change,
          before2 && DataType === "update" && QueueType === "update" && difference(before2, doc)
        )
      );
    }
    this.docs = docs;
    const snapshot = { id: this.eventID, docChanges, docs: docs.slice() };
    if (begins) snapshot.type = "init";
    tell(this.onChange, snapshot);
  }
};
function difference(before2, now) {
  const updatedFields = {};
  for (const key of Object.keys(now)) {
    if (JSON.stringify(before2[key]) !== JSON.stringify(now[key])) updatedFields[key] = now[key];
  }
  return { updatedFields, removedFields: Object.keys(before2).filter((key) => !(key in now)) };
}
function byWx(url, { opened, heard, lost }, wx2) {
  const task = wx2.connectSocket({ url, fail: lost });
  if (!task) throw failure(`there is no socket to ${url}`);
  task.onOpen(opened);
  task.onMessage(({ data }) => heard(data));
  task.onError(lost);
  task.onClose(lost);
  return { send: (data) => task.send({ data }), close: (code) => task.close({ code }) };
}
function byWebSocket(url, { opened, heard, lost }) {
  if (typeof WebSocket !== "function")
    throw failure(
      "there is neither wx.connectSocket nor WebSocket here: in Node before 22, set globalThis.WebSocket to that of the package ws",
      { isFinal: true }
    );
  const socket = new WebSocket(url);
  socket.onopen = opened;
  socket.onmessage = ({ data }) => heard(data);
  socket.onerror = () => {
  };
  socket.onclose = ({ code, reason }) => {
    lost(failure(`the socket was closed: ${code} ${reason} (${url})`, { code }));
  };
  return { send: (data) => socket.send(data), close: (code) => socket.close(code) };
}
var sockets = /* @__PURE__ */ new WeakMap();
function watch(cloud, { collectionName: collName, said }, options) {
  const { onChange, onError } = Object(options);
  if (typeof onChange !== "function" || typeof onError !== "function") {
    throw new Error("watch: options.onChange and options.onError must be functions");
  }
  cloud.isEnabled();
  if (!sockets.has(cloud)) sockets.set(cloud, new Sockets(cloud));
  const asked = { collName, query: said.query || "", limit: said.limit };
  const order = Object.keys(said.order || {});
  if (order.length) {
    asked.orderBy = {};
    for (const field of order) asked.orderBy[field] = said.order[field] > 0 ? "asc" : "desc";
  }
  const begun = new Watch(sockets.get(cloud), asked, { onChange, onError });
  begun.sockets.add(begun);
  return {
    close: async () => begun.sockets.remove(begun)
  };
}

// src/database.mjs
var MOST = 20;
var Query = class _Query {
  constructor(ask, name, said) {
    this.ask = ask;
    this.collectionName = name;
    this.said = said;
  }
  /** The same, and this said too. */
  and(more) {
    return new _Query(this.ask, this.collectionName, Object.assign({}, this.said, more));
  }
  where(given) {
    if (!isObject(given)) throw new Error("查询参数必须为对象");
    const keys = Object.keys(given);
    if (keys.length && keys.every((key) => given[key] === void 0)) {
      throw new Error("查询参数对象值不能均为undefined");
    }
    return this.and({ query: text(query(given)) });
  }
  orderBy(field, direction) {
    if (direction !== "asc" && direction !== "desc") throw new Error("排序字符不合法");
    const order = Object.assign({}, this.said.order, { [field]: direction === "desc" ? -1 : 1 });
    return this.and({ order });
  }
  limit(limit) {
    return this.and({ limit: integer("limit", limit) });
  }
  skip(offset) {
    return this.and({ offset: integer("offset", offset) });
  }
  field(fields) {
    const projection = {};
    for (const key of Object.keys(fields)) {
      projection[key] = isObject(fields[key]) ? fields[key] : Number(Boolean(fields[key]));
    }
    return this.and({ projection });
  }
  get(options) {
    return this.call("get", options, async () => {
      const { order, projection, limit, offset } = this.said;
      const { data } = await this.ask("getDocument", this, {
        order: order && text(order),
        projection: projection && text(projection),
        limit: Math.min(limit || MOST, MOST),
        offset
      });
      return { data: data.list.map(parse) };
    });
  }
  /** Tells what it finds, and each change of that. */
  watch(options) {
    return watch(this.ask.cloud, this, options);
  }
  count(options) {
    return this.call("count", options, async () => {
      const { data } = await this.ask("calculateDocument", this);
      return { total: data.total };
    });
  }
  update(options) {
    return this.call("update", options, async (api) => {
      const data = text(update(changed(api, options)));
      const answer = await this.ask("modifyDocument", this, {
        query: this.said.query || "{}",
        data,
        merge: true,
        upsert: false,
        multi: true
      });
      return { stats: { updated: answer.data.updated } };
    });
  }
  remove(options) {
    return this.call("remove", options, async () => {
      const { data } = await this.ask("removeDocument", this, { query: this.said.query || "{}", multi: true });
      return { stats: { removed: data.deleted } };
    });
  }
  call(name, options, work) {
    return call(`collection.${name}`, options, work);
  }
};
var Collection = class extends Query {
  constructor(ask, name) {
    if (typeof name !== "string" || !name) throw new Error("Collection name is required");
    super(ask, name, {});
  }
  doc(id) {
    return new Document(this, id);
  }
  add(options) {
    return this.call("add", options, async () => {
      const data = [text(dataOf(options))];
      const answer = await this.ask("insertDocument", this, { data });
      return { _id: answer.data.insertedIds[0] };
    });
  }
  aggregate() {
    return new Aggregate(this);
  }
};
var Document = class _Document {
  constructor(collection, id) {
    if (typeof id !== "string" && typeof id !== "number") throw new Error("docId必须为字符串或数字");
    this._id = id;
    this.of = collection.and({ query: text({ _id: id }) });
  }
  field(fields) {
    const document = Object.create(_Document.prototype);
    return Object.assign(document, { _id: this._id, of: this.of.field(fields) });
  }
  get(options) {
    return this.call("get", options, async () => {
      const { projection } = this.of.said;
      const { data } = await this.of.ask("getDocument", this.of, {
        projection: projection && text(projection),
        queryType: "DOC",
        limit: 1
      });
      if (!data.list.length && this.of.ask.config.throwOnNotFound === false) return { data: null };
      if (!data.list.length) throw failure(`document with _id ${this._id} does not exist`);
      return { data: parse(data.list[0]) };
    });
  }
  set(options) {
    return this.call("set", options, async (api) => {
      const given = changed(api, options);
      const replacement = text(given);
      if (hasChange(given)) {
        throw refused(api, { code: "DATABASE_REQUEST_FAILED", message: "update operator complicit" });
      }
      const { data } = await this.write({ data: replacement, merge: false, upsert: true });
      const created = data.upsert_id !== void 0;
      return { _id: this._id, stats: { updated: data.updated, created: Number(created) } };
    });
  }
  update(options) {
    return this.call("update", options, async (api) => {
      const { data } = await this.write({
        data: text(update(changed(api, options))),
        merge: true,
        upsert: false
      });
      return { stats: { updated: data.updated } };
    });
  }
  remove(options) {
    return this.call("remove", options, async () => {
      const { data } = await this.of.ask("removeDocument", this.of, { queryType: "DOC", multi: false });
      return { stats: { removed: data.deleted } };
    });
  }
  watch(options) {
    return this.of.watch(options);
  }
  write(fields) {
    return this.of.ask("modifyDocument", this.of, Object.assign({ queryType: "DOC", multi: false }, fields));
  }
  call(name, options, work) {
    return call(`document.${name}`, options, work);
  }
};
var STAGES = [
  "addFields",
  "bucket",
  "bucketAuto",
  "count",
  "geoNear",
  "group",
  "limit",
  "lookup",
  "match",
  "project",
  "replaceRoot",
  "sample",
  "skip",
  "sort",
  "sortByCount",
  "unwind"
];
var Aggregate = class {
  constructor(collection) {
    this.of = collection;
    this.stages = [];
  }
  end(options) {
    return call("collection.aggregate", options, async () => {
      const { data } = await this.of.ask("aggregateDocuments", this.of, { stages: this.stages });
      return { list: data.list.map(parse) };
    });
  }
};
for (const name of STAGES) {
  Aggregate.prototype[name] = function(given) {
    let value = given;
    if (name === "match") value = query(given);
    if (name === "geoNear" && given.query) value = Object.assign({}, given, { query: query(given.query) });
    this.stages.push({ stageKey: `$${name}`, stageValue: text(value) });
    return this;
  };
}
function integer(name, value) {
  if (!Number.isInteger(value)) throw new Error(`${name}must be integer`);
  return value;
}
function call(api, options, work) {
  const calling = Promise.resolve(api).then(work).then(
    (result) => Object.assign(result, { errMsg: `${api}:ok` }),
    (error) => {
      throw error.errMsg && error.errMsg.startsWith(`${api}:fail`) ? error : failed(api, error);
    }
  );
  return settle(options || {}, calling);
}
function dataOf(options) {
  if (!isObject(options)) throw failure(`parameter should be object instead of ${typeof options}; `);
  const { data } = options;
  if (!isObject(data)) throw failure(`parameter.data should be object instead of ${kind(data)};`);
  return data;
}
function changed(api, options) {
  const data = dataOf(options);
  if (!Object.keys(data).length) throw failure("options.data must not be empty");
  if ("_id" in data) throw refused(api, { code: "INVALID_PARAM", message: "不能更新_id的值" });
  return data;
}
function database(cloud, config) {
  const ask = async (action, { collectionName, said }, fields) => {
    const body = Object.assign(
      { action: `database.${action}`, collectionName, queryType: "WHERE", query: said.query },
      fields
    );
    const answer = await cloud.ask("/v1/database", JSON.stringify(body));
    if (answer.code) throw answer;
    return answer;
  };
  ask.config = Object.assign({}, config);
  ask.cloud = cloud;
  return {
    config: ask.config,
    command,
    Geo,
    serverDate,
    RegExp: DbRegExp,
    collection: (name) => new Collection(ask, name)
  };
}

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
    const text3 = json(key, value);
    if (text3 !== void 0) members.push(`${JSON.stringify(key)}:${text3}`);
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
    text2("cloudPath", path);
    const content = filePath === void 0 ? file : filePath;
    if (!content && content !== "")
      throw failure(`parameter.filePath should be string instead of ${typeof filePath};`);
    const place2 = await ask("getUploadMetadata", { path });
    await sent(place2, path, content, header, task);
    return { fileID: place2.fileId, statusCode: 200 };
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
    } else reply = await put3(url, content, header, task);
    const { statusCode, data } = reply;
    if (statusCode < 200 || statusCode > 299) throw fault(statusCode, data);
  };
  const put3 = async (url, content, header, task) => {
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
    const file_list = list2(fileList).map((file, at) => {
      const isNamed = kind(file) === "object";
      const name = `fileList[${at}]${isNamed ? ".fileID" : ""}`;
      const fileid = text2(name, isNamed ? file.fileID : file);
      return isNamed ? { fileid, max_age: file.maxAge } : { fileid };
    });
    const { download_list } = await ask("batchGetDownloadUrl", { file_list });
    return download_list.map(
      ({ fileID, tempFileURL, maxAge, code, message }) => code === "SUCCESS" ? { fileID, tempFileURL, maxAge, status: 0, errMsg: "ok" } : { fileID, tempFileURL: "", maxAge: 0, status: numberOf(code), errMsg: told(code, message), code }
    );
  };
  const bring = async ({ fileID }, task) => {
    text2("fileID", fileID);
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
      const fileid_list = list2(fileList).map((id, at) => text2(`fileList[${at}]`, id));
      const { delete_list } = await ask("batchDeleteFile", { fileid_list });
      const item = ({ fileID, code, message }) => code === "SUCCESS" ? { fileID, status: 0, errMsg: "ok" } : { fileID, status: numberOf(code), errMsg: told(code, message) };
      return { fileList: delete_list.map(item) };
    })
  };
  const address = async ({ content }) => {
    const kept = content && content.type === "filePath" ? content.filePath : bytes(content);
    if (!kept) throw failure('a CDN value holds a text, an ArrayBuffer or {type: "filePath", filePath}');
    const place2 = await ask("getCDNPlace", {});
    await sent(place2, "cdn", kept, void 0, new Task());
    return place2.download_url;
  };
  return { apis, address };
}
function cloudUrl(endpoint, id) {
  const [, path] = FILE_ID.exec(id) || [];
  if (!path) return id;
  return `${endpoint}/v1/files/public/${path.split("/").map(encodeURIComponent).join("/")}`;
}
function text2(name, value) {
  if (typeof value !== "string")
    throw failure(`parameter.${name} should be string instead of ${kind(value)};`);
  return value;
}
function list2(fileList) {
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
    const last2 = this.login && this.login.token;
    const login = { until: Infinity, life: Infinity };
    const ready = last2 && Promise.all([this.before(last2), last2.catch(() => {
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
async function post(wx2, url, text3, token) {
  const header = { "content-type": "application/json" };
  if (token) header.authorization = `Bearer ${token}`;
  const send = wx2 && wx2.request ? byWx2 : byFetch;
  const { status, body } = await send(url, text3, header, wx2).catch((error) => {
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
async function byWx2(url, data, header, wx2) {
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
    const text3 = JSON.stringify(Object.assign({}, options, { user: this.user, api }));
    const result = await post(this.wx, `${this.url}/sim/client`, text3).catch(({ errMsg }) => {
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
  constructor(wx2, { Carriage: Carriage2, database: database3 }) {
    this.wx = wx2;
    this.Carriage = Carriage2;
    this.database = database3;
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
  async exchange(text3, token) {
    const path = "/v1/open-data";
    if (token) return post(this.wx, this.endpoint + path, text3, token);
    await this.appLogin;
    return this.ask(path, text3);
  }
  /** Asks the server as the user. A token that has ended is a reason for one new login, and for asking once more. */
  async ask(path, text3) {
    this.isEnabled();
    const { session } = this;
    const url = this.endpoint + path;
    const token = await session.token();
    return post(this.wx, url, text3, token).catch(async (error) => {
      if (error.status !== 401) throw error;
      session.end(token);
      return post(this.wx, url, text3, await session.token());
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
  const database3 = cloud.database && { database: (config) => cloud.database(cloud, config) };
  return Object.assign(apis, cloud.files.apis, database3);
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
  put2(wx2, "cloud", front);
  const wrap = (name, wrapped) => {
    if (typeof wx2[name] !== "function") return;
    cloud.natives[name] = wx2[name];
    put2(wx2, name, (given) => {
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
function put2(target, key, value) {
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

// src/telling.mjs
var PIECE = 64 * 1024;
var TellingCarriage = class extends Carriage {
  constructor() {
    super();
    this.listeners = { Progress: [], Headers: [] };
  }
  onProgressUpdate(listener) {
    this.listeners.Progress.push(listener);
  }
  offProgressUpdate(listener) {
    this.leave("Progress", listener);
  }
  onHeadersReceived(listener) {
    this.listeners.Headers.push(listener);
  }
  offHeadersReceived(listener) {
    this.leave("Headers", listener);
  }
  leave(what, listener) {
    const stays = (other) => listener !== void 0 && other !== listener;
    this.listeners[what] = this.listeners[what].filter(stays);
  }
  /** How far a file has come, as wx tells it; `verb` is a part of the names there. */
  came(verb, bytes2, all2) {
    const progress = all2 ? Math.min(100, Math.floor(bytes2 / all2 * 100)) : 0;
    const told3 = { progress, [`totalBytes${verb}`]: bytes2 };
    told3[`totalBytesExpectedTo${verb === "Sent" ? "Send" : "Write"}`] = all2;
    for (const listener of this.listeners.Progress) listener(told3);
  }
  headed(statusCode, headers) {
    const header = {};
    for (const [name, value] of headers) header[name] = value;
    for (const listener of this.listeners.Headers) listener({ header, statusCode });
  }
  fetched(url, how) {
    const read = (reply) => this.whole(reply);
    if (!how) return super.fetched(url, how, read);
    const { body, headers } = how;
    if (typeof XMLHttpRequest === "function") return byPage(this, url, body, headers);
    const all2 = body.size === void 0 ? body.byteLength : body.size;
    const isTold = this.listeners.Progress.length && all2 !== void 0;
    const sent = isTold ? Object.assign({}, how, { body: told2(this, body, all2), duplex: "half" }) : how;
    return super.fetched(url, sent, read);
  }
  /** The bytes of a reply, as they come. */
  async whole(reply) {
    this.headed(reply.status, reply.headers);
    const isPlain = !reply.headers.get("content-encoding");
    const all2 = isPlain ? Number(reply.headers.get("content-length")) || 0 : 0;
    if (!reply.body || !this.listeners.Progress.length) return reply.arrayBuffer();
    const pieces = [];
    let length = 0;
    const reader = reply.body.getReader();
    for (; ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      pieces.push(value);
      length += value.length;
      this.came("Written", length, all2);
    }
    const data = new Uint8Array(length);
    let at = 0;
    for (const piece of pieces) {
      data.set(piece, at);
      at += piece.length;
    }
    return data.buffer;
  }
};
function told2(carriage, content, all2) {
  const bytes2 = ArrayBuffer.isView(content) ? new Uint8Array(content.buffer, content.byteOffset, content.byteLength) : content;
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      const end = Math.min(at + PIECE, all2);
      if (at === end) return controller.close();
      const piece = bytes2.slice(at, end);
      const buffer = piece.arrayBuffer ? await piece.arrayBuffer() : piece;
      controller.enqueue(new Uint8Array(buffer));
      at = end;
      carriage.came("Sent", at, all2);
    }
  });
}
function byPage(carriage, url, content, header) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const { signal } = carriage.ending;
    request.open("PUT", url);
    for (const name of Object.keys(header || {})) request.setRequestHeader(name, header[name]);
    request.upload.onprogress = ({ loaded, total }) => carriage.came("Sent", loaded, total);
    request.onreadystatechange = () => {
      if (request.readyState !== XMLHttpRequest.HEADERS_RECEIVED) return;
      const lines = request.getAllResponseHeaders().trim().split("\r\n");
      const headers = lines.filter(Boolean).map((line) => /^([^:]*): ?(.*)$/.exec(line).slice(1));
      carriage.headed(request.status, new Headers(headers));
    };
    request.onload = () => resolve({ statusCode: request.status, data: request.responseText });
    request.onerror = () => reject(failure("the server cannot be reached, or does not allow this page"));
    request.onabort = () => reject(failure("abort"));
    signal.addEventListener("abort", () => request.abort());
    if (signal.aborted) return reject(failure("abort"));
    request.send(content);
  });
}

// src/index.mjs
var {
  init,
  install: install2,
  callFunction,
  database: database2,
  uploadFile,
  downloadFile,
  getTempFileURL,
  deleteFile,
  cloudUrl: cloudUrl2,
  CloudID: CloudID2,
  CDN: CDN2,
  Cloud: Cloud2
} = entry({ Carriage: TellingCarriage, database });
