//! Functions and spares as they are to be, and the end of all.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Function, State};
use crate::{
    CallError,
    queue::Queue,
    spec::Spec,
    worker::{Ending, Stage, Worker},
};

impl State {
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

    pub(super) fn replace(&mut self, number: usize, spec: Option<Arc<Spec>>, now: Instant) {
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

    /// Whether spares can start without taking the machine from a call: none arrived within `quiet`, and none waits for a
    /// worker that is starting.
    pub(crate) fn is_quiet(&self, now: Instant, quiet: Duration) -> bool {
        now.saturating_duration_since(self.busy_at) >= quiet
            && self.functions.iter().all(|function| function.queue.is_empty())
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
