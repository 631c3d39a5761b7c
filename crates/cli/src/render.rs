//! How calls, lines and notes look, on the terminal and by `yunqiao logs`. What came from outside is [escaped](crate::escape) here.

use std::{
    fmt::Display,
    io::{self, Write},
    time::Duration,
};

use anstyle::{AnsiColor, Style};
use jiff::{Timestamp, tz::TimeZone};
use runtime::Level;

use crate::{
    entry::{Call, CloudCall, CloudId, Entry, Line, Printed, Web},
    escape,
    lang::{self, say},
};

pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
pub(crate) const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// What stands before the second line of a text, and each further one: nothing from outside begins as a line of ours does.
pub(crate) const MARGIN: &str = "    ";

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

/// `1 function`, `3 functions`.
pub(crate) fn counted(count: impl Display, of: &str) -> String {
    match count.to_string().as_str() {
        "1" => format!("1 {of}"),
        count => format!("{count} {of}s"),
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
        Entry::Web(web) => self::web(out, web),
        Entry::Note(note) => {
            let about = note.openid.iter().chain([&note.request_id]);
            let about: Vec<_> = about
                .map(String::as_str)
                .filter(|about| !about.is_empty())
                .collect();
            let note_text = note.wording();
            let text = escape::block(lang::of(&note_text), MARGIN);
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
        let text = say!(
            "{field}: its cloudID was refused with {err_code}",
            "{field}：cloudID 被拒绝，{err_code}"
        );
        writeln!(out, "  {WARN}!{WARN:#} {text}")?;
    }
    for warning in &call.warnings {
        let said = warning.wording();
        let (field, text) = (
            escape::Line(&warning.field),
            escape::block(lang::of(&said), MARGIN),
        );
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
        let more = call.more_cloud_calls;
        let text = say!("and {more} more", "另有 {more} 次");
        writeln!(out, "  {DIM}→ {text}{DIM:#}")?;
    }
    if call.dropped_bytes > 0 {
        let bytes = call.dropped_bytes;
        let text = say!(
            "and {bytes} bytes more, which were not kept",
            "另有 {bytes} 字节未保留"
        );
        writeln!(out, "  {WARN}│ {text}{WARN:#}")?;
    }
    for line in without_our_frames(&call.err_msg) {
        writeln!(out, "  {BAD}│{BAD:#} {}", escape::Line(line))?;
    }
    for note in call.wordings() {
        writeln!(
            out,
            "  {WARN}!{WARN:#} {}",
            escape::block(lang::of(&note), MARGIN)
        )?;
    }
    Ok(())
}

fn headline(out: &mut impl Write, call: &Call) -> io::Result<()> {
    let openid = escape::Line(call.openid.as_deref().unwrap_or(lang::t("no user", "无用户")));
    let (function, source) = (escape::Line(&call.function), escape::Line(&call.source));
    let (status, request_id) = (call.status, escape::Line(&call.request_id));
    let took = millis(call.ran);
    let waited = match call.waited {
        waited if waited < Duration::from_millis(10) => String::new(),
        waited => {
            let waited = millis(waited);
            say!(" after waiting {waited}", "，等待 {waited}")
        }
    };
    let attempt = match call.attempt {
        None | Some(1) => String::new(),
        Some(attempt) => say!(" attempt {attempt}", " 第 {attempt} 次"),
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
    if let Some(http) = &call.http {
        write!(out, " {}", escape::Line(http))?;
    }
    writeln!(out, " {DIM}{source} {openid} {request_id}{DIM:#}")
}

/// A line of the access log.
fn web(out: &mut impl Write, web: &Web) -> io::Result<()> {
    let (method, path) = (escape::Line(&web.method), escape::Line(&web.path));
    let style = match web.web_status {
        500.. => BAD,
        400.. => WARN,
        _ => DIM,
    };
    let function = web.function.as_deref().map_or("", |_| "→ ");
    let function = format!(
        "{function}{}",
        escape::Line(web.function.as_deref().unwrap_or_default())
    );
    writeln!(
        out,
        "{style}{}{style:#} {method} {path} {DIM}{} {} {function}{DIM:#}",
        web.web_status,
        millis(web.took),
        escape::Line(&web.client),
    )
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
pub(crate) fn without_our_frames(text: &str) -> impl Iterator<Item = &str> {
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
