//! One client's socket: what it asks, and what is put into its outbox.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use realtime::{
    BadMessage, ClientBody, ClientMessage, Dialect, QueryId, WatchRefusal, WatchRequest, pong, refused,
};
use rules::Caller;
use tcb::database::DatabaseRefusal;
use tokio::sync::Semaphore;

use crate::{
    Inner, Judged, Outbox, Watchers,
    feed::Patience,
    ledger::Arrived,
    queries::Queries,
    watcher::{Asked, Watcher},
};

/// Watches of one socket at most: a choice. A program watches a handful.
pub const MOST_WATCHES: usize = 50;

/// A client's socket. When it is dropped, its watches end.
pub struct Session {
    watchers: Watchers,
    client: Arc<Client>,
}

/// Who watches on one socket.
pub(crate) struct Client {
    pub(crate) number: u64,
    pub(crate) caller: Caller,
    pub(crate) dialect: Dialect,
    pub(crate) outbox: Arc<Outbox>,
    /// Whose share of the memory its watches have.
    pub(crate) payer: Arc<str>,
    /// The places for what is read for that one.
    pub(crate) loads: Arc<Semaphore>,
    /// Held while one of its watches is judged: however many it asks for, others are served in between.
    judging: Arc<tokio::sync::Mutex<()>>,
}

/// What came of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is answered, or will be.
    Answered,
    /// It is a login, which the socket's owner sees to.
    Login(ClientMessage),
}

static NUMBERS: AtomicU64 = AtomicU64::new(1);

impl Session {
    pub(crate) fn new(
        watchers: Watchers,
        caller: Caller,
        dialect: Dialect,
        outbox: Arc<Outbox>,
        payer: &str,
    ) -> Self {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let Arrived { name, loads, unsent } = watchers.0.queries().arrive(payer);
        outbox.count_among(unsent);
        Self {
            watchers,
            client: Arc::new(Client {
                number,
                caller,
                dialect,
                outbox,
                payer: name,
                loads,
                judging: Arc::default(),
            }),
        }
    }

    /// Takes a message.
    pub fn hear(&mut self, message: Result<ClientMessage, BadMessage>) -> Heard {
        let outbox = &self.client.outbox;
        let message = match message {
            Ok(message) => message,
            Err(bad) => {
                let BadMessage {
                    request_id,
                    watch_id,
                    refusal,
                } = bad;
                let refusal = refusal.unwrap_or(WatchRefusal::UnknownQuery);
                outbox.put(refused(&watch_id, &request_id, &refusal, false));
                return Heard::Answered;
            }
        };
        let ClientMessage {
            request_id,
            watch_id,
            body,
        } = message;
        match body {
            ClientBody::Login(login) => {
                return Heard::Login(ClientMessage {
                    request_id,
                    watch_id,
                    body: ClientBody::Login(login),
                });
            }
            ClientBody::Ping => outbox.put(pong(&request_id)),
            ClientBody::Close => self.watchers.0.queries().end(self.client.number, &watch_id),
            ClientBody::Check => {
                let queries = self.watchers.0.queries();
                if !queries.check(self.client.number, &watch_id, &request_id) {
                    let refusal = WatchRefusal::UnknownQuery;
                    outbox.put(refused(&watch_id, &request_id, &refusal, false));
                }
            }
            ClientBody::Begin(request) => self.begin(watch_id, request_id, request, None, None),
            ClientBody::Rebuild { query, id, event } => {
                let QueryId {
                    request,
                    numbering,
                    watcher,
                } = query;
                let asked = Asked {
                    numbering,
                    event,
                    offset: None,
                };
                self.begin(watch_id, request_id, request, Some((id, watcher)), Some(asked));
            }
        }
        Heard::Answered
    }

    fn begin(
        &self,
        watch_id: String,
        request_id: String,
        request: WatchRequest,
        query_id: Option<(String, u64)>,
        asked: Option<Asked>,
    ) {
        let client = &self.client;
        let mut queries = self.watchers.0.queries();
        let token = match queries.begin(client.number, &watch_id, MOST_WATCHES) {
            Ok(token) => token,
            Err(refusal) => {
                client
                    .outbox
                    .put(refused(&watch_id, &request_id, &refusal, false));
                return;
            }
        };
        let (query_id, mark) = match query_id {
            Some((id, mark)) => (Some(id), mark),
            None => (None, rand::random::<u64>() | 1),
        };
        let watcher = Watcher {
            token,
            client: Arc::clone(client),
            watch_id,
            request_id,
            request,
            query_id,
            mark,
            asked,
            named: Vec::new(),
            is_of_time: false,
            is_told: false,
            offset: 0,
            head: Bytes::new(),
            told: 0,
        };
        self.watchers.0.begin_joining(&mut queries, watcher);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Client { number, payer, .. } = &*self.client;
        self.watchers.0.queries().leave(*number, payer);
    }
}

impl Inner {
    /// Has a watcher judged, as long as it is wanted.
    pub(crate) fn begin_joining(self: &Arc<Self>, queries: &mut Queries, watcher: Watcher) {
        queries.join(watcher, |watcher| {
            tokio::spawn(Arc::clone(self).join(watcher)).abort_handle()
        });
    }

    /// Judges what a watcher asks for, and puts it among those who watch the same.
    async fn join(self: Arc<Self>, watcher: Watcher) {
        let client = Arc::clone(&watcher.client);
        let (watch_id, request_id, token) = (
            watcher.watch_id.clone(),
            watcher.request_id.clone(),
            watcher.token,
        );
        if let Err(refusal) = self.try_join(watcher).await
            && self.queries().forget(client.number, &watch_id, token)
        {
            client
                .outbox
                .put(refused(&watch_id, &request_id, &refusal, false));
        }
        self.note_ended();
    }

    async fn try_join(self: &Arc<Self>, mut watcher: Watcher) -> Result<(), WatchRefusal> {
        let mut patience = Patience::default();
        loop {
            let judged = match self.judge_in_turn(&watcher).await {
                Ok(judged) => judged,
                // It has documents: it is told what it missed once the database is back.
                Err(refusal) if watcher.asked.is_some() && patience.lasts(&refusal).await => continue,
                Err(refusal) => return Err(refusal),
            };
            patience = Patience::default();
            let Judged { since, until, .. } = judged;
            // What it is let in by may be the last of what is heard, and it is not to be told what was before that.
            let mut told = self.queries().told();
            let wait = told.wait_for(|told| told.era != since.era || told.sequence >= until);
            // As long as there are queries, there is who tells.
            let _ = wait.await;
            let mut queries = self.queries();
            if !queries.is_wanted(&watcher) {
                return Ok(());
            }
            // It was judged by permissions or documents that may be others by now.
            let is_old = !Arc::ptr_eq(&judged.by, &self.config.permissions.load_full());
            if is_old || !queries.is_fed() || queries.has_changed(&judged.named, since) {
                continue;
            }
            watcher.named = judged.named;
            watcher.is_of_time = judged.is_of_time;
            if let Some(load) = queries.add(judged.query, watcher) {
                tokio::spawn(Arc::clone(self).load(load));
            }
            return Ok(());
        }
    }

    /// Judges what a watcher asks for when it is its turn among those of its client.
    async fn judge_in_turn(self: &Arc<Self>, watcher: &Watcher) -> Result<Judged, WatchRefusal> {
        self.open_feed().await?;
        let (inner, client) = (Arc::clone(self), Arc::clone(&watcher.client));
        let request = watcher.request.clone();
        let alone = Arc::clone(&client.judging).lock_owned().await;
        // What has begun goes on to its end where nobody wants it any more: a client has no second one judged by closing the first.
        let judging = tokio::spawn(async move {
            let judged = inner.judge(&client.caller, &request, client.dialect).await;
            drop(alone);
            judged
        });
        let unavailable = |_| WatchRefusal::Database(DatabaseRefusal::Unavailable);
        judging.await.map_err(unavailable)?
    }
}
