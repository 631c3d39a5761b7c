//! The supervisor of one worker: a small process between the gateway and Node.
//!
//! A function may start processes that outlive it, detached or in sessions of their own, and the gateway may be killed
//! at any moment. So Node is not the gateway's child but the guard's, and the guard (the same binary, re-executed) does
//! only this: it waits until Node ends or its own standard input closes, which means that the gateway is gone or wants
//! this worker gone; then it kills everything that descends from it, removes the worker's folder and socket, and ends with
//! Node's status. On Linux it is the *child subreaper*: whatever a function starts, however detached, becomes the guard's child
//! when its parent dies, and is found. Elsewhere it kills Node's process group, which is the best there is: a child that
//! left the group (`detached: true`) survives.
//!
//! Arguments: the worker's folder, then the command. The command may be a guard too: a function can kill its own guard, by
//! mistake or not, and then the outer one finds what that has left, be it in a session of its own and without its environment.
//! What a function that ends both leaves behind is found by its control group, where there are such (`cgroup`), else by its
//! environment and its session (`spawn`).

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Read,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{
    io::Errno,
    process::{Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus},
};

#[cfg(target_os = "linux")]
use crate::memory;
use crate::{
    cgroup,
    home::{SOCKET, door_of},
};

/// How long to wait before looking again for what is left to kill.
const KILL_PAUSE: Duration = Duration::from_micros(500);
/// How long an inner guard may take to end all that it guards.
const INNER_GRACE: Duration = Duration::from_secs(2);
/// The watching thread needs next to nothing.
const STACK: usize = 64 * 1024;
/// What a shell answers when a command cannot be run.
const CANNOT_RUN: u8 = 127;

/// Runs the guard; `args` are what follows [`WorkerSettings::guard`](crate::WorkerSettings::guard) on the command line.
///
/// Ends with the status of the command, or 128 and the signal's number.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let gateway = rustix::process::getppid();
    let mut args = args.into_iter();
    let (Some(folder), Some(program)) = (args.next().map(PathBuf::from), args.next()) else {
        eprintln!("yunqiao guard: a folder and a command are expected");
        return ExitCode::from(CANNOT_RUN);
    };
    // A worker that runs out of memory aborts: nobody wants to have that written to a file.
    let _ = rustix::process::setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: Some(0),
        },
    );
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::set_child_subreaper(Some(rustix::process::getpid())) {
        eprintln!("yunqiao guard: what a function leaves behind cannot be found later: {error}");
    }

    // From here on everything is born into it.
    if let Some(group) = std::env::var_os(cgroup::VARIABLE) {
        let _ = cgroup::enter(Path::new(&group));
    }

    // An inner guard ends when its standard input does, and this end of it is closed with this process.
    let is_inner_guard = is_this_program(&program);
    let stdin = if is_inner_guard {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    let spawned = Command::new(&program)
        .args(args)
        .env_remove(cgroup::VARIABLE)
        .stdin(stdin)
        .process_group(0)
        .spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => {
            eprintln!("yunqiao guard: {} cannot be started: {error}", program.display());
            return ExitCode::from(CANNOT_RUN);
        }
    };
    let node = Pid::from_child(&child);
    let inner_control = child.stdin.take();

    let ended = Arc::new(AtomicBool::new(false));
    let watcher = {
        let ended = Arc::clone(&ended);
        thread::Builder::new().stack_size(STACK).spawn(move || {
            wait_for_end_of_input();
            if let Some(control) = inner_control {
                // It sees to the rest, and knows how Node has ended: this process ends with it, unless it is stuck.
                drop(control);
                thread::sleep(INNER_GRACE);
            }
            ended.store(true, Ordering::Relaxed);
            // The main thread reaps, so that a number cannot be given to another process meanwhile.
            kill_descendants(node);
        })
    };
    if watcher.is_err() {
        kill_descendants(node);
    }

    let status = reap(node, &ended);
    let was_killed =
        is_inner_guard && status.is_some_and(WaitStatus::signaled) && !ended.load(Ordering::Relaxed);
    let _ = fs::remove_dir_all(&folder);
    let _ = fs::remove_file(door_of(&folder));
    // A gateway that ended in order removes its folder itself; for one that was killed the last guard does.
    if rustix::process::getppid() != gateway
        && let Some(home) = folder.parent()
    {
        let _ = fs::remove_file(home.join(SOCKET));
        let _ = fs::remove_dir(home);
    }
    if was_killed {
        // This process is killed as well, so that its parent sees a worker that was killed.
        let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::KILL);
    }
    ExitCode::from(status.map_or(CANNOT_RUN, code))
}

fn is_this_program(program: &OsStr) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    let this = std::env::current_exe().ok().and_then(|path| real(&path));
    this.is_some() && this == real(Path::new(program))
}

/// Blocks until the other end of standard input is closed; what is written to it means nothing.
fn wait_for_end_of_input() {
    let mut byte = [0];
    let mut input = std::io::stdin().lock();
    while !matches!(input.read(&mut byte), Ok(0)) {}
}

/// Waits for Node to end, then for everything else that descends from this process to be dead; gives how Node has ended.
/// Orphans that end while Node runs are reaped on the way.
fn reap(node: Pid, ended: &AtomicBool) -> Option<WaitStatus> {
    let mut status = None;
    loop {
        // While Node lives there is nothing to do but wait. Later, wait only for what dies by our hand.
        let options = if status.is_none() && !ended.load(Ordering::Relaxed) {
            WaitOptions::empty()
        } else {
            kill_descendants(node);
            WaitOptions::NOHANG
        };
        match rustix::process::wait(options) {
            Ok(Some((pid, how))) if pid == node => status = Some(how),
            Ok(Some(_)) => {}
            Ok(None) => thread::sleep(KILL_PAUSE),
            Err(Errno::INTR) => {}
            // No child is left.
            Err(_) => return status,
        }
    }
}

fn code(status: WaitStatus) -> u8 {
    let code = match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => i32::from(CANNOT_RUN),
    };
    u8::try_from(code & 0xff).unwrap_or(CANNOT_RUN)
}

/// Kills Node's group and all children of this process. Their children become ours when they die, and are met the next
/// time. Only our own children are killed by number: nobody but us can make such a number free for another process.
fn kill_descendants(node: Pid) {
    let _ = rustix::process::kill_process_group(node, Signal::KILL);
    #[cfg(target_os = "linux")]
    for pid in memory::children(rustix::process::getpid().as_raw_nonzero().get()) {
        if let Some(pid) = Pid::from_raw(pid) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}
