//! Why a call has no result: what its caller is told, and how the operator finds out more.

use std::borrow::Cow;

use runtime::CallError;
use tcb::{CallDataError, codes};

/// What kind of failure it is. Each has one HTTP status wherever a call is answered over HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailureKind {
    /// There is no such function.
    NotFound,
    /// The caller may not call it.
    Denied,
    /// What the caller sent cannot be understood.
    Malformed,
    /// The function's queue is full.
    Busy,
    /// The function threw, rejected, exited, could not be run, or returned what cannot be JSON.
    Failed,
    /// It took too long.
    TimedOut,
    /// Its result is too large.
    TooLarge,
    /// Something of ours failed: the log has the cause.
    Internal,
}

impl FailureKind {
    /// The HTTP status that goes with it: a number, for records and for whoever answers over HTTP.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::Denied => 403,
            Self::Malformed => 400,
            Self::Busy => 429,
            Self::TimedOut => 504,
            Self::Failed | Self::TooLarge | Self::Internal => 500,
        }
    }
}

/// A call that failed. `Display` is the text for the caller.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{text}")]
#[non_exhaustive]
pub struct CallFailure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// The code that a client is told, of the space -50xxxx or -60xxxx.
    pub code: i32,
    /// The text that goes with it.
    pub text: Cow<'static, str>,
    /// What the runtime said, where it was it that failed.
    #[source]
    pub cause: Option<CallError>,
}

impl CallFailure {
    fn new(kind: FailureKind, code: i32, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            code,
            text: text.into(),
            cause: None,
        }
    }

    pub(crate) fn no_function() -> Self {
        Self::new(
            FailureKind::NotFound,
            codes::FUNCTION_NOT_FOUND,
            codes::FUNCTION_NOT_FOUND_TEXT,
        )
    }

    /// A rule of functions keeps the caller from calling: to them it is the same whatever the rule.
    #[must_use]
    pub fn denied() -> Self {
        Self::new(
            FailureKind::Denied,
            codes::EXCEED_AUTHORITY,
            "[EXCEED_AUTHORITY] this client may not call the function",
        )
    }

    pub(crate) fn internal() -> Self {
        Self::new(FailureKind::Internal, codes::SYS_ERR, "internal error")
    }
}

impl From<CallDataError> for CallFailure {
    fn from(error: CallDataError) -> Self {
        Self::new(FailureKind::Malformed, codes::INVALID_PARAM, error.to_string())
    }
}

impl From<CallError> for CallFailure {
    /// Which code each way of failing has.
    fn from(error: CallError) -> Self {
        let (kind, code) = match error {
            CallError::NotFound => return Self::no_function(),
            CallError::QueueFull => (FailureKind::Busy, codes::EXCEED_CONCURRENT),
            CallError::TimedOut { .. } => (FailureKind::TimedOut, codes::TIME_LIMIT_EXCEEDED),
            CallError::TooLarge { .. } => (FailureKind::TooLarge, codes::RESULT_TOO_LARGE),
            _ => (FailureKind::Failed, codes::EXECUTE_FAIL),
        };
        Self {
            cause: Some(error.clone()),
            ..Self::new(kind, code, error.to_string())
        }
    }
}
