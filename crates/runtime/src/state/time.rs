//! What happens because time has passed: deadlines, patience, loading limits, idleness, memory.

use std::time::{Duration, Instant};

use process::WorkerId;

use super::{IDLE_LIFE, LOAD_LIMIT, START_AGAIN, Stage, State};
use crate::{
    call::CallError,
    worker::{self, Ending, Worker},
};

/// A worker whose memory is to be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    pub(crate) worker: WorkerId,
    /// What its function was given, in MB.
    pub(crate) limit_mb: u32,
}

impl<C> State<C> {
    /// Ends what took too long, and starts workers for what waits too long. False when there is nothing to watch.
    pub(crate) fn tick(&mut self, now: Instant) -> bool {
        if self.calls.is_empty() {
            self.ticking = false;
            return false;
        }
        let is_over = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        let mut late = Vec::new();
        let mut overdue = Vec::new();
        for (key, slot) in &self.calls {
            match slot.stage {
                Stage::Running { deadline, .. } if is_over(deadline) => {
                    late.push((key, CallError::TimedOut { after: slot.budget }));
                }
                // Nobody waits for it, but its worker is still at it.
                Stage::Lingering { worker, deadline } if is_over(deadline) => overdue.push(worker),
                Stage::Waiting { .. }
                    if now.saturating_duration_since(slot.arrived) > slot.budget
                        && !self.is_provided_for(slot.function) =>
                {
                    late.push((key, CallError::QueueFull));
                }
                _ => {}
            }
        }
        for (key, error) in late {
            self.end_call(key, error, now);
        }
        for key in overdue {
            let draining = self.workers.get(key).and_then(Worker::serving);
            if draining.is_some_and(|serving| !serving.draining) {
                self.expire_worker(key, now);
            }
        }
        self.dispatch_waiting(now);
        self.end_stuck(now);
        true
    }

    /// Whether a worker is on its way to this function: starting one and loading a function is not the caller's time. Nor is
    /// what somebody does at a debugger.
    fn is_provided_for(&self, number: usize) -> bool {
        self.functions.get(number).is_some_and(|function| {
            function
                .workers
                .iter()
                .filter_map(|key| self.workers.get(*key))
                .any(|worker| worker.is_coming() || worker.kind.inspect.is_some())
        })
    }

    /// Ends workers that do not get ready.
    pub(crate) fn end_stuck(&mut self, now: Instant) {
        let stuck: Vec<usize> = self
            .workers
            .iter()
            .filter(|(_, worker)| {
                let starting = matches!(
                    worker.stage,
                    worker::Stage::Starting(_) | worker::Stage::Preparing(_) | worker::Stage::Loading(_)
                );
                starting
                    && worker.kind.inspect.is_none()
                    && now.saturating_duration_since(worker.since) > LOAD_LIMIT
            })
            .map(|(key, _)| key)
            .collect();
        for key in stuck {
            let number = self
                .workers
                .get(key)
                .and_then(|worker| worker.task())
                .map(|task| task.function);
            let why = || {
                format!(
                    "the process did not come to work within {} s",
                    LOAD_LIMIT.as_secs()
                )
            };
            self.did_not_come(key, why, now);
            self.kill(key, Ending::Stuck, now);
            if let Some(number) = number {
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
                worker.is_idle()
                    && worker.kind.inspect.is_none()
                    && now.saturating_duration_since(worker.since) > IDLE_LIFE
            })
            .map(|(key, _)| key)
            .collect();
        for key in idle {
            self.kill(key, Ending::Retired, now);
        }
    }

    /// Where the last start failed a while ago, the spares that are missing are started anew: whether the machine can start
    /// processes again is found out before a call needs it.
    pub(crate) fn start_again(&mut self, now: Instant) {
        let failed = self.failed_start.as_ref();
        if failed.is_some_and(|failed| now.saturating_duration_since(failed.at) >= START_AGAIN) {
            self.fill_up(now);
        }
    }

    /// The workers whose memory is to be watched: those that run calls, or all that can be reached.
    pub(crate) fn watched(&self, busy: bool) -> Vec<Watched> {
        self.workers
            .iter()
            .filter(|(_, worker)| {
                let runs = worker
                    .serving()
                    .is_some_and(|serving| !serving.running.is_empty());
                !worker.is_ending() && (runs || !busy)
            })
            .map(|(key, worker)| Watched {
                worker: WorkerId {
                    key,
                    serial: worker.serial,
                },
                limit_mb: worker.kind.memory_mb,
            })
            .collect()
    }

    /// Whether spares can start without taking the machine from a call: none arrived within `quiet`, and none waits for a
    /// worker that is starting.
    pub(crate) fn is_quiet(&self, now: Instant, quiet: Duration) -> bool {
        now.saturating_duration_since(self.busy_at) >= quiet
            && self.functions.iter().all(|function| function.queue.is_empty())
    }
}
