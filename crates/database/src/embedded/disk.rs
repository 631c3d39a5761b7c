//! The database's file over its life, and what its errors are to whoever asked for an operation.

use datafile::{Cause, DataFile, FileError, Redo, WorkError};
use redb::{StorageError, TableError, TransactionError, WriteTransaction};

use super::file::FORM;
use crate::{Result, error::DatabaseError};

#[derive(Debug)]
pub(crate) struct Disk(DataFile);

impl Disk {
    pub(crate) const fn new(file: DataFile) -> Self {
        Self(file)
    }

    /// Why it is of no use after all.
    pub(crate) fn cannot_be_opened(&self, cause: impl Into<Cause>) -> FileError {
        FileError::Open {
            form: &FORM,
            place: self.0.path().display().to_string(),
            cause: cause.into(),
        }
    }

    /// Whether the last write failed, and none has succeeded since.
    pub(crate) fn is_in_trouble(&self) -> bool {
        self.0.is_in_trouble()
    }

    /// Refuses while there is trouble and it is not yet time to try again; `let_go` as in [`with`](Self::with).
    pub(crate) fn admit(&self, let_go: impl Fn()) -> Result<()> {
        self.0.admit(let_go).map_err(|error| told(&error))
    }

    /// Makes a commit; with all that it changes it goes to the file's journal first.
    pub(crate) fn commit(&self, write: WriteTransaction, redo: Option<&Redo>) -> Result<()> {
        self.0.commit(write, redo).map_err(DatabaseError::unavailable)
    }

    /// Whether the file lacks what its journal has.
    pub(crate) fn needs_journal(&self) -> bool {
        self.0.needs_journal()
    }

    /// A write is on the disk.
    pub(crate) fn works(&self) {
        self.0.works();
    }

    /// Does `work` with the database. If the disk fails meanwhile it is opened again, after `let_go` has dropped what the old
    /// one gave.
    pub(crate) fn with<T>(
        &self,
        work: impl FnOnce(&redb::Database) -> Result<T>,
        let_go: impl Fn(),
    ) -> Result<T> {
        let done = self.0.with(|database| work(database).map_err(judge), let_go);
        done.map_err(|failure| failure.into_own(|error| told(&error)))
    }
}

fn told(error: &FileError) -> DatabaseError {
    DatabaseError::unavailable(format!("{}; it is tried again by itself", error.report()))
}

/// Whether the disk is why an operation failed.
pub(crate) fn is_of_disk(error: &DatabaseError) -> bool {
    let DatabaseError::Unavailable(cause) = error else {
        return false;
    };
    if let Some(error) = cause.downcast_ref::<redb::Error>() {
        return !matches!(error, redb::Error::ValueTooLarge(_));
    }
    let storage = match (cause.downcast_ref(), cause.downcast_ref(), cause.downcast_ref()) {
        (Some(storage), ..) => storage,
        (_, Some(TableError::Storage(storage)), ..) => storage,
        (.., Some(TransactionError::Storage(storage))) => storage,
        _ => return false,
    };
    !matches!(storage, StorageError::ValueTooLarge(_))
}

/// Tells apart what the disk did: then the database is of no use before it is opened again.
fn judge(error: DatabaseError) -> WorkError<DatabaseError> {
    if !is_of_disk(&error) {
        return WorkError::Own(error);
    }
    let DatabaseError::Unavailable(cause) = error else {
        return WorkError::Own(error);
    };
    let cause = match cause.downcast::<StorageError>() {
        Ok(error) => return (*error).into(),
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<TableError>() {
        Ok(error) => return (*error).into(),
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<TransactionError>() {
        Ok(error) => return (*error).into(),
        Err(cause) => cause,
    };
    match cause.downcast() {
        Ok(error) => WorkError::Disk(*error),
        Err(cause) => WorkError::Own(DatabaseError::Unavailable(cause)),
    }
}

/// The cause as text, for those who shared an operation's fate.
pub(crate) fn cause(error: &DatabaseError) -> String {
    match error {
        DatabaseError::Unavailable(cause) => cause.to_string(),
        error => error.to_string(),
    }
}
