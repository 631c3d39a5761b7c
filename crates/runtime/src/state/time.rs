//! What happens because time has passed: deadlines, patience, loading limits, idleness, memory.

use std::time::Instant;

use super::{IDLE_LIFE, LOAD_LIMIT, State};
use crate::{
    CallError,
    pool::WorkerId,
    worker::{Ending, Stage},
};

impl State {
    /// Ends what took too long, and starts workers for what waits too long. False when there is nothing to watch.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        if self.calls.is_empty() {
            self.ticking = false;
            return false;
        }
        let mut late = Vec::new();
        let mut overdue = Vec::new();
        for (key, slot) in &self.calls {
            if slot.settled {
                // Nobody waits for it, but its worker is still at it.
                if slot.deadline.is_some_and(|deadline| deadline <= now) {
                    overdue.extend(slot.worker);
                }
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
        for key in overdue {
            if self.workers.get(key).is_some_and(|worker| !worker.draining) {
                self.expire_worker(key, now);
            }
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
}
