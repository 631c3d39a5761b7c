//! What workers and their processes say, and what follows from it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use function::FunctionName;
use process::{Level, OutputLine, WorkerAnswer, WorkerEnd, WorkerId, WorkerMessage};

use super::{Effect, FailedStart, Stage, State, calls::After};
use crate::{
    call::{CallError, FunctionReply, InvocationId},
    observer::PrintedLine,
    worker::{self, Ending, Serving, Worker},
};

impl<C> State<C> {
    /// A worker that was not told to end and has not hung up.
    pub(super) fn live(&self, id: WorkerId) -> Option<&Worker> {
        self.workers
            .get(id.key)
            .filter(|worker| worker.serial == id.serial && !worker.is_ending())
    }

    fn live_mut(&mut self, id: WorkerId) -> Option<&mut Worker> {
        self.workers
            .get_mut(id.key)
            .filter(|worker| worker.serial == id.serial && !worker.is_ending())
    }

    /// The function that a live worker serves, or will.
    pub(crate) fn function_of(&self, id: WorkerId) -> Option<FunctionName> {
        Some(self.live(id)?.task()?.spec.name.clone())
    }

    /// A worker is connected and can be told what to do.
    pub(crate) fn connected(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.live_mut(id) else { return };
        let worker::Stage::Starting(task) = &mut worker.stage else {
            return;
        };
        let task = task.take();
        // A worker whose function is known by now loads the SDK with it.
        let pack = match &task {
            None => worker.kind.pack.clone(),
            Some(_) => None,
        };
        worker.stage = worker::Stage::Preparing(task);
        worker.since = now;
        self.failed_start = None;
        match pack {
            Some(pack) => self.effects.push(Effect::Prepare { worker: id, pack }),
            None => {
                self.prepared(id, now);
            }
        }
    }

    /// A worker said something. False when no worker in its place would: then it was ended, or it was on its way out.
    pub(crate) fn received(&mut self, id: WorkerId, message: WorkerMessage, now: Instant) -> bool {
        let sensible = match message {
            WorkerMessage::Answered { call, answer } => self.answered(id, call, answer, now),
            WorkerMessage::Printed { call, line } => self.printed(id, call, line),
            WorkerMessage::Dropped { call, bytes } => self.dropped(id, call, bytes),
            WorkerMessage::Prepared => self.prepared(id, now),
            WorkerMessage::Loaded => self.loaded(id, now),
            // Not a matter of who runs what.
            WorkerMessage::Modules(_) => true,
            WorkerMessage::LoadFailed { thrown, lasting } => {
                self.load_failed(id, thrown.into(), lasting, now)
            }
        };
        if !sensible {
            self.garbled(id, now);
        }
        sensible
    }

    fn prepared(&mut self, id: WorkerId, now: Instant) -> bool {
        let Some(worker) = self.live_mut(id) else {
            return false;
        };
        let worker::Stage::Preparing(task) = &mut worker.stage else {
            return false;
        };
        let task = task.take();
        worker.since = now;
        match task {
            Some(task) => self.load(id.key, task, now),
            None => {
                worker.stage = worker::Stage::Spare;
                self.effects.push(Effect::Changed);
            }
        }
        true
    }

    fn loaded(&mut self, id: WorkerId, now: Instant) -> bool {
        let Some(worker) = self.live_mut(id) else {
            return false;
        };
        let worker::Stage::Loading(task) = &worker.stage else {
            return false;
        };
        let task = task.clone();
        let number = task.function;
        worker.stage = worker::Stage::Ready(Serving {
            task,
            running: Vec::new(),
            roots: 0,
            draining: false,
        });
        worker.since = now;
        self.dispatch(number, now);
        true
    }

    /// A worker whose function did not load stands for it until then, so that the calls that wait for it go on waiting.
    pub(crate) fn hold(&mut self, id: WorkerId, until: Instant) {
        if let Some(worker) = self.live_mut(id) {
            worker.since = until;
        }
    }

    /// A function did not load. If trying again is no use, all calls fail until it is loaded anew; else only one does, and
    /// the next one tries again, as on the platform.
    fn load_failed(&mut self, id: WorkerId, error: CallError, lasting: bool, now: Instant) -> bool {
        let Some(worker::Stage::Loading(task)) = self.live(id).map(|worker| &worker.stage) else {
            return false;
        };
        let task = task.clone();
        self.kill(id.key, Ending::Retired, now);
        // A reload may have come in between: then nothing is known about the new one.
        if !self.is_current(&task) {
            return true;
        }
        if lasting {
            if let Some(function) = self.functions.get_mut(task.function) {
                function.broken = Some(error.clone());
            }
            self.fail_waiting(task.function, &error, now);
        } else {
            self.fail_next(task.function, error, now);
        }
        true
    }

    /// A worker did not come to work: the call that it was to serve fails. So every start is paid for by a call, and none
    /// waits for ever.
    fn fail_next(&mut self, number: usize, error: CallError, now: Instant) {
        let next = self
            .functions
            .get_mut(number)
            .and_then(|function| function.queue.pop());
        if let Some(key) = next {
            self.settle(key, Err(error), After::Gone, now);
        }
        self.dispatch(number, now);
    }

    pub(super) fn fail_waiting(&mut self, number: usize, error: &CallError, now: Instant) {
        let Some(function) = self.functions.get_mut(number) else {
            return;
        };
        for key in function.queue.drain() {
            self.settle(key, Err(error.clone()), After::Gone, now);
        }
    }

    /// A worker answers a call. False when it does not have this call.
    fn answered(&mut self, id: WorkerId, call: u32, answer: WorkerAnswer, now: Instant) -> bool {
        let key = call as usize;
        let Some(worker) = self.workers.get_mut(id.key).filter(|it| it.serial == id.serial) else {
            return false;
        };
        worker.since = now;
        let Some(serving) = worker.serving_mut() else {
            return false;
        };
        let (Some(at), Some(slot)) = (
            serving.running.iter().position(|running| *running == key),
            self.calls.get(key),
        ) else {
            return false;
        };
        serving.running.swap_remove(at);
        serving.roots -= usize::from(slot.depth == 0);
        if matches!(answer, WorkerAnswer::Threw { uncaught: true, .. }) {
            serving.draining = true;
        }
        let (number, draining) = (serving.task.function, serving.draining);
        if let Stage::Running { started, .. } = slot.stage {
            self.learn(number, now.saturating_duration_since(started));
        }
        if draining {
            self.forget_worker(number, id.key);
            self.end_if_done(id.key, Ending::Retired, now);
        }
        // The worker gets its next call before the caller of this one is told: it has nothing else to do.
        self.dispatch(number, now);
        self.settle(key, result(answer), After::Gone, now);
        true
    }

    /// A line of output, of a call or of none. False when the worker does not have this call.
    fn printed(&mut self, id: WorkerId, call: Option<u32>, line: OutputLine) -> bool {
        let Some(worker) = self.live(id) else { return false };
        match call {
            Some(call) => {
                let key = call as usize;
                let has = worker
                    .serving()
                    .is_some_and(|serving| serving.running.contains(&key));
                if has {
                    self.printed_inside(id, key, line);
                }
                has
            }
            None => {
                self.tell(id, None, line);
                true
            }
        }
    }

    fn dropped(&mut self, id: WorkerId, call: Option<u32>, bytes: u64) -> bool {
        let Some(worker) = self.live(id) else { return false };
        let Some(call) = call else { return true };
        let key = call as usize;
        let has = worker
            .serving()
            .is_some_and(|serving| serving.running.contains(&key));
        if has
            && let Some(slot) = self.calls.get_mut(key)
            && let Stage::Running { logs, .. } = &mut slot.stage
        {
            logs.drop_bytes(bytes);
        }
        has
    }

    /// Output that came by a descriptor, from native code or a child: it is the running call's if there is exactly one.
    pub(crate) fn printed_raw(&mut self, id: WorkerId, level: Level, text: String, now: Instant) {
        let Some(worker) = self.workers.get(id.key).filter(|it| it.serial == id.serial) else {
            return;
        };
        let running = match &worker.stage {
            worker::Stage::Ready(serving) => serving.running.as_slice(),
            worker::Stage::Ending(ended) => ended.running.as_slice(),
            _ => &[],
        };
        let line = |at| OutputLine { level, at, text };
        if let [key] = *running
            && let Some(Stage::Running { started, .. }) = self.calls.get(key).map(|slot| &slot.stage)
        {
            let at = now.saturating_duration_since(*started);
            self.printed_inside(id, key, line(at));
        } else {
            self.tell(id, None, line(Duration::ZERO));
        }
    }

    /// A line of a call: kept for its outcome, and told now.
    fn printed_inside(&mut self, id: WorkerId, key: usize, line: OutputLine) {
        let Some(slot) = self.calls.get_mut(key) else {
            return;
        };
        match &mut slot.stage {
            Stage::Running { logs, .. } => {
                if logs.has_room(self.limits.log, &line) {
                    logs.push(line.clone());
                    let call = slot.id;
                    self.tell(id, Some(call), line);
                }
            }
            // The call is over for everybody but its worker.
            _ => self.tell(id, None, line),
        }
    }

    fn tell(&mut self, id: WorkerId, call: Option<InvocationId>, line: OutputLine) {
        let function = self.workers.get(id.key).and_then(|worker| {
            let task = match &worker.stage {
                worker::Stage::Ending(ended) => ended.task.as_ref(),
                _ => worker.task(),
            };
            Some(task?.spec.name.clone())
        });
        self.effects
            .push(Effect::Tell(PrintedLine { call, function, line }));
    }

    /// A worker sent what no worker sends.
    pub(crate) fn garbled(&mut self, id: WorkerId, now: Instant) {
        if self.live(id).is_some() {
            self.kill(id.key, Ending::Garbled, now);
        }
    }

    /// A worker closed its connection, or cannot be written to. What became of it is told by its exit status.
    pub(crate) fn hung_up(&mut self, id: WorkerId) {
        if self.live(id).is_some() {
            self.lose(id.key, Ending::HungUp);
        }
    }

    /// A worker uses far more memory than its function was given.
    pub(crate) fn exceeds_memory(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.live(id) else { return };
        let number = worker.task().map(|task| task.function);
        if worker.is_idle() {
            // No call tells it.
            let text = format!(
                "the function's process was ended between its calls: it used far more than its {} MB of memory",
                worker.kind.memory_mb
            );
            self.remark(id, text);
        }
        self.kill(id.key, Ending::Memory, now);
        if let Some(number) = number {
            self.dispatch(number, now);
        }
    }

    /// The runtime itself says something that no call tells.
    fn remark(&mut self, id: WorkerId, text: String) {
        let line = OutputLine {
            level: Level::Warn,
            at: Duration::ZERO,
            text,
        };
        self.tell(id, None, line);
    }

    /// A worker and everything it had started are dead. `end` says what that means for the calls that it still had, unless
    /// it was us who ended it.
    pub(crate) fn exited(&mut self, id: WorkerId, end: WorkerEnd, now: Instant) {
        if self
            .workers
            .get(id.key)
            .is_none_or(|worker| worker.serial != id.serial)
        {
            return;
        }
        self.did_not_come(id.key, || end.to_string(), now);
        self.lose(id.key, Ending::HungUp);
        if let Some(worker::Stage::Ending(ended)) = self.workers.get(id.key).map(|worker| &worker.stage)
            && ended.why == Ending::HungUp
            && ended.was_ready
            && ended.running.is_empty()
        {
            let text = format!("the function's process ended by itself between its calls: {end}");
            self.remark(id, text);
        }
        let worker = self.workers.remove(id.key);
        self.effects.push(Effect::Changed);
        let worker::Stage::Ending(ended) = worker.stage else {
            return;
        };
        let known = ended.why.error(worker.kind.memory_mb);
        let error = known.unwrap_or_else(|| CallError::of_end(end, worker.kind.memory_mb));
        for call in ended.running {
            self.settle(call, Err(error.clone()), After::Gone, now);
        }
        // Those that were ended by us have their calls provided for already.
        if let Some(task) = ended.task
            && !ended.was_ready
            && !matches!(ended.why, Ending::Retired | Ending::Stuck)
            && self.is_current(&task)
        {
            self.fail_next(task.function, error, now);
        }
        // There is room for one more worker.
        self.dispatch_waiting(now);
    }

    /// Notes it where a worker ends that has not come to work yet.
    pub(super) fn did_not_come(&mut self, key: usize, why: impl FnOnce() -> String, now: Instant) {
        if let Some(worker::Stage::Starting(_)) = self.workers.get(key).map(|worker| &worker.stage) {
            self.failed_start = Some(FailedStart { at: now, why: why() });
        }
    }

    /// The last start, if it failed.
    pub(crate) fn failed_start(&self) -> Option<&FailedStart> {
        self.failed_start.as_ref()
    }

    /// Whether what a worker serves is what was loaded last.
    fn is_current(&self, task: &worker::Task) -> bool {
        self.functions
            .get(task.function)
            .and_then(|function| function.spec.as_ref())
            .is_some_and(|current| Arc::ptr_eq(current, &task.spec))
    }
}

/// What a worker's answer is for the caller.
fn result(answer: WorkerAnswer) -> Result<FunctionReply, CallError> {
    match answer {
        WorkerAnswer::Json(json) => Ok(FunctionReply { json: Some(json) }),
        WorkerAnswer::Undefined => Ok(FunctionReply { json: None }),
        WorkerAnswer::Threw { thrown, .. } => Err(thrown.into()),
        WorkerAnswer::NotJson { message } => Err(CallError::NotJson { message }),
        WorkerAnswer::TooLarge { bytes } => Err(CallError::TooLarge { bytes }),
    }
}
