//! How a store fails. A cause stands in the error's own text, between what happened and the mend, and is therefore not
//! its `source()` as well: a report of the whole chain would tell it twice.

use std::{io, path::PathBuf, sync::Arc};

/// Why a store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened, or made.
    #[error(
        "cannot open the store {}: {cause} — create its folder, make it writable, or name another file as `store` \
         in yunqiao.toml", path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        cause: io::Error,
    },
    /// Another process has the file open.
    #[error(
        "the store {} is in use by another process — stop the other yunqiao, or name another file as `store` in \
         yunqiao.toml", path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is no store, or a damaged one.
    #[error(
        "{} is no store, or a damaged one: {cause} — move it away, or name another file as `store` in yunqiao.toml; \
         with a new one, users log in again", path.display()
    )]
    NoStore {
        /// The file.
        path: PathBuf,
        /// The database's reason.
        cause: Box<redb::Error>,
    },
    /// The file was written by a later version.
    #[error(
        "the store {} has format {found}, and this yunqiao knows formats up to {known} — run the later yunqiao that \
         wrote it, or name another file as `store` in yunqiao.toml", path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The file's format.
        found: u64,
        /// The latest format that this version knows.
        known: u64,
    },
    /// The database failed, most often because the disk is full or gone.
    #[error("the store {} failed: {cause}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// The database's reason.
        cause: Box<redb::Error>,
    },
    /// A record does not have the form in which it was written.
    #[error("the store holds a {what} that cannot be read: {cause}")]
    Unreadable {
        /// What the record is.
        what: &'static str,
        /// What is wrong with it; it never quotes the record.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What several changes were to be written with failed, and all of them with it.
    #[error("{0}")]
    Shared(Arc<StoreError>),
    /// The process is shutting down.
    #[error("the store was closed while it worked")]
    Closed,
}
