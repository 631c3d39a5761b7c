//! How much one process may hold at a time: descriptors, and what they and the machine's memory allow of workers and
//! connections together.

use rustix::process::{Resource, Rlimit};

/// More descriptors than this are not asked for: some systems answer "any number" and then refuse it.
const MOST_DESCRIPTORS: u64 = if cfg!(target_os = "linux") {
    1 << 20
} else {
    10_240
};
/// Descriptors that are neither a worker's nor a connection's: files, listeners, the connections to WeChat.
const OTHERS: u64 = 64;
/// Descriptors of one worker here: its socket, the socket of its own, three pipes, its process, and the connections of its
/// program, which are few at a time.
const PER_WORKER: u64 = 12;
/// What a worker that has loaded wx-server-sdk occupies, in MB.
const WORKER_MB: u64 = 80;
/// The memory of a machine that does not tell, in MB.
const UNKNOWN_MB: u64 = 4096;
/// A machine as small as it may be can still run so many workers, and serve so many connections.
const FEWEST_WORKERS: u64 = 4;
const FEWEST_CONNECTIONS: u64 = 16;

/// Raises the number of descriptors that this process may have open as far as it may do so itself. Gives what it is then.
#[expect(
    clippy::must_use_candidate,
    reason = "it is called for what it does: the number is there for whoever divides it"
)]
pub fn raise_descriptors() -> u64 {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let soft = limit.current.unwrap_or(MOST_DESCRIPTORS);
    let wanted = limit.maximum.unwrap_or(MOST_DESCRIPTORS).min(MOST_DESCRIPTORS);
    if soft >= wanted {
        return soft.min(MOST_DESCRIPTORS);
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    match rustix::process::setrlimit(Resource::Nofile, raised) {
        Ok(()) => wanted,
        Err(_) => soft,
    }
}

/// The memory that this process may use, in MB: the machine's, or less where its control group allows less. `None` where
/// the system does not tell.
#[must_use]
pub fn memory_mb() -> Option<u64> {
    let read = |path| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        Some(line.split_whitespace().next()?.parse::<u64>().ok()? / 1024)
    });
    let group = read("/sys/fs/cgroup/memory.max")
        .or_else(|| read("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
        .and_then(|text| Some(text.trim().parse::<u64>().ok()? / (1024 * 1024)));
    match (machine, group) {
        (Some(machine), Some(group)) => Some(machine.min(group)),
        (one, other) => one.or(other),
    }
}

/// What fits into a process at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Workers of all functions together.
    pub workers: usize,
    /// Connections of clients, of all listeners together.
    pub connections: usize,
}

impl Budget {
    /// Half of the memory is for workers, and at most half of the descriptors; connections get the rest of these.
    #[must_use]
    pub fn of(descriptors: u64, memory_mb: Option<u64>) -> Self {
        let free = descriptors.saturating_sub(OTHERS);
        let by_memory = memory_mb.unwrap_or(UNKNOWN_MB) / 2 / WORKER_MB;
        let by_descriptors = free / 2 / PER_WORKER;
        let workers = by_memory.min(by_descriptors).max(FEWEST_WORKERS);
        let connections = free.saturating_sub(workers * PER_WORKER).max(FEWEST_CONNECTIONS);
        let number = |count| usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            workers: number(workers),
            connections: number(connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_and_connections_fit_into_the_descriptors() {
        for descriptors in [256, 1024, 4096, 10_240, 524_288] {
            for memory in [None, Some(512), Some(2048), Some(8192), Some(262_144)] {
                let Budget { workers, connections } = Budget::of(descriptors, memory);
                let used = OTHERS + workers as u64 * PER_WORKER + connections as u64;
                assert!(used <= descriptors, "{descriptors}, {memory:?}: {used}");
                assert!(workers >= 4 && connections >= 16);
            }
        }
    }

    #[test]
    fn a_usual_machine() {
        let of = |descriptors, memory| {
            let Budget { workers, connections } = Budget::of(descriptors, Some(memory));
            (workers, connections)
        };
        assert_eq!(of(1024, 8192), (40, 480));
        assert_eq!(of(20_000, 8192), (51, 19_324));
        assert_eq!(of(20_000, 1024), (6, 19_864));
        assert_eq!(of(256, 8192), (8, 96));
        assert_eq!(of(0, 0), (4, 16));
    }

    #[test]
    fn the_limit_is_raised_to_what_is_allowed() {
        let raised = raise_descriptors();
        let limit = rustix::process::getrlimit(Resource::Nofile);
        let hard = limit.maximum.unwrap_or(MOST_DESCRIPTORS).min(MOST_DESCRIPTORS);
        assert!(raised >= hard.min(limit.current.unwrap_or(hard)));
        assert_eq!(raise_descriptors(), raised);
        #[cfg(target_os = "linux")]
        assert!(memory_mb().is_some_and(|memory| memory > 100));
    }
}
