//! Functions, workers and calls, and how they change. Everything here happens under the pool's lock and without waiting;
//! what must happen outside of it (waking callers, starting processes, telling about progress) is noted in `Effects`.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    task::Waker,
    time::{Duration, Instant},
};

use bytes::Bytes;
use project::FunctionName;
use slab::Slab;

use crate::{
    Call, CallError, Frame, InvocationId, Line, Logs, MAX_DEPTH, Options, Outcome, Progress, Reply,
    frame::Order,
    pool::WorkerId,
    queue::{PATIENCE, Queue},
    spawn::Launch,
    spec::{self, Kind, Spec},
    worker::{Ending, Stage, Worker},
};

/// How many workers beyond `max_instances` nested calls may start: one for each level.
pub(crate) const NESTED_EXTRA: usize = MAX_DEPTH as usize;
/// How long a worker may have nothing to do.
pub(crate) const IDLE_LIFE: Duration = Duration::from_secs(60);
/// How long starting Node and loading a function may take.
pub(crate) const LOAD_LIMIT: Duration = Duration::from_secs(30);

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
    pub(crate) progress: Vec<Progress>,
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
            && self.progress.is_empty()
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
    /// Where compiled code is kept.
    cache: PathBuf,
    ticking: bool,
    closed: bool,
    /// When a call last arrived: spares are filled up when it is quiet.
    pub(crate) busy_at: Instant,
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
            cache: options.cache_dir.clone(),
            ticking: false,
            closed: false,
            busy_at: now,
            effects: Effects::default(),
        }
    }

    // Calls ---------------------------------------------------------------------------------------------------------

    /// Takes a call: hands it to a worker, or lets it wait. Gives its key.
    pub(crate) fn admit(&mut self, call: Call, now: Instant) -> Result<usize, CallError> {
        let id = call.id();
        let number = *self.names.get(&call.function).ok_or(CallError::NotFound)?;
        let function = self.functions.get(number).ok_or(CallError::NotFound)?;
        let spec = function.spec.as_ref().ok_or(CallError::NotFound)?;
        if self.closed {
            return Err(CallError::WorkerFailed {
                why: "the runtime is shutting down".to_owned(),
            });
        }
        if let Some(why) = &spec.problem {
            return Err(CallError::CannotRun { why: why.clone() });
        }
        if let Some(broken) = &function.broken {
            return Err(broken.clone());
        }
        let mut budget = call
            .budget
            .map_or(spec.timeout, |budget| budget.min(spec.timeout));
        let mut depth = 0;
        if let Some(parent) = call.parent {
            let (_, parent) = self.find(parent).ok_or(CallError::AncestorEnded)?;
            depth = parent.depth + 1;
            if depth > MAX_DEPTH {
                return Err(CallError::TooDeep);
            }
            if let Some(deadline) = parent.deadline {
                budget = budget.min(deadline.saturating_duration_since(now));
            }
        }
        if function.queue.is_full() {
            return Err(CallError::QueueFull);
        }
        let must_wait = !function.queue.is_empty() || self.free_worker(number).is_none();
        if must_wait
            && call
                .parent
                .is_some_and(|parent| self.is_entangled(number, parent))
        {
            let workers = u32::try_from(
                self.functions
                    .get(number)
                    .map_or(0, |function| function.workers.len()),
            );
            return Err(CallError::Entangled {
                workers: workers.unwrap_or(u32::MAX),
            });
        }

        let key = self.calls.insert(Slot {
            id,
            function: number,
            frame: Some(call.frame),
            worker: None,
            outcome: None,
            has_caller: true,
            waker: None,
            settled: false,
            arrived: now,
            started: None,
            deadline: None,
            budget,
            parent: call.parent,
            depth,
            children: 0,
            logs: Logs::default(),
        });
        if let Some(parent) = call
            .parent
            .and_then(|parent| self.find(parent))
            .map(|(key, _)| key)
            && let Some(parent) = self.calls.get_mut(parent)
        {
            parent.children += 1;
        }
        if let Some(function) = self.functions.get_mut(number) {
            function.queue.push(key, depth > 0);
        }
        self.busy_at = now;
        if !self.ticking {
            self.ticking = true;
            self.effects.tick = true;
        }
        self.dispatch(number, now);
        Ok(key)
    }

    fn find(&self, id: InvocationId) -> Option<(usize, &Slot)> {
        self.calls
            .iter()
            .find(|(_, slot)| slot.id == id && slot.outcome.is_none() && !slot.settled)
    }

    /// Whether a call made from inside `parent` would have to wait for a worker that one of its ancestors holds, and no
    /// further worker may be started.
    fn is_entangled(&self, number: usize, parent: InvocationId) -> bool {
        let Some(function) = self.functions.get(number) else {
            return false;
        };
        let Some(spec) = &function.spec else { return false };
        if function.workers.len() < spec.max_instances + NESTED_EXTRA {
            return false;
        }
        let mut next = Some(parent);
        while let Some((_, slot)) = next.and_then(|id| self.find(id)) {
            if slot.function == number {
                return true;
            }
            next = slot.parent;
        }
        false
    }

    /// Looks whether the outcome of a call is there; if not, `waker` is told when it is.
    pub(crate) fn poll(&mut self, key: usize, waker: &Waker) -> Option<Outcome> {
        let slot = self.calls.get_mut(key)?;
        if let Some(outcome) = slot.outcome.take() {
            slot.has_caller = false;
            self.release(key);
            return Some(outcome);
        }
        match &mut slot.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        None
    }

    /// The caller of a call has gone. If it waits, it is forgotten; if it runs, it runs on and is answered to nobody.
    pub(crate) fn abandon(&mut self, key: usize, now: Instant) {
        let Some(slot) = self.calls.get_mut(key) else {
            return;
        };
        slot.has_caller = false;
        slot.waker = None;
        if slot.frame.is_some() {
            let number = slot.function;
            if let Some(function) = self.functions.get_mut(number) {
                function.queue.remove(key);
            }
            self.finish(key, Err(CallError::AncestorEnded), now);
        } else {
            self.release(key);
        }
    }

    /// Ends a call. Its worker is not concerned: see `answered` and `expire`.
    fn finish(&mut self, key: usize, result: Result<Reply, CallError>, now: Instant) {
        let Some(slot) = self.calls.get_mut(key) else {
            return;
        };
        if slot.settled {
            return self.release(key);
        }
        slot.settled = true;
        slot.frame = None;
        let started = slot.started.unwrap_or(now);
        let (id, parent, children) = (slot.id, slot.parent, slot.children);
        if slot.has_caller {
            slot.outcome = Some(Outcome {
                result,
                logs: std::mem::take(&mut slot.logs),
                waited: started.saturating_duration_since(slot.arrived),
                ran: now.saturating_duration_since(started),
            });
            self.effects.wakes.extend(slot.waker.take());
        }
        if let Some(parent) = parent
            && let Some((_, parent)) = self.calls.iter_mut().find(|(_, slot)| slot.id == parent)
        {
            parent.children = parent.children.saturating_sub(1);
        }
        self.release(key);
        if children > 0 {
            self.end_children(id, now);
        }
    }

    /// Forgets a call that neither a caller nor a worker knows any more.
    fn release(&mut self, key: usize) {
        if self
            .calls
            .get(key)
            .is_some_and(|slot| !slot.has_caller && slot.worker.is_none() && slot.frame.is_none())
        {
            self.calls.remove(key);
        }
    }

    /// A call has ended: those that it made end too.
    fn end_children(&mut self, parent: InvocationId, now: Instant) {
        let children: Vec<usize> = self
            .calls
            .iter()
            .filter(|(_, slot)| slot.parent == Some(parent) && !slot.settled)
            .map(|(key, _)| key)
            .collect();
        for key in children {
            self.end(key, CallError::AncestorEnded, now);
        }
    }

    /// Ends a call before its worker answered, or before it had one.
    fn end(&mut self, key: usize, error: CallError, now: Instant) {
        let Some(slot) = self.calls.get(key) else { return };
        let (number, worker) = (slot.function, slot.worker);
        if slot.frame.is_some()
            && let Some(function) = self.functions.get_mut(number)
        {
            function.queue.remove(key);
        }
        self.finish(key, Err(error), now);
        if let Some(worker) = worker {
            self.expire_worker(worker, now);
        }
    }

    /// One of the worker's calls is over for its caller, but not for the worker. Nothing can stop a function but the end
    /// of its process: at once if it runs nothing else, else when the others have ended.
    fn expire_worker(&mut self, key: usize, now: Instant) {
        let Some(worker) = self.workers.get_mut(key) else {
            return;
        };
        worker.draining = true;
        let serves = worker.serves.as_ref().map(|(number, _)| *number);
        if worker
            .running
            .iter()
            .all(|call| self.calls.get(*call).is_none_or(|slot| slot.settled))
        {
            self.kill(key, Ending::Expired, now);
        }
        if let Some(number) = serves {
            self.forget_worker(number, key);
            self.dispatch(number, now);
        }
    }

    // Workers -------------------------------------------------------------------------------------------------------

    /// A worker that can take a call of this function now.
    fn free_worker(&self, number: usize) -> Option<usize> {
        let function = self.functions.get(number)?;
        let free = function
            .workers
            .iter()
            .copied()
            .filter(|key| self.workers.get(*key).is_some_and(Worker::has_room));
        free.min_by_key(|key| {
            self.workers
                .get(*key)
                .map_or(usize::MAX, |worker| worker.running.len())
        })
    }

    /// Hands waiting calls to workers that have room, and starts workers for the rest.
    fn dispatch(&mut self, number: usize, now: Instant) {
        while self
            .functions
            .get(number)
            .is_some_and(|function| !function.queue.is_empty())
        {
            let Some(worker) = self.free_worker(number) else {
                break;
            };
            let Some(key) = self
                .functions
                .get_mut(number)
                .and_then(|function| function.queue.pop())
            else {
                break;
            };
            self.hand(worker, key, now);
        }
        self.scale(number, now);
    }

    fn hand(&mut self, worker_key: usize, key: usize, now: Instant) {
        let (Some(worker), Some(slot)) = (self.workers.get_mut(worker_key), self.calls.get_mut(key)) else {
            return;
        };
        let Some(mut frame) = slot.frame.take() else {
            return;
        };
        let inspected = worker.kind.inspect.is_some();
        slot.worker = Some(worker_key);
        slot.started = Some(now);
        slot.deadline = (!inspected).then(|| now + slot.budget);
        let left = u32::try_from(slot.budget.as_millis()).unwrap_or(u32::MAX);
        let busy = !worker.running.is_empty();
        worker.running.push(key);
        let (Ok(id), Some(link)) = (u32::try_from(key), &mut worker.link) else {
            return;
        };
        let sent = match frame.seal(Order::Call, id, left) {
            Ok(bytes) => link.push(bytes, busy).is_ok(),
            Err(_) => false,
        };
        if !sent {
            self.lose(worker_key, Ending::HungUp);
        }
    }

    /// Starts workers when calls wait and it will not be over in a moment.
    fn scale(&mut self, number: usize, now: Instant) {
        let Some(function) = self.functions.get(number) else {
            return;
        };
        let (Some(spec), waiting) = (&function.spec, function.queue.len()) else {
            return;
        };
        if waiting == 0 || self.closed {
            return;
        }
        let spec = Arc::clone(spec);
        let coming = function
            .workers
            .iter()
            .filter(|key| {
                self.workers
                    .get(**key)
                    .is_some_and(|worker| worker.stage != Stage::Ready)
            })
            .count();
        let ready = function.workers.len() - coming;
        let uncovered = waiting.saturating_sub(coming * spec.concurrency);
        if uncovered == 0 {
            return;
        }
        let front = function.queue.front().and_then(|key| self.calls.get(key));
        let patient = ready > 0
            && front.is_some_and(|slot| {
                slot.depth == 0 && now.saturating_duration_since(slot.arrived) < PATIENCE
            })
            && function.usual.is_some_and(|usual| {
                let turns = waiting.div_ceil(ready * spec.concurrency);
                usual.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX)) < PATIENCE
            });
        if patient {
            return;
        }
        let there = function.workers.len();
        let room = spec.max_instances.saturating_sub(there);
        let wanted = uncovered.div_ceil(spec.concurrency).min(room);
        // Somebody who holds a worker waits for the nested ones, which stand in front: they may start more.
        let nested = function
            .queue
            .iter()
            .filter(|key| self.calls.get(*key).is_some_and(|slot| slot.depth > 0))
            .count();
        let nested = nested
            .saturating_sub(coming * spec.concurrency)
            .div_ceil(spec.concurrency);
        let nested = nested.min((spec.max_instances + NESTED_EXTRA).saturating_sub(there));
        for _ in 0..wanted.max(nested) {
            self.start_worker(number, &spec, now);
        }
    }

    /// Gives a function one more worker: a spare if there is one, the most advanced first.
    fn start_worker(&mut self, number: usize, spec: &Arc<Spec>, now: Instant) {
        let spare = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.is_spare(&spec.kind))
            .max_by_key(|(_, worker)| worker.stage as u8)
            .map(|(key, _)| key);
        let key = match spare {
            Some(key) => {
                self.effects.refill = true;
                key
            }
            None => self.launch(spec.kind.clone(), now),
        };
        let Some(worker) = self.workers.get_mut(key) else {
            return;
        };
        worker.serves = Some((number, Arc::clone(spec)));
        if let Some(function) = self.functions.get_mut(number) {
            function.workers.push(key);
        }
        if worker.stage == Stage::Spare {
            self.order_load(key, now);
        }
    }

    fn launch(&mut self, kind: Kind, now: Instant) -> usize {
        self.serial += 1;
        let token = crate::spawn::token();
        let serial = self.serial;
        let key = self
            .workers
            .insert(Worker::new(serial, kind.clone(), token.clone(), now));
        self.effects.launches.push(Launch {
            worker: WorkerId { key, serial },
            kind,
            token,
        });
        key
    }

    /// Tells a worker to load its function.
    fn order_load(&mut self, key: usize, now: Instant) {
        let Some(worker) = self.workers.get_mut(key) else {
            return;
        };
        let Some((_, spec)) = worker.serves.clone() else {
            return;
        };
        worker.stage = Stage::Loading;
        worker.since = now;
        self.order(key, Order::Load, &spec.order);
    }

    /// A worker is of no use any more; its end is awaited to know more.
    fn lose(&mut self, key: usize, ending: Ending) {
        let Some(worker) = self.workers.get_mut(key) else {
            return;
        };
        worker.ending.get_or_insert(ending);
        worker.control = None;
        worker.link = None;
        worker.token = None;
        if let Some((number, _)) = worker.serves {
            self.forget_worker(number, key);
        }
    }

    /// Ends a worker and fails the calls that it runs.
    fn kill(&mut self, key: usize, ending: Ending, now: Instant) {
        self.lose(key, ending);
        let Some(worker) = self.workers.get_mut(key) else {
            return;
        };
        let running = std::mem::take(&mut worker.running);
        let memory_mb = worker.kind.memory_mb;
        for call in running {
            let error = match ending {
                Ending::Memory => CallError::OutOfMemory { limit_mb: memory_mb },
                Ending::Garbled => CallError::WorkerFailed {
                    why: "the function's process wrote into the runtime's own connection and was ended"
                        .to_owned(),
                },
                _ => CallError::WorkerFailed {
                    why: "the function's process was ended".to_owned(),
                },
            };
            self.detach(call);
            self.finish(call, Err(error), now);
        }
    }

    /// The call's worker has nothing to do with it any more.
    fn detach(&mut self, key: usize) {
        if let Some(slot) = self.calls.get_mut(key) {
            slot.worker = None;
        }
    }

    fn forget_worker(&mut self, number: usize, key: usize) {
        if let Some(function) = self.functions.get_mut(number) {
            function.workers.retain(|worker| *worker != key);
        }
    }

    // What workers say ----------------------------------------------------------------------------------------------

    /// The worker whose token this is; a token is good once.
    pub(crate) fn redeem(&mut self, token: &str) -> Option<WorkerId> {
        let (key, worker) = self
            .workers
            .iter_mut()
            .find(|(_, worker)| worker.token.as_deref() == Some(token))?;
        worker.token = None;
        Some(WorkerId {
            key,
            serial: worker.serial,
        })
    }

    /// A live worker.
    pub(crate) fn worker(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.workers
            .get_mut(id.key)
            .filter(|worker| worker.serial == id.serial && worker.ending.is_none())
    }

    /// A worker is connected and can be told what to do.
    pub(crate) fn connected(
        &mut self,
        id: WorkerId,
        link: crate::link::Link,
        pid: Option<i32>,
        now: Instant,
    ) -> bool {
        let cache = self.cache.clone();
        let Some(worker) = self.worker(id) else {
            return false;
        };
        worker.link = Some(link);
        worker.pid = pid;
        worker.since = now;
        let pack = worker.kind.pack(&cache);
        worker.stage = Stage::Preparing;
        match pack {
            // A worker whose function is known by now loads the SDK with it.
            Some(pack) if worker.serves.is_none() => self.order(id.key, Order::Prepare, &pack.to_string()),
            _ => self.prepared(id, now),
        }
        self.worker(id).is_some()
    }

    /// Tells a worker to do something other than a call.
    fn order(&mut self, key: usize, order: Order, text: &str) {
        let Some(worker) = self.workers.get_mut(key) else {
            return;
        };
        let frame = spec::order(order, text);
        let sent = worker.link.as_mut().zip(frame);
        if sent.is_none_or(|(link, frame)| link.push(&frame, false).is_err()) {
            self.lose(key, Ending::HungUp);
        }
    }

    pub(crate) fn prepared(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.worker(id) else { return };
        if worker.stage != Stage::Preparing {
            return self.kill(id.key, Ending::Garbled, now);
        }
        worker.stage = Stage::Spare;
        worker.since = now;
        let serves = worker.serves.is_some();
        self.effects.changed = true;
        if serves {
            self.order_load(id.key, now);
        }
    }

    pub(crate) fn loaded(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.worker(id) else { return };
        let (Stage::Loading, Some((number, _))) = (worker.stage, &worker.serves) else {
            return self.kill(id.key, Ending::Garbled, now);
        };
        let number = *number;
        worker.stage = Stage::Ready;
        worker.since = now;
        if worker.draining {
            self.kill(id.key, Ending::Retired, now);
        } else {
            self.dispatch(number, now);
        }
    }

    /// A function did not load. If trying again is no use, all calls fail until it is loaded anew; else only one does, and
    /// the next one tries again, as on the platform.
    pub(crate) fn load_failed(&mut self, id: WorkerId, error: CallError, lasting: bool, now: Instant) {
        let Some(worker) = self.worker(id) else { return };
        let serves = worker.serves.clone();
        self.kill(id.key, Ending::Retired, now);
        let Some((number, spec)) = serves else { return };
        let Some(function) = self.functions.get_mut(number) else {
            return;
        };
        // A reload may have come in between: then nothing is known about the new one.
        if !function
            .spec
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, &spec))
        {
            return;
        }
        if lasting {
            function.broken = Some(error.clone());
            self.fail_waiting(number, &error, now);
        } else {
            self.fail_next(number, error, now);
        }
    }

    /// A worker did not come to work: the call that it was to serve fails. So every start is paid for by a call, and none
    /// waits for ever.
    fn fail_next(&mut self, number: usize, error: CallError, now: Instant) {
        if let Some(key) = self
            .functions
            .get_mut(number)
            .and_then(|function| function.queue.pop())
        {
            self.finish(key, Err(error), now);
        }
        self.dispatch(number, now);
    }

    fn fail_waiting(&mut self, number: usize, error: &CallError, now: Instant) {
        let Some(function) = self.functions.get_mut(number) else {
            return;
        };
        for key in function.queue.drain() {
            self.finish(key, Err(error.clone()), now);
        }
    }

    /// A worker answers a call. False when it does not have this call: then it is not to be trusted.
    pub(crate) fn answered(
        &mut self,
        id: WorkerId,
        call: u32,
        result: Result<Reply, CallError>,
        uncaught: bool,
        now: Instant,
    ) -> bool {
        let key = call as usize;
        let Some(worker) = self.worker(id) else {
            return false;
        };
        let Some(at) = worker.running.iter().position(|running| *running == key) else {
            return false;
        };
        worker.running.swap_remove(at);
        worker.since = now;
        let Some((number, _)) = worker.serves else {
            return false;
        };
        if uncaught {
            worker.draining = true;
        }
        let (draining, idle) = (worker.draining, worker.running.is_empty());
        let Some(slot) = self.calls.get_mut(key) else {
            return false;
        };
        slot.worker = None;
        if let (Some(started), Some(function)) = (slot.started, self.functions.get_mut(number)) {
            let ran = now.saturating_duration_since(started);
            function.usual = Some(function.usual.map_or(ran, |usual| (usual * 7 + ran) / 8));
        }
        if draining {
            self.forget_worker(number, id.key);
            if idle {
                self.kill(id.key, Ending::Retired, now);
            }
        }
        // The worker gets its next call before the caller of this one is told: it has nothing else to do.
        self.dispatch(number, now);
        self.finish(key, result, now);
        true
    }

    /// A line of output, of a call or of none.
    pub(crate) fn printed(&mut self, id: WorkerId, call: Option<u32>, line: Line) -> bool {
        let limit = self.log_limit;
        let Some(worker) = self.worker(id) else {
            return false;
        };
        match call {
            Some(call) => {
                let key = call as usize;
                if !worker.running.contains(&key) {
                    return false;
                }
                if let Some(slot) = self.calls.get_mut(key) {
                    slot.logs.push(limit, line);
                }
            }
            None => self.printed_outside(id, line),
        }
        true
    }

    pub(crate) fn dropped(&mut self, id: WorkerId, call: u32, bytes: u64) -> bool {
        let key = call as usize;
        let Some(worker) = self.worker(id) else {
            return false;
        };
        if !worker.running.contains(&key) {
            return false;
        }
        if let Some(slot) = self.calls.get_mut(key) {
            slot.logs.drop_bytes(bytes);
        }
        true
    }

    /// Output that came by a descriptor, from native code or a child: it is the running call's if there is exactly one.
    pub(crate) fn printed_raw(&mut self, id: WorkerId, level: crate::Level, text: String, now: Instant) {
        let limit = self.log_limit;
        let Some(worker) = self
            .workers
            .get(id.key)
            .filter(|worker| worker.serial == id.serial)
        else {
            return;
        };
        if let [key] = worker.running.as_slice()
            && let Some(slot) = self.calls.get_mut(*key)
        {
            let at = slot
                .started
                .map_or(Duration::ZERO, |started| now.saturating_duration_since(started));
            slot.logs.push(limit, Line { level, at, text });
        } else {
            self.printed_outside(
                id,
                Line {
                    level,
                    at: Duration::ZERO,
                    text,
                },
            );
        }
    }

    fn printed_outside(&mut self, id: WorkerId, line: Line) {
        let function = self
            .workers
            .get(id.key)
            .and_then(|worker| worker.serves.as_ref())
            .map(|(_, spec)| spec.name.clone());
        self.effects.progress.push(Progress::Output { function, line });
    }

    /// A worker sent what no worker sends.
    pub(crate) fn garbled(&mut self, id: WorkerId, now: Instant) {
        if self.worker(id).is_some() {
            self.kill(id.key, Ending::Garbled, now);
        }
    }

    pub(crate) fn hung_up(&mut self, id: WorkerId) {
        if self.worker(id).is_some() {
            self.lose(id.key, Ending::HungUp);
        }
    }

    /// A worker and everything it had started are dead. `how` says with which status; `error` what that means for the
    /// calls that it still had.
    pub(crate) fn exited(&mut self, id: WorkerId, error: &CallError, now: Instant) {
        if self
            .workers
            .get(id.key)
            .is_none_or(|worker| worker.serial != id.serial)
        {
            return;
        }
        self.lose(id.key, Ending::HungUp);
        let worker = self.workers.remove(id.key);
        self.effects.changed = true;
        for call in worker.running {
            self.detach(call);
            self.finish(call, Err(error.clone()), now);
        }
        let Some((number, spec)) = worker.serves else {
            return;
        };
        let Some(function) = self.functions.get(number) else {
            return;
        };
        let current = function
            .spec
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, &spec));
        if worker.stage != Stage::Ready && worker.ending != Some(Ending::Retired) && current {
            self.fail_next(number, error.clone(), now);
        } else {
            self.dispatch(number, now);
        }
    }

    /// The process of a worker runs; `control` is what ends it. False when it is not wanted any more.
    pub(crate) fn launched(&mut self, id: WorkerId, control: tokio::process::ChildStdin) {
        // Without a worker the control is dropped, which ends the process.
        if let Some(worker) = self.worker(id) {
            worker.control = Some(control);
        }
    }

    // Time ----------------------------------------------------------------------------------------------------------

    /// Ends what took too long, and starts workers for what waits too long. False when there is nothing to watch.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        if self.calls.is_empty() {
            self.ticking = false;
            return false;
        }
        let mut late = Vec::new();
        for (key, slot) in &self.calls {
            if slot.settled {
                continue;
            }
            if slot.frame.is_none() {
                if slot.deadline.is_some_and(|deadline| deadline <= now) {
                    late.push((key, CallError::TimedOut { after: slot.budget }));
                }
                continue;
            }
            let Some(function) = self.functions.get(slot.function) else {
                continue;
            };
            let waits_too_long = now.saturating_duration_since(slot.arrived) > slot.budget;
            // Starting a worker and loading a function is not the caller's time.
            let coming = || {
                function
                    .workers
                    .iter()
                    .filter_map(|key| self.workers.get(*key))
                    .any(|worker| worker.stage != Stage::Ready || worker.kind.inspect.is_some())
            };
            if waits_too_long && !coming() {
                late.push((key, CallError::QueueFull));
            }
        }
        for (key, error) in late {
            self.end(key, error, now);
        }
        for number in 0..self.functions.len() {
            self.dispatch(number, now);
        }
        self.end_stuck(now);
        true
    }

    /// Ends workers that do not get ready.
    pub(crate) fn end_stuck(&mut self, now: Instant) {
        let stuck: Vec<usize> = self
            .workers
            .iter()
            .filter(|(_, worker)| {
                let starting = !matches!(worker.stage, Stage::Ready | Stage::Spare);
                starting
                    && worker.kind.inspect.is_none()
                    && now.saturating_duration_since(worker.since) > LOAD_LIMIT
            })
            .map(|(key, _)| key)
            .collect();
        for key in stuck {
            let Some(worker) = self.workers.get(key).filter(|worker| worker.ending.is_none()) else {
                continue;
            };
            let serves = worker.serves.as_ref().map(|(number, _)| *number);
            self.kill(key, Ending::Stuck, now);
            if let Some(number) = serves {
                let seconds = LOAD_LIMIT.as_secs();
                let why = format!("the function's modules did not load within {seconds} s");
                self.fail_waiting(number, &CallError::CannotRun { why }, now);
            }
        }
    }

    /// Ends workers that have had nothing to do for long.
    pub(crate) fn retire_idle(&mut self, now: Instant) {
        let idle: Vec<usize> = self
            .workers
            .iter()
            .filter(|(_, worker)| {
                worker.stage == Stage::Ready
                    && worker.running.is_empty()
                    && worker.kind.inspect.is_none()
                    && worker.ending.is_none()
                    && now.saturating_duration_since(worker.since) > IDLE_LIFE
            })
            .map(|(key, _)| key)
            .collect();
        for key in idle {
            self.kill(key, Ending::Retired, now);
        }
    }

    /// The processes whose memory is to be watched: those that run calls.
    pub(crate) fn busy_processes(&self) -> Vec<(WorkerId, i32, u32)> {
        self.workers
            .iter()
            .filter(|(_, worker)| !worker.running.is_empty() && worker.ending.is_none())
            .filter_map(|(key, worker)| {
                Some((
                    WorkerId {
                        key,
                        serial: worker.serial,
                    },
                    worker.pid?,
                    worker.kind.memory_mb,
                ))
            })
            .collect()
    }

    pub(crate) fn process_of(&self, id: WorkerId) -> Option<i32> {
        self.workers
            .get(id.key)
            .filter(|worker| worker.serial == id.serial)?
            .pid
    }

    pub(crate) fn exceeds_memory(&mut self, id: WorkerId, now: Instant) {
        if self.worker(id).is_some() {
            self.kill(id.key, Ending::Memory, now);
        }
    }

    // Loading -------------------------------------------------------------------------------------------------------

    /// Puts a set of functions in place of the one before. Workers of functions that did not change stay; others finish
    /// what they run.
    pub(crate) fn install(&mut self, specs: Vec<Arc<Spec>>, now: Instant) {
        let mut gone: Vec<bool> = vec![true; self.functions.len()];
        for spec in &specs {
            let number = match self.names.get(&spec.name) {
                Some(number) => *number,
                None => {
                    self.functions.push(Function {
                        spec: None,
                        queue: Queue::default(),
                        workers: Vec::new(),
                        broken: None,
                        usual: None,
                    });
                    let number = self.functions.len() - 1;
                    self.names.insert(spec.name.clone(), number);
                    number
                }
            };
            if let Some(gone) = gone.get_mut(number) {
                *gone = false;
            }
            self.replace(number, Some(Arc::clone(spec)), now);
        }
        for (number, gone) in gone.into_iter().enumerate() {
            if gone {
                self.replace(number, None, now);
                self.fail_waiting(number, &CallError::NotFound, now);
            }
        }

        // A debugger is to be attached before the first call.
        for spec in specs
            .iter()
            .filter(|spec| spec.is_inspected() && spec.problem.is_none())
        {
            if let Some(number) = self.names.get(&spec.name).copied()
                && self
                    .functions
                    .get(number)
                    .is_some_and(|function| function.workers.is_empty())
            {
                self.start_worker(number, spec, now);
            }
        }

        self.spares.clear();
        for spec in specs
            .iter()
            .filter(|spec| spec.problem.is_none() && !spec.is_inspected())
        {
            if !self.spares.contains(&spec.kind) {
                self.spares.push(spec.kind.clone());
            }
        }
        let unwanted: Vec<usize> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.serves.is_none() && !self.spares.contains(&worker.kind))
            .map(|(key, _)| key)
            .collect();
        for key in unwanted {
            self.kill(key, Ending::Retired, now);
        }
    }

    fn replace(&mut self, number: usize, spec: Option<Arc<Spec>>, now: Instant) {
        let Some(function) = self.functions.get_mut(number) else {
            return;
        };
        function.broken = None;
        let same = match (&function.spec, &spec) {
            (Some(old), Some(new)) => old.fingerprint == new.fingerprint && old.problem == new.problem,
            _ => false,
        };
        if same {
            return;
        }
        let problem = spec.as_ref().and_then(|spec| spec.problem.clone());
        function.spec = spec;
        function.usual = None;
        for key in std::mem::take(&mut function.workers) {
            let Some(worker) = self.workers.get_mut(key) else {
                continue;
            };
            worker.draining = true;
            if worker.running.is_empty() {
                self.kill(key, Ending::Retired, now);
            }
        }
        if let Some(why) = problem {
            self.fail_waiting(number, &CallError::CannotRun { why }, now);
        }
        self.dispatch(number, now);
    }

    /// Which functions changed, compared with what is there.
    pub(crate) fn is_known(&self, spec: &Spec) -> bool {
        self.names
            .get(&spec.name)
            .and_then(|number| self.functions.get(*number)?.spec.as_ref())
            .is_some_and(|known| known.fingerprint == spec.fingerprint)
    }

    /// Starts one spare that is missing. False when none is.
    pub(crate) fn fill_up(&mut self, now: Instant) -> bool {
        if self.closed {
            return false;
        }
        let missing = self.spares.iter().find(|kind| {
            self.workers
                .iter()
                .filter(|(_, worker)| worker.is_spare(kind))
                .count()
                < self.spares_each
        });
        let Some(kind) = missing.cloned() else {
            return false;
        };
        self.launch(kind, now);
        true
    }

    /// Whether every spare that is to be there waits for a function.
    pub(crate) fn spares_ready(&self) -> bool {
        self.spares.iter().all(|kind| {
            let ready = |worker: &Worker| worker.is_spare(kind) && worker.stage == Stage::Spare;
            self.workers.iter().filter(|(_, worker)| ready(worker)).count() >= self.spares_each
        })
    }

    /// Ends everything; nothing starts any more.
    pub(crate) fn close(&mut self, now: Instant) {
        self.closed = true;
        self.spares.clear();
        let why = "the runtime is shutting down".to_owned();
        for number in 0..self.functions.len() {
            self.fail_waiting(number, &CallError::WorkerFailed { why: why.clone() }, now);
        }
        let all: Vec<usize> = self.workers.iter().map(|(key, _)| key).collect();
        for key in all {
            self.kill(key, Ending::Retired, now);
        }
    }

    pub(crate) fn has_workers(&self) -> bool {
        !self.workers.is_empty()
    }
}

/// A result as it came.
pub(crate) fn reply(json: Option<Bytes>) -> Result<Reply, CallError> {
    Ok(Reply { json })
}
