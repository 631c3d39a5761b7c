//! Being asked to end.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves when this process is asked to end, from this call on: whoever says `ready` has called it before.
pub(crate) fn interrupted() -> impl Future<Output = std::io::Result<()>> {
    let signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async {
        let [interrupt, terminate] = signals;
        let (mut interrupt, mut terminate) = (interrupt?, terminate?);
        tokio::select! {
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    }
}
