//! The distinct queries that are watched, each with its documents and with those who watch it. Everything here is done at once, under one lock; what
//! takes time (reading a query, judging a watcher) is handed back as a [`Load`] or a [`Watcher`] to be dealt with.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bson::{Bson, Document};
use bytes::Bytes;
use database::{Change, ChangeKind};
use docdb::{Context, TOO_MUCH_WORK, key};
use realtime::{
    DataType, Event, EventBatch, QueryId, Row, WatchQuery, WatchRefusal, WatchRequest, Window, checked,
    events_head, events_tail,
};
use rules::{Caller, DocumentRef};
use tcb::database::DatabaseRefusal;
use tokio::{sync::watch, task::AbortHandle};

use crate::{Frame, feed::context, session::Client};

/// Batches of events that are kept for those who come back after a pause.
const KEPT: usize = 64;
/// Bytes of them.
const KEPT_BYTES: usize = 256 << 10;
/// How long a query is kept that nobody watches: whoever lost the connection comes back within that.
const LINGER: Duration = Duration::from_secs(30);
/// How many of those are kept.
const MOST_IDLE: usize = 64;
/// Changes that are kept while a query is being read; if there are more, it is read again.
const MOST_BUFFERED: usize = 4096;
/// Changes that are remembered, to see whether one of them concerns what a watcher was judged by.
const RECENT: usize = 256;
/// Steps within which a change is matched with a query: about a millisecond.
const STEPS: u64 = 20_000;
/// Steps for all queries of a collection, as long as [`LEAST_STEPS`] are left to each.
const ALL_STEPS: u64 = 1_000_000;
const LEAST_STEPS: u64 = 2_000;
/// After so long the rest of the changes waits until others were served.
const IN_ONE_GO: Duration = Duration::from_millis(5);

/// All queries that are watched.
#[derive(Default)]
pub(crate) struct Queries {
    /// The watches of each client, by their ids.
    clients: HashMap<u64, HashMap<String, Place>>,
    entries: HashMap<u64, Entry>,
    by_key: HashMap<(Arc<str>, Vec<u8>), u64>,
    by_collection: HashMap<Arc<str>, Vec<u64>>,
    /// The last number that was given to an entry, or a watch.
    last: u64,
    /// Follows the changes, while that is done.
    feed: Option<AbortHandle>,
    /// How many changes were heard.
    heard: u64,
    recent: VecDeque<Arc<Change>>,
    /// Whose watches ended by a bound, and why: the developer is to know.
    ended: Vec<(Caller, String)>,
    /// Is told of watches that begin and end.
    looking_on: watch::Sender<()>,
}

/// Where a watch is.
struct Place {
    /// Tells it from an earlier one with the same id.
    token: u64,
    /// The query that it watches, once it was judged.
    entry: Option<u64>,
}

/// A watcher that had events before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Who numbered them.
    pub(crate) numbering: u64,
    /// The number of the last ones, as the client has it.
    pub(crate) event: i64,
    /// By which that differs from ours.
    pub(crate) offset: i64,
}

/// One watch.
pub(crate) struct Watcher {
    pub(crate) token: u64,
    pub(crate) client: Arc<Client>,
    pub(crate) watch_id: String,
    /// The request that is to be answered; empty where none is.
    pub(crate) request_id: String,
    pub(crate) request: WatchRequest,
    /// By which the client knows what it watches.
    pub(crate) query_id: Option<String>,
    pub(crate) asked: Option<Asked>,
    /// The documents by which it was judged beside its query.
    pub(crate) named: Vec<DocumentRef>,
    /// Whether it has its documents, and is told of changes.
    pub(crate) is_told: bool,
    /// Is added to the numbers of events.
    pub(crate) offset: i64,
    /// What its messages begin with.
    pub(crate) head: Bytes,
    /// Events that it was told.
    pub(crate) told: u64,
}

/// A query that is to be read.
pub(crate) struct Load {
    entry: u64,
    pub(crate) collection: Arc<str>,
    pub(crate) query: Arc<WatchQuery>,
    /// Nobody has its documents so far.
    pub(crate) is_first: bool,
}

/// What is to be done after changes were heard.
#[derive(Default)]
pub(crate) struct Told {
    /// How many of the changes were taken; the others are to be told again.
    pub(crate) taken: usize,
    /// Queries to be read.
    pub(crate) loads: Vec<Load>,
    /// Watchers to be judged anew.
    pub(crate) rejoining: Vec<Watcher>,
    /// How many messages were put into outboxes.
    pub(crate) messages: usize,
}

/// A watch, for whoever looks on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveWatch {
    /// The collection.
    pub collection: String,
    /// The query as the client wrote it; empty for all documents.
    pub query: String,
    /// `field` or `-field` in the order of weight.
    pub order: Vec<String>,
    /// How many documents at most.
    pub limit: Option<usize>,
    /// The openid or uid of whoever watches; `None` for one who has not logged in.
    pub owner: Option<String>,
    /// How many documents it has.
    pub documents: usize,
    /// How many events it was told.
    pub told: u64,
}

/// A query that is watched.
struct Entry {
    collection: Arc<str>,
    key: Vec<u8>,
    query: Arc<WatchQuery>,
    window: Window,
    /// Tells its numbers from those of an earlier entry.
    numbering: u64,
    /// The number of the last batch.
    number: i64,
    /// The number of the last batch that was sent.
    sent: i64,
    phase: Phase,
    /// Somebody reads it.
    is_read: bool,
    watchers: Vec<Watcher>,
    /// Since when there are none.
    idle: Option<Instant>,
    /// To be sent.
    batches: Vec<EventBatch>,
    /// What was sent last, and its bytes.
    history: VecDeque<(EventBatch, usize)>,
    history_bytes: usize,
    /// What a watch begins with, written already.
    beginning: Option<Bytes>,
}

enum Phase {
    Live,
    Loading {
        /// Changes that were heard meanwhile.
        buffer: Vec<Arc<Change>>,
        /// There were too many of them.
        is_stale: bool,
        is_first: bool,
        /// What its watchers are to be told together with what comes of the load.
        held: Vec<Event>,
        /// How those came in that they did not have.
        entered: DataType,
    },
}

impl Phase {
    const fn loading(is_first: bool, held: Vec<Event>, entered: DataType) -> Self {
        Self::Loading {
            buffer: Vec::new(),
            is_stale: false,
            is_first,
            held,
            entered,
        }
    }
}

impl Queries {
    pub(crate) const fn is_fed(&self) -> bool {
        self.feed.is_some()
    }

    /// Changes are followed from here on.
    pub(crate) fn feed(&mut self, following: AbortHandle) {
        self.feed = Some(following);
    }

    /// How many changes were heard.
    pub(crate) const fn position(&self) -> u64 {
        self.heard
    }

    /// Whether one of these documents may have changed since so many changes were heard.
    pub(crate) fn has_changed(&self, named: &[DocumentRef], heard: u64) -> bool {
        if named.is_empty() {
            return false;
        }
        let since = usize::try_from(self.heard - heard).unwrap_or(usize::MAX);
        since > self.recent.len()
            || self
                .recent
                .iter()
                .rev()
                .take(since)
                .any(|change| concerns(change, named))
    }

    /// Makes room for a watch, in place of one of the same id; answers by what it is known.
    pub(crate) fn begin(&mut self, client: u64, watch_id: &str, most: usize) -> Result<u64, WatchRefusal> {
        self.end(client, watch_id);
        self.last += 1;
        let watches = self.clients.entry(client).or_default();
        if watches.len() >= most {
            return Err(WatchRefusal::TooManyWatches(most));
        }
        let place = Place {
            token: self.last,
            entry: None,
        };
        watches.insert(watch_id.to_owned(), place);
        Ok(self.last)
    }

    /// Whether a watch that is being judged is still wanted.
    pub(crate) fn is_wanted(&self, watcher: &Watcher) -> bool {
        let place = self
            .clients
            .get(&watcher.client.number)
            .and_then(|watches| watches.get(&watcher.watch_id));
        place.is_some_and(|place| place.token == watcher.token)
    }

    /// Drops a watch that was refused; answers whether it was still wanted.
    pub(crate) fn forget(&mut self, client: u64, watch_id: &str, token: u64) -> bool {
        let Some(watches) = self.clients.get_mut(&client) else {
            return false;
        };
        let is_wanted = watches.get(watch_id).is_some_and(|place| place.token == token);
        if is_wanted {
            watches.remove(watch_id);
        }
        is_wanted
    }

    /// Ends a watch.
    pub(crate) fn end(&mut self, client: u64, watch_id: &str) {
        let place = self
            .clients
            .get_mut(&client)
            .and_then(|watches| watches.remove(watch_id));
        if let Some(Place {
            token,
            entry: Some(entry),
        }) = place
        {
            self.take_out(entry, token);
        }
    }

    /// Ends all watches of a client.
    pub(crate) fn leave(&mut self, client: u64) {
        for place in self.clients.remove(&client).unwrap_or_default().into_values() {
            if let Some(entry) = place.entry {
                self.take_out(entry, place.token);
            }
        }
    }

    fn take_out(&mut self, number: u64, token: u64) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        entry.watchers.retain(|watcher| watcher.token != token);
        self.looking_on.send_replace(());
        if !entry.watchers.is_empty() || entry.idle.is_some() {
            return;
        }
        entry.idle = Some(Instant::now());
        let idle = self
            .entries
            .iter()
            .filter_map(|(number, entry)| Some((entry.idle?, *number)));
        let (count, oldest) = idle.fold((0, None), |(count, oldest), this| {
            (count + 1, Some(oldest.map_or(this, |oldest| this.min(oldest))))
        });
        if let Some((_, oldest)) = oldest
            && count > MOST_IDLE
        {
            self.remove(oldest);
        }
    }

    fn remove(&mut self, number: u64) -> Option<Entry> {
        let entry = self.entries.remove(&number)?;
        self.by_key
            .remove(&(Arc::clone(&entry.collection), entry.key.clone()));
        if let Some(entries) = self.by_collection.get_mut(&entry.collection) {
            entries.retain(|other| *other != number);
            if entries.is_empty() {
                self.by_collection.remove(&entry.collection);
            }
        }
        Some(entry)
    }

    /// Ends the watches of a query by an error.
    fn end_entry(&mut self, number: u64, refusal: &WatchRefusal) {
        for watcher in self
            .remove(number)
            .map(|entry| entry.watchers)
            .unwrap_or_default()
        {
            self.forget(watcher.client.number, &watcher.watch_id, watcher.token);
            watcher.refuse(refusal);
            if is_bound(refusal) {
                let text = format!("a watch of {:?} ended: {refusal}", watcher.request.collection);
                self.ended.push((watcher.client.caller.clone(), text));
            }
        }
        self.looking_on.send_replace(());
    }

    /// Whose watches ended by a bound, and why.
    pub(crate) fn take_ended(&mut self) -> Vec<(Caller, String)> {
        std::mem::take(&mut self.ended)
    }

    /// Ends all watches by an error; changes are followed no longer.
    pub(crate) fn end_all(&mut self, refusal: &WatchRefusal) {
        self.feed = None;
        let all: Vec<u64> = self.entries.keys().copied().collect();
        for number in all {
            self.end_entry(number, refusal);
        }
    }

    /// Lets go of all, and follows no changes.
    pub(crate) fn close(&mut self) {
        if let Some(following) = self.feed.take() {
            following.abort();
        }
        self.clients.clear();
        self.entries.clear();
        self.by_key.clear();
        self.by_collection.clear();
    }

    /// Lets go of what nobody has watched for a while. Answers whether nothing is left, so that changes need not be followed.
    pub(crate) fn sweep(&mut self) -> bool {
        let old: Vec<u64> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.idle.is_some_and(|since| since.elapsed() >= LINGER))
            .map(|(number, _)| *number)
            .collect();
        for number in old {
            self.remove(number);
        }
        let is_done = self.entries.is_empty() && self.clients.values().all(HashMap::is_empty);
        if is_done {
            self.feed = None;
        }
        is_done
    }

    /// Puts a watcher among those who watch the same; answers what is to be read first.
    pub(crate) fn add(&mut self, query: WatchQuery, watcher: Watcher) -> Option<Load> {
        let collection: Arc<str> = watcher.request.collection.as_str().into();
        let key = (Arc::clone(&collection), query.key());
        let number = match self.by_key.get(&key) {
            Some(number) => *number,
            None => {
                self.last += 1;
                self.by_collection
                    .entry(Arc::clone(&collection))
                    .or_default()
                    .push(self.last);
                self.entries
                    .insert(self.last, Entry::new(collection, key.1.clone(), query));
                self.by_key.insert(key, self.last);
                self.last
            }
        };
        if let Some(place) = self
            .clients
            .get_mut(&watcher.client.number)
            .and_then(|watches| watches.get_mut(&watcher.watch_id))
        {
            place.entry = Some(number);
        }
        let entry = self.entries.get_mut(&number)?;
        entry.idle = None;
        entry.watchers.push(watcher);
        self.looking_on.send_replace(());
        match &entry.phase {
            Phase::Live => {
                entry.welcome();
                None
            }
            Phase::Loading { .. } => entry.wants_load().then(|| entry.load(number)),
        }
    }

    /// Tells a watcher the number of the last events; answers whether there is such a one.
    pub(crate) fn check(&self, client: u64, watch_id: &str, request_id: &str) -> bool {
        let Some(place) = self
            .clients
            .get(&client)
            .and_then(|watches| watches.get(watch_id))
        else {
            return false;
        };
        let entry = place.entry.and_then(|number| self.entries.get(&number));
        let watcher = entry.and_then(|entry| {
            let mut watchers = entry.watchers.iter();
            Some((entry, watchers.find(|watcher| watcher.token == place.token)?))
        });
        if let Some((entry, watcher)) = watcher.filter(|(_, watcher)| watcher.is_told) {
            let query_id = watcher.query_id.as_deref().unwrap_or_default();
            let message = checked(watch_id, request_id, query_id, entry.sent + watcher.offset);
            watcher.client.outbox.put(message);
        }
        true
    }

    /// Takes changes, as many as can be matched in a moment, and tells watchers of them.
    pub(crate) fn hear(&mut self, changes: &[Arc<Change>]) -> Told {
        let mut told = Told::default();
        let mut touched = HashSet::new();
        let began = Instant::now();
        for change in changes {
            if told.taken > 0 && began.elapsed() > IN_ONE_GO {
                break;
            }
            told.taken += 1;
            self.heard += 1;
            if self.recent.len() == RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back(Arc::clone(change));
            self.take_concerned(change, &mut told.rejoining);
            let numbers = self
                .by_collection
                .get(&change.collection)
                .cloned()
                .unwrap_or_default();
            if change.kind == ChangeKind::Drop {
                let name = change.collection.to_string();
                let refusal = WatchRefusal::Database(DatabaseRefusal::CollectionMissing(name));
                for number in numbers {
                    self.end_entry(number, &refusal);
                }
                continue;
            }
            let mut look = Look::of(numbers.len());
            for number in numbers {
                let Some(entry) = self.entries.get_mut(&number) else {
                    continue;
                };
                touched.insert(number);
                if let Err(refusal) = entry.hear(change, &mut look) {
                    self.end_entry(number, &refusal);
                }
            }
        }
        for number in touched {
            let Some(entry) = self.entries.get_mut(&number) else {
                continue;
            };
            told.messages += entry.send();
            if entry.wants_load() {
                told.loads.push(entry.load(number));
            }
        }
        told
    }

    /// Takes out the watchers that were judged by a document which has changed: they are judged anew, and told nothing before that.
    fn take_concerned(&mut self, change: &Change, taken: &mut Vec<Watcher>) {
        for entry in self.entries.values_mut() {
            entry.take_if(taken, |watcher| concerns(change, &watcher.named));
        }
    }

    /// Changes were not heard: everything is to be read, and every watcher judged that was judged by documents.
    pub(crate) fn reload_all(&mut self) -> (Vec<Load>, Vec<Watcher>) {
        // What was judged meanwhile is to be judged again.
        self.heard += RECENT as u64 + 1;
        self.recent.clear();
        let (mut loads, mut rejoining) = (Vec::new(), Vec::new());
        for (number, entry) in &mut self.entries {
            entry.take_if(&mut rejoining, |watcher| !watcher.named.is_empty());
            match &mut entry.phase {
                Phase::Loading { is_stale, .. } => *is_stale = true,
                Phase::Live => {
                    entry.phase = Phase::loading(false, Vec::new(), DataType::Add);
                    loads.push(entry.load(*number));
                }
            }
        }
        (loads, rejoining)
    }

    /// Takes what a query was found to have. Answers a load where it is to be read again.
    pub(crate) fn loaded(&mut self, load: &Load, found: Result<Vec<Row>, WatchRefusal>) -> Option<Load> {
        let entry = self.entries.get_mut(&load.entry)?;
        match found.and_then(|rows| entry.loaded(rows)) {
            Err(refusal) => {
                self.end_entry(load.entry, &refusal);
                None
            }
            Ok(()) => {
                entry.send();
                if let Phase::Live = entry.phase {
                    entry.welcome();
                    return None;
                }
                Some(entry.load(load.entry))
            }
        }
    }

    /// Is told of watches that begin and end.
    pub(crate) fn look_on(&self) -> watch::Receiver<()> {
        self.looking_on.subscribe()
    }

    /// Whether there is a query that nobody watches, and that is never let go of.
    #[cfg(test)]
    pub(crate) fn is_leaking(&self) -> bool {
        let mut entries = self.entries.values();
        entries.any(|entry| entry.watchers.is_empty() && entry.idle.is_none())
    }

    pub(crate) fn live(&self) -> Vec<LiveWatch> {
        let watches = self.entries.values().flat_map(|entry| {
            entry.watchers.iter().map(|watcher| {
                let request = &watcher.request;
                let order = request.order.iter().flatten();
                LiveWatch {
                    collection: request.collection.clone(),
                    query: request.query.clone(),
                    order: order
                        .map(|(field, ascends)| match ascends {
                            true => field.clone(),
                            false => format!("-{field}"),
                        })
                        .collect(),
                    limit: request.limit,
                    owner: watcher.client.caller.owner().map(str::to_owned),
                    documents: entry.window.len(),
                    told: watcher.told,
                }
            })
        });
        watches.collect()
    }
}

/// A change as it is looked at: its document is decoded once for all queries.
struct Look {
    document: Option<Option<Document>>,
    context: Context,
    /// Steps that each query has of its own; `None` where all have those of the context.
    each: Option<u64>,
}

impl Look {
    /// For so many queries: what one of them takes is not missing to another.
    fn of(queries: usize) -> Self {
        let share = ALL_STEPS / queries.max(1) as u64;
        Self {
            document: None,
            context: context(),
            each: Some(share.clamp(LEAST_STEPS, STEPS)),
        }
    }

    /// For one query and the changes that were kept for it.
    fn replaying() -> Self {
        Self {
            document: None,
            context: context().strict(ALL_STEPS),
            each: None,
        }
    }

    /// The next change.
    fn forget(&mut self) {
        self.document = None;
    }

    fn at(&mut self, change: &Change) -> (Option<&Document>, &Context) {
        if let Some(steps) = self.each {
            self.context = Context::new(self.context.now, self.context.random()).strict(steps);
        }
        let document = self.document.get_or_insert_with(|| {
            let raw = change.document.as_deref();
            raw.and_then(|raw| Document::try_from(raw).ok())
        });
        (document.as_ref(), &self.context)
    }
}

/// Whether it is a bound of ours by which a watch ends.
const fn is_bound(refusal: &WatchRefusal) -> bool {
    matches!(refusal, WatchRefusal::TooMuchWork | WatchRefusal::TooManyBytes)
}

/// Whether a change may be of one of these documents.
fn concerns(change: &Change, named: &[DocumentRef]) -> bool {
    named.iter().any(|document| {
        let is_it = match &change.id {
            Bson::String(id) => *id == document.id,
            // The whole collection is gone.
            _ => change.kind == ChangeKind::Drop,
        };
        is_it && *change.collection == *document.collection
    })
}

impl Watcher {
    /// Is to be judged anew, and told what it missed meanwhile: it has what was sent up to that number.
    fn rejoin(&mut self, numbering: u64, sent: i64) {
        if !std::mem::take(&mut self.is_told) {
            return;
        }
        self.request_id = String::new();
        self.asked = Some(Asked {
            numbering,
            event: sent + self.offset,
            offset: self.offset,
        });
    }

    /// Sends events.
    fn send(&mut self, head: Bytes, tail: Bytes) {
        self.client.outbox.put(Frame { head, tail });
    }
}

impl Entry {
    fn new(collection: Arc<str>, key: Vec<u8>, query: WatchQuery) -> Self {
        Self {
            collection,
            key,
            window: Window::new(&query),
            query: Arc::new(query),
            numbering: rand::random(),
            number: 1,
            sent: 1,
            phase: Phase::loading(true, Vec::new(), DataType::Init),
            is_read: false,
            watchers: Vec::new(),
            idle: None,
            batches: Vec::new(),
            history: VecDeque::new(),
            history_bytes: 0,
            beginning: None,
        }
    }

    /// Takes out watchers that are to be judged anew.
    fn take_if(&mut self, taken: &mut Vec<Watcher>, is_concerned: impl Fn(&Watcher) -> bool) {
        for mut watcher in self.watchers.extract_if(.., |watcher| is_concerned(watcher)) {
            watcher.rejoin(self.numbering, self.sent);
            taken.push(watcher);
        }
        // None of them may come back.
        if self.watchers.is_empty() && self.idle.is_none() {
            self.idle = Some(Instant::now());
        }
    }

    fn wants_load(&self) -> bool {
        !self.is_read && matches!(self.phase, Phase::Loading { .. })
    }

    fn load(&mut self, number: u64) -> Load {
        self.is_read = true;
        let is_first = matches!(self.phase, Phase::Loading { is_first: true, .. });
        Load {
            entry: number,
            collection: Arc::clone(&self.collection),
            query: Arc::clone(&self.query),
            is_first,
        }
    }

    /// Takes what it was found to have.
    fn loaded(&mut self, rows: Vec<Row>) -> Result<(), WatchRefusal> {
        self.is_read = false;
        let Phase::Loading {
            buffer,
            is_stale,
            is_first,
            held,
            entered,
        } = std::mem::replace(&mut self.phase, Phase::Live)
        else {
            return Ok(());
        };
        if is_stale {
            self.phase = Phase::loading(is_first, held, entered);
            return Ok(());
        }
        let events = self.window.load(rows, entered)?;
        if !is_first {
            self.note([held, events].concat());
        }
        // They are matched in one go, within one bound.
        let mut look = Look::replaying();
        for change in buffer {
            look.forget();
            self.hear(&change, &mut look)?;
        }
        Ok(())
    }

    /// Takes a change, or keeps it until the query was read.
    fn hear(&mut self, change: &Arc<Change>, look: &mut Look) -> Result<(), WatchRefusal> {
        match &mut self.phase {
            Phase::Live => {}
            Phase::Loading { is_stale: true, .. } => return Ok(()),
            Phase::Loading { buffer, is_stale, .. } => {
                if buffer.len() < MOST_BUFFERED {
                    buffer.push(Arc::clone(change));
                } else {
                    *buffer = Vec::new();
                    *is_stale = true;
                }
                return Ok(());
            }
        }
        let row = match &change.document {
            None => None,
            Some(raw) => {
                let (document, context) = look.at(change);
                let unreadable = || WatchRefusal::Database(DatabaseRefusal::Unavailable);
                let document = document.ok_or_else(unreadable)?;
                let found = self.query.matches(document, context).map_err(|error| {
                    if error.code == TOO_MUCH_WORK {
                        return WatchRefusal::TooMuchWork;
                    }
                    let why = format!("the query fails at a document ({})", error.code_name());
                    WatchRefusal::Database(DatabaseRefusal::Query(why))
                })?;
                match found {
                    true => Some(self.query.row(raw, document, context).ok_or_else(unreadable)?),
                    false => None,
                }
            }
        };
        let data = match change.kind {
            _ if change.document.is_none() => DataType::Remove,
            ChangeKind::Insert => DataType::Add,
            ChangeKind::Replace => DataType::Replace,
            ChangeKind::Update => DataType::Update,
            ChangeKind::Remove | ChangeKind::Drop => DataType::Remove,
        };
        let events = self.window.apply(&key::of(&change.id), data, row)?;
        if self.window.is_short() {
            self.phase = Phase::loading(false, events, DataType::Limit);
        } else {
            self.note(events);
        }
        Ok(())
    }

    /// Notes what is to be sent as one snapshot.
    fn note(&mut self, events: Vec<Event>) {
        if !events.is_empty() {
            self.number += 1;
            self.batches.push(EventBatch {
                number: self.number,
                events,
            });
        }
    }

    /// Sends what was noted; answers to how many.
    fn send(&mut self) -> usize {
        if self.batches.is_empty() {
            return 0;
        }
        self.sent = self.number;
        self.beginning = None;
        let mut tails: Vec<(i64, Bytes)> = Vec::new();
        let count: usize = self.batches.iter().map(|batch| batch.events.len()).sum();
        let mut messages = 0;
        for watcher in self.watchers.iter_mut().filter(|watcher| watcher.is_told) {
            let known = tails.iter().find(|(offset, _)| *offset == watcher.offset);
            let tail = match known {
                Some((_, tail)) => tail.clone(),
                None => {
                    let tail = Bytes::from(events_tail(self.sent, &self.batches, watcher.offset));
                    tails.push((watcher.offset, tail.clone()));
                    tail
                }
            };
            watcher.told += count as u64;
            watcher.send(watcher.head.clone(), tail);
            messages += 1;
        }
        for batch in self.batches.drain(..) {
            let bytes = batch.events.iter().map(|event| event.document.len() + 64).sum();
            self.history_bytes += bytes;
            self.history.push_back((batch, bytes));
        }
        while self.history.len() > KEPT || self.history_bytes > KEPT_BYTES {
            let Some((_, bytes)) = self.history.pop_front() else {
                break;
            };
            self.history_bytes -= bytes;
        }
        messages
    }

    /// Gives watchers that wait what they begin with, or what they have missed.
    fn welcome(&mut self) {
        let mut watchers = std::mem::take(&mut self.watchers);
        for watcher in watchers.iter_mut().filter(|watcher| !watcher.is_told) {
            self.welcome_one(watcher);
        }
        self.watchers = watchers;
    }

    fn welcome_one(&mut self, watcher: &mut Watcher) {
        watcher.is_told = true;
        let asked = watcher.asked.take();
        let missed = asked
            .filter(|asked| asked.numbering == self.numbering)
            .map(|asked| self.missed(asked.event - asked.offset));
        if missed == Some(None) {
            // From here on nobody who has the old numbering is taken for one who has these numbers.
            self.numbering = rand::random();
        }
        let query_id = watcher.query_id.get_or_insert_with(|| {
            let id = QueryId {
                request: watcher.request.clone(),
                numbering: self.numbering,
            };
            id.text()
        });
        let head = |request_id: &str, begins| -> Bytes {
            events_head(&watcher.watch_id, request_id, begins, query_id).into()
        };
        watcher.head = head("", false);
        let answer = head(&watcher.request_id, asked.is_none());
        let tail = match (asked, missed.flatten()) {
            (None, _) => {
                watcher.offset = 0;
                watcher.told += self.window.len() as u64;
                let window = &self.window;
                let tail = self.beginning.get_or_insert_with(|| {
                    let batch = EventBatch {
                        number: self.number,
                        events: window.beginning(),
                    };
                    events_tail(self.number, [&batch], 0).into()
                });
                tail.clone()
            }
            (Some(asked), Some(from)) => {
                let missed: Vec<&EventBatch> = self.history.range(from..).map(|(batch, _)| batch).collect();
                watcher.offset = asked.offset;
                // It was judged anew, and nothing is different.
                if missed.is_empty() && watcher.request_id.is_empty() {
                    return;
                }
                watcher.told += missed.iter().map(|batch| batch.events.len() as u64).sum::<u64>();
                events_tail(self.number, missed, asked.offset).into()
            }
            (Some(asked), None) => {
                watcher.offset = asked.event.saturating_add(1).saturating_sub(self.number);
                let batch = EventBatch {
                    number: self.number,
                    events: self.window.beginning_anew(),
                };
                watcher.told += batch.events.len() as u64;
                events_tail(self.number, [&batch], watcher.offset).into()
            }
        };
        watcher.send(answer, tail);
    }

    /// Where the batches behind that number begin in the history, if all of them are there.
    fn missed(&self, number: i64) -> Option<usize> {
        let many = usize::try_from(self.number.checked_sub(number)?).ok()?;
        self.history.len().checked_sub(many)
    }
}
