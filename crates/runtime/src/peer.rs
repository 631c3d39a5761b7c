//! What a function asks of the host, and which worker asks: the connections that workers' programs make, each by a socket
//! of its own. What is said there is the business of whoever serves them.

use std::{fmt, sync::Arc, time::Duration};

use function::FunctionName;
use process::{KeyPair, WorkerId};
use tokio::net::UnixStream;

use crate::call::InvocationId;

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
    pub(crate) register: Arc<dyn Register>,
    pub(crate) id: WorkerId,
    pub(crate) key: Arc<KeyPair>,
}

/// Knows what workers do at the moment.
pub(crate) trait Register: Send + Sync {
    /// See [`Peer::function`].
    fn function(self: Arc<Self>, worker: WorkerId) -> Option<FunctionName>;
    /// See [`Peer::running`].
    fn running(self: Arc<Self>, worker: WorkerId, call: InvocationId) -> Option<RunningCall>;
}

/// A call that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunningCall {
    /// The time until its deadline; `None` when it has none, because a debugger may be attached.
    pub left: Option<Duration>,
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
        Arc::clone(&self.register).function(self.id)
    }

    /// A call, if this worker runs it now: neither before it began there, nor after its outcome is known, however that
    /// came about.
    #[must_use]
    pub fn running(&self, call: InvocationId) -> Option<RunningCall> {
        Arc::clone(&self.register).running(self.id, call)
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
