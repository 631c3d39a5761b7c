//! `cloud.database()` from inside a function, and from a client by itself: every database action of every SDK, on the engine that the
//! project has. Of a client (`client`) each is judged first.
//!
//! What a request means and how it is answered stands in `tcb::database`; what it does, in the engine. Here the two are
//! put together: documents get their ids, a collection that is missing is made where that is wanted, and a query
//! that looks at many documents for few is told once, with the mend.

mod account;
mod client;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, SystemTime},
};

use arc_swap::ArcSwap;
use bson::{Bson, DateTime, Document, RawDocumentBuf};
use calls::{Calls, DatabaseCall, shown};
use database::{
    Aggregate, Asker, ClientError, Database, DatabaseError, IndexSpec, Looked, Permissions, ReturnedDocument,
    TransactionId, Update, UpdateKind, of_either_kind, toml_key, with_id,
};
use tcb::{
    Action, SdkReply, SdkRequest,
    database::{
        Change, DatabaseAction, DatabaseAnswer, DatabaseOperation, DatabaseRefusal, DatabaseRequest,
        DocumentId,
    },
};
use wording::{Wording, wording};

use crate::{Answering, AskingClient, Capability, CloudRequest, Proof, capability::at_once};

/// Queries that were told are remembered up to this number, so that none is told twice.
const TOLD: usize = 1000;
/// How long an operation may take: on the platform it was told after about so long that it took too long. SDKs hang up after 15
/// seconds, and would tell nothing of it.
const WITHIN: Duration = Duration::from_secs(11);

/// What happens when a function uses a collection that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MissingCollection {
    /// It is made, with a note: what `dev` and `exec` do, since collections were made in WeChat's console and stand in no file.
    Create,
    /// The platform's error, -502005.
    Refuse,
}

/// Says of a function, and of a collection, whether the function may make it by itself.
pub type MakesCollections = dyn Fn(&str, &str) -> bool + Send + Sync;

/// The database that functions and clients reach.
#[derive(Clone)]
pub struct DatabaseAccess {
    /// Where documents are kept.
    pub database: Arc<dyn Database>,
    /// What happens when a function uses a collection that does not exist.
    pub missing: MissingCollection,
    /// The functions for which none is made nevertheless, because they make theirs: such a function asks first whether a collection
    /// is there, and fills the one that it makes. May read files.
    pub makers: Option<Arc<MakesCollections>>,
    /// What clients may do.
    pub permissions: Arc<ArcSwap<Permissions>>,
}

/// Answers `database.*`. Clones share everything.
#[derive(Clone)]
pub(crate) struct Documents(Arc<Inner>);

struct Inner {
    access: DatabaseAccess,
    ids: DocumentIds,
    told: Mutex<HashSet<String>>,
    /// How often a client's empty answer was looked into.
    looked_into: AtomicU32,
    /// Collections with documents of which a client found nothing, where nobody said who may read them.
    kept_back: Mutex<BTreeSet<String>>,
}

/// The first digits of each `_id` that is made. On the platform they are a node's own; here they are one for all, so that `_id`s ascend over
/// restarts: the embedded engine gives documents by `_id` where no order is asked for, and programs count on that of their being added.
const NODE: u32 = u32::from_be_bytes(*b"Yunq");

/// Makes the `_id`s of documents that come without one, each after the one before.
#[derive(Debug)]
pub struct DocumentIds {
    counter: AtomicU32,
}

impl DocumentIds {
    /// Those of one process.
    #[must_use]
    pub fn new() -> Self {
        Self {
            // Far from where it begins anew.
            counter: AtomicU32::new(rand::random::<u32>() >> 1),
        }
    }

    /// A document with an `_id`, which stands first. One that is null is none: programs have `_id: undefined` in what they add, which
    /// leaves some SDKs as null, and would be one document's alone.
    #[must_use]
    pub fn complete(&self, mut document: Document) -> Document {
        if document.get("_id") == Some(&Bson::Null) {
            document.remove("_id");
        }
        with_id(document, || self.next())
    }

    fn next(&self) -> Bson {
        let id = DocumentId {
            node: NODE,
            // Until 2106.
            seconds: u32::try_from(now().timestamp_millis() / 1000).unwrap_or_default(),
            counter: self.counter.fetch_add(1, Ordering::Relaxed),
            random: rand::random(),
        };
        Bson::String(id.to_string())
    }
}

impl Default for DocumentIds {
    fn default() -> Self {
        Self::new()
    }
}

impl Documents {
    pub(crate) fn new(access: DatabaseAccess) -> Self {
        Self(Arc::new(Inner {
            access,
            ids: DocumentIds::new(),
            told: Mutex::default(),
            looked_into: AtomicU32::new(0),
            kept_back: Mutex::default(),
        }))
    }

    /// What a client watches in this collection finds nothing.
    pub(crate) fn found_nothing(&self, collection: &str, calls: &Calls) {
        self.0.look_if_kept_back(collection, calls, "", None);
    }

    /// Those that were told to be kept back, and are still.
    pub(crate) fn kept_back(&self) -> Vec<String> {
        self.0.kept_back()
    }
}

impl Capability for Documents {
    /// The oldest SDK sends no token with these.
    fn proof(&self, action: &Action<'_>) -> Option<Proof> {
        match action {
            Action::Named(name) => DatabaseAction::of(name).map(|_| Proof::Worker),
            _ => None,
        }
    }

    fn answer(&self, request: &SdkRequest<'_>, mut asked: CloudRequest) -> Answering {
        let Action::Named(name) = request.action() else {
            return at_once(asked.malformed("there is no such action"));
        };
        let Some(action) = DatabaseAction::of(name) else {
            return at_once(asked.malformed("there is no such action"));
        };
        let what = title(name, request.envelope.text("collectionName").unwrap_or_default());
        let request = match DatabaseRequest::read(action, request.envelope, now()) {
            Ok(request) => request,
            Err(refusal) => {
                let reply = refusal.reply(asked.request_id());
                asked.refused(
                    &what,
                    refusal.number(),
                    &refusal.text(),
                    &Wording::as_is(&refusal),
                );
                return at_once(reply);
            }
        };
        let inner = Arc::clone(&self.0);
        Box::pin(async move { inner.answer(what, request, None, asked).await.into() })
    }
}

impl Inner {
    /// Answers a function, or the client that asks.
    async fn answer(
        self: &Arc<Self>,
        what: String,
        request: DatabaseRequest,
        client: Option<AskingClient<'_>>,
        mut asked: CloudRequest,
    ) -> SdkReply {
        let action = request.action;
        let mut call = account::database_call(&request);
        let sent = asked.keeps().then(|| account::query(&request.operation));
        if let Some(sent) = &sent {
            call.query = account::line(sent);
        }
        asked.begin(
            &what,
            account::writes(&request.operation),
            sent.is_some().then_some(&call),
        );
        match self.make_in_time(&what, request, client, &asked).await {
            Ok(made) => {
                let reply = made.answer.reply(action, asked.request_id());
                account::came_to(&mut call, &made);
                self.tell_if_slow(&call, &made.wanted, &asked);
                let text = account::text(&call);
                if let Some(sent) = sent {
                    asked.keep(shown("", sent.as_bytes()), shown("application/json", &reply.body));
                    asked.keep_database(call);
                }
                asked.record(what, 0, text);
                reply
            }
            Err(refusal) => {
                let reply = refusal.reply(asked.request_id());
                if let Some(sent) = sent {
                    asked.keep(shown("", sent.as_bytes()), shown("application/json", &reply.body));
                    asked.keep_database(call);
                }
                asked.record(what, refusal.number(), refusal.text());
                reply
            }
        }
    }

    /// Does it, within the time that an operation has.
    async fn make_in_time(
        self: &Arc<Self>,
        what: &str,
        request: DatabaseRequest,
        client: Option<AskingClient<'_>>,
        asked: &CloudRequest,
    ) -> Result<Made, DatabaseRefusal> {
        let writes = account::writes(&request.operation);
        let made = tokio::time::timeout(WITHIN, self.make(what, request, client, asked)).await;
        made.unwrap_or_else(|_| {
            let why = match writes {
                true => wording!(
                    "it waited for a document that a transaction has locked, or for others' writes, or looks at too much, or has too much to \
                     change at once. If it had begun by then, it may have been done",
                    "它在等待被事务锁住的记录或其他写操作，或扫描的记录太多，或一次要改的太多；如果当时已经开始，可能已经执行"
                ),
                false => wording!(
                    "it looks at too much, or waited for other queries that do",
                    "它扫描的记录太多，或在等待这样的其他查询"
                ),
            };
            let seconds = WITHIN.as_secs();
            asked.note(&wording!(
                "{what} was given up after {seconds} seconds, as on the platform: {why}",
                "{what} 超过 {seconds} 秒，已与平台一样放弃：{why}";
                why
            ));
            Err(DatabaseRefusal::Timeout)
        })
    }

    /// The database as whoever asks has it, who leaves others room.
    fn database_for(&self, asked: &CloudRequest, client: Option<AskingClient<'_>>) -> Arc<dyn Database> {
        let asker = match client {
            Some(client) => match client.caller.owner().filter(|_| !client.caller.is_anybody()) {
                Some(owner) => Asker::client(owner),
                None => Asker::network(client.network),
            },
            None => Asker::function(asked.function(), asked.who()),
        };
        let database = &self.access.database;
        database.for_asker(asker).unwrap_or_else(|| Arc::clone(database))
    }

    /// Does it; makes the collection first where it is missing and that is wanted.
    async fn make(
        self: &Arc<Self>,
        what: &str,
        request: DatabaseRequest,
        client: Option<AskingClient<'_>>,
        asked: &CloudRequest,
    ) -> Result<Made, DatabaseRefusal> {
        let transaction = match &request.transaction {
            None => None,
            Some(id) => Some(id.parse().map_err(|_| DatabaseRefusal::TransactionMissing)?),
        };
        let operation = self.with_ids(request.operation);
        let collection = request.collection.as_str();
        let database = &self.database_for(asked, client);
        let once = |operation| async move {
            match client {
                Some(client) => {
                    self.once_for(&**database, client, collection, operation, asked)
                        .await
                }
                None => {
                    let done = self.once(database, collection, operation, transaction, asked);
                    Ok(done.await?)
                }
            }
        };
        let made = match once(operation.clone()).await {
            Err(ClientError::Database(DatabaseError::CollectionMissing(name)))
                if self.access.missing == MissingCollection::Create
                    && (client.is_some() || !self.makes_its_own(&name, asked).await) =>
            {
                match self.access.database.create_collection(&name).await {
                    // Somebody else was quicker.
                    Ok(()) | Err(DatabaseError::CollectionExists(_)) => {}
                    Err(error) => return Err(refusal(error, &operation)),
                }
                asked.note(&wording!(
                    "the collection {name:?} did not exist and was made. On the platform this is an error (-502005): make it in \
                     the console, or by db.createCollection",
                    "集合 {name:?} 不存在，已自动创建。在平台上这会报错（-502005）：请在控制台创建，或调用 db.createCollection"
                ));
                once(operation.clone()).await
            }
            made => made,
        };
        match made {
            Ok((answer, looked)) => {
                if client.is_some() {
                    self.tell_if_kept_back(collection, &answer, asked);
                }
                Ok(Made {
                    wanted: account::wanted_by(&operation, &answer, looked.as_ref()),
                    answer,
                    looked,
                })
            }
            Err(ClientError::Database(error)) => {
                if let DatabaseError::Unavailable(_) = &error {
                    asked.note(&Wording::as_is(&error));
                }
                if let DatabaseError::TimedOut = &error {
                    // Of a server that is told how long it may take; here a write that is given up is not done.
                    let perhaps = match account::writes(&operation) {
                        true => wording!(
                            ". On a MongoDB a part of it may have been done",
                            "；在 MongoDB 上可能已执行了一部分"
                        ),
                        false => Wording::default(),
                    };
                    asked.note(&wording!(
                        "{what} was given up: it took longer, or more rounds of loops, than it may{perhaps}",
                        "{what} 已放弃：耗时或循环次数超出了限制{perhaps}";
                        perhaps
                    ));
                }
                Err(refusal(error, &operation))
            }
            Err(ClientError::WritesOwner) => Err(DatabaseRefusal::OwnerWritten),
            Err(error @ ClientError::TooLarge) => Err(DatabaseRefusal::Malformed(error.to_string())),
            Err(ClientError::Fails(error)) => {
                asked.note(&wording!(
                    "{collection:?}: the client's operation failed at a document: {error}",
                    "{collection:?}：小程序端的操作在某条记录上失败：{error}"
                ));
                let told = format!("the operation fails at a document ({})", error.code_name());
                Err(match operation {
                    DatabaseOperation::Update { .. } => DatabaseRefusal::Write(told),
                    _ => DatabaseRefusal::Query(told),
                })
            }
            // Why, is the developer's business: it may tell of what the client may not know.
            Err(denied) => {
                asked.note(&Wording::as_is(format_args!("{collection:?}: {denied}")));
                Err(DatabaseRefusal::PermissionDenied)
            }
        }
    }

    /// Whether the function that misses this collection is to make it by itself, which is told once.
    async fn makes_its_own(&self, collection: &str, asked: &CloudRequest) -> bool {
        let Some(makers) = self.access.makers.clone() else {
            return false;
        };
        let (function, name) = (asked.function().to_owned(), collection.to_owned());
        let makes = tokio::task::spawn_blocking(move || makers(&function, &name)).await;
        if !makes.unwrap_or_default() {
            return false;
        }
        if self.tells_first(format!("missing {collection}")) {
            let key = toml_key(collection);
            asked.note(&wording!(
                "the collection {collection:?} does not exist: the function gets the platform's error (-502005), since it calls \
                 createCollection itself. Where it was made in the console: [database.collections.{key}] in yunqiao.toml",
                "集合 {collection:?} 不存在：该云函数自己会调用 createCollection，因此返回平台的错误（-502005）。如果集合是在控制台建的，请在 \
                 yunqiao.toml 写上 [database.collections.{key}]"
            ));
        }
        true
    }

    async fn once(
        &self,
        database: &Arc<dyn Database>,
        collection: &str,
        operation: DatabaseOperation,
        transaction: Option<TransactionId>,
        asked: &CloudRequest,
    ) -> Result<(DatabaseAnswer, Option<Looked>), DatabaseError> {
        let ended = || transaction.ok_or(DatabaseError::TransactionMissing);
        Ok(match operation {
            DatabaseOperation::CreateCollection => {
                database.create_collection(collection).await?;
                (DatabaseAnswer::Done, None)
            }
            DatabaseOperation::Insert(documents) => {
                let ids = database.insert(collection, documents, transaction).await?;
                (DatabaseAnswer::Inserted(ids), None)
            }
            DatabaseOperation::Find(find) => {
                let found = database.find(collection, asked_find(find), transaction).await?;
                (DatabaseAnswer::Documents(found.documents), found.looked)
            }
            DatabaseOperation::Count(filter) => {
                let filter = of_either_kind(filter);
                let counted = database.count(collection, filter, transaction).await?;
                (DatabaseAnswer::Counted(counted.count), counted.looked)
            }
            DatabaseOperation::Update {
                change: Change::Nothing,
                ..
            } => {
                let answer = DatabaseAnswer::Updated {
                    updated: 0,
                    upserted: None,
                    document: None,
                };
                (answer, None)
            }
            DatabaseOperation::Update {
                filter,
                change,
                many,
                upsert,
                returns,
            } => {
                let kind = match change {
                    Change::Replacement(document) => UpdateKind::Replacement(document),
                    Change::Operators(operators) => UpdateKind::Operators(operators),
                    Change::Nothing => UpdateKind::Operators(Document::new()),
                };
                let update = Update {
                    // What is added where none matches has the id that was asked for.
                    filter: if upsert { filter } else { of_either_kind(filter) },
                    kind,
                    array_filters: Vec::new(),
                    many,
                    sort: None,
                    upsert: upsert.then(|| self.ids.next()),
                    largest: None,
                    returns: returns.then_some(ReturnedDocument::After),
                };
                let updated = database.update(collection, update, transaction).await?;
                let document = updated
                    .document
                    .as_ref()
                    .and_then(|document| RawDocumentBuf::try_from(document).ok());
                let answer = DatabaseAnswer::Updated {
                    updated: updated.modified,
                    upserted: updated.upserted,
                    document,
                };
                (answer, updated.looked)
            }
            DatabaseOperation::Remove { filter, many } => {
                let filter = of_either_kind(filter);
                let removed = database.remove(collection, filter, many, transaction).await?;
                (DatabaseAnswer::Removed(removed.count), removed.looked)
            }
            DatabaseOperation::Aggregate(mut stages) => {
                for stage in &mut stages {
                    if let Ok(filter) = stage.get_document_mut("$match") {
                        *filter = of_either_kind(std::mem::take(filter));
                    }
                }
                let aggregate = Aggregate { stages };
                let found = database.aggregate(collection, aggregate, transaction).await?;
                (DatabaseAnswer::Documents(found.documents), found.looked)
            }
            DatabaseOperation::Begin => {
                let transaction = database.begin().await?;
                if let Some(call) = asked.call() {
                    let database = Arc::clone(database);
                    // Else what it locked would be free only after its 30 seconds.
                    let abort = async move { database.abort(transaction).await };
                    call.if_it_fails(move || drop(tokio::spawn(abort)));
                }
                (DatabaseAnswer::Began(transaction.to_string()), None)
            }
            DatabaseOperation::Commit => {
                database.commit(ended()?).await?;
                (DatabaseAnswer::Done, None)
            }
            DatabaseOperation::Abort => {
                database.abort(ended()?).await?;
                (DatabaseAnswer::Done, None)
            }
        })
    }

    /// Gives each document that is added an `_id`.
    fn with_ids(&self, operation: DatabaseOperation) -> DatabaseOperation {
        match operation {
            DatabaseOperation::Insert(documents) => DatabaseOperation::Insert(
                documents
                    .into_iter()
                    .map(|document| self.ids.complete(document))
                    .collect(),
            ),
            other => other,
        }
    }

    /// Whether this was not told yet.
    fn tells_first(&self, what: String) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < TOLD && told.insert(what)
    }

    /// Tells once of a query that reads a whole collection for few documents.
    fn tell_if_slow(&self, call: &DatabaseCall, indexes: &[IndexSpec], asked: &CloudRequest) {
        if !call.slow {
            return;
        }
        if !self.tells_first(format!(
            "{} {} {:?}",
            call.collection, call.operation, call.wanted
        )) {
            return;
        }
        let mend = if indexes.is_empty() {
            wording!(
                "no index serves what it asks: ask by equality, a range or the beginning of a text; and go on behind the last `_id` in place of a far `skip`",
                "没有索引能加速这种条件：请改用相等、范围或前缀匹配；翻得很远的 `skip` 请改为从最后的 `_id` 往后读"
            )
        } else {
            let line = database::settings_line(&call.collection, indexes);
            wording!("an index would serve it: {line}", "建议索引：{line}")
        };
        let (collection, looked, found) = (
            &call.collection,
            call.looked.unwrap_or_default(),
            call.found.unwrap_or_default(),
        );
        asked.note(&wording!(
            "a query of {collection:?} looked at {looked} documents for {found}: {mend}",
            "对 {collection:?} 的一次查询扫描了 {looked} 条记录，只得到 {found} 条：{mend}";
            mend
        ));
    }
}

/// A find as the engine is asked for it.
fn asked_find(find: tcb::database::Find) -> database::Find {
    database::Find {
        filter: of_either_kind(find.filter),
        sort: find.sort,
        projection: find.projection,
        skip: find.skip,
        limit: Some(find.limit),
        ..database::Find::default()
    }
}

/// What came of an operation.
struct Made {
    answer: DatabaseAnswer,
    looked: Option<Looked>,
    /// The indexes that would have served it.
    wanted: Vec<IndexSpec>,
}

/// `database todos getDocument`, as a row of the account of a call.
fn title(action: &str, collection: &str) -> String {
    let action = action.strip_prefix("database.").unwrap_or(action);
    if collection.is_empty() {
        return format!("database {action}");
    }
    format!("database {collection} {action}")
}

/// Machine time: what a document says of when it was made is no expiry of WeChat's.
#[expect(
    clippy::disallowed_methods,
    reason = "serverDate is the server's own time, not WeChat's"
)]
fn now() -> DateTime {
    DateTime::from(SystemTime::now())
}

/// What the client is told.
fn refusal(error: DatabaseError, operation: &DatabaseOperation) -> DatabaseRefusal {
    let writes = matches!(
        operation,
        DatabaseOperation::Insert(_) | DatabaseOperation::Update { .. }
    );
    match error {
        DatabaseError::CollectionMissing(name) => DatabaseRefusal::CollectionMissing(name),
        DatabaseError::CollectionExists(name) => DatabaseRefusal::CollectionExists(name),
        DatabaseError::BadName(bad) => DatabaseRefusal::Malformed(bad.to_string()),
        DatabaseError::Duplicate {
            collection,
            index,
            key,
            ..
        } => DatabaseRefusal::Duplicate {
            collection,
            index,
            key,
        },
        DatabaseError::Refused(error) if writes => DatabaseRefusal::Write(error.to_string()),
        DatabaseError::Refused(error) => DatabaseRefusal::Query(error.to_string()),
        DatabaseError::TransactionConflict => DatabaseRefusal::TransactionConflict,
        DatabaseError::TransactionMissing => DatabaseRefusal::TransactionMissing,
        DatabaseError::TransactionBusy => DatabaseRefusal::TransactionBusy,
        DatabaseError::TransactionsFull(_) => DatabaseRefusal::TransactionsFull,
        DatabaseError::Locked | DatabaseError::TimedOut => DatabaseRefusal::Timeout,
        DatabaseError::AnswerTooLarge(most) => DatabaseRefusal::ResultTooLarge(most >> 20),
        DatabaseError::Unsupported(why) => DatabaseRefusal::Unsupported(why),
        _ => DatabaseRefusal::Unavailable,
    }
}
