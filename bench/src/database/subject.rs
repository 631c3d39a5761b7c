//! An engine in a process of its own, told on stdin what to do, one JSON text a line.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::process::{Registered, register};

pub(super) struct Subject {
    pub(super) name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    /// From its start until it was ready.
    pub(super) started: Duration,
    /// What it said when it was ready.
    pub(super) ready: Value,
    _registered: Registered,
}

impl Subject {
    pub(super) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let since = Instant::now();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        let registered = register(&child);
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut subject = Self {
            name,
            child,
            input,
            output,
            started: Duration::ZERO,
            ready: Value::Null,
            _registered: registered,
        };
        let mut ready = subject.answer()?;
        subject.started = since.elapsed();
        subject.ready = ready["ready"].take();
        Ok(subject)
    }

    pub(super) fn tell(&mut self, command: &Value) -> Result<Value> {
        let input = self.input.as_mut().context("it was ended")?;
        writeln!(input, "{command}")?;
        self.answer()
            .with_context(|| format!("{} was told {}", self.name, command["command"]))
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line)?;
        ensure!(read > 0, "{} ended: see above", self.name);
        Ok(serde_json::from_str(&line)?)
    }

    pub(super) fn load(&mut self, documents: &Path) -> Result<Duration> {
        let since = Instant::now();
        self.tell(&json!({"command": "load", "documents": documents}))?;
        Ok(since.elapsed())
    }

    /// What the reads are answered.
    pub(super) fn check(&mut self, read: &str, cases: &[Value]) -> Result<Vec<Value>> {
        let mut answer = self.tell(&json!({"command": "check", "read": read, "cases": cases}))?;
        match answer["answers"].take() {
            Value::Array(answers) => Ok(answers),
            _ => Ok(Vec::new()),
        }
    }

    /// How long each took, in nanoseconds.
    pub(super) fn nanos(&mut self, command: &Value) -> Result<Vec<f64>> {
        let answer = self.tell(command)?;
        let nanos = answer["nanos"].as_array().context("no times")?;
        Ok(nanos.iter().filter_map(Value::as_f64).collect())
    }

    /// Its memory that is resident, and the most that ever was, in bytes.
    pub(super) fn resident(&self) -> Result<(u64, u64)> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let of = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|value| value.trim().strip_suffix(" kB"));
            let kib: u64 = kib
                .and_then(|kib| kib.trim().parse().ok())
                .context("no size in /proc")?;
            Ok(kib * 1024)
        };
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }

    /// Has it end by itself, so that its file is closed as it is in production.
    pub(super) fn end(mut self) -> Result<()> {
        self.input = None;
        let status = self.child.wait()?;
        ensure!(status.success(), "{} failed at its end: see above", self.name);
        Ok(())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.input = None;
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
