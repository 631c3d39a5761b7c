//! The file: what is looked at before it is taken for one of ours, its lock, and its format.
//!
//! The file is locked for as long as it is open, and not by redb: so the database can be closed and opened again
//! after an error while no other process can come between.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io,
    os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use redb::{
    Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase as _, StorageBackend, StorageError,
    TableDefinition, TableError, TableHandle as _, WriteTransaction, backends::FileBackend,
};

use crate::{
    Cause, FileError, Replay,
    journal::{self, Journal, JournalError, OpenedFor, Stated},
    panics,
    trial::{self, NO_PAGE, Verdict},
};

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
    /// Where the file has a journal: does once more what that has.
    pub replay: Option<Replay>,
}

/// How a file is kept open.
pub struct FileSettings {
    /// Bytes of memory for its pages.
    pub cache: usize,
    /// How long writes are refused after the first error.
    pub first_wait: Duration,
    /// Makes of the open file what redb reads and writes.
    pub backend: OpenBackend,
}

/// Makes of an open file what redb reads and writes.
pub type OpenBackend = Arc<dyn Fn(File) -> Result<Backend, DatabaseError> + Send + Sync>;

/// Numbers, of which [`FORMAT_NAME`] is one. Every file of ours has it.
pub(crate) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// In `meta`.
pub(crate) const FORMAT_NAME: &str = "format";

/// How every file of redb's begins.
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";

/// In the byte behind, while the file is open.
const RECOVERY_REQUIRED: u8 = 2;

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
pub type BringUp<'a> = &'a dyn Fn(&WriteTransaction, Option<u64>) -> Result<(), Cause>;

/// A file that was opened.
pub(crate) struct OpenedFile {
    pub(crate) backend: Backend,
    pub(crate) journal: Option<Journal>,
    pub(crate) database: Database,
    /// See [`DataFile::was_closed`](crate::DataFile::was_closed).
    pub(crate) was_closed: bool,
}

/// Opens the file, or makes it with mode 0600, and locks it. A file that others could read is closed to them, if it is one
/// of ours.
pub(crate) fn open(
    path: &Path,
    form: &'static Form,
    bring_up: BringUp<'_>,
    settings: &FileSettings,
) -> Result<OpenedFile, FileError> {
    let opening = Opening {
        path,
        form,
        bring_up,
        settings,
    };
    loop {
        match fs::metadata(path) {
            Ok(found) => {
                judge_type(path, form, found.file_type())?;
                return opening.existing();
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(opening.failed(error)),
        }
        // `None` where another process made it meanwhile.
        if let Some(made) = opening.make()? {
            return Ok(made);
        }
    }
}

struct Opening<'a> {
    path: &'a Path,
    form: &'static Form,
    bring_up: BringUp<'a>,
    settings: &'a FileSettings,
}

impl Opening<'_> {
    fn failed(&self, cause: impl Into<Cause>) -> FileError {
        FileError::unopened(self.form, self.path.display().to_string(), cause)
    }

    fn foreign(&self, what: &'static str) -> FileError {
        foreign(self.path, self.form, what, another(self.form))
    }

    fn existing(&self) -> Result<OpenedFile, FileError> {
        let (path, form) = (self.path, self.form);
        let failed = |error: io::Error| self.failed(error);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .map_err(failed)?;
        self.lock(&file)?;
        let metadata = file.metadata().map_err(failed)?;
        judge_type(path, form, metadata.file_type())?;
        let was_closed = judge_head(path, form, &file, metadata.len())?;
        if metadata.permissions().mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(0o600))
                .map_err(failed)?;
        }
        let damaged = |cause: Cause| FileError::Damaged {
            form,
            place: path.display().to_string(),
            cause,
        };
        let backend = (self.settings.backend)(file).map_err(|error| refused(path, form, error))?;
        let (found, stated) = match trial::judge(&backend, self.settings.cache, look) {
            Verdict::Sound(Ok(found)) => found,
            Verdict::Sound(Err(redb::Error::Io(error))) if !is_damage(&error) => {
                return Err(self.failed(error));
            }
            Verdict::Sound(Err(error)) => return Err(damaged(error.into())),
            Verdict::Refused(error) => return Err(refused(path, form, error)),
            Verdict::Damaged(what) => return Err(damaged(what.into())),
        };
        let older = match found {
            FoundFormat::Number(format) if format > form.format => {
                return Err(FileError::Newer {
                    form,
                    place: path.display().to_string(),
                    found: format,
                });
            }
            FoundFormat::Other => return Err(self.foreign("a redb database of another program")),
            FoundFormat::Number(format) => Some(format),
            FoundFormat::Nothing => None,
        };
        // Beside the file itself, and not beside a link to it.
        let journal = self.journal_beside(&fs::canonicalize(path).map_err(failed)?)?;
        if let Some(journal) = &journal {
            let judged = journal.judge(stated);
            judged.map_err(|error| refused_journal(path, form, journal.path(), error))?;
        }
        if !was_closed && journal.as_ref().is_some_and(|journal| !journal.is_there()) {
            tracing::info!(
                file = %path.display(),
                "the file was not closed, and has no journal beside it: if it had one, what was written last is missing"
            );
        }
        let database = open_database(path, form, &backend, self.settings.cache)?;
        if let Some(journal) = &journal {
            let done = journal.redo(&database, OpenedFor::Writing);
            done.map_err(|error| refused_journal(path, form, journal.path(), error))?;
        }
        if older != Some(form.format) {
            let brought_up = || {
                // What is done once more is of the older format.
                if let Some(journal) = &journal {
                    journal.settle(&database)?;
                }
                self.bring_up(&database, older)
            };
            brought_up().map_err(|cause| FileError::Failed {
                form,
                place: path.display().to_string(),
                cause,
            })?;
        }
        Ok(OpenedFile {
            backend,
            journal,
            database,
            was_closed,
        })
    }

    /// Makes the file under another name until it is whole: a process that is killed meanwhile leaves no half of one. The
    /// lock on that name keeps others from making it too; `None` where one of them was quicker.
    fn make(&self) -> Result<Option<OpenedFile>, FileError> {
        let failed = |error: io::Error| self.failed(error);
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // A link that leads nowhere yet.
        let place = match fs::read_link(self.path) {
            Ok(to) => folder.join(to),
            Err(_) => self.path.to_owned(),
        };
        let mut unfinished = place.clone().into_os_string();
        unfinished.push(".new");
        let unfinished = PathBuf::from(unfinished);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&unfinished)
            .map_err(failed)?;
        self.lock(&file)?;
        let mine = file.metadata().map_err(failed)?;
        match fs::metadata(&unfinished) {
            Ok(named) if (named.dev(), named.ino()) == (mine.dev(), mine.ino()) => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        }
        // Whoever made it had this lock, or one that is older than this file.
        if fs::exists(&place).map_err(failed)? {
            fs::remove_file(&unfinished).map_err(failed)?;
            return Ok(None);
        }
        // What an earlier process was killed over.
        file.set_len(0).map_err(failed)?;
        let made = (self.settings.backend)(file)
            .map_err(|error| refused(self.path, self.form, error))
            .and_then(|backend| {
                let journal = self.journal_beside(&place)?;
                if let Some(journal) = &journal
                    && journal.is_left().map_err(failed)?
                {
                    let left = JournalError::Foreign;
                    return Err(refused_journal(self.path, self.form, journal.path(), left));
                }
                let database = open_database(self.path, self.form, &backend, self.settings.cache)?;
                self.bring_up(&database, None)
                    .map_err(|cause| self.failed(cause))?;
                fs::rename(&unfinished, &place).map_err(failed)?;
                // The file's name must survive a power cut as its content does.
                sync_folder(&place).map_err(failed)?;
                Ok(OpenedFile {
                    backend,
                    journal,
                    database,
                    was_closed: true,
                })
            });
        if made.is_err() {
            // It is of no use to anybody.
            let _ = fs::remove_file(&unfinished);
        }
        made.map(Some)
    }

    /// The journal of the file in that place, if such files have one.
    fn journal_beside(&self, place: &Path) -> Result<Option<Journal>, FileError> {
        let path = journal_of(place);
        let Some(replay) = self.form.replay else {
            // One that this version cannot read may have what the file lacks.
            return match fs::symlink_metadata(&path) {
                Ok(there) if there.len() > 0 => {
                    let error = JournalError::Foreign;
                    Err(refused_journal(self.path, self.form, &path, error))
                }
                _ => Ok(None),
            };
        };
        let open = Arc::clone(&self.settings.backend);
        let journal = Journal::new(path.clone(), open, replay, journal::ROOM);
        let journal = journal.map_err(|error| refused_journal(&path, self.form, &path, error))?;
        Ok(Some(journal))
    }

    fn lock(&self, file: &File) -> Result<(), FileError> {
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => FileError::InUse {
                form: self.form,
                place: self.path.display().to_string(),
            },
            TryLockError::Error(error) => self.failed(error),
        })
    }

    fn bring_up(&self, database: &Database, from: Option<u64>) -> Result<(), Cause> {
        bring_up(database, self.form, self.bring_up, from)
    }
}

/// Brings what is there to the newest format, all at once.
pub(crate) fn bring_up(
    database: &Database,
    form: &Form,
    bring_up: BringUp<'_>,
    from: Option<u64>,
) -> Result<(), Cause> {
    let mut transaction = database.begin_write()?;
    // In two phases: after a sync that fails in the commit that follows, redb goes back to this one, and does not judge that one by a
    // cache that shows what the disk does not have.
    transaction.set_quick_repair(true);
    bring_up(&transaction, from)?;
    mark(&transaction, form)?;
    transaction.commit()?;
    Ok(())
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
    cache: usize,
) -> Result<Database, FileError> {
    let lent = Lent(Arc::clone(backend));
    // See `trial`; a file that was open before is not tried.
    let opened = panics::caught(|| Builder::new().set_cache_size(cache).create_with_backend(lent));
    match opened {
        Ok(opened) => opened.map_err(|error| refused(path, form, error)),
        Err(_) => Err(FileError::Damaged {
            form,
            place: path.display().to_string(),
            cause: NO_PAGE.into(),
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

/// Judges how a file begins that is there already, and tells whether it was closed.
fn judge_head(path: &Path, form: &'static Form, file: &File, length: u64) -> Result<bool, FileError> {
    if length == 0 {
        let mend = format!(
            "put back a copy of {}, or delete the file to begin anew; {}",
            form.noun, form.loss
        );
        return Err(foreign(path, form, "an empty file", mend));
    }
    let mut head = [0; MAGIC.len() + 1];
    match file.read_exact_at(&mut head, 0) {
        Ok(()) if head.starts_with(MAGIC) => {
            Ok(head.last().is_some_and(|flags| flags & RECOVERY_REQUIRED == 0))
        }
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

/// Why a file cannot be taken with its journal.
pub(crate) fn refused_journal(
    path: &Path,
    form: &'static Form,
    journal: &Path,
    error: JournalError,
) -> FileError {
    let place = path.display().to_string();
    match error {
        JournalError::Io(cause) => FileError::unopened(form, place, cause),
        JournalError::Damaged | JournalError::Redo(_) => FileError::Damaged {
            form,
            place,
            cause: error.into(),
        },
        JournalError::NotAFile => FileError::NoJournal {
            form,
            place: journal.display().to_string(),
        },
        JournalError::Foreign => FileError::Journal {
            form,
            place: journal.display().to_string(),
        },
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
        DatabaseError::Storage(StorageError::Io(cause)) if !is_damage(&cause) => {
            FileError::unopened(form, place, cause)
        }
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
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Unsupported
    )
}

/// Whether there is a file, or a journal that lost its file and may have what was written last.
#[must_use]
pub fn is_at(path: &Path) -> bool {
    path.exists() || fs::metadata(journal_of(path)).is_ok_and(|journal| journal.len() > 0)
}

/// Where the journal of a file is.
fn journal_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-journal");
    PathBuf::from(name)
}

pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Writes down which format this is.
pub(crate) fn mark(transaction: &WriteTransaction, form: &Form) -> Result<(), redb::Error> {
    transaction.open_table(META)?.insert(FORMAT_NAME, form.format)?;
    Ok(())
}

/// What has to be known of a file before it is opened.
fn look(database: &Database) -> Result<(FoundFormat, Stated), redb::Error> {
    let transaction = database.begin_read()?;
    let format = found_format(&transaction)?;
    let stated = match format {
        FoundFormat::Number(_) => Stated::read(&transaction)?,
        FoundFormat::Nothing | FoundFormat::Other => Stated::default(),
    };
    Ok((format, stated))
}

enum FoundFormat {
    /// No table: somebody was interrupted as the file was made.
    Nothing,
    /// Tables, and no format.
    Other,
    Number(u64),
}

fn found_format(transaction: &ReadTransaction) -> Result<FoundFormat, redb::Error> {
    let table = match transaction.open_table(META) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => {
            let mut tables = transaction.list_tables()?;
            return Ok(match tables.any(|table| !table.name().is_empty()) {
                true => FoundFormat::Other,
                false => FoundFormat::Nothing,
            });
        }
        Err(TableError::TableTypeMismatch { .. } | TableError::TableIsMultimap(_)) => {
            return Ok(FoundFormat::Other);
        }
        Err(error) => return Err(error.into()),
    };
    let format = table.get(FORMAT_NAME)?;
    Ok(format.map_or(FoundFormat::Other, |format| FoundFormat::Number(format.value())))
}
