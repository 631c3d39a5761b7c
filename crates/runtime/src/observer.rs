//! Who hears what a runtime does, at the moment it happens: steps that take long, and every line that a function prints.

use std::fmt;

use function::FunctionName;
use process::OutputLine;

use crate::{call::InvocationId, progress::Progress};

/// Hears what happens. Called on the thread that serves calls: an implementation must not wait.
pub trait Observer: Send + Sync + 'static {
    /// A step that takes long has begun, or is over.
    fn progress(&self, progress: Progress);
    /// A function printed something. The line came from the worker this moment: its call, if it has one, still runs, and
    /// [`CallOutcome::logs`](crate::CallOutcome::logs) will hold it too.
    fn printed(&self, printed: PrintedLine);
}

/// A line and whose it is. `Display` is the line for a person, with the function's name before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrintedLine {
    /// The call that printed it; `None` for what is printed while a function is loaded, after its calls, or by a process
    /// that runs several calls or none.
    pub call: Option<InvocationId>,
    /// Which function; `None` for a worker that has no function yet.
    pub function: Option<FunctionName>,
    /// What it printed.
    pub line: OutputLine,
}

impl fmt::Display for PrintedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => write!(f, "{function}: {}", self.line.text),
            None => f.write_str(&self.line.text),
        }
    }
}
