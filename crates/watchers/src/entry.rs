//! One distinct query that is watched: its documents, those who watch it, and what was sent last.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Instant,
};

use bytes::Bytes;
use realtime::{
    DataType, Event, EventBatch, QueryId, Row, WatchQuery, WatchRefusal, Window, events_head, events_tail,
};
use tcb::database::DatabaseRefusal;
use tokio::sync::Semaphore;

use crate::{
    matching::{Changed, Outcome, WatchFault},
    watcher::{Asked, Watcher},
};

/// Batches of events that are kept for those who come back after a pause.
const KEPT: usize = 64;
/// Bytes of them.
const KEPT_BYTES: usize = 64 << 10;
/// Changes that are kept while a query is being read, and their bytes; if there are more, it is read again.
const MOST_BUFFERED: usize = 4096;
const BUFFERED_BYTES: usize = 4 << 20;
/// Watchers whose numbers differ from ours and that are remembered, for when they come back.
const MOST_SHIFTED: usize = 1024;
/// Bytes of what is written of one sending, for watchers whose numbers differ, at once.
const WRITTEN_BYTES: usize = 4 << 20;
/// What an entry takes beside its documents and its query.
const BESIDE: usize = 1 << 10;

/// A query that is to be read.
pub(crate) struct Load {
    pub(crate) entry: u64,
    pub(crate) collection: Arc<str>,
    pub(crate) query: Arc<WatchQuery>,
    /// The places of whoever it is read for; `None` where all who watch have to have it.
    pub(crate) places: Option<Arc<Semaphore>>,
}

/// A query that is watched.
pub(crate) struct Entry {
    pub(crate) collection: Arc<str>,
    pub(crate) key: Vec<u8>,
    query: Arc<WatchQuery>,
    pub(crate) window: Window,
    /// Bytes of memory that it takes beside its documents.
    beside: usize,
    /// Tells its numbers from those of an earlier entry.
    numbering: u64,
    /// The number of the last batch.
    number: i64,
    /// The number of the last batch that was sent.
    pub(crate) sent: i64,
    phase: Phase,
    /// Somebody reads it, or is about to.
    is_read: bool,
    /// The number of the last change that the last reading had.
    found_up_to: u64,
    pub(crate) watchers: Vec<Watcher>,
    /// How many watchers each payer has here.
    pub(crate) payers: HashMap<Arc<str>, usize>,
    /// The bytes that it is counted with.
    pub(crate) charged: usize,
    /// Since when there are no watchers.
    pub(crate) idle: Option<Instant>,
    /// To be sent.
    batches: Vec<EventBatch>,
    /// What was sent last, and its bytes.
    history: VecDeque<(EventBatch, usize)>,
    history_bytes: usize,
    /// What a watch begins with, written already.
    beginning: Option<Bytes>,
    /// By who numbered its events and which watcher it is: how its numbers differ from ours.
    shifted: HashMap<(u64, u64), Shift>,
}

/// How a watcher's numbers differ from ours.
struct Shift {
    offset: i64,
    /// From this number on. Whoever comes back with a lower one was never told so.
    from: i64,
}

enum Phase {
    Live,
    Loading {
        /// What was heard since the reading began, with the numbers of the changes; `None` before that, when it will find them.
        buffer: Option<Vec<(u64, Outcome)>>,
        /// Bytes of them.
        bytes: usize,
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
            buffer: None,
            bytes: 0,
            is_stale: false,
            is_first,
            held,
            entered,
        }
    }
}

impl Entry {
    pub(crate) fn new(collection: Arc<str>, key: Vec<u8>, query: Arc<WatchQuery>) -> Self {
        Self {
            beside: BESIDE + query.memory() + 2 * key.len(),
            collection,
            key,
            window: Window::new(&query),
            query,
            numbering: rand::random(),
            number: 1,
            sent: 1,
            phase: Phase::loading(true, Vec::new(), DataType::Init),
            is_read: false,
            found_up_to: 0,
            watchers: Vec::new(),
            payers: HashMap::new(),
            charged: 0,
            idle: None,
            batches: Vec::new(),
            history: VecDeque::new(),
            history_bytes: 0,
            beginning: None,
            shifted: HashMap::new(),
        }
    }

    /// Bytes of memory that it takes.
    pub(crate) fn memory(&self) -> usize {
        let buffered = match &self.phase {
            Phase::Loading { bytes, .. } => *bytes,
            Phase::Live => 0,
        };
        let beginning = self.beginning.as_ref().map_or(0, Bytes::len);
        let shifted = self.shifted.len() * 64;
        self.beside + self.window.memory() + self.history_bytes + beginning + buffered + shifted
    }

    /// Takes out watchers that are to be judged anew.
    pub(crate) fn take_if(&mut self, is_concerned: impl Fn(&Watcher) -> bool) -> Vec<Watcher> {
        let mut taken: Vec<Watcher> = self
            .watchers
            .extract_if(.., |watcher| is_concerned(watcher))
            .collect();
        for watcher in &mut taken {
            watcher.rejoin(self.numbering, self.sent);
        }
        // None of them may come back.
        if self.watchers.is_empty() && self.idle.is_none() {
            self.idle = Some(Instant::now());
        }
        taken
    }

    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    /// Whether nobody has its documents so far.
    pub(crate) const fn is_first(&self) -> bool {
        matches!(self.phase, Phase::Loading { is_first: true, .. })
    }

    /// Whether somebody who watches had documents before.
    pub(crate) fn has_documents(&self) -> bool {
        let mut watchers = self.watchers.iter();
        watchers.any(|watcher| watcher.is_told || watcher.asked.is_some())
    }

    pub(crate) const fn wants_load(&self) -> bool {
        !self.is_read && !self.is_live()
    }

    /// Is to be read; for a payer, where it is for that one's watch.
    pub(crate) fn load(&mut self, number: u64, places: Option<Arc<Semaphore>>) -> Load {
        self.is_read = true;
        Load {
            entry: number,
            collection: Arc::clone(&self.collection),
            query: Arc::clone(&self.query),
            places,
        }
    }

    /// What it has is not known to be right any more. Answers whether somebody has to read it who is not about to.
    pub(crate) fn reload(&mut self) -> bool {
        match &mut self.phase {
            Phase::Loading { buffer, is_stale, .. } => {
                *is_stale = buffer.is_some();
                false
            }
            Phase::Live => {
                self.phase = Phase::loading(false, Vec::new(), DataType::Add);
                true
            }
        }
    }

    /// The reading begins: what is heard from here on may not be found by it.
    pub(crate) fn start(&mut self) {
        if let Phase::Loading {
            buffer,
            bytes,
            is_stale,
            ..
        } = &mut self.phase
        {
            (*buffer, *bytes, *is_stale) = (Some(Vec::new()), 0, false);
        }
    }

    /// Takes what it was found to have, with the changes up to that number.
    pub(crate) fn loaded(&mut self, rows: Vec<Row>, found_up_to: u64) -> Result<(), WatchFault> {
        self.is_read = false;
        let Phase::Loading {
            buffer,
            is_stale,
            is_first,
            held,
            entered,
            ..
        } = std::mem::replace(&mut self.phase, Phase::Live)
        else {
            return Ok(());
        };
        if is_stale {
            self.phase = Phase::loading(is_first, held, entered);
            return Ok(());
        }
        self.found_up_to = found_up_to;
        let events = self.window.load(rows, entered)?;
        if !is_first {
            self.note([held, events].concat());
        }
        for (sequence, outcome) in buffer.unwrap_or_default() {
            self.hear(sequence, outcome)?;
        }
        Ok(())
    }

    /// Takes what the change of that number was found to be, or keeps it until the query was read.
    pub(crate) fn hear(&mut self, sequence: u64, outcome: Outcome) -> Result<(), WatchFault> {
        match &mut self.phase {
            // What was read has it, and may be newer.
            Phase::Live if sequence <= self.found_up_to => return Ok(()),
            Phase::Live => {}
            Phase::Loading {
                buffer: Some(kept),
                bytes,
                is_stale,
                ..
            } if !*is_stale => {
                *bytes += outcome.bytes();
                kept.push((sequence, outcome));
                if kept.len() > MOST_BUFFERED || *bytes > BUFFERED_BYTES {
                    (*kept, *bytes, *is_stale) = (Vec::new(), 0, true);
                }
                return Ok(());
            }
            // The reading that is to come finds it.
            Phase::Loading { .. } if matches!(outcome, Outcome::Changed(_)) => return Ok(()),
            Phase::Loading { .. } => {}
        }
        match outcome {
            Outcome::Changed(changed) => Ok(self.apply(changed)?),
            Outcome::Failed(fault) => Err(*fault),
            Outcome::Dropped => {
                let name = self.collection.to_string();
                Err(WatchRefusal::Database(DatabaseRefusal::CollectionMissing(name)).into())
            }
        }
    }

    fn apply(&mut self, changed: Changed) -> Result<(), WatchRefusal> {
        let Changed { id, data, row } = changed;
        let events = self.window.apply(&id, data, row.map(|row| *row))?;
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
    pub(crate) fn send(&mut self) -> usize {
        if self.batches.is_empty() {
            return 0;
        }
        self.sent = self.number;
        self.beginning = None;
        let told = self.watchers.iter().filter(|watcher| watcher.is_told);
        // By offset: how many have the same text.
        let mut tails: HashMap<i64, (usize, Bytes)> = HashMap::new();
        for watcher in told {
            tails.entry(watcher.offset).or_default().0 += 1;
        }
        // The numbers are the clients', so the same may have to be written many times: for those who are most, as long as it is not too much.
        let mut groups: Vec<(&i64, &mut (usize, Bytes))> = tails.iter_mut().collect();
        groups.sort_unstable_by_key(|(_, (many, _))| Reverse(*many));
        let mut written = 0;
        for (offset, (_, tail)) in groups {
            if written <= WRITTEN_BYTES {
                *tail = events_tail(self.sent, &self.batches, *offset).into();
                written += tail.len();
            }
        }
        let count: usize = self.batches.iter().map(|batch| batch.events.len()).sum();
        let mut messages = 0;
        for watcher in self.watchers.iter_mut().filter(|watcher| watcher.is_told) {
            let Some((_, tail)) = tails.get(&watcher.offset) else {
                continue;
            };
            // Its client comes back, and is told what it has missed.
            if tail.is_empty() {
                watcher.client.outbox.end();
                continue;
            }
            watcher.told += count as u64;
            watcher.send(watcher.head.clone(), tail.clone());
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
    pub(crate) fn welcome(&mut self) {
        let mut watchers = std::mem::take(&mut self.watchers);
        // Who is alone is likely to stay so: what they begin with is for nobody else.
        let is_shared = watchers.len() > 1;
        for watcher in watchers.iter_mut().filter(|watcher| !watcher.is_told) {
            self.welcome_one(watcher);
        }
        if !is_shared {
            self.beginning = None;
        }
        self.watchers = watchers;
    }

    fn welcome_one(&mut self, watcher: &mut Watcher) {
        watcher.is_told = true;
        let asked = watcher.asked.take();
        let known = asked.and_then(|asked| {
            let offset = self.offset_of(&asked, watcher.mark)?;
            Some((offset, self.missed(asked.event.checked_sub(offset)?)?))
        });
        let query_id = watcher.query_id.get_or_insert_with(|| {
            let id = QueryId {
                request: watcher.request.clone(),
                numbering: self.numbering,
                watcher: watcher.mark,
            };
            id.text()
        });
        let head = |request_id: &str, begins| -> Bytes {
            events_head(&watcher.watch_id, request_id, begins, query_id).into()
        };
        watcher.head = head("", false);
        let answer = head(&watcher.request_id, asked.is_none());
        let tail: Bytes = match (asked, known) {
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
            (Some(_), Some((offset, from))) => {
                let missed: Vec<&EventBatch> = self.history.range(from..).map(|(batch, _)| batch).collect();
                watcher.offset = offset;
                // It was judged anew, and nothing is different.
                if missed.is_empty() && watcher.request_id.is_empty() {
                    return;
                }
                watcher.told += missed.iter().map(|batch| batch.events.len() as u64).sum::<u64>();
                events_tail(self.number, missed, offset).into()
            }
            (Some(asked), None) => {
                watcher.offset = asked.event.saturating_add(1).saturating_sub(self.number);
                let batch = EventBatch {
                    number: self.number,
                    events: self.window.beginning_anew(),
                };
                watcher.told += batch.events.len() as u64;
                let tail = events_tail(self.number, [&batch], watcher.offset);
                self.shift(&asked, watcher);
                tail.into()
            }
        };
        watcher.send(answer, tail);
    }

    /// How the numbers of a watcher differ from ours, if it has any that are known here.
    fn offset_of(&self, asked: &Asked, mark: u64) -> Option<i64> {
        let is_ours = asked.numbering == self.numbering;
        // It was here all the time.
        if asked.offset.is_some() {
            return asked.offset.filter(|_| is_ours);
        }
        match self.shifted.get(&(asked.numbering, mark)) {
            Some(shift) => (asked.event >= shift.from).then_some(shift.offset),
            None => is_ours.then_some(0),
        }
    }

    /// Remembers how a watcher's numbers differ: it comes back with the id that it has, and is given what it missed.
    fn shift(&mut self, asked: &Asked, watcher: &Watcher) {
        // Such an id may be several watchers'.
        if watcher.mark == 0 {
            return;
        }
        let shift = Shift {
            offset: watcher.offset,
            from: asked.event.saturating_add(1),
        };
        self.shifted.insert((asked.numbering, watcher.mark), shift);
        if self.shifted.len() > MOST_SHIFTED {
            // Nobody of those who are forgotten is to be taken for one who has our numbers.
            self.shifted.clear();
            self.numbering = rand::random();
        }
    }

    /// Where the batches behind that number begin in the history, if all of them are there.
    fn missed(&self, number: i64) -> Option<usize> {
        let many = usize::try_from(self.number.checked_sub(number)?).ok()?;
        self.history.len().checked_sub(many)
    }
}
