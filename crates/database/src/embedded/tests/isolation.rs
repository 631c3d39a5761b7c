//! Random interleavings of transactions and ordinary writes, held against a model that says in plain words what isolation means.

use std::{future::Future, pin::Pin, time::Duration};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::embedded::transaction::TRANSACTION_LIFE;

/// A document of the model: a counter, and a value that no two documents share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Counter {
    n: i64,
    u: Option<i64>,
}

type Counters = BTreeMap<i64, Counter>;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Insert(i64, Option<i64>),
    Increment(i64),
    /// All whose counter is no less.
    IncrementAll(i64),
    SetUnique(i64, i64),
    Upsert(i64),
    Remove(i64),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(usize),
    Read(usize),
    Write(usize, Op),
    Commit(usize),
    Abort(usize),
    /// An operation while another one of the transaction is under way.
    Busy(usize),
    Ordinary(Op),
    /// Seconds.
    Pass(u64),
}

/// What an operation came to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Came {
    Inserted,
    Updated {
        matched: u64,
        modified: u64,
        added: bool,
    },
    Removed(u64),
    Duplicate,
    Conflict,
    Missing,
    Locked,
}

const SLOTS: usize = 3;

fn op() -> impl Strategy<Value = Op> {
    let id = 0..4_i64;
    prop_oneof![
        (id.clone(), proptest::option::of(0..3_i64)).prop_map(|(id, u)| Op::Insert(id, u)),
        id.clone().prop_map(Op::Increment),
        (0..3_i64).prop_map(Op::IncrementAll),
        (id.clone(), 0..3_i64).prop_map(|(id, u)| Op::SetUnique(id, u)),
        id.clone().prop_map(Op::Upsert),
        id.prop_map(Op::Remove),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let slot = 0..SLOTS;
    prop_oneof![
        3 => slot.clone().prop_map(Step::Begin),
        2 => slot.clone().prop_map(Step::Read),
        6 => (slot.clone(), op()).prop_map(|(slot, op)| Step::Write(slot, op)),
        2 => slot.clone().prop_map(Step::Commit),
        1 => slot.clone().prop_map(Step::Abort),
        1 => slot.prop_map(Step::Busy),
        4 => op().prop_map(Step::Ordinary),
        1 => prop_oneof![Just(3_u64), Just(14), Just(30)].prop_map(Step::Pass),
    ]
}

/// What an operation locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Lock {
    Document(i64),
    Value(i64),
}

#[derive(Clone, Debug, Default)]
struct ModelTransaction {
    began: u64,
    snapshot: Option<Counters>,
    /// What it wrote; `None` for removed.
    own: BTreeMap<i64, Option<Counter>>,
    doomed: bool,
}

impl ModelTransaction {
    fn view(&self) -> Counters {
        let mut view = self.snapshot.clone().unwrap_or_default();
        for (id, own) in &self.own {
            match own {
                Some(counter) => drop(view.insert(*id, *counter)),
                None => drop(view.remove(id)),
            }
        }
        view
    }
}

#[derive(Debug, Default)]
struct Model {
    now: u64,
    committed: Counters,
    open: BTreeMap<usize, ModelTransaction>,
    locks: BTreeMap<Lock, usize>,
    /// Whether something was released that somebody may wait for.
    freed: bool,
}

/// What an operation would write on a view of the counters: how it came, and the counters that are different.
fn effect(op: Op, view: &Counters) -> (Came, Vec<(i64, Option<Counter>)>) {
    let updated = |matched, changed: Vec<(i64, Option<Counter>)>| {
        let came = Came::Updated {
            matched,
            modified: changed.len() as u64,
            added: false,
        };
        (came, changed)
    };
    let more = |counter: &Counter| Counter {
        n: counter.n + 1,
        ..*counter
    };
    match op {
        Op::Insert(id, _) if view.contains_key(&id) => (Came::Duplicate, Vec::new()),
        Op::Insert(id, u) => (Came::Inserted, vec![(id, Some(Counter { n: 0, u }))]),
        Op::Increment(id) | Op::Upsert(id) if view.contains_key(&id) => {
            updated(1, vec![(id, Some(more(&view[&id])))])
        }
        Op::Upsert(id) => {
            let came = Came::Updated {
                matched: 0,
                modified: 0,
                added: true,
            };
            (came, vec![(id, Some(Counter { n: 1, u: None }))])
        }
        Op::IncrementAll(least) => {
            let changed: Vec<_> = view
                .iter()
                .filter(|(_, counter)| counter.n >= least)
                .map(|(id, counter)| (*id, Some(more(counter))))
                .collect();
            updated(changed.len() as u64, changed)
        }
        Op::SetUnique(id, u) => match view.get(&id) {
            Some(counter) if counter.u == Some(u) => updated(1, Vec::new()),
            Some(counter) => updated(
                1,
                vec![(
                    id,
                    Some(Counter {
                        u: Some(u),
                        ..*counter
                    }),
                )],
            ),
            None => updated(0, Vec::new()),
        },
        Op::Increment(_) => updated(0, Vec::new()),
        Op::Remove(id) => {
            let removed = view.contains_key(&id);
            let changed = removed.then_some((id, None)).into_iter().collect();
            (Came::Removed(u64::from(removed)), changed)
        }
    }
}

/// The value that an operation gives a document, where that has to be unique.
fn value(counter: Option<Counter>) -> Option<i64> {
    counter.and_then(|counter| counter.u)
}

impl Model {
    fn end(&mut self, slot: usize) {
        self.open.remove(&slot);
        self.release(slot);
    }

    fn release(&mut self, slot: usize) {
        let before = self.locks.len();
        self.locks.retain(|_, owner| *owner != slot);
        self.freed |= self.locks.len() < before;
    }

    fn locked(&self, lock: Lock, by_other_than: Option<usize>) -> bool {
        self.locks
            .get(&lock)
            .is_some_and(|owner| Some(*owner) != by_other_than)
    }

    /// An ordinary write; `None` while it has to wait.
    fn ordinary(&mut self, op: Op) -> Option<Came> {
        let (came, changes) = effect(op, &self.committed);
        // Whoever adds a document waits for the one who adds it too, or its value, before it is judged.
        if let Op::Insert(id, u) = op
            && (self.locked(Lock::Document(id), None) || u.is_some_and(|u| self.locked(Lock::Value(u), None)))
        {
            return None;
        }
        // One that is looked at, and stays as it is, is waited for as well.
        if let Op::SetUnique(id, _) = op
            && self.committed.contains_key(&id)
            && self.locked(Lock::Document(id), None)
        {
            return None;
        }
        for (id, after) in &changes {
            if self.locked(Lock::Document(*id), None)
                || value(*after).is_some_and(|u| self.locked(Lock::Value(u), None))
            {
                return None;
            }
        }
        for (id, after) in &changes {
            if let Some(u) = value(*after)
                && self
                    .committed
                    .iter()
                    .any(|(other, counter)| other != id && counter.u == Some(u))
            {
                return Some(Came::Duplicate);
            }
        }
        for (id, after) in changes {
            match after {
                Some(counter) => drop(self.committed.insert(id, counter)),
                None => drop(self.committed.remove(&id)),
            }
        }
        Some(came)
    }

    fn write(&mut self, slot: usize, op: Op) -> Came {
        let committed = self.committed.clone();
        let Some(transaction) = self.open.get_mut(&slot).filter(|open| !open.doomed) else {
            return Came::Missing;
        };
        let snapshot = transaction
            .snapshot
            .get_or_insert_with(|| committed.clone())
            .clone();
        let own = transaction.own.clone();
        let (came, changes) = effect(op, &transaction.view());
        for (id, after) in changes {
            if let Some(u) = value(after) {
                let mine = |other: &i64| *other != id && own.contains_key(other);
                let by_own = own
                    .iter()
                    .any(|(other, counter)| *other != id && value(*counter) == Some(u));
                let stands = |counters: &Counters| {
                    counters
                        .iter()
                        .any(|(other, counter)| *other != id && !mine(other) && counter.u == Some(u))
                };
                if by_own || stands(&snapshot) {
                    return Came::Duplicate;
                }
                if stands(&committed) || self.locked(Lock::Value(u), Some(slot)) {
                    return self.doom(slot);
                }
            }
            let same = snapshot.get(&id) == committed.get(&id);
            let lock = Lock::Document(id);
            if self.locked(lock, Some(slot)) || (!same && self.locks.get(&lock) != Some(&slot)) {
                return self.doom(slot);
            }
            self.locks.insert(lock, slot);
            if let Some(u) = value(after) {
                self.locks.insert(Lock::Value(u), slot);
            }
            if let Some(transaction) = self.open.get_mut(&slot) {
                transaction.own.insert(id, after);
            }
        }
        came
    }

    fn doom(&mut self, slot: usize) -> Came {
        self.release(slot);
        if let Some(transaction) = self.open.get_mut(&slot) {
            transaction.doomed = true;
        }
        Came::Conflict
    }

    fn commit(&mut self, slot: usize) -> Option<()> {
        let transaction = self.open.get(&slot)?.clone();
        self.end(slot);
        if transaction.doomed {
            return None;
        }
        for (id, own) in transaction.own {
            match own {
                Some(counter) => drop(self.committed.insert(id, counter)),
                None => drop(self.committed.remove(&id)),
            }
        }
        Some(())
    }

    fn pass(&mut self, seconds: u64) {
        self.now += seconds;
        let old: Vec<_> = self
            .open
            .iter()
            .filter(|(_, transaction)| self.now - transaction.began >= TRANSACTION_LIFE.as_secs())
            .map(|(slot, _)| *slot)
            .collect();
        for slot in old {
            self.end(slot);
        }
    }
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Came> + 'a>>;

fn came<T>(result: Result<T>, well: impl FnOnce(T) -> Came) -> Came {
    match result {
        Ok(value) => well(value),
        Err(DatabaseError::Duplicate { .. }) => Came::Duplicate,
        Err(DatabaseError::TransactionConflict) => Came::Conflict,
        Err(DatabaseError::TransactionMissing) => Came::Missing,
        Err(DatabaseError::Locked) => Came::Locked,
        Err(error) => panic!("{error}"),
    }
}

fn updated(updated: Updated) -> Came {
    Came::Updated {
        matched: updated.matched,
        modified: updated.modified,
        added: updated.upserted.is_some(),
    }
}

fn run(database: &Embedded, op: Op, transaction: Option<TransactionId>) -> Waiting<'_> {
    let increment = || doc! { "$inc": { "n": 1_i64 } };
    Box::pin(async move {
        let update = match op {
            Op::Insert(id, u) => {
                let mut document = doc! { "_id": id, "n": 0_i64 };
                if let Some(u) = u {
                    document.insert("u", u);
                }
                let result = database.insert("c", vec![document], transaction).await;
                return came(result, |_| Came::Inserted);
            }
            Op::Remove(id) => {
                let result = database.remove("c", doc! { "_id": id }, false, transaction).await;
                return came(result.map(|removed| removed.count), Came::Removed);
            }
            Op::Increment(id) => change(doc! { "_id": id }, increment()),
            Op::IncrementAll(least) => Update {
                many: true,
                ..change(doc! { "n": { "$gte": least } }, increment())
            },
            Op::SetUnique(id, u) => change(doc! { "_id": id }, doc! { "$set": { "u": u } }),
            Op::Upsert(id) => Update {
                upsert: Some(id.into()),
                ..change(doc! { "_id": id }, increment())
            },
        };
        came(database.update("c", update, transaction).await, updated)
    })
}

async fn counters(database: &Embedded, transaction: Option<TransactionId>) -> Option<Counters> {
    match documents(database, "c", transaction).await {
        Ok(documents) => Some(
            documents
                .into_iter()
                .map(|document| {
                    let counter = Counter {
                        n: document.get_i64("n").unwrap(),
                        u: document.get_i64("u").ok(),
                    };
                    (document.get_i64("_id").unwrap(), counter)
                })
                .collect(),
        ),
        Err(DatabaseError::TransactionMissing) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Writes that wait, with since when, in their order.
struct Parked<'a>(Vec<(u64, Op, Waiting<'a>)>);

impl Parked<'_> {
    /// Where something was released, those that can go on have gone on; the others wait. One whose document others have removed
    /// meanwhile could go on, and waits as well: it is looked at again when a transaction ends.
    async fn resume(&mut self, model: &mut Model) {
        let freed = std::mem::take(&mut model.freed);
        let mut still = Vec::new();
        for (since, op, mut waiting) in std::mem::take(&mut self.0) {
            if model.now - since >= TRANSACTION_LIFE.as_secs() {
                assert_eq!(waiting.await, Came::Locked);
                continue;
            }
            match freed.then(|| model.ordinary(op)).flatten() {
                Some(expected) => assert_eq!(waiting.await, expected, "{op:?}"),
                None => {
                    assert!(queued(&mut waiting).await.is_none(), "{op:?}");
                    still.push((since, op, waiting));
                }
            }
        }
        self.0 = still;
    }
}

/// A clock that stands still until seconds are added.
fn stepped() -> (Arc<AtomicU64>, Clock) {
    let (start, seconds) = (Instant::now(), Arc::new(AtomicU64::new(0)));
    let read = Arc::clone(&seconds);
    let clock = move || start + Duration::from_secs(read.load(Ordering::SeqCst));
    (seconds, Box::new(clock))
}

async fn interleave(steps: &[Step]) {
    let (seconds, clock) = stepped();
    let options = Options::default();
    let disk = file::in_memory(&options).unwrap();
    let database = Embedded::start_with(disk, options, clock, None, RoundSize::DEFAULT).unwrap();
    database.create_collection("c").await.unwrap();
    database.create_index("c", super::unique("u")).await.unwrap();
    let mut feed = database.changes(None).await.unwrap();
    let mut mirror = Mirror::default();
    let mut model = Model::default();
    let mut names: BTreeMap<usize, TransactionId> = BTreeMap::new();
    let unknown = TransactionId(7);
    let mut parked = Parked(Vec::new());
    for step in steps {
        let name = |slot: &usize| Some(names.get(slot).copied().unwrap_or(unknown));
        match step {
            Step::Begin(slot) => {
                // One that was forgotten stays open, and holds what it has, for its life: so it is ended first.
                if let Some(old) = names.remove(slot) {
                    let _ = database.abort(old).await;
                    model.end(*slot);
                    parked.resume(&mut model).await;
                }
                names.insert(*slot, database.begin().await.unwrap());
                let transaction = ModelTransaction {
                    began: model.now,
                    ..ModelTransaction::default()
                };
                model.open.insert(*slot, transaction);
            }
            Step::Read(slot) => {
                let committed = model.committed.clone();
                let transaction = model.open.get_mut(slot).filter(|open| !open.doomed);
                let expected = transaction.map(|transaction| {
                    transaction.snapshot.get_or_insert(committed);
                    transaction.view()
                });
                assert_eq!(counters(&database, name(slot)).await, expected, "{step:?}");
            }
            Step::Write(slot, op) => {
                let expected = model.write(*slot, *op);
                assert_eq!(run(&database, *op, name(slot)).await, expected, "{step:?}");
                parked.resume(&mut model).await;
            }
            Step::Commit(slot) => {
                let expected = model.commit(*slot).is_some();
                let result = database.commit(name(slot).unwrap()).await;
                match result {
                    Ok(()) => assert!(expected),
                    Err(DatabaseError::TransactionMissing) => assert!(!expected),
                    Err(error) => panic!("{error}"),
                }
                parked.resume(&mut model).await;
            }
            Step::Abort(slot) => {
                let expected = model.open.contains_key(slot);
                model.end(*slot);
                assert_eq!(database.abort(name(slot).unwrap()).await.is_ok(), expected);
                parked.resume(&mut model).await;
            }
            Step::Busy(slot) => {
                let turn = database.turn(name(slot));
                assert_eq!(turn.is_ok(), model.open.contains_key(slot));
                if turn.is_ok() {
                    let at_once = database.find("c", Find::default(), name(slot)).await;
                    assert!(matches!(at_once, Err(DatabaseError::TransactionBusy)));
                }
            }
            Step::Ordinary(op) => {
                let mut running = run(&database, *op, None);
                match model.ordinary(*op) {
                    Some(expected) => assert_eq!(running.await, expected, "{step:?}"),
                    None => {
                        // It looks for its documents, comes to the writer, and meets the lock.
                        let mut turns = 0;
                        while database.handle.shared.parked.load(Ordering::SeqCst) <= parked.0.len() {
                            turns += 1;
                            assert!(turns < 100_000, "{op:?} comes to no lock");
                            assert!(queued(&mut running).await.is_none(), "{op:?}");
                            database.write(Work::Probe, None).await.unwrap();
                        }
                        parked.0.push((model.now, *op, running));
                    }
                }
            }
            Step::Pass(more) => {
                seconds.fetch_add(*more, Ordering::SeqCst);
                // Wakes the writer, which would have woken by itself as time passes.
                database.write(Work::Probe, None).await.unwrap();
                model.pass(*more);
                parked.resume(&mut model).await;
            }
        }
        assert_eq!(
            counters(&database, None).await.as_ref(),
            Some(&model.committed),
            "{step:?}"
        );
    }
    // Whatever happened, nothing stays locked for longer than a transaction lives.
    seconds.fetch_add(TRANSACTION_LIFE.as_secs(), Ordering::SeqCst);
    database.write(Work::Probe, None).await.unwrap();
    model.pass(TRANSACTION_LIFE.as_secs());
    parked.resume(&mut model).await;
    assert!(parked.0.is_empty());
    database
        .remove("c", doc! {}, true, None)
        .await
        .expect("nothing is locked any more");
    verify(&database);
    mirror.hold(&mut feed, &database, "c").await;
}

/// No case takes a second.
const STUCK_AFTER: Duration = Duration::from_secs(30);

fn interleaved(steps: &[Step]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let in_time = async { tokio::time::timeout(STUCK_AFTER, interleave(steps)).await };
    runtime.block_on(in_time).expect("one waits that nobody wakes");
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn transactions_and_ordinary_writes_are_isolated(steps in proptest::collection::vec(step(), 1..60)) {
        interleaved(&steps);
    }
}

/// An ordinary write that a transaction overtakes in the queue: first the lock, then the expiry, then the late write.
#[test]
fn an_operation_that_waits_while_its_transaction_becomes_too_old_locks_nothing() {
    interleaved(&[
        Step::Ordinary(Op::Insert(0, Some(0))),
        Step::Begin(0),
        Step::Write(0, Op::Increment(0)),
        Step::Ordinary(Op::Increment(0)),
        Step::Pass(30),
        Step::Write(0, Op::Increment(0)),
        Step::Commit(0),
        Step::Ordinary(Op::Increment(0)),
    ]);
}

/// What it waits for is the value, and not the document.
#[test]
fn an_ordinary_write_whose_document_is_removed_waits_for_the_lock_that_it_met() {
    interleaved(&[
        Step::Ordinary(Op::Insert(0, None)),
        Step::Ordinary(Op::Insert(1, None)),
        Step::Begin(0),
        Step::Write(0, Op::SetUnique(0, 0)),
        Step::Ordinary(Op::SetUnique(1, 0)),
        Step::Ordinary(Op::Remove(1)),
        Step::Write(0, Op::Upsert(2)),
        Step::Commit(0),
    ]);
}

/// Two documents change places with their unique values, by way of a third value.
#[test]
fn unique_values_change_places_within_a_transaction() {
    interleaved(&[
        Step::Ordinary(Op::Insert(0, Some(0))),
        Step::Ordinary(Op::Insert(1, Some(1))),
        Step::Begin(0),
        Step::Write(0, Op::SetUnique(0, 2)),
        Step::Write(0, Op::SetUnique(1, 0)),
        Step::Write(0, Op::SetUnique(0, 1)),
        Step::Commit(0),
    ]);
}

async fn with_counter(path: &Path) -> Embedded {
    let database = open(path).unwrap();
    database.create_collection("c").await.unwrap();
    database
        .insert("c", vec![doc! { "_id": 0_i64, "n": 0_i64 }], None)
        .await
        .unwrap();
    database
}

/// Reads the counter and writes it one larger, as programs do.
async fn increment(database: &Embedded) -> Result<()> {
    let transaction = database.begin().await?;
    let written = async {
        let n = documents(database, "c", Some(transaction)).await?[0]
            .get_i64("n")
            .unwrap();
        tokio::task::yield_now().await;
        let set = change(doc! { "_id": 0_i64 }, doc! { "$set": { "n": n + 1 } });
        database.update("c", set, Some(transaction)).await?;
        database.commit(transaction).await
    };
    let written = written.await;
    if written.is_err() {
        // After a conflict it is known until then; after a commit it is not.
        let _ = database.abort(transaction).await;
    }
    written
}

#[tokio::test]
async fn two_thousand_contended_increments_lose_none() {
    let folder = TempDir::new().unwrap();
    let database = with_counter(&folder.path().join("database.redb")).await;
    let programs: Vec<_> = (0..20)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move {
                let mut conflicts = 0;
                for _ in 0..100 {
                    loop {
                        match increment(&database).await {
                            Ok(()) => break,
                            Err(DatabaseError::TransactionConflict) => conflicts += 1,
                            Err(error) => panic!("{error}"),
                        }
                    }
                }
                conflicts
            })
        })
        .collect();
    let mut conflicts = 0;
    for program in programs {
        conflicts += program.await.unwrap();
    }
    let counter = counters(&database, None).await.unwrap()[&0];
    assert_eq!(counter.n, 2000);
    assert!(conflicts > 0);
}

#[tokio::test]
async fn of_six_transactions_on_one_document_one_wins_each_round() {
    let folder = TempDir::new().unwrap();
    let database = with_counter(&folder.path().join("database.redb")).await;
    for round in 1..=50 {
        let mut begun = Vec::new();
        for _ in 0..6 {
            let transaction = database.begin().await.unwrap();
            counters(&database, Some(transaction)).await.unwrap();
            begun.push(transaction);
        }
        let running: Vec<_> = begun
            .into_iter()
            .map(|transaction| {
                let database = database.clone();
                tokio::spawn(async move {
                    let increment = change(doc! { "_id": 0_i64 }, doc! { "$inc": { "n": 1_i64 } });
                    database.update("c", increment, Some(transaction)).await?;
                    database.commit(transaction).await
                })
            })
            .collect();
        let mut won = 0;
        for transaction in running {
            match transaction.await.unwrap() {
                Ok(()) => won += 1,
                Err(DatabaseError::TransactionConflict) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!((won, counters(&database, None).await.unwrap()[&0].n), (1, round));
    }
}

/// More writes than the queue has places wait for a lock: the transaction can still be committed, and others go on.
#[tokio::test]
async fn writes_that_wait_for_a_lock_keep_nobody_else_waiting() {
    let folder = TempDir::new().unwrap();
    let database = with_counter(&folder.path().join("database.redb")).await;
    let transaction = database.begin().await.unwrap();
    let increment = |id: i64| change(doc! { "_id": id }, doc! { "$inc": { "n": 1_i64 } });
    database
        .update("c", increment(0), Some(transaction))
        .await
        .unwrap();
    let waiting: Vec<_> = (0..WRITES + 300)
        .map(|_| {
            let database = database.clone();
            tokio::spawn(async move { database.update("c", increment(0), None).await })
        })
        .collect();
    let upsert = Update {
        upsert: Some(Bson::Int64(1)),
        ..increment(1)
    };
    for _ in 0..WRITES {
        database.update("c", upsert.clone(), None).await.unwrap();
    }
    database.commit(transaction).await.unwrap();
    let mut done = 1;
    let mut refused = 0;
    for waiting in waiting {
        match waiting.await.unwrap() {
            Ok(_) => done += 1,
            Err(DatabaseError::Locked) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    let counters = counters(&database, None).await.unwrap();
    assert_eq!((counters[&0].n, counters[&1].n), (done, WRITES as i64));
    // So many may wait; the others are told at once.
    assert_eq!(refused, 300);
}

/// What a caller begins and does not wait for holds nothing.
#[tokio::test]
async fn a_transaction_that_nobody_heard_of_is_not_kept() {
    let database = Embedded::in_memory(Options::default()).unwrap();
    for _ in 0..transaction::MOST_TRANSACTIONS * 2 {
        let mut begun = database.begin();
        drop(queued(&mut begun).await);
        drop(begun);
    }
    database.write(Work::Probe, None).await.unwrap();
    database.begin().await.unwrap();
}

/// A program may try again after a conflict without an end to the transaction that met it.
#[tokio::test]
async fn transactions_that_met_a_conflict_take_no_place() {
    let database = Embedded::in_memory(Options::default()).unwrap();
    database.create_collection("c").await.unwrap();
    let add = async |transaction| {
        database
            .insert("c", vec![doc! { "_id": 1 }], Some(transaction))
            .await
    };
    let first = database.begin().await.unwrap();
    add(first).await.unwrap();
    for _ in 0..transaction::MOST_TRANSACTIONS * 2 {
        let conflict = add(database.begin().await.unwrap()).await;
        assert!(matches!(conflict, Err(DatabaseError::TransactionConflict)));
    }
    database.commit(first).await.unwrap();
}

#[tokio::test]
async fn a_transaction_may_write_so_much_and_no_more() {
    let database = Embedded::in_memory(Options::default()).unwrap();
    database.create_collection("c").await.unwrap();
    let transaction = database.begin().await.unwrap();
    let large = |id: i64| vec![doc! { "_id": id, "text": "x".repeat(4 << 20) }];
    for id in 0..3 {
        database.insert("c", large(id), Some(transaction)).await.unwrap();
        // What is written over counts once.
        let again = change(doc! { "_id": id }, doc! { "$set": { "again": true } });
        database.update("c", again, Some(transaction)).await.unwrap();
    }
    let error = database
        .insert("c", large(3), Some(transaction))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("16777216 bytes"), "{error}");
    assert!(matches!(
        database.commit(transaction).await,
        Err(DatabaseError::TransactionMissing)
    ));
    assert_eq!(database.count("c", doc! {}, None).await.unwrap().count, 0);
}

/// A transaction keeps the file from using again what it still sees, and no longer than it lives.
#[tokio::test]
async fn a_file_grows_beside_a_transaction_and_not_after_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("database.redb");
    let (seconds, clock) = stepped();
    let options = Options::default();
    let disk = file::open(&path, &options).unwrap();
    let database = Embedded::start_with(disk, options, clock, None, RoundSize::DEFAULT).unwrap();
    database.create_collection("c").await.unwrap();
    let write = async || {
        for n in 0..200_i64 {
            let upsert = Update {
                upsert: Some(Bson::Int64(0)),
                ..change(
                    doc! { "_id": 0_i64 },
                    doc! { "$set": { "n": n, "text": "x".repeat(50_000) } },
                )
            };
            database.update("c", upsert, None).await.unwrap();
        }
        std::fs::metadata(&path).unwrap().len()
    };
    let small = write().await;
    // Nobody ends it.
    let transaction = database.begin().await.unwrap();
    let seen = counters(&database, Some(transaction)).await.unwrap();
    let grown = write().await;
    assert!(grown > small * 3, "{small} {grown}");
    assert_eq!(counters(&database, Some(transaction)).await.unwrap(), seen);
    seconds.fetch_add(TRANSACTION_LIFE.as_secs(), Ordering::SeqCst);
    assert_eq!(write().await, grown);
}
