//! The file: its tables, and opening it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use redb::{
    ReadableDatabase, TableDefinition, TableError,
    backends::{FileBackend, InMemoryBackend},
};

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

/// The version of this layout.
pub(crate) const FORMAT: &str = "format";
/// The number of the last change.
pub(crate) const SEQUENCE: &str = "sequence";
/// The last id given to a collection or an index.
pub(crate) const LAST_ID: &str = "last id";

const FORMAT_NOW: u64 = 1;

/// Why the embedded database cannot be opened. Each names the file and the mend.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is there and holds nothing.
    #[error(
        "{} is empty: it is no database (a copy that was cut off?). Put the right file in its place, or delete it to begin with none",
        path.display()
    )]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// It is a folder, a device, a pipe.
    #[error("{} is not a regular file", path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// Another process has it open.
    #[error(
        "{} is open in another process: one at a time can use an embedded database (for several, [database] url names a MongoDB)",
        path.display()
    )]
    Locked {
        /// Which file.
        path: PathBuf,
    },
    /// Its layout is of another version.
    #[error("{} is of format {found}, and this version reads {FORMAT_NOW}: use the version of yunqiao that wrote it to export its data", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Of which format it is.
        found: u64,
    },
    /// It is no database, or a damaged one.
    #[error("{} is not a database of yunqiao's, or it is damaged: {source}. Nothing was changed; restore a copy of it, or move it away to begin with none", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It cannot be read or written.
    #[error("{} cannot be opened: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Opens the file, or makes it.
pub(crate) fn open(path: &Path, cache: usize) -> Result<redb::Database, OpenError> {
    let failed = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let is_new = match fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            return Err(OpenError::NotAFile {
                path: path.to_owned(),
            });
        }
        Ok(found) if found.len() == 0 => {
            return Err(OpenError::Empty {
                path: path.to_owned(),
            });
        }
        Ok(_) => false,
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(failed(error)),
    };
    if is_new {
        return make(path, cache);
    }
    let mut database = builder(cache).open(path).map_err(|error| told(path, error))?;
    let format = format(&database).map_err(|source| OpenError::Damaged {
        path: path.to_owned(),
        source,
    })?;
    match format {
        Some(FORMAT_NOW) => {}
        Some(found) => {
            return Err(OpenError::Format {
                path: path.to_owned(),
                found,
            });
        }
        None => {
            return Err(OpenError::Damaged {
                path: path.to_owned(),
                source: "it has no table \"meta\" with a format".into(),
            });
        }
    }
    compact_if_sparse(&mut database, path);
    Ok(database)
}

/// Under another name until it is whole: a process that is killed meanwhile leaves no half-made database.
fn make(path: &Path, cache: usize) -> Result<redb::Database, OpenError> {
    let failed = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let file = private(&unfinished).map_err(failed)?;
    let database = FileBackend::new(file)
        .and_then(|backend| builder(cache).create_with_backend(backend))
        .map_err(|error| told(path, error))?;
    prepare(&database).map_err(|source| OpenError::Damaged {
        path: path.to_owned(),
        source,
    })?;
    fs::rename(&unfinished, path).map_err(failed)?;
    Ok(database)
}

/// What users wrote is nobody else's on this machine.
fn private(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// A database that ends with the process.
pub(crate) fn in_memory(cache: usize) -> Result<redb::Database, OpenError> {
    let path = PathBuf::from("the database in memory");
    let database = builder(cache)
        .create_with_backend(InMemoryBackend::new())
        .map_err(|error| told(&path, error))?;
    prepare(&database).map_err(|source| OpenError::Damaged { path, source })?;
    Ok(database)
}

fn builder(cache: usize) -> redb::Builder {
    let mut builder = redb::Builder::new();
    builder.set_cache_size(cache);
    builder
}

fn told(path: &Path, error: redb::DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::DatabaseError::DatabaseAlreadyOpen => OpenError::Locked { path },
        redb::DatabaseError::Storage(redb::StorageError::Io(source))
            if !matches!(
                source.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Unsupported
            ) =>
        {
            OpenError::Io { path, source }
        }
        error => OpenError::Damaged {
            path,
            source: error.into(),
        },
    }
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Makes all tables, so that a reader never misses one.
fn prepare(database: &redb::Database) -> Result<(), Cause> {
    let write = database.begin_write()?;
    write.open_table(CATALOG)?;
    write.open_table(DOCUMENTS)?;
    write.open_table(INDEXES)?;
    write.open_table(COUNTS)?;
    write.open_table(META)?.insert(FORMAT, FORMAT_NOW)?;
    write.commit()?;
    Ok(())
}

fn format(database: &redb::Database) -> Result<Option<u64>, Cause> {
    let read = database.begin_read()?;
    match read.open_table(META) {
        Ok(meta) => Ok(meta.get(FORMAT)?.map(|format| format.value())),
        Err(TableError::TableDoesNotExist(_) | TableError::TableTypeMismatch { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Gives back what deleted documents took, where it is more than half of the file.
fn compact_if_sparse(database: &mut redb::Database, path: &Path) {
    /// Below that it is not worth it.
    const SMALL: u64 = 8 << 20;
    let free = || -> Result<bool, Cause> {
        let size = fs::metadata(path)?.len();
        if size < SMALL {
            return Ok(false);
        }
        let write = database.begin_write()?;
        let stats = write.stats()?;
        let used = stats.allocated_pages() * stats.page_size() as u64;
        write.abort()?;
        Ok(used < size / 2)
    };
    let compacted = match free() {
        Ok(true) => database.compact().map(drop).map_err(Cause::from),
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    // It is good without.
    if let Err(error) = compacted {
        tracing::warn!(%error, path = %path.display(), "the database could not be compacted");
    }
}
