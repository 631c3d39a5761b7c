//! What workers and their processes say, and what follows from it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::process::ChildStdin;

use super::State;
use crate::{
    CallError, InvocationId, KeyPair, Level, Line, PrintedLine, Reply,
    frame::Order,
    link::Link,
    pool::WorkerId,
    spec,
    worker::{Ending, Stage, Worker},
};

impl State {
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

    /// A worker that is about to be started gets its key pair.
    pub(crate) fn give_key(&mut self, id: WorkerId, key: Arc<KeyPair>) {
        if let Some(worker) = self.worker(id) {
            worker.key = Some(key);
        }
    }

    /// A worker is connected and can be told what to do. `door` is the socket of its own.
    pub(crate) fn connected(
        &mut self,
        id: WorkerId,
        link: Link,
        pid: Option<i32>,
        door: &Path,
        now: Instant,
    ) -> bool {
        let cache = self.cache.clone();
        let Some(worker) = self.worker(id) else {
            return false;
        };
        worker.link = Some(link);
        worker.pid = pid;
        worker.since = now;
        // A worker whose function is known by now loads the SDK with it.
        let pack = match worker.serves {
            None => worker.kind.pack(&cache),
            Some(_) => None,
        };
        worker.stage = Stage::Preparing;
        if let Some(key) = worker.key.clone() {
            let identity = spec::identity(door, &self.key_variables, &key);
            self.order(id.key, Order::Identify, &identity);
        }
        match pack {
            Some(pack) => self.order(id.key, Order::Prepare, &pack.to_string()),
            None => self.prepared(id, now),
        }
        self.worker(id).is_some()
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
    pub(super) fn fail_next(&mut self, number: usize, error: CallError, now: Instant) {
        if let Some(key) = self
            .functions
            .get_mut(number)
            .and_then(|function| function.queue.pop())
        {
            self.finish(key, Err(error), now);
        }
        self.dispatch(number, now);
    }

    pub(super) fn fail_waiting(&mut self, number: usize, error: &CallError, now: Instant) {
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
        let draining = worker.draining;
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
            if self.is_done(id.key) {
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
        let Some(worker) = self.worker(id) else {
            return false;
        };
        match call {
            Some(call) => {
                let key = call as usize;
                if !worker.running.contains(&key) {
                    return false;
                }
                self.printed_inside(id, key, line);
            }
            None => self.tell(id, None, line),
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
    pub(crate) fn printed_raw(&mut self, id: WorkerId, level: Level, text: String, now: Instant) {
        let Some(worker) = self
            .workers
            .get(id.key)
            .filter(|worker| worker.serial == id.serial)
        else {
            return;
        };
        let line = |at| Line { level, at, text };
        if let [key] = *worker.running.as_slice()
            && let Some(slot) = self.calls.get(key)
        {
            let at = slot
                .started
                .map_or(Duration::ZERO, |started| now.saturating_duration_since(started));
            self.printed_inside(id, key, line(at));
        } else {
            self.tell(id, None, line(Duration::ZERO));
        }
    }

    /// A line of a call: kept for its outcome, and told now.
    fn printed_inside(&mut self, id: WorkerId, key: usize, line: Line) {
        if let Some(slot) = self.calls.get_mut(key)
            && slot.logs.has_room(self.log_limit, &line)
        {
            slot.logs.push(line.clone());
            let call = slot.id;
            self.tell(id, Some(call), line);
        }
    }

    fn tell(&mut self, id: WorkerId, call: Option<InvocationId>, line: Line) {
        let function = self
            .workers
            .get(id.key)
            .and_then(|worker| worker.serves.as_ref())
            .map(|(_, spec)| spec.name.clone());
        self.effects.printed.push(PrintedLine { call, function, line });
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

    /// A worker and everything it had started are dead. `error` says what its status means for the calls that it still
    /// had, unless it was us who ended it.
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
        let ended = worker
            .ending
            .and_then(|ending| ending.error(worker.kind.memory_mb));
        let error = ended.as_ref().unwrap_or(error);
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
        let came = worker.stage == Stage::Ready;
        // Then its calls are provided for already.
        let dismissed = matches!(worker.ending, Some(Ending::Retired | Ending::Stuck));
        if current && !came && !dismissed {
            self.fail_next(number, error.clone(), now);
        } else {
            self.dispatch(number, now);
        }
    }

    /// The process of a worker runs. `control` is what ends it: at once, when it is not wanted any more.
    pub(crate) fn launched(&mut self, id: WorkerId, control: ChildStdin) {
        if let Some(worker) = self.worker(id) {
            worker.control = Some(control);
        }
    }
}
