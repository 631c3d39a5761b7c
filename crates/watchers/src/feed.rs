//! The one reading of the database's changes, and the reading of what queries find.
//!
//! A query is read after the feed of changes is followed, and what is heard meanwhile is kept until it was read: so no change is
//! missed in between. One that the reading has, as far as its number says, is not applied to what may be newer.

use std::{sync::Arc, time::Duration};

use bson::{Document, RawDocumentBuf};
use database::{Change, Changes, DatabaseError, Find};
use futures_util::FutureExt as _;
use realtime::{MOST_BYTES, Row, Shown, WatchQuery, WatchRefusal};
use tcb::database::DatabaseRefusal;
use tokio::{
    task::{JoinSet, yield_now},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use crate::{
    Inner,
    entry::Load,
    matching::{IN_ONE_GO, WatchFault, context},
    queries::{Rejoining, Told},
    refusal,
    watcher::Watcher,
};

/// Changes that are looked at in one go.
const AT_ONCE: usize = 256;
/// So long nothing is told after a message was told to one watcher. A sending takes about as long: beside thousands of
/// watchers, calls are served too, and each watcher is told several changes in one message.
const PER_MESSAGE: Duration = Duration::from_micros(20);
/// Below so many messages there is no rest.
const FEW: usize = 50;
/// How often queries are let go of that nobody watches any more.
const SWEEP: Duration = Duration::from_secs(10);
/// How often watchers are judged anew whose rule asks for the time.
const JUDGE_EVERY: Duration = Duration::from_secs(30);
/// Between tries to follow, or to read, a database that is away.
pub(crate) const RETRY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });
/// How long one reading may take, as one of a client's `get` may: a query whose patterns never end would keep its place for ever.
const READING: Duration = Duration::from_millis(if cfg!(test) { 200 } else { 11_000 });
/// For so long watchers that have documents wait for it.
const AWAY: Duration = Duration::from_secs(60);

/// Why changes come to a halt.
enum Halt {
    /// Some were not heard.
    Missed,
    /// There will be no others.
    Ended,
}

/// Bears with a database that is away.
#[derive(Default)]
pub(crate) struct Patience {
    until: Option<Instant>,
}

impl Patience {
    /// Waits a while, after which it may be tried again; answers whether to do so.
    pub(crate) async fn lasts(&mut self, refusal: &WatchRefusal) -> bool {
        let is_of_a_moment = matches!(
            refusal,
            WatchRefusal::Database(DatabaseRefusal::Unavailable | DatabaseRefusal::Timeout)
        );
        if !is_of_a_moment {
            return false;
        }
        let until = *self.until.get_or_insert_with(|| {
            tracing::warn!(%refusal, "the database is away; watches that have their documents wait for a while");
            Instant::now() + AWAY
        });
        let lasts = Instant::now() < until;
        if lasts {
            tokio::time::sleep(RETRY).await;
        }
        lasts
    }
}

impl Inner {
    /// Begins to follow the changes of the database, if they are not followed already.
    pub(crate) async fn open_feed(self: &Arc<Self>) -> Result<(), WatchRefusal> {
        if self.queries().is_fed() {
            return Ok(());
        }
        let _alone = self.opening.lock().await;
        if self.queries().is_fed() {
            return Ok(());
        }
        let changes = self.config.database.changes(None).await.map_err(refusal)?;
        let last = changes.last();
        // No change is noted before it is known behind which one they are followed.
        let mut queries = self.queries();
        let following = tokio::spawn(Arc::clone(self).keep_following(changes));
        queries.feed(following.abort_handle(), last);
        Ok(())
    }

    /// Follows the changes. A fault of ours ends what is done with one of them, and not all watches.
    async fn keep_following(self: Arc<Self>, mut changes: Changes) {
        loop {
            // It ends with this task.
            let mut following = JoinSet::new();
            following.spawn(Arc::clone(&self).follow(changes));
            match following.join_next().await {
                Some(Err(fault)) if fault.is_panic() => {
                    tracing::error!(%fault, "a change could not be told; all that is watched is read anew");
                }
                _ => return,
            }
            // What panics each time does so once a second.
            tokio::time::sleep(RETRY).await;
            let Some(again) = self.reopened().await else {
                return;
            };
            changes = again;
            self.reload_all(Rejoining::ByDocuments(changes.last()));
        }
    }

    async fn follow(self: Arc<Self>, mut changes: Changes) {
        // Not anew at each change: it comes in busy times too.
        let every = |period| {
            let mut ticks = interval_at(Instant::now() + period, period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let (mut sweep, mut judge) = (every(SWEEP), every(JUDGE_EVERY));
        loop {
            let next = tokio::select! {
                next = changes.next() => next,
                _ = sweep.tick() => {
                    if self.queries().sweep() {
                        return;
                    }
                    continue;
                }
                _ = judge.tick() => {
                    let concerned = self.queries().take_those_of_time();
                    self.rejoin(concerned);
                    continue;
                }
            };
            let mut heard = Vec::new();
            let mut next = Some(next);
            let halt = loop {
                match next {
                    Some(Some(Ok(change))) => heard.push(change),
                    Some(Some(Err(_))) => break Some(Halt::Missed),
                    Some(None) => break Some(Halt::Ended),
                    None => break None,
                }
                if heard.len() == AT_ONCE {
                    break None;
                }
                next = changes.next().now_or_never();
            };
            let messages = self.hear(heard).await;
            match halt {
                None => {}
                Some(Halt::Missed) => self.reload_all(Rejoining::ByDocuments(changes.last())),
                Some(Halt::Ended) => match self.reopened().await {
                    Some(again) => {
                        changes = again;
                        self.reload_all(Rejoining::ByDocuments(changes.last()));
                    }
                    None => return,
                },
            }
            if messages >= FEW {
                tokio::time::sleep(PER_MESSAGE * u32::try_from(messages).unwrap_or(u32::MAX)).await;
            }
        }
    }

    /// Tells watchers of changes; answers how many messages that took.
    async fn hear(self: &Arc<Self>, changes: Vec<Arc<Change>>) -> usize {
        let concerned = self.queries().note(&changes);
        self.rejoin(concerned);
        self.tell(changes).await
    }

    /// The same of changes that were noted.
    pub(crate) async fn tell(self: &Arc<Self>, mut changes: Vec<Arc<Change>>) -> usize {
        let Some(last) = changes.last().map(|change| change.sequence) else {
            return 0;
        };
        let mut messages = 0;
        while !changes.is_empty() {
            let matching = self.queries().matching(&changes);
            let Some(matching) = matching else {
                break;
            };
            let mut matched = match tokio::task::spawn_blocking(move || matching.run(IN_ONE_GO)).await {
                Ok(matched) => matched,
                Err(fault) => {
                    tracing::error!(%fault, "changes could not be matched; all that is watched is read anew");
                    self.reload_all(Rejoining::ByDocuments(last));
                    break;
                }
            };
            changes.drain(..matched.taken.min(changes.len()));
            self.queries().bound_work(matched.work);
            self.note_ended();
            while !matched.outcomes.is_empty() {
                let told = self.queries().tell(&mut matched.outcomes);
                messages += told.messages;
                self.act_on(told);
                yield_now().await;
            }
        }
        self.queries().have_told(last);
        // Who waited for that joins before more is heard.
        yield_now().await;
        messages
    }

    fn act_on(self: &Arc<Self>, told: Told) {
        for load in told.loads {
            tokio::spawn(Arc::clone(self).load(load));
        }
        self.rejoin(told.rejoining);
        self.note_ended();
    }

    /// Judges watchers anew.
    pub(crate) fn rejoin(self: &Arc<Self>, watchers: Vec<Watcher>) {
        let mut queries = self.queries();
        for watcher in watchers {
            self.begin_joining(&mut queries, watcher);
        }
    }

    /// Tells the developer of watches that ended by a bound or a fault.
    pub(crate) fn note_ended(&self) {
        let ended = self.queries().take_ended();
        for (caller, text) in ended {
            (self.config.denied)(&caller, &text);
        }
    }

    pub(crate) fn reload_all(self: &Arc<Self>, who: Rejoining) {
        let told = self.queries().reload_all(who);
        self.act_on(told);
    }

    /// Follows the changes anew, as soon as the database can be reached. `None` where it tells none, or nobody watches any more.
    async fn reopened(&self) -> Option<Changes> {
        loop {
            match self.config.database.changes(None).await {
                Ok(changes) => return Some(changes),
                Err(DatabaseError::Unsupported(why)) => {
                    self.queries().end_all(&WatchRefusal::NoFeed(why));
                    return None;
                }
                Err(error) => {
                    tracing::warn!(%error, "the database's changes cannot be followed; watches wait")
                }
            }
            tokio::time::sleep(RETRY).await;
            if self.queries().sweep() {
                return None;
            }
        }
    }

    /// Reads what a query finds.
    pub(crate) async fn load(self: Arc<Self>, load: Load) {
        let mut next = Some(load);
        while let Some(load) = next {
            // Neither semaphore is ever closed. Nobody has all places, however many queries there are for them to be read.
            let _own = match &load.places {
                Some(places) => places.acquire().await.ok(),
                None => None,
            };
            let _place = self.loads.acquire().await;
            if !self.queries().start(&load) {
                return;
            }
            let found = self.read(&load).await;
            if found.as_ref().is_ok_and(|(rows, _)| rows.is_empty()) {
                (self.config.found_nothing)(&load.collection);
            }
            let mut told = self.queries().loaded(&load, found);
            next = told.loads.pop();
            self.act_on(told);
        }
    }

    /// Reads what a query finds, with the number of the last change that it has.
    async fn read(&self, load: &Load) -> Result<(Vec<Row>, u64), WatchFault> {
        let mut patience = Patience::default();
        loop {
            match self.try_read(load).await {
                Err(fault)
                    if self.queries().has_documents(load.entry) && patience.lasts(&fault.refusal).await => {}
                found => return found,
            }
        }
    }

    async fn try_read(&self, load: &Load) -> Result<(Vec<Row>, u64), WatchFault> {
        let Load {
            collection, query, ..
        } = load;
        let database = &self.config.database;
        // What is told by now is in the documents.
        let told = database.changes(None).await.map_err(WatchFault::of)?.last();
        let find = || Find {
            filter: query.filter().clone(),
            sort: Some(query.sort().clone()),
            limit: Some(query.depth() as u64 + 1),
            is_followed: true,
            ..Find::default()
        };
        let read = || async {
            let found = timeout(READING, database.find(collection, find(), None)).await;
            found.unwrap_or(Err(DatabaseError::TimedOut))
        };
        let mut found = read().await;
        if let Err(DatabaseError::CollectionMissing(name)) = &found
            && self.config.makes_collections
        {
            match database.create_collection(name).await {
                Ok(()) | Err(DatabaseError::CollectionExists(_)) => {}
                Err(error) => return Err(refusal(error).into()),
            }
            found = read().await;
        }
        let found = found.map_err(WatchFault::of)?;
        let found_up_to = found.sequence.unwrap_or(told);
        Ok((rows(query, found.documents).await?, found_up_to))
    }
}

/// Documents with their places and texts: thousands of them take a while, in which others are served.
async fn rows(query: &Arc<WatchQuery>, found: Vec<RawDocumentBuf>) -> Result<Vec<Row>, WatchRefusal> {
    let query = Arc::clone(query);
    let unavailable = || WatchRefusal::Database(DatabaseRefusal::Unavailable);
    let rows = tokio::task::spawn_blocking(move || {
        let context = context();
        let mut rows = Vec::with_capacity(found.len());
        let mut bytes = 0;
        for raw in found {
            // What is too much is not made first: nothing of it is counted yet.
            if bytes > MOST_BYTES {
                return Err(WatchRefusal::TooManyBytes);
            }
            let document = Document::try_from(&*raw).map_err(|_| unavailable())?;
            let row = query.row(&raw, &document, &context, &mut Shown::default())?;
            bytes += row.bytes();
            rows.push(row);
        }
        Ok(rows)
    });
    rows.await.unwrap_or_else(|_| Err(unavailable()))
}
