//! From what the runtime sees to what the journal is told: which call a line belongs to.

use std::sync::Arc;

use runtime::{Observer, Progress};

use crate::{Invocations, Journal, PrintedLine};

/// Tells the journal of each line that a function prints, with the call that prints it; and somebody else of the steps that
/// take the runtime long. It is made before the runtime that it observes, with the table that [`Calls`](crate::Calls) enters
/// its calls in.
pub struct TellingObserver {
    invocations: Arc<Invocations>,
    journal: Arc<dyn Journal>,
    steps: Box<dyn Fn(Progress) + Send + Sync>,
}

impl TellingObserver {
    /// Neither `journal` nor `steps` may wait: both are told on the serving thread.
    pub fn new(
        invocations: Arc<Invocations>,
        journal: Arc<dyn Journal>,
        steps: impl Fn(Progress) + Send + Sync + 'static,
    ) -> Self {
        Self {
            invocations,
            journal,
            steps: Box::new(steps),
        }
    }
}

impl Observer for TellingObserver {
    fn progress(&self, progress: Progress) {
        (self.steps)(progress);
    }

    fn printed(&self, printed: runtime::PrintedLine) {
        let invocation = printed.call.and_then(|call| self.invocations.of(call));
        self.journal.line(&PrintedLine {
            function: printed.function.as_ref().map_or("", |name| name.as_str()),
            request_id: invocation.as_ref().map(|call| call.request_id.as_str()),
            openid: invocation.as_ref().and_then(|call| call.openid()),
            level: printed.line.level,
            at: printed.line.at,
            text: &printed.line.text,
        });
    }
}
