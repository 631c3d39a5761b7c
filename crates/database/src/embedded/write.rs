//! What each write does, outside of transactions and in one.

mod matching;
mod noted;
mod plan;
mod target;

use std::sync::Arc;

use bson::Document;
use docdb::{
    Context,
    key::Direction,
    plan::{Access, Plan, Range},
    query::Filter,
    regex::Asked,
};
use redb::ReadableDatabase as _;

use self::{matching::Matched, noted::Noted, plan::WritePlan, target::Committed};
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

/// So many documents, named by their ids, are looked for where they are written.
const FEW: usize = 32;

/// A write to be made.
#[derive(Debug)]
pub(crate) enum Work {
    CreateCollection(String),
    DropCollection(String),
    CreateIndex(String, IndexSpec),
    /// Makes it for a look: it is given up in any case.
    TryIndex(String, IndexSpec),
    DropIndex(String, String),
    /// In the collection of that name; with what was looked at beforehand.
    Documents(String, Arc<DocumentWrite>, Option<Seen>),
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
}

/// The documents that a write found on a snapshot.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The number of the collection.
    collection: u32,
    /// The number of the last change that the snapshot has.
    sequence: u64,
    found: Arc<Vec<Matched>>,
    looked: Looked,
}

/// Looks on a snapshot for the documents that a write is about.
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
    let found = matching.of(view, &collection)?;
    Ok(Some(Seen {
        collection: collection.id,
        sequence: sequence.map_or(0, |sequence| sequence.value()),
        found,
        looked: matching.looked,
    }))
}

/// What a write came to.
#[derive(Debug)]
pub(crate) enum WriteDone {
    Done,
    /// Whether there was what had to go.
    Was(bool),
    Inserted(Inserted),
    Updated(Box<Updated>),
    Removed(Tally),
    Taken(Option<Document>),
    Began(TransactionId),
    /// Nothing yet: a transaction has locked a document that it would write.
    Locked,
    /// Nothing: too much has changed since its documents were looked for.
    Stale,
}

impl WriteDone {
    /// Which of them it is, for the log.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Done => "what was wanted is done",
            Self::Was(_) => "whether there was what had to go",
            Self::Inserted(_) => "what was added",
            Self::Updated(_) => "what was updated",
            Self::Removed(_) => "how many were removed",
            Self::Taken(_) => "which document was taken",
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
        Work::CreateIndex(name, spec) | Work::TryIndex(name, spec) => {
            batch.create_index(name, spec.clone()).map(|()| WriteDone::Done)
        }
        Work::DropIndex(name, index) => batch.drop_index(name, index).map(WriteDone::Was),
        Work::Documents(name, write, seen) => {
            let plan = WritePlan::parse(name, write)?;
            match turn {
                Some(turn) => within(shared, file, batch, locks, &plan, turn, &context),
                None => {
                    let collection = batch.collection(plan.collection)?;
                    let mut target = Committed {
                        batch,
                        locks,
                        feed: &shared.feed,
                        seen: seen.as_ref(),
                    };
                    plan.make(&mut target, &collection, &context)
                }
            }
        }
    }
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
