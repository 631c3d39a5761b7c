//! How much memory processes occupy. Only Linux tells cheaply; elsewhere only V8's own limit holds.

use std::fs;

/// The most processes of one worker that are looked at.
const MOST_PROCESSES: usize = 256;

/// The memory of one process, in MB.
pub(crate) fn resident_mb(pid: i32) -> Option<u64> {
    let pages: u64 = fs::read_to_string(format!("/proc/{pid}/statm"))
        .ok()?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    Some(pages * rustix::param::page_size() as u64 / (1024 * 1024))
}

/// Whether all that descends from a process occupies more than so many MB together: what several of them share is counted
/// once. It may take the kernel milliseconds to add that up.
pub(crate) fn family_exceeds(ancestor: i32, most_mb: u64) -> bool {
    let family = family(ancestor);
    let sum = |of: fn(i32) -> Option<u64>| family.iter().filter_map(|pid| of(*pid)).sum::<u64>();
    // What is resident of each is quickly asked, and no less than its share.
    sum(resident_mb) > most_mb && sum(proportional_mb) > most_mb
}

/// What descends from a process.
pub(crate) fn family(ancestor: i32) -> Vec<i32> {
    let mut family = children(ancestor);
    let mut at = 0;
    while let Some(pid) = family.get(at).copied()
        && family.len() < MOST_PROCESSES
    {
        family.extend(children(pid));
        at += 1;
    }
    family
}

/// A process's own memory, and its share of what it has in common with others; all of that where the kernel does not say.
fn proportional_mb(pid: i32) -> Option<u64> {
    let said = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok();
    let share = said.as_deref().and_then(|said| {
        let line = said.lines().find_map(|line| line.strip_prefix("Pss:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    share
        .map(|kilobytes| kilobytes / 1024)
        .or_else(|| resident_mb(pid))
}

/// The children of a process, by all of its threads.
#[cfg(target_os = "linux")]
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let lists: Vec<String> = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok())
        .collect();
    if lists.is_empty() {
        return children_by_parent(pid);
    }
    lists
        .iter()
        .flat_map(|list| list.split_whitespace())
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// The same on a kernel without `/proc/…/children`: every process is asked for its parent.
#[cfg(target_os = "linux")]
fn children_by_parent(parent: i32) -> Vec<i32> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            // "pid (name, which may hold anything) state parent …"
            fs::read_to_string(format!("/proc/{pid}/stat"))
                .ok()
                .and_then(|stat| stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<i32>().ok())
                == Some(parent)
        })
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn children(_: i32) -> Vec<i32> {
    Vec::new()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_family_is_its_descendants() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(resident_mb(me).unwrap() > 0);
        let mut shell = std::process::Command::new("sh")
            .args(["-c", "sleep 1000 & wait"])
            .spawn()
            .unwrap();
        let pid = i32::try_from(shell.id()).unwrap();
        while children(pid).is_empty() {
            std::thread::yield_now();
        }
        assert!(children(me).contains(&pid));
        assert!(!family_exceeds(pid, 100), "a process that sleeps");
        let parent = std::os::unix::process::parent_id();
        assert!(
            family_exceeds(parent.try_into().unwrap(), 0),
            "this test is one of it"
        );
        let sleeper = children(pid)[0];
        shell.kill().unwrap();
        shell.wait().unwrap();
        let sleeper = rustix::process::Pid::from_raw(sleeper).unwrap();
        rustix::process::kill_process(sleeper, rustix::process::Signal::KILL).unwrap();
        assert!(!family_exceeds(pid, 0), "nothing is left of it");
    }
}
