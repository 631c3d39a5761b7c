//! Why a client was refused, in words for the developer.

use std::fmt;

use crate::Operation;

/// Why a client may not, for the developer: to the client it is -502003 whatever the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What was to be done.
    pub operation: Operation,
    /// The rule or level, as it is written.
    pub rule: String,
    /// The part of the rule that does not hold.
    pub part: String,
    /// What is wrong with the request in view of it.
    pub why: String,
    /// What would pass.
    pub mend: Option<String>,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            operation,
            rule,
            part,
            why,
            mend,
        } = self;
        write!(f, "{} is denied by {rule}: ", operation.name())?;
        if part.is_empty() || part == rule {
            write!(f, "{why}")?;
        } else {
            write!(f, "of {part}, {why}")?;
        }
        match mend {
            Some(mend) => write!(f, ". {mend}"),
            None => Ok(()),
        }
    }
}
