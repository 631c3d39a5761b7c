//! The file: its tables, and opening it.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{
    ReadableDatabase, StorageBackend, TableDefinition, TableError,
    backends::{FileBackend, InMemoryBackend},
};

use super::{
    disk::Disk,
    trial::{self, Verdict},
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
/// The bytes of all documents and index entries, and of their keys.
pub(crate) const BYTES: &str = "bytes";

const FORMAT_NOW: u64 = 1;

/// How every file of redb's begins.
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";

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
    /// It is something else.
    #[error("{} is not a database of yunqiao's: it is {what}. It was left as it is: name another file as [database] path in yunqiao.toml, or move this one away to begin with none", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It is a damaged database.
    #[error("{} is damaged: {source}. It was left as it is: put a copy of it in its place, or move it away to begin with none", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It is not there, and cannot be made.
    #[error("{} cannot be made: {source}", path.display())]
    Make {
        /// Which file.
        path: PathBuf,
        /// Why.
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

/// What redb reads and writes.
pub(crate) type Backend = Arc<dyn StorageBackend>;

/// Lends the backend to one database after another: none of them closes it.
#[derive(Debug)]
struct Lent(Backend);

impl StorageBackend for Lent {
    fn len(&self) -> Result<u64, io::Error> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), io::Error> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> Result<(), io::Error> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> Result<(), io::Error> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        self.0.write(offset, data)
    }
}

/// Opens the file, or makes it with mode 0600. It is locked for as long as the backend is there.
pub(crate) fn open(path: &Path, cache: usize) -> Result<Disk, OpenError> {
    open_with(path, cache, |file| Ok(Arc::new(FileBackend::new(file)?)))
}

/// As [`open`], with a backend of the caller's on the file.
pub(crate) fn open_with(
    path: &Path,
    cache: usize,
    backend: impl Fn(File) -> Result<Backend, redb::DatabaseError>,
) -> Result<Disk, OpenError> {
    loop {
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => {
                return Err(OpenError::NotAFile {
                    path: path.to_owned(),
                });
            }
            Ok(_) => return open_there(path, cache, &backend),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(OpenError::Io {
                    path: path.to_owned(),
                    source,
                });
            }
        }
        // `None` where another process made it meanwhile.
        if let Some(disk) = make(path, cache, &backend)? {
            return Ok(disk);
        }
    }
}

fn open_there(
    path: &Path,
    cache: usize,
    backend: &impl Fn(File) -> Result<Backend, redb::DatabaseError>,
) -> Result<Disk, OpenError> {
    let failed = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(failed)?;
    lock(&file, path)?;
    judge_head(&file, path)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))
            .map_err(failed)?;
    }
    let backend = backend(file).map_err(|error| told(path, error))?;
    let damaged = |source| OpenError::Damaged {
        path: path.to_owned(),
        source,
    };
    let format = match trial::judge(&backend, cache, format) {
        Verdict::Sound(format) => format.map_err(damaged)?,
        Verdict::Refused(error) => return Err(told(path, error)),
        Verdict::Damaged(what) => return Err(damaged(what.into())),
    };
    match format {
        Some(FORMAT_NOW) => {}
        Some(found) => {
            return Err(OpenError::Format {
                path: path.to_owned(),
                found,
            });
        }
        None => {
            return Err(OpenError::Foreign {
                path: path.to_owned(),
                what: "a redb database of another program",
            });
        }
    }
    let mut database = open_database(path, &backend, cache)?;
    compact_if_sparse(&mut database, path);
    Ok(Disk::new(path.to_owned(), backend, database, cache))
}

/// Makes the file under another name until it is whole: a process that is killed meanwhile leaves no half-made database. The
/// lock on that name keeps others from making it too; `None` where one of them was quicker.
fn make(
    path: &Path,
    cache: usize,
    backend: &impl Fn(File) -> Result<Backend, redb::DatabaseError>,
) -> Result<Option<Disk>, OpenError> {
    let failed = |source| OpenError::Io {
        path: path.to_owned(),
        source,
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let file = private(&unfinished).map_err(failed)?;
    lock(&file, path)?;
    let mine = file.metadata().map_err(failed)?;
    match fs::metadata(&unfinished) {
        Ok(named) if (named.dev(), named.ino()) == (mine.dev(), mine.ino()) => {}
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    }
    // What an earlier process was killed over.
    file.set_len(0).map_err(failed)?;
    let backend = backend(file).map_err(|error| told(path, error))?;
    let database = open_database(path, &backend, cache)?;
    prepare(&database).map_err(|source| OpenError::Make {
        path: path.to_owned(),
        source,
    })?;
    fs::rename(&unfinished, path).map_err(failed)?;
    // The file's name must survive a power cut as its content does.
    File::open(folder.unwrap_or(Path::new(".")))
        .and_then(|folder| folder.sync_all())
        .map_err(failed)?;
    Ok(Some(Disk::new(path.to_owned(), backend, database, cache)))
}

/// What users wrote is nobody else's on this machine.
fn private(path: &Path) -> io::Result<File> {
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => OpenError::Locked {
            path: path.to_owned(),
        },
        TryLockError::Error(source) => OpenError::Io {
            path: path.to_owned(),
            source,
        },
    })
}

/// Judges how a file begins: redb is given nothing that is not its own.
fn judge_head(file: &File, path: &Path) -> Result<(), OpenError> {
    let mut head = [0; MAGIC.len()];
    match file.read_exact_at(&mut head, 0) {
        Ok(()) if head == MAGIC => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(OpenError::Io {
            path: path.to_owned(),
            source: error,
        }),
        _ if file.metadata().is_ok_and(|found| found.len() == 0) => Err(OpenError::Empty {
            path: path.to_owned(),
        }),
        _ => Err(OpenError::Foreign {
            path: path.to_owned(),
            what: "a file of another kind",
        }),
    }
}

/// Opens the database that the backend holds, or makes it. An interrupted one is repaired.
pub(crate) fn open_database(
    path: &Path,
    backend: &Backend,
    cache: usize,
) -> Result<redb::Database, OpenError> {
    let lent = Lent(Arc::clone(backend));
    // See `trial`; a file that was open before is not tried.
    let opened = panic::catch_unwind(AssertUnwindSafe(|| {
        redb::Builder::new()
            .set_cache_size(cache)
            .create_with_backend(lent)
    }));
    match opened {
        Ok(opened) => opened.map_err(|error| told(path, error)),
        Err(_) => Err(OpenError::Damaged {
            path: path.to_owned(),
            source: "a page of it makes no sense".into(),
        }),
    }
}

/// A database that ends with the process.
pub(crate) fn in_memory(cache: usize) -> Result<Disk, OpenError> {
    in_memory_with(cache, Arc::new(InMemoryBackend::new()))
}

/// As [`in_memory`], on a backend of the caller's that holds nothing yet.
pub(crate) fn in_memory_with(cache: usize, backend: Backend) -> Result<Disk, OpenError> {
    let path = PathBuf::from("the database in memory");
    let database = open_database(&path, &backend, cache)?;
    match prepare(&database) {
        Ok(()) => Ok(Disk::new(path, backend, database, cache)),
        Err(source) => Err(OpenError::Make { path, source }),
    }
}

fn told(path: &Path, error: redb::DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        redb::DatabaseError::UpgradeRequired(_) => OpenError::Foreign {
            path,
            what: "a redb database in a file format that this version cannot read",
        },
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
    let mut meta = write.open_table(META)?;
    meta.insert(FORMAT, FORMAT_NOW)?;
    meta.insert(BYTES, 0)?;
    drop(meta);
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
    /// A file that is as small as can be has about one and a half times the bytes that stand in it: one of three times as
    /// many is half free.
    const FULL: u64 = 3;
    let free = || -> Result<bool, Cause> {
        let size = fs::metadata(path)?.len();
        if size < SMALL {
            return Ok(false);
        }
        let meta = database.begin_read()?.open_table(META)?;
        let bytes = meta.get(BYTES)?.map(|bytes| bytes.value());
        Ok(bytes.is_some_and(|bytes| bytes.saturating_mul(FULL) < size))
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
