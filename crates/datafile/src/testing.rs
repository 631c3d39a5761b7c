//! A disk that fails when a test says so.

use std::{
    collections::HashSet,
    fs::File,
    io,
    os::unix::fs::MetadataExt as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use redb::{DatabaseError, StorageBackend, StorageError, backends::FileBackend};

use crate::{Backend, FileSettings, Form};

/// What is wrong with a disk. Full, it takes what it has a block for already, as file systems do.
#[derive(Debug, Default)]
pub struct Faults {
    full: AtomicBool,
    gone: AtomicBool,
    /// Blocks that were written: of which file, and their numbers.
    blocks: Mutex<HashSet<(u64, u64)>>,
    asked: AtomicU64,
    /// After how many further writes and syncs it is gone; 0 for never.
    left: AtomicU64,
}

impl Faults {
    /// Settings of a file on a disk with these faults.
    #[must_use]
    pub fn settings(self: &Arc<Self>, form: &Form, first_wait: Duration) -> FileSettings {
        let faults = Arc::clone(self);
        FileSettings {
            first_wait,
            backend: Arc::new(move |file| failing(file, Arc::clone(&faults))),
            ..FileSettings::of(form)
        }
    }

    /// Whether it is full from now on.
    pub fn fill(&self, full: bool) {
        self.full.store(full, Ordering::SeqCst);
    }

    /// Whether it is gone from now on.
    pub fn take_away(&self, gone: bool) {
        self.left.store(0, Ordering::SeqCst);
        self.gone.store(gone, Ordering::SeqCst);
    }

    /// It will be gone after so many further writes and syncs.
    pub fn take_away_after(&self, steps: u64) {
        self.left.store(steps, Ordering::SeqCst);
    }

    /// How often it was asked for anything.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    fn ask(&self) -> io::Result<()> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.gone.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the disk is gone")),
            false => Ok(()),
        }
    }

    fn step(&self) -> io::Result<()> {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left == Ok(1) {
            self.gone.store(true, Ordering::SeqCst);
        }
        self.ask()
    }

    fn write(&self, file: u64, offset: u64, length: usize) -> io::Result<()> {
        self.step()?;
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let written = offset / 4096..(offset + length as u64).div_ceil(4096);
        let written = written.map(|block| (file, block));
        if self.full.load(Ordering::SeqCst) && !written.clone().all(|block| blocks.contains(&block)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        blocks.extend(written);
        Ok(())
    }
}

#[derive(Debug)]
struct FailingDisk {
    file: FileBackend,
    inode: u64,
    faults: Arc<Faults>,
}

fn failing(file: File, faults: Arc<Faults>) -> Result<Backend, DatabaseError> {
    let inode = file.metadata().map_err(StorageError::Io)?.ino();
    let file = FileBackend::new(file)?;
    Ok(Arc::new(FailingDisk { file, inode, faults }))
}

impl StorageBackend for FailingDisk {
    fn len(&self) -> io::Result<u64> {
        self.faults.ask()?;
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.faults.ask()?;
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.faults.step()?;
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.faults.step()?;
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.faults.write(self.inode, offset, data.len())?;
        self.file.write(offset, data)
    }
}
