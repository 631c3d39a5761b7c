//! Message push: what WeChat's servers send, and the functions that deal with it.
//!
//! A push walks through here in the order of the modules. Whoever listens judges it with the `push` crate's
//! [`Receiver`](push::Receiver) and hands the packet to [`Mailbox::take`]. `table` says whether it is known here, the store has it
//! on disk before WeChat is told that we have it, and `delivery` calls the function, and tries again when that fails. Pushes of
//! one sender stand in one *lane*, and run one after another. `letters` shows the operator what was given up. WeChat waits 5
//! seconds for its answer: a function that is quicker gives it, else it is `success`, and the function goes on.
//!
//! Several mailboxes may share a store. Each walks along the lanes of the pushes that it took in, and of those that nobody walks
//! along any more; of each lane the store lends the first push to one mailbox at a time. One that took a push in that
//! another one deals with learns from the store what came of it.
//!
//! What no document says and is therefore a **choice** of ours stands here:
//!
//! * A push whose attempt failed is answered `success` while we are going to try again ourselves, because we have it; with
//!   the function's own object where that says what is wrong (`{"ErrCode":1,…}`), so that WeChat pushes it once more as
//!   well; and with HTTP 500 when it has become a dead letter.
//! * A push that WeChat sends again while its next attempt is due begins that attempt at once. That of a dead letter is one
//!   attempt more; the operator's replay is three, whose numbers go on from the last: `context.attempt` is 1 once. Both are
//!   made when the sender's other pushes that wait have had their turn.
//! * Pushes of one `FromUserName` run one after another, each with all of its attempts before the next begins. Those
//!   without one have no order.
//! * An attempt that ended because the process did, and one for which there was no free worker, is counted in
//!   `context.attempt`, and not among those that failed. After [`MOST_BEGUN`] in all it is given up all the same.
//! * Dead letters are bounded in age, number and size ([`DEAD_KEPT`], [`MOST_DEAD`], [`MOST_DEAD_BYTES`]); the operator is
//!   told when some are dropped because there are too many.
//! * The times here are machine time. WeChat's clock judges only the timestamp in the URL.

mod delivery;
mod functions;
mod letters;
mod sweep;
mod table;
mod take;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use function::FunctionName;
use push::{Packet, Routes};
use rand::RngExt;
use store::{Owner, Store};
use tokio::sync::{Notify, Semaphore};
use wording::Wording;

use crate::table::Table;
pub use crate::{
    functions::{FunctionAnswer, Functions, PushNote},
    letters::{Letter, LetterPage},
    take::NotTaken,
};

/// How long after it was dealt with a push is known again. WeChat's own attempts end within a minute for most kinds; for
/// payments, whose gaps double fifteen times, within nineteen hours if they are seconds.
pub const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// How long dead letters are kept for the operator.
pub const DEAD_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many dead letters are kept; of more, the newest.
pub const MOST_DEAD: u64 = 2000;
/// How many bytes of dead letters are kept; of more, the newest.
pub const MOST_DEAD_BYTES: u64 = 32 << 20;
/// Attempts that may be begun, however they ended: a push that brings the process down must not do so for ever.
pub const MOST_BEGUN: u32 = 10;
/// Pushes that may be open here. Further ones are not taken, and WeChat sends them again.
pub const MOST_OPEN: usize = 10_000;
/// Attempts that may fail before a push is given up.
const ATTEMPTS: u32 = 3;
/// Attempts of one function at once. Senders beyond that wait, so that no function's queue of calls fills up.
const AT_ONCE: usize = 16;
/// How long running attempts may go on after the server was told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How fast things go.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// How long to wait after the first, and after each later attempt that failed: long enough for a worker to come back, short
    /// enough for the sender's next push, which waits as well.
    pub back_off: [Duration; 2],
    /// For how long a lane is taken. If this process dies, others wait for so long; clocks of nodes must agree much better.
    pub lease: Duration,
    /// How often a lease is renewed while an attempt runs.
    pub renew: Duration,
    /// How often to look whether a lane that another node has is free.
    pub poll: Duration,
    /// How often to look for lanes that nobody walks along: what an earlier process or another node left.
    pub look: Duration,
    /// How long to wait for a store that failed.
    pub store_again: Duration,
    /// How often what is too old is looked for.
    pub sweep: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            back_off: [Duration::from_secs(1), Duration::from_secs(10)],
            lease: Duration::from_secs(30),
            renew: Duration::from_secs(10),
            poll: Duration::from_millis(100),
            look: Duration::from_secs(2),
            store_again: Duration::from_secs(1),
            sweep: Duration::from_secs(3600),
        }
    }
}

/// What a mailbox is made of.
pub struct MailboxConfig {
    /// The Mini Program that the pushes are for.
    pub appid: String,
    /// Where pushes are kept.
    pub store: Arc<dyn Store>,
    /// Deals with them.
    pub functions: Arc<dyn Functions>,
    /// How fast things go.
    pub pace: Pace,
}

/// Message push for one Mini Program. Clones share everything.
#[derive(Clone)]
pub struct Mailbox(Arc<Inner>);

struct Inner {
    appid: String,
    store: Arc<dyn Store>,
    functions: Arc<dyn Functions>,
    pace: Pace,
    /// Who we are to the store.
    owner: Owner,
    routes: RwLock<Routes<FunctionName>>,
    table: Table,
    running: Mutex<HashMap<FunctionName, Arc<Semaphore>>>,
    /// Held for reading by each attempt, and for writing by whoever ends the service.
    gate: tokio::sync::RwLock<()>,
    closing: AtomicBool,
    started: AtomicBool,
    counts: Counts,
    letters: letters::Growth,
    /// Wakes whoever drops dead letters.
    crowded: Arc<Notify>,
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

/// What happened since the start, in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overview {
    /// Pushes that were taken in.
    pub taken: u64,
    /// Pushes that came again.
    pub duplicates: u64,
    /// Attempts that ended well.
    pub done: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Pushes that were given up.
    pub dead: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Pushes that no route takes.
    pub unrouted: u64,
    /// Pushes that were taken in here and are open now.
    pub open: usize,
}

impl Mailbox {
    /// An empty one, with what the store has. Nothing is delivered before [`start`](Self::start).
    #[must_use]
    pub fn new(config: MailboxConfig) -> Self {
        Self(Arc::new(Inner {
            appid: config.appid,
            store: config.store,
            functions: config.functions,
            pace: config.pace,
            owner: Owner::new(format!("{:032x}", rand::rng().random::<u128>())),
            routes: RwLock::default(),
            table: Table::default(),
            running: Mutex::default(),
            gate: tokio::sync::RwLock::default(),
            closing: AtomicBool::new(false),
            started: AtomicBool::new(false),
            counts: Counts::default(),
            letters: letters::Growth::default(),
            crowded: Arc::default(),
            unrouted: Mutex::default(),
            told_of_none: AtomicBool::new(false),
        }))
    }

    /// Takes other routes, for attempts that begin from now on.
    pub fn route(&self, routes: Routes<FunctionName>) {
        *self.0.routes.write().unwrap_or_else(PoisonError::into_inner) = routes;
    }

    /// Begins to deliver what is in the store, and to forget what is too old there; the first time that it is called, and until
    /// the last clone is dropped or [`close`](Self::close) is called. Must be called inside a Tokio runtime.
    pub fn start(&self) {
        if !self.0.started.swap(true, Ordering::Relaxed) {
            tokio::spawn(delivery::look(Arc::downgrade(&self.0)));
            tokio::spawn(sweep::sweep(Arc::downgrade(&self.0)));
        }
    }

    /// Notes that a request was refused.
    pub fn count_refused(&self) {
        count(&self.0.counts.refused);
    }

    /// What happened since the start.
    #[must_use]
    pub fn overview(&self) -> Overview {
        let counts = &self.0.counts;
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Overview {
            taken: of(&counts.taken),
            duplicates: of(&counts.duplicates),
            done: of(&counts.done),
            failed: of(&counts.failed),
            dead: of(&counts.dead),
            refused: of(&counts.refused),
            unrouted: of(&counts.unrouted),
            open: self.0.table.len(),
        }
    }

    /// Begins no attempt any more, and lets running ones end. One that does not is an attempt that was cut off.
    pub async fn close(&self) {
        self.0.closing.store(true, Ordering::Relaxed);
        self.0.table.wake_all();
        let _ = tokio::time::timeout(DRAIN, self.0.gate.write()).await;
    }
}

impl Inner {
    /// The function that gets a packet.
    fn target(&self, packet: &Packet) -> Option<FunctionName> {
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

    fn closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn note(&self, request_id: Option<&str>, openid: Option<&str>, text: &Wording) {
        self.functions.note(&PushNote {
            request_id,
            openid,
            text,
        });
    }
}

/// What decides how long a push is remembered, and until when a lane is taken. `/sim/clock` does not step it: an old push
/// that is sent again is refused by its timestamp, which is WeChat's.
#[expect(clippy::disallowed_methods, reason = "it is machine time that is asked for")]
fn machine_time() -> SystemTime {
    SystemTime::now()
}

/// A packet's kind as a route names it.
fn kind_of(packet: &Packet) -> String {
    match push::RoutePattern::of(packet.msg_type(), packet.event()) {
        Ok(pattern) => pattern.to_string(),
        // Names that no route could have, and what has none.
        Err(_) => "*".to_owned(),
    }
}
