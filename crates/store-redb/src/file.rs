//! The file: what is looked at before it is taken for a store, its lock, and its format.
//!
//! The file is locked for as long as the store is open, and not by redb: so the database can be closed and opened again
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
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, StorageError,
    TableError, TableHandle, WriteTransaction, backends::FileBackend,
};
use serde::Deserialize;
use store::{LetterSize, StoreError, record};

use crate::{
    KEYS, META, SESSIONS, TOKENS,
    pushes::{DEAD, KNOWN, LANES, OPEN},
};

/// The format of the file that this version writes, and the latest that it reads. Format 1 had pushes without lanes, or no
/// pushes at all.
pub(crate) const FORMAT: u64 = 2;
/// In `meta`.
pub(crate) const FORMAT_NAME: &str = "format";

/// How every file of redb's begins.
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// Memory for pages of the file; redb's own default is a gigabyte.
const CACHE_BYTES: usize = 8 << 20;

const ANOTHER_FILE: &str = "name another file as `store` in yunqiao.toml";

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

/// Opens the file, or makes it with mode 0600, and locks it. A file that others could read is closed to them, if it is a
/// store.
pub(crate) fn open(path: &Path) -> Result<(Backend, Database), StoreError> {
    open_with(path, |file| Ok(Arc::new(FileBackend::new(file)?)))
}

/// As [`open`], with a backend of the caller's on the file.
pub(crate) fn open_with(
    path: &Path,
    backend: impl FnOnce(File) -> Result<Backend, DatabaseError>,
) -> Result<(Backend, Database), StoreError> {
    let not_opened = |cause: io::Error| StoreError::Open {
        place: path.display().to_string(),
        cause: cause.into(),
    };
    let is_new = match fs::metadata(path) {
        Ok(metadata) => {
            judge_type(path, metadata.file_type())?;
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
            return Err(StoreError::InUse {
                place: path.display().to_string(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(not_opened(error)),
    }
    let metadata = file.metadata().map_err(not_opened)?;
    judge_type(path, metadata.file_type())?;
    // Another process may have made it meanwhile.
    let is_new = is_new && metadata.len() == 0;
    if !is_new {
        judge_head(path, &file, metadata.len())?;
        if metadata.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))
                .map_err(not_opened)?;
        }
    }
    let opened = backend(file)
        .map_err(|error| refused(path, error))
        .and_then(|backend| {
            let database = open_database(path, &backend)?;
            settle_format(path, &database)?;
            Ok((backend, database))
        });
    if is_new {
        match &opened {
            // The file's name must survive a power cut as its content does.
            Ok(_) => sync_folder(path).map_err(not_opened)?,
            // Half a store would be in the way of the next start.
            Err(_) => drop(fs::remove_file(path)),
        }
    }
    opened
}

/// Opens the database that the backend holds, or makes it. An interrupted one is repaired.
pub(crate) fn open_database(path: &Path, backend: &Backend) -> Result<Database, StoreError> {
    let lent = Lent(Arc::clone(backend));
    // redb panics at some pages that were overwritten. It has nothing in its hands yet that a panic could leave half done.
    let opened = panic::catch_unwind(AssertUnwindSafe(|| {
        Builder::new()
            .set_cache_size(CACHE_BYTES)
            .create_with_backend(lent)
    }));
    match opened {
        Ok(opened) => opened.map_err(|error| refused(path, error)),
        Err(_) => Err(StoreError::Damaged {
            place: path.display().to_string(),
            cause: "a page of it is none".into(),
        }),
    }
}

fn foreign(path: &Path, what: &'static str, mend: &'static str) -> StoreError {
    StoreError::Foreign {
        place: path.display().to_string(),
        what,
        mend,
    }
}

fn judge_type(path: &Path, kind: fs::FileType) -> Result<(), StoreError> {
    if kind.is_file() {
        return Ok(());
    }
    let what = match kind.is_dir() {
        true => "a folder",
        false => "a device, a pipe or a socket",
    };
    Err(foreign(path, what, "name a file as `store` in yunqiao.toml"))
}

/// Judges how a file begins that is there already.
fn judge_head(path: &Path, file: &File, length: u64) -> Result<(), StoreError> {
    if length == 0 {
        return Err(foreign(
            path,
            "an empty file",
            "put back a copy of the store, or delete the file to begin with a new store: users log in again, and pushes \
             that were waiting are lost",
        ));
    }
    let mut head = [0; MAGIC.len()];
    match file.read_exact_at(&mut head, 0) {
        Ok(()) if head == MAGIC => Ok(()),
        Ok(()) => Err(foreign(path, "a file of another kind", ANOTHER_FILE)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(foreign(path, "a file of another kind", ANOTHER_FILE))
        }
        Err(error) => Err(StoreError::Open {
            place: path.display().to_string(),
            cause: error.into(),
        }),
    }
}

/// Why redb refuses a file.
fn refused(path: &Path, error: DatabaseError) -> StoreError {
    let place = path.display().to_string();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            StoreError::InUse { place }
        }
        DatabaseError::UpgradeRequired(_) => foreign(
            path,
            "a database in a file format that this yunqiao cannot read",
            ANOTHER_FILE,
        ),
        DatabaseError::Storage(StorageError::Io(cause)) if !is_damage(&cause) => StoreError::Open {
            place,
            cause: cause.into(),
        },
        other => StoreError::Damaged {
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
fn settle_format(path: &Path, database: &Database) -> Result<(), StoreError> {
    let failed = |error: redb::Error| StoreError::Failed {
        place: path.display().to_string(),
        cause: error.into(),
    };
    match found_format(database).map_err(failed)? {
        Found::Format(FORMAT) => Ok(()),
        Found::Format(found) if found > FORMAT => Err(StoreError::Newer {
            place: path.display().to_string(),
            found,
            known: FORMAT,
        }),
        Found::Other => Err(foreign(path, "a redb database of another program", ANOTHER_FILE)),
        Found::Format(_) | Found::Nothing => bring_up(database).map_err(failed)?,
    }
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

/// Makes the tables, enters the pushes of format 1 in their lanes, and marks the file, all at once.
fn bring_up(database: &Database) -> Result<Result<(), StoreError>, redb::Error> {
    let transaction = database.begin_write()?;
    // Reading transactions take for granted that the tables exist.
    for table in [KEYS, SESSIONS, TOKENS, KNOWN] {
        transaction.open_table(table)?;
    }
    if let Err(error) = enter_pushes(&transaction)? {
        return Ok(Err(error));
    }
    transaction.open_table(META)?.insert(FORMAT_NAME, FORMAT)?;
    transaction.commit()?;
    Ok(Ok(()))
}

/// What is read of a packet whose record has no lane: lanes are those of senders, and in format 1 the packet alone said
/// who that was.
#[derive(Deserialize)]
struct Sender {
    #[serde(rename = "FromUserName", default)]
    name: String,
}

fn enter_pushes(transaction: &WriteTransaction) -> Result<Result<(), StoreError>, redb::Error> {
    let mut open = transaction.open_table(OPEN)?;
    let mut lanes = transaction.open_table(LANES)?;
    let mut dead = transaction.open_table(DEAD)?;
    let mut entered = Vec::new();
    for row in open.iter()? {
        let (id, bytes) = row?;
        // A record that cannot be read is left for the one who looks into it.
        let Ok(mut push) = record::to_push(id.value(), bytes.value()) else {
            continue;
        };
        match serde_json::from_str::<Sender>(&push.packet) {
            Ok(sender) if !sender.name.is_empty() => push.lane = sender.name,
            _ => {}
        }
        entered.push(push);
    }
    for push in entered {
        let record = match record::of_push(&push) {
            Ok(record) => record,
            Err(error) => return Ok(Err(error)),
        };
        open.insert(push.id, record.as_slice())?;
        match LetterSize::of(&push) {
            Some(letter) => dead
                .insert(push.id, (letter.bytes, record::millis(letter.died_at)))?
                .is_some(),
            None => lanes.insert((push.lane.as_str(), push.turn), push.id)?.is_some(),
        };
    }
    Ok(Ok(()))
}
