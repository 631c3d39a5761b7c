//! The places on disk of one running runtime: a private folder with the sockets and the workers' folders, and the
//! program that workers run, in the cache.

use std::{
    fs::{self, DirBuilder},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tempfile::{NamedTempFile, TempDir};

/// The files of `js/worker`, which travel inside this binary.
const PROGRAM: &[(&str, &str)] = &[
    ("bootstrap.js", include_str!("../../../js/worker/bootstrap.js")),
    ("call.js", include_str!("../../../js/worker/call.js")),
    ("cloud.js", include_str!("../../../js/worker/cloud.js")),
    ("console.js", include_str!("../../../js/worker/console.js")),
    ("context.js", include_str!("../../../js/worker/context.js")),
    ("env.js", include_str!("../../../js/worker/env.js")),
    ("intrinsics.js", include_str!("../../../js/worker/intrinsics.js")),
    ("link.js", include_str!("../../../js/worker/link.js")),
    ("load.js", include_str!("../../../js/worker/load.js")),
    ("modules.js", include_str!("../../../js/worker/modules.js")),
    ("pack.js", include_str!("../../../js/worker/pack.js")),
    ("places.js", include_str!("../../../js/worker/places.js")),
    ("resolve.js", include_str!("../../../js/worker/resolve.js")),
    (
        "resolve-import.mjs",
        include_str!("../../../js/worker/resolve-import.mjs"),
    ),
];

/// See the module. Dropping it removes the private folder.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
    /// Where the program lies that Node runs.
    program: PathBuf,
}

impl Home {
    /// Makes the private folder, mode 0700, and sees to it that the program is in the cache.
    pub(crate) fn new(cache: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("yunqiao-")
            .permissions(fs::Permissions::from_mode(PRIVATE))
            .tempdir()?;
        Ok(Self {
            folder,
            program: unpack(cache)?,
        })
    }

    /// Makes the folder anew where it is gone. True when the socket is gone, with or without the folder.
    pub(crate) fn heal(&self) -> io::Result<bool> {
        let folder = self.folder();
        match fs::symlink_metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(parent) = folder.parent() {
                    fs::create_dir_all(parent)?;
                }
                DirBuilder::new().mode(PRIVATE).create(folder)?;
            }
            Err(error) => return Err(error),
            // Where everybody may write, somebody else may have been quicker.
            Ok(found) if !is_private(&found) => {
                return Err(io::Error::other(format!(
                    "{} was removed, and something that is not this program's is in its place",
                    folder.display()
                )));
            }
            Ok(_) => {}
        }
        Ok(fs::symlink_metadata(self.socket()).is_err())
    }

    /// Removes the folder, for whoever ends: somebody may hold this for longer than the process has.
    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(self.folder())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the program that Node runs.
    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// The file of it that Node is started with.
    pub(crate) fn bootstrap(&self) -> PathBuf {
        self.program.join("bootstrap.js")
    }

    /// Where workers connect.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    /// A folder for a guard that has nothing to clear away.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.folder.path().join("scratch")
    }

    /// The folder of one worker, its `TMPDIR`.
    pub(crate) fn of_worker(&self, serial: u64) -> PathBuf {
        self.folder.path().join(format!("worker-{serial}"))
    }

    /// The socket by which one worker reaches the host.
    pub(crate) fn door(&self, serial: u64) -> PathBuf {
        door_of(&self.of_worker(serial))
    }
}

/// The mode of the private folder.
const PRIVATE: u32 = 0o700;

/// Whether this is a folder of ours that nobody else can enter.
fn is_private(found: &fs::Metadata) -> bool {
    found.is_dir()
        && found.uid() == rustix::process::geteuid().as_raw()
        && found.permissions().mode() & 0o077 == 0
}

/// The socket's name in the private folder.
pub(crate) const SOCKET: &str = "socket";

/// The socket of the worker that has this folder: beside it, because a function may clear out its `TMPDIR`.
pub(crate) fn door_of(folder: &Path) -> PathBuf {
    folder.with_extension("socket")
}

/// Sees to it that the program is in a folder named after its content.
fn unpack(cache: &Path) -> io::Result<PathBuf> {
    let mut hash = Sha256::new();
    for (name, text) in PROGRAM {
        hash.update(name);
        hash.update([0]);
        hash.update(text);
        hash.update([0]);
    }
    let hash = crate::hex(hash.finalize().get(..8).unwrap_or_default());
    let folder = cache.join(format!("worker-{hash}"));
    repair(&folder)?;
    Ok(folder)
}

/// Writes those files of the program that are missing, or are not what they should be: a disk that was full has left an
/// empty one, say. Another process may do the same: whoever comes last puts the same in place.
pub(crate) fn repair(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in PROGRAM {
        let file = folder.join(name);
        if fs::read(&file).is_ok_and(|found| found == text.as_bytes()) {
            continue;
        }
        let mut draft = NamedTempFile::new_in(folder)?;
        draft.write_all(text.as_bytes())?;
        draft.persist(&file)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_program_is_unpacked_once() {
        let cache = tempfile::tempdir().unwrap();
        let first = unpack(cache.path()).unwrap();
        let written = first.join("bootstrap.js").metadata().unwrap().modified().unwrap();
        assert_eq!(unpack(cache.path()).unwrap(), first);
        assert_eq!(
            first.join("bootstrap.js").metadata().unwrap().modified().unwrap(),
            written
        );
        assert_eq!(
            fs::read_dir(cache.path()).unwrap().count(),
            1,
            "no draft is left behind"
        );
        assert_eq!(fs::read_dir(&first).unwrap().count(), PROGRAM.len());
    }

    #[test]
    fn a_damaged_program_is_mended() {
        let cache = tempfile::tempdir().unwrap();
        let folder = unpack(cache.path()).unwrap();
        fs::write(folder.join("call.js"), "").unwrap();
        fs::remove_file(folder.join("link.js")).unwrap();
        assert_eq!(unpack(cache.path()).unwrap(), folder);
        for (name, text) in PROGRAM {
            assert_eq!(&fs::read_to_string(folder.join(name)).unwrap(), text);
        }
    }

    #[test]
    fn a_folder_that_was_removed_is_made_again() {
        let cache = tempfile::tempdir().unwrap();
        let home = Home::new(cache.path()).unwrap();
        fs::write(home.socket(), "").unwrap();
        assert!(!home.heal().unwrap());
        fs::remove_dir_all(home.folder()).unwrap();
        assert!(home.heal().unwrap());
        assert_eq!(
            home.folder().metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );

        fs::remove_dir(home.folder()).unwrap();
        std::os::unix::fs::symlink(cache.path(), home.folder()).unwrap();
        assert!(home.heal().is_err(), "what somebody else put there is not used");
        fs::remove_file(home.folder()).unwrap();
    }

    #[test]
    fn the_socket_is_for_nobody_else() {
        let cache = tempfile::tempdir().unwrap();
        let home = Home::new(cache.path()).unwrap();
        let mode = home.folder.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
