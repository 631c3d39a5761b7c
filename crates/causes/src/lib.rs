//! An error with what led to it, in one line. An error of ours says what failed and what the mend is, and keeps as its source what the
//! operating system or a library said; whoever reads a log needs both.

use std::{
    error::Error,
    fmt::{self, Display},
};

/// The error, and behind it each of its sources, with `: ` between them. A source whose text stands in the line already is left out:
/// some libraries say it themselves.
#[must_use]
pub fn with_causes<'a>(error: &'a (dyn Error + 'a)) -> impl Display {
    WithCauses(error)
}

struct WithCauses<'a>(&'a (dyn Error + 'a));

impl Display for WithCauses<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = self.0.to_string();
        let mut next = self.0.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if !line.contains(&text) {
                line.push_str(": ");
                line.push_str(&text);
            }
            next = cause.source();
        }
        f.write_str(&line)
    }
}

#[cfg(test)]
mod tests {
    use thiserror::Error;

    use super::*;

    #[derive(Debug, Error)]
    #[error("{text}")]
    struct Step {
        text: &'static str,
        source: Option<Box<Self>>,
    }

    fn chain(texts: &[&'static str]) -> Step {
        Step {
            text: texts[0],
            source: (texts.len() > 1).then(|| Box::new(chain(&texts[1..]))),
        }
    }

    #[test]
    fn every_cause_stands_once_behind_what_it_led_to() {
        for (texts, line) in [
            (&["alone"][..], "alone"),
            (
                &["it failed", "the disk is full", "os error 28"],
                "it failed: the disk is full: os error 28",
            ),
            (&["it failed: why", "why", "deeper"], "it failed: why: deeper"),
            (
                &["it failed (why: deeper)", "why: deeper", "deeper"],
                "it failed (why: deeper)",
            ),
        ] {
            assert_eq!(with_causes(&chain(texts)).to_string(), line);
        }
    }
}
