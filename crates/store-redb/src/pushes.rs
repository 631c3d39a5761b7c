//! The pushes in the file, and how many of them share one wait for the disk.
//!
//! A commit waits for the disk, and WeChat pushes to many functions at once. So a change of a push does not get a
//! transaction of its own: changes queue up while the one before is being committed, and the next transaction makes all
//! that are there by then, in the order in which they were asked for. None is answered before the commit that has it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use datafile::{Failure, WorkError, Wrote};
use redb::{ReadTransaction, ReadableTable, Table, TableDefinition, WriteTransaction};
use store::{
    Arrival, Attempt, AttemptEnd, BoxFuture, DeadBounds, DeadPage, DroppedLetters, Ended, Intake, KnownPush,
    LetterSize, Owner, PageBounds, PushState, StoreError, StoredPush,
    record::{self, KeyRecord},
};
use tokio::sync::oneshot;

use crate::{Inner, META, Redb, Work, told};

/// Open pushes, by number.
pub(crate) const OPEN: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("open_pushes");
/// The numbers of open pushes that are no dead letters, by lane and turn.
pub(crate) const LANES: TableDefinition<'_, (&str, u64), u64> = TableDefinition::new("lanes");
/// Of each dead letter, by number: the bytes of packet and error, and when it died in milliseconds since the epoch.
pub(crate) const DEAD: TableDefinition<'_, u64, (u64, u64)> = TableDefinition::new("dead_pushes");
/// What became of each push that is remembered, by its key.
pub(crate) const KNOWN: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("known_pushes");
/// In `meta`: the number or turn that was given last.
const LAST: &str = "last_push";

/// The tables within a transaction.
struct Tables<'t> {
    inner: &'t Inner,
    meta: Table<'t, &'static str, u64>,
    open: Table<'t, u64, &'static [u8]>,
    lanes: Table<'t, (&'static str, u64), u64>,
    dead: Table<'t, u64, (u64, u64)>,
    known: Table<'t, &'static str, &'static [u8]>,
    /// Whether there is anything to commit.
    changed: bool,
}

/// A change to be made with others. It is given the tables, or why there are none; what it gives back is to be told
/// whether the transaction was committed.
type Change = Box<dyn FnOnce(Result<&mut Tables<'_>, Arc<StoreError>>) -> Told + Send>;
type Told = Box<dyn FnOnce(Result<(), Arc<StoreError>>) + Send>;

/// Changes that wait for the next transaction.
#[derive(Default)]
pub(crate) struct Changes(Mutex<WaitingChanges>);

#[derive(Default)]
struct WaitingChanges {
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
    fn waiting(&self) -> MutexGuard<'_, WaitingChanges> {
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
    pub(crate) fn change_pushes<'a, T, C>(&self, change: C) -> BoxFuture<'a, Result<T, StoreError>>
    where
        T: Send + 'static,
        C: FnOnce(&mut Pushes<'_, '_>) -> Work<T> + Send + 'static,
    {
        let (answered, answer) = oneshot::channel();
        let first = self.0.changes.add(Box::new(move |tables| {
            let made = match tables {
                Ok(tables) => {
                    let inner = tables.inner;
                    change(&mut Pushes(tables)).map_err(|error| inner.told(error))
                }
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
        let mut changes = Some(changes);
        let made = self.write(|transaction| {
            let mut tables = self.tables(transaction)?;
            let changes = changes.take().into_iter().flatten();
            told.extend(changes.map(|change| change(Ok(&mut tables))));
            Ok(match tables.changed {
                true => Wrote::Changed(()),
                false => Wrote::Unchanged(()),
            })
        });
        match (made, changes) {
            (Err(error), Some(changes)) => {
                let error = Arc::new(error);
                told.extend(changes.into_iter().map(|change| change(Err(Arc::clone(&error)))));
                Ok(())
            }
            (made, _) => made,
        }
    }

    /// Why a change came to nothing that others share a transaction with.
    fn told(&self, error: WorkError<StoreError>) -> StoreError {
        told(match error {
            WorkError::Disk(error) => Failure::File(self.file.failed(error)),
            WorkError::Own(error) => Failure::Own(error),
        })
    }

    fn tables<'t>(&'t self, transaction: &'t WriteTransaction) -> Work<Tables<'t>> {
        Ok(Tables {
            inner: self,
            meta: transaction.open_table(META)?,
            open: transaction.open_table(OPEN)?,
            lanes: transaction.open_table(LANES)?,
            dead: transaction.open_table(DEAD)?,
            known: transaction.open_table(KNOWN)?,
            changed: false,
        })
    }

    /// The push of a record. A lease that no living node has does not count.
    fn to_push(&self, id: u64, bytes: &[u8]) -> Work<StoredPush> {
        let mut push = record::to_push(id, bytes).map_err(WorkError::Own)?;
        if let PushState::Running(lease) = &push.state
            && !self.owners().contains(&lease.owner)
        {
            push.state = PushState::Waiting { due: push.taken_at };
        }
        Ok(push)
    }

    fn owners(&self) -> MutexGuard<'_, std::collections::HashSet<Owner>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_push(&self, open: &impl ReadableTable<u64, &'static [u8]>, id: u64) -> Work<Option<StoredPush>> {
        let record = open.get(id)?;
        record.map(|record| self.to_push(id, record.value())).transpose()
    }

    fn known_push(
        &self,
        known: &impl ReadableTable<&'static str, &'static [u8]>,
        open: &impl ReadableTable<u64, &'static [u8]>,
        key: &str,
    ) -> Work<Option<KnownPush>> {
        let Some(record) = known.get(key)? else {
            return Ok(None);
        };
        let known = record::to_key(record.value()).map_err(WorkError::Own)?;
        if known.done_at.is_some() {
            return Ok(Some(KnownPush::Done { answer: known.answer }));
        }
        let push = self.open_push(open, known.id)?;
        Ok(push.map(|push| KnownPush::Open(Box::new(push))))
    }

    /// The number of the first push of a lane.
    fn first_id(
        &self,
        lanes: &impl ReadableTable<(&'static str, u64), u64>,
        lane: &str,
    ) -> Work<Option<u64>> {
        let mut range = lanes.range((lane, 0)..=(lane, u64::MAX))?;
        let first = range.next().transpose()?;
        Ok(first.map(|(_, id)| id.value()))
    }

    /// All dead letters, the newest first.
    fn letters(&self, dead: &impl ReadableTable<u64, (u64, u64)>) -> Work<Vec<LetterSize>> {
        let rows = dead.iter()?;
        rows.rev()
            .map(|row| {
                let (id, letter) = row?;
                let (bytes, died_at) = letter.value();
                Ok(LetterSize {
                    id: id.value(),
                    bytes,
                    died_at: record::time(died_at),
                })
            })
            .collect()
    }

    fn read_open<T>(
        &self,
        work: impl FnOnce(&ReadTransaction, &redb::ReadOnlyTable<u64, &'static [u8]>) -> Work<T>,
    ) -> Result<T, StoreError> {
        self.read(|transaction| {
            let open = transaction.open_table(OPEN)?;
            work(transaction, &open)
        })
    }

    pub(crate) fn find_push(&self, key: &str) -> Result<Option<KnownPush>, StoreError> {
        self.read_open(|transaction, open| {
            let known = transaction.open_table(KNOWN)?;
            self.known_push(&known, open, key)
        })
    }

    pub(crate) fn first_push(&self, lane: &str) -> Result<Option<StoredPush>, StoreError> {
        self.read_open(|transaction, open| {
            let lanes = transaction.open_table(LANES)?;
            match self.first_id(&lanes, lane)? {
                Some(id) => self.open_push(open, id),
                None => Ok(None),
            }
        })
    }

    pub(crate) fn free_lanes(&self, now: SystemTime, most: usize) -> Result<Vec<String>, StoreError> {
        self.read_open(|transaction, open| {
            let lanes = transaction.open_table(LANES)?;
            let mut free: Vec<String> = Vec::new();
            let mut looked_at: Option<String> = None;
            for row in lanes.iter()? {
                let (place, id) = row?;
                let (lane, _) = place.value();
                if looked_at.as_deref() == Some(lane) {
                    continue;
                }
                looked_at = Some(lane.to_owned());
                if self
                    .open_push(open, id.value())?
                    .is_some_and(|push| push.is_due(now))
                {
                    free.push(lane.to_owned());
                    if free.len() >= most {
                        break;
                    }
                }
            }
            Ok(free)
        })
    }

    pub(crate) fn dead_pushes(&self, bounds: PageBounds) -> Result<DeadPage, StoreError> {
        self.read_open(|transaction, open| {
            let dead = transaction.open_table(DEAD)?;
            let (ids, mut page) = bounds.pick(self.letters(&dead)?.into_iter());
            for id in ids {
                page.letters.extend(self.open_push(open, id)?);
            }
            Ok(page)
        })
    }
}

/// The pushes within a transaction. Each method reads and judges before it writes, so that one that fails has changed
/// nothing.
pub(crate) struct Pushes<'a, 't>(&'a mut Tables<'t>);

impl Pushes<'_, '_> {
    pub(crate) fn take(&mut self, arrival: Arrival<'_>, now: SystemTime) -> Work<Intake> {
        let inner = self.0.inner;
        if let Some(known) = inner.known_push(&self.0.known, &self.0.open, arrival.key)? {
            return Ok(Intake::Known(known));
        }
        let id = self.next()?;
        let push = StoredPush::new(id, arrival, now);
        self.put_known(
            &push.key,
            &KeyRecord {
                id,
                done_at: None,
                answer: None,
            },
        )?;
        self.put_open(&push)?;
        self.enter(&push)?;
        Ok(Intake::New(id))
    }

    pub(crate) fn begin(
        &mut self,
        id: u64,
        owner: &Owner,
        now: SystemTime,
        term: Duration,
    ) -> Work<Option<Attempt>> {
        let Some(mut push) = self.open(id)? else {
            return Ok(None);
        };
        if self.0.inner.first_id(&self.0.lanes, &push.lane)? != Some(id) {
            return Ok(None);
        }
        let attempt = push.begin(owner, now, term);
        if attempt.is_some() {
            self.put_open(&push)?;
            self.0.inner.owners().insert(owner.clone());
        }
        Ok(attempt)
    }

    pub(crate) fn renew(&mut self, attempt: &Attempt, now: SystemTime, term: Duration) -> Work<bool> {
        let Some(mut push) = self.open(attempt.push)? else {
            return Ok(false);
        };
        let renewed = push.renew(attempt, now, term);
        if renewed {
            self.put_open(&push)?;
        }
        Ok(renewed)
    }

    pub(crate) fn end(&mut self, attempt: &Attempt, ended: Ended, now: SystemTime) -> Work<bool> {
        let Some(mut push) = self.open(attempt.push)? else {
            return Ok(false);
        };
        match push.end(attempt, ended, now) {
            AttemptEnd::Lost => return Ok(false),
            AttemptEnd::Done { answer } => self.close(&push, answer, now)?,
            AttemptEnd::Open => {
                self.put_open(&push)?;
                if let Some(letter) = LetterSize::of(&push) {
                    self.leave(&push)?;
                    self.0
                        .dead
                        .insert(push.id, (letter.bytes, record::millis(letter.died_at)))?;
                }
            }
        }
        Ok(true)
    }

    pub(crate) fn revive(&mut self, id: u64, afresh: bool, now: SystemTime) -> Work<Option<StoredPush>> {
        let Some(mut push) = self.open(id)?.filter(|push| push.death().is_some()) else {
            return Ok(None);
        };
        push.revive(self.next()?, afresh, now);
        self.put_open(&push)?;
        self.bury(id)?;
        self.enter(&push)?;
        Ok(Some(push))
    }

    pub(crate) fn dismiss(&mut self, id: u64, now: SystemTime) -> Work<bool> {
        match self.open(id)? {
            Some(push) if push.death().is_some() => self.close(&push, None, now).map(|()| true),
            _ => Ok(false),
        }
    }

    pub(crate) fn drop_dead(&mut self, bounds: DeadBounds) -> Work<DroppedLetters> {
        let inner = self.0.inner;
        let (going, dropped) = bounds.judge(inner.letters(&self.0.dead)?.into_iter());
        for id in going {
            let push = self.open(id)?;
            self.bury(id)?;
            self.0.open.remove(id)?;
            if let Some(push) = push {
                self.0.known.remove(push.key.as_str())?;
            }
        }
        Ok(dropped)
    }

    pub(crate) fn forget(&mut self, done_before: SystemTime) -> Work<usize> {
        let done_before = record::millis(done_before);
        let mut dropped = 0;
        self.0.known.retain(|_, bytes| {
            // A record that cannot be read is left for the one who looks into it.
            let done_at = record::to_key(bytes).ok().and_then(|known| known.done_at);
            let keep = done_at.is_none_or(|at| at >= done_before);
            dropped += usize::from(!keep);
            keep
        })?;
        self.0.changed |= dropped > 0;
        Ok(dropped)
    }

    /// The next number or turn.
    fn next(&mut self) -> Work<u64> {
        let last = self.0.meta.get(LAST)?;
        let next = last.map_or(0, |last| last.value()) + 1;
        self.0.meta.insert(LAST, next)?;
        self.0.changed = true;
        Ok(next)
    }

    fn open(&self, id: u64) -> Work<Option<StoredPush>> {
        self.0.inner.open_push(&self.0.open, id)
    }

    fn put_open(&mut self, push: &StoredPush) -> Work<()> {
        let record = record::of_push(push).map_err(WorkError::Own)?;
        self.0.open.insert(push.id, record.as_slice())?;
        self.0.changed = true;
        Ok(())
    }

    fn put_known(&mut self, key: &str, known: &KeyRecord) -> Work<()> {
        let record = record::of_key(known).map_err(WorkError::Own)?;
        self.0.known.insert(key, record.as_slice())?;
        self.0.changed = true;
        Ok(())
    }

    /// Puts a push at its place in its lane.
    fn enter(&mut self, push: &StoredPush) -> Work<()> {
        self.0.lanes.insert((push.lane.as_str(), push.turn), push.id)?;
        Ok(())
    }

    /// Takes it out.
    fn leave(&mut self, push: &StoredPush) -> Work<()> {
        self.0.lanes.remove((push.lane.as_str(), push.turn))?;
        Ok(())
    }

    /// Takes a push out of the dead letters.
    fn bury(&mut self, id: u64) -> Work<()> {
        self.0.changed = true;
        self.0.dead.remove(id)?;
        Ok(())
    }

    /// Leaves of a push its key and answer.
    fn close(&mut self, push: &StoredPush, answer: Option<String>, now: SystemTime) -> Work<()> {
        let known = KeyRecord {
            id: push.id,
            done_at: Some(record::millis(now)),
            answer,
        };
        self.put_known(&push.key, &known)?;
        self.leave(push)?;
        self.bury(push.id)?;
        self.0.open.remove(push.id)?;
        Ok(())
    }
}
