//! Waiting for what one process at a time has open: another command is done with it in a moment, and then this one has it.

use std::time::{Duration, Instant};

/// How long another process is waited for. A server never lets go, and whoever started one by mistake wants to hear of it.
const LONGEST: Duration = Duration::from_secs(10);
/// How long until it is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// A wait that has an end.
pub(crate) struct Patience(Instant);

impl Patience {
    pub(crate) fn new() -> Self {
        Self(Instant::now())
    }

    /// Waits a little; `false` when it has been long enough.
    pub(crate) async fn lasts(&self) -> bool {
        if self.0.elapsed() >= LONGEST {
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
