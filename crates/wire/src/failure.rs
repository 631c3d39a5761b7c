//! What a command is refused with: MongoDB's number, its name, a text, and the labels by which drivers know what to try again.

use bson::{Bson, Document, RawDocumentBuf, cstr, doc};
use database::{BadCollectionName, DatabaseError};

pub(crate) use docdb::error::code;

/// Begin the whole transaction anew.
const TRANSIENT: &str = "TransientTransactionError";

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command, or one write of it, was not done.
#[derive(Debug)]
pub(crate) struct Failure {
    code: i32,
    message: String,
    label: Option<&'static str>,
    /// Of E11000: the index's fields, and the value.
    key: Option<Box<(Document, Document)>>,
}

impl Failure {
    pub(crate) fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            label: None,
            key: None,
        }
    }

    /// One after which a driver begins the whole transaction anew.
    pub(crate) fn transient(code: i32, message: impl Into<String>) -> Self {
        Self {
            label: Some(TRANSIENT),
            ..Self::new(code, message)
        }
    }

    pub(crate) fn bad_value(message: impl Into<String>) -> Self {
        Self::new(code::BAD_VALUE, message)
    }

    pub(crate) fn failed_to_parse(message: impl Into<String>) -> Self {
        Self::new(code::FAILED_TO_PARSE, message)
    }

    pub(crate) fn bad_name(bad: &BadCollectionName) -> Self {
        Self::new(
            code::INVALID_NAMESPACE,
            format!("Invalid namespace specified: {bad}"),
        )
    }

    /// What is asked for and not served; the text names it and says what to do.
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::bad_value(message)
    }

    /// What the engine refused, in the database that the client calls by this name.
    pub(crate) fn of(error: DatabaseError, database: &str) -> Self {
        let text = error.to_string();
        match error {
            DatabaseError::CollectionMissing(name) => Self::new(
                code::NAMESPACE_NOT_FOUND,
                format!("ns does not exist: {database}.{name}"),
            ),
            DatabaseError::CollectionExists(name) => Self::new(
                code::NAMESPACE_EXISTS,
                format!("Collection {database}.{name} already exists."),
            ),
            DatabaseError::BadName(bad) => Self::bad_name(&bad),
            DatabaseError::Duplicate {
                collection,
                index,
                key,
                pattern,
            } => Self {
                key: Some(pattern),
                ..Self::new(
                    code::DUPLICATE_KEY,
                    format!(
                        "E11000 duplicate key error collection: {database}.{collection} index: {index} dup key: {key}"
                    ),
                )
            },
            DatabaseError::Refused(error) => Self::new(error.code, error.message),
            DatabaseError::TransactionConflict => Self::transient(
                code::WRITE_CONFLICT,
                "Caused by :: Write conflict during plan execution and yielding is disabled. :: Please retry your operation or \
                 multi-document transaction.",
            ),
            DatabaseError::TransactionMissing => Self::transient(
                code::NO_SUCH_TRANSACTION,
                "the transaction has ended: a transaction lives for 30 seconds, and an error ends it",
            ),
            DatabaseError::ChangesMissed(_) => Self::new(code::CHANGE_STREAM_HISTORY_LOST, text),
            DatabaseError::TransactionBusy => Self::new(code::CONFLICTING_OPERATION_IN_PROGRESS, text),
            DatabaseError::TransactionsFull(_) => Self::transient(code::TEMPORARILY_UNAVAILABLE, text),
            DatabaseError::Locked => Self::transient(code::LOCK_TIMEOUT, text),
            DatabaseError::TimedOut => Self::new(code::MAX_TIME_MS_EXPIRED, text),
            DatabaseError::AnswerTooLarge(_) => Self::new(
                code::QUERY_EXCEEDED_MEMORY_LIMIT,
                format!("{text}: ask for fewer, or without a sort that no index gives"),
            ),
            DatabaseError::Unsupported(_) => Self::unsupported(text),
            DatabaseError::Unavailable(_) => Self::new(code::HOST_UNREACHABLE, text),
            _ => Self::new(code::INTERNAL_ERROR, text),
        }
    }

    pub(crate) const fn code(&self) -> i32 {
        self.code
    }

    /// Whether it concerns the one write alone, so that the others of the same command may go on.
    pub(crate) fn is_of_one_write(&self) -> bool {
        self.label.is_none() && !matches!(self.code, code::HOST_UNREACHABLE | code::INTERNAL_ERROR)
    }

    /// As one of a command's `writeErrors`, of the write at place `index`.
    pub(crate) fn into_write_error(self, index: usize) -> Bson {
        let index = i32::try_from(index).unwrap_or(i32::MAX);
        let mut error = doc! { "index": index, "code": self.code };
        if let Some(key) = self.key {
            error.insert("keyPattern", key.0);
            error.insert("keyValue", key.1);
        }
        error.insert("errmsg", self.message);
        Bson::Document(error)
    }

    /// As the `writeConcernError` of a command that is done.
    pub(crate) fn into_concern_error(self) -> RawDocumentBuf {
        let mut error = RawDocumentBuf::new();
        error.append(cstr!("code"), self.code);
        error.append(cstr!("codeName"), code::name(self.code));
        error.append(cstr!("errmsg"), self.message);
        error
    }

    /// As the answer to a command.
    pub(crate) fn into_answer(self) -> Document {
        let name = code::name(self.code);
        let mut answer = doc! { "ok": 0.0, "errmsg": self.message, "code": self.code, "codeName": name };
        if let Some(key) = self.key {
            answer.insert("keyPattern", key.0);
            answer.insert("keyValue", key.1);
        }
        if let Some(label) = self.label {
            answer.insert("errorLabels", vec![label]);
        }
        answer
    }
}

impl From<docdb::Error> for Failure {
    fn from(error: docdb::Error) -> Self {
        Self::new(error.code, error.message)
    }
}
