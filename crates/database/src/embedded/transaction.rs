//! Transactions: a snapshot with own writes above it. The registry is shared; who has locked what is the writer's alone.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bson::Document;
use redb::{ReadTransaction, ReadableDatabase};

use super::file::{META, SEQUENCE};
use crate::{ChangeKind, Result, TransactionId, error::DatabaseError};

/// A transaction is dropped when it is not ended within this time: the platform's limit.
pub(crate) const LIFE: Duration = Duration::from_secs(30);
/// Transactions that may be open at once: each pins a snapshot, and so the pages of the file that were current then.
pub(crate) const MOST_OPEN: usize = 256;

/// One transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    pub(crate) began: Instant,
    /// Taken by its first operation.
    snapshot: OnceLock<(ReadTransaction, u64)>,
    overlay: Mutex<Overlay>,
    busy: AtomicBool,
}

/// What a transaction has written: document keys to what stands there now.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    pub(crate) writes: BTreeMap<Vec<u8>, Written>,
    /// Nothing of it can be committed any more.
    pub(crate) doomed: bool,
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

impl Transaction {
    /// The snapshot, and the number of its last change.
    pub(crate) fn snapshot(&self, database: &redb::Database) -> Result<&(ReadTransaction, u64)> {
        if let Some(snapshot) = self.snapshot.get() {
            return Ok(snapshot);
        }
        let read = database.begin_read().map_err(DatabaseError::unavailable)?;
        let meta = read.open_table(META).map_err(DatabaseError::unavailable)?;
        let at = meta
            .get(SEQUENCE)
            .map_err(DatabaseError::unavailable)?
            .map_or(0, |sequence| sequence.value());
        Ok(self.snapshot.get_or_init(|| (read, at)))
    }

    /// The number of the last change that its snapshot has, if it has one already.
    pub(crate) fn at(&self) -> Option<u64> {
        self.snapshot.get().map(|(_, at)| *at)
    }

    pub(crate) fn overlay(&self) -> MutexGuard<'_, Overlay> {
        self.overlay.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_expired(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= LIFE
    }
}

/// An operation of a transaction under way: there is one at a time.
#[derive(Debug)]
pub(crate) struct Turn(pub(crate) Arc<Transaction>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.busy.store(false, Ordering::Release);
    }
}

/// The transactions that are open.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<HashMap<TransactionId, Arc<Transaction>>>);

impl Registry {
    pub(crate) fn open(&self, id: TransactionId, now: Instant) -> Result<()> {
        let mut open = self.all();
        if open.len() >= MOST_OPEN {
            return Err(DatabaseError::TransactionsFull(MOST_OPEN));
        }
        let transaction = Transaction {
            id,
            began: now,
            snapshot: OnceLock::new(),
            overlay: Mutex::default(),
            busy: AtomicBool::new(false),
        };
        open.insert(id, Arc::new(transaction));
        Ok(())
    }

    /// The turn of an operation of that transaction.
    pub(crate) fn turn(&self, id: TransactionId, now: Instant) -> Result<Turn> {
        let transaction = self
            .all()
            .get(&id)
            .cloned()
            .filter(|transaction| !transaction.is_expired(now))
            .ok_or(DatabaseError::TransactionMissing)?;
        if transaction.busy.swap(true, Ordering::Acquire) {
            return Err(DatabaseError::TransactionBusy);
        }
        Ok(Turn(transaction))
    }

    pub(crate) fn close(&self, id: TransactionId) -> Option<Arc<Transaction>> {
        self.all().remove(&id)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Takes out those that are too old.
    pub(crate) fn expire(&self, now: Instant) -> Vec<Arc<Transaction>> {
        self.all()
            .extract_if(|_, transaction| transaction.is_expired(now))
            .map(|(_, transaction)| transaction)
            .collect()
    }

    /// When the next one will be too old.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.all()
            .values()
            .map(|transaction| transaction.began + LIFE)
            .min()
    }

    /// The oldest snapshot's last change.
    pub(crate) fn oldest(&self) -> Option<u64> {
        self.all()
            .values()
            .filter_map(|transaction| transaction.at())
            .min()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<TransactionId, Arc<Transaction>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        assert_eq!(registry.next_expiry(), Some(now + LIFE));
        assert!(registry.expire(now + LIFE - Duration::from_millis(1)).is_empty());
        assert!(matches!(
            registry.turn(id, now + LIFE),
            Err(DatabaseError::TransactionMissing)
        ));
        assert_eq!(registry.expire(now + LIFE).len(), 1);
        assert!(registry.is_empty());
    }

    #[test]
    fn so_many_are_open_and_no_more() {
        let registry = Registry::default();
        let now = Instant::now();
        for id in 0..MOST_OPEN {
            registry.open(TransactionId(id as u128), now).unwrap();
        }
        let full = registry.open(TransactionId(u128::MAX), now);
        assert!(matches!(full, Err(DatabaseError::TransactionsFull(MOST_OPEN))));
    }
}
