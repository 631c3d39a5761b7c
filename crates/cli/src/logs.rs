//! `yunqiao logs`: what functions print, as it happens. It reads what `yunqiao dev` writes to `.yunqiao/calls.jsonl`, so it needs no
//! secret, shows what was before, and stays when `dev` is started again.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
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

/// Bytes of lines that are kept until their call ends, all that they take. A call whose `dev` was killed never does.
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
    /// By their numbers, the last one of which is `begun`.
    calls: BTreeMap<u64, Vec<Printed>>,
    numbers: HashMap<String, u64>,
    begun: u64,
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
                let number = self.numbers.remove(&call.request_id);
                if let Some(lines) = number.and_then(|number| self.calls.remove(&number)) {
                    self.bytes -= bytes(&lines);
                    // The worker counts from when the function was loaded, and the call from before: the earliest of what its lines say.
                    call.printed_from = lines.iter().filter_map(Printed::counted_from).min();
                    call.logs
                        .splice(0..0, lines.into_iter().map(|printed| printed.line));
                }
                Some(Entry::Call(call))
            }
            other => Some(other),
        }
    }

    fn keep(&mut self, printed: Printed) {
        self.bytes += weight(&printed);
        let number = match self.numbers.get(&printed.request_id) {
            Some(number) => *number,
            None => {
                self.begun += 1;
                self.numbers.insert(printed.request_id.clone(), self.begun);
                self.begun
            }
        };
        self.calls.entry(number).or_default().push(printed);
        while self.bytes > MOST_KEPT {
            let Some((_, lines)) = self.calls.pop_first() else {
                break;
            };
            self.bytes -= bytes(&lines);
            if let Some(first) = lines.first() {
                self.numbers.remove(&first.request_id);
            }
        }
    }

    fn lines(&self) -> impl Iterator<Item = &Printed> {
        self.calls.values().flatten()
    }
}

fn bytes(lines: &[Printed]) -> usize {
    lines.iter().map(weight).sum()
}

/// The memory that a line takes.
fn weight(printed: &Printed) -> usize {
    let Printed {
        time,
        request_id,
        function,
        line,
    } = printed;
    let texts = [time, request_id, function, &line.level, &line.text];
    size_of::<Printed>() + texts.iter().map(|text| text.len()).sum::<usize>()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::entry::Line;

    fn printed(call: &str, text: &str) -> Entry {
        Entry::Printed(Printed {
            time: "2026-11-29T10:00:01Z".to_owned(),
            request_id: call.to_owned(),
            function: "pay".to_owned(),
            line: Line {
                level: "log".to_owned(),
                at: Duration::ZERO,
                text: text.to_owned(),
            },
        })
    }

    #[test]
    fn calls_whose_end_was_lost_go_also_where_they_printed_nothing_but_empty_lines() {
        let mut running = RunningCalls::default();
        let calls = 2 * MOST_KEPT / size_of::<Printed>();
        for call in 0..calls {
            assert!(running.join(printed(&call.to_string(), "")).is_none());
        }
        assert!(running.bytes <= MOST_KEPT && running.calls.len() < calls / 2);
        assert_eq!(running.calls.len(), running.numbers.len());
        let left: Vec<String> = running.lines().map(|line| line.request_id.clone()).collect();
        assert_eq!(left.last().unwrap(), &(calls - 1).to_string());
        assert_eq!(
            left[0],
            (calls - left.len()).to_string(),
            "in the order in which they began"
        );
        assert_eq!(running.bytes, running.lines().map(weight).sum::<usize>());
    }

    #[test]
    fn a_call_ends_with_what_it_printed_and_leaves_nothing() {
        let mut running = RunningCalls::default();
        for (call, text) in [("a", "1"), ("b", "2"), ("a", "3")] {
            assert!(running.join(printed(call, text)).is_none());
        }
        let ended = serde_json::json!({"time": "2026-11-29T10:00:01Z", "requestID": "a", "function": "pay", "source": "wx_client",
            "status": 200, "errCode": 0, "errMsg": "", "waitedMs": 0, "ranMs": 1, "cloudIDs": [], "droppedBytes": 0, "cloudCalls": [],
            "moreCloudCalls": 0, "warnings": [], "notes": []});
        let Some(Entry::Call(call)) = running.join(serde_json::from_value(ended).unwrap()) else {
            panic!("it is a call");
        };
        let texts: Vec<&str> = call.logs.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["1", "3"]);
        assert_eq!(running.lines().count(), 1);
        assert_eq!(running.bytes, running.lines().map(weight).sum::<usize>());
    }
}
