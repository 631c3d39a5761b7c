//! Where documents are written: into the commit in the making, or into what a transaction will commit (`noted`).

use std::{collections::BTreeSet, sync::Arc};

use bson::{Bson, Document};
use redb::ReadableTable as _;

use super::{
    Round, Seen,
    matching::{Matched, Matching},
};
use crate::{
    ChangeKind, DatabaseError, Result,
    changes::Feed,
    embedded::{
        batch::Batch,
        catalog::{Collection, Index},
        entries::{Entries, document_key},
        view::View,
        writer::Locks,
    },
};

/// Where documents are written.
pub(super) trait Target {
    /// The documents that match, all or the first; `None` where they have to be looked for anew.
    fn matching(
        &self,
        collection: &Collection,
        search: &mut Matching<'_>,
    ) -> Result<Option<Arc<Vec<Matched>>>>;

    fn get(&self, key: &[u8]) -> Result<Option<Document>>;

    /// Whether the document of that key stands there with these bytes.
    fn stands_as(&self, key: &[u8], bytes: &[u8]) -> Result<bool>;

    /// Whether a document that has changed since it was looked at is left for a later round; then it is noted.
    fn leaves(&mut self, key: &[u8]) -> bool;

    /// For how many documents it is planned at once what becomes of them, before the first is written.
    fn planned_at_once(&self) -> usize;

    /// Whether it is written to some of the documents of a large write. None is added where these do not match, and one of which nothing was
    /// computed beforehand is judged when it is written.
    fn is_round(&self) -> bool;

    /// Whether a transaction has locked the document of that key, and the write has to wait.
    fn is_locked(&self, key: &[u8]) -> bool;

    /// Whether a transaction has locked this document or a unique value in it, and the write has to wait.
    fn meets_lock(&self, collection: &Collection, document: &Document) -> Result<bool>;

    /// Whether a transaction has locked any unique value of the collection's.
    fn locks_values(&self, collection: &Collection) -> bool;

    fn insert(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()>;

    fn replace(
        &mut self,
        collection: &Arc<Collection>,
        before: &Document,
        after: &Document,
        kind: ChangeKind,
    ) -> Result<()>;

    fn remove(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()>;
}

/// Into the commit in the making.
pub(super) struct Committed<'a, 't> {
    pub(super) batch: &'a mut Batch<'t>,
    pub(super) locks: &'a Locks,
    pub(super) feed: &'a Feed,
    pub(super) basis: Basis<'a>,
    /// The keys of documents that are left for a later round.
    pub(super) left: Vec<Vec<u8>>,
}

/// What is known of a write's documents before it comes to the thread that writes.
#[derive(Clone, Copy)]
pub(super) enum Basis<'a> {
    Nothing,
    /// All of them.
    Seen(&'a Seen),
    /// Some of many, each by itself.
    Round(&'a Round),
}

/// Maximum number of documents that may have changed since a search; where more have, it is made anew.
const MOST_CHANGED: usize = 64;

impl Committed<'_, '_> {
    /// The keys of the documents that have changed since they were seen; `None` where these are too many, or not known.
    fn changed_since(&self, collection: &Collection, seen: &Seen) -> Option<BTreeSet<Vec<u8>>> {
        if seen.collection != collection.id {
            return None;
        }
        let committed = self.feed.ids_after(&collection.name, seen.sequence)?;
        let ids = committed
            .iter()
            .chain(self.batch.changes().ids(&collection.name)?);
        let keys: BTreeSet<_> = ids.map(|id| document_key(collection.id, id)).collect();
        (keys.len() <= MOST_CHANGED).then_some(keys)
    }
}

impl Target for Committed<'_, '_> {
    fn matching(
        &self,
        collection: &Collection,
        search: &mut Matching<'_>,
    ) -> Result<Option<Arc<Vec<Matched>>>> {
        match self.basis {
            Basis::Nothing => {}
            Basis::Seen(seen) => {
                let Some(changed) = self.changed_since(collection, seen) else {
                    return Ok(None);
                };
                return search.of_changed(&self.batch.documents.table, seen, &changed);
            }
            Basis::Round(round) => return Ok(Some(Arc::clone(&round.found))),
        }
        let view = View {
            documents: &self.batch.documents.table,
            indexes: &self.batch.indexes.table,
            overlay: None,
        };
        search.of(view, collection).map(Some)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Document>> {
        self.batch.get(key)
    }

    fn stands_as(&self, key: &[u8], bytes: &[u8]) -> Result<bool> {
        let found = self.batch.documents.table.get(key);
        let found = found.map_err(DatabaseError::unavailable)?;
        Ok(found.is_some_and(|found| found.value() == bytes))
    }

    fn leaves(&mut self, key: &[u8]) -> bool {
        let leaves = matches!(self.basis, Basis::Round(round) if !round.is_last_try);
        if leaves {
            self.left.push(key.to_vec());
        }
        leaves
    }

    fn planned_at_once(&self) -> usize {
        usize::MAX
    }

    fn is_round(&self) -> bool {
        matches!(self.basis, Basis::Round(_))
    }

    fn is_locked(&self, key: &[u8]) -> bool {
        self.locks.is_held(key)
    }

    fn meets_lock(&self, collection: &Collection, document: &Document) -> Result<bool> {
        if self.locks.is_held(&key_of(collection, document)) {
            return Ok(true);
        }
        for index in unique(collection).filter(|index| self.locks.holds_any_of(index.id)) {
            let values = Entries::of(index, document)?.values;
            if values.iter().any(|value| self.locks.is_held(value)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn locks_values(&self, collection: &Collection) -> bool {
        unique(collection).any(|index| self.locks.holds_any_of(index.id))
    }

    fn insert(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()> {
        // Looked up anew: the document before may have made an index multikey.
        let collection = self.batch.collection(&collection.name)?;
        self.batch.insert(&collection, document)
    }

    fn replace(
        &mut self,
        collection: &Arc<Collection>,
        before: &Document,
        after: &Document,
        kind: ChangeKind,
    ) -> Result<()> {
        // Looked up anew, as above.
        let collection = self.batch.collection(&collection.name)?;
        self.batch.replace(&collection, before, after, kind)
    }

    fn remove(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()> {
        self.batch.remove(collection, document)
    }
}

pub(super) fn unique(collection: &Collection) -> impl Iterator<Item = &Index> {
    collection.indexes.iter().filter(|index| index.spec.unique)
}

pub(super) fn key_of(collection: &Collection, document: &Document) -> Vec<u8> {
    document_key(collection.id, document.get("_id").unwrap_or(&Bson::Null))
}
