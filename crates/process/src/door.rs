//! The way from a function to the host: each worker has a Unix socket of its own, by which its program sends what
//! wx-server-sdk would send to Tencent's servers (`js/worker/cloud.js`). What is said there is not this crate's business: the
//! connection is handed to the host.
//!
//! The socket lies in the private folder, and only the worker's own process is let in, so that a request belongs to a
//! worker before a byte of it is read.

use std::{convert::Infallible, fs, io, path::PathBuf, sync::Arc, time::Duration};

use tokio::net::{UnixListener, UnixStream};

use crate::{host::Host, key::KeyPair, workers::WorkerId};

/// How long to wait when a connection cannot be accepted, which is usually for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The listening end of a worker's socket. Dropping it removes the socket.
#[derive(Debug)]
pub(crate) struct Door {
    listener: UnixListener,
    path: PathBuf,
}

impl Door {
    pub(crate) fn open(path: PathBuf) -> io::Result<Self> {
        Ok(Self {
            listener: UnixListener::bind(&path)?,
            path,
        })
    }

    /// Lets the worker in, as often as it comes.
    pub(crate) async fn keep<H: Host>(
        &self,
        host: &Arc<H>,
        worker: WorkerId,
        key: &Arc<KeyPair>,
    ) -> Infallible {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if admits(&**host, worker, &stream) => {
                    host.visited(worker, Arc::clone(key), stream).await;
                }
                Ok(_) => tracing::warn!(
                    worker = worker.serial,
                    "another process than the worker connected to the worker's socket, and was turned away"
                ),
                Err(error) => {
                    tracing::warn!(%error, worker = worker.serial, "a worker's connection was not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Whether this is our user's, and the worker's own process. Where the system does not tell the process (Linux and macOS
/// do), the user must do, and the folder's mode.
fn admits(host: &impl Host, worker: WorkerId, stream: &UnixStream) -> bool {
    let Ok(cred) = stream.peer_cred() else {
        return false;
    };
    cred.uid() == rustix::process::geteuid().as_raw()
        && cred
            .pid()
            .is_none_or(|pid| host.workers().process_of(worker) == Some(pid))
}

impl Drop for Door {
    fn drop(&mut self) {
        // The guard has done it, unless it was killed itself.
        let _ = fs::remove_file(&self.path);
    }
}
