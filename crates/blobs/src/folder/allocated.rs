//! A file whose whole length has its place on the disk. As redb makes a file longer it has holes, which want blocks when they are first written;
//! on a disk that is full nothing could be removed then, since that is written down too.

use std::{fs::File, io, sync::Arc};

use datafile::{Backend, FileSettings, Form};
use redb::{StorageBackend, backends::FileBackend};
use rustix::io::Errno;

/// Bytes that are written at a time where a file system has no other way to give a file its blocks.
const PIECE: usize = 64 << 10;

/// Gives a part of a file its blocks, and leaves its length as it is.
type Reserve = fn(&File, u64, u64) -> Result<(), Errno>;

/// Settings of a file that is kept so.
pub(super) fn settings(form: &Form) -> FileSettings {
    FileSettings {
        backend: Arc::new(|file| {
            let handle = file.try_clone()?;
            let allocated = Allocated {
                backend: FileBackend::new(file)?,
                handle,
                reserve,
            };
            // One of an earlier version has holes. Where there is no room for them it is opened all the same.
            let _ = reserve(&allocated.handle, 0, allocated.backend.len()?);
            Ok(Arc::new(allocated) as Backend)
        }),
        ..FileSettings::of(form)
    }
}

#[derive(Debug)]
struct Allocated {
    backend: FileBackend,
    /// The same file.
    handle: File,
    reserve: Reserve,
}

#[cfg(target_os = "linux")]
fn reserve(file: &File, from: u64, to: u64) -> Result<(), Errno> {
    use rustix::fs::{FallocateFlags, fallocate};

    // A file that became longer than asked, before the disk was full, would not be the one that redb knows.
    rustix::io::retry_on_intr(|| fallocate(file, FallocateFlags::KEEP_SIZE, from, to - from))
}

/// No other system has a way that leaves the length as it is.
#[cfg(not(target_os = "linux"))]
fn reserve(_: &File, _: u64, _: u64) -> Result<(), Errno> {
    Err(Errno::OPNOTSUPP)
}

impl Allocated {
    /// Makes it longer, with all its blocks or not at all.
    fn grow(&self, from: u64, to: u64) -> io::Result<()> {
        let grown = match (self.reserve)(&self.handle, from, to) {
            Ok(()) => self.backend.set_len(to),
            Err(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Err(io::ErrorKind::StorageFull.into()),
            // The file system has no such thing, as NFS before 4.2: what is written has its blocks too.
            Err(_) => self.backend.set_len(to).and_then(|()| self.fill(from, to)),
        };
        grown.inspect_err(|_| {
            // With that what it had got goes back.
            let _ = self.backend.set_len(from);
        })
    }

    fn fill(&self, from: u64, to: u64) -> io::Result<()> {
        let zeros = [0; PIECE];
        let mut at = from;
        while at < to {
            let length = usize::try_from(to - at).unwrap_or(PIECE).min(PIECE);
            self.backend.write(at, &zeros[..length])?;
            at += length as u64;
        }
        Ok(())
    }
}

impl StorageBackend for Allocated {
    fn len(&self) -> io::Result<u64> {
        self.backend.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.backend.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let before = self.backend.len()?;
        match len > before {
            true => self.grow(before, len),
            false => self.backend.set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        self.backend.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.backend.write(offset, data)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    use super::*;
    use crate::{Folder, FolderOptions};

    fn has_place(file: &std::path::Path) -> bool {
        let metadata = file.metadata().unwrap();
        assert!(metadata.len() > 0);
        metadata.blocks() * 512 >= metadata.len()
    }

    #[test]
    fn the_index_has_its_place_on_the_disk() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("index.redb");
        drop(Folder::open(root.path(), FolderOptions::default()).unwrap());
        assert!(has_place(&path), "a new one");
        // As an earlier version left it.
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let sparse = File::create(&path).unwrap();
        sparse.set_len(content.len() as u64).unwrap();
        for (at, block) in content.chunks(4096).enumerate() {
            if block.iter().any(|byte| *byte != 0) {
                sparse.write_all_at(block, at as u64 * 4096).unwrap();
            }
        }
        drop(sparse);
        assert!(!has_place(&path), "it has holes");
        drop(Folder::open(root.path(), FolderOptions::default()).unwrap());
        assert!(has_place(&path), "an older one");
    }

    /// What a file is that was given so much, and then asked for more, which `reserve` answers.
    fn asked_for_more(reserve: Reserve) -> (tempfile::NamedTempFile, io::Result<()>) {
        let place = tempfile::NamedTempFile::new().unwrap();
        let file = place.reopen().unwrap();
        let allocated = Allocated {
            handle: file.try_clone().unwrap(),
            backend: FileBackend::new(file).unwrap(),
            reserve: super::reserve,
        };
        allocated.set_len(8192).unwrap();
        allocated.write(4096, &[1; 4096]).unwrap();
        let allocated = Allocated { reserve, ..allocated };
        let grown = allocated.set_len(1_000_000);
        (place, grown)
    }

    /// A disk that gave some of what was asked, and is full.
    #[test]
    fn a_file_for_which_there_is_no_room_is_as_long_as_before() {
        let (place, grown) = asked_for_more(|file, _, to| {
            file.set_len(to / 2).unwrap();
            Err(Errno::NOSPC)
        });
        assert_eq!(grown.unwrap_err().kind(), io::ErrorKind::StorageFull);
        let content = std::fs::read(place.path()).unwrap();
        assert_eq!((content.len(), content[4096]), (8192, 1));
    }

    /// As on a network's file system.
    #[test]
    fn a_file_has_its_place_where_the_file_system_cannot_be_asked_for_it() {
        let (place, grown) = asked_for_more(|_, _, _| Err(Errno::OPNOTSUPP));
        grown.unwrap();
        assert!(has_place(place.path()));
        let content = std::fs::read(place.path()).unwrap();
        assert_eq!((content.len(), content[4096], content[8192]), (1_000_000, 1, 0));
    }
}
