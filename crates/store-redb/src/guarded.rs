//! The database, and how it comes back after an error.
//!
//! After one error of the disk redb refuses everything until it is opened again: a full disk would end the store for
//! good. So it is opened again at once, for those who read. Whoever writes is refused for a while with the error that was,
//! for longer each time, up to [`LONGEST`]; then one write tries it again.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::{Duration, Instant},
};

use redb::{Database, ReadTransaction, ReadableDatabase, WriteTransaction};
use store::StoreError;

use crate::{
    META,
    file::{self, Backend, FORMAT, FORMAT_NAME},
};

/// How long writes are refused after the first error.
pub(crate) const FIRST: Duration = Duration::from_millis(100);
/// How long they are refused at most before one tries again.
const LONGEST: Duration = Duration::from_secs(5);

pub(crate) struct Guarded {
    path: PathBuf,
    backend: Backend,
    opened: RwLock<Opened>,
    trouble: Mutex<Option<Trouble>>,
    first_wait: Duration,
}

struct Opened {
    /// None if it could not be opened again.
    database: Option<Database>,
    /// How often it was opened.
    times: u64,
}

/// What went wrong last, and since then nothing was written.
struct Trouble {
    error: Arc<StoreError>,
    tries: u32,
    again_at: Instant,
}

/// What a write came to.
pub(crate) enum Wrote<T> {
    /// It is to be committed.
    Changed(T),
    /// There is nothing to wait for the disk for.
    Unchanged(T),
}

impl fmt::Debug for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Guarded {
    pub(crate) fn new(path: PathBuf, backend: Backend, database: Database, first_wait: Duration) -> Self {
        Self {
            path,
            backend,
            opened: RwLock::new(Opened {
                database: Some(database),
                times: 1,
            }),
            trouble: Mutex::default(),
            first_wait,
        }
    }

    pub(crate) fn failed(&self, error: impl Into<redb::Error>) -> StoreError {
        StoreError::Failed {
            place: self.path.display().to_string(),
            cause: error.into().into(),
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses while there is trouble and it is not yet time to try again.
    fn admit(&self) -> Result<(), StoreError> {
        match &*self.trouble() {
            Some(trouble) if Instant::now() < trouble.again_at => {
                Err(StoreError::Shared(Arc::clone(&trouble.error)))
            }
            _ => Ok(()),
        }
    }

    /// Does `work` with the database, and opens it again if that fails.
    fn with<T>(&self, work: impl FnOnce(&Database) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut opened = self.opened();
        if opened.database.is_none() {
            let times = opened.times;
            drop(opened);
            self.admit()?;
            self.open_again(times)?;
            opened = self.opened();
        }
        let times = opened.times;
        let done = match &opened.database {
            Some(database) => work(database),
            // It failed again in between.
            None => Err(StoreError::Closed),
        };
        drop(opened);
        let Err(error @ StoreError::Failed { .. }) = done else {
            return done;
        };
        let error = self.note(error);
        // If that fails, the next operation finds it out.
        let _ = self.open_again(times);
        Err(error)
    }

    fn opened(&self) -> RwLockReadGuard<'_, Opened> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what went wrong for those who ask meanwhile.
    fn note(&self, error: StoreError) -> StoreError {
        let error = Arc::new(error);
        let mut trouble = self.trouble();
        let tries = trouble.as_ref().map_or(0, |trouble| trouble.tries);
        if tries == 0 {
            tracing::error!(error = %error.report(), "the store fails; it is tried again until it works");
        }
        let wait = self.first_wait.saturating_mul(1 << tries.min(10)).min(LONGEST);
        *trouble = Some(Trouble {
            error: Arc::clone(&error),
            tries: tries.saturating_add(1),
            again_at: Instant::now() + wait,
        });
        StoreError::Shared(error)
    }

    /// Opens the database again, unless somebody has since it was opened so many `times`. Waits for those who use it.
    fn open_again(&self, times: u64) -> Result<(), StoreError> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.times != times {
            return Ok(());
        }
        opened.database = None;
        let database = file::open_database(&self.path, &self.backend).map_err(|error| {
            // The file was open before, so the advice for a file that cannot be opened at the start would mislead.
            self.note(match error {
                StoreError::Open { place, cause } | StoreError::Damaged { place, cause } => {
                    StoreError::Failed { place, cause }
                }
                error => error,
            })
        })?;
        opened.database = Some(database);
        opened.times += 1;
        Ok(())
    }

    pub(crate) fn read<T>(
        &self,
        work: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.with(|database| work(&database.begin_read().map_err(|error| self.failed(error))?))
    }

    /// Returns when the change is on the disk, which is redb's default durability.
    pub(crate) fn write<T>(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<Wrote<T>, StoreError>,
    ) -> Result<T, StoreError> {
        self.admit()?;
        self.with(|database| {
            let transaction = database.begin_write().map_err(|error| self.failed(error))?;
            match work(&transaction)? {
                Wrote::Unchanged(answer) => Ok(answer),
                Wrote::Changed(answer) => {
                    transaction.commit().map_err(|error| self.failed(error))?;
                    if let Some(trouble) = self.trouble().take() {
                        tracing::info!(tries = trouble.tries, "the store works again");
                    }
                    Ok(answer)
                }
            }
        })
    }

    /// Whether the last write succeeded; if not, and if it is time, the next one is this.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.trouble().is_none() {
            return self.read(|_| Ok(()));
        }
        self.write(|transaction| {
            let mut meta = transaction.open_table(META).map_err(|error| self.failed(error))?;
            meta.insert(FORMAT_NAME, FORMAT)
                .map_err(|error| self.failed(error))?;
            Ok(Wrote::Changed(()))
        })
    }
}
