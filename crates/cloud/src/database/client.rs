//! The same for a client by itself: the actions that a Mini Program's `wx.cloud.database()` has, within the permission of each
//! collection and the limits of clients.

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard, PoisonError, atomic::Ordering},
};

use bson::{Bson, Document, RawDocumentBuf, doc};
use calls::{Calls, Note};
use database::{ClientDatabase, ClientError, Database, DatabaseError, Find, Looked, Permissions};
use ejson::shell::to_line;
use rules::{Level, Permission};
use tcb::{
    Envelope, SdkReply,
    database::{Change, DatabaseAction, DatabaseAnswer, DatabaseOperation, DatabaseRefusal, DatabaseRequest},
};
use wording::{shell_words, wording};

use super::{Documents, Inner, account, asked_find, now, title};
use crate::{AskingClient, CloudRequest};

/// Bytes of documents that a `get` of a client may give, as measured on the platform.
const MOST_FOUND: usize = 1 << 20;
/// The same of an aggregate.
const MOST_AGGREGATED: usize = 5 << 20;
/// Empty answers that are looked into, in the life of the process.
const LOOKS: u32 = 1000;

impl Documents {
    /// Answers a client.
    pub(crate) async fn answer_client(
        &self,
        envelope: &Envelope<'_>,
        client: AskingClient<'_>,
        asked: CloudRequest,
    ) -> SdkReply {
        let name = envelope.action_name();
        let Some(action) = DatabaseAction::of(name) else {
            return asked.malformed("there is no such action of the database");
        };
        let what = title(name, envelope.text("collectionName").unwrap_or_default());
        match DatabaseRequest::read(action, envelope, now()) {
            Ok(request) => self.0.answer(what, request, Some(client), asked).await,
            Err(refusal) => refusal.reply(asked.request_id()),
        }
    }

    /// Does what a client asks.
    pub(crate) async fn answer_for(
        &self,
        request: DatabaseRequest,
        client: AskingClient<'_>,
        mut asked: CloudRequest,
    ) -> Result<DatabaseAnswer, DatabaseRefusal> {
        let mut call = account::database_call(&request);
        let what = title(call.operation, &request.collection);
        asked.begin(&what, account::writes(&request.operation), None);
        let made = self.0.make_in_time(&what, request, Some(client), &asked).await;
        asked.end();
        let made = made?;
        account::came_to(&mut call, &made);
        self.0.tell_if_slow(&call, &made.wanted, &asked);
        Ok(made.answer)
    }
}

impl Inner {
    /// Does it within what the caller may.
    pub(super) async fn once_for(
        &self,
        database: &dyn Database,
        asking: AskingClient<'_>,
        collection: &str,
        operation: DatabaseOperation,
        asked: &CloudRequest,
    ) -> Result<(DatabaseAnswer, Option<Looked>), ClientError> {
        let client = ClientDatabase {
            database,
            permissions: &self.access.permissions.load_full(),
            caller: asking.caller,
            now: now().timestamp_millis(),
        };
        Ok(match operation {
            DatabaseOperation::Insert(documents) => (
                DatabaseAnswer::Inserted(client.insert(collection, documents).await?),
                None,
            ),
            DatabaseOperation::Find(find) => {
                let find = Find {
                    limit: Some(find.limit.min(asking.most_found)),
                    ..asked_find(find)
                };
                let found = client.find(collection, find).await?;
                let documents = self.listed(found.documents, MOST_FOUND, collection, asked)?;
                (documents, found.looked)
            }
            DatabaseOperation::Count(filter) => {
                let counted = client.count(collection, filter).await?;
                (DatabaseAnswer::Counted(counted.count), counted.looked)
            }
            DatabaseOperation::Aggregate(stages) => {
                let found = client.aggregate(collection, stages).await?;
                let documents = self.listed(found.documents, MOST_AGGREGATED, collection, asked)?;
                (documents, found.looked)
            }
            DatabaseOperation::Remove { filter, many } => {
                let removed = client.remove(collection, filter, many).await?;
                (DatabaseAnswer::Removed(removed.count), removed.looked)
            }
            DatabaseOperation::Update {
                filter,
                change: Change::Operators(operators),
                many,
                upsert: false,
                returns: false,
            } => changed(client.update(collection, filter, operators, many).await?),
            DatabaseOperation::Update {
                filter,
                change: Change::Nothing,
                many,
                upsert: false,
                returns: false,
            } => changed(client.update(collection, filter, Document::new(), many).await?),
            DatabaseOperation::Update {
                filter,
                change: Change::Replacement(document),
                many: false,
                returns: false,
                ..
            } => {
                let id = only_id(&filter).ok_or_else(|| {
                    ClientError::NotForClients(
                        "a client sets a document by its _id alone: doc(id).set()".to_owned(),
                    )
                })?;
                changed(client.set(collection, id, document).await?)
            }
            other => {
                let what = match other {
                    DatabaseOperation::CreateCollection => "make collections",
                    DatabaseOperation::Begin | DatabaseOperation::Commit | DatabaseOperation::Abort => {
                        "have transactions"
                    }
                    _ => "do that",
                };
                return Err(ClientError::NotForClients(format!(
                    "clients do not {what}: do it in a function"
                )));
            }
        })
    }
}

impl Inner {
    /// The documents as an answer. Where they are too large for one, that is told once with the largest: others wrote it, perhaps, and
    /// whoever asks cannot look. Some of them in place of the error would be taken for all that there are.
    fn listed(
        &self,
        documents: Vec<RawDocumentBuf>,
        most: usize,
        collection: &str,
        asked: &CloudRequest,
    ) -> Result<DatabaseAnswer, DatabaseError> {
        let size_of = |document: &RawDocumentBuf| document.as_bytes().len();
        let size: usize = documents.iter().map(size_of).sum();
        if size <= most {
            return Ok(DatabaseAnswer::Documents(documents));
        }
        let largest = documents.iter().max_by_key(|document| size_of(document));
        if let Some(largest) = largest
            && let Some(id) = largest.get("_id").ok().flatten()
        {
            let id = to_line(&Bson::try_from(id).unwrap_or(Bson::Null));
            let id = account::line(&id);
            if self.tells_first(format!("{collection} {id} is large")) {
                let (size, large, most) = (size >> 10, size_of(largest) >> 10, most >> 20);
                asked.note(&wording!(
                    "a query of {collection:?} gives {size} KB, and a client is given {most} MB at once: ask for fewer documents or fields. \
                     The largest of them, with {large} KB, has the _id {id}",
                    "对 {collection:?} 的一次查询有 {size} KB，而小程序端一次最多得到 {most} MB：请减少记录或字段。其中最大的一条 _id 为 {id}，有 {large} KB"
                ));
            }
        }
        Err(DatabaseError::AnswerTooLarge(most))
    }

    /// Tells once of a collection of which a client gets nothing, though it has documents: its permission stands in WeChat's
    /// console, and in no file of the project.
    ///
    /// The client's own query is not asked of everybody's documents: how long that takes would tell the client of them. Nor does its
    /// answer wait.
    pub(super) fn tell_if_kept_back(
        self: &Arc<Self>,
        collection: &str,
        answer: &DatabaseAnswer,
        asked: &CloudRequest,
    ) {
        let found_nothing = match answer {
            DatabaseAnswer::Documents(found) => found.is_empty(),
            DatabaseAnswer::Counted(count) => *count == 0,
            _ => false,
        };
        if found_nothing {
            let openid = asked.openid().map(str::to_owned);
            self.look_if_kept_back(collection, asked.calls(), asked.request_id(), openid);
        }
    }

    /// The same where it is known that a client found nothing.
    pub(super) fn look_if_kept_back(
        self: &Arc<Self>,
        collection: &str,
        calls: &Calls,
        request_id: &str,
        openid: Option<String>,
    ) {
        if !keeps_back_unsaid(&self.access.permissions.load(), collection) {
            return;
        }
        let has_told = self.known_kept_back().contains(collection);
        if has_told {
            return;
        }
        if self.looked_into.fetch_add(1, Ordering::Relaxed) >= LOOKS {
            self.looked_into.store(LOOKS, Ordering::Relaxed);
            return;
        }
        let (inner, calls) = (Arc::clone(self), calls.clone());
        let (collection, request_id) = (collection.to_owned(), request_id.to_owned());
        tokio::spawn(async move {
            let find = Find {
                projection: Some(doc! {"_id": 1}),
                limit: Some(1),
                ..Find::default()
            };
            let found = inner.access.database.find(&collection, find, None).await;
            let has_documents = found.is_ok_and(|found| !found.documents.is_empty());
            if has_documents && inner.known_kept_back().insert(collection.clone()) {
                // This one alone: whoever asks for many is not to have them opened together.
                let name = shell_words(&[&collection]);
                calls.journal().note(&Note {
                    request_id: &request_id,
                    openid: openid.as_deref(),
                    text: &wording!(
                        "a client found nothing of its own in {collection:?}, which has documents: where nothing is said, clients read \
                         their own alone. If WeChat's console lets everybody read (所有用户可读), type in the project's folder: \
                         yunqiao db permission --set READONLY {name}",
                        "小程序端在 {collection:?} 中没有查到自己的记录，而集合里有记录：未写明权限时，小程序端只能读自己的记录。如果云开发控制台里是\
                         “所有用户可读，仅创建者可写”，请在项目目录执行：yunqiao db permission --set READONLY {name}"
                    ),
                });
            }
        });
    }
}

impl Inner {
    fn known_kept_back(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.kept_back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Collections that were told to be kept back, without those of which somebody has said since who may read them.
    pub(super) fn kept_back(&self) -> Vec<String> {
        let permissions = self.access.permissions.load();
        let known = self.known_kept_back();
        let still = known.iter().filter(|name| keeps_back_unsaid(&permissions, name));
        still.cloned().collect()
    }
}

/// Whether clients read their own documents alone because nobody has said anything of the collection.
fn keeps_back_unsaid(permissions: &Permissions, collection: &str) -> bool {
    !permissions.collections.contains_key(collection)
        && permissions.default == Permission::Level(Level::Private)
}

fn changed(updated: database::Updated) -> (DatabaseAnswer, Option<Looked>) {
    let answer = DatabaseAnswer::Updated {
        updated: updated.modified,
        upserted: updated.upserted,
        document: None,
    };
    (answer, updated.looked)
}

/// The `_id` of a filter that asks for nothing else.
fn only_id(filter: &Document) -> Option<Bson> {
    let id = filter.get("_id").filter(|_| filter.len() == 1)?;
    match id {
        Bson::Document(condition) if condition.keys().any(|name| name.starts_with('$')) => {
            condition.get("$eq").filter(|_| condition.len() == 1).cloned()
        }
        Bson::RegularExpression(_) => None,
        id => Some(id.clone()),
    }
}
