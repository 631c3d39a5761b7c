//! The one thread that writes. It takes all that waits into one commit, answers when that is on disk, and knows who has locked
//! what. A write that meets what a transaction has locked is put aside until that has ended; the others go on.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    Bounds, Shared,
    batch::{Batch, Finished},
    disk,
    places::LentPlace,
    transaction::{TRANSACTION_LIFE, Turn},
    write::{self, Work, WriteDone},
};
use crate::{Result, TransactionId, changes::BatchChanges, error::DatabaseError};

/// Writes in one commit at most.
const MOST: usize = 1024;
/// Writes that may wait for a lock; one more is told at once that the document is locked.
const MOST_PARKED: usize = 1024;

/// A write that waits for its turn.
pub(crate) struct Queued {
    work: Work,
    /// The operation's turn in its transaction.
    turn: Option<Turn>,
    answer: oneshot::Sender<Result<WriteDone>>,
    /// Held while it is in the queue: how many may be, is bounded. What ends a transaction or belongs to one has none, so that
    /// writes which wait for its locks cannot keep it from ending.
    permit: Option<OwnedSemaphorePermit>,
    /// Of a large write, given back where it waits for a lock: others' large writes need no lock of that transaction's.
    place: Option<LentPlace>,
    /// Looked at while it is made.
    bounds: Bounds,
    /// Since when it waits for a lock.
    since: Option<Instant>,
    /// What came of it, where that needs no commit.
    outcome: Option<Result<WriteDone>>,
}

impl Queued {
    pub(crate) const fn new(
        work: Work,
        turn: Option<Turn>,
        answer: oneshot::Sender<Result<WriteDone>>,
        permit: Option<OwnedSemaphorePermit>,
        place: Option<LentPlace>,
        bounds: Bounds,
    ) -> Self {
        Self {
            work,
            turn,
            answer,
            permit,
            place,
            bounds,
            since: None,
            outcome: None,
        }
    }

    /// Whether it is done only when its batch is committed. What a transaction writes is noted in the transaction.
    const fn goes_into_commit(&self) -> bool {
        self.turn.is_none() && !matches!(self.work, Work::Begin)
    }

    /// Answers whoever asked; says whether they are still there.
    fn answer(self, outcome: Result<WriteDone>) -> bool {
        // The caller may ask again at once, and must find its turn free.
        drop((self.turn, self.permit, self.place));
        self.answer.send(outcome).is_ok()
    }
}

/// What transactions have locked: keys of documents that they wrote, and the entries of unique indexes that they added, which
/// begin with the number of a collection or of an index.
#[derive(Debug, Default)]
pub(crate) struct Locks {
    held: BTreeMap<Vec<u8>, TransactionId>,
    /// Whether something was released that somebody may wait for.
    freed: bool,
}

impl Locks {
    /// Locks it for `transaction`.
    ///
    /// # Errors
    /// [`DatabaseError::TransactionConflict`] where another one has it.
    pub(crate) fn take(&mut self, key: &[u8], transaction: TransactionId) -> Result<()> {
        match self.held.get(key) {
            Some(owner) if *owner != transaction => Err(DatabaseError::TransactionConflict),
            Some(_) => Ok(()),
            None => {
                self.held.insert(key.to_vec(), transaction);
                Ok(())
            }
        }
    }

    pub(crate) fn is_held(&self, key: &[u8]) -> bool {
        self.held.contains_key(key)
    }

    pub(crate) fn is_held_by(&self, key: &[u8], transaction: TransactionId) -> bool {
        self.held.get(key) == Some(&transaction)
    }

    /// Whether anything is locked that begins with that number.
    pub(crate) fn holds_any_of(&self, id: u32) -> bool {
        let id = id.to_be_bytes();
        let next = self.held.range(id.to_vec()..).next();
        next.is_some_and(|(key, _)| key.starts_with(&id))
    }

    pub(crate) fn release(&mut self, transaction: TransactionId) {
        self.retain(|owner| owner != transaction);
    }

    fn retain(&mut self, stays: impl Fn(TransactionId) -> bool) {
        let before = self.held.len();
        self.held.retain(|_, owner| stays(*owner));
        self.freed |= self.held.len() < before;
    }
}

/// The writer's own state.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    queue: Receiver<Queued>,
    locks: Locks,
    /// How many transactions had ended when their locks were last looked through.
    ended: u64,
    /// Writes that met a lock, in their order.
    parked: Vec<Queued>,
    /// Changes of a commit that failed. It may be on disk all the same.
    unsure: Option<BatchChanges>,
    /// How long after the last commit the file is put to rest; `None` for not before it is closed.
    rest_after: Option<Duration>,
    /// When the last commit was, if the file is not at rest.
    pub(super) restless_since: Option<Instant>,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, queue: Receiver<Queued>, rest_after: Option<Duration>) -> Self {
        let restless_since = shared.disk.needs_journal().then(Instant::now);
        Self {
            shared,
            queue,
            locks: Locks::default(),
            ended: 0,
            parked: Vec::new(),
            unsure: None,
            rest_after,
            restless_since,
        }
    }

    /// Works until nobody can ask any more.
    pub(crate) fn run(mut self) {
        loop {
            let mut batch = Vec::new();
            match self.queue.recv_timeout(self.patience()) {
                Ok(first) => batch.push(first),
                Err(RecvTimeoutError::Timeout) => self.rest(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while batch.len() < MOST
                && let Ok(next) = self.queue.try_recv()
            {
                batch.push(next);
            }
            self.expire();
            self.work(batch);
        }
    }

    /// Until something has to be looked at though nobody asks.
    fn patience(&self) -> Duration {
        const LONG: Duration = Duration::from_secs(3600);
        let expiry = self.shared.transactions.next_expiry();
        let parked = self
            .parked
            .iter()
            .filter_map(|queued| Some(queued.since? + TRANSACTION_LIFE));
        let next = expiry.into_iter().chain(parked).min();
        let next = next.map_or(LONG, |next| next.saturating_duration_since(self.shared.now()));
        self.until_rest().map_or(next, |rest| rest.min(next))
    }

    pub(super) fn until_rest(&self) -> Option<Duration> {
        let after = self.rest_after?;
        let since = self.restless_since?;
        Some(after.saturating_sub(since.elapsed()))
    }

    /// Has the file have what only its journal has, once nobody has written for a while: after a process was killed, the next one
    /// finds it whole.
    pub(super) fn rest(&mut self) {
        let is_due = self.until_rest().is_some_and(|left| left.is_zero());
        if !is_due {
            return;
        }
        if self.shared.disk.is_in_trouble() {
            self.restless_since = Some(Instant::now());
            return;
        }
        self.restless_since = None;
        if !self.shared.disk.needs_journal() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let rested = shared.with(|file| {
            let write = file.begin_write().map_err(DatabaseError::unavailable)?;
            shared.disk.commit(write, None)
        });
        // The file is sound without this, and if the disk fails, the next write says so.
        if let Err(error) = rested {
            tracing::warn!(%error, "the database's file could not be put to rest");
        }
    }

    /// Ends transactions that are too old, and writes that have waited too long.
    fn expire(&mut self) {
        let now = self.shared.now();
        self.shared.transactions.expire(now);
        let late = |queued: &mut Queued| {
            // One that nobody waits for any more was not acknowledged, and need not be done.
            queued.answer.is_closed() || queued.since.is_some_and(|since| since + TRANSACTION_LIFE <= now)
        };
        let late: Vec<_> = self.parked.extract_if(.., late).collect();
        self.count_parked();
        for queued in late {
            queued.answer(Err(DatabaseError::Locked));
        }
        self.resume();
    }

    /// Takes up again what was put aside, where a lock was released.
    fn resume(&mut self) {
        let ended = self.shared.transactions.ended();
        if std::mem::replace(&mut self.ended, ended) != ended {
            let open = &self.shared.transactions;
            self.locks.retain(|owner| open.contains(owner));
        }
        if std::mem::take(&mut self.locks.freed) {
            let parked = std::mem::take(&mut self.parked);
            self.count_parked();
            self.commit(parked);
        }
    }

    fn count_parked(&self) {
        self.shared.parked.store(self.parked.len(), Ordering::SeqCst);
    }

    fn work(&mut self, batch: Vec<Queued>) {
        let mut together = Vec::new();
        for queued in batch {
            if queued.work.is_alone() {
                self.commit(std::mem::take(&mut together));
                self.commit(vec![queued]);
                self.resume();
            } else {
                together.push(queued);
            }
        }
        self.commit(together);
        self.resume();
    }

    /// Makes these writes in one commit, and answers them.
    fn commit(&mut self, mut batch: Vec<Queued>) {
        while !batch.is_empty() {
            let shared = Arc::clone(&self.shared);
            let tried = shared
                .admit()
                .and_then(|()| shared.with(|file| self.try_commit(file, &mut batch)));
            match tried {
                Ok(Tried::Done) => return self.answer(batch),
                // One that panicked is gone from the batch; the others are made without it.
                Ok(Tried::Panicked) => {}
                Err(error) => {
                    let why = disk::cause(&error);
                    for queued in batch {
                        queued.answer(Err(DatabaseError::unavailable(why.clone())));
                    }
                    return;
                }
            }
        }
    }

    fn try_commit(&mut self, file: &redb::Database, batch: &mut Vec<Queued>) -> Result<Tried> {
        let shared = Arc::clone(&self.shared);
        let write = file.begin_write().map_err(DatabaseError::unavailable)?;
        let alone = batch.first().is_some_and(|queued| queued.work.is_alone());
        let finished = {
            let mut tables = Batch::new(&write, &shared.catalog, &shared.builds, shared.round)?;
            self.settle(tables.sequence());
            for at in 0..batch.len() {
                let Some(queued) = batch.get_mut(at).filter(|queued| queued.outcome.is_none()) else {
                    continue;
                };
                let done = catch_unwind(AssertUnwindSafe(|| {
                    write::apply(
                        &shared,
                        file,
                        &mut tables,
                        &mut self.locks,
                        &queued.work,
                        queued.turn.as_ref(),
                        &queued.bounds,
                    )
                }));
                let Ok(done) = done else {
                    tracing::error!("a write to the database panicked; it was not done");
                    let queued = batch.remove(at);
                    if let Some(turn) = &queued.turn {
                        turn.transaction.state().doom();
                        self.locks.release(turn.transaction.id);
                    }
                    queued.answer(Err(DatabaseError::unavailable(
                        "the engine failed on this operation; nothing was written",
                    )));
                    for queued in batch.iter_mut().filter(|queued| queued.goes_into_commit()) {
                        queued.outcome = None;
                    }
                    return Ok(Tried::Panicked);
                };
                if let Err(error) = &done
                    && disk::is_of_disk(error)
                {
                    return done.map(|_| Tried::Done);
                }
                queued.outcome = Some(done);
            }
            // What stands alone is done whole or not at all.
            let is_given_up = alone
                && batch.iter().any(|queued| {
                    matches!(queued.outcome, Some(Err(_))) || matches!(queued.work, Work::TryIndex(..))
                });
            if tables.dirty && !is_given_up {
                Some(tables.finish()?)
            } else {
                None
            }
        };
        match finished {
            None => {
                if let Err(error) = write.abort() {
                    tracing::warn!(%error, "a transaction of the database's file could not be given up");
                }
            }
            Some(Finished { changes, redo }) => {
                if let Err(error) = shared.disk.commit(write, redo.as_ref()) {
                    self.unsure = Some(changes);
                    return Err(error);
                }
                shared.disk.works();
                self.restless_since = Some(Instant::now());
                shared.feed.publish(changes);
            }
        }
        Ok(Tried::Done)
    }

    /// Tells the changes of a commit that was said to have failed, where the file has them.
    fn settle(&mut self, sequence: u64) {
        if let Some(changes) = self.unsure.take()
            && changes.last <= sequence
        {
            self.shared.feed.publish(changes);
        }
    }

    fn answer(&mut self, batch: Vec<Queued>) {
        for mut queued in batch {
            match queued.outcome.take() {
                Some(Ok(WriteDone::Locked)) if self.parked.len() < MOST_PARKED => {
                    queued.since.get_or_insert_with(|| self.shared.now());
                    queued.permit = None;
                    if let Some(place) = queued.place.take() {
                        place.give_back();
                    }
                    self.parked.push(queued);
                    self.count_parked();
                }
                Some(Ok(WriteDone::Locked)) => {
                    queued.answer(Err(DatabaseError::Locked));
                }
                Some(outcome) => {
                    let began = match outcome {
                        Ok(WriteDone::Began(id)) => Some(id),
                        _ => None,
                    };
                    if !queued.answer(outcome)
                        && let Some(id) = began
                    {
                        // Nobody knows of it.
                        self.shared.transactions.close(id);
                    }
                }
                None => {}
            }
        }
    }
}

/// What came of a commit.
enum Tried {
    Done,
    /// One of its writes panicked.
    Panicked,
}
