//! What a worker prints.

use std::time::Duration;

/// How important a line is, as the console method that wrote it says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// `console.debug`
    Debug,
    /// `console.log`, and whatever went to stdout
    Log,
    /// `console.info`
    Info,
    /// `console.warn`
    Warn,
    /// `console.error`, and whatever went to stderr
    Error,
}

impl Level {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Debug,
            1 => Self::Log,
            2 => Self::Info,
            3 => Self::Warn,
            4 => Self::Error,
            _ => return None,
        })
    }

    /// Its name, as the console method's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Log => "log",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// One entry: what one `console` call printed (possibly several lines), or lines written to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputLine {
    /// How important it is.
    pub level: Level,
    /// When, after the function began to run. Zero for a line outside of any call.
    pub at: Duration,
    /// What was printed, without the last line end.
    pub text: String,
}
