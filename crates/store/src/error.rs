//! How a store fails. What a backend's own library said is kept as the error's source; [`StoreError::report`] writes it
//! behind what happened and what the mend is.

use std::{error::Error, fmt, sync::Arc};

use causes::with_causes;

/// The reason that a backend's library or the operating system gave.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a store could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// What keeps it failed, most often because the disk is full or gone. It says where that is, and is tried again by itself.
    #[error(transparent)]
    Backend(Cause),
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
        with_causes(self)
    }
}
