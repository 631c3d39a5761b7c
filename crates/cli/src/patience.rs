//! Waiting for what one process at a time has open: another command is done with it in a moment, and then this one has it.

use std::time::{Duration, Instant};

/// How long another process is waited for. A server never lets go, and whoever started one by mistake wants to hear of it.
const LONGEST: Duration = Duration::from_secs(10);
/// How long a `dev` is waited for that runs already: one that was told to end, or killed, is about to let go.
const OF_SERVER: Duration = Duration::from_secs(2);
/// How long until it is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// A wait that has an end.
pub(crate) struct Patience {
    since: Instant,
    longest: Duration,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            longest: LONGEST,
        }
    }

    /// That with a server, which may be one that ends.
    pub(crate) fn of_server() -> Self {
        Self {
            longest: OF_SERVER,
            ..Self::new()
        }
    }

    /// Waits a little; `false` when it has been long enough.
    pub(crate) async fn lasts(&self) -> bool {
        if self.since.elapsed() >= self.longest {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
        true
    }
}

/// Opens what another process may be about to let go of.
pub(crate) async fn opened<T, E>(
    is_in_use: impl Fn(&E) -> bool,
    mut open: impl FnMut() -> Result<T, E>,
) -> Result<T, E> {
    let patience = Patience::new();
    loop {
        match open() {
            Err(error) if is_in_use(&error) && patience.lasts().await => {}
            opened => return opened,
        }
    }
}
