//! `serve` with its store on a Valkey or Redis server: two nodes share it, one of them is killed, and the server starts again.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use store_redis::testing;
use tempfile::TempDir;

use crate::{
    production::{post, project, serve, simulate, wx},
    push::{FUNCTION, Place, Pusher, SECURE, message, secure, serve_settings},
    support::{Scratch, Server, run, text, yunqiao},
};

/// A server that keeps each change before it answers, and what it keeps.
fn server(options: &[&str]) -> (testing::Server, TempDir) {
    let folder = TempDir::new().unwrap();
    (testing::Server::start(folder.path(), options), folder)
}

const KEEPS: [&str; 4] = ["--appendonly", "yes", "--appendfsync", "always"];

/// A project whose store is on a server.
fn on_server(wechat: &str, url: &str) -> Scratch {
    let project = project(wechat);
    let toml = project.path().join("yunqiao.toml");
    let text = fs::read_to_string(&toml).unwrap();
    fs::write(
        toml,
        text.replace("store = \"yunqiao.redb\"", &format!("store = \"{url}\"")),
    )
    .unwrap();
    project
}

#[tokio::test]
async fn a_login_at_one_node_is_known_at_the_other_and_outlives_the_node_and_the_server() {
    let (mut redis, _kept) = server(&KEEPS);
    let wechat = simulate();
    let projects = [0, 1].map(|_| on_server(&wechat.url, &redis.url()));
    let [mut first, second] = projects
        .each_ref()
        .map(|project| Server::start(&mut serve(project)));
    second.prints(&redis.url());

    let code = wx(&wechat.url, "alice", "login").await["code"].take();
    let (status, login) = post(format!("{}/v1/login", first.url), None, json!({"code": code})).await;
    assert_eq!(status, 200, "{login}");
    let token = text(&login["token"]);
    let steps = wx(&wechat.url, "alice", "getWeRunData").await;
    let encrypted = json!({"encryptedData": steps["encryptedData"], "iv": steps["iv"]});
    let open = async |node: &Server| {
        let url = format!("{}/v1/open-data", node.url);
        post(url, Some(&token), encrypted.clone()).await
    };
    // What the other node gave is opened here: they have their keys in common.
    let (status, answer) = open(&first).await;
    assert_eq!(status, 200, "{answer}");
    let call = json!({"data": {"f": answer["cloudID"]}, "cloudIDs": ["f"]});
    let (status, reply) = post(
        format!("{}/v1/functions/echo", second.url),
        Some(&token),
        call.clone(),
    )
    .await;
    assert_eq!(
        (status, reply["result"]["f"]["data"].is_object()),
        (200, true),
        "{reply}"
    );
    first.kill();
    let (status, answer) = open(&second).await;
    assert_eq!(status, 200, "{answer}");

    // The server starts again: what is asked meanwhile waits.
    redis.shut_down();
    let (asked, redis) = tokio::join!(open(&second), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        redis.start_again();
        redis
    });
    assert_eq!(asked.0, 200, "{}", asked.1);

    // It stays away: what needs it is refused so that it may be asked for again, and the rest goes on.
    let mut redis = redis;
    redis.shut_down();
    let began = Instant::now();
    let (status, answer) = open(&second).await;
    assert_eq!((status, &answer["errCode"]), (500, &json!(-501001)), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let (status, reply) = post(format!("{}/v1/functions/echo", second.url), Some(&token), call).await;
    assert_eq!(status, 200, "{reply}");
    let ready = async || {
        let reply = crate::support::client()
            .get(format!("{}/readyz", second.url))
            .send()
            .await;
        let reply = reply.unwrap();
        (reply.status().as_u16(), reply.json::<Value>().await.unwrap())
    };
    let (status, told) = ready().await;
    assert_eq!(
        (status, text(&told["errMsg"]).contains("store")),
        (503, true),
        "{told}"
    );
    redis.start_again();
    assert_eq!(open(&second).await.0, 200);
    assert_eq!(ready().await.0, 200);
}

/// A project that takes pushes, with its store on a server.
fn place(url: &str) -> Place {
    Place::new(FUNCTION, SECURE, &format!("store = \"{url}\""))
}

fn push_node(place: &Place) -> Server {
    let toml = serve_settings(place, "127.0.0.1:0");
    Server::start(yunqiao().arg("serve").arg("-c").arg(&toml))
}

#[tokio::test]
async fn the_pushes_of_a_node_that_was_killed_are_taken_over_in_order() {
    let (redis, _kept) = server(&KEEPS);
    let places = [0, 1].map(|_| place(&redis.url()));
    let [mut first, second] = places.each_ref().map(push_node);
    let pushers = [&first, &second].map(|node| Pusher::new(&node.url, secure()));
    // One runs at the first node; the next of the same sender comes to the second, and waits behind it.
    let (running, waiting) = (message("oBob", 1, "hold back"), message("oBob", 2, ""));
    assert_eq!(pushers[0].reply(&running).await, Value::Null);
    assert_eq!(places[0].attempts(&running), [1]);
    assert_eq!(pushers[1].reply(&waiting).await, Value::Null);
    // Of another sender, one is dealt with at once, and known at both.
    let other = message("oAlice", 1, "");
    assert_eq!(pushers[1].reply(&other).await["Attempt"], 1);
    assert_eq!(pushers[0].reply(&other).await["Attempt"], 1);
    assert_eq!(
        places.each_ref().map(|place| place.attempts(&other)),
        [vec![], vec![1]]
    );

    first.kill();
    places[1].let_go("back");
    let began = Instant::now();
    while places[1].attempts(&waiting).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "nobody takes it over");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(pushers[1].reply(&running).await["Attempt"], 2);
    assert_eq!(pushers[1].reply(&waiting).await["Attempt"], 1);
    assert_eq!(places[1].attempts(&running), [2]);
    assert!(places[0].attempts(&waiting).is_empty());
}

#[test]
fn no_push_is_acknowledged_where_the_server_keeps_nothing() {
    let (redis, _kept) = server(&[]);
    let start = |place: &Place| {
        let toml = serve_settings(place, "127.0.0.1:0");
        let mut command = yunqiao();
        command.args(["--lang", "en", "serve", "-c"]).arg(toml);
        command
    };
    let (output, _, err) = run(&mut start(&place(&redis.url())));
    assert!(!output.status.success());
    assert!(
        err.contains("appendonly yes") && err.contains("may_lose_pushes"),
        "{err}"
    );

    let told = place(&redis.url());
    let toml = told.project.path().join("yunqiao.toml");
    let text = fs::read_to_string(&toml).unwrap();
    fs::write(&toml, text + "[redis]\nmay_lose_pushes = true\n").unwrap();
    let node = Server::start(&mut start(&told));
    node.prints("keeps nothing");
    drop(node);

    // Without pushes there is a warning, and no more.
    let project = on_server("http://127.0.0.1:9", &redis.url());
    let node = Server::start(serve(&project).env("LANG", "C"));
    node.prints("appendonly yes");
}

#[test]
fn a_server_that_is_not_there_is_named_without_its_password() {
    let project = on_server("http://127.0.0.1:9", "redis://:open-sesame@127.0.0.1:9");
    for check in [&["--check"][..], &[]] {
        let (output, out, err) = run(serve(&project).args(check));
        assert!(!output.status.success());
        assert!(err.contains("redis://127.0.0.1:9"), "{err}");
        assert!(!(out + &err).contains("sesame"));
    }
}
