//! Runs cloud functions in Node workers: installs their dependencies, starts and retires processes, hands them calls over
//! a Unix socket, keeps deadlines, and sees to it that nothing of a worker outlives its end.
//!
//! A [`Runtime`] is started once, given functions with [`Runtime::load`] (again whenever they change), and then makes
//! calls with [`Runtime::invoke`]. What a call's environment and event hold is the caller's business: this crate carries
//! them, as bytes; and so it is with the requests that functions make in turn, which come out of
//! [`Runtime::connections`]. `ARCHITECTURE.md` shows the way of one call; [`frame`](Frame) has the layout on the socket,
//! `state` the rules of the pool, [`guard`] why a worker's children cannot stay behind.
//!
//! Calls need no more than one thread: a `current_thread` Tokio runtime that serves HTTP and the workers' sockets is the
//! fastest set-up measured.

mod call;
mod deps;
mod frame;
pub mod guard;
mod home;
mod key;
mod link;
mod load;
mod logs;
mod observer;
mod peer;
mod pool;
mod progress;
mod queue;
mod spawn;
mod spec;
mod state;
#[cfg(test)]
mod tests;
mod worker;

use std::{ffi::OsString, io, path::PathBuf, sync::Arc, time::Duration};

use function::{Function, FunctionName};
use tokio::{net::UnixListener, sync::mpsc, task::JoinHandle};

pub use call::{Call, CallError, InvocationId, MAX_DEPTH, Outcome, Reply};
pub use frame::Frame;
pub use key::KeyPair;
pub use logs::{Level, Line, Logs};
pub use observer::{Observer, PrintedLine};
pub use peer::{Connection, Peer, Running};
pub use progress::Progress;

use pool::Pool;

/// The oldest major version of Node that workers run on.
pub const OLDEST_NODE: u32 = 18;
/// The most output that can be kept of one call, whatever is asked for: a line of it must fit into one frame.
const MAX_LOG: usize = 4 * 1024 * 1024;
/// How long [`Runtime::shutdown`] waits for the last process to be gone.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(5);

/// How a runtime is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The Node to run functions with.
    pub node: PathBuf,
    /// Where installed dependencies and the workers' program are kept between runs.
    pub cache_dir: PathBuf,
    /// The command that runs [`guard::main`]: what follows is its arguments.
    pub guard: Vec<OsString>,
    /// Do not let npm use the network.
    pub offline: bool,
    /// How many workers wait, of each kind, with dependencies loaded and no function.
    pub spares: usize,
    /// Start workers under Node's inspector.
    pub inspect: Option<Inspect>,
    /// Bytes of output kept of one call; at most 4 MB.
    pub log_limit: usize,
    /// Names of the two variables under which a worker's program finds its key pair: id, then secret.
    pub key_variables: [String; 2],
}

/// Functions to be debugged: one worker each, and no timeouts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspect {
    /// Which function; `None` for all.
    pub function: Option<FunctionName>,
    /// The port on 127.0.0.1 where the first one's inspector listens; further ones take the next ports.
    pub port: u16,
}

/// A function to be served.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the project says about it.
    pub function: Function,
    /// The members of its `context` that never change, as the text of a JSON object. A member `environment`, if it is an
    /// object, holds the variables that the function's modules see while they are loaded. What [`Function::env`] says is
    /// not added: which of it counts is the caller's to know.
    pub context: String,
}

/// What became of one function that was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadReport {
    /// Which.
    pub name: FunctionName,
    /// Why it cannot run, and the mend.
    pub problem: Option<String>,
    /// Whether it, or anything about it, is new: then its workers are replaced.
    pub changed: bool,
}

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
    node_major: u32,
    loading: Arc<tokio::sync::Mutex<()>>,
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
    pub async fn start(options: Options, observer: Arc<dyn Observer>) -> Result<Self, StartError> {
        let node_major = node_major(&options.node).await?;
        let no_home = |source| StartError::NoHome {
            cache_dir: options.cache_dir.clone(),
            source,
        };
        // Workers run in folders of their own, and Node knows modules by their real paths.
        let cache_dir = std::fs::create_dir_all(&options.cache_dir)
            .and_then(|()| options.cache_dir.canonicalize())
            .map_err(no_home)?;
        let home = home::Home::new(&cache_dir).map_err(no_home)?;
        let listener = UnixListener::bind(home.socket()).map_err(no_home)?;
        let options = Options {
            cache_dir,
            log_limit: options.log_limit.min(MAX_LOG),
            ..options
        };
        let pool = Pool::new(options, home, observer);
        let tasks = vec![
            tokio::spawn(link::accept(Arc::clone(&pool), listener)),
            tokio::spawn(Arc::clone(&pool).keep_time()),
            tokio::spawn(Arc::clone(&pool).keep_house()),
            tokio::spawn(Arc::clone(&pool).keep_spares()),
        ];
        let life = Arc::new(Life {
            pool: Arc::clone(&pool),
            tasks,
        });
        Ok(Self {
            pool,
            node_major,
            loading: Arc::default(),
            _life: life,
        })
    }

    /// Serves these functions, and no others, from now on.
    ///
    /// Installs what they need, and prepares spare workers. A function that did not change keeps its workers; one that
    /// did gets new ones, while calls that run finish on the old ones. Waiting calls go to the new ones.
    pub async fn load(&self, functions: Vec<Loaded>) -> Vec<LoadReport> {
        let _one_at_a_time = self.loading.lock().await;
        load::load(&self.pool, functions, self.node_major).await
    }

    /// Calls a function. Dropping the future abandons the call: if it waits it is forgotten, if it runs it runs on and
    /// its result is thrown away.
    pub async fn invoke(&self, call: Call) -> Outcome {
        self.pool.invoke(call).await
    }

    /// The connections that the programs of all workers make, each to the socket of its own, for the one who serves them;
    /// it ends when this runtime and its workers have. `None` but for the first time. As long as nobody has asked,
    /// connections are closed at once.
    #[must_use]
    pub fn connections(&self) -> Option<mpsc::Receiver<Connection>> {
        self.pool.connections()
    }

    /// Ends all workers, with everything they started, and waits until they are gone. Calls still under way fail.
    pub async fn shutdown(&self) {
        self.pool.with(|state| state.close(std::time::Instant::now()));
        self.pool
            .wait_until(SHUTDOWN_WITHIN, |state| !state.has_workers())
            .await;
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
