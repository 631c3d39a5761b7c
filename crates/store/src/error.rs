//! How a store fails. What a backend's own library said is kept as the error's source; [`StoreError::report`] writes it
//! behind what happened and what the mend is.

use std::{error::Error, fmt, sync::Arc};

/// The reason that a backend's library or the operating system gave.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a store could not be opened, read or written. `place` is the file, or the address without its password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be opened, or made.
    #[error(
        "cannot open the store {place} — create its folder, make it writable, or name another file as `store` in \
         yunqiao.toml"
    )]
    Open {
        /// Where it was looked for.
        place: String,
        /// The operating system's reason.
        #[source]
        cause: Cause,
    },
    /// Another process has it open.
    #[error(
        "the store {place} is in use by another process — stop the other yunqiao, or name another file as `store` in \
         yunqiao.toml"
    )]
    InUse {
        /// Where it is.
        place: String,
    },
    /// What is there is no store of ours. It was left as it is.
    #[error("{place} is no store: it is {what} — {mend}")]
    Foreign {
        /// Where it was looked for.
        place: String,
        /// What is there instead.
        what: &'static str,
        /// What to do about it.
        mend: &'static str,
    },
    /// It was a store, and cannot be read any more.
    #[error(
        "the store {place} is damaged or was cut off — put back a copy of it, or move it away; with a new one, users \
         log in again and pushes that were waiting are lost"
    )]
    Damaged {
        /// Where it is.
        place: String,
        /// The database's reason.
        #[source]
        cause: Cause,
    },
    /// It was written by a later version.
    #[error(
        "the store {place} has format {found}, and this yunqiao knows formats up to {known} — run the later yunqiao that \
         wrote it, or name another file as `store` in yunqiao.toml"
    )]
    Newer {
        /// Where it is.
        place: String,
        /// Its format.
        found: u64,
        /// The latest format that this version knows.
        known: u64,
    },
    /// The database failed, most often because the disk is full or gone. It is tried again by itself.
    #[error("the store {place} failed")]
    Failed {
        /// Where it is.
        place: String,
        /// The database's reason.
        #[source]
        cause: Cause,
    },
    /// A record does not have the form in which it was written.
    #[error("the store holds a {what} that cannot be read")]
    Unreadable {
        /// What the record is.
        what: &'static str,
        /// What is wrong with it; it never quotes the record.
        #[source]
        cause: Cause,
    },
    /// What several changes were to be written with failed, and all of them with it.
    #[error(transparent)]
    Shared(Arc<Self>),
    /// The process is shutting down.
    #[error("the store was closed while it worked")]
    Closed,
}

impl StoreError {
    /// The error with its causes, in one line for a log.
    #[must_use]
    pub fn report(&self) -> impl fmt::Display {
        Report(self)
    }
}

struct Report<'a>(&'a StoreError);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
