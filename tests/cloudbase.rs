//! CloudBase's own SDKs, unmodified, with their host set: pages of another origin in Chromium, Node, and plain HTTP.

use std::{fs, path::Path, path::PathBuf, process::Command, sync::OnceLock};

use serde_json::{Value, json};

use crate::{
    strangers::install,
    support::{APPID, Dev, Scratch, run, text, yunqiao},
};

const PACKAGE: &str = include_str!("cloudbase/package.json");
const LOCK: &str = include_str!("cloudbase/package-lock.json");
/// What vouches for users, in the tests.
const KEY: &str = include_str!("cloudbase/ticket-key.pem");
const PUBLIC_KEY: &str = include_str!("cloudbase/ticket-key.pub");
const ENV: &str = "web-1";

/// Says who called, as node-sdk knows it.
const WHO: &str = "
const tcb = require('@cloudbase/node-sdk');
exports.main = async (event) => {
  if (event.throws) throw new Error(event.throws);
  const { userInfo, tcbContext, ...rest } = event;
  const auth = tcb.init({ env: tcb.SYMBOL_CURRENT_ENV }).auth();
  return { event: rest, user: auth.getUserInfo(), ip: auth.getClientIP(), loginType: process.env.LOGINTYPE, openid: userInfo.openId };
};";
/// Looks at a document as it is.
const LOOK: &str = "
const tcb = require('@cloudbase/node-sdk');
exports.main = async ({ collection, id }) =>
  (await tcb.init({ env: tcb.SYMBOL_CURRENT_ENV }).database().collection(collection).doc(id).get()).data;";

fn modules() -> &'static Path {
    static MODULES: OnceLock<PathBuf> = OnceLock::new();
    MODULES.get_or_init(|| install::node_modules_of("cloudbase-sdks", PACKAGE, LOCK))
}

fn project(auth: &str) -> Scratch {
    let project = Scratch::new(&[("who", WHO), ("look", LOOK)]);
    for name in ["who", "look"] {
        let manifest = json!({"name": name, "dependencies": {"@cloudbase/node-sdk": "3.18.3"}});
        project.write(
            &format!("cloudfunctions/{name}/package.json"),
            &manifest.to_string(),
        );
    }
    project.write("tickets.json", &json!({"key-1": PUBLIC_KEY}).to_string());
    let password = ::cloudbase::hash("correct horse").unwrap();
    project.write(
        "users.toml",
        &format!("[carol]\nuid = \"uid-of-carol\"\npassword = \"{password}\"\n"),
    );
    project.write(
        "yunqiao.toml",
        &format!(
            "env = \"{ENV}\"\n[storage]\npermission = \"PRIVATE\"\n[auth]\n{auth}\n\
             [database.collections.news]\npermission = \"READONLY\"\n"
        ),
    );
    project
}

const ALL: &str = "anonymous = true\nticket_keys = \"tickets.json\"\npasswords = \"users.toml\"";

/// Runs a script of `tests/cloudbase` beside a project that is served.
fn script(name: &str, dev: &Dev, more: Value) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/cloudbase")
        .join(name);
    let mut settings = json!({"url": dev.server.url, "env": ENV, "key": KEY, "keyId": "key-1"});
    settings
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let (output, out, err) = run(Command::new("node")
        .arg(script)
        .arg(modules())
        .arg(settings.to_string()));
    assert!(output.status.success(), "{out}{err}{}", dev.server.printed());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_generation_of_the_sdk_works_in_a_page_of_another_origin() {
    let project = project(ALL);
    let dev = Dev::start(project.path());
    script("browser.mjs", &dev, json!({}));
}

/// A request of `/auth/v1`, as a browser sends it: JSON of no type.
pub(crate) async fn auth(dev: &Dev, path: &str, device: Option<&str>, body: Value) -> (u16, Value) {
    let mut request = dev
        .client
        .post(format!("{}/auth/v1/{path}", dev.server.url))
        .body(body.to_string());
    if let Some(device) = device {
        request = request.header("x-device-id", device);
    }
    let reply = request.send().await.unwrap();
    (reply.status().as_u16(), reply.json().await.unwrap())
}

/// A request with a token.
pub(crate) async fn asked(
    dev: &Dev,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> (u16, Value) {
    asked_at(dev, &dev.server.url, method, path, token, body).await
}

async fn asked_at(
    dev: &Dev,
    url: &str,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> (u16, Value) {
    let mut request = dev
        .client
        .request(method.parse().unwrap(), format!("{url}{path}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let reply = request.send().await.unwrap();
    let status = reply.status().as_u16();
    (status, reply.json().await.unwrap())
}

const DEVICE: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn logging_in_continuing_and_logging_out() {
    let project = project(ALL);
    let dev = Dev::start(project.path());
    let (status, first) = auth(&dev, "signin/anonymously", Some(DEVICE), json!({})).await;
    assert_eq!(status, 200, "{first}");
    assert_eq!(
        (&first["token_type"], &first["scope"]),
        (&json!("Bearer"), &json!("anonymous"))
    );
    assert_eq!(first["expires_in"], 7200);
    let (_, again) = auth(&dev, "signin/anonymously", Some(DEVICE), json!({})).await;
    assert_eq!(first["sub"], again["sub"], "one device is one user");
    let (_, other) = auth(&dev, "signin/anonymously", None, json!({})).await;
    assert_ne!(first["sub"], other["sub"]);
    for device in ["", "1", "中文"] {
        let (status, refused) = auth(&dev, "signin/anonymously", Some(device), json!({})).await;
        assert_eq!(
            (status, &refused["error"]),
            (400, &json!("invalid_argument")),
            "{device}"
        );
    }

    let token = text(&first["access_token"]);
    let (status, me) = asked(&dev, "GET", "/auth/v1/user/me", Some(&token), None).await;
    assert_eq!(
        (status, &me["sub"], &me["name"]),
        (200, &first["sub"], &json!("anonymous"))
    );

    let refresh = json!({"client_id": ENV, "client_secret": "", "grant_type": "refresh_token", "refresh_token": first["refresh_token"]});
    let (status, next) = auth(&dev, "token", None, refresh.clone()).await;
    assert_eq!((status, &next["sub"]), (200, &first["sub"]), "{next}");
    // An access token ends, and says so in a way that SDKs act on.
    dev.sim("clock", json!({"advance": 7200})).await;
    let (status, late) = asked(&dev, "POST", "/v1/functions/who", Some(&token), None).await;
    assert_eq!(
        (status, &late["code"]),
        (401, &json!("ACCESS_TOKEN_EXPIRED")),
        "{late}"
    );
    let (_, next) = auth(&dev, "token", None, refresh.clone()).await;
    let token = text(&next["access_token"]);
    let (status, who) = asked(&dev, "POST", "/v1/functions/who", Some(&token), None).await;
    assert_eq!((status, &who["user"]["uid"]), (200, &first["sub"]), "{who}");
    assert_eq!(who["ip"], "127.0.0.1");

    // Whoever has logged out is out, with every token of that login, and with no other.
    let (status, _) = asked(
        &dev,
        "POST",
        "/auth/v1/user/signout",
        Some(&token),
        Some(json!({})),
    )
    .await;
    assert_eq!(status, 200);
    let (status, out) = auth(&dev, "token", None, refresh).await;
    assert_eq!((status, &out["error"]), (400, &json!("invalid_grant")), "{out}");
    let (status, out) = asked(&dev, "POST", "/v1/functions/who", Some(&token), None).await;
    assert_eq!(
        (status, &out["code"]),
        (401, &json!("ACCESS_TOKEN_EXPIRED")),
        "{out}"
    );
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": again["refresh_token"]});
    let (status, still) = auth(&dev, "token", None, refresh).await;
    assert_eq!((status, &still["sub"]), (200, &first["sub"]), "{still}");
}

#[tokio::test]
async fn a_user_of_wechat_is_who_they_are_in_the_mini_program() {
    let project = project(ALL);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let code = dev.wx("alice", "login").await["code"].take();
    let provider = json!({"provider_id": APPID, "provider_code": code, "provider_params": {"provider_code_type": "open_id", "appid": APPID}});
    let (status, provided) = auth(&dev, "provider/token", Some(DEVICE), provider.clone()).await;
    assert_eq!(status, 200, "{provided}");
    let (status, signed) = auth(
        &dev,
        "signin/with/provider",
        None,
        json!({"provider_token": provided["provider_token"]}),
    )
    .await;
    assert_eq!(status, 200, "{signed}");
    let token = text(&signed["access_token"]);
    let (_, me) = asked(&dev, "GET", "/auth/v1/user/me", Some(&token), None).await;
    assert_eq!(
        me["providers"],
        json!([{"id": APPID, "provider_user_id": alice.openid}])
    );
    let (status, who) = asked(
        &dev,
        "POST",
        "/v1/functions/who",
        Some(&token),
        Some(json!({"a": 1})),
    )
    .await;
    assert_eq!(status, 200, "{who}");
    assert_eq!(who["user"]["openId"], json!(alice.openid));
    assert_eq!(
        (&who["openid"], &who["event"]),
        (&json!(alice.openid), &json!({"a": 1}))
    );
    // What the one client adds the other finds.
    let path = "/v1/database/instances/(default)/databases/(default)/collections/diary/documents";
    let (status, added) = asked(
        &dev,
        "POST",
        path,
        Some(&token),
        Some(json!({"data": [{"title": "t"}]})),
    )
    .await;
    assert_eq!(status, 200, "{added}");
    let body = json!({"action": "database.getDocument", "collectionName": "diary"}).to_string();
    let (_, found) = dev.post("/v1/database", Some(&alice.token), body).await;
    assert_eq!(found["data"]["list"].as_array().map(Vec::len), Some(1), "{found}");

    // A code is good once, and for one Mini Program.
    let (status, twice) = auth(&dev, "provider/token", None, provider).await;
    assert_eq!(
        (status, &twice["error"]),
        (400, &json!("invalid_credentials")),
        "{twice}"
    );
    // Of a phone number's code no login comes, though it is sent by the same path.
    let phone = json!({"provider_id": APPID, "provider_code": "x", "provider_params": {"provider_code_type": "phone", "appid": APPID}});
    let (status, refused) = auth(&dev, "provider/token", None, phone).await;
    assert_eq!(
        (status, &refused["error"]),
        (404, &json!("unimplemented")),
        "{refused}"
    );
    let other = json!({"provider_id": "wx0000000000000000", "provider_code": "x"});
    let (status, refused) = auth(&dev, "provider/token", None, other).await;
    assert_eq!(
        (status, &refused["error"]),
        (403, &json!("login_type_disabled")),
        "{refused}"
    );
    for token in [
        "",
        "x",
        provided["provider_token"].as_str().unwrap().get(1..).unwrap(),
    ] {
        let (status, refused) = auth(
            &dev,
            "signin/with/provider",
            None,
            json!({"provider_token": token}),
        )
        .await;
        assert_eq!(
            (status, &refused["error"]),
            (400, &json!("invalid_credentials")),
            "{refused}"
        );
    }
}

/// One world's token is none of the other's, and what a request says of who it is counts for nothing.
#[tokio::test]
async fn identity_comes_from_the_token_alone() {
    let project = project(ALL);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let (_, anonymous) = auth(&dev, "signin/anonymously", Some(DEVICE), json!({})).await;
    let token = text(&anonymous["access_token"]);
    let path = "/v1/database/instances/(default)/databases/(default)/collections/diary/documents";
    let parts: Vec<&str> = token.split('.').collect();
    let forged = format!("{}.{}.{}", parts[0], parts[1], "A".repeat(43));
    // What may be another server's has the SDK ask for a new one.
    for (token, code) in [
        (alice.token.as_str(), "INVALID_ACCESS_TOKEN"),
        ("x", "INVALID_ACCESS_TOKEN"),
        ("a.b.c", "ACCESS_TOKEN_EXPIRED"),
        (forged.as_str(), "ACCESS_TOKEN_EXPIRED"),
    ] {
        let (got, answer) = asked(&dev, "GET", path, Some(token), None).await;
        assert_eq!((got, &answer["code"]), (401, &json!(code)), "{token}: {answer}");
        let envelope = json!({"action": "database.queryDocument", "collectionName": "diary", "access_token": token, "env": ENV});
        let (_, answer) = asked(&dev, "POST", "/web", None, Some(envelope)).await;
        assert_eq!(answer["code"], code, "{token}: {answer}");
    }
    let (status, _) = dev.post("/v1/database", Some(&token), "{}").await;
    assert_eq!(status, 401);
    let (status, _) = asked(&dev, "POST", "/v1/functions/who", Some(&forged), None).await;
    assert_eq!(status, 401);

    let request = dev
        .client
        .post(format!("{}/v1/functions/who", dev.server.url))
        .bearer_auth(&token);
    let mut request =
        request.json(&json!({"userInfo": {"openId": alice.openid}, "tcbContext": {"uid": "x"}}));
    for name in [
        "x-wx-openid",
        "x-wx-source",
        "x-tcb-uuid",
        "x-forwarded-for",
        "x-cloudbase-context",
    ] {
        request = request.header(name, &alice.openid);
    }
    let who: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(who["user"]["uid"], anonymous["sub"]);
    assert_eq!(
        (&who["user"]["openId"], &who["event"]),
        (&json!(""), &json!({})),
        "{who}"
    );
    assert_eq!(
        (&who["openid"], &who["ip"]),
        (&Value::Null, &json!("127.0.0.1")),
        "{who}"
    );

    // In the envelope it is the body's, and the head's counts for nothing.
    let envelope = json!({"action": "functions.invokeFunction", "function_name": "who", "request_data": "{}", "env": ENV});
    let (_, answer) = asked(
        &dev,
        "POST",
        "/web?env=web-1",
        Some(&token),
        Some(envelope.clone()),
    )
    .await;
    assert_eq!(answer["code"], "INVALID_ACCESS_TOKEN", "{answer}");
    // What is written as an object, and not as its text, is the event too.
    let mut envelope = envelope;
    envelope["access_token"] = token.as_str().into();
    for data in [json!({"a": 1}), json!(r#"{"a":1}"#)] {
        envelope["request_data"] = data;
        let (_, answer) = asked(&dev, "POST", "/web?env=web-1", None, Some(envelope.clone())).await;
        assert!(answer.to_string().contains(r#"\"event\":{\"a\":1}"#), "{answer}");
    }
}

/// A page that asks for documents by a list of ids has them all in the address.
#[tokio::test]
async fn a_list_of_ids_may_be_as_long_as_an_address() {
    let project = project(ALL);
    let dev = Dev::start(project.path());
    let (_, anonymous) = auth(&dev, "signin/anonymously", Some(DEVICE), json!({})).await;
    let token = text(&anonymous["access_token"]);
    let documents = format!("{}{COLLECTIONS}/news/documents", dev.server.url);
    let added = dev.client.post(&documents).bearer_auth(&token);
    let added = added
        .json(&json!({"data": [{"_id": "the-only-one"}]}))
        .send()
        .await
        .unwrap();
    assert_eq!(added.status(), 200);
    let asking = |method: &str, ids: usize, more: usize, token: Option<&str>| {
        let mut all: Vec<String> = (0..ids).map(|id| format!("{id:0>29}")).collect();
        all.push("the-only-one".to_owned());
        let query = json!({"_id": {"$in": all}}).to_string();
        let request = dev.client.request(method.parse().unwrap(), &documents);
        let request = request
            .query(&[("query", query)])
            .header("origin", "http://localhost:5173")
            .header("x-sdk-version", "@cloudbase/js-sdk/3.7.0")
            .header("x-more", "x".repeat(more));
        match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
        .send()
    };
    for ids in [500, 1200] {
        let found = asking("GET", ids, 0, Some(&token)).await.unwrap();
        assert_eq!(found.status(), 200, "{ids}");
        let found: Value = found.json().await.unwrap();
        assert_eq!(
            found["list"],
            json!([{"_id": "the-only-one", "_openid": anonymous["sub"]}])
        );
        // The browser asks first, and shows no token there.
        let may = asking("OPTIONS", ids, 0, None).await.unwrap();
        assert_eq!(may.status(), 204);
        assert_eq!(
            may.headers()["access-control-allow-origin"],
            "http://localhost:5173"
        );
    }
    for (ids, more, token) in [(500, 0, None), (1200, 25_000, Some(&*token))] {
        let refused = asking("GET", ids, more, token).await.unwrap();
        assert_eq!(refused.status(), 431);
        assert_eq!(
            refused.headers()["access-control-allow-origin"],
            "http://localhost:5173"
        );
        let refused: Value = refused.json().await.unwrap();
        assert_eq!(refused["code"], "INVALID_PARAM", "{refused}");
        assert!(text(&refused["message"]).contains("64 KB"), "{refused}");
    }
}

/// What CloudBase's SDKs ask for and is not here is answered in the words that they read.
#[tokio::test]
async fn what_is_not_served_is_said_in_the_sdks_words() {
    let project = project(ALL);
    let dev = Dev::start(project.path());
    let ask = |method: &str, path: &str, sdk: Option<&str>| {
        let request = dev
            .client
            .request(method.parse().unwrap(), format!("{}{path}", dev.server.url));
        let request = match sdk {
            Some(sdk) => request.header("x-sdk-version", sdk),
            None => request,
        };
        async move {
            let reply = request.json(&json!({})).send().await.unwrap();
            (reply.status().as_u16(), reply.json::<Value>().await.unwrap())
        }
    };
    let sdk = Some("@cloudbase/js-sdk/3.7.0");
    for (method, path, sdk, status, code, words) in [
        (
            "POST",
            "/v1/model/prod/x/list",
            None,
            404,
            "INVALID_PATH",
            "data models are not served",
        ),
        (
            "GET",
            "/v1/rdb/rest/t",
            None,
            404,
            "INVALID_PATH",
            "relational databases",
        ),
        ("POST", "/v1/cloudrun/a/b", sdk, 404, "INVALID_PATH", "containers"),
        (
            "POST",
            "/v1/storages",
            None,
            404,
            "INVALID_PATH",
            "no such path of storage",
        ),
        (
            "POST",
            "/v1/nothing",
            sdk,
            404,
            "INVALID_PATH",
            "no such path here",
        ),
        (
            "PUT",
            &format!("{COLLECTIONS}/news/documents/a"),
            sdk,
            405,
            "INVALID_PARAM",
            "this path takes",
        ),
    ] {
        let (found, answer) = ask(method, path, sdk).await;
        assert_eq!(
            (found, &answer["code"]),
            (status, &json!(code)),
            "{path}: {answer}"
        );
        assert!(text(&answer["message"]).contains(words), "{path}: {answer}");
        assert!(
            answer["requestId"].is_string() && answer["errCode"].is_null(),
            "{path}: {answer}"
        );
    }
    let (status, answer) = ask("POST", "/auth/v2/signin/username", None).await;
    assert_eq!(
        (status, &answer["error"]),
        (404, &json!("unimplemented")),
        "{answer}"
    );
    assert!(
        text(&answer["error_description"]).contains("not served here"),
        "{answer}"
    );
    // Everybody else's are answered as before.
    let (status, answer) = ask("POST", "/v1/nothing", None).await;
    assert_eq!((status, &answer["errCode"]), (404, &json!(-501007)), "{answer}");
}

#[tokio::test]
async fn nobody_logs_in_where_nobody_may() {
    let project = project("anonymous = false");
    let dev = Dev::start(project.path());
    let ticket = "key-1/@@/a.b.c";
    for (path, body, error) in [
        ("signin/anonymously", json!({}), "login_type_disabled"),
        ("signin/custom", json!({"ticket": ticket}), "login_type_disabled"),
        (
            "signin",
            json!({"username": "carol", "password": "correct horse"}),
            "login_type_disabled",
        ),
        ("signup", json!({}), "unimplemented"),
    ] {
        let (status, refused) = auth(&dev, path, Some(DEVICE), body).await;
        assert!(status >= 400, "{refused}");
        assert_eq!(refused["error"], error, "{path}: {refused}");
    }
    let path = "/v1/database/instances/(default)/databases/(default)/collections/diary/documents";
    let (status, refused) = asked(&dev, "GET", path, None, None).await;
    assert_eq!((status, &refused["code"]), (401, &json!("INVALID_ACCESS_TOKEN")));
    let body = json!({"action": "auth.signInAnonymously", "anonymous_uuid": "", "refresh_token": ""});
    let (status, refused) = asked(&dev, "POST", "/web", None, Some(body)).await;
    assert_eq!((status, &refused["code"]), (200, &json!("LOGIN_TYPE_DISABLED")));
}

#[tokio::test]
async fn passwords_are_added_changed_and_guessed_slowly() {
    let project = project(ALL);
    let dev = Dev::start(project.path());
    let add = |more: &[&str], password: &str| {
        let mut command = yunqiao();
        command
            .args(["user", "--dir"])
            .arg(project.path())
            .args(["--json", "add", "dave"])
            .args(more);
        let line = project.path().join("password");
        fs::write(&line, format!("{password}\n")).unwrap();
        command.stdin(fs::File::open(line).unwrap());
        run(&mut command)
    };
    let (output, out, err) = add(&[], "first password");
    assert!(output.status.success(), "{out}{err}");
    let added: Value = serde_json::from_str(&out).unwrap();
    let sign_in = |name: &str, password: &str| json!({"username": name, "password": password});
    let (status, first) = auth(&dev, "signin", None, sign_in("dave", "first password")).await;
    assert_eq!((status, &first["sub"]), (200, &added["uid"]), "{first}");
    let (output, ..) = add(&[], "other password");
    assert!(!output.status.success(), "there is one already");
    let (output, ..) = add(&["--replace"], "short");
    assert!(!output.status.success());
    let (output, out, err) = add(&["--replace"], "second password");
    assert!(output.status.success(), "{out}{err}");
    let (status, _) = auth(&dev, "signin", None, sign_in("carol", "correct horse")).await;
    assert_eq!(status, 200, "the others are as they were");
    // Who came in by the old password is out at the next refresh.
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": first["refresh_token"]});
    let (_, out) = auth(&dev, "token", None, refresh).await;
    assert_eq!(out["error"], "invalid_grant", "{out}");
    let (status, second) = auth(&dev, "signin", None, sign_in("dave", "second password")).await;
    assert_eq!((status, &second["sub"]), (200, &added["uid"]), "{second}");
    let mut errors = Vec::new();
    for (name, password) in [
        ("dave", "first password"),
        ("nobody", "second password"),
        ("", ""),
    ] {
        let (status, wrong) = auth(&dev, "signin", None, sign_in(name, password)).await;
        assert_eq!(status, 400, "{wrong}");
        errors.push(wrong.to_string());
    }
    errors.dedup();
    assert_eq!(errors.len(), 1, "nobody learns which names there are: {errors:?}");
    let remove = |name: &str| {
        let mut command = yunqiao();
        command.args(["user", "--dir"]).arg(project.path());
        run(command.args(["--json", "rm", name]))
    };
    let (output, out, err) = remove("dave");
    assert!(output.status.success(), "{out}{err}");
    let removed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(removed["uid"], added["uid"]);
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": second["refresh_token"]});
    let (_, out) = auth(&dev, "token", None, refresh).await;
    assert_eq!(out["error"], "invalid_grant", "{out}");
    let (status, _) = auth(&dev, "signin", None, sign_in("dave", "second password")).await;
    assert_eq!(status, 400);
    let (status, _) = auth(&dev, "signin", None, sign_in("carol", "correct horse")).await;
    assert_eq!(status, 200, "the others are as they were");
    let (output, out, err) = remove("dave");
    assert!(
        !output.status.success() && out.contains("yunqiao user ls"),
        "{out}{err}"
    );
    dev.server.prints_soon("had a wrong name or password").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdks_work_in_node_and_a_server_has_a_key_pair() {
    let project = project(ALL);
    let secret = "a-secret-key-of-the-report-server";
    project.write("report.key", secret);
    let settings = fs::read_to_string(project.path().join("yunqiao.toml")).unwrap();
    project.write(
        "yunqiao.toml",
        &format!("{settings}[operator.keys]\nreport-server = \"report.key\"\n"),
    );
    let dev = Dev::start(project.path());
    let more = json!({"admin": dev.operator, "secretId": "report-server", "secretKey": secret});
    script("node.mjs", &dev, more);
    // Nothing of it opens the listener's other doors, nor does another way of asking open this one.
    for (path, status) in [("/operator/access-token", 401), ("/operator/database", 401)] {
        let request = dev
            .client
            .get(format!("{}{path}", dev.operator))
            .bearer_auth(secret);
        assert_eq!(request.send().await.unwrap().status(), status, "{path}");
    }
    let body = json!({"action": "database.getDocument", "collectionName": "of_server"});
    let (_, refused) = asked_at(&dev, &dev.operator, "POST", "/admin", Some(secret), Some(body)).await;
    assert_eq!(refused["code"], "INVALID_REQUEST_SOURCE", "{refused}");
}

/// `examples/web-todo`, built as its README says.
#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_web_page_is_clicked() {
    let project = Scratch::new(&[]);
    let example = crate::support::quickstart().with_file_name("web-todo");
    let copied = Command::new("cp")
        .arg("-R")
        .arg(example.join("."))
        .arg(project.path())
        .status();
    assert!(copied.unwrap().success());
    // As its `npm run build` does.
    let mut build = Command::new(modules().join(".bin/esbuild"));
    build.current_dir(project.path()).env("NODE_PATH", modules());
    build.args(["src/app.js", "--bundle", "--format=esm", "--outfile=site/app.js"]);
    let (output, out, err) = run(build.arg("--alias:@cloudbase/js-sdk=js-sdk-3"));
    assert!(output.status.success(), "{out}{err}");
    let line = project.path().join("password");
    fs::write(&line, "correct horse\n").unwrap();
    let mut add = yunqiao();
    add.args(["user", "--dir"])
        .arg(project.path())
        .args(["add", "alice"]);
    let (output, out, err) = run(add.stdin(fs::File::open(line).unwrap()));
    assert!(output.status.success(), "{out}{err}");
    let dev = Dev::start(project.path());
    let host = dev.server.url.strip_prefix("http://").unwrap();
    project.write(
        "site/config.js",
        &format!("window.yunqiao = {{ env: 'web-todo', host: '{host}', protocol: 'http' }}\n"),
    );
    script("todo.mjs", &dev, json!({"web": dev.web}));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sdk_s_build_for_mini_programs_works_in_a_stand_in() {
    let project = project(ALL);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    script(
        "mini.mjs",
        &dev,
        json!({"wechat": dev.wechat, "openid": alice.openid}),
    );
}

const COLLECTIONS: &str = "/v1/database/instances/(default)/databases/(default)/collections";

/// A query as it stands in a path.
fn of(query: &Value) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("query", &query.to_string())
        .finish()
}

#[tokio::test]
async fn rules_know_the_uid_and_the_way_of_login_at_every_door() {
    let project = project(ALL);
    project.write(
        "yunqiao.toml",
        &format!(
            "env = \"{ENV}\"\n[auth]\n{ALL}\n\
             [storage]\nrule = {{ read = true, write = \"resource.openid == auth.uid && auth.loginType == 'USERNAME'\" }}\n\
             [database.collections.boards]\nrule = {{ read = true, write = \"auth.loginType == 'USERNAME'\" }}\n\
             [database.collections.shared]\n\
             rule = {{ read = \"auth.uid in doc.readers\", create = \"auth != null\", update = \"doc._openid == auth.uid\" }}\n"
        ),
    );
    let dev = Dev::start(project.path());
    let (_, anonymous) = auth(&dev, "signin/anonymously", Some(DEVICE), json!({})).await;
    let (_, carol) = auth(
        &dev,
        "signin",
        None,
        json!({"username": "carol", "password": "correct horse"}),
    )
    .await;
    let uid = text(&anonymous["sub"]);
    let (anonymous, carol) = (text(&anonymous["access_token"]), text(&carol["access_token"]));
    let (anonymous, carol) = (Some(anonymous.as_str()), Some(carol.as_str()));
    let (boards, shared) = (
        format!("{COLLECTIONS}/boards/documents"),
        format!("{COLLECTIONS}/shared/documents"),
    );
    let denied = json!("DATABASE_PERMISSION_DENIED");

    let one = json!({"data": [{"_id": "b1", "text": "hello", "n": {"$numberInt": "1"}, "at": {"$date": 5}}]});
    for token in [None, anonymous] {
        let (status, answer) = asked(&dev, "POST", &boards, token, Some(one.clone())).await;
        assert_eq!((status, &answer["code"]), (401, &denied), "{answer}");
    }
    let (status, added) = asked(&dev, "POST", &boards, carol, Some(one.clone())).await;
    assert_eq!((status, &added["insertedIds"]), (200, &json!(["b1"])), "{added}");
    let (status, twice) = asked(&dev, "POST", &boards, carol, Some(one)).await;
    assert_eq!(
        (status, &twice["code"]),
        (409, &json!("DATABASE_DUPLICATE_WRITE")),
        "{twice}"
    );
    for token in [None, anonymous, carol] {
        let (status, found) = asked(&dev, "GET", &boards, token, None).await;
        let document = json!({"_id": "b1", "_openid": "uid-of-carol", "text": "hello", "n": {"$numberInt": "1"},
            "at": {"$date": {"$numberLong": "5"}}});
        assert_eq!((status, &found["list"]), (200, &json!([document])), "{found}");
        let (status, found) = asked(&dev, "GET", &format!("{boards}/b1"), token, None).await;
        assert_eq!((status, &found["text"]), (200, &json!("hello")), "{found}");
        let (status, none) = asked(&dev, "GET", &format!("{boards}/b2"), token, None).await;
        assert_eq!(
            (status, &none["code"]),
            (404, &json!("DOCUMENT_NOT_FOUND")),
            "{none}"
        );
    }
    let owned = json!({"data": [{"_openid": uid}]});
    let (status, refused) = asked(&dev, "POST", &boards, carol, Some(owned)).await;
    assert_eq!(
        (status, &refused["message"]),
        (400, &json!("Invalid Key Name: _openid"))
    );

    let note = json!({"data": [{"_id": "s1", "readers": [uid], "secret": "of carol"}, {"_id": "s2", "readers": [], "secret": "of carol"}]});
    let (status, added) = asked(&dev, "POST", &shared, carol, Some(note)).await;
    assert_eq!(status, 200, "{added}");
    let mine = of(&json!({"readers": uid}));
    let (status, found) = asked(&dev, "GET", &format!("{shared}?{mine}&"), anonymous, None).await;
    assert_eq!(
        (status, found["list"].as_array().map(Vec::len)),
        (200, Some(1)),
        "{found}"
    );
    let (status, counted) = asked(
        &dev,
        "GET",
        &format!("{shared}?count=true&{mine}&"),
        anonymous,
        None,
    )
    .await;
    assert_eq!((status, &counted["total"]), (200, &json!(1)));
    let pipeline = |stages: Value| Some(json!({"pipeline": stages}));
    for (method, path, token, body) in [
        ("GET", shared.clone(), anonymous, None),
        ("GET", format!("{shared}?{mine}&"), None, None),
        ("GET", format!("{shared}?{mine}&"), carol, None),
        ("GET", format!("{shared}/s2"), anonymous, None),
        ("GET", format!("{shared}?count=true&"), anonymous, None),
        ("DELETE", format!("{shared}/s1"), anonymous, None),
        (
            "PATCH",
            shared.clone(),
            anonymous,
            Some(json!({"query": {"_id": "s1"}, "data": {"$set": {"readers": []}}})),
        ),
        (
            "POST",
            format!("{shared}/aggregations"),
            anonymous,
            pipeline(json!([{"$group": {"_id": null, "n": {"$sum": 1}}}])),
        ),
        (
            "POST",
            format!("{boards}/aggregations"),
            anonymous,
            pipeline(json!([{"$lookup": {"from": "shared", "pipeline": [], "as": "all"}}])),
        ),
        (
            "POST",
            COLLECTIONS.to_owned(),
            carol,
            Some(json!({"collectionName": "mine"})),
        ),
        (
            "POST",
            COLLECTIONS.replace("collections", "transactions"),
            carol,
            None,
        ),
    ] {
        let (status, refused) = asked(&dev, method, &path, token, body).await;
        assert_eq!(
            (status, &refused["code"]),
            (401, &denied),
            "{method} {path}: {refused}"
        );
        assert!(!refused.to_string().contains("of carol"), "{refused}");
    }
    // The older envelope is another door to the same.
    let envelope = |token: &str| json!({"action": "database.queryDocument", "collectionName": "shared", "query": {}, "access_token": token, "env": ENV});
    let (status, refused) = asked(&dev, "POST", "/web", None, Some(envelope(anonymous.unwrap()))).await;
    assert_eq!((status, &refused["code"]), (200, &denied), "{refused}");

    let upload = Some(json!([{"objectId": "boards/a.txt"}]));
    let info = "/v1/storages/get-objects-upload-info";
    for token in [None, anonymous] {
        let (_, refused) = asked(&dev, "POST", info, token, upload.clone()).await;
        assert_eq!(refused[0]["code"], "STORAGE_EXCEED_AUTHORITY", "{refused}");
        // An SDK that does not look at the code learns it there.
        let put = dev.client.put(text(&refused[0]["uploadUrl"])).body("hello");
        assert_eq!(put.send().await.unwrap().status(), 403);
    }
    let illegal = Some(json!([{"objectId": "/boards/a.txt"}]));
    let (_, refused) = asked(&dev, "POST", info, carol, illegal).await;
    assert_eq!(refused[0]["code"], "INVALID_PARAM", "{refused}");
    let put = dev.client.put(text(&refused[0]["uploadUrl"])).body("hello");
    assert_eq!(put.send().await.unwrap().status(), 400);
    let (status, malformed) = asked(&dev, "POST", info, carol, Some(json!([null]))).await;
    assert_eq!(status, 400);
    let told = text(&malformed["message"]);
    assert!(
        told.contains("expected an object") && !told.contains("Item"),
        "{told}"
    );
    let (_, place) = asked(&dev, "POST", info, carol, upload).await;
    let put = dev.client.put(text(&place[0]["uploadUrl"])).body("hello");
    assert_eq!(
        put.send().await.unwrap().status(),
        200,
        "what rules see of her is in the address"
    );
    let read = dev
        .client
        .get(text(&place[0]["downloadUrl"]))
        .header("origin", "http://localhost:5173")
        .header("range", "bytes=0-4")
        .send()
        .await
        .unwrap();
    assert_eq!(read.headers()["content-range"], "bytes 0-4/5");
    let shown = read.headers()["access-control-expose-headers"].to_str().unwrap();
    assert!(
        shown.contains("content-range") && shown.contains("etag"),
        "{shown}"
    );
    assert_eq!(read.text().await.unwrap(), "hello");
    let copy = Some(json!([{"srcPath": "boards/a.txt", "dstPath": "boards/b.txt"}]));
    let (_, refused) = asked(&dev, "POST", "/v1/storages/copy-objects", anonymous, copy.clone()).await;
    assert_eq!(refused[0]["code"], "STORAGE_EXCEED_AUTHORITY", "{refused}");
    let (_, copied) = asked(&dev, "POST", "/v1/storages/copy-objects", carol, copy).await;
    let copied = Some(json!([{"cloudObjectId": copied[0]["cloudObjectId"]}]));
    let (_, found) = asked(
        &dev,
        "POST",
        "/v1/storages/get-objects-download-info",
        anonymous,
        copied,
    )
    .await;
    let read = dev
        .client
        .get(text(&found[0]["downloadUrl"]))
        .send()
        .await
        .unwrap();
    assert_eq!(read.text().await.unwrap(), "hello");
    let id = Some(json!([{"cloudObjectId": place[0]["cloudObjectId"]}]));
    let (_, kept) = asked(&dev, "POST", "/v1/storages/delete-objects", anonymous, id.clone()).await;
    assert_eq!(kept[0]["code"], "STORAGE_EXCEED_AUTHORITY", "{kept}");
    let (_, gone) = asked(&dev, "POST", "/v1/storages/delete-objects", carol, id).await;
    assert_eq!(gone[0]["code"], Value::Null, "{gone}");
}

/// The rules of functions, for each kind of client, at each door that clients have; and functions, HTTP access and the operator call as before.
#[tokio::test]
async fn who_may_call_a_function_its_rule_says() {
    const ECHO: &str =
        "exports.main = async (event) => ({ did: 'it', openid: (event.userInfo || {}).openId })";
    let names = ["open", "usual", "known", "inner"];
    let project = Scratch::new(&names.map(|name| (name, ECHO)));
    project.write(
        "cloudfunctions/inner/config.json",
        r#"{"triggers": [{"name": "nightly", "type": "timer", "config": "0 0 2 * * * *"}]}"#,
    );
    project.write(
        "cloudfunctions/outer/index.js",
        "const cloud = require('wx-server-sdk')\ncloud.init()\n\
         exports.main = async () => (await cloud.callFunction({ name: 'inner', data: {} })).result",
    );
    project.write(
        "cloudfunctions/outer/package.json",
        r#"{"name": "outer", "dependencies": {"wx-server-sdk": "4.0.2"}}"#,
    );
    project.write(
        "cloudbaserc.json",
        &json!({"functions": [{"name": "open", "aclRule": {"invoke": true}}]}).to_string(),
    );
    project.write(
        "yunqiao.toml",
        &format!(
            "env = \"{ENV}\"\n[auth]\nanonymous = true\n[functions.known]\ninvoke = \"auth.loginType != 'ANONYMOUS' && auth != null\"\n\
             [functions.inner]\ninvoke = false\n[[web.functions]]\npath = \"/inner\"\nfunction = \"inner\"\n"
        ),
    );
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let (_, anonymous) = auth(&dev, "signin/anonymously", Some(DEVICE), json!({})).await;
    let token = text(&anonymous["access_token"]);
    let denied = json!("EXCEED_AUTHORITY");
    let not_logged_in = json!("INVALID_ACCESS_TOKEN");
    for (name, of_nobody, of_anonymous, of_alice) in [
        ("open", &Value::Null, &Value::Null, 200),
        ("usual", &not_logged_in, &Value::Null, 200),
        ("known", &not_logged_in, &denied, 200),
        ("inner", &not_logged_in, &denied, 403),
    ] {
        let path = format!("/v1/functions/{name}");
        for (token, refused) in [(None, of_nobody), (Some(&*token), of_anonymous)] {
            let (status, rest) = asked(
                &dev,
                "POST",
                &format!("{path}?webfn=false"),
                token,
                Some(json!({})),
            )
            .await;
            let envelope = json!({"action": "functions.invokeFunction", "function_name": name, "request_data": "{}", "env": ENV, "access_token": token.unwrap_or_default()});
            let (_, legacy) = asked(&dev, "POST", "/web", None, Some(envelope)).await;
            assert_eq!(&legacy["code"], refused, "{name} {token:?}: {legacy}");
            match refused {
                Value::Null => {
                    assert_eq!((status, &rest["did"]), (200, &json!("it")), "{name}: {rest}");
                    assert_eq!(rest["openid"], Value::Null, "{rest}");
                }
                // Without a token of theirs, and without a word of who they are, somebody is ours.
                _ if token.is_none() => assert_eq!(
                    (status, &rest["errCode"]),
                    (401, &json!(-501008)),
                    "{name}: {rest}"
                ),
                code => assert_eq!((status, &rest["code"]), (403, code), "{name}: {rest}"),
            }
        }
        let (status, reply) = alice.call(name, json!({})).await;
        assert_eq!(status, of_alice, "{name}: {reply}");
        if status == 403 {
            assert_eq!(reply["errCode"], -501019, "{reply}");
        }
    }
    dev.server
        .prints("invoke is denied by the rule \"invoke\": \"false\": it is false for this caller. Who may call it stands in yunqiao.toml as [functions.inner] invoke");
    let (status, outer) = alice.call("outer", json!({})).await;
    assert_eq!((status, &outer["result"]["did"]), (200, &json!("it")), "{outer}");
    assert_eq!(dev.invoke("inner", json!({"data": {}})).await["did"], "it");
    assert_eq!(dev.invoke("inner/timer", json!({})).await["did"], "it");
    let of_web = dev.client.get(format!("{}/inner", dev.web)).send().await.unwrap();
    assert_eq!(of_web.json::<Value>().await.unwrap()["did"], "it");
}
