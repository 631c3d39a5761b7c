//! What the end of a worker's process means.

use std::fmt;

/// How many bytes of what a process writes to its standard error are kept, to find out why it ended.
pub(crate) const TAIL: usize = 8 * 1024;

/// How a worker ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkerEnd {
    /// It never ran: why.
    NotStarted(String),
    /// JavaScript's own objects needed more memory than they may have.
    OutOfMemory,
    /// It ended by itself, or was killed: with which status, and its last words.
    Exited(String),
}

/// What became of it, as the end of a sentence about the process.
impl fmt::Display for WorkerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfMemory => "it ran out of memory",
            Self::NotStarted(how) | Self::Exited(how) => how,
        })
    }
}

impl WorkerEnd {
    /// `code` is the guard's status, `None` when the guard itself was killed; `tail` the last of what was written to the
    /// standard error.
    pub(crate) fn of(code: Option<i32>, tail: &[u8]) -> Self {
        let tail = String::from_utf8_lossy(tail);
        // What V8 says before it aborts.
        if tail.contains("heap out of memory") || tail.contains("Reached heap limit") {
            return Self::OutOfMemory;
        }
        let how = match code {
            Some(code @ 129..=192) => match signal_name(code - 128) {
                Some(name) => format!("it was ended by {name}"),
                None => format!("it was ended by signal {}", code - 128),
            },
            Some(code) => format!("exit code {code}"),
            None => "its supervisor was killed".to_owned(),
        };
        let last = tail.lines().map(str::trim).rfind(|line| !line.is_empty());
        Self::Exited(match last {
            Some(last) if code != Some(0) => format!("{how}; its last words: {last}"),
            _ => how,
        })
    }
}

fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_explained() {
        let heap = b"FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory";
        assert_eq!(WorkerEnd::of(Some(134), heap), WorkerEnd::OutOfMemory);
        let how = |code, tail: &[u8]| match WorkerEnd::of(code, tail) {
            WorkerEnd::Exited(how) => how,
            other => format!("{other:?}"),
        };
        assert_eq!(how(Some(3), b""), "exit code 3");
        assert_eq!(how(Some(137), b""), "it was ended by SIGKILL");
        assert_eq!(
            how(Some(134), b"a\nnode: assertion\n\n"),
            "it was ended by SIGABRT; its last words: node: assertion"
        );
        assert_eq!(how(None, b""), "its supervisor was killed");
    }
}
