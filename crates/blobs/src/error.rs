//! How a place for files fails.

use std::{error::Error, io};

use datafile::FileError;
use files::StorageRefusal;
use thiserror::Error;

use crate::BESIDE_CONTENT;

/// The reason that the operating system or a library gave.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why files could not be kept or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The place cannot be opened.
    #[error(
        "the files in {place} cannot be opened — make the folder writable, or name another as [storage] folder"
    )]
    Open {
        /// Where they are.
        place: String,
        /// Why.
        #[source]
        cause: Cause,
    },
    /// There are contents, and an index that has just been made.
    #[error(
        "the files in {place} have lost their index, and a new one names none of them — put the index.redb that belongs to them back, or remove \
         the folder content to begin anew"
    )]
    IndexLost {
        /// Where they are.
        place: String,
    },
    /// The list of files cannot be opened.
    #[error(transparent)]
    Index(FileError),
    /// The folder was removed while it was open.
    #[error(
        "the folder {place} was removed while it was in use, with the files in it — start again, which makes it anew"
    )]
    Removed {
        /// Where it was.
        place: String,
    },
    /// The disk is full.
    #[error("the disk is full: make room on it")]
    Full(#[source] Cause),
    /// What the project may keep is used up.
    #[error(
        "the project's files take {used} bytes, of which each has {each} beside its content, and may take {quota}: remove some, or raise \
         [storage] quota",
        each = BESIDE_CONTENT
    )]
    Quota {
        /// What they take, with [`BESIDE_CONTENT`] for each.
        used: u64,
        /// What they may.
        quota: u64,
    },
    /// The file that was opened was written anew or removed before it was read.
    #[error("the file was written anew or removed while it was opened")]
    Changed,
    /// So many files come at once that there is no memory for another.
    #[error("more files come at once than there is memory for")]
    Busy,
    /// The place failed.
    #[error("the files cannot be reached")]
    Failed(#[source] Cause),
}

impl BlobError {
    /// What the operating system said while a file was written or read.
    pub(crate) fn of_disk(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full(error.into())
            }
            _ => Self::Failed(error.into()),
        }
    }

    /// Anything else that failed.
    #[must_use]
    pub fn failed(error: impl Into<Cause>) -> Self {
        Self::Failed(error.into())
    }

    /// What whoever asked for a file is told of it: whether there is no room, or it is to be tried again.
    #[must_use]
    pub const fn refusal(&self) -> StorageRefusal {
        match self {
            Self::Full(_) | Self::Quota { .. } => StorageRefusal::NoRoom,
            Self::Busy => StorageRefusal::Busy,
            _ => StorageRefusal::Failed,
        }
    }

    /// Whether another process has the files open.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::Index(FileError::InUse { .. }))
    }
}

impl From<FileError> for BlobError {
    fn from(error: FileError) -> Self {
        match error.is_full() {
            true => Self::Full(error.into()),
            false => Self::Index(error),
        }
    }
}
