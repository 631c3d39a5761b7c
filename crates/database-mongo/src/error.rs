//! The driver's errors as [`DatabaseError`]s, by MongoDB's numbers.

use bson::{Document, RawDocument};
use database::DatabaseError;
use docdb::error::code;
use mongodb::error::{Error, ErrorKind, TRANSIENT_TRANSACTION_ERROR, WriteFailure};

/// A URL that cannot be used, or a server that cannot be reached. The texts name the cause and the mend, and no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is not one.
    #[error(
        "the URL of the MongoDB server is wrong{0}: write it as mongodb://USER:PASSWORD@HOST:27017/DATABASE, with the characters \
         : / ? # [ ] @ % of the user's name and the password percent-encoded"
    )]
    Url(String),
    /// No server answers.
    #[error(
        "{place} does not answer: {cause}. Is the server running, is its address right, and does its firewall let this machine in?"
    )]
    Unreachable {
        /// Where, without the password.
        place: String,
        /// What the driver says.
        cause: String,
    },
    /// The user is not let in.
    #[error(
        "{place} does not let the user in: {cause}. Give the user, the password and `authSource` in the URL as the server has them"
    )]
    NotLetIn {
        /// Where, without the password.
        place: String,
        /// What the server says.
        cause: String,
    },
    /// The user may not use the database.
    #[error(
        "{place} does not allow it: {cause}. Give the user the role readWrite on the database {database:?}"
    )]
    NotAllowed {
        /// Where, without the password.
        place: String,
        /// Name of the database.
        database: String,
        /// What the server says.
        cause: String,
    },
}

impl ConnectError {
    /// What the driver says of a URL may quote a password that is not encoded, and so is told only where there is none.
    pub(crate) fn of_url(url: &str, error: &Error) -> Self {
        Self::Url(match url.contains('@') {
            true => String::new(),
            false => format!(" ({})", error.kind),
        })
    }
}

/// What the texts of failures name.
#[derive(Debug)]
pub(crate) struct Failures {
    /// The URL without user, password and options.
    pub(crate) place: String,
    /// Name of the database.
    pub(crate) database: String,
}

/// A refusal as the server worded it.
struct Refusal<'a> {
    code: i32,
    message: &'a str,
}

fn refusal(kind: &ErrorKind) -> Option<Refusal<'_>> {
    let (code, message) = match kind {
        ErrorKind::Command(error) => (error.code, &error.message),
        ErrorKind::Write(WriteFailure::WriteError(error)) => (error.code, &error.message),
        ErrorKind::Write(WriteFailure::WriteConcernError(error)) => (error.code, &error.message),
        ErrorKind::InsertMany(error) => match (&error.write_errors, &error.write_concern_error) {
            (Some(errors), _) if !errors.is_empty() => (errors[0].code, &errors[0].message),
            (_, Some(error)) => (error.code, &error.message),
            _ => return None,
        },
        _ => return None,
    };
    Some(Refusal { code, message })
}

/// MongoDB's number of an error, where it is the server's.
pub(crate) fn code(error: &Error) -> Option<i32> {
    refusal(&error.kind).map(|refusal| refusal.code)
}

/// Whether a write was done, but is not yet as safe as was asked.
fn is_write_concern(kind: &ErrorKind) -> bool {
    match kind {
        ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
        ErrorKind::InsertMany(error) => error.write_errors.as_ref().is_none_or(Vec::is_empty),
        _ => false,
    }
}

impl Failures {
    /// What became of an operation.
    pub(crate) fn of(&self, error: Error) -> DatabaseError {
        let Some(Refusal { code, message }) = refusal(&error.kind) else {
            return match *error.kind {
                // A document that cannot be sent: too large, or nested too deep.
                ErrorKind::InvalidArgument { message, .. } => {
                    DatabaseError::Refused(docdb::Error::bad_value(message))
                }
                ErrorKind::Bson(error) => DatabaseError::Refused(docdb::Error::bad_value(error.to_string())),
                ErrorKind::SessionsNotSupported => {
                    DatabaseError::Unsupported(format!("{} has no transactions", self.place))
                }
                _ => self.unavailable(error),
            };
        };
        if is_write_concern(&error.kind) {
            return self.unavailable(error);
        }
        match code {
            // Old servers have two more.
            code::DUPLICATE_KEY | 11001 | 12582 => {
                self.duplicate(message, error.server_response().map(AsRef::as_ref))
            }
            code::NO_SUCH_TRANSACTION
            | code::TRANSACTION_TOO_OLD
            | code::TRANSACTION_ABORTED
            | code::TRANSACTION_COMMITTED
            | code::TRANSACTION_EXCEEDED_LIFETIME_LIMIT_SECONDS => DatabaseError::TransactionMissing,
            code::WRITE_CONFLICT => DatabaseError::TransactionConflict,
            code::SNAPSHOT_UNAVAILABLE
            | code::SNAPSHOT_TOO_OLD
            | code::LOCK_TIMEOUT
            | code::PREPARED_TRANSACTION_IN_PROGRESS
                if error.contains_label(TRANSIENT_TRANSACTION_ERROR) =>
            {
                DatabaseError::TransactionConflict
            }
            code::LOCK_TIMEOUT | code::LOCK_BUSY => DatabaseError::Locked,
            code::MAX_TIME_MS_EXPIRED | code::EXCEEDED_TIME_LIMIT => DatabaseError::TimedOut,
            code::NAMESPACE_EXISTS => DatabaseError::CollectionExists(namespace(message).to_owned()),
            code::NAMESPACE_NOT_FOUND => DatabaseError::CollectionMissing(namespace(message).to_owned()),
            // What this server does not have.
            code::ILLEGAL_OPERATION | code::COMMAND_NOT_FOUND | code::NOT_IMPLEMENTED => {
                DatabaseError::Unsupported(format!("{} refuses: {message}", self.place))
            }
            code::UNAUTHORIZED | code::AUTHENTICATION_FAILED => self.unavailable(error),
            // No primary does its work now.
            code::HOST_UNREACHABLE
            | code::HOST_NOT_FOUND
            | code::NETWORK_TIMEOUT
            | code::SHUTDOWN_IN_PROGRESS
            | code::READ_CONCERN_MAJORITY_NOT_AVAILABLE_YET
            | code::PRIMARY_STEPPED_DOWN
            | code::SOCKET_EXCEPTION
            | code::NOT_WRITABLE_PRIMARY
            | code::LEGACY_NOT_PRIMARY
            | code::INTERRUPTED_AT_SHUTDOWN
            | code::INTERRUPTED_DUE_TO_REPL_STATE_CHANGE
            | code::NOT_PRIMARY_NO_SECONDARY_OK
            | code::NOT_PRIMARY_OR_SECONDARY => self.unavailable(error),
            _ => DatabaseError::Refused(docdb::Error::new(code, plain(message))),
        }
    }

    /// Why the server cannot be used.
    pub(crate) fn connecting(&self, error: &Error) -> ConnectError {
        let place = self.place.clone();
        let cause = error.kind.to_string();
        match (&*error.kind, code(error)) {
            (ErrorKind::Authentication { .. }, _) | (_, Some(code::AUTHENTICATION_FAILED)) => {
                ConnectError::NotLetIn { place, cause }
            }
            (_, Some(code::UNAUTHORIZED)) => ConnectError::NotAllowed {
                place,
                database: self.database.clone(),
                cause,
            },
            _ => ConnectError::Unreachable { place, cause },
        }
    }

    fn unavailable(&self, error: Error) -> DatabaseError {
        DatabaseError::unavailable(Unavailable {
            text: self.connecting(&error).to_string(),
            source: error,
        })
    }

    fn duplicate(&self, message: &str, response: Option<&RawDocument>) -> DatabaseError {
        let between = |from: &str, to: &str| -> Option<&str> {
            let rest = &message[message.find(from)? + from.len()..];
            Some(rest[..rest.find(to)?].trim())
        };
        let collection = between("collection: ", " index:").unwrap_or_default();
        let collection = collection
            .strip_prefix(&*self.database)
            .and_then(|rest| rest.strip_prefix('.'))
            .unwrap_or(collection);
        let index = between(" index: ", "dup key").unwrap_or_default();
        let index = index.split(" collation: ").next().unwrap_or(index);
        let key = message
            .split_once("dup key: ")
            .map_or("{ }", |(_, key)| key.trim());
        DatabaseError::Duplicate {
            collection: collection.to_owned(),
            index: index.to_owned(),
            key: key.to_owned(),
            pattern: Box::new(pattern(response).unwrap_or_default()),
        }
    }
}

/// The index's fields and the value, as newer servers tell them.
fn pattern(response: Option<&RawDocument>) -> Option<(Document, Document)> {
    let response = Document::try_from(response?).ok()?;
    let told = match response.get_array("writeErrors") {
        Ok(errors) => errors.first()?.as_document()?,
        Err(_) => &response,
    };
    let field = |name: &str| told.get_document(name).ok().cloned();
    Some((field("keyPattern")?, field("keyValue").unwrap_or_default()))
}

/// The collection of `… db.name …`: of the first word with a dot in it, what follows that.
fn namespace(message: &str) -> &str {
    message
        .split(' ')
        .map(|word| word.trim_matches(['.', '\'']))
        .find_map(|word| word.split_once('.'))
        .map_or("", |(_, name)| name)
}

/// A refusal without what the server puts before it: `Plan executor error during update :: caused by :: `.
fn plain(message: &str) -> &str {
    let begins = ["Plan executor error", "PlanExecutor error", "Executor error"]
        .iter()
        .any(|begin| message.starts_with(begin));
    match message.split_once(" :: caused by :: ") {
        Some((_, rest)) if begins => rest,
        _ => message,
    }
}

/// A server that does not do its work, for the log.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
struct Unavailable {
    text: String,
    #[source]
    source: Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_is_read_from_its_text() {
        let failures = Failures {
            place: "mongodb://h/app".to_owned(),
            database: "app".to_owned(),
        };
        for (message, expected) in [
            (
                "E11000 duplicate key error collection: app.users index: phone_1 dup key: { phone: \"1\" }",
                ("users", "phone_1", "{ phone: \"1\" }"),
            ),
            (
                "E11000 duplicate key error collection: app.a.b index: x_1 collation: { locale: \"zh\" } dup key: { x: null }",
                ("a.b", "x_1", "{ x: null }"),
            ),
            ("E11000 something new", ("", "", "{ }")),
        ] {
            let error = failures.duplicate(message, None);
            assert!(
                matches!(&error, DatabaseError::Duplicate { collection, index, key, .. } if (&**collection, &**index, &**key) == expected),
                "{error:?}"
            );
        }
    }

    #[test]
    fn what_the_server_puts_before_a_refusal_is_left_out() {
        for (message, expected) in [
            (
                "Plan executor error during update :: caused by :: Cannot create field 'x' in element {a: null}",
                "Cannot create field 'x' in element {a: null}",
            ),
            ("unknown operator: $gtt", "unknown operator: $gtt"),
        ] {
            assert_eq!(plain(message), expected);
        }
        assert_eq!(namespace("Collection app.a.b already exists."), "a.b");
    }
}
