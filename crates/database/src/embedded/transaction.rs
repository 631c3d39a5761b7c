//! Transactions: a snapshot with own writes above it. The registry is shared; who has locked what is the writer's alone.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bson::Document;
use redb::{ReadTransaction, ReadableDatabase};
use tokio::sync::OwnedMutexGuard;

use crate::{ChangeKind, Result, TransactionId, error::DatabaseError};

/// A transaction is dropped when it is not ended within this time: the platform's limit.
pub const TRANSACTION_LIFE: Duration = Duration::from_secs(30);
/// Transactions that may be open at once: each pins a snapshot, and so the pages of the file that were current then.
pub const MOST_TRANSACTIONS: usize = 256;
/// Bytes that the documents which a transaction wrote may have: they are kept in memory until it is committed.
pub(crate) const MOST_WRITTEN: usize = 16 << 20;

/// One transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    pub(crate) began: Instant,
    state: Mutex<State>,
    /// Held by the operation that is under way.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// What a transaction sees.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Taken by its first operation.
    pub(crate) snapshot: Option<ReadTransaction>,
    pub(crate) overlay: Overlay,
    /// Nothing of it can be committed any more.
    pub(crate) doomed: bool,
}

/// What a transaction has written: document keys to what stands there now.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    pub(crate) writes: BTreeMap<Vec<u8>, Written>,
    /// Bytes of the documents in it.
    pub(crate) size: usize,
}

/// A write of a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) collection: Arc<str>,
    /// What the snapshot has.
    pub(crate) before: Option<Document>,
    pub(crate) after: Option<Document>,
    pub(crate) kind: ChangeKind,
}

impl State {
    /// Ends it, with all that it holds. It stays known, so that it can be aborted.
    pub(crate) fn doom(&mut self) {
        *self = Self {
            doomed: true,
            ..Self::default()
        };
    }

    /// The snapshot and the writes above it.
    ///
    /// # Errors
    /// Where it is doomed, or the disk fails.
    pub(crate) fn parts(&mut self, file: &redb::Database) -> Result<(&ReadTransaction, &mut Overlay)> {
        if self.doomed {
            return Err(DatabaseError::TransactionMissing);
        }
        let snapshot = match &mut self.snapshot {
            Some(snapshot) => snapshot,
            empty => empty.insert(file.begin_read().map_err(DatabaseError::unavailable)?),
        };
        Ok((snapshot, &mut self.overlay))
    }
}

impl Transaction {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_doomed(&self) -> bool {
        // One that is being read is not.
        self.state.try_lock().is_ok_and(|state| state.doomed)
    }

    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= TRANSACTION_LIFE
    }
}

/// An operation of a transaction under way: there is one at a time.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) transaction: Arc<Transaction>,
    _alone: OwnedMutexGuard<()>,
}

/// The transactions that are open.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    open: Mutex<HashMap<TransactionId, Arc<Transaction>>>,
    /// How many have ended.
    ended: AtomicU64,
}

impl Registry {
    pub(crate) fn open(&self, id: TransactionId, now: Instant) -> Result<()> {
        let mut open = self.all();
        if open.len() >= MOST_TRANSACTIONS {
            // Transactions that can only fail make room, so a program that tries again need not end them.
            open.retain(|_, transaction| !transaction.is_doomed());
        }
        if open.len() >= MOST_TRANSACTIONS {
            return Err(DatabaseError::TransactionsFull(MOST_TRANSACTIONS));
        }
        let transaction = Transaction {
            id,
            began: now,
            state: Mutex::default(),
            turn: Arc::default(),
        };
        open.insert(id, Arc::new(transaction));
        Ok(())
    }

    /// The turn of an operation of that transaction.
    pub(crate) fn turn(&self, id: TransactionId, now: Instant) -> Result<Turn> {
        let transaction = self.one(id, now)?;
        let turn = Arc::clone(&transaction.turn);
        let alone = turn
            .try_lock_owned()
            .map_err(|_| DatabaseError::TransactionBusy)?;
        Ok(Turn {
            transaction,
            _alone: alone,
        })
    }

    /// The turn behind the operation that is under way.
    pub(crate) async fn turn_in_time(&self, id: TransactionId, now: Instant) -> Result<Turn> {
        let transaction = self.one(id, now)?;
        let alone = Arc::clone(&transaction.turn).lock_owned().await;
        Ok(Turn {
            transaction,
            _alone: alone,
        })
    }

    fn one(&self, id: TransactionId, now: Instant) -> Result<Arc<Transaction>> {
        self.all()
            .get(&id)
            .cloned()
            .filter(|transaction| !transaction.is_expired(now))
            .ok_or(DatabaseError::TransactionMissing)
    }

    pub(crate) fn close(&self, id: TransactionId) {
        if self.all().remove(&id).is_some() {
            self.ended.fetch_add(1, Ordering::AcqRel);
        }
    }

    pub(crate) fn contains(&self, id: TransactionId) -> bool {
        self.all().contains_key(&id)
    }

    /// Grows with each one that ends.
    pub(crate) fn ended(&self) -> u64 {
        self.ended.load(Ordering::Acquire)
    }

    /// Takes out those that are too old.
    pub(crate) fn expire(&self, now: Instant) {
        let expired = self
            .all()
            .extract_if(|_, transaction| transaction.is_expired(now))
            .count();
        self.ended.fetch_add(expired as u64, Ordering::AcqRel);
    }

    /// Ends all of them: their snapshots are of a file that is about to be opened anew. Nobody may be at work with one.
    pub(crate) fn end_all(&self) {
        for (_, transaction) in self.all().drain() {
            // Who waits for a turn may still have it.
            transaction.state().doom();
            self.ended.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// When the next one will be too old.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.all()
            .values()
            .map(|transaction| transaction.began + TRANSACTION_LIFE)
            .min()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<TransactionId, Arc<Transaction>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn two_operations_of_one_transaction_at_once_are_refused() {
        let registry = Registry::default();
        let (id, now) = (TransactionId(1), Instant::now());
        registry.open(id, now).unwrap();
        let first = registry.turn(id, now).unwrap();
        assert!(matches!(
            registry.turn(id, now),
            Err(DatabaseError::TransactionBusy)
        ));
        drop(first);
        registry.turn(id, now).unwrap();
    }

    #[test]
    fn a_transaction_ends_after_its_life() {
        let registry = Registry::default();
        let (id, now) = (TransactionId(1), Instant::now());
        registry.open(id, now).unwrap();
        assert_eq!(registry.next_expiry(), Some(now + TRANSACTION_LIFE));
        registry.expire(now + TRANSACTION_LIFE - Duration::from_millis(1));
        assert!(registry.contains(id));
        assert!(matches!(
            registry.turn(id, now + TRANSACTION_LIFE),
            Err(DatabaseError::TransactionMissing)
        ));
        registry.expire(now + TRANSACTION_LIFE);
        assert!(!registry.contains(id));
        assert_eq!((registry.ended(), registry.next_expiry()), (1, None));
    }

    #[test]
    fn so_many_are_open_and_no_more() {
        let registry = Registry::default();
        let now = Instant::now();
        for id in 0..MOST_TRANSACTIONS {
            registry.open(TransactionId(id as u128), now).unwrap();
        }
        let full = registry.open(TransactionId(u128::MAX), now);
        assert!(matches!(
            full,
            Err(DatabaseError::TransactionsFull(MOST_TRANSACTIONS))
        ));
    }
}
