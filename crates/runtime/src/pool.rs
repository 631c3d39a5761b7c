//! The pool: the state behind its lock, the tasks around it, and what happens when the lock is released.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    process::ChildStdin,
    sync::{Notify, mpsc},
};

use crate::{
    Call, CallError, Connection, InvocationId, Level, Line, Observer, Options, Outcome, Progress, Reply,
    Running,
    frame::{FROM_WORKER_HEADER, Header, Kind, NO_CALL},
    home::Home,
    link::Link,
    spawn,
    state::{Effects, State},
};

/// How often running and waiting calls are looked at: deadlines are kept this exactly.
const TICK: Duration = Duration::from_millis(10);
/// Memory is looked at every so many ticks.
const TICKS_PER_MEMORY_CHECK: u32 = 5;
/// How often what is idle is looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// Spares are started when no call has arrived for this long and none waits …
const QUIET: Duration = Duration::from_millis(100);
/// … or it has not been quiet for this long.
const NEVER_QUIET: Duration = Duration::from_secs(2);
/// Results longer than this are not copied out of the read buffer, but leave with it.
const COPY_BELOW: usize = 32 * 1024;
/// How many connections of workers wait for the one who serves them; further ones wait in the sockets' own queues.
const WAITING_CONNECTIONS: usize = 64;

/// Names a worker; the serial number tells it from a later one with the same key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WorkerId {
    pub(crate) key: usize,
    pub(crate) serial: u64,
}

/// What all parts of a runtime share.
pub(crate) struct Pool {
    pub(crate) options: Options,
    pub(crate) home: Home,
    observer: Arc<dyn Observer>,
    state: Mutex<State>,
    /// Where connections of workers go, once somebody wants them.
    connections: OnceLock<mpsc::Sender<Connection>>,
    tick: Notify,
    refill: Notify,
    changed: Notify,
}

/// The reader of a worker's frames need not go on: the worker is gone, or was just ended.
#[derive(Debug)]
pub(crate) struct Gone;

impl Pool {
    pub(crate) fn new(options: Options, home: Home, observer: Arc<dyn Observer>) -> Arc<Self> {
        let state = State::new(&options, Instant::now());
        Arc::new(Self {
            options,
            home,
            observer,
            state: Mutex::new(state),
            connections: OnceLock::new(),
            tick: Notify::new(),
            refill: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// Changes the state, and does what follows from it once the lock is free.
    pub(crate) fn with<T>(self: &Arc<Self>, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = change(&mut state);
        if state.effects.is_empty() {
            return answer;
        }
        let effects = std::mem::take(&mut state.effects);
        drop(state);
        self.follow(effects);
        answer
    }

    fn follow(self: &Arc<Self>, effects: Effects) {
        // Before the call's end is known, which may come in the same breath.
        for printed in effects.printed {
            self.observer.printed(printed);
        }
        for waker in effects.wakes {
            waker.wake();
        }
        if effects.tick {
            self.tick.notify_one();
        }
        if effects.changed {
            self.changed.notify_waiters();
        }
        if effects.refill {
            self.refill.notify_one();
        }
        for launch in effects.launches {
            tokio::spawn(spawn::run(Arc::clone(self), launch));
        }
    }

    pub(crate) fn tell(&self, progress: Progress) {
        self.observer.progress(progress);
    }

    // What links say ------------------------------------------------------------------------------------------------

    pub(crate) fn redeem(self: &Arc<Self>, token: &str) -> Option<WorkerId> {
        self.with(|state| state.redeem(token))
    }

    pub(crate) fn connected(self: &Arc<Self>, worker: WorkerId, link: Link, pid: Option<i32>) -> bool {
        let door = self.home.door(worker.serial);
        self.with(|state| state.connected(worker, link, pid, &door, Instant::now()))
    }

    /// The writing side of a worker, if it is there still.
    pub(crate) fn link<T>(
        self: &Arc<Self>,
        worker: WorkerId,
        with: impl FnOnce(&mut Link) -> T,
    ) -> Option<T> {
        self.with(|state| state.worker(worker)?.link.as_mut().map(with))
    }

    /// Takes the whole frames out of what was read. Tells how many bytes the next one needs at least.
    pub(crate) fn received(self: &Arc<Self>, worker: WorkerId, buffer: &mut BytesMut) -> Result<usize, Gone> {
        if buffer.is_empty() {
            return Ok(FROM_WORKER_HEADER);
        }
        let now = Instant::now();
        self.with(|state| {
            loop {
                let header = match Header::parse(buffer) {
                    Ok(Some(header)) => header,
                    Ok(None) => return Ok(FROM_WORKER_HEADER - buffer.len()),
                    Err(_) => {
                        state.garbled(worker, now);
                        return Err(Gone);
                    }
                };
                let size = FROM_WORKER_HEADER + header.body;
                if buffer.len() < size {
                    return Ok(size - buffer.len());
                }
                buffer.advance(FROM_WORKER_HEADER);
                let body = if header.body < COPY_BELOW {
                    let body = Bytes::copy_from_slice(buffer.get(..header.body).unwrap_or_default());
                    buffer.advance(header.body);
                    body
                } else {
                    buffer.split_to(header.body).freeze()
                };
                if !understand(state, worker, &header, body, now) {
                    state.garbled(worker, now);
                    return Err(Gone);
                }
            }
        })
    }

    pub(crate) fn hung_up(self: &Arc<Self>, worker: WorkerId) {
        self.with(|state| state.hung_up(worker));
    }

    // What a worker's own socket is for -----------------------------------------------------------------------------

    /// The connections of all workers, for whoever asks first.
    pub(crate) fn connections(&self) -> Option<mpsc::Receiver<Connection>> {
        let (sender, receiver) = mpsc::channel(WAITING_CONNECTIONS);
        self.connections.set(sender).ok().map(|()| receiver)
    }

    /// Gives a connection to the one who serves it; if there is nobody, it is closed.
    pub(crate) async fn hand_on(&self, connection: Connection) {
        if let Some(server) = self.connections.get() {
            let _ = server.send(connection).await;
        }
    }

    pub(crate) fn running(self: &Arc<Self>, worker: WorkerId, call: InvocationId) -> Option<Running> {
        let now = Instant::now();
        self.with(|state| state.running(worker, call, now))
    }

    // What processes say --------------------------------------------------------------------------------------------

    pub(crate) fn launched(self: &Arc<Self>, worker: WorkerId, control: ChildStdin) {
        self.with(|state| state.launched(worker, control));
    }

    /// The process that connected as this worker.
    pub(crate) fn process_of(self: &Arc<Self>, worker: WorkerId) -> Option<i32> {
        self.with(|state| state.process_of(worker))
    }

    pub(crate) fn printed_raw(self: &Arc<Self>, worker: WorkerId, level: Level, text: String) {
        self.with(|state| state.printed_raw(worker, level, text, Instant::now()));
    }

    pub(crate) fn exited(self: &Arc<Self>, worker: WorkerId, error: &CallError) {
        self.with(|state| state.exited(worker, error, Instant::now()));
    }

    // Tasks ---------------------------------------------------------------------------------------------------------

    /// Keeps deadlines while calls are there.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        loop {
            self.tick.notified().await;
            let mut ticks = 0u32;
            loop {
                tokio::time::sleep(TICK).await;
                if !self.with(|state| state.tick(Instant::now())) {
                    break;
                }
                ticks = ticks.wrapping_add(1);
                if ticks.is_multiple_of(TICKS_PER_MEMORY_CHECK) {
                    self.watch_memory();
                }
            }
        }
    }

    /// Ends workers that use far more memory than they were given. `--max-old-space-size` bounds what JavaScript's own
    /// objects use, and Node aborts by itself; buffers and native code are not counted there.
    fn watch_memory(self: &Arc<Self>) {
        for (worker, pid, limit_mb) in self.with(|state| state.busy_processes()) {
            if spawn::resident_mb(pid).is_some_and(|used| used > spawn::most_resident_mb(limit_mb)) {
                self.with(|state| state.exceeds_memory(worker, Instant::now()));
            }
        }
    }

    /// Ends what is idle or stuck.
    pub(crate) async fn keep_house(self: Arc<Self>) {
        loop {
            tokio::time::sleep(HOUSEKEEPING).await;
            let now = Instant::now();
            self.with(|state| {
                state.retire_idle(now);
                state.end_stuck(now);
            });
        }
    }

    /// Replaces spares that were taken, when calls leave the machine some time for it.
    pub(crate) async fn keep_spares(self: Arc<Self>) {
        loop {
            self.refill.notified().await;
            let since = Instant::now();
            while since.elapsed() < NEVER_QUIET && !self.with(|state| state.is_quiet(Instant::now(), QUIET)) {
                tokio::time::sleep(QUIET).await;
            }
            self.fill_up();
        }
    }

    /// Starts the spares that are missing.
    pub(crate) fn fill_up(self: &Arc<Self>) {
        while self.with(|state| state.fill_up(Instant::now())) {}
    }

    /// Waits until `done` says so, or for so long.
    pub(crate) async fn wait_until(self: &Arc<Self>, limit: Duration, done: impl Fn(&State) -> bool) {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.with(|state| done(state)) {
                    return;
                }
                changed.await;
            }
        };
        let _ = tokio::time::timeout(limit, wait).await;
    }

    /// Makes a call. Dropping the future abandons it.
    pub(crate) async fn invoke(self: &Arc<Self>, call: Call) -> Outcome {
        match self.with(|state| state.admit(call, Instant::now())) {
            Ok(key) => {
                Pending {
                    pool: Arc::clone(self),
                    key,
                    done: false,
                }
                .await
            }
            Err(error) => Outcome::refused(error),
        }
    }
}

/// A call whose outcome is awaited.
struct Pending {
    pool: Arc<Pool>,
    key: usize,
    done: bool,
}

impl Future for Pending {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let key = self.key;
        match self.pool.with(|state| state.poll(key, context.waker())) {
            Some(outcome) => {
                self.done = true;
                Poll::Ready(outcome)
            }
            None => Poll::Pending,
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            self.pool.with(|state| state.abandon(self.key, Instant::now()));
        }
    }
}

/// Acts on one frame. False when no worker would send it.
fn understand(state: &mut State, worker: WorkerId, header: &Header, body: Bytes, now: Instant) -> bool {
    let mut answered = |result, uncaught| state.answered(worker, header.id, result, uncaught, now);
    match header.kind {
        Kind::Result => answered(Ok(Reply { json: Some(body) }), false),
        Kind::Undefined => answered(Ok(Reply { json: None }), false),
        Kind::Threw => answered(Err(threw(&body)), header.number == 1),
        Kind::NotJson => answered(Err(CallError::NotJson { message: text(&body) }), false),
        Kind::TooLarge => answered(
            Err(CallError::TooLarge {
                bytes: u64::from(header.number),
            }),
            false,
        ),
        Kind::Log => {
            // The number's lowest eight bits.
            let Some(level) = Level::from_number((header.number & 0xff) as u8) else {
                return false;
            };
            let at = Duration::from_millis(u64::from(header.number >> 8));
            let call = (header.id != NO_CALL).then_some(header.id);
            state.printed(
                worker,
                call,
                Line {
                    level,
                    at,
                    text: text(&body),
                },
            )
        }
        Kind::Dropped => header.id == NO_CALL || state.dropped(worker, header.id, u64::from(header.number)),
        Kind::Prepared => {
            state.prepared(worker, now);
            state.worker(worker).is_some()
        }
        Kind::Loaded => {
            state.loaded(worker, now);
            true
        }
        Kind::LoadFailed => {
            state.load_failed(worker, threw(&body), header.number == 1, now);
            true
        }
        Kind::Hello => false,
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// An error that a worker describes as `{"message","stack"}`.
fn threw(body: &[u8]) -> CallError {
    let described: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let member = |name| {
        described
            .get(name)
            .and_then(serde_json::Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    CallError::Threw {
        message: member("message"),
        stack: member("stack"),
    }
}
