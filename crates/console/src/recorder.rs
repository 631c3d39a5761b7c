//! What happened lately, kept for the pages: the last calls with their logs, what those print that still run, the last notes, and
//! counts by the minute.
//!
//! A record is copied once, cut to a bound, into a ring; whoever watches is woken, and nobody is if nobody does. All bounds
//! are here: whatever functions print and however often they are called, the memory is bounded.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use gateway::{
    CallRecord, CloudCall, DatabaseCall, Exchange, Journal, Note, PrintedLine, RedeemedFields, WantedIndex,
};
use jiff::Timestamp;
use runtime::Level;
use tokio::sync::watch;

use crate::minutes::Minutes;

/// Calls that are kept.
const CALLS: usize = 500;
/// Bytes of text that they may have together.
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

/// A call that has ended.
#[derive(Debug)]
pub(crate) struct Call {
    /// Counts up from 1.
    pub(crate) number: u64,
    /// When it ended.
    pub(crate) at: Timestamp,
    pub(crate) request_id: String,
    pub(crate) function: String,
    pub(crate) source: String,
    pub(crate) openid: Option<String>,
    pub(crate) attempt: Option<u32>,
    /// Of HTTP access: method and path.
    pub(crate) http: Option<String>,
    pub(crate) status: u16,
    pub(crate) error: Option<(i64, String)>,
    pub(crate) redeemed: RedeemedFields,
    pub(crate) waited: Duration,
    pub(crate) ran: Duration,
    pub(crate) logs: Vec<Line>,
    /// Whether it printed more than is kept.
    pub(crate) more_logs: bool,
    pub(crate) exchange: Option<Exchange>,
    pub(crate) cloud_calls: Vec<CloudCall>,
    pub(crate) more_cloud_calls: u64,
    pub(crate) warnings: Vec<(String, String)>,
    bytes: usize,
}

/// A call that has not ended, and printed something.
#[derive(Clone, Debug)]
pub(crate) struct RunningCall {
    pub(crate) request_id: String,
    pub(crate) function: String,
    pub(crate) openid: Option<String>,
    /// The last lines.
    pub(crate) lines: VecDeque<Line>,
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
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) at: Duration,
    pub(crate) text: String,
}

/// Something that the operator was told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) at: Timestamp,
    pub(crate) request_id: String,
    pub(crate) openid: Option<String>,
    pub(crate) text: String,
}

/// Keeps what happened lately. The gateway tells it as a [`Journal`].
#[derive(Debug)]
pub struct Recorder {
    kept: Mutex<Kept>,
    changed: watch::Sender<()>,
    began: Instant,
}

#[derive(Debug, Default)]
struct Kept {
    calls: VecDeque<Arc<Call>>,
    running: VecDeque<RunningCall>,
    bytes: usize,
    number: u64,
    notes: VecDeque<Arc<Told>>,
    minutes: Minutes,
    unserved: VecDeque<UnservedQuery>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            kept: Mutex::default(),
            changed: watch::Sender::new(()),
            began: Instant::now(),
        }
    }
}

impl Recorder {
    /// The kept calls that `wanted` takes, the newest first, at most `most`.
    pub(crate) fn calls(&self, most: usize, wanted: impl Fn(&Call) -> bool) -> Vec<Arc<Call>> {
        let kept = self.kept();
        let newest_first = kept.calls.iter().rev();
        newest_first
            .filter(|call| wanted(call))
            .take(most)
            .map(Arc::clone)
            .collect()
    }

    pub(crate) fn call(&self, request_id: &str) -> Option<Arc<Call>> {
        self.calls(1, |call| call.request_id == request_id).pop()
    }

    /// The calls that still run and printed something, the newest first.
    pub(crate) fn running(&self, wanted: impl Fn(&RunningCall) -> bool) -> Vec<RunningCall> {
        let kept = self.kept();
        let newest_first = kept.running.iter().rev();
        newest_first.filter(|call| wanted(call)).cloned().collect()
    }

    /// How many calls there were, kept or not.
    pub(crate) fn count(&self) -> u64 {
        self.kept().number
    }

    /// The notes that `wanted` takes, the newest first, at most `most`.
    pub(crate) fn notes(&self, most: usize, wanted: impl Fn(&Told) -> bool) -> Vec<Arc<Told>> {
        let kept = self.kept();
        let newest_first = kept.notes.iter().rev();
        newest_first
            .filter(|note| wanted(note))
            .take(most)
            .map(Arc::clone)
            .collect()
    }

    /// The queries that no index served, those that looked at most first.
    pub(crate) fn unserved(&self) -> Vec<UnservedQuery> {
        let mut all: Vec<_> = self.kept().unserved.iter().cloned().collect();
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

    /// The counts of the last minutes, and which minute it is.
    pub(crate) fn minutes<T>(&self, read: impl FnOnce(&Minutes, u64) -> T) -> T {
        read(&self.kept().minutes, self.minute())
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
    pub fn tell(&self, text: &dyn fmt::Display) {
        self.note(&Note {
            request_id: "",
            openid: None,
            text,
        });
    }

    fn minute(&self) -> u64 {
        self.began.elapsed().as_secs() / 60
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal for Recorder {
    fn call(&self, record: &CallRecord<'_>) {
        let mut call = Call::copy(record);
        let minute = self.minute();
        {
            let kept = &mut *self.kept();
            kept.minutes
                .add(minute, record.function, record.error.is_some(), record.ran);
            kept.running
                .retain(|running| running.request_id != record.request_id);
            for made in &call.cloud_calls {
                if let Some(query) = made.database.as_ref() {
                    kept.unserved(query, made.took, &call);
                }
            }
            kept.number += 1;
            call.number = kept.number;
            kept.bytes += call.bytes;
            kept.calls.push_back(Arc::new(call));
            while kept.calls.len() > CALLS || kept.bytes > CALL_BYTES {
                let Some(oldest) = kept.calls.pop_front() else {
                    break;
                };
                kept.bytes -= oldest.bytes;
            }
        }
        self.wake();
    }

    fn line(&self, line: &PrintedLine<'_>) {
        let Some(request_id) = line.request_id else {
            return;
        };
        let shown = Line {
            level: line.level,
            at: line.at,
            text: cut(line.text),
        };
        {
            let running = &mut self.kept().running;
            match running
                .iter_mut()
                .find(|running| running.request_id == request_id)
            {
                Some(call) => {
                    call.lines.push_back(shown);
                    if call.lines.len() > RUNNING_LINES {
                        call.lines.pop_front();
                    }
                }
                None => running.push_back(RunningCall {
                    request_id: request_id.to_owned(),
                    function: line.function.to_owned(),
                    openid: line.openid.map(cut),
                    lines: VecDeque::from([shown]),
                }),
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
            text: cut(&note.text.to_string()),
        };
        {
            let kept = &mut *self.kept();
            kept.notes.push_back(Arc::new(told));
            if kept.notes.len() > NOTES {
                kept.notes.pop_front();
            }
        }
        self.wake();
    }
}

impl Kept {
    /// Enters a query, where no index served it.
    fn unserved(&mut self, query: &DatabaseCall, took: Duration, call: &Call) {
        if query.wanted.is_empty() && !query.slow {
            return;
        }
        let same = |known: &UnservedQuery| {
            known.worst.collection == query.collection && known.worst.wanted == query.wanted
        };
        // The last one met goes to the end: who has not been met for longest is forgotten first.
        let known = self.unserved.iter().position(same);
        let mut entry = known
            .and_then(|at| self.unserved.remove(at))
            .unwrap_or_else(|| UnservedQuery {
                worst: query.clone(),
                took,
                times: 0,
                request_id: String::new(),
                function: String::new(),
            });
        entry.times += 1;
        entry.request_id.clone_from(&call.request_id);
        entry.function.clone_from(&call.function);
        if query.looked > entry.worst.looked {
            entry.worst = query.clone();
            entry.took = took;
        }
        self.unserved.push_back(entry);
        if self.unserved.len() > UNSERVED {
            self.unserved.pop_front();
        }
    }
}

impl Call {
    fn copy(record: &CallRecord<'_>) -> Self {
        let mut logs = Vec::new();
        let mut room = LOG_BYTES;
        let lines = record.logs.lines();
        for line in lines {
            // An empty line takes room as well.
            let Some(left) = room.checked_sub(line.text.len().max(16)) else {
                break;
            };
            room = left;
            logs.push(Line {
                level: line.level,
                at: line.at,
                text: line.text.clone(),
            });
        }
        let cloud_calls: Vec<CloudCall> = record
            .cloud_calls
            .iter()
            .take(CLOUD_CALLS)
            .map(|made| CloudCall {
                what: cut(&made.what),
                text: cut(&made.text),
                exchange: made.exchange.clone(),
                database: made.database.clone(),
                ..*made
            })
            .collect();
        let error = record.error.map(|(code, text)| (code, cut(text)));
        let warnings: Vec<_> = record
            .warnings
            .iter()
            .take(CLOUD_CALLS)
            .map(|(field, text)| (cut(field), cut(text)))
            .collect();
        let fields = record.redeemed.fields.iter();
        let redeemed = RedeemedFields {
            took: record.redeemed.took,
            fields: fields.map(|(field, code)| (cut(field), *code)).collect(),
        };
        let texts = redeemed
            .fields
            .iter()
            .map(|(field, _)| field.len())
            .sum::<usize>()
            + cloud_calls
                .iter()
                .map(|made| {
                    let exchange = made.exchange.as_ref();
                    let exchange = exchange.map_or(0, |both| both.request.len() + both.answer.len());
                    let database = made.database.as_ref();
                    let database = database.map_or(0, |call| call.collection.len() + call.query.len());
                    made.what.len() + made.text.len() + exchange + database
                })
                .sum::<usize>()
            + warnings
                .iter()
                .map(|(field, text)| field.len() + text.len())
                .sum::<usize>()
            + error.as_ref().map_or(0, |(_, text)| text.len());
        let exchange = record.exchange.cloned();
        let texts = texts
            + exchange
                .as_ref()
                .map_or(0, |both| both.request.len() + both.answer.len());
        Self {
            exchange,
            number: 0,
            at: Timestamp::now(),
            request_id: record.request_id.to_owned(),
            function: record.function.to_owned(),
            source: cut(record.source),
            openid: record.openid.map(cut),
            attempt: record.attempt,
            http: record
                .http
                .map(|line| cut(&format!("{} {}", line.method, line.path))),
            status: record.status,
            error,
            redeemed,
            waited: record.waited,
            ran: record.ran,
            more_logs: record.logs.is_truncated() || logs.len() < lines.len(),
            logs,
            more_cloud_calls: record.more_cloud_calls + (record.cloud_calls.len() - cloud_calls.len()) as u64,
            cloud_calls,
            warnings,
            bytes: texts + LOG_BYTES - room,
        }
    }

    /// Whether a note is about this call, or about nothing in particular while it ran.
    pub(crate) fn concerns(&self, note: &Told) -> bool {
        let took =
            jiff::SignedDuration::try_from(self.redeemed.took + self.waited + self.ran).unwrap_or_default();
        note.request_id == self.request_id
            || note.request_id.is_empty() && note.at <= self.at && note.at >= self.at - took
    }

    pub(crate) fn failed(&self) -> bool {
        self.error.is_some()
    }
}

/// The text, or its beginning.
fn cut(text: &str) -> String {
    beginning(text, TEXT_BYTES).to_owned()
}

/// The longest beginning of the text that has no more bytes, and no part of a character.
pub(crate) fn beginning(text: &str, bytes: usize) -> &str {
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
    fn the_newest_are_kept_and_all_are_counted() {
        let (recorder, logs) = (Recorder::default(), Logs::default());
        for id in 0..CALLS + 3 {
            Journal::call(&recorder, &record(&id.to_string(), None, &logs));
        }
        assert_eq!(recorder.count(), CALLS as u64 + 3);
        let kept = recorder.calls(usize::MAX, |_| true);
        assert_eq!((kept.len(), kept[0].number), (CALLS, CALLS as u64 + 3));
        assert!(recorder.call("2").is_none() && recorder.call("3").is_some());
    }

    #[test]
    fn long_texts_are_cut_and_memory_is_bounded() {
        let (recorder, logs) = (Recorder::default(), Logs::default());
        let long = "云".repeat(1 << 20);
        for _ in 0..CALLS {
            Journal::call(&recorder, &record("1", Some((-504002, &long)), &logs));
            recorder.note(&Note {
                request_id: "1",
                openid: Some(&long),
                text: &long,
            });
        }
        let call = recorder.call("1").unwrap();
        assert!(call.error.as_ref().unwrap().1.len() <= TEXT_BYTES);
        let kept = recorder.kept();
        assert!(kept.bytes <= CALL_BYTES && kept.notes.len() == NOTES);
        assert_eq!(
            kept.bytes,
            kept.calls.iter().map(|call| call.bytes).sum::<usize>()
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
            running.into_iter().map(|call| call.request_id).collect()
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
