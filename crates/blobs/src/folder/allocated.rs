//! A file whose whole length has its place on the disk. As redb makes a file longer it has holes, which want blocks when they are first written;
//! on a disk that is full nothing could be removed then, since that is written down too.

use std::{fs::File, io, sync::Arc};

use datafile::{Backend, FileSettings, Form};
use redb::{StorageBackend, backends::FileBackend};
use rustix::{
    fs::{FallocateFlags, fallocate},
    io::Errno,
};

/// Settings of a file that is kept so.
pub(super) fn settings(form: &Form) -> FileSettings {
    FileSettings {
        backend: Arc::new(|file| {
            let handle = file.try_clone()?;
            let allocated = Allocated {
                backend: FileBackend::new(file)?,
                handle,
            };
            // One of an earlier version has holes. Where there is no room for them it is opened all the same.
            let _ = allocate(&allocated.handle, 0, allocated.backend.len()?);
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
}

/// Gives a part of the file its blocks. A file system that cannot is left as it is.
fn allocate(file: &File, from: u64, to: u64) -> io::Result<()> {
    if to <= from {
        return Ok(());
    }
    match fallocate(file, FallocateFlags::empty(), from, to - from) {
        Err(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Err(io::ErrorKind::StorageFull.into()),
        _ => Ok(()),
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
        allocate(&self.handle, self.backend.len()?, len)?;
        self.backend.set_len(len)
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
    use std::os::unix::fs::MetadataExt as _;

    use crate::{Folder, FolderOptions};

    #[test]
    fn the_index_has_its_place_on_the_disk() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("index.redb");
        let has_place = || {
            let metadata = path.metadata().unwrap();
            assert!(metadata.len() > 0);
            metadata.blocks() * 512 >= metadata.len()
        };
        drop(Folder::open(root.path(), FolderOptions::default()).unwrap());
        assert!(has_place(), "a new one");
        // As an earlier version left it.
        let content = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let sparse = std::fs::File::create(&path).unwrap();
        sparse.set_len(content.len() as u64).unwrap();
        for (at, block) in content.chunks(4096).enumerate() {
            if block.iter().any(|byte| *byte != 0) {
                std::os::unix::fs::FileExt::write_all_at(&sparse, block, at as u64 * 4096).unwrap();
            }
        }
        drop(sparse);
        assert!(!has_place(), "it has holes");
        drop(Folder::open(root.path(), FolderOptions::default()).unwrap());
        assert!(has_place(), "an older one");
    }
}
