//! Message pushes that were taken in: each is kept until it is through, and known again for a while after that.
//!
//! A push is *open* from the moment it is taken until a function has dealt with it or an operator dismisses it. An open
//! one waits for its next attempt, or it is a dead letter: given up, and kept for the operator to look at and send
//! through again. Of one that is done only its key and its answer are left, for WeChat's duplicates. What a packet means,
//! and when it is given up, is the caller's to know.

use std::time::SystemTime;

/// A push that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Its number: larger than that of each push that was taken before.
    pub id: u64,
    /// By what it is known again.
    pub key: String,
    /// The packet.
    pub packet: String,
    /// When it was taken, in machine time.
    pub taken_at: SystemTime,
    /// How many attempts were begun, ever.
    pub attempts: u32,
    /// How many of them before it was last revived afresh.
    pub earlier: u32,
    /// How many failed since. One that was begun and neither failed nor ended well was cut off, with the process.
    pub failures: u32,
    /// What made a dead letter of it; `None` while it waits for an attempt.
    pub dead: Option<Death>,
}

/// The end of the attempts for a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    /// How the last attempt failed.
    pub error: String,
    /// When, in machine time.
    pub at: SystemTime,
}

/// What came of taking a push in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is new, and has this number.
    New(u64),
    /// It came before, and is open.
    Open(Pushed),
    /// It came before, and was dealt with.
    Done {
        /// With this answer, if with one.
        answer: Option<String>,
    },
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Well: the push is dealt with.
    Done {
        /// What duplicates of it are answered, if anything.
        answer: Option<String>,
    },
    /// Badly; there will be another one.
    Failed,
    /// Badly, and it was the last one: the push is a dead letter.
    Dead {
        /// What was wrong.
        error: String,
    },
}

impl Pushed {
    pub(crate) fn new(id: u64, key: &str, packet: &str, now: SystemTime) -> Self {
        Self {
            id,
            key: key.to_owned(),
            packet: packet.to_owned(),
            taken_at: now,
            attempts: 0,
            earlier: 0,
            failures: 0,
            dead: None,
        }
    }

    /// Notes that an attempt begins, and gives its number, from 1; `None` for a dead letter.
    pub(crate) fn begin(&mut self) -> Option<u32> {
        if self.dead.is_some() {
            return None;
        }
        self.attempts = self.attempts.saturating_add(1);
        Some(self.attempts)
    }

    /// Notes that an attempt failed, and with `error`, that it was the last one.
    pub(crate) fn fail(&mut self, error: Option<String>, at: SystemTime) {
        self.failures = self.failures.saturating_add(1);
        self.dead = error.map(|error| Death { error, at });
    }

    /// Makes a dead letter wait again; `afresh` with as many attempts ahead as a new one. Answers whether it was one.
    pub(crate) fn revive(&mut self, afresh: bool) -> bool {
        if afresh && self.dead.is_some() {
            self.earlier = self.attempts;
            self.failures = 0;
        }
        self.dead.take().is_some()
    }
}

/// How long pushes are kept that nobody waits for, as moments in machine time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// What was dealt with before is forgotten: from then on a duplicate of it is new.
    pub done_before: SystemTime,
    /// Dead letters from before are dropped.
    pub dead_before: SystemTime,
}
