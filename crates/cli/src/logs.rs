//! `yunqiao logs`: what functions print, as it happens. It reads what `yunqiao dev` writes to `.yunqiao/calls.jsonl`, so it needs no
//! secret, shows what was before, and stays when `dev` is started again.

use std::{
    collections::VecDeque,
    io::{self, Write},
    process::ExitCode,
};

use anyhow::bail;
use project::Project;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};

use crate::{
    args,
    calls_file::Reader,
    entry::{Entry, Printed},
    lang::{say, t},
    paths, print, render, run_file,
};

/// How often the file is looked at.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 25_000_000,
};

/// Bytes of lines that are kept until their call ends. A call whose `dev` was killed never does.
const MOST_KEPT: usize = 16 << 20;

/// Ends when it is interrupted, when nobody reads on, or with `--no-follow` after what there is.
pub(crate) fn run(args: &args::Logs, as_json: bool) -> anyhow::Result<ExitCode> {
    let project = paths::project(&args.dir)?;
    let mut reader = Reader::new(&project.root);
    match follow(args, as_json, &project, &mut reader) {
        // `yunqiao logs | head` has seen enough.
        Err(error) if print::is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        done => done.map(|()| ExitCode::SUCCESS),
    }
}

fn follow(args: &args::Logs, as_json: bool, project: &Project, reader: &mut Reader) -> anyhow::Result<()> {
    let (mut running, mut last, mut found) = (RunningCalls::default(), VecDeque::new(), false);
    reader.read(|line| {
        let Some(entry) = wanted(line, args) else {
            return Ok(());
        };
        found = true;
        if let Some(entry) = running.join(entry) {
            last.push_back(entry);
            if last.len() > args.last {
                last.pop_front();
            }
        }
        Ok(())
    })?;
    for entry in &last {
        show(entry, as_json)?;
    }
    for printed in running.lines() {
        show(&Entry::Printed(printed.clone()), as_json)?;
    }
    say_what_is_missing(args, project, found)?;
    if args.no_follow {
        return Ok(());
    }
    while is_read_on()? {
        reader.read(|line| {
            let Some(entry) = wanted(line, args) else {
                return Ok(());
            };
            if matches!(entry, Entry::Printed(_)) {
                show(&entry, as_json)?;
            }
            match running.join(entry) {
                // A person has seen the lines; a program gets the call whole.
                Some(Entry::Call(mut call)) if !as_json => {
                    call.logs.clear();
                    show(&Entry::Call(call), as_json)
                }
                Some(Entry::Printed(_)) | None => Ok(()),
                Some(entry) => show(&entry, as_json),
            }
        })?;
    }
    Ok(())
}

/// What calls have printed that have not ended yet, in the order in which they began to print.
#[derive(Default)]
pub(crate) struct RunningCalls {
    calls: VecDeque<(String, Vec<Printed>)>,
    bytes: usize,
}

impl RunningCalls {
    /// Keeps what a running call prints, and gives it back with the call's end. Everything else comes back as it is.
    pub(crate) fn join(&mut self, entry: Entry) -> Option<Entry> {
        match entry {
            Entry::Printed(printed) if !printed.request_id.is_empty() => {
                self.keep(printed);
                None
            }
            Entry::Call(mut call) => {
                let at = self.calls.iter().position(|(id, _)| *id == call.request_id);
                if let Some((_, lines)) = at.and_then(|at| self.calls.remove(at)) {
                    self.bytes -= bytes(&lines);
                    call.logs
                        .splice(0..0, lines.into_iter().map(|printed| printed.line));
                }
                Some(Entry::Call(call))
            }
            other => Some(other),
        }
    }

    fn keep(&mut self, printed: Printed) {
        self.bytes += printed.line.text.len();
        match self.calls.iter_mut().find(|(id, _)| *id == printed.request_id) {
            Some((_, lines)) => lines.push(printed),
            None => self.calls.push_back((printed.request_id.clone(), vec![printed])),
        }
        while self.bytes > MOST_KEPT {
            let Some((_, lines)) = self.calls.pop_front() else {
                break;
            };
            self.bytes -= bytes(&lines);
        }
    }

    fn lines(&self) -> impl Iterator<Item = &Printed> {
        self.calls.iter().flat_map(|(_, lines)| lines)
    }
}

fn bytes(lines: &[Printed]) -> usize {
    lines.iter().map(|printed| printed.line.text.len()).sum()
}

/// Waits a moment; whether there is still somebody who reads what is printed. A pipe tells only who asks or writes.
fn is_read_on() -> io::Result<bool> {
    let out = io::stdout();
    let mut watched = [PollFd::new(&out, PollFlags::empty())];
    match poll(&mut watched, Some(&PAUSE)) {
        Ok(changed) => Ok(changed == 0),
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The entry of a line that is to be shown. What is no entry was cut off when the disk was full, or is not ours.
fn wanted(line: &str, args: &args::Logs) -> Option<Entry> {
    let entry: Entry = serde_json::from_str(line).ok()?;
    let fits = match &args.name {
        None => true,
        Some(name) => entry.function() == Some(name),
    };
    fits.then_some(entry)
}

fn show(entry: &Entry, as_json: bool) -> io::Result<()> {
    let mut text = Vec::new();
    if as_json {
        serde_json::to_writer(&mut text, entry)?;
        text.push(b'\n');
    } else {
        render::entry(&mut text, entry, true)?;
    }
    let mut out = anstream::stdout().lock();
    out.write_all(&text)?;
    out.flush()
}

fn say_what_is_missing(args: &args::Logs, project: &Project, found: bool) -> anyhow::Result<()> {
    if !found && let Some(name) = &args.name {
        let mut functions = project.functions.keys().map(AsRef::<str>::as_ref);
        if !functions.any(|function| function == name) {
            let names: Vec<_> = project.functions.keys().map(AsRef::<str>::as_ref).collect();
            let names = names.join(", ");
            bail!(say!(
                "there is no function {name:?}; there are: {names}",
                "没有云函数 {name:?}；现有：{names}"
            ));
        }
    }
    let what = match &args.name {
        _ if found => "",
        Some(_) => t(
            "no call of this function was recorded yet; ",
            "这个云函数还没有调用记录；",
        ),
        None => t("no call was recorded yet; ", "还没有调用记录；"),
    };
    match run_file::running(&project.root) {
        Some(running) if !found => {
            let url = &running.url;
            print::step(say!(
                "{what}`yunqiao dev` runs at {url}",
                "{what}`yunqiao dev` 运行在 {url}"
            ));
        }
        None if !found || !args.no_follow => {
            let root = project.root.display();
            print::step(say!(
                "{what}no `yunqiao dev` runs in {root} now",
                "{what}{root} 里现在没有运行 `yunqiao dev`"
            ));
        }
        _ => {}
    }
    Ok(())
}
