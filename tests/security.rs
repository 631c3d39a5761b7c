//! Each door that `docs/security.md` names, tried by who should not come in.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{CSP, Dev, OPERATOR_SECRET, Scratch, text};

const SDK: &str = "const cloud = require('wx-server-sdk'); cloud.init();\n";

/// Gives all that it was given, and all that lies about.
const LOOKS_AROUND: &str = r"
const fs = require('fs');
const { execFileSync } = require('child_process');
const read = (file) => { try { return fs.readFileSync(file, 'latin1'); } catch (error) { return String(error); } };
const atLoad = { ...process.env };
exports.main = async (event, context) => ({
  env: { ...process.env }, atLoad, context: { ...context, left: undefined }, argv: process.argv,
  environ: ['self', process.ppid].map((pid) => [read(`/proc/${pid}/environ`), read(`/proc/${pid}/cmdline`)]),
  child: execFileSync('env', { encoding: 'utf8' }),
  folder: fs.readdirSync(process.env.TMPDIR), files: fs.readdirSync(__dirname),
  globals: Object.getOwnPropertyNames(globalThis),
});";

/// Asks for a token in the ways that there are to ask.
const ASKS: &str = r"
const attempt = (made) => Promise.resolve().then(made).then(
  (got) => ({ got }), (error) => ({ errCode: error.errCode, errMsg: error.errMsg, stack: error.stack }));
const get = (url, options) => fetch(url, options).then(async (reply) => ({ status: reply.status, body: await reply.text() }));
exports.main = async ({ gateway, operator }) => ({
  calls: await Promise.all([
    () => cloud.openapi.auth.getAccessToken({ grantType: 'client_credential' }),
    () => cloud.openapi.auth.getStableAccessToken({}),
    () => cloud.openapi.auth.code2Session({ jsCode: 'x' }),
    () => cloud.openapi.token.get({}),
    () => cloud.callOpenAPI({ api: 'token.get', data: { grant_type: 'client_credential' } }),
    () => cloud.openapi.security.msgSecCheck({ content: 'x', accessToken: 'mine' }),
  ].map(attempt)),
  doors: await Promise.all([
    () => get(`${gateway}/admin`, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }),
    () => get(`${operator}/operator/access-token`),
    () => get(`${operator}/operator/access-token`, { headers: { authorization: 'Bearer ' } }),
    () => get(`${operator}/operator/access-token`, { headers: { authorization: `Bearer ${process.env.WX_API_TOKEN}` } }),
    () => get(`${operator}/operator/wx/cgi-bin/stable_token`, { method: 'POST', body: '{}' }),
    () => get(`${operator}/operator/functions/asks`, { method: 'POST', body: '{}' }),
  ].map(attempt)),
});";

/// Speaks with what is not its own.
const BORROWS: &str = r"
const fs = require('fs');
const http = require('http');
const path = require('path');
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const check = () => cloud.openapi.security.msgSecCheck({ content: 'x' }).then(() => 0, ({ errCode }) => errCode);
const swapped = async (name, value) => {
  const own = process.env[name];
  process.env[name] = value;
  try { return await check(); } finally { process.env[name] = own; }
};
const knock = (socketPath) => new Promise((done) => {
  const request = http.request({ socketPath, path: '/admin', method: 'POST' }, (reply) => done(reply.statusCode));
  request.on('error', ({ code }) => done(code));
  request.end('{}');
});
let kept = '';
exports.main = async ({ lend, borrow }) => {
  if (lend) {
    fs.writeFileSync(lend, JSON.stringify([process.env.WX_API_TOKEN, process.env.TENCENTCLOUD_SECRETID, process.env.TENCENTCLOUD_SECRETKEY]));
    while (fs.existsSync(lend)) await wait(10);
    return { mine: await check() };
  }
  const before = kept;
  kept = process.env.WX_API_TOKEN;
  if (!borrow) return { mine: await check() };
  const [token, id, key] = JSON.parse(fs.readFileSync(borrow));
  const home = path.dirname(process.env.TMPDIR);
  const own = `${path.basename(process.env.TMPDIR)}.socket`;
  const sockets = fs.readdirSync(home).filter((name) => /^worker-.*\.socket$/.test(name) && name !== own);
  const results = {
    mine: await check(),
    ended: await swapped('WX_API_TOKEN', before),
    another: await swapped('WX_API_TOKEN', token),
    none: await swapped('WX_API_TOKEN', ''),
    key: await swapped('TENCENTCLOUD_SECRETKEY', key),
    sockets: await Promise.all(sockets.map((name) => knock(path.join(home, name)))),
  };
  const own_id = process.env.TENCENTCLOUD_SECRETID;
  process.env.TENCENTCLOUD_SECRETID = id;
  results.pair = await swapped('TENCENTCLOUD_SECRETKEY', key);
  process.env.TENCENTCLOUD_SECRETID = own_id;
  fs.unlinkSync(borrow);
  return results;
};";

fn project(name: &str, source: &str) -> Scratch {
    let project = Scratch::new(&[]);
    function(&project, name, source);
    project
}

fn function(project: &Scratch, name: &str, source: &str) {
    project.write(
        &format!("cloudfunctions/{name}/index.js"),
        &format!("{SDK}{source}"),
    );
    let manifest = json!({"name": name, "dependencies": {"wx-server-sdk": "4.0.2"}});
    project.write(
        &format!("cloudfunctions/{name}/package.json"),
        &manifest.to_string(),
    );
    let config = json!({"permissions": {"openapi": ["security.msgSecCheck", "auth.getAccessToken", "auth.getStableAccessToken",
        "auth.code2Session", "token.get"]}});
    project.write(&format!("cloudfunctions/{name}/config.json"), &config.to_string());
}

/// `/operator/access-token`, for who has the secret.
async fn access_token(dev: &Dev) -> Value {
    let request = dev.operate(Method::GET, "access-token");
    request.send().await.unwrap().json().await.unwrap()
}

/// What nobody but the server and the operator may see.
async fn secrets(dev: &Dev) -> Vec<String> {
    let secrets = vec![
        text(&access_token(dev).await["access_token"]),
        text(&dev.get_sim("app").await["secret"]),
        OPERATOR_SECRET.to_owned(),
    ];
    assert!(secrets.iter().all(|secret| secret.len() >= 16));
    secrets
}

fn tells_nothing(text: &str, secrets: &[String]) {
    for secret in secrets {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn a_function_is_given_no_token_and_finds_none() {
    let project = project("looks", LOOKS_AROUND);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let secrets = secrets(&dev).await;
    let seen = alice.result("looks", json!({}), &[]).await;
    assert!(
        seen["child"].as_str().unwrap().contains("WX_API_TOKEN="),
        "{seen}"
    );
    tells_nothing(&seen.to_string(), &secrets);
}

#[tokio::test]
async fn a_function_asks_for_a_token_in_vain() {
    let project = project("asks", ASKS);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let secrets = secrets(&dev).await;
    let got = alice
        .result(
            "asks",
            json!({"gateway": dev.server.url, "operator": dev.operator}),
            &[],
        )
        .await;
    let codes: Vec<&Value> = got["calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| match &call["errCode"] {
            Value::Null if call["got"]["result"].is_object() => &call["got"]["result"]["errcode"],
            Value::Null => &call["got"]["errCode"],
            code => code,
        })
        .collect();
    // The last one may be made; the token that it brings is not used.
    assert_eq!(
        json!(codes),
        json!([-604100, -604100, -604100, -604100, -604100, 0]),
        "{got}"
    );
    let statuses: Vec<&Value> = got["doors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|door| &door["got"]["status"])
        .collect();
    assert_eq!(json!(statuses), json!([404, 401, 401, 401, 401, 401]), "{got}");
    tells_nothing(&got.to_string(), &secrets);
    // Nor does anything that went wrong tell it to whoever reads the log.
    tells_nothing(&dev.server.printed().replace(OPERATOR_SECRET, ""), &secrets[..2]);
}

#[tokio::test]
async fn what_is_anothers_is_worth_nothing() {
    let project = project("lender", BORROWS);
    function(&project, "borrower", BORROWS);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    assert_eq!(alice.result("borrower", json!({}), &[]).await, json!({"mine": 0}));
    let file = project.path().join(".lent");
    let path = file.to_str().unwrap();
    let lender = alice.result("lender", json!({"lend": path}), &[]);
    let borrower = async {
        while !std::fs::read(&file).is_ok_and(|lent| lent.ends_with(b"]")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        alice.result("borrower", json!({"borrow": path}), &[]).await
    };
    let (lender, mut borrower) = tokio::join!(lender, borrower);
    assert_eq!(lender, json!({"mine": 0}), "nothing was harmed");
    let sockets = borrower["sockets"].take();
    let (invalid_token, invalid_source) = (-501007, -501008);
    assert_eq!(
        borrower,
        json!({"mine": 0, "ended": invalid_token, "another": invalid_token, "none": invalid_token,
            "key": invalid_source, "pair": invalid_source, "sockets": null})
    );
    let sockets = sockets.as_array().unwrap();
    assert!(!sockets.is_empty(), "there is another worker");
    assert!(
        sockets
            .iter()
            .all(|answer| *answer == "ECONNRESET" || *answer == "EPIPE"),
        "{sockets:?}"
    );
}

#[tokio::test]
async fn a_web_page_of_another_origin_gets_nothing() {
    let project = Scratch::new(&[("f", "exports.main = () => 1")]);
    let dev = Dev::start(project.path());
    let secrets = secrets(&dev).await;
    let bearer = format!("Bearer {OPERATOR_SECRET}");
    let host = dev.operator.strip_prefix("http://").unwrap();
    let localhost = host.replace("127.0.0.1", "localhost");
    let own = format!("http://{host}");
    // Even a page that knows the secret: its origin, its name for this machine, or its browser give it away.
    type Page<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);
    let pages: [Page<'_>; 8] = [
        ("a script", &[("origin", "https://evil.example")], 403),
        ("a sandboxed frame", &[("origin", "null")], 403),
        ("a rebound name", &[("host", "evil.example:8789")], 403),
        (
            "a rebound name on our port",
            &[("host", &host.replace("127.0.0.1", "evil.example"))],
            403,
        ),
        ("an image or a form", &[("sec-fetch-site", "cross-site")], 403),
        (
            "another port of this machine",
            &[("origin", "http://127.0.0.1:1")],
            403,
        ),
        ("nobody's page", &[("host", &localhost)], 200),
        (
            "its own page",
            &[("origin", &own), ("sec-fetch-site", "same-origin")],
            200,
        ),
    ];
    for path in [
        "access-token",
        "wx/cgi-bin/get_current_selfmenu_info",
        "functions/f",
    ] {
        for (page, headers, status) in &pages {
            let method = if path == "functions/f" {
                Method::POST
            } else {
                Method::GET
            };
            let mut request = dev
                .client
                .request(method, format!("{}/operator/{path}", dev.operator))
                .header("authorization", &bearer)
                .body("{}");
            for (name, value) in *headers {
                request = request.header(*name, *value);
            }
            let reply = request.send().await.unwrap();
            assert_eq!(reply.status(), *status, "{page} at {path}");
            let headers = reply.headers().clone();
            assert!(
                headers
                    .keys()
                    .all(|name| !name.as_str().starts_with("access-control")),
                "{page} at {path}: {headers:?}"
            );
            assert_eq!(headers["content-security-policy"], CSP);
            assert_eq!(headers["cache-control"], "no-store");
            if *status != 200 {
                tells_nothing(&reply.text().await.unwrap(), &secrets);
            }
        }
    }
    // The pass that lies in the project's folder, where functions can read it, opens no door to a token.
    let running = std::fs::read(project.path().join(".yunqiao/run.json")).unwrap();
    let pass = text(&serde_json::from_slice::<Value>(&running).unwrap()["pass"]);
    for (path, status) in [
        ("access-token", 401),
        ("wx/wxa/msg_sec_check", 401),
        ("functions/f", 200),
    ] {
        let url = format!("{}/operator/{path}", dev.operator);
        let reply = dev.client.post(url).bearer_auth(&pass).json(&json!({}));
        let reply = reply.send().await.unwrap();
        assert_eq!(reply.status(), status, "{path}");
        tells_nothing(&reply.text().await.unwrap(), &secrets);
    }
    // What a page can send without asking first carries no secret; and asking first is not answered.
    let url = format!("{}/operator/functions/f", dev.operator);
    let form = dev
        .client
        .post(&url)
        .header("content-type", "text/plain")
        .body("{}");
    assert_eq!(form.send().await.unwrap().status(), 401);
    let asking = dev
        .client
        .request(Method::OPTIONS, &url)
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST");
    assert_eq!(asking.send().await.unwrap().status(), 403);
    // The gateway has no such door at all, and the simulated WeChat knows no such name.
    for path in ["/admin", "/operator/access-token"] {
        let reply = dev
            .client
            .post(format!("{}{path}", dev.server.url))
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 404, "{path}");
    }
    let rebound = dev
        .client
        .get(format!("{}/sim/app", dev.wechat))
        .header("host", "evil.example");
    let reply = rebound.send().await.unwrap();
    assert!(!reply.status().is_success());
    tells_nothing(&reply.text().await.unwrap(), &secrets);
}

#[tokio::test]
async fn the_operator_calls_wechat_without_a_token() {
    let project = Scratch::new(&[]);
    let dev = Dev::start(project.path());
    let forward = |method: Method, path: &str| dev.operate(method, &format!("wx/{path}"));
    let check = json!({"content": "x"});
    // The caller's own token would be refused; it is not sent on.
    let reply = forward(Method::POST, "wxa/msg_sec_check?access_token=mine&secret=s").json(&check);
    let reply: Value = reply.send().await.unwrap().json().await.unwrap();
    assert_eq!(reply["errcode"], 0, "{reply}");
    let image = forward(Method::POST, "wxa/getwxacodeunlimit").json(&json!({"scene": "a"}));
    let image = image.send().await.unwrap();
    assert_eq!(image.headers()["content-type"], "image/png");
    assert!(image.bytes().await.unwrap().starts_with(b"\x89PNG"));
    for (path, status) in [
        ("cgi-bin/token?grant_type=client_credential", 403),
        ("cgi-bin/stable_token", 403),
        ("CGI-BIN/stable_token", 403),
        ("sns/jscode2session?js_code=x", 403),
        ("cgi-bin/component/api_component_token", 403),
        ("cgi-bin/%74oken", 400),
        ("/cgi-bin/token", 400),
        ("cgi-bin/token/", 400),
    ] {
        let reply = forward(Method::GET, path).send().await.unwrap();
        assert_eq!(reply.status(), status, "{path}");
    }
    let reply = forward(Method::DELETE, "wxa/msg_sec_check").send().await.unwrap();
    assert_eq!(reply.status(), 405);

    // For the other servers of the same app: a token that WeChat takes.
    let token = access_token(&dev).await;
    let left = token["expires_in"].as_u64().unwrap();
    assert!((6000..=7200).contains(&left), "{token}");
    let url = format!(
        "{}/wxa/msg_sec_check?access_token={}",
        dev.wechat,
        text(&token["access_token"])
    );
    let reply: Value = dev
        .client
        .post(url)
        .json(&check)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(reply["errcode"], 0, "{reply}");
    for shown in [
        "",
        "Bearer",
        "Bearer known-to-the-operator-alon",
        "Basic known-to-the-operator-alone",
    ] {
        let url = format!("{}/operator/access-token", dev.operator);
        let reply = dev
            .client
            .get(url)
            .header("authorization", shown)
            .send()
            .await
            .unwrap();
        assert_eq!(reply.status(), 401, "{shown}");
    }
}
