//! How many bytes the watches have in memory, and for whom: all of them together have so many, and each payer an eighth of that. A payer is
//! a user, or, where anybody can be as many users as they like, a network. What several payers watch alike is there once, and counts as a whole
//! for each of them.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::Semaphore;

use crate::outbox::Unsent;

/// The part of all bytes that one payer may have.
const SHARE: usize = 8;
/// Queries that are read at once for one payer.
const LOADS: usize = 2;

/// The bytes that are taken.
#[derive(Debug)]
pub(crate) struct Ledger {
    most: usize,
    used: usize,
    payers: HashMap<Arc<str>, Payer>,
}

#[derive(Debug)]
struct Payer {
    bytes: usize,
    sessions: usize,
    loads: Arc<Semaphore>,
    unsent: Arc<Unsent>,
}

/// What a session is told of its payer.
pub(crate) struct Arrived {
    /// Its name, as it is kept.
    pub(crate) name: Arc<str>,
    /// The places for what is read for it.
    pub(crate) loads: Arc<Semaphore>,
    /// What waits to be sent to its clients.
    pub(crate) unsent: Arc<Unsent>,
}

impl Ledger {
    /// So many bytes, of which none are taken.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            used: 0,
            payers: HashMap::new(),
        }
    }

    /// All bytes that there may be.
    pub(crate) const fn most(&self) -> usize {
        self.most
    }

    /// What one payer may have of them.
    pub(crate) const fn share(&self) -> usize {
        self.most / SHARE
    }

    /// Whether more is taken than there is.
    pub(crate) const fn is_over(&self) -> bool {
        self.used > self.most
    }

    /// Whether a payer has more than its share.
    pub(crate) fn has_too_much(&self, payer: &str) -> bool {
        self.bytes_of(payer) > self.share()
    }

    /// What a payer has.
    pub(crate) fn bytes_of(&self, payer: &str) -> usize {
        self.payers.get(payer).map_or(0, |payer| payer.bytes)
    }

    /// What all have.
    #[cfg(test)]
    pub(crate) const fn used(&self) -> usize {
        self.used
    }

    /// Notes a session of a payer.
    pub(crate) fn arrive(&mut self, name: &str) -> Arrived {
        let share = self.share();
        let name = match self.payers.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => Arc::from(name),
        };
        let payer = self.payers.entry(Arc::clone(&name)).or_insert_with(|| Payer {
            bytes: 0,
            sessions: 0,
            loads: Arc::new(Semaphore::new(LOADS)),
            unsent: Unsent::new(share),
        });
        payer.sessions += 1;
        Arrived {
            name,
            loads: Arc::clone(&payer.loads),
            unsent: Arc::clone(&payer.unsent),
        }
    }

    /// A session is over; its watches have ended.
    pub(crate) fn part(&mut self, name: &str) {
        let Some(payer) = self.payers.get_mut(name) else {
            return;
        };
        payer.sessions -= 1;
        if payer.sessions == 0 {
            self.payers.remove(name);
        }
    }

    /// Counts bytes that are there once, for whoever watches.
    pub(crate) const fn resize(&mut self, before: usize, now: usize) {
        self.used = (self.used + now).saturating_sub(before);
    }

    /// Counts bytes as a payer's.
    pub(crate) fn charge(&mut self, name: &str, bytes: usize) {
        if let Some(payer) = self.payers.get_mut(name) {
            payer.bytes += bytes;
        }
    }

    /// A payer has these no more.
    pub(crate) fn release(&mut self, name: &str, bytes: usize) {
        if let Some(payer) = self.payers.get_mut(name) {
            payer.bytes = payer.bytes.saturating_sub(bytes);
        }
    }
}
