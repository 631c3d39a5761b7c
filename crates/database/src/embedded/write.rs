//! What each write does, outside of transactions and in one.

use std::sync::Arc;

use bson::{Bson, Document};
use docdb::{Context, expr::Variables, query::Filter, sort::Sort, update::Update as Change};
use redb::{AccessGuard, ReadableTable};

use super::{
    Shared,
    batch::{Batch, decode, duplicate, duplicate_id, encode, id_of, taken},
    catalog::{Collection, Index},
    entries::{Entries, document_key},
    file::{CATALOG, DOCUMENTS, INDEXES},
    route::Route,
    transaction::{MOST_WRITTEN, Overlay, Turn, Written},
    view::{Search, View},
    writer::Locks,
};
use crate::{
    ChangeKind, IndexSpec, Inserted, Looked, Result, ReturnedDocument, Tally, TransactionId, Update,
    UpdateKind, Updated, error::DatabaseError,
};

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
) -> Result<WriteDone> {
    let context = shared.context();
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

fn key_of(collection: &Collection, document: &Document) -> Vec<u8> {
    document_key(collection.id, document.get("_id").unwrap_or(&Bson::Null))
}

/// Where documents are written.
trait Target {
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

/// Which documents a write is about.
struct Matching<'a> {
    filter: &'a Filter,
    sort: Option<&'a Sort>,
    many: bool,
    context: &'a Context,
    looked: Looked,
}

impl Matching<'_> {
    fn of<T: ReadableTable<&'static [u8], &'static [u8]>>(
        &mut self,
        view: View<'_, T>,
        collection: &Collection,
    ) -> Result<Vec<Vec<u8>>> {
        let route = Route::of(
            collection,
            self.filter,
            self.sort,
            (!self.many).then_some(1),
            view.overlay,
        );
        let mut search = Search::new(self.filter, self.context, &route);
        let mut keys = Vec::new();
        let mut best: Option<(Vec<u8>, Vec<u8>)> = None;
        for candidate in view.candidates(collection.id, &route) {
            let candidate = candidate?;
            if !search.matches(candidate.document.as_slice())? {
                continue;
            }
            let key = candidate.key.as_slice().to_vec();
            match self.sort.filter(|_| !self.many && !route.sorted) {
                None => {
                    keys.push(key);
                    if !self.many {
                        break;
                    }
                }
                Some(sort) => {
                    let place = sort.key(&decode(candidate.document.as_slice())?, self.context);
                    if best.as_ref().is_none_or(|(first, _)| place < *first) {
                        best = Some((place, key));
                    }
                }
            }
        }
        keys.extend(best.map(|(_, key)| key));
        self.looked = search.looked;
        Ok(keys)
    }
}

/// An update, parsed before any document is looked at.
struct UpdatePlan {
    filter: Filter,
    sort: Option<Sort>,
    change: Change,
}

impl UpdatePlan {
    fn parse(update: &Update) -> Result<Self> {
        Ok(Self {
            filter: Filter::parse(&update.filter)?,
            sort: update.sort.as_ref().map(Sort::parse).transpose()?,
            change: update.kind.parse(&update.array_filters)?,
        })
    }
}

fn update_in(
    target: &mut impl Target,
    collection: &Arc<Collection>,
    update: &Update,
    plan: &UpdatePlan,
    context: &Context,
) -> Result<WriteDone> {
    let mut matching = Matching {
        filter: &plan.filter,
        sort: plan.sort.as_ref(),
        many: update.many,
        context,
        looked: Looked::default(),
    };
    let keys = target.matching(collection, &mut matching)?;
    if waits(target, collection, plan, &keys, context)? {
        return Ok(WriteDone::Locked);
    }
    let mut updated = Updated {
        looked: Some(matching.looked),
        ..Updated::default()
    };
    let kind = match update.kind {
        UpdateKind::Operators(_) | UpdateKind::Pipeline(_) => ChangeKind::Update,
        UpdateKind::Replacement(_) => ChangeKind::Replace,
    };
    for key in &keys {
        let Some(before) = target.get(key)? else { continue };
        let Some(element) = plan.filter.find_element(&before, &Variables::none(), context)? else {
            continue;
        };
        updated.matched += 1;
        let after = plan.change.apply(&before, element, context)?;
        updated.document = match update.returns {
            Some(ReturnedDocument::Before) => Some(before.clone()),
            Some(ReturnedDocument::After) => Some(after.as_ref().unwrap_or(&before).clone()),
            None => None,
        };
        if let Some(after) = after {
            target.replace(collection, &before, after, kind)?;
            updated.modified += 1;
        }
    }
    if updated.matched == 0
        && let Some(id) = &update.upsert
    {
        let document = plan.change.upsert(&plan.filter, context)?;
        let document = with_id(document, id);
        if target.meets_lock(collection, &document)? {
            return Ok(WriteDone::Locked);
        }
        target.insert(collection, &document)?;
        updated.upserted = document.get("_id").cloned();
        updated.document = (update.returns == Some(ReturnedDocument::After)).then_some(document);
    }
    Ok(WriteDone::Updated(Box::new(updated)))
}

/// Whether an update meets a lock: then it waits with all that it would change, since what it has changed already it would change
/// again.
fn waits(
    target: &impl Target,
    collection: &Collection,
    plan: &UpdatePlan,
    keys: &[Vec<u8>],
    context: &Context,
) -> Result<bool> {
    if keys.iter().any(|key| target.is_locked(key)) {
        return Ok(true);
    }
    if !target.locks_values(collection) {
        return Ok(false);
    }
    for key in keys {
        let Some(before) = target.get(key)? else { continue };
        let Some(element) = plan.filter.find_element(&before, &Variables::none(), context)? else {
            continue;
        };
        // What cannot be changed is refused when its turn comes.
        if let Ok(Some(after)) = plan.change.apply(&before, element, context)
            && target.meets_lock(collection, &after)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The document with an `_id`, which stands first.
fn with_id(mut document: Document, id: &Bson) -> Document {
    let id = document.remove("_id").unwrap_or_else(|| id.clone());
    let mut out = Document::new();
    out.insert("_id", id);
    out.extend(document);
    out
}

fn remove_in(
    target: &mut impl Target,
    collection: &Arc<Collection>,
    filter: &Filter,
    many: bool,
    context: &Context,
) -> Result<WriteDone> {
    let mut matching = Matching {
        filter,
        sort: None,
        many,
        context,
        looked: Looked::default(),
    };
    let keys = target.matching(collection, &mut matching)?;
    if keys.iter().any(|key| target.is_locked(key)) {
        return Ok(WriteDone::Locked);
    }
    let mut removed = 0;
    for key in keys {
        if let Some(document) = target.get(&key)? {
            target.remove(collection, &document)?;
            removed += 1;
        }
    }
    Ok(WriteDone::Removed(Tally {
        count: removed,
        looked: Some(matching.looked),
    }))
}

fn take_in(
    target: &mut impl Target,
    collection: &Arc<Collection>,
    filter: &Filter,
    sort: Option<&Sort>,
    context: &Context,
) -> Result<WriteDone> {
    let mut matching = Matching {
        filter,
        sort,
        many: false,
        context,
        looked: Looked::default(),
    };
    let keys = target.matching(collection, &mut matching)?;
    if keys.iter().any(|key| target.is_locked(key)) {
        return Ok(WriteDone::Locked);
    }
    let taken = keys.first().map(|key| target.get(key)).transpose()?.flatten();
    if let Some(document) = &taken {
        target.remove(collection, document)?;
    }
    Ok(WriteDone::Taken(taken))
}

/// Into the commit in the making.
struct Committed<'a, 't> {
    batch: &'a mut Batch<'t>,
    locks: &'a Locks,
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
        self.batch.insert(collection, document)
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

fn unique(collection: &Collection) -> impl Iterator<Item = &Index> {
    collection.indexes.iter().filter(|index| index.spec.unique)
}

/// Into what a transaction will commit.
struct Noted<'a, 't, T> {
    documents: &'a T,
    indexes: &'a T,
    overlay: &'a mut Overlay,
    /// What is committed by now, or will be before this transaction.
    batch: &'a Batch<'t>,
    locks: &'a mut Locks,
    transaction: TransactionId,
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
                TRANSACTION_TOO_LARGE,
                format!(
                    "a transaction may write {MOST_WRITTEN} bytes, and this one wrote more: it has ended"
                ),
            )));
        }
        Ok(())
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Target for Noted<'_, '_, T> {
    fn matching(&self, collection: &Collection, search: &mut Matching<'_>) -> Result<Vec<Vec<u8>>> {
        search.of(self.view(), collection)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Document>> {
        self.view().get(key)
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
        after: Document,
        kind: ChangeKind,
    ) -> Result<()> {
        let key = key_of(collection, &after);
        self.lock_with_values(collection, &key, &after)?;
        self.note(collection, key, Some(before.clone()), Some(after), kind)
    }

    fn remove(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()> {
        let key = key_of(collection, document);
        self.lock(&key)?;
        self.note(collection, key, Some(document.clone()), None, ChangeKind::Remove)
    }
}
