//! What is still to be written by a thread of its own. Whoever tells never waits: what finds no room is counted, and the count
//! stands in the place of what is missing.

use std::{
    collections::VecDeque,
    mem,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Something that takes room, and counts for so many lines where it is lost.
pub(crate) trait Weight {
    /// About how much memory it takes.
    fn bytes(&self) -> usize;
    /// How many lines a reader misses without it.
    fn lines(&self) -> u64;
    /// Whether it is rare and worth more than what it waits behind: it finds room where there is none for the rest.
    fn is_rare(&self) -> bool {
        false
    }
}

/// How much may wait, and twice as much with what is rare. As much again may be in the hands of the thread that writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) items: usize,
    pub(crate) bytes: usize,
}

impl Room {
    /// Enough for a storm of a second, and little enough to have twice.
    pub(crate) const USUAL: Self = Self {
        items: 4096,
        bytes: 8 << 20,
    };
}

/// What the writing thread takes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BacklogItem<T> {
    /// To be written.
    Item(T),
    /// So many lines would stand here.
    Lost(u64),
}

/// A queue between any number of threads that tell and one that writes.
#[derive(Debug)]
pub(crate) struct Backlog<T> {
    room: Room,
    state: Mutex<State<T>>,
    /// Something waits, or nothing more will come.
    more: Condvar,
    /// Everything is written.
    done: Condvar,
    /// How much the thread has written.
    written: AtomicU64,
}

#[derive(Debug)]
struct State<T> {
    waiting: VecDeque<BacklogItem<T>>,
    bytes: usize,
    /// It was full, and there is not much room yet: a reader gets whole passages instead of one line in two.
    losing: bool,
    /// The thread has taken what it has not written yet.
    writing: bool,
    closed: bool,
}

impl<T: Weight> Backlog<T> {
    pub(crate) fn new(room: Room) -> Self {
        Self {
            room,
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                bytes: 0,
                losing: false,
                writing: false,
                closed: false,
            }),
            more: Condvar::new(),
            done: Condvar::new(),
            written: AtomicU64::new(0),
        }
    }

    /// Adds to what is to be written, or to the count of what is lost. Never waits.
    pub(crate) fn push(&self, item: T) {
        let Room { items, bytes } = self.room;
        let mut state = self.state();
        if state.losing && state.waiting.len() <= items / 2 && state.bytes <= bytes / 2 {
            state.losing = false;
        }
        // An item that alone is too large has its turn when nothing else waits.
        let fits_in = |items, bytes| state.waiting.len() < items && state.bytes + item.bytes() <= bytes;
        let fits = fits_in(items, bytes) || state.waiting.is_empty();
        if fits && !state.losing || item.is_rare() && fits_in(items * 2, bytes * 2) {
            state.bytes += item.bytes();
            state.waiting.push_back(BacklogItem::Item(item));
            self.more.notify_one();
            return;
        }
        state.losing = true;
        match state.waiting.back_mut() {
            Some(BacklogItem::Lost(lines)) => *lines += item.lines(),
            _ => state.waiting.push_back(BacklogItem::Lost(item.lines())),
        }
    }

    /// Everything that waits, as soon as something does; `None` once nothing more will come. What was taken before counts as
    /// written.
    pub(crate) fn take(&self) -> Option<VecDeque<BacklogItem<T>>> {
        let mut state = self.state();
        state.writing = false;
        if state.waiting.is_empty() {
            self.done.notify_all();
        }
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            state = self.more.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.writing = true;
        state.bytes = 0;
        Some(mem::take(&mut state.waiting))
    }

    /// The thread has written something of what it took.
    pub(crate) fn wrote(&self) {
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until everything is written; whether it is. Gives up when nothing was written for so long, and after ten times as long
    /// in any case.
    pub(crate) fn flush(&self, patience: Duration) -> bool {
        let last = Instant::now() + patience * 10;
        let mut deadline = Instant::now() + patience;
        let mut written = self.written.load(Ordering::Relaxed);
        let mut state = self.state();
        while state.writing || !state.waiting.is_empty() {
            let now = Instant::now();
            if now >= deadline {
                let before = mem::replace(&mut written, self.written.load(Ordering::Relaxed));
                if before == written || now >= last {
                    return false;
                }
                deadline = last.min(now + patience);
            }
            let waited = self
                .done
                .wait_timeout(state, deadline.saturating_duration_since(now));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Nothing more will come.
    pub(crate) fn close(&self) {
        self.state().closed = true;
        self.more.notify_all();
    }

    /// Whether nothing more will come.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Waits so long, or until nothing more will come.
    pub(crate) fn rest(&self, pause: Duration) {
        let state = self.state();
        let rested = self.more.wait_timeout_while(state, pause, |state| !state.closed);
        drop(rested.unwrap_or_else(PoisonError::into_inner));
    }

    /// How many lines wait, or would.
    pub(crate) fn lines(&self) -> u64 {
        self.state().waiting.iter().map(BacklogItem::lines).sum()
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Weight> BacklogItem<T> {
    pub(crate) fn lines(&self) -> u64 {
        match self {
            Self::Item(item) => item.lines(),
            Self::Lost(lines) => *lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const ROOM: Room = Room { items: 4, bytes: 100 };

    impl Weight for &str {
        fn bytes(&self) -> usize {
            self.len()
        }
        fn lines(&self) -> u64 {
            1
        }
        fn is_rare(&self) -> bool {
            self.starts_with('!')
        }
    }

    use BacklogItem::{Item, Lost};

    #[test]
    fn what_finds_no_room_is_counted_where_it_is_missing() {
        let backlog = Backlog::new(ROOM);
        for item in ["1", "2", "3", "4", "5", "6"] {
            backlog.push(item);
        }
        assert_eq!(backlog.lines(), 6);
        assert_eq!(
            backlog.take().map(Vec::from),
            Some(vec![Item("1"), Item("2"), Item("3"), Item("4"), Lost(2)])
        );
        backlog.push("7");
        assert_eq!(backlog.take().map(Vec::from), Some(vec![Item("7")]));
    }

    #[test]
    fn what_is_rare_finds_room_where_the_rest_is_lost_and_is_bounded_too() {
        let backlog = Backlog::new(ROOM);
        for item in ["1", "2", "3", "4", "5", "!6", "7", "!8", "!9"] {
            backlog.push(item);
        }
        let waiting = [
            Item("1"),
            Item("2"),
            Item("3"),
            Item("4"),
            Lost(1),
            Item("!6"),
            Lost(1),
            Item("!8"),
            Lost(1),
        ];
        assert_eq!(backlog.take().map(Vec::from), Some(Vec::from(waiting)));
    }

    #[test]
    fn bytes_are_bounded_too_and_one_that_is_too_large_still_comes_through_alone() {
        let long = "x".repeat(101);
        let backlog = Backlog::new(ROOM);
        backlog.push(&*long);
        backlog.push("1");
        assert_eq!(backlog.take().map(Vec::from), Some(vec![Item(&*long), Lost(1)]));
    }

    #[test]
    fn flush_waits_for_what_was_taken_and_not_for_ever() {
        let backlog = Backlog::new(ROOM);
        assert!(backlog.flush(Duration::ZERO));
        backlog.push("1");
        assert!(!backlog.flush(Duration::ZERO));
        assert!(backlog.take().is_some());
        assert!(!backlog.flush(Duration::ZERO), "it is taken, and not written");
        backlog.close();
        thread::scope(|scope| {
            scope.spawn(|| assert_eq!(backlog.take(), None));
            assert!(backlog.flush(Duration::from_secs(3600)));
        });
    }
}
