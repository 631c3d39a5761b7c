//! What happened lately, kept for the pages: the last calls with their logs, what those print that still run, what is printed outside
//! of calls, the last notes, and counts by time.
//!
//! A record is copied once, cut to a bound, into a ring; whoever watches is woken, and nobody is if nobody does. All bounds
//! are here: whatever functions print and however often they are called, the memory is bounded.
//!
//! The gateway tells on the thread that serves every call. So the lock is held for no longer than it takes to add an entry, or to copy
//! pointers: whatever a page asks of the entries, it asks of its own copy of these.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use gateway::{
    CallRecord, CloudCall, DatabaseCall, Exchange, Journal, Note, PrintedLine, RedeemedFields, WantedIndex,
};
use jiff::{SignedDuration, Timestamp};
use runtime::Level;
use tokio::sync::watch;
use wording::Wording;

use crate::timeline::{Rate, Rates};

/// Calls that are kept.
const CALLS: usize = 2000;
/// Bytes that they may have together.
const CALL_BYTES: usize = 16 << 20;
/// Bytes of one call's logs.
const LOG_BYTES: usize = 64 << 10;
/// Bytes of any other text: an error with its stack, a note.
const TEXT_BYTES: usize = 8 << 10;
/// Cloud calls of one call.
const CLOUD_CALLS: usize = 100;
const NOTES: usize = 200;
/// Shapes of queries that no index serves.
const UNSERVED: usize = 100;
/// Calls that still run, of which it is kept what they print; and how many of the last lines of each.
const RUNNING: usize = 50;
const RUNNING_LINES: usize = 20;
/// Lines that were printed outside of any call.
const LOOSE_LINES: usize = 200;
/// The last calls, among which a note finds its own where that has ended already.
const LATE_NOTES: usize = 100;
/// A note may have been told a moment before its call began, as far as clocks can tell.
const LEEWAY: SignedDuration = SignedDuration::from_secs(1);

/// A call that has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call {
    /// When it ended.
    pub at: Timestamp,
    /// The reply's `requestID`.
    pub request_id: String,
    /// The function's name.
    pub function: String,
    /// How it came to be called.
    pub source: String,
    /// The user for whom it was called.
    pub openid: Option<String>,
    /// Of a message push: how often it has been tried.
    pub attempt: Option<u32>,
    /// Of a message push: by what the packet is known.
    pub push: Option<String>,
    /// Of HTTP access: method and path.
    pub http: Option<String>,
    /// The HTTP status of the reply.
    pub status: u16,
    /// Code and text of the failure, if it is one.
    pub error: Option<(i64, String)>,
    /// The cloudIDs that were exchanged before.
    pub redeemed: RedeemedFields,
    /// How long it waited for a worker.
    pub waited: Duration,
    /// How long the function ran.
    pub ran: Duration,
    /// How long of that it was still being loaded: the times of lines are counted from then on.
    pub(crate) loaded: Duration,
    /// What it printed.
    pub logs: Vec<LogLine>,
    /// Whether it printed more than is kept.
    pub more_logs: bool,
    /// Its event and its result, where they are kept.
    pub exchange: Option<Exchange>,
    /// What it asked of the cloud.
    pub cloud_calls: Vec<CloudCall>,
    /// How many cloud calls it made beyond those.
    pub more_cloud_calls: u64,
    /// Fields that were not filled in, each a JSON string, and why.
    pub warnings: Vec<(String, Wording)>,
    /// What the operator was told of it.
    pub notes: Vec<Wording>,
}

/// A call that has not ended, and printed something.
#[derive(Clone, Debug)]
pub(crate) struct RunningCall {
    pub(crate) request_id: String,
    pub(crate) function: String,
    pub(crate) openid: Option<String>,
    /// When the function began to run: the latest that its lines leave possible.
    pub(crate) since: Timestamp,
    /// How many lines it has printed, those included that are not kept.
    pub(crate) printed: u64,
    /// The last lines.
    pub(crate) lines: VecDeque<Arc<LogLine>>,
}

/// Queries of one shape that no index served, or that looked at many documents for few.
#[derive(Clone, Debug)]
pub(crate) struct UnservedQuery {
    /// The one that looked at most.
    pub(crate) worst: DatabaseCall,
    /// How long that took.
    pub(crate) took: Duration,
    pub(crate) times: u64,
    /// The last call that made one.
    pub(crate) request_id: String,
    pub(crate) function: String,
}

/// Something that a function printed.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// How important it is.
    pub level: Level,
    /// When, after the function began to run.
    pub at: Duration,
    /// The text, which may have several lines.
    pub text: String,
}

/// Something that was printed outside of any call, as while a function is loaded.
#[derive(Clone, Debug)]
pub(crate) struct LooseLine {
    pub(crate) at: Timestamp,
    pub(crate) function: String,
    pub(crate) level: Level,
    pub(crate) text: String,
}

/// Something that the operator was told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) at: Timestamp,
    pub(crate) request_id: String,
    pub(crate) openid: Option<String>,
    pub(crate) text: Wording,
}

/// Keeps what happened lately. The gateway tells it as a [`Journal`].
#[derive(Debug)]
pub struct Recorder {
    kept: Mutex<Kept>,
    changed: watch::Sender<()>,
    began: Timestamp,
}

#[derive(Debug, Default)]
struct Kept {
    calls: VecDeque<Arc<Call>>,
    /// What each of the calls weighs, and all of them together.
    weights: VecDeque<usize>,
    bytes: usize,
    running: VecDeque<Arc<RunningCall>>,
    loose: VecDeque<Arc<LooseLine>>,
    notes: VecDeque<Arc<Told>>,
    rates: Rates,
    unserved: VecDeque<Arc<UnservedQuery>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            changed: watch::Sender::new(()),
            began: Timestamp::now(),
        }
    }
}

impl Recorder {
    /// The kept calls that `wanted` takes, the newest first, at most `most`.
    pub(crate) fn calls(&self, most: usize, wanted: impl Fn(&Call) -> bool) -> Vec<Arc<Call>> {
        newest(|kept| &kept.calls, self, most, wanted)
    }

    pub(crate) fn call(&self, request_id: &str) -> Option<Arc<Call>> {
        let kept = self.kept();
        let mut newest_first = kept.calls.iter().rev();
        newest_first.find(|call| call.request_id == request_id).cloned()
    }

    /// A call that still runs and printed something.
    pub(crate) fn running_call(&self, request_id: &str) -> Option<Arc<RunningCall>> {
        let kept = self.kept();
        let mut all = kept.running.iter();
        all.find(|call| call.request_id == request_id).cloned()
    }

    /// The calls that `wanted` takes of those that still run and printed something, the newest first.
    pub(crate) fn running(&self, wanted: impl Fn(&RunningCall) -> bool) -> Vec<Arc<RunningCall>> {
        newest(|kept| &kept.running, self, RUNNING, wanted)
    }

    /// The notes that `wanted` takes, the newest first, at most `most`.
    pub(crate) fn notes(&self, most: usize, wanted: impl Fn(&Told) -> bool) -> Vec<Arc<Told>> {
        newest(|kept| &kept.notes, self, most, wanted)
    }

    /// The queries that no index served, those that looked at most first.
    pub(crate) fn unserved(&self) -> Vec<Arc<UnservedQuery>> {
        let mut all: Vec<_> = self.kept().unserved.iter().map(Arc::clone).collect();
        all.sort_by_key(|query| std::cmp::Reverse(query.worst.looked));
        all
    }

    /// Forgets queries that are served now: those of a collection, of one index where it is named.
    pub(crate) fn forget_unserved(&self, collection: &str, index: Option<&WantedIndex>) {
        let of_index = |query: &UnservedQuery| index.is_none_or(|index| query.worst.wanted.contains(index));
        self.kept()
            .unserved
            .retain(|query| query.worst.collection != collection || !of_index(query));
    }

    /// When it began to count.
    pub(crate) fn began(&self) -> Timestamp {
        self.began
    }

    /// What was counted of one function, or of all where none is named.
    pub(crate) fn rate(&self, function: &str) -> Rate {
        self.kept().rates.of(function)
    }

    /// The lines that `wanted` takes of what was printed outside of any call, the newest first.
    pub(crate) fn loose(&self, wanted: impl Fn(&LooseLine) -> bool) -> Vec<Arc<LooseLine>> {
        newest(|kept| &kept.loose, self, LOOSE_LINES, wanted)
    }

    /// Is woken when something has happened, from now on.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Wakes whoever watches.
    pub(crate) fn wake(&self) {
        if self.changed.receiver_count() > 0 {
            self.changed.send_replace(());
        }
    }

    /// Keeps something that the simulated WeChat tells, or the program itself: it belongs to no call that we know of.
    pub fn tell(&self, text: &Wording) {
        self.note(&Note {
            request_id: "",
            openid: None,
            text,
        });
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At most `most` of the entries of one kind that `wanted` takes, the newest first. It is asked when the lock is free again.
fn newest<Entry>(
    of: impl Fn(&Kept) -> &VecDeque<Arc<Entry>>,
    recorder: &Recorder,
    most: usize,
    wanted: impl Fn(&Entry) -> bool,
) -> Vec<Arc<Entry>> {
    let mut all: Vec<Arc<Entry>> = of(&recorder.kept()).iter().rev().map(Arc::clone).collect();
    all.retain(|entry| wanted(entry));
    all.truncate(most);
    all
}

impl Journal for Recorder {
    fn call(&self, record: &CallRecord<'_>) {
        let mut call = Call::copy(record);
        let (mut weight, last_line) = (call.bytes(), call.last_line());
        // What goes is freed when the lock is.
        let (mut gone, mut ended) = (Vec::new(), None);
        {
            let kept = &mut *self.kept();
            let at = call.at.as_millisecond();
            kept.rates
                .add(at, record.function, record.error.is_some(), record.ran);
            let is_this = |running: &Arc<RunningCall>| running.request_id == record.request_id;
            if let Some(running) = kept.running.iter().position(is_this) {
                call.loaded_until(kept.running[running].since, last_line);
                ended = kept.running.remove(running);
            }
            let from = call.began().saturating_sub(LEEWAY).unwrap_or(call.at);
            let lately = kept.notes.iter().rev().take_while(|note| note.at >= from);
            let of_it = lately.filter(|note| call.concerns(note)).map(Arc::clone);
            for note in of_it.collect::<Vec<_>>().iter().rev() {
                weight += call.add_note(note);
            }
            for made in &call.cloud_calls {
                if let Some(query) = made.database.as_ref() {
                    kept.unserved(query, made.took, &call);
                }
            }
            kept.bytes += weight;
            kept.weights.push_back(weight);
            kept.calls.push_back(Arc::new(call));
            kept.drop_oldest(&mut gone);
        }
        drop((gone, ended));
        self.wake();
    }

    fn line(&self, line: &PrintedLine<'_>) {
        let Some(request_id) = line.request_id else {
            let printed = Arc::new(LooseLine {
                at: Timestamp::now(),
                function: line.function.to_owned(),
                level: line.level,
                text: cut(line.text),
            });
            {
                let loose = &mut self.kept().loose;
                loose.push_back(printed);
                if loose.len() > LOOSE_LINES {
                    loose.pop_front();
                }
            }
            return self.wake();
        };
        let shown = Arc::new(LogLine {
            level: line.level,
            at: line.at,
            text: cut(line.text),
        });
        let now = Timestamp::now();
        let at = SignedDuration::try_from(line.at).unwrap_or_default();
        let since = now.saturating_sub(at).unwrap_or(now);
        {
            let running = &mut self.kept().running;
            match running
                .iter_mut()
                .find(|running| running.request_id == request_id)
            {
                Some(call) => {
                    // Copied where somebody looks at it: its lines are pointers.
                    let call = Arc::make_mut(call);
                    call.since = call.since.min(since);
                    call.printed += 1;
                    call.lines.push_back(shown);
                    if call.lines.len() > RUNNING_LINES {
                        call.lines.pop_front();
                    }
                }
                None => running.push_back(Arc::new(RunningCall {
                    request_id: request_id.to_owned(),
                    function: line.function.to_owned(),
                    openid: line.openid.map(cut),
                    since,
                    printed: 1,
                    lines: VecDeque::from([shown]),
                })),
            }
            if running.len() > RUNNING {
                running.pop_front();
            }
        }
        self.wake();
    }

    fn keeps_exchanges(&self) -> bool {
        true
    }

    fn note(&self, note: &Note<'_>) {
        let told = Told {
            at: Timestamp::now(),
            request_id: note.request_id.to_owned(),
            openid: note.openid.map(cut),
            text: cut_both(note.text),
        };
        let mut gone = Vec::new();
        {
            let kept = &mut *self.kept();
            if !told.request_id.is_empty() {
                kept.add_late(&told);
            }
            kept.notes.push_back(Arc::new(told));
            if kept.notes.len() > NOTES {
                kept.notes.pop_front();
            }
            kept.drop_oldest(&mut gone);
        }
        self.wake();
    }
}

impl Kept {
    /// Adds a note to its call, where that has ended already.
    fn add_late(&mut self, note: &Told) {
        let lately = self.calls.iter_mut().zip(&mut self.weights).rev();
        let mut lately = lately.take(LATE_NOTES);
        if let Some((call, weight)) = lately.find(|(call, _)| call.request_id == note.request_id) {
            // Copied where somebody looks at it.
            let added = Arc::make_mut(call).add_note(note);
            *weight += added;
            self.bytes += added;
        }
    }

    /// Takes the oldest calls out of the bounds.
    fn drop_oldest(&mut self, gone: &mut Vec<Arc<Call>>) {
        while self.calls.len() > CALLS || self.bytes > CALL_BYTES {
            let (Some(oldest), Some(weight)) = (self.calls.pop_front(), self.weights.pop_front()) else {
                break;
            };
            self.bytes -= weight;
            gone.push(oldest);
        }
    }

    /// Enters a query, where no index served it.
    fn unserved(&mut self, query: &DatabaseCall, took: Duration, call: &Call) {
        if query.wanted.is_empty() && !query.slow {
            return;
        }
        let same = |known: &Arc<UnservedQuery>| {
            known.worst.collection == query.collection && known.worst.wanted == query.wanted
        };
        // The last one met goes to the end: who has not been met for longest is forgotten first.
        let known = self.unserved.iter().position(same);
        let mut shared = known.and_then(|at| self.unserved.remove(at)).unwrap_or_else(|| {
            Arc::new(UnservedQuery {
                worst: query.clone(),
                took,
                times: 0,
                request_id: String::new(),
                function: String::new(),
            })
        });
        let entry = Arc::make_mut(&mut shared);
        entry.times += 1;
        entry.request_id.clone_from(&call.request_id);
        entry.function.clone_from(&call.function);
        if query.looked > entry.worst.looked {
            entry.worst = query.clone();
            entry.took = took;
        }
        self.unserved.push_back(shared);
        if self.unserved.len() > UNSERVED {
            self.unserved.pop_front();
        }
    }
}

impl Call {
    /// One of which nothing is known but this.
    #[must_use]
    pub fn new(request_id: String, function: String, at: Timestamp) -> Self {
        Self {
            at,
            request_id,
            function,
            source: String::new(),
            openid: None,
            attempt: None,
            push: None,
            http: None,
            status: 200,
            error: None,
            redeemed: RedeemedFields::default(),
            waited: Duration::ZERO,
            ran: Duration::ZERO,
            loaded: Duration::ZERO,
            logs: Vec::new(),
            more_logs: false,
            exchange: None,
            cloud_calls: Vec::new(),
            more_cloud_calls: 0,
            warnings: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        const PAIR: usize = size_of::<(String, String)>();
        let both = |exchange: &Option<Exchange>| {
            let exchange = exchange.as_ref();
            exchange.map_or(0, |both| both.request.len() + both.answer.len())
        };
        let made = |made: &CloudCall| {
            let database = made.database.as_ref();
            let wanted = |call: &DatabaseCall| {
                let fields = call.wanted.iter().flat_map(|index| &index.fields);
                size_of_val(&*call.wanted) + fields.map(|field| PAIR + field.len()).sum::<usize>()
            };
            let database = database.map_or(0, |call| {
                call.collection.len()
                    + call.query.len()
                    + call.index.as_ref().map_or(0, String::len)
                    + wanted(call)
            });
            let callee = made.callee.as_ref().map_or(0, String::len);
            size_of::<CloudCall>()
                + made.what.len()
                + made.text.len()
                + both(&made.exchange)
                + database
                + callee
        };
        let fields = self.redeemed.fields.iter().map(|(field, _)| PAIR + field.len());
        let warnings = self
            .warnings
            .iter()
            .map(|(field, text)| PAIR + size_of::<String>() + field.len() + text.en.len() + text.zh.len());
        let error = self.error.as_ref().map_or(0, |(_, text)| text.len());
        let parts = [&self.request_id, &self.function, &self.source].into_iter();
        let parts = parts
            .chain(&self.openid)
            .chain(&self.http)
            .chain(&self.push)
            .map(String::len);
        let notes = self.notes.iter().map(note_weight);
        let logs = self
            .logs
            .iter()
            .map(|line| size_of::<LogLine>() + line.text.len());
        let texts = fields.chain(warnings).chain(logs).chain(parts).chain(notes);
        let texts = texts.chain(self.cloud_calls.iter().map(made));
        size_of::<Self>() + error + both(&self.exchange) + texts.sum::<usize>()
    }

    /// Cuts what was written down elsewhere to the bounds of what is kept here.
    pub(crate) fn bound(&mut self) {
        let shorten = |text: &mut String| {
            text.truncate(beginning(text, TEXT_BYTES).len());
            text.shrink_to_fit();
        };
        let fit = lines_that_fit(self.logs.iter().map(|line| &*line.text));
        self.more_logs |= fit < self.logs.len();
        self.logs.truncate(fit);
        self.logs.shrink_to_fit();
        self.more_cloud_calls += self.cloud_calls.len().saturating_sub(CLOUD_CALLS) as u64;
        self.cloud_calls.truncate(CLOUD_CALLS);
        self.cloud_calls.shrink_to_fit();
        for made in &mut self.cloud_calls {
            shorten(&mut made.what);
            shorten(&mut made.text);
            made.callee.as_mut().map(shorten);
        }
        self.warnings.truncate(CLOUD_CALLS);
        self.redeemed.fields.truncate(CLOUD_CALLS);
        self.notes.truncate(CLOUD_CALLS);
        let texts = [&mut self.request_id, &mut self.function, &mut self.source].into_iter();
        let texts = texts.chain(&mut self.openid).chain(&mut self.http);
        let texts = texts.chain(self.error.as_mut().map(|(_, text)| text));
        let texts = texts.chain(self.redeemed.fields.iter_mut().map(|(field, _)| field));
        let warnings = self.warnings.iter_mut();
        let texts = texts.chain(warnings.flat_map(|(field, text)| [field, &mut text.en, &mut text.zh]));
        let notes = self.notes.iter_mut();
        texts
            .chain(notes.flat_map(|note| [&mut note.en, &mut note.zh]))
            .for_each(shorten);
    }

    /// When it began, its cloudIDs before it.
    pub(crate) fn began(&self) -> Timestamp {
        self.at.saturating_sub(self.whole()).unwrap_or(self.at)
    }

    /// When the function began to run.
    pub(crate) fn ran_from(&self) -> Timestamp {
        let ran = SignedDuration::try_from(self.ran).unwrap_or_default();
        self.at.saturating_sub(ran).unwrap_or(self.at)
    }

    /// When the times of its lines begin.
    #[must_use]
    pub fn printed_from(&self) -> Timestamp {
        let left = self.ran.saturating_sub(self.loaded);
        let left = SignedDuration::try_from(left).unwrap_or_default();
        self.at.saturating_sub(left).unwrap_or(self.at)
    }

    /// Takes in when the times of its lines begin: a worker that still loads the function does not count yet, and the call does.
    pub fn lines_count_from(&mut self, since: Timestamp) {
        self.loaded_until(since, self.last_line());
    }

    fn loaded_until(&mut self, since: Timestamp, last_line: Duration) {
        let left = Duration::try_from(self.at.duration_since(since)).unwrap_or_default();
        self.loaded = self.ran.saturating_sub(left.max(last_line));
    }

    /// When it printed last, as its lines are counted.
    fn last_line(&self) -> Duration {
        self.logs.iter().map(|line| line.at).max().unwrap_or_default()
    }

    /// From the exchange of its cloudIDs to its end.
    fn whole(&self) -> SignedDuration {
        SignedDuration::try_from(self.redeemed.took + self.waited + self.ran).unwrap_or_default()
    }

    fn copy(record: &CallRecord<'_>) -> Self {
        let lines = record.logs.lines();
        let fit = lines_that_fit(lines.iter().map(|line| &*line.text));
        let logs = lines.iter().take(fit).map(|line| LogLine {
            level: line.level,
            at: line.at,
            text: line.text.clone(),
        });
        let logs: Vec<LogLine> = logs.collect();
        let cloud_calls: Vec<CloudCall> = record
            .cloud_calls
            .iter()
            .take(CLOUD_CALLS)
            .map(|made| CloudCall {
                what: cut(&made.what),
                text: cut(&made.text),
                exchange: made.exchange.clone(),
                database: made.database.clone(),
                callee: made.callee.clone(),
                ..*made
            })
            .collect();
        let error = record.error.map(|(code, text)| (code, cut(text)));
        let warnings: Vec<_> = record
            .warnings
            .iter()
            .take(CLOUD_CALLS)
            .map(|(field, text)| (cut(field), cut_both(text)))
            .collect();
        let fields = record.redeemed.fields.iter();
        let redeemed = RedeemedFields {
            took: record.redeemed.took,
            fields: fields.map(|(field, code)| (cut(field), *code)).collect(),
        };
        let exchange = record.exchange.cloned();
        Self {
            exchange,
            at: Timestamp::now(),
            request_id: record.request_id.to_owned(),
            function: record.function.to_owned(),
            source: cut(record.source),
            openid: record.openid.map(cut),
            attempt: record.attempt,
            push: record.push.map(cut),
            http: record
                .http
                .map(|line| cut(&format!("{} {}", line.method, line.path))),
            status: record.status,
            error,
            redeemed,
            waited: record.waited,
            ran: record.ran,
            loaded: Duration::ZERO,
            more_logs: record.logs.is_truncated() || logs.len() < lines.len(),
            logs,
            more_cloud_calls: record.more_cloud_calls + (record.cloud_calls.len() - cloud_calls.len()) as u64,
            cloud_calls,
            warnings,
            notes: Vec::new(),
        }
    }

    /// Adds a note that is not there yet, and gives what that weighs.
    fn add_note(&mut self, note: &Told) -> usize {
        if self.notes.len() == CLOUD_CALLS || self.notes.contains(&note.text) {
            return 0;
        }
        self.notes.push(note.text.clone());
        note_weight(&note.text)
    }

    /// Whether a note is about this call, or about nothing in particular while it ran.
    pub(crate) fn concerns(&self, note: &Told) -> bool {
        note.request_id == self.request_id
            || note.request_id.is_empty() && note.at <= self.at && note.at >= self.began()
    }

    pub(crate) fn failed(&self) -> bool {
        self.error.is_some()
    }
}

/// How many of the first lines of a call are kept. An empty one takes room as well.
fn lines_that_fit<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    let mut room = LOG_BYTES;
    let fits = |text: &&str| {
        let left = room.checked_sub(text.len().max(16));
        room = left.unwrap_or_default();
        left.is_some()
    };
    texts.take_while(fits).count()
}

/// The memory that a note takes.
fn note_weight(note: &Wording) -> usize {
    size_of::<Wording>() + note.en.len() + note.zh.len()
}

fn cut_both(text: &Wording) -> Wording {
    Wording {
        en: cut(&text.en),
        zh: cut(&text.zh),
    }
}

/// The text, or its beginning.
fn cut(text: &str) -> String {
    beginning(text, TEXT_BYTES).to_owned()
}

/// The longest beginning of the text that has no more bytes, and no part of a character.
#[must_use]
pub fn beginning(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use runtime::Logs;

    use super::*;

    static NONE: RedeemedFields = RedeemedFields {
        took: Duration::ZERO,
        fields: Vec::new(),
    };

    fn record<'a>(id: &'a str, error: Option<(i64, &'a str)>, logs: &'a Logs) -> CallRecord<'a> {
        CallRecord {
            request_id: id,
            function: "login",
            source: "wx_client",
            openid: Some("o-alice"),
            attempt: None,
            push: None,
            http: None,
            status: 200,
            error,
            redeemed: &NONE,
            waited: Duration::ZERO,
            ran: Duration::from_millis(2),
            logs,
            exchange: None,
            cloud_calls: &[],
            more_cloud_calls: 0,
            warnings: &[],
        }
    }

    #[test]
    fn the_newest_are_kept() {
        let (recorder, logs) = (Recorder::default(), Logs::default());
        for id in 0..CALLS + 3 {
            Journal::call(&recorder, &record(&id.to_string(), None, &logs));
        }
        let kept = recorder.calls(usize::MAX, |_| true);
        assert_eq!(kept.len(), CALLS);
        assert!(recorder.call("2").is_none() && recorder.call("3").is_some());
    }

    #[test]
    fn long_texts_are_cut_and_memory_is_bounded() {
        let (recorder, logs) = (Recorder::default(), Logs::default());
        let long = "云".repeat(1 << 20);
        for _ in 0..2 * NOTES {
            Journal::call(&recorder, &record("1", Some((-504002, &long)), &logs));
            recorder.note(&Note {
                request_id: "1",
                openid: Some(&long),
                text: &Wording::as_is(&long),
            });
        }
        let call = recorder.call("1").unwrap();
        assert!(call.error.as_ref().unwrap().1.len() <= TEXT_BYTES);
        let kept = recorder.kept();
        assert!(kept.bytes <= CALL_BYTES && kept.notes.len() == NOTES);
        assert_eq!(
            kept.bytes,
            kept.calls.iter().map(|call| call.bytes()).sum::<usize>()
        );
    }

    #[test]
    fn a_note_stays_with_its_call_however_many_come_after_it() {
        let (recorder, logs) = (Recorder::default(), Logs::default());
        let note = |id: &str, text: &str| {
            recorder.note(&Note {
                request_id: id,
                openid: None,
                text: &Wording::as_is(text),
            });
        };
        note("1", "first");
        note("1", "second");
        note("2", "of another");
        Journal::call(&recorder, &record("1", None, &logs));
        // Something that it began and did not wait for.
        note("1", "late");
        for _ in 0..2 * NOTES {
            note("", "something else");
        }
        let notes = &recorder.call("1").unwrap().notes;
        let texts: Vec<&str> = notes.iter().map(|note| note.en.as_str()).collect();
        assert_eq!(texts, ["first", "second", "late"]);
        let kept = recorder.kept();
        assert_eq!(kept.bytes, kept.calls[0].bytes());
        assert_eq!(kept.bytes, kept.weights.iter().sum::<usize>());
    }

    #[test]
    fn what_was_written_down_is_cut_as_what_is_told() {
        let mut call = Call::new("1".to_owned(), "login".to_owned(), Timestamp::UNIX_EPOCH);
        let long = "云".repeat(1 << 20);
        let line = |text: &str| LogLine {
            level: Level::Log,
            at: Duration::ZERO,
            text: text.to_owned(),
        };
        call.logs = (0..60_000).map(|_| line("")).collect();
        call.error = Some((-1, long.clone()));
        call.notes = vec![Wording::as_is(&long); 3];
        let made = CloudCall {
            what: long.clone(),
            code: 0,
            text: long.clone(),
            at: Duration::ZERO,
            took: Duration::ZERO,
            exchange: None,
            database: None,
            callee: Some(long.clone()),
        };
        call.cloud_calls = vec![made; CLOUD_CALLS + 2];
        call.bound();
        assert_eq!((call.logs.len(), call.more_logs), (LOG_BYTES / 16, true));
        assert_eq!((call.cloud_calls.len(), call.more_cloud_calls), (CLOUD_CALLS, 2));
        assert_eq!(call.error.as_ref().unwrap().1.len(), TEXT_BYTES / 3 * 3);
        assert!(call.bytes() < CALL_BYTES / 2, "{}", call.bytes());
        call.logs = vec![line(&long), line("")];
        call.bound();
        assert!(call.logs.is_empty() && call.more_logs);
    }

    #[test]
    fn lines_stand_where_they_were_printed_also_of_a_call_that_loaded_first() {
        let at = |millis: i64| Timestamp::from_millisecond(millis).unwrap();
        let mut call = Call::new("1".to_owned(), "login".to_owned(), at(10_000));
        call.ran = Duration::from_millis(1000);
        call.logs = vec![LogLine {
            level: Level::Log,
            at: Duration::from_millis(40),
            text: String::new(),
        }];
        for (since, loaded) in [
            (9_700, 700),
            (9_000, 0),
            // Told too early, or too late for what it says of itself.
            (8_000, 0),
            (9_990, 960),
            (20_000, 960),
        ] {
            call.lines_count_from(at(since));
            assert_eq!(call.loaded, Duration::from_millis(loaded), "{since}");
            assert_eq!(call.printed_from(), at(9_000 + loaded as i64), "{since}");
        }
    }

    #[test]
    fn nothing_is_asked_while_the_lock_is_held() {
        let (recorder, logs) = (Recorder::default(), Logs::default());
        let line = |id: Option<&str>| {
            recorder.line(&PrintedLine {
                function: "login",
                request_id: id,
                openid: None,
                level: Level::Log,
                at: Duration::ZERO,
                text: "",
            });
        };
        let all = || {
            Journal::call(&recorder, &record("1", None, &logs));
            recorder.tell(&Wording::as_is("told"));
            line(None);
            line(Some("2"));
        };
        all();
        // Each of these would wait for itself.
        let told = |_: &Call| {
            all();
            true
        };
        assert_eq!(recorder.calls(9, told).len(), 1);
        assert_eq!(recorder.notes(9, |_| recorder.call("1").is_some()).len(), 2);
        assert_eq!(recorder.loose(|_| recorder.call("1").is_some()).len(), 2);
        let found = recorder.running(|_| {
            line(Some("2"));
            true
        });
        // What somebody looks at stays as it was.
        assert_eq!(
            (found[0].lines.len(), recorder.running(|_| true)[0].lines.len()),
            (2, 3)
        );
    }

    #[test]
    fn what_a_call_prints_is_kept_until_it_ends() {
        let (recorder, logs) = (Recorder::default(), Logs::default());
        let print = |id: Option<&str>, text: &str| {
            recorder.line(&PrintedLine {
                function: "login",
                request_id: id,
                openid: None,
                level: Level::Log,
                at: Duration::ZERO,
                text,
            });
        };
        print(None, "loading");
        print(Some("1"), "first");
        let ids = || -> Vec<String> {
            let running = recorder.running(|_| true);
            running.iter().map(|call| call.request_id.clone()).collect()
        };
        for number in 0..RUNNING_LINES {
            print(Some("2"), &number.to_string());
        }
        print(Some("2"), "last");
        assert_eq!(ids(), ["2", "1"]);
        let lines = &recorder.running(|_| true)[0].lines;
        assert_eq!(
            (lines.len(), &*lines[0].text, &*lines[RUNNING_LINES - 1].text),
            (RUNNING_LINES, "1", "last")
        );
        Journal::call(&recorder, &record("2", None, &logs));
        assert_eq!(ids(), ["1"]);
        for id in 0..2 * RUNNING {
            print(Some(&id.to_string()), "");
        }
        assert_eq!(ids().len(), RUNNING);
    }

    #[tokio::test]
    async fn who_watches_is_woken() {
        let (recorder, logs) = (Recorder::default(), Logs::default());
        let mut watch = recorder.watch();
        assert!(!watch.has_changed().unwrap());
        Journal::call(&recorder, &record("1", None, &logs));
        watch.changed().await.unwrap();
    }
}
