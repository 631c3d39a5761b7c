//! `yunqiao logs`: what functions print, as it happens. It reads what `yunqiao dev` writes to `.yunqiao/calls.jsonl`, so it needs no
//! secret, shows what was before, and stays when `dev` is started again.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::bail;
use project::Project;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::calls_file::Reader;
use crate::entry::Entry;
use crate::{args, print, run_file};

/// How often the file is looked at.
const PAUSE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Ends when it is interrupted, when nobody reads on, or with `--no-follow` after what there is.
pub(crate) fn run(args: &args::Logs, as_json: bool) -> anyhow::Result<ExitCode> {
    let project = Project::open(&args.dir)?;
    let mut reader = Reader::new(&project.root);
    match follow(args, as_json, &project, &mut reader) {
        // `yunqiao logs | head` has seen enough.
        Err(error) if is_broken_pipe(&error) => Ok(ExitCode::SUCCESS),
        done => done.map(|()| ExitCode::SUCCESS),
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn follow(args: &args::Logs, as_json: bool, project: &Project, reader: &mut Reader) -> anyhow::Result<()> {
    let (mut last, mut found) = (VecDeque::new(), false);
    reader.read(|line| {
        if wanted(line, args).is_some() {
            found = true;
            last.push_back(line.to_owned());
            if last.len() > args.last {
                last.pop_front();
            }
        }
        Ok(())
    })?;
    for line in last {
        show(&line, args, as_json)?;
    }
    say_what_is_missing(args, project, found)?;
    if args.no_follow {
        return Ok(());
    }
    while is_read_on()? {
        reader.read(|line| show(line, args, as_json))?;
    }
    Ok(())
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

fn show(line: &str, args: &args::Logs, as_json: bool) -> io::Result<()> {
    let Some(entry) = wanted(line, args) else {
        return Ok(());
    };
    let mut text = Vec::new();
    if as_json {
        writeln!(text, "{line}")?;
    } else {
        print::entry(&mut text, &entry, true)?;
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
            bail!("there is no function {name:?}; there are: {}", names.join(", "));
        }
    }
    let what = match &args.name {
        _ if found => "",
        Some(_) => "no call of this function was recorded yet; ",
        None => "no call was recorded yet; ",
    };
    match run_file::running(&project.root) {
        Some(running) if !found => print::step(format_args!("{what}`yunqiao dev` runs at {}", running.url)),
        None if !found || !args.no_follow => {
            print::step(format_args!(
                "{what}no `yunqiao dev` runs in {} now",
                project.root.display()
            ));
        }
        _ => {}
    }
    Ok(())
}
