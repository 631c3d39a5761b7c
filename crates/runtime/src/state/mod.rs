//! Functions, workers and calls, and how they change. Everything here happens under the pool's lock and without waiting;
//! what must happen outside of it (waking callers, starting processes, telling what was printed) is noted in `Effects`.
//!
//! Workers and calls have keys in slabs. A key is never met again while somebody may still use it: a call is forgotten when
//! both its caller and its worker are done with it, and a worker's key travels with a serial number.

mod calls;
mod events;
mod install;
mod time;
mod workers;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use function::FunctionName;
use slab::Slab;

use crate::{
    CallError, Frame, InvocationId, Logs, MAX_DEPTH, Options, Outcome, PrintedLine,
    queue::Queue,
    spawn::Launch,
    spec::{Kind, Spec},
    worker::Worker,
};

/// How many workers beyond `max_instances` nested calls may start: one for each level.
const NESTED_EXTRA: usize = MAX_DEPTH as usize;
/// How long a worker may have nothing to do.
const IDLE_LIFE: Duration = Duration::from_secs(60);
/// How long starting Node and loading a function may take.
const LOAD_LIMIT: Duration = Duration::from_secs(30);

/// One function, as long as the runtime lives: a reload changes `spec` and leaves what waits.
#[derive(Debug)]
struct Function {
    /// `None` when the last load did not name it.
    spec: Option<Arc<Spec>>,
    queue: Queue,
    /// Keys of the workers that serve, or will serve, `spec`.
    workers: Vec<usize>,
    /// Why `spec` does not load, when another attempt would only repeat it.
    broken: Option<CallError>,
    /// How long a call runs, as a moving average; `None` before the first one ended.
    usual: Option<Duration>,
}

/// One call, from its arrival until its caller has the outcome and its worker is done with it.
#[derive(Debug)]
struct Slot {
    id: InvocationId,
    function: usize,
    /// What is to be sent, while it waits.
    frame: Option<Frame>,
    /// Key of the worker that has it.
    worker: Option<usize>,
    outcome: Option<Outcome>,
    /// Somebody still wants to know.
    has_caller: bool,
    waker: Option<Waker>,
    /// Its outcome is known: nothing that a worker says about it counts any more.
    settled: bool,
    arrived: Instant,
    started: Option<Instant>,
    deadline: Option<Instant>,
    budget: Duration,
    parent: Option<InvocationId>,
    depth: u32,
    /// Calls made from inside this one that are still there.
    children: u32,
    logs: Logs,
}

/// What is to be done after the lock is released.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) wakes: Vec<Waker>,
    pub(crate) launches: Vec<Launch>,
    /// In the order in which they came.
    pub(crate) printed: Vec<PrintedLine>,
    /// There are calls to watch, and nobody watches.
    pub(crate) tick: bool,
    /// A spare was taken.
    pub(crate) refill: bool,
    /// Somebody may be waiting for this: a spare is ready, or a worker is gone.
    pub(crate) changed: bool,
}

impl Effects {
    pub(crate) fn is_empty(&self) -> bool {
        self.wakes.is_empty()
            && self.launches.is_empty()
            && self.printed.is_empty()
            && !(self.tick || self.refill || self.changed)
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct State {
    functions: Vec<Function>,
    names: HashMap<FunctionName, usize>,
    workers: Slab<Worker>,
    calls: Slab<Slot>,
    serial: u64,
    /// The kinds of spares to keep, and how many of each.
    spares: Vec<Kind>,
    spares_each: usize,
    log_limit: usize,
    key_variables: [String; 2],
    /// Where compiled code is kept.
    cache: PathBuf,
    ticking: bool,
    closed: bool,
    /// When a call last arrived: spares are filled up when it is quiet.
    busy_at: Instant,
    pub(crate) effects: Effects,
}

impl State {
    pub(crate) fn new(options: &Options, now: Instant) -> Self {
        Self {
            functions: Vec::new(),
            names: HashMap::new(),
            workers: Slab::new(),
            calls: Slab::new(),
            serial: 0,
            spares: Vec::new(),
            spares_each: options.spares,
            log_limit: options.log_limit,
            key_variables: options.key_variables.clone(),
            cache: options.cache_dir.clone(),
            ticking: false,
            closed: false,
            busy_at: now,
            effects: Effects::default(),
        }
    }
}
