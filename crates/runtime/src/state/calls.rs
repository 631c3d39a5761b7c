//! Calls: from arrival to the outcome in the caller's hands, with the calls that they make in turn.

use std::time::{Duration, Instant};

use process::WorkerId;

use super::{Effect, NESTED_EXTRA, Slot, Stage, State};
use crate::{
    call::{CallError, CallOutcome, FunctionCall, FunctionReply, InvocationId, MAX_DEPTH},
    logs::Logs,
    peer::RunningCall,
    worker::Ending,
};

/// Names a call that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CallKey {
    key: usize,
    id: InvocationId,
}

/// What becomes of a call whose outcome is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum After {
    /// No worker has it, or its worker is done with it.
    Gone,
    /// Its worker, if it has one, is still at it.
    Lingers,
}

impl<C> State<C> {
    /// Takes a call: hands it to a worker, or lets it wait. `caller` is told the outcome; not when the call is refused.
    pub(crate) fn admit(
        &mut self,
        call: FunctionCall,
        caller: C,
        now: Instant,
    ) -> Result<CallKey, CallError> {
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
            return Err(CallError::CannotRun { why: why.en.clone() });
        }
        if let Some(broken) = &function.broken {
            return Err(broken.clone());
        }
        let mut budget = call
            .budget
            .map_or(spec.timeout, |budget| budget.min(spec.timeout));
        let mut depth = 0;
        let mut parent = None;
        if let Some(id) = call.parent {
            let (key, slot) = self.running_call(id).ok_or(CallError::AncestorEnded)?;
            depth = slot.depth + 1;
            if depth > MAX_DEPTH {
                return Err(CallError::TooDeep);
            }
            if let Stage::Running {
                deadline: Some(deadline),
                ..
            } = slot.stage
            {
                budget = budget.min(deadline.saturating_duration_since(now));
            }
            parent = Some((key, id));
        }
        if function.queue.is_full() {
            return Err(CallError::QueueFull);
        }
        if parent.is_some()
            && self.free_worker(number, true).is_none()
            && function.queue.nested() >= self.coming_room(number)
            && self.is_entangled(number, parent)
        {
            return Err(self.entangled(number));
        }

        let key = self.calls.insert(Slot {
            id,
            function: number,
            parent,
            depth,
            children: 0,
            arrived: now,
            budget,
            stage: Stage::Waiting {
                frame: call.frame,
                caller,
            },
        });
        if let Some(parent) = parent.and_then(|(parent, _)| self.calls.get_mut(parent)) {
            parent.children += 1;
        }
        if let Some(function) = self.functions.get_mut(number) {
            function.queue.push(key, depth > 0);
        }
        self.busy_at = now;
        if !self.ticking {
            self.ticking = true;
            self.effects.push(Effect::Watch);
        }
        self.dispatch(number, now);
        Ok(CallKey { key, id })
    }

    /// A call that a worker runs and whose outcome is not known.
    fn running_call(&self, id: InvocationId) -> Option<(usize, &Slot<C>)> {
        self.calls
            .iter()
            .find(|(_, slot)| slot.id == id && matches!(slot.stage, Stage::Running { .. }))
    }

    /// A call, if this worker runs it and its outcome is not known.
    pub(crate) fn running(&self, id: WorkerId, call: InvocationId, now: Instant) -> Option<RunningCall> {
        let serving = self.live(id)?.serving()?;
        let mut slots = serving.running.iter().filter_map(|key| self.calls.get(*key));
        match slots.find(|slot| slot.id == call)?.stage {
            Stage::Running { deadline, .. } => Some(RunningCall {
                left: deadline.map(|deadline| deadline.saturating_duration_since(now)),
            }),
            _ => None,
        }
    }

    /// Whether a call made from inside `parent` would wait for a worker that one of its ancestors holds: the function may
    /// have no further worker, and those that it has are held, or there is none.
    pub(super) fn is_entangled(&self, number: usize, parent: Option<(usize, InvocationId)>) -> bool {
        let Some(function) = self.functions.get(number) else {
            return false;
        };
        let Some(spec) = &function.spec else { return false };
        let may_start =
            function.workers.len() < spec.max_instances + NESTED_EXTRA && self.may_start(spec, true);
        if may_start {
            return false;
        }
        if function.workers.is_empty() {
            return true;
        }
        let mut next = parent;
        while let Some((key, id)) = next {
            let Some(slot) = self.calls.get(key).filter(|slot| slot.id == id) else {
                return false;
            };
            if slot.function == number {
                return true;
            }
            next = slot.parent;
        }
        false
    }

    pub(super) fn entangled(&self, number: usize) -> CallError {
        let workers = self
            .functions
            .get(number)
            .map_or(0, |function| function.workers.len());
        CallError::Entangled {
            workers: u32::try_from(workers).unwrap_or(u32::MAX),
        }
    }

    /// The caller of a call has gone. If it waits, it is forgotten; if it runs, it runs on and is answered to nobody.
    pub(crate) fn abandon(&mut self, call: CallKey) {
        let Some(slot) = self.calls.get_mut(call.key).filter(|slot| slot.id == call.id) else {
            return;
        };
        match &mut slot.stage {
            Stage::Waiting { .. } => {
                let number = slot.function;
                if let Some(function) = self.functions.get_mut(number) {
                    function.queue.remove(call.key);
                }
                let slot = self.calls.remove(call.key);
                self.leave_parent(slot.parent);
            }
            Stage::Running { caller, .. } => *caller = None,
            Stage::Lingering { .. } => {}
        }
    }

    /// The outcome of a call is known. Its worker is not concerned: see `answered` and `end_call`.
    pub(super) fn settle(
        &mut self,
        key: usize,
        result: Result<FunctionReply, CallError>,
        after: After,
        now: Instant,
    ) {
        let Some(slot) = self.calls.get_mut(key) else {
            return;
        };
        let (id, parent, children, arrived) = (slot.id, slot.parent, slot.children, slot.arrived);
        let lingering = match slot.stage {
            Stage::Running { worker, deadline, .. } | Stage::Lingering { worker, deadline }
                if after == After::Lingers =>
            {
                Some(Stage::Lingering { worker, deadline })
            }
            _ => None,
        };
        let stage = match lingering {
            Some(lingering) => std::mem::replace(&mut slot.stage, lingering),
            None => self.calls.remove(key).stage,
        };
        let (caller, started, logs) = match stage {
            // It was known before.
            Stage::Lingering { .. } => return,
            Stage::Waiting { caller, .. } => (Some(caller), now, Logs::default()),
            Stage::Running {
                caller,
                started,
                logs,
                ..
            } => (caller, started, logs),
        };
        if let Some(caller) = caller {
            let outcome = CallOutcome {
                result,
                logs,
                waited: started.saturating_duration_since(arrived),
                ran: now.saturating_duration_since(started),
            };
            self.effects.push(Effect::Answer(caller, Box::new(outcome)));
        }
        self.leave_parent(parent);
        if children > 0 {
            self.end_children((key, id), now);
        }
    }

    fn leave_parent(&mut self, parent: Option<(usize, InvocationId)>) {
        if let Some((key, id)) = parent
            && let Some(parent) = self.calls.get_mut(key).filter(|slot| slot.id == id)
        {
            parent.children -= 1;
        }
    }

    /// A call has ended: those that it made end too.
    fn end_children(&mut self, parent: (usize, InvocationId), now: Instant) {
        let children: Vec<usize> = self
            .calls
            .iter()
            .filter(|(_, slot)| slot.parent == Some(parent) && !slot.is_settled())
            .map(|(key, _)| key)
            .collect();
        for key in children {
            self.end_call(key, CallError::AncestorEnded, now);
        }
    }

    /// Ends a call before its worker answered, or before it had one.
    pub(super) fn end_call(&mut self, key: usize, error: CallError, now: Instant) {
        let Some(slot) = self.calls.get(key) else { return };
        let number = slot.function;
        let worker = match slot.stage {
            Stage::Waiting { .. } => {
                if let Some(function) = self.functions.get_mut(number) {
                    function.queue.remove(key);
                }
                None
            }
            Stage::Running { worker, .. } | Stage::Lingering { worker, .. } => Some(worker),
        };
        let late = matches!(error, CallError::TimedOut { .. });
        self.settle(key, Err(error), After::Lingers, now);
        // Where others run beside it, a call that is not late yet is left alone until it is: see `tick`.
        let Some(worker) = worker else { return };
        if late || !self.is_shared(worker) {
            self.expire_worker(worker, now);
        } else {
            self.end_if_done(worker, Ending::Expired, now);
        }
    }

    /// Whether this worker runs several calls at a time.
    fn is_shared(&self, key: usize) -> bool {
        let task = self.workers.get(key).and_then(|worker| worker.task());
        task.is_some_and(|task| task.spec.concurrency > 1)
    }

    /// One of the worker's calls is over for its caller, but not for the worker. Nothing can stop a function but the end
    /// of its process: at once if it runs nothing else, else when the others have ended.
    pub(super) fn expire_worker(&mut self, key: usize, now: Instant) {
        let Some(serving) = self.workers.get_mut(key).and_then(|worker| worker.serving_mut()) else {
            return;
        };
        serving.draining = true;
        let number = serving.task.function;
        self.forget_worker(number, key);
        self.end_if_done(key, Ending::Expired, now);
        self.dispatch(number, now);
    }

    /// How long a call of this function usually runs, once one has ended that ran for so long.
    pub(super) fn learn(&mut self, number: usize, ran: Duration) {
        if let Some(function) = self.functions.get_mut(number) {
            function.usual = Some(function.usual.map_or(ran, |usual| (usual * 7 + ran) / 8));
        }
    }
}
