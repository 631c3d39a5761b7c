//! Commands that write: `insert`, `update`, `delete`, `findAndModify`. Why one write of several is refused is told beside what the
//! others did; with `ordered` the first such ends the command. A collection that does not exist is made by what adds to it.

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc, oid::ObjectId};
use database::{DatabaseError, Inserted, ReturnedDocument, TransactionId, Update, UpdateKind, Updated};
use docdb::{
    Context,
    document::{check_id, with_id},
    expr::Variables,
    project::Projection,
    query::Filter,
};
use futures_util::future::join_all;

use crate::{
    command::{Command, Fields, Namespace, UnreadFields},
    failure::{Failure, Result, code},
    front::{Inner, raw},
    message::MOST_WRITES,
    read::{there, whole_number},
};

/// What a write may say, and what does not change it here.
const PASSED_OVER: [&str; 2] = ["hint", "sampleId"];

/// What the writes of a command did.
#[derive(Debug, Default)]
struct WriteCounts {
    matched: u64,
    modified: u64,
    upserted: Vec<Bson>,
    errors: Vec<Bson>,
}

impl Inner {
    pub(crate) async fn insert(
        &self,
        mut command: Command,
        transaction: Option<TransactionId>,
    ) -> Result<RawDocumentBuf> {
        let unread = UnreadFields {
            passed_over: &["bypassDocumentValidation", "isTimeseries"],
            ..UnreadFields::default()
        };
        let (namespace, (documents, ordered)) = command.about(unread, |fields| {
            let documents = fields.needed_documents("documents")?;
            Ok((documents, fields.boolean("ordered")?.unwrap_or(true)))
        })?;
        check_count(documents.len())?;
        self.writable(&namespace)?;
        // Those that are written, with their places in the command, and those that cannot be.
        let (mut places, mut written, mut refused) = (Vec::new(), Vec::new(), Vec::new());
        for (at, document) in documents.into_iter().enumerate() {
            let document = match command.two_ids.contains(&at) {
                true => Err(Failure::bad_value(
                    "can't have multiple _id fields in one document",
                )),
                false => identified(document),
            };
            match document {
                Ok(document) => {
                    places.push(at);
                    written.push(document);
                }
                Err(failure) => {
                    refused.push((at, failure));
                    if ordered {
                        break;
                    }
                }
            }
        }
        let inserted = match written.is_empty() {
            true => Inserted::default(),
            false => {
                let inserting = self.insert_into(&namespace, written, ordered, transaction);
                inserting.await?
            }
        };
        if ordered && !inserted.refused.is_empty() {
            // It ends before the one behind.
            refused.clear();
        }
        for (at, error) in inserted.refused {
            let at = places.get(at).copied().unwrap_or_default();
            refused.push((at, Failure::of(error, &namespace.database)));
        }
        refused.sort_by_key(|(at, _)| *at);
        let errors = refused.into_iter();
        let errors = errors.map(|(at, failure)| failure.into_write_error(at)).collect();
        let mut answer = doc! { "n": whole_number(inserted.ids.len() as u64) };
        finish(&mut answer, errors);
        raw(&answer)
    }

    async fn insert_into(
        &self,
        namespace: &Namespace,
        documents: Vec<Document>,
        ordered: bool,
        transaction: Option<TransactionId>,
    ) -> Result<Inserted> {
        let database = &self.database;
        let again = documents.clone();
        let collection = namespace.collection.as_str();
        let inserted = match database
            .insert_each(collection, documents, ordered, transaction)
            .await
        {
            Err(DatabaseError::CollectionMissing(_)) => {
                database.create_collection(collection).await.or_else(there)?;
                database
                    .insert_each(collection, again, ordered, transaction)
                    .await
            }
            inserted => inserted,
        };
        self.engine(&namespace.database, inserted)
    }

    pub(crate) async fn update(
        &self,
        mut command: Command,
        transaction: Option<TransactionId>,
    ) -> Result<RawDocumentBuf> {
        let unread = UnreadFields {
            not_served: &["let"],
            passed_over: &["bypassDocumentValidation"],
        };
        let (namespace, (statements, ordered)) = command.about(unread, |fields| {
            let statements = fields.needed_documents("updates")?;
            Ok((statements, fields.boolean("ordered")?.unwrap_or(true)))
        })?;
        check_count(statements.len())?;
        self.writable(&namespace)?;
        let updates: Vec<Result<Update>> = statements.into_iter().map(read_update).collect();
        let mut written = WriteCounts::default();
        if ordered || transaction.is_some() {
            for (at, update) in updates.into_iter().enumerate() {
                let done = match update {
                    Ok(update) => self.update_in(&namespace, update, transaction).await,
                    Err(failure) => Err(failure),
                };
                if !written.note(at, done)? && ordered {
                    break;
                }
            }
        } else {
            // All that waits goes into one commit.
            let doing = updates.into_iter().map(|update| async {
                match update {
                    Ok(update) => self.update_in(&namespace, update, None).await,
                    Err(failure) => Err(failure),
                }
            });
            for (at, done) in join_all(doing).await.into_iter().enumerate() {
                written.note(at, done)?;
            }
        }
        let mut answer = doc! {
            "n": whole_number(written.matched + written.upserted.len() as u64), "nModified": whole_number(written.modified),
        };
        if !written.upserted.is_empty() {
            answer.insert("upserted", written.upserted);
        }
        finish(&mut answer, written.errors);
        raw(&answer)
    }

    /// Makes one update; an upsert makes the collection where it does not exist, and without one nothing matches.
    async fn update_in(
        &self,
        namespace: &Namespace,
        update: Update,
        transaction: Option<TransactionId>,
    ) -> Result<Updated> {
        let database = &self.database;
        let adds = update.upsert.is_some();
        let collection = namespace.collection.as_str();
        let updated = match database.update(collection, update.clone(), transaction).await {
            Err(DatabaseError::CollectionMissing(_)) if adds => {
                database.create_collection(collection).await.or_else(there)?;
                database.update(collection, update, transaction).await
            }
            Err(DatabaseError::CollectionMissing(_)) => Ok(Updated::default()),
            updated => updated,
        };
        self.engine(&namespace.database, updated)
    }

    pub(crate) async fn delete(
        &self,
        mut command: Command,
        transaction: Option<TransactionId>,
    ) -> Result<RawDocumentBuf> {
        let unread = UnreadFields {
            not_served: &["let"],
            ..UnreadFields::default()
        };
        let (namespace, (statements, ordered)) = command.about(unread, |fields| {
            let statements = fields.needed_documents("deletes")?;
            Ok((statements, fields.boolean("ordered")?.unwrap_or(true)))
        })?;
        check_count(statements.len())?;
        self.writable(&namespace)?;
        let (mut removed, mut errors) = (0, Vec::new());
        for (at, statement) in statements.into_iter().enumerate() {
            match self.delete_in(&namespace, statement, transaction).await {
                Ok(more) => removed += more,
                Err(failure) if failure.is_of_one_write() => {
                    errors.push(failure.into_write_error(at));
                    if ordered {
                        break;
                    }
                }
                Err(failure) => return Err(failure),
            }
        }
        let mut answer = doc! { "n": whole_number(removed) };
        finish(&mut answer, errors);
        raw(&answer)
    }

    async fn delete_in(
        &self,
        namespace: &Namespace,
        statement: Document,
        transaction: Option<TransactionId>,
    ) -> Result<u64> {
        let unread = UnreadFields {
            not_served: &["collation"],
            passed_over: &PASSED_OVER,
        };
        let (filter, many) = Fields::new("delete.deletes", statement).read(unread, |fields| {
            let filter = fields.needed_document("q")?;
            match fields.integer("limit")? {
                Some(0) => Ok((filter, true)),
                Some(1) => Ok((filter, false)),
                _ => Err(Failure::failed_to_parse(
                    "The limit field in delete objects must be 0 or 1.",
                )),
            }
        })?;
        let database = &self.database;
        match database
            .remove(&namespace.collection, filter, many, transaction)
            .await
        {
            Err(DatabaseError::CollectionMissing(_)) => Ok(0),
            removed => Ok(self.engine(&namespace.database, removed)?.count),
        }
    }

    pub(crate) async fn find_and_modify(
        &self,
        mut command: Command,
        transaction: Option<TransactionId>,
    ) -> Result<RawDocumentBuf> {
        let namespace = command.collection()?;
        let fields = &mut command.fields;
        let filter = fields.document("query")?.unwrap_or_default();
        let sort = fields.document("sort")?.filter(|sort| !sort.is_empty());
        let removes = fields.boolean("remove")?.unwrap_or(false);
        let change = fields.value("update");
        let becomes = fields.boolean("new")?.unwrap_or(false);
        let projection = match fields.document("fields")? {
            Some(fields) => Some(fields),
            None => fields.document("projection")?,
        };
        let projection = projection
            .filter(|projection| !projection.is_empty())
            .map(|projection| Projection::parse(&projection))
            .transpose()?;
        let upsert = fields.boolean("upsert")?.unwrap_or(false);
        let array_filters = fields.documents("arrayFilters")?.unwrap_or_default();
        fields.not_served(&["collation", "let"])?;
        fields.pass_over(&["bypassDocumentValidation", "hint"]);
        fields.finish()?;
        if removes == change.is_some() || (removes && (upsert || becomes)) {
            return Err(Failure::failed_to_parse(
                "Either an update or remove=true must be specified, and remove goes with neither upsert nor new",
            ));
        }
        self.writable(&namespace)?;
        let projected = ProjectedBy {
            projection,
            filter: Filter::parse(&filter)?,
        };
        let Some(change) = change else {
            let taken = self
                .database
                .take(&namespace.collection, filter, sort, transaction)
                .await;
            let taken = match taken {
                Err(DatabaseError::CollectionMissing(_)) => None,
                taken => self.engine(&namespace.database, taken)?,
            };
            let count = i32::from(taken.is_some());
            let value = projected.show(taken)?;
            return raw(&doc! { "lastErrorObject": { "n": count }, "value": value, "ok": 1.0 });
        };
        let update = Update {
            filter,
            kind: update_kind(change, false)?,
            array_filters,
            many: false,
            sort,
            upsert: upsert.then(|| ObjectId::new().into()),
            largest: None,
            returns: Some(match becomes {
                true => ReturnedDocument::After,
                false => ReturnedDocument::Before,
            }),
        };
        let updated = self.update_in(&namespace, update, transaction).await?;
        let found = updated.matched > 0;
        let mut last = doc! {
            "n": i32::from(found || updated.upserted.is_some()), "updatedExisting": found,
        };
        if let Some(id) = updated.upserted {
            last.insert("upserted", id);
        }
        let value = projected.show(updated.document)?;
        raw(&doc! { "lastErrorObject": last, "value": value, "ok": 1.0 })
    }
}

impl WriteCounts {
    /// Notes what came of the write at place `at`; answers whether it was done.
    fn note(&mut self, at: usize, done: Result<Updated>) -> Result<bool> {
        match done {
            Ok(updated) => {
                self.matched += updated.matched;
                self.modified += updated.modified;
                if let Some(id) = updated.upserted {
                    let at = i32::try_from(at).unwrap_or(i32::MAX);
                    self.upserted.push(doc! { "index": at, "_id": id }.into());
                }
                Ok(true)
            }
            Err(failure) if failure.is_of_one_write() => {
                self.errors.push(failure.into_write_error(at));
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }
}

/// Which fields of a document a client wants.
struct ProjectedBy {
    projection: Option<Projection>,
    filter: Filter,
}

impl ProjectedBy {
    fn show(&self, document: Option<Document>) -> Result<Bson> {
        let Some(document) = document else {
            return Ok(Bson::Null);
        };
        let Some(projection) = &self.projection else {
            return Ok(document.into());
        };
        let context = Context::new(DateTime::now(), rand::random());
        let element = self
            .filter
            .find_element(&document, &Variables::none(), &context)?
            .unwrap_or_default();
        Ok(projection.apply(document, element, &context)?.into())
    }
}

fn read_update(statement: Document) -> Result<Update> {
    let unread = UnreadFields {
        not_served: &["collation", "c"],
        passed_over: &PASSED_OVER,
    };
    Fields::new("update.updates", statement).read(unread, |fields| {
        let change = fields.value("u").ok_or_else(|| {
            Failure::failed_to_parse("BSON field 'update.updates.u' is missing but a required field")
        })?;
        let many = fields.boolean("multi")?.unwrap_or(false);
        let upsert = fields.boolean("upsert")?.unwrap_or(false);
        Ok(Update {
            filter: fields.needed_document("q")?,
            kind: update_kind(change, many)?,
            array_filters: fields.documents("arrayFilters")?.unwrap_or_default(),
            many,
            sort: fields.document("sort")?.filter(|sort| !sort.is_empty()),
            upsert: upsert.then(|| ObjectId::new().into()),
            largest: None,
            returns: None,
        })
    })
}

fn update_kind(change: Bson, many: bool) -> Result<UpdateKind> {
    match change {
        Bson::Document(change) if change.keys().next().is_some_and(|name| name.starts_with('$')) => {
            Ok(UpdateKind::Operators(change))
        }
        Bson::Document(_) if many => Err(Failure::failed_to_parse(
            "multi update is not supported for replacement-style update",
        )),
        Bson::Document(replacement) => Ok(UpdateKind::Replacement(replacement)),
        Bson::Array(stages) => stages
            .into_iter()
            .map(|stage| match stage {
                Bson::Document(stage) => Ok(stage),
                _ => Err(Failure::new(
                    code::TYPE_MISMATCH,
                    "Each element of the 'pipeline' array must be an object",
                )),
            })
            .collect::<Result<_>>()
            .map(UpdateKind::Pipeline),
        _ => Err(Failure::failed_to_parse(
            "Update argument must be either an object or an array",
        )),
    }
}

fn check_count(count: usize) -> Result<()> {
    if (1..=MOST_WRITES).contains(&count) {
        return Ok(());
    }
    Err(Failure::new(
        code::INVALID_LENGTH,
        format!("Write batch sizes must be between 1 and {MOST_WRITES}. Got {count} operations."),
    ))
}

/// The document with an `_id` that MongoDB takes, which stands first.
fn identified(document: Document) -> Result<Document> {
    let document = with_id(document, || ObjectId::new().into());
    check_id(&document)?;
    Ok(document)
}

fn finish(answer: &mut Document, errors: Vec<Bson>) {
    if !errors.is_empty() {
        answer.insert("writeErrors", errors);
    }
    answer.insert("ok", 1.0);
}
