//! A folder that goes with its process. One that was killed leaves it behind, with all files of that run; whoever makes the next takes it
//! away. A lock, which ends with the process however that ends, tells which are whose.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use rustix::{fs::OFlags, process::geteuid};
use tempfile::TempDir;

const PREFIX: &str = "yunqiao-files-";
const LOCK: &str = "lock";
/// Its name before it is locked: a folder without a lock is left alone.
const UNLOCKED: &str = "lock-to-be";

/// The folder, until this is dropped.
pub(super) struct TemporaryFolder {
    folder: TempDir,
    /// Held behind the folder's end.
    _lock: Option<File>,
}

impl TemporaryFolder {
    /// Makes one in `parent`, and removes those there whose processes are gone.
    pub(super) fn make(parent: &Path) -> io::Result<Self> {
        if let Err(error) = sweep(parent) {
            tracing::debug!(%error, "folders of processes that were killed could not be looked for");
        }
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let unlocked = folder.path().join(UNLOCKED);
        let lock = File::create_new(&unlocked)?;
        // Where there are no locks, nobody takes it away.
        let lock = lock.try_lock().is_ok().then_some(lock);
        if lock.is_some() {
            fs::rename(unlocked, folder.path().join(LOCK))?;
        }
        Ok(Self { folder, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        match remove_if_left(&entry.path()) {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!(folder = %entry.path().display(), "swept away what a process that was killed had left")
            }
            // Another may take it away, or its owner.
            Err(error) => tracing::debug!(%error, folder = %entry.path().display(), "it stays"),
        }
    }
    Ok(())
}

/// Removes a folder if it is this user's and nobody has its lock.
fn remove_if_left(folder: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() {
        return Ok(false);
    }
    // The bits of a flag, whichever type a system has for them.
    let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let lock = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(folder.join(LOCK));
    let lock = match lock {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if lock.try_lock().is_err() {
        return Ok(false);
    }
    fs::remove_dir_all(folder)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let running = TemporaryFolder::make(parent.path()).unwrap();
        let killed = parent.path().join("yunqiao-files-killed");
        fs::create_dir_all(killed.join("content/ab")).unwrap();
        fs::write(killed.join("content/ab/1"), "secret").unwrap();
        fs::write(killed.join(LOCK), "").unwrap();
        let without_lock = parent.path().join("yunqiao-files-begins");
        fs::create_dir(&without_lock).unwrap();
        let others = parent.path().join("files");
        fs::create_dir(&others).unwrap();
        fs::write(others.join(LOCK), "").unwrap();
        let link = parent.path().join("yunqiao-files-link");
        std::os::unix::fs::symlink(&others, &link).unwrap();

        let next = TemporaryFolder::make(parent.path()).unwrap();
        assert!(!killed.exists());
        for there in [running.path(), next.path(), &without_lock, &others, &link] {
            assert!(there.exists(), "{}", there.display());
        }
        let path = running.path().to_owned();
        drop(running);
        assert!(!path.exists());
    }
}
