//! Calls that `dev` made before, as the console shows them: read from `.yunqiao/calls.jsonl`.

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::Path,
    time::Duration,
};

use console::LogLine;
use gateway::{CloudCall, RedeemedFields};
use runtime::Level;
use wording::Wording;

use crate::{
    calls_file::Reader,
    entry::{Call, Entry, Line, Note},
    logs::RunningCalls,
};

/// No call took longer: what a file says beyond that is no time.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

const LEVELS: [Level; 5] = [Level::Debug, Level::Log, Level::Info, Level::Warn, Level::Error];

/// Notes that stand before their calls in the file and wait for them. Some are of requests that became no call.
const WAITING: usize = 500;

/// The calls in a project's file.
pub(crate) struct PastCalls {
    reader: Reader,
    running: RunningCalls,
    notes: WaitingNotes,
}

/// Notes of calls that had not ended when they were written, by the request id.
#[derive(Default)]
struct WaitingNotes {
    notes: HashMap<String, Vec<Wording>>,
    /// The ids, the one that waited longest first.
    ids: VecDeque<String>,
}

impl WaitingNotes {
    fn keep(&mut self, note: Note) {
        let wording = note.wording();
        match self.notes.get_mut(&note.request_id) {
            Some(known) => known.push(wording),
            None => {
                self.ids.push_back(note.request_id.clone());
                self.notes.insert(note.request_id, vec![wording]);
            }
        }
        while self.ids.len() > WAITING {
            let oldest = self.ids.pop_front();
            oldest.and_then(|id| self.notes.remove(&id));
        }
    }

    /// Those of this call, which has ended.
    fn take(&mut self, request_id: &str) -> Vec<Wording> {
        let Some(notes) = self.notes.remove(request_id) else {
            return Vec::new();
        };
        self.ids.retain(|id| id != request_id);
        notes
    }
}

impl PastCalls {
    /// Of the project in `root`. There need be nothing yet.
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            reader: Reader::new(root),
            running: RunningCalls::default(),
            notes: WaitingNotes::default(),
        }
    }
}

impl console::PastCalls for PastCalls {
    fn read(&mut self, each: &mut dyn FnMut(console::Call)) -> io::Result<()> {
        let Self {
            reader,
            running,
            notes,
        } = self;
        let read = reader.read(|line| {
            // What is no entry was cut off when the disk was full, or is not ours.
            let entry = serde_json::from_str::<Entry>(line).ok();
            match entry.and_then(|entry| running.join(entry)) {
                Some(Entry::Call(call)) => {
                    let before = notes.take(&call.request_id);
                    if let Some(call) = recorded(*call, before) {
                        each(call);
                    }
                }
                Some(Entry::Note(note)) if !note.request_id.is_empty() => notes.keep(note),
                _ => {}
            }
            Ok(())
        });
        match read {
            // Nothing was ever written.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            read => read,
        }
    }
}

/// The call as the console keeps it, with the notes that were told before its end; `None` where its time is none.
fn recorded(call: Call, mut notes: Vec<Wording>) -> Option<console::Call> {
    let waited = call.waited.min(LONGEST);
    notes.extend(call.wordings());
    let cloud_calls = call.cloud_calls.into_iter().map(|made| CloudCall {
        what: made.what,
        code: made.err_code,
        text: made.err_msg,
        at: made.at.min(LONGEST) + waited,
        took: made.took.min(LONGEST),
        exchange: None,
        database: None,
        callee: made.callee,
    });
    // As the gateway has them: names are JSON strings.
    let raw = |name: String| serde_json::Value::from(name).to_string();
    let fields = call.cloud_ids.into_iter().map(|id| (raw(id.field), id.err_code));
    let mut known = console::Call::new(call.request_id, call.function, call.time.parse().ok()?);
    known.source = call.source;
    known.openid = call.openid;
    known.attempt = call.attempt;
    known.http = call.http;
    known.status = call.status;
    known.error = (call.err_code != 0).then_some((call.err_code, call.err_msg));
    known.redeemed = RedeemedFields {
        took: Duration::ZERO,
        fields: fields.collect(),
    };
    known.waited = waited;
    known.ran = call.ran.min(LONGEST);
    known.logs = call.logs.into_iter().map(line).collect();
    known.more_logs = call.dropped_bytes > 0;
    known.cloud_calls = cloud_calls.collect();
    known.more_cloud_calls = call.more_cloud_calls;
    let warnings = call.warnings.into_iter();
    known.warnings = warnings
        .map(|warning| {
            let said = warning.wording();
            (raw(warning.field), said)
        })
        .collect();
    known.notes = notes;
    if let Some(since) = call.printed_from {
        known.lines_count_from(since);
    }
    Some(known)
}

fn line(line: Line) -> LogLine {
    LogLine {
        level: LEVELS
            .into_iter()
            .find(|level| line.is(*level))
            .unwrap_or(Level::Log),
        at: line.at.min(LONGEST),
        text: line.text,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use console::PastCalls as _;
    use wording::{Wording, wording};

    use super::*;

    fn read(past: &mut PastCalls) -> Vec<console::Call> {
        let mut calls = Vec::new();
        past.read(&mut |call| calls.push(call)).unwrap();
        calls
    }

    #[test]
    fn calls_come_with_what_they_printed_and_only_once() {
        let root = tempfile::tempdir().unwrap();
        let mut past = PastCalls::new(root.path());
        assert!(read(&mut past).is_empty());
        let file = root.path().join(".yunqiao/calls.jsonl");
        fs::create_dir(file.parent().unwrap()).unwrap();
        let call = r#"{"time":"2026-11-29T10:00:01.500Z","requestID":"one","function":"pay","source":"wx_client","status":500,"errCode":-504002,
            "errMsg":"Error: no","waitedMs":2,"ranMs":1e300,"cloudIDs":[{"field":"run","errCode":-601006}],"droppedBytes":1,
            "cloudCalls":[{"what":"callFunction stock","errCode":0,"errMsg":"","atMs":3,"tookMs":4,"requestID":"two"}],"moreCloudCalls":0,
            "warnings":[],"notes":["why","late"],"notesZh":["","晚了"]}"#;
        let text = [
            r#"{"time":"2026-11-29T10:00:01Z","requestID":"one","function":"pay","level":"warn","atMs":1,"text":"heard"}"#,
            r#"{"time":"2026-11-29T10:00:01Z","requestID":"one","note":"early","noteZh":"早了"}"#,
            r#"{"time":"2026-11-29T10:00:01Z","note":"of nothing in particular"}"#,
            "torn",
            &call.replace('\n', " ").replace("1e300", "1000000000000"),
            &call
                .replace('\n', " ")
                .replace("1e300", "5")
                .replace("2026-11-29T10:00:01.500Z", "yesterday"),
            "",
        ];
        fs::write(&file, text.join("\n")).unwrap();
        let calls = read(&mut past);
        let [call] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!(call.error, Some((-504_002, "Error: no".to_owned())));
        assert_eq!(
            (call.ran, call.cloud_calls[0].at),
            (LONGEST, Duration::from_millis(5))
        );
        assert_eq!(call.cloud_calls[0].callee.as_deref(), Some("two"));
        assert_eq!((call.logs[0].level, &*call.logs[0].text), (Level::Warn, "heard"));
        assert_eq!(call.redeemed.fields, [("\"run\"".to_owned(), -601_006)]);
        assert!(call.more_logs);
        assert_eq!(
            call.notes,
            [
                wording!("early", "早了"),
                Wording::as_is("why"),
                wording!("late", "晚了")
            ]
        );
        assert!(read(&mut past).is_empty());
    }

    #[test]
    fn lines_stand_where_they_were_printed_also_where_the_function_was_loaded_first() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(".yunqiao/calls.jsonl");
        fs::create_dir(file.parent().unwrap()).unwrap();
        // It was loaded for 700 ms, from which on its lines count.
        let text = r#"{"time":"2026-11-29T10:00:00.710Z","requestID":"one","function":"pay","level":"log","atMs":10,"text":"first"}
{"time":"2026-11-29T10:00:00.790Z","requestID":"one","function":"pay","level":"log","atMs":89,"text":"second"}
{"time":"2026-11-29T10:00:01Z","requestID":"one","function":"pay","source":"wx_client","status":200,"errCode":0,"errMsg":"","waitedMs":0,"ranMs":1000,"cloudIDs":[],"droppedBytes":0,"cloudCalls":[],"moreCloudCalls":0,"warnings":[],"notes":[]}
"#;
        fs::write(&file, text).unwrap();
        let calls = read(&mut PastCalls::new(root.path()));
        let from = "2026-11-29T10:00:00.700Z".parse().unwrap();
        assert_eq!(calls[0].printed_from(), from);
    }

    #[test]
    fn notes_wait_for_their_call_and_only_the_last_of_them() {
        let mut notes = WaitingNotes::default();
        let note = |id: usize| Note::new(&id.to_string(), None, &Wording::as_is(id));
        for id in 0..WAITING + 2 {
            notes.keep(note(id));
            notes.keep(note(id));
        }
        assert!(notes.take("1").is_empty());
        assert_eq!(notes.take("2"), [Wording::as_is(2), Wording::as_is(2)]);
        assert_eq!(notes.notes.len(), notes.ids.len());
        assert!(notes.take("2").is_empty());
    }
}
