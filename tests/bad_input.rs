//! What a client can get wrong: the code of the table, and nothing lost.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use serde_json::{Value, json};

use crate::support::{Dev, Scratch, text};

const ECHO: &str = "exports.main = async (event) => event";

fn code(answer: &(u16, Value)) -> (u16, i64) {
    assert!(
        answer.1["requestID"].as_str().is_some_and(|id| id.len() == 36),
        "{}",
        answer.1
    );
    assert!(answer.1["errMsg"].is_string());
    (answer.0, answer.1["errCode"].as_i64().unwrap())
}

#[tokio::test]
async fn a_malformed_request_is_named() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    for body in [
        "",
        "x",
        "[]",
        "{",
        r#"{"data":[]}"#,
        r#"{"data":null}"#,
        r#"{"data":"x"}"#,
        r#"{"data":{"a":1,"a":2}}"#,
        r#"{"data":{"weRunData":"x","\u0077eRunData":{"data":1}},"cloudIDs":["weRunData"]}"#,
        r#"{"data":{},"cloudIDs":["absent"]}"#,
        r#"{"data":{"a":1},"cloudIDs":["a"]}"#,
        "{\"data\":{\"a\":\"\u{1}\"}}",
    ] {
        assert_eq!(
            code(&alice.call_raw("echo", body).await),
            (400, -501007),
            "{body}"
        );
    }
    assert_eq!(
        code(
            &alice
                .call_raw("echo", vec![b'{', b'"', 0xff, b'"', b':', b'1', b'}'])
                .await
        ),
        (400, -501007)
    );

    let url = format!("{}/v1/functions/echo", dev.server.url);
    let reply = dev
        .client
        .post(&url)
        .bearer_auth(&alice.token)
        .body("{}")
        .send()
        .await
        .unwrap();
    assert_eq!(reply.status(), 400, "no content type");
    assert_eq!(dev.client.get(&url).send().await.unwrap().status(), 405);
    assert_eq!(
        dev.client
            .post(format!("{}/v2", dev.server.url))
            .send()
            .await
            .unwrap()
            .status(),
        404
    );
    assert_eq!(alice.call("echo", json!({})).await.0, 200);
}

/// Each name in `cloudIDs` used to be looked for among all fields: this body stopped the server for half a minute.
#[tokio::test]
async fn many_names_of_cloud_ids_are_refused_and_many_fields_are_not() {
    let project = Scratch::new(&[(
        "count",
        "exports.main = async (event) => Object.keys(event).length",
    )]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let names: Vec<String> = (0..120_000).map(|at| format!("f{at}")).collect();
    let fields: serde_json::Map<String, Value> =
        names.iter().map(|name| (name.clone(), "x".into())).collect();
    let body = json!({"data": fields, "cloudIDs": names}).to_string();
    let (status, answer) = alice.call_raw("count", body).await;
    assert_eq!((status, &answer["errCode"]), (400, &json!(-501007)));
    assert!(
        answer["errMsg"].as_str().unwrap().contains("more than 100 names"),
        "{answer}"
    );
    // The fields alone are no reason to refuse, nor are as many names as are looked at, of which five are exchanged.
    let body = json!({"data": fields, "cloudIDs": names[..100]}).to_string();
    let (status, answer) = alice.call_raw("count", body).await;
    assert_eq!((status, &answer["result"]), (200, &json!(120_002)));
    assert_eq!(answer["warnings"].as_array().unwrap().len(), 95);
}

#[tokio::test]
async fn a_token_that_is_not_ours_is_refused() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let last = alice.token.pop_flipped();
    let ticket = {
        let steps = dev.wx("alice", "getWeRunData").await;
        let (_, answer) = alice
            .exchange(json!({"encryptedData": steps["encryptedData"], "iv": steps["iv"]}))
            .await;
        text(&answer["cloudID"])
    };
    // Another process has another key ring: its tokens are forgeries here.
    let elsewhere = Scratch::new(&[("echo", ECHO)]);
    let other = Dev::start(elsewhere.path());
    let foreign = other.login("alice").await.token;
    for token in [
        None,
        Some(""),
        Some("x"),
        Some(last.as_str()),
        Some(ticket.as_str()),
        Some(&ticket[3..]),
        Some(foreign.as_str()),
    ] {
        for path in [
            "/v1/functions/echo",
            "/v1/open-data",
            "/v1/database",
            "/v1/storage",
            "/v1/functions/absent",
        ] {
            assert_eq!(
                code(&dev.post(path, token, "{}").await),
                (401, -501008),
                "{token:?} {path}"
            );
        }
    }
    assert_eq!(alice.call("echo", json!({})).await.0, 200);
    // The token lives two hours of WeChat's time.
    dev.sim("clock", json!({"advance": 7201})).await;
    assert_eq!(code(&alice.call("echo", json!({})).await), (401, -501008));
}

#[tokio::test]
async fn a_token_may_live_as_long_as_the_session() {
    let project = Scratch::new(&[("echo", ECHO)]);
    project.write("yunqiao.toml", "[login]\nttl = \"session\"\n");
    let dev = Dev::start(project.path());
    let (alice, bob) = (dev.login("alice").await, dev.login("bob").await);
    // Four hours of calls: longer than a token of fixed life, and each asks WeChat anew.
    for _ in 0..24 {
        dev.sim("clock", json!({"advance": 601})).await;
        assert_eq!(alice.call("echo", json!({})).await.0, 200);
    }
    // A login that this gateway never saw gives Alice a new session_key: the session that it knows has ended.
    dev.sim("client", json!({"user": "alice", "api": "login", "rotate": true}))
        .await;
    dev.sim("clock", json!({"advance": 601})).await;
    assert_eq!(code(&alice.call("echo", json!({})).await), (401, -501008));
    assert_eq!(bob.call("echo", json!({})).await.0, 200);
}

trait Flip {
    fn pop_flipped(&self) -> String;
}

impl Flip for String {
    /// The same text with one character in its middle changed.
    fn pop_flipped(&self) -> String {
        let middle = self.len() / 2;
        let other = if self.as_bytes()[middle] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &self[..middle], &self[middle + 1..])
    }
}

#[tokio::test]
async fn a_function_that_is_not_there_is_not_found() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    for name in [
        "absent",
        "..%2Fecho",
        "echo%00",
        "echo/x",
        "",
        "..%2f..%2fecho",
        "ECHO",
    ] {
        let answer = alice.call_raw(name, "{}").await;
        assert_eq!(code(&answer), (404, -501000), "{name}");
        assert_eq!(answer.1["errMsg"], "FunctionName parameter could not be found");
    }
    dev.server.prints("there are: echo");
}

#[tokio::test]
async fn login_codes_are_good_once_and_for_five_minutes() {
    let project = Scratch::new(&[("echo", ECHO)]);
    project.write("yunqiao.toml", "[sim]\nforeign_codes = \"refuse\"\n");
    let dev = Dev::start(project.path());
    let login = async |body: Value| code(&dev.post("/v1/login", None, body.to_string()).await);
    let fresh = dev.wx("alice", "login").await["code"].take();
    let late = dev.wx("alice", "login").await["code"].take();
    assert_eq!(
        dev.post("/v1/login", None, json!({"code": fresh}).to_string())
            .await
            .0,
        200
    );
    assert_eq!(login(json!({"code": fresh})).await, (401, 40163));
    assert_eq!(login(json!({"code": "made up"})).await, (401, 40029));
    assert_eq!(login(json!({})).await, (400, -501007));
    assert_eq!(login(json!({"code": 1})).await, (400, -501007));
    dev.sim("clock", json!({"advance": 301})).await;
    assert_eq!(login(json!({"code": late})).await, (401, 40029));
}

#[tokio::test]
async fn a_body_over_the_limit_is_read_and_refused() {
    let project = Scratch::new(&[("length", "exports.main = (event) => event.text.length")]);
    let dev = Dev::start(project.path());
    let alice = dev.login("alice").await;
    let body = |megabytes: usize| json!({"data": {"text": "x".repeat(megabytes << 20)}}).to_string();
    assert_eq!(code(&alice.call_raw("length", body(8)).await), (413, -501007));
    let chunked = reqwest::Body::wrap(http_body_util::Full::new(bytes::Bytes::from(body(8))));
    assert_eq!(code(&alice.call_raw("length", chunked).await), (413, -501007));
    let (status, reply) = alice.call_raw("length", body(5)).await;
    assert_eq!((status, &reply["result"]), (200, &json!(5 << 20)), "{reply}");

    // Many at once: all answered, memory bounded.
    let before = resident(dev.server.pid());
    let calls = (0..16).map(|_| alice.call_raw("length", body(8)));
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.0, 413);
    }
    let after = resident(dev.server.pid());
    assert!(after < before + (64 << 20), "{before} -> {after}");
}

fn resident(pid: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[tokio::test]
async fn a_head_that_never_ends_is_given_up() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    let address = dev.server.url.strip_prefix("http://").unwrap().to_owned();
    let closed = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream
            .write_all(b"POST /v1/functions/echo HTTP/1.1\r\nhost: x\r\nx-slow: ")
            .unwrap();
        let mut rest = Vec::new();
        // Whatever it answers, it closes.
        stream.read_to_end(&mut rest).unwrap();
    });
    // Others are served meanwhile.
    let alice = dev.login("alice").await;
    assert_eq!(alice.call("echo", json!({})).await.0, 200);
    closed.await.unwrap();
    assert_eq!(alice.call("echo", json!({})).await.0, 200);
}

#[tokio::test]
async fn only_pages_on_loopback_may_call_in_dev() {
    let project = Scratch::new(&[("echo", ECHO)]);
    let dev = Dev::start(project.path());
    let preflight = async |origin: &str| {
        let request = dev
            .client
            .request(reqwest::Method::OPTIONS, format!("{}/v1/login", dev.server.url));
        let reply = request
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .send()
            .await
            .unwrap();
        reply
            .headers()
            .get("access-control-allow-origin")
            .map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(
        preflight("http://localhost:5173").await.as_deref(),
        Some("http://localhost:5173")
    );
    assert_eq!(preflight("https://evil.example").await, None);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            dev.client
                .get(format!("{}{path}", dev.server.url))
                .send()
                .await
                .unwrap()
                .status(),
            200
        );
    }
}
