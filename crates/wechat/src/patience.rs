//! How often one request is repeated, and with which pauses. It is repeated where WeChat's documents ask for it, which
//! is at an answer of -1 (系统繁忙，此时请开发者稍候再试), and where nothing was sent, as no connection came about. When
//! a connection breaks before the answer, neither is so: the message may be on its way to its user already, and a
//! second would follow it.

use std::{slice, time::Duration};

use tokio::time::{Instant, sleep_until};

/// The pauses before the second attempt and the third, which is the last. A choice: long enough for a moment's load to
/// pass, short against the 3 seconds that a cloud function has by default.
const PAUSES: [Duration; 2] = [Duration::from_millis(100), Duration::from_millis(300)];

/// What is left of the attempts at one request. It counts in machine time: WeChat's may be stepped.
pub(crate) struct Patience {
    pauses: slice::Iter<'static, Duration>,
    until: Option<Instant>,
    attempts: u32,
}

impl Patience {
    /// Bounded by the number of attempts alone.
    pub(crate) fn new() -> Self {
        Self {
            pauses: PAUSES.iter(),
            until: None,
            attempts: 0,
        }
    }

    /// Bounded by time too.
    pub(crate) fn within(time: Duration) -> Self {
        Self {
            until: Instant::now().checked_add(time),
            ..Self::new()
        }
    }

    /// Counts an attempt.
    pub(crate) fn begin(&mut self) {
        self.attempts += 1;
    }

    /// How many attempts began.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Pauses before a further attempt, and gives `true`; `false` at once if there is to be none, as there were enough,
    /// or as the time would be over by then.
    pub(crate) async fn pause(&mut self) -> bool {
        let Some(&pause) = self.pauses.next() else {
            return false;
        };
        // Requests that were turned away together shall not come back together.
        let end = Instant::now() + pause + rand::random_range(Duration::ZERO..=pause / 4);
        if self.until.is_some_and(|until| end >= until) {
            return false;
        }
        sleep_until(end).await;
        true
    }
}
