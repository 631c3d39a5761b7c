//! What each write does, outside of transactions and in one.

mod matching;
mod noted;
mod plan;
mod target;

use bson::Document;
use docdb::Context;

use self::{noted::Noted, plan::WritePlan, target::Committed};
use super::{
    Bounds, Shared,
    batch::Batch,
    file::{CATALOG, DOCUMENTS, INDEXES},
    transaction::{MOST_WRITTEN, Turn},
    writer::Locks,
};
use crate::{IndexSpec, Inserted, Result, Tally, TransactionId, Update, Updated, error::DatabaseError};

/// A write to be made.
#[derive(Debug)]
pub(crate) enum Work {
    CreateCollection(String),
    DropCollection(String),
    CreateIndex(String, IndexSpec),
    /// Makes it for a look: it is given up in any case.
    TryIndex(String, IndexSpec),
    DropIndex(String, String),
    /// In the collection of that name.
    Documents(String, DocumentWrite),
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
        Work::Documents(name, write) => {
            let plan = WritePlan::parse(name, write)?;
            match turn {
                Some(turn) => within(shared, file, batch, locks, &plan, turn, &context),
                None => {
                    let collection = batch.collection(plan.collection)?;
                    plan.make(&mut Committed { batch, locks }, &collection, &context)
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
