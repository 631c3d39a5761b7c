//! The file: what is looked at before it is taken for one of ours, its lock, and its format.
//!
//! The file is locked for as long as it is open, and not by redb: so the database can be closed and opened again
//! after an error while no other process can come between.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt},
    panic::{self, AssertUnwindSafe},
    path::Path,
    sync::Arc,
};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, StorageBackend, StorageError, TableDefinition,
    TableError, TableHandle, WriteTransaction, backends::FileBackend,
};

use crate::{Cause, FileError};

/// What a file is: how it is spoken of, and the version of what is in it.
#[derive(Debug)]
pub struct Form {
    /// With its article: `the store`.
    pub noun: &'static str,
    /// Where its place is named: `` `store` in yunqiao.toml ``.
    pub setting: &'static str,
    /// What happens with a new one in its place: `with a new one, users log in again`.
    pub loss: &'static str,
    /// The format that this version writes, and the latest that it reads.
    pub format: u64,
    /// Bytes of memory for pages of the file; redb's own default is a gigabyte.
    pub cache: usize,
}

/// Numbers, of which [`FORMAT_NAME`] is one. Every file of ours has it.
pub(crate) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// In `meta`.
pub(crate) const FORMAT_NAME: &str = "format";

/// How every file of redb's begins.
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// What redb reads and writes.
pub type Backend = Arc<dyn StorageBackend>;

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

/// Brings a new file, or one of an older format, to the form: makes its tables. It is given the format that was found, and is
/// marked with the newest afterwards.
pub(crate) type BringUp<'a> = &'a dyn Fn(&WriteTransaction, Option<u64>) -> Result<(), Cause>;

/// Opens the file, or makes it with mode 0600, and locks it. A file that others could read is closed to them, if it is one
/// of ours.
pub(crate) fn open(
    path: &Path,
    form: &'static Form,
    bring_up: BringUp<'_>,
    backend: impl FnOnce(File) -> Result<Backend, DatabaseError>,
) -> Result<(Backend, Database), FileError> {
    let not_opened = |cause: io::Error| FileError::Open {
        form,
        place: path.display().to_string(),
        cause: cause.into(),
    };
    let is_new = match fs::metadata(path) {
        Ok(metadata) => {
            judge_type(path, form, metadata.file_type())?;
            false
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(not_opened(error)),
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(is_new)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(not_opened)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(FileError::InUse {
                form,
                place: path.display().to_string(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(not_opened(error)),
    }
    let metadata = file.metadata().map_err(not_opened)?;
    judge_type(path, form, metadata.file_type())?;
    // Another process may have made it meanwhile.
    let is_new = is_new && metadata.len() == 0;
    if !is_new {
        judge_head(path, form, &file, metadata.len())?;
        if metadata.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))
                .map_err(not_opened)?;
        }
    }
    let opened = backend(file)
        .map_err(|error| refused(path, form, error))
        .and_then(|backend| {
            let database = open_database(path, form, &backend)?;
            settle_format(path, form, bring_up, &database)?;
            Ok((backend, database))
        });
    if is_new {
        match &opened {
            // The file's name must survive a power cut as its content does.
            Ok(_) => sync_folder(path).map_err(not_opened)?,
            // A file that is half made would be refused at the next start.
            Err(_) => drop(fs::remove_file(path)),
        }
    }
    opened
}

/// The backend that everybody but a test has.
pub(crate) fn on_disk(file: File) -> Result<Backend, DatabaseError> {
    Ok(Arc::new(FileBackend::new(file)?))
}

/// Opens the database that the backend holds, or makes it. An interrupted one is repaired.
pub(crate) fn open_database(
    path: &Path,
    form: &'static Form,
    backend: &Backend,
) -> Result<Database, FileError> {
    let lent = Lent(Arc::clone(backend));
    // redb panics at some pages that were overwritten. It has nothing in its hands yet that a panic could leave half done.
    let opened = panic::catch_unwind(AssertUnwindSafe(|| {
        Builder::new()
            .set_cache_size(form.cache)
            .create_with_backend(lent)
    }));
    match opened {
        Ok(opened) => opened.map_err(|error| refused(path, form, error)),
        Err(_) => Err(FileError::Damaged {
            form,
            place: path.display().to_string(),
            cause: "a page of it is none".into(),
        }),
    }
}

fn foreign(path: &Path, form: &'static Form, what: &'static str, mend: String) -> FileError {
    FileError::Foreign {
        form,
        place: path.display().to_string(),
        what,
        mend,
    }
}

fn another(form: &Form) -> String {
    format!("name another file as {}", form.setting)
}

fn judge_type(path: &Path, form: &'static Form, kind: fs::FileType) -> Result<(), FileError> {
    if kind.is_file() {
        return Ok(());
    }
    let what = match kind.is_dir() {
        true => "a folder",
        false => "a device, a pipe or a socket",
    };
    Err(foreign(
        path,
        form,
        what,
        format!("name a file as {}", form.setting),
    ))
}

/// Judges how a file begins that is there already.
fn judge_head(path: &Path, form: &'static Form, file: &File, length: u64) -> Result<(), FileError> {
    if length == 0 {
        let mend = format!(
            "put back a copy of {}, or delete the file to begin with a new one: {}",
            form.noun, form.loss
        );
        return Err(foreign(path, form, "an empty file", mend));
    }
    let mut head = [0; MAGIC.len()];
    match file.read_exact_at(&mut head, 0) {
        Ok(()) if head == MAGIC => Ok(()),
        Ok(()) => Err(foreign(path, form, "a file of another kind", another(form))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(foreign(path, form, "a file of another kind", another(form)))
        }
        Err(error) => Err(FileError::Open {
            form,
            place: path.display().to_string(),
            cause: error.into(),
        }),
    }
}

/// Why redb refuses a file.
fn refused(path: &Path, form: &'static Form, error: DatabaseError) -> FileError {
    let place = path.display().to_string();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            FileError::InUse { form, place }
        }
        DatabaseError::UpgradeRequired(_) => foreign(
            path,
            form,
            "a database in a file format that this yunqiao cannot read",
            another(form),
        ),
        DatabaseError::Storage(StorageError::Io(cause)) if !is_damage(&cause) => FileError::Open {
            form,
            place,
            cause: cause.into(),
        },
        other => FileError::Damaged {
            form,
            place,
            cause: other.into(),
        },
    }
}

/// Whether an error tells of what the file holds, and not of the disk.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Marks a new file with its format, brings an older one to it, and refuses a later one and one of another program.
fn settle_format(
    path: &Path,
    form: &'static Form,
    bring_up: BringUp<'_>,
    database: &Database,
) -> Result<(), FileError> {
    let failed = |cause: Cause| FileError::Failed {
        form,
        place: path.display().to_string(),
        cause,
    };
    let found = match found_format(database).map_err(|error| failed(error.into()))? {
        Found::Format(format) if format == form.format => return Ok(()),
        Found::Format(found) if found > form.format => {
            return Err(FileError::Newer {
                form,
                place: path.display().to_string(),
                found,
            });
        }
        Found::Other => {
            let what = "a redb database of another program";
            return Err(foreign(path, form, what, another(form)));
        }
        Found::Format(format) => Some(format),
        Found::Nothing => None,
    };
    let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
    bring_up(&transaction, found).map_err(failed)?;
    mark(&transaction, form).map_err(|error| failed(error.into()))?;
    transaction.commit().map_err(|error| failed(error.into()))
}

/// Writes down which format this is.
pub(crate) fn mark(transaction: &WriteTransaction, form: &Form) -> Result<(), redb::Error> {
    transaction.open_table(META)?.insert(FORMAT_NAME, form.format)?;
    Ok(())
}

enum Found {
    /// No table: somebody was interrupted as the file was made.
    Nothing,
    /// Tables, and no format.
    Other,
    Format(u64),
}

fn found_format(database: &Database) -> Result<Found, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(META) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => {
            let mut tables = transaction.list_tables()?;
            return Ok(match tables.any(|table| !table.name().is_empty()) {
                true => Found::Other,
                false => Found::Nothing,
            });
        }
        Err(TableError::TableTypeMismatch { .. } | TableError::TableIsMultimap(_)) => {
            return Ok(Found::Other);
        }
        Err(error) => return Err(error.into()),
    };
    let format = table.get(FORMAT_NAME)?;
    Ok(format.map_or(Found::Other, |format| Found::Format(format.value())))
}
