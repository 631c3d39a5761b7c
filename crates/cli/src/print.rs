//! What a person sees: errors, calls, notes. Colour only on a terminal (and not where `NO_COLOR` is set).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anstream::{eprintln, println};
use anstyle::{AnsiColor, Style};
use console::Recorder;
use gateway::{CallRecord, Journal, Note};
use runtime::{Level, Logs};

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
pub(crate) const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// An error with one of WeChat's codes.
#[derive(Debug)]
pub(crate) struct Coded {
    code: i64,
    text: String,
}

impl Coded {
    pub(crate) fn new(code: impl Into<i64>, text: String) -> Coded {
        Coded {
            code: code.into(),
            text,
        }
    }
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (errCode {})", self.text, self.code)
    }
}

impl std::error::Error for Coded {}

/// The end of a command that failed.
pub(crate) fn failure(error: &anyhow::Error, as_json: bool) {
    if as_json {
        let (code, text) = match error.downcast_ref::<Coded>() {
            Some(coded) => (coded.code, coded.text.clone()),
            None => (-1, format!("{error:#}")),
        };
        json(&serde_json::json!({ "errCode": code, "errMsg": text }));
    } else {
        eprintln!("{BAD}error{BAD:#}: {error:#}");
    }
}

/// One line of JSON on standard output.
pub(crate) fn json(value: &serde_json::Value) {
    println!("{value}");
}

/// Diagnostics go to standard error: warnings always, more with `-v`, or as `YUNQIAO_LOG` says.
pub(crate) fn subscribe(verbose: u8) {
    use tracing_subscriber::EnvFilter;
    let level = match verbose {
        0 => "warn",
        1 => "yunqiao=info,info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("YUNQIAO_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .init();
}

/// A heading with what one needs to know, on standard error.
pub(crate) fn fact(name: &str, value: impl fmt::Display) {
    eprintln!("  {DIM}{name:<10}{DIM:#} {value}");
}

/// A step of something that takes long.
pub(crate) fn step(text: impl fmt::Display) {
    eprintln!("  {DIM}{text}{DIM:#}");
}

/// Something done.
pub(crate) fn done(text: impl fmt::Display) {
    eprintln!("{GOOD}✓{GOOD:#} {text}");
}

/// Something wrong that does not stop the command, with its mend.
pub(crate) fn warning(what: impl fmt::Display, mend: &str) {
    eprintln!("{WARN}!{WARN:#} {what}");
    if !mend.is_empty() {
        eprintln!("  {DIM}{mend}{DIM:#}");
    }
}

/// What the project's files gave cause to say.
pub(crate) fn findings(project: &project::Project) {
    for finding in &project.findings {
        let of = finding
            .function
            .as_ref()
            .map(|name| format!("{name}: "))
            .unwrap_or_default();
        warning(
            format_args!("{of}{}: {}", finding.file.display(), finding.what),
            &finding.mend,
        );
    }
}

/// Which calls are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Each one, with what it printed: `dev`.
    All,
    /// Those that failed, and those that printed something: everywhere else.
    Telling,
}

/// Prints calls and notes to standard error.
#[derive(Debug)]
pub(crate) struct Terminal(pub(crate) Calls);

impl Journal for Terminal {
    fn call(&self, record: &CallRecord<'_>) {
        let failed = record.error.is_some();
        if self.0 == Calls::All || failed || record.logs.dropped() > 0 || !record.logs.lines().is_empty() {
            headline(record);
            cloud_calls(record);
            lines(record.logs);
        }
        for (field, text) in record.warnings {
            warning(format_args!("{}: {field}: {text}", record.function), "");
        }
    }

    fn note(&self, note: &Note<'_>) {
        let of = note
            .openid
            .map(|openid| format!(" {DIM}({openid}){DIM:#}"))
            .unwrap_or_default();
        eprintln!(
            "{WARN}!{WARN:#} {}{of} {DIM}{}{DIM:#}",
            note.text, note.request_id
        );
    }
}

/// Prints, and keeps for the console.
pub(crate) struct Both(pub(crate) Terminal, pub(crate) Arc<Recorder>);

impl Journal for Both {
    fn call(&self, record: &CallRecord<'_>) {
        self.0.call(record);
        self.1.call(record);
    }

    fn note(&self, note: &Note<'_>) {
        self.0.note(note);
        self.1.note(note);
    }

    fn keeps_exchanges(&self) -> bool {
        self.0.keeps_exchanges() || self.1.keeps_exchanges()
    }
}

fn headline(record: &CallRecord<'_>) {
    let openid = record.openid.unwrap_or("no user");
    let CallRecord {
        function,
        source,
        status,
        request_id,
        ..
    } = record;
    let took = millis(record.ran);
    let waited = match record.waited {
        waited if waited < Duration::from_millis(10) => String::new(),
        waited => format!(" after waiting {}", millis(waited)),
    };
    let attempt = match record.attempt {
        None | Some(1) => String::new(),
        Some(attempt) => format!(" attempt {attempt}"),
    };
    match record.error {
        None => eprintln!(
            "{GOOD}✓{GOOD:#} {BOLD}{function}{BOLD:#} {took}{waited}{attempt} {DIM}{source} {openid} {request_id}{DIM:#}"
        ),
        Some((code, text)) => {
            eprintln!(
                "{BAD}✗{BAD:#} {BOLD}{function}{BOLD:#} {took}{waited}{attempt} {status} {code} {DIM}{source} {openid} {request_id}{DIM:#}"
            );
            for line in text.lines() {
                eprintln!("  {BAD}│{BAD:#} {line}");
            }
        }
    }
}

fn cloud_calls(record: &CallRecord<'_>) {
    for call in record.cloud_calls {
        let took = millis(call.took);
        match call.code {
            0 => eprintln!("  {DIM}→ {} {took}{DIM:#}", call.what),
            code => eprintln!("  {WARN}→{WARN:#} {} {took} {code} {}", call.what, call.text),
        }
    }
    if record.more_cloud_calls > 0 {
        eprintln!("  {DIM}→ and {} more{DIM:#}", record.more_cloud_calls);
    }
}

fn lines(logs: &Logs) {
    for line in logs.lines() {
        let style = match line.level {
            Level::Error => BAD,
            Level::Warn => WARN,
            _ => DIM,
        };
        for text in line.text.lines() {
            eprintln!("  {style}│{style:#} {text}");
        }
    }
    if logs.dropped() > 0 {
        eprintln!(
            "  {WARN}│ and {} bytes more, which were not kept{WARN:#}",
            logs.dropped()
        );
    }
}

fn millis(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..10_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        micros @ 10_000..10_000_000 => format!("{} ms", micros / 1000),
        micros => format!("{} s", micros / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (micros, text) in [
            (0, "0.0 ms"),
            (1_250, "1.2 ms"),
            (12_900, "12 ms"),
            (12_000_000, "12 s"),
        ] {
            assert_eq!(millis(Duration::from_micros(micros)), text);
        }
    }
}
