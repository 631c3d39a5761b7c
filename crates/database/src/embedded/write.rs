//! What each write does, outside of transactions and in one.

mod ahead;
mod matching;
mod noted;
mod plan;
mod target;

use std::{collections::VecDeque, sync::Arc};

use bson::{DateTime, Document};
use docdb::{
    Context,
    key::Direction,
    plan::{Access, Plan, Range},
    query::Filter,
    regex::Asked,
};
use redb::ReadableDatabase as _;

pub(crate) use self::ahead::RoundSize;
use self::{
    ahead::{are_more_than, compute, judge_growth},
    matching::Matched,
    noted::Noted,
    plan::WritePlan,
    target::{Basis, Committed},
};
use super::{
    Bounds, Shared,
    batch::Batch,
    file::{CATALOG, DOCUMENTS, INDEXES, META, SEQUENCE},
    transaction::{MOST_WRITTEN, Turn},
    view::View,
    writer::Locks,
};
use crate::{
    IndexSpec, Inserted, Looked, Result, Tally, TransactionId, Update, Updated, error::DatabaseError,
};

/// Maximum number of documents, named by their ids, that are looked for where they are written.
const FEW: usize = 32;

/// A write to be made.
#[derive(Debug)]
pub(crate) enum Work {
    CreateCollection(String),
    DropCollection(String),
    /// Makes an index, or begins to.
    CreateIndex(String, IndexSpec),
    /// Begins an index by owner in the place of the one of that name, by which owners were found and which is about to be dropped.
    ReplaceOwnerIndex(String, String),
    /// Goes on with an index that was begun, from the document of that key.
    BuildIndex(String, u32, Option<Vec<u8>>),
    FinishIndex(String, u32),
    GiveUpIndex(String, u32),
    /// Removes some of what is left of indexes.
    Sweep(String),
    /// Makes it for a look: it is given up in any case.
    TryIndex(String, IndexSpec),
    DropIndex(String, String),
    /// In the collection of that name; with what was looked at beforehand.
    Documents(String, Arc<DocumentWrite>, Option<Arc<Seen>>),
    /// To some of the documents that it found.
    Round(String, Arc<DocumentWrite>, Round),
    Begin,
    Commit,
    Abort,
    /// Nothing but a commit, to see whether the disk takes it.
    Probe,
}

impl Work {
    /// Whether it has a commit of its own, because it is done whole or not at all, or because others may go on behind it.
    pub(crate) const fn is_alone(&self) -> bool {
        matches!(
            self,
            Self::DropCollection(_)
                | Self::CreateIndex(..)
                | Self::ReplaceOwnerIndex(..)
                | Self::FinishIndex(..)
                | Self::TryIndex(..)
                | Self::DropIndex(..)
                | Self::Commit
                | Self::Abort
        )
    }
}

/// A write to the documents of a collection.
#[derive(Debug)]
pub(crate) enum DocumentWrite {
    Insert {
        documents: Vec<Document>,
        ordered: bool,
    },
    Update(Box<Update>),
    Remove {
        filter: Document,
        many: bool,
    },
    Take {
        filter: Document,
        sort: Option<Document>,
    },
}

impl DocumentWrite {
    /// Whether its documents are looked for before it comes to the thread that writes: others' writes would wait for the search. Not where
    /// they are few, and named by their ids.
    pub(crate) fn looks_first(&self) -> bool {
        let filter = match self {
            Self::Insert { .. } => return false,
            Self::Update(update) => &update.filter,
            Self::Remove { filter, .. } | Self::Take { filter, .. } => filter,
        };
        if Asked::of(filter).is_much() {
            return true;
        }
        // What cannot be parsed is refused by whoever makes it.
        let Ok(filter) = Filter::parse(filter) else {
            return false;
        };
        let Ok(mut by_id) = docdb::index::Index::new(&[("_id", Direction::Ascending)]) else {
            return true;
        };
        by_id.unique = true;
        match Plan::new(&filter, None, None, &[by_id]).access {
            Access::Nothing => false,
            Access::Index(scan) => scan.ranges.len() > FEW || !scan.ranges.iter().all(Range::is_point),
            Access::Scan | Access::Union(_) => true,
        }
    }

    /// Whether it may be made to the documents that were seen a round at a time. What adds a document where none matches, and saw none, is
    /// made at once.
    pub(crate) fn goes_in_rounds(&self, seen: &Seen) -> bool {
        match self {
            Self::Update(update) => update.many && (update.upsert.is_none() || !seen.found.is_empty()),
            Self::Remove { many, .. } => *many,
            Self::Insert { .. } | Self::Take { .. } => false,
        }
    }

    /// What has come of it before its first round.
    pub(crate) fn nothing_done(&self, rounds: &Rounds) -> WriteDone {
        let looked = Some(rounds.looked.clone());
        match self {
            Self::Remove { .. } => WriteDone::Removed(Tally { count: 0, looked }),
            _ => WriteDone::Updated(Box::new(Updated {
                looked,
                ..Updated::default()
            })),
        }
    }

    /// Whether none matched and one is to be added then.
    pub(crate) fn adds_after(&self, done: &WriteDone) -> bool {
        match (self, done) {
            (Self::Update(update), WriteDone::Updated(updated)) => {
                update.upsert.is_some() && updated.matched == 0
            }
            _ => false,
        }
    }
}

/// The documents that a write found on a snapshot.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The number of the collection.
    collection: u32,
    /// The number of the last change that the snapshot has.
    sequence: u64,
    /// The time of the operation.
    now: DateTime,
    found: Arc<Vec<Matched>>,
    looked: Looked,
    /// Whether they are too many for one round.
    pub(crate) is_large: bool,
}

impl Seen {
    /// What is to be done in rounds to the documents that were found, each by itself.
    pub(crate) fn into_rounds(self) -> Rounds {
        let found = Arc::unwrap_or_clone(self.found);
        Rounds {
            now: self.now,
            looked: self.looked,
            keys: found.into_iter().map(|matched| matched.key).collect(),
            tries: 0,
        }
    }
}

/// What is left of a large write.
#[derive(Debug)]
pub(crate) struct Rounds {
    /// The time of the operation.
    now: DateTime,
    pub(crate) looked: Looked,
    /// Of the documents, in their order.
    keys: VecDeque<Vec<u8>>,
    /// How many rounds, one after the other, have left documents that changed meanwhile.
    tries: usize,
}

/// How many times a document that changed since it was looked at is left for the next round, before it is looked at where it is written.
const TRIES: usize = 3;

impl Rounds {
    pub(crate) fn is_done(&self) -> bool {
        self.keys.is_empty()
    }

    /// Takes back what a round has left.
    pub(crate) fn leave(&mut self, left: Vec<Vec<u8>>) {
        self.tries = if left.is_empty() { 0 } else { self.tries + 1 };
        for key in left.into_iter().rev() {
            self.keys.push_front(key);
        }
    }

    /// Looks at the next documents and computes what becomes of them; with how many rounds of loops there may be in what follows.
    pub(crate) fn next(
        mut self,
        shared: &Shared,
        file: &redb::Database,
        bounds: &Bounds,
        name: &str,
        write: &DocumentWrite,
    ) -> Result<(Self, Round, u64)> {
        let context = shared.context_at(self.now, bounds);
        let plan = WritePlan::parse(name, write)?;
        let snapshot = file.begin_read().map_err(DatabaseError::unavailable)?;
        let documents = snapshot
            .open_table(DOCUMENTS)
            .map_err(DatabaseError::unavailable)?;
        let matched = self.keys.iter().map(|key| Matched::of_key(key.clone()));
        let computed = compute(&plan, &documents, matched, shared.round, &context)?;
        self.keys.drain(..computed.reached);
        let round = Round {
            now: self.now,
            found: Arc::new(computed.found),
            is_last_try: self.tries >= TRIES,
        };
        Ok((self, round, context.steps_left()))
    }
}

/// Some documents of a large write.
#[derive(Debug)]
pub(crate) struct Round {
    now: DateTime,
    found: Arc<Vec<Matched>>,
    /// Whether those that have changed since they were looked at are looked at once more where they are written.
    is_last_try: bool,
}

impl Round {
    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

/// Looks on a snapshot for the documents that a write is about, and computes what an update makes of them.
pub(crate) fn look(
    shared: &Shared,
    file: &redb::Database,
    bounds: &Bounds,
    name: &str,
    write: &DocumentWrite,
) -> Result<Option<Seen>> {
    let context = shared.context(bounds);
    let plan = WritePlan::parse(name, write)?;
    let Some(mut matching) = plan.matching(&context) else {
        return Ok(None);
    };
    let snapshot = file.begin_read().map_err(DatabaseError::unavailable)?;
    let documents = snapshot
        .open_table(DOCUMENTS)
        .map_err(DatabaseError::unavailable)?;
    let indexes = snapshot.open_table(INDEXES).map_err(DatabaseError::unavailable)?;
    let catalog = snapshot.open_table(CATALOG).map_err(DatabaseError::unavailable)?;
    let meta = snapshot.open_table(META).map_err(DatabaseError::unavailable)?;
    let sequence = meta.get(SEQUENCE).map_err(DatabaseError::unavailable)?;
    let collection = shared.collection(file, &catalog, name)?;
    let view = View {
        documents: &documents,
        indexes: &indexes,
        overlay: None,
    };
    let mut found = matching.of(view, &collection)?;
    let looked = matching.looked;
    let is_large = match write {
        DocumentWrite::Update(update) => {
            let context = shared.context_at(context.now, bounds);
            let computed = compute(&plan, &documents, found.iter().cloned(), shared.round, &context)?;
            if !computed.is_full {
                found = Arc::new(computed.found);
            } else if update.largest.is_some() {
                judge_growth(&plan, &documents, &found, &context)?;
            }
            computed.is_full
        }
        DocumentWrite::Remove { .. } => are_more_than(shared.round, &documents, &found)?,
        DocumentWrite::Insert { .. } | DocumentWrite::Take { .. } => false,
    };
    Ok(Some(Seen {
        collection: collection.id,
        sequence: sequence.map_or(0, |sequence| sequence.value()),
        now: context.now,
        found,
        looked,
        is_large,
    }))
}

/// What a write came to.
#[derive(Debug)]
pub(crate) enum WriteDone {
    Done,
    /// An index was begun, of that number.
    Building(u32),
    /// The key of the next document to go on with.
    Reached(Option<Vec<u8>>),
    /// Whether there was what had to go.
    Was(bool),
    /// Some of what is left of indexes was removed; whether there is more.
    Swept {
        more: bool,
    },
    Inserted(Inserted),
    Updated(Box<Updated>),
    Removed(Tally),
    Taken(Option<Document>),
    /// What came of some of the documents of a write, and the keys of those that have changed since they were looked at.
    Round(Box<Self>, Vec<Vec<u8>>),
    Began(TransactionId),
    /// Nothing yet: a transaction has locked a document that it would write.
    Locked,
    /// Nothing: too much has changed since its documents were looked for.
    Stale,
}

impl WriteDone {
    /// Adds what came of further documents of the same write; gives it back where it is of another one.
    pub(crate) fn add(&mut self, more: Self) -> std::result::Result<(), Self> {
        match (self, more) {
            (Self::Updated(all), Self::Updated(more)) => {
                all.matched += more.matched;
                all.modified += more.modified;
                all.document = more.document.or_else(|| all.document.take());
            }
            (Self::Removed(all), Self::Removed(more)) => all.count += more.count,
            (_, more) => return Err(more),
        }
        Ok(())
    }

    /// Which of them it is, for the log.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Done => "what was wanted is done",
            Self::Building(_) => "an index was begun",
            Self::Reached(_) => "how far an index has come",
            Self::Was(_) => "whether there was what had to go",
            Self::Swept { .. } => "whether there is more to remove",
            Self::Inserted(_) => "what was added",
            Self::Updated(_) => "what was updated",
            Self::Removed(_) => "how many were removed",
            Self::Taken(_) => "which document was taken",
            Self::Round(..) => "what came of some documents",
            Self::Began(_) => "which transaction began",
            Self::Locked => "a document is locked",
            Self::Stale => "what was looked for has changed",
        }
    }
}

/// Makes a write, or notes it in its transaction.
pub(crate) fn apply(
    shared: &Shared,
    file: &redb::Database,
    batch: &mut Batch<'_>,
    locks: &mut Locks,
    work: &Work,
    turn: Option<&Turn>,
    bounds: &Bounds,
) -> Result<WriteDone> {
    let context = shared.context(bounds);
    // What nobody waits for any more was told as not done, and would be done a second time by whoever tries again.
    if let (Err(gone), false) = (context.is_wanted(), matches!(work, Work::Abort | Work::Begin)) {
        if let Some(turn) = turn {
            turn.transaction.state().doom();
            locks.release(turn.transaction.id);
        }
        return Err(gone.into());
    }
    match work {
        Work::Begin => shared.begin().map(WriteDone::Began),
        Work::Commit => commit(shared, batch, locks, turn),
        Work::Abort => {
            let turn = turn.ok_or(DatabaseError::TransactionMissing)?;
            shared.transactions.close(turn.transaction.id);
            locks.release(turn.transaction.id);
            Ok(WriteDone::Done)
        }
        Work::Probe => {
            batch.probe();
            Ok(WriteDone::Done)
        }
        Work::CreateCollection(name) => batch.create_collection(name).map(|()| WriteDone::Done),
        Work::DropCollection(name) => batch.drop_collection(name).map(WriteDone::Was),
        Work::CreateIndex(name, spec) => batch.create_index(name, spec.clone()).map(begun),
        Work::ReplaceOwnerIndex(name, index) => batch.replace_owner_index(name, index).map(begun),
        Work::BuildIndex(name, id, from) => {
            let next = batch.build_round(name, *id, from.as_deref());
            next.map(WriteDone::Reached)
        }
        Work::FinishIndex(name, id) => batch.finish_index(name, *id).map(|()| WriteDone::Done),
        Work::GiveUpIndex(name, id) => batch.give_up_index(name, *id).map(|()| WriteDone::Done),
        Work::Sweep(name) => batch.sweep(name).map(|more| WriteDone::Swept { more }),
        Work::TryIndex(name, spec) => {
            let tried = batch.create_index_at_once(name, spec.clone());
            tried.map(|()| WriteDone::Done)
        }
        Work::DropIndex(name, index) => batch.drop_index(name, index).map(WriteDone::Was),
        Work::Documents(name, write, seen) => {
            let plan = WritePlan::parse(name, write)?;
            match (turn, seen) {
                (Some(turn), _) => within(shared, file, batch, locks, &plan, turn, &context),
                (None, None) => {
                    let (done, _) = at_once(shared, batch, locks, &plan, Basis::Nothing, &context)?;
                    Ok(done)
                }
                (None, Some(seen)) => {
                    let context = shared.context_at(seen.now, bounds);
                    let (done, _) = at_once(shared, batch, locks, &plan, Basis::Seen(seen), &context)?;
                    Ok(done)
                }
            }
        }
        Work::Round(name, write, round) => {
            let plan = WritePlan::parse(name, write)?;
            let context = shared.context_at(round.now, bounds);
            let (done, left) = at_once(shared, batch, locks, &plan, Basis::Round(round), &context)?;
            match done {
                WriteDone::Locked => Ok(done),
                done => Ok(WriteDone::Round(Box::new(done), left)),
            }
        }
    }
}

/// An index is made, or was begun.
fn begun(index: Option<u32>) -> WriteDone {
    index.map_or(WriteDone::Done, WriteDone::Building)
}

/// A write outside of transactions; with the keys of documents that it leaves for a later round.
fn at_once(
    shared: &Shared,
    batch: &mut Batch<'_>,
    locks: &Locks,
    plan: &WritePlan<'_>,
    basis: Basis<'_>,
    context: &Context,
) -> Result<(WriteDone, Vec<Vec<u8>>)> {
    let collection = batch.collection(plan.collection)?;
    let mut target = Committed {
        batch,
        locks,
        feed: &shared.feed,
        basis,
        left: Vec::new(),
    };
    let done = plan.make(&mut target, &collection, context)?;
    Ok((done, target.left))
}

/// A write of a transaction: it is noted, and made at the commit.
fn within(
    shared: &Shared,
    file: &redb::Database,
    batch: &Batch<'_>,
    locks: &mut Locks,
    plan: &WritePlan<'_>,
    turn: &Turn,
    context: &Context,
) -> Result<WriteDone> {
    let transaction = &turn.transaction;
    // It may have become too old while this waited.
    if !shared.transactions.contains(transaction.id) {
        return Err(DatabaseError::TransactionMissing);
    }
    let mut state = transaction.state();
    let (snapshot, overlay) = state.parts(file)?;
    let documents = snapshot
        .open_table(DOCUMENTS)
        .map_err(DatabaseError::unavailable)?;
    let indexes = snapshot.open_table(INDEXES).map_err(DatabaseError::unavailable)?;
    let catalog = snapshot.open_table(CATALOG).map_err(DatabaseError::unavailable)?;
    let collection = shared.collection(file, &catalog, plan.collection)?;
    let mut target = Noted {
        documents: &documents,
        indexes: &indexes,
        overlay,
        batch,
        locks,
        transaction: transaction.id,
    };
    let done = plan.make(&mut target, &collection, context);
    let too_large = overlay.size > MOST_WRITTEN;
    if too_large || matches!(done, Err(DatabaseError::TransactionConflict)) {
        // As in MongoDB, that ends the transaction.
        state.doom();
        locks.release(transaction.id);
    }
    done
}

fn commit(
    shared: &Shared,
    batch: &mut Batch<'_>,
    locks: &mut Locks,
    turn: Option<&Turn>,
) -> Result<WriteDone> {
    let transaction = &turn.ok_or(DatabaseError::TransactionMissing)?.transaction;
    // It may have become too old while this waited, and others have written what it had locked.
    let is_open = shared.transactions.contains(transaction.id);
    // Whatever comes of it, this was its end.
    shared.transactions.close(transaction.id);
    locks.release(transaction.id);
    let state = std::mem::take(&mut *transaction.state());
    if !is_open || state.doomed {
        return Err(DatabaseError::TransactionMissing);
    }
    let writes = &state.overlay.writes;
    for (key, write) in writes {
        let collection = batch.collection(&write.collection)?;
        if !key.starts_with(&collection.id.to_be_bytes()) {
            // Another collection stands in the place of the one that it wrote to.
            return Err(DatabaseError::TransactionConflict);
        }
        // First all go out of the indexes, so that a unique value can move from one document to another.
        if let Some(before) = &write.before {
            batch.take_out(&collection, before)?;
        }
    }
    for write in writes.values() {
        // Looked up anew: a document may have made an index multikey.
        let collection = batch.collection(&write.collection)?;
        match (&write.before, &write.after) {
            (None, None) => {}
            (None, Some(after)) => batch.insert(&collection, after)?,
            (Some(_), Some(after)) => batch.put_back(&collection, after, write.kind)?,
            (Some(before), None) => batch.remove(&collection, before)?,
        }
    }
    Ok(WriteDone::Done)
}
