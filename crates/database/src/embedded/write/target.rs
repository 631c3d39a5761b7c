//! Where documents are written: into the commit in the making, or into what a transaction will commit (`noted`).

use std::sync::Arc;

use bson::{Bson, Document};

use super::matching::Matching;
use crate::{
    ChangeKind, Result,
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
    /// The keys of documents that match, all or the first.
    fn matching(&self, collection: &Collection, search: &mut Matching<'_>) -> Result<Vec<Vec<u8>>>;

    fn get(&self, key: &[u8]) -> Result<Option<Document>>;

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
        after: Document,
        kind: ChangeKind,
    ) -> Result<()>;

    fn remove(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()>;
}

/// Into the commit in the making.
pub(super) struct Committed<'a, 't> {
    pub(super) batch: &'a mut Batch<'t>,
    pub(super) locks: &'a Locks,
}

impl Target for Committed<'_, '_> {
    fn matching(&self, collection: &Collection, search: &mut Matching<'_>) -> Result<Vec<Vec<u8>>> {
        let view = View {
            documents: &self.batch.documents.table,
            indexes: &self.batch.indexes.table,
            overlay: None,
        };
        search.of(view, collection)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Document>> {
        self.batch.get(key)
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
        after: Document,
        kind: ChangeKind,
    ) -> Result<()> {
        self.batch.replace(collection, before, &after, kind)
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
