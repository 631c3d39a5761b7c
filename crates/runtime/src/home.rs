//! The places on disk of one running runtime: a private folder with the sockets and the workers' folders, and the
//! program that workers run, in the cache.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// The files of `js/worker`, which travel inside this binary.
const PROGRAM: &[(&str, &str)] = &[
    ("bootstrap.js", include_str!("../../../js/worker/bootstrap.js")),
    ("call.js", include_str!("../../../js/worker/call.js")),
    ("cloud.js", include_str!("../../../js/worker/cloud.js")),
    ("console.js", include_str!("../../../js/worker/console.js")),
    ("context.js", include_str!("../../../js/worker/context.js")),
    ("env.js", include_str!("../../../js/worker/env.js")),
    ("link.js", include_str!("../../../js/worker/link.js")),
    ("load.js", include_str!("../../../js/worker/load.js")),
    ("pack.js", include_str!("../../../js/worker/pack.js")),
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
    /// The program that Node runs.
    pub(crate) bootstrap: PathBuf,
}

impl Home {
    /// Makes the private folder, mode 0700, and sees to it that the program is in the cache.
    pub(crate) fn new(cache: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("yunqiao-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()?;
        Ok(Self {
            folder,
            bootstrap: unpack(cache)?.join("bootstrap.js"),
        })
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

/// The socket's name in the private folder.
pub(crate) const SOCKET: &str = "socket";

/// The socket of the worker that has this folder: beside it, because a function may clear out its `TMPDIR`.
pub(crate) fn door_of(folder: &Path) -> PathBuf {
    folder.with_extension("socket")
}

/// Writes the program into a folder named after its content, unless it is there.
fn unpack(cache: &Path) -> io::Result<PathBuf> {
    let mut hash = Sha256::new();
    for (name, text) in PROGRAM {
        hash.update(name);
        hash.update([0]);
        hash.update(text);
        hash.update([0]);
    }
    let hash: String = hash
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let folder = cache.join(format!("worker-{hash}"));
    if folder.is_dir() {
        return Ok(folder);
    }
    // Another process may do the same: whoever renames first wins, and both wrote the same.
    let draft = tempfile::Builder::new().prefix(".worker-").tempdir_in(cache)?;
    for (name, text) in PROGRAM {
        fs::write(draft.path().join(name), text)?;
    }
    match fs::rename(draft.path(), &folder) {
        Ok(()) => {
            // It has another name now: nothing is left to remove.
            let _ = draft.keep();
        }
        Err(_) if folder.is_dir() => {}
        Err(error) => return Err(error),
    }
    Ok(folder)
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
    fn the_socket_is_for_nobody_else() {
        let cache = tempfile::tempdir().unwrap();
        let home = Home::new(cache.path()).unwrap();
        let mode = home.folder.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
