//! Starting a worker's processes, listening to what they print, and saying what their end means.

use std::{fs, path::Path, process::Stdio, sync::Arc, time::Duration};

use rustix::process::{Pid, Signal};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Command,
};

use crate::{
    CallError, Level,
    peer::Door,
    pool::{Pool, WorkerId},
    spec::Kind,
};

/// What of the machine's environment a worker keeps; `TMPDIR` is its own. Node must not see the rest either: an
/// `NODE_EXTRA_CA_CERTS` costs Node 20 70 ms at each start, and `KUBERNETES_SERVICE_HOST` misleads wx-server-sdk 2 and 3.
const KEPT: [&str; 3] = ["PATH", "HOME", "LANG"];
/// Of what a process writes to its standard error the last bytes are kept, to find out why it ended.
const TAIL: usize = 8 * 1024;
/// The longest line of raw output.
const LONGEST_LINE: usize = 8 * 1024;
/// After so much raw output from one worker the rest is slowed down, so that a flood does not cost the others their time.
const FLOOD: usize = 1024 * 1024;
const FLOOD_PAUSE: Duration = Duration::from_millis(1);
/// How long output may still come after everything is dead.
const AFTER_DEATH: Duration = Duration::from_millis(200);

/// A worker to be started.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) worker: WorkerId,
    pub(crate) kind: Kind,
    pub(crate) token: String,
}

/// 128 random bits.
pub(crate) fn token() -> String {
    let mut bytes = [0; crate::link::TOKEN_LENGTH / 2];
    // Without randomness nothing connects, and the launch fails with a text.
    if getrandom::fill(&mut bytes).is_err() {
        return String::new();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Starts a worker and stays with it until everything it consists of is dead.
pub(crate) async fn run(pool: Arc<Pool>, launch: Launch) {
    let worker = launch.worker;
    let limit_mb = launch.kind.memory_mb;
    let folder = pool.home.of_worker(worker.serial);
    let started = Door::open(&pool, worker).and_then(|door| Ok((door, start(&pool, &launch, &folder)?)));
    let error = match started {
        Err(error) => CallError::WorkerFailed {
            why: format!("a process for the function could not be started: {error}"),
        },
        Ok((door, mut guard)) => {
            let output = guard.stdout.take();
            let errors = guard.stderr.take();
            if let Some(control) = guard.stdin.take() {
                pool.launched(worker, control);
            }
            let listen = tokio::spawn({
                let pool = Arc::clone(&pool);
                async move {
                    let (_, tail) = tokio::join!(
                        listen(&pool, worker, Level::Log, output),
                        listen(&pool, worker, Level::Error, errors)
                    );
                    tail
                }
            });
            let status = tokio::select! {
                status = guard.wait() => status,
                never = door.keep() => match never {},
            };
            if status.as_ref().is_ok_and(|status| status.code().is_none()) {
                // The guard itself was killed, possibly by the function: what it would have done is left to us.
                kill_orphan(pool.process_of(worker));
            }
            let tail = tokio::time::timeout(AFTER_DEATH, listen).await;
            let tail = tail.ok().and_then(Result::ok).unwrap_or_default();
            explain(status.ok().and_then(|status| status.code()), &tail, limit_mb)
        }
    };
    // The guard did it, unless it was killed itself.
    let _ = fs::remove_dir_all(&folder);
    pool.exited(worker, &error);
}

fn start(pool: &Pool, launch: &Launch, folder: &Path) -> std::io::Result<tokio::process::Child> {
    fs::create_dir(folder)?;
    let options = &pool.options;
    let mut words = options.guard.iter();
    let program = words
        .next()
        .ok_or_else(|| std::io::Error::other("no command for the guard is configured"))?;
    let mut command = Command::new(program);
    command.args(words).arg(folder).arg(&options.node);
    command.arg(format!("--max-old-space-size={}", launch.kind.memory_mb));
    if let Some(port) = launch.kind.inspect {
        command.arg(format!("--inspect=127.0.0.1:{port}"));
    }
    command.arg(&pool.home.bootstrap).env_clear();
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
        .env("TMPDIR", folder)
        .env("YUNQIAO_SOCKET", pool.home.socket())
        .env("YUNQIAO_TOKEN", &launch.token)
        .current_dir(folder)
        // Its own group: what the terminal sends to ours is not for it.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Kills a Node without a guard, and its group. Its number cannot be another's by now unless it has just ended.
fn kill_orphan(pid: Option<i32>) {
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        let _ = rustix::process::kill_process(pid, Signal::KILL);
    }
}

/// Passes on what comes by a descriptor, line by line. Gives the last of it.
async fn listen(
    pool: &Arc<Pool>,
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
        print(pool, worker, level, &line.drain(..whole).collect::<Vec<u8>>());
    }
    print(pool, worker, level, &line);
    tail
}

fn print(pool: &Arc<Pool>, worker: WorkerId, level: Level, lines: &[u8]) {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    if !lines.is_empty() {
        pool.printed_raw(worker, level, String::from_utf8_lossy(lines).into_owned());
    }
}

/// What the end of a worker means for the calls it had.
fn explain(code: Option<i32>, tail: &[u8], limit_mb: u32) -> CallError {
    let tail = String::from_utf8_lossy(tail);
    // What V8 says before it aborts.
    if tail.contains("heap out of memory") || tail.contains("Reached heap limit") {
        return CallError::OutOfMemory { limit_mb };
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
    CallError::Exited {
        how: match last {
            Some(last) if code != Some(0) => format!("{how}; its last words: {last}"),
            _ => how,
        },
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

/// How much memory a process may occupy before it is ended: twice what the function was given, because Node itself and
/// its code take a part that the platform does not count either, and 64 MB for a small one.
pub(crate) fn most_resident_mb(limit_mb: u32) -> u64 {
    u64::from(limit_mb) * 2 + 64
}

/// How much memory a process occupies. Only Linux tells cheaply; elsewhere only V8's own limit holds.
pub(crate) fn resident_mb(pid: i32) -> Option<u64> {
    let pages: u64 = fs::read_to_string(format!("/proc/{pid}/statm"))
        .ok()?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    Some(pages * rustix::param::page_size() as u64 / (1024 * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_explained() {
        let heap = b"FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory";
        assert_eq!(
            explain(Some(134), heap, 128),
            CallError::OutOfMemory { limit_mb: 128 }
        );
        let how = |code, tail: &[u8]| explain(code, tail, 128).to_string();
        assert!(how(Some(3), b"").ends_with("exit code 3"));
        assert!(how(Some(137), b"").ends_with("ended by SIGKILL"));
        assert!(
            how(Some(134), b"a\nnode: assertion\n\n")
                .ends_with("ended by SIGABRT; its last words: node: assertion")
        );
        assert!(how(None, b"").ends_with("supervisor was killed"));
    }

    #[test]
    fn tokens_differ() {
        assert_eq!(token().len(), crate::link::TOKEN_LENGTH);
        assert_ne!(token(), token());
    }
}
