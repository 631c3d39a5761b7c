//! Why a watch does not begin, or ends: the codes that clients test for.
//!
//! `QUERYID_INVALID_ERROR`, `SYS_ERR`, `INVALIID_ENV` and `COLLECTION_PERMISSION_DENIED` are CloudBase's, and final for its SDKs; at
//! `CHECK_LOGIN_FAILED` and `SIGN_…` they log in anew and try again. For what CloudBase has no code of its own we send that of the database: SDKs
//! take a code that they do not know as final too.

use tcb::database::DatabaseRefusal;

use crate::{
    query::{MOST_DOCUMENTS, MOST_PLACE},
    window::MOST_BYTES,
};

/// Why a watch does not begin, or ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WatchRefusal {
    /// The client has not logged in on this socket.
    #[error("log in first: the first message of a socket is LOGIN")]
    NotLoggedIn,
    /// What it logged in with is nothing of ours, or another app's.
    #[error("the signature is not valid: ask for a new one")]
    BadSignature,
    /// What it logged in with has ended.
    #[error("the signature has expired: ask for a new one")]
    ExpiredSignature,
    /// The permission of the collection.
    #[error("Permission denied")]
    PermissionDenied,
    /// The message is not of the protocol, or the query cannot be watched.
    #[error("Check request parameter fail: {0}")]
    Malformed(String),
    /// A watch that began earlier cannot be found by this id.
    #[error("the queryID is not one of this server's: begin the watch anew")]
    UnknownQuery,
    /// The query finds more documents than can be watched.
    #[error("the query finds more than {MOST_DOCUMENTS} documents: ask for less by where(), or by limit()")]
    TooManyDocuments,
    /// The documents that the query finds are too large together.
    #[error("the query finds more than {} MB of documents: ask for less by where(), or by limit()", MOST_BYTES >> 20)]
    TooManyBytes,
    /// What a document has in the fields of the order is too long.
    #[error("the fields of orderBy() have more than {} KB in a document: order by shorter ones", MOST_PLACE >> 10)]
    TooLongPlace,
    /// All watches of this user, or of a network of anonymous ones, have too much together.
    #[error(
        "the watches of this user have more than {0} MB together, which is the most: close some, or ask for less by where(), or by limit()"
    )]
    TooManyBytesOfOne(usize),
    /// All watches of the server have too much together.
    #[error(
        "all {0} MB that watches may have are taken: ask for less by where(), or by limit(), or try again later"
    )]
    TooManyBytesOfAll(usize),
    /// Matching one change with the query takes too long.
    #[error(
        "matching a change with the query is too much work: write less into $expr, and simpler regular expressions"
    )]
    TooMuchWork,
    /// So many watches on one socket.
    #[error("there are {0} watches on this socket, which is the most: close some")]
    TooManyWatches(usize),
    /// The database cannot tell of changes.
    #[error("watch is not available here: {0}")]
    NoFeed(String),
    /// What the database says.
    #[error("{}", .0.text())]
    Database(DatabaseRefusal),
}

impl WatchRefusal {
    /// What is sent as `code`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotLoggedIn => "CHECK_LOGIN_FAILED",
            Self::BadSignature => "SIGN_INVALID_ERROR",
            Self::ExpiredSignature => "SIGN_EXPIRED_ERROR",
            Self::PermissionDenied => "COLLECTION_PERMISSION_DENIED",
            Self::Malformed(_) => "INVALID_PARAM",
            Self::UnknownQuery => "QUERYID_INVALID_ERROR",
            Self::TooManyDocuments
            | Self::TooManyBytes
            | Self::TooLongPlace
            | Self::TooManyBytesOfOne(_)
            | Self::TooManyBytesOfAll(_)
            | Self::TooMuchWork
            | Self::TooManyWatches(_) => "EXCEED_REQUEST_LIMIT",
            Self::NoFeed(_) => "SYS_ERR",
            Self::Database(refusal) => refusal.code(),
        }
    }
}

impl From<DatabaseRefusal> for WatchRefusal {
    fn from(refusal: DatabaseRefusal) -> Self {
        match refusal {
            DatabaseRefusal::PermissionDenied => Self::PermissionDenied,
            refusal => Self::Database(refusal),
        }
    }
}
