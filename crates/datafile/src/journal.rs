//! Commits that are written in a row.
//!
//! redb writes a commit as a dozen pages all over its file and waits until the disk has each of them; in a row the disk takes
//! them several times as quickly. So the pages of a commit are appended to a journal beside the file, which is waited for, and
//! kept in memory. They go to their places in the file when the journal is full, when the file is put to rest, and when it is
//! closed; then the journal is empty. After a crash the journal is read again, and things are as they were.
//!
//! A commit that is too large for the journal goes to its places at once, as without one. Before that is whole, a crash takes the
//! file back to the commit before: redb writes over nothing that its last commit needs, the head of the file excepted, which the
//! journal has. A journal that finds no room is no fault for the same reason.
//!
//! | a crash comes | and leaves |
//! |---|---|
//! | while a commit is appended | a record that is not whole: the commit was not |
//! | while pages go to their places | the journal, which has all of them |
//! | when they are there, and the journal is not emptied | the same |
//!
//! The journal says which head the file may have. Beside another file it is refused: its pages would make nonsense of that one.

mod record;

use std::{
    collections::BTreeMap,
    io, mem,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use redb::StorageBackend;

use self::record::{Found, Head};
use crate::{
    Backend,
    blocks::{BLOCK, STEP, parts},
};

type Block = Box<[u8; BLOCK]>;

/// How much a journal takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Bytes of its file.
    pub(crate) file: u64,
    /// Blocks of one commit that are kept in memory before it is whole.
    pub(crate) commit: usize,
}

impl Room {
    /// Some two hundred small commits, and one of a thousand documents.
    pub(crate) const USUAL: Self = Self {
        file: 16 << 20,
        commit: 1024,
    };
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum JournalError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("its journal is damaged")]
    Damaged,
    #[error("the journal beside it belongs to another file, or to another state of this one")]
    Foreign,
}

/// A file of redb's with its journal.
#[derive(Debug)]
pub(crate) struct Journal {
    /// Whoever changes anything holds it.
    log: Mutex<Log>,
    kept: RwLock<Kept>,
    file: Backend,
    room: Room,
}

/// The journal's own file.
#[derive(Debug)]
struct Log {
    file: Backend,
    /// A new file is made without it, since before the first commit there is nothing to go back to; and while a file is only
    /// looked at, both stay as they are.
    is_used: bool,
    /// Whether what is written may wait for the next commit.
    is_lenient: bool,
    /// Its head, as it is on the disk; `None` before there is one.
    head: Option<Head>,
    /// Whether a record of this generation may be on the disk.
    is_filled: bool,
    /// Records of this generation that are.
    records: u32,
    /// Where the next one begins.
    end: u64,
}

/// What is not, or may not be, in its place in the file.
#[derive(Debug, Default)]
struct Kept {
    /// What the journal has.
    blocks: BTreeMap<u64, Block>,
    /// What nothing has: the commit in the making.
    pending: BTreeMap<u64, Block>,
    /// Blocks of the commit in the making went to the file, which has not been waited for.
    is_spilled: bool,
    /// Of the file.
    length: u64,
}

impl Journal {
    /// Takes up what the journal holds. Changes nothing of the file but its length, where that had not reached the disk; what is
    /// to be written comes after [`begin`](Self::begin).
    ///
    /// # Errors
    /// Of the disk; or the journal is damaged, or not this file's. Both files are left as they are.
    pub(crate) fn open(file: Backend, log: Backend, room: Room) -> Result<Self, JournalError> {
        let mut kept = Kept {
            length: file.len()?,
            ..Kept::default()
        };
        let Found { head, records, end } = record::read(&*log, |record| {
            kept.length = kept.length.max(record.length);
            kept.blocks.extend(record.blocks);
        })?;
        if records > 0 {
            let head = head.as_ref().ok_or(JournalError::Damaged)?;
            if !head.allows(head_of(&*file)?) {
                return Err(JournalError::Foreign);
            }
            if file.len()? < kept.length {
                file.set_len(kept.length)?;
            }
        }
        Ok(Self {
            log: Mutex::new(Log {
                file: log,
                is_used: false,
                is_lenient: false,
                head,
                is_filled: records > 0,
                records,
                end,
            }),
            kept: RwLock::new(kept),
            file,
            room,
        })
    }

    /// For a file that is made: nothing goes to the journal before [`begin`](Self::begin).
    ///
    /// # Errors
    /// Of the disk; or there is a journal with something in it, whose file is not here. It is left as it is.
    pub(crate) fn new(file: Backend, log: Backend, room: Room) -> Result<Self, JournalError> {
        match record::read(&*log, |_| {}) {
            Ok(found) if found.records == 0 => log.set_len(0)?,
            Ok(_) | Err(JournalError::Damaged) => return Err(JournalError::Foreign),
            Err(error) => return Err(error),
        }
        let kept = Kept {
            length: file.len()?,
            ..Kept::default()
        };
        Ok(Self {
            log: Mutex::new(Log {
                file: log,
                is_used: false,
                is_lenient: false,
                head: None,
                is_filled: false,
                records: 0,
                end: STEP,
            }),
            kept: RwLock::new(kept),
            file,
            room,
        })
    }

    /// From now on commits go to the journal.
    pub(crate) fn begin(&self) {
        self.log().is_used = true;
    }

    /// While `open` opens the file again after an error, what it writes need not reach a disk that is full: it is only what redb
    /// notes about the opening, and is done anew the next time. So the file can be read meanwhile.
    pub(crate) fn opened_again<T>(&self, open: impl FnOnce() -> T) -> T {
        self.log().is_lenient = true;
        let opened = open();
        self.log().is_lenient = false;
        opened
    }

    /// Brings everything to its place in the file.
    ///
    /// # Errors
    /// Of the disk; then the journal still has it.
    pub(crate) fn settle(&self) -> io::Result<()> {
        self.settle_with(&mut self.log())
    }

    fn settle_with(&self, log: &mut Log) -> io::Result<()> {
        if !log.is_filled && self.kept().has_nothing_to_place() {
            return Ok(());
        }
        self.place_pages(log)?;
        self.place_head(log)
    }

    /// Brings everything but the head of the file to its place.
    fn place_pages(&self, log: &mut Log) -> io::Result<()> {
        self.place(|number| number != 0)?;
        if !log.is_filled {
            return Ok(());
        }
        self.file.sync_data()?;
        // The journal knows the head before the file has it: it is how a journal is told to be this file's.
        let head = self
            .kept()
            .newest(0)
            .map(|head| record::checksum_of_head(&head[..]));
        head.map_or(Ok(()), |head| log.allow(head))
    }

    /// Then the head, and empties the journal.
    fn place_head(&self, log: &mut Log) -> io::Result<()> {
        let head = self.kept().newest(0).cloned();
        if let Some(head) = head {
            self.file.write(0, &head[..])?;
        }
        self.file.sync_data()?;
        if log.is_filled {
            log.empty(head_of(&*self.file)?)?;
        }
        let mut kept = self.kept_mut();
        kept.blocks.clear();
        kept.pending.clear();
        kept.is_spilled = false;
        Ok(())
    }

    /// Has the blocks of a commit that is large go to their places while it is made.
    fn spill(&self) -> io::Result<()> {
        // Before it is done: what is there of it when the disk fails has not been waited for.
        self.kept_mut().is_spilled = true;
        let spilled: Vec<u64> = self
            .kept()
            .pending
            .keys()
            .copied()
            .filter(|number| *number != 0)
            .collect();
        self.place(|number| spilled.binary_search(&number).is_ok())?;
        let mut kept = self.kept_mut();
        for number in spilled {
            kept.blocks.remove(&number);
            kept.pending.remove(&number);
        }
        Ok(())
    }

    /// Writes these blocks to the file, those in a row together. Whoever reads meanwhile goes on.
    fn place(&self, is_meant: impl Fn(u64) -> bool) -> io::Result<()> {
        /// Bytes that are written together at most.
        const MOST: usize = 1 << 20;
        let kept = self.kept();
        let mut row = Vec::new();
        let mut begin = 0;
        let newest: BTreeMap<u64, &Block> = kept
            .blocks
            .iter()
            .chain(&kept.pending)
            .map(|(n, b)| (*n, b))
            .collect();
        for (number, block) in newest.into_iter().filter(|(number, _)| is_meant(*number)) {
            let follows = number * STEP == begin + row.len() as u64;
            if !row.is_empty() && (!follows || row.len() >= MOST) {
                self.file.write(begin, &row)?;
                row.clear();
            }
            if row.is_empty() {
                begin = number * STEP;
            }
            row.extend_from_slice(&block[..]);
        }
        if !row.is_empty() {
            self.file.write(begin, &row)?;
        }
        Ok(())
    }

    fn append_pending(&self, log: &mut Log) -> io::Result<()> {
        log.prepare(&*self.file)?;
        let generation = log.head.as_ref().map_or(0, Head::generation);
        let record = {
            let kept = self.kept();
            let blocks = kept.pending.iter().map(|(number, block)| (*number, &block[..]));
            record::write((generation, log.records), kept.length, blocks)
        };
        log.append(&record)
    }

    /// A block to be written into; what the file has counts only where it `is_needed`.
    fn block_of_file(&self, number: u64, is_needed: bool) -> io::Result<Block> {
        let mut block = Box::new([0; BLOCK]);
        if is_needed {
            let begin = number * STEP;
            let there = self.file.len()?.saturating_sub(begin).min(STEP);
            let there = block.get_mut(..usize::try_from(there).unwrap_or(BLOCK));
            if let Some(there) = there.filter(|there| !there.is_empty()) {
                self.file.read(begin, there)?;
            }
        }
        Ok(block)
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept_mut(&self) -> RwLockWriteGuard<'_, Kept> {
        self.kept.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// A block as it is to be, where that is not in the file.
    fn newest(&self, number: u64) -> Option<&Block> {
        self.pending.get(&number).or_else(|| self.blocks.get(&number))
    }

    fn has_nothing_to_place(&self) -> bool {
        self.blocks.is_empty() && self.pending.is_empty() && !self.is_spilled
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.log().is_used {
            return;
        }
        let settled = self.settle().and_then(|()| self.log().file.set_len(0));
        if let Err(error) = settled {
            tracing::warn!(%error, "the journal is not empty; it is taken up when the file is opened");
        }
    }
}

impl Log {
    /// Has the journal know the head that the file has, before the first record.
    fn prepare(&mut self, file: &dyn StorageBackend) -> io::Result<()> {
        if self.is_filled {
            return Ok(());
        }
        // It may be another one than when the journal was emptied.
        let head = head_of(file)?;
        match &self.head {
            Some(known) if known.allows(head) => Ok(()),
            _ => self.empty(head),
        }
    }

    /// Appends a record, and returns when the disk has it.
    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let end = self.end + record.len() as u64;
        if self.file.len()? < end {
            self.file.set_len(end)?;
        }
        self.is_filled = true;
        self.file.write(self.end, record)?;
        self.file.sync_data()?;
        self.records += 1;
        self.end = end;
        Ok(())
    }

    /// Begins a new generation, in which no record of the one before counts.
    fn empty(&mut self, head_of_file: u32) -> io::Result<()> {
        self.write_head(Head::new(head_of_file))?;
        (self.is_filled, self.records, self.end) = (false, 0, STEP);
        Ok(())
    }

    /// The file may have this head from now on.
    fn allow(&mut self, head_of_file: u32) -> io::Result<()> {
        match &self.head {
            Some(head) if !head.allows(head_of_file) => self.write_head(head.with(head_of_file)),
            _ => Ok(()),
        }
    }

    fn write_head(&mut self, head: Head) -> io::Result<()> {
        if self.file.len()? < STEP {
            self.file.set_len(STEP)?;
        }
        self.file.write(0, &head.to_bytes())?;
        self.file.sync_data()?;
        self.head = Some(head);
        Ok(())
    }
}

/// Whether a disk, or a quota, or a limit of the process takes no more.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// By what the beginning of a file is known again; what is behind the end counts as zero.
fn head_of(file: &dyn StorageBackend) -> io::Result<u32> {
    let mut head = [0; BLOCK];
    let there = usize::try_from(file.len()?).map_or(BLOCK, |length| length.min(BLOCK));
    if let Some(head) = head.get_mut(..there).filter(|head| !head.is_empty()) {
        file.read(0, head)?;
    }
    Ok(record::checksum_of_head(&head))
}

impl StorageBackend for Journal {
    fn len(&self) -> io::Result<u64> {
        Ok(self.kept().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let mut here = Vec::new();
        {
            let kept = self.kept();
            if offset.saturating_add(out.len() as u64) > kept.length {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut missing = false;
            for (number, within, range) in parts(offset, out.len()) {
                match kept.newest(number) {
                    Some(block) => here.push((range.clone(), block[within..within + range.len()].to_vec())),
                    None => missing = true,
                }
            }
            if missing && here.is_empty() {
                drop(kept);
                return self.file.read(offset, out);
            }
            drop(kept);
            if missing {
                self.file.read(offset, out)?;
            }
        }
        // What was found here counts: the file may have got it only since.
        for (range, bytes) in here {
            if let Some(out) = out.get_mut(range) {
                out.copy_from_slice(&bytes);
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut log = self.log();
        if length < self.kept().length {
            // A block behind the end would come back from the journal.
            self.settle_with(&mut log)?;
        }
        self.file.set_len(length)?;
        self.kept_mut().length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut log = self.log();
        let (pending, is_spilled) = {
            let kept = self.kept();
            (kept.pending.len(), kept.is_spilled)
        };
        if pending == 0 && !is_spilled {
            return Ok(());
        }
        let fits = log.end + record::length(pending) <= self.room.file;
        if log.is_used && !is_spilled && fits {
            match self.append_pending(&mut log) {
                Ok(()) => {
                    let mut kept = self.kept_mut();
                    let pending = mem::take(&mut kept.pending);
                    kept.blocks.extend(pending);
                    return Ok(());
                }
                Err(error) => tracing::debug!(%error, "the journal cannot be written; it is done without"),
            }
        }
        let placed = self.place_pages(&mut log);
        match &placed {
            Err(error) if log.is_lenient && is_full(error) => return Ok(()),
            Err(_) => {
                // Without its head there is no new commit, and who is told that it failed shall not find it later.
                self.kept_mut().pending.clear();
                return placed;
            }
            Ok(()) => {}
        }
        self.place_head(&mut log)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let _log = self.log();
        for (number, within, range) in parts(offset, data.len()) {
            let data = data.get(range).unwrap_or_default();
            let before = match self.kept().newest(number) {
                Some(block) => block.clone(),
                None => self.block_of_file(number, data.len() < BLOCK)?,
            };
            let mut kept = self.kept_mut();
            let block = kept.pending.entry(number).or_insert(before);
            if let Some(place) = block.get_mut(within..within + data.len()) {
                place.copy_from_slice(data);
            }
        }
        if self.kept().pending.len() > self.room.commit {
            self.spill()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
