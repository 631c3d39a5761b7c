//! What MongoDB refuses: its number, the name of that number, and a text that names operator and field.

/// A refusal of MongoDB's language. `code` is MongoDB's number, so that a client of a real server and one of this crate
/// see the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct Error {
    /// MongoDB's number, as in its `error_codes.yml`, or the number of a place in its source ("Location16020").
    pub code: i32,
    /// The text for whoever wrote the operation.
    pub message: String,
}

/// What most functions of this crate give.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// MongoDB's numbers, those of its language and those of a server, each once; what has a name there has it here.
pub mod code {
    macro_rules! codes {
        ($($name:ident = $number:literal $text:literal;)*) => {
            $(#[doc = concat!("`", $text, "`")] pub const $name: i32 = $number;)*
            const NAMES: &[(i32, &str)] = &[$(($number, $text)),*];
        };
    }
    codes! {
        INTERNAL_ERROR = 1 "InternalError";
        BAD_VALUE = 2 "BadValue";
        NO_SUCH_KEY = 4 "NoSuchKey";
        HOST_UNREACHABLE = 6 "HostUnreachable";
        HOST_NOT_FOUND = 7 "HostNotFound";
        UNKNOWN_ERROR = 8 "UnknownError";
        FAILED_TO_PARSE = 9 "FailedToParse";
        UNAUTHORIZED = 13 "Unauthorized";
        TYPE_MISMATCH = 14 "TypeMismatch";
        OVERFLOW = 15 "Overflow";
        INVALID_LENGTH = 16 "InvalidLength";
        AUTHENTICATION_FAILED = 18 "AuthenticationFailed";
        ILLEGAL_OPERATION = 20 "IllegalOperation";
        INVALID_BSON = 22 "InvalidBSON";
        LOCK_TIMEOUT = 24 "LockTimeout";
        NAMESPACE_NOT_FOUND = 26 "NamespaceNotFound";
        INDEX_NOT_FOUND = 27 "IndexNotFound";
        PATH_NOT_VIABLE = 28 "PathNotViable";
        CONFLICTING_UPDATE_OPERATORS = 40 "ConflictingUpdateOperators";
        CURSOR_NOT_FOUND = 43 "CursorNotFound";
        LOCK_BUSY = 46 "LockBusy";
        NAMESPACE_EXISTS = 48 "NamespaceExists";
        MAX_TIME_MS_EXPIRED = 50 "MaxTimeMSExpired";
        DOLLAR_PREFIXED_FIELD_NAME = 52 "DollarPrefixedFieldName";
        INVALID_ID_FIELD = 53 "InvalidIdField";
        NOT_SINGLE_VALUE_FIELD = 54 "NotSingleValueField";
        EMPTY_FIELD_NAME = 56 "EmptyFieldName";
        DOTTED_FIELD_NAME = 57 "DottedFieldName";
        COMMAND_NOT_FOUND = 59 "CommandNotFound";
        IMMUTABLE_FIELD = 66 "ImmutableField";
        CANNOT_CREATE_INDEX = 67 "CannotCreateIndex";
        INVALID_OPTIONS = 72 "InvalidOptions";
        INVALID_NAMESPACE = 73 "InvalidNamespace";
        UNKNOWN_REPL_WRITE_CONCERN = 79 "UnknownReplWriteConcern";
        INDEX_OPTIONS_CONFLICT = 85 "IndexOptionsConflict";
        INDEX_KEY_SPECS_CONFLICT = 86 "IndexKeySpecsConflict";
        NETWORK_TIMEOUT = 89 "NetworkTimeout";
        SHUTDOWN_IN_PROGRESS = 91 "ShutdownInProgress";
        UNSATISFIABLE_WRITE_CONCERN = 100 "UnsatisfiableWriteConcern";
        WRITE_CONFLICT = 112 "WriteConflict";
        CONFLICTING_OPERATION_IN_PROGRESS = 117 "ConflictingOperationInProgress";
        READ_CONCERN_MAJORITY_NOT_AVAILABLE_YET = 134 "ReadConcernMajorityNotAvailableYet";
        EXCEEDED_MEMORY_LIMIT = 146 "ExceededMemoryLimit";
        INVALID_PIPELINE_OPERATOR = 168 "InvalidPipelineOperator";
        CANNOT_INDEX_PARALLEL_ARRAYS = 171 "CannotIndexParallelArrays";
        PRIMARY_STEPPED_DOWN = 189 "PrimarySteppedDown";
        INCOMPLETE_TRANSACTION_HISTORY = 217 "IncompleteTransactionHistory";
        QUERY_FEATURE_NOT_ALLOWED = 224 "QueryFeatureNotAllowed";
        TRANSACTION_TOO_OLD = 225 "TransactionTooOld";
        MAX_SUB_PIPELINE_DEPTH_EXCEEDED = 232 "MaxSubPipelineDepthExceeded";
        NOT_IMPLEMENTED = 238 "NotImplemented";
        SNAPSHOT_TOO_OLD = 239 "SnapshotTooOld";
        CONVERSION_FAILURE = 241 "ConversionFailure";
        TRANSACTION_ABORTED = 244 "TransactionAborted";
        SNAPSHOT_UNAVAILABLE = 246 "SnapshotUnavailable";
        NO_SUCH_TRANSACTION = 251 "NoSuchTransaction";
        TRANSACTION_COMMITTED = 256 "TransactionCommitted";
        TRANSACTION_TOO_LARGE = 257 "TransactionTooLarge";
        INVALID_RESUME_TOKEN = 260 "InvalidResumeToken";
        EXCEEDED_TIME_LIMIT = 262 "ExceededTimeLimit";
        OPERATION_NOT_SUPPORTED_IN_TRANSACTION = 263 "OperationNotSupportedInTransaction";
        PREPARED_TRANSACTION_IN_PROGRESS = 267 "PreparedTransactionInProgress";
        INDEX_BUILD_ABORTED = 276 "IndexBuildAborted";
        CHANGE_STREAM_HISTORY_LOST = 286 "ChangeStreamHistoryLost";
        TRANSACTION_EXCEEDED_LIFETIME_LIMIT_SECONDS = 290 "TransactionExceededLifetimeLimitSeconds";
        NO_QUERY_EXECUTION_PLANS = 291 "NoQueryExecutionPlans";
        QUERY_EXCEEDED_MEMORY_LIMIT = 292 "QueryExceededMemoryLimitNoDiskUseAllowed";
        MECHANISM_UNAVAILABLE = 334 "MechanismUnavailable";
        TEMPORARILY_UNAVAILABLE = 365 "TemporarilyUnavailable";
        SOCKET_EXCEPTION = 9001 "SocketException";
        LEGACY_NOT_PRIMARY = 10058 "LegacyNotPrimary";
        NOT_WRITABLE_PRIMARY = 10107 "NotWritablePrimary";
        BSON_OBJECT_TOO_LARGE = 10334 "BSONObjectTooLarge";
        DUPLICATE_KEY = 11000 "DuplicateKey";
        INTERRUPTED_AT_SHUTDOWN = 11600 "InterruptedAtShutdown";
        INTERRUPTED = 11601 "Interrupted";
        INTERRUPTED_DUE_TO_REPL_STATE_CHANGE = 11602 "InterruptedDueToReplStateChange";
        NOT_PRIMARY_NO_SECONDARY_OK = 13435 "NotPrimaryNoSecondaryOk";
        NOT_PRIMARY_OR_SECONDARY = 13436 "NotPrimaryOrSecondary";
        IDL_FAILED_TO_PARSE = 40414 "IDLFailedToParse";
        IDL_UNKNOWN_FIELD = 40415 "IDLUnknownField";
    }

    /// The name of a number: `BadValue`; `Location16020` where it has none.
    #[must_use]
    pub fn name(number: i32) -> String {
        let named = NAMES.iter().find(|name| name.0 == number);
        named.map_or_else(|| format!("Location{number}"), |name| name.1.to_owned())
    }

    /// A place in MongoDB's source: a document would become too large by an update.
    pub const OBJECT_TOO_LARGE: i32 = 17419;
    /// A place in MongoDB's source: what stands in a field over places is no place.
    pub const CANNOT_EXTRACT_GEO_KEYS: i32 = 16755;
    /// A place in MongoDB's source: what `distinct` found does not go into one document.
    pub const DISTINCT_TOO_LARGE: i32 = 17217;
    /// A place in MongoDB's source: a number of documents below zero.
    pub const NEGATIVE_COUNT: i32 = 51024;
    /// A place in MongoDB's source: a number of a retried write with a command that is none.
    pub const NOT_RETRYABLE: i32 = 50768;
}

impl Error {
    /// An error with a number that has no constructor of its own.
    #[must_use]
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// 2 BadValue: an argument that the operator does not take.
    #[must_use]
    pub fn bad_value(message: impl Into<String>) -> Self {
        Self::new(code::BAD_VALUE, message)
    }

    /// 9 FailedToParse: not of the operator's form.
    #[must_use]
    pub fn failed_to_parse(message: impl Into<String>) -> Self {
        Self::new(code::FAILED_TO_PARSE, message)
    }

    /// 14 TypeMismatch: of the wrong type.
    #[must_use]
    pub fn type_mismatch(message: impl Into<String>) -> Self {
        Self::new(code::TYPE_MISMATCH, message)
    }

    /// The name of the number: `BadValue`; `Location16020` where it has none.
    #[must_use]
    pub fn code_name(&self) -> String {
        code::name(self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_told_by_its_name() {
        let name = |number| Error::new(number, "").code_name();
        assert_eq!(name(code::INDEX_KEY_SPECS_CONFLICT), "IndexKeySpecsConflict");
        assert_eq!(name(code::TRANSACTION_TOO_LARGE), "TransactionTooLarge");
        assert_eq!(name(code::OBJECT_TOO_LARGE), "Location17419");
    }
}
