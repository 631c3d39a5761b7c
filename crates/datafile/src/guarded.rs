//! The database, and how it comes back after an error.
//!
//! After one error of the disk redb refuses everything until it is opened again: a full disk would end the file for
//! good. So it is opened again at once, for those who read. Whoever writes is refused for a while with the error that was,
//! for longer each time, up to [`LONGEST`]; then one write tries it again.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};

use redb::{Database, ReadTransaction, ReadableDatabase as _, WriteTransaction, backends::InMemoryBackend};

use crate::{
    Backend, Cause, Failure, FileError, FileSettings, Form, WorkError,
    file::{self, BringUp},
    journal::Journal,
};

/// How long writes are refused after the first error.
const FIRST: Duration = Duration::from_millis(100);
/// How long they are refused at most before one tries again.
const LONGEST: Duration = Duration::from_secs(5);

/// A file of ours, open and locked.
pub struct DataFile {
    form: &'static Form,
    path: PathBuf,
    backend: Backend,
    /// Where there is a file.
    journal: Option<Arc<Journal>>,
    opened: RwLock<Opened>,
    trouble: Mutex<Option<Trouble>>,
    cache: usize,
    first_wait: Duration,
}

impl FileSettings {
    /// Those of a file of this form.
    #[must_use]
    pub fn of(form: &Form) -> Self {
        Self {
            cache: form.cache,
            first_wait: FIRST,
            backend: Box::new(file::on_disk),
        }
    }
}

struct Opened {
    /// None if it could not be opened again.
    database: Option<Database>,
    /// How often it was opened.
    times: u64,
}

/// What went wrong last, and since then nothing was written.
struct Trouble {
    error: Arc<FileError>,
    tries: u32,
    again_at: Instant,
}

/// What a write came to.
#[derive(Debug)]
pub enum Wrote<T> {
    /// It is to be committed.
    Changed(T),
    /// There is nothing to wait for the disk for.
    Unchanged(T),
}

impl fmt::Debug for DataFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl DataFile {
    /// Opens the file, or makes it with mode 0600. One of ours that others could read is closed to them. A new one, and one of
    /// an older format, is given to `bring_up`, which makes the tables.
    ///
    /// # Errors
    /// The file cannot be opened, is in use, is not of this form, is damaged, or was written by a later version.
    pub fn open(
        path: &Path,
        form: &'static Form,
        bring_up: impl Fn(&WriteTransaction, Option<u64>) -> Result<(), Cause>,
    ) -> Result<Self, FileError> {
        Self::open_with(path, form, &bring_up, &FileSettings::of(form))
    }

    /// As [`open`](Self::open), with settings of the caller's.
    ///
    /// # Errors
    /// As there.
    pub fn open_with(
        path: &Path,
        form: &'static Form,
        bring_up: BringUp<'_>,
        settings: &FileSettings,
    ) -> Result<Self, FileError> {
        let (journal, database) = file::open(path, form, bring_up, settings)?;
        let backend = Arc::clone(&journal) as Backend;
        let file = Self::new(path, form, backend, database, settings.cache, settings.first_wait);
        Ok(Self {
            journal: Some(journal),
            ..file
        })
    }

    /// What such a file would be, in memory: it ends with the process.
    ///
    /// # Errors
    /// `bring_up` failed.
    pub fn in_memory(form: &'static Form, bring_up: BringUp<'_>, cache: usize) -> Result<Self, FileError> {
        let path = Path::new("in memory");
        let backend: Backend = Arc::new(InMemoryBackend::new());
        let database = file::open_database(path, form, &backend, cache)?;
        file::bring_up(&database, form, bring_up, None).map_err(|cause| FileError::Failed {
            form,
            place: path.display().to_string(),
            cause,
        })?;
        Ok(Self::new(path, form, backend, database, cache, FIRST))
    }

    fn new(
        path: &Path,
        form: &'static Form,
        backend: Backend,
        database: Database,
        cache: usize,
        first_wait: Duration,
    ) -> Self {
        Self {
            form,
            path: path.to_owned(),
            backend,
            journal: None,
            opened: RwLock::new(Opened {
                database: Some(database),
                times: 1,
            }),
            trouble: Mutex::default(),
            cache,
            first_wait,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Brings what stands in the journal to its place in the file, which is then whole by itself.
    ///
    /// # Errors
    /// Of the disk; then the journal still has it.
    pub fn settle(&self) -> io::Result<()> {
        self.journal.as_ref().map_or(Ok(()), |journal| journal.settle())
    }

    /// Reads one snapshot.
    ///
    /// # Errors
    /// What `work` gave, or that of the file.
    pub fn read<T, E>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, WorkError<E>>,
    ) -> Result<T, Failure<E>> {
        self.with(|database| work(&database.begin_read()?), || {})
    }

    /// Returns when the change is on the disk.
    ///
    /// # Errors
    /// What `work` gave, after which nothing has changed, or that of the file.
    pub fn write<T, E>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<Wrote<T>, WorkError<E>>,
    ) -> Result<T, Failure<E>> {
        self.admit().map_err(Failure::File)?;
        let write = |database: &Database| {
            let transaction = database.begin_write()?;
            match work(&transaction)? {
                Wrote::Unchanged(answer) => Ok(answer),
                Wrote::Changed(answer) => {
                    transaction.commit()?;
                    self.works();
                    Ok(answer)
                }
            }
        };
        self.with(write, || {})
    }

    /// Notes that a write is on the disk, for whoever writes by [`with`](Self::with).
    pub fn works(&self) {
        if let Some(trouble) = self.trouble().take() {
            tracing::info!(tries = trouble.tries, file = %self.path.display(), "the file can be written again");
        }
    }

    /// Whether the last write failed, and none has succeeded since.
    pub fn is_in_trouble(&self) -> bool {
        self.trouble().is_some()
    }

    /// Gives back to the disk what of the file is free.
    ///
    /// # Errors
    /// The disk fails, or something of the file is still in use; it is good without.
    pub fn compact(&mut self) -> Result<(), Cause> {
        let opened = self.opened.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(database) = &mut opened.database {
            database.compact()?;
        }
        Ok(())
    }

    /// Whether the last write succeeded; if not, and if it is time, the next one is this.
    ///
    /// # Errors
    /// It did not.
    pub fn check(&self) -> Result<(), FileError> {
        let checked: Result<(), Failure<FileError>> = match self.is_in_trouble() {
            false => self.read(|_| Ok(())),
            true => self.write(|transaction| match file::mark(transaction, self.form) {
                Ok(()) => Ok(Wrote::Changed(())),
                Err(error) => Err(WorkError::Disk(error)),
            }),
        };
        checked.map_err(|failure| failure.into_own(|error| error))
    }

    /// What redb's error is of this file.
    #[must_use]
    pub fn failed(&self, error: redb::Error) -> FileError {
        FileError::Failed {
            form: self.form,
            place: self.path.display().to_string(),
            cause: error.into(),
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses while there is trouble and it is not yet time to try again, for whoever writes by [`with`](Self::with).
    ///
    /// # Errors
    /// What went wrong last.
    pub fn admit(&self) -> Result<(), FileError> {
        match &*self.trouble() {
            Some(trouble) if Instant::now() < trouble.again_at => {
                Err(FileError::Shared(Arc::clone(&trouble.error)))
            }
            _ => Ok(()),
        }
    }

    /// Does `work` with the database. If the disk fails meanwhile it is opened again, after `let_go` has dropped what the old
    /// one gave.
    ///
    /// # Errors
    /// What `work` gave, or that of the file.
    pub fn with<T, E>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, WorkError<E>>,
        let_go: impl Fn(),
    ) -> Result<T, Failure<E>> {
        let mut opened = self.opened();
        if opened.database.is_none() {
            let times = opened.times;
            drop(opened);
            self.admit().map_err(Failure::File)?;
            self.open_again(times, &let_go).map_err(Failure::File)?;
            opened = self.opened();
        }
        let times = opened.times;
        let Some(database) = &opened.database else {
            // It failed again in between.
            return Err(Failure::File(self.admit().err().unwrap_or(FileError::Closed)));
        };
        let done = work(database);
        drop(opened);
        match done {
            Ok(answer) => Ok(answer),
            Err(WorkError::Own(error)) => Err(Failure::Own(error)),
            Err(WorkError::Disk(error)) => {
                let error = self.note(self.failed(error));
                // If that fails, the next operation finds it out.
                let _ = self.open_again(times, &let_go);
                Err(Failure::File(error))
            }
        }
    }

    fn opened(&self) -> RwLockReadGuard<'_, Opened> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what went wrong for those who ask meanwhile.
    fn note(&self, error: FileError) -> FileError {
        let mut trouble = self.trouble();
        let error = match (&*trouble, &error) {
            // redb's "something went wrong before" says less than the error that was noted then.
            (Some(trouble), FileError::Failed { cause, .. })
                if matches!(cause.downcast_ref(), Some(redb::Error::PreviousIo)) =>
            {
                Arc::clone(&trouble.error)
            }
            _ => Arc::new(error),
        };
        let tries = trouble.as_ref().map_or(0, |trouble| trouble.tries);
        if tries == 0 {
            tracing::error!(error = %error.report(), "a file fails; it is tried again until it works");
        }
        let wait = self.first_wait.saturating_mul(1 << tries.min(10)).min(LONGEST);
        *trouble = Some(Trouble {
            error: Arc::clone(&error),
            tries: tries.saturating_add(1),
            again_at: Instant::now() + wait,
        });
        FileError::Shared(error)
    }

    /// Opens the database again, unless somebody has since it was opened so many `times`. Waits for those who use it.
    fn open_again(&self, times: u64, let_go: impl Fn()) -> Result<(), FileError> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.times != times {
            return Ok(());
        }
        let_go();
        opened.database = None;
        let open = || file::open_database(&self.path, self.form, &self.backend, self.cache);
        let database = match &self.journal {
            Some(journal) => journal.opened_again(open),
            None => open(),
        };
        let database = database.map_err(|error| {
            // The file was open before, so the advice for a file that cannot be opened at the start would mislead.
            self.note(match error {
                FileError::Open { form, place, cause } | FileError::Damaged { form, place, cause } => {
                    FileError::Failed { form, place, cause }
                }
                error => error,
            })
        })?;
        opened.database = Some(database);
        opened.times += 1;
        Ok(())
    }
}
