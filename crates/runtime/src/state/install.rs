//! Functions and spares as they are to be, and the end of all.

use std::{sync::Arc, time::Instant};

use super::{Function, State};
use crate::{
    call::CallError,
    spec::Spec,
    worker::{self, Ending, Worker},
};

impl<C> State<C> {
    /// Puts a set of functions in place of the one before. Workers of functions that did not change stay; others finish
    /// what they run.
    pub(crate) fn install(&mut self, specs: Vec<Arc<Spec>>, now: Instant) {
        if self.closed {
            return;
        }
        let mut gone: Vec<bool> = vec![true; self.functions.len()];
        for spec in &specs {
            let number = match self.names.get(&spec.name) {
                Some(number) => *number,
                None => {
                    self.functions.push(Function::default());
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
            .filter(|(_, worker)| worker.is_free() && !self.spares.contains(&worker.kind))
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
            (None, None) => true,
            _ => false,
        };
        if same {
            return;
        }
        let problem = spec.as_ref().and_then(|spec| spec.problem.clone());
        function.spec = spec;
        function.usual = None;
        for key in std::mem::take(&mut function.workers) {
            self.drain(key, now);
        }
        if let Some(why) = problem {
            self.fail_waiting(number, &CallError::CannotRun { why: why.en }, now);
        }
        self.dispatch(number, now);
    }

    /// A worker takes no new calls, and ends with its last one.
    fn drain(&mut self, key: usize, now: Instant) {
        match self.workers.get_mut(key).and_then(Worker::serving_mut) {
            Some(serving) => {
                serving.draining = true;
                self.end_if_done(key, Ending::Retired, now);
            }
            None => self.kill(key, Ending::Retired, now),
        }
    }

    /// Replaces all workers: they have lost something that only a new one gets.
    pub(crate) fn drain_all(&mut self, now: Instant) {
        for number in 0..self.functions.len() {
            if let Some(function) = self.functions.get_mut(number) {
                for key in std::mem::take(&mut function.workers) {
                    self.drain(key, now);
                }
            }
            self.dispatch(number, now);
        }
        let spares: Vec<usize> = self
            .workers
            .iter()
            .filter(|(_, worker)| worker.is_free())
            .map(|(key, _)| key)
            .collect();
        for key in spares {
            self.kill(key, Ending::Retired, now);
        }
    }

    /// Whether a function is there as this.
    pub(crate) fn is_known(&self, spec: &Spec) -> bool {
        self.names
            .get(&spec.name)
            .and_then(|number| self.functions.get(*number)?.spec.as_ref())
            .is_some_and(|known| known.fingerprint == spec.fingerprint)
    }

    /// Starts the spares that are missing, as far as there is room.
    pub(crate) fn fill_up(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        for kind in self.spares.clone() {
            let there = self
                .workers
                .iter()
                .filter(|(_, worker)| worker.is_free() && worker.kind == kind)
                .count();
            for _ in there..self.limits.spares {
                if self.workers.len() >= self.limits.workers {
                    return;
                }
                self.launch(kind.clone(), now);
            }
        }
    }

    /// Whether every spare that is to be there waits for a function, or there is no room for more.
    pub(crate) fn spares_ready(&self) -> bool {
        let starting = |worker: &Worker| worker.is_free() && !matches!(worker.stage, worker::Stage::Spare);
        if self.workers.iter().any(|(_, worker)| starting(worker)) {
            return false;
        }
        self.workers.len() >= self.limits.workers
            || self.spares.iter().all(|kind| {
                let ready = self
                    .workers
                    .iter()
                    .filter(|(_, worker)| worker.is_free() && worker.kind == *kind);
                ready.count() >= self.limits.spares
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
