//! The pool's rules, tried without Node: random calls, nested calls, answers, deaths, reloads and waiting, in any order, with
//! what always holds looked at after each step.
//!
//! A [`World`] plays everything around the state: callers, workers, their processes, and the clock. It does what the state
//! asks for, and fails when that makes no sense: a call for a worker that has not loaded its function, a second answer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use process::{Frame, Level, OutputLine, Thrown, WorkerAnswer, WorkerEnd, WorkerId, WorkerMessage};
use proptest::prelude::*;

use super::{CallKey, Effect, LOAD_LIMIT, Limits, NESTED_EXTRA, START_AGAIN, Stage, State};
use crate::{
    call::{CallError, FunctionCall, InvocationId},
    spec::{Kind, Spec},
    worker,
};

const TICK: Duration = Duration::from_millis(10);
const FUNCTIONS: usize = 3;

/// One step of a story. Numbers choose among what is there, by their remainder.
#[derive(Clone, Debug)]
enum Step {
    Call {
        function: usize,
        budget_ms: Option<u64>,
    },
    Nested {
        function: usize,
        parent: usize,
    },
    Abandon(usize),
    /// A worker does the next thing that is to be expected of it.
    Proceed(usize),
    /// A worker answers one of its calls.
    Answer {
        worker: usize,
        call: usize,
        uncaught: bool,
    },
    Print {
        worker: usize,
        inside: bool,
    },
    LoadFails {
        worker: usize,
        lasting: bool,
    },
    /// A worker says something that makes no sense.
    Nonsense {
        worker: usize,
        what: usize,
    },
    HangUp(usize),
    /// The processes of a worker die.
    Die(usize),
    /// All workers that were ended are dead.
    Bury,
    Wait(u64),
    Reload {
        function: usize,
        there: bool,
        change: bool,
    },
    RetireIdle,
    FillUp,
    Swell(usize),
    DrainAll,
}

fn step() -> impl Strategy<Value = Step> {
    let one = 0..1000usize;
    prop_oneof![
        8 => (0..FUNCTIONS, proptest::option::of(1..3000u64))
            .prop_map(|(function, budget_ms)| Step::Call { function, budget_ms }),
        6 => (0..FUNCTIONS, one.clone()).prop_map(|(function, parent)| Step::Nested { function, parent }),
        2 => one.clone().prop_map(Step::Abandon),
        20 => one.clone().prop_map(Step::Proceed),
        8 => (one.clone(), one.clone(), proptest::bool::weighted(0.1))
            .prop_map(|(worker, call, uncaught)| Step::Answer { worker, call, uncaught }),
        2 => (one.clone(), any::<bool>()).prop_map(|(worker, inside)| Step::Print { worker, inside }),
        1 => (one.clone(), any::<bool>()).prop_map(|(worker, lasting)| Step::LoadFails { worker, lasting }),
        1 => (one.clone(), 0..4usize).prop_map(|(worker, what)| Step::Nonsense { worker, what }),
        1 => one.clone().prop_map(Step::HangUp),
        2 => one.clone().prop_map(Step::Die),
        5 => Just(Step::Bury),
        8 => prop_oneof![4 => 1..40u64, 1 => 100..4000u64, 1 => 20_000..40_000u64].prop_map(Step::Wait),
        1 => (0..FUNCTIONS, proptest::bool::weighted(0.8), any::<bool>())
            .prop_map(|(function, there, change)| Step::Reload { function, there, change }),
        1 => Just(Step::RetireIdle),
        2 => Just(Step::FillUp),
        1 => one.clone().prop_map(Step::Swell),
        1 => Just(Step::DrainAll),
    ]
}

/// What a function may have.
#[derive(Clone, Copy, Debug)]
struct Shape {
    concurrency: usize,
    max_instances: usize,
    timeout_ms: u64,
    kind: u32,
}

fn shape() -> impl Strategy<Value = Shape> {
    (1..4usize, 1..4usize, 50..3000u64, 0..2u32).prop_map(|(concurrency, max_instances, timeout_ms, kind)| {
        Shape {
            concurrency,
            max_instances,
            timeout_ms,
            kind,
        }
    })
}

#[derive(Debug)]
struct ToyWorker {
    stage: Toy,
    running: Vec<(u32, usize)>,
    ended: bool,
}

#[derive(Debug)]
enum Toy {
    Launched,
    Preparing,
    Spare,
    Loading(Arc<Spec>),
    Ready(Arc<Spec>),
}

#[derive(Debug)]
struct ToyCall {
    id: InvocationId,
    key: Option<CallKey>,
    function: usize,
    parent: Option<usize>,
    budget: Duration,
    /// Where and when it was handed over.
    handed: Option<(WorkerId, Instant)>,
    answer: Option<Result<(), CallError>>,
    abandoned: bool,
}

struct World {
    state: State<usize>,
    now: Instant,
    shapes: Vec<Shape>,
    specs: Vec<Option<Arc<Spec>>>,
    version: u8,
    workers: BTreeMap<(usize, u64), ToyWorker>,
    calls: Vec<ToyCall>,
    ticking: bool,
}

fn name(function: usize) -> function::FunctionName {
    format!("f{function}").parse().unwrap()
}

impl World {
    fn new(limits: Limits, shapes: Vec<Shape>) -> Self {
        let now = Instant::now();
        let mut world = Self {
            state: State::new(limits, now),
            now,
            specs: vec![None; shapes.len()],
            shapes,
            version: 0,
            workers: BTreeMap::new(),
            calls: Vec::new(),
            ticking: false,
        };
        for function in 0..FUNCTIONS {
            world.specs[function] = Some(world.spec(function));
        }
        world.install();
        world
    }

    fn spec(&mut self, function: usize) -> Arc<Spec> {
        self.version = self.version.wrapping_add(1);
        let shape = self.shapes[function];
        Arc::new(Spec {
            name: name(function),
            timeout: Duration::from_millis(shape.timeout_ms),
            concurrency: shape.concurrency,
            max_instances: shape.max_instances,
            kind: Kind {
                memory_mb: 128 + shape.kind,
                inspect: None,
                pack: (shape.kind == 0).then(|| "pack".into()),
            },
            order: String::new(),
            fingerprint: [self.version; 32],
            problem: None,
        })
    }

    fn install(&mut self) {
        let specs = self.specs.iter().flatten().cloned().collect();
        self.state.install(specs, self.now);
        self.follow();
    }

    // What the state asks for -----------------------------------------------------------------------------------------

    fn follow(&mut self) {
        while !self.state.effects.is_empty() {
            for effect in std::mem::take(&mut self.state.effects) {
                self.carry_out(effect);
            }
        }
    }

    fn alive(&mut self, worker: WorkerId) -> &mut ToyWorker {
        let toy = self.workers.get_mut(&(worker.key, worker.serial)).unwrap();
        assert!(!toy.ended, "a worker that was ended is told to do something");
        toy
    }

    fn carry_out(&mut self, effect: Effect<usize>) {
        match effect {
            Effect::Launch(launch) => {
                let id = (launch.worker.key, launch.worker.serial);
                assert!(
                    self.workers
                        .keys()
                        .all(|(key, serial)| *key != id.0 && *serial != id.1),
                    "a worker's name is used twice"
                );
                let toy = ToyWorker {
                    stage: Toy::Launched,
                    running: Vec::new(),
                    ended: false,
                };
                self.workers.insert(id, toy);
            }
            Effect::Prepare { worker, .. } => {
                let toy = self.alive(worker);
                assert!(matches!(toy.stage, Toy::Launched));
                toy.stage = Toy::Preparing;
            }
            Effect::Load { worker, spec } => {
                let toy = self.alive(worker);
                assert!(matches!(toy.stage, Toy::Spare | Toy::Launched | Toy::Preparing));
                toy.stage = Toy::Loading(spec);
            }
            Effect::Call {
                worker,
                call,
                frame,
                left_ms,
                later,
            } => {
                let number: usize = std::str::from_utf8(frame.event_bytes()).unwrap().parse().unwrap();
                let now = self.now;
                let current = self.specs[self.calls[number].function].clone();
                let toy = self.alive(worker);
                let Toy::Ready(spec) = &toy.stage else {
                    panic!("a call for a worker that is not ready: {toy:?}");
                };
                assert!(
                    current.is_some_and(|current| Arc::ptr_eq(&current, spec)),
                    "a call for a worker that serves something else"
                );
                assert!(
                    toy.running.len() < spec.concurrency,
                    "too many calls on one worker"
                );
                assert_eq!(later, !toy.running.is_empty());
                toy.running.push((call, number));
                let known = &mut self.calls[number];
                assert!(known.handed.is_none(), "a call is handed over twice");
                assert!(known.answer.is_none() && !known.abandoned);
                assert_eq!(u128::from(left_ms), known.budget.as_millis());
                known.handed = Some((worker, now));
            }
            Effect::End(worker) => self.alive(worker).ended = true,
            Effect::Answer(number, outcome) => {
                let call = &mut self.calls[number];
                assert!(call.answer.is_none(), "a call is answered twice");
                assert!(!call.abandoned, "a caller that has gone is answered");
                if let Err(CallError::TimedOut { .. }) = outcome.result {
                    let (_, began) = call.handed.unwrap();
                    assert!(self.now >= began + call.budget, "too early");
                }
                call.answer = Some(outcome.result.map(|_| ()));
            }
            Effect::Watch => self.ticking = true,
            Effect::Tell(_) | Effect::Refill | Effect::Changed => {}
        }
    }

    // What happens --------------------------------------------------------------------------------------------------------

    fn call(&mut self, function: usize, budget_ms: Option<u64>, parent: Option<usize>) {
        let number = self.calls.len();
        let mut frame = Frame::new();
        frame.event().extend_from_slice(number.to_string().as_bytes());
        let mut call = match parent {
            Some(parent) => FunctionCall::nested(name(function), frame, self.calls[parent].id),
            None => FunctionCall::new(name(function), frame),
        };
        call.budget = budget_ms.map(Duration::from_millis);
        let timeout = Duration::from_millis(self.shapes[function].timeout_ms);
        let mut budget = call.budget.map_or(timeout, |budget| budget.min(timeout));
        if let Some(parent) = parent.map(|parent| &self.calls[parent])
            && let Some((_, began)) = parent.handed
        {
            budget = budget.min((began + parent.budget).saturating_duration_since(self.now));
        }
        self.calls.push(ToyCall {
            id: call.id(),
            key: None,
            function,
            parent,
            budget,
            handed: None,
            answer: None,
            abandoned: false,
        });
        match self.state.admit(call, number, self.now) {
            Ok(key) => self.calls[number].key = Some(key),
            Err(error) => self.calls[number].answer = Some(Err(error)),
        }
        self.follow();
    }

    /// The chosen one of the workers that are not buried and about which `which` holds.
    fn choose(&self, choice: usize, which: impl Fn(&ToyWorker) -> bool) -> Option<WorkerId> {
        let fit: Vec<_> = self.workers.iter().filter(|(_, toy)| which(toy)).collect();
        let ((key, serial), _) = fit.get(choice.checked_rem(fit.len())?)?;
        Some(WorkerId {
            key: *key,
            serial: *serial,
        })
    }

    fn say(&mut self, worker: WorkerId, message: WorkerMessage) -> bool {
        let heard = self.state.received(worker, message, self.now);
        self.follow();
        heard
    }

    fn proceed(&mut self, worker: WorkerId) {
        let toy = self.alive(worker);
        match &toy.stage {
            Toy::Launched => {
                self.state.connected(worker, self.now);
                assert_eq!(self.state.failed_start(), None, "one came");
                // It may have been told to prepare, or to load; a spare without anything to prepare is ready.
                self.follow();
                let toy = self.alive(worker);
                if matches!(toy.stage, Toy::Launched) {
                    toy.stage = Toy::Spare;
                }
            }
            Toy::Preparing => {
                toy.stage = Toy::Spare;
                assert!(self.say(worker, WorkerMessage::Prepared));
            }
            Toy::Spare => {}
            Toy::Loading(spec) => {
                toy.stage = Toy::Ready(Arc::clone(spec));
                assert!(self.say(worker, WorkerMessage::Loaded));
            }
            Toy::Ready(_) => self.answer(worker, 0, false),
        }
    }

    fn answer(&mut self, worker: WorkerId, choice: usize, uncaught: bool) {
        let toy = self.alive(worker);
        let Some(at) = choice.checked_rem(toy.running.len()) else {
            return;
        };
        let (call, number) = toy.running.swap_remove(at);
        let answer = if uncaught {
            WorkerAnswer::Threw {
                thrown: Thrown::default(),
                uncaught,
            }
        } else {
            WorkerAnswer::Json(Bytes::from_static(b"1"))
        };
        let was_open = self.calls[number].answer.is_none() && !self.calls[number].abandoned;
        assert!(self.say(worker, WorkerMessage::Answered { call, answer }));
        if was_open {
            assert_eq!(
                self.calls[number].answer.as_ref().map(Result::is_ok),
                Some(!uncaught)
            );
        }
    }

    fn die(&mut self, worker: WorkerId) {
        let toy = self.workers.remove(&(worker.key, worker.serial));
        self.state
            .exited(worker, WorkerEnd::Exited("exit code 1".to_owned()), self.now);
        if toy.is_some_and(|toy| !toy.ended && matches!(toy.stage, Toy::Launched)) {
            let failed = self.state.failed_start().unwrap();
            assert_eq!((failed.at, failed.why.as_str()), (self.now, "exit code 1"));
        }
        // It was told to end, or it is known to be dead: nothing is asked of it any more.
        self.state
            .effects
            .retain(|effect| !matches!(effect, Effect::End(ended) if *ended == worker));
        self.follow();
    }

    fn bury(&mut self) {
        while let Some(worker) = self.choose(0, |toy| toy.ended) {
            self.die(worker);
        }
    }

    fn wait(&mut self, ms: u64) {
        let until = self.now + Duration::from_millis(ms);
        // Long waits in a few strides: what matters is that time has passed.
        let stride = TICK.max(Duration::from_millis(ms / 20));
        while self.now < until {
            self.now += stride;
            if self.ticking {
                self.ticking = self.state.tick(self.now);
                self.follow();
                self.look_after_tick();
            }
        }
    }

    fn take(&mut self, step: &Step) {
        let live = |toy: &ToyWorker| !toy.ended;
        match *step {
            Step::Call { function, budget_ms } => self.call(function, budget_ms, None),
            Step::Nested { function, parent } => {
                let parents: Vec<usize> = (0..self.calls.len())
                    .filter(|number| {
                        let call = &self.calls[*number];
                        call.handed.is_some() && call.answer.is_none()
                    })
                    .collect();
                if let Some(at) = parent.checked_rem(parents.len()) {
                    self.call(function, None, Some(parents[at]));
                }
            }
            Step::Abandon(choice) => {
                let open: Vec<usize> = (0..self.calls.len())
                    .filter(|number| {
                        let call = &self.calls[*number];
                        call.key.is_some() && call.answer.is_none() && !call.abandoned
                    })
                    .collect();
                if let Some(at) = choice.checked_rem(open.len()) {
                    self.calls[open[at]].abandoned = true;
                    self.state.abandon(self.calls[open[at]].key.unwrap());
                    self.follow();
                }
            }
            Step::Proceed(choice) => {
                if let Some(worker) = self.choose(choice, live) {
                    self.proceed(worker);
                }
            }
            Step::Answer {
                worker,
                call,
                uncaught,
            } => {
                if let Some(worker) = self.choose(worker, |toy| live(toy) && !toy.running.is_empty()) {
                    self.answer(worker, call, uncaught);
                }
            }
            Step::Print { worker, inside } => {
                if let Some(worker) = self.choose(worker, live) {
                    let running = self.alive(worker).running.first().map(|(call, _)| *call);
                    let line = OutputLine {
                        level: Level::Log,
                        at: Duration::ZERO,
                        text: "a line".to_owned(),
                    };
                    let call = running.filter(|_| inside);
                    assert!(self.say(worker, WorkerMessage::Printed { call, line }));
                }
            }
            Step::LoadFails { worker, lasting } => {
                if let Some(worker) =
                    self.choose(worker, |toy| live(toy) && matches!(toy.stage, Toy::Loading(_)))
                {
                    let thrown = Thrown::default();
                    assert!(self.say(worker, WorkerMessage::LoadFailed { thrown, lasting }));
                    assert!(self.workers[&(worker.key, worker.serial)].ended);
                }
            }
            Step::Nonsense { worker, what } => {
                if let Some(worker) =
                    self.choose(worker, |toy| live(toy) && !matches!(toy.stage, Toy::Launched))
                {
                    let toy = self.alive(worker);
                    let has = |call| toy.running.iter().any(|(running, _)| *running == call);
                    let message = match what {
                        0 if !matches!(toy.stage, Toy::Loading(_)) => WorkerMessage::Loaded,
                        1 if !matches!(toy.stage, Toy::Preparing) => WorkerMessage::Prepared,
                        2 if !has(7) => WorkerMessage::Dropped {
                            call: Some(7),
                            bytes: 1,
                        },
                        _ => WorkerMessage::Answered {
                            call: u32::MAX - 1,
                            answer: WorkerAnswer::Undefined,
                        },
                    };
                    assert!(!self.say(worker, message));
                    assert!(self.workers[&(worker.key, worker.serial)].ended);
                }
            }
            Step::HangUp(choice) => {
                if let Some(worker) = self.choose(choice, live) {
                    self.state.hung_up(worker);
                    self.follow();
                }
            }
            Step::Die(choice) => {
                if let Some(worker) = self.choose(choice, |_| true) {
                    self.die(worker);
                }
            }
            Step::Bury => self.bury(),
            Step::Wait(ms) => self.wait(ms),
            Step::Reload {
                function,
                there,
                change,
            } => {
                if !there {
                    self.specs[function] = None;
                } else if change || self.specs[function].is_none() {
                    self.specs[function] = Some(self.spec(function));
                }
                self.install();
            }
            Step::RetireIdle => {
                self.state.retire_idle(self.now);
                self.follow();
            }
            Step::FillUp => {
                self.state.fill_up(self.now);
                self.follow();
            }
            Step::Swell(choice) => {
                if let Some(worker) = self.choose(choice, live) {
                    self.state.exceeds_memory(worker, self.now);
                    self.follow();
                    assert!(self.workers[&(worker.key, worker.serial)].ended);
                }
            }
            Step::DrainAll => {
                self.state.drain_all(self.now);
                self.follow();
            }
        }
    }

    // What always holds ----------------------------------------------------------------------------------------------------

    fn look(&self) {
        let state = &self.state;
        assert!(
            state.workers.len() <= state.limits.workers + NESTED_EXTRA,
            "more workers than there may be"
        );
        for (key, worker) in &state.workers {
            let toy = &self.workers[&(key, worker.serial)];
            assert_eq!(toy.ended, worker.is_ending());
        }
        assert_eq!(self.workers.len(), state.workers.len());

        let mut queued = BTreeSet::new();
        for (number, function) in state.functions.iter().enumerate() {
            for key in function.queue.iter() {
                assert!(queued.insert(key), "a call waits twice");
                let slot = &state.calls[key];
                assert_eq!(slot.function, number);
                assert!(matches!(slot.stage, Stage::Waiting { .. }));
            }
            let members: BTreeSet<usize> = function.workers.iter().copied().collect();
            assert_eq!(members.len(), function.workers.len(), "a worker is listed twice");
            let serving: BTreeSet<usize> = state
                .workers
                .iter()
                .filter(|(_, worker)| {
                    let draining = worker.serving().is_some_and(|serving| serving.draining);
                    !draining && worker.task().is_some_and(|task| task.function == number)
                })
                .map(|(key, _)| key)
                .collect();
            assert_eq!(members, serving, "the list of a function's workers is not true");
            let Some(spec) = &function.spec else {
                assert!(function.queue.is_empty() && members.is_empty());
                continue;
            };
            assert!(members.len() <= spec.max_instances + NESTED_EXTRA);
            let mut roots = 0;
            for key in &members {
                let worker = &state.workers[*key];
                assert!(Arc::ptr_eq(&worker.task().unwrap().spec, spec));
                roots += worker.serving().map_or(0, |serving| serving.roots);
            }
            assert!(
                roots <= spec.max_instances * spec.concurrency,
                "calls that no function made take the workers meant for nested ones"
            );
            if !function.queue.is_empty() {
                assert!(function.broken.is_none());
                let nested = function.queue.nested() > 0;
                assert_eq!(
                    state.free_worker(number, nested),
                    None,
                    "a call waits and a worker idles"
                );
            }
        }

        let mut held = BTreeSet::new();
        for (key, worker) in &state.workers {
            let running = match &worker.stage {
                worker::Stage::Ready(serving) => {
                    let roots = serving
                        .running
                        .iter()
                        .filter(|call| state.calls[**call].depth == 0);
                    assert_eq!(serving.roots, roots.count());
                    assert!(serving.running.len() <= serving.task.spec.concurrency);
                    assert!(
                        !serving.draining || !state.is_done(key),
                        "a worker that is done lives on"
                    );
                    &serving.running
                }
                worker::Stage::Ending(ended) => &ended.running,
                _ => continue,
            };
            for call in running {
                assert!(held.insert(*call), "two workers have one call");
                match state.calls[*call].stage {
                    Stage::Running { worker, .. } | Stage::Lingering { worker, .. } => {
                        assert_eq!(worker, key)
                    }
                    Stage::Waiting { .. } => panic!("a worker has a call that waits"),
                }
            }
        }
        for (key, slot) in &state.calls {
            let waits = matches!(slot.stage, Stage::Waiting { .. });
            assert!(
                waits == queued.contains(&key) && waits != held.contains(&key),
                "a call is lost"
            );
            let children = state
                .calls
                .iter()
                .filter(|(_, child)| child.parent == Some((key, slot.id)) && !child.is_settled());
            assert_eq!(slot.children as usize, children.count());
            assert!(slot.depth <= crate::MAX_DEPTH);
        }

        for (number, call) in self.calls.iter().enumerate() {
            if call.answer.is_none() && !call.abandoned {
                let open = state
                    .calls
                    .iter()
                    .any(|(_, slot)| slot.id == call.id && !slot.is_settled());
                assert!(open, "call {number} was never answered");
                let parent = call.parent.map(|parent| &self.calls[parent]);
                assert!(
                    parent.is_none_or(|parent| parent.answer.is_none()),
                    "call {number} outlives the one that made it"
                );
            }
        }
    }

    fn look_after_tick(&self) {
        for (_, slot) in &self.state.calls {
            match slot.stage {
                Stage::Running {
                    deadline: Some(deadline),
                    ..
                } => assert!(deadline > self.now, "a deadline was missed"),
                Stage::Waiting { .. } => {
                    let covered = self.state.functions[slot.function].queue.nested()
                        <= self.state.coming_room(slot.function);
                    assert!(
                        slot.depth == 0 || covered || !self.state.is_entangled(slot.function, slot.parent),
                        "a nested call waits for what its ancestors hold"
                    );
                }
                _ => {}
            }
        }
    }

    /// Nothing new happens any more. All calls come to an end, whether workers go on or stand still, and nothing is left.
    fn finish(mut self, workers_go_on: bool) {
        let longest = LOAD_LIMIT + Duration::from_secs(10);
        let until = self.now + longest * (FUNCTIONS as u32 + 1);
        while !self.state.calls.is_empty() && self.now < until {
            self.bury();
            if workers_go_on {
                let all: Vec<_> = self.workers.keys().copied().collect();
                for (key, serial) in all {
                    if self.workers.get(&(key, serial)).is_some_and(|toy| !toy.ended) {
                        self.proceed(WorkerId { key, serial });
                    }
                }
            }
            self.wait(200);
            self.look();
        }
        assert!(
            self.state.calls.is_empty(),
            "calls go on for ever: {:?}",
            self.state
        );
        assert!(
            self.calls
                .iter()
                .all(|call| call.answer.is_some() || call.abandoned)
        );
        self.wait(20);
        assert!(!self.ticking, "somebody watches, and there is nothing to see");
        self.state.close(self.now);
        self.follow();
        assert!(self.workers.values().all(|toy| toy.ended));
        self.bury();
        assert!(!self.state.has_workers() && self.workers.is_empty());
        let refused = self.calls.len();
        self.call(0, None, None);
        assert!(matches!(self.calls[refused].answer, Some(Err(_))));
        self.look();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_every_call_ends_once_and_nothing_is_left(
        workers in 1..8usize,
        spares in 0..2usize,
        shapes in proptest::collection::vec(shape(), FUNCTIONS),
        steps in proptest::collection::vec(step(), 1..150),
        workers_go_on in any::<bool>(),
    ) {
        let mut world = World::new(Limits { spares, workers, log: 100 }, shapes);
        world.look();
        for step in &steps {
            world.take(step);
            world.look();
        }
        world.finish(workers_go_on);
    }
}

/// A world with these functions; all workers that were started are ready.
fn world(workers: usize, shapes: [(usize, usize); FUNCTIONS]) -> World {
    let shapes = shapes.map(|(max_instances, concurrency)| Shape {
        concurrency,
        max_instances,
        timeout_ms: 3000,
        kind: 1,
    });
    let limits = Limits {
        spares: 0,
        workers,
        log: 100,
    };
    World::new(limits, shapes.to_vec())
}

impl World {
    /// Workers come to work, and those that were ended die, until nothing changes.
    fn settle_workers(&mut self) {
        loop {
            self.bury();
            let next = self.choose(0, |toy| {
                !toy.ended && matches!(toy.stage, Toy::Launched | Toy::Preparing | Toy::Loading(_))
            });
            match next {
                Some(worker) => self.proceed(worker),
                None => break,
            }
        }
        self.look();
    }

    fn is_running(&self, call: usize) -> bool {
        self.calls[call].handed.is_some() && self.calls[call].answer.is_none()
    }
}

#[test]
fn workers_meant_for_nested_calls_are_not_taken_by_others() {
    let mut world = world(100, [(4, 1), (4, 1), (1, 1)]);
    // Nested calls start workers beyond the four, and leave them idle.
    world.call(0, None, None);
    world.settle_workers();
    for _ in 0..NESTED_EXTRA {
        world.call(1, None, Some(0));
    }
    world.settle_workers();
    while let Some(worker) = world.choose(0, |toy| toy.running.iter().any(|(_, number)| *number > 0)) {
        world.answer(worker, 0, false);
    }
    let first = world.calls.len();
    for _ in 0..20 {
        world.call(1, None, None);
    }
    let running = (first..world.calls.len()).filter(|call| world.is_running(*call));
    assert_eq!(running.count(), 4);
    let nested = world.calls.len();
    for _ in 0..4 {
        world.call(1, None, Some(0));
    }
    assert!((nested..nested + 4).all(|call| world.is_running(call)));
    world.finish(true);
}

#[test]
fn a_worker_that_never_comes_is_a_start_that_failed() {
    let mut world = world(10, [(1, 1), (1, 1), (1, 1)]);
    world.call(0, None, None);
    world.wait(LOAD_LIMIT.as_millis() as u64 + 100);
    let failed = world.state.failed_start().unwrap();
    assert_eq!(failed.why, "the process did not come to work within 30 s");
    // A process that is ended because nobody needs it any more is no failed start.
    world.bury();
    world.call(0, None, None);
    world.settle_workers();
    assert_eq!(world.state.failed_start(), None);
    world.call(1, None, None);
    world.state.close(world.now);
    world.follow();
    world.settle_workers();
    assert_eq!(world.state.failed_start(), None);
}

#[test]
fn spares_are_tried_again_after_a_start_that_failed() {
    let mut world = world(10, [(1, 1), (1, 1), (1, 1)]);
    world.state.limits.spares = 1;
    world.state.fill_up(world.now);
    world.follow();
    let spare = world.choose(0, |_| true).unwrap();
    world.die(spare);
    let starting = |world: &mut World| {
        world.state.start_again(world.now);
        world.follow();
        world.workers.len()
    };
    assert_eq!(starting(&mut world), 0, "not at once");
    world.now += START_AGAIN;
    assert_eq!(starting(&mut world), 1);
    assert_eq!(starting(&mut world), 1);
    world.settle_workers();
    assert_eq!(world.state.failed_start(), None);
}

#[test]
fn the_longest_idle_worker_goes_when_there_is_no_room() {
    let mut world = world(2, [(1, 1), (1, 1), (1, 1)]);
    for function in [0, 1] {
        world.call(function, None, None);
        world.settle_workers();
        world.now += Duration::from_secs(1);
        let busy = world.choose(0, |toy| !toy.running.is_empty()).unwrap();
        world.answer(busy, 0, false);
    }
    world.call(2, None, None);
    let ended: Vec<_> = world.workers.values().map(|toy| toy.ended).collect();
    assert_eq!(ended, [true, false], "the first one has been idle longest");
    assert!(!world.is_running(2), "it waits for the end of that one");
    world.settle_workers();
    assert!(world.is_running(2));
    assert_eq!(world.state.workers.len(), 2);
    world.finish(true);
}

#[test]
fn where_all_workers_are_busy_a_call_waits_and_a_nested_one_does_not() {
    let mut world = world(2, [(1, 1), (1, 1), (1, 1)]);
    world.call(0, None, None);
    world.call(1, None, None);
    world.settle_workers();
    world.call(2, None, None);
    world.settle_workers();
    assert!(!world.is_running(2) && world.calls[2].answer.is_none());
    world.call(2, None, Some(0));
    world.settle_workers();
    assert!(world.is_running(3), "whoever waits for it holds a worker");
    world.finish(true);
}

#[test]
fn a_call_that_came_first_is_served_first() {
    let mut world = world(10, [(1, 1), (1, 1), (1, 1)]);
    for _ in 0..4 {
        world.call(0, None, None);
    }
    world.settle_workers();
    for call in 0..4 {
        assert!(world.is_running(call));
        let busy = world.choose(0, |toy| !toy.running.is_empty()).unwrap();
        world.answer(busy, 0, false);
    }
    world.finish(true);
}

#[test]
fn quick_calls_share_the_workers_that_are_there() {
    let mut world = world(10, [(4, 1), (1, 1), (1, 1)]);
    let answer = |world: &mut World, after: Duration| {
        world.now += after;
        let busy = world.choose(0, |toy| !toy.running.is_empty()).unwrap();
        world.answer(busy, 0, false);
    };
    world.call(0, None, None);
    world.settle_workers();
    answer(&mut world, Duration::from_millis(1));
    for _ in 0..4 {
        world.call(0, None, None);
    }
    assert_eq!(world.workers.len(), 1, "it will be over in a moment");
    for _ in 0..4 {
        answer(&mut world, Duration::from_millis(1));
    }
    // Slow ones do not: nor quick ones that have waited for long.
    world.call(0, None, None);
    world.call(0, None, None);
    world.wait(30);
    assert_eq!(world.workers.len(), 2);
    world.finish(true);
}

#[test]
fn a_call_waits_no_longer_than_its_timeout_and_loading_does_not_count() {
    let mut world = world(10, [(1, 1), (1, 1), (1, 1)]);
    world.call(0, Some(50), None);
    world.wait(10_000);
    assert!(world.calls[0].answer.is_none(), "the function is being loaded");
    world.settle_workers();
    assert!(world.is_running(0));
    world.call(0, Some(30), None);
    world.wait(20);
    assert!(world.calls[1].answer.is_none());
    world.wait(20);
    assert_eq!(world.calls[1].answer, Some(Err(CallError::QueueFull)));
    world.wait(20);
    let after = Duration::from_millis(50);
    assert_eq!(world.calls[0].answer, Some(Err(CallError::TimedOut { after })));
    world.finish(true);
}
