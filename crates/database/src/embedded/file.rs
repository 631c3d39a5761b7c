//! The file: its tables, and opening it.

use std::{fs, path::Path};

use datafile::{Cause, DataFile, FileError, FileSettings, Form};
use redb::{TableDefinition, WriteTransaction};

use super::{Options, disk::Disk, recorded};

/// Collection name to its entry.
pub(crate) const CATALOG: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("catalog");
/// Collection id (big-endian) and key of the `_id`, to the document.
pub(crate) const DOCUMENTS: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("documents");
/// Index id (big-endian), keys of the values, and key of the `_id`, to the document's key.
pub(crate) const INDEXES: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("indexes");
/// Collection id to the number of its documents.
pub(crate) const COUNTS: TableDefinition<'static, u32, u64> = TableDefinition::new("counts");
/// The numbers below.
pub(crate) const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");

/// The number of the last change.
pub(crate) const SEQUENCE: &str = "sequence";
/// The last id given to a collection or an index.
pub(crate) const LAST_ID: &str = "last id";
/// The bytes of all documents and index entries, and of their keys.
pub(crate) const BYTES: &str = "bytes";

/// What the file is. Format 1 had no journal, or one of pages: an older program, which knows no journal, would lose what the journal has.
pub(crate) static FORM: Form = Form {
    noun: "the database",
    setting: "[database] path in yunqiao.toml",
    loss: "with a new one, there are no documents",
    format: 2,
    cache: 16 << 20,
    replay: Some(recorded::replay),
};

/// Opens the file, or makes it and its folder.
pub(crate) fn open(path: &Path, options: &Options) -> Result<Disk, FileError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
        fs::create_dir_all(folder).map_err(|error| FileError::Open {
            form: &FORM,
            place: path.display().to_string(),
            cause: error.into(),
        })?;
    }
    let settings = FileSettings {
        cache: options.cache,
        ..FileSettings::of(&FORM)
    };
    let mut file = DataFile::open_with(path, &FORM, &bring_up, &settings)?;
    // It is good without.
    if let Err(error) = compact_if_sparse(&mut file) {
        tracing::warn!(%error, path = %path.display(), "the database could not be compacted");
    }
    Ok(Disk::new(file))
}

/// A database that ends with the process.
pub(crate) fn in_memory(options: &Options) -> Result<Disk, FileError> {
    DataFile::in_memory(&FORM, &bring_up, options.cache).map(Disk::new)
}

/// Makes all tables, so that a reader never misses one.
pub(crate) fn bring_up(write: &WriteTransaction, from: Option<u64>) -> Result<(), Cause> {
    write.open_table(CATALOG)?;
    write.open_table(DOCUMENTS)?;
    write.open_table(INDEXES)?;
    write.open_table(COUNTS)?;
    let mut meta = write.open_table(META)?;
    if from.is_none() {
        meta.insert(BYTES, 0)?;
    }
    Ok(())
}

/// Gives back what deleted documents took, where it is more than half of the file.
fn compact_if_sparse(file: &mut DataFile) -> Result<(), Cause> {
    /// Below that it is not worth it.
    const SMALL: u64 = 8 << 20;
    /// A file that is as small as can be has about one and a half times the bytes that stand in it: one of three times as
    /// many is half free.
    const FULL: u64 = 3;
    let size = fs::metadata(file.path())?.len();
    if size < SMALL {
        return Ok(());
    }
    let bytes = file.read(|read| Ok(read.open_table(META)?.get(BYTES)?.map(|bytes| bytes.value())));
    let bytes = bytes.map_err(|failure| failure.into_own(|error| error))?;
    match bytes.is_some_and(|bytes| bytes.saturating_mul(FULL) < size) {
        true => file.compact(),
        false => Ok(()),
    }
}
