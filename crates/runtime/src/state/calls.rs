//! Calls: from arrival to the outcome in the caller's hands, with the calls that they make in turn.

use std::{task::Waker, time::Instant};

use super::{NESTED_EXTRA, Slot, State};
use crate::{
    Call, CallError, InvocationId, Logs, MAX_DEPTH, Outcome, Reply, Running, pool::WorkerId, worker::Ending,
};

impl State {
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

    pub(super) fn find(&self, id: InvocationId) -> Option<(usize, &Slot)> {
        self.calls
            .iter()
            .find(|(_, slot)| slot.id == id && slot.outcome.is_none() && !slot.settled)
    }

    /// A call, if this worker runs it and its outcome is not known.
    pub(crate) fn running(&self, id: WorkerId, call: InvocationId, now: Instant) -> Option<Running> {
        let worker = self
            .workers
            .get(id.key)
            .filter(|worker| worker.serial == id.serial)?;
        let mut slots = worker.running.iter().filter_map(|key| self.calls.get(*key));
        let slot = slots.find(|slot| slot.id == call && !slot.settled)?;
        Some(Running {
            left: slot
                .deadline
                .map(|deadline| deadline.saturating_duration_since(now)),
        })
    }

    /// Whether a call made from inside `parent` would have to wait for a worker that one of its ancestors holds, and no
    /// further worker may be started.
    pub(super) fn is_entangled(&self, number: usize, parent: InvocationId) -> bool {
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
    pub(super) fn finish(&mut self, key: usize, result: Result<Reply, CallError>, now: Instant) {
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
    pub(super) fn release(&mut self, key: usize) {
        if self
            .calls
            .get(key)
            .is_some_and(|slot| !slot.has_caller && slot.worker.is_none() && slot.frame.is_none())
        {
            self.calls.remove(key);
        }
    }

    /// A call has ended: those that it made end too.
    pub(super) fn end_children(&mut self, parent: InvocationId, now: Instant) {
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
    pub(super) fn end(&mut self, key: usize, error: CallError, now: Instant) {
        let Some(slot) = self.calls.get(key) else { return };
        let (number, worker) = (slot.function, slot.worker);
        if slot.frame.is_some()
            && let Some(function) = self.functions.get_mut(number)
        {
            function.queue.remove(key);
        }
        let late = matches!(error, CallError::TimedOut { .. });
        self.finish(key, Err(error), now);
        // Where others run beside it, a call that is not late yet is left alone until it is: see `tick`.
        if let Some(worker) = worker
            && (late || !self.is_shared(worker))
        {
            self.expire_worker(worker, now);
        }
    }

    /// Whether this worker runs several calls at a time.
    fn is_shared(&self, key: usize) -> bool {
        let worker = self.workers.get(key).and_then(|worker| worker.serves.as_ref());
        worker.is_some_and(|(_, spec)| spec.concurrency > 1)
    }

    /// One of the worker's calls is over for its caller, but not for the worker. Nothing can stop a function but the end
    /// of its process: at once if it runs nothing else, else when the others have ended.
    pub(super) fn expire_worker(&mut self, key: usize, now: Instant) {
        let Some(worker) = self.workers.get_mut(key) else {
            return;
        };
        worker.draining = true;
        let serves = worker.serves.as_ref().map(|(number, _)| *number);
        if self.is_done(key) {
            self.kill(key, Ending::Expired, now);
        }
        if let Some(number) = serves {
            self.forget_worker(number, key);
            self.dispatch(number, now);
        }
    }
}
