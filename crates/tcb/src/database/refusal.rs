//! What the database refuses: its code, and its text as the platform's was seen.

use crate::{SdkReply, codes, reply};

/// Why the database refuses, worded as the platform words it. Programs search these texts: each holds the substrings that were
/// seen to be searched for (`E11000`, `Db or Table not exist`, `Table exist`, `TransactionConflict`, `Cannot create field`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseRefusal {
    /// There is no such collection: of every action, `count` included.
    #[error("there is no collection {0:?}")]
    CollectionMissing(String),
    /// `createCollection` of one that exists.
    #[error("the collection {0:?} exists already")]
    CollectionExists(String),
    /// Another document has the same `_id`, or the same value in a unique index.
    #[error("{key} is in {collection} already (index {index})")]
    Duplicate {
        /// Of the collection.
        collection: String,
        /// Name of the index: `_id_`, or one of the project's.
        index: String,
        /// The value, as MongoDB shows it: `{ phone: "1" }`.
        key: String,
    },
    /// A write that the engine refuses, in MongoDB's words: `Cannot create field 'x' in element {parent: null}`.
    #[error("{0}")]
    Write(String),
    /// A query or pipeline that the engine refuses, in MongoDB's words.
    #[error("{0}")]
    Query(String),
    /// A request that is not of an SDK's form.
    #[error("{0}")]
    Malformed(String),
    /// A client writes `_openid`, which only the server writes.
    #[error("the client writes _openid")]
    OwnerWritten,
    /// The caller may not.
    #[error("the caller may not do this")]
    PermissionDenied,
    /// It took too long.
    #[error("it took too long")]
    Timeout,
    /// The answer would be larger than one answer may be.
    #[error("the result is larger than {0} MB")]
    ResultTooLarge(usize),
    /// Another transaction wrote one of the documents.
    #[error("another transaction wrote the document")]
    TransactionConflict,
    /// The transaction has ended, or lived for more than 30 seconds.
    #[error("there is no such transaction, or it has ended")]
    TransactionMissing,
    /// The transaction is in the middle of another operation.
    #[error("another operation of the transaction is under way")]
    TransactionBusy,
    /// As many transactions are open as may be.
    #[error("too many transactions are open")]
    TransactionsFull,
    /// The engine cannot do this: a MongoDB without transactions, say.
    #[error("{0}")]
    Unsupported(String),
    /// The disk, or the server behind it. The cause goes to the log.
    #[error("the database is not available")]
    Unavailable,
}

/// What ends most of the platform's texts.
const CONTACT: &str = "Please check your request, but if the problem cannot be solved, contact us.";
const PERSISTS: &str = "Please check your request, but if the problem persists, contact us.";

impl DatabaseRefusal {
    /// Documents are to be changed or removed, and nothing says which.
    #[must_use]
    pub fn no_query() -> Self {
        Self::Malformed("which documents are meant is said by `query`, and all of them by {}".to_owned())
    }

    /// The string code that is sent. The SDK makes a number of it: -501001 where it does not know the string.
    #[must_use]
    pub fn code(&self) -> &'static str {
        let number = match self {
            Self::CollectionExists(_) => return "DATABASE_COLLECTION_ALREADY_EXIST",
            Self::TransactionConflict => return "DATABASE_TRANSACTION_CONFLICT",
            Self::TransactionMissing | Self::TransactionBusy | Self::TransactionsFull => {
                return "DATABASE_TRANSACTION_FAIL";
            }
            Self::Timeout => return "DATABASE_TIMEOUT",
            Self::CollectionMissing(_) => codes::DATABASE_COLLECTION_NOT_EXIST,
            Self::Duplicate { .. } | Self::Write(_) | Self::Query(_) => codes::DATABASE_REQUEST_FAIL,
            Self::Malformed(_) | Self::OwnerWritten => codes::INVALID_PARAM,
            Self::PermissionDenied => codes::DATABASE_PERMISSION_DENIED,
            Self::ResultTooLarge(_) | Self::Unsupported(_) | Self::Unavailable => codes::SYS_ERR,
        };
        codes::string(number).unwrap_or("SYS_ERR")
    }

    /// The number that the SDK makes of [`code`](Self::code).
    #[must_use]
    pub fn number(&self) -> i32 {
        codes::number(self.code())
    }

    /// The text that is sent, as the real service's texts were seen; where none was seen, MongoDB's own words in the
    /// service's frame, which is a choice.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::CollectionMissing(name) => {
                self.with_code(&format!("[ResourceNotFound] Db or Table not exist: {name}. {CONTACT}"))
            }
            Self::CollectionExists(_) => {
                self.with_code(&format!("[ResourceUnavailable.ResourceExist] Table exist. {CONTACT}"))
            }
            Self::Duplicate {
                collection,
                index,
                key,
            } => self.with_code(&format!(
                "[FailedOperation.Insert] bulk write error: [{{E11000 duplicate key error collection: {DATABASE}.{collection} \
                 index: {index} dup key: {key}}}], {{<nil>}}. {CONTACT}"
            )),
            Self::Write(why) => self.with_code(&format!(
                "[FailedOperation] multiple write errors: [{{write errors: [{{{why}}}]}}, {{<nil>}}]. {CONTACT}"
            )),
            Self::Query(why) => self.with_code(&format!("[FailedOperation] {why}. {CONTACT}")),
            Self::Malformed(why) => format!("Check request parameter fail: {why}"),
            Self::OwnerWritten => "Invalid Key Name: _openid".to_owned(),
            Self::PermissionDenied => "Permission denied".to_owned(),
            Self::Timeout => self.with_code(
                "[FailedOperation.Timeout] Execution request timeout, Please check optimize your request(such as index), but \
                 if the problem persists, contact us.",
            ),
            Self::ResultTooLarge(most) => format!(
                "[LimitExceeded.OutOfResultSizeLimit] the result is larger than {most} MB: ask for fewer documents or fields. \
                 {CONTACT}"
            ),
            Self::TransactionConflict => self.with_code(&format!(
                "[ResourceUnavailable.TransactionConflict] Transaction is conflict, maybe resource operated by others. \
                 {PERSISTS}"
            )),
            Self::TransactionMissing => self.with_code(&format!(
                "[ResourceUnavailable.TransactionNotExist] Transaction does not exist on the server, transaction must be \
                 commit or abort in 30 seconds. {PERSISTS}"
            )),
            Self::TransactionBusy => {
                self.with_code(&format!("[ResourceUnavailable.TransactionBusy] Transaction is busy. {PERSISTS}"))
            }
            Self::TransactionsFull => self.with_code(&format!(
                "[LimitExceeded.TransactionNum] too many transactions are open at once. {PERSISTS}"
            )),
            Self::Unsupported(why) => format!("[UnsupportedOperation] {why}"),
            Self::Unavailable => format!("[InternalError.DbNotReady] resource not ready. {PERSISTS}"),
        }
    }

    /// Newer answers end in the string code, within an address where it is explained.
    fn with_code(&self, text: &str) -> String {
        let code = self.code();
        format!("{text} 更多错误信息请访问：https://docs.cloudbase.net/error-code/basic/{code}")
    }

    /// The answer to any database action.
    #[must_use]
    pub fn reply(&self, request_id: &str) -> SdkReply {
        reply::refused(request_id, self.code(), &self.text())
    }
}

/// What a tenant's database is called in error texts: `tnt-` and nine characters.
const DATABASE: &str = "tnt-yunqiao00";
