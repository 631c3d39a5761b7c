//! What one operation is handed from outside: its time and its randomness.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bson::DateTime;

use crate::{
    Error,
    error::{Result, code},
};

/// The time and the randomness of one operation. All documents of the operation see the same `now`.
#[derive(Debug)]
pub struct Context {
    /// The time of the operation: `$currentDate`, `$$NOW`.
    pub now: DateTime,
    state: Cell<u64>,
    steps: Cell<u64>,
    /// How many steps there may be.
    most: u64,
    /// Every step counts, not those of loops alone.
    is_strict: bool,
    /// So it is for a part of the work.
    counts: Cell<bool>,
    /// Set from outside when nobody waits for the operation any more.
    gone: Option<Arc<AtomicBool>>,
}

/// How many rounds of loops (`$map`, `$filter`, `$reduce`), and elements of large arrays, the expressions of one operation
/// may look at: some ten seconds.
const MAX_STEPS: u64 = 100_000_000;
/// `MaxTimeMSExpired`: the code of an operation that is too much work.
pub const TOO_MUCH_WORK: i32 = code::MAX_TIME_MS_EXPIRED;
/// `Interrupted`: the code of an operation for which nobody waits any more.
const INTERRUPTED: i32 = code::INTERRUPTED;

impl Context {
    /// A context at `now`; equal seeds give equal random numbers.
    #[must_use]
    pub const fn new(now: DateTime, seed: u64) -> Self {
        Self {
            now,
            state: Cell::new(seed),
            steps: Cell::new(0),
            most: MAX_STEPS,
            is_strict: false,
            counts: Cell::new(false),
            gone: None,
        }
    }

    /// The same for an operation that ends soon after `gone` has become true: whoever asked does not wait for it any more.
    #[must_use]
    pub fn until(self, gone: Arc<AtomicBool>) -> Self {
        Self {
            gone: Some(gone),
            ..self
        }
    }

    /// The same with fewer rounds than anybody's.
    #[must_use]
    pub fn at_most(self, rounds: u64) -> Self {
        Self {
            most: rounds.min(self.most),
            ..self
        }
    }

    /// The same for what must not end half done, whether somebody waits for it or not. Its steps count anew.
    #[must_use]
    pub fn to_the_end(&self) -> Self {
        Self {
            most: self.most,
            ..Self::new(self.now, self.random())
        }
    }

    /// To be asked for each document that is looked at or made.
    ///
    /// # Errors
    /// Where nobody waits for the operation any more.
    pub fn is_wanted(&self) -> Result<()> {
        match &self.gone {
            Some(gone) if gone.load(Ordering::Relaxed) => {
                Err(Error::new(INTERRUPTED, "the operation was interrupted"))
            }
            _ => Ok(()),
        }
    }

    /// The same for something that has to be done at once, in so many steps: every part of an expression, every condition and every
    /// text that a regular expression is matched with counts. 20,000 steps are about a millisecond.
    #[must_use]
    pub fn strict(self, most: u64) -> Self {
        Self {
            most,
            is_strict: true,
            ..self
        }
    }

    /// How many steps were counted.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps.get()
    }

    /// How many there may still be.
    #[must_use]
    pub const fn steps_left(&self) -> u64 {
        self.most.saturating_sub(self.steps.get())
    }

    /// Whether every step counts.
    pub(crate) const fn is_strict(&self) -> bool {
        self.is_strict
    }

    /// Does a part of the work of which every step counts, as rounds.
    pub(crate) fn counted<T>(&self, work: impl FnOnce() -> T) -> T {
        let outer = self.counts.replace(true);
        let done = work();
        self.counts.set(outer);
        done
    }

    /// Counts steps that take so little that they count only where every step does.
    pub(crate) fn spend_if_strict(&self, steps: u64) -> Result<()> {
        match self.is_strict || self.counts.get() {
            true => self.spend(steps),
            false => Ok(()),
        }
    }

    /// The next random number, over all 64 bits (SplitMix64: good enough to sample with, not to keep secrets with).
    pub fn random(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Counts rounds of a loop inside an expression; an error where the operation has run through too many, because loops
    /// in loops would not end within a lifetime, and where nobody waits for it any more.
    pub fn spend(&self, rounds: u64) -> Result<()> {
        self.is_wanted()?;
        let steps = self.steps.get().saturating_add(rounds);
        self.steps.set(steps);
        if steps > self.most {
            return Err(Error::new(
                TOO_MUCH_WORK,
                "the operation exceeded its limit of work",
            ));
        }
        Ok(())
    }

    /// A random number of at least 0 and less than 1.
    pub fn random_unit(&self) -> f64 {
        (self.random() >> 11) as f64 / (1_u64 << 53) as f64
    }
}
