//! The writes of one commit: documents and their index entries go in together, each checked before anything of it is written.

use std::{collections::HashMap, sync::Arc};

use bson::{Bson, Document, RawDocumentBuf, doc};
use datafile::Redo;
use docdb::error::code;
use ejson::shell::in_error_text;
use redb::{ReadableTable, WriteTransaction};

use super::{
    builds::{Builds, Suspect},
    catalog::{CatalogCache, Collection, Index},
    entries::{Entries, document_key, entry_key},
    file::{BYTES, CATALOG, COUNTS, DOCUMENTS, INDEXES, LAST_ID, META, SEQUENCE},
    measured::Measured,
    recorded::{Recorded, TableNumber},
    write::RoundSize,
};
use crate::{Change, ChangeKind, ID_INDEX, IndexSpec, Result, changes::BatchChanges, error::DatabaseError};

/// Bytes of a document at most, as in MongoDB.
const LARGEST: usize = 16 << 20;

/// Maximum number of entries of an index that is gone which are removed at once, for each document of a round.
const SWEPT: usize = 8;

/// Maximum number of suspects of an index in the making that are kept for its end, for each document of a round.
const SUSPECTS: usize = 4;

/// Writes that are not committed yet.
pub(crate) struct Batch<'t> {
    pub(crate) documents: Measured<'t>,
    pub(crate) indexes: Measured<'t>,
    catalog: Recorded<'t, &'static str, &'static [u8]>,
    counts: Recorded<'t, u32, u64>,
    meta: Recorded<'t, &'static str, u64>,
    cache: &'t CatalogCache,
    builds: &'t Builds,
    round: RoundSize,
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
    pub(crate) fn new(
        write: &'t WriteTransaction,
        cache: &'t CatalogCache,
        builds: &'t Builds,
        round: RoundSize,
    ) -> Result<Self> {
        let meta = Recorded::open(write, META, TableNumber::Meta)?;
        let sequence = read(&meta.table, SEQUENCE)?;
        Ok(Self {
            documents: Measured::new(Recorded::open(write, DOCUMENTS, TableNumber::Documents)?),
            indexes: Measured::new(Recorded::open(write, INDEXES, TableNumber::Indexes)?),
            catalog: Recorded::open(write, CATALOG, TableNumber::Catalog)?,
            counts: Recorded::open(write, COUNTS, TableNumber::Counts)?,
            meta,
            cache,
            builds,
            round,
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
        let indexes = collection.indexes.iter().chain(&collection.unfinished);
        for id in indexes
            .map(|index| index.id)
            .chain(collection.leaving.iter().copied())
        {
            self.clear(id, false)?;
        }
        self.catalog.remove(name)?;
        self.cache.forget(name);
        self.counts.remove(collection.id)?;
        self.deltas.remove(&collection.id);
        self.note(&collection, Bson::Null, ChangeKind::Drop, None);
        Ok(true)
    }

    /// Makes an index, or begins to where the collection is large: then with the number by which it is [gone on](Self::build_round) with.
    pub(crate) fn create_index(&mut self, name: &str, spec: IndexSpec) -> Result<Option<u32>> {
        let collection = self.collection(name)?;
        let Some(index) = self.new_index(&collection, spec)? else {
            return Ok(None);
        };
        let is_small = self.is_small(&collection)?;
        let id = self.begin_index(&collection, index)?;
        if is_small {
            self.build_at_once(name, id)?;
            return Ok(None);
        }
        self.builds.begin(id);
        Ok(Some(id))
    }

    /// Makes an index, however large the collection is.
    pub(crate) fn create_index_at_once(&mut self, name: &str, spec: IndexSpec) -> Result<()> {
        let collection = self.collection(name)?;
        let Some(index) = self.new_index(&collection, spec)? else {
            return Ok(());
        };
        let id = self.begin_index(&collection, index)?;
        self.build_at_once(name, id)
    }

    /// Begins the index of owners where the collection is large and will have none without that one.
    pub(crate) fn replace_owner_index(&mut self, name: &str, goes: &str) -> Result<Option<u32>> {
        let collection = self.collection(name)?;
        let finds_owners = |index: &&Index| index.finds_owners();
        let goes = |index: &Index| !index.built_in && index.spec.name == goes;
        let mut finding = collection.indexes.iter().filter(finds_owners);
        let is_only = finding.next().is_some_and(goes) && finding.next().is_none();
        if !is_only || self.is_small(&collection)? {
            return Ok(None);
        }
        let owners = Index::of_owners(self.next_id()?)?;
        let id = self.begin_index(&collection, owners)?;
        self.builds.begin(id);
        Ok(Some(id))
    }

    /// An index that is to be made; `None` where it is there.
    fn new_index(&mut self, collection: &Collection, spec: IndexSpec) -> Result<Option<Index>> {
        if spec.is_of_id() {
            return Ok(None);
        }
        spec.check().map_err(docdb::Error::from)?;
        if let Some(there) = collection
            .indexes
            .iter()
            .find(|index| !index.built_in && index.spec.name == spec.name)
        {
            if there.spec == spec {
                return Ok(None);
            }
            return Err(DatabaseError::Refused(docdb::Error::new(
                code::INDEX_KEY_SPECS_CONFLICT,
                format!(
                    "an index named {} is there with other fields or options: drop it first",
                    spec.name
                ),
            )));
        }
        Index::new(self.next_id()?, spec, false).map(Some)
    }

    /// Whether all documents of a collection go into one round.
    fn is_small(&self, collection: &Collection) -> Result<bool> {
        let count = self.counts.table.get(collection.id);
        let count = count
            .map_err(DatabaseError::unavailable)?
            .map_or(0, |count| count.value());
        let delta = self.deltas.get(&collection.id).copied().unwrap_or_default();
        Ok(count.saturating_add_signed(delta) <= self.round.documents as u64)
    }

    /// From here on what is written has its entries in the index; nobody else was making one of this collection.
    fn begin_index(&mut self, collection: &Collection, index: Index) -> Result<u32> {
        let mut collection = Collection::clone(collection);
        // One whose making failed, and could not be given up then.
        let left = std::mem::take(&mut collection.unfinished).into_iter();
        collection.leaving.extend(left.map(|index| index.id));
        let id = index.id;
        collection.unfinished.push(index);
        self.keep(&collection)?;
        Ok(id)
    }

    fn build_at_once(&mut self, name: &str, id: u32) -> Result<()> {
        let mut from = None;
        loop {
            from = self.build_round(name, id, from.as_deref())?;
            if from.is_none() {
                return self.finish_index(name, id);
            }
        }
    }

    /// Adds entries of some documents to an index that was begun, from the one of that key on; with the key of the next.
    pub(crate) fn build_round(
        &mut self,
        name: &str,
        id: u32,
        from: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>> {
        let mut collection = Collection::clone(&*self.collection(name)?);
        let (first, end) = bounds(collection.id);
        if self.builds.count_suspects(id) > self.round.documents.saturating_mul(SUSPECTS) {
            let index = unfinished(&mut collection, id)?.clone();
            self.judge_suspects(&collection, &index)?;
        }
        let index = unfinished(&mut collection, id)?;
        let was_multikey = index.multikey;
        let (mut added, mut next, mut bytes) = (Vec::new(), None, 0);
        let documents = self
            .documents
            .table
            .range::<&[u8]>(from.unwrap_or(&first[..])..&end[..])
            .map_err(DatabaseError::unavailable)?;
        for entry in documents {
            let (key, document) = entry.map_err(DatabaseError::unavailable)?;
            // Kept few at a time: the table that is read and the one that is written are two.
            if added.len() >= self.round.documents || bytes >= self.round.bytes {
                next = Some(key.value().to_vec());
                break;
            }
            bytes += document.value().len();
            let entries = Entries::to_add(index, &decode(document.value())?)?;
            if entries.multikey {
                index.set_multikey();
            }
            added.push((key.value().to_vec(), entries.values));
        }
        let index = index.clone();
        self.dirty = true;
        add_entries(
            &mut self.indexes,
            &collection,
            &index,
            &self.documents.table,
            added,
        )?;
        if index.multikey != was_multikey {
            self.keep(&collection)?;
        }
        Ok(next)
    }

    /// Has everybody find by an index that has the entries of all documents.
    pub(crate) fn finish_index(&mut self, name: &str, id: u32) -> Result<()> {
        let mut collection = Collection::clone(&*self.collection(name)?);
        let index = unfinished(&mut collection, id)?.clone();
        self.judge_suspects(&collection, &index)?;
        collection.unfinished.retain(|other| other.id != id);
        // Two that do the same would each cost a page with every document.
        if index.finds_owners()
            && !index.built_in
            && let Some(at) = collection.indexes.iter().position(|index| index.built_in)
        {
            let owners = collection.indexes.remove(at);
            self.remove_index(&mut collection, owners.id)?;
        }
        collection.indexes.push(index);
        self.keep(&collection)
    }

    /// Refuses an index if anything that was suspected of it is so now.
    fn judge_suspects(&self, collection: &Collection, index: &Index) -> Result<()> {
        for suspect in self.builds.take_suspects(index.id) {
            self.judge(collection, index, &suspect)?;
        }
        Ok(())
    }

    /// Whether what was suspected of an index is so now.
    fn judge(&self, collection: &Collection, index: &Index, suspect: &Suspect) -> Result<()> {
        match suspect {
            Suspect::Document(key) => match self.get(key)? {
                Some(document) => Entries::to_add(index, &document).map(drop),
                None => Ok(()),
            },
            Suspect::Value(value) => {
                let mut first = None;
                let is_second = |owner: &[u8]| first.replace(owner.to_vec()).is_some();
                let is_taken = taken(&self.indexes.table, value, is_second)?;
                match first.filter(|_| is_taken) {
                    Some(owner) => {
                        let document = self.get(&owner)?.unwrap_or_default();
                        Err(duplicate(collection, index, &document, value))
                    }
                    None => Ok(()),
                }
            }
        }
    }

    /// Gives up an index that was begun, if it is there.
    pub(crate) fn give_up_index(&mut self, name: &str, id: u32) -> Result<()> {
        let Some(collection) = self.cache.read(&self.catalog.table, name)? else {
            return Ok(());
        };
        let mut collection = Collection::clone(&collection);
        if collection
            .unfinished
            .extract_if(.., |index| index.id == id)
            .count()
            == 0
        {
            return Ok(());
        }
        self.remove_index(&mut collection, id)?;
        self.keep(&collection)
    }

    /// Removes the entries of an index; those of a large collection are [swept](Self::sweep) out.
    fn remove_index(&mut self, collection: &mut Collection, id: u32) -> Result<()> {
        if self.is_small(collection)? {
            return self.clear(id, false);
        }
        collection.leaving.push(id);
        Ok(())
    }

    /// Removes some of the entries that are left of a collection's indexes; answers whether there are more.
    pub(crate) fn sweep(&mut self, name: &str) -> Result<bool> {
        let Some(collection) = self.cache.read(&self.catalog.table, name)? else {
            return Ok(false);
        };
        let Some(&id) = collection.leaving.first() else {
            return Ok(false);
        };
        let (from, to) = bounds(id);
        let at = self.round.documents.saturating_mul(SWEPT);
        let until = range(&self.indexes.table, id)?.nth(at).transpose();
        let until = until.map_err(DatabaseError::unavailable)?;
        let until = until.map(|(key, _)| key.value().to_vec());
        self.dirty = true;
        if let Some(until) = until {
            self.indexes.clear(&from, &until)?;
            return Ok(true);
        }
        self.indexes.clear(&from, &to)?;
        let mut collection = Collection::clone(&collection);
        collection.leaving.remove(0);
        self.keep(&collection)?;
        Ok(!collection.leaving.is_empty())
    }

    /// Removes what a process left that was killed while it made or removed indexes, and gives collections of files that are older than it
    /// the index of owners.
    pub(crate) fn bring_up_indexes(&mut self) -> Result<()> {
        let mut names = Vec::new();
        for entry in self.catalog.table.iter().map_err(DatabaseError::unavailable)? {
            let (name, _) = entry.map_err(DatabaseError::unavailable)?;
            names.push(name.value().to_owned());
        }
        for name in names {
            let mut collection = Collection::clone(&*self.collection(&name)?);
            if collection.is_in_pieces() {
                let unfinished = std::mem::take(&mut collection.unfinished).into_iter();
                let leaving = std::mem::take(&mut collection.leaving).into_iter();
                for id in unfinished.map(|index| index.id).chain(leaving) {
                    self.clear(id, false)?;
                }
                self.keep(&collection)?;
            }
            if !collection.has_owner_index() {
                self.add_owner_index(&name)?;
            }
        }
        Ok(())
    }

    fn add_owner_index(&mut self, name: &str) -> Result<()> {
        let collection = self.collection(name)?;
        let owners = Index::of_owners(self.next_id()?)?;
        let id = self.begin_index(&collection, owners)?;
        self.build_at_once(name, id)
    }

    /// Removes an index; answers whether there was one.
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
        self.remove_index(&mut collection, index.id)?;
        self.keep(&collection)?;
        if !collection.has_owner_index() {
            self.add_owner_index(name)?;
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
                self.indexes.remove(&entry_key(&value, key))?;
            }
        }
        for index in &collection.unfinished {
            // What it does not admit may have none.
            for value in Entries::of(index, document).unwrap_or_default().values {
                self.indexes.remove(&entry_key(&value, key))?;
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
                self.indexes.remove(&entry_key(value, &key))?;
            }
            for value in after.values.iter().filter(|value| !before.values.contains(value)) {
                self.indexes.insert(&entry_key(value, &key), &key)?;
            }
        }
        for index in &collection.unfinished {
            newly_multikey |= self.put_in_unfinished(index, &key, before, document)?;
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
            for index in &mut collection.unfinished {
                if Entries::of(index, document).is_ok_and(|entries| entries.multikey) {
                    index.set_multikey();
                }
            }
            self.keep(&collection)?;
        }
        Ok(())
    }

    /// Puts the entries of a document into an index in the making, for which nobody is refused; answers whether it is multikey by it.
    fn put_in_unfinished(
        &mut self,
        index: &Index,
        key: &[u8],
        before: Option<&Document>,
        document: &Document,
    ) -> Result<bool> {
        let after = match Entries::to_add(index, document) {
            Ok(after) => after,
            Err(DatabaseError::Refused(_)) => {
                self.builds.suspect(index.id, Suspect::Document(key.to_vec()));
                Entries::default()
            }
            Err(error) => return Err(error),
        };
        let before = before
            .and_then(|before| Entries::of(index, before).ok())
            .unwrap_or_default();
        for value in before.values.iter().filter(|value| !after.values.contains(value)) {
            self.indexes.remove(&entry_key(value, key))?;
        }
        // Whether those that it had before are in it is not known.
        for value in &after.values {
            if index.spec.unique && taken(&self.indexes.table, value, |owner| owner != key)? {
                self.builds.suspect(index.id, Suspect::Value(value.clone()));
            }
            self.indexes.insert(&entry_key(value, key), key)?;
        }
        Ok(after.multikey && !index.multikey)
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

/// The index of that number in the making. Another collection may stand in the place of the one that it was begun in.
fn unfinished(collection: &mut Collection, id: u32) -> Result<&mut Index> {
    let index = collection.unfinished.iter_mut().find(|index| index.id == id);
    index.ok_or_else(|| {
        DatabaseError::Refused(docdb::Error::new(
            code::INDEX_BUILD_ABORTED,
            "the collection was dropped while its index was made: make the index again",
        ))
    })
}

fn add_entries(
    indexes: &mut Measured<'_>,
    collection: &Collection,
    index: &Index,
    documents: &impl ReadableTable<&'static [u8], &'static [u8]>,
    added: Vec<(Vec<u8>, Vec<Vec<u8>>)>,
) -> Result<()> {
    for (key, values) in added {
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
            indexes.insert(&entry_key(&value, &key), &key)?;
        }
    }
    Ok(())
}

/// Whether a document has this value in an index that stands in the way, by its key.
pub(crate) fn taken(
    indexes: &impl ReadableTable<&'static [u8], &'static [u8]>,
    value: &[u8],
    mut in_the_way: impl FnMut(&[u8]) -> bool,
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
