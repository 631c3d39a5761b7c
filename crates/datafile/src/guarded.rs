//! The database, and how it comes back after an error.
//!
//! After one error of the disk redb refuses everything until it is opened again: a full disk would end the file for
//! good. So it is opened again at once, for those who read; where the disk takes nothing, with all that would be written kept in memory.
//! Whoever writes is refused for a while with the error that was, for longer each time, up to [`LONGEST`]; then one write tries it again.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use redb::{Database, ReadTransaction, ReadableDatabase as _, WriteTransaction, backends::InMemoryBackend};

use crate::{
    Backend, Cause, Failure, FileError, FileSettings, Form, Redo, WorkError,
    file::{self, BringUp, OpenedFile},
    journal::{Journal, OpenedFor},
    trial,
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
    journal: Option<Journal>,
    opened: RwLock<Opened>,
    /// Whether what is written to the database does not come to the disk. Changed only by whoever opens it.
    is_for_reading: AtomicBool,
    was_closed: bool,
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
            backend: Arc::new(file::on_disk),
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
    /// The same, and this is all that it changes, for the journal.
    Journaled(T, Redo),
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
        let opened = file::open(path, form, bring_up, settings)?;
        Ok(Self::new(path, form, opened, settings.cache, settings.first_wait))
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
        let opened = OpenedFile {
            backend,
            journal: None,
            database,
            was_closed: true,
        };
        Ok(Self::new(path, form, opened, cache, FIRST))
    }

    fn new(path: &Path, form: &'static Form, opened: OpenedFile, cache: usize, first_wait: Duration) -> Self {
        Self {
            form,
            path: path.to_owned(),
            backend: opened.backend,
            journal: opened.journal,
            opened: RwLock::new(Opened {
                database: Some(opened.database),
                times: 1,
            }),
            is_for_reading: AtomicBool::new(false),
            was_closed: opened.was_closed,
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

    /// Makes a commit, for whoever writes by [`with`](Self::with). With all that it changes it needs no more than the journal,
    /// where the file has one.
    ///
    /// # Errors
    /// Of the disk.
    pub fn commit(&self, write: WriteTransaction, redo: Option<&Redo>) -> Result<(), redb::Error> {
        if self.is_for_reading.load(Ordering::SeqCst) {
            // The disk failed once more since it was told to write.
            return Err(redb::Error::PreviousIo);
        }
        match &self.journal {
            Some(journal) => journal.commit(write, redo),
            None => Ok(write.commit()?),
        }
    }

    /// Whether the file was closed before it was opened, or is new. One that was not may lack what was written last, where something has
    /// happened to its journal: one that was cut off looks like one that had no more.
    #[must_use]
    pub const fn was_closed(&self) -> bool {
        self.was_closed
    }

    /// Whether the file lacks what its journal has; a [`commit`](Self::commit) without changes ends that.
    pub fn needs_journal(&self) -> bool {
        self.journal.as_ref().is_some_and(Journal::is_needed)
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
        self.admit(|| {}).map_err(Failure::File)?;
        let write = |database: &Database| {
            let transaction = database.begin_write()?;
            let (answer, redo) = match work(&transaction)? {
                Wrote::Unchanged(answer) => return Ok(answer),
                Wrote::Changed(answer) => (answer, None),
                Wrote::Journaled(answer, redo) => (answer, Some(redo)),
            };
            self.commit(transaction, redo.as_ref()).map_err(WorkError::Disk)?;
            self.works();
            Ok(answer)
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
            if let Some(journal) = &self.journal {
                journal.settle(database)?;
            }
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

    /// Refuses while there is trouble and it is not yet time to try again, for whoever writes by [`with`](Self::with), and has the same
    /// `let_go`.
    ///
    /// # Errors
    /// What went wrong last.
    pub fn admit(&self, let_go: impl Fn()) -> Result<(), FileError> {
        self.judge_time()?;
        let times = self.opened().times;
        match self.is_for_reading.load(Ordering::SeqCst) {
            true => self.open_again(times, let_go, false),
            false => Ok(()),
        }
    }

    /// Refuses while it is not yet time to try again.
    fn judge_time(&self) -> Result<(), FileError> {
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
            self.judge_time().map_err(Failure::File)?;
            self.open_again(times, &let_go, true).map_err(Failure::File)?;
            opened = self.opened();
        }
        let times = opened.times;
        let Some(database) = &opened.database else {
            // It failed again in between.
            return Err(Failure::File(
                self.judge_time().err().unwrap_or(FileError::Closed),
            ));
        };
        let done = work(database);
        drop(opened);
        match done {
            Ok(answer) => Ok(answer),
            Err(WorkError::Own(error)) => Err(Failure::Own(error)),
            Err(WorkError::Disk(error)) => {
                let error = self.note(self.failed(error));
                // If that fails, the next operation finds it out.
                let _ = self.open_again(times, &let_go, true);
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

    /// Opens the database again, unless somebody has since it was opened so many `times`. Waits for those who use it. If the disk takes nothing,
    /// one that can only be read is enough where it `may_be_for_reading`.
    fn open_again(&self, times: u64, let_go: impl Fn(), may_be_for_reading: bool) -> Result<(), FileError> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.times != times {
            return Ok(());
        }
        let_go();
        opened.database = None;
        let (database, failed) = match self.open_on(&self.backend, OpenedFor::Writing) {
            Ok(database) => (Ok(database), None),
            Err(error) => (self.open_for_reading(), Some(error)),
        };
        self.is_for_reading.store(failed.is_some(), Ordering::SeqCst);
        let note = |error| {
            // The file was open before, so the advice for a file that cannot be opened at the start would mislead.
            self.note(match error {
                FileError::Open { form, place, cause }
                | FileError::Full { form, place, cause }
                | FileError::Damaged { form, place, cause } => FileError::Failed { form, place, cause },
                error => error,
            })
        };
        opened.times += u64::from(database.is_ok());
        opened.database = database.ok();
        match failed {
            Some(error) if opened.database.is_none() || !may_be_for_reading => Err(note(error)),
            _ => Ok(()),
        }
    }

    fn open_on(&self, backend: &Backend, opened: OpenedFor) -> Result<Database, FileError> {
        let database = file::open_database(&self.path, self.form, backend, self.cache)?;
        if let Some(journal) = &self.journal {
            let done = journal.redo(&database, opened);
            done.map_err(|error| file::refused_journal(&self.path, self.form, journal.path(), error))?;
        }
        Ok(database)
    }

    fn open_for_reading(&self) -> Result<Database, FileError> {
        let beside = trial::beside(&self.backend).map_err(|error| self.failed(redb::Error::Io(error)))?;
        self.open_on(&beside, OpenedFor::Reading)
    }
}

impl Drop for DataFile {
    /// Has the file have everything, so that it is whole without its journal.
    fn drop(&mut self) {
        let Some(journal) = &self.journal else {
            return;
        };
        let opened = self.opened.get_mut().unwrap_or_else(PoisonError::into_inner);
        let database = opened.database.take();
        let is_for_reading = *self.is_for_reading.get_mut();
        let Some(database) = database.filter(|_| !is_for_reading) else {
            // What the disk has is not known.
            return;
        };
        let settled = journal.settle(&database);
        drop(database);
        match settled {
            Ok(()) => journal.delete(),
            Err(error) => {
                tracing::warn!(%error, file = %self.path.display(), "the journal stays; it is taken up when the file is opened");
            }
        }
    }
}
