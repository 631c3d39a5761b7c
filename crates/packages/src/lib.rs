//! npm packages straight from a lock file. npm takes seconds of CPU time for each tree, most of them for finding out what the
//! lock says already: which version of which package is where, and what its content hashes to. This crate reads
//! that, fetches what npm's own cache does not hold, and unpacks it.
//!
//! It does only what is plain: packages of one registry, by their integrity. For everything else (git, folders,
//! workspaces, a lock that does not fit its manifest, settings of npm's that change what is installed) it says that it will not,
//! and npm itself is to be run. Scripts of packages it leaves to npm as well.

mod archive;
mod cache;
mod config;
mod install;
mod lock;
mod manifest;
mod mirrors;
mod range;

use std::io;

pub use config::NpmConfig;
pub use install::{Packages, Scripts};
pub use lock::LockedPackage;
pub use mirrors::{use_configured_registry, use_configured_registry_instead_of_others};

/// Why packages were not installed from their lock.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// It asks for something that only npm does: what.
    #[error("{0}")]
    Unusual(String),
    /// The lock does not fit the manifest: what is missing or has another version.
    #[error("the lock does not fit: {0}")]
    DoesNotFit(String),
    /// A package is not in npm's cache, and nothing is fetched.
    #[error("{0} is not in the cache")]
    NotCached(String),
    /// A package cannot be fetched.
    #[error("{name} cannot be fetched: {source}")]
    Fetch {
        /// The package.
        name: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// A package's archive never ends, or might as well not.
    #[error("{0} has more bytes than a package may")]
    TooLarge(String),
    /// What was fetched, or lies in the cache, is not what the lock means.
    #[error("{0} has another content than its integrity says")]
    Integrity(String),
    /// An archive cannot be read, or a file cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl PackageError {
    fn unusual(what: impl Into<String>) -> Self {
        Self::Unusual(what.into())
    }
}
