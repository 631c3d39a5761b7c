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

/// MongoDB's numbers that have a name.
pub mod code {
    macro_rules! codes {
        ($($name:ident = $number:literal $text:literal;)*) => {
            $(#[doc = concat!("`", $text, "`")] pub const $name: i32 = $number;)*
            pub(super) const NAMES: &[(i32, &str)] = &[$(($number, $text)),*];
        };
    }
    codes! {
        BAD_VALUE = 2 "BadValue";
        FAILED_TO_PARSE = 9 "FailedToParse";
        TYPE_MISMATCH = 14 "TypeMismatch";
        OVERFLOW = 15 "Overflow";
        INVALID_LENGTH = 16 "InvalidLength";
        PATH_NOT_VIABLE = 28 "PathNotViable";
        CONFLICTING_UPDATE_OPERATORS = 40 "ConflictingUpdateOperators";
        NO_SUCH_KEY = 4 "NoSuchKey";
        DOLLAR_PREFIXED_FIELD_NAME = 52 "DollarPrefixedFieldName";
        EMPTY_FIELD_NAME = 56 "EmptyFieldName";
        DOTTED_FIELD_NAME = 57 "DottedFieldName";
        IMMUTABLE_FIELD = 66 "ImmutableField";
        CANNOT_CREATE_INDEX = 67 "CannotCreateIndex";
        INVALID_OPTIONS = 72 "InvalidOptions";
        EXCEEDED_MEMORY_LIMIT = 146 "ExceededMemoryLimit";
        INVALID_PIPELINE_OPERATOR = 168 "InvalidPipelineOperator";
        CONVERSION_FAILURE = 241 "ConversionFailure";
        NO_QUERY_EXECUTION_PLANS = 291 "NoQueryExecutionPlans";
        QUERY_EXCEEDED_MEMORY_LIMIT = 292 "QueryExceededMemoryLimitNoDiskUseAllowed";
        DUPLICATE_KEY = 11000 "DuplicateKey";
        OBJECT_TOO_LARGE = 17419 "Location17419";
    }
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
        code::NAMES
            .iter()
            .find(|name| name.0 == self.code)
            .map_or_else(|| format!("Location{}", self.code), |name| name.1.to_owned())
    }
}
