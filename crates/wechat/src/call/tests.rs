//! Calls against a WeChat that is busy, slow, refuses the token, or answers with pictures.

#![allow(clippy::unwrap_used)]
use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use clock::Clock;
use openapi::{ApiParam, Boundary};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::*;
use crate::{
    MemoryTokens,
    testing::{self, APPID, Received, Reply, SECRET, START, Server, refusal, reply, token, until},
};

/// Long enough for everything here, on a busy machine too.
const LONG: Duration = Duration::from_secs(20);

/// A POST of JSON.
fn post<'a>(path: &'a str, body: &'a [u8]) -> OutgoingRequest<'a> {
    OutgoingRequest {
        api: "some.api",
        method: Method::Post,
        path,
        query: &[],
        content_type: Some("application/json"),
        body: Bytes::copy_from_slice(body),
    }
}

/// Gives the token `T` for the asking, and `answer` to all else, with how often it was asked before.
async fn server(answer: impl Fn(&Received, u64) -> Reply + Send + Sync + 'static) -> Server {
    let count = AtomicU64::new(0);
    Server::start(move |request| match request.is("stable_token") {
        true => token("T", 7200),
        false => answer(request, count.fetch_add(1, Ordering::Relaxed)),
    })
    .await
}

fn json_of(called: &ApiAnswer) -> Value {
    serde_json::from_slice(&called.body).unwrap()
}

/// So many calls at once, each with a body of its own.
async fn at_once(client: &WeChatClient, count: u64) -> Vec<ApiAnswer> {
    let calls: Vec<_> = (0..count)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let body = json!({ "number": number }).to_string();
                client.call(&post("/wxa/some", body.as_bytes()), LONG).await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap().unwrap());
    }
    answers
}

#[tokio::test]
async fn a_request_goes_out_and_its_answer_comes_back_as_they_are() {
    let server = server(|_, _| Reply {
        status: "418 I'm a teapot",
        content_type: "application/json; charset=UTF-8",
        ..reply(json!({"errcode": 43101, "errmsg": "user refuse to accept the msg rid: 1-2-3"}))
    })
    .await;
    let query = [
        ("id".to_owned(), "a b&c=云".to_owned()),
        ("access_token".to_owned(), "forged".to_owned()),
        ("id".to_owned(), "again".to_owned()),
    ];
    let outgoing = OutgoingRequest {
        query: &query,
        content_type: Some("text/xml; charset=gbk"),
        ..post("/cgi-bin/a%20b/c", b"\x00\xff<xml>")
    };
    let called = server.client().call(&outgoing, LONG).await.unwrap();
    assert_eq!((called.status, called.attempts), (418, 1));
    assert_eq!(
        called.content_type.as_deref(),
        Some("application/json; charset=UTF-8")
    );
    assert_eq!(json_of(&called)["errcode"], 43101);

    let [received] = &server.received("/c")[..] else {
        panic!()
    };
    assert_eq!(
        (received.method.as_str(), received.path.as_str()),
        ("POST", "/cgi-bin/a%20b/c")
    );
    assert_eq!(
        received.raw_query,
        "access_token=T&id=a+b%26c%3D%E4%BA%91&id=again"
    );
    assert_eq!(received.content_type.as_deref(), Some("text/xml; charset=gbk"));
    assert_eq!(received.body, b"\x00\xff<xml>");
    let shown = format!("{outgoing:?} {called:?}");
    assert!(!shown.contains("xml>") && !shown.contains("accept"), "{shown}");
}

#[tokio::test]
async fn a_get_and_a_post_of_nothing() {
    let server = server(|_, _| reply(json!({}))).await;
    let client = server.client();
    let get = OutgoingRequest {
        method: Method::Get,
        content_type: None,
        ..post("/wxa/get", b"")
    };
    client.call(&get, LONG).await.unwrap();
    client
        .call(
            &OutgoingRequest {
                content_type: None,
                ..post("/wxa/post", b"")
            },
            LONG,
        )
        .await
        .unwrap();
    for (path, method, length) in [("/wxa/get", "GET", None), ("/wxa/post", "POST", Some(0))] {
        let [received] = &server.received(path)[..] else {
            panic!("{path}")
        };
        assert_eq!(
            (received.method.as_str(), received.content_length),
            (method, length)
        );
        assert_eq!(received.content_type, None);
    }
    // Connections are reused.
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_cold_start_makes_one_token_request() {
    let server = Server::start(|request| match request.is("stable_token") {
        true => Reply {
            after: Duration::from_millis(50),
            ..token("T", 7200)
        },
        false => reply(request.json()),
    })
    .await;
    let mut numbers: Vec<_> = at_once(&server.patient_client(), 200)
        .await
        .iter()
        .map(|called| json_of(called)["number"].as_u64().unwrap())
        .collect();
    // Each has its own answer.
    numbers.dedup();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    assert_eq!(server.received("stable_token").len(), 1);
    assert_eq!(server.received("/wxa/some").len(), 200);
}

#[tokio::test]
async fn a_token_refused_amid_many_calls_is_renewed_once_and_fails_none() {
    let (tokens, calls) = (AtomicU64::new(0), AtomicU64::new(0));
    let server = Server::start(move |request| match request.is("stable_token") {
        true => {
            let number = tokens.fetch_add(1, Ordering::Relaxed) + 1;
            Reply {
                after: Duration::from_millis(30),
                ..token(&format!("T{number}"), 7200)
            }
        }
        // From the 20th call on, the first token is void; some are refused at once, some while it is renewed.
        false => {
            let number = calls.fetch_add(1, Ordering::Relaxed);
            let answer = match request.query["access_token"].as_str() {
                "T1" if number >= 20 => refusal(40001, "invalid credential rid: 1-2-3"),
                _ => reply(json!({"errcode": 0})),
            };
            Reply {
                after: Duration::from_millis(number % 7 * 10),
                ..answer
            }
        }
    })
    .await;
    let client = server.patient_client();
    client.call(&post("/wxa/first", b"{}"), LONG).await.unwrap();
    let answers = at_once(&client, 50).await;
    assert!(answers.iter().all(|called| json_of(called)["errcode"] == 0));
    assert!(answers.iter().any(|called| called.attempts == 2));
    assert!(answers.iter().all(|called| called.attempts <= 2));
    assert_eq!(server.received("stable_token").len(), 2);
}

#[tokio::test]
async fn each_refusal_of_the_token_is_met_once_with_the_same_bytes() {
    for (errcode, content_type) in [
        (40001, "application/json"),
        (40014, "text/plain"),
        (42001, "image/jpeg"),
    ] {
        let count = AtomicU64::new(0);
        let server = Server::start(move |request| match request.is("stable_token") {
            true => token(&format!("T{}", count.fetch_add(1, Ordering::Relaxed) + 1), 7200),
            false if request.query["access_token"] == "T1" => Reply {
                content_type,
                ..refusal(errcode, "no rid: 1-2-3")
            },
            false => reply(json!({"errcode": 0})),
        })
        .await;
        let api = openapi::find("security.imgSecCheck").unwrap();
        let pairs = [ApiParam {
            key: "media",
            value: b"\xff\xd8\xff\xe0\r\n--\0",
            filename: Some("media.jpeg"),
        }];
        let request = api.request(&pairs, &Boundary::new(7)).unwrap();
        let called = server
            .client()
            .call(
                &OutgoingRequest::of(api.name, &request, request.body.bytes().to_vec().into()),
                LONG,
            )
            .await
            .unwrap();
        assert_eq!(
            (json_of(&called)["errcode"].as_i64(), called.attempts),
            (Some(0), 2)
        );
        let [first, second] = &server.received(api.path)[..] else {
            panic!()
        };
        assert!(
            first
                .content_type
                .as_ref()
                .unwrap()
                .starts_with("multipart/form-data; boundary=")
        );
        assert!(
            first
                .body
                .windows(8)
                .any(|part| part == b"\xff\xd8\xff\xe0\r\n--")
        );
        assert_eq!(
            (&first.content_type, &first.body, first.method.as_str()),
            (&second.content_type, &second.body, "POST")
        );
    }
}

#[tokio::test]
async fn a_token_that_is_always_refused_ends_in_the_answer_as_it_came() {
    let server = server(|_, _| refusal(40001, "invalid credential rid: 1-2-3")).await;
    let called = server
        .client()
        .call(&post("/wxa/some", b"{}"), LONG)
        .await
        .unwrap();
    assert_eq!(
        json_of(&called),
        json!({"errcode": 40001, "errmsg": "invalid credential rid: 1-2-3"})
    );
    assert_eq!((called.attempts, server.received("/wxa/some").len()), (2, 2));
}

#[tokio::test]
async fn a_busy_wechat_is_asked_again() {
    let server = server(|_, before| match before {
        0 | 1 => refusal(-1, "system error"),
        _ => reply(json!({"errcode": 0})),
    })
    .await;
    let began = Instant::now();
    let called = server
        .client()
        .call(&post("/wxa/some", b"{}"), LONG)
        .await
        .unwrap();
    assert_eq!(
        (json_of(&called)["errcode"].as_i64(), called.attempts),
        (Some(0), 3)
    );
    assert!(began.elapsed() >= Duration::from_millis(400));
    assert_eq!(server.received("/wxa/some").len(), 3);
}

#[tokio::test]
async fn a_wechat_that_stays_busy_has_the_last_word() {
    let server = server(|_, _| refusal(-1, "system error rid: 1-2-3")).await;
    let client = server.client();
    let called = client.call(&post("/wxa/some", b"{}"), LONG).await.unwrap();
    assert_eq!(
        json_of(&called),
        json!({"errcode": -1, "errmsg": "system error rid: 1-2-3"})
    );
    assert_eq!((called.attempts, server.received("/wxa/some").len()), (3, 3));

    // This crate's own requests have the same patience.
    let error = client
        .code2session(&crate::testing::code("code"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, WeChatError::Refused { errcode: -1, .. }),
        "{error:?}"
    );
    assert_eq!(server.received("jscode2session").len(), 3);
    let error = client.get_open_data("oABC", &["id"]).await.unwrap_err();
    assert!(
        matches!(error, WeChatError::Refused { errcode: -1, .. }),
        "{error:?}"
    );
    assert_eq!(server.received("getopendata").len(), 3);
}

/// A renewed token makes no new beginning of it.
#[tokio::test]
async fn a_call_has_one_patience() {
    let server = server(|_, before| match before {
        1 => refusal(42001, "access_token expired rid: 1-2-3"),
        _ => refusal(-1, "system error"),
    })
    .await;
    let called = server
        .client()
        .call(&post("/wxa/some", b"{}"), LONG)
        .await
        .unwrap();
    assert_eq!(
        (json_of(&called)["errcode"].as_i64(), called.attempts),
        (Some(-1), 4)
    );
    assert_eq!(server.received("/wxa/some").len(), 4);
}

#[tokio::test]
async fn a_busy_moment_costs_no_token() {
    let count = AtomicU64::new(0);
    let server = Server::start(move |request| {
        match (request.is("stable_token"), count.fetch_add(1, Ordering::Relaxed)) {
            (true, 0) => refusal(-1, "system error"),
            (true, _) => token("T", 7200),
            (false, _) => reply(json!({"errcode": 0})),
        }
    })
    .await;
    let called = server
        .client()
        .call(&post("/wxa/some", b"{}"), LONG)
        .await
        .unwrap();
    // The attempts are those at the request itself.
    assert_eq!(called.attempts, 1);
    assert_eq!(server.received("stable_token").len(), 2);
}

/// Between a busy answer at once and none later, the answer is worth more.
#[tokio::test]
async fn a_pause_that_would_outlast_the_time_is_not_made() {
    let server = server(|_, _| refusal(-1, "system error")).await;
    let client = server.client();
    client.access_token().await.unwrap();
    let within = Duration::from_millis(100);
    let called = client.call(&post("/wxa/some", b"{}"), within).await.unwrap();
    assert_eq!(
        (json_of(&called)["errcode"].as_i64(), called.attempts),
        (Some(-1), 1)
    );
}

#[tokio::test]
async fn time_that_ran_out_is_told_and_leaves_nothing_behind() {
    let server = server(|_, _| Reply {
        after: LONG,
        ..reply(json!({}))
    })
    .await;
    let client = server.client();
    let within = Duration::from_millis(100);
    let error = client.call(&post("/wxa/some", b"{}"), within).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "WeChat gave no answer to some.api within 100ms"
    );
    assert!(error.is_timeout());
    // The request is broken off: its connection is closed, and the one of the token may stay.
    testing::until(|| server.open_connections() <= 1).await;
    assert_eq!(server.received("/wxa/some").len(), 1);

    // An attempt has its own bound as well.
    let error = client.call(&post("/wxa/some", b"{}"), LONG).await.unwrap_err();
    assert!(
        matches!(&error, WeChatError::Unreachable { .. }) && error.is_timeout(),
        "{error:?}"
    );
    assert_eq!(server.received("/wxa/some").len(), 2);
}

#[tokio::test]
async fn time_that_ran_out_before_the_token_came_spares_the_next_call_the_wait() {
    let server = Server::start(|request| match request.is("stable_token") {
        true => Reply {
            after: Duration::from_millis(200),
            ..token("T", 7200)
        },
        false => reply(json!({"errcode": 0})),
    })
    .await;
    let client = server.client();
    let within = Duration::from_millis(20);
    let error = client.call(&post("/wxa/some", b"{}"), within).await.unwrap_err();
    assert!(
        matches!(&error, WeChatError::TimedOut { api, after } if api == "some.api" && *after == within),
        "{error:?}"
    );
    assert_eq!(server.received("/wxa/some").len(), 0);
    client.call(&post("/wxa/some", b"{}"), LONG).await.unwrap();
    assert_eq!(
        (
            server.received("stable_token").len(),
            server.received("/wxa/some").len()
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn a_picture_is_not_searched_for_an_errcode() {
    for bytes in [
        &b"\"errcode\":40001,\"errmsg\":\"invalid credential\""[..],
        b"{\"errcode\":40001}\xff\xd8\xff\xe0",
        b"{\"errcode\":-1",
        b"\xff\xd8\xff\xe0{\"errcode\":-1}",
        b"[{\"errcode\":-1}]",
        b"",
    ] {
        let server = server(|_, _| Reply {
            content_type: "image/jpeg",
            body: bytes.to_vec(),
            ..reply(json!(null))
        })
        .await;
        let called = server
            .client()
            .call(&post("/wxa/getwxacode", b"{}"), LONG)
            .await
            .unwrap();
        assert_eq!((&called.body[..], called.attempts), (bytes, 1));
        assert_eq!(called.content_type.as_deref(), Some("image/jpeg"));
        assert_eq!(server.received("stable_token").len(), 1);
    }
}

#[tokio::test]
async fn an_answer_may_have_20_mb_and_not_a_byte_more() {
    let server = server(|_, before| Reply {
        content_type: "video/mp4",
        body: vec![7; LARGEST_ANSWER + usize::from(before == 1)],
        ..reply(json!(null))
    })
    .await;
    let client = server.patient_client();
    let called = client.call(&post("/wxa/some", b"{}"), LONG).await.unwrap();
    assert_eq!(called.body.len(), 20 * 1024 * 1024);
    let error = client.call(&post("/wxa/some", b"{}"), LONG).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "WeChat's answer to some.api cannot be read: it is over 20 MB"
    );
    assert_eq!(server.received("/wxa/some").len(), 2);
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_another() {
    let server = server(|_, _| Reply {
        status: "302 Found",
        ..refusal(40001, "not WeChat's word")
    })
    .await;
    let called = server
        .client()
        .call(&post("/wxa/some", b"{}"), LONG)
        .await
        .unwrap();
    assert_eq!((called.status, called.attempts), (302, 1));
    assert!(server.received("/elsewhere").is_empty());
}

/// The message may be on its way to its user already.
#[tokio::test]
async fn a_request_whose_connection_broke_is_not_repeated() {
    let server = server(|_, _| Reply {
        hang_up: true,
        ..reply(json!(null))
    })
    .await;
    let client = server.client();
    client.access_token().await.unwrap();
    for requests in 1..=2 {
        let error = client.call(&post("/wxa/some", b"{}"), LONG).await.unwrap_err();
        assert!(
            matches!(&error, WeChatError::Unreachable { .. }) && !error.is_timeout(),
            "{error:?}"
        );
        assert_eq!(server.received("/wxa/some").len(), requests);
    }
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let client = testing::client(
        &format!("http://{address}"),
        Arc::new(MemoryTokens::default()),
        Clock::fixed(START),
    );
    let calling = client.clone();
    let call = tokio::spawn(async move { calling.call(&post("/wxa/some", b"{}"), LONG).await });
    until(|| client.last_attempt().is_some_and(|last| !last.answered)).await;
    let _server = Server::start_at(&address, |request| match request.is("stable_token") {
        true => token("T", 7200),
        false => reply(json!({"errcode": 0})),
    })
    .await;
    assert_eq!(json_of(&call.await.unwrap().unwrap())["errcode"], 0);
}

#[tokio::test]
async fn a_path_goes_nowhere_else_than_it_says() {
    let server = server(|_, _| reply(json!({}))).await;
    let client = server.client();
    for path in [
        "",
        "wxa/some",
        "/wxa/../cgi-bin/token",
        "/wxa/%2e%2E/cgi-bin/token",
        "/wxa/./some",
        "/wxa\\..\\cgi-bin/token",
        "/wxa/some?access_token=x",
        "/wxa/some#x",
        "/wxa/a b",
        "/wxa/云",
        "/wxa/so\tme",
    ] {
        let error = client.call(&post(path, b"{}"), LONG).await.unwrap_err();
        assert!(
            matches!(&error, WeChatError::Unsendable { why, .. } if why.contains("path")),
            "{path}: {error:?}"
        );
    }
    let outgoing = OutgoingRequest {
        content_type: Some("text/plain\r\nx: y"),
        ..post("/wxa/some", b"{}")
    };
    let error = client.call(&outgoing, LONG).await.unwrap_err();
    assert!(
        matches!(&error, WeChatError::Unsendable { why, .. } if why.contains("content type")),
        "{error:?}"
    );
    assert!(server.received("some").is_empty() && server.received("token").len() == 1);
    // What only looks odd goes as it is.
    client.call(&post("//wxa//some", b"{}"), LONG).await.unwrap();
    assert_eq!(server.received("//wxa//some").len(), 1);
}

#[tokio::test]
async fn the_token_is_given_with_what_is_left_of_its_life() {
    let server = server(|request, _| reply(json!({"with": request.query["access_token"]}))).await;
    let clock = Clock::fixed(START);
    let client = server.client_with(Arc::new(MemoryTokens::default()), clock.clone());
    assert_eq!(client.appid(), APPID);
    let (token, life) = client.access_token().await.unwrap();
    assert_eq!(life, Duration::from_secs(7200));
    let called = client.call(&post("/wxa/some", b"{}"), LONG).await.unwrap();
    assert_eq!(json_of(&called)["with"], token.expose_secret());
    clock.advance(Duration::from_secs(6000));
    let (again, life) = client.access_token().await.unwrap();
    assert_eq!(
        (again.expose_secret(), life),
        (token.expose_secret(), Duration::from_secs(1200))
    );
    assert_eq!(server.received("stable_token").len(), 1);
}

/// Everything that is logged below it, on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Each way in which a call can fail, and that neither its error nor a log line tells a secret.
#[tokio::test]
async fn no_failure_and_no_log_line_tells_a_secret() {
    const TOKEN: &str = "70_t0ken_of_wechat";
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);

    let server = Server::start(|request| {
        if request.is("stable_token") {
            return token(TOKEN, 7200);
        }
        let nothing = reply(json!({}));
        match request.path.as_str() {
            "/refused" => refusal(40001, "invalid credential"),
            "/busy" => refusal(-1, "system error"),
            "/hang-up" => Reply {
                hang_up: true,
                ..nothing
            },
            "/huge" => Reply {
                body: vec![b' '; LARGEST_ANSWER + 1],
                ..nothing
            },
            "/redirect" => Reply {
                status: "301 Moved Permanently",
                ..nothing
            },
            _ => Reply {
                after: LONG,
                ..nothing
            },
        }
    })
    .await;
    let client = server.client();
    let mut told = String::new();
    for path in [
        "/refused",
        "/busy",
        "/redirect",
        "/hang-up",
        "/huge",
        "/slow",
        "/wxa/../up",
    ] {
        let outcome = client.call(&post(path, b"{}"), LONG).await;
        assert_eq!(
            outcome.is_ok(),
            ["/refused", "/busy", "/redirect"].contains(&path),
            "{path}: {outcome:?}"
        );
        if let Err(error) = &outcome {
            told += &format!("{error} / ");
        }
        told += &format!("{outcome:?}\n");
    }
    let error = client
        .call(&post("/slow", b"{}"), Duration::from_millis(20))
        .await
        .unwrap_err();
    told += &format!("{error} / {error:?} / {client:?}\n");
    told += &String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    // What is looked through is what was told.
    assert!(told.contains("WeChat refused the access_token") && told.contains("TimedOut"));
    for secret in [TOKEN, SECRET, "access_token=", "secret="] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}
