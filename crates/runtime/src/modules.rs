//! The files of which functions consist, as their workers tell: modules outside of a function's folder, and in its own
//! `node_modules`. A function is new when one of them has changed since it was loaded.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use function::FunctionName;
use process::LoadedFile;

/// Tells one state of a file from another; `None` where there is none.
type Stamp = Option<(u64, SystemTime)>;

/// How many files of one function are remembered.
const MOST_FILES: usize = 5000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Modules(Mutex<HashMap<FunctionName, Files>>);

#[derive(Debug, Default)]
struct Files {
    /// How often one of them was found changed.
    changes: u64,
    stamps: HashMap<PathBuf, Stamp>,
}

impl Modules {
    fn all(&self) -> MutexGuard<'_, HashMap<FunctionName, Files>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A worker has loaded these.
    pub(crate) fn loaded(&self, function: &FunctionName, files: Vec<LoadedFile>) {
        let mut all = self.all();
        let known = all.entry(function.clone()).or_default();
        for LoadedFile { path, size, modified } in files {
            if known.stamps.len() < MOST_FILES {
                known.stamps.entry(path).or_insert(Some((size, modified)));
            }
        }
    }

    /// A number that is another one when a file of this function has changed.
    pub(crate) fn changes(&self, function: &FunctionName) -> u64 {
        let mut all = self.all();
        let Some(known) = all.get_mut(function) else {
            return 0;
        };
        if known.stamps.iter().any(|(file, known)| stamp(file) != *known) {
            known.changes += 1;
            known.stamps.clear();
        }
        known.changes
    }

    /// Whether a function consists of this file among others.
    pub(crate) fn has(&self, file: &Path) -> bool {
        self.all().values().any(|files| files.stamps.contains_key(file))
    }

    /// The folders of all these files.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let all = self.all();
        let files = all.values().flat_map(|files| files.stamps.keys());
        let mut folders: Vec<_> = files
            .filter_map(|file| file.parent().map(Path::to_owned))
            .collect();
        folders.sort_unstable();
        folders.dedup();
        folders
    }
}

fn stamp(file: &Path) -> Stamp {
    let metadata = fs::metadata(file).ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
