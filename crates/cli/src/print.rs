//! What a person sees: errors, calls, notes. Colour only on a terminal (and not where `NO_COLOR` is set). What came from outside is
//! [escaped](crate::escape) here.

use std::{
    fmt::{self, Display},
    io::{self, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, tz::TimeZone};
use project::Finding;
use runtime::Level;

use crate::{
    entry::{Call, CloudCall, CloudId, Entry, Line, Printed, Warning},
    escape, terminal,
};

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
        say(format_args!("{BAD}error{BAD:#}:"), format_args!("{error:#}"));
    }
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

/// That requests are taken at `url` from now on.
pub(crate) fn ready(url: &str) {
    result(format_args!("ready {url}"));
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

/// What stands before the second line of a text, and each further one: nothing from outside begins as a line of ours does.
const MARGIN: &str = "    ";

/// A mark and a text behind it, on standard error.
fn say(mark: impl Display, text: impl Display) {
    terminal::say(format!("{mark} {}\n", escape::block(&text.to_string(), MARGIN)));
}

/// A heading with what one needs to know, on standard error.
pub(crate) fn fact(name: &str, value: impl Display) {
    say(format_args!("  {DIM}{name:<10}{DIM:#}"), value);
}

/// `1 function`, `3 functions`.
pub(crate) fn counted(count: impl Display, of: &str) -> String {
    match count.to_string().as_str() {
        "1" => format!("1 {of}"),
        count => format!("{count} {of}s"),
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

/// The line that stands where so many others would.
pub(crate) fn lost(lines: u64) -> String {
    format!(
        "{WARN}! {} not kept: they came faster than they could be written{WARN:#}\n",
        were(lines)
    )
}

/// `1 line was`, `3 lines were`.
fn were(lines: u64) -> String {
    let were = if lines == 1 { "was" } else { "were" };
    format!("{} {were}", counted(lines, "line"))
}

/// What the project's files gave cause to say, without what was said before.
pub(crate) fn findings(found: &[Finding], before: &[Finding]) {
    for finding in found.iter().filter(|finding| !before.contains(finding)) {
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

/// Prints what there is to tell; `dated` with the time at which it was, on this machine's clock.
pub(crate) fn entry(out: &mut impl Write, entry: &Entry, dated: bool) -> io::Result<()> {
    let time = if dated { local(entry.time()) } else { String::new() };
    if let Entry::Printed(printed) = entry {
        return self::printed(out, printed, &time);
    }
    write!(out, "{DIM}{time}{DIM:#}")?;
    match entry {
        // Done above: it may have several lines, each with the time before it.
        Entry::Printed(_) => Ok(()),
        Entry::Call(call) => self::call(out, call),
        Entry::Note(note) => {
            let about = note.openid.iter().chain([&note.request_id]);
            let about: Vec<_> = about
                .map(String::as_str)
                .filter(|about| !about.is_empty())
                .collect();
            let text = escape::block(&note.note, MARGIN);
            match about.join(" ") {
                none if none.is_empty() => writeln!(out, "{WARN}!{WARN:#} {text}"),
                about => writeln!(
                    out,
                    "{WARN}!{WARN:#} {text} {DIM}({}){DIM:#}",
                    escape::Line(&about)
                ),
            }
        }
        Entry::Gap(gap) => write!(out, "{}", lost(gap.lines_not_kept)),
    }
}

/// `11-21 16:09:22 `, or nothing if it is no time.
fn local(time: &str) -> String {
    let time = time.parse::<Timestamp>();
    time.map_or_else(
        |_| String::new(),
        |time| {
            time.to_zoned(TimeZone::system())
                .strftime("%m-%d %H:%M:%S ")
                .to_string()
        },
    )
}

/// The headline, and under it what happened, in order, and how it failed.
fn call(out: &mut impl Write, call: &Call) -> io::Result<()> {
    headline(out, call)?;
    for refused in call.cloud_ids.iter().filter(|id| id.err_code != 0) {
        let CloudId { field, err_code } = refused;
        let field = escape::Line(field);
        writeln!(
            out,
            "  {WARN}!{WARN:#} {field}: its cloudID was refused with {err_code}"
        )?;
    }
    for Warning { field, err_msg } in &call.warnings {
        let (field, text) = (escape::Line(field), escape::block(err_msg, MARGIN));
        writeln!(out, "  {WARN}!{WARN:#} {field}: {text}")?;
    }
    let mut cloud_calls = call.cloud_calls.iter().peekable();
    for line in &call.logs {
        while let Some(made) = cloud_calls.next_if(|made| made.at <= line.at) {
            cloud_call(out, made)?;
        }
        self::line(out, line)?;
    }
    for made in cloud_calls {
        cloud_call(out, made)?;
    }
    if call.more_cloud_calls > 0 {
        writeln!(out, "  {DIM}→ and {} more{DIM:#}", call.more_cloud_calls)?;
    }
    if call.dropped_bytes > 0 {
        let bytes = call.dropped_bytes;
        writeln!(
            out,
            "  {WARN}│ and {bytes} bytes more, which were not kept{WARN:#}"
        )?;
    }
    for line in without_our_frames(&call.err_msg) {
        writeln!(out, "  {BAD}│{BAD:#} {}", escape::Line(line))?;
    }
    for note in &call.notes {
        writeln!(out, "  {WARN}!{WARN:#} {}", escape::block(note, MARGIN))?;
    }
    Ok(())
}

fn headline(out: &mut impl Write, call: &Call) -> io::Result<()> {
    let openid = escape::Line(call.openid.as_deref().unwrap_or("no user"));
    let (function, source) = (escape::Line(&call.function), escape::Line(&call.source));
    let (status, request_id) = (call.status, escape::Line(&call.request_id));
    let took = millis(call.ran);
    let waited = match call.waited {
        waited if waited < Duration::from_millis(10) => String::new(),
        waited => format!(" after waiting {}", millis(waited)),
    };
    let attempt = match call.attempt {
        None | Some(1) => String::new(),
        Some(attempt) => format!(" attempt {attempt}"),
    };
    match call.err_code {
        0 => write!(
            out,
            "{GOOD}✓{GOOD:#} {BOLD}{function}{BOLD:#} {took}{waited}{attempt}"
        )?,
        code => write!(
            out,
            "{BAD}✗{BAD:#} {BOLD}{function}{BOLD:#} {took}{waited}{attempt} {status} {code}"
        )?,
    }
    writeln!(out, " {DIM}{source} {openid} {request_id}{DIM:#}")
}

fn cloud_call(out: &mut impl Write, made: &CloudCall) -> io::Result<()> {
    let (what, err_msg) = (escape::Line(&made.what), escape::Line(&made.err_msg));
    let took = millis(made.took);
    match made.err_code {
        0 => writeln!(out, "  {DIM}→ {what} {took}{DIM:#}"),
        code => writeln!(out, "  {WARN}→{WARN:#} {what} {took} {code} {err_msg}"),
    }
}

/// What a function prints, while other calls may print as well: before each line stands whose it is.
fn printed(out: &mut impl Write, printed: &Printed, time: &str) -> io::Result<()> {
    let style = style(&printed.line);
    let function = escape::Line(&printed.function);
    // The beginning of the id tells one call from another; the headline at the end has the whole.
    let id = escape::Line(printed.request_id.split('-').next().unwrap_or_default());
    for text in escape::lines(&printed.line.text) {
        writeln!(out, "{DIM}{time}{function} {id} {DIM:#}{style}│{style:#} {text}")?;
    }
    Ok(())
}

fn style(line: &Line) -> Style {
    match line {
        line if line.is(Level::Error) => BAD,
        line if line.is(Level::Warn) => WARN,
        _ => DIM,
    }
}

fn line(out: &mut impl Write, line: &Line) -> io::Result<()> {
    let style = style(line);
    for text in escape::lines(&line.text) {
        writeln!(out, "  {style}│{style:#} {text}")?;
    }
    Ok(())
}

/// Whether what follows `/worker-` in a path is as the runtime names the folder of its worker's source.
fn is_our_folder((_, rest): (&str, &str)) -> bool {
    rest.split_once('/')
        .is_some_and(|(hash, _)| hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The lines of an error's text without the frames at its end that are Node's and our worker's: they say nothing of the function.
fn without_our_frames(text: &str) -> impl Iterator<Item = &str> {
    let ours = |line: &str| {
        let frame = line.trim_start().starts_with("at ");
        frame && (line.contains("(node:internal/") || line.split_once("/worker-").is_some_and(is_our_folder))
    };
    let mut lines: Vec<_> = text.lines().collect();
    while lines.len() > 1 && lines.last().is_some_and(|line| ours(line)) {
        lines.pop();
    }
    lines.into_iter()
}

fn millis(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..10_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        micros @ 10_000..10_000_000 => format!("{} ms", micros / 1000),
        micros => format!("{} s", micros / 1_000_000),
    }
}
