//! Commands that read: `find`, `aggregate`, `getMore`, `count`, `distinct`, `explain`. A collection that does not exist reads as empty.

use std::{collections::HashSet, future::Future};

use bson::{Bson, DateTime, Document, RawDocumentBuf, doc};
use database::{Aggregate, DatabaseError, Find, Found, TransactionId};
use docdb::{Context, expr::Variables, key, path::Path, pipeline, pipeline::Pipeline, query::Filter};

use crate::{
    command::{Command, Fields, Namespace, UnreadFields},
    cursor::{self, Batch, Cursor, FIRST_BATCH, LARGEST, Pages},
    failure::{Failure, Result, code},
    front::{Inner, raw},
    hello::VERSION,
};

/// What a read may say, and what does not change its answer here.
const PASSED_OVER: [&str; 6] = [
    "allowDiskUse",
    "allowPartialResults",
    "bypassDocumentValidation",
    "noCursorTimeout",
    "oplogReplay",
    "hint",
];

/// What a `find` may say that is not read.
const FIND_UNREAD: UnreadFields = UnreadFields {
    not_served: &[
        "awaitData",
        "collation",
        "let",
        "min",
        "max",
        "returnKey",
        "showRecordId",
    ],
    passed_over: &PASSED_OVER,
};

/// A `find` as it was asked for.
struct FindRequest {
    find: Find,
    /// Documents of the first batch.
    batch: usize,
    /// Whether the rest is not wanted.
    single: bool,
}

impl FindRequest {
    fn read(fields: &mut Fields) -> Result<Self> {
        let limit = fields.integer("limit")?.unwrap_or(0);
        let batch = fields.count("batchSize")?;
        let find = Find {
            filter: fields.document("filter")?.unwrap_or_default(),
            sort: fields.document("sort")?.filter(|sort| !sort.is_empty()),
            projection: fields
                .document("projection")?
                .filter(|projection| !projection.is_empty()),
            skip: fields.count("skip")?.unwrap_or(0),
            limit: (limit != 0).then_some(limit.unsigned_abs()),
            ..Find::default()
        };
        let single = fields.boolean("singleBatch")?.unwrap_or(false) || limit < 0;
        if fields.boolean("tailable")?.unwrap_or(false) {
            return Err(Failure::bad_value(
                "error processing query: tailable cursor requested on non capped collection",
            ));
        }
        Ok(Self {
            find,
            batch: batch.map_or(FIRST_BATCH, |batch| usize::try_from(batch).unwrap_or(usize::MAX)),
            single,
        })
    }

    /// Whether it can go page by page, which is by the order of the ids.
    fn pages(&self) -> Result<Option<Pages>> {
        if self.find.sort.is_some() || Filter::parse(&self.find.filter)?.near().is_some() {
            return Ok(None);
        }
        Ok(Some(Pages {
            filter: self.find.filter.clone(),
            projection: self.find.projection.clone(),
            skip: self.find.skip,
            left: self.find.limit,
            after: None,
        }))
    }
}

impl Inner {
    pub(crate) async fn find(
        &self,
        mut command: Command,
        transaction: Option<TransactionId>,
    ) -> Result<RawDocumentBuf> {
        let (namespace, asked) = command.about(FIND_UNREAD, FindRequest::read)?;
        if !self.is_ours(&namespace)? {
            return Ok(nothing(&namespace));
        }
        let mut open = within(&command, async {
            // Without a condition there is no index that would help, and there may be any number of documents.
            if transaction.is_none()
                && asked.find.filter.is_empty()
                && asked.find.limit.is_none()
                && let Some(pages) = asked.pages()?
            {
                return Ok(Cursor::paged(namespace.clone(), pages));
            }
            let find = asked.find.clone();
            match self.database.find(&namespace.collection, find, transaction).await {
                Ok(found) => Ok(Cursor::of(namespace.clone(), found.documents)),
                Err(error @ DatabaseError::AnswerTooLarge(_)) if transaction.is_none() => {
                    match asked.pages()? {
                        Some(pages) => Ok(Cursor::paged(namespace.clone(), pages)),
                        None => Err(Failure::of(error, &namespace.database)),
                    }
                }
                Err(DatabaseError::CollectionMissing(_)) => Ok(Cursor::of(namespace.clone(), Vec::new())),
                Err(error) => Err(Failure::of(error, &namespace.database)),
            }
        })
        .await?;
        let batch = match within(&command, open.batch(&*self.database, Some(asked.batch), None)).await {
            // The first page is read here.
            Err(failure) if failure.code() == code::NAMESPACE_NOT_FOUND => return Ok(nothing(&namespace)),
            batch => batch?,
        };
        let id = if asked.single {
            0
        } else {
            self.cursors.keep(open, None)
        };
        Ok(cursor::answer(Batch::First, batch, id, &namespace.full()))
    }

    pub(crate) async fn get_more(&self, mut command: Command) -> Result<RawDocumentBuf> {
        let fields = &mut command.fields;
        let id = fields.integer("getMore")?.unwrap_or(0);
        let collection = fields.needed_text("collection")?;
        let most = fields.count("batchSize")?.filter(|most| *most > 0);
        fields.pass_over(&["term", "lastKnownCommittedOpTime"]);
        fields.finish()?;
        let missing = || Failure::new(code::CURSOR_NOT_FOUND, format!("cursor id {id} not found"));
        let mut open = self.cursors.take(id).ok_or_else(missing)?;
        let asked = (&command.database, &collection);
        if asked != (&open.namespace.database, &open.namespace.collection) {
            let namespace = open.namespace.full();
            self.cursors.keep(open, Some(id));
            return Err(Failure::new(
                code::UNAUTHORIZED,
                format!(
                    "Requested getMore on namespace '{}.{collection}', but cursor belongs to a different namespace {namespace}",
                    command.database
                ),
            ));
        }
        let most = most.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        let batch = open.batch(&*self.database, most, command.patience).await?;
        let namespace = open.namespace.full();
        let token = open.token().as_ref().map(raw).transpose()?;
        let id = self.cursors.keep(open, Some(id));
        Ok(cursor::answer_with(Batch::Next, batch, id, &namespace, token))
    }

    pub(crate) fn kill_cursors(&self, mut command: Command) -> Result<RawDocumentBuf> {
        command.skip_name();
        let ids = command.fields.array("cursors")?.unwrap_or_default();
        command.fields.finish()?;
        let (mut killed, mut missing) = (Vec::new(), Vec::new());
        for id in ids {
            match id.as_i64().and_then(|id| self.cursors.take(id)) {
                Some(_) => killed.push(id),
                None => missing.push(id),
            }
        }
        raw(&doc! {
            "cursorsKilled": killed, "cursorsNotFound": missing, "cursorsAlive": [], "cursorsUnknown": [], "ok": 1.0,
        })
    }

    pub(crate) async fn aggregate(
        &self,
        mut command: Command,
        transaction: Option<TransactionId>,
    ) -> Result<RawDocumentBuf> {
        let whole =
            matches!(command.fields.document.get("aggregate"), Some(value) if value.as_str().is_none());
        let namespace = if whole {
            command.skip_name();
            self.space(&command.database)?;
            Namespace {
                database: command.database.clone(),
                collection: "$cmd.aggregate".to_owned(),
            }
        } else {
            command.collection()?
        };
        let fields = &mut command.fields;
        let mut stages = fields.needed_documents("pipeline")?;
        let options = fields.document("cursor")?.unwrap_or_default();
        let mut options = Fields::new("aggregate.cursor", options);
        let batch = options.count("batchSize")?;
        options.finish()?;
        let explains = fields.boolean("explain")?.unwrap_or(false);
        fields.not_served(&["collation", "let"])?;
        fields.pass_over(&PASSED_OVER);
        fields.finish()?;
        if explains {
            let found = self.run_pipeline(&namespace, stages, transaction).await?;
            return self.explained(&namespace, &found);
        }
        if stages
            .first()
            .is_some_and(|stage| stage.contains_key("$changeStream"))
        {
            let changes = self.open_changes(&namespace, whole, stages).await?;
            let open = Cursor::following(namespace.clone(), changes);
            let token = open.token().as_ref().map(raw).transpose()?;
            let id = self.cursors.keep(open, None);
            let none = bson::RawArrayBuf::new();
            return Ok(cursor::answer_with(
                Batch::First,
                none,
                id,
                &namespace.full(),
                token,
            ));
        }
        let documents = match stages
            .first()
            .and_then(|stage| stage.keys().next())
            .map(String::as_str)
        {
            Some(first) if whole || is_about_the_server(first) => {
                let source = self.about(&namespace, first, whole).await?;
                if source.is_some() {
                    stages.remove(0);
                }
                run_alone(source.unwrap_or_default(), stages)?
            }
            _ => {
                within(&command, self.run_pipeline(&namespace, stages, transaction))
                    .await?
                    .documents
            }
        };
        let mut open = Cursor::of(namespace.clone(), documents);
        let most = batch.map_or(FIRST_BATCH, |batch| usize::try_from(batch).unwrap_or(usize::MAX));
        let batch = open.batch(&*self.database, Some(most), None).await?;
        let id = self.cursors.keep(open, None);
        Ok(cursor::answer(Batch::First, batch, id, &namespace.full()))
    }

    async fn run_pipeline(
        &self,
        namespace: &Namespace,
        stages: Vec<Document>,
        transaction: Option<TransactionId>,
    ) -> Result<Found> {
        if !self.is_ours(namespace)? {
            run_alone(Vec::new(), stages)?;
            return Ok(Found::default());
        }
        let database = &self.database;
        let aggregate = Aggregate {
            stages: stages.clone(),
        };
        match database
            .aggregate(&namespace.collection, aggregate, transaction)
            .await
        {
            Err(DatabaseError::CollectionMissing(_)) => {}
            found => return self.engine(&namespace.database, found),
        }
        // Nothing comes in, and what the pipeline reads beside it (`$unionWith`) it reads all the same.
        for other in others(&stages)? {
            let nothing = doc! { "$match": { "_id": { "$in": [] } } };
            let aggregate = Aggregate {
                stages: std::iter::once(nothing).chain(stages.clone()).collect(),
            };
            match database.aggregate(&other, aggregate, transaction).await {
                Err(DatabaseError::CollectionMissing(_)) => {}
                found => return self.engine(&namespace.database, found),
            }
        }
        Ok(Found {
            documents: run_alone(Vec::new(), stages)?,
            ..Found::default()
        })
    }

    /// The documents of a first stage that reads no collection.
    async fn about(&self, namespace: &Namespace, stage: &str, whole: bool) -> Result<Option<Vec<Document>>> {
        Ok(match stage {
            "$collStats" => Some(vec![self.statistics_stage(namespace).await?]),
            "$indexStats" => Some(self.index_statistics(namespace).await?),
            "$currentOp" | "$listSessions" | "$listLocalSessions" => Some(Vec::new()),
            "$documents" if whole => None,
            _ => {
                return Err(Failure::new(
                    code::INVALID_NAMESPACE,
                    format!("{{aggregate: 1}} is not valid for '{stage}'; a collection is required."),
                ));
            }
        })
    }

    pub(crate) async fn count(
        &self,
        mut command: Command,
        transaction: Option<TransactionId>,
    ) -> Result<RawDocumentBuf> {
        let unread = UnreadFields {
            not_served: &["collation"],
            passed_over: &["hint", "fields"],
        };
        let (namespace, (filter, limit, skip)) = command.about(unread, |fields| {
            let filter = fields.document("query")?.unwrap_or_default();
            let limit = fields.integer("limit")?.unwrap_or(0).unsigned_abs();
            Ok((filter, limit, fields.count("skip")?.unwrap_or(0)))
        })?;
        let counted = match self.is_ours(&namespace)? {
            false => 0,
            true => match within(&command, async {
                Ok(self
                    .database
                    .count(&namespace.collection, filter, transaction)
                    .await)
            })
            .await?
            {
                Err(DatabaseError::CollectionMissing(_)) => 0,
                counted => self.engine(&namespace.database, counted)?.count,
            },
        };
        let counted = counted.saturating_sub(skip);
        let counted = if limit == 0 { counted } else { counted.min(limit) };
        raw(&doc! { "n": whole_number(counted), "ok": 1.0 })
    }

    pub(crate) async fn distinct(
        &self,
        mut command: Command,
        transaction: Option<TransactionId>,
    ) -> Result<RawDocumentBuf> {
        let unread = UnreadFields {
            not_served: &["collation"],
            passed_over: &["hint"],
        };
        let (namespace, (path, filter)) = command.about(unread, |fields| {
            let path = fields.needed_text("key")?;
            Ok((path, fields.document("query")?.unwrap_or_default()))
        })?;
        let path = Path::checked(&path)?;
        let find = Find {
            projection: Some(doc! { path.first(): 1, "_id": i32::from(path.first() == "_id") }),
            filter,
            ..Find::default()
        };
        let found = match self.is_ours(&namespace)? {
            false => Found::default(),
            true => match within(&command, async {
                Ok(self.database.find(&namespace.collection, find, transaction).await)
            })
            .await?
            {
                Err(DatabaseError::CollectionMissing(_)) => Found::default(),
                found => self.engine(&namespace.database, found)?,
            },
        };
        let (mut values, mut met) = (Vec::new(), HashSet::new());
        let mut add = |value: &Bson| {
            // Numbers of the same value are one, whatever their types.
            if met.insert(key::of(value)) {
                values.push(value.clone());
            }
        };
        for document in &found.documents {
            let document = decoded(document)?;
            docdb::path::walk(&document, &path, &mut |value, _| {
                match value {
                    Some(Bson::Array(elements)) => elements.iter().for_each(&mut add),
                    Some(value) => add(value),
                    None => {}
                }
                false
            });
        }
        let answer = raw(&doc! { "values": values, "ok": 1.0 })?;
        if answer.as_bytes().len() > LARGEST {
            return Err(Failure::new(
                code::DISTINCT_TOO_LARGE,
                "distinct too big, 16mb cap",
            ));
        }
        Ok(answer)
    }

    /// How a query is answered: by which index, and by looking at how many documents.
    pub(crate) async fn explain(&self, mut command: Command) -> Result<RawDocumentBuf> {
        let mut explained = command.fields.needed_document("explain")?;
        command.fields.pass_over(&["verbosity"]);
        command.fields.finish()?;
        explained.insert("$db", &command.database);
        let mut explained = Command::read(explained)?;
        let namespace = explained.collection()?;
        let name = explained.name.clone();
        let fields = &mut explained.fields;
        let found = match name.as_str() {
            "find" => {
                let find = fields.read(FIND_UNREAD, FindRequest::read)?.find;
                let found = self.database.find(&namespace.collection, find, None).await;
                self.engine(&namespace.database, found)?
            }
            "aggregate" => {
                let stages = fields.needed_documents("pipeline")?;
                self.run_pipeline(&namespace, stages, None).await?
            }
            "count" | "distinct" => {
                let find = Find {
                    filter: fields.document("query")?.unwrap_or_default(),
                    ..Find::default()
                };
                let found = self.database.find(&namespace.collection, find, None).await;
                self.engine(&namespace.database, found)?
            }
            other => {
                return Err(Failure::new(
                    code::COMMAND_NOT_FOUND,
                    format!("Explain failed due to unknown command: {other}"),
                ));
            }
        };
        self.explained(&namespace, &found)
    }

    fn explained(&self, namespace: &Namespace, found: &Found) -> Result<RawDocumentBuf> {
        let found_by = found.looked.clone().unwrap_or_default();
        let stage = match &found_by.index {
            Some(index) => doc! { "stage": "FETCH", "inputStage": { "stage": "IXSCAN", "indexName": index } },
            None => doc! { "stage": "COLLSCAN", "direction": "forward" },
        };
        let looked = whole_number(found_by.documents);
        let returned = whole_number(found.documents.len() as u64);
        raw(&doc! {
            "explainVersion": "1",
            "queryPlanner": { "namespace": namespace.full(), "winningPlan": stage.clone(), "rejectedPlans": [] },
            "executionStats": {
                "executionSuccess": true,
                "nReturned": returned,
                "totalKeysExamined": if found_by.index.is_some() { looked.clone() } else { 0.into() },
                "totalDocsExamined": looked,
                "executionStages": stage,
            },
            "serverInfo": { "version": VERSION },
            "ok": 1.0,
        })
    }
}

/// The reads of a command within its `maxTimeMS`.
async fn within<T>(command: &Command, read: impl Future<Output = Result<T>>) -> Result<T> {
    match command.patience {
        None => read.await,
        Some(patience) => tokio::time::timeout(patience, read).await.unwrap_or_else(|_| {
            Err(Failure::new(
                code::MAX_TIME_MS_EXPIRED,
                "operation exceeded time limit",
            ))
        }),
    }
}

/// One that somebody else made first is as good.
pub(crate) fn there(error: DatabaseError) -> Result<()> {
    match error {
        DatabaseError::CollectionExists(_) => Ok(()),
        error => Err(Failure::of(error, "")),
    }
}

/// Stages that tell of the server instead of reading documents.
fn is_about_the_server(stage: &str) -> bool {
    matches!(
        stage,
        "$collStats" | "$indexStats" | "$currentOp" | "$listSessions" | "$listLocalSessions"
    )
}

/// A pipeline over documents that no collection has.
pub(crate) fn run_alone(source: Vec<Document>, stages: Vec<Document>) -> Result<Vec<RawDocumentBuf>> {
    let stages: Vec<Bson> = stages.into_iter().map(Bson::Document).collect();
    let pipeline = Pipeline::parse(&stages)?;
    let context = Context::new(DateTime::now(), rand::random());
    let environment = pipeline::Environment {
        context: &context,
        collections: &pipeline::NoCollections,
        variables: &Variables::none(),
        memory: pipeline::MEMORY,
    };
    let input = Box::new(source.into_iter().map(Ok));
    pipeline
        .run(input, environment)
        .map(|document| raw(&document?))
        .collect()
}

/// The collections that a pipeline reads beside its own.
fn others(stages: &[Document]) -> Result<Vec<String>> {
    let stages: Vec<Bson> = stages.iter().cloned().map(Bson::Document).collect();
    let pipeline = Pipeline::parse(&stages)?;
    Ok(pipeline.collections().into_iter().map(str::to_owned).collect())
}

fn nothing(namespace: &Namespace) -> RawDocumentBuf {
    cursor::answer(Batch::First, bson::RawArrayBuf::new(), 0, &namespace.full())
}

pub(crate) fn decoded(document: &RawDocumentBuf) -> Result<Document> {
    Document::try_from(document.as_ref())
        .map_err(|error| Failure::new(code::FAILED_TO_PARSE, error.to_string()))
}

/// A count as MongoDB gives it: an int where it fits.
pub(crate) fn whole_number(count: u64) -> Bson {
    match i32::try_from(count) {
        Ok(count) => Bson::Int32(count),
        Err(_) => Bson::Int64(i64::try_from(count).unwrap_or(i64::MAX)),
    }
}
