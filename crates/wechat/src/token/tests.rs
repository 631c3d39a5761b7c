//! The keeper against a WeChat that gives, refuses and delays tokens.

#![allow(clippy::unwrap_used)]
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::{
    MemoryTokens, WeChatClient,
    testing::{APPID, Received, Reply, SECRET, START, Server, reply, token, until},
};

/// A WeChat that gives tokens `T1`, `T2`, … and says of every other request which token it came with.
async fn numbered(expires_in: u64, after: Duration) -> Server {
    let count = AtomicU64::new(0);
    Server::start(move |request| match request.is("stable_token") {
        true => {
            let number = count.fetch_add(1, Ordering::Relaxed) + 1;
            Reply {
                after,
                ..token(&format!("T{number}"), expires_in)
            }
        }
        false => echo(request),
    })
    .await
}

/// An answer of getopendata whose only item holds the token of the request.
fn echo(request: &Received) -> Reply {
    let token = &request.query["access_token"];
    reply(json!({"data_list": [{"cloud_id": "id", "json": json!({"token": token}).to_string()}]}))
}

/// The token that a request was sent with.
async fn used(client: &WeChatClient) -> Result<String, WeChatError> {
    let items = client.get_open_data("oABC", &["id"]).await?;
    let item: Value = serde_json::from_slice(items[0].1.as_json()).unwrap();
    Ok(item["token"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn one_request_however_many_ask() {
    let server = numbered(7200, Duration::from_millis(50)).await;
    let client = server.client();
    let callers: Vec<_> = (0..20)
        .map(|_| client.clone())
        .map(|client| tokio::spawn(async move { used(&client).await }))
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), "T1");
    }
    let requests = server.received("stable_token");
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].method.as_str(), requests[0].path.as_str()),
        ("POST", "/cgi-bin/stable_token")
    );
    assert_eq!(
        requests[0].json(),
        json!({"grant_type": "client_credential", "appid": APPID, "secret": SECRET, "force_refresh": false})
    );
}

#[tokio::test]
async fn a_caller_who_leaves_does_not_break_it_off() {
    let server = numbered(7200, Duration::from_millis(50)).await;
    let client = server.client();
    let hasty = tokio::time::timeout(Duration::from_millis(10), used(&client)).await;
    assert!(hasty.is_err());
    assert_eq!(used(&client).await.unwrap(), "T1");
    assert_eq!(server.received("stable_token").len(), 1);
}

#[tokio::test]
async fn a_restart_fetches_nothing() {
    let server = numbered(7200, Duration::ZERO).await;
    let (kept, clock) = (Arc::new(MemoryTokens::default()), Clock::fixed(START));
    assert_eq!(
        used(&server.client_with(kept.clone(), clock.clone()))
            .await
            .unwrap(),
        "T1"
    );
    assert_eq!(
        used(&server.client_with(kept.clone(), clock.clone()))
            .await
            .unwrap(),
        "T1"
    );
    assert_eq!(server.received("stable_token").len(), 1);
    // Unless what is kept is near its end.
    clock.advance(Duration::from_secs(7200) - RENEW_AHEAD);
    assert_eq!(used(&server.client_with(kept, clock)).await.unwrap(), "T2");
}

/// Four nodes that keep the token together, at the first start and when it nears its end.
#[tokio::test]
async fn of_several_nodes_one_fetches() {
    let server = numbered(7200, Duration::from_millis(30)).await;
    let (kept, clock) = (Arc::new(MemoryTokens::default()), Clock::fixed(START));
    let nodes: Vec<_> = (0..4)
        .map(|_| server.client_with(kept.clone(), clock.clone()))
        .collect();
    for number in 1..=3 {
        let asked: Vec<_> = nodes
            .iter()
            .cloned()
            .map(|node| tokio::spawn(async move { used(&node).await.unwrap() }))
            .collect();
        for asked in asked {
            assert_eq!(asked.await.unwrap(), format!("T{number}"));
        }
        assert_eq!(server.received("stable_token").len(), number);
        clock.advance(Duration::from_secs(7200));
    }
}

/// The node that was to fetch it has died: the others do not wait for ever.
#[tokio::test]
async fn a_claim_that_nobody_ends_holds_for_a_while_alone() {
    let server = numbered(7200, Duration::ZERO).await;
    let kept = Arc::new(MemoryTokens::default());
    let term = Duration::from_millis(100);
    let began = Instant::now();
    kept.begin_fetch(APPID, term).await.unwrap().unwrap();
    let client = server.client_with(kept, Clock::fixed(START));
    assert_eq!(used(&client).await.unwrap(), "T1");
    assert!(began.elapsed() >= term);
}

#[tokio::test]
async fn renewed_ahead_of_its_end_while_callers_go_on() {
    let server = numbered(7200, Duration::from_millis(100)).await;
    let (kept, clock) = (Arc::new(MemoryTokens::default()), Clock::fixed(START));
    let client = server.client_with(kept.clone(), clock.clone());
    assert_eq!(used(&client).await.unwrap(), "T1");
    clock.advance(Duration::from_secs(7200) - RENEW_AHEAD - Duration::from_millis(1));
    assert_eq!(used(&client).await.unwrap(), "T1");
    assert_eq!(server.received("stable_token").len(), 1);
    clock.advance(Duration::from_millis(1));
    // Nobody waits for the new one.
    assert_eq!(used(&client).await.unwrap(), "T1");
    until(|| client.0.tokens.state().flight.is_none()).await;
    assert_eq!(used(&client).await.unwrap(), "T2");
    assert_eq!(server.received("stable_token").len(), 2);
    assert_eq!(
        kept.access_token(APPID)
            .await
            .unwrap()
            .unwrap()
            .token
            .expose_secret(),
        "T2"
    );
}

/// WeChat may give what is left of a token's life, which may be little: that must not become a request each call.
#[tokio::test]
async fn a_token_near_its_end_is_not_asked_for_at_each_call() {
    let server = Server::start(|request| match request.is("stable_token") {
        true => token("T", 300),
        false => echo(request),
    })
    .await;
    let clock = Clock::fixed(START);
    let client = server.client_with(Arc::new(MemoryTokens::default()), clock.clone());
    for _ in 0..10 {
        used(&client).await.unwrap();
    }
    assert_eq!(server.received("stable_token").len(), 1);
    clock.advance(RENEW_EVERY);
    used(&client).await.unwrap();
    until(|| server.received("stable_token").len() == 2).await;
}

#[tokio::test]
async fn a_lapsed_token_is_never_used() {
    let server = numbered(7200, Duration::from_millis(20)).await;
    let clock = Clock::fixed(START);
    let client = server.client_with(Arc::new(MemoryTokens::default()), clock.clone());
    assert_eq!(used(&client).await.unwrap(), "T1");
    clock.advance(Duration::from_secs(7200) - UNUSABLE_AHEAD);
    assert_eq!(used(&client).await.unwrap(), "T2");
}

#[tokio::test]
async fn a_refused_token_is_dropped_and_the_request_sent_once_more() {
    for errcode in [40001, 40014, 42001] {
        let count = AtomicU64::new(0);
        let server = Server::start(move |request| match request.is("stable_token") {
            true => token(&format!("T{}", count.fetch_add(1, Ordering::Relaxed) + 1), 7200),
            false if request.query["access_token"] == "T1" => {
                reply(json!({"errcode": errcode, "errmsg": "no rid: 1-2-3"}))
            }
            false => echo(request),
        })
        .await;
        let kept = Arc::new(MemoryTokens::default());
        let client = server.client_with(kept.clone(), Clock::fixed(START));
        assert_eq!(used(&client).await.unwrap(), "T2");
        assert_eq!(server.received("getopendata").len(), 2);
        assert_eq!(
            kept.access_token(APPID)
                .await
                .unwrap()
                .unwrap()
                .token
                .expose_secret(),
            "T2"
        );
    }
}

#[tokio::test]
async fn the_same_token_again_is_forced_out() {
    let server = Server::start(|request| match request.is("stable_token") {
        true if request.json()["force_refresh"] == true => token("forced", 7200),
        true => token("stuck", 7200),
        false if request.query["access_token"] == "stuck" => {
            reply(json!({"errcode": 40001, "errmsg": "not latest"}))
        }
        false => echo(request),
    })
    .await;
    let client = server.client();
    assert_eq!(used(&client).await.unwrap(), "forced");
    let forced: Vec<_> = server
        .received("stable_token")
        .iter()
        .map(|request| request.json()["force_refresh"].clone())
        .collect();
    assert_eq!(forced, [false, false, true]);
}

#[tokio::test]
async fn a_token_that_is_always_refused_ends_in_wechat_s_word_and_spares_the_quota() {
    let server = Server::start(|request| match request.is("stable_token") {
        true => token("stuck", 7200),
        false => reply(json!({"errcode": 40001, "errmsg": "invalid credential rid: 1-2-3"})),
    })
    .await;
    let client = server.client();
    for calls in 1..=5 {
        let error = used(&client).await.unwrap_err();
        assert!(
            matches!(&error, WeChatError::Refused { errcode: 40001, errmsg, .. } if errmsg.ends_with("1-2-3")),
            "{error:?}"
        );
        assert_eq!(server.received("getopendata").len(), 2 * calls);
    }
    let forced = server
        .received("stable_token")
        .iter()
        .filter(|request| request.json()["force_refresh"] == true)
        .count();
    assert_eq!(forced, 1);
}

#[tokio::test]
async fn a_failure_is_shared_and_the_next_asks_again() {
    let count = AtomicU64::new(0);
    let server = Server::start(move |request| match request.is("stable_token") {
        true if count.fetch_add(1, Ordering::Relaxed) == 0 => {
            let refusal = json!({"errcode": 40125, "errmsg": "invalid appsecret rid: 1-2-3"});
            Reply {
                after: Duration::from_millis(50),
                ..reply(refusal)
            }
        }
        true => token("T", 7200),
        false => echo(request),
    })
    .await;
    let client = server.client();
    let callers: Vec<_> = (0..10)
        .map(|_| client.clone())
        .map(|client| tokio::spawn(async move { used(&client).await }))
        .collect();
    for caller in callers {
        let error = caller.await.unwrap().unwrap_err();
        assert!(
            matches!(
                &error,
                WeChatError::Refused { errcode: 40125, api, .. } if api == "stable_token"
            ),
            "{error:?}"
        );
    }
    assert_eq!(server.received("stable_token").len(), 1);
    assert_eq!(used(&client).await.unwrap(), "T");
}
