//! The database's file over its life, and how it comes back after an error.
//!
//! After one error of the disk redb refuses everything until it is opened again: a full disk would end the database for
//! good. So it is opened again at once, for those who read. Whoever writes is refused for a while with the error that was,
//! for longer each time, up to [`LONGEST`]; then one write tries it again. The file stays locked meanwhile, so no other
//! process comes between.

use std::{
    fmt,
    ops::Deref,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};

use redb::{CommitError, StorageError, TableError, TransactionError};

use super::file::{self, Backend};
use crate::{Result, error::DatabaseError};

/// How long writes are refused after the first error.
pub(crate) const FIRST: Duration = Duration::from_millis(100);
/// How long they are refused at most before one tries again.
const LONGEST: Duration = Duration::from_secs(5);

pub(crate) struct Disk {
    path: PathBuf,
    backend: Backend,
    cache: usize,
    opened: RwLock<Opened>,
    trouble: Mutex<Option<Trouble>>,
    first_wait: Duration,
}

struct Opened {
    /// `None` if it could not be opened again.
    database: Option<redb::Database>,
    /// How often it was opened.
    times: u64,
}

/// What went wrong last; since then nothing was written.
struct Trouble {
    error: Arc<str>,
    tries: u32,
    again_at: Instant,
}

/// The database for as long as it is not opened anew.
struct Reading<'a>(RwLockReadGuard<'a, Opened>);

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Disk {
    pub(crate) fn new(path: PathBuf, backend: Backend, database: redb::Database, cache: usize) -> Self {
        Self {
            path,
            backend,
            cache,
            opened: RwLock::new(Opened {
                database: Some(database),
                times: 1,
            }),
            trouble: Mutex::default(),
            first_wait: FIRST,
        }
    }

    /// The same with another wait after the first error.
    #[cfg(test)]
    pub(crate) fn waiting(mut self, first_wait: Duration) -> Self {
        self.first_wait = first_wait;
        self
    }

    /// Whether the last write failed, and none has succeeded since.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.trouble().is_some()
    }

    /// Refuses while there is trouble and it is not yet time to try again.
    pub(crate) fn admit(&self) -> Result<()> {
        match &*self.trouble() {
            Some(trouble) if Instant::now() < trouble.again_at => Err(refused(&trouble.error)),
            _ => Ok(()),
        }
    }

    /// A write is on the disk.
    pub(crate) fn works(&self) {
        if let Some(trouble) = self.trouble().take() {
            tracing::info!(tries = trouble.tries, "the database works again");
        }
    }

    /// Does `work` with the database. If the disk fails meanwhile it is opened again, when `before` has let go of
    /// what the old one gave.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&redb::Database) -> Result<T>,
        before: impl Fn(),
    ) -> Result<T> {
        let mut opened = self.opened();
        if opened.database.is_none() {
            let times = opened.times;
            drop(opened);
            self.admit()?;
            self.open_again(times, &before)?;
            opened = self.opened();
        }
        let times = opened.times;
        let Some(reading) = Reading::of(opened) else {
            // It failed again in between.
            return self.admit().and(Err(refused("it was closed")));
        };
        let done = work(&reading);
        drop(reading);
        match done {
            Err(error) if is_of_disk(&error) => {
                let error = self.note(&error);
                // If that fails, the next operation finds it out.
                let _ = self.open_again(times, &before);
                Err(error)
            }
            done => done,
        }
    }

    /// Keeps what went wrong for those who ask meanwhile.
    fn note(&self, error: &DatabaseError) -> DatabaseError {
        let mut trouble = self.trouble();
        let tries = trouble.as_ref().map_or(0, |trouble| trouble.tries);
        let cause = cause(error);
        if tries == 0 {
            tracing::error!(error = %cause, path = %self.path.display(), "the database fails; it is tried again until it works");
        }
        let cause: Arc<str> = match &*trouble {
            // redb's "something went wrong before" says less than the error that was noted then.
            Some(trouble) if matches!(disk_error(error), Some(StorageError::PreviousIo)) => {
                Arc::clone(&trouble.error)
            }
            _ => format!("{} failed: {cause}", self.path.display()).into(),
        };
        let wait = self.first_wait.saturating_mul(1 << tries.min(10)).min(LONGEST);
        *trouble = Some(Trouble {
            error: Arc::clone(&cause),
            tries: tries.saturating_add(1),
            again_at: Instant::now() + wait,
        });
        refused(&cause)
    }

    /// Opens the database again, unless somebody has since it was opened so many `times`. Waits for those who use it.
    fn open_again(&self, times: u64, before: impl Fn()) -> Result<()> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.times != times {
            return Ok(());
        }
        before();
        opened.database = None;
        let database = file::open_database(&self.path, &self.backend, self.cache)
            .map_err(|error| self.note(&DatabaseError::unavailable(error)))?;
        opened.database = Some(database);
        opened.times += 1;
        Ok(())
    }

    fn opened(&self) -> RwLockReadGuard<'_, Opened> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Reading<'a> {
    fn of(opened: RwLockReadGuard<'a, Opened>) -> Option<Self> {
        opened.database.is_some().then_some(Self(opened))
    }
}

impl Deref for Reading<'_> {
    type Target = redb::Database;

    fn deref(&self) -> &redb::Database {
        // Looked at when the guard was made, which keeps it as it was.
        #[expect(clippy::expect_used, reason = "Reading::of has seen it")]
        self.0.database.as_ref().expect("the database is open")
    }
}

fn refused(cause: &str) -> DatabaseError {
    DatabaseError::unavailable(format!("{cause}; it is tried again by itself"))
}

/// Whether the disk is why an operation failed.
pub(crate) fn is_of_disk(error: &DatabaseError) -> bool {
    disk_error(error).is_some()
}

/// The cause as text, for those who shared an operation's fate.
pub(crate) fn cause(error: &DatabaseError) -> String {
    match error {
        DatabaseError::Unavailable(cause) => cause.to_string(),
        error => error.to_string(),
    }
}

/// What the disk did, where that is why an operation failed: then the database is of no use before it is opened again.
fn disk_error(error: &DatabaseError) -> Option<&StorageError> {
    let DatabaseError::Unavailable(cause) = error else {
        return None;
    };
    let storage = match (
        cause.downcast_ref(),
        cause.downcast_ref(),
        cause.downcast_ref(),
        cause.downcast_ref(),
    ) {
        (Some(storage), ..) => storage,
        (_, Some(TableError::Storage(storage)), ..) => storage,
        (_, _, Some(TransactionError::Storage(storage)), _) => storage,
        (.., Some(CommitError::Storage(storage))) => storage,
        _ => return None,
    };
    (!matches!(storage, StorageError::ValueTooLarge(_))).then_some(storage)
}
