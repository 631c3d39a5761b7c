#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    future,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use bson::doc;
use calls::{CallRecord, Calls, Journal, Note};
use database::{
    BoxFuture, Changes, CollectionStatus, Embedded, Find, Found, Options, Result, Tally, Updated,
};
use futures_util::FutureExt as _;
use rules::{Caller, Level, Permission};
use runtime::{Observer, Progress, Runtime, RuntimeOptions};
use tempfile::TempDir;

use super::*;

/// Whence the tests' clients ask.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn a_document_gets_an_id_where_it_has_none_or_null() {
    let ids = DocumentIds::new();
    assert_eq!(ids.complete(doc! {"a": 1, "_id": 0}), doc! {"_id": 0, "a": 1});
    for lacking in [doc! {"a": 1}, doc! {"_id": null, "a": 1}] {
        let document = ids.complete(lacking);
        assert_eq!(document.get_str("_id").map_or(0, str::len), 32);
        assert_eq!(document.keys().collect::<Vec<_>>(), ["_id", "a"]);
    }
}

#[test]
fn ids_ascend_in_the_order_in_which_documents_are_added() {
    let id = |ids: &DocumentIds| ids.complete(doc! {}).get_str("_id").unwrap().to_owned();
    let ids = DocumentIds::new();
    let made: Vec<_> = (0..100).map(|_| id(&ids)).collect();
    assert!(made.is_sorted() && made.first() < made.last(), "{made:?}");
    // Another process goes on from the same digits, and later seconds.
    assert_eq!(id(&DocumentIds::new())[..8], made[0][..8]);
}

/// A database that answers nobody.
struct Mute;

fn never<'a, T: 'a>() -> BoxFuture<'a, Result<T>> {
    Box::pin(future::pending())
}

impl Database for Mute {
    fn create_collection<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<()>> {
        never()
    }
    fn drop_collection<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<bool>> {
        never()
    }
    fn collections(&self) -> BoxFuture<'_, Result<Vec<CollectionStatus>>> {
        never()
    }
    fn create_index<'a>(&'a self, _: &'a str, _: IndexSpec) -> BoxFuture<'a, Result<()>> {
        never()
    }
    fn drop_index<'a>(&'a self, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<bool>> {
        never()
    }
    fn insert<'a>(
        &'a self,
        _: &'a str,
        _: Vec<Document>,
        _: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Vec<Bson>>> {
        never()
    }
    fn find<'a>(&'a self, _: &'a str, _: Find, _: Option<TransactionId>) -> BoxFuture<'a, Result<Found>> {
        never()
    }
    fn count<'a>(
        &'a self,
        _: &'a str,
        _: Document,
        _: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Tally>> {
        never()
    }
    fn update<'a>(
        &'a self,
        _: &'a str,
        _: Update,
        _: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Updated>> {
        never()
    }
    fn remove<'a>(
        &'a self,
        _: &'a str,
        _: Document,
        _: bool,
        _: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Tally>> {
        never()
    }
    fn aggregate<'a>(
        &'a self,
        _: &'a str,
        _: Aggregate,
        _: Option<TransactionId>,
    ) -> BoxFuture<'a, Result<Found>> {
        never()
    }
    fn begin(&self) -> BoxFuture<'_, Result<TransactionId>> {
        never()
    }
    fn commit(&self, _: TransactionId) -> BoxFuture<'_, Result<()>> {
        never()
    }
    fn abort(&self, _: TransactionId) -> BoxFuture<'_, Result<()>> {
        never()
    }
    fn health(&self) -> BoxFuture<'_, Result<()>> {
        never()
    }
    fn changes(&self, _: Option<u64>) -> BoxFuture<'_, Result<Changes>> {
        never()
    }
}

/// What the operator is told.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Journal for Notes {
    fn call(&self, _: &CallRecord<'_>) {}
    fn note(&self, note: &Note<'_>) {
        self.0.lock().unwrap().push(note.text.to_string());
    }
}

struct Deaf;

impl Observer for Deaf {
    fn progress(&self, _: Progress) {}
    fn printed(&self, _: runtime::PrintedLine) {}
}

/// The database as functions and clients ask it, and what is told of that. Time stands still but for what waits for it.
struct Asked {
    documents: Documents,
    calls: Calls,
    notes: Arc<Notes>,
    _folder: TempDir,
}

impl Asked {
    async fn of(database: Arc<dyn Database>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        let node: PathBuf = std::env::split_paths(&path)
            .map(|folder| folder.join("node"))
            .find(|node| node.is_file())
            .expect("Node on PATH");
        let options = RuntimeOptions {
            node,
            cache_dir: folder.path().join("cache"),
            guard: Vec::new(),
            offline: true,
            spares: 0,
            max_workers: 1,
            inspect: None,
            places: false,
            log_limit: 1024,
            key_variables: ["ID", "SECRET"].map(str::to_owned),
            files_at: None,
            wechat_at: None,
        };
        let runtime = Runtime::start(options, Arc::new(Deaf)).await.unwrap();
        let notes = Arc::new(Notes::default());
        let journal: Arc<dyn Journal> = Arc::clone(&notes) as _;
        let calls = Calls::new("wx0".to_owned(), runtime, Arc::default(), journal);
        let permissions = Permissions {
            default: Permission::Level(Level::AdminWrite),
            ..Permissions::default()
        };
        let documents = Documents::new(DatabaseAccess {
            database,
            missing: MissingCollection::Refuse,
            makers: None,
            permissions: Arc::new(ArcSwap::from_pointee(permissions)),
        });
        tokio::time::pause();
        Self {
            documents,
            calls,
            notes,
            _folder: folder,
        }
    }

    fn by_a_function(&self) -> CloudRequest {
        CloudRequest::new(self.calls.clone(), "r".to_owned(), "list".to_owned(), None)
    }

    /// What a function is answered.
    async fn answer(&self, request: DatabaseRequest) -> String {
        let what = title("op", &request.collection);
        let inner = &self.documents.0;
        let reply = inner.answer(what, request, None, self.by_a_function()).await;
        String::from_utf8(reply.body).unwrap()
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.notes.0.lock().unwrap())
    }
}

fn request(action: DatabaseAction, operation: DatabaseOperation) -> DatabaseRequest {
    DatabaseRequest {
        action,
        collection: "c".to_owned(),
        transaction: None,
        operation,
    }
}

fn read() -> DatabaseRequest {
    request(DatabaseAction::Count, DatabaseOperation::Count(doc! {}))
}

fn update() -> DatabaseRequest {
    let operation = DatabaseOperation::Update {
        filter: doc! {"_id": 1},
        change: Change::Operators(doc! {"$inc": {"n": 1}}),
        many: false,
        upsert: false,
        returns: false,
    };
    request(DatabaseAction::Modify, operation)
}

#[tokio::test]
async fn what_takes_too_long_is_answered_as_on_the_platform_and_told() {
    let asked = Asked::of(Arc::new(Mute)).await;
    let began = tokio::time::Instant::now();
    for (request, is_unsure) in [(read(), false), (update(), true)] {
        let answer = asked.answer(request).await;
        for part in [
            "DATABASE_TIMEOUT",
            "[FailedOperation.Timeout] Execution request timeout",
        ] {
            assert!(answer.contains(part), "{part}: {answer}");
        }
        let told = asked.told();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].contains("list: database c op was given up after 11 seconds"),
            "{told:?}"
        );
        assert_eq!(told[0].contains("it may have been done"), is_unsure, "{told:?}");
    }
    // By the clock that stands still, and sooner than SDKs hang up.
    assert_eq!(began.elapsed().as_secs(), 2 * WITHIN.as_secs());
}

#[tokio::test]
async fn what_a_client_asks_by_rest_ends_as_well() {
    let asked = Asked::of(Arc::new(Mute)).await;
    let caller = Caller::of_openid("o");
    let by_client = CloudRequest::of_client(asked.calls.clone(), "r".to_owned(), caller.owner());
    let client = AskingClient::web(&caller, HERE);
    let answer = asked.documents.answer_for(read(), client, by_client).await;
    assert_eq!(answer, Err(DatabaseRefusal::Timeout));
    let told = asked.told();
    assert!(
        told[0].contains("a client: database c count was given up after 11 seconds"),
        "{told:?}"
    );
}

#[tokio::test]
async fn what_nobody_waits_for_is_told_where_it_took_long() {
    let asked = Asked::of(Arc::new(Mute)).await;
    for (seconds, request, told) in [
        (0, read(), None),
        (
            3,
            read(),
            Some("list: database c op was given up after 3 seconds: nobody waits for its answer any more"),
        ),
        (
            4,
            update(),
            Some(
                "list: database c op was given up after 4 seconds: nobody waits for its answer any more; it may have been done",
            ),
        ),
    ] {
        let mut answer = Box::pin(asked.answer(request));
        assert!(answer.as_mut().now_or_never().is_none());
        tokio::time::advance(Duration::from_secs(seconds)).await;
        drop(answer);
        assert_eq!(asked.told(), told.into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn nothing_is_done_of_a_write_that_was_given_up_before_it_began() {
    let database = Embedded::in_memory(Options::default()).unwrap();
    database.create_collection("c").await.unwrap();
    let documents = vec![doc! {"_id": 1, "n": 0}];
    database.insert("c", documents, None).await.unwrap();
    let change = |n: i32| Update {
        filter: doc! {"_id": 1},
        kind: UpdateKind::Operators(doc! {"$inc": {"n": n}}),
        array_filters: Vec::new(),
        many: false,
        sort: None,
        upsert: None,
        largest: None,
        returns: None,
    };
    let transaction = database.begin().await.unwrap();
    database.update("c", change(10), Some(transaction)).await.unwrap();
    let asked = Asked::of(Arc::new(database.clone())).await;
    let answer = asked.answer(update()).await;
    assert!(answer.contains("DATABASE_TIMEOUT"), "{answer}");
    database.commit(transaction).await.unwrap();
    // Whatever waited for the lock was taken up again before this.
    database.update("c", change(100), None).await.unwrap();
    let found = database.find("c", Find::default(), None).await.unwrap();
    assert_eq!(found.documents[0].get_i32("n").unwrap(), 110);
}

#[tokio::test]
async fn a_client_gets_fewer_rounds_of_loops_than_a_function() {
    let database = Embedded::in_memory(Options::default()).unwrap();
    database.create_collection("c").await.unwrap();
    database.insert("c", vec![doc! {"_id": 1}], None).await.unwrap();
    let asked = Asked::of(Arc::new(database)).await;
    let range = || doc! {"$range": [0, 1100]};
    let inner = doc! {"$size": {"$filter": {"input": range(), "cond": {"$gt": ["$$this", 1]}}}};
    let sum = doc! {"$sum": {"$map": {"input": range(), "in": inner}}};
    let stages = vec![doc! {"$limit": 1}, doc! {"$set": {"sum": sum}}];
    let request = request(DatabaseAction::Aggregate, DatabaseOperation::Aggregate(stages));
    let caller = Caller::of_openid("o");
    let by_client = CloudRequest::of_client(asked.calls.clone(), "r".to_owned(), caller.owner());
    let inner = &asked.documents.0;
    let refused = inner
        .make(
            "database c op",
            request.clone(),
            Some(AskingClient::web(&caller, HERE)),
            &by_client,
        )
        .await;
    assert_eq!(refused.map(drop), Err(DatabaseRefusal::Timeout));
    let told = asked.told();
    assert!(told[0].contains("more rounds of loops"), "{told:?}");
    let made = inner
        .make("database c op", request, None, &asked.by_a_function())
        .await;
    assert!(made.is_ok());
}

/// Whoever asks cannot look at what others wrote; the log says which document it is, once.
#[tokio::test]
async fn an_answer_that_is_too_large_for_a_client_is_told_with_the_largest_document() {
    let database = Embedded::in_memory(Options::default()).unwrap();
    database.create_collection("c").await.unwrap();
    let documents =
        [("a", 300), ("b", 500), ("c", 400)].map(|(id, size)| doc! {"_id": id, "t": "x".repeat(size << 10)});
    database.insert("c", documents.to_vec(), None).await.unwrap();
    let asked = Asked::of(Arc::new(database)).await;
    let caller = Caller::of_openid("o");
    let get = async |limit| {
        let find = tcb::database::Find {
            filter: doc! {},
            sort: Some(doc! {"_id": 1}),
            projection: None,
            skip: 0,
            limit,
        };
        let by_client = CloudRequest::of_client(asked.calls.clone(), "r".to_owned(), caller.owner());
        let client = AskingClient::web(&caller, HERE);
        let request = request(DatabaseAction::Get, DatabaseOperation::Find(find));
        asked.documents.answer_for(request, client, by_client).await
    };
    assert!(matches!(get(2).await, Ok(DatabaseAnswer::Documents(found)) if found.len() == 2));
    assert_eq!(asked.told(), [""; 0]);
    let refused = get(20).await.unwrap_err();
    assert_eq!(refused, DatabaseRefusal::ResultTooLarge(1));
    assert!(
        refused.text().contains("ask for fewer documents or fields"),
        "{}",
        refused.text()
    );
    let told = asked.told();
    assert!(told[0].contains("with 500 KB, has the _id \"b\""), "{told:?}");
    assert_eq!(get(20).await, Err(DatabaseRefusal::ResultTooLarge(1)));
    assert_eq!(asked.told(), [""; 0]);
}
