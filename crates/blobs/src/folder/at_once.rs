//! Opening and reading what the system has in memory. It takes no longer than copying it, so whoever serves does it without handing it
//! to a thread that may wait for the disk; what the system would have to wait for is left to one of those. Only Linux can tell.

use std::{fs::File, io, path::Path};

/// The folder of contents, open.
pub(super) struct Contents(#[cfg(target_os = "linux")] File);

#[cfg(target_os = "linux")]
impl Contents {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        File::open(folder).map(Self)
    }

    /// A file in it, if the way to it is in memory.
    pub(super) fn file(&self, name: &str) -> Option<File> {
        use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};
        let how = OFlags::RDONLY | OFlags::CLOEXEC;
        let opened = openat2(&self.0, name, how, Mode::empty(), ResolveFlags::CACHED);
        opened.ok().map(File::from)
    }
}

/// The first `length` bytes of a file, if all of them are in memory.
#[cfg(target_os = "linux")]
pub(super) fn content(file: &File, length: usize) -> Option<Vec<u8>> {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut content = vec![0; length];
    let mut room = [io::IoSliceMut::new(&mut content)];
    let read = match length {
        0 => 0,
        _ => preadv2(file, &mut room, 0, ReadWriteFlags::NOWAIT).ok()?,
    };
    (read == length).then_some(content)
}

#[cfg(not(target_os = "linux"))]
impl Contents {
    pub(super) fn open(_: &Path) -> io::Result<Self> {
        Ok(Self())
    }

    pub(super) fn file(&self, _: &str) -> Option<File> {
        None
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn content(_: &File, _: usize) -> Option<Vec<u8>> {
    None
}
