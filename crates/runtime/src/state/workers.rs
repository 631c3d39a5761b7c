//! Workers: which one takes a call, when another is started, how one is ended.

use std::{sync::Arc, time::Instant};

use function::FunctionName;

use super::{NESTED_EXTRA, State};
use crate::{
    CallError,
    frame::Order,
    pool::WorkerId,
    queue::PATIENCE,
    spawn::Launch,
    spec::{self, Kind, Spec},
    worker::{Ending, Stage, Worker},
};

impl State {
    /// A worker that can take a call of this function now.
    pub(super) fn free_worker(&self, number: usize) -> Option<usize> {
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
    pub(super) fn dispatch(&mut self, number: usize, now: Instant) {
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

    pub(super) fn hand(&mut self, worker_key: usize, key: usize, now: Instant) {
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
    pub(super) fn scale(&mut self, number: usize, now: Instant) {
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
    pub(super) fn start_worker(&mut self, number: usize, spec: &Arc<Spec>, now: Instant) {
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

    pub(super) fn launch(&mut self, kind: Kind, now: Instant) -> usize {
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

    /// The function that a live worker serves, or will.
    pub(crate) fn function_of(&mut self, id: WorkerId) -> Option<FunctionName> {
        let (_, spec) = self.worker(id)?.serves.as_ref()?;
        Some(spec.name.clone())
    }

    /// Tells a worker to load its function.
    pub(super) fn order_load(&mut self, key: usize, now: Instant) {
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

    /// Tells a worker to do something other than a call.
    pub(super) fn order(&mut self, key: usize, order: Order, text: &str) {
        let Some(worker) = self.workers.get_mut(key) else {
            return;
        };
        let frame = spec::order(order, text);
        let sent = worker.link.as_mut().zip(frame);
        if sent.is_none_or(|(link, frame)| link.push(&frame, false).is_err()) {
            self.lose(key, Ending::HungUp);
        }
    }

    /// A worker is of no use any more; its end is awaited to know more.
    pub(super) fn lose(&mut self, key: usize, ending: Ending) {
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
    pub(super) fn kill(&mut self, key: usize, ending: Ending, now: Instant) {
        self.lose(key, ending);
        let Some(worker) = self.workers.get_mut(key) else {
            return;
        };
        let running = std::mem::take(&mut worker.running);
        let memory_mb = worker.kind.memory_mb;
        for call in running {
            let error = ending
                .error(memory_mb)
                .unwrap_or_else(|| CallError::WorkerFailed {
                    why: "the function's process was ended".to_owned(),
                });
            self.detach(call);
            self.finish(call, Err(error), now);
        }
    }

    /// Whether nobody waits for any of its calls.
    pub(super) fn is_done(&self, key: usize) -> bool {
        let Some(worker) = self.workers.get(key) else {
            return true;
        };
        let settled = |call: &usize| self.calls.get(*call).is_none_or(|slot| slot.settled);
        worker.running.iter().all(settled)
    }

    /// The call's worker has nothing to do with it any more.
    pub(super) fn detach(&mut self, key: usize) {
        if let Some(slot) = self.calls.get_mut(key) {
            slot.worker = None;
        }
    }

    pub(super) fn forget_worker(&mut self, number: usize, key: usize) {
        if let Some(function) = self.functions.get_mut(number) {
            function.workers.retain(|worker| *worker != key);
        }
    }
}
