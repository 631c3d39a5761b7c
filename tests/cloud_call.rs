//! Cloud calls through the unmodified wx-server-sdk, every generation of it with one and the same function.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Dev, PATIENCE, Scratch, User, eventually, soon, text};

const VERSIONS: [&str; 4] = ["1.8.3", "2.6.3", "3.0.4", "4.0.2"];

/// Does what the event says: one step, or several. What a step throws is what the caller wants to see.
const STEPS: &str = r"
const cloud = require('wx-server-sdk');
cloud.init({ env: cloud.DYNAMIC_CURRENT_ENV });

const plain = (value) => Buffer.isBuffer(value)
  ? { length: value.length, magic: value.subarray(0, 4).toString('hex') }
  : value;

async function step({ api, options, params, media, call }) {
  if (media) params = { ...params, media: { contentType: media, value: Buffer.from('89504e470d0a1a0a', 'hex') } };
  if (call) return cloud[call](params);
  const root = options ? cloud.openapi(options) : cloud.openapi;
  return api.split('.').reduce((at, name) => at[name], root)(params);
}

exports.main = async ({ steps }) => {
  const results = [];
  for (const one of steps) {
    try {
      const got = await step(one);
      results.push({ got: Object.fromEntries(Object.entries(got).map(([key, value]) => [key, plain(value)])) });
    } catch (error) {
      results.push({ errCode: error.errCode, errMsg: error.errMsg, message: error.message });
    }
  }
  return results;
};
";

const INNER: &str = r"
const cloud = require('wx-server-sdk');
cloud.init();
exports.main = async (event) => ({ event, wx: cloud.getWXContext(), big: 12345678901234567890n.toString() });
";

const PERMISSIONS: [&str; 7] = [
    "subscribeMessage.send",
    "templateMessage.send",
    "wxacode.getUnlimited",
    "security.imgSecCheck",
    "security.msgSecCheck",
    "cloudbase.getOpenData",
    "officialAccount.user.getInfo",
];

fn name(version: &str) -> String {
    format!("v{}", version.replace('.', "_"))
}

/// A function of this name with this version of the SDK and these permissions.
fn function(project: &Scratch, name: &str, version: &str, source: &str, permissions: &[&str]) {
    project.write(&format!("cloudfunctions/{name}/index.js"), source);
    let manifest = json!({"name": name, "dependencies": {"wx-server-sdk": version}});
    project.write(
        &format!("cloudfunctions/{name}/package.json"),
        &manifest.to_string(),
    );
    permit(project, name, permissions);
}

fn permit(project: &Scratch, name: &str, permissions: &[&str]) {
    let config = json!({"permissions": {"openapi": permissions}});
    project.write(&format!("cloudfunctions/{name}/config.json"), &config.to_string());
}

/// A project with the same function in every version.
fn every_version() -> Scratch {
    let project = Scratch::new(&[]);
    for version in VERSIONS {
        function(&project, &name(version), version, STEPS, &PERMISSIONS);
    }
    function(&project, "inner", "4.0.2", INNER, &[]);
    project
}

async fn steps(user: &User<'_>, function: &str, steps: Value) -> Vec<Value> {
    let results = user.result(function, json!({ "steps": steps }), &[]).await;
    serde_json::from_value(results).unwrap()
}

/// What a refusal of the cloud's own looks like in a function: `errCode`, `errMsg` and `message`.
fn refused(code: i32, text: &str) -> Value {
    json!({
        "errCode": code,
        "errMsg": format!("system error: error code: {code}"),
        "message": format!("errCode: {code} {text} | errMsg: system error: error code: {code}"),
    })
}

/// Whether a step failed with WeChat's own errcode and text, which ends with an id of the request.
fn failed(step: &Value, api: &str, code: i32, text: &str) {
    assert_eq!(step["errCode"], code, "{step}");
    let message = step["errMsg"].as_str().unwrap();
    let rest = message.strip_prefix(&format!("openapi.{api}:fail {text} rid: "));
    assert_eq!(rest.map(str::len), Some(26), "{message}");
}

/// What the SDK is not asked for: a function that has the real app's AppSecret in its code, and asks WeChat's API itself.
const BY_ITSELF: &str = r"
const https = require('https');
const API = 'https://api.weixin.qq.com';
const SECRET = '0123456789abcdef0123456789abcdef';
const ask = (path, body) => new Promise((resolve, reject) => {
  const options = { method: body ? 'POST' : 'GET', headers: { 'content-type': 'application/json' } };
  const request = https.request(API + path, options, (answer) => {
    const parts = [];
    answer.on('data', (part) => parts.push(part));
    answer.on('end', () => resolve([answer.headers['content-type'], Buffer.concat(parts)]));
  });
  request.on('error', reject);
  request.end(body && JSON.stringify(body));
});
exports.main = async ({ appid, code }) => {
  const app = `appid=${appid}&secret=${SECRET}`;
  const session = await ask(`/sns/jscode2session?${app}&js_code=${code}&grant_type=authorization_code`);
  const tokens = await fetch(`${API}/cgi-bin/token?${app}&grant_type=client_credential`);
  const { access_token } = await tokens.json();
  const [kind, image] = await ask(`/wxa/getwxacodeunlimit?access_token=${access_token}`, { scene: 'a=1' });
  const stale = await ask('/wxa/getwxacodeunlimit?access_token=old', { scene: 'a=1' });
  return {
    openid: JSON.parse(session[1]).openid,
    image: [kind, image.subarray(1, 4).toString()],
    stale: JSON.parse(stale[1]).errcode,
  };
};
";

#[tokio::test]
async fn what_a_function_asks_of_wechat_by_itself_is_answered_by_the_simulated_one() {
    let project = Scratch::new(&[("asks", BY_ITSELF)]);
    let dev = Dev::start(project.path());
    let app = dev.get_sim("app").await;
    let users = dev.get_sim("users").await;
    let alice = dev.login("alice").await;
    // Whoever cloned the project has an appid of their own in project.config.json, and the author's in the code.
    for appid in [text(&app["appid"]), "wx00000000000000ff".to_owned()] {
        let code = dev.wx("alice", "login").await["code"].clone();
        let got = alice
            .result("asks", json!({"appid": appid, "code": code}), &[])
            .await;
        assert_eq!(
            got,
            json!({"openid": users["users"][0]["openid"], "image": ["image/png", "PNG"], "stale": 40001})
        );
    }
    dev.server
        .prints("a function asks /cgi-bin/token as the appid \"wx00000000000000ff\"");
}

#[tokio::test]
async fn messages_are_sent_with_no_access_token_in_sight() {
    let project = every_version();
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let template = dev
        .sim(
            "templates",
            json!({"title": "订单", "content": "名称:{{thing1.DATA}}", "type": 2}),
        )
        .await;
    let template = text(&template["priTmplId"]);
    // The id of a template in a project's source, which `dev` takes for one of the app's.
    let of_elsewhere = "of-elsewhere";
    for version in VERSIONS {
        dev.sim(
            "client",
            json!({"user": "alice", "api": "requestSubscribeMessage", "tmplIds": [template, of_elsewhere]}),
        )
        .await;
        let message = |template: &str| {
            json!({"api": "subscribeMessage.send", "params": {"touser": alice.openid, "page": "index", "lang": "zh_CN",
                "templateId": template, "miniprogramState": "developer", "data": {"thing1": {"value": "云桥"}}}})
        };
        let got = steps(
            &alice,
            &name(version),
            json!([
                message(&template),
                message(&template),
                message("no template"),
                message(of_elsewhere),
                {"api": "templateMessage.send", "params": {"touser": alice.openid, "formId": "F", "page": "index",
                    "templateId": "T", "data": {"keyword1": {"value": "v"}}}},
            ]),
        )
        .await;
        let ok = |api: &str| json!({"errCode": 0, "errMsg": format!("openapi.{api}:ok")});
        assert_eq!(got[0]["got"], ok("subscribeMessage.send"), "{version}");
        failed(
            &got[1],
            "subscribeMessage.send",
            43101,
            "user refuse to accept the msg",
        );
        failed(&got[2], "subscribeMessage.send", 40037, "invalid template_id");
        assert_eq!(got[3]["got"], ok("subscribeMessage.send"), "{version}");
        assert_eq!(got[4]["got"]["errCode"], 0, "{version}: {}", got[4]);
    }
    let outbox = dev.get_sim("outbox").await;
    let sent: Vec<&Value> = outbox["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|item| item["api"] == "subscribeMessage.send")
        .collect();
    assert_eq!(sent.len(), 2 * VERSIONS.len(), "{outbox}");
    for (at, item) in sent.into_iter().enumerate() {
        assert_eq!(
            (&item["to"], &item["simulated"]),
            (&json!(alice.openid), &json!(true))
        );
        let sent_by = [template.as_str(), of_elsewhere][at % 2];
        assert_eq!(item["body"]["template_id"], sent_by, "snake case on the wire");
        assert_eq!(item["body"]["data"], json!({"thing1": {"value": "云桥"}}));
    }
}

#[tokio::test]
async fn files_go_and_come() {
    let project = every_version();
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    for version in VERSIONS {
        let got = steps(
            &alice,
            &name(version),
            json!([
                {"api": "wxacode.getUnlimited", "params": {"scene": "a=1", "page": "pages/index/index", "lineColor": {"r": 1, "g": 2, "b": 3}}},
                {"api": "security.imgSecCheck", "media": "image/png", "params": {}},
                {"api": "security.msgSecCheck", "params": {"content": "你好"}},
            ]),
        )
        .await;
        let code = &got[0]["got"];
        assert_eq!(code["errCode"], 0, "{version}: {code}");
        assert_eq!(code["contentType"], "image/png", "{version}: {code}");
        assert_eq!(code["buffer"]["magic"], "89504e47", "{version}: {code}");
        assert!(
            code["buffer"]["length"].as_u64().unwrap() > 500,
            "{version}: {code}"
        );
        for (step, api) in [
            (&got[1], "security.imgSecCheck"),
            (&got[2], "security.msgSecCheck"),
        ] {
            let errors = json!([step["got"]["errCode"], step["got"]["errMsg"]]);
            assert_eq!(
                errors,
                json!([0, format!("openapi.{api}:ok")]),
                "{version}: {step}"
            );
        }
    }
    let outbox = dev.get_sim("outbox").await;
    let image = outbox["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|item| item["api"] == "security.imgSecCheck");
    assert!(image.unwrap().to_string().contains("media.png"), "{outbox}");
}

#[tokio::test]
async fn open_data_is_redeemed_from_inside_a_function() {
    let project = every_version();
    let dev = Dev::start(project.path());
    let (alice, bob) = (dev.login("alice").await, dev.login("bob").await);
    let expired = dev.wx("alice", "getWeRunData").await["cloudID"].take();
    dev.sim("clock", json!({"advance": 301})).await;
    let phone = dev.wx("alice", "getPhoneNumber").await;
    let (good, foreign) = (&phone["cloudID"], &dev.wx("bob", "getWeRunData").await["cloudID"]);
    let (status, ticket) = alice
        .exchange(json!({"encryptedData": phone["encryptedData"], "iv": phone["iv"]}))
        .await;
    assert_eq!(status, 200, "{ticket}");
    let ticket = &ticket["cloudID"];
    assert_ne!(alice.openid, bob.openid);
    let list = json!([good, expired, foreign, ticket, "nonsense"]);
    let codes = |items: &Value, of: fn(&Value) -> Value| -> Vec<Value> {
        let items = items.as_array().unwrap().iter();
        items
            .map(of)
            .map(|item| item.get("errCode").cloned().unwrap_or_default())
            .collect()
    };
    let expected = json!([null, -601006, -601007, null, -601005]);

    for version in VERSIONS {
        let got = steps(
            &alice,
            &name(version),
            json!([
                {"call": "getOpenData", "params": {"list": list}},
                {"api": "cloudbase.getOpenData", "params": {"openid": alice.openid, "cloudidList": list}},
                {"api": "cloudbase.getOpenData", "params": {"cloudidList": [good]}},
            ]),
        )
        .await;
        let (items, answer) = (&got[0]["got"]["list"], &got[1]["got"]);
        assert_eq!(json!(codes(items, Value::clone)), expected, "{version}: {items}");
        assert_eq!(
            items[1],
            json!({"cloudID": expired, "errCode": -601006, "errMsg": "cloudID expired."})
        );
        for (at, id) in [(0, good), (3, ticket)] {
            assert_eq!(&items[at]["cloudID"], id, "{version}");
            assert!(items[at]["data"]["phoneNumber"].is_string(), "{version}: {items}");
        }
        assert_eq!(got[0]["got"]["errMsg"], "getOpenData:ok", "{version}");

        let parsed = |item: &Value| serde_json::from_str(item["json"].as_str().unwrap()).unwrap();
        assert_eq!(
            json!(codes(&answer["dataList"], parsed)),
            expected,
            "{version}: {answer}"
        );
        assert_eq!(
            &answer["dataList"][3]["cloudId"], ticket,
            "{version}: in the order of the list"
        );
        // The caller's openid need not be given.
        let one = &got[2]["got"]["dataList"];
        assert_eq!(
            parsed(&one[0])["data"]["phoneNumber"],
            items[0]["data"]["phoneNumber"]
        );
    }
}

#[tokio::test]
async fn what_may_not_be_called_is_refused_as_on_the_platform() {
    let project = every_version();
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    for version in VERSIONS {
        let got = steps(
            &alice,
            &name(version),
            json!([
                {"api": "subscribMessage.send", "params": {}},
                {"api": "logistics.testUpdateOrder", "params": {}},
                {"api": "wxacode.get", "params": {"path": "index"}},
                {"api": "security.msgSecCheck", "options": {"appid": "wxfedcba9876543210"}, "params": {"content": "x"}},
            ]),
        )
        .await;
        let not_found = refused(-604100, "API not found");
        let forbidden = refused(-604101, "function has no permission to call this API");
        assert_eq!(
            got[..3],
            [not_found.clone(), not_found, forbidden.clone()],
            "{version}"
        );
        // `openapi({appid})` is younger than 1.8.3, which ignores it.
        if version != "1.8.3" {
            assert_eq!(got[3], forbidden, "{version}");
        }

        let steps = json!([
            {"api": "security.msgSecCheck", "params": {"content": "x"}},
            {"call": "getOpenData", "params": {"list": ["x"]}},
        ]);
        let got = dev
            .invoke(
                &name(version),
                json!({"data": {"steps": steps}, "source": "wx_crawler"}),
            )
            .await;
        // 1.8.3 has no text for this one.
        let text = if version == "1.8.3" {
            ""
        } else {
            "illegal source of invocation"
        };
        assert_eq!(got[0], refused(-604104, text), "{version}");
        assert_eq!(
            got[1]["errCode"], -604104,
            "{version}: there is no user: {}",
            got[1]
        );
        let got = dev
            .invoke(
                &name(version),
                json!({"data": {"steps": steps}, "source": "wx_trigger"}),
            )
            .await;
        assert_eq!(got[0]["got"]["errCode"], 0, "{version}: {}", got[0]);
    }
    let printed = dev.server.printed();
    for mend in [
        "did you mean subscribeMessage.send?",
        "the API has no cloud call",
        "add \"wxacode.get\" to permissions.openapi in ",
        "cloudfunctions/v4_0_2/config.json",
        "[apps.wxfedcba9876543210] of yunqiao.toml",
        "no cloud calls can be made where the function was called by wx_crawler",
    ] {
        assert!(printed.contains(mend), "{mend}: {printed}");
    }
}

#[tokio::test]
async fn a_function_calls_a_function() {
    let project = every_version();
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    for version in VERSIONS {
        let call =
            |name: &str, data: Value| json!({"call": "callFunction", "params": {"name": name, "data": data}});
        let nested = json!([call("inner", json!({"deep": 1}))]);
        let got = steps(
            &alice,
            &name(version),
            json!([
                call(
                    "inner",
                    json!({"a": 1, "text": "中\u{0}😀", "userInfo": {"openId": "somebody"}})
                ),
                call(&name("4.0.2"), json!({"steps": nested})),
                call("nobody", json!({})),
            ]),
        )
        .await;
        let result = &got[0]["got"]["result"];
        assert_eq!(got[0]["got"]["errMsg"], "callFunction:ok", "{version}");
        assert_eq!(
            result["event"],
            json!({"a": 1, "text": "中\u{0}😀", "userInfo": {"appId": crate::support::APPID, "openId": alice.openid},
                "tcbContext": {}}),
            "{version}: the platform's own fields are the platform's"
        );
        assert_eq!(result["wx"]["OPENID"], alice.openid, "{version}");
        assert_eq!(result["wx"]["SOURCE"], "wx_client,scf", "{version}");
        let deep = &got[1]["got"]["result"][0]["got"]["result"];
        assert_eq!(deep["wx"]["SOURCE"], "wx_client,scf,scf", "{version}: {}", got[1]);
        assert_eq!(deep["event"]["deep"], 1, "{version}");
        // From 4.0 on the SDK says -1 for all failures of callFunction, and keeps the string.
        let code = if version == "4.0.2" { -1 } else { -501001 };
        assert_eq!(got[2]["errCode"], code, "{version}: {}", got[2]);
        let message = text(&got[2]["errMsg"]);
        assert!(
            message.contains("FunctionName parameter could not be found"),
            "{version}: {message}"
        );
    }
}

/// Up to 0.1.4 the SDK sends no token where it calls a function: the one call that its worker runs is the one that asks.
#[tokio::test]
async fn the_oldest_sdks_call_functions_without_a_token() {
    const CALLS: &str = r"
const cloud = require('wx-server-sdk');
cloud.init();
const meeting = () => {
  let there = 0, begin;
  const both = new Promise((done) => { begin = done; });
  return () => { if (++there === 2) begin(); return both; };
};
const [before, after] = [meeting(), meeting()];
exports.main = async ({ name, late, two }) => {
  const call = () => cloud.callFunction({ name, data: { deep: 1 } }).then(({ result }) => result, (error) => String(error.message || error.errMsg));
  if (late) { setTimeout(() => call().then(console.log), 0); return; }
  if (!two) return await call();
  // Both are under way when each of them asks.
  await before();
  const got = await call();
  await after();
  return got;
};";
    let project = Scratch::new(&[]);
    function(&project, "inner", "4.0.2", INNER, &[]);
    let versions = ["0.0.27", "0.1.4"];
    for version in versions {
        function(&project, &name(version), version, CALLS, &[]);
    }
    function(&project, "several", "0.1.4", CALLS, &[]);
    project.write(
        "yunqiao.toml",
        "[functions.several]\nconcurrency = 2\nmax_instances = 1\n",
    );
    let dev = Dev::start(project.path());
    let (alice, bob) = (dev.login("alice").await, dev.login("bob").await);
    for user in [&alice, &bob] {
        for version in versions {
            let name = name(version);
            let got = user.result(&name, json!({"name": "inner"}), &[]).await;
            assert_eq!(got["event"]["deep"], 1, "{version}: {got}");
            assert_eq!(got["wx"]["OPENID"], user.openid, "{version}: {got}");
            assert_eq!(got["wx"]["SOURCE"], "wx_client,scf", "{version}: {got}");
            let got = user.result(&name, json!({"name": "nobody"}), &[]).await;
            let message = text(&got);
            assert!(
                message.contains("FunctionName parameter could not be found"),
                "{version}: {message}"
            );
        }
    }
    // Where nothing runs, or more than one call, nobody can be said to ask.
    alice
        .result("v0_1_4", json!({"name": "inner", "late": true}), &[])
        .await;
    dev.server.prints_soon("Invalid wxCloudApiToken").await;
    let two = |user| json!({"name": "inner", "two": true, "user": user});
    let (one, other) = tokio::join!(
        alice.result("several", two("alice"), &[]),
        bob.result("several", two("bob"), &[])
    );
    for got in [&one, &other] {
        let told = got.as_str().unwrap_or_default();
        assert!(told.contains("Invalid wxCloudApiToken"), "{got}");
    }
}

#[tokio::test]
async fn what_is_not_served_yet_says_so_in_its_own_code_space() {
    let project = Scratch::new(&[]);
    const ASKS: &str = r"
const cloud = require('wx-server-sdk');
cloud.init();
const attempt = (made) => Promise.resolve().then(made).then((got) => ({ got }), ({ errCode, errMsg, code }) => ({ errCode, errMsg, code }));
exports.main = async () => ({
  pay: await attempt(() => cloud.cloudPay.queryOrder({ outTradeNo: '1' })),
  sign: await attempt(() => cloud.getCloudCallSign({ parameterList: ['a'] })),
});";
    for version in VERSIONS {
        function(&project, &name(version), version, ASKS, &[]);
    }
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    for version in VERSIONS {
        let got = alice.result(&name(version), json!({}), &[]).await;
        // 1.8.3 has neither.
        if version == "1.8.3" {
            continue;
        }
        for what in ["pay", "sign"] {
            let message = text(&got[what]["errMsg"]);
            assert!(message.contains("not served yet"), "{version} {what}: {got}");
            assert_eq!(got[what]["errCode"], -501009, "{version} {what}: {got}");
        }
        // Whoever runs it is told as well, though the function may swallow it.
        for what in ["cloudPay.queryOrder", "getCloudCallSign"] {
            dev.server.prints(&format!("{what} in {}", name(version)));
        }
        dev.server.prints("nothing was ordered, paid or refunded");
    }
}

/// What is begun and not awaited is done all the same, once the call has ended: many functions end so.
#[tokio::test]
async fn what_is_not_awaited_is_done_and_its_line_told() {
    const LATE: &str = r"
const cloud = require('wx-server-sdk');
cloud.init();
const logs = cloud.database().collection('logs');
const told = (error) => console.error('late: ' + error.message);
exports.main = async ({ asks, by }) => {
  if (asks === 'database') { logs.add({ data: { by } }).catch(told); return; }
  // A timer comes after the answer, which is given as soon as nothing else is to do.
  if (asks === 'function') { setTimeout(() => cloud.callFunction({ name: 'writes', data: { by } }).catch(told), 0); return; }
  return (await logs.where({ by }).get()).data;
};";
    const WRITES: &str = r"
const cloud = require('wx-server-sdk');
cloud.init();
exports.main = async ({ by }) => cloud.database().collection('logs').add({ data: { by, for: cloud.getWXContext().OPENID } });";
    let project = Scratch::new(&[]);
    for version in ["2.6.3", "4.0.2"] {
        function(&project, &name(version), version, LATE, &[]);
    }
    function(&project, "reads", "4.0.2", LATE, &[]);
    function(&project, "writes", "4.0.2", WRITES, &[]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let written = async |by: &str, number: usize| {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let found = alice.result("reads", json!({ "by": by }), &[]).await;
            if found.as_array().map(Vec::len) == Some(number) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{by}: {}", dev.server.printed())
    };
    for (version, asks) in [
        ("2.6.3", "database"),
        ("4.0.2", "database"),
        ("2.6.3", "function"),
        ("4.0.2", "function"),
    ] {
        let function = name(version);
        let by = format!("{asks} {version}");
        let (status, answer) = alice.call(&function, json!({ "asks": asks, "by": by })).await;
        assert_eq!(status, 200, "{answer}");
        let found = written(&by, 1).await;
        // What goes to the database may have left before the end of the call; a timer's request cannot.
        if asks == "function" {
            assert_eq!(found[0]["for"], alice.openid, "the caller stays who it was");
            let parts = [
                format!("{function} began a request to the cloud at "),
                format!("cloudfunctions/{function}/index.js:9:"),
            ];
            let is_told = || {
                let printed = dev.server.printed();
                let mut lines = printed.lines();
                lines.any(|told| parts.iter().all(|part| told.contains(part)))
            };
            eventually(is_told, || dev.server.printed());
        }
    }
    // Call upon call, so that the one is not sent yet when the next begins in the same process.
    for version in ["2.6.3", "4.0.2"] {
        for _ in 0..30 {
            let asked = json!({"asks": "database", "by": version});
            assert_eq!(alice.call(&name(version), asked).await.0, 200);
        }
        written(version, 30).await;
    }
    let printed = dev.server.printed();
    assert!(!printed.contains("late: "), "{printed}");
}

#[tokio::test]
async fn a_cold_start_fetches_one_token_and_a_refused_one_costs_one_more() {
    const MANY: &str = r"
const cloud = require('wx-server-sdk');
cloud.init();
exports.main = async () => {
  const calls = Array.from({ length: 200 }, (_, n) => cloud.openapi.security.msgSecCheck({ content: String(n) }));
  const results = await Promise.allSettled(calls);
  return results.filter(({ status }) => status !== 'fulfilled').map(({ reason }) => reason.message);
};";
    let project = Scratch::new(&[]);
    function(&project, "many", "4.0.2", MANY, &["security.msgSecCheck"]);
    project.write("yunqiao.toml", "[functions.many]\ntimeout = 20\n");
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    // A fault that only counts: it slows the token's request down, which gives all of them the time to ask for one.
    let count = json!({"api": "/cgi-bin/stable_token", "kind": "latency", "value": 100, "next": 1000});
    dev.sim("faults", count).await;
    let fetched = async || {
        dev.get_sim("faults").await["faults"][0]["fired"]
            .as_u64()
            .unwrap()
    };
    assert_eq!(alice.result("many", json!({}), &[]).await, json!([]));
    assert_eq!(fetched().await, 1);
    let refusal = json!({"api": "security.msgSecCheck", "kind": "errcode", "value": 40001, "next": 1});
    dev.sim("faults", refusal).await;
    assert_eq!(alice.result("many", json!({}), &[]).await, json!([]));
    // One refresh, of two requests: the fault apart the token is good, so WeChat offers it again and has to be urged.
    assert_eq!(fetched().await, 3);
}

#[tokio::test]
async fn permissions_are_read_again_and_kept_if_asked_to() {
    let project = Scratch::new(&[]);
    function(&project, "f", "4.0.2", STEPS, &["nothing.ofThisName"]);
    project.write("yunqiao.toml", "[permissions]\ncache = \"10m\"\n");
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let code = async || {
        let check = json!([{"api": "security.msgSecCheck", "params": {"content": "x"}}]);
        let got = steps(&alice, "f", check).await;
        got[0]["errCode"]
            .as_i64()
            .or(got[0]["got"]["errCode"].as_i64())
            .unwrap()
    };
    assert_eq!(code().await, -604101);
    permit(&project, "f", &["security.msgSecCheck"]);
    dev.server.prints("reloaded");
    assert_eq!(code().await, -604101, "as on the platform, for ten minutes");
    dev.sim("clock", json!({"advance": 601})).await;
    assert_eq!(code().await, 0);
}

#[tokio::test]
async fn another_app_of_the_owner_has_its_own_token() {
    let project = Scratch::new(&[]);
    function(&project, "f", "4.0.2", STEPS, &PERMISSIONS);
    project.write(
        "yunqiao.toml",
        "[apps.wxfedcba9876543210]\nsecret_file = \"other.secret\"\n",
    );
    project.write("other.secret", "the other's AppSecret\n");
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let other = json!({"appid": "wxfedcba9876543210"});
    let got = steps(
        &alice,
        "f",
        json!([
            {"api": "security.msgSecCheck", "options": other, "params": {"content": "x"}},
            {"api": "security.msgSecCheck", "options": {"convertCase": false, "version": "v2"}, "params": {"content": "x"}},
            {"api": "security.msgSecCheck", "options": {"appid": crate::support::APPID}, "params": {"content": "x"}},
        ]),
    )
    .await;
    for step in &got {
        let step = &step["got"];
        assert!(step["errCode"] == 0 || step["errcode"] == 0, "{got:?}");
    }
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_to_wechat_is_mended_or_told_in_time() {
    let project = Scratch::new(&[]);
    function(&project, "f", "4.0.2", STEPS, &PERMISSIONS);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let image = json!([{"api": "security.imgSecCheck", "media": "image/jpeg", "params": {}}]);
    for (kind, value, next) in [("errcode", 40001, 1), ("errcode", 42001, 1), ("errcode", -1, 2)] {
        let fault = json!({"api": "security.imgSecCheck", "kind": kind, "value": value, "next": next});
        dev.sim("faults", fault).await;
        let got = steps(&alice, "f", image.clone()).await;
        assert_eq!(got[0]["got"]["errCode"], 0, "{value}: {}", got[0]);
    }
    let outbox = dev.get_sim("outbox").await;
    let images: Vec<&Value> = outbox["items"].as_array().unwrap().iter().collect();
    assert_eq!(images.len(), 3, "each counted once, the file whole: {outbox}");
    assert!(
        images.iter().all(|item| item["body"] == images[0]["body"]),
        "{outbox}"
    );

    // The function has 3 seconds, and is told before they are over.
    let fault = json!({"api": "security.msgSecCheck", "kind": "latency", "value": 10_000, "next": 1});
    dev.sim("faults", fault).await;
    let check = json!([{"api": "security.msgSecCheck", "params": {"content": "x"}}]);
    let got = steps(&alice, "f", check.clone()).await;
    assert_eq!(got[0], refused(-604102, "call open API timeout"));
    let fault = json!({"api": "security.msgSecCheck", "kind": "cut", "next": 1});
    dev.sim("faults", fault).await;
    let got = steps(&alice, "f", check).await;
    assert_eq!(got[0], refused(-604103, "call open API system error"));
}

#[tokio::test]
async fn the_older_way_and_voice_rooms_are_served_too() {
    let project = every_version();
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    for version in VERSIONS {
        let got = steps(
            &alice,
            &name(version),
            json!([
                {"call": "callOpenAPI", "params": {"api": "security.msgSecCheck", "data": {"content": "x"}}},
                {"call": "callOpenAPI", "params": {"api": "wxacode.get", "data": {"path": "x"}}},
                {"call": "getVoIPSign", "params": {"groupId": "g", "nonce": "n", "timestamp": 1700000000}},
            ]),
        )
        .await;
        assert_eq!(got[0]["got"]["result"]["errcode"], 0, "{version}: {}", got[0]);
        let forbidden = json!({"errcode": -604101, "errmsg": "function has no permission to call this API"});
        assert_eq!(got[1]["got"]["result"], forbidden, "{version}: {}", got[1]);
        let sign = &got[2]["got"];
        assert_eq!(sign["errMsg"], "getVoIPSign:ok", "{version}: {}", got[2]);
        assert_eq!(
            sign["signature"].as_str().map(str::len),
            Some(64),
            "{version}: {sign}"
        );
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_takes_nothing_from_the_function() {
    const SLOW: &str = r"
const cloud = require('wx-server-sdk');
cloud.init();
const fs = require('fs');
exports.main = async ({ file }) => {
  fs.writeFileSync(file + '.began', '');
  while (!fs.existsSync(file + '.left')) await new Promise((done) => setTimeout(done, 5));
  const { errCode } = await cloud.openapi.security.msgSecCheck({ content: 'x' });
  fs.writeFileSync(file, String(errCode));
};";
    let project = Scratch::new(&[]);
    function(&project, "slow", "4.0.2", SLOW, &["security.msgSecCheck"]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let file = project.path().join(".done");
    let beside = |ending| project.path().join(format!(".done{ending}"));
    tokio::select! {
        _ = alice.call("slow", json!({"file": file})) => panic!("the call ended before its client left"),
        () = soon(|| beside(".began").exists(), || dev.server.printed()) => {}
    }
    std::fs::write(beside(".left"), "").unwrap();
    eventually(
        || std::fs::read(&file).is_ok_and(|code| code == b"0"),
        || dev.server.printed(),
    );
    dev.server.prints("slow ");
}
