//! The pool: the state behind its lock, what is done when the lock is released, and the tasks that keep time.
//!
//! Everything that happens ends in [`Pool::with`], which changes the state and then carries out what follows from the
//! change. Nothing waits here, and no socket is written under the lock.

use std::{
    cell::Cell,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use function::{Function, FunctionName};
use process::{Host, KeyPair, Launch, Level, Order, WorkerEnd, WorkerId, WorkerMessage, Workers};
use tokio::{
    net::UnixStream,
    sync::{Notify, mpsc, oneshot, watch},
};

use crate::{
    call::{CallError, CallOutcome, FunctionCall, InvocationId},
    deps::{Installer, Npm},
    load::{self, LoadReport, Loaded},
    missing::MissingPackages,
    modules::Modules,
    observer::Observer,
    options::RuntimeOptions,
    peer::{Connection, Peer, Register, RunningCall},
    progress::Progress,
    state::{self, CallKey, Effect, Limits, Watched},
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
/// How long calls wait for a load to begin after a change.
pub(crate) const LOADED_WITHIN: Duration = Duration::from_secs(5);
/// How many connections of workers wait for the one who serves them; further ones wait in the sockets' own queues.
const WAITING_CONNECTIONS: usize = 64;

/// Changes of files, counted: one that comes while functions are loaded is not over when they are.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changes {
    pub(crate) seen: u64,
    pub(crate) looked_at: u64,
    /// Functions are being loaded.
    pub(crate) is_loading: bool,
}

/// Whoever waits for an outcome.
pub(crate) type Caller = oneshot::Sender<Box<CallOutcome>>;
pub(crate) type State = state::State<Caller>;

thread_local! {
    /// An empty list, to be used again.
    static EFFECTS: Cell<Vec<Effect<Caller>>> = const { Cell::new(Vec::new()) };
}

/// What all parts of a runtime share.
pub(crate) struct Pool {
    pub(crate) options: RuntimeOptions,
    pub(crate) workers: Workers,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) installer: Arc<Installer>,
    pub(crate) modules: Modules,
    /// How often files have changed, and which of these changes were looked at: between the two, functions are about to be
    /// loaded anew.
    pub(crate) changes: watch::Sender<Changes>,
    pub(crate) missing: MissingPackages,
    pub(crate) node_major: u32,
    /// What is served, as it was given. Held while it is loaded, so that one load follows the other.
    loaded: tokio::sync::Mutex<Vec<Loaded>>,
    state: Mutex<State>,
    /// Where connections of workers go, once somebody wants them.
    connections: OnceLock<mpsc::Sender<Connection>>,
    watch: Notify,
    refill: Notify,
    changed: Notify,
}

impl Pool {
    pub(crate) fn new(
        options: RuntimeOptions,
        node_major: u32,
        workers: Workers,
        observer: Arc<dyn Observer>,
    ) -> Arc<Self> {
        let limits = Limits {
            spares: options.spares,
            workers: options.max_workers.max(1),
            log: options.log_limit,
        };
        let npm = Npm {
            node: options.node.clone(),
            guard: options.guard.clone(),
            offline: options.offline,
            scratch: workers.scratch(),
            path: std::env::var_os("PATH"),
        };
        let trees = options.cache_dir.join("trees");
        Arc::new(Self {
            options,
            workers,
            observer,
            installer: Arc::new(Installer::new(npm, trees)),
            modules: Modules::default(),
            changes: watch::Sender::default(),
            missing: MissingPackages::default(),
            node_major,
            loaded: tokio::sync::Mutex::default(),
            state: Mutex::new(State::new(limits, Instant::now())),
            connections: OnceLock::new(),
            watch: Notify::new(),
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
        let mut effects = std::mem::replace(&mut state.effects, EFFECTS.take());
        drop(state);
        for effect in effects.drain(..) {
            self.follow(effect);
        }
        EFFECTS.set(effects);
        answer
    }

    fn follow(self: &Arc<Self>, effect: Effect<Caller>) {
        match effect {
            Effect::Call {
                worker,
                call,
                mut frame,
                left_ms,
                later,
            } => {
                let sent = self.workers.call(worker, &mut frame, call, left_ms, later);
                if sent.is_err() {
                    self.hung_up(worker);
                }
            }
            // A caller that has gone is about to be abandoned, or has been.
            Effect::Answer(caller, outcome) => drop(caller.send(outcome)),
            Effect::Tell(printed) => self.observer.printed(printed),
            Effect::Launch(launch) => self.launch(launch),
            Effect::Prepare { worker, pack } => self.order(worker, Order::Prepare, &pack),
            Effect::Load { worker, spec } => self.order(worker, Order::Load, &spec.order),
            Effect::End(worker) => self.workers.end(worker),
            Effect::Watch => self.watch.notify_one(),
            Effect::Refill => self.refill.notify_one(),
            Effect::Changed => self.changed.notify_waiters(),
        }
    }

    fn launch(self: &Arc<Self>, launch: Launch) {
        tokio::spawn(process::run(Arc::clone(self), launch));
    }

    fn order(self: &Arc<Self>, worker: WorkerId, order: Order, text: &str) {
        if self.workers.order(worker, order, text).is_err() {
            self.hung_up(worker);
        }
    }

    /// The connections of all workers, for whoever asks first.
    pub(crate) fn connections(&self) -> Option<mpsc::Receiver<Connection>> {
        let (sender, receiver) = mpsc::channel(WAITING_CONNECTIONS);
        self.connections.set(sender).ok().map(|()| receiver)
    }

    /// Loads these functions, or again those that are served. See [`crate::Runtime::load`].
    pub(crate) async fn load(self: &Arc<Self>, functions: Option<Vec<Loaded>>) -> Vec<LoadReport> {
        let mut loaded = self.loaded.lock().await;
        let seen = self.changes.borrow().seen;
        let loading = IsLoading::of(self);
        if let Some(functions) = functions {
            *loaded = functions;
        }
        let reports = load::load(self, loaded.clone()).await;
        self.looked_at(seen);
        drop(loading);
        reports
    }

    /// See [`crate::Runtime::looked_at`].
    pub(crate) fn looked_at(&self, seen: u64) {
        let later = |changes: &mut Changes| changes.looked_at = changes.looked_at.max(seen);
        self.changes.send_modify(later);
    }

    /// A function that is served, as it was given.
    pub(crate) async fn function(&self, name: &FunctionName) -> Option<Function> {
        let loaded = self.loaded.lock().await;
        let mut functions = loaded.iter().map(|loaded| &loaded.function);
        functions.find(|function| function.name == *name).cloned()
    }

    // Tasks ---------------------------------------------------------------------------------------------------------

    /// Keeps deadlines while calls are there.
    pub(crate) async fn keep_time(self: Arc<Self>) {
        loop {
            self.watch.notified().await;
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

    /// Ends workers that use far more memory than they were given while they run calls. `--max-old-space-size` bounds what
    /// JavaScript's own objects use, and Node aborts by itself; buffers and native code are not counted there.
    fn watch_memory(self: &Arc<Self>) {
        for Watched { worker, limit_mb } in self.with(|state| state.watched(true)) {
            let used = self.workers.resident_mb(worker);
            if used.is_some_and(|used| used > most_resident_mb(limit_mb)) {
                self.with(|state| state.exceeds_memory(worker, Instant::now()));
            }
        }
    }

    /// The same for all workers, with the processes that they started: beside the thread that serves, for to add their memory
    /// up takes the kernel milliseconds.
    async fn watch_families(self: &Arc<Self>) {
        let mut watched = self.with(|state| state.watched(false));
        let pool = Arc::clone(self);
        let asked = tokio::task::spawn_blocking(move || {
            watched.retain(|Watched { worker, limit_mb }| {
                pool.workers.family_exceeds(*worker, most_resident_mb(*limit_mb))
            });
            watched
        });
        for Watched { worker, .. } in asked.await.unwrap_or_default() {
            self.with(|state| state.exceeds_memory(worker, Instant::now()));
        }
    }

    /// Ends what is idle, stuck or swollen, and makes the private folder again when somebody has removed it.
    pub(crate) async fn keep_house(self: Arc<Self>) {
        loop {
            tokio::time::sleep(HOUSEKEEPING).await;
            self.clean(Instant::now());
            self.watch_families().await;
        }
    }

    /// What of [`Pool::keep_house`] waits for nothing.
    pub(crate) fn clean(self: &Arc<Self>, now: Instant) {
        self.with(|state| {
            state.retire_idle(now);
            state.end_stuck(now);
            state.start_again(now);
        });
        match self.workers.heal() {
            Ok(false) => {}
            // The workers that are there cannot reach the host by the sockets of their own any more.
            Ok(true) => self.with(|state| state.drain_all(now)),
            Err(error) => {
                tracing::warn!(%error, "the workers' private folder is gone and cannot be made again")
            }
        }
    }

    /// Removes the workers' private folder, once there are none: those that cannot be ended clear it away by themselves.
    pub(crate) fn close(self: &Arc<Self>) {
        if self.with(|state| state.has_workers()) {
            return;
        }
        if let Err(error) = self.workers.close()
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "the workers' private folder cannot be removed");
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
            self.with(|state| state.fill_up(Instant::now()));
        }
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
    pub(crate) async fn invoke(self: &Arc<Self>, call: FunctionCall) -> CallOutcome {
        self.invoke_within(call, LOADED_WITHIN).await
    }

    /// The same, where a load is to begin within `patience` after a change.
    pub(crate) async fn invoke_within(
        self: &Arc<Self>,
        call: FunctionCall,
        patience: Duration,
    ) -> CallOutcome {
        // A nested call does not wait: its caller runs the old code already.
        if call.parent.is_none() && !self.changes_are_loaded(patience).await {
            self.observer.progress(Progress::Outdated {
                function: call.function.clone(),
            });
        }
        let (caller, outcome) = oneshot::channel();
        match self.with(|state| state.admit(call, caller, Instant::now())) {
            Ok(call) => {
                Pending {
                    pool: Arc::clone(self),
                    call,
                    outcome,
                    done: false,
                }
                .await
            }
            Err(error) => CallOutcome::refused(error),
        }
    }

    /// Waits until the changes that were told so far are loaded: while functions are loaded for as long as that takes, which
    /// may be a long installation; else for `patience`. Says whether they are.
    pub(crate) async fn changes_are_loaded(&self, patience: Duration) -> bool {
        let seen = self.changes.borrow().seen;
        let mut changes = self.changes.subscribe();
        loop {
            let begun = tokio::time::timeout(
                patience,
                changes.wait_for(|changes| changes.is_loading || changes.looked_at >= seen),
            );
            match begun.await {
                Ok(Ok(now)) if now.looked_at >= seen => return true,
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return false,
            }
            if changes
                .wait_for(|changes| !changes.is_loading || changes.looked_at >= seen)
                .await
                .is_err()
            {
                return false;
            }
        }
    }
}

/// Says for as long as it lives that functions are being loaded.
struct IsLoading(Arc<Pool>);

impl IsLoading {
    fn of(pool: &Arc<Pool>) -> Self {
        pool.changes.send_modify(|changes| changes.is_loading = true);
        Self(Arc::clone(pool))
    }
}

impl Drop for IsLoading {
    fn drop(&mut self) {
        self.0.changes.send_modify(|changes| changes.is_loading = false);
    }
}

/// How much memory a worker may occupy before it is ended: twice what its function was given, because Node itself and
/// its code take a part that the platform does not count either, and 64 MB for a small one.
fn most_resident_mb(limit_mb: u32) -> u64 {
    u64::from(limit_mb) * 2 + 64
}

impl Host for Pool {
    fn workers(&self) -> &Workers {
        &self.workers
    }

    fn connected(self: &Arc<Self>, worker: WorkerId) {
        self.with(|state| state.connected(worker, Instant::now()));
    }

    fn received(self: &Arc<Self>, worker: WorkerId, message: WorkerMessage, now: Instant) -> bool {
        match message {
            WorkerMessage::Modules(files) => {
                if let Some(function) = self.with(|state| state.function_of(worker)) {
                    self.modules.loaded(&function, files);
                }
                true
            }
            message => match self.look_for_missing(worker, message) {
                Some(message) => self.with(|state| state.received(worker, message, now)),
                None => true,
            },
        }
    }

    fn garbled(self: &Arc<Self>, worker: WorkerId) {
        self.with(|state| state.garbled(worker, Instant::now()));
    }

    fn hung_up(self: &Arc<Self>, worker: WorkerId) {
        self.with(|state| state.hung_up(worker));
    }

    fn printed(self: &Arc<Self>, worker: WorkerId, level: Level, text: String) {
        self.with(|state| state.printed_raw(worker, level, text, Instant::now()));
    }

    /// Gives a connection to the one who serves it; if there is nobody, it is closed.
    async fn visited(self: &Arc<Self>, worker: WorkerId, key: Arc<KeyPair>, stream: UnixStream) {
        if let Some(server) = self.connections.get() {
            let register: Arc<dyn Register> = Arc::clone(self) as _;
            let worker = Peer {
                register,
                id: worker,
                key,
            };
            let _ = server.send(Connection { stream, worker }).await;
        }
    }

    fn exited(self: &Arc<Self>, worker: WorkerId, end: WorkerEnd) {
        self.with(|state| state.exited(worker, end, Instant::now()));
    }
}

impl Register for Pool {
    fn function(self: Arc<Self>, worker: WorkerId) -> Option<FunctionName> {
        self.with(|state| state.function_of(worker))
    }

    fn running(self: Arc<Self>, worker: WorkerId, call: InvocationId) -> Option<RunningCall> {
        let now = Instant::now();
        self.with(|state| state.running(worker, call, now))
    }
}

/// A call whose outcome is awaited.
struct Pending {
    pool: Arc<Pool>,
    call: CallKey,
    outcome: oneshot::Receiver<Box<CallOutcome>>,
    done: bool,
}

impl Future for Pending {
    type Output = CallOutcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<CallOutcome> {
        Pin::new(&mut self.outcome).poll(context).map(|outcome| {
            self.done = true;
            match outcome {
                Ok(outcome) => *outcome,
                // The state answers every call that it has taken.
                Err(_) => CallOutcome::refused(CallError::WorkerFailed {
                    why: "the call was lost".to_owned(),
                }),
            }
        })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            self.pool.with(|state| state.abandon(self.call));
        }
    }
}
