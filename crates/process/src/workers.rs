//! The table of a host's workers: what is needed to reach each of them and to end it.
//!
//! The host decides under a lock of its own and acts after it is released, so that what it does to a worker may come out of
//! order: a worker may be ended before its start was begun. Therefore the end of an unknown worker is remembered until
//! its start is asked for, which then comes to nothing.

use std::{
    convert::Infallible,
    ffi::OsString,
    io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use tokio::{
    net::UnixListener,
    process::ChildStdin,
    sync::{mpsc, oneshot},
};
use zeroize::Zeroizing;

use crate::{
    cgroup::Cgroups,
    frame::{self, Frame, Order},
    home::Home,
    key::KeyPair,
    link::Link,
    memory,
};

/// How workers are started.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    /// The Node that runs them.
    pub node: PathBuf,
    /// Where the workers' program is kept between runs.
    pub cache_dir: PathBuf,
    /// The command that runs [`guard::main`](crate::guard::main): what follows is its arguments.
    pub guard: Vec<OsString>,
    /// Names of the two variables under which a worker's program finds its key pair: id, then secret.
    pub key_variables: [String; 2],
    /// What the addresses of files begin with that functions are given: `http://127.0.0.1:8787/v1/files/`. Workers reach those by
    /// their own sockets. `None` where there are none.
    pub files_at: Option<String>,
    /// Where requests go that functions themselves make to `api.weixin.qq.com`: the address of what stands in its place, such as
    /// `http://127.0.0.1:8788`. `None` where that is WeChat itself.
    pub wechat_at: Option<String>,
}

/// Names a worker. The host chooses it: a key that is used again when the worker's end was told by [`Host::exited`](crate::Host::exited), and a
/// serial number that never is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WorkerId {
    /// A small number.
    pub key: usize,
    /// Different for each worker that ever was.
    pub serial: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Workers {
    pub(crate) settings: WorkerSettings,
    pub(crate) home: Home,
    /// Where there are control groups.
    pub(crate) cgroups: Option<Cgroups>,
    /// By the worker's key.
    table: Mutex<Vec<Option<Entry>>>,
    listeners: mpsc::UnboundedSender<UnixListener>,
    /// The private folder was made again, and nobody has asked yet.
    healed: AtomicBool,
    /// No worker is started any more, and the private folder is gone.
    closed: AtomicBool,
}

/// Brings the sockets on which workers are waited for.
#[derive(Debug)]
pub struct Listeners(pub(crate) mpsc::UnboundedReceiver<UnixListener>);

/// The worker that was meant is not there any more.
#[derive(Debug)]
pub struct WorkerGone;

#[derive(Debug)]
struct Entry {
    serial: u64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// It was ended before its start was begun.
    NeverStarted,
    Running(Reach),
    /// It was ended; its processes may still be there.
    Ended {
        guard: Option<u32>,
        pid: Option<i32>,
    },
}

/// By which means a worker is reached.
#[derive(Debug)]
struct Reach {
    /// Dropped when the worker is ended: whoever stays with it waits for that.
    _wanted: oneshot::Sender<Infallible>,
    /// Shown once by the process that connects.
    token: Option<String>,
    key: Arc<KeyPair>,
    link: Option<Arc<Link>>,
    /// The guard's standard input: dropping it ends everything that the worker consists of.
    control: Option<ChildStdin>,
    guard: Option<u32>,
    /// The process that connected.
    pid: Option<i32>,
}

/// What a worker's start needs.
#[derive(Debug)]
pub(crate) struct WorkerStart {
    pub(crate) token: String,
    pub(crate) key: Arc<KeyPair>,
    /// Ends when the worker is ended.
    pub(crate) ended: oneshot::Receiver<Infallible>,
}

impl Workers {
    /// Makes the private folder and the socket on which workers are waited for: see [`accept`](crate::accept).
    ///
    /// # Errors
    /// When the folder, the socket or the cache cannot be made.
    pub fn open(settings: WorkerSettings) -> io::Result<(Self, Listeners)> {
        let home = Home::new(&settings.cache_dir)?;
        let (listeners, receiver) = mpsc::unbounded_channel();
        let cgroups = home.folder().file_name().and_then(Cgroups::open);
        let workers = Self {
            settings,
            home,
            cgroups,
            table: Mutex::default(),
            listeners,
            healed: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        };
        workers.listen()?;
        Ok((workers, Listeners(receiver)))
    }

    fn listen(&self) -> io::Result<()> {
        let listener = UnixListener::bind(self.home.socket())?;
        // Nobody accepts when the host is gone; then nothing needs it either.
        let _ = self.listeners.send(listener);
        Ok(())
    }

    /// Makes the private folder again if somebody has removed it, and with it the socket. True when that was so since this
    /// was last asked: workers that were there have lost the sockets of their own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn heal(&self) -> io::Result<bool> {
        self.mend()?;
        Ok(self.healed.swap(false, Ordering::Relaxed))
    }

    /// Removes the private folder for good. For whoever has ended all workers, and begins no more.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn close(&self) -> io::Result<()> {
        self.closed.store(true, Ordering::Relaxed);
        self.home.remove()
    }

    /// Makes the private folder again if it is gone.
    pub(crate) fn mend(&self) -> io::Result<()> {
        if self.closed.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.home.heal()? {
            self.listen()?;
            self.healed.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The private folder. What lies there is gone when the host is.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.home.folder()
    }

    /// Whether each worker has a control group, by which all that it started is found.
    #[must_use]
    pub fn has_control_groups(&self) -> bool {
        self.cgroups.is_some()
    }

    /// A folder that nobody makes, for a guard that has nothing to clear away.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.home.scratch()
    }

    fn table(&self) -> MutexGuard<'_, Vec<Option<Entry>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, worker: WorkerId, with: impl FnOnce(&mut Stage) -> T) -> Option<T> {
        let mut table = self.table();
        let entry = table.get_mut(worker.key)?.as_mut()?;
        (entry.serial == worker.serial).then(|| with(&mut entry.stage))
    }

    fn reach<T>(&self, worker: WorkerId, with: impl FnOnce(&mut Reach) -> T) -> Option<T> {
        self.with(worker, |stage| match stage {
            Stage::Running(reach) => Some(with(reach)),
            Stage::NeverStarted | Stage::Ended { .. } => None,
        })
        .flatten()
    }

    fn put(&self, worker: WorkerId, stage: Stage) {
        let mut table = self.table();
        if table.len() <= worker.key {
            table.resize_with(worker.key + 1, || None);
        }
        if let Some(place) = table.get_mut(worker.key) {
            *place = Some(Entry {
                serial: worker.serial,
                stage,
            });
        }
    }

    // What the host asks for ------------------------------------------------------------------------------------------

    /// Hands a worker a call, which it will name `call` and may run for `left_ms`. With `later` several calls go out together.
    ///
    /// # Errors
    /// When the worker cannot be written to: then it is gone.
    pub fn call(
        &self,
        worker: WorkerId,
        frame: &mut Frame,
        call: u32,
        left_ms: u32,
        later: bool,
    ) -> Result<(), WorkerGone> {
        let bytes = frame.call(call, left_ms).map_err(|_| WorkerGone)?;
        self.link(worker)?.push(bytes, later).map_err(|_| WorkerGone)
    }

    /// Tells a worker to do something other than a call.
    ///
    /// # Errors
    /// When the worker cannot be written to: then it is gone.
    pub fn order(&self, worker: WorkerId, order: Order, text: &str) -> Result<(), WorkerGone> {
        let frame = order.frame(text).map_err(|_| WorkerGone)?;
        self.link(worker)?.push(&frame, false).map_err(|_| WorkerGone)
    }

    fn link(&self, worker: WorkerId) -> Result<Arc<Link>, WorkerGone> {
        self.reach(worker, |reach| reach.link.clone())
            .flatten()
            .ok_or(WorkerGone)
    }

    /// Ends a worker and everything that it started. [`Host::exited`](crate::Host::exited) follows when all of it is dead.
    pub fn end(&self, worker: WorkerId) {
        let known = self.with(worker, |stage| {
            if let Stage::Running(reach) = stage {
                if let Some(link) = &reach.link {
                    link.close();
                }
                let (guard, pid) = (reach.guard, reach.pid);
                *stage = Stage::Ended { guard, pid };
            }
        });
        if known.is_none() {
            self.put(worker, Stage::NeverStarted);
        }
    }

    /// How much memory a worker's own process occupies, in MB. Only Linux tells.
    #[must_use]
    pub fn resident_mb(&self, worker: WorkerId) -> Option<u64> {
        memory::resident_mb(self.process_of(worker)?)
    }

    /// Whether a worker and all that it started occupy more than so many MB together. Only Linux tells; to be asked beside the
    /// thread that serves, for the kernel may take milliseconds to answer.
    #[must_use]
    pub fn family_exceeds(&self, worker: WorkerId, most_mb: u64) -> bool {
        self.reach(worker, |reach| reach.guard)
            .flatten()
            .and_then(|guard| i32::try_from(guard).ok())
            .is_some_and(|guard| memory::family_exceeds(guard, most_mb))
    }

    // What its own processes do ------------------------------------------------------------------------------------------

    /// A worker's start begins; `None` when it was ended already.
    pub(crate) fn begin(&self, worker: WorkerId) -> io::Result<Option<WorkerStart>> {
        let ended = self.with(worker, |stage| matches!(stage, Stage::NeverStarted));
        if ended == Some(true) {
            return Ok(None);
        }
        let (token, key) = (token()?, Arc::new(KeyPair::random()?));
        let (wanted, ended) = oneshot::channel();
        let reach = Reach {
            _wanted: wanted,
            token: Some(token.clone()),
            key: Arc::clone(&key),
            link: None,
            control: None,
            guard: None,
            pid: None,
        };
        self.put(worker, Stage::Running(reach));
        Ok(Some(WorkerStart { token, key, ended }))
    }

    /// The processes of a worker run. `control` is what ends them: at once, when the worker is not wanted any more.
    pub(crate) fn launched(&self, worker: WorkerId, control: Option<ChildStdin>, guard: Option<u32>) {
        self.with(worker, |stage| match stage {
            Stage::Running(reach) => (reach.control, reach.guard) = (control, guard),
            Stage::Ended { guard: known, .. } => *known = guard,
            Stage::NeverStarted => {}
        });
    }

    /// The worker whose token this is; a token is good once.
    pub(crate) fn redeem(&self, token: &str) -> Option<WorkerId> {
        self.table().iter_mut().enumerate().find_map(|(key, entry)| {
            let entry = entry.as_mut()?;
            let Stage::Running(reach) = &mut entry.stage else {
                return None;
            };
            reach.token.take_if(|known| known == token)?;
            Some(WorkerId {
                key,
                serial: entry.serial,
            })
        })
    }

    /// A worker has connected: it is told who it is. False when it is not wanted any more.
    pub(crate) fn connect(&self, worker: WorkerId, link: &Arc<Link>, pid: Option<i32>) -> bool {
        let key = self.reach(worker, |reach| {
            reach.link = Some(Arc::clone(link));
            reach.pid = pid;
            Arc::clone(&reach.key)
        });
        let Some(key) = key else { return false };
        let text = self.identity(worker, &key);
        let sent = frame::identify(&text).is_ok_and(|frame| link.push(&frame, false).is_ok());
        if !sent {
            link.close();
        }
        sent
    }

    /// What a worker is told about itself: its socket, and its key pair under the names by which its program looks for it.
    fn identity(&self, worker: WorkerId, key: &KeyPair) -> Zeroizing<String> {
        let [id, secret] = self
            .settings
            .key_variables
            .each_ref()
            .map(|name| Value::from(name.as_str()));
        let socket = Value::from(self.home.door(worker.serial).to_string_lossy());
        let files = Value::from(self.settings.files_at.clone());
        let wechat = Value::from(self.settings.wechat_at.clone());
        // Hexadecimal digits: nothing to escape.
        Zeroizing::new(format!(
            r#"{{"socket":{socket},"files":{files},"wechat":{wechat},"variables":{{{id}:"{}",{secret}:"{}"}}}}"#,
            key.id(),
            key.secret()
        ))
    }

    /// The process that connected as this worker.
    pub(crate) fn process_of(&self, worker: WorkerId) -> Option<i32> {
        self.with(worker, |stage| match stage {
            Stage::Running(reach) => reach.pid,
            Stage::Ended { pid, .. } => *pid,
            Stage::NeverStarted => None,
        })
        .flatten()
    }

    /// Everything of a worker is dead: nothing is known of it any more.
    pub(crate) fn forget(&self, worker: WorkerId) {
        let mut table = self.table();
        if let Some(place) = table.get_mut(worker.key)
            && place.as_ref().is_some_and(|entry| entry.serial == worker.serial)
            && let Some(Entry {
                stage: Stage::Running(Reach { link: Some(link), .. }),
                ..
            }) = place.take()
        {
            link.close();
        }
    }
}

/// 128 random bits.
fn token() -> io::Result<String> {
    let mut bytes = [0; frame::TOKEN_LENGTH / 2];
    getrandom::fill(&mut bytes)?;
    Ok(crate::hex(&bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn workers(folder: &std::path::Path) -> Workers {
        let settings = WorkerSettings {
            node: "node".into(),
            cache_dir: folder.to_owned(),
            guard: Vec::new(),
            key_variables: ["ID", "SECRET"].map(str::to_owned),
            files_at: None,
            wechat_at: None,
        };
        Workers::open(settings).unwrap().0
    }

    #[tokio::test]
    async fn a_token_is_good_once_and_for_its_own_worker() {
        let folder = tempfile::tempdir().unwrap();
        let workers = workers(folder.path());
        let [one, other] = [(0, 1), (3, 2)].map(|(key, serial)| WorkerId { key, serial });
        let tokens = [one, other].map(|worker| workers.begin(worker).unwrap().unwrap().token);
        assert_eq!(tokens[0].len(), frame::TOKEN_LENGTH);
        assert_eq!(workers.redeem(&tokens[1]), Some(other));
        assert_eq!(workers.redeem(&tokens[1]), None);
        assert_eq!(workers.redeem(&tokens[0]), Some(one));
        assert_eq!(workers.redeem(""), None);
    }

    #[tokio::test]
    async fn a_worker_that_is_ended_before_its_start_does_not_start() {
        let folder = tempfile::tempdir().unwrap();
        let workers = workers(folder.path());
        let worker = WorkerId { key: 0, serial: 1 };
        workers.end(worker);
        assert!(workers.begin(worker).unwrap().is_none());
        workers.forget(worker);
        let next = WorkerId { key: 0, serial: 2 };
        assert!(workers.begin(next).unwrap().is_some());
        workers.end(next);
        assert!(workers.call(next, &mut Frame::new(), 0, 0, false).is_err());
    }
}
