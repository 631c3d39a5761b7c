//! A call and how it ended.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use function::FunctionName;
use process::{Frame, Thrown, WorkerEnd};

use crate::logs::Logs;

/// How deep calls may be nested: a function called by a client has depth 0.
pub const MAX_DEPTH: u32 = 10;

/// Names one call of a function while this process lives. The call that a function makes in turn names it as its parent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct InvocationId(u64);

impl InvocationId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A call to be made.
#[derive(Debug)]
pub struct FunctionCall {
    /// Which function.
    pub function: FunctionName,
    /// Its environment and event.
    pub frame: Frame,
    /// The call from inside which this one is made: it must still be running, and this one ends with it.
    pub parent: Option<InvocationId>,
    /// Less time than the function's own timeout, if the caller has less.
    pub budget: Option<Duration>,
    id: InvocationId,
}

impl FunctionCall {
    /// A call that no function made.
    #[must_use]
    pub fn new(function: FunctionName, frame: Frame) -> Self {
        Self {
            function,
            frame,
            parent: None,
            budget: None,
            id: InvocationId::next(),
        }
    }

    /// A call made from inside another one.
    #[must_use]
    pub fn nested(function: FunctionName, frame: Frame, parent: InvocationId) -> Self {
        Self {
            parent: Some(parent),
            ..Self::new(function, frame)
        }
    }

    /// What a call that this one makes will name as its parent.
    #[must_use]
    pub fn id(&self) -> InvocationId {
        self.id
    }
}

/// How a call ended.
#[derive(Debug)]
pub struct CallOutcome {
    /// What the function returned, or why there is nothing.
    pub result: Result<FunctionReply, CallError>,
    /// What it printed.
    pub logs: Logs,
    /// How long it waited for a worker, loading of the function included.
    pub waited: Duration,
    /// How long the function ran.
    pub ran: Duration,
}

impl CallOutcome {
    pub(crate) fn refused(error: CallError) -> Self {
        Self {
            result: Err(error),
            logs: Logs::default(),
            waited: Duration::ZERO,
            ran: Duration::ZERO,
        }
    }
}

/// What a function returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionReply {
    /// Its JSON text, as the worker wrote it; `None` when it returned nothing that has a JSON text, as `undefined`.
    pub json: Option<Bytes>,
}

/// Why a call has no result. `Display` is the text for the caller, as the platform words it where it does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// There is no such function.
    #[error("FunctionName parameter could not be found")]
    NotFound,
    /// The function is there but cannot be run: its dependencies are missing, its configuration is wrong.
    #[error("{why}")]
    CannotRun {
        /// Why, and the mend.
        why: String,
    },
    /// All its workers stayed busy for as long as a call waits, or too many calls wait already.
    #[error("too many calls of this function at a time")]
    QueueFull,
    /// It did not end in time.
    #[error("Invoking task timed out after {} seconds", after.as_millis() as f64 / 1000.0)]
    TimedOut {
        /// The time it had.
        after: Duration,
    },
    /// It threw, rejected, or did not load.
    #[error("{}", Stack(message, stack))]
    Threw {
        /// The message of what was thrown.
        message: String,
        /// Its stack, which usually begins with the message.
        stack: String,
    },
    /// Its process ended before it answered.
    #[error("the function's process ended before it answered: {how}")]
    Exited {
        /// With which status.
        how: String,
    },
    /// It needed more memory than it was given.
    #[error("the function ran out of memory ({limit_mb} MB)")]
    OutOfMemory {
        /// What it was given.
        limit_mb: u32,
    },
    /// Its result is circular, or holds a `BigInt`.
    #[error("the function's result cannot be JSON: {message}")]
    NotJson {
        /// What `JSON.stringify` said.
        message: String,
    },
    /// Its result is longer than 1 MB (1 048 576 bytes of UTF-8), as WeChat's -604001 has it; of HTTP access, than 6 MB.
    #[error("the function's result has {bytes} bytes, more than {} MB", if *bytes > 6 << 20 { 6 } else { 1 })]
    TooLarge {
        /// How long it is.
        bytes: u64,
    },
    /// Calls are nested more than [`MAX_DEPTH`] deep.
    #[error("functions call each other more than {MAX_DEPTH} deep")]
    TooDeep,
    /// Every worker that the function may have is held by a call that waits for this one.
    #[error("all {workers} workers of the function are held by calls that wait for this one")]
    Entangled {
        /// How many.
        workers: u32,
    },
    /// The call that made this one has ended.
    #[error("the call that made this one has ended")]
    AncestorEnded,
    /// The worker could not be started, or did what no worker does.
    #[error("{why}")]
    WorkerFailed {
        /// What happened.
        why: String,
    },
}

impl From<Thrown> for CallError {
    fn from(Thrown { message, stack }: Thrown) -> Self {
        Self::Threw { message, stack }
    }
}

impl CallError {
    /// What the end of a worker means for the calls that it had.
    pub(crate) fn of_end(end: WorkerEnd, limit_mb: u32) -> Self {
        match end {
            WorkerEnd::NotStarted(why) => Self::WorkerFailed { why },
            WorkerEnd::OutOfMemory => Self::OutOfMemory { limit_mb },
            WorkerEnd::Exited(how) => Self::Exited { how },
        }
    }
}

/// An error's stack, which in JavaScript repeats the message; the message too where it does not.
struct Stack<'a>(&'a str, &'a str);

impl fmt::Display for Stack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(message, stack) = self;
        match (stack.is_empty(), stack.contains(*message)) {
            (true, _) => f.write_str(message),
            (_, true) => f.write_str(stack),
            (_, false) => write!(f, "{message}\n{stack}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_for_the_caller() {
        let threw = |message: &str, stack: &str| {
            CallError::Threw {
                message: message.to_owned(),
                stack: stack.to_owned(),
            }
            .to_string()
        };
        assert_eq!(threw("no", "Error: no\n    at main"), "Error: no\n    at main");
        assert_eq!(threw("no", ""), "no");
        assert_eq!(threw("no", "at main"), "no\nat main");
        let after = Duration::from_secs(3);
        assert_eq!(
            CallError::TimedOut { after }.to_string(),
            "Invoking task timed out after 3 seconds"
        );
        let after = Duration::from_millis(1500);
        assert_eq!(
            CallError::TimedOut { after }.to_string(),
            "Invoking task timed out after 1.5 seconds"
        );
    }
}
