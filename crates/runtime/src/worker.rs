//! One worker as the pool sees it: how far it has come, and what it has to do.

use std::{sync::Arc, time::Instant};

use crate::{
    call::CallError,
    spec::{Kind, Spec},
};

/// A worker process and its guard.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Different for each worker that ever was: keys are used again.
    pub(crate) serial: u64,
    pub(crate) kind: Kind,
    pub(crate) stage: Stage,
    /// Since when it has been doing what it does: starting, loading, or nothing.
    pub(crate) since: Instant,
}

/// How far a worker has come. Each stage holds what is only then the case.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Node is starting. Which function it will serve may be known.
    Starting(Option<Task>),
    /// It loads the dependencies that functions of a tree share.
    Preparing(Option<Task>),
    /// It waits for a function.
    Spare,
    /// It loads its function.
    Loading(Task),
    /// It takes calls.
    Ready(Serving),
    /// It was told to end, or has hung up; its processes are not all dead yet.
    Ending(Ended),
}

/// What a worker serves.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// The function's number.
    pub(crate) function: usize,
    /// What was loaded: a reload may have put another in its place by now.
    pub(crate) spec: Arc<Spec>,
}

/// A worker that takes calls.
#[derive(Debug)]
pub(crate) struct Serving {
    pub(crate) task: Task,
    /// Keys of the calls that it runs.
    pub(crate) running: Vec<usize>,
    /// How many of them no function made.
    pub(crate) roots: usize,
    /// Takes no new calls, and ends with its last one.
    pub(crate) draining: bool,
}

/// A worker that is about to be dead.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) why: Ending,
    /// What it served, or was to serve.
    pub(crate) task: Option<Task>,
    /// It took calls. If not, a call was waiting for it.
    pub(crate) was_ready: bool,
    /// Keys of calls whose end is explained by the exit status, which is not known yet.
    pub(crate) running: Vec<usize>,
}

/// Why a worker is ended, or was found to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nobody needs it any more.
    Retired,
    /// A call took too long, or lost the one it was made for.
    Expired,
    /// It uses far more memory than its function was given.
    Memory,
    /// It sent what no worker sends.
    Garbled,
    /// It did not load its function, or did not start, in time.
    Stuck,
    /// It closed its socket: the exit status will say more.
    HungUp,
}

impl Ending {
    /// What it means for calls, where we know better than the exit status.
    pub(crate) fn error(self, memory_mb: u32) -> Option<CallError> {
        match self {
            Self::Memory => Some(CallError::OutOfMemory { limit_mb: memory_mb }),
            Self::Garbled => Some(CallError::WorkerFailed {
                why: "the function's process wrote into the runtime's own connection and was ended"
                    .to_owned(),
            }),
            Self::Retired | Self::Expired | Self::Stuck | Self::HungUp => None,
        }
    }
}

impl Worker {
    pub(crate) fn new(serial: u64, kind: Kind, now: Instant) -> Self {
        Self {
            serial,
            kind,
            stage: Stage::Starting(None),
            since: now,
        }
    }

    /// What it serves, or will; nothing when it is about to be dead.
    pub(crate) fn task(&self) -> Option<&Task> {
        match &self.stage {
            Stage::Starting(task) | Stage::Preparing(task) => task.as_ref(),
            Stage::Loading(task) => Some(task),
            Stage::Ready(serving) => Some(&serving.task),
            Stage::Spare | Stage::Ending(_) => None,
        }
    }

    pub(crate) fn serving(&self) -> Option<&Serving> {
        match &self.stage {
            Stage::Ready(serving) => Some(serving),
            _ => None,
        }
    }

    pub(crate) fn serving_mut(&mut self) -> Option<&mut Serving> {
        match &mut self.stage {
            Stage::Ready(serving) => Some(serving),
            _ => None,
        }
    }

    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.stage, Stage::Ending(_))
    }

    /// Whether it is on its way to serve its function.
    pub(crate) fn is_coming(&self) -> bool {
        match &self.stage {
            Stage::Starting(task) | Stage::Preparing(task) => task.is_some(),
            Stage::Loading(_) => true,
            Stage::Spare | Stage::Ready(_) | Stage::Ending(_) => false,
        }
    }

    /// Whether it serves its function and has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.serving().is_some_and(|serving| serving.running.is_empty())
    }

    /// Whether it has no function yet: it is a spare, or about to become one.
    pub(crate) fn is_free(&self) -> bool {
        matches!(
            self.stage,
            Stage::Starting(None) | Stage::Preparing(None) | Stage::Spare
        )
    }

    /// How near it is to be able to load a function.
    pub(crate) fn progress(&self) -> u8 {
        match self.stage {
            Stage::Starting(_) => 0,
            Stage::Preparing(_) => 1,
            _ => 2,
        }
    }
}

impl Serving {
    /// Whether it can be given one more call.
    pub(crate) fn has_room(&self) -> bool {
        !self.draining && self.running.len() < self.task.spec.concurrency
    }
}
