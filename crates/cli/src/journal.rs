//! Telling of what functions print, as they print it, and of calls as they end: on the terminal, in `.yunqiao/calls.jsonl`, and in
//! the console. Nothing here waits: terminal and file are written by threads of their own.
//!
//! What the gateway notes about a call comes while the call still runs. Where every call is told, such a note is held back for a
//! moment, so that it can stand under the call's headline instead of above it.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use console::Recorder;
use gateway::{CallRecord, PrintedLine, WebRecord};
use tokio::runtime::Handle;
use wording::Wording;

use crate::{
    calls_file::CallsFile,
    entry::{Call, Entry, Note, Printed, Web},
    terminal,
};

/// How long a note waits for the end of the call that it may belong to. A slower call's notes stand before it.
const PATIENCE: Duration = Duration::from_millis(250);

/// How many notes wait at once; further ones are told as they come.
const MOST_HELD: usize = 100;

/// Which calls are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Each one: `dev`.
    All,
    /// Those that failed, and those that printed something: everywhere else.
    Telling,
}

/// Tells everybody who is to know.
pub(crate) struct Journal(Arc<Tellers>);

struct Tellers {
    calls: Calls,
    /// Whether every request to the web listener is told.
    requests: bool,
    console: Option<Arc<Recorder>>,
    file: Option<CallsFile>,
    held: Mutex<Vec<Held>>,
}

struct Held {
    since: Instant,
    note: Note,
}

impl Journal {
    pub(crate) fn new(
        calls: Calls,
        requests: bool,
        console: Option<Arc<Recorder>>,
        file: Option<CallsFile>,
    ) -> Self {
        Self(Arc::new(Tellers {
            calls,
            requests,
            console,
            file,
            held: Mutex::default(),
        }))
    }

    /// Tells something that the simulated WeChat says.
    pub(crate) fn tell(&self, text: &Wording) {
        if let Some(console) = &self.0.console {
            console.tell(text);
        }
        self.0.note(Note::new("", None, text));
    }

    /// Tells what was held back, and sees what is written of all to its end. Whoever serves calls it at its own end: another thread, such
    /// as that which watches files, may hold this longer than the process runs.
    pub(crate) fn end(&self) {
        self.0.end();
    }
}

impl gateway::Journal for Journal {
    fn call(&self, record: &CallRecord<'_>) {
        let Self(tellers) = self;
        let tells = record.error.is_some()
            || !record.warnings.is_empty()
            || record.logs.is_truncated()
            || !record.logs.lines().is_empty();
        if tells || tellers.calls == Calls::All {
            let notes = tellers.notes_of(record);
            tellers.write(Entry::Call(Box::new(Call::new(record, notes))));
        }
        if let Some(console) = &tellers.console {
            console.call(record);
        }
    }

    fn note(&self, note: &gateway::Note<'_>) {
        if let Some(console) = &self.0.console {
            console.note(note);
        }
        self.0.note(Note::new(note.request_id, note.openid, note.text));
    }

    fn line(&self, line: &PrintedLine<'_>) {
        let Self(tellers) = self;
        tellers.write(Entry::Printed(Printed::new(line)));
        if let Some(console) = &tellers.console {
            console.line(line);
        }
    }

    fn web(&self, record: &WebRecord<'_>) {
        let Self(tellers) = self;
        tellers.write_web(Web::new(record));
    }

    fn keeps_exchanges(&self) -> bool {
        let console = self.0.console.as_ref();
        console.is_some_and(|console| console.keeps_exchanges())
    }
}

impl Tellers {
    /// Tells it, at once or when no call has claimed it for a while.
    fn note(self: &Arc<Self>, note: Note) {
        let waits = self.calls == Calls::All && self.held().len() < MOST_HELD;
        match Handle::try_current() {
            Ok(runtime) if waits => {
                let since = Instant::now();
                self.held().push(Held { since, note });
                let tellers = Arc::downgrade(self);
                runtime.spawn(async move {
                    tokio::time::sleep(PATIENCE).await;
                    if let Some(tellers) = tellers.upgrade() {
                        tellers.let_go();
                    }
                });
            }
            _ => self.write(Entry::Note(note)),
        }
    }

    /// Takes what was held back for this call, and what belongs to nothing in particular and came while it ran.
    fn notes_of(&self, record: &CallRecord<'_>) -> Vec<Wording> {
        let took = record.waited + record.ran;
        let mine = |held: &mut Held| match held.note.request_id.as_str() {
            "" => held.since.elapsed() <= took,
            id => id == record.request_id,
        };
        let mut held = self.held();
        held.extract_if(.., mine)
            .map(|held| held.note.wording())
            .collect()
    }

    /// Tells what was held back for so long that nobody waits for it any more.
    fn let_go(&self) {
        let old = |held: &mut Held| held.since.elapsed() >= PATIENCE;
        let old: Vec<_> = self.held().extract_if(.., old).collect();
        for held in old {
            self.write(Entry::Note(held.note));
        }
    }

    /// Where not all are told, those that ended by a fault of ours or of a function's.
    fn write_web(&self, web: Web) {
        let shown = self.requests || web.web_status >= 500;
        let entry = Arc::new(Entry::Web(web));
        if let Some(file) = &self.file {
            file.append(Arc::clone(&entry));
        }
        if shown {
            terminal::tell(entry);
        }
    }

    fn write(&self, entry: Entry) {
        let entry = Arc::new(entry);
        if let Some(file) = &self.file {
            file.append(Arc::clone(&entry));
        }
        terminal::tell(entry);
    }

    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tellers {
    fn end(&self) {
        for held in mem::take(&mut *self.held()) {
            self.write(Entry::Note(held.note));
        }
        if let Some(file) = &self.file {
            file.end();
        }
    }
}

impl Drop for Tellers {
    fn drop(&mut self) {
        self.end();
    }
}
