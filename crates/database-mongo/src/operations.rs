//! Reading and writing documents, outside of transactions and in one.

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc};
use database::{
    Aggregate, DatabaseError, Find, Found, Page, Result, ReturnedDocument, Tally, TransactionId, Update,
    UpdateKind, Updated, behind_id,
};
use docdb::{Context, document::with_id, pipeline::Pipeline, project::Projection, query::Filter, sort::Sort};
use mongodb::{
    ClientSession,
    options::{
        AggregateOptions, FindOneAndReplaceOptions, FindOneAndUpdateOptions, FindOptions, ReturnDocument,
        UpdateModifications,
    },
};

use crate::{ANSWER, Inner, OPERATION, transactions::PRIMARY};

/// Documents in one message of the server's, at most: as many as most operations want at all.
const BATCH: u32 = 1000;

/// Reads all of a cursor, of whichever of the two kinds: those of a session are advanced by it.
macro_rules! read_all {
    ($inner:expr, $cursor:expr $(, $session:expr)?) => {{
        let mut cursor = $cursor.map_err(|error| $inner.failures.of(error))?;
        let mut read = Answer::default();
        while cursor
            .advance($($session)?)
            .await
            .map_err(|error| $inner.failures.of(error))?
        {
            read.add(cursor.current().to_owned())?;
        }
        read.documents
    }};
}

/// The documents of an answer, as many as it may have.
#[derive(Default)]
struct Answer {
    documents: Vec<RawDocumentBuf>,
    bytes: usize,
}

impl Answer {
    fn add(&mut self, document: RawDocumentBuf) -> Result<()> {
        self.bytes += document.as_bytes().len();
        if self.bytes > ANSWER {
            return Err(DatabaseError::AnswerTooLarge(ANSWER));
        }
        self.documents.push(document);
        Ok(())
    }
}

/// How many, as the driver takes it.
fn number(many: u64) -> i64 {
    i64::try_from(many).unwrap_or(i64::MAX)
}

impl Inner {
    pub(crate) async fn insert(
        &self,
        collection: &str,
        documents: Vec<Document>,
        transaction: Option<TransactionId>,
    ) -> Result<Vec<Bson>> {
        self.in_session(collection, transaction, async |session| {
            if documents.is_empty() {
                return Ok(Vec::new());
            }
            let target = self.collection(collection);
            let mut action = target.insert_many(&documents).ordered(true);
            if let Some(session) = session {
                action = action.session(session);
            }
            let mut done = action.await.map_err(|error| self.failures.of(error))?;
            Ok((0..documents.len())
                .map(|n| done.inserted_ids.remove(&n).unwrap_or(Bson::Null))
                .collect())
        })
        .await
    }

    pub(crate) async fn find(
        &self,
        collection: &str,
        find: Find,
        transaction: Option<TransactionId>,
    ) -> Result<Found> {
        Filter::parse(&find.filter)?;
        let sort = find.sort.filter(|sort| !sort.is_empty());
        sort.as_ref().map(Sort::parse).transpose()?;
        find.projection.as_ref().map(Projection::parse).transpose()?;
        self.in_session(collection, transaction, async |session| {
            if find.limit == Some(0) {
                return Ok(Found::default());
            }
            let batch = find
                .limit
                .and_then(|limit| u32::try_from(limit).ok())
                .map_or(BATCH, |limit| limit.min(BATCH));
            let options = FindOptions::builder()
                .sort(sort)
                .projection(find.projection)
                .skip(find.skip)
                .limit(find.limit.map(number))
                .batch_size(batch)
                .max_time(OPERATION)
                .selection_criteria(find.is_followed.then_some(PRIMARY))
                .build();
            let target = self.collection(collection);
            let action = target.find(find.filter).with_options(options);
            let documents = match session {
                Some(session) => read_all!(self, action.session(&mut *session).await, session),
                None => read_all!(self, action.await),
            };
            Ok(Found {
                documents,
                ..Found::default()
            })
        })
        .await
    }

    pub(crate) async fn aggregate(
        &self,
        collection: &str,
        aggregate: Aggregate,
        transaction: Option<TransactionId>,
    ) -> Result<Found> {
        let stages: Vec<Bson> = aggregate.stages.iter().cloned().map(Bson::Document).collect();
        Pipeline::parse(&stages)?;
        self.in_session(collection, transaction, async |session| {
            let options = AggregateOptions::builder()
                .batch_size(BATCH)
                .max_time(OPERATION)
                .build();
            let target = self.collection(collection);
            let action = target.aggregate(aggregate.stages).with_options(options);
            let documents = match session {
                Some(session) => read_all!(self, action.session(&mut *session).await, session),
                None => read_all!(self, action.await),
            };
            Ok(Found {
                documents,
                ..Found::default()
            })
        })
        .await
    }

    pub(crate) async fn count(
        &self,
        collection: &str,
        filter: Document,
        transaction: Option<TransactionId>,
    ) -> Result<Tally> {
        let near = Filter::parse(&filter)?.near().is_some();
        self.in_session(collection, transaction, async |session| {
            // No pipeline, and so no count within a transaction, begins with `$near`.
            if near && session.is_none() {
                let count = doc! { "count": collection, "query": filter, "maxTimeMS": number(OPERATION.as_millis() as u64) };
                let reply = self.database.run_command(count).await;
                let reply = reply.map_err(|error| self.failures.of(error))?;
                return Ok(Tally::of(counted(reply.get("n"))));
            }
            let target = self.collection(collection);
            let mut action = target.count_documents(filter).max_time(OPERATION);
            if let Some(session) = session {
                action = action.session(session);
            }
            let counted = action.await.map_err(|error| self.failures.of(error))?;
            Ok(Tally::of(counted))
        })
        .await
    }

    pub(crate) async fn remove(
        &self,
        collection: &str,
        filter: Document,
        many: bool,
        transaction: Option<TransactionId>,
    ) -> Result<Tally> {
        Filter::parse(&filter)?;
        self.in_session(collection, transaction, async |session| {
            let target = self.collection(collection);
            let mut action = match many {
                true => target.delete_many(filter),
                false => target.delete_one(filter),
            };
            if let Some(session) = session {
                action = action.session(session);
            }
            let done = action.await.map_err(|error| self.failures.of(error))?;
            Ok(Tally::of(done.deleted_count))
        })
        .await
    }

    pub(crate) async fn update(
        &self,
        collection: &str,
        update: Update,
        transaction: Option<TransactionId>,
    ) -> Result<Updated> {
        let upsert = Upsert::of(&update)?;
        let chosen = !update.many && (update.returns.is_some() || update.sort.is_some());
        if let Some(largest) = update.largest {
            if chosen || update.upsert.is_some() || transaction.is_some() {
                return Err(DatabaseError::Unsupported(
                    "only an ordinary update bounds how far a document grows".to_owned(),
                ));
            }
            self.must_have(collection).await?;
            return self.change_within(collection, &update, largest).await;
        }
        self.in_session(collection, transaction, async |mut session| {
            let mut updated = match chosen {
                true => {
                    self.choose(collection, &update, &upsert, session.as_deref_mut())
                        .await?
                }
                false => {
                    self.change(collection, &update, &upsert, session.as_deref_mut())
                        .await?
                }
            };
            if let Upsert::Afterwards(document) = upsert
                && updated.matched == 0
            {
                let id = document.get("_id").cloned();
                let target = self.collection(collection);
                let mut action = target.insert_one(&document);
                if let Some(session) = session {
                    action = action.session(session);
                }
                action.await.map_err(|error| self.failures.of(error))?;
                updated.upserted = id;
                updated.document = (update.returns == Some(ReturnedDocument::After)).then_some(document);
            }
            Ok(updated)
        })
        .await
    }

    /// By `update`: all documents that match, or whichever comes first.
    pub(crate) async fn change(
        &self,
        collection: &str,
        update: &Update,
        upsert: &Upsert,
        session: Option<&mut ClientSession>,
    ) -> Result<Updated> {
        let target = self.collection(collection);
        let filter = update.filter.clone();
        let asked = upsert.is_asked_of_the_server().then_some(true);
        let done = match &update.kind {
            UpdateKind::Replacement(document) => {
                let mut action = target.replace_one(filter, document);
                if let Some(asked) = asked {
                    action = action.upsert(asked);
                }
                if let Some(session) = session {
                    action = action.session(session);
                }
                action.await
            }
            UpdateKind::Operators(_) | UpdateKind::Pipeline(_) => {
                let change = upsert.change(&update.kind);
                let mut action = match update.many {
                    true => target.update_many(filter, change),
                    false => target.update_one(filter, change),
                };
                if !update.array_filters.is_empty() {
                    action = action.array_filters(update.array_filters.clone());
                }
                if let Some(asked) = asked {
                    action = action.upsert(asked);
                }
                if let Some(session) = session {
                    action = action.session(session);
                }
                action.await
            }
        };
        let done = done.map_err(|error| self.failures.of(error))?;
        Ok(Updated {
            // An upsert counts as a match with some servers.
            matched: match done.upserted_id {
                Some(_) => 0,
                None => done.matched_count,
            },
            modified: done.modified_count,
            upserted: done.upserted_id,
            ..Updated::default()
        })
    }

    /// By `findAndModify`: one document, by an order, or with what became of it.
    async fn choose(
        &self,
        collection: &str,
        update: &Update,
        upsert: &Upsert,
        session: Option<&mut ClientSession>,
    ) -> Result<Updated> {
        let target = self.collection(collection);
        let filter = update.filter.clone();
        let asked = upsert.is_asked_of_the_server().then_some(true);
        // What was there before tells a match from an upsert; the document as it became is read from the same session then.
        let returned = match (asked, update.returns) {
            (Some(_), _) | (_, Some(ReturnedDocument::Before)) => ReturnDocument::Before,
            _ => ReturnDocument::After,
        };
        let mut session = session;
        let done = match &update.kind {
            UpdateKind::Replacement(document) => {
                let options = FindOneAndReplaceOptions::builder()
                    .sort(update.sort.clone())
                    .upsert(asked)
                    .return_document(returned)
                    .build();
                let mut action = target
                    .find_one_and_replace(filter, document)
                    .with_options(options);
                if let Some(session) = session.as_deref_mut() {
                    action = action.session(session);
                }
                action.await
            }
            UpdateKind::Operators(_) | UpdateKind::Pipeline(_) => {
                let array_filters = update.array_filters.clone();
                let options = FindOneAndUpdateOptions::builder()
                    .sort(update.sort.clone())
                    .upsert(asked)
                    .array_filters((!array_filters.is_empty()).then_some(array_filters))
                    .return_document(returned)
                    .build();
                let change = upsert.change(&update.kind);
                let mut action = target.find_one_and_update(filter, change).with_options(options);
                if let Some(session) = session.as_deref_mut() {
                    action = action.session(session);
                }
                action.await
            }
        };
        let mut document = done.map_err(|error| self.failures.of(error))?;
        let matched = u64::from(document.is_some());
        let mut upserted = None;
        if let Some(id) = upsert.id() {
            let id = match &document {
                Some(document) => document.get("_id").cloned().unwrap_or(Bson::Null),
                None => {
                    upserted = Some(id.clone());
                    id.clone()
                }
            };
            if update.returns == Some(ReturnedDocument::After) {
                let mut action = target.find_one(doc! { "_id": id });
                if let Some(session) = session {
                    action = action.session(session);
                }
                document = action.await.map_err(|error| self.failures.of(error))?;
            }
        }
        Ok(Updated {
            matched,
            modified: matched,
            upserted,
            document: document.filter(|_| update.returns.is_some()),
            ..Updated::default()
        })
    }

    /// See [`database::Database::take`].
    pub(crate) async fn take(
        &self,
        collection: &str,
        filter: Document,
        sort: Option<Document>,
        transaction: Option<TransactionId>,
    ) -> Result<Option<Document>> {
        Filter::parse(&filter)?;
        sort.as_ref().map(Sort::parse).transpose()?;
        self.in_session(collection, transaction, async |session| {
            let target = self.collection(collection);
            let mut action = target.find_one_and_delete(filter);
            if let Some(sort) = sort {
                action = action.sort(sort);
            }
            if let Some(session) = session {
                action = action.session(session);
            }
            action.await.map_err(|error| self.failures.of(error))
        })
        .await
    }

    /// See [`database::Database::page`].
    pub(crate) async fn page(
        &self,
        collection: &str,
        filter: Document,
        projection: Option<Document>,
        after: Option<Bson>,
        limit: usize,
    ) -> Result<Page> {
        let filter = match after {
            None => filter,
            Some(after) => doc! { "$and": [filter, behind_id(&after)] },
        };
        let find = Find {
            filter,
            projection,
            sort: Some(doc! { "_id": 1 }),
            limit: Some(limit as u64),
            ..Find::default()
        };
        let documents = self.find(collection, find, None).await?.documents;
        let last = match documents.last() {
            Some(last) if documents.len() >= limit => {
                let id = last.get("_id").ok().flatten();
                let id = id.and_then(|id| Bson::try_from(id).ok());
                Some(
                    id.ok_or_else(|| DatabaseError::Unsupported("a page is shown with its _ids".to_owned()))?,
                )
            }
            _ => None,
        };
        Ok(Page { documents, last })
    }

    /// Whether the server answers.
    pub(crate) async fn ping(&self) -> Result<()> {
        let reply = self.database.run_command(doc! { "ping": 1 }).await;
        reply.map(drop).map_err(|error| self.failures.of(error))
    }
}

fn counted(n: Option<&Bson>) -> u64 {
    let n = match n {
        Some(Bson::Int32(n)) => i64::from(*n),
        Some(Bson::Int64(n)) => *n,
        Some(Bson::Double(n)) => *n as i64,
        _ => 0,
    };
    u64::try_from(n).unwrap_or_default()
}

/// How a document is added where none matches, so that its `_id` is one of ours, and not one that the server makes.
#[derive(Debug)]
pub(crate) enum Upsert {
    /// No document is added.
    Never,
    /// The filter or the update names this `_id`.
    Named(Bson),
    /// What a pipeline would make cannot be made here.
    LeftToTheServer,
    /// The server is given this `_id` for it, by `$setOnInsert`.
    Given(Bson),
    /// A replacement that names no `_id`, or what a pipeline makes without one, is added by a second write.
    Afterwards(Document),
}

impl Upsert {
    /// Reads the update, which is refused here where MongoDB's language does not have it.
    fn of(update: &Update) -> Result<Self> {
        let filter = Filter::parse(&update.filter)?;
        update.sort.as_ref().map(Sort::parse).transpose()?;
        let parsed = update.kind.parse(&update.array_filters)?;
        let Some(id) = &update.upsert else {
            return Ok(Self::Never);
        };
        let context = Context::new(DateTime::now(), rand::random());
        let made = parsed.upsert(&filter, &context);
        if let UpdateKind::Pipeline(_) = &update.kind {
            // A stage that gave it an `_id` would do so with those that are there as well.
            return Ok(match made.map(|mut made| (made.remove("_id"), made)) {
                Ok((Some(named), _)) => Self::Named(named),
                Ok((None, made)) => Self::Afterwards(with_id(made, || id.clone())),
                Err(_) => Self::LeftToTheServer,
            });
        }
        // Whether it can be made at all the server judges, if it comes to that: here only its `_id` matters.
        let named = made.ok().and_then(|mut made| made.remove("_id"));
        Ok(match (named, &update.kind) {
            (Some(named), _) => Self::Named(named),
            (None, UpdateKind::Replacement(document)) => {
                Self::Afterwards(with_id(document.clone(), || id.clone()))
            }
            (None, _) => Self::Given(id.clone()),
        })
    }

    const fn is_asked_of_the_server(&self) -> bool {
        matches!(self, Self::Named(_) | Self::Given(_) | Self::LeftToTheServer)
    }

    /// The `_id` of the document, where the server adds it.
    const fn id(&self) -> Option<&Bson> {
        match self {
            Self::Named(id) | Self::Given(id) => Some(id),
            Self::Never | Self::Afterwards(_) | Self::LeftToTheServer => None,
        }
    }

    /// The change as it is sent.
    fn change(&self, kind: &UpdateKind) -> UpdateModifications {
        match kind {
            UpdateKind::Operators(operators) | UpdateKind::Replacement(operators) => {
                UpdateModifications::Document(self.operators(operators))
            }
            UpdateKind::Pipeline(stages) => UpdateModifications::Pipeline(stages.clone()),
        }
    }

    /// The operators as they are sent.
    fn operators(&self, operators: &Document) -> Document {
        let mut operators = operators.clone();
        if let Self::Given(id) = self {
            let mut on_insert = match operators.remove("$setOnInsert") {
                Some(Bson::Document(on_insert)) => on_insert,
                _ => Document::new(),
            };
            on_insert.insert("_id", id.clone());
            operators.insert("$setOnInsert", on_insert);
        }
        operators
    }
}
