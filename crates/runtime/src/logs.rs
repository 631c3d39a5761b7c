//! What functions print: kept per call, up to a limit.

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
pub struct Line {
    /// How important it is.
    pub level: Level,
    /// When, after the function began to run. Zero for a line outside of any call.
    pub at: Duration,
    /// What was printed, without the last line end.
    pub text: String,
}

/// What one call printed, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    lines: Vec<Line>,
    bytes: usize,
    dropped: u64,
}

impl Logs {
    /// The lines that were kept.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// How many bytes were not kept; 0 when all were. Of what `console` formats past the limit each entry counts as 1.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether something is missing.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.dropped > 0
    }

    /// Whether a line may still be kept; if not, it is counted. The worker cuts at the same limit: this one is for output
    /// that bypasses it.
    pub(crate) fn has_room(&mut self, limit: usize, line: &Line) -> bool {
        let fits = self.bytes + line.text.len() <= limit;
        if !fits {
            self.drop_bytes(line.text.len() as u64);
        }
        fits
    }

    pub(crate) fn push(&mut self, line: Line) {
        self.bytes += line.text.len();
        self.lines.push(line);
    }

    pub(crate) fn drop_bytes(&mut self, bytes: u64) {
        self.dropped = self.dropped.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_fits_and_counts_the_rest() {
        let mut logs = Logs::default();
        for text in ["1234", "567890", "x"] {
            let line = Line {
                level: Level::Log,
                at: Duration::ZERO,
                text: text.to_owned(),
            };
            if logs.has_room(5, &line) {
                logs.push(line);
            }
        }
        assert_eq!(
            logs.lines()
                .iter()
                .map(|line| line.text.as_str())
                .collect::<Vec<_>>(),
            ["1234", "x"]
        );
        assert_eq!((logs.dropped(), logs.is_truncated()), (6, true));
    }
}
