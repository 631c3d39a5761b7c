//! What the operator sees of message push, and does about it, below `/operator/push`.
//!
//! `GET /operator/push` counts, `GET …/dead` lists the dead letters, the newest first and in pages (`?limit=50&before=ID`; the
//! reply's `next` is the next page's `before`), `POST …/dead/{id}/replay` sends one through again from its first attempt,
//! `DELETE …/dead/{id}` drops one: WeChat's duplicates of it are acknowledged from then on.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, StatusCode};
use mailbox::{LetterPage, Mailbox};
use serde::Serialize;
use serde_json::value::RawValue;
use store::{PageBounds, StoreError};
use tcb::codes;
use wording::wording;

use super::not_set_up;
use crate::failure::Failure;
use crate::{Inner, reply};

/// Where the operator finds this.
pub(crate) const OPERATOR: &str = "/operator/push";
/// How what lies below begins.
pub(crate) const BELOW_OPERATOR: &str = "/operator/push/";

/// Dead letters on a page where nobody says how many.
const PAGE: usize = 50;
/// Dead letters on a page at most.
const LARGEST_PAGE: usize = 200;
/// Bytes of packets and errors on a page at most; one letter in any case.
const PAGE_BYTES: u64 = 1 << 20;

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
    kind: &'a str,
    #[serde(rename = "fromUser")]
    from_user: &'a str,
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
    /// How many there are in all.
    total: u64,
    /// Bytes of all packets and errors.
    bytes: u64,
    /// The next page begins before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

#[derive(Serialize)]
struct Did {
    ok: bool,
}

/// Answers a request of the operator's, who was let in.
pub(crate) async fn answer(
    inner: &Inner,
    method: &Method,
    path: &str,
    query: &str,
) -> Result<Bytes, Failure> {
    let mailbox = &inner.push.as_ref().ok_or_else(not_set_up)?.mailbox;
    let failed = |error: StoreError| {
        let error = error.report();
        Failure::internal().because(wording!(
            "the dead letters could not be reached: {error}",
            "无法读取死信：{error}"
        ))
    };
    let rest = path.strip_prefix(OPERATOR).ok_or_else(Failure::not_found)?;
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    match (parts.as_slice(), method) {
        ([], &Method::GET) if rest.is_empty() => overview(mailbox),
        (["dead"], &Method::GET) => {
            let page = mailbox.letters(page(query)?).await.map_err(failed)?;
            write(&page)
        }
        (["dead", id, "replay"], &Method::POST) => {
            let replayed = mailbox.replay(number(id)?).await.map_err(failed)?;
            did(replayed)
        }
        (["dead", id], &Method::DELETE) => {
            let dismissed = mailbox.dismiss(number(id)?).await.map_err(failed)?;
            did(dismissed)
        }
        ([] | ["dead"], _) => Err(Failure::method("GET")),
        (["dead", _, "replay"], _) => Err(Failure::method("POST")),
        (["dead", _], _) => Err(Failure::method("DELETE")),
        _ => Err(Failure::not_found()),
    }
}

fn did(there_was_one: bool) -> Result<Bytes, Failure> {
    match there_was_one {
        true => reply::to_json(&Did { ok: true }),
        false => Err(no_letter()),
    }
}

/// Which page a query asks for.
fn page(query: &str) -> Result<PageBounds, Failure> {
    let mut page = PageBounds {
        before: None,
        most: PAGE,
        most_bytes: PAGE_BYTES,
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let malformed = || Failure::malformed(format!("{name} is no number"));
        match &*name {
            "before" => page.before = Some(value.parse().map_err(|_| malformed())?),
            "limit" => {
                let limit: usize = value.parse().map_err(|_| malformed())?;
                page.most = limit.clamp(1, LARGEST_PAGE);
            }
            _ => {
                return Err(Failure::malformed(
                    "the dead letters are asked for with limit and before",
                ));
            }
        }
    }
    Ok(page)
}

fn number(id: &str) -> Result<u64, Failure> {
    id.parse().map_err(|_| no_letter())
}

fn no_letter() -> Failure {
    Failure::told(
        StatusCode::NOT_FOUND,
        codes::INVALID_PARAM,
        wording!(
            "there is no dead letter with this id: it was replayed or dropped, or never was one",
            "没有这个编号的死信：可能已重新处理或丢弃，也可能从未存在"
        ),
    )
}

fn overview(mailbox: &Mailbox) -> Result<Bytes, Failure> {
    let counts = mailbox.overview();
    reply::to_json(&Overview {
        taken: counts.taken,
        duplicates: counts.duplicates,
        done: counts.done,
        failed: counts.failed,
        dead: counts.dead,
        refused: counts.refused,
        unrouted: counts.unrouted,
        open: counts.open,
    })
}

fn write(page: &LetterPage) -> Result<Bytes, Failure> {
    let letters = page.letters.iter().filter_map(|letter| {
        let death = letter.push.death()?;
        Some(Letter {
            id: letter.push.id,
            kind: &letter.kind,
            from_user: &letter.from_user,
            taken_at: seconds(letter.push.taken_at),
            died_at: seconds(death.at),
            attempts: letter.push.attempts,
            error: &death.error,
            packet: serde_json::from_str(&letter.push.packet).ok(),
        })
    });
    reply::to_json(&Letters {
        items: letters.collect(),
        total: page.total,
        bytes: page.bytes,
        next: page.next,
    })
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
