//! A write to documents, parsed before any of them is looked at, so that what MongoDB refuses is refused whatever stands there.

use std::sync::Arc;

use bson::{Bson, Document};
use docdb::{
    Context,
    document::{check_depth, check_id},
    query::Filter,
    sort::Sort,
};

use super::{
    DocumentWrite, WriteDone,
    matching::{Matched, Matching, UpdatePlan, may_grow, remove_in, take_in, update_in},
    target::Target,
};
use crate::{DatabaseError, Inserted, Looked, Result, Update, embedded::catalog::Collection};

/// What is to be done, whether at once or in a transaction.
pub(super) struct WritePlan<'w> {
    /// The name of the collection to whose documents it is done.
    pub(super) collection: &'w str,
    operation: Operation<'w>,
}

enum Operation<'w> {
    Insert {
        documents: &'w [Document],
        ordered: bool,
    },
    Update(&'w Update, UpdatePlan),
    Remove {
        filter: Filter,
        many: bool,
    },
    Take {
        filter: Filter,
        sort: Option<Sort>,
    },
}

impl<'w> WritePlan<'w> {
    pub(super) fn parse(collection: &'w str, write: &'w DocumentWrite) -> Result<Self> {
        let operation = match write {
            DocumentWrite::Insert { documents, ordered } => Operation::Insert {
                documents,
                ordered: *ordered,
            },
            DocumentWrite::Update(update) => Operation::Update(update, UpdatePlan::parse(update)?),
            DocumentWrite::Remove { filter, many } => Operation::Remove {
                filter: Filter::parse(filter)?,
                many: *many,
            },
            DocumentWrite::Take { filter, sort } => Operation::Take {
                filter: Filter::parse(filter)?,
                sort: sort.as_ref().map(Sort::parse).transpose()?,
            },
        };
        Ok(Self {
            collection,
            operation,
        })
    }

    /// What it looks for; `None` where it adds documents.
    pub(super) fn matching<'a>(&'a self, context: &'a Context) -> Option<Matching<'a>> {
        let (filter, sort, many) = match &self.operation {
            Operation::Insert { .. } => return None,
            Operation::Update(update, plan) => (&plan.filter, plan.sort.as_ref(), update.many),
            Operation::Remove { filter, many } => (filter, None, *many),
            Operation::Take { filter, sort } => (filter, sort.as_ref(), false),
        };
        Some(Matching {
            filter,
            sort,
            many,
            by_element: matches!(self.operation, Operation::Update(..)),
            context,
            looked: Looked::default(),
        })
    }

    /// What becomes of a document: another one, or nothing that is written in its place; `None` where it does not match.
    pub(super) fn after(
        &self,
        matched: &Matched,
        document: &Document,
        context: &Context,
    ) -> docdb::error::Result<Option<Option<Document>>> {
        match &self.operation {
            Operation::Insert { .. } => Ok(None),
            Operation::Update(_, plan) => plan.after(matched, document, context),
            Operation::Remove { filter, .. } | Operation::Take { filter, .. } => {
                let element = matched.element(filter, document, context)?;
                Ok(element.map(|_| None))
            }
        }
    }

    /// Refuses what makes a document larger than the update lets it become.
    pub(super) fn may_grow(&self, before: &Document, after: &Document) -> Result<()> {
        match &self.operation {
            Operation::Update(
                Update {
                    largest: Some(largest),
                    ..
                },
                _,
            ) => may_grow(before, after, *largest),
            _ => Ok(()),
        }
    }

    /// Does it in `target`, or finds that it has to wait for a lock.
    pub(super) fn make(
        &self,
        target: &mut impl Target,
        collection: &Arc<Collection>,
        context: &Context,
    ) -> Result<WriteDone> {
        match &self.operation {
            Operation::Insert { documents, ordered } => insert_in(target, collection, documents, *ordered),
            Operation::Update(update, plan) => update_in(target, collection, update, plan, context),
            Operation::Remove { filter, many } => remove_in(target, collection, filter, *many, context),
            Operation::Take { filter, sort } => take_in(target, collection, filter, sort.as_ref(), context),
        }
    }
}

fn insert_in(
    target: &mut impl Target,
    collection: &Arc<Collection>,
    documents: &[Document],
    ordered: bool,
) -> Result<WriteDone> {
    for document in documents {
        if target.meets_lock(collection, document)? {
            return Ok(WriteDone::Locked);
        }
    }
    let mut inserted = Inserted::default();
    for (at, document) in documents.iter().enumerate() {
        let outcome = check_id(document)
            .and_then(|()| check_depth(document))
            .map_err(DatabaseError::Refused)
            .and_then(|()| target.insert(collection, document));
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        if !inserted.note(at, id, outcome, ordered)? {
            break;
        }
    }
    Ok(WriteDone::Inserted(inserted))
}
