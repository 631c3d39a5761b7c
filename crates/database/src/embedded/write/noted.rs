//! The writes of a transaction: noted above its snapshot, with locks on the documents and on their unique values, so that nothing
//! is in the way of the commit.

use std::sync::Arc;

use bson::Document;
use docdb::error::code;
use redb::{AccessGuard, ReadableTable};

use super::{
    matching::{Matched, Matching},
    target::{Target, key_of, unique},
};
use crate::{
    ChangeKind, Result, TransactionId,
    embedded::{
        batch::{Batch, decode, duplicate, duplicate_id, encode, id_of, taken},
        catalog::{Collection, Index},
        entries::{Entries, document_key},
        transaction::{MOST_WRITTEN, Overlay, Written},
        view::View,
        writer::Locks,
    },
    error::DatabaseError,
};

/// Into what a transaction will commit.
pub(super) struct Noted<'a, 't, T> {
    pub(super) documents: &'a T,
    pub(super) indexes: &'a T,
    pub(super) overlay: &'a mut Overlay,
    /// What is committed by now, or will be before this transaction.
    pub(super) batch: &'a Batch<'t>,
    pub(super) locks: &'a mut Locks,
    pub(super) transaction: TransactionId,
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Noted<'_, '_, T> {
    fn view(&self) -> View<'_, T> {
        View {
            documents: self.documents,
            indexes: self.indexes,
            overlay: Some(self.overlay),
        }
    }

    /// Locks a document, unless it is another one by now than in the snapshot.
    fn lock(&mut self, key: &[u8]) -> Result<()> {
        if self.locks.is_held_by(key, self.transaction) {
            return Ok(());
        }
        let then = self.documents.get(key).map_err(DatabaseError::unavailable)?;
        let now = self
            .batch
            .documents
            .table
            .get(key)
            .map_err(DatabaseError::unavailable)?;
        if then.as_ref().map(AccessGuard::value) != now.as_ref().map(AccessGuard::value) {
            return Err(DatabaseError::TransactionConflict);
        }
        self.locks.take(key, self.transaction)
    }

    /// Locks a document and its unique values, where the unique indexes let it in. What they do not let in locks nothing.
    fn lock_with_values(&mut self, collection: &Collection, key: &[u8], document: &Document) -> Result<()> {
        let mut values = Vec::new();
        for index in &collection.indexes {
            index.keys.admit(document)?;
        }
        for index in unique(collection) {
            for value in Entries::of(index, document)?.values {
                if self.taken_by_own(collection, index, &value, key)?
                    || taken(self.indexes, &value, |owner| self.stands_for(owner, key))?
                {
                    return Err(duplicate(collection, index, document, &value));
                }
                values.push(value);
            }
        }
        self.lock(key)?;
        for value in values {
            // Taken since the snapshot.
            if taken(&self.batch.indexes.table, &value, |owner| {
                self.stands_for(owner, key)
            })? {
                return Err(DatabaseError::TransactionConflict);
            }
            self.locks.take(&value, self.transaction)?;
        }
        Ok(())
    }

    /// Whether what stands in an index for the document `owner` is in the way of that of `key`: not if it is the same, or one
    /// that this transaction has written, as then what counts is what it became.
    fn stands_for(&self, owner: &[u8], key: &[u8]) -> bool {
        owner != key && !self.overlay.writes.contains_key(owner)
    }

    /// Whether another document that this transaction wrote has the value.
    fn taken_by_own(
        &self,
        collection: &Collection,
        index: &Index,
        value: &Vec<u8>,
        key: &[u8],
    ) -> Result<bool> {
        // Whoever has it in this transaction has locked it.
        if !self.locks.is_held_by(value, self.transaction) {
            return Ok(false);
        }
        let id = collection.id.to_be_bytes();
        let own = self
            .overlay
            .writes
            .range(id.to_vec()..)
            .take_while(|(other, _)| other.starts_with(&id));
        for (_, written) in own.filter(|(other, _)| other.as_slice() != key) {
            if let Some(other) = &written.after
                && Entries::of(index, other)?.values.contains(value)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn note(
        &mut self,
        collection: &Collection,
        key: Vec<u8>,
        before: Option<Document>,
        after: Option<Document>,
        kind: ChangeKind,
    ) -> Result<()> {
        let size = |document: Option<&Document>| match document {
            // The size that it will have in the file; a document that is too large is refused here already.
            Some(document) => Ok(encode(document)?.as_bytes().len()),
            None => Ok::<_, DatabaseError>(0),
        };
        self.overlay.size += key.len() + size(after.as_ref())?;
        match self.overlay.writes.get_mut(&key) {
            Some(written) => {
                let old = size(written.after.as_ref())?;
                self.overlay.size = self.overlay.size.saturating_sub(key.len() + old);
                written.after = after;
                if written.kind != ChangeKind::Insert || written.before.is_some() {
                    written.kind = kind;
                }
            }
            None => {
                self.overlay.writes.insert(
                    key,
                    Written {
                        collection: Arc::clone(&collection.name),
                        before,
                        after,
                        kind,
                    },
                );
            }
        }
        if self.overlay.size > MOST_WRITTEN {
            return Err(DatabaseError::Refused(docdb::Error::new(
                code::TRANSACTION_TOO_LARGE,
                format!(
                    "a transaction may write {MOST_WRITTEN} bytes, and this one wrote more: it has ended"
                ),
            )));
        }
        Ok(())
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Target for Noted<'_, '_, T> {
    fn matching(
        &self,
        collection: &Collection,
        search: &mut Matching<'_>,
    ) -> Result<Option<Arc<Vec<Matched>>>> {
        search.of(self.view(), collection).map(Some)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Document>> {
        self.view().get(key)
    }

    /// Nothing is computed ahead for a transaction.
    fn stands_as(&self, _: &[u8], _: &[u8]) -> Result<bool> {
        Ok(false)
    }

    fn leaves(&mut self, _: &[u8]) -> bool {
        false
    }

    /// What a transaction may write is bounded, and that is seen as it is noted.
    fn planned_at_once(&self) -> usize {
        1
    }

    fn is_round(&self) -> bool {
        false
    }

    fn is_locked(&self, _: &[u8]) -> bool {
        false
    }

    fn meets_lock(&self, _: &Collection, _: &Document) -> Result<bool> {
        Ok(false)
    }

    fn locks_values(&self, _: &Collection) -> bool {
        false
    }

    fn insert(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()> {
        let id = id_of(document)?;
        let key = document_key(collection.id, &id);
        if self.get(&key)?.is_some() {
            return Err(duplicate_id(collection, &id));
        }
        self.lock_with_values(collection, &key, document)?;
        let before = self
            .documents
            .get(key.as_slice())
            .map_err(DatabaseError::unavailable)?
            .map(|bytes| decode(bytes.value()))
            .transpose()?;
        self.note(
            collection,
            key,
            before,
            Some(document.clone()),
            ChangeKind::Insert,
        )
    }

    fn replace(
        &mut self,
        collection: &Arc<Collection>,
        before: &Document,
        after: &Document,
        kind: ChangeKind,
    ) -> Result<()> {
        let key = key_of(collection, after);
        self.lock_with_values(collection, &key, after)?;
        self.note(collection, key, Some(before.clone()), Some(after.clone()), kind)
    }

    fn remove(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()> {
        let key = key_of(collection, document);
        self.lock(&key)?;
        self.note(collection, key, Some(document.clone()), None, ChangeKind::Remove)
    }
}
