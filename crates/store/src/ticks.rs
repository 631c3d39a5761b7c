//! The ticks of timers: each is fired by one node, the one that claims it first.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use crate::{BoxFuture, StoreError};

/// A claim that lies further than this ahead of the machine's clock was made by a clock that was wrong, and does not count.
pub const WRONG_CLOCK: Duration = Duration::from_secs(3600);

/// Where it is kept which ticks were fired. Times are machine time.
pub trait Ticks: Send + Sync {
    /// Claims the tick of a timer at `at`. Answers whether it is the caller's to fire: not if this tick or a later one of
    /// the same timer was claimed before, unless by a clock that was wrong ([`WRONG_CLOCK`]).
    ///
    /// A claim is known to every handle of the store for as long as there is one. Whether it outlives all of them is the
    /// backend's choice: a node that starts looks at [`timers_seen`](Self::timers_seen) first.
    fn claim_tick<'a>(
        &'a self,
        timer: &'a str,
        at: SystemTime,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// Up to which moment the ticks of timers were seen to, if that was ever kept.
    fn timers_seen(&self) -> BoxFuture<'_, Result<Option<SystemTime>, StoreError>>;

    /// Keeps it, in place of the one before.
    fn put_timers_seen(&self, seen: SystemTime) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// Claims in memory, for a backend all of whose handles are in one process.
#[derive(Debug, Default)]
pub struct Claims(Mutex<HashMap<String, SystemTime>>);

impl Claims {
    /// What [`Ticks::claim_tick`] answers.
    #[must_use]
    pub fn claim(&self, timer: &str, at: SystemTime, now: SystemTime) -> bool {
        let mut claims = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = claims
            .get(timer)
            .is_none_or(|last| at > *last || last.duration_since(now).is_ok_and(|ahead| ahead > WRONG_CLOCK));
        if free {
            claims.insert(timer.to_owned(), at);
        }
        free
    }
}
