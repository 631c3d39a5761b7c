//! The writes of one commit: documents and their index entries go in together, each checked before anything of it is written.

use std::{collections::HashMap, sync::Arc};

use bson::{Bson, Document, RawDocumentBuf, doc};
use datafile::Redo;
use docdb::error::code;
use ejson::shell::in_error_text;
use redb::{ReadableTable, WriteTransaction};

use super::{
    catalog::{CatalogCache, Collection, Index},
    entries::{Entries, ID_AT, document_key},
    file::{BYTES, CATALOG, COUNTS, DOCUMENTS, INDEXES, LAST_ID, META, SEQUENCE},
    measured::Measured,
    recorded::{Recorded, TableNumber},
};
use crate::{Change, ChangeKind, ID_INDEX, IndexSpec, Result, changes::BatchChanges, error::DatabaseError};

/// Bytes of a document at most, as in MongoDB.
const LARGEST: usize = 16 << 20;

/// Writes that are not committed yet.
pub(crate) struct Batch<'t> {
    pub(crate) documents: Measured<'t>,
    pub(crate) indexes: Measured<'t>,
    catalog: Recorded<'t, &'static str, &'static [u8]>,
    counts: Recorded<'t, u32, u64>,
    meta: Recorded<'t, &'static str, u64>,
    cache: &'t CatalogCache,
    /// What each collection's count will differ by.
    deltas: HashMap<u32, i64>,
    sequence: u64,
    changes: BatchChanges,
    /// Whether there is anything to commit.
    pub(crate) dirty: bool,
    /// Whether the file itself has to take it, and not only its journal.
    is_probe: bool,
}

/// What a batch came to.
pub(crate) struct Finished {
    /// What there is to tell.
    pub(crate) changes: BatchChanges,
    /// What the file's journal has to know, where that is enough.
    pub(crate) redo: Option<Redo>,
}

impl<'t> Batch<'t> {
    pub(crate) fn new(write: &'t WriteTransaction, cache: &'t CatalogCache) -> Result<Self> {
        let meta = Recorded::open(write, META, TableNumber::Meta)?;
        let sequence = read(&meta.table, SEQUENCE)?;
        Ok(Self {
            documents: Measured::new(Recorded::open(write, DOCUMENTS, TableNumber::Documents)?),
            indexes: Measured::new(Recorded::open(write, INDEXES, TableNumber::Indexes)?),
            catalog: Recorded::open(write, CATALOG, TableNumber::Catalog)?,
            counts: Recorded::open(write, COUNTS, TableNumber::Counts)?,
            meta,
            cache,
            deltas: HashMap::new(),
            sequence,
            changes: BatchChanges::default(),
            dirty: false,
            is_probe: false,
        })
    }

    /// The number of the last change so far.
    pub(crate) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What this commit has changed so far.
    pub(crate) const fn changes(&self) -> &BatchChanges {
        &self.changes
    }

    /// Writes what was only counted so far; the tables are closed by it.
    pub(crate) fn finish(mut self) -> Result<Finished> {
        for (collection, delta) in std::mem::take(&mut self.deltas) {
            let count = self
                .counts
                .table
                .get(collection)
                .map_err(DatabaseError::unavailable)?
                .map_or(0, |count| count.value());
            self.counts
                .insert(collection, count.saturating_add_signed(delta))?;
        }
        self.meta.insert(SEQUENCE, self.sequence)?;
        // A file that was made before it was counted goes without.
        let bytes = self.meta.table.get(BYTES).map_err(DatabaseError::unavailable)?;
        if let Some(bytes) = bytes.map(|bytes| bytes.value()) {
            let grown = self.documents.grown() + self.indexes.grown();
            self.meta.insert(BYTES, bytes.saturating_add_signed(grown))?;
        }
        let redo = (!self.is_probe).then(|| {
            let mut redo = Redo::default();
            for part in [
                self.documents.redo(),
                self.indexes.redo(),
                self.catalog.redo(),
                self.counts.redo(),
                self.meta.redo(),
            ] {
                redo.append(part);
            }
            redo
        });
        Ok(Finished {
            changes: self.changes,
            redo,
        })
    }

    /// Has the commit show that the disk takes it, though nothing else is in it.
    pub(crate) fn probe(&mut self) {
        (self.dirty, self.is_probe) = (true, true);
    }

    pub(crate) fn collection(&self, name: &str) -> Result<Arc<Collection>> {
        self.cache
            .read(&self.catalog.table, name)?
            .ok_or_else(|| DatabaseError::CollectionMissing(name.to_owned()))
    }

    pub(crate) fn create_collection(&mut self, name: &str) -> Result<()> {
        if self.cache.read(&self.catalog.table, name)?.is_some() {
            return Err(DatabaseError::CollectionExists(name.to_owned()));
        }
        docdb::collection::check_name(name)?;
        let id = self.next_id()?;
        let owners = Index::of_owners(self.next_id()?)?;
        self.keep(&Collection::new(id, name, vec![owners])?)
    }

    pub(crate) fn drop_collection(&mut self, name: &str) -> Result<bool> {
        let Some(collection) = self.cache.read(&self.catalog.table, name)? else {
            return Ok(false);
        };
        self.clear(collection.id, true)?;
        for index in &collection.indexes {
            self.clear(index.id, false)?;
        }
        self.catalog.remove(name)?;
        self.counts.remove(collection.id)?;
        self.deltas.remove(&collection.id);
        self.note(&collection, Bson::Null, ChangeKind::Drop, None);
        Ok(true)
    }

    pub(crate) fn create_index(&mut self, name: &str, spec: IndexSpec) -> Result<()> {
        let collection = self.collection(name)?;
        if spec.is_of_id() {
            return Ok(());
        }
        spec.check().map_err(docdb::Error::from)?;
        if let Some(there) = collection
            .indexes
            .iter()
            .find(|index| !index.built_in && index.spec.name == spec.name)
        {
            if there.spec == spec {
                return Ok(());
            }
            return Err(DatabaseError::Refused(docdb::Error::new(
                code::INDEX_KEY_SPECS_CONFLICT,
                format!(
                    "an index named {} is there with other fields or options: drop it first",
                    spec.name
                ),
            )));
        }
        let index = Index::new(self.next_id()?, spec, false)?;
        let mut collection = Collection::clone(&collection);
        // Two that do the same would each cost a page with every document.
        if index.finds_owners()
            && let Some(at) = collection.indexes.iter().position(|index| index.built_in)
        {
            let owners = collection.indexes.remove(at);
            self.clear(owners.id, false)?;
        }
        self.build_index(&collection, index)
    }

    /// Gives collections of files that are older than it the index of owners.
    pub(crate) fn add_owner_indexes(&mut self) -> Result<()> {
        let mut names = Vec::new();
        for entry in self.catalog.table.iter().map_err(DatabaseError::unavailable)? {
            let (name, _) = entry.map_err(DatabaseError::unavailable)?;
            names.push(name.value().to_owned());
        }
        for name in names {
            let collection = self.collection(&name)?;
            if !collection.has_owner_index() {
                let owners = Index::of_owners(self.next_id()?)?;
                self.build_index(&collection, owners)?;
            }
        }
        Ok(())
    }

    /// Makes an index over the documents that are there.
    fn build_index(&mut self, collection: &Collection, mut index: Index) -> Result<()> {
        let mut added = Vec::new();
        for entry in range(&self.documents.table, collection.id)? {
            let (key, bytes) = entry.map_err(DatabaseError::unavailable)?;
            let document = decode(bytes.value())?;
            let entries = Entries::to_add(&index, &document)?;
            if entries.multikey {
                index.set_multikey();
            }
            added.push((key.value().to_vec(), entries.values));
            // Kept few at a time: the table that is read and the one that is written are two.
            if added.len() == 1024 {
                add_entries(
                    &mut self.indexes,
                    collection,
                    &index,
                    &self.documents.table,
                    &mut added,
                )?;
            }
        }
        add_entries(
            &mut self.indexes,
            collection,
            &index,
            &self.documents.table,
            &mut added,
        )?;
        let mut collection = Collection::clone(collection);
        collection.indexes.push(index);
        self.keep(&collection)
    }

    pub(crate) fn drop_index(&mut self, name: &str, index: &str) -> Result<bool> {
        let mut collection = Collection::clone(&*self.collection(name)?);
        let Some(at) = collection
            .indexes
            .iter()
            .position(|there| !there.built_in && there.spec.name == index)
        else {
            return Ok(false);
        };
        let index = collection.indexes.remove(at);
        self.clear(index.id, false)?;
        if collection.has_owner_index() {
            self.keep(&collection)?;
        } else {
            let owners = Index::of_owners(self.next_id()?)?;
            self.build_index(&collection, owners)?;
        }
        Ok(true)
    }

    /// Adds a document, which has an `_id`.
    pub(crate) fn insert(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()> {
        let id = id_of(document)?;
        let key = document_key(collection.id, &id);
        if self
            .documents
            .table
            .get(key.as_slice())
            .map_err(DatabaseError::unavailable)?
            .is_some()
        {
            return Err(duplicate_id(collection, &id));
        }
        self.put(collection, key, id, None, document, ChangeKind::Insert)?;
        *self.deltas.entry(collection.id).or_default() += 1;
        Ok(())
    }

    /// Puts a document in the place of `before`, which has the same `_id`.
    pub(crate) fn replace(
        &mut self,
        collection: &Arc<Collection>,
        before: &Document,
        document: &Document,
        kind: ChangeKind,
    ) -> Result<()> {
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        let key = document_key(collection.id, &id);
        self.put(collection, key, id, Some(before), document, kind)
    }

    /// Takes a document out of the indexes; [`put_back`](Self::put_back) or [`remove`](Self::remove) has to follow.
    pub(crate) fn take_out(&mut self, collection: &Collection, document: &Document) -> Result<()> {
        let key = document_key(collection.id, document.get("_id").unwrap_or(&Bson::Null));
        self.remove_entries(collection, &key, document)
    }

    /// Puts a document in the place of one that was taken out of the indexes.
    pub(crate) fn put_back(
        &mut self,
        collection: &Arc<Collection>,
        document: &Document,
        kind: ChangeKind,
    ) -> Result<()> {
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        let key = document_key(collection.id, &id);
        self.put(collection, key, id, None, document, kind)
    }

    fn remove_entries(&mut self, collection: &Collection, key: &[u8], document: &Document) -> Result<()> {
        for index in &collection.indexes {
            for value in Entries::of(index, document)?.values {
                let entry = [value.as_slice(), &key[ID_AT..]].concat();
                self.indexes.remove(&entry)?;
            }
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()> {
        let id = document.get("_id").cloned().unwrap_or(Bson::Null);
        let key = document_key(collection.id, &id);
        self.remove_entries(collection, &key, document)?;
        self.documents.remove(&key)?;
        *self.deltas.entry(collection.id).or_default() -= 1;
        self.note(collection, id, ChangeKind::Remove, None);
        Ok(())
    }

    /// The document of that key, if it is there.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Document>> {
        let found = self
            .documents
            .table
            .get(key)
            .map_err(DatabaseError::unavailable)?;
        found.map(|bytes| decode(bytes.value())).transpose()
    }

    fn put(
        &mut self,
        collection: &Arc<Collection>,
        key: Vec<u8>,
        id: Bson,
        before: Option<&Document>,
        document: &Document,
        kind: ChangeKind,
    ) -> Result<()> {
        let bytes = encode(document)?;
        // First whether it may go in, then in.
        let mut writes = Vec::new();
        let mut newly_multikey = false;
        for index in &collection.indexes {
            let after = Entries::to_add(index, document)?;
            let before = before
                .map(|before| Entries::of(index, before))
                .transpose()?
                .unwrap_or_default();
            newly_multikey |= after.multikey && !index.multikey;
            if index.spec.unique {
                for value in after.values.iter().filter(|value| !before.values.contains(value)) {
                    if taken(&self.indexes.table, value, |owner| owner != key)? {
                        return Err(duplicate(collection, index, document, value));
                    }
                }
            }
            writes.push((before, after));
        }
        for (before, after) in writes {
            for value in before.values.iter().filter(|value| !after.values.contains(value)) {
                let entry = [value.as_slice(), &key[ID_AT..]].concat();
                self.indexes.remove(&entry)?;
            }
            for value in after.values.iter().filter(|value| !before.values.contains(value)) {
                let entry = [value.as_slice(), &key[ID_AT..]].concat();
                self.indexes.insert(&entry, &key)?;
            }
        }
        self.documents.insert(&key, bytes.as_bytes())?;
        self.note(collection, id, kind, Some(bytes));
        if newly_multikey {
            let mut collection = Collection::clone(&*self.collection(&collection.name)?);
            for index in &mut collection.indexes {
                if Entries::of(index, document)?.multikey {
                    index.set_multikey();
                }
            }
            self.keep(&collection)?;
        }
        Ok(())
    }

    fn note(
        &mut self,
        collection: &Collection,
        id: Bson,
        kind: ChangeKind,
        document: Option<RawDocumentBuf>,
    ) {
        self.dirty = true;
        self.sequence += 1;
        self.changes.push(Change {
            sequence: self.sequence,
            collection: Arc::clone(&collection.name),
            id,
            kind,
            document,
        });
    }

    fn keep(&mut self, collection: &Collection) -> Result<()> {
        self.dirty = true;
        self.catalog
            .insert(&*collection.name, collection.encode()?.as_slice())?;
        Ok(())
    }

    fn next_id(&mut self) -> Result<u32> {
        let id = read(&self.meta.table, LAST_ID)? + 1;
        self.meta.insert(LAST_ID, id)?;
        u32::try_from(id).map_err(DatabaseError::unavailable)
    }

    /// Removes everything whose key begins with that id.
    fn clear(&mut self, id: u32, documents: bool) -> Result<()> {
        let (from, to) = bounds(id);
        let table = if documents {
            &mut self.documents
        } else {
            &mut self.indexes
        };
        table.clear(&from, &to)
    }
}

fn add_entries(
    indexes: &mut Measured<'_>,
    collection: &Collection,
    index: &Index,
    documents: &impl ReadableTable<&'static [u8], &'static [u8]>,
    added: &mut Vec<(Vec<u8>, Vec<Vec<u8>>)>,
) -> Result<()> {
    for (key, values) in added.drain(..) {
        for value in values {
            if index.spec.unique && taken(&indexes.table, &value, |owner| owner != key)? {
                let document = documents
                    .get(key.as_slice())
                    .map_err(DatabaseError::unavailable)?;
                let document = document.map(|bytes| decode(bytes.value())).transpose()?;
                return Err(duplicate(
                    collection,
                    index,
                    &document.unwrap_or_default(),
                    &value,
                ));
            }
            let entry = [value.as_slice(), &key[ID_AT..]].concat();
            indexes.insert(&entry, &key)?;
        }
    }
    Ok(())
}

/// Whether a document has this value in an index that stands in the way, by its key.
pub(crate) fn taken(
    indexes: &impl ReadableTable<&'static [u8], &'static [u8]>,
    value: &[u8],
    in_the_way: impl Fn(&[u8]) -> bool,
) -> Result<bool> {
    for entry in indexes
        .range::<&[u8]>(value..)
        .map_err(DatabaseError::unavailable)?
    {
        let (entry, owner) = entry.map_err(DatabaseError::unavailable)?;
        // No value's key is the beginning of another's.
        if !entry.value().starts_with(value) {
            break;
        }
        if in_the_way(owner.value()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// All documents of a collection, or all entries of an index.
pub(crate) fn range<'a>(
    table: &'a impl ReadableTable<&'static [u8], &'static [u8]>,
    id: u32,
) -> Result<redb::Range<'a, &'static [u8], &'static [u8]>> {
    let (from, to) = bounds(id);
    table
        .range::<&[u8]>(from.as_slice()..to.as_slice())
        .map_err(DatabaseError::unavailable)
}

fn bounds(id: u32) -> ([u8; 4], [u8; 4]) {
    (id.to_be_bytes(), id.saturating_add(1).to_be_bytes())
}

fn read(meta: &impl ReadableTable<&'static str, u64>, name: &str) -> Result<u64> {
    let found = meta.get(name).map_err(DatabaseError::unavailable)?;
    Ok(found.map_or(0, |number| number.value()))
}

/// A document as it stands in the file.
pub(crate) fn decode(bytes: &[u8]) -> Result<Document> {
    Document::from_reader(bytes).map_err(DatabaseError::unavailable)
}

/// A document as it will stand in the file, its `_id` first.
pub(crate) fn encode(document: &Document) -> Result<RawDocumentBuf> {
    let raw = RawDocumentBuf::try_from(document)
        .map_err(|error| DatabaseError::Refused(docdb::Error::bad_value(error.to_string())))?;
    let size = raw.as_bytes().len();
    if size > LARGEST {
        return Err(DatabaseError::Refused(docdb::Error::new(
            code::BSON_OBJECT_TOO_LARGE,
            format!("the document has {size} bytes, and at most {LARGEST} are kept"),
        )));
    }
    Ok(raw)
}

/// The `_id` of a document that is added.
pub(crate) fn id_of(document: &Document) -> Result<Bson> {
    match document.get("_id") {
        Some(Bson::Array(_)) => Err(DatabaseError::Refused(docdb::Error::new(
            code::INVALID_ID_FIELD,
            "The '_id' value cannot be of type array",
        ))),
        id => Ok(id.cloned().unwrap_or(Bson::Null)),
    }
}

pub(crate) fn duplicate_id(collection: &Collection, id: &Bson) -> DatabaseError {
    DatabaseError::Duplicate {
        collection: collection.name.to_string(),
        index: ID_INDEX.to_owned(),
        key: in_error_text(&doc! { "_id": id.clone() }),
        pattern: Box::new((doc! { "_id": 1 }, doc! { "_id": id.clone() })),
    }
}

/// Of a document whose entry is there already: `entry` is its id, and the key of its values.
pub(crate) fn duplicate(
    collection: &Collection,
    index: &Index,
    document: &Document,
    entry: &[u8],
) -> DatabaseError {
    let key = entry.get(size_of_val(&index.id)..).unwrap_or_default();
    let values = index.keys.values(document, key).unwrap_or_default();
    DatabaseError::Duplicate {
        collection: collection.name.to_string(),
        index: index.spec.name.clone(),
        key: in_error_text(&values),
        pattern: Box::new((index.spec.pattern(), values)),
    }
}
