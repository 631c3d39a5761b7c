//! Where documents are kept. [`Database`] is what the cloud's database needs of an engine; [`Embedded`] is the engine
//! that comes with the binary: one file by [redb](https://docs.rs/redb), or memory alone, with MongoDB's language from `docdb` above it.
//!
//! What a method answered with `Ok` is on disk, and survives a SIGKILL. Reads see one snapshot; writes are made one after the other
//! by one thread, which takes all that waits into one commit. A transaction sees the snapshot of its first operation with its own
//! writes above it; its write locks the document, so that another transaction's write to it fails at once and an ordinary one waits.
//! The module `contract` holds every engine to that: it is compiled with the feature of the same name, for the tests of engines.

mod advice;
mod changes;
mod client;
#[cfg(any(test, feature = "contract"))]
pub mod contract;
mod embedded;
mod error;
pub mod exchange;
mod id_kind;
mod line;
mod operation;
#[cfg(test)]
mod tests;

use std::{future::Future, pin::Pin, sync::Arc};

use bson::{Bson, Document};

pub use datafile::FileError;
pub use docdb::index::{
    BadIndex, ID_INDEX, IndexField, IndexKind, IndexSpec, WrittenIndex, settings_line, settings_text,
    toml_key,
};
pub use docdb::{collection::BadCollectionName, document::with_id};

pub use crate::{
    advice::indexes_for,
    changes::{Change, ChangeKind, Changes, Feed, MissedChanges},
    client::{ClientDatabase, ClientError, ClientRequest, OWNER, Permissions, WatchedQuery},
    embedded::{Embedded, MOST_TRANSACTIONS, Options, TRANSACTION_LIFE},
    error::DatabaseError,
    id_kind::{behind_id, id_kind, id_kind_of, of_either_kind},
    operation::{
        Aggregate, Asker, CollectionStatus, Find, Found, Inserted, Looked, Page, ReturnedDocument, Tally,
        TransactionId, Update, UpdateKind, Updated, refuse_growth,
    },
};

/// A future on the heap, which a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What most methods answer.
pub type Result<T, E = DatabaseError> = std::result::Result<T, E>;

/// An engine that keeps documents. A collection's name is what [`docdb::collection`] takes; one that an earlier version made under
/// another name stays there, and is read, written and dropped as any.
///
/// A method that takes a transaction is part of it where one is given; its changes are seen by nobody else before
/// [`commit`](Self::commit).
///
/// # Errors
/// Every method: [`DatabaseError::Unavailable`] where the disk or the server fails, and [`DatabaseError::TimedOut`].
///
/// A method that names a collection: [`DatabaseError::CollectionMissing`], whatever it would do there; but
/// [`drop_collection`](Self::drop_collection), which answers that there was none.
///
/// A method that takes MongoDB's language (a filter, an order, an update, a pipeline) or a document: [`DatabaseError::Refused`] with
/// MongoDB's number, on an empty collection too where it can be seen without looking at a document.
///
/// In a transaction: [`DatabaseError::TransactionMissing`] where it has ended, [`DatabaseError::TransactionBusy`] while another operation
/// of it is under way, [`DatabaseError::Unsupported`] where the engine has none; and of what writes
/// [`DatabaseError::TransactionConflict`], which ends it. Outside of one a write waits for what a transaction has locked, and
/// after 30 seconds fails by [`DatabaseError::Locked`].
///
/// What a method fails by besides stands with it.
pub trait Database: Send + Sync + 'static {
    /// The same database for one of those who ask it, who leaves others room; `None` where the engine sees to that by itself.
    fn for_asker(&self, asker: Asker) -> Option<Arc<dyn Database>> {
        let _ = asker;
        None
    }

    /// Makes a collection.
    ///
    /// # Errors
    /// [`DatabaseError::CollectionExists`], and [`DatabaseError::BadName`] for a name that a collection cannot have.
    fn create_collection<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>>;

    /// Removes a collection with its documents and indexes; answers whether there was one. Transactions that wrote to it fail at their
    /// commit.
    fn drop_collection<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool>>;

    /// All collections, by name.
    fn collections(&self) -> BoxFuture<'_, Result<Vec<CollectionStatus>>>;

    /// Makes an index over the documents that are there and those to come; one that is there already is no error, and that of `_id`
    /// is there always.
    ///
    /// # Errors
    /// [`DatabaseError::Duplicate`] where documents stand against a unique index, [`DatabaseError::Refused`] for one of its name
    /// that is another, and where there can be none over such fields ([`IndexSpec::check`]).
    fn create_index<'a>(&'a self, collection: &'a str, index: IndexSpec) -> BoxFuture<'a, Result<()>>;

    /// Removes an index by its name; answers whether there was one. `_id_` cannot be removed.
    fn drop_index<'a>(&'a self, collection: &'a str, name: &'a str) -> BoxFuture<'a, Result<bool>>;

    /// Adds documents in their order, each with an `_id` of its own; answers the ids. The first that cannot be added
    /// ends it, and those before it stay, as in MongoDB.
    ///
    /// # Errors
    /// [`DatabaseError::Duplicate`].
    fn insert<'a>(
        &'a self,
        collection: &'a str,
        documents: Vec<Document>,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Vec<Bson>>>;

    /// Adds documents in their order, each with an `_id` of its own; answers which were added, and why each of the others was
    /// not ([`DatabaseError::Duplicate`], [`DatabaseError::Refused`]). With `ordered`, the first that cannot be added ends it.
    fn insert_each<'a>(
        &'a self,
        collection: &'a str,
        documents: Vec<Document>,
        ordered: bool,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Inserted>> {
        Box::pin(async move {
            let mut inserted = Inserted::default();
            for (at, document) in documents.into_iter().enumerate() {
                let id = document.get("_id").cloned().unwrap_or(Bson::Null);
                let outcome = self.insert(collection, vec![document], transaction).await;
                if !inserted.note(at, id, outcome.map(drop), ordered)? {
                    break;
                }
            }
            Ok(inserted)
        })
    }

    /// Reads documents.
    ///
    /// # Errors
    /// [`DatabaseError::AnswerTooLarge`].
    fn find<'a>(
        &'a self,
        collection: &'a str,
        find: Find,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Found>>;

    /// Reads some of the documents that match, in the order of their ids, those after `after`: at most `limit` of them, or
    /// fewer where they are large. Each page sees the collection as it stands then, so whoever reads all of them holds up nobody.
    ///
    /// # Errors
    /// [`DatabaseError::Unsupported`] where an engine has no such order.
    fn page<'a>(
        &'a self,
        collection: &'a str,
        filter: Document,
        projection: Option<Document>,
        after: Option<Bson>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Page>> {
        let _ = (collection, filter, projection, after, limit);
        Box::pin(async {
            Err(DatabaseError::Unsupported(
                "this engine gives no pages".to_owned(),
            ))
        })
    }

    /// Counts documents.
    fn count<'a>(
        &'a self,
        collection: &'a str,
        filter: Document,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Tally>>;

    /// Changes documents. One that cannot be changed ends it, and those before it stay changed.
    ///
    /// # Errors
    /// [`DatabaseError::Duplicate`] where a document, or the one that an upsert adds, would have a value that another has.
    fn update<'a>(
        &'a self,
        collection: &'a str,
        update: Update,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Updated>>;

    /// Removes the documents that match, or with `many` unset one of them; answers how many.
    fn remove<'a>(
        &'a self,
        collection: &'a str,
        filter: Document,
        many: bool,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Tally>>;

    /// Removes the first document that matches, in the order of `sort`, and answers it.
    ///
    /// # Errors
    /// [`DatabaseError::Unsupported`] where an engine cannot do that in one step.
    fn take<'a>(
        &'a self,
        collection: &'a str,
        filter: Document,
        sort: Option<Document>,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Option<Document>>> {
        let _ = (collection, filter, sort, transaction);
        Box::pin(async {
            Err(DatabaseError::Unsupported(
                "this engine does not remove and answer a document in one step".to_owned(),
            ))
        })
    }

    /// Runs a pipeline over a collection. It may read others; one that does not exist is empty to it.
    ///
    /// # Errors
    /// [`DatabaseError::AnswerTooLarge`].
    fn aggregate<'a>(
        &'a self,
        collection: &'a str,
        aggregate: Aggregate,
        transaction: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Found>>;

    /// Begins a transaction, which lives for 30 seconds.
    ///
    /// # Errors
    /// [`DatabaseError::TransactionsFull`] where as many are open as may be.
    fn begin(&self) -> BoxFuture<'_, Result<TransactionId>>;

    /// Makes a transaction's writes final, all of them or none.
    ///
    /// # Errors
    /// [`DatabaseError::TransactionConflict`] where a collection that it wrote to is another one by now; of an engine that looks at
    /// unique values only here, [`DatabaseError::Duplicate`].
    fn commit(&self, transaction: TransactionId) -> BoxFuture<'_, Result<()>>;

    /// Drops a transaction's writes, behind the operation of it that is under way: whoever gives a transaction up may have
    /// operations left in it that they do not wait for, and what it locked must not stay locked.
    fn abort(&self, transaction: TransactionId) -> BoxFuture<'_, Result<()>>;

    /// Whether writes are taken. After an error of the disk this tries whether it works again.
    ///
    /// # Errors
    /// [`DatabaseError::Unavailable`] with what is wrong.
    fn health(&self) -> BoxFuture<'_, Result<()>>;

    /// The changes that are committed once this has answered, or, with `after`, those behind the change of that sequence number.
    ///
    /// # Errors
    /// [`DatabaseError::ChangesMissed`] where changes after that one are not kept any more, [`DatabaseError::Unsupported`] where
    /// the engine tells none.
    fn changes(&self, after: Option<u64>) -> BoxFuture<'_, Result<Changes>>;
}
