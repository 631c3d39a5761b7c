//! Who watches what. The changes of the database are read once for all watchers ([`feed`]); each is matched once against every distinct
//! query of its collection ([`matching`]), and what it comes to is written once and shared by all that watch the same ([`queries`], [`entry`]).
//! A [`Session`] is one client's socket, as far as there is no network in it: it hears messages, and puts what is to be sent into its [`Outbox`].
//!
//! Nobody here waits for a client: an outbox that is full ends its socket. What all of that takes of the memory is bounded ([`ledger`]). What a watch is stands in `realtime`, and what a client
//! may watch in `database`.

mod entry;
mod feed;
mod ledger;
mod matching;
mod outbox;
mod queries;
mod session;
#[cfg(test)]
mod tests;
mod watcher;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bson::Document;
use database::{Asker, ClientDatabase, ClientError, Database, DatabaseError, Permissions};
use docdb::regex::Asked;
use realtime::{Dialect, WatchQuery, WatchRefusal, WatchRequest};
use rules::{Caller, DocumentRef};
use tcb::database::DatabaseRefusal;
use tokio::sync::Semaphore;
use wording::{Wording, wording};

pub use outbox::{Frame, Outbox};
pub use queries::LiveWatch;
pub use session::{Heard, MOST_WATCHES, Session};

use outbox::Outboxes;
use queries::{Position, Queries, Rejoining};

/// Queries that are read at once: after a restart all watchers come back together.
const LOADS: usize = 4;

/// Is told of whom a watch was refused to, and why.
pub type ToldWhy = dyn Fn(&Caller, &Wording) + Send + Sync;

/// What watchers are made of.
pub struct WatchersConfig {
    /// What is watched.
    pub database: Arc<dyn Database>,
    /// What clients may read.
    pub permissions: Arc<ArcSwap<Permissions>>,
    /// Whether a collection that is missing is made, as for what clients ask otherwise.
    pub makes_collections: bool,
    /// Bytes that all watches may have in memory together. What waits to be sent may have as many again; what waits for one payer an eighth.
    pub memory: usize,
    /// Is told why a client may not watch: the developer is to know, and the client is not.
    pub denied: Box<ToldWhy>,
    /// Is told of a collection in which what a client watches finds nothing at first.
    pub found_nothing: Box<dyn Fn(&str) + Send + Sync>,
}

/// All watchers of a database. Clones are the same.
#[derive(Clone)]
pub struct Watchers(Arc<Inner>);

struct Inner {
    config: WatchersConfig,
    state: Mutex<Queries>,
    /// Held while the feed is being opened, so that it is opened once.
    opening: tokio::sync::Mutex<()>,
    loads: Semaphore,
    outboxes: Arc<Outboxes>,
}

/// What a client asks to watch, once it was judged.
struct Judged {
    query: WatchQuery,
    /// The documents that the rule names by `get()`.
    named: Vec<DocumentRef>,
    /// Whether the rule asks for the time.
    is_of_time: bool,
    /// What it was judged by.
    by: Arc<Permissions>,
    /// What was heard of the changes before it was judged.
    since: Position,
    /// The number of the last change that the documents may have had by which it was judged.
    until: u64,
}

impl Watchers {
    /// Nobody, so far. Must be used inside a Tokio runtime.
    #[must_use]
    pub fn new(mut config: WatchersConfig) -> Self {
        if let Some(database) = config.database.for_asker(Asker::watches()) {
            config.database = database;
        }
        Self(Arc::new(Inner {
            state: Mutex::new(Queries::new(config.memory)),
            outboxes: Outboxes::new(config.memory),
            config,
            opening: tokio::sync::Mutex::default(),
            loads: Semaphore::new(LOADS),
        }))
    }

    /// An outbox for a socket.
    #[must_use]
    pub fn outbox(&self) -> Arc<Outbox> {
        self.0.outboxes.open()
    }

    /// A socket on which `caller` has logged in. What it watches counts as the memory of `payer`: the caller, or the network of one whom
    /// anybody can be.
    #[must_use]
    pub fn session(&self, caller: Caller, dialect: Dialect, outbox: Arc<Outbox>, payer: &str) -> Session {
        Session::new(self.clone(), caller, dialect, outbox, payer)
    }

    /// Ends all watches without a word: the sockets are about to be closed.
    pub fn close(&self) {
        self.0.queries().close();
    }

    /// Has every watch judged again: what clients may read has changed. Nothing is told meanwhile.
    pub fn judge_again(&self) {
        self.0.reload_all(Rejoining::Everybody);
    }

    /// Is told of watches that begin and end.
    #[must_use]
    pub fn look_on(&self) -> tokio::sync::watch::Receiver<()> {
        self.0.queries().look_on()
    }

    /// How many watches there are, and `most` of them.
    #[must_use]
    pub fn live(&self, most: usize) -> (usize, Vec<LiveWatch>) {
        self.0.queries().live(most)
    }
}

impl Inner {
    fn queries(&self) -> MutexGuard<'_, Queries> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Judges what `caller` asks to watch.
    async fn judge(
        &self,
        caller: &Caller,
        request: &WatchRequest,
        dialect: Dialect,
    ) -> Result<Judged, WatchRefusal> {
        let by = self.config.permissions.load_full();
        let since = self.queries().position();
        let client = ClientDatabase {
            database: self.config.database.as_ref(),
            permissions: &by,
            caller,
            now: bson::DateTime::now().timestamp_millis(),
        };
        let filter = request.filter()?;
        match client.watched(&request.collection, filter).await {
            Ok(watched) => Ok(Judged {
                until: match watched.named.is_empty() {
                    true => 0,
                    false => self.config.database.changes(None).await.map_err(refusal)?.last(),
                },
                query: made(watched.filter, request, dialect).await?,
                named: watched.named,
                is_of_time: watched.is_of_time,
                by,
                since,
            }),
            Err(ClientError::Database(error)) => Err(refusal(error)),
            Err(denied) => {
                let collection = &request.collection;
                let text = wording!(
                    "{collection:?} may not be watched: {denied}",
                    "不能监听 {collection:?}：{denied}"
                );
                (self.config.denied)(caller, &text);
                Err(WatchRefusal::PermissionDenied)
            }
        }
    }
}

/// The query that is watched: regular expressions take a while to compile, in which others are served.
async fn made(
    filter: Document,
    request: &WatchRequest,
    dialect: Dialect,
) -> Result<WatchQuery, WatchRefusal> {
    if !Asked::of(&filter).is_much() {
        return WatchQuery::new(filter, request, dialect);
    }
    let request = request.clone();
    let made = tokio::task::spawn_blocking(move || WatchQuery::new(filter, &request, dialect));
    let unavailable = |_| WatchRefusal::Database(DatabaseRefusal::Unavailable);
    made.await.map_err(unavailable)?
}

/// What a client is told of an error of the engine's.
fn refusal(error: DatabaseError) -> WatchRefusal {
    WatchRefusal::Database(match error {
        DatabaseError::CollectionMissing(name) => DatabaseRefusal::CollectionMissing(name),
        DatabaseError::BadName(bad) => DatabaseRefusal::Malformed(bad.to_string()),
        DatabaseError::Refused(error) => DatabaseRefusal::Query(error.to_string()),
        DatabaseError::Locked | DatabaseError::TimedOut => DatabaseRefusal::Timeout,
        DatabaseError::AnswerTooLarge(most) => DatabaseRefusal::ResultTooLarge(most >> 20),
        DatabaseError::Unsupported(why) => return WatchRefusal::NoFeed(why),
        _ => DatabaseRefusal::Unavailable,
    })
}
