//! What a person is told: results, steps, warnings, errors. Colour only on a terminal (and not where `NO_COLOR` is set). What came
//! from outside is [escaped](crate::escape) here.

use std::{
    fmt::{self, Display},
    io::{self, Write},
};

use project::Finding;

pub(crate) use crate::render::{BAD, DIM, GOOD, WARN, counted};
use crate::{
    escape, lang, qr,
    render::{MARGIN, without_our_frames},
    terminal,
};

/// An error with one of WeChat's codes.
#[derive(Debug)]
pub(crate) struct Coded {
    code: i64,
    text: String,
}

impl Coded {
    pub(crate) fn new(code: impl Into<i64>, text: String) -> Self {
        Self {
            code: code.into(),
            text,
        }
    }
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: Vec<_> = without_our_frames(&self.text).collect();
        write!(f, "{} (errCode {})", text.join("\n"), self.code)
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
        refusal(lang::error(error));
    }
}

/// What is wrong, behind the word that says so.
pub(crate) fn refusal(text: impl Display) {
    let (mark, colon) = (lang::t("error", "错误"), lang::t(": ", "："));
    terminal::say(format!(
        "{BAD}{mark}{BAD:#}{colon}{}\n",
        escape::block(&text.to_string(), MARGIN)
    ));
}

/// One line of JSON on standard output.
pub(crate) fn json(value: &serde_json::Value) {
    result(value);
}

/// What a command was asked for, on standard output, after what was said about it on standard error.
pub(crate) fn result(text: impl Display) {
    terminal::flush();
    anstream::println!("{text}");
}

/// Whether the reader of standard output is gone, as after `| head`: it has seen enough.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// That requests are taken at `url` from now on; for a program with the object's members, such as further addresses.
pub(crate) fn ready(url: &str, as_json: bool, members: serde_json::Value) {
    if !as_json {
        return result(format_args!("ready {url}"));
    }
    let mut told = serde_json::Map::from_iter([("ready".to_owned(), url.into())]);
    if let serde_json::Value::Object(members) = members {
        told.extend(members);
    }
    json(&told.into());
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
        .with_writer(|| Diagnostics)
        .with_ansi(false)
        .without_time()
        .init();
}

/// Takes each diagnostic in one piece.
struct Diagnostics;

impl Write for Diagnostics {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let event = String::from_utf8_lossy(text);
        let (level, event) = event.trim_start().split_once(' ').unwrap_or_default();
        let style = match level {
            "ERROR" => BAD,
            "WARN" => WARN,
            _ => DIM,
        };
        say(format_args!("{style}{level}{style:#}"), event);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A mark and a text behind it, on standard error.
fn say(mark: impl Display, text: impl Display) {
    terminal::say(format!("{mark} {}\n", escape::block(&text.to_string(), MARGIN)));
}

/// A heading with what one needs to know, on standard error.
pub(crate) fn fact(name: &str, value: impl Display) {
    // A Chinese character is as wide as two letters.
    let width: usize = name.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
    let blanks = " ".repeat(10_usize.saturating_sub(width));
    say(format_args!("  {DIM}{name}{blanks}{DIM:#}"), value);
}

/// Clears the terminal.
pub(crate) fn clear() {
    terminal::clear();
}

/// A code that a phone reads the text from.
pub(crate) fn code(text: &str) {
    // A text that fits into no code has been told as a text.
    if let Some(code) = qr::code(text) {
        terminal::say(code);
    }
}

/// A step of something that takes long.
pub(crate) fn step(text: impl Display) {
    let text = escape::block(&text.to_string(), MARGIN);
    terminal::say(format!("  {DIM}{text}{DIM:#}\n"));
}

/// Something done.
pub(crate) fn done(text: impl Display) {
    say(format_args!("{GOOD}✓{GOOD:#}"), text);
}

/// Something wrong that does not stop the command, with its mend.
pub(crate) fn warning(what: impl Display, mend: &str) {
    say(format_args!("{WARN}!{WARN:#}"), what);
    if !mend.is_empty() {
        step(mend);
    }
}

/// What the project's files gave cause to say, without what was said before.
pub(crate) fn findings(found: &[Finding], before: &[Finding]) {
    for finding in found.iter().filter(|finding| !before.contains(finding)) {
        warning(lang::of(&finding.wording()), lang::of(&finding.mend));
    }
}
