//! The way from a function to the host: each worker has a Unix socket of its own, by which its program sends what
//! wx-server-sdk would send to Tencent's servers (`js/worker/cloud.js`). What is said there is not this crate's business:
//! a [`Connection`] is handed on, together with the [`Peer`] at its other end.
//!
//! The socket lies in the runtime's private folder, and only the worker's own process is let in, so that a request
//! belongs to a worker before a byte of it is read.

use std::{convert::Infallible, fmt, fs, io, path::PathBuf, sync::Arc, time::Duration};

use function::FunctionName;
use tokio::net::{UnixListener, UnixStream};

use crate::{
    InvocationId, KeyPair,
    pool::{Pool, WorkerId},
};

/// How long to wait when a connection cannot be accepted, which is usually for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A connection that a worker's program made to the socket of its own.
///
/// It speaks HTTP/1.1 and is kept alive. Who serves it should leave it open for as long as the program does: a request
/// that is on its way when an idle connection is closed fails.
#[derive(Debug)]
pub struct Connection {
    /// What the program sends, and where the answer goes.
    pub stream: UnixStream,
    /// Whose it is.
    pub worker: Peer,
}

/// One worker, as the host that serves its requests sees it. Cheap to clone.
#[derive(Clone)]
pub struct Peer {
    pool: Arc<Pool>,
    id: WorkerId,
    key: Arc<KeyPair>,
}

impl Peer {
    /// The key pair that this worker was given, and no other.
    #[must_use]
    pub fn key(&self) -> &KeyPair {
        &self.key
    }

    /// The function that it serves; `None` while it is a spare, and when it has ended.
    #[must_use]
    pub fn function(&self) -> Option<FunctionName> {
        self.pool.with(|state| state.function_of(self.id))
    }

    /// A call, if this worker runs it now: neither before it began there, nor after its outcome is known, however that
    /// came about.
    #[must_use]
    pub fn running(&self, call: InvocationId) -> Option<Running> {
        self.pool.running(self.id, call)
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("worker", &self.id.serial)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A call that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// The time until its deadline; `None` when it has none, because a debugger may be attached.
    pub left: Option<Duration>,
}

/// The listening end of a worker's socket. Dropping it removes the socket.
#[derive(Debug)]
pub(crate) struct Door {
    listener: UnixListener,
    path: PathBuf,
    peer: Peer,
}

impl Door {
    /// Makes the socket and the key pair of a worker that is about to be started.
    pub(crate) fn open(pool: &Arc<Pool>, worker: WorkerId) -> io::Result<Self> {
        let key = Arc::new(KeyPair::random()?);
        let path = pool.home.door(worker.serial);
        let listener = UnixListener::bind(&path)?;
        pool.with(|state| state.give_key(worker, Arc::clone(&key)));
        let peer = Peer {
            pool: Arc::clone(pool),
            id: worker,
            key,
        };
        Ok(Self { listener, path, peer })
    }

    /// Lets the worker in, as often as it comes.
    pub(crate) async fn keep(&self) -> Infallible {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if self.admits(&stream) => {
                    let worker = self.peer.clone();
                    self.peer.pool.hand_on(Connection { stream, worker }).await;
                }
                Ok(_) => tracing::warn!(
                    worker = self.peer.id.serial,
                    "another process than the worker connected to the worker's socket, and was turned away"
                ),
                Err(error) => {
                    tracing::warn!(%error, worker = self.peer.id.serial, "a worker's connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Whether this is our user's, and the worker's own process. Where the system does not tell the process (Linux and
    /// macOS do), the user must do, and the folder's mode.
    fn admits(&self, stream: &UnixStream) -> bool {
        let Ok(cred) = stream.peer_cred() else {
            return false;
        };
        cred.uid() == rustix::process::geteuid().as_raw()
            && cred
                .pid()
                .is_none_or(|pid| self.peer.pool.process_of(self.peer.id) == Some(pid))
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // The guard has done it, unless it was killed itself.
        let _ = fs::remove_file(&self.path);
    }
}
