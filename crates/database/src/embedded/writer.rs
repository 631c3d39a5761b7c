//! The one thread that writes. It takes all that waits into one commit, answers when that is on disk, and knows who has locked
//! what. A write that meets a document locked by a transaction is put aside until that one has ended.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    Shared,
    batch::Batch,
    transaction::{LIFE, Turn},
    write::{self, Work, WriteDone},
};
use crate::{Change, Result, TransactionId, error::DatabaseError};

/// Writes in one commit at most.
const MOST: usize = 1024;
/// How many changed documents are remembered beside open transactions before the list is looked through.
const MANY: usize = 10_000;

/// A write that waits for its turn.
pub(crate) struct Queued {
    pub(crate) work: Work,
    /// The operation's turn in its transaction.
    pub(crate) turn: Option<Turn>,
    pub(crate) answer: oneshot::Sender<Result<WriteDone>>,
    /// Held for as long as it waits: how many may, is bounded.
    pub(crate) permit: OwnedSemaphorePermit,
}

/// Which documents transactions have written, and which were changed since they began. Keys are documents'.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    /// By which transaction.
    pub(crate) held: HashMap<Vec<u8>, TransactionId>,
    /// The number of the last change of each document that was changed while a transaction was open.
    recent: HashMap<Vec<u8>, u64>,
}

impl Locks {
    /// Whether `transaction`, whose snapshot has the changes up to `at`, may write that document; from then on nobody else may.
    pub(crate) fn take(&mut self, key: &[u8], transaction: TransactionId, at: u64) -> Result<()> {
        if self.recent.get(key).is_some_and(|changed| *changed > at) {
            return Err(DatabaseError::TransactionConflict);
        }
        match self.held.get(key) {
            Some(owner) if *owner != transaction => Err(DatabaseError::TransactionConflict),
            Some(_) => Ok(()),
            None => {
                self.held.insert(key.to_vec(), transaction);
                Ok(())
            }
        }
    }

    pub(crate) fn release(&mut self, transaction: TransactionId) {
        self.held.retain(|_, owner| *owner != transaction);
    }

    /// Remembers that a document was changed.
    pub(crate) fn changed(&mut self, key: Vec<u8>, sequence: u64) {
        self.recent.insert(key, sequence);
    }
}

/// The writer's own state.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    pub(crate) queue: Receiver<Queued>,
    pub(crate) locks: Locks,
    /// Writes that met a lock, and since when they wait.
    pub(crate) parked: Vec<(Instant, Queued)>,
}

impl Writer {
    /// Works until nobody can ask any more.
    pub(crate) fn run(mut self) {
        loop {
            let mut batch = Vec::new();
            match self.queue.recv_timeout(self.patience()) {
                Ok(first) => batch.push(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while batch.len() < MOST
                && let Ok(next) = self.queue.try_recv()
            {
                batch.push(next);
            }
            self.expire();
            self.work(batch);
            self.retry();
        }
    }

    /// Until something has to be looked at though nobody asks.
    fn patience(&self) -> Duration {
        const LONG: Duration = Duration::from_secs(3600);
        let now = Instant::now();
        let expiry = self.shared.transactions.next_expiry();
        let parked = self.parked.iter().map(|(since, _)| *since + LIFE).min();
        let next = expiry.into_iter().chain(parked).min();
        next.map_or(LONG, |next| next.saturating_duration_since(now))
    }

    /// Drops transactions that are too old.
    fn expire(&mut self) {
        for transaction in self.shared.transactions.expire(Instant::now()) {
            self.locks.release(transaction.id);
        }
        if self.shared.transactions.is_empty() {
            self.locks.recent.clear();
        } else if self.locks.recent.len() > MANY
            && let Some(oldest) = self.shared.transactions.oldest()
        {
            self.locks.recent.retain(|_, changed| *changed > oldest);
        }
    }

    /// Takes up again what was put aside, where its lock is gone or it has waited too long.
    fn retry(&mut self) {
        loop {
            let now = Instant::now();
            let (late, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.parked)
                .into_iter()
                .partition(|(since, _)| *since + LIFE <= now);
            for (_, queued) in late {
                let _ = queued.answer.send(Err(DatabaseError::Locked));
            }
            let before = waiting.len();
            let mut again = Vec::new();
            let mut since = Vec::new();
            for (began, queued) in waiting {
                // One that nobody waits for any more was not acknowledged, and need not be done.
                if !queued.answer.is_closed() {
                    since.push(began);
                    again.push(queued);
                }
            }
            if again.is_empty() {
                return;
            }
            let oldest = since.into_iter().min().unwrap_or(now);
            self.work(again);
            for (began, _) in &mut self.parked {
                *began = oldest.min(*began);
            }
            if self.parked.len() >= before || self.parked.is_empty() {
                return;
            }
        }
    }

    fn work(&mut self, batch: Vec<Queued>) {
        let mut together = Vec::new();
        for queued in batch {
            if queued.work.is_alone() {
                self.commit(std::mem::take(&mut together));
                self.commit(vec![queued]);
            } else {
                together.push(queued);
            }
        }
        self.commit(together);
    }

    /// Makes these writes in one commit, and answers them.
    fn commit(&mut self, mut batch: Vec<Queued>) {
        // One that panicked is gone from the batch; the others are made without it.
        while !batch.is_empty() && self.try_commit(&mut batch).is_err() {}
    }

    fn try_commit(&mut self, batch: &mut Vec<Queued>) -> Result<(), Panicked> {
        let shared = Arc::clone(&self.shared);
        let write = match shared.file.begin_write() {
            Ok(write) => write,
            Err(error) => {
                answer_all(batch, &error);
                return Ok(());
            }
        };
        let mut outcomes = Vec::with_capacity(batch.len());
        let mut changes: Vec<Change> = Vec::new();
        let mut dirty = false;
        let alone = batch.first().is_some_and(|queued| queued.work.is_alone());
        {
            let mut tables = match Batch::new(&write, &shared.catalog) {
                Ok(tables) => tables,
                Err(error) => {
                    answer_all(batch, &error);
                    return Ok(());
                }
            };
            for at in 0..batch.len() {
                let queued = &batch[at];
                let done = catch_unwind(AssertUnwindSafe(|| {
                    write::apply(
                        &shared,
                        &mut tables,
                        &mut self.locks,
                        &queued.work,
                        queued.turn.as_ref(),
                    )
                }));
                match done {
                    Ok(done) => outcomes.push(done),
                    Err(_) => {
                        tracing::error!("a write to the database panicked; it was not done");
                        let queued = batch.swap_remove(at);
                        let failed = DatabaseError::unavailable(
                            "the engine failed on this operation; nothing was written",
                        );
                        let _ = queued.answer.send(Err(failed));
                        return Err(Panicked);
                    }
                }
            }
            // What stands alone is done whole or not at all.
            let failed = alone && outcomes.iter().any(Result::is_err);
            if tables.dirty && !failed {
                dirty = true;
                match tables.finish() {
                    Ok(told) => changes = told,
                    Err(error) => {
                        answer_all(batch, &error);
                        return Ok(());
                    }
                }
            }
        }
        if dirty {
            if let Err(error) = write.commit() {
                answer_all(batch, &error);
                return Ok(());
            }
        } else if let Err(error) = write.abort() {
            tracing::warn!(%error, "a transaction of the database's file could not be given up");
        }
        self.shared.feed.publish(changes);
        for (queued, outcome) in std::mem::take(batch).into_iter().zip(outcomes) {
            match outcome {
                Ok(WriteDone::Locked) => self.parked.push((Instant::now(), queued)),
                outcome => {
                    // The caller may ask again at once, and must find its turn free.
                    drop((queued.turn, queued.permit));
                    let _ = queued.answer.send(outcome);
                }
            }
        }
        Ok(())
    }
}

/// A write panicked.
struct Panicked;

fn answer_all(batch: &mut Vec<Queued>, error: &dyn std::fmt::Display) {
    tracing::error!(%error, "the database cannot write");
    for queued in std::mem::take(batch) {
        drop((queued.turn, queued.permit));
        let _ = queued
            .answer
            .send(Err(DatabaseError::unavailable(error.to_string())));
    }
}
