//! Watchers: a thousand clients watch one collection, and another writes to it two hundred times a second. What is measured is how long it takes
//! from the moment at which a write is sent until each of the watchers has heard of it, so the commit is part of it; and what memory the
//! watchers take.
//!
//! The watchers are on the same machine and take most of it: each hears every change.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    task::JoinSet,
};
use tokio_tungstenite::{client_async, tungstenite::Message};

use crate::{http, ours::Ours, rounds::Plan, table::Line};

/// Watchers of one user, of whom there are as many as that takes.
const OF_USER: usize = 10;
/// Between two writes.
const PACE: Duration = Duration::from_millis(5);
/// The goal for the slowest of a hundred.
const GOAL: Duration = Duration::from_millis(100);
/// How long watchers may take to come in, and the last event to reach them.
const PATIENCE: Duration = Duration::from_secs(60);
const SETTINGS: &str = "\n[database.collections.news]\nrule = { read = true, write = true }\n\
                        [database]\nmissing = \"create\"\n";
/// What stands before the number of a write in a message: a document is text within text.
const NUMBER: &str = "\\\"n\\\":";

/// Measures, with so many watchers.
pub(crate) fn measure(binary: &Path, dir: &Path, plan: Plan, many: usize) -> Result<Vec<Line>> {
    let ours = Ours::start_with(binary, dir, &[], SETTINGS)?;
    let tokens = users(&ours, many.div_ceil(OF_USER))?;
    let before = ours.process.resident()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let writes =
        usize::try_from((plan.measure * u32::try_from(plan.rounds)?).as_millis() / PACE.as_millis())?;
    let (mut heard, after) = runtime.block_on(run(&ours, &tokens, many, writes))?;
    heard.sort_unstable();
    ensure!(
        heard.len() == many * writes,
        "{} of {} events were heard",
        heard.len(),
        many * writes
    );
    let at = |part: usize| heard.get(heard.len() * part / 100).copied().unwrap_or_default();
    let what = format!("{many} watchers, 200 writes/s: write to socket");
    let memory = after.saturating_sub(before) as f64 / many as f64 / 1024.0;
    Ok(vec![
        Line {
            what: format!("{what}, p50"),
            figure: format!("{:.1} ms", millis(at(50))),
            ..Line::default()
        },
        Line {
            what: format!("{what}, p99"),
            figure: format!("{:.1} ms", millis(at(99))),
            goal: format!("≤ {} ms", GOAL.as_millis()),
            met: Some(at(99) <= GOAL),
            ..Line::default()
        },
        Line {
            what: "memory of the gateway for one watcher".to_owned(),
            figure: format!("{memory:.0} KB"),
            ..Line::default()
        },
    ])
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Makes users, and gives each a bearer token.
fn users(ours: &Ours, many: usize) -> Result<Vec<String>> {
    let token = |user: usize| {
        let name = format!("watcher{user}");
        http::json(ours.wechat, "/sim/users", None, &json!({ "name": name }))?;
        let login = json!({"user": name, "api": "login"});
        let code = http::json(ours.wechat, "/sim/client", None, &login)?;
        let login = http::json(ours.gateway, "/v1/login", None, &json!({"code": code["code"]}))?;
        let token = login["token"].as_str().context("no token after the login")?;
        Ok(token.to_owned())
    };
    (0..many).map(token).collect()
}

/// Has everybody watch, writes, and gives how long each of all events took, and the gateway's memory once all watched.
async fn run(ours: &Ours, tokens: &[String], many: usize, writes: usize) -> Result<(Vec<Duration>, u64)> {
    let mut watchers = JoinSet::new();
    let (told, mut is_ready) = mpsc::unbounded_channel();
    for at in 0..many {
        let token = tokens.get(at / OF_USER).context("too few users")?.clone();
        let (told, addr) = (told.clone(), ours.gateway);
        watchers.spawn(async move {
            let stream = TcpStream::connect(addr).await?;
            stream.set_nodelay(true)?;
            let (mut socket, _) = client_async(format!("ws://{addr}/v1/realtime"), stream).await?;
            let login = json!({"requestId": "l", "msgType": "LOGIN", "msgData": {"envId": "", "accessToken": token}});
            socket.send(Message::text(login.to_string())).await?;
            let begin = json!({"watchId": "w", "requestId": "b", "msgType": "INIT_WATCH", "msgData": {"collName": "news"}});
            socket.send(Message::text(begin.to_string())).await?;
            let mut heard: Vec<(usize, Instant)> = Vec::with_capacity(writes);
            while heard.len() < writes {
                let message = socket.next().await.context("the socket was closed")??;
                let Message::Text(text) = message else { continue };
                let now = Instant::now();
                if text.contains("INIT_EVENT") {
                    told.send(())?;
                    continue;
                }
                heard.extend(numbers(&text).map(|number| (number, now)));
            }
            Ok::<_, anyhow::Error>(heard)
        });
    }
    for _ in 0..many {
        tokio::select! {
            ready = tokio::time::timeout(PATIENCE, is_ready.recv()) => {
                ready.context("the watchers do not come in")?;
            }
            Some(failed) = watchers.join_next() => bail!("a watcher is gone: {failed:?}"),
        }
    }
    let memory = ours.process.resident()?;
    let began = write(ours, writes).await?;
    let mut all = Vec::with_capacity(many * writes);
    while let Some(heard) = tokio::time::timeout(PATIENCE, watchers.join_next())
        .await
        .context("not all events were heard")?
    {
        for (number, at) in heard?? {
            let sent = began.get(number).context("a number that was not written")?;
            all.push(at.saturating_duration_since(*sent));
        }
    }
    Ok((all, memory))
}

/// Writes so often, and gives when each write was sent.
async fn write(ours: &Ours, writes: usize) -> Result<Vec<Instant>> {
    let mut stream = TcpStream::connect(ours.gateway).await?;
    stream.set_nodelay(true)?;
    let mut pace = tokio::time::interval(PACE);
    let mut sent = Vec::with_capacity(writes);
    let mut reply = vec![0; 64 << 10];
    for number in 0..writes {
        pace.tick().await;
        let document = json!({"_id": format!("d{}", number % 100), "n": number, "text": "x".repeat(100)});
        let query = json!({"_id": document["_id"]}).to_string();
        let mut fields = document;
        fields.as_object_mut().map(|fields| fields.remove("_id"));
        let body = json!({"action": "database.modifyDocument", "collectionName": "news", "queryType": "DOC", "query": query,
            "data": fields.to_string(), "merge": false, "multi": false, "upsert": true})
        .to_string();
        let head = format!(
            "POST /v1/database HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            ours.gateway,
            ours.token,
            body.len()
        );
        sent.push(Instant::now());
        stream
            .write_all(&[head.as_bytes(), body.as_bytes()].concat())
            .await?;
        // The answer is small, and comes in one piece or two; it ends with its object.
        let mut length = 0;
        while !ends(&reply[..length]) {
            let read = stream.read(&mut reply[length..]).await?;
            ensure!(read > 0, "the gateway closed the writer's connection");
            length += read;
        }
        let text = String::from_utf8_lossy(&reply[..length]);
        ensure!(!text.contains("\"code\""), "a write was refused: {text}");
    }
    Ok(sent)
}

/// Whether an answer is there as a whole.
fn ends(reply: &[u8]) -> bool {
    let Some(head) = reply.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
        return false;
    };
    serde_json::from_slice::<Value>(&reply[head + 4..]).is_ok()
}

/// The numbers of the writes that a message tells of.
fn numbers(text: &str) -> impl Iterator<Item = usize> {
    text.match_indices(NUMBER).filter_map(|(at, found)| {
        let rest = &text[at + found.len()..];
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        rest[..digits].parse().ok()
    })
}
