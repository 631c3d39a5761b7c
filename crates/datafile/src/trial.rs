//! Opening a file on trial. redb repairs whatever it opens, even a file that is damaged beyond repair, and goes back to an older
//! commit where the last one is damaged. So it first opens the file with all that it writes kept in memory, and the result is
//! judged: a file that is refused is left as it was.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redb::StorageBackend;

use crate::{
    Backend,
    blocks::{BLOCK, STEP, parts},
    panics,
};

/// Files up to this size are read whole at each start, with the checksum of each page. Of a larger one, which would take long, only what the
/// opening needs is read: commits are made so that redb need not repair it, even where it was not closed.
const READ_WHOLE: u64 = 64 << 20;

/// What is wrong with a file at which redb panics.
pub(crate) const NO_PAGE: &str = "what should be one of its pages holds something else";

/// What became of it.
pub(crate) enum Verdict<T> {
    /// It is sound; with what was read in it.
    Sound(T),
    /// redb says what is wrong.
    Refused(redb::DatabaseError),
    /// It opens, but not with all that it had.
    Damaged(&'static str),
}

/// Opens the file that the backend holds, looks into it, and leaves it as it was.
pub(crate) fn judge<T>(
    backend: &Backend,
    cache: usize,
    look: impl FnOnce(&redb::Database) -> T,
) -> Verdict<T> {
    let length = match backend.len() {
        Ok(length) => length,
        Err(error) => return Verdict::Refused(redb::DatabaseError::Storage(error.into())),
    };
    let trial = Trial::new(backend, length);
    let judged = panics::caught(|| {
        let mut database = redb::Builder::new()
            .set_cache_size(cache)
            .create_with_backend(trial)?;
        if length <= READ_WHOLE && !database.check_integrity()? {
            return Ok(None);
        }
        Ok(Some(look(&database)))
    });
    match judged {
        Ok(Ok(Some(found))) => Verdict::Sound(found),
        Ok(Ok(None)) => Verdict::Damaged("the checksum of one of its pages does not match the page"),
        Ok(Err(error)) => Verdict::Refused(error),
        Err(_) => Verdict::Damaged(NO_PAGE),
    }
}

/// A backend with what is written to it beside it.
#[derive(Debug)]
struct Trial {
    file: Backend,
    changed: Mutex<Changed>,
}

#[derive(Debug)]
struct Changed {
    /// Blocks as they would be, by their number.
    blocks: BTreeMap<u64, Vec<u8>>,
    length: u64,
}

/// A backend with what the other holds, which stays as it is.
///
/// # Errors
/// Of the disk.
pub(crate) fn beside(backend: &Backend) -> io::Result<Backend> {
    Ok(Arc::new(Trial::new(backend, backend.len()?)))
}

impl Trial {
    fn new(file: &Backend, length: u64) -> Self {
        Self {
            file: Backend::clone(file),
            changed: Mutex::new(Changed {
                blocks: BTreeMap::new(),
                length,
            }),
        }
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what the file has, with zeros behind its end.
    fn read_file(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let there = usize::try_from(self.file.len()?.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (file, behind) = out.split_at_mut(there.min(out.len()));
        behind.fill(0);
        if file.is_empty() {
            return Ok(());
        }
        self.file.read(offset, file)
    }
}

impl StorageBackend for Trial {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changed().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changed = self.changed();
        if offset + out.len() as u64 > changed.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.read_file(offset, out)?;
        for (number, within, range) in parts(offset, out.len()) {
            if let Some(block) = changed.blocks.get(&number)
                && let Some(out) = out.get_mut(range)
            {
                out.copy_from_slice(&block[within..within + out.len()]);
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut changed = self.changed();
        // What is cut off is zero where it comes back.
        let old = std::mem::replace(&mut changed.length, length);
        drop(changed);
        let cut = usize::try_from(old.saturating_sub(length)).unwrap_or(usize::MAX);
        for (number, within, range) in parts(length, cut) {
            self.patch(number, within, &vec![0; range.len()])?;
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        for (number, within, range) in parts(offset, data.len()) {
            self.patch(number, within, data.get(range).unwrap_or_default())?;
        }
        Ok(())
    }
}

impl Trial {
    /// Writes into a block, which is taken from the file first where it was not changed before.
    fn patch(&self, number: u64, within: usize, data: &[u8]) -> io::Result<()> {
        let mut changed = self.changed();
        let block = match changed.blocks.entry(number) {
            Entry::Occupied(there) => there.into_mut(),
            Entry::Vacant(empty) => {
                let mut block = vec![0; BLOCK];
                self.read_file(number * STEP, &mut block)?;
                empty.insert(block)
            }
        };
        if let Some(place) = block.get_mut(within..within + data.len()) {
            place.copy_from_slice(data);
        }
        Ok(())
    }
}
