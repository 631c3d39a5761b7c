//! The distinct queries that are watched, and who watches them. Everything here is done at once, under one lock; what takes time (reading a
//! query, judging a watcher, matching a change) is handed back as a [`Load`], a [`Watcher`] or a [`Matching`] to be dealt with.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use bson::Bson;
use database::{Change, ChangeKind};
use realtime::{Row, WatchQuery, WatchRefusal, checked};
use rules::{Caller, DocumentRef};
use tokio::{sync::watch, task::AbortHandle};
use wording::{Wording, wording};

use crate::{
    entry::{Entry, Load},
    ledger::{Arrived, Ledger},
    matching::{Matching, Outcome, Queried, STEPS, WatchFault},
    watcher::Watcher,
};

/// How long a query is kept that nobody watches: whoever lost the connection comes back within that.
const LINGER: Duration = Duration::from_secs(30);
/// How many of those are kept.
const MOST_IDLE: usize = 64;
/// Changes that are remembered, to see whether one of them concerns what a watcher was judged by.
const RECENT: usize = 4096;
/// So many outcomes and messages are dealt with before others are served: some milliseconds.
pub(crate) const IN_ONE_GO: usize = 256;
/// Steps of all queries of a payer together at one change: some ten milliseconds.
const STEPS_OF_ONE: u64 = 20 * STEPS;
/// Characters of a query that are shown to whoever looks on.
const SHOWN: usize = 1 << 10;

/// All queries that are watched.
pub(crate) struct Queries {
    /// The watches of each client, by their ids.
    clients: HashMap<u64, HashMap<String, Place>>,
    entries: HashMap<u64, Entry>,
    by_key: HashMap<(Arc<str>, Vec<u8>), u64>,
    by_collection: HashMap<Arc<str>, Arc<Queried>>,
    /// By the hash of a document: the watchers that were judged by it, each with its entry.
    named: HashMap<u64, Vec<(u64, u64)>>,
    hasher: RandomState,
    ledger: Ledger,
    /// The last number that was given to an entry, or a watch.
    last: u64,
    /// Follows the changes, while that is done.
    feed: Option<AbortHandle>,
    /// What was heard of the changes.
    heard: Position,
    /// What was told of them.
    told: watch::Sender<Position>,
    /// The numbers of the last changes, and the hashes of their documents.
    recent: VecDeque<(u64, u64)>,
    /// The number of the last change that is not among them any more.
    forgotten: u64,
    /// Whose watches ended by a bound or a fault, and why: the developer is to know.
    ended: Vec<(Caller, Wording)>,
    /// Is told of watches that begin and end.
    looking_on: watch::Sender<()>,
}

/// A place in the changes of the database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Is another one when some were not heard, or one of them concerned more than is remembered: what was judged before is to be judged
    /// again.
    pub(crate) era: u64,
    /// The number of the last one.
    pub(crate) sequence: u64,
}

/// Where a watch is.
struct Place {
    /// Tells it from an earlier one with the same id.
    token: u64,
    /// The query that it watches, once it was judged.
    entry: Option<u64>,
    /// Judges it.
    joining: Option<Joining>,
}

/// The task by which a watch is judged, which ends when nobody wants the watch any more.
struct Joining(AbortHandle);

impl Drop for Joining {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a payer has.
#[derive(Default)]
struct Holding {
    bytes: usize,
    /// At which entries, the one with most last.
    entries: Vec<(usize, u64)>,
}

/// Who is to be judged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejoining {
    /// What may be read is another now.
    Everybody,
    /// Those who were judged by documents: changes up to the one of that number were not heard.
    ByDocuments(u64),
}

/// What is to be done after something was told.
#[derive(Default)]
pub(crate) struct Told {
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
    /// The query as the client wrote it, or the beginning of that; empty for all documents.
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

impl Queries {
    /// None, which may have so many bytes together.
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self {
            clients: HashMap::new(),
            entries: HashMap::new(),
            by_key: HashMap::new(),
            by_collection: HashMap::new(),
            named: HashMap::new(),
            hasher: RandomState::new(),
            ledger: Ledger::new(most_bytes),
            last: 0,
            feed: None,
            heard: Position::default(),
            told: watch::Sender::default(),
            recent: VecDeque::new(),
            forgotten: 0,
            ended: Vec::new(),
            looking_on: watch::Sender::default(),
        }
    }

    pub(crate) fn is_fed(&self) -> bool {
        self.feed.as_ref().is_some_and(|feed| !feed.is_finished())
    }

    /// Changes are followed behind that one.
    pub(crate) fn feed(&mut self, following: AbortHandle, last: u64) {
        self.feed = Some(following);
        self.begin_era(last);
    }

    /// Whatever was judged is to be judged again; what is heard next follows on the change of that number.
    fn begin_era(&mut self, last: u64) {
        self.heard = Position {
            era: self.heard.era + 1,
            sequence: last,
        };
        self.recent.clear();
        self.forgotten = last;
        self.told.send_replace(self.heard);
    }

    /// Notes a client of a payer.
    pub(crate) fn arrive(&mut self, payer: &str) -> Arrived {
        self.ledger.arrive(payer)
    }

    /// What was heard of the changes.
    pub(crate) const fn position(&self) -> Position {
        self.heard
    }

    /// Says what was told of them.
    pub(crate) fn told(&self) -> watch::Receiver<Position> {
        self.told.subscribe()
    }

    /// Whether one of these documents may have changed, as far as was heard since then.
    pub(crate) fn has_changed(&self, named: &[DocumentRef], since: Position) -> bool {
        if named.is_empty() {
            return false;
        }
        if since.era != self.heard.era || since.sequence < self.forgotten {
            return true;
        }
        let named: Vec<u64> = named.iter().map(|document| self.hash_of(document)).collect();
        let recent = self.recent.iter().rev();
        let mut changed = recent.take_while(|(sequence, _)| *sequence > since.sequence);
        changed.any(|(_, hash)| named.contains(hash))
    }

    /// Different documents may have the same: watchers are judged once more than they need to be, then.
    fn hash(&self, collection: &str, id: &str) -> u64 {
        self.hasher.hash_one((collection, id))
    }

    fn hash_of(&self, document: &DocumentRef) -> u64 {
        self.hash(&document.collection, &document.id)
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
            joining: None,
        };
        watches.insert(watch_id.to_owned(), place);
        Ok(self.last)
    }

    /// The place of a watch, if it is wanted still.
    fn place(&mut self, watcher: &Watcher) -> Option<&mut Place> {
        let watches = self.clients.get_mut(&watcher.client.number)?;
        let place = watches.get_mut(&watcher.watch_id)?;
        (place.token == watcher.token).then_some(place)
    }

    /// Has a watch judged in a task, which ends with it.
    pub(crate) fn join(&mut self, watcher: Watcher, joined: impl FnOnce(Watcher) -> AbortHandle) {
        if let Some(place) = self.place(&watcher) {
            place.joining = Some(Joining(joined(watcher)));
        }
    }

    /// Whether a watch that was judged is still wanted.
    pub(crate) fn is_wanted(&mut self, watcher: &Watcher) -> bool {
        self.place(watcher).is_some()
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
            ..
        }) = place
        {
            self.take_out(entry, token);
        }
    }

    /// Ends all watches of a client, and the client.
    pub(crate) fn leave(&mut self, client: u64, payer: &str) {
        for place in self.clients.remove(&client).unwrap_or_default().into_values() {
            if let Some(entry) = place.entry {
                self.take_out(entry, place.token);
            }
        }
        self.ledger.part(payer);
    }

    fn take_out(&mut self, number: u64, token: u64) {
        if self.take_if(number, |watcher| watcher.token == token).is_empty() {
            return;
        }
        self.looking_on.send_replace(());
        if self
            .entries
            .get(&number)
            .is_some_and(|entry| entry.idle.is_some())
        {
            self.bound_idle();
        }
    }

    /// Takes watchers out of an entry: they watch it no more, or are to be judged anew.
    fn take_if(&mut self, number: u64, is_concerned: impl Fn(&Watcher) -> bool) -> Vec<Watcher> {
        let Some(entry) = self.entries.get_mut(&number) else {
            return Vec::new();
        };
        let taken = entry.take_if(is_concerned);
        self.strike(number, &taken);
        taken
    }

    /// Counts watchers as an entry's.
    fn enter(&mut self, number: u64, watcher: Watcher) {
        let hashes: Vec<u64> = watcher.named.iter().map(|named| self.hash_of(named)).collect();
        for hash in hashes {
            self.named.entry(hash).or_default().push((number, watcher.token));
        }
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        let (payer, own) = (&watcher.client.payer, watcher.memory());
        self.ledger.resize(0, own);
        self.ledger.charge(payer, own);
        match entry.payers.get_mut(payer) {
            Some(count) => *count += 1,
            None => {
                entry.payers.insert(Arc::clone(payer), 1);
                self.ledger.charge(payer, entry.charged);
            }
        }
        entry.idle = None;
        entry.watchers.push(watcher);
    }

    /// Counts watchers that were taken out as an entry's no more.
    fn strike(&mut self, number: u64, taken: &[Watcher]) {
        for watcher in taken {
            for document in &watcher.named {
                let hash = self.hash_of(document);
                if let Some(judged) = self.named.get_mut(&hash) {
                    judged.retain(|(_, token)| *token != watcher.token);
                    if judged.is_empty() {
                        self.named.remove(&hash);
                    }
                }
            }
            let (payer, own) = (&watcher.client.payer, watcher.memory());
            self.ledger.resize(own, 0);
            self.ledger.release(payer, own);
            let Some(entry) = self.entries.get_mut(&number) else {
                continue;
            };
            let count = entry.payers.get_mut(payer);
            if count.is_some_and(|count| {
                *count -= 1;
                *count == 0
            }) {
                entry.payers.remove(payer);
                self.ledger.release(payer, entry.charged);
            }
        }
    }

    fn bound_idle(&mut self) {
        let idle = self.entries.values().filter(|entry| entry.idle.is_some());
        if idle.count() > MOST_IDLE {
            self.remove_idle();
        }
    }

    /// Lets go of the query that nobody has watched for longest; answers whether there was one.
    fn remove_idle(&mut self) -> bool {
        let idle = self
            .entries
            .iter()
            .filter_map(|(number, entry)| Some((entry.idle?, *number)));
        match idle.min() {
            Some((_, oldest)) => self.remove(oldest).is_some(),
            None => false,
        }
    }

    fn remove(&mut self, number: u64) -> Option<Vec<Watcher>> {
        let watchers = std::mem::take(&mut self.entries.get_mut(&number)?.watchers);
        self.strike(number, &watchers);
        let entry = self.entries.remove(&number)?;
        self.ledger.resize(entry.charged, 0);
        self.by_key
            .remove(&(Arc::clone(&entry.collection), entry.key.clone()));
        if let Some(entries) = self.by_collection.get_mut(&entry.collection) {
            Arc::make_mut(entries).retain(|(other, _)| *other != number);
            if entries.is_empty() {
                self.by_collection.remove(&entry.collection);
            }
        }
        Some(watchers)
    }

    /// Ends the watches of a query by an error.
    fn end_entry(&mut self, number: u64, refusal: &WatchRefusal, why: Option<&str>) {
        let watchers = self.remove(number).unwrap_or_default();
        self.end_watchers(watchers, refusal, why);
    }

    /// Ends watches that were taken out. The developer is told `why`, where that says more than the refusal.
    fn end_watchers(&mut self, watchers: Vec<Watcher>, refusal: &WatchRefusal, why: Option<&str>) {
        for watcher in watchers {
            self.forget(watcher.client.number, &watcher.watch_id, watcher.token);
            watcher.refuse(refusal);
            if is_bound(refusal) || why.is_some() {
                let why = why.map_or_else(|| refusal.to_string(), str::to_owned);
                let collection = &watcher.request.collection;
                let text = wording!(
                    "a watch of {collection:?} ended: {why}",
                    "对 {collection:?} 的监听已结束：{why}"
                );
                self.ended.push((watcher.client.caller.clone(), text));
            }
        }
        self.looking_on.send_replace(());
    }

    /// Whose watches ended by a bound or a fault, and why.
    pub(crate) fn take_ended(&mut self) -> Vec<(Caller, Wording)> {
        std::mem::take(&mut self.ended)
    }

    /// Ends all watches by an error; changes are followed no longer.
    pub(crate) fn end_all(&mut self, refusal: &WatchRefusal) {
        self.feed = None;
        // Whoever waits for changes to be told is told the same.
        self.begin_era(self.heard.sequence);
        let all: Vec<u64> = self.entries.keys().copied().collect();
        for number in all {
            self.end_entry(number, refusal, None);
        }
    }

    /// Lets go of all, and follows no changes.
    pub(crate) fn close(&mut self) {
        if let Some(following) = self.feed.take() {
            following.abort();
        }
        self.clients.clear();
        let all: Vec<u64> = self.entries.keys().copied().collect();
        for number in all {
            self.remove(number);
        }
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
                let query = Arc::new(query);
                let queried = self.by_collection.entry(Arc::clone(&collection)).or_default();
                Arc::make_mut(queried).push((self.last, Arc::clone(&query)));
                self.entries
                    .insert(self.last, Entry::new(collection, key.1.clone(), query));
                self.by_key.insert(key, self.last);
                self.last
            }
        };
        if let Some(place) = self.place(&watcher) {
            // The task is at its end.
            (place.entry, place.joining) = (Some(number), None);
        }
        let client = Arc::clone(&watcher.client);
        self.enter(number, watcher);
        self.looking_on.send_replace(());
        // Whom it is too much for is not welcomed.
        self.settle(number, Some(&client.payer));
        let entry = self.entries.get_mut(&number)?;
        if entry.is_live() {
            entry.welcome();
            self.settle(number, None);
            return None;
        }
        entry
            .wants_load()
            .then(|| entry.load(number, Some(Arc::clone(&client.loads))))
    }

    /// Counts the bytes of an entry anew, and ends watches where they are too many: of a payer that has more than its share those of this
    /// entry; where all bytes are taken, those that have most for each who watches them.
    /// `joined` is a payer of which a watcher has come to it.
    fn settle(&mut self, number: u64, joined: Option<&Arc<str>>) {
        let Some(entry) = self.entries.get_mut(&number) else {
            return;
        };
        let (before, bytes) = (entry.charged, entry.memory());
        // Not at each change: an eighth more is counted than there is.
        if bytes > before || bytes < before / 2 {
            entry.charged = bytes + bytes / 8;
            for payer in entry.payers.keys() {
                self.ledger.release(payer, before);
                self.ledger.charge(payer, entry.charged);
            }
            self.ledger.resize(before, entry.charged);
        }
        let has_grown = entry.charged > before;
        let payers = entry.payers.keys().filter(|_| has_grown);
        let greedy: HashSet<Arc<str>> = payers
            .chain(joined)
            .filter(|payer| self.ledger.has_too_much(payer))
            .cloned()
            .collect();
        if !greedy.is_empty() {
            let refusal = WatchRefusal::TooManyBytesOfOne(self.ledger.share() >> 20);
            self.end_of(number, |payer| greedy.contains(payer), &refusal, None);
        }
        while self.ledger.is_over() && self.remove_idle() {}
        if self.ledger.is_over() {
            self.make_room();
        }
    }

    /// Ends the watches that have most of whoever has most, until there is room. However much somebody has in however many of them, others
    /// with less lose nothing.
    fn make_room(&mut self) {
        // What each has, that which others watch too being divided among them; and where.
        let mut payers: HashMap<Arc<str>, Holding> = HashMap::new();
        for (number, entry) in &self.entries {
            let each = entry.charged / entry.payers.len().max(1);
            let mut here: HashMap<&Arc<str>, usize> = HashMap::new();
            for watcher in &entry.watchers {
                *here.entry(&watcher.client.payer).or_insert(each) += watcher.memory();
            }
            for (payer, bytes) in here {
                let holding = payers.entry(Arc::clone(payer)).or_default();
                holding.bytes += bytes;
                holding.entries.push((bytes, *number));
            }
        }
        for holding in payers.values_mut() {
            holding.entries.sort_unstable();
        }
        let refusal = WatchRefusal::TooManyBytesOfAll(self.ledger.most() >> 20);
        while self.ledger.is_over()
            && let Some((payer, holding)) = payers.iter_mut().max_by_key(|(_, holding)| holding.bytes)
            && let Some((bytes, number)) = holding.entries.pop()
        {
            holding.bytes -= bytes;
            self.end_of(number, |other| other == payer, &refusal, None);
        }
    }

    /// Ends the watches of some payers at an entry; whoever else watches the same goes on.
    fn end_of(
        &mut self,
        number: u64,
        is_concerned: impl Fn(&Arc<str>) -> bool,
        refusal: &WatchRefusal,
        why: Option<&str>,
    ) {
        let ended = self.take_if(number, |watcher| is_concerned(&watcher.client.payer));
        self.end_watchers(ended, refusal, why);
        let entry = self.entries.get(&number);
        if entry.is_some_and(|entry| entry.watchers.is_empty()) {
            self.remove(number);
        }
    }

    /// Takes how many steps the queries took at each change, and ends the heaviest of a payer for whom one change took too many: it would
    /// be late for others.
    pub(crate) fn bound_work(&mut self, work: Vec<Vec<(u64, u64)>>) {
        for mut change in work {
            change.sort_unstable_by_key(|(_, steps)| *steps);
            let mut taken: HashMap<Arc<str>, u64> = HashMap::new();
            for (number, steps) in change {
                let Some(entry) = self.entries.get(&number) else {
                    continue;
                };
                let each = steps / entry.payers.len().max(1) as u64;
                let mut greedy = HashSet::new();
                for payer in entry.payers.keys() {
                    let taken = taken.entry(Arc::clone(payer)).or_default();
                    *taken += each;
                    if *taken > STEPS_OF_ONE {
                        greedy.insert(Arc::clone(payer));
                    }
                }
                if !greedy.is_empty() {
                    let why = "the watches of one user take too much work together at one change";
                    let refusal = WatchRefusal::TooMuchWork;
                    self.end_of(number, |payer| greedy.contains(payer), &refusal, Some(why));
                }
            }
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

    /// Notes changes that were heard, before anybody is told of them. Answers the watchers that were judged by one of these documents:
    /// they are to be judged anew, and are told nothing before that.
    pub(crate) fn note(&mut self, changes: &[Arc<Change>]) -> Vec<Watcher> {
        let mut concerned: HashMap<u64, HashSet<u64>> = HashMap::new();
        let mut dropped = Vec::new();
        for change in changes {
            if change.kind == ChangeKind::Drop {
                dropped.push(&*change.collection);
            }
            let hash = match &change.id {
                Bson::String(id) => self.hash(&change.collection, id),
                // No rule names a document by such an id.
                _ => 0,
            };
            self.heard.sequence = change.sequence;
            if self.recent.len() == RECENT
                && let Some((sequence, _)) = self.recent.pop_front()
            {
                self.forgotten = sequence;
            }
            self.recent.push_back((change.sequence, hash));
            for (number, token) in self.named.get(&hash).into_iter().flatten() {
                concerned.entry(*number).or_default().insert(*token);
            }
        }
        if !dropped.is_empty() {
            // What was judged meanwhile is to be judged again, whatever it was judged by.
            self.heard.era += 1;
            self.told.send_modify(|told| told.era += 1);
            for (number, entry) in &self.entries {
                let of_dropped = |named: &DocumentRef| dropped.contains(&named.collection.as_str());
                let watchers = entry.watchers.iter();
                let judged = watchers.filter(|watcher| watcher.named.iter().any(of_dropped));
                for watcher in judged {
                    concerned.entry(*number).or_default().insert(watcher.token);
                }
            }
        }
        let mut taken = Vec::new();
        for (number, tokens) in concerned {
            taken.extend(self.take_if(number, |watcher| tokens.contains(&watcher.token)));
        }
        taken
    }

    /// What changes are to be matched with; `None` where nobody watches those collections.
    pub(crate) fn matching(&self, changes: &[Arc<Change>]) -> Option<Matching> {
        let mut queries = HashMap::new();
        for change in changes {
            if let Some(queried) = self.by_collection.get(&change.collection)
                && !queries.contains_key(&change.collection)
            {
                queries.insert(Arc::clone(&change.collection), Arc::clone(queried));
            }
        }
        (!queries.is_empty()).then(|| Matching {
            changes: changes.to_vec(),
            queries,
        })
    }

    /// Tells watchers what was matched, and takes that out of `outcomes`: as much as can be told in a moment.
    pub(crate) fn tell(&mut self, outcomes: &mut VecDeque<(u64, Vec<(u64, Outcome)>)>) -> Told {
        let mut told = Told::default();
        let mut done = 0;
        while done < IN_ONE_GO
            && let Some((number, outcomes)) = outcomes.pop_front()
        {
            let Some(entry) = self.entries.get_mut(&number) else {
                continue;
            };
            done += outcomes.len();
            let mut outcomes = outcomes.into_iter();
            let heard = outcomes.try_for_each(|(sequence, outcome)| entry.hear(sequence, outcome));
            if let Err(WatchFault { refusal, why }) = heard {
                self.end_entry(number, &refusal, why.as_deref());
                continue;
            }
            // Whom it is too much for is told that, and not this.
            self.settle(number, None);
            let Some(entry) = self.entries.get_mut(&number) else {
                continue;
            };
            let messages = entry.send();
            told.messages += messages;
            done += messages;
            if entry.wants_load() {
                told.loads.push(entry.load(number, None));
            }
            self.settle(number, None);
        }
        told
    }

    /// The changes up to that one were told: whoever was judged by one of them may be told what was behind it.
    pub(crate) fn have_told(&mut self, sequence: u64) {
        self.told.send_modify(|told| told.sequence = sequence);
    }

    /// Watchers that time alone may end: they are to be judged anew.
    pub(crate) fn take_those_of_time(&mut self) -> Vec<Watcher> {
        self.take_all_if(|watcher| watcher.is_of_time)
    }

    fn take_all_if(&mut self, is_concerned: impl Fn(&Watcher) -> bool) -> Vec<Watcher> {
        let numbers: Vec<u64> = self.entries.keys().copied().collect();
        let taken = numbers
            .into_iter()
            .flat_map(|number| self.take_if(number, &is_concerned));
        taken.collect()
    }

    /// Everything is to be read again, and watchers are to be judged again.
    pub(crate) fn reload_all(&mut self, who: Rejoining) -> Told {
        self.begin_era(match who {
            Rejoining::Everybody => self.heard.sequence,
            Rejoining::ByDocuments(last) => last,
        });
        let mut told = Told {
            rejoining: self.take_all_if(|watcher| who == Rejoining::Everybody || !watcher.named.is_empty()),
            ..Told::default()
        };
        for (number, entry) in &mut self.entries {
            if entry.reload() {
                told.loads.push(entry.load(*number, None));
            }
        }
        told
    }

    /// The reading of a query is about to begin; answers whether anybody waits for it.
    pub(crate) fn start(&mut self, load: &Load) -> bool {
        let Some(entry) = self.entries.get_mut(&load.entry) else {
            return false;
        };
        if entry.is_first() && entry.watchers.is_empty() {
            self.remove(load.entry);
            return false;
        }
        entry.start();
        true
    }

    /// Whether somebody who watches a query had documents before.
    pub(crate) fn has_documents(&self, number: u64) -> bool {
        self.entries.get(&number).is_some_and(Entry::has_documents)
    }

    /// Takes what a query was found to have, and the number of the last change that this has; answers what is to be done, which may be to
    /// read it again.
    pub(crate) fn loaded(&mut self, load: &Load, found: Result<(Vec<Row>, u64), WatchFault>) -> Told {
        let number = load.entry;
        let mut told = Told::default();
        let Some(entry) = self.entries.get_mut(&number) else {
            return told;
        };
        let loaded = found.and_then(|(rows, found_up_to)| entry.loaded(rows, found_up_to));
        if let Err(WatchFault { refusal, why }) = loaded {
            self.end_entry(number, &refusal, why.as_deref());
            return told;
        }
        // What was read may be newer than the changes that were heard, and than what some were judged by: they are judged anew.
        told.rejoining = self.take_if(number, |watcher| !watcher.named.is_empty());
        self.settle(number, None);
        let Some(entry) = self.entries.get_mut(&number) else {
            return told;
        };
        told.messages += entry.send();
        if entry.is_live() {
            entry.welcome();
            self.settle(number, None);
        } else {
            told.loads.push(entry.load(number, None));
        }
        told
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

    /// The changes are heard no more, without a word.
    #[cfg(test)]
    pub(crate) fn stop_following(&mut self) {
        if let Some(following) = &self.feed {
            following.abort();
        }
    }

    /// Everything is to be read again.
    #[cfg(test)]
    pub(crate) fn read_again(&mut self) -> Vec<Load> {
        let entries = self.entries.iter_mut();
        let loads = entries.filter_map(|(number, entry)| entry.reload().then(|| entry.load(*number, None)));
        loads.collect()
    }

    /// The bytes that are counted, of all and of a payer.
    #[cfg(test)]
    pub(crate) fn bytes(&self, payer: &str) -> (usize, usize) {
        (self.ledger.used(), self.ledger.bytes_of(payer))
    }

    /// How many watches there are, and some of them.
    pub(crate) fn live(&self, most: usize) -> (usize, Vec<LiveWatch>) {
        let count = self.entries.values().map(|entry| entry.watchers.len()).sum();
        let watches = self.entries.values().flat_map(|entry| {
            entry.watchers.iter().map(|watcher| {
                let request = &watcher.request;
                let order = request.order.iter().flatten();
                LiveWatch {
                    collection: request.collection.clone(),
                    query: beginning(&request.query).to_owned(),
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
        (count, watches.take(most).collect())
    }
}

/// As much of a query as is shown.
fn beginning(query: &str) -> &str {
    let end = query.char_indices().nth(SHOWN).map(|(end, _)| end);
    end.and_then(|end| query.get(..end)).unwrap_or(query)
}

/// Whether it is a bound of ours by which a watch ends.
const fn is_bound(refusal: &WatchRefusal) -> bool {
    matches!(
        refusal,
        WatchRefusal::TooMuchWork
            | WatchRefusal::TooManyBytes
            | WatchRefusal::TooLongPlace
            | WatchRefusal::TooManyBytesOfOne(_)
            | WatchRefusal::TooManyBytesOfAll(_)
    )
}
