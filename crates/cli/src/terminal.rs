//! Standard error, which a thread of its own writes: a terminal that was stopped, or a pipe that nobody reads, keeps nobody from
//! serving. Everything that this program says there goes through here, warnings and the spinner as well; there is one standard
//! error, and so there is one of these.

use std::{
    any::Any,
    io::{self, IsTerminal as _},
    os::fd::AsFd as _,
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
use indicatif::{ProgressBar, ProgressStyle};
use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
};

use crate::{
    backlog::{Backlog, BacklogItem, Room, Weight},
    entry::Entry,
    escape, render,
};

/// How long the end of the program, or a line on standard output that belongs behind, waits for a terminal that takes nothing.
const PATIENCE: Duration = Duration::from_secs(1);

static BACKLOG: OnceLock<Backlog<Said>> = OnceLock::new();

/// Something for the terminal.
#[derive(Debug)]
enum Said {
    /// Whole lines, ready to be shown, with colours.
    Text(String),
    Entry(Arc<Entry>),
    /// What is being waited for; it stands until the next one or until the wait is over.
    Wait(Option<String>),
    /// An empty screen from here on.
    Clear,
}

impl Weight for Said {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) | Self::Wait(Some(text)) => text.len(),
            Self::Entry(entry) => entry.bytes(),
            Self::Wait(None) | Self::Clear => 0,
        }
    }

    fn lines(&self) -> u64 {
        match self {
            Self::Text(text) => text.lines().count() as u64,
            Self::Entry(entry) => entry.lines(),
            Self::Wait(_) | Self::Clear => 0,
        }
    }

    /// What this program says of itself is not lost among what functions print.
    fn is_rare(&self) -> bool {
        !matches!(self, Self::Entry(_))
    }
}

/// Runs the program with a terminal that can be written to without waiting, and at its end waits a moment for what is still to be
/// written.
pub(crate) fn with<T>(program: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    let writer = thread::Builder::new().name("terminal".to_owned());
    // Where there can be no thread, everything is written by whoever says it.
    if writer.spawn(write).is_ok() {
        let _ = BACKLOG.set(Backlog::new(Room::USUAL));
        panic::set_hook(Box::new(panicked));
    }
    let ended = panic::catch_unwind(AssertUnwindSafe(program));
    flush();
    ended
}

/// Says lines that end with a line end. Colours are taken out where nobody sees them; characters from outside are escaped before.
pub(crate) fn say(text: String) {
    give(Said::Text(text));
}

/// Tells of a call, a line or a note.
pub(crate) fn tell(entry: Arc<Entry>) {
    give(Said::Entry(entry));
}

/// Shows what is being waited for; `None` when the wait is over.
pub(crate) fn wait_for(what: Option<String>) {
    give(Said::Wait(what));
}

/// Empties the terminal, if it is one.
pub(crate) fn clear() {
    if is_watched() {
        give(Said::Clear);
    }
}

/// Waits for what was said, but not long: for lines that come after it by another way.
pub(crate) fn flush() {
    if let Some(backlog) = BACKLOG.get() {
        backlog.flush(PATIENCE);
    }
}

/// Whether a person watches.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

fn give(said: Said) {
    match BACKLOG.get() {
        Some(backlog) => backlog.push(said),
        None => Screen::new().show(said),
    }
}

/// A thread that panics is told of like anything else: the usual hook would wait for the terminal.
fn panicked(info: &PanicHookInfo<'_>) {
    // What reads a damaged file says so by itself.
    if datafile::panics_are_caught() {
        return;
    }
    say(format!("{}\n", escape::block(&info.to_string(), render::MARGIN)));
}

fn write() {
    let mut screen = Screen::new();
    let backlog = BACKLOG.wait();
    while let Some(batch) = backlog.take() {
        for said in batch {
            match said {
                BacklogItem::Item(said) => screen.show(said),
                BacklogItem::Lost(lines) => screen.print(&render::lost(lines)),
            }
            backlog.wrote();
        }
    }
}

/// What is seen of standard error.
struct Screen {
    colours: bool,
    spinner: Option<ProgressBar>,
}

impl Screen {
    fn new() -> Self {
        Self {
            colours: AutoStream::choice(&io::stderr()) != ColorChoice::Never,
            spinner: None,
        }
    }

    fn show(&mut self, said: Said) {
        match said {
            Said::Text(text) => self.print(&text),
            Said::Entry(entry) => {
                let mut text = Vec::new();
                // Writing to memory does not fail.
                let _ = render::entry(&mut text, &entry, false);
                self.print(&String::from_utf8_lossy(&text));
            }
            // The screen, what was scrolled off it, and back to its corner.
            Said::Clear => write_all(b"\x1b[2J\x1b[3J\x1b[H"),
            Said::Wait(None) => {
                if let Some(spinner) = self.spinner.take() {
                    spinner.finish_and_clear();
                }
            }
            Said::Wait(Some(what)) => {
                let spinner = self.spinner.get_or_insert_with(|| {
                    let spinner = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
                    spinner.enable_steady_tick(Duration::from_millis(100));
                    spinner
                });
                spinner.set_message(what);
            }
        }
    }

    fn print(&self, text: &str) {
        let plain;
        let text = if self.colours {
            text
        } else {
            plain = strip_str(text).to_string();
            &plain
        };
        match &self.spinner {
            Some(spinner) => spinner.suspend(|| write_all(text.as_bytes())),
            None => write_all(text.as_bytes()),
        }
    }
}

/// Writes in one piece where that is possible. Past the standard library's lock, which the panic of a test, say, would wait for.
/// A terminal that has gone away is no reason to stop.
fn write_all(mut bytes: &[u8]) {
    let stderr = io::stderr();
    while !bytes.is_empty() {
        match rustix::io::write(stderr.as_fd(), bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            // Another program has the same pipe, and wants it not to wait.
            Err(Errno::AGAIN) => {
                let mut watched = [PollFd::new(&stderr, PollFlags::OUT)];
                let _ = poll(&mut watched, None);
            }
            Err(_) => return,
        }
    }
}
