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

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    Inner, Outbox, Watchers,
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
    /// One for each watch that waits to be judged.
    waiting: Arc<Semaphore>,
    /// Held while one of its watches is judged: however many it asks for, others are served in between.
    judging: tokio::sync::Mutex<()>,
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
        let (payer, loads) = watchers.0.queries().arrive(payer);
        Self {
            watchers,
            client: Arc::new(Client {
                number,
                caller,
                dialect,
                outbox,
                payer,
                loads,
                waiting: Arc::new(Semaphore::new(MOST_WATCHES)),
                judging: tokio::sync::Mutex::default(),
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
        let place = Arc::clone(&client.waiting).try_acquire_owned();
        // Those that a later one has replaced wait, too, until it is their turn.
        let begun = place
            .map_err(|_| WatchRefusal::TooManyWatches(MOST_WATCHES))
            .and_then(|place| {
                let mut queries = self.watchers.0.queries();
                Ok((place, queries.begin(client.number, &watch_id, MOST_WATCHES)?))
            });
        let (place, token) = match begun {
            Ok(begun) => begun,
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
        tokio::spawn(Arc::clone(&self.watchers.0).join(watcher, Some(place)));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Client { number, payer, .. } = &*self.client;
        self.watchers.0.queries().leave(*number, payer);
    }
}

impl Inner {
    /// Judges what a watcher asks for, and puts it among those who watch the same. A watch that begins has a place among those of its
    /// client that wait.
    pub(crate) async fn join(self: Arc<Self>, watcher: Watcher, place: Option<OwnedSemaphorePermit>) {
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
        drop(place);
    }

    async fn try_join(self: &Arc<Self>, mut watcher: Watcher) -> Result<(), WatchRefusal> {
        loop {
            self.open_feed().await?;
            let client = &watcher.client;
            let alone = client.judging.lock().await;
            // It was closed, or another has taken its place, while it waited.
            if !self.queries().is_wanted(&watcher) {
                return Ok(());
            }
            let heard = self.queries().position();
            let judged = self
                .judge(&client.caller, &watcher.request, client.dialect)
                .await?;
            drop(alone);
            let mut queries = self.queries();
            if !queries.is_wanted(&watcher) {
                return Ok(());
            }
            // It was judged by permissions or documents that may be others by now.
            let is_old = !Arc::ptr_eq(&judged.by, &self.config.permissions.load_full());
            if is_old || !queries.is_fed() || queries.has_changed(&judged.named, heard) {
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
}
