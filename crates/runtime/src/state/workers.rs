//! Workers: which one takes a call, when another is started, how one is ended.

use std::{sync::Arc, time::Instant};

use process::{Launch, WorkerId};

use super::{Effect, NESTED_EXTRA, PATIENCE, Stage, State, calls::After};
use crate::{
    call::CallError,
    logs::Logs,
    spec::{Kind, Spec},
    worker::{self, Ended, Ending, Task, Worker},
};

impl<C> State<C> {
    /// A worker that can take a call of this function now. Calls that no function made get no more workers than the function
    /// may have without them: the others are meant for nested calls, whose callers hold a worker while they wait.
    pub(super) fn free_worker(&self, number: usize, nested: bool) -> Option<usize> {
        let function = self.functions.get(number)?;
        let spec = function.spec.as_ref()?;
        let (mut best, mut least, mut roots) = (None, usize::MAX, 0);
        for key in &function.workers {
            let Some(serving) = self.workers.get(*key).and_then(Worker::serving) else {
                continue;
            };
            roots += serving.roots;
            if serving.has_room() && serving.running.len() < least {
                (best, least) = (Some(*key), serving.running.len());
            }
        }
        best.filter(|_| nested || roots < spec.max_instances * spec.concurrency)
    }

    /// Hands waiting calls to workers that have room, and starts workers for the rest.
    pub(super) fn dispatch(&mut self, number: usize, now: Instant) {
        while let Some(function) = self.functions.get_mut(number)
            && !function.queue.is_empty()
        {
            let nested = function.queue.nested() > 0;
            let Some(worker) = self.free_worker(number, nested) else {
                break;
            };
            let next = self.functions.get_mut(number).and_then(|it| it.queue.pop());
            if let Some(key) = next {
                self.hand(worker, key, now);
            }
        }
        self.scale(number, now);
    }

    /// The same for all functions, the one whose next call has waited longest first.
    pub(super) fn dispatch_waiting(&mut self, now: Instant) {
        let mut waiting: Vec<(Instant, usize)> = self
            .functions
            .iter()
            .enumerate()
            .filter_map(|(number, function)| {
                let slot = self.calls.get(function.queue.front()?)?;
                Some((slot.arrived, number))
            })
            .collect();
        waiting.sort_unstable();
        for (_, number) in waiting {
            self.dispatch(number, now);
        }
    }

    /// Gives a call to a worker.
    fn hand(&mut self, worker_key: usize, key: usize, now: Instant) {
        let (Some(worker), Some(slot)) = (self.workers.get_mut(worker_key), self.calls.get_mut(key)) else {
            return;
        };
        let id = WorkerId {
            key: worker_key,
            serial: worker.serial,
        };
        let inspected = worker.kind.inspect.is_some();
        let (Some(serving), Ok(call)) = (worker.serving_mut(), u32::try_from(key)) else {
            return;
        };
        let running = Stage::Running {
            worker: worker_key,
            started: now,
            deadline: (!inspected).then(|| now + slot.budget),
            logs: Logs::default(),
            caller: None,
        };
        let Stage::Waiting { frame, caller } = std::mem::replace(&mut slot.stage, running) else {
            return;
        };
        if let Stage::Running { caller: place, .. } = &mut slot.stage {
            *place = Some(caller);
        }
        self.effects.push(Effect::Call {
            worker: id,
            call,
            frame,
            left_ms: u32::try_from(slot.budget.as_millis()).unwrap_or(u32::MAX),
            later: !serving.running.is_empty(),
        });
        serving.running.push(key);
        serving.roots += usize::from(slot.depth == 0);
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
        let coming = self.coming_room(number);
        let there = function.workers.len();
        let ready = there - coming / spec.concurrency;
        let uncovered = waiting.saturating_sub(coming);
        if uncovered == 0 {
            return;
        }
        let nested = function.queue.nested();
        let front = function.queue.front().and_then(|key| self.calls.get(key));
        let patient = ready > 0
            && nested == 0
            && front.is_some_and(|slot| now.saturating_duration_since(slot.arrived) < PATIENCE)
            && function.usual.is_some_and(|usual| {
                let turns = waiting.div_ceil(ready * spec.concurrency);
                usual.saturating_mul(u32::try_from(turns).unwrap_or(u32::MAX)) < PATIENCE
            });
        if patient {
            return;
        }
        let wanted = uncovered
            .div_ceil(spec.concurrency)
            .min(spec.max_instances.saturating_sub(there));
        // Somebody who holds a worker waits for the nested ones, which stand in front: they may start more.
        let nested = nested
            .saturating_sub(coming)
            .div_ceil(spec.concurrency)
            .min((spec.max_instances + NESTED_EXTRA).saturating_sub(there));
        let wanted = wanted.max(nested);
        for started in 0..wanted {
            if !self.has_spare(&spec.kind) && self.workers.len() >= self.most_workers(started < nested) {
                self.make_room(number, wanted - started, now);
                break;
            }
            self.start_worker(number, &spec, now);
        }
        self.refuse_entangled(number, now);
    }

    /// How many calls the workers will take that are on their way to this function.
    pub(super) fn coming_room(&self, number: usize) -> usize {
        let Some(function) = self.functions.get(number) else {
            return 0;
        };
        let workers = function.workers.iter().filter_map(|key| self.workers.get(*key));
        let coming = workers.filter(|worker| worker.is_coming()).count();
        coming * function.spec.as_ref().map_or(1, |spec| spec.concurrency)
    }

    /// How many workers there may be when one more is to be started.
    fn most_workers(&self, nested: bool) -> usize {
        self.limits.workers + if nested { NESTED_EXTRA } else { 0 }
    }

    fn has_spare(&self, kind: &Kind) -> bool {
        self.workers
            .iter()
            .any(|(_, worker)| worker.is_free() && worker.kind == *kind)
    }

    /// Whether a worker can be started now, or when one has ended that nobody needs.
    pub(super) fn may_start(&self, spec: &Spec, nested: bool) -> bool {
        self.workers.len() < self.most_workers(nested)
            || self.has_spare(&spec.kind)
            || self
                .workers
                .iter()
                .any(|(_, worker)| worker.is_ending() || can_go(worker))
    }

    /// There are as many workers as there may be: those that have been idle longest go, or spares of other kinds. What waits
    /// goes on when they are dead.
    fn make_room(&mut self, number: usize, wanted: usize, now: Instant) {
        let ending = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.is_ending())
            .count();
        let mut idle: Vec<(bool, Instant, usize)> = self
            .workers
            .iter()
            .filter(|(_, worker)| can_go(worker) && worker.task().is_none_or(|task| task.function != number))
            .map(|(key, worker)| (worker.is_free(), worker.since, key))
            .collect();
        idle.sort_unstable();
        for (.., key) in idle.into_iter().take(wanted.saturating_sub(ending)) {
            self.kill(key, Ending::Retired, now);
        }
    }

    /// Nested calls that would wait for what their ancestors hold are told so.
    fn refuse_entangled(&mut self, number: usize, now: Instant) {
        while let Some(function) = self.functions.get(number)
            && function.queue.nested() > self.coming_room(number)
            && let Some(key) = function.queue.last_nested()
            && let Some(slot) = self.calls.get(key)
            && self.is_entangled(number, slot.parent)
        {
            let error = self.entangled(number);
            if let Some(function) = self.functions.get_mut(number) {
                function.queue.remove(key);
            }
            self.settle(key, Err(error), After::Gone, now);
        }
    }

    /// Gives a function one more worker: a spare if there is one, the most advanced first.
    pub(super) fn start_worker(&mut self, number: usize, spec: &Arc<Spec>, now: Instant) {
        let spare = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.is_free() && worker.kind == spec.kind)
            .max_by_key(|(_, worker)| worker.progress())
            .map(|(key, _)| key);
        let key = match spare {
            Some(key) => {
                self.effects.push(Effect::Refill);
                key
            }
            None => self.launch(spec.kind.clone(), now),
        };
        let Some(worker) = self.workers.get_mut(key) else {
            return;
        };
        if let Some(function) = self.functions.get_mut(number) {
            function.workers.push(key);
        }
        let given = Task {
            function: number,
            spec: Arc::clone(spec),
        };
        match &mut worker.stage {
            worker::Stage::Starting(task) | worker::Stage::Preparing(task) => *task = Some(given),
            _ => self.load(key, given, now),
        }
    }

    /// Starts a worker that has no function yet.
    pub(super) fn launch(&mut self, kind: Kind, now: Instant) -> usize {
        self.serial += 1;
        let serial = self.serial;
        let (memory_mb, inspect) = (kind.memory_mb, kind.inspect);
        let key = self.workers.insert(Worker::new(serial, kind, now));
        self.effects.push(Effect::Launch(Launch {
            worker: WorkerId { key, serial },
            memory_mb,
            inspect,
        }));
        key
    }

    /// Has a worker load its function.
    pub(super) fn load(&mut self, key: usize, task: Task, now: Instant) {
        let Some(worker) = self.workers.get_mut(key) else {
            return;
        };
        self.effects.push(Effect::Load {
            worker: WorkerId {
                key,
                serial: worker.serial,
            },
            spec: Arc::clone(&task.spec),
        });
        worker.stage = worker::Stage::Loading(task);
        worker.since = now;
    }

    /// A worker is of no use any more; its end is awaited to know more.
    pub(super) fn lose(&mut self, key: usize, why: Ending) {
        let Some(worker) = self.workers.get_mut(key).filter(|worker| !worker.is_ending()) else {
            return;
        };
        let number = worker.task().map(|task| task.function);
        let ended = Ended {
            why,
            task: None,
            was_ready: false,
            running: Vec::new(),
        };
        let before = std::mem::replace(&mut worker.stage, worker::Stage::Ending(ended));
        if let worker::Stage::Ending(ended) = &mut worker.stage {
            match before {
                worker::Stage::Starting(task) | worker::Stage::Preparing(task) => ended.task = task,
                worker::Stage::Loading(task) => ended.task = Some(task),
                worker::Stage::Ready(serving) => {
                    ended.task = Some(serving.task);
                    ended.was_ready = true;
                    ended.running = serving.running;
                }
                worker::Stage::Spare | worker::Stage::Ending(_) => {}
            }
        }
        self.effects.push(Effect::End(WorkerId {
            key,
            serial: worker.serial,
        }));
        if let Some(number) = number {
            self.forget_worker(number, key);
        }
    }

    /// Ends a worker and fails the calls that it runs.
    pub(super) fn kill(&mut self, key: usize, why: Ending, now: Instant) {
        self.lose(key, why);
        let Some(worker) = self.workers.get_mut(key) else {
            return;
        };
        let worker::Stage::Ending(ended) = &mut worker.stage else {
            return;
        };
        let running = std::mem::take(&mut ended.running);
        let error = why
            .error(worker.kind.memory_mb)
            .unwrap_or_else(|| CallError::WorkerFailed {
                why: "the function's process was ended".to_owned(),
            });
        for call in running {
            self.settle(call, Err(error.clone()), After::Gone, now);
        }
    }

    /// Ends a worker that takes no new calls and for whose calls nobody waits.
    pub(super) fn end_if_done(&mut self, key: usize, why: Ending, now: Instant) {
        let serving = self.workers.get(key).and_then(Worker::serving);
        if serving.is_some_and(|serving| serving.draining) && self.is_done(key) {
            self.kill(key, why, now);
        }
    }

    /// Whether nobody waits for any of its calls.
    pub(super) fn is_done(&self, key: usize) -> bool {
        let Some(serving) = self.workers.get(key).and_then(Worker::serving) else {
            return false;
        };
        let settled = |call: &usize| self.calls.get(*call).is_none_or(|slot| slot.is_settled());
        serving.running.iter().all(settled)
    }

    pub(super) fn forget_worker(&mut self, number: usize, key: usize) {
        if let Some(function) = self.functions.get_mut(number) {
            function.workers.retain(|worker| *worker != key);
        }
    }
}

/// Whether a worker may be ended for another one's sake.
fn can_go(worker: &Worker) -> bool {
    worker.kind.inspect.is_none() && (worker.is_idle() || worker.is_free())
}
