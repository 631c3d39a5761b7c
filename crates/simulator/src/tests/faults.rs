//! `/sim/faults`: each kind as a client of WeChat's meets it, over a real connection where that is what breaks.

use std::time::{Duration, Instant};

use axum::http::{Method, StatusCode};
use clock::Clock;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Sim, plain_token};
use crate::{Simulator, SimulatorSettings};

async fn fault(sim: &Sim, given: Value) {
    let answer = sim.sim(Method::POST, "/sim/faults", given).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}

#[tokio::test]
async fn an_errcode_is_answered_for_the_next_calls_and_counted() {
    let sim = Sim::new();
    let (openid, _) = sim.session("alice").await;
    let path = sim.with_token(&format!("/wxa/getopendata?openid={openid}")).await;
    let ask = async || sim.post(&path, json!({ "cloudid_list": [] })).await;
    fault(
        &sim,
        json!({ "api": "getopendata", "kind": "errcode", "value": -1, "next": 2 }),
    )
    .await;
    fault(
        &sim,
        json!({ "api": "cloudbase.getOpenData", "kind": "errcode", "value": 45009, "next": 1 }),
    )
    .await;
    fault(
        &sim,
        json!({ "api": "/wxa/getopendata", "kind": "errcode", "value": 123_456, "next": 1 }),
    )
    .await;
    for (errcode, text) in [
        (-1, "system error rid: "),
        (-1, "system error rid: "),
        (45009, "reach max api daily quota limit rid: "),
        (123_456, "simulated fault rid: "),
        (0, "ok"),
    ] {
        let answer = ask().await;
        assert_eq!(answer.errcode(), errcode);
        assert!(
            answer.json()["errmsg"].as_str().unwrap().starts_with(text),
            "{answer:?}"
        );
    }
    assert!(sim.heard("fault: /wxa/getopendata answers with errcode -1"));
    let shown = sim.sim(Method::GET, "/sim/faults", Value::Null).await.json();
    assert_eq!(
        shown["faults"][0],
        json!({ "api": "getopendata", "kind": "errcode", "value": -1, "next": 0, "fired": 2 })
    );
    assert_eq!(
        (&shown["faults"][1]["fired"], &shown["faults"][2]["fired"]),
        (&json!(1), &json!(1))
    );

    fault(
        &sim,
        json!({ "api": "*", "kind": "errcode", "value": 42001, "probability": 1, "seed": 7 }),
    )
    .await;
    assert_eq!(ask().await.errcode(), 42001);
    assert_eq!(sim.exchange("x").await.errcode(), 42001);
    assert!(sim.get("/wxa/none").await.text.contains("42001"));
    let cleared = sim.sim(Method::DELETE, "/sim/faults", Value::Null).await.json();
    assert_eq!(cleared, json!({ "faults": [] }));
    assert_eq!(ask().await.errcode(), 0);
}

#[tokio::test]
async fn a_latency_holds_the_call() {
    let sim = Sim::new();
    fault(
        &sim,
        json!({ "api": "token", "kind": "latency", "value": 60, "next": 1 }),
    )
    .await;
    let began = Instant::now();
    sim.token().await;
    assert!(began.elapsed() >= Duration::from_millis(60));
    assert!(sim.heard("fault: /cgi-bin/token waits for 60 ms"));
}

#[tokio::test]
async fn a_session_key_changes_between_two_calls() {
    let sim = Sim::new();
    let (alice, first) = sim.session("alice").await;
    let (bob, of_bob) = sim.session("bob").await;
    let check = async |openid: &str, key: &opendata::SessionKey| {
        let signature = key.session_signature(b"");
        let path = format!("/wxa/checksession?openid={openid}&signature={signature}&sig_method=hmac_sha256");
        let path = sim.with_token(&path).await;
        sim.get(&path).await.errcode()
    };
    let rotate = json!({ "api": "checksession", "kind": "rotate", "next": 1 });
    fault(&sim, rotate.clone()).await;
    assert_eq!(check(&alice, &first).await, 87009);
    assert_eq!(check(&bob, &of_bob).await, 0);
    assert!(sim.heard("fault: /wxa/checksession finds a new session_key of alice"));

    // What the client encrypted before the code was exchanged no longer opens.
    let code = sim.login("alice").await;
    let data = sim
        .client(json!({ "user": "alice", "api": "getUserProfile", "desc": "x" }))
        .await;
    fault(
        &sim,
        json!({ "api": "jscode2session", "kind": "rotate", "next": 1 }),
    )
    .await;
    let session = sim.exchange(&code).await.json();
    let key = opendata::SessionKey::parse(session["session_key"].as_str().unwrap()).unwrap();
    let part = |name: &str| data[name].as_str().unwrap();
    assert!(!key.verify(part("rawData"), part("signature")));
    assert_eq!(check(&alice, &key).await, 0);
    assert_eq!(check(&bob, &of_bob).await, 0);

    // In a body, and of nobody.
    fault(
        &sim,
        json!({ "api": "customerServiceMessage.send", "kind": "rotate", "next": 1 }),
    )
    .await;
    sim.api("/cgi-bin/message/custom/send", json!({ "touser": bob }))
        .await;
    assert_eq!(check(&bob, &of_bob).await, 87009);
    assert_eq!(check(&alice, &key).await, 0);
    fault(&sim, json!({ "api": "token", "kind": "rotate", "next": 1 })).await;
    sim.token().await;
    assert_eq!(check(&alice, &key).await, 87009);
    assert!(sim.heard("a new session_key of everybody"));
}

#[tokio::test]
async fn a_mistaken_fault_is_refused_with_its_mend() {
    let sim = Sim::new();
    let with = |more: Value| {
        let mut given = json!({ "api": "token", "kind": "cut", "next": 1 });
        let more = more.as_object().unwrap().clone();
        given.as_object_mut().unwrap().extend(more);
        given
    };
    for (given, mend) in [
        (with(json!({ "api": "tokens" })), "did you mean token"),
        (with(json!({ "kind": "slow" })), "`latency`"),
        (with(json!({ "kind": "latency" })), "milliseconds"),
        (with(json!({ "kind": "latency", "value": 600_001 })), "600000"),
        (with(json!({ "kind": "errcode", "value": 0 })), "0 is none"),
        (
            with(json!({ "kind": "errcode", "value": 4_294_967_296_i64 })),
            "40001",
        ),
        (with(json!({ "value": 1 })), "no value"),
        (with(json!({ "next": 0 })), "1 or more"),
        (with(json!({ "probability": 0.5 })), "either next"),
        (with(json!({ "seed": 1 })), "either next"),
        (json!({ "api": "token", "kind": "cut" }), "either next"),
        (
            json!({ "api": "token", "kind": "cut", "probability": 0 }),
            "more than 0",
        ),
        (
            json!({ "api": "token", "kind": "cut", "probability": 1.5 }),
            "at most 1",
        ),
        (with(json!({ "times": 1 })), "`next`"),
    ] {
        let answer = sim.sim(Method::POST, "/sim/faults", given.clone()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{given}");
        let text = answer.json()["errMsg"].as_str().unwrap().to_owned();
        assert!(text.contains(mend), "{given}: {text}");
    }
    let shown = sim.sim(Method::GET, "/sim/faults", Value::Null).await.json();
    assert_eq!(shown, json!({ "faults": [] }));
}

/// What comes back, to the end of the connection.
async fn exchange(address: std::net::SocketAddr, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_connection_is_cut_before_or_in_the_middle_of_the_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let simulator = Simulator::new(SimulatorSettings::default(), Clock::system(), |_| {});
    let serving = tokio::spawn(simulator.clone().serve(listener, std::future::pending()));
    let fault = async |kind: &str| {
        let given = json!({ "api": "token", "kind": kind, "next": 1 }).to_string();
        let set = exchange(address, "POST", "/sim/faults", &given).await;
        assert!(set.starts_with("HTTP/1.1 200"), "{set}");
    };
    let token = async || exchange(address, "GET", &plain_token(), "").await;
    fault("cut").await;
    assert_eq!(token().await, "");

    fault("half").await;
    let half = token().await;
    let (head, body) = half.split_once("\r\n\r\n").unwrap();
    let (_, length) = head.split_once("content-length: ").unwrap();
    let length: usize = length.lines().next().unwrap().parse().unwrap();
    assert_eq!(body.len(), length / 2, "{half}");
    assert!(body.starts_with("{\"access_token\":\""), "{half}");

    let whole = token().await;
    assert!(
        whole.starts_with("HTTP/1.1 200") && whole.ends_with("7200}"),
        "{whole}"
    );
    serving.abort();
}
