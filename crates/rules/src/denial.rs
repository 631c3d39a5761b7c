//! Why a client was refused, in words for the developer.

use std::fmt;

/// Why a client may not, for the developer: the client learns a code of its door, and nothing of the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// What was to be done, by the key that it has in rules: `read`, `create`, …, `invoke`.
    pub operation: &'static str,
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
        write!(f, "{operation} is denied by {rule}: ")?;
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
