//! The OpenAPI text at `/openapi.json`, held against the server: whatever is answered is documented, and whatever is documented is
//! brought about. schemathesis, which knows nothing of us, looks for what is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use clock::Clock;
use push::{Format, Mode, Sender};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::{
    push::{KEY, TOKEN, settings},
    support::{APPID, Dev, Scratch, run, text},
};

/// What is documented and cannot be brought about by a few requests, by path: calls that wait, bodies that come slowly, a store or a WeChat
/// that fails, a server that is set up otherwise. `tests/doors.rs`, `tests/push.rs` and `tests/storage.rs` do.
const ELSEWHERE: [(&str, &[&str]); 25] = [
    ("/v1/login", &["500", "502"]),
    ("/v1/functions/{name}", &["429", "502"]),
    ("/v1/open-data", &["429", "500", "502"]),
    ("/v1/database", &["429", "500", "502"]),
    ("/v1/storage", &["429", "500", "502"]),
    ("/v1/push", &["404", "413", "429", "500", "503"]),
    ("/readyz", &["503"]),
    ("/v1/files/{sealed}", &["503"]),
    // tests/cloudbase.rs: keys of tickets, passwords, guesses.
    ("/auth/v1/signin/anonymously", &["429", "500"]),
    ("/auth/v1/signin/custom", &["200", "429", "500"]),
    ("/auth/v1/signin", &["200", "429", "500"]),
    ("/auth/v1/provider/token", &["429", "500", "502"]),
    ("/auth/v1/signin/with/provider", &["429", "500"]),
    ("/auth/v1/token", &["429", "500"]),
    ("/auth/v1/revoke", &["429", "500"]),
    ("/auth/v1/user/signout", &["429", "500"]),
    ("/auth/v1/user/me", &["400", "413", "429", "500"]),
    // crates/cloudbase and crates/gateway: collections that are missing, bodies of others, an engine that fails or takes too long.
    (DOCUMENTS, &["404", "429", "500", "504"]),
    (ONE_DOCUMENT, &["404", "429", "500", "504"]),
    (REMOVED_DOCUMENTS, &["404", "429", "500", "504"]),
    (AGGREGATED_DOCUMENTS, &["404", "429", "500", "504"]),
    ("/v1/storages/get-objects-upload-info", &["429"]),
    ("/v1/storages/get-objects-download-info", &["429"]),
    ("/v1/storages/delete-objects", &["429"]),
    ("/v1/storages/copy-objects", &["429"]),
];
const DOCUMENTS: &str =
    "/v1/database/instances/(default)/databases/(default)/collections/{collection}/documents";
const ONE_DOCUMENT: &str =
    "/v1/database/instances/(default)/databases/(default)/collections/{collection}/documents/{id}";
const REMOVED_DOCUMENTS: &str =
    "/v1/database/instances/(default)/databases/(default)/collections/{collection}/documents/remove";
const AGGREGATED_DOCUMENTS: &str =
    "/v1/database/instances/(default)/databases/(default)/collections/{collection}/documents/aggregations";

/// The text, and what was answered so far.
struct Documented<'a> {
    dev: &'a Dev,
    text: Value,
    met: BTreeSet<(String, String, String)>,
    /// What is not as the text says.
    wrong: Vec<String>,
}

impl<'a> Documented<'a> {
    async fn by(dev: &'a Dev) -> Self {
        let url = format!("{}/openapi.json", dev.server.url);
        let text = dev.client.get(url).send().await.unwrap().json().await.unwrap();
        Self {
            dev,
            text,
            met: BTreeSet::new(),
            wrong: Vec::new(),
        }
    }

    /// What `$ref` leads to.
    fn resolve<'v>(&'v self, value: &'v Value) -> &'v Value {
        match value["$ref"].as_str() {
            Some(place) => self.text.pointer(place.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    /// The template of a path.
    fn template(&self, method: &str, path: &str) -> String {
        let known = self.text["paths"].as_object().unwrap();
        if known.contains_key(path) {
            return path.to_owned();
        }
        let template = match path.strip_prefix("/v1/files/") {
            Some(rest) if rest.contains('/') && !["put", "post"].contains(&method) => {
                "/v1/files/{sealed}/{name}"
            }
            Some(_) => "/v1/files/{sealed}",
            None => {
                let segments: Vec<&str> = path.split('/').collect();
                let leads_here = |template: &&String| {
                    let names: Vec<&str> = template.split('/').collect();
                    let mut pairs = names.iter().zip(&segments);
                    names.len() == segments.len()
                        && pairs.all(|(name, given)| name.starts_with('{') || name == given)
                };
                // What is written out goes before what stands for anything.
                let fewest = |template: &&String| template.matches('{').count();
                let found = known.keys().filter(leads_here).min_by_key(fewest);
                found.unwrap_or_else(|| panic!("{path} is not documented"))
            }
        };
        template.to_owned()
    }

    /// Sends a request, which has to be answered with this status, and holds the answer against the text.
    async fn send(&mut self, request: RequestBuilder, status: u16) -> Value {
        let request = request.build().unwrap();
        let (method, path) = (
            request.method().as_str().to_lowercase(),
            request.url().path().to_owned(),
        );
        let reply: Response = self.dev.client.execute(request).await.unwrap();
        let came = reply.status().as_u16();
        let content_type = reply.headers().get("content-type");
        let content_type = content_type.map(|value| value.to_str().unwrap().to_owned());
        let body = reply.bytes().await.unwrap();
        if came != status {
            let text = String::from_utf8_lossy(&body);
            self.wrong
                .push(format!("{method} {path}: {came}, not {status}: {text}"));
        }
        let template = self.template(&method, &path);
        let operations = &self.text["paths"][&template];
        let methods: Vec<String> = match &operations[&method] {
            // A method that is not taken: each that is says so.
            Value::Null => {
                let names = operations.as_object().unwrap().keys();
                names
                    .filter(|name| *name != "parameters" && *name != "head")
                    .cloned()
                    .collect()
            }
            _ => vec![method],
        };
        let mut wrong = Vec::new();
        let mut met = Vec::new();
        for method in methods {
            let key = (template.clone(), method, came.to_string());
            let answer = &operations[&key.1]["responses"][&key.2];
            if answer.is_null() {
                wrong.push(format!("{key:?} is not documented"));
                continue;
            }
            match self.resolve(answer)["content"].as_object() {
                None if body.is_empty() => {}
                None => wrong.push(format!("{key:?} has a body that is not documented")),
                Some(content) => {
                    let given = content_type.as_deref().unwrap_or_default();
                    let given = given.split(';').next().unwrap();
                    match content.get(given).or_else(|| content.get("*/*")) {
                        None => wrong.push(format!("{key:?} is {given:?}")),
                        Some(of_type) if given == "application/json" => {
                            let value = serde_json::from_slice(&body).unwrap();
                            self.misfits(&value, &of_type["schema"], &format!("{key:?}"), &mut wrong);
                        }
                        Some(_) => {}
                    }
                }
            }
            met.push(key);
        }
        self.wrong.extend(wrong);
        self.met.extend(met);
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    }

    /// What of a value does not fit a schema, as far as the text uses JSON Schema for answers.
    fn misfits(&self, value: &Value, schema: &Value, place: &str, wrong: &mut Vec<String>) {
        let schema = self.resolve(schema);
        for (name, wanted) in schema.as_object().unwrap() {
            let fits = match name.as_str() {
                "type" => match wanted.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "boolean" => value.is_boolean(),
                    other => panic!("{other} is no type that is used here"),
                },
                "required" => names(wanted).all(|name| value.get(name).is_some()),
                "properties" => {
                    let known = wanted.as_object().unwrap();
                    for (name, schema) in known {
                        if let Some(inner) = value.get(name) {
                            self.misfits(inner, schema, &format!("{place}.{name}"), wrong);
                        }
                    }
                    let mut given = value.as_object().into_iter().flat_map(|object| object.keys());
                    given.all(|name| known.contains_key(name))
                }
                "items" => {
                    for inner in value.as_array().into_iter().flatten() {
                        self.misfits(inner, wanted, place, wrong);
                    }
                    true
                }
                "const" => value == wanted,
                "enum" => wanted.as_array().unwrap().contains(value),
                "minimum" => value.as_i64() >= wanted.as_i64(),
                "oneOf" => {
                    let ways = wanted.as_array().unwrap().iter();
                    let met =
                        ways.filter(|way| names(&way["required"]).all(|name| value.get(name).is_some()));
                    met.count() == 1
                }
                "anyOf" => wanted.as_array().unwrap().iter().any(|way| {
                    let mut misfits = Vec::new();
                    self.misfits(value, way, place, &mut misfits);
                    misfits.is_empty()
                }),
                "description" | "format" => true,
                other => panic!("{place}: the test does not know {other}"),
            };
            if !fits {
                wrong.push(format!("{place}: {name} {wanted} does not hold for {value}"));
            }
        }
    }
}

/// The names in a `required`.
fn names(required: &Value) -> impl Iterator<Item = &str> {
    required
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
}

const FUNCTION: &str = "
exports.main = async ({ what }) => {
  if (what === 'throws') throw new Error('the cause');
  if (what === 'slow') await new Promise(() => setTimeout(() => {}, 60000));
  return { what };
};";

#[tokio::test]
async fn whatever_is_documented_is_answered_and_nothing_else_is() {
    let project = Scratch::new(&["f", "open", "closed"].map(|name| (name, FUNCTION)));
    project.write(
        "yunqiao.toml",
        &format!(
            "[sim]\nforeign_codes = \"refuse\"\n[functions.f]\ntimeout = 1\n[functions.open]\ntimeout = 1\ninvoke = true\n[functions.closed]\ninvoke = false\n[auth]\nanonymous = true\n[database.collections.pads]\nindexes = [{{ fields = [\"n\"], unique = true }}]\n[storage]\nmax_size = \"2KB\"\nquota = \"22KB\"\n\
             [push]\nmode = \"secure\"\nformat = \"json\"\ntoken = \"{TOKEN}\"\naes_keys = [\"{KEY}\"]\n"
        ),
    );
    let dev = Dev::start(project.path());
    let mut documented = Documented::by(&dev).await;
    let alice = dev.login("alice").await;
    let url = |path: &str| format!("{}{path}", dev.server.url);
    let json_type = "application/json";
    let post = |path: &str, body: String| {
        dev.client
            .post(url(path))
            .header("content-type", json_type)
            .body(body)
    };
    let mine = |path: &str, body: Value| post(path, body.to_string()).bearer_auth(&alice.token);

    // What each gives.
    let code = text(&dev.wx("alice", "login").await["code"]);
    documented
        .send(post("/v1/login", json!({"code": code}).to_string()), 200)
        .await;
    let refused = post("/v1/login", json!({"code": "none"}).to_string());
    documented.send(refused, 401).await;
    // Whoever logs in again has another session_key, and open data of before is void.
    let alice_again = dev.login("alice").await;
    let steps = dev.wx("alice", "getWeRunData").await;
    let open_data = json!({"encryptedData": steps["encryptedData"], "iv": steps["iv"]});
    let request = post("/v1/open-data", open_data.to_string()).bearer_auth(&alice_again.token);
    documented.send(request, 200).await;
    for (what, status) in [("nothing", 200), ("throws", 500), ("slow", 504)] {
        let request = mine("/v1/functions/f", json!({"data": {"what": what, "userInfo": {}}}));
        let answer = documented.send(request, status).await;
        match status {
            200 => assert_eq!(answer["result"]["what"], what, "{answer}"),
            _ => assert!(answer["errCode"].is_i64(), "{answer}"),
        }
        // Where the rule wants no token, none is needed, and the words are others.
        let bare = post("/v1/functions/open", json!({"what": what}).to_string());
        let answer = documented.send(bare, status).await;
        match status {
            200 => assert_eq!(answer["what"], what, "{answer}"),
            _ => assert!(answer["code"].is_string(), "{answer}"),
        }
    }
    let denied = documented
        .send(mine("/v1/functions/closed", json!({})), 403)
        .await;
    assert_eq!(denied["errCode"], -501019, "{denied}");
    documented
        .send(mine("/v1/functions/absent", json!({})), 404)
        .await;
    for action in ["calculateDocument", "addCollection"] {
        let request = json!({"action": format!("database.{action}"), "collectionName": "notes"});
        documented.send(mine("/v1/database", request), 200).await;
    }
    for path in ["/healthz", "/readyz", "/openapi.json"] {
        documented.send(dev.client.get(url(path)), 200).await;
        documented
            .send(dev.client.get(url(path)).header("host", "evil.example"), 403)
            .await;
        documented.send(dev.client.delete(url(path)), 405).await;
    }

    // What each refuses.
    let large = json!({"data": {"text": "x".repeat(7 << 20)}}).to_string();
    for path in [
        "/v1/login",
        "/v1/functions/f",
        "/v1/open-data",
        "/v1/database",
        "/v1/storage",
    ] {
        documented
            .send(post(path, "{".to_owned()).bearer_auth(&alice.token), 400)
            .await;
        documented
            .send(post(path, large.clone()).bearer_auth(&alice.token), 413)
            .await;
        documented
            .send(post(path, "{}".to_owned()).header("host", "evil.example"), 403)
            .await;
        documented.send(dev.client.get(url(path)), 405).await;
        if path != "/v1/login" {
            documented.send(post(path, "{}".to_owned()), 401).await;
        }
    }

    // Users of web pages.
    let sign_in = |path: &str, body: Value| post(&format!("/auth/v1/{path}"), body.to_string());
    let device = sign_in("signin/anonymously", json!({})).header("x-device-id", "0123456789abcdef");
    let tokens = documented.send(device, 200).await;
    let short = sign_in("signin/anonymously", json!({})).header("x-device-id", "short");
    documented.send(short, 400).await;
    let me = || dev.client.get(url("/auth/v1/user/me"));
    documented
        .send(me().bearer_auth(text(&tokens["access_token"])), 200)
        .await;
    documented.send(me(), 401).await;
    let refresh = json!({"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]});
    let tokens = documented.send(sign_in("token", refresh), 200).await;
    let code = dev.wx("alice", "login").await["code"].take();
    let provider = json!({"provider_id": APPID, "provider_code": code, "provider_params": {"provider_code_type": "open_id"}});
    let provider = documented.send(sign_in("provider/token", provider), 200).await;
    let provider = json!({"provider_token": provider["provider_token"]});
    documented
        .send(sign_in("signin/with/provider", provider), 200)
        .await;
    let sign_out = || sign_in("user/signout", json!({}));
    documented.send(sign_out(), 401).await;
    documented
        .send(sign_out().bearer_auth(text(&tokens["access_token"])), 200)
        .await;
    documented
        .send(sign_in("revoke", json!({"token": "none"})), 200)
        .await;
    let doors = [
        "signin/anonymously",
        "signin/custom",
        "signin",
        "provider/token",
        "signin/with/provider",
        "token",
        "revoke",
        "user/signout",
    ];
    for path in doors {
        documented
            .send(post(&format!("/auth/v1/{path}"), "{".to_owned()), 400)
            .await;
        documented
            .send(post(&format!("/auth/v1/{path}"), large.clone()), 413)
            .await;
        documented
            .send(sign_in(path, json!({})).header("host", "evil.example"), 403)
            .await;
        documented
            .send(dev.client.get(url(&format!("/auth/v1/{path}"))), 405)
            .await;
    }
    documented.send(me().header("host", "evil.example"), 403).await;
    documented
        .send(dev.client.put(url("/auth/v1/user/me")), 405)
        .await;

    // Documents and files, as CloudBase's SDKs ask for them.
    let device = sign_in("signin/anonymously", json!({})).header("x-device-id", "0123456789abcdef");
    let access = text(&documented.send(device, 200).await["access_token"]);
    let pads = DOCUMENTS.replace("{collection}", "pads");
    let asked = |method: &str, path: &str, body: String| {
        let request = dev.client.request(method.parse().unwrap(), url(path));
        request
            .bearer_auth(&access)
            .header("content-type", json_type)
            .body(body)
    };
    let added =
        json!({"data": [{"_id": "p1", "n": 1}, {"_id": "p2", "n": 2}, {"_id": "p3", "n": 3}]}).to_string();
    documented.send(asked("POST", &pads, added.clone()), 200).await;
    documented.send(asked("POST", &pads, added), 409).await;
    let one = format!("{pads}/p1");
    let change = |change: Value| json!({"query": {"_id": "p1"}, "data": change}).to_string();
    let taken = change(json!({"$set": {"n": 2}}));
    for path in [&pads, &one] {
        documented
            .send(asked("PATCH", path, change(json!({"$set": {"m": 3}}))), 200)
            .await;
        documented.send(asked("PATCH", path, taken.clone()), 409).await;
    }
    for (path, status) in [("", 200), ("?count=true", 200), ("/p1", 200), ("/p9", 404)] {
        documented
            .send(asked("GET", &format!("{pads}{path}"), String::new()), status)
            .await;
    }
    let none = json!({"pipeline": []}).to_string();
    documented
        .send(asked("POST", &format!("{pads}/aggregations"), none), 200)
        .await;
    documented
        .send(asked("DELETE", &format!("{pads}/p2"), String::new()), 200)
        .await;
    let gone = json!({"query": {"_id": "p3"}}).to_string();
    documented
        .send(asked("POST", &format!("{pads}/remove"), gone), 200)
        .await;
    let place = json!([{"objectId": "web.txt"}, {"objectId": "/web.txt"}]).to_string();
    let places = documented
        .send(asked("POST", "/v1/storages/get-objects-upload-info", place), 200)
        .await;
    let id = json!([{"cloudObjectId": places[0]["cloudObjectId"]}]).to_string();
    for door in ["get-objects-download-info", "delete-objects"] {
        documented
            .send(asked("POST", &format!("/v1/storages/{door}"), id.clone()), 200)
            .await;
    }
    let copy = json!([{"srcPath": "web.txt", "dstPath": "b.txt"}]).to_string();
    documented
        .send(asked("POST", "/v1/storages/copy-objects", copy), 200)
        .await;
    for (method, path) in [
        ("GET", pads.clone()),
        ("POST", pads.clone()),
        ("PATCH", pads.clone()),
        ("GET", one.clone()),
        ("PATCH", one.clone()),
        ("DELETE", one.clone()),
        ("POST", format!("{pads}/remove")),
        ("POST", format!("{pads}/aggregations")),
        ("POST", "/v1/storages/get-objects-upload-info".to_owned()),
        ("POST", "/v1/storages/get-objects-download-info".to_owned()),
        ("POST", "/v1/storages/delete-objects".to_owned()),
        ("POST", "/v1/storages/copy-objects".to_owned()),
    ] {
        documented.send(asked(method, &path, "{".to_owned()), 400).await;
        documented.send(asked(method, &path, large.clone()), 413).await;
        let unknown = asked(method, &path, String::new()).header("host", "evil.example");
        documented.send(unknown, 403).await;
        let nobody = dev.client.request(method.parse().unwrap(), url(&path));
        documented.send(nobody.bearer_auth("none"), 401).await;
        documented.send(asked("PUT", &path, String::new()), 405).await;
    }
    for body in [
        "{",
        "{}",
        "{\"action\":\"functions.invokeFunction\",\"function_name\":\"f\"}",
    ] {
        documented.send(post("/web", body.to_owned()), 200).await;
    }
    documented
        .send(post("/web", String::new()).header("host", "evil.example"), 403)
        .await;
    documented.send(dev.client.get(url("/web")), 405).await;

    // Message push.
    let sender = Sender::new(settings(APPID, TOKEN, KEY, Mode::Secure, Format::Json)).unwrap();
    let now = Clock::system().now();
    let query = sender.verification("echo", now, "17");
    documented
        .send(dev.client.get(url(&format!("/v1/push?{query}"))), 200)
        .await;
    documented
        .send(
            dev.client.get(url("/v1/push?signature=1&timestamp=1&nonce=1")),
            403,
        )
        .await;
    let packet = json!({"ToUserName": "gh_1", "FromUserName": "o1", "CreateTime": 1_700_000_000, "MsgType": "text", "Content": "hi", "MsgId": 1});
    let pushed = sender.push(&packet.to_string(), now, "18", [7; 16]).unwrap();
    let request = dev.client.post(url(&format!("/v1/push?{}", pushed.query)));
    let request = request
        .header("content-type", pushed.content_type)
        .body(pushed.body);
    documented.send(request, 200).await;
    documented
        .send(
            post("/v1/push?signature=1&timestamp=1&nonce=1", "{}".to_owned()),
            403,
        )
        .await;
    documented.send(dev.client.delete(url("/v1/push")), 405).await;

    // Files.
    let place = async |documented: &mut Documented<'_>, path: &str| {
        let request = json!({"action": "storage.getUploadMetadata", "path": path});
        let answer = documented.send(mine("/v1/storage", request), 200).await;
        (text(&answer["data"]["url"]), text(&answer["data"]["fileId"]))
    };
    let form = |fields: &str| {
        format!(
            "--b\r\n{fields}content-disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\ncontent-type: text/plain\r\n\r\nhello\r\n--b--\r\n"
        )
    };
    let upload = |url: &str, body: String| {
        let request = dev
            .client
            .post(url)
            .header("content-type", "multipart/form-data; boundary=b");
        request.body(body)
    };
    let status = "content-disposition: form-data; name=\"success_action_status\"\r\n\r\n201\r\n--b\r\n";
    let (at, id) = place(&mut documented, "a.txt").await;
    documented.send(upload(&at, form("")), 204).await;
    let (at, _) = place(&mut documented, "b.txt").await;
    documented.send(upload(&at, form(status)), 201).await;
    let (at, _) = place(&mut documented, "b.txt").await;
    documented
        .send(upload(&at, form(&status.replace("201", "200"))), 200)
        .await;
    documented
        .send(dev.client.put(url("/v1/files/refused/x")).body("x"), 400)
        .await;
    let (at, _) = place(&mut documented, "c.txt").await;
    documented.send(dev.client.put(&at).body("hello"), 200).await;
    for (size, status) in [(2500, 413), (1900, 200), (1900, 507)] {
        let (at, _) = place(&mut documented, &format!("put-{status}.txt")).await;
        documented
            .send(dev.client.put(&at).body("x".repeat(size)), status)
            .await;
    }
    let large = |size: usize| form("").replace("hello", &"x".repeat(size));
    for (size, status) in [(2500, 413), (1900, 507)] {
        let (at, _) = place(&mut documented, &format!("post-{status}.txt")).await;
        documented.send(upload(&at, large(size)), status).await;
    }
    let (at, _) = place(&mut documented, "d.txt").await;
    documented.send(upload(&at, "--b--\r\n".to_owned()), 400).await;
    documented.send(dev.client.delete(&at), 405).await;
    for forged in ["forged", "forged/name.txt"] {
        let at = url(&format!("/v1/files/{forged}"));
        match forged.contains('/') {
            false => {
                documented.send(dev.client.put(&at).body("x"), 403).await;
                documented.send(upload(&at, form("")), 403).await;
            }
            true => {
                documented.send(dev.client.get(&at), 403).await;
                documented.send(dev.client.head(&at), 403).await;
            }
        }
    }
    let request = json!({"action": "storage.batchGetDownloadUrl", "file_list": [{"fileid": id}]});
    let answer = documented.send(mine("/v1/storage", request), 200).await;
    let at = text(&answer["data"]["download_list"][0]["tempFileURL"]);
    documented.send(dev.client.get(&at), 200).await;
    documented.send(dev.client.head(&at), 200).await;
    documented
        .send(dev.client.get(&at).header("range", "bytes=0-1"), 206)
        .await;
    documented
        .send(dev.client.get(&at).header("range", "bytes=900-"), 416)
        .await;
    documented
        .send(dev.client.get(&at).header("if-match", "\"other\""), 412)
        .await;
    documented
        .send(dev.client.get(&at).header("if-none-match", "*"), 304)
        .await;
    documented.send(dev.client.delete(&at), 405).await;
    let gone = json!({"action": "storage.batchDeleteFile", "fileid_list": [id]});
    documented.send(mine("/v1/storage", gone), 200).await;
    documented.send(dev.client.get(&at), 404).await;
    documented.send(dev.client.head(&at), 404).await;

    // Nothing is documented that does not happen.
    let mut left = BTreeMap::new();
    for (path, operations) in documented.text["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for status in operation["responses"]
                .as_object()
                .into_iter()
                .flat_map(|all| all.keys())
            {
                let key = (path.clone(), method.clone(), status.clone());
                let known = ELSEWHERE
                    .iter()
                    .any(|(known, statuses)| known == path && statuses.contains(&status.as_str()));
                if !documented.met.contains(&key) && !known {
                    left.entry(path.clone())
                        .or_insert_with(Vec::new)
                        .push((method.clone(), status.clone()));
                }
            }
        }
    }
    assert_eq!(documented.wrong, [""; 0]);
    assert!(left.is_empty(), "documented, and not brought about: {left:?}");
}

const REQUIREMENTS: &str = include_str!("openapi/requirements.txt");

/// Requests that the text allows and requests that it does not, made up by a program that reads it.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "schemathesis makes thousands of requests, and is some thirty packages of PyPI"]
async fn a_stranger_who_reads_the_text_meets_no_other_reply_and_no_fault_of_the_server() {
    let python = crate::install::python("openapi-python", REQUIREMENTS, "tests/openapi/requirements.txt");
    let project = Scratch::new(&[("f", "exports.main = async (event) => event")]);
    project.write("yunqiao.toml", "[database]\ndefault_permission = \"READONLY\"\n");
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let anonymous = dev
        .client
        .post(format!("{}/auth/v1/signin/anonymously", dev.server.url))
        .body("{}");
    let tokens: Value = anonymous.send().await.unwrap().json().await.unwrap();
    let web = text(&tokens["access_token"]);
    // A door of CloudBase's wants another token than ours.
    const THEIRS: &str = "^/(v1/database/|v1/storages/|web$)";
    for (token, which) in [
        (&alice.token, "--exclude-path-regex"),
        (&web, "--include-path-regex"),
    ] {
        let mut schemathesis = Command::new(python.with_file_name("schemathesis"));
        schemathesis
            .arg("run")
            .arg(format!("{}/openapi.json", dev.server.url))
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .args([which, THEIRS])
            .args([
                "--checks",
                "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            ])
            .args([
                "--max-examples",
                "40",
                "--seed",
                "7",
                "--no-color",
                "--suppress-health-check",
                "all",
            ])
            .current_dir(project.path())
            .env("NO_PROXY", "*");
        let (output, found, errors) = tokio::task::block_in_place(|| run(&mut schemathesis));
        assert!(output.status.success(), "{found}\n{errors}");
    }
}
