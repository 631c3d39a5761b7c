//! The pushes in the file, and how many of them share one wait for the disk.
//!
//! A commit waits for the disk, and WeChat pushes to many functions at once. So a change of a push does not get a
//! transaction of its own: changes queue up while the one before is being committed, and the next transaction makes all
//! that are there by then, in the order in which they were asked for. None is answered before the commit that has it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use ::redb::{ReadableTable, Table, TableDefinition, WriteTransaction};
use tokio::sync::oneshot;

use super::{Inner, META, Redb};
use crate::{
    Bounds, BoxFuture, Ended, Pushed, StoreError, Taken,
    record::{self, KnownPush},
};

/// Open pushes, by number.
pub(super) const OPEN: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("open_pushes");
/// What became of each push that is remembered, by its key.
pub(super) const KNOWN: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("known_pushes");
/// In `meta`: the number of the push that was taken last.
const LAST: &str = "last_push";

/// The tables within a transaction.
struct Tables<'t> {
    inner: &'t Inner,
    meta: Table<'t, &'static str, u64>,
    open: Table<'t, u64, &'static [u8]>,
    known: Table<'t, &'static str, &'static [u8]>,
}

/// A change to be made with others. It is given the tables, or why there are none; what it gives back is to be told
/// whether the transaction was committed.
type Change = Box<dyn FnOnce(Result<&mut Tables<'_>, Arc<StoreError>>) -> Told + Send>;
type Told = Box<dyn FnOnce(Result<(), Arc<StoreError>>) + Send>;

/// Changes that wait for the next transaction.
#[derive(Default)]
pub(super) struct Changes(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    changes: Vec<Change>,
    /// Whether somebody makes them already.
    busy: bool,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Changes({})", self.waiting().changes.len())
    }
}

impl Changes {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a change; whether there is nobody yet to make it.
    fn add(&self, change: Change) -> bool {
        let mut waiting = self.waiting();
        waiting.changes.push(change);
        !std::mem::replace(&mut waiting.busy, true)
    }

    /// The changes to make next; without any, nobody is busy any more.
    fn next(&self) -> Vec<Change> {
        let mut waiting = self.waiting();
        waiting.busy = !waiting.changes.is_empty();
        std::mem::take(&mut waiting.changes)
    }
}

impl Redb {
    /// Has `change` made with whatever else is to be changed. Its turn is that of this call, not of the future's first poll.
    pub(super) fn change_pushes<'a, T, C>(&self, change: C) -> BoxFuture<'a, Result<T, StoreError>>
    where
        T: Send + 'static,
        C: FnOnce(&mut Pushes<'_, '_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (answered, answer) = oneshot::channel();
        let first = self.0.changes.add(Box::new(move |tables| {
            let made = match tables {
                Ok(tables) => change(&mut Pushes(tables)),
                Err(error) => Err(StoreError::Shared(error)),
            };
            Box::new(move |committed| {
                // Whoever asked may have gone.
                let _ = answered.send(made.and_then(|made| match committed {
                    Ok(()) => Ok(made),
                    Err(error) => Err(StoreError::Shared(error)),
                }));
            })
        }));
        if first {
            let inner = Arc::clone(&self.0);
            tokio::task::spawn_blocking(move || Inner::make_changes(inner));
        }
        Box::pin(async move { answer.await.unwrap_or(Err(StoreError::Closed)) })
    }
}

/// Lets the next change find somebody to make it, should the one who did have panicked.
struct Busy<'a>(&'a Changes);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.waiting().busy = false;
        }
    }
}

impl Inner {
    /// Makes changes until there are no more.
    fn make_changes(inner: Arc<Self>) {
        let mut changes = inner.changes.next();
        loop {
            let mut told = Vec::with_capacity(changes.len());
            let committed = inner.make_together(changes, &mut told).map_err(Arc::new);
            let tell = || told.into_iter().for_each(|tell| tell(committed.clone()));
            changes = inner.changes.next();
            if changes.is_empty() {
                // Whoever hears that it is done may drop the store, and open the file again.
                drop(inner);
                return tell();
            }
            tell();
        }
    }

    fn make_together(&self, changes: Vec<Change>, told: &mut Vec<Told>) -> Result<(), StoreError> {
        let _busy = Busy(&self.changes);
        let transaction = match self.begin() {
            Ok(transaction) => transaction,
            Err(error) => {
                let error = Arc::new(error);
                told.extend(changes.into_iter().map(|change| change(Err(Arc::clone(&error)))));
                return Ok(());
            }
        };
        match self.tables(&transaction) {
            Ok(mut tables) => told.extend(changes.into_iter().map(|change| change(Ok(&mut tables)))),
            Err(error) => {
                let error = Arc::new(error);
                told.extend(changes.into_iter().map(|change| change(Err(Arc::clone(&error)))));
                return Ok(());
            }
        }
        self.commit(transaction)
    }

    fn tables<'t>(&'t self, transaction: &'t WriteTransaction) -> Result<Tables<'t>, StoreError> {
        Ok(Tables {
            inner: self,
            meta: transaction.open_table(META).map_err(|error| self.failed(error))?,
            open: transaction.open_table(OPEN).map_err(|error| self.failed(error))?,
            known: transaction
                .open_table(KNOWN)
                .map_err(|error| self.failed(error))?,
        })
    }

    pub(super) fn open_pushes(&self) -> Result<Vec<Pushed>, StoreError> {
        self.read(|transaction| {
            let open = transaction.open_table(OPEN).map_err(|error| self.failed(error))?;
            let mut pushes = Vec::new();
            for row in open.iter().map_err(|error| self.failed(error))? {
                let (id, bytes) = row.map_err(|error| self.failed(error))?;
                pushes.push(record::to_push(id.value(), bytes.value())?);
            }
            Ok(pushes)
        })
    }
}

/// The pushes within a transaction. Each method reads and judges before it writes, so that one that fails has changed
/// nothing.
pub(super) struct Pushes<'a, 't>(&'a mut Tables<'t>);

impl Pushes<'_, '_> {
    pub(super) fn take(&mut self, key: &str, packet: &str, now: SystemTime) -> Result<Taken, StoreError> {
        if let Some(known) = self.known(key)? {
            if known.done_at.is_some() {
                return Ok(Taken::Done { answer: known.answer });
            }
            if let Some(push) = self.open(known.id)? {
                return Ok(Taken::Open(push));
            }
        }
        let inner = self.0.inner;
        let last = self.0.meta.get(LAST).map_err(|error| inner.failed(error))?;
        let id = last.map_or(0, |last| last.value()) + 1;
        let known = record::of_known_push(&KnownPush {
            id,
            done_at: None,
            answer: None,
        })?;
        self.put_open(&Pushed::new(id, key, packet, now))?;
        self.0
            .known
            .insert(key, known.as_slice())
            .map_err(|error| inner.failed(error))?;
        self.0
            .meta
            .insert(LAST, id)
            .map_err(|error| inner.failed(error))?;
        Ok(Taken::New(id))
    }

    pub(super) fn begin(&mut self, id: u64) -> Result<Option<u32>, StoreError> {
        let Some(mut push) = self.open(id)? else {
            return Ok(None);
        };
        let attempt = push.begin();
        if attempt.is_some() {
            self.put_open(&push)?;
        }
        Ok(attempt)
    }

    pub(super) fn end(&mut self, id: u64, ended: Ended, now: SystemTime) -> Result<(), StoreError> {
        let Some(mut push) = self.open(id)? else {
            return Ok(());
        };
        let error = match ended {
            Ended::Done { answer } => return self.close(&push, answer, now),
            Ended::Failed => None,
            Ended::Dead { error } => Some(error),
        };
        push.fail(error, now);
        self.put_open(&push)
    }

    pub(super) fn revive(&mut self, id: u64, afresh: bool) -> Result<Option<Pushed>, StoreError> {
        let Some(mut push) = self.open(id)? else {
            return Ok(None);
        };
        if !push.revive(afresh) {
            return Ok(None);
        }
        self.put_open(&push)?;
        Ok(Some(push))
    }

    pub(super) fn dismiss(&mut self, id: u64, now: SystemTime) -> Result<bool, StoreError> {
        match self.open(id)? {
            Some(push) if push.dead.is_some() => self.close(&push, None, now).map(|()| true),
            _ => Ok(false),
        }
    }

    pub(super) fn sweep(&mut self, bounds: Bounds) -> Result<usize, StoreError> {
        let inner = self.0.inner;
        let mut dead = HashSet::new();
        self.0
            .open
            .retain(|id, bytes| {
                // A record that cannot be read is left for the one who looks into it.
                let push = record::to_push(id, bytes).ok();
                let death = push.as_ref().and_then(|push| push.dead.as_ref());
                let keep = death.is_none_or(|death| death.at >= bounds.dead_before);
                if !keep {
                    dead.extend(push.map(|push| push.key));
                }
                keep
            })
            .map_err(|error| inner.failed(error))?;
        let done_before = record::millis(bounds.done_before);
        let mut dropped = 0;
        self.0
            .known
            .retain(|key, bytes| {
                let done_at = record::to_known_push(bytes).ok().and_then(|known| known.done_at);
                let keep = !dead.contains(key) && done_at.is_none_or(|at| at >= done_before);
                dropped += usize::from(!keep);
                keep
            })
            .map_err(|error| inner.failed(error))?;
        Ok(dropped)
    }

    fn open(&self, id: u64) -> Result<Option<Pushed>, StoreError> {
        let inner = self.0.inner;
        let record = self.0.open.get(id).map_err(|error| inner.failed(error))?;
        record
            .map(|record| record::to_push(id, record.value()))
            .transpose()
    }

    fn known(&self, key: &str) -> Result<Option<KnownPush>, StoreError> {
        let inner = self.0.inner;
        let record = self.0.known.get(key).map_err(|error| inner.failed(error))?;
        record
            .map(|record| record::to_known_push(record.value()))
            .transpose()
    }

    fn put_open(&mut self, push: &Pushed) -> Result<(), StoreError> {
        let inner = self.0.inner;
        let record = record::of_push(push)?;
        self.0
            .open
            .insert(push.id, record.as_slice())
            .map_err(|error| inner.failed(error))?;
        Ok(())
    }

    /// Leaves of a push its key and answer.
    fn close(&mut self, push: &Pushed, answer: Option<String>, now: SystemTime) -> Result<(), StoreError> {
        let inner = self.0.inner;
        let known = record::of_known_push(&KnownPush {
            id: push.id,
            done_at: Some(record::millis(now)),
            answer,
        })?;
        self.0.open.remove(push.id).map_err(|error| inner.failed(error))?;
        self.0
            .known
            .insert(push.key.as_str(), known.as_slice())
            .map_err(|error| inner.failed(error))?;
        Ok(())
    }
}
