//! Processes that the bench starts. Each ends with the value that holds it, and all of them when the bench is interrupted:
//! by their id, never by a name.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

/// How long a process may take to end before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// What a shell shows for a program that ctrl-c ended.
pub(crate) const INTERRUPT_STATUS: u8 = 130;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A process that an interrupt ends, as long as this lives.
pub(crate) struct Registered(Pid);

/// Has `child` ended by an interrupt.
pub(crate) fn register(child: &Child) -> Registered {
    let pid = Pid::from_child(child);
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
    Registered(pid)
}

impl Drop for Registered {
    fn drop(&mut self) {
        RUNNING
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|pid| *pid != self.0);
    }
}

/// Runs `command` to its end; whether it went well.
pub(crate) fn run(command: &mut Command) -> Result<bool> {
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let _registered = register(&child);
    Ok(child.wait()?.success())
}

/// A server that the bench started.
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    registered: Registered,
}

impl Process {
    /// Starts `command`; what it says on stderr goes to `NAME.log` in `dir`, where it also runs.
    pub(crate) fn start(name: &str, command: &mut Command, dir: &Path) -> Result<Self> {
        let log = dir.join(format!("{name}.log"));
        let child = command
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("starting {name}: {command:?}"))?;
        let registered = register(&child);
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
            registered,
        })
    }

    /// Waits until it prints its address on stdout: `… http://127.0.0.1:8787`.
    pub(crate) fn ready(&mut self, patience: Duration) -> Result<SocketAddr> {
        let stdout = self.child.stdout.take().context("stdout is already read")?;
        let (found, address) = mpsc::channel();
        // Reads on to the end, so that the process never waits for its stdout to be read.
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("http://")
                    && let Some(addr) = rest
                        .split(|c: char| c != '.' && c != ':' && !c.is_ascii_digit())
                        .next()
                    && let Ok(addr) = addr.parse()
                {
                    // Nobody listens for a second address.
                    let _ = found.send(addr);
                }
            }
        });
        match address.recv_timeout(patience) {
            Ok(addr) => Ok(addr),
            Err(RecvTimeoutError::Timeout) => {
                bail!("{} was not ready in {patience:?}{}", self.name, self.last_words())
            }
            Err(RecvTimeoutError::Disconnected) => {
                bail!("{} ended before it was ready{}", self.name, self.last_words())
            }
        }
    }

    /// The end of what it said on stderr.
    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = &lines[lines.len().saturating_sub(20)..];
        if tail.is_empty() {
            String::new()
        } else {
            format!("; it said:\n{}", tail.join("\n"))
        }
    }

    /// Its memory that is resident, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.memory("VmRSS:")
    }

    /// The most that was resident since [`forget_peak`](Self::forget_peak), in bytes.
    pub(crate) fn peak(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    /// Has the kernel count the peak from now on.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        Ok(fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")?)
    }

    fn memory(&self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kib: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|value| value.trim().strip_suffix(" kB"))
            .and_then(|value| value.trim().parse().ok())
            .with_context(|| format!("no {name} in /proc"))?;
        Ok(kib * 1024)
    }

    /// The CPU time that it has used itself, and that the processes below it have used.
    pub(crate) fn cpu(&self) -> Result<(Duration, Duration)> {
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u32>().ok())
            else {
                continue;
            };
            // A process may end while its line is read.
            if let Some((parent, used)) = fs::read_to_string(entry.path().join("stat"))
                .ok()
                .as_deref()
                .and_then(parse_stat)
            {
                parents.push((pid, parent, used));
            }
        }
        let root = self.child.id();
        let own = parents
            .iter()
            .find(|(pid, ..)| *pid == root)
            .map(|(.., used)| *used)
            .unwrap_or_default();
        let mut below = Duration::ZERO;
        let mut family = vec![root];
        while let Some(ancestor) = family.pop() {
            for (pid, parent, used) in &parents {
                if *parent == ancestor {
                    below += *used;
                    family.push(*pid);
                }
            }
        }
        Ok((own, below))
    }
}

/// The parent and the CPU time in a line of `/proc/PID/stat`.
fn parse_stat(line: &str) -> Option<(u32, Duration)> {
    // The name is in brackets and may hold anything; what follows the last bracket is numbers.
    let mut fields = line[line.rfind(')')? + 1..].split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    // Ticks are 10 ms on every Linux that Rust has a target for.
    Some((parent, Duration::from_millis((user + system) * 10)))
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = kill_process(self.registered.0, Signal::TERM);
        let deadline = Instant::now() + GRACE;
        while let Ok(None) = self.child.try_wait() {
            if Instant::now() >= deadline {
                eprintln!("{} did not end in {GRACE:?}: killed", self.name);
                let _ = self.child.kill();
                let _ = self.child.wait();
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// From now on, ctrl-c or SIGTERM ends every process of ours; [`interrupted`] is true, and what was being measured fails.
pub(crate) fn end_on_interrupt() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut terminate = {
        let _entered = runtime.enter();
        signal(SignalKind::terminate())?
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        });
        INTERRUPTED.store(true, Ordering::SeqCst);
        for pid in RUNNING.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // It may have ended by itself.
            let _ = kill_process(*pid, Signal::TERM);
        }
        // Whoever measures has noticed by then, unless it works on something that ends no sooner.
        thread::sleep(Duration::from_secs(2));
        #[expect(
            clippy::disallowed_methods,
            reason = "everything that was started has been ended"
        )]
        std::process::exit(INTERRUPT_STATUS.into());
    });
    Ok(())
}

/// Whether ctrl-c or SIGTERM came.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}
