//! What the state wants to have done.

use std::sync::Arc;

use process::{Frame, Launch, WorkerId};

use crate::{call::CallOutcome, observer::PrintedLine, spec::Spec};

/// Something to be done once the state is free again, in the order in which it was decided.
#[derive(Debug)]
pub(crate) enum Effect<C> {
    /// Start a worker.
    Launch(Launch),
    /// Have a worker load what the functions of its tree have in common.
    Prepare { worker: WorkerId, pack: Arc<str> },
    /// Have a worker load its function.
    Load { worker: WorkerId, spec: Arc<Spec> },
    /// Have a worker run a call, which it will name `call`.
    Call {
        worker: WorkerId,
        call: u32,
        frame: Frame,
        left_ms: u32,
        /// It runs others already: several calls may go out together.
        later: bool,
    },
    /// End a worker.
    End(WorkerId),
    /// Tell a caller what came of its call.
    Answer(C, Box<CallOutcome>),
    /// Tell that a line was printed.
    Tell(PrintedLine),
    /// There are calls to watch, and nobody does: call `tick` from now on.
    Watch,
    /// A spare was taken.
    Refill,
    /// A spare is ready, or a worker is gone: somebody may be waiting for this.
    Changed,
}
