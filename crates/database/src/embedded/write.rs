//! What each write does, outside of transactions and in one.

use std::sync::Arc;

use bson::{Bson, Document};
use docdb::{Context, expr::Variables, query::Filter, sort::Sort, update::Update as Change};
use redb::ReadableTable;

use super::{
    Shared,
    batch::{Batch, decode, duplicate, duplicate_id, id_of, taken},
    catalog::Collection,
    entries::{Entries, document_key},
    file::{CATALOG, DOCUMENTS, INDEXES},
    route::Route,
    transaction::{Overlay, Turn, Written},
    view::{Search, View},
    writer::Locks,
};
use crate::{
    ChangeKind, IndexSpec, Looked, Result, TransactionId, Update, UpdateKind, Updated, error::DatabaseError,
};

/// A write to be made.
#[derive(Debug)]
pub(crate) enum Work {
    CreateCollection(String),
    DropCollection(String),
    CreateIndex(String, IndexSpec),
    DropIndex(String, String),
    Insert(String, Vec<Document>),
    Update(String, Box<Update>),
    Remove {
        collection: String,
        filter: Document,
        many: bool,
    },
    Begin,
    Commit,
    Abort,
}

impl Work {
    /// Whether it has a commit of its own, because it is done whole or not at all.
    pub(crate) const fn is_alone(&self) -> bool {
        matches!(
            self,
            Self::DropCollection(_) | Self::CreateIndex(..) | Self::DropIndex(..) | Self::Commit
        )
    }
}

/// What a write came to.
#[derive(Debug)]
pub(crate) enum WriteDone {
    Done,
    /// Whether there was what had to go.
    Was(bool),
    Inserted(Vec<Bson>),
    Updated(Box<Updated>),
    Removed(u64),
    Began(TransactionId),
    /// Nothing yet: a transaction has locked a document that it would write.
    Locked,
}

/// Makes a write, or notes it in its transaction.
pub(crate) fn apply(
    shared: &Shared,
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
            shared.transactions.close(turn.0.id);
            locks.release(turn.0.id);
            Ok(WriteDone::Done)
        }
        Work::CreateCollection(name) => batch.create_collection(name).map(|()| WriteDone::Done),
        Work::DropCollection(name) => batch.drop_collection(name).map(WriteDone::Was),
        Work::CreateIndex(name, spec) => batch.create_index(name, spec.clone()).map(|()| WriteDone::Done),
        Work::DropIndex(name, index) => batch.drop_index(name, index).map(WriteDone::Was),
        Work::Insert(..) | Work::Update(..) | Work::Remove { .. } => match turn {
            Some(turn) => within(shared, locks, work, turn, &context),
            None => ordinary(shared, batch, locks, work, &context),
        },
    }
}

/// A write outside of transactions.
fn ordinary(
    shared: &Shared,
    batch: &mut Batch<'_>,
    locks: &mut Locks,
    work: &Work,
    context: &Context,
) -> Result<WriteDone> {
    let tracks = !shared.transactions.is_empty();
    match work {
        Work::Insert(name, documents) => {
            let collection = batch.collection(name)?;
            if tracks
                && documents
                    .iter()
                    .any(|document| locks.held.contains_key(&key_of(&collection, document)))
            {
                return Ok(WriteDone::Locked);
            }
            let mut ids = Vec::with_capacity(documents.len());
            for document in documents {
                // Looked up anew: a document may have made an index multikey.
                let collection = batch.collection(name)?;
                batch.insert(&collection, document)?;
                if tracks {
                    locks.changed(key_of(&collection, document), batch.sequence());
                }
                ids.push(document.get("_id").cloned().unwrap_or(Bson::Null));
            }
            Ok(WriteDone::Inserted(ids))
        }
        Work::Update(name, update) => {
            let plan = UpdatePlan::parse(update)?;
            let collection = batch.collection(name)?;
            if tracks && meets_lock(batch, locks, &collection, &plan.filter, context)? {
                return Ok(WriteDone::Locked);
            }
            let mut target = Committed {
                batch,
                locks: tracks.then_some(locks),
            };
            update_in(&mut target, &collection, update, &plan, context)
        }
        Work::Remove {
            collection: name,
            filter,
            many,
        } => {
            let filter = Filter::parse(filter)?;
            let collection = batch.collection(name)?;
            if tracks && meets_lock(batch, locks, &collection, &filter, context)? {
                return Ok(WriteDone::Locked);
            }
            let mut target = Committed {
                batch,
                locks: tracks.then_some(locks),
            };
            remove_in(&mut target, &collection, &filter, *many, context)
        }
        _ => Ok(WriteDone::Done),
    }
}

/// A write of a transaction: it is noted, and made at the commit.
fn within(
    shared: &Shared,
    locks: &mut Locks,
    work: &Work,
    turn: &Turn,
    context: &Context,
) -> Result<WriteDone> {
    let transaction = &turn.0;
    let mut overlay = transaction.overlay();
    if overlay.doomed {
        return Err(DatabaseError::TransactionMissing);
    }
    let (snapshot, at) = transaction.snapshot(&shared.file)?;
    let documents = snapshot
        .open_table(DOCUMENTS)
        .map_err(DatabaseError::unavailable)?;
    let indexes = snapshot.open_table(INDEXES).map_err(DatabaseError::unavailable)?;
    let catalog = snapshot.open_table(CATALOG).map_err(DatabaseError::unavailable)?;
    let name = match work {
        Work::Insert(name, _) | Work::Update(name, _) | Work::Remove { collection: name, .. } => name,
        _ => return Ok(WriteDone::Done),
    };
    let collection = shared.collection(&catalog, name)?;
    let mut target = Noted {
        documents: &documents,
        indexes: &indexes,
        overlay: &mut overlay,
        locks,
        transaction: transaction.id,
        at: *at,
    };
    let done = match work {
        Work::Insert(_, documents) => documents
            .iter()
            .map(|document| {
                target.insert(&collection, document)?;
                Ok(document.get("_id").cloned().unwrap_or(Bson::Null))
            })
            .collect::<Result<_>>()
            .map(WriteDone::Inserted),
        Work::Update(_, update) => {
            let plan = UpdatePlan::parse(update)?;
            update_in(&mut target, &collection, update, &plan, context)
        }
        Work::Remove { filter, many, .. } => {
            let filter = Filter::parse(filter)?;
            remove_in(&mut target, &collection, &filter, *many, context)
        }
        _ => Ok(WriteDone::Done),
    };
    if matches!(done, Err(DatabaseError::TransactionConflict)) {
        // As in MongoDB, a conflict ends the transaction. It stays known, so that it can be aborted.
        *overlay = Overlay {
            doomed: true,
            ..Overlay::default()
        };
        locks.release(transaction.id);
    }
    done
}

fn commit(
    shared: &Shared,
    batch: &mut Batch<'_>,
    locks: &mut Locks,
    turn: Option<&Turn>,
) -> Result<WriteDone> {
    let transaction = &turn.ok_or(DatabaseError::TransactionMissing)?.0;
    // Whatever comes of it, this was its end.
    shared.transactions.close(transaction.id);
    locks.release(transaction.id);
    let overlay = std::mem::take(&mut *transaction.overlay());
    if overlay.doomed {
        return Err(DatabaseError::TransactionMissing);
    }
    let tracks = !shared.transactions.is_empty();
    // What is removed first, so that a unique value can move from one document to another.
    let (kept, removed): (Vec<_>, Vec<_>) = overlay
        .writes
        .iter()
        .partition(|(_, written)| written.after.is_some());
    for (key, written) in removed.into_iter().chain(kept) {
        let collection = batch.collection(&written.collection)?;
        match (&written.before, &written.after) {
            (None, None) => continue,
            (None, Some(after)) => batch.insert(&collection, after)?,
            (Some(before), Some(after)) => batch.replace(&collection, before, after, written.kind)?,
            (Some(before), None) => batch.remove(&collection, before)?,
        }
        if tracks {
            locks.changed(key.clone(), batch.sequence());
        }
    }
    Ok(WriteDone::Done)
}

fn key_of(collection: &Collection, document: &Document) -> Vec<u8> {
    document_key(collection.id, document.get("_id").unwrap_or(&Bson::Null))
}

/// Whether a document that a transaction has locked would match: then the write waits for it. One that the transaction is about to add
/// is not there yet.
fn meets_lock(
    batch: &Batch<'_>,
    locks: &Locks,
    collection: &Collection,
    filter: &Filter,
    context: &Context,
) -> Result<bool> {
    let prefix = collection.id.to_be_bytes();
    for key in locks.held.keys().filter(|key| key.starts_with(&prefix)) {
        if let Some(document) = batch.get(key)?
            && filter.matches(&document, &Variables::none(), context)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where documents are written.
trait Target {
    /// The keys of documents that match, all or the first.
    fn matching(&self, collection: &Collection, search: &mut Matching<'_>) -> Result<Vec<Vec<u8>>>;

    fn get(&self, key: &[u8]) -> Result<Option<Document>>;

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
        let (UpdateKind::Operators(change) | UpdateKind::Replacement(change)) = &update.kind;
        Ok(Self {
            filter: Filter::parse(&update.filter)?,
            sort: update.sort.as_ref().map(Sort::parse).transpose()?,
            change: Change::parse(change, &update.array_filters)?,
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
    let mut updated = Updated {
        looked: Some(matching.looked),
        ..Updated::default()
    };
    let kind = match update.kind {
        UpdateKind::Operators(_) => ChangeKind::Update,
        UpdateKind::Replacement(_) => ChangeKind::Replace,
    };
    for key in &keys {
        let Some(before) = target.get(key)? else { continue };
        let Some(element) = plan.filter.find_element(&before, &Variables::none(), context)? else {
            continue;
        };
        updated.matched += 1;
        let after = plan.change.apply(&before, element, context)?;
        if update.returns {
            updated.document = Some(after.clone().unwrap_or_else(|| before.clone()));
        }
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
        target.insert(collection, &document)?;
        updated.upserted = document.get("_id").cloned();
        if update.returns {
            updated.document = Some(document);
        }
    }
    Ok(WriteDone::Updated(Box::new(updated)))
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
    let mut removed = 0;
    for key in target.matching(collection, &mut matching)? {
        if let Some(document) = target.get(&key)? {
            target.remove(collection, &document)?;
            removed += 1;
        }
    }
    Ok(WriteDone::Removed(removed))
}

/// Into the commit in the making.
struct Committed<'a, 't> {
    batch: &'a mut Batch<'t>,
    /// Where changes are remembered, while transactions are open.
    locks: Option<&'a mut Locks>,
}

impl Committed<'_, '_> {
    fn changed(&mut self, key: Vec<u8>) {
        if let Some(locks) = &mut self.locks {
            locks.changed(key, self.batch.sequence());
        }
    }
}

impl Target for Committed<'_, '_> {
    fn matching(&self, collection: &Collection, search: &mut Matching<'_>) -> Result<Vec<Vec<u8>>> {
        let view = View {
            documents: &self.batch.documents,
            indexes: &self.batch.indexes,
            overlay: None,
        };
        search.of(view, collection)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Document>> {
        self.batch.get(key)
    }

    fn insert(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()> {
        self.batch.insert(collection, document)?;
        self.changed(key_of(collection, document));
        Ok(())
    }

    fn replace(
        &mut self,
        collection: &Arc<Collection>,
        before: &Document,
        after: Document,
        kind: ChangeKind,
    ) -> Result<()> {
        self.batch.replace(collection, before, &after, kind)?;
        self.changed(key_of(collection, &after));
        Ok(())
    }

    fn remove(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()> {
        self.batch.remove(collection, document)?;
        self.changed(key_of(collection, document));
        Ok(())
    }
}

/// Into what a transaction will commit.
struct Noted<'a, T> {
    documents: &'a T,
    indexes: &'a T,
    overlay: &'a mut Overlay,
    locks: &'a mut Locks,
    transaction: TransactionId,
    at: u64,
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Noted<'_, T> {
    fn view(&self) -> View<'_, T> {
        View {
            documents: self.documents,
            indexes: self.indexes,
            overlay: Some(self.overlay),
        }
    }

    /// Whether a unique index lets the document in, as far as this transaction can see.
    fn check_unique(&self, collection: &Collection, key: &[u8], document: &Document) -> Result<()> {
        for index in collection.indexes.iter().filter(|index| index.spec.unique) {
            for value in Entries::of(index, document)?.values {
                let others = self.overlay.writes.iter().filter(|(other, _)| {
                    other.as_slice() != key && other.starts_with(&collection.id.to_be_bytes())
                });
                let mut mine = false;
                for (_, written) in others {
                    if let Some(other) = &written.after {
                        mine |= Entries::of(index, other)?.values.contains(&value);
                    }
                }
                if mine || self.taken_in_snapshot(&value, key)? {
                    return Err(duplicate(collection, index, document, &value));
                }
            }
        }
        Ok(())
    }

    fn taken_in_snapshot(&self, value: &[u8], key: &[u8]) -> Result<bool> {
        if !taken(self.indexes, value, key)? {
            return Ok(false);
        }
        // By a document that this transaction has written: then what counts is what it became.
        for entry in self
            .indexes
            .range::<&[u8]>(value..)
            .map_err(DatabaseError::unavailable)?
        {
            let (entry, owner) = entry.map_err(DatabaseError::unavailable)?;
            if !entry.value().starts_with(value) {
                break;
            }
            if owner.value() != key && !self.overlay.writes.contains_key(owner.value()) {
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
    ) {
        match self.overlay.writes.get_mut(&key) {
            Some(written) => {
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
    }
}

impl<T: ReadableTable<&'static [u8], &'static [u8]>> Target for Noted<'_, T> {
    fn matching(&self, collection: &Collection, search: &mut Matching<'_>) -> Result<Vec<Vec<u8>>> {
        search.of(self.view(), collection)
    }

    fn get(&self, key: &[u8]) -> Result<Option<Document>> {
        self.view().get(key)
    }

    fn insert(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()> {
        let id = id_of(document)?;
        let key = document_key(collection.id, &id);
        if self.get(&key)?.is_some() {
            return Err(duplicate_id(collection, &id));
        }
        self.check_unique(collection, &key, document)?;
        self.locks.take(&key, self.transaction, self.at)?;
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
        );
        Ok(())
    }

    fn replace(
        &mut self,
        collection: &Arc<Collection>,
        before: &Document,
        after: Document,
        kind: ChangeKind,
    ) -> Result<()> {
        let key = key_of(collection, &after);
        self.locks.take(&key, self.transaction, self.at)?;
        self.check_unique(collection, &key, &after)?;
        self.note(collection, key, Some(before.clone()), Some(after), kind);
        Ok(())
    }

    fn remove(&mut self, collection: &Arc<Collection>, document: &Document) -> Result<()> {
        let key = key_of(collection, document);
        self.locks.take(&key, self.transaction, self.at)?;
        self.note(collection, key, Some(document.clone()), None, ChangeKind::Remove);
        Ok(())
    }
}
