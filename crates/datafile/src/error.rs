//! How such a file fails.

use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
    sync::Arc,
};

use causes::with_causes;
use thiserror::Error;

use crate::Form;

/// The reason that redb or the operating system gave.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a file could not be opened, read or written. `place` is where it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// It cannot be opened, or made.
    #[error("cannot open {} {place} — create its folder, make it writable, or name another file as {}", form.noun, form.setting)]
    Open {
        /// What it was to be.
        form: &'static Form,
        /// Where it was looked for.
        place: String,
        /// The operating system's reason.
        #[source]
        cause: Cause,
    },
    /// It cannot be opened, because the disk is full: what its journal has wants a place in it.
    #[error(
        "{} {place} cannot be opened, as there is no room left on its disk: what its journal has is to be put into it. Nothing is lost — make \
         room there, as much as the journal beside it has, and start again", form.noun
    )]
    Full {
        /// What it is.
        form: &'static Form,
        /// Where it is.
        place: String,
        /// The operating system's reason.
        #[source]
        cause: Cause,
    },
    /// Another process has it open.
    #[error("{} {place} is in use by another process — stop the other yunqiao, or name another file as {}", form.noun, form.setting)]
    InUse {
        /// What it is.
        form: &'static Form,
        /// Where it is.
        place: String,
    },
    /// What is there is not a file of ours. It was left as it is.
    #[error("{place} is not {}: it is {what} — {mend}", form.noun)]
    Foreign {
        /// What it was to be.
        form: &'static Form,
        /// Where it was looked for.
        place: String,
        /// What is there instead.
        what: &'static str,
        /// What to do about it.
        mend: String,
    },
    /// It was one of ours, and cannot be read any more.
    #[error("{} {place} is damaged or was cut off, and was left as it is — put back a copy of it, or move it away; {}", form.noun, form.loss)]
    Damaged {
        /// What it was.
        form: &'static Form,
        /// Where it is.
        place: String,
        /// redb's reason.
        #[source]
        cause: Cause,
    },
    /// The journal beside it was not written for it. Both were left as they are.
    #[error(
        "{place} is not the journal of this file, or of another state of it: the last writes of {} are in it — put back the file that \
         it was written for, or move the journal away to go on without them", form.noun
    )]
    Journal {
        /// What the file is.
        form: &'static Form,
        /// Where the journal is.
        place: String,
    },
    /// Something else stands where the journal has its place. Both were left as they are.
    #[error(
        "{place} is a link or a folder, and the journal of {} has its place there: its last writes would go elsewhere — remove it", form.noun
    )]
    NoJournal {
        /// What the file is.
        form: &'static Form,
        /// The journal's place.
        place: String,
    },
    /// It was written by a later version.
    #[error(
        "{} {place} has format {found}, and this yunqiao knows formats up to {} — run the later yunqiao that wrote it, or \
         name another file as {}", form.noun, form.format, form.setting
    )]
    Newer {
        /// What it is.
        form: &'static Form,
        /// Where it is.
        place: String,
        /// Its format.
        found: u64,
    },
    /// The disk failed, most often because it is full or gone. It is tried again by itself.
    #[error("{} {place} failed", form.noun)]
    Failed {
        /// What it is.
        form: &'static Form,
        /// Where it is.
        place: String,
        /// redb's reason.
        #[source]
        cause: Cause,
    },
    /// What went wrong before, and is not tried again yet.
    #[error(transparent)]
    Shared(Arc<Self>),
    /// The process is shutting down.
    #[error("a file was closed while it was worked with")]
    Closed,
}

impl FileError {
    /// Why a file cannot be opened that the operating system or redb failed at.
    pub(crate) fn unopened(form: &'static Form, place: String, cause: impl Into<Cause>) -> Self {
        let cause = cause.into();
        match is_full(&*cause) {
            true => Self::Full { form, place, cause },
            false => Self::Open { form, place, cause },
        }
    }

    /// Whether the disk, or what its owner may have of it, is full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            // It says what the other one says, and has its causes.
            Self::Shared(error) => error.is_full(),
            error => is_full(error),
        }
    }

    /// Whether another process has the file open.
    #[must_use]
    pub const fn is_in_use(&self) -> bool {
        matches!(self, Self::InUse { .. })
    }

    /// The error with its causes, in one line for a log.
    #[must_use]
    pub fn report(&self) -> impl fmt::Display {
        with_causes(self)
    }
}

/// Whether an error or one of its causes says that the disk is full.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    let of_disk = match error.downcast_ref() {
        // redb names no causes.
        Some(redb::Error::Io(error)) => Some(error),
        _ => error.downcast_ref::<io::Error>(),
    };
    let kind = of_disk.map(io::Error::kind);
    matches!(kind, Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
        || error.source().is_some_and(is_full)
}

/// Why a transaction came to nothing, as its caller gets it.
#[derive(Debug)]
pub enum Failure<E> {
    /// The file.
    File(FileError),
    /// What the work gave.
    Own(E),
}

impl<E> Failure<E> {
    /// As one error of the owner's.
    pub fn into_own(self, of_file: impl FnOnce(FileError) -> E) -> E {
        match self {
            Self::File(error) => of_file(error),
            Self::Own(error) => error,
        }
    }
}

/// Why work inside a transaction ended: the disk failed, or the owner of the file has a reason of its own. `?` takes redb's
/// errors as the first.
#[derive(Debug)]
pub enum WorkError<E> {
    /// The disk, after which the file is opened again.
    Disk(redb::Error),
    /// Anything else, after which it is not.
    Own(E),
}

impl<E> From<redb::StorageError> for WorkError<E> {
    fn from(error: redb::StorageError) -> Self {
        Self::Disk(error.into())
    }
}

impl<E> From<redb::TableError> for WorkError<E> {
    fn from(error: redb::TableError) -> Self {
        Self::Disk(error.into())
    }
}

impl<E> From<redb::TransactionError> for WorkError<E> {
    fn from(error: redb::TransactionError) -> Self {
        Self::Disk(error.into())
    }
}

impl<E> From<redb::CommitError> for WorkError<E> {
    fn from(error: redb::CommitError) -> Self {
        Self::Disk(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FORM: Form = Form {
        noun: "the file",
        setting: "path",
        loss: "it is gone",
        format: 1,
        cache: 1 << 20,
        replay: None,
    };

    #[test]
    fn a_full_disk_is_known_behind_whatever_says_so() {
        let of = |cause: Cause| FileError::Failed {
            form: &FORM,
            place: "f".to_owned(),
            cause,
        };
        let io = |kind: ErrorKind| io::Error::from(kind);
        let by_redb = |kind| of(Box::new(redb::Error::Io(io(kind))));
        for full in [
            of(Box::new(io(ErrorKind::StorageFull))),
            of(Box::new(io(ErrorKind::QuotaExceeded))),
            by_redb(ErrorKind::StorageFull),
            FileError::Shared(Arc::new(by_redb(ErrorKind::QuotaExceeded))),
            FileError::unopened(&FORM, "f".to_owned(), redb::Error::Io(io(ErrorKind::StorageFull))),
        ] {
            assert!(full.is_full(), "{full:?}");
        }
        for other in [by_redb(ErrorKind::NotFound), of("full".into()), FileError::Closed] {
            assert!(!other.is_full(), "{other:?}");
        }
        let unopened = FileError::unopened(&FORM, "f".to_owned(), io(ErrorKind::QuotaExceeded));
        assert!(matches!(unopened, FileError::Full { .. }), "{unopened:?}");
    }
}
