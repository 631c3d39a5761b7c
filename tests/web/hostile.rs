//! Requests that nobody sends by mistake, and functions whose answers are none.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

use reqwest::Method;
use serde_json::json;

use super::{echo, header, refused, route};
use crate::support::{Dev, PATIENCE, Scratch};

/// What comes back for these bytes until the connection ends, or a request more is answered.
fn raw(dev: &Dev, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(dev.web.strip_prefix("http://").unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Whoever says no more is answered, and the connection ends. A server that ends it before it has read everything resets it, and
    // what it answered may be lost with that.
    let _ = stream
        .write_all(bytes)
        .and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_request_is_one_request() {
    let project = echo("");
    let dev = Dev::start(project.path());
    let host = dev.web.strip_prefix("http://").unwrap().to_owned();
    // Each tries to have a second request taken for one of somebody else's, or to be taken apart in two ways.
    for (what, request) in [
        (
            "two lengths",
            format!(
                "POST /api HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3\r\ncontent-length: 30\r\n\r\nabc"
            ),
        ),
        (
            "a length that is none",
            format!("POST /api HTTP/1.1\r\nhost: {host}\r\ncontent-length: +3\r\n\r\nabc"),
        ),
        (
            "a list of lengths",
            format!("POST /api HTTP/1.1\r\nhost: {host}\r\ncontent-length: 3, 30\r\n\r\nabc"),
        ),
        (
            "a coding that nobody knows",
            format!("POST /api HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
        ),
        (
            "chunks that are not last",
            format!(
                "POST /api HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n"
            ),
        ),
        (
            "a chunk of no size",
            format!(
                "POST /api HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n"
            ),
        ),
        (
            "a blank before the colon",
            format!("GET /api HTTP/1.1\r\nhost: {host}\r\nx-a : 1\r\n\r\n"),
        ),
        (
            "a folded line",
            format!("GET /api HTTP/1.1\r\nhost: {host}\r\nx-a: 1\r\n  x-b: 2\r\n\r\n"),
        ),
        (
            "two hosts",
            format!("GET /api HTTP/1.1\r\nhost: {host}\r\nhost: evil.example\r\n\r\n"),
        ),
        ("no host", "GET /api HTTP/1.1\r\n\r\n".to_owned()),
        (
            "a NUL",
            format!("GET /api HTTP/1.1\r\nhost: {host}\r\nx-a: a\0b\r\n\r\n"),
        ),
        (
            "dots",
            format!("GET /site/../api HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        ),
        (
            "encoded dots",
            format!("GET /x/%2e%2e/api HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        ),
    ] {
        let answer = raw(&dev, request.as_bytes());
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{what}: {answer}"
        );
    }
    for (what, request, status) in [
        (
            "a rebound name",
            "GET /api HTTP/1.1\r\nhost: evil.example\r\n\r\n".to_owned(),
            "403",
        ),
        (
            "a tunnel",
            format!("CONNECT example.com:443 HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            "405",
        ),
        (
            "a trace",
            format!("TRACE /api HTTP/1.1\r\nhost: {host}\r\n\r\n"),
            "405",
        ),
        (
            "a head that is too large",
            format!(
                "GET /api HTTP/1.1\r\nhost: {host}\r\nx-a: {}\r\n\r\n",
                "x".repeat(70_000)
            ),
            "431",
        ),
    ] {
        let answer = (0..100)
            .map(|_| raw(&dev, request.as_bytes()))
            .find(|answer| !answer.is_empty())
            .unwrap_or_default();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{what}: {answer}"
        );
    }
    // Length and chunks in one request: what a proxy takes for the body of one, another takes for a request. It is answered once.
    let both = format!(
        "POST /api HTTP/1.1\r\nhost: {host}\r\ncontent-length: 50\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: {host}\r\n\r\n"
    );
    let answer = raw(&dev, both.as_bytes());
    assert!(
        !answer.contains("INVALID_PATH"),
        "the second is nobody's request: {answer}"
    );
}

/// Nothing that a function answers ends a header and begins another, or makes a reply that clients read in two ways.
#[tokio::test]
async fn answers_that_are_none_are_refused_whole() {
    let project = echo("");
    let dev = Dev::start(project.path());
    for (answer, cause) in [
        (
            json!({"statusCode": 200, "headers": {"x-a": "1\r\nset-cookie: stolen=1"}, "body": ""}),
            "line break",
        ),
        (
            json!({"statusCode": 200, "headers": {"x-a\r\nset-cookie": "1"}, "body": ""}),
            "no header can have",
        ),
        (
            json!({"statusCode": 200, "multiValueHeaders": {"x-a": ["1", "2\n3"]}, "body": ""}),
            "line break",
        ),
        (json!({"statusCode": 99, "body": ""}), "`statusCode` is 99"),
        (json!({"statusCode": 100, "body": ""}), "`statusCode` is 100"),
        (json!({"statusCode": 1000, "body": ""}), "`statusCode` is 1000"),
        (
            json!({"statusCode": "ok", "body": ""}),
            "`statusCode` is \\\"ok\\\"",
        ),
        (
            json!({"statusCode": 200, "isBase64Encoded": true, "body": "no base64"}),
            "not base64",
        ),
        (json!({"statusCode": 200, "headers": ["x"]}), "not an object"),
        (
            json!({"statusCode": 200, "headers": {"x": "y".repeat(100_000)}}),
            "more than 64 KB",
        ),
    ] {
        let reply = dev.answer(answer.clone()).await;
        assert_eq!(
            (
                reply.status().as_u16(),
                header(&reply, "set-cookie"),
                header(&reply, "x-a")
            ),
            (502, "", ""),
            "{answer}"
        );
        let text = reply.text().await.unwrap();
        assert!(
            text.contains("BAD_GATEWAY") && text.contains(cause),
            "{answer}: {text}"
        );
    }
    let length = json!({"statusCode": 200, "headers": {"Content-Length": "1000", "Transfer-Encoding": "chunked", "Connection": "x-a"}, "body": "whole"});
    let reply = dev.answer(length).await;
    assert_eq!(
        (
            header(&reply, "content-length"),
            header(&reply, "transfer-encoding")
        ),
        ("5", "")
    );
    assert_eq!(reply.text().await.unwrap(), "whole");
}

/// Connections that never say all of what they announced take the places of no one.
#[tokio::test]
async fn slow_bodies_stop_nobody() {
    let project = echo("");
    let dev = Dev::start(project.path());
    let address = dev.web.strip_prefix("http://").unwrap().to_owned();
    let slow: Vec<_> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(&address).unwrap();
            let request = match number % 3 {
                0 => format!(
                    "POST /api HTTP/1.1\r\nhost: {address}\r\ncontent-length: 6291456\r\n\r\n{}",
                    "x".repeat(100)
                ),
                1 => format!(
                    "POST /api HTTP/1.1\r\nhost: {address}\r\ncontent-length: 6291456\r\n\r\n{}",
                    "x".repeat(20_000)
                ),
                _ => format!("GET /api HTTP/1.1\r\nhost: {address}\r\nx-a: "),
            };
            stream.write_all(request.as_bytes()).unwrap();
            stream
        })
        .collect();
    // A small body needs no room of theirs.
    let reply = dev.answer(json!("here")).await;
    assert_eq!(
        (reply.status().as_u16(), reply.text().await.unwrap()),
        (200, "here".to_owned())
    );
    // One that breaks off is told of to nobody, and calls nothing.
    drop(slow);
    let told = dev.server.printed();
    assert!(!told.contains("POST /api → echo"), "{told}");
}

/// Many at a time, and a queue that is full: those who are too many are told so, and the others are served.
#[tokio::test]
async fn a_function_that_has_too_many_calls_says_so() {
    let wait = "exports.main = () => new Promise((done) => setTimeout(() => done('waited'), 300));";
    let project = Scratch::new(&[("wait", wait)]);
    project.write(
        "yunqiao.toml",
        &format!(
            "[functions.wait]\ntimeout = 1\nmax_instances = 1\n{}",
            route("/", "wait", "")
        ),
    );
    let dev = Dev::start(project.path());
    let calls = (0..40).map(|_| dev.get("/"));
    let replies = futures_util::future::join_all(calls).await;
    let (mut served, mut busy) = (0, 0);
    for reply in replies {
        match reply.status().as_u16() {
            200 => served += 1,
            _ => {
                assert_eq!(header(&reply, "retry-after"), "1");
                assert_eq!(
                    refused(reply).await,
                    (429, "FUNCTION_EXCEED_RESOURCE_LIMIT".to_owned())
                );
                busy += 1;
            }
        }
    }
    assert!(served >= 1 && served + busy == 40, "{served} {busy}");
    tokio::time::timeout(Duration::from_secs(60), async {
        assert_eq!(dev.get("/").await.text().await.unwrap(), "waited")
    })
    .await
    .unwrap();
}

/// The events that functions hold have a bound, and not only the bodies that they are made of: text of which JSON escapes everything is
/// six times as much as an event.
#[tokio::test]
async fn events_that_functions_hold_have_a_bound() {
    let hold = "const fs = require('fs');
exports.main = async (event) => {
  const until = event.headers['x-until'];
  if (until) console.log('it is held');
  while (until && !fs.existsSync(until)) await new Promise((done) => setTimeout(done, 20));
  return `${event.body.length} characters`;
};";
    let project = Scratch::new(&[("hold", hold)]);
    let settings = "[functions.hold]\ntimeout = 60\nmax_instances = 2\n";
    project.write("yunqiao.toml", &format!("{settings}{}", route("/", "hold", "")));
    let dev = Dev::start(project.path());
    let send = |bytes: usize| {
        let request = dev.web(Method::POST, "/").header("content-type", "text/plain");
        request.body("\u{1}".repeat(bytes))
    };
    let folder = tempfile::tempdir().unwrap();
    let until = folder.path().join("now");
    let held = send(6 << 20).header("x-until", until.to_str().unwrap());
    let held = tokio::spawn(held.send());
    dev.server.prints_soon("it is held").await;
    // One network has a quarter of the room, 48 MB, and 36 MB of it are held. There is enough for the next body, but not for its event.
    assert_eq!(send(2 << 20).send().await.unwrap().status(), 429);
    std::fs::write(until, "").unwrap();
    assert_eq!(
        held.await.unwrap().unwrap().text().await.unwrap(),
        "6291456 characters"
    );
    let again = send(2 << 20).send().await.unwrap();
    assert_eq!(again.text().await.unwrap(), "2097152 characters");
}

/// Replies that nobody takes are in memory up to a bound; one more is refused, and when they are gone there is room again.
#[tokio::test]
async fn replies_that_nobody_takes_have_a_bound() {
    let large = "const text = 'x'.repeat(6 * 1024 * 1024 - 100); exports.main = (event) => event.path === '/small' ? 'small' : text;";
    let project = Scratch::new(&[("large", large)]);
    let settings = "[functions.large]\ntimeout = 60\nmax_instances = 1\n";
    project.write("yunqiao.toml", &format!("{settings}{}", route("/", "large", "")));
    let dev = Dev::start(project.path());
    let address = dev.web.strip_prefix("http://").unwrap().to_owned();
    let mut waiting = Vec::new();
    let refused_one = (0..40).any(|_| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nhost: {address}\r\n\r\n").unwrap();
        // The status, and no more.
        let mut status = [0; 12];
        stream.read_exact(&mut status).unwrap();
        waiting.push(stream);
        &status == b"HTTP/1.1 429"
    });
    assert!(refused_one, "{} replies of 6 MB wait", waiting.len());
    assert_eq!(dev.get("/small").await.text().await.unwrap(), "small");
    drop(waiting);
    let deadline = std::time::Instant::now() + PATIENCE;
    while dev.get("/").await.status() != 200 {
        assert!(std::time::Instant::now() < deadline, "there is no room again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
