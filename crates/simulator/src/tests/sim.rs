//! `/sim/`: who may ask, and what it says to a mistake.

use axum::{
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use clock::Clock;
use serde_json::{Value, json};

use super::{NOW, Sim};
use crate::{Simulator, SimulatorSettings};

#[tokio::test]
async fn a_backend_is_told_what_to_be_configured_with() {
    let app = Sim::new().sim(Method::GET, "/sim/app", Value::Null).await.json();
    let settings = SimulatorSettings::default();
    assert_eq!(app["appid"], settings.appid);
    assert_eq!(app["secret"], settings.secret.expose());
    let token = app["token"].as_str().unwrap();
    assert!((3..=32).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let key = app["encodingAESKey"].as_str().unwrap();
    assert_eq!(key.len(), 43);
    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
    assert_eq!(STANDARD_NO_PAD.decode(key).unwrap().len(), 32);
}

#[tokio::test]
async fn users_are_shown_and_changed() {
    let sim = Sim::new();
    let users = sim.sim(Method::GET, "/sim/users", Value::Null).await.json();
    let alice = &users["users"][0];
    for member in ["name", "openid", "unionid", "profile", "phone", "steps"] {
        assert!(!alice[member].is_null(), "{member}");
    }
    let changed = sim
        .sim(
            Method::POST,
            "/sim/users",
            json!({ "name": "alice", "unionid": null }),
        )
        .await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_eq!(changed.json().get("unionid"), None);
    assert_eq!(changed.json()["openid"], alice["openid"]);
    let code = sim.login("alice").await;
    assert_eq!(sim.exchange(&code).await.json().get("unionid"), None);

    sim.sim(
        Method::POST,
        "/sim/users",
        json!({ "name": "carol", "steps": [5] }),
    )
    .await;
    let (openid, _) = sim.session("carol").await;
    let users = sim.sim(Method::GET, "/sim/users", Value::Null).await.json();
    assert_eq!(users["users"][2]["openid"], openid);
    assert_eq!(users["users"][2]["steps"][30], 5);
}

#[tokio::test]
async fn the_clock_goes_forward_only() {
    let sim = Sim::new();
    assert_eq!(
        sim.sim(Method::GET, "/sim/clock", Value::Null).await.json(),
        json!({ "now": NOW })
    );
    let stepped = sim
        .sim(Method::POST, "/sim/clock", json!({ "advance": 301 }))
        .await;
    assert_eq!(stepped.json(), json!({ "now": NOW + 301 }));
    for wrong in [json!(-1), json!(1.5), json!("1"), json!(u64::MAX)] {
        let answer = sim
            .sim(Method::POST, "/sim/clock", json!({ "advance": wrong }))
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(answer.json()["errMsg"].as_str().unwrap().len() > 20);
    }
    assert_eq!(
        sim.sim(Method::GET, "/sim/clock", Value::Null).await.json(),
        json!({ "now": NOW + 301 })
    );
}

#[tokio::test]
async fn the_outbox_shows_what_was_sent_until_it_is_emptied() {
    let sim = Sim::new();
    let empty = json!({ "items": [] });
    assert_eq!(
        sim.sim(Method::GET, "/sim/outbox", Value::Null).await.json(),
        empty
    );
    let body = json!({ "touser": "oAlice", "command": "Typing" });
    sim.api("/cgi-bin/message/custom/business/typing", body.clone())
        .await;
    let full = sim.sim(Method::GET, "/sim/outbox", Value::Null).await.json();
    let item = json!({
        "api": "customerServiceMessage.setTyping",
        "to": "oAlice",
        "body": body,
        "at": NOW,
        "simulated": true,
        "note": "only recorded: the simulator does no more than answer ok",
        "noteZh": "仅作记录：模拟器只应答 ok",
    });
    assert_eq!(full, json!({ "items": [item] }));
    assert_eq!(
        sim.sim(Method::DELETE, "/sim/outbox", Value::Null).await.json(),
        empty
    );
    assert_eq!(
        sim.sim(Method::GET, "/sim/outbox", Value::Null).await.json(),
        empty
    );
}

#[tokio::test]
async fn a_mistake_is_told_with_its_mend() {
    let sim = Sim::new();
    for (method, path, body, status, mend) in [
        (
            Method::POST,
            "/sim/client",
            json!({ "user": "mallory", "api": "login" }),
            400,
            "alice, bob",
        ),
        (
            Method::POST,
            "/sim/client",
            json!({ "user": "alice", "api": "logon" }),
            400,
            "login, checkSession",
        ),
        (
            Method::POST,
            "/sim/client",
            json!({ "user": "alice" }),
            400,
            "`api`",
        ),
        (
            Method::POST,
            "/sim/users",
            json!({ "name": "alice", "openid": "123456" }),
            400,
            "openid",
        ),
        (
            Method::POST,
            "/sim/users",
            json!({ "name": "alice", "fone": "1" }),
            400,
            "`phone`",
        ),
        (Method::GET, "/sim/client", Value::Null, 405, "POST"),
        (Method::DELETE, "/sim/users", Value::Null, 405, "GET or POST"),
        (Method::GET, "/sim/user", Value::Null, 404, "/sim/users"),
        (Method::POST, "/sim/client", Value::Null, 415, "application/json"),
    ] {
        let answer = sim.sim(method, path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {answer:?}");
        let text = answer.json()["errMsg"].as_str().unwrap().to_owned();
        assert!(text.contains(mend), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_web_page_cannot_reach_it() {
    let settings = SimulatorSettings {
        allowed_hosts: vec!["192.168.1.7".to_owned()],
        ..SimulatorSettings::default()
    };
    let sim = Sim::with(settings);
    for (host, status) in [
        ("127.0.0.1:8788", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:8788", 200),
        ("192.168.1.7:8788", 200),
        ("evil.example:8788", 403),
        ("localhost.evil.example", 403),
        ("[::1", 403),
        ("", 403),
    ] {
        for path in ["/sim/app", "/sim/nonsense"] {
            let request = Request::builder().uri(path).header(header::HOST, host);
            let answer = sim.send(request.body(Body::empty()).unwrap()).await;
            let expected = if status == 200 && path == "/sim/nonsense" {
                404
            } else {
                status
            };
            assert_eq!(answer.status.as_u16(), expected, "{host} {path}");
        }
        // WeChat's own API is another matter.
        let request = Request::builder()
            .uri("/cgi-bin/token")
            .header(header::HOST, host);
        assert_eq!(
            sim.send(request.body(Body::empty()).unwrap()).await.errcode(),
            41002
        );
    }
    // What a form can send is no JSON.
    let request = Request::builder()
        .method(Method::POST)
        .uri("/sim/clock")
        .header(header::HOST, "localhost:8788")
        .header(header::CONTENT_TYPE, "text/plain");
    let answer = sim
        .send(request.body(Body::from(r#"{"advance":1}"#)).unwrap())
        .await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(
        sim.sim(Method::GET, "/sim/clock", Value::Null).await.json(),
        json!({ "now": NOW })
    );
}

#[tokio::test]
async fn a_listener_on_every_address_is_known_by_every_address_and_by_no_name() {
    let sim = Sim::with(SimulatorSettings {
        allowed_hosts: vec!["0.0.0.0".to_owned()],
        ..SimulatorSettings::default()
    });
    for (host, status) in [
        ("192.168.1.7:8788", 200),
        ("[fe80::1]:8788", 200),
        ("[::1]", 200),
        ("evil.example:8788", 403),
    ] {
        let request = Request::builder().uri("/sim/app").header(header::HOST, host);
        assert_eq!(
            sim.send(request.body(Body::empty()).unwrap())
                .await
                .status
                .as_u16(),
            status,
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_body_beyond_two_megabytes_is_refused_in_the_same_form() {
    let long = "x".repeat(2 * 1024 * 1024 + 1);
    let answer = Sim::new()
        .sim(Method::POST, "/sim/users", json!({ "name": long }))
        .await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.json()["errMsg"].is_string());
}

#[tokio::test]
async fn it_serves_a_listener_and_stops_when_told() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let simulator = Simulator::new(SimulatorSettings::default(), Clock::system(), |_| {});
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(simulator.serve(listener, async {
        let _ = stopped.await;
    }));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET /sim/app HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains(&SimulatorSettings::default().appid), "{answer}");
    stop.send(()).unwrap();
    serving.await.unwrap().unwrap();
}
