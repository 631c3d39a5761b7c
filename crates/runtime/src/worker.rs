//! One worker as the pool sees it: how far it has come, what it runs, and by which means it is ended.

use std::{sync::Arc, time::Instant};

use tokio::process::ChildStdin;

use crate::{
    CallError, KeyPair,
    link::Link,
    spec::{Kind, Spec},
};

/// How far a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Node is starting.
    Starting,
    /// It loads the dependencies that functions of a tree share.
    Preparing,
    /// It waits for a function.
    Spare,
    /// It loads its function.
    Loading,
    /// It takes calls.
    Ready,
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

/// A worker process and its guard.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Different for each worker that ever was: keys are used again.
    pub(crate) serial: u64,
    pub(crate) stage: Stage,
    pub(crate) kind: Kind,
    /// What it serves: the function's number and what was loaded.
    pub(crate) serves: Option<(usize, Arc<Spec>)>,
    /// Takes no new calls, and ends with its last one.
    pub(crate) draining: bool,
    pub(crate) ending: Option<Ending>,
    /// Shown once by the process that connects.
    pub(crate) token: Option<String>,
    /// What its program signs requests with; it has one before its process is started.
    pub(crate) key: Option<Arc<KeyPair>>,
    pub(crate) link: Option<Link>,
    /// The guard's standard input: dropping it ends everything the worker consists of.
    pub(crate) control: Option<ChildStdin>,
    pub(crate) pid: Option<i32>,
    /// Keys of the calls that it runs.
    pub(crate) running: Vec<usize>,
    /// Since when it has been doing what it does: starting, loading, or nothing.
    pub(crate) since: Instant,
}

impl Worker {
    pub(crate) fn new(serial: u64, kind: Kind, token: String, now: Instant) -> Self {
        Self {
            serial,
            stage: Stage::Starting,
            kind,
            serves: None,
            draining: false,
            ending: None,
            token: Some(token),
            key: None,
            link: None,
            control: None,
            pid: None,
            running: Vec::new(),
            since: now,
        }
    }

    /// Whether it can be given one more call.
    pub(crate) fn has_room(&self) -> bool {
        self.stage == Stage::Ready
            && !self.draining
            && self.ending.is_none()
            && self
                .serves
                .as_ref()
                .is_some_and(|(_, spec)| self.running.len() < spec.concurrency)
    }

    /// Whether it is a spare of this kind, or about to become one.
    pub(crate) fn is_spare(&self, kind: &Kind) -> bool {
        self.serves.is_none() && self.ending.is_none() && self.kind == *kind
    }
}
