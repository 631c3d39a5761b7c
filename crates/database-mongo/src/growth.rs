//! Updates by which no document may grow beyond a bound, as clients' are. A server has no such bound, so what cannot reach it, by its size
//! and by what the update adds at most, is left to the server in one step; the others are looked at here, one by one: all of them before the
//! first document is changed, and each once more at its turn, where it is changed only if it is still what was looked at. What is looked
//! at is read from the primary: a copy may be behind.

use std::sync::Arc;

use bson::{Bson, DateTime, Document, doc};
use database::{Asker, DatabaseError, Find, Result, Update, Updated, refuse_growth};
use docdb::{Context, expr::Variables, query::Filter, update::Update as Change};

use crate::{Inner, OPERATION, operations::Upsert, transactions::PRIMARY};

/// A document that others write to all the time is changed in so many tries, or not at all.
const TRIES: usize = 4;

/// What a document becomes, and whether it may.
struct Judge {
    filter: Filter,
    change: Change,
    largest: usize,
}

impl Judge {
    fn judge(&self, before: &Document) -> Result<()> {
        let context = Context::new(DateTime::now(), rand::random()).at_most(Asker::CLIENT_STEPS);
        let element = self.filter.find_element(before, &Variables::none(), &context)?;
        let after = self.change.apply(before, element.unwrap_or_default(), &context)?;
        match after {
            Some(after) => refuse_growth(size_of(before)?, size_of(&after)?, self.largest),
            None => Ok(()),
        }
    }
}

impl Inner {
    /// Changes documents, of which none may become larger than `largest` by it.
    pub(crate) async fn change_within(
        &self,
        collection: &str,
        update: &Update,
        largest: usize,
    ) -> Result<Updated> {
        let judge = Arc::new(Judge {
            filter: Filter::parse(&update.filter)?,
            change: update.kind.parse(&update.array_filters)?,
            largest,
        });
        // What has no more than that cannot reach the bound.
        let safe = judge.change.most_growth();
        let safe = safe.and_then(|growth| largest.checked_sub(growth));
        let larger = match safe {
            Some(safe) => with(&update.filter, size_is("$gt", safe)),
            None => update.filter.clone(),
        };
        let mut near = match update.many {
            // Before the first of the others is changed, which may be near then.
            true => self.judged(collection, larger, &judge).await?,
            false => Vec::new(),
        };
        let mut done = Updated::default();
        if let Some(safe) = safe {
            let smaller = Update {
                filter: with(&update.filter, size_is("$lte", safe)),
                ..update.clone()
            };
            done = self.change(collection, &smaller, &Upsert::Never, None).await?;
        }
        if !update.many && done.matched == 0 {
            near = self.first(collection, update.filter.clone()).await?;
        }
        for id in near {
            let one = Update {
                filter: with(&update.filter, doc! { "_id": { "$eq": id } }),
                many: false,
                ..update.clone()
            };
            let changed = self.change_judged(collection, one, &judge).await?;
            done.matched += changed.matched;
            done.modified += changed.modified;
        }
        Ok(done)
    }

    /// The `_id`s of the documents that match, each of which may become what it would be.
    async fn judged(&self, collection: &str, filter: Document, judge: &Arc<Judge>) -> Result<Vec<Bson>> {
        let target = self.collection(collection);
        let found = target
            .find(filter)
            .max_time(OPERATION)
            .selection_criteria(PRIMARY);
        let mut found = found.await.map_err(|error| self.failures.of(error))?;
        let mut ids = Vec::new();
        while found.advance().await.map_err(|error| self.failures.of(error))? {
            let document = found.deserialize_current();
            let document = document.map_err(|error| self.failures.of(error))?;
            ids.extend(document.get("_id").cloned());
            judged(judge, document).await?;
        }
        Ok(ids)
    }

    /// The `_id` of the first document that matches.
    async fn first(&self, collection: &str, filter: Document) -> Result<Vec<Bson>> {
        let find = Find {
            filter,
            projection: Some(doc! { "_id": 1 }),
            limit: Some(1),
            is_followed: true,
            ..Find::default()
        };
        let found = self.find(collection, find, None).await?.documents;
        let id = |document: &bson::RawDocumentBuf| Bson::try_from(document.get("_id").ok()??).ok();
        Ok(found.iter().filter_map(id).collect())
    }

    /// Changes the one document that the filter finds, if it may become what it would be.
    async fn change_judged(&self, collection: &str, update: Update, judge: &Arc<Judge>) -> Result<Updated> {
        let target = self.collection(collection);
        for _ in 0..TRIES {
            let found = target.find_one(update.filter.clone());
            let found = found.max_time(OPERATION).selection_criteria(PRIMARY);
            let Some(before) = found.await.map_err(|error| self.failures.of(error))? else {
                return Ok(Updated::default());
            };
            let unchanged = doc! { "$expr": { "$eq": ["$$ROOT", { "$literal": before.clone() }] } };
            judged(judge, before).await?;
            let update = Update {
                filter: with(&update.filter, unchanged),
                ..update.clone()
            };
            let updated = self.change(collection, &update, &Upsert::Never, None).await?;
            if updated.matched > 0 {
                return Ok(updated);
            }
        }
        Err(DatabaseError::TransactionConflict)
    }
}

/// Judges it on another thread, as that may take long.
async fn judged(judge: &Arc<Judge>, before: Document) -> Result<()> {
    let judge = Arc::clone(judge);
    let judged = tokio::task::spawn_blocking(move || judge.judge(&before));
    judged.await.map_err(DatabaseError::unavailable)?
}

/// Whether a document's size as BSON is so to a number of bytes.
fn size_is(comparison: &str, bytes: usize) -> Document {
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    doc! { "$expr": { comparison: [{ "$bsonSize": "$$ROOT" }, bytes] } }
}

/// The filter, and a condition beside it. What sorts by distance has to stay at the top.
fn with(filter: &Document, condition: Document) -> Document {
    let mut filter = filter.clone();
    match filter.get_array_mut("$and") {
        Ok(all) => all.push(condition.into()),
        Err(_) => drop(filter.insert("$and", vec![condition])),
    }
    filter
}

fn size_of(document: &Document) -> Result<usize> {
    let bytes = document.to_vec().map_err(DatabaseError::unavailable)?;
    Ok(bytes.len())
}
