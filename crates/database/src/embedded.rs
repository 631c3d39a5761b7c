//! The engine that comes with the binary: [redb] keeps bytes in order, in one file or in memory; above it stand documents, indexes,
//! MongoDB's language, transactions, and a feed of changes. One process has the file at a time.

mod batch;
mod builds;
mod catalog;
mod disk;
mod entries;
mod file;
mod measured;
mod merged;
mod near;
mod places;
mod read;
mod recorded;
mod route;
#[cfg(test)]
mod tests;
mod transaction;
mod view;
mod write;
mod writer;

use std::{
    collections::VecDeque,
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bson::{Bson, DateTime, Document};
use datafile::FileError;
use docdb::{Context, document::id_first, regex::Asked};
use redb::{ReadableDatabase, ReadableTable};
use tokio::sync::{Semaphore, oneshot};

pub use transaction::{MOST_TRANSACTIONS, TRANSACTION_LIFE};

use self::{
    batch::Batch,
    builds::Builds,
    catalog::{CatalogCache, Collection},
    disk::Disk,
    file::{CATALOG, COUNTS, META, SEQUENCE},
    places::{LentPlace, Places},
    transaction::{Registry, Turn},
    write::{DocumentWrite, RoundSize, Rounds, Work, WriteDone},
    writer::{Queued, Writer},
};
use crate::{
    Aggregate, Asker, BoxFuture, Changes, CollectionStatus, Database, DatabaseError, Find, Found, IndexSpec,
    Inserted, Page, Result, Tally, TransactionId, Update, Updated, changes::Feed,
};

/// Reads at once; further ones wait. A read may go through the whole file, and so they have threads of their own.
const READS: usize = 8;
/// Writes at once that are made in rounds; further ones wait.
const LARGE: usize = 4;
/// How long after the last write a file is put to rest, so that it opens at once after a crash.
const REST_AFTER: Duration = Duration::from_secs(1);
/// How often the documents of a write are looked for before it is made; where each time too much has changed meanwhile, the writer looks.
const LOOKS: usize = 4;
/// Writes that may wait for the one thread that makes them.
const WRITES: usize = 1024;

/// How an embedded database is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of the file that are kept in memory at most.
    pub cache: usize,
    /// Bytes that one stage of a pipeline may hold.
    pub pipeline_memory: usize,
    /// Bytes that the documents of one answer may have: the platform gives functions 50 MB.
    pub answer: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache: 16 << 20,
            pipeline_memory: docdb::pipeline::MEMORY,
            answer: 50 << 20,
        }
    }
}

/// A database in one file, or in memory. Clones share it; the file is closed when the last one is dropped and what was under way
/// has ended.
#[derive(Clone)]
pub struct Embedded {
    handle: Arc<Handle>,
    /// Who asks by this one, where that bounds what they get.
    asker: Option<Arc<Asker>>,
}

struct Handle {
    shared: Arc<Shared>,
    /// `None` when it is about to end.
    writes: Option<mpsc::Sender<Queued>>,
    writer: Option<JoinHandle<()>>,
    waiting: Arc<Semaphore>,
    reads: Places,
    /// Large writes under way.
    large: Places,
}

impl Drop for Handle {
    /// Waits for the writer's last commit: a process that ended before the file is closed would have it repaired at the next start,
    /// which reads all of it.
    fn drop(&mut self) {
        self.writes = None;
        if let Some(writer) = self.writer.take() {
            // It catches what panics in it.
            let _ = writer.join();
        }
    }
}

/// What readers and the writer have in common.
pub(crate) struct Shared {
    pub(crate) disk: Disk,
    pub(crate) catalog: CatalogCache,
    pub(crate) transactions: Registry,
    pub(crate) feed: Feed,
    pub(crate) options: Options,
    clock: Clock,
    hasher: RandomState,
    draws: AtomicU64,
    pub(crate) round: RoundSize,
    pub(crate) builds: Builds,
    /// How many writes wait for a lock: tests wait for it.
    pub(crate) parked: AtomicUsize,
}

/// What an operation ends at. It goes on in another thread than whoever asked, and would hold one of few places there for as long
/// as it takes.
#[derive(Debug, Default)]
pub(crate) struct Bounds {
    /// Whether whoever asked does not wait for it any more.
    gone: Arc<AtomicBool>,
    /// How many steps of loops it may take, where these are fewer than anybody's.
    steps: Option<u64>,
}

impl Bounds {
    fn of(asker: Option<&Asker>) -> Self {
        Self {
            gone: Arc::default(),
            steps: asker.and_then(|asker| asker.steps),
        }
    }

    /// What says that whoever asked has gone, when it is dropped with the future of theirs.
    fn on_drop(&self) -> impl Drop + use<> {
        GoneOnDrop(Arc::clone(&self.gone))
    }
}

struct GoneOnDrop(Arc<AtomicBool>);

impl Drop for GoneOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Tells the time that ends transactions.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

impl Shared {
    pub(crate) fn now(&self) -> Instant {
        (self.clock)()
    }

    /// Does `work` with the file, which is opened again if the disk fails. The snapshots of open transactions end with that.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&redb::Database) -> Result<T>) -> Result<T> {
        self.disk.with(work, || self.transactions.end_all())
    }

    /// Refuses while the disk is in trouble and it is not yet time for a write to try it again.
    pub(crate) fn admit(&self) -> Result<()> {
        self.disk.admit(|| self.transactions.end_all())
    }

    /// The time and the randomness of one operation, and what it ends at.
    pub(crate) fn context(&self, bounds: &Bounds) -> Context {
        self.context_at(DateTime::now(), bounds)
    }

    /// The same for an operation that has a time already.
    pub(crate) fn context_at(&self, now: DateTime, bounds: &Bounds) -> Context {
        let context = Context::new(now, self.random()).until(Arc::clone(&bounds.gone));
        match bounds.steps {
            Some(steps) => context.at_most(steps),
            None => context,
        }
    }

    /// The collection of that name in a snapshot. One that was made since then has no documents in the snapshot, and so can
    /// be read and written to there as well.
    pub(crate) fn collection(
        &self,
        file: &redb::Database,
        catalog: &impl ReadableTable<&'static str, &'static [u8]>,
        name: &str,
    ) -> Result<Arc<Collection>> {
        if let Some(collection) = self.catalog.read(catalog, name)? {
            return Ok(collection);
        }
        let read = file.begin_read().map_err(DatabaseError::unavailable)?;
        let catalog = read.open_table(CATALOG).map_err(DatabaseError::unavailable)?;
        self.catalog
            .read(&catalog, name)?
            .ok_or_else(|| DatabaseError::CollectionMissing(name.to_owned()))
    }

    /// Begins a transaction.
    pub(crate) fn begin(&self) -> Result<TransactionId> {
        let id = TransactionId(u128::from(self.random()) << 64 | u128::from(self.random()));
        self.transactions.open(id, self.now())?;
        Ok(id)
    }

    /// Random bits, not to keep secrets with: who names a transaction has proved already that it may use the database.
    fn random(&self) -> u64 {
        self.hasher.hash_one(self.draws.fetch_add(1, Ordering::Relaxed))
    }
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}

impl Embedded {
    /// Opens the file, or makes it; blocks for as long as that takes.
    ///
    /// # Errors
    /// Where the file is not a database, of a later format, damaged, empty, or open in another process.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, FileError> {
        let disk = file::open(path.as_ref(), &options)?;
        Self::start_with(
            disk,
            options,
            Box::new(Instant::now),
            Some(REST_AFTER),
            RoundSize::DEFAULT,
        )
    }

    /// Whether [`open`](Self::open) would find a file there, or refuse for what is left of one: a journal that lost its file.
    #[must_use]
    pub fn is_at(path: impl AsRef<Path>) -> bool {
        datafile::is_at(path.as_ref())
    }

    /// A database that ends with its last handle.
    ///
    /// # Errors
    /// Where its first pages cannot be made.
    pub fn in_memory(options: Options) -> Result<Self, FileError> {
        let disk = file::in_memory(&options)?;
        Self::start_with(disk, options, Box::new(Instant::now), None, RoundSize::DEFAULT)
    }

    fn start_with(
        disk: Disk,
        options: Options,
        clock: Clock,
        rest_after: Option<Duration>,
        round: RoundSize,
    ) -> Result<Self, FileError> {
        let last = disk
            .with(last_change, || {})
            .map_err(|error| disk.cannot_be_opened(error))?;
        let catalog = CatalogCache::default();
        // A file without them is good too: those queries read more.
        if let Err(error) = disk.with(|file| bring_up_indexes(&disk, file, &catalog, round), || {}) {
            tracing::warn!(%error, "the indexes could not be brought up to date");
        }
        let shared = Arc::new(Shared {
            disk,
            catalog,
            transactions: Registry::default(),
            feed: Feed::new(last),
            options,
            clock,
            hasher: RandomState::new(),
            draws: AtomicU64::new(0),
            round,
            builds: Builds::default(),
            parked: AtomicUsize::new(0),
        });
        let (writes, queue) = mpsc::channel();
        let writer = Writer::new(Arc::clone(&shared), queue, rest_after);
        let writer = thread::Builder::new()
            .name("database".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| shared.disk.cannot_be_opened(error))?;
        Ok(Self {
            handle: Arc::new(Handle {
                shared,
                writes: Some(writes),
                writer: Some(writer),
                waiting: Arc::new(Semaphore::new(WRITES)),
                reads: Places::new(READS),
                large: Places::new(LARGE),
            }),
            asker: None,
        })
    }

    /// Whether [`create_index`](Database::create_index) would make the index over the documents that are there: it is made, and given
    /// up.
    ///
    /// # Errors
    /// Those of `create_index`.
    pub async fn try_index(&self, collection: &str, index: IndexSpec) -> Result<()> {
        let work = Work::TryIndex(collection.to_owned(), index);
        self.write(work, None).await.map(drop)
    }

    /// Has the writer do it.
    async fn write(&self, work: Work, transaction: Option<TransactionId>) -> Result<WriteDone> {
        self.write_in(work, self.turn(transaction)?, None).await
    }

    /// Has the writer do a round of a large write, which has a place of its own; it is given back for as long as the round waits for a lock.
    async fn write_round(&self, work: Work, place: &LentPlace) -> Result<WriteDone> {
        place
            .take_again(&self.handle.large, self.asker.as_deref())
            .await?;
        self.write_in(work, None, Some(place.clone())).await
    }

    /// Has the writer do it to the documents of a collection. A search for them is made before it comes to the writer, as what it is: a
    /// read; the writer looks at what has changed since.
    async fn write_to(
        &self,
        collection: &str,
        write: DocumentWrite,
        transaction: Option<TransactionId>,
    ) -> Result<WriteDone> {
        let write = Arc::new(write);
        if transaction.is_none() && write.looks_first() {
            // The writer never searches for an asker whose work is bounded: such a write looks again until its caller gives up.
            let is_bounded = self.asker.as_ref().is_some_and(|asker| asker.steps.is_some());
            for looks in 1.. {
                let (name, asked) = (collection.to_owned(), Arc::clone(&write));
                let look =
                    move |shared: &Shared, file: &redb::Database, _: Option<&Turn>, bounds: &Bounds| {
                        write::look(shared, file, bounds, &name, &asked)
                    };
                let Some(seen) = self.read(None, look).await?.map(Arc::new) else {
                    break;
                };
                if !seen.is_large {
                    let seen = Some(Arc::clone(&seen));
                    let work = Work::Documents(collection.to_owned(), Arc::clone(&write), seen);
                    match self.write(work, None).await? {
                        WriteDone::Stale => {}
                        done => return Ok(done),
                    }
                }
                let is_last_look = looks >= LOOKS;
                if seen.is_large || is_last_look && write.goes_in_rounds(&seen) {
                    let rounds = Arc::unwrap_or_clone(seen).into_rounds();
                    let done = self.in_rounds(collection, &write, rounds).await?;
                    // One is to be added, if it is still so that none matches.
                    if !write.adds_after(&done) {
                        return Ok(done);
                    }
                } else if is_last_look && !is_bounded {
                    break;
                }
            }
        }
        let work = Work::Documents(collection.to_owned(), write, None);
        self.write(work, transaction).await
    }

    /// Does something to the indexes of a collection when it is its turn; to its end, as [`in_rounds`](Self::in_rounds).
    async fn in_turn<T: Send + 'static, F: Future<Output = Result<T>> + Send>(
        &self,
        collection: String,
        work: impl FnOnce(Self, String) -> F + Send + 'static,
    ) -> Result<T> {
        let turn = self.handle.shared.builds.enter(&collection).await;
        let database = self.clone();
        let work = async move {
            let _turn = turn;
            work(database, collection).await
        };
        tokio::spawn(work).await.map_err(DatabaseError::unavailable)?
    }

    /// Makes the rest of an index that was begun, a round at a time.
    async fn build(&self, collection: &str, begun: &WriteDone) -> Result<()> {
        let built = match begun {
            WriteDone::Done => Ok(()),
            WriteDone::Building(id) => {
                let built = self.build_rounds(collection, *id).await;
                if built.is_err() {
                    let work = Work::GiveUpIndex(collection.to_owned(), *id);
                    // It is no use to anybody, and is removed by the next index of the collection, or at the next start.
                    if let Err(error) = self.write(work, None).await {
                        tracing::warn!(%error, collection, "an index that could not be made is there in part");
                    }
                }
                self.handle.shared.builds.forget(*id);
                built
            }
            other => Err(mixed_up(other)),
        };
        self.sweep(collection).await;
        built
    }

    async fn build_rounds(&self, collection: &str, id: u32) -> Result<()> {
        let mut from = None;
        loop {
            let work = Work::BuildIndex(collection.to_owned(), id, from);
            from = match self.write(work, None).await? {
                WriteDone::Reached(None) => break,
                WriteDone::Reached(next) => next,
                other => return Err(mixed_up(&other)),
            };
        }
        let work = Work::FinishIndex(collection.to_owned(), id);
        self.write(work, None).await.map(drop)
    }

    /// Removes what is left of indexes that are gone, a round at a time.
    async fn sweep(&self, collection: &str) {
        loop {
            match self.write(Work::Sweep(collection.to_owned()), None).await {
                Ok(WriteDone::Swept { more: true }) => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(%error, collection, "entries are left of an index until the next one of the collection is made, or the next start");
                    return;
                }
            }
        }
    }

    async fn insert_at_once(
        &self,
        collection: &str,
        documents: Vec<Document>,
        ordered: bool,
        transaction: Option<TransactionId>,
    ) -> Result<Inserted> {
        let write = DocumentWrite::Insert { documents, ordered };
        match self.write_to(collection, write, transaction).await? {
            WriteDone::Inserted(inserted) => Ok(inserted),
            other => Err(mixed_up(&other)),
        }
    }

    /// Adds very many documents a round at a time, as [`in_rounds`](Self::in_rounds).
    async fn insert_in_rounds(
        &self,
        collection: &str,
        mut documents: VecDeque<Document>,
        ordered: bool,
    ) -> Result<Inserted> {
        let place = self.handle.large.enter(self.asker.as_deref()).await?;
        let (database, collection) = (self.clone(), collection.to_owned());
        let work = async move {
            let place = LentPlace::new(place);
            let round = database.handle.shared.round;
            let (mut all, mut before) = (Inserted::default(), 0);
            while !documents.is_empty() && (all.refused.is_empty() || !ordered) {
                let part: Vec<_> = documents.drain(..round.first_of(&documents)).collect();
                let count = part.len();
                let write = DocumentWrite::Insert {
                    documents: part,
                    ordered,
                };
                let work = Work::Documents(collection.clone(), Arc::new(write), None);
                let more = match database.write_round(work, &place).await? {
                    WriteDone::Inserted(more) => more,
                    other => return Err(mixed_up(&other)),
                };
                all.ids.extend(more.ids);
                let refused = more.refused.into_iter();
                all.refused
                    .extend(refused.map(|(at, error)| (before + at, error)));
                before += count;
            }
            Ok(all)
        };
        tokio::spawn(work).await.map_err(DatabaseError::unavailable)?
    }

    /// Makes a large write a round at a time, so that others' writes come in between. It goes on where nobody waits for it any more, to its
    /// end or to what refuses it; the rounds before that stay.
    async fn in_rounds(
        &self,
        collection: &str,
        write: &Arc<DocumentWrite>,
        mut rounds: Rounds,
    ) -> Result<WriteDone> {
        let place = self.handle.large.enter(self.asker.as_deref()).await?;
        let (database, collection, write) = (self.clone(), collection.to_owned(), Arc::clone(write));
        let work = async move {
            let place = LentPlace::new(place);
            let mut steps = database.asker.as_ref().and_then(|asker| asker.steps);
            let mut done = write.nothing_done(&rounds);
            while !rounds.is_done() {
                let (name, asked) = (collection.clone(), Arc::clone(&write));
                let within = Bounds {
                    steps,
                    ..Bounds::default()
                };
                let look = move |shared: &Shared, file: &redb::Database, _: Option<&Turn>, _: &Bounds| {
                    rounds.next(shared, file, &within, &name, &asked)
                };
                let (left, round, steps_left) = database.read(None, look).await?;
                (rounds, steps) = (left, Some(steps_left));
                if round.is_empty() {
                    continue;
                }
                let work = Work::Round(collection.clone(), Arc::clone(&write), round);
                match database.write_round(work, &place).await? {
                    WriteDone::Round(more, left) => {
                        done.add(*more).map_err(|other| mixed_up(&other))?;
                        rounds.leave(left);
                    }
                    other => return Err(mixed_up(&other)),
                }
            }
            Ok(done)
        };
        tokio::spawn(work).await.map_err(DatabaseError::unavailable)?
    }

    /// The same as the operation of a transaction whose turn it is.
    async fn write_in(&self, work: Work, turn: Option<Turn>, place: Option<LentPlace>) -> Result<WriteDone> {
        // How many operations of open transactions there are at once is bounded already.
        let permit = match turn {
            Some(_) => None,
            None => Some(
                Arc::clone(&self.handle.waiting)
                    .acquire_owned()
                    .await
                    .map_err(DatabaseError::unavailable)?,
            ),
        };
        let (answer, answered) = oneshot::channel();
        let bounds = Bounds::of(self.asker.as_deref());
        let _waits = bounds.on_drop();
        let queued = Queued::new(work, turn, answer, permit, place, bounds);
        let writes = self.handle.writes.as_ref().ok_or_else(closed)?;
        writes.send(queued).map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Reads on another thread, as the file's pages may have to come from the disk; until nobody waits for it.
    async fn read<T: Send + 'static>(
        &self,
        transaction: Option<TransactionId>,
        read: impl FnOnce(&Shared, &redb::Database, Option<&Turn>, &Bounds) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let turn = self.turn(transaction)?;
        let place = self.handle.reads.enter(self.asker.as_deref()).await?;
        let shared = Arc::clone(&self.handle.shared);
        let bounds = Bounds::of(self.asker.as_deref());
        let _waits = bounds.on_drop();
        let task = tokio::task::spawn_blocking(move || {
            let result = shared.with(|file| read(&shared, file, turn.as_ref(), &bounds));
            drop((turn, place));
            result
        });
        task.await.map_err(DatabaseError::unavailable)?
    }

    fn turn(&self, transaction: Option<TransactionId>) -> Result<Option<Turn>> {
        let shared = &self.handle.shared;
        transaction
            .map(|id| shared.transactions.turn(id, shared.now()))
            .transpose()
    }
}

fn closed() -> DatabaseError {
    DatabaseError::unavailable("the thread that writes has ended")
}

/// The writer answered something else than what it was asked for. Whatever it did, it is not what the caller would take it for.
fn mixed_up(done: &WriteDone) -> DatabaseError {
    let kind = done.kind();
    DatabaseError::unavailable(format!("the writer answered another question: {kind}"))
}

/// Brings the indexes of a file up to what this program has of them, and removes what a process left that was killed while it made some.
fn bring_up_indexes(
    disk: &Disk,
    file: &redb::Database,
    cache: &CatalogCache,
    round: RoundSize,
) -> Result<()> {
    let read = file.begin_read().map_err(DatabaseError::unavailable)?;
    let catalog = read.open_table(CATALOG).map_err(DatabaseError::unavailable)?;
    let mut is_up = true;
    for entry in catalog.iter().map_err(DatabaseError::unavailable)? {
        let (name, _) = entry.map_err(DatabaseError::unavailable)?;
        let collection = cache.read(&catalog, name.value())?;
        is_up &=
            collection.is_none_or(|collection| collection.has_owner_index() && !collection.is_in_pieces());
    }
    if is_up {
        return Ok(());
    }
    let write = file.begin_write().map_err(DatabaseError::unavailable)?;
    let builds = Builds::default();
    let mut batch = Batch::new(&write, cache, &builds, round)?;
    batch.bring_up_indexes()?;
    batch.finish()?;
    disk.commit(write, None)
}

fn last_change(file: &redb::Database) -> Result<u64> {
    let read = file.begin_read().map_err(DatabaseError::unavailable)?;
    let meta = read.open_table(META).map_err(DatabaseError::unavailable)?;
    let last = meta.get(SEQUENCE).map_err(DatabaseError::unavailable)?;
    Ok(last.map_or(0, |last| last.value()))
}

impl Database for Embedded {
    fn for_asker(&self, asker: Asker) -> Option<Arc<dyn Database>> {
        Some(Arc::new(Self {
            handle: Arc::clone(&self.handle),
            asker: Some(Arc::new(asker)),
        }))
    }

    fn create_collection<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.write(Work::CreateCollection(name.to_owned()), None)
                .await
                .map(drop)
        })
    }

    fn drop_collection<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let done = self.write(Work::DropCollection(name.to_owned()), None).await?;
            match done {
                WriteDone::Was(was) => Ok(was),
                other => Err(mixed_up(&other)),
            }
        })
    }

    fn collections(&self) -> BoxFuture<'_, Result<Vec<CollectionStatus>>> {
        Box::pin(self.read(None, |shared, file, _, _| {
            let read = file.begin_read().map_err(DatabaseError::unavailable)?;
            let catalog = read.open_table(CATALOG).map_err(DatabaseError::unavailable)?;
            let counts = read.open_table(COUNTS).map_err(DatabaseError::unavailable)?;
            let mut out = Vec::new();
            for entry in catalog.iter().map_err(DatabaseError::unavailable)? {
                let (name, _) = entry.map_err(DatabaseError::unavailable)?;
                let Some(collection) = shared.catalog.read(&catalog, name.value())? else {
                    continue;
                };
                let count = counts.get(collection.id).map_err(DatabaseError::unavailable)?;
                out.push(CollectionStatus {
                    name: collection.name.to_string(),
                    documents: count.map_or(0, |count| count.value()),
                    indexes: collection
                        .indexes
                        .iter()
                        .filter(|index| !index.built_in)
                        .map(|index| index.spec.clone())
                        .collect(),
                });
            }
            Ok(out)
        }))
    }

    fn create_index<'a>(&'a self, collection: &'a str, index: IndexSpec) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let collection = collection.to_owned();
            self.in_turn(collection, |database, collection| async move {
                let work = Work::CreateIndex(collection.clone(), index);
                let begun = database.write(work, None).await?;
                database.build(&collection, &begun).await
            })
            .await
        })
    }

    fn drop_index<'a>(&'a self, collection: &'a str, name: &'a str) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let (collection, name) = (collection.to_owned(), name.to_owned());
            self.in_turn(collection, |database, collection| async move {
                let work = Work::ReplaceOwnerIndex(collection.clone(), name.clone());
                let begun = database.write(work, None).await?;
                database.build(&collection, &begun).await?;
                let work = Work::DropIndex(collection.clone(), name);
                let was = match database.write(work, None).await? {
                    WriteDone::Was(was) => was,
                    other => return Err(mixed_up(&other)),
                };
                database.sweep(&collection).await;
                Ok(was)
            })
            .await
        })
    }

    fn insert<'a>(
        &'a self,
        collection: &'a str,
        documents: Vec<Document>,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Vec<Bson>>> {
        Box::pin(async move {
            let mut inserted = self.insert_each(collection, documents, true, transaction).await?;
            match inserted.refused.pop() {
                Some((_, error)) => Err(error),
                None => Ok(inserted.ids),
            }
        })
    }

    fn insert_each<'a>(
        &'a self,
        collection: &'a str,
        documents: Vec<Document>,
        ordered: bool,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Inserted>> {
        Box::pin(async move {
            let documents: Vec<_> = documents.into_iter().map(id_first).collect();
            let most = self.handle.shared.round;
            let is_large = documents.len() > 1 && most.first_of(&documents) < documents.len();
            match transaction {
                None if is_large => self.insert_in_rounds(collection, documents.into(), ordered).await,
                _ => {
                    self.insert_at_once(collection, documents, ordered, transaction)
                        .await
                }
            }
        })
    }

    fn find<'a>(
        &'a self,
        collection: &'a str,
        find: Find,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Found>> {
        Box::pin(async move {
            let shared = &self.handle.shared;
            // To parse it takes long too, then.
            if Asked::of_all(std::iter::once(&find.filter).chain(&find.projection)).is_much() {
                let collection = collection.to_owned();
                let read =
                    move |shared: &Shared, file: &redb::Database, turn: Option<&Turn>, bounds: &Bounds| {
                        read::FindRead::new(&collection, &find)?.run(shared, file, turn, bounds)
                    };
                return self.read(transaction, read).await;
            }
            let read = read::FindRead::new(collection, &find)?;
            if transaction.is_none()
                && !shared.disk.is_in_trouble()
                && let Some(found) = shared.with(|file| read.run_if_short(shared, file))?
            {
                return Ok(found);
            }
            self.read(transaction, move |shared, file, turn, bounds| {
                read.run(shared, file, turn, bounds)
            })
            .await
        })
    }

    fn page<'a>(
        &'a self,
        collection: &'a str,
        filter: Document,
        projection: Option<Document>,
        after: Option<Bson>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page>> {
        let collection = collection.to_owned();
        Box::pin(self.read(None, move |shared, file, _, bounds| {
            let from = after.as_ref();
            read::page(
                shared,
                file,
                bounds,
                &collection,
                (&filter, projection.as_ref()),
                from,
                limit,
            )
        }))
    }

    fn count<'a>(
        &'a self,
        collection: &'a str,
        filter: Document,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Tally>> {
        let collection = collection.to_owned();
        Box::pin(self.read(transaction, move |shared, file, turn, bounds| {
            read::count(shared, file, turn, bounds, &collection, &filter)
        }))
    }

    fn update<'a>(
        &'a self,
        collection: &'a str,
        update: Update,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Updated>> {
        Box::pin(async move {
            let write = DocumentWrite::Update(Box::new(update));
            match self.write_to(collection, write, transaction).await? {
                WriteDone::Updated(updated) => Ok(*updated),
                other => Err(mixed_up(&other)),
            }
        })
    }

    fn remove<'a>(
        &'a self,
        collection: &'a str,
        filter: Document,
        many: bool,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Tally>> {
        Box::pin(async move {
            let write = DocumentWrite::Remove { filter, many };
            match self.write_to(collection, write, transaction).await? {
                WriteDone::Removed(removed) => Ok(removed),
                other => Err(mixed_up(&other)),
            }
        })
    }

    fn take<'a>(
        &'a self,
        collection: &'a str,
        filter: Document,
        sort: Option<Document>,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Option<Document>>> {
        Box::pin(async move {
            let write = DocumentWrite::Take { filter, sort };
            match self.write_to(collection, write, transaction).await? {
                WriteDone::Taken(taken) => Ok(taken),
                other => Err(mixed_up(&other)),
            }
        })
    }

    fn aggregate<'a>(
        &'a self,
        collection: &'a str,
        aggregate: Aggregate,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Found>> {
        let collection = collection.to_owned();
        Box::pin(self.read(transaction, move |shared, file, turn, bounds| {
            read::aggregate(shared, file, turn, bounds, &collection, &aggregate)
        }))
    }

    fn begin(&self) -> BoxFuture<'_, Result<TransactionId>> {
        Box::pin(async move {
            match self.write(Work::Begin, None).await? {
                WriteDone::Began(id) => Ok(id),
                other => Err(mixed_up(&other)),
            }
        })
    }

    fn commit(&self, transaction: TransactionId) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.write(Work::Commit, Some(transaction)).await.map(drop) })
    }

    fn abort(&self, transaction: TransactionId) -> BoxFuture<'_, Result<()>> {
        let database = self.clone();
        let abort = async move {
            let shared = &database.handle.shared;
            let turn = shared
                .transactions
                .turn_in_time(transaction, shared.now())
                .await?;
            database.write_in(Work::Abort, Some(turn), None).await.map(drop)
        };
        // Its locks go, also where nobody waits until its turn has come.
        Box::pin(async { tokio::spawn(abort).await.map_err(DatabaseError::unavailable)? })
    }

    fn health(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if !self.handle.shared.disk.is_in_trouble() {
                return Ok(());
            }
            self.write(Work::Probe, None).await.map(drop)
        })
    }

    fn changes(&self, after: Option<u64>) -> BoxFuture<'_, Result<Changes>> {
        Box::pin(async move { Ok(self.handle.shared.feed.listen(after)?) })
    }
}
