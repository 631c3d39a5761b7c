//! Being asked to end.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::signal::unix::{SignalKind, signal};

/// What comes so soon after a request to end is the same one: where all processes of a group are asked, as by a terminal, `timeout` or
/// systemd, one that passes it on (npm's launcher, `npx`) asks us a second time.
const SAME: Duration = Duration::from_millis(500);

/// Resolves when this process is asked to end, from this call on: whoever says `ready` has called it before.
pub(crate) fn interrupted() -> impl Future<Output = io::Result<()>> {
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

/// Resolves when this process, which was asked to end just now, is asked again.
pub(crate) async fn interrupted_again() -> io::Result<()> {
    let mut requests = Requests::default();
    requests.is_another(Instant::now());
    loop {
        interrupted().await?;
        if requests.is_another(Instant::now()) {
            return Ok(());
        }
    }
}

/// Tells requests from the echoes of one.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// When the last one came.
    last: Option<Instant>,
}

impl Requests {
    /// Whether a signal that comes now is a request of its own.
    pub(crate) fn is_another(&mut self, now: Instant) -> bool {
        let is_another = self.last.is_none_or(|last| now.duration_since(last) >= SAME);
        if is_another {
            self.last = Some(now);
        }
        is_another
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_soon_after_a_request_is_its_echo() {
        let (mut requests, first) = (Requests::default(), Instant::now());
        let mut after = |millis| requests.is_another(first + Duration::from_millis(millis));
        assert!(after(0) && !after(0) && !after(499));
        // An echo does not put off what counts as the next one.
        assert!(after(500) && !after(999) && after(1000));
    }
}
