//! What the operator sees of message push, and does about it, below `/operator/push`.
//!
//! `GET /operator/push` counts, `GET …/dead` lists the dead letters, `POST …/dead/{id}/replay` sends one through again from
//! its first attempt, `DELETE …/dead/{id}` drops one: WeChat's duplicates of it are acknowledged from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, StatusCode};
use push::{Format, Packet};
use serde::Serialize;
use serde_json::value::RawValue;
use store::{Pushed, StoreError};
use tcb::codes;

use super::{Pushes, delivery, kind_of, machine_time, not_set_up};
use crate::failure::Failure;
use crate::{Inner, Note, routes};

/// Where the operator finds this.
pub(crate) const OPERATOR: &str = "/operator/push";
/// How what lies below begins.
pub(crate) const BELOW_OPERATOR: &str = "/operator/push/";

#[derive(Serialize)]
struct Overview {
    /// Since the start.
    taken: u64,
    duplicates: u64,
    done: u64,
    failed: u64,
    dead: u64,
    refused: u64,
    unrouted: u64,
    /// Now.
    open: usize,
}

/// A dead letter. Times are Unix time in seconds.
#[derive(Serialize)]
struct Letter<'a> {
    id: u64,
    kind: String,
    #[serde(rename = "fromUser")]
    from_user: String,
    #[serde(rename = "takenAt")]
    taken_at: u64,
    #[serde(rename = "diedAt")]
    died_at: u64,
    attempts: u32,
    error: &'a str,
    packet: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Letters<'a> {
    items: Vec<Letter<'a>>,
}

#[derive(Serialize)]
struct Did {
    ok: bool,
}

/// Answers a request of the operator's, who was let in.
pub(crate) async fn answer(
    inner: &Arc<Inner>,
    method: &Method,
    path: &str,
    request_id: &str,
) -> Result<Bytes, Failure> {
    let pushes = inner.push.as_ref().ok_or_else(not_set_up)?;
    let failed = |error: StoreError| {
        inner.journal.note(&Note {
            request_id,
            openid: None,
            text: &format_args!("the dead letters could not be reached: {error}"),
        });
        Failure::internal()
    };
    let rest = path.strip_prefix(OPERATOR).ok_or_else(Failure::not_found)?;
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    match (parts.as_slice(), method) {
        ([], &Method::GET) if rest.is_empty() => overview(pushes),
        (["dead"], &Method::GET) => {
            let open = inner.store.open_pushes().await.map_err(failed)?;
            let items = open.iter().filter_map(|push| letter(pushes, push)).collect();
            routes::to_json(&Letters { items })
        }
        (["dead", id, "replay"], &Method::POST) => {
            let revived = inner.store.revive_push(number(id)?, true).await.map_err(failed)?;
            let push = revived.ok_or_else(no_letter)?;
            delivery::resume(inner, pushes, &push).await;
            routes::to_json(&Did { ok: true })
        }
        (["dead", id], &Method::DELETE) => {
            let now = machine_time();
            match inner.store.dismiss_push(number(id)?, now).await.map_err(failed)? {
                true => routes::to_json(&Did { ok: true }),
                false => Err(no_letter()),
            }
        }
        ([] | ["dead"], _) => Err(Failure::method("GET")),
        (["dead", _, "replay"], _) => Err(Failure::method("POST")),
        (["dead", _], _) => Err(Failure::method("DELETE")),
        _ => Err(Failure::not_found()),
    }
}

fn number(id: &str) -> Result<u64, Failure> {
    id.parse().map_err(|_| no_letter())
}

fn no_letter() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        codes::INVALID_PARAM,
        "there is no dead letter with this id: it was replayed or dropped, or never was one",
    )
}

fn overview(pushes: &Pushes) -> Result<Bytes, Failure> {
    let counts = &pushes.counts;
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    routes::to_json(&Overview {
        taken: of(&counts.taken),
        duplicates: of(&counts.duplicates),
        done: of(&counts.done),
        failed: of(&counts.failed),
        dead: of(&counts.dead),
        refused: of(&counts.refused),
        unrouted: of(&counts.unrouted),
        open: pushes.table.len(),
    })
}

fn letter<'a>(pushes: &Pushes, push: &'a Pushed) -> Option<Letter<'a>> {
    let death = push.dead.as_ref()?;
    let appid = pushes.receiver.settings().appid.as_str();
    let packet = Packet::parse(appid, Format::Json, push.packet.as_bytes()).ok();
    Some(Letter {
        id: push.id,
        kind: packet.as_ref().map(kind_of).unwrap_or_default(),
        from_user: packet
            .map(|packet| packet.from_user().to_owned())
            .unwrap_or_default(),
        taken_at: seconds(push.taken_at),
        died_at: seconds(death.at),
        attempts: push.attempts,
        error: &death.error,
        packet: serde_json::from_str(&push.packet).ok(),
    })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
