//! The pool's decisions: which worker takes a call, when one is started or ended, and what each caller is told.
//!
//! The state knows no socket, process, task or clock. It is given what happens, with the time at which it did (a call
//! arrives, a worker says something, a process has ended, ten milliseconds have passed), and leaves [`Effect`]s for the
//! pool to carry out. `C` is whoever waits for the outcome of a call: the state hands it back with the outcome. So all of
//! it is tested without Node, in `state/tests.rs`, which also lists what always holds.
//!
//! Workers and calls have keys in slabs. A key is never met again while somebody may still use it: a worker says a call's
//! key only while the call is in its list, and everything else travels with a serial number or an [`InvocationId`].

mod calls;
mod effect;
mod events;
mod install;
#[cfg(test)]
mod tests;
mod time;
mod workers;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use function::FunctionName;
use process::Frame;
use slab::Slab;

pub(crate) use calls::CallKey;
pub(crate) use effect::Effect;
pub(crate) use time::Watched;

use crate::{
    call::{CallError, InvocationId, MAX_DEPTH},
    logs::Logs,
    queue::Queue,
    spec::{Kind, Spec},
    worker::Worker,
};

/// How many workers beyond `max_instances`, and beyond all that there may be, nested calls may start: one for each level.
const NESTED_EXTRA: usize = MAX_DEPTH as usize;
/// How long a worker may have nothing to do.
const IDLE_LIFE: Duration = Duration::from_secs(60);
/// How long starting Node and loading a function may take.
const LOAD_LIMIT: Duration = Duration::from_secs(30);
/// How long after a start that failed spares are tried again.
const START_AGAIN: Duration = Duration::from_secs(5);
/// A call that waited this long gets another worker, even if the function is usually quick enough.
const PATIENCE: Duration = Duration::from_millis(20);

/// What never changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How many spares of each kind wait for a function.
    pub(crate) spares: usize,
    /// How many workers there may be, of all functions together, spares included. Nested calls may have some more.
    pub(crate) workers: usize,
    /// Bytes of output kept of one call.
    pub(crate) log: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct State<C> {
    limits: Limits,
    functions: Vec<Function>,
    names: HashMap<FunctionName, usize>,
    workers: Slab<Worker>,
    calls: Slab<Slot<C>>,
    serial: u64,
    /// The kinds of spares to keep.
    spares: Vec<Kind>,
    /// Somebody calls `tick`.
    ticking: bool,
    closed: bool,
    /// When a call last arrived: spares are filled up when it is quiet.
    busy_at: Instant,
    /// The last worker that was to be started did not come.
    failed_start: Option<FailedStart>,
    /// What is to be done, in this order.
    pub(crate) effects: Vec<Effect<C>>,
}

/// A process for a function that could not be started, or never came to work, though nobody had ended it. Another one that
/// comes makes up for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedStart {
    /// When.
    pub at: Instant,
    /// Why: the machine's reason, or the process's last words.
    pub why: String,
}

/// One function, as long as the runtime lives: a reload changes `spec` and leaves what waits.
#[derive(Debug, Default)]
struct Function {
    /// `None` when the last load did not name it.
    spec: Option<Arc<Spec>>,
    queue: Queue,
    /// Keys of the workers that serve, or will serve, `spec`, and take new calls.
    workers: Vec<usize>,
    /// Why `spec` does not load, when another attempt would only repeat it.
    broken: Option<CallError>,
    /// How long a call runs, as a moving average; `None` before the first one ended.
    usual: Option<Duration>,
}

/// One call, from its arrival until its caller has the outcome and its worker is done with it.
#[derive(Debug)]
struct Slot<C> {
    id: InvocationId,
    function: usize,
    /// The call that made this one, with its key.
    parent: Option<(usize, InvocationId)>,
    depth: u32,
    /// Calls made from inside this one whose outcome is not known.
    children: u32,
    arrived: Instant,
    budget: Duration,
    stage: Stage<C>,
}

/// How far a call has come.
#[derive(Debug)]
enum Stage<C> {
    /// It stands in its function's queue.
    Waiting { frame: Frame, caller: C },
    /// A worker has it.
    Running {
        worker: usize,
        started: Instant,
        /// `None` where a debugger may be attached.
        deadline: Option<Instant>,
        logs: Logs,
        /// `None` when the caller has gone.
        caller: Option<C>,
    },
    /// Its outcome is known, but its worker is still at it: nothing that it says about it counts any more.
    Lingering {
        worker: usize,
        deadline: Option<Instant>,
    },
}

impl<C> Slot<C> {
    fn is_settled(&self) -> bool {
        matches!(self.stage, Stage::Lingering { .. })
    }
}

impl<C> State<C> {
    pub(crate) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            functions: Vec::new(),
            names: HashMap::new(),
            workers: Slab::new(),
            calls: Slab::new(),
            serial: 0,
            spares: Vec::new(),
            ticking: false,
            closed: false,
            busy_at: now,
            failed_start: None,
            effects: Vec::new(),
        }
    }
}
