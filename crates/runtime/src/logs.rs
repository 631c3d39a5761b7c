//! What functions print: kept per call, up to a limit.

use process::OutputLine;

/// What one call printed, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logs {
    lines: Vec<OutputLine>,
    bytes: usize,
    dropped: u64,
}

impl Logs {
    /// The lines that were kept.
    #[must_use]
    pub fn lines(&self) -> &[OutputLine] {
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
    pub(crate) fn has_room(&mut self, limit: usize, line: &OutputLine) -> bool {
        let fits = self.bytes + line.text.len() <= limit;
        if !fits {
            self.drop_bytes(line.text.len() as u64);
        }
        fits
    }

    pub(crate) fn push(&mut self, line: OutputLine) {
        self.bytes += line.text.len();
        self.lines.push(line);
    }

    pub(crate) fn drop_bytes(&mut self, bytes: u64) {
        self.dropped = self.dropped.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use process::Level;

    use super::*;

    #[test]
    fn keeps_what_fits_and_counts_the_rest() {
        let mut logs = Logs::default();
        for text in ["1234", "567890", "x"] {
            let line = OutputLine {
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
