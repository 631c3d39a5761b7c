//! Commits that are written in a row.
//!
//! redb writes a commit as some twenty pages all over its file, and waits until the disk has each of them. So a commit of a file that
//! has a journal is first written there: as what it changes ([`Redo`]), in one write behind the last one, which is waited for.
//! redb has the commit in its memory then, and may write pages of it whenever it likes; for whoever opens the file after a crash
//! they do not count. From time to time, when the journal is full, when the file is put to rest and when it is closed, a commit is made
//! that redb itself waits for. The file has everything then, and the journal begins anew.
//!
//! A commit that is too large for the journal is made in that way at once, and so is one for which the journal finds no room on the disk.
//!
//! | a crash comes | and leaves |
//! |---|---|
//! | while a commit is written into the journal | a record that is not whole: the commit was not |
//! | later | the file as redb last waited for it, and the journal with what came since: it is done once more |
//! | when redb has waited for it, and the journal has not begun anew | the journal of the generation before, of which the file has everything |
//!
//! The file says which generation of the journal belongs to it, and how far it had come with the one before. Another journal beside it is
//! refused. So the journal never begins with a record of a third one: before a generation follows one that may have nothing in it, the
//! journal is emptied. The file is whole without its journal; it lacks what came last.
//!
//! After a sync that failed nobody knows what the disk has, and what is read shows it as if it had everything. Only a file that was
//! opened for writing since, and synced by that, says which generation is its own.

mod record;

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase as _, TableDefinition, TableError,
    WriteTransaction,
};

use self::record::RecordRun;
use crate::{
    Backend, Cause, Redo, RedoSteps, Replay, WorkError,
    file::{OpenBackend, sync_folder},
    panics,
    trial::NO_PAGE,
};

/// Which journal is the file's.
const STATE: TableDefinition<'_, &str, u128> = TableDefinition::new("journal");
/// In it: the generation that belongs to the file as it is.
const GENERATION: &str = "generation";
/// The one before, of which the file has everything.
const BEFORE: &str = "before";
/// How many records that had.
const BEFORE_RECORDS: &str = "records before";

/// Bytes that a journal has at most.
pub(crate) const ROOM: u64 = 16 << 20;
/// Bytes by which its file grows. They are written with zeros once and written over from then on: where a file grows, a commit takes the disk
/// twice as long.
const PIECE: u64 = 1 << 20;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum JournalError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("what stands in the place of its journal is no file")]
    NotAFile,
    #[error("its journal is damaged")]
    Damaged,
    #[error("the journal beside it belongs to another file, or to another state of it")]
    Foreign,
    #[error("what its journal has cannot be done again")]
    Redo(#[source] Cause),
}

/// What a file says of its journal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stated {
    generation: Option<u128>,
    /// With the number of its records.
    before: Option<(u128, u32)>,
}

impl Stated {
    /// What the file says.
    ///
    /// # Errors
    /// Of the disk.
    pub(crate) fn read(transaction: &ReadTransaction) -> Result<Self, redb::Error> {
        let table = match transaction.open_table(STATE) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let number = |name| -> Result<_, redb::Error> { Ok(table.get(name)?.map(|number| number.value())) };
        let records = number(BEFORE_RECORDS)?.and_then(|records| u32::try_from(records).ok());
        Ok(Self {
            generation: number(GENERATION)?,
            before: number(BEFORE)?.zip(records),
        })
    }

    fn write(self, transaction: &WriteTransaction) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(STATE)?;
        let before = self.before.map(|(before, records)| (before, u128::from(records)));
        for (name, number) in [
            (GENERATION, self.generation),
            (BEFORE, before.map(|(before, _)| before)),
            (BEFORE_RECORDS, before.map(|(_, records)| records)),
        ] {
            match number {
                Some(number) => drop(table.insert(name, number)?),
                None => drop(table.remove(name)?),
            }
        }
        Ok(())
    }
}

/// What a file was opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpenedFor {
    /// redb has written and synced it.
    Writing,
    /// What it says may not be on the disk.
    Reading,
}

/// Makes the journal's file.
type CreateLog = Box<dyn Fn() -> io::Result<Backend> + Send + Sync>;

/// The journal of a file.
pub(crate) struct Journal {
    path: PathBuf,
    create: CreateLog,
    replay: Replay,
    room: u64,
    state: Mutex<State>,
}

struct State {
    /// `None` before there is a file.
    log: Option<Backend>,
    /// What its records belong to.
    generation: Option<u128>,
    /// Whether records may be written: not before the file has named a generation since it was opened.
    is_begun: bool,
    /// The records that there are.
    found: RecordRun,
    /// Whether behind them may be one of a commit that was not.
    is_doubtful: bool,
    /// Whether the disk surely has it without any record.
    is_empty: bool,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// The journal in that place, whether it is there or not. Changes nothing.
    ///
    /// # Errors
    /// Of the disk; where something else stands there.
    pub(crate) fn new(
        path: PathBuf,
        open: OpenBackend,
        replay: Replay,
        room: u64,
    ) -> Result<Self, JournalError> {
        // What a repository brings along may be a link to what is somebody else's.
        let log = match fs::symlink_metadata(&path) {
            Ok(there) if !there.is_file() => return Err(JournalError::NotAFile),
            Ok(_) => {
                let file = OpenOptions::new().read(true).write(true).open(&path)?;
                Some(backend(&open, file)?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let place = path.clone();
        let create = move || {
            let file = OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&place)?;
            let made = sync_folder(&place).and_then(|()| backend(&open, file));
            if made.is_err() {
                // Or it would be in the way of the next one.
                let _ = fs::remove_file(&place);
            }
            made
        };
        Ok(Self::on(log, path, Box::new(create), replay, room))
    }

    fn on(log: Option<Backend>, path: PathBuf, create: CreateLog, replay: Replay, room: u64) -> Self {
        Self {
            path,
            create,
            replay,
            room,
            state: Mutex::new(State {
                is_empty: log.is_none(),
                log,
                generation: None,
                is_begun: false,
                found: RecordRun::default(),
                is_doubtful: false,
            }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it belongs to a file that says this; if so, [`redo`](Self::redo) does what it has.
    ///
    /// # Errors
    /// Of the disk; or it is damaged, or not this file's. Both files are left as they are.
    pub(crate) fn judge(&self, stated: Stated) -> Result<(), JournalError> {
        let mut state = self.state();
        let found = match &state.log {
            Some(log) => Self::judged(log, stated)?,
            None => RecordRun::default(),
        };
        state.take(stated, found);
        Ok(())
    }

    /// The records that are such a file's.
    fn judged(log: &Backend, stated: Stated) -> Result<RecordRun, JournalError> {
        let first = record::first(&**log)?;
        let found = match stated.generation {
            Some(generation) => {
                let found = record::read(&**log, generation, u32::MAX, |_| Ok(()))?;
                // A record is written when the one before it is on the disk.
                if record::has_later(&**log, (generation, found.records), found.end)? {
                    return Err(JournalError::Damaged);
                }
                found
            }
            None => RecordRun::default(),
        };
        if let Some(first) = first.filter(|first| Some(*first) != stated.generation) {
            match stated.before {
                Some((before, records)) if before == first => {
                    if record::has_later(&**log, (before, records), 0)? {
                        return Err(JournalError::Foreign);
                    }
                }
                _ => return Err(JournalError::Foreign),
            }
        }
        Ok(found)
    }

    /// Whether there is a file.
    pub(crate) fn is_there(&self) -> bool {
        self.state().log.is_some()
    }

    /// Whether there is something in it, for a file that is new.
    ///
    /// # Errors
    /// Of the disk.
    pub(crate) fn is_left(&self) -> io::Result<bool> {
        let state = self.state();
        match state.log.as_ref().map(|log| record::first(&**log)).transpose() {
            Ok(first) => Ok(first.flatten().is_some()),
            Err(JournalError::Io(error)) => Err(error),
            Err(_) => Ok(true),
        }
    }

    /// Does what it has once more, in a file that was just opened. It is in redb's memory then, as it was before.
    ///
    /// # Errors
    /// Of the disk; or the changes cannot be done, or the file is in another state than the journal's.
    pub(crate) fn redo(&self, database: &Database, opened: OpenedFor) -> Result<(), JournalError> {
        let io = |error: redb::Error| match error {
            redb::Error::Io(error) => JournalError::Io(error),
            error => JournalError::Redo(error.into()),
        };
        let read = database.begin_read().map_err(|error| io(error.into()))?;
        let stated = Stated::read(&read).map_err(io)?;
        drop(read);
        let mut state = self.state();
        let Some(log) = state.log.clone() else {
            if opened == OpenedFor::Writing && stated.generation != state.generation {
                state.take(stated, RecordRun::default());
            }
            return Ok(());
        };
        let found = match stated.generation == state.generation {
            true => state.found,
            // The disk failed as a new one was begun, and may have it all the same.
            false => Self::judged(&log, stated)?,
        };
        if opened == OpenedFor::Writing {
            if stated.generation != state.generation {
                state.take(stated, found);
            }
            state.forget_doubtful(&log);
        }
        let Some(generation) = stated.generation.filter(|_| found.records > 0) else {
            return Ok(());
        };
        let done = panics::caught(|| {
            let mut write = database.begin_write().map_err(|error| io(error.into()))?;
            write
                .set_durability(Durability::None)
                .map_err(|error| JournalError::Redo(error.into()))?;
            let read = record::read(&*log, generation, found.records, |change| {
                (self.replay)(&write, RedoSteps::new(change)).map_err(|error| match error {
                    WorkError::Disk(error) => io(error),
                    WorkError::Own(error) => JournalError::Redo(error.into()),
                })
            })?;
            if read.records < found.records {
                return Err(JournalError::Damaged);
            }
            write.commit().map_err(|error| io(error.into()))
        });
        done.unwrap_or_else(|_| Err(JournalError::Redo(NO_PAGE.into())))
    }

    /// Makes the commit. What it changes is on the disk when this returns.
    ///
    /// # Errors
    /// Of the disk; then it is there as a whole or not at all.
    pub(crate) fn commit(&self, mut write: WriteTransaction, redo: Option<&Redo>) -> Result<(), redb::Error> {
        let mut state = self.state();
        let appended = match redo.and_then(Redo::bytes) {
            Some(change) => self.append(&mut state, change),
            None => Ok(None),
        };
        match appended {
            Ok(Some(end)) => {
                write.set_durability(Durability::None)?;
                let committed = write.commit();
                if committed.is_ok() {
                    state.found = end;
                    state.is_doubtful = false;
                }
                return Ok(committed?);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "the journal cannot be written; it is done without");
            }
        }
        // Whoever opens the file after a crash need not read all of it.
        write.set_quick_repair(true);
        let records = state.found.records + u32::from(state.is_doubtful);
        if state.is_begun && records == 0 {
            return Ok(write.commit()?);
        }
        if state.found.records == 0 {
            // The file has all of it, and is about to forget whose it was.
            state.empty()?;
        }
        let next = Stated {
            generation: Some(rand::random()),
            before: state.generation.map(|before| (before, records)),
        };
        next.write(&write)?;
        write.commit()?;
        state.begin(next.generation);
        Ok(())
    }

    /// Writes a record, and returns when the disk has it: what there is with it; it is doubtful until its commit is made. `None` where there
    /// is no room.
    fn append(&self, state: &mut State, change: &[u8]) -> io::Result<Option<RecordRun>> {
        let RecordRun { records, end: at } = state.found;
        let end = at + record::length(change.len());
        let Some(generation) = state.generation.filter(|_| state.is_begun && end <= self.room) else {
            return Ok(None);
        };
        let log = match &state.log {
            Some(log) => Backend::clone(log),
            None => Backend::clone(state.log.insert((self.create)()?)),
        };
        let there = log.len()?;
        if there < end {
            let length = end.next_multiple_of(PIECE).min(self.room);
            log.set_len(length)?;
            let zeros = vec![0; usize::try_from(length - there).unwrap_or_default()];
            if let Err(error) = log.write(there, &zeros) {
                // What is not there yet is written with zeros the next time.
                log.set_len(there)?;
                return Err(error);
            }
            if there == 0 {
                // Some file systems show anything where they did not come to write.
                log.sync_data()?;
            }
        }
        state.is_doubtful = true;
        state.is_empty = false;
        log.write(at, &record::write((generation, records), change))?;
        log.sync_data()?;
        Ok(Some(RecordRun {
            records: records + 1,
            end,
        }))
    }

    /// Whether there is anything that the file needs it for.
    pub(crate) fn is_needed(&self) -> bool {
        self.state().found.records > 0
    }

    /// Has the file have everything.
    ///
    /// # Errors
    /// Of the disk.
    pub(crate) fn settle(&self, database: &Database) -> Result<(), redb::Error> {
        match self.is_needed() {
            true => self.commit(database.begin_write()?, None),
            false => Ok(()),
        }
    }

    /// Deletes it, where the file has everything. It is empty before: nobody waits for the folder, so a power cut may bring it back.
    pub(crate) fn delete(&self) {
        let mut state = self.state();
        if state.found.records == 0 && state.log.is_some() && state.empty().is_ok() {
            state.log = None;
            // It does no harm.
            let _ = fs::remove_file(&self.path);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Begins anew, as the file has everything that was.
    fn begin(&mut self, generation: Option<u128>) {
        self.generation = generation;
        self.is_begun = generation.is_some();
        self.found = RecordRun::default();
        self.is_doubtful = false;
    }

    /// Takes what was found for a file that was opened. A new generation follows with the next commit: a copy of the file may have gone on
    /// with a journal of its own, and that tells them apart.
    fn take(&mut self, stated: Stated, found: RecordRun) {
        self.generation = stated.generation;
        self.is_begun = false;
        self.found = found;
        self.is_doubtful = false;
    }

    /// Empties the file, of which nobody needs anything.
    fn empty(&mut self) -> io::Result<()> {
        if let Some(log) = self.log.as_ref().filter(|_| !self.is_empty) {
            log.set_len(0)?;
            log.sync_data()?;
        }
        self.is_empty = true;
        Ok(())
    }

    /// Writes over a record of a commit that was not, if there may be one: who was told that it failed shall not find it after a crash.
    fn forget_doubtful(&mut self, log: &Backend) {
        let at = self.found.end;
        let over = |log: &Backend| {
            if log.len()? >= at + record::BLOCK {
                log.write(at, &[0; record::BLOCK as usize])?;
                log.sync_data()?;
            }
            Ok::<_, io::Error>(())
        };
        if self.is_doubtful {
            match over(log) {
                Ok(()) => self.is_doubtful = false,
                Err(error) => tracing::debug!(%error, "the journal cannot be written"),
            }
        }
    }
}

fn backend(open: &OpenBackend, file: File) -> io::Result<Backend> {
    open(file).map_err(|error| match error {
        redb::DatabaseError::Storage(redb::StorageError::Io(error)) => error,
        error => io::Error::other(error),
    })
}

#[cfg(test)]
mod tests;
