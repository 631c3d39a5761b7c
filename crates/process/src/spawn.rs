//! Starting a worker's processes, listening to what they print, and what is to be cleared away at their end.

use std::{convert::Infallible, ffi::OsStr, fs, io, path::Path, process::Stdio, sync::Arc, time::Duration};

use rustix::process::{Pid, Signal};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    sync::oneshot,
};

#[cfg(target_os = "linux")]
use crate::memory;
use crate::{
    cgroup::{self, Cgroup},
    door::Door,
    end::{TAIL, WorkerEnd},
    home,
    host::Host,
    output::Level,
    workers::{WorkerId, WorkerStart, Workers},
};

/// What of the machine's environment a worker keeps; `TMPDIR` is its own. Node must not see the rest either: an
/// `NODE_EXTRA_CA_CERTS` costs Node 20 70 ms at each start, and `KUBERNETES_SERVICE_HOST` misleads wx-server-sdk 2 and 3.
const KEPT: [&str; 3] = ["PATH", "HOME", "LANG"];
/// The longest line of raw output.
const LONGEST_LINE: usize = 8 * 1024;
/// After so much raw output from one worker the rest is slowed down, so that a flood does not cost the others their time.
const FLOOD: usize = 1024 * 1024;
const FLOOD_PAUSE: Duration = Duration::from_millis(1);
/// How long the guards may take to end a worker; the outer one gives the inner one two seconds.
const GUARDS_WITHIN: Duration = Duration::from_secs(3);
/// How long output may still come after everything is dead.
const AFTER_DEATH: Duration = Duration::from_millis(200);

/// A worker to be started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Its name.
    pub worker: WorkerId,
    /// How much memory JavaScript's objects may have, in MB.
    pub memory_mb: u32,
    /// The port on 127.0.0.1 of Node's inspector.
    pub inspect: Option<u16>,
}

/// Starts a worker and stays with it until everything that it consists of is dead: then [`Host::exited`] is told.
pub async fn run<H: Host>(host: Arc<H>, launch: Launch) {
    let worker = launch.worker;
    let workers = host.workers();
    let folder = workers.home.of_worker(worker.serial);
    let end = stay(&host, &launch, &folder).await;
    // The guard did it, unless it was killed itself.
    let _ = fs::remove_dir_all(&folder);
    host.workers().forget(worker);
    host.exited(worker, end);
}

async fn stay<H: Host>(host: &Arc<H>, launch: &Launch, folder: &Path) -> WorkerEnd {
    let worker = launch.worker;
    let workers = host.workers();
    let not_started = |error: io::Error| {
        WorkerEnd::NotStarted(format!(
            "a process for the function could not be started: {error}"
        ))
    };
    let WorkerStart { token, key, ended } = match workers.begin(worker) {
        Ok(Some(begun)) => begun,
        Ok(None) => return WorkerEnd::NotStarted("it was ended before it was started".to_owned()),
        Err(error) => return not_started(error),
    };
    let group = workers
        .cgroups
        .as_ref()
        .and_then(|groups| groups.of_worker(worker.serial));
    let attempt = || -> io::Result<_> {
        let door = Door::open(workers.home.door(worker.serial))?;
        let group = group.as_ref().map(Cgroup::folder);
        Ok((door, start(workers, launch, folder, &token, group)?))
    };
    let started = match attempt() {
        // Somebody has cleared out the machine's temporary folder.
        Err(error) if error.kind() == io::ErrorKind::NotFound => workers.mend().and_then(|()| {
            // What the first attempt has left would stand in the way of the second, and hide the cause.
            let _ = fs::remove_dir_all(folder);
            attempt()
        }),
        started => started,
    };
    let (door, mut guard) = match started {
        Ok(started) => started,
        Err(error) => return not_started(error),
    };
    let output = guard.stdout.take();
    let errors = guard.stderr.take();
    workers.launched(worker, guard.stdin.take(), guard.id());
    let listening = tokio::spawn({
        let host = Arc::clone(host);
        async move {
            let (_, tail) = tokio::join!(
                listen(&host, worker, Level::Log, output),
                listen(&host, worker, Level::Error, errors)
            );
            tail
        }
    });
    let pid = guard.id().and_then(|pid| i32::try_from(pid).ok());
    let status = tokio::select! {
        status = guard.wait() => status,
        () = overdue(ended) => {
            // It was stopped, possibly by the function, and would keep its place for ever.
            if let Some(group) = &group {
                group.kill();
            }
            if let Some(pid) = pid {
                kill_family(pid);
            }
            let _ = guard.start_kill();
            guard.wait().await
        }
        never = door.keep(host, worker, &key) => match never {},
    };
    if let Some(group) = group {
        let _ = tokio::task::spawn_blocking(move || group.end()).await;
    }
    if status.as_ref().is_ok_and(|status| status.code().is_none()) {
        // The guard itself was killed, possibly by the function: what it would have done is left to us.
        kill_orphans(workers.process_of(worker), folder);
    }
    // It may have ended because its program is damaged: the next one is to find it whole.
    let program = workers.home.program().to_owned();
    let repaired = tokio::task::spawn_blocking(move || home::repair(&program)).await;
    if let Ok(Err(error)) = repaired {
        tracing::warn!(%error, "the workers' program in the cache cannot be mended");
    }
    let tail = tokio::time::timeout(AFTER_DEATH, listening).await;
    let tail = tail.ok().and_then(Result::ok).unwrap_or_default();
    WorkerEnd::of(status.ok().and_then(|status| status.code()), &tail)
}

/// Waits until a worker was ended, and its guards have had the time to do it.
async fn overdue(ended: oneshot::Receiver<Infallible>) {
    let _ = ended.await;
    tokio::time::sleep(GUARDS_WITHIN).await;
}

fn start(
    workers: &Workers,
    launch: &Launch,
    folder: &Path,
    token: &str,
    group: Option<&Path>,
) -> io::Result<Child> {
    fs::create_dir(folder)?;
    let mut words = workers.settings.guard.iter();
    let program = words
        .next()
        .ok_or_else(|| io::Error::other("no command for the guard is configured"))?;
    let mut command = Command::new(program);
    command.args(words.clone()).arg(folder);
    // Two guards, one in the other: see there. Elsewhere than on Linux an outer one finds nothing.
    if cfg!(target_os = "linux") {
        command.arg(program).args(words).arg(folder);
    }
    command.arg(&workers.settings.node);
    command.arg(format!("--max-old-space-size={}", launch.memory_mb));
    if let Some(port) = launch.inspect {
        command.arg(format!("--inspect=127.0.0.1:{port}"));
    }
    command.arg(workers.home.bootstrap()).env_clear();
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    if let Some(group) = group {
        command.env(cgroup::VARIABLE, group);
    }
    command
        .env("TMPDIR", folder)
        // As on the platform; a function's own variables may say otherwise.
        .env("TZ", "UTC")
        .env("YUNQIAO_SOCKET", workers.home.socket())
        .env("YUNQIAO_TOKEN", token)
        .current_dir(folder)
        // Its own group: what the terminal sends to ours is not for it.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Kills all that descends from a guard, which is stopped and reaps nothing: as a subreaper it is the parent of all that was
/// left by its own parent.
#[cfg(target_os = "linux")]
fn kill_family(guard: i32) {
    for _ in 0..MOST_ROUNDS {
        for pid in memory::family(guard).into_iter().filter_map(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn kill_family(_: i32) {}

/// Kills what a guard that was killed has left: Node, its group, and whatever was started with the worker's folder as its
/// `TMPDIR`, in a session of its own too. A number that was just read belongs to its process still, unless that has ended
/// in this moment.
fn kill_orphans(node: Option<i32>, folder: &Path) {
    if let Some(pid) = node.and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
    // What is killed cannot start another one: each round finds fewer.
    for _ in 0..MOST_ROUNDS {
        let left = with_folder(folder);
        if left.is_empty() {
            break;
        }
        for pid in left.into_iter().filter_map(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
}

/// How often what is left is looked for: processes may start others while they are killed.
const MOST_ROUNDS: usize = 16;

/// Processes that have a worker's folder as their `TMPDIR`. Only Linux shows the environment of processes.
fn with_folder(folder: &Path) -> Vec<i32> {
    let variable = [b"TMPDIR=", folder.as_os_str().as_encoded_bytes()].concat();
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter(|entry| {
            // Of a process that has ended, and of another user's, there is nothing to read.
            let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|one| one == variable)
        })
        .filter_map(|entry| number(&entry.file_name()))
        .collect()
}

fn number(name: &OsStr) -> Option<i32> {
    name.to_str()?.parse().ok()
}

/// Passes on what comes by a descriptor, line by line. Gives the last of it.
async fn listen<H: Host>(
    host: &Arc<H>,
    worker: WorkerId,
    level: Level,
    pipe: Option<impl AsyncRead + Unpin>,
) -> Vec<u8> {
    let Some(mut pipe) = pipe else { return Vec::new() };
    let mut tail = Vec::new();
    let mut line = Vec::new();
    let mut chunk = vec![0; 16 * 1024];
    let mut total = 0usize;
    while let Ok(read @ 1..) = pipe.read(&mut chunk).await {
        let read = chunk.get(..read).unwrap_or_default();
        tail.extend_from_slice(read);
        let excess = tail.len().saturating_sub(TAIL);
        tail.drain(..excess);
        total += read.len();
        if total > FLOOD {
            tokio::time::sleep(FLOOD_PAUSE).await;
        }
        line.extend_from_slice(read);
        let whole = match line.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if line.len() > LONGEST_LINE => line.len(),
            None => continue,
        };
        print(host, worker, level, &line.drain(..whole).collect::<Vec<u8>>());
    }
    print(host, worker, level, &line);
    tail
}

fn print<H: Host>(host: &Arc<H>, worker: WorkerId, level: Level, lines: &[u8]) {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    if !lines.is_empty() {
        host.printed(worker, level, String::from_utf8_lossy(lines).into_owned());
    }
}
