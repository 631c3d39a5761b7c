//! What each write does, outside of transactions and in one.

mod matching;
mod noted;
mod target;

use bson::{Bson, Document};
use docdb::{Context, query::Filter, sort::Sort};

use self::{
    matching::{UpdatePlan, remove_in, take_in, update_in},
    noted::Noted,
    target::{Committed, Target as _},
};
use super::{
    Gone, Shared,
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
    DropIndex(String, String),
    Insert {
        collection: String,
        documents: Vec<Document>,
        ordered: bool,
    },
    Update(String, Box<Update>),
    Remove {
        collection: String,
        filter: Document,
        many: bool,
    },
    Take {
        collection: String,
        filter: Document,
        sort: Option<Document>,
    },
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
                | Self::DropIndex(..)
                | Self::Commit
                | Self::Abort
        )
    }
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

/// Makes a write, or notes it in its transaction.
pub(crate) fn apply(
    shared: &Shared,
    file: &redb::Database,
    batch: &mut Batch<'_>,
    locks: &mut Locks,
    work: &Work,
    turn: Option<&Turn>,
    gone: &Gone,
) -> Result<WriteDone> {
    let context = shared.context(gone);
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
        Work::CreateIndex(name, spec) => batch.create_index(name, spec.clone()).map(|()| WriteDone::Done),
        Work::DropIndex(name, index) => batch.drop_index(name, index).map(WriteDone::Was),
        Work::Insert { .. } | Work::Update(..) | Work::Remove { .. } | Work::Take { .. } => match turn {
            Some(turn) => within(shared, file, batch, locks, work, turn, &context),
            None => ordinary(batch, locks, work, &context),
        },
    }
}

/// A write outside of transactions.
fn ordinary(batch: &mut Batch<'_>, locks: &Locks, work: &Work, context: &Context) -> Result<WriteDone> {
    match work {
        Work::Insert {
            collection: name,
            documents,
            ordered,
        } => {
            let collection = batch.collection(name)?;
            let target = Committed { batch, locks };
            for document in documents {
                if target.meets_lock(&collection, document)? {
                    return Ok(WriteDone::Locked);
                }
            }
            let mut inserted = Inserted::default();
            for (at, document) in documents.iter().enumerate() {
                // Looked up anew: a document may have made an index multikey.
                let collection = target.batch.collection(name)?;
                let outcome = target.batch.insert(&collection, document);
                if !inserted.note(at, shown_id(document), outcome, *ordered)? {
                    break;
                }
            }
            Ok(WriteDone::Inserted(inserted))
        }
        Work::Update(name, update) => {
            let plan = UpdatePlan::parse(update)?;
            let collection = batch.collection(name)?;
            update_in(
                &mut Committed { batch, locks },
                &collection,
                update,
                &plan,
                context,
            )
        }
        Work::Remove {
            collection: name,
            filter,
            many,
        } => {
            let filter = Filter::parse(filter)?;
            let collection = batch.collection(name)?;
            remove_in(
                &mut Committed { batch, locks },
                &collection,
                &filter,
                *many,
                context,
            )
        }
        Work::Take {
            collection: name,
            filter,
            sort,
        } => {
            let (filter, sort) = (
                Filter::parse(filter)?,
                sort.as_ref().map(Sort::parse).transpose()?,
            );
            let collection = batch.collection(name)?;
            take_in(
                &mut Committed { batch, locks },
                &collection,
                &filter,
                sort.as_ref(),
                context,
            )
        }
        _ => Ok(WriteDone::Done),
    }
}

/// A write of a transaction: it is noted, and made at the commit.
fn within(
    shared: &Shared,
    file: &redb::Database,
    batch: &Batch<'_>,
    locks: &mut Locks,
    work: &Work,
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
    let name = match work {
        Work::Update(name, _)
        | Work::Insert { collection: name, .. }
        | Work::Remove { collection: name, .. }
        | Work::Take { collection: name, .. } => name,
        _ => return Ok(WriteDone::Done),
    };
    let collection = shared.collection(file, &catalog, name)?;
    let mut target = Noted {
        documents: &documents,
        indexes: &indexes,
        overlay,
        batch,
        locks,
        transaction: transaction.id,
    };
    let done = match work {
        Work::Insert {
            documents, ordered, ..
        } => {
            let mut inserted = Inserted::default();
            documents
                .iter()
                .enumerate()
                .try_for_each(|(at, document)| {
                    let outcome = target.insert(&collection, document);
                    match inserted.note(at, shown_id(document), outcome, *ordered) {
                        Ok(true) => Ok(()),
                        Ok(false) => Err(None),
                        Err(error) => Err(Some(error)),
                    }
                })
                .or_else(|ended| ended.map_or(Ok(()), Err))
                .map(|()| WriteDone::Inserted(inserted))
        }
        Work::Update(_, update) => {
            let plan = UpdatePlan::parse(update)?;
            update_in(&mut target, &collection, update, &plan, context)
        }
        Work::Remove { filter, many, .. } => {
            let filter = Filter::parse(filter)?;
            remove_in(&mut target, &collection, &filter, *many, context)
        }
        Work::Take { filter, sort, .. } => {
            let (filter, sort) = (
                Filter::parse(filter)?,
                sort.as_ref().map(Sort::parse).transpose()?,
            );
            take_in(&mut target, &collection, &filter, sort.as_ref(), context)
        }
        _ => Ok(WriteDone::Done),
    };
    let too_large = overlay.size > MOST_WRITTEN;
    if too_large || matches!(done, Err(DatabaseError::TransactionConflict)) {
        // As in MongoDB, that ends the transaction.
        state.doom();
        locks.release(transaction.id);
    }
    done
}

/// MongoDB's number for a transaction that wrote too much.
const TRANSACTION_TOO_LARGE: i32 = 257;

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

fn shown_id(document: &Document) -> Bson {
    document.get("_id").cloned().unwrap_or(Bson::Null)
}
