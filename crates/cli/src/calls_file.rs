//! `.yunqiao/calls.jsonl`: what `yunqiao dev` tells of calls, one line of JSON each, for `yunqiao logs` to read.
//!
//! The file is opened anew for each line: it may have been deleted, and another `dev` of the project may write to it as well. When it
//! is full it becomes `calls.1.jsonl`, in the place of the one before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::entry::Entry;
use crate::run_file;

/// Bytes after which a new file is begun. A line may go beyond.
const FULL: u64 = 5 << 20;

const NAME: &str = "calls.jsonl";
const OLDER: &str = "calls.1.jsonl";

/// The file, for whoever writes to it.
#[derive(Debug)]
pub(crate) struct CallsFile {
    root: PathBuf,
    failed: AtomicBool,
}

impl CallsFile {
    /// Of the project in `root`.
    pub(crate) fn new(root: &Path) -> CallsFile {
        CallsFile {
            root: root.to_owned(),
            failed: AtomicBool::new(false),
        }
    }

    /// Adds a line. Where that fails, calls go on; it is said once.
    pub(crate) fn append(&self, entry: &Entry) {
        if let Err(error) = self.write(entry)
            && !self.failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "calls cannot be written to .yunqiao/{NAME}, so `yunqiao logs` does not show them");
        }
    }

    fn write(&self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let folder = self.root.join(run_file::FOLDER);
        let path = folder.join(NAME);
        if path.metadata().is_ok_and(|meta| meta.len() >= FULL) {
            fs::rename(&path, folder.join(OLDER))?;
        }
        let mut file = match open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                run_file::folder(&self.root)?;
                open(&path)
            }
            opened => opened,
        }?;
        file.write_all(&line)
    }
}

/// What functions print is nobody else's on this machine.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// Reads the lines from the oldest on, and goes on where it stopped, across the beginning of a new file.
pub(crate) struct Reader {
    path: PathBuf,
    file: Option<BufReader<File>>,
    /// A line whose end is not written yet.
    line: Vec<u8>,
}

impl Reader {
    /// Of the project in `root`. There need be nothing yet.
    pub(crate) fn new(root: &Path) -> Reader {
        let folder = root.join(run_file::FOLDER);
        let older = File::open(folder.join(OLDER));
        Reader {
            path: folder.join(NAME),
            file: older.ok().map(BufReader::new),
            line: Vec::new(),
        }
    }

    /// Hands on each line that there is since the last time.
    ///
    /// # Errors
    /// Those of `each`, and those of reading.
    pub(crate) fn read(&mut self, mut each: impl FnMut(&str) -> io::Result<()>) -> io::Result<()> {
        loop {
            // Looked at before what is left is read: after that, nobody writes to another file than the newest.
            let newest = match self.path.metadata() {
                Ok(meta) => Some((meta.dev(), meta.ino())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            let mut is_newest = newest.is_none();
            if let Some(file) = &mut self.file {
                let meta = file.get_ref().metadata()?;
                is_newest |= newest == Some((meta.dev(), meta.ino()));
                while file.read_until(b'\n', &mut self.line)? > 0 {
                    if self.line.last() == Some(&b'\n') {
                        each(&String::from_utf8_lossy(&self.line[..self.line.len() - 1]))?;
                        self.line.clear();
                    }
                }
            }
            if is_newest {
                return Ok(());
            }
            self.line.clear();
            self.file = match File::open(&self.path) {
                Ok(file) => Some(BufReader::new(file)),
                // Just renamed; the next look finds the new one.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
        }
    }
}
