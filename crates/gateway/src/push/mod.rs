//! Message push: what WeChat's servers send, and the functions that deal with it.
//!
//! A push walks through here in the order of the modules. `door` judges it (the rules are the `push` crate's), `table` says
//! whether it is known and whose turn it is, the store has it on disk before WeChat is told that we have it, `delivery` calls the
//! function, and tries again when that fails; `letters` shows the operator what was given up. WeChat waits 5 seconds for
//! its answer: a function that is quicker gives it, else it is `success`, and the function goes on.
//!
//! What no document says and is therefore a **choice** of ours stands here:
//!
//! * A push whose attempt failed is answered `success` while we are going to try again ourselves, because we have it; with
//!   the function's own object where that says what is wrong (`{"ErrCode":1,…}`), so that WeChat pushes it once more as
//!   well; and with HTTP 500 when it has become a dead letter.
//! * A push that WeChat sends again while its next attempt is due begins that attempt at once. That of a dead letter is one
//!   attempt more; the operator's replay is three, whose numbers go on from the last: `context.attempt` is 1 once.
//! * Pushes of one `FromUserName` run one after another, each with all of its attempts before the next begins. Those
//!   without one have no order.
//! * An attempt that ended because the process did, and one for which there was no free worker, is counted in
//!   `context.attempt`, and not among those that failed. After [`MOST_BEGUN`] in all it is given up all the same.
//! * The times here are machine time. WeChat's clock judges only the timestamp in the URL.

mod delivery;
mod door;
mod letters;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::{Duration, SystemTime};

use function::FunctionName;
use http::StatusCode;
use push::{Receiver, Routes};
use store::Bounds;
use tcb::codes;
use tokio::sync::Semaphore;

use self::table::Table;
use crate::failure::Failure;
use crate::{Inner, Note, ids};

pub(crate) use self::delivery::recover;
pub(crate) use self::door::{PATH, answer};
pub(crate) use self::letters::{BELOW_OPERATOR, OPERATOR, answer as answer_operator};

/// How long after it was dealt with a push is known again. WeChat's own attempts end within a minute for most kinds; for
/// payments, whose gaps double fifteen times, within nineteen hours if they are seconds.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// How long dead letters are kept for the operator.
const DEAD_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often what is older is looked for.
const SWEEP: Duration = Duration::from_secs(3600);
/// Attempts that may fail before a push is given up.
const ATTEMPTS: u32 = 3;
/// Attempts that may be begun, however they ended: a push that brings the process down must not do so for ever.
const MOST_BEGUN: u32 = 10;
/// How long to wait after the first, and after each later attempt that failed: long enough for a worker to come back, short
/// enough for the sender's next push, which waits as well.
const BACK_OFF: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];
/// WeChat waits 5 seconds from when it begins to send; what is on the way has half a second.
const ANSWER_WITHIN: Duration = Duration::from_millis(4500);
/// Attempts of one function at once. Senders beyond that wait, so that no function's queue of calls fills up.
const AT_ONCE: usize = 16;
/// Pushes that may be open. Further ones are not taken, and WeChat sends them again.
const MOST_OPEN: usize = 10_000;
/// How long running attempts may go on after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// Message push for one app.
#[derive(Debug)]
pub(crate) struct Pushes {
    receiver: Receiver,
    routes: RwLock<Routes<FunctionName>>,
    table: Table,
    running: Mutex<HashMap<FunctionName, Arc<Semaphore>>>,
    /// Held for reading by each attempt, and for writing by whoever ends the service.
    gate: tokio::sync::RwLock<()>,
    closing: AtomicBool,
    recovered: AtomicBool,
    counts: Counts,
    /// Kinds of which it was said that no route takes them.
    unrouted: Mutex<BTreeSet<String>>,
    /// It was said that there are no routes.
    told_of_none: AtomicBool,
}

/// What happened since the start.
#[derive(Debug, Default)]
struct Counts {
    taken: AtomicU64,
    duplicates: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    dead: AtomicU64,
    refused: AtomicU64,
    unrouted: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Pushes {
    pub(crate) fn new(receiver: Receiver) -> Pushes {
        Pushes {
            receiver,
            routes: RwLock::default(),
            table: Table::default(),
            running: Mutex::default(),
            gate: tokio::sync::RwLock::default(),
            closing: AtomicBool::new(false),
            recovered: AtomicBool::new(false),
            counts: Counts::default(),
            unrouted: Mutex::default(),
            told_of_none: AtomicBool::new(false),
        }
    }

    /// Takes other routes, for attempts that begin from now on.
    pub(crate) fn route(&self, routes: Routes<FunctionName>) {
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = routes;
    }

    /// The function that gets a packet.
    fn target(&self, packet: &push::Packet) -> Option<FunctionName> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.find(packet).cloned()
    }

    /// What is held while an attempt of this function runs.
    fn slots(&self, function: &FunctionName) -> Arc<Semaphore> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = running
            .entry(function.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)));
        Arc::clone(slots)
    }

    /// Begins no attempt any more, and lets running ones end. One that does not is an attempt that was cut off.
    pub(crate) async fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
        let _ = tokio::time::timeout(DRAIN, self.gate.write()).await;
    }

    fn closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Notes once for each kind that no route takes it; where there are no routes, once in all.
    fn tell_unrouted(&self, inner: &Inner, request_id: &str, packet: &push::Packet) {
        count(&self.counts.unrouted);
        let kind = kind_of(packet);
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if routes.is_empty() && !self.told_of_none.swap(true, Ordering::Relaxed) {
            inner.journal.note(&Note {
                request_id,
                openid: packet.user(),
                text: &format_args!(
                    "message pushes arrive ({kind} was the first) and no function takes any: name functions for them in \
                     [push.routes] of yunqiao.toml"
                ),
            });
        }
        if routes.is_empty() {
            return;
        }
        let mut told = self.unrouted.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < 1000 && told.insert(kind.clone()) {
            inner.journal.note(&Note {
                request_id,
                openid: packet.user(),
                text: &format_args!(
                    "no route takes pushes of the kind {kind}: they are acknowledged, and that is all; name a function for them \
                     in [push.routes] of yunqiao.toml: \"{kind}\" = \"…\""
                ),
            });
        }
    }
}

/// What decides how long a push is remembered. `/sim/clock` does not step it: an old push that is sent again is refused by its
/// timestamp, which is WeChat's.
#[expect(clippy::disallowed_methods, reason = "it is machine time that is asked for")]
fn machine_time() -> SystemTime {
    SystemTime::now()
}

/// What is answered where there is no message push.
fn not_set_up() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        codes::INVALID_PARAM,
        "message push is not set up here: [push] in yunqiao.toml does that",
    )
}

/// A packet's kind as a route names it.
fn kind_of(packet: &push::Packet) -> String {
    match push::Pattern::of(packet.msg_type(), packet.event()) {
        Ok(pattern) => pattern.to_string(),
        // Names that no route could have, and what has none.
        Err(_) => "*".to_owned(),
    }
}

/// Forgets what is too old, now and then, as long as the gateway is there.
pub(crate) async fn sweep(inner: Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        let now = machine_time();
        let before = |span| now.checked_sub(span).unwrap_or(SystemTime::UNIX_EPOCH);
        let bounds = Bounds {
            done_before: before(REMEMBERED),
            dead_before: before(DEAD_KEPT),
        };
        if let Err(error) = inner.store.sweep_pushes(bounds).await {
            inner.journal.note(&Note {
                request_id: &ids::request_id(),
                openid: None,
                text: &format_args!("old message pushes could not be dropped: {error}"),
            });
        }
        drop(inner);
        tokio::time::sleep(SWEEP).await;
    }
}
