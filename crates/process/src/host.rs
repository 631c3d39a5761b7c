//! Whoever has workers: what it hears of them.

use std::{future::Future, sync::Arc, time::Instant};

use tokio::net::UnixStream;

use crate::{
    end::WorkerEnd,
    frame::WorkerMessage,
    key::KeyPair,
    output::Level,
    workers::{WorkerId, Workers},
};

/// Hears of workers. Nothing here may wait, but for `visited`.
pub trait Host: Send + Sync + Sized + 'static {
    /// The host's workers.
    fn workers(&self) -> &Workers;

    /// A worker is connected, knows who it is, and can be told what to do.
    fn connected(self: &Arc<Self>, worker: WorkerId);

    /// A worker said something. False when it is not to be heard any more.
    fn received(self: &Arc<Self>, worker: WorkerId, message: WorkerMessage, now: Instant) -> bool;

    /// A worker sent what no worker sends: it is not heard any more.
    fn garbled(self: &Arc<Self>, worker: WorkerId);

    /// A worker closed its connection.
    fn hung_up(self: &Arc<Self>, worker: WorkerId);

    /// A process of the worker's printed lines by a descriptor, past the frames.
    fn printed(self: &Arc<Self>, worker: WorkerId, level: Level, text: String);

    /// A worker's program connected to the socket of its own; `key` is the pair that this worker was given, and no other.
    fn visited(
        self: &Arc<Self>,
        worker: WorkerId,
        key: Arc<KeyPair>,
        stream: UnixStream,
    ) -> impl Future<Output = ()> + Send;

    /// A worker and everything that it had started are dead, or it could not be started. The last word about it.
    fn exited(self: &Arc<Self>, worker: WorkerId, end: WorkerEnd);
}
