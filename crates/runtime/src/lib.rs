//! Runs cloud functions in Node workers: installs their dependencies, decides how many workers there are and which of them
//! takes a call, keeps deadlines, and replaces workers when a function changes. The processes themselves are `process`'s.
//!
//! A [`Runtime`] is started once, given functions with [`Runtime::load`] (again whenever they change), and then makes
//! calls with [`Runtime::invoke`]. What a call's environment and event hold is the caller's business: this crate carries
//! them, as bytes; and so it is with the requests that functions make in turn, which come out of
//! [`Runtime::connections`]. `ARCHITECTURE.md` shows the way of one call.
//!
//! Inside, `state` decides and `pool` does: the state is told what happens and says what is to be done, and never waits,
//! writes or starts anything.
//!
//! Calls need no more than one thread: a `current_thread` Tokio runtime that serves HTTP and the workers' sockets is the
//! fastest set-up measured.

mod call;
mod deps;
mod load;
mod logs;
mod missing;
mod modules;
mod observer;
mod options;
mod peer;
mod pool;
mod progress;
mod queue;
mod spec;
mod state;
mod syntax;
#[cfg(test)]
mod tests;
mod worker;

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use process::{Listeners, Workers};
use tokio::{sync::mpsc, task::JoinHandle};

pub use call::{CallError, CallOutcome, FunctionCall, FunctionReply, InvocationId, MAX_DEPTH};
pub use load::{LoadReport, Loaded};
pub use logs::Logs;
pub use observer::{Observer, PrintedLine};
pub use options::{Inspect, RuntimeOptions};
pub use peer::{Connection, Peer, RunningCall};
pub use process::{Frame, KeyPair, Level, OutputLine};
pub use progress::Progress;
pub use state::FailedStart;
pub use syntax::{SourceFault, source_faults};

use pool::Pool;

/// The oldest major version of Node that workers run on.
pub const OLDEST_NODE: u32 = 18;
/// The most output that can be kept of one call, whatever is asked for: a line of it must fit into one frame.
const MAX_LOG: usize = 4 * 1024 * 1024;
/// How long [`Runtime::shutdown`] waits for the last process to be gone.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(5);

/// Why a runtime cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no Node, or it does not run.
    #[error("{} cannot be run: {source}; install Node {OLDEST_NODE} or newer, or say where it is", node.display())]
    NoNode {
        /// Where it was looked for.
        node: PathBuf,
        /// Why it does not run.
        source: io::Error,
    },
    /// Its version cannot be used.
    #[error("{} is version {version:?}; Node {OLDEST_NODE} or newer is needed", node.display())]
    OldNode {
        /// Which one.
        node: PathBuf,
        /// What it says about itself.
        version: String,
    },
    /// The socket for the workers, or the cache, cannot be made.
    #[error("the workers' socket, or the cache in {}, cannot be made: {source}", cache_dir.display())]
    NoHome {
        /// The cache.
        cache_dir: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Runs functions. Clones share everything; when the last one is dropped, all workers end.
#[derive(Clone)]
pub struct Runtime {
    pool: Arc<Pool>,
    _life: Arc<Life>,
}

/// Ends the tasks and the workers when nobody can make calls any more.
struct Life {
    pool: Arc<Pool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Life {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        self.pool.with(|state| state.close(std::time::Instant::now()));
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("options", &self.pool.options)
            .finish_non_exhaustive()
    }
}

impl Runtime {
    /// Checks Node, makes the socket, and is ready to load functions. Must be called inside a Tokio runtime.
    ///
    /// `observer` hears what takes long, and each line that a function prints.
    ///
    /// # Errors
    /// When there is no usable Node, or the socket or the cache cannot be made.
    pub async fn start(options: RuntimeOptions, observer: Arc<dyn Observer>) -> Result<Self, StartError> {
        let node_major = node_major(&options.node).await?;
        let no_home = |source| StartError::NoHome {
            cache_dir: options.cache_dir.clone(),
            source,
        };
        // Workers run in folders of their own, and Node knows modules by their real paths.
        let cache_dir = std::fs::create_dir_all(&options.cache_dir)
            .and_then(|()| options.cache_dir.canonicalize())
            .map_err(no_home)?;
        let (workers, listeners): (Workers, Listeners) = Workers::open(process::WorkerSettings {
            node: options.node.clone(),
            cache_dir: cache_dir.clone(),
            guard: options.guard.clone(),
            key_variables: options.key_variables.clone(),
            files_at: options.files_at.clone(),
            wechat_at: options.wechat_at.clone(),
        })
        .map_err(no_home)?;
        let options = RuntimeOptions {
            cache_dir,
            log_limit: options.log_limit.min(MAX_LOG),
            ..options
        };
        let pool = Pool::new(options, node_major, workers, observer);
        let tasks = vec![
            tokio::spawn(process::accept(Arc::clone(&pool), listeners)),
            tokio::spawn(Arc::clone(&pool).keep_time()),
            tokio::spawn(Arc::clone(&pool).keep_house()),
            tokio::spawn(Arc::clone(&pool).keep_spares()),
        ];
        let life = Arc::new(Life {
            pool: Arc::clone(&pool),
            tasks,
        });
        Ok(Self { pool, _life: life })
    }

    /// Serves these functions, and no others, from now on.
    ///
    /// Installs what they need, and prepares spare workers. A function that did not change keeps its workers; one that
    /// did gets new ones, while calls that run finish on the old ones. Waiting calls go to the new ones.
    pub async fn load(&self, functions: Vec<Loaded>) -> Vec<LoadReport> {
        self.pool.load(Some(functions)).await
    }

    /// Whether a function was loaded from this file among others: then a change of it is a change of the function. By their
    /// real paths.
    #[must_use]
    pub fn consists_of(&self, file: &std::path::Path) -> bool {
        self.pool.modules.has(file)
    }

    /// The folders from which functions were loaded.
    #[must_use]
    pub fn loaded_from(&self) -> Vec<PathBuf> {
        self.pool.modules.folders()
    }

    /// What was loaded may have changed: calls that come after this, and that no function makes, wait until a [`Runtime::load`]
    /// that began after it has ended, or [`Runtime::looked_at`] says that there is nothing to load. If none begins
    /// within a few seconds, they get what is there, and [`Progress::Outdated`] tells it.
    pub fn expect_changes(&self) {
        self.pool.changes.send_modify(|changes| changes.seen += 1);
    }

    /// Waits until the changes that were told so far are loaded, as a call does.
    pub async fn changes_loaded(&self) {
        self.pool.changes_are_loaded(pool::LOADED_WITHIN).await;
    }

    /// How many changes were told by [`Runtime::expect_changes`].
    #[must_use]
    pub fn changes_seen(&self) -> u64 {
        self.pool.changes.borrow().seen
    }

    /// Says that of the changes that were told, the first `seen` need no load any more.
    pub fn looked_at(&self, seen: u64) {
        self.pool.looked_at(seen);
    }

    /// Calls a function. Dropping the future abandons the call: if it waits it is forgotten, if it runs it runs on and
    /// its result is thrown away.
    pub async fn invoke(&self, call: FunctionCall) -> CallOutcome {
        self.pool.invoke(call).await
    }

    /// The connections that the programs of all workers make, each to the socket of its own, for the one who serves them;
    /// it ends when this runtime and its workers have. `None` but for the first time. As long as nobody has asked,
    /// connections are closed at once.
    #[must_use]
    pub fn connections(&self) -> Option<mpsc::Receiver<Connection>> {
        self.pool.connections()
    }

    /// The last start of a worker's process, if it failed: the machine has no room for another process, or Node cannot be
    /// run any more. Workers that are there may serve on; what needs another one fails. `None` again as soon as one comes.
    #[must_use]
    pub fn failed_start(&self) -> Option<FailedStart> {
        self.pool.with(|state| state.failed_start().cloned())
    }

    /// Ends all workers, with everything they started, waits until they are gone, and removes what this has on disk. Calls still under way
    /// fail.
    pub async fn shutdown(&self) {
        self.pool.with(|state| state.close(std::time::Instant::now()));
        self.pool
            .wait_until(SHUTDOWN_WITHIN, |state| !state.has_workers())
            .await;
        self.pool.close();
    }
}

/// The major version of a Node.
async fn node_major(node: &std::path::Path) -> Result<u32, StartError> {
    let no_node = |source| StartError::NoNode {
        node: node.to_owned(),
        source,
    };
    let output = tokio::process::Command::new(node)
        .arg("--version")
        .env_remove("NODE_OPTIONS")
        .output()
        .await
        .map_err(no_node)?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    version
        .strip_prefix('v')
        .and_then(|version| version.split('.').next()?.parse().ok())
        .filter(|major| *major >= OLDEST_NODE)
        .ok_or(StartError::OldNode {
            node: node.to_owned(),
            version,
        })
}
