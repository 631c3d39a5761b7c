//! Clients as CloudBase's SDKs are, on a database in memory: whatever happens to documents, to connections and to the feed, each ends up with
//! what its query finds.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bson::{Document, doc};
use database::{Database, Embedded, Find, Options, Permissions, Update, UpdateKind};
use futures_util::FutureExt as _;
use realtime::{ClientMessage, Dialect};
use rules::{Caller, Level, Permission};
use serde_json::{Value, json};

use crate::{feed::RETRY, *};

/// A bound on a test that hangs, and on nothing else.
const HANGS: Duration = Duration::from_secs(60);

fn in_memory() -> Arc<dyn Database> {
    Arc::new(Embedded::in_memory(Options::default()).unwrap())
}

/// A database with an empty collection.
async fn with_collection() -> Arc<dyn Database> {
    let database = in_memory();
    database.create_collection("c").await.unwrap();
    database
}

/// The same, which all may watch.
async fn open_to_all() -> (Arc<dyn Database>, Watchers) {
    let database = with_collection().await;
    let watchers = watchers_of(&database, Permission::Level(Level::ReadOnly));
    (database, watchers)
}

fn watchers_of(database: &Arc<dyn Database>, permission: Permission) -> Watchers {
    Watchers::new(config_of(database, permission))
}

fn config_of(database: &Arc<dyn Database>, permission: Permission) -> WatchersConfig {
    WatchersConfig {
        database: Arc::clone(database),
        permissions: Arc::new(ArcSwap::from_pointee(Permissions {
            default: permission,
            collections: BTreeMap::new(),
        })),
        makes_collections: true,
        memory: 64 << 20,
        denied: Box::new(|_, _| {}),
        found_nothing: Box::new(|_| {}),
    }
}

/// One client with one watch, as an SDK keeps it.
struct Client {
    watchers: Watchers,
    caller: Caller,
    data: Value,
    connection: Option<(Session, Arc<Outbox>)>,
    query_id: String,
    event: i64,
    docs: Vec<Value>,
    /// How many snapshots it had.
    snapshots: usize,
}

impl Client {
    fn new(watchers: &Watchers, openid: &str, data: Value) -> Self {
        let mut client = Self {
            watchers: watchers.clone(),
            caller: Caller::of_openid(openid),
            data,
            connection: None,
            query_id: String::new(),
            event: 0,
            docs: Vec::new(),
            snapshots: 0,
        };
        client.connect();
        client.say("INIT_WATCH", client.data.clone());
        client
    }

    fn connect(&mut self) {
        let outbox = self.watchers.outbox();
        let session = self.watchers.session(
            self.caller.clone(),
            Dialect::Plain,
            Arc::clone(&outbox),
            &self.payer(),
        );
        self.connection = Some((session, outbox));
    }

    fn payer(&self) -> String {
        self.caller.owner().unwrap_or_default().to_owned()
    }

    /// Loses the connection, and comes back.
    fn reconnect(&mut self) {
        self.connection = None;
        self.connect();
        match self.query_id.is_empty() {
            true => self.say("INIT_WATCH", self.data.clone()),
            false => self.rebuild(),
        }
    }

    fn rebuild(&mut self) {
        let data = json!({"collName": "c", "queryID": self.query_id, "eventID": self.event});
        self.say("REBUILD_WATCH", data);
    }

    fn say(&mut self, kind: &str, data: Value) {
        let message = json!({"watchId": "w", "requestId": kind, "msgType": kind, "msgData": data});
        let (session, _) = self.connection.as_mut().unwrap();
        session.hear(ClientMessage::read(&message.to_string()));
    }

    /// The next message, applied.
    async fn next(&mut self) -> Value {
        let mut last = Value::Null;
        let (_, outbox) = self.connection.as_ref().unwrap();
        let frames = tokio::time::timeout(HANGS, outbox.take()).await.unwrap().unwrap();
        outbox.has_sent();
        for frame in frames.iter() {
            last = serde_json::from_slice(&[&frame.head[..], &frame.tail].concat()).unwrap();
            self.hear(&last);
        }
        last
    }

    /// What is there already.
    fn hear_what_came(&mut self) {
        let (_, outbox) = self.connection.as_ref().unwrap();
        for frame in outbox.take().now_or_never().flatten().unwrap_or_default().iter() {
            self.hear(&serde_json::from_slice(&[&frame.head[..], &frame.tail].concat()).unwrap());
        }
    }

    fn hear(&mut self, message: &Value) {
        let data = &message["msgData"];
        let begins = message["msgType"] == "INIT_EVENT";
        if begins {
            self.query_id = data["queryID"].as_str().unwrap().to_owned();
            self.event = data["currEvent"].as_i64().unwrap() - 1;
            self.docs.clear();
        }
        let Some(events) = data["events"].as_array() else {
            return;
        };
        if begins && events.is_empty() {
            self.event += 1;
        }
        let mut began = None;
        for event in events {
            let number = event["ID"].as_i64().unwrap();
            assert!(
                number == self.event || number == self.event + 1,
                "{number} does not follow {}: {message}",
                self.event
            );
            self.event = number;
            self.snapshots += 1;
            let is_it = |document: &Value| document["_id"] == event["DocID"];
            let document = || -> Value { serde_json::from_str(event["Doc"].as_str().unwrap()).unwrap() };
            let at = self.docs.iter().position(is_it);
            match event["QueueType"].as_str().unwrap() {
                "init" => {
                    if began.replace(number) != Some(number) {
                        self.docs.clear();
                    }
                    self.docs.push(document());
                }
                "enqueue" => {
                    assert!(at.is_none(), "it has that already: {event}");
                    self.docs.push(document());
                }
                "update" => self.docs[at.unwrap()] = document(),
                "dequeue" => drop(self.docs.remove(at.unwrap())),
                other => panic!("{other}"),
            }
        }
    }

    /// Hears until it has these documents, in any order.
    async fn has(&mut self, wanted: &[Value]) {
        let sorted = |documents: &[Value]| {
            let mut texts: Vec<String> = documents.iter().map(Value::to_string).collect();
            texts.sort();
            texts
        };
        while sorted(&self.docs) != sorted(wanted) {
            let heard = tokio::time::timeout(HANGS, self.next()).await;
            assert!(heard.is_ok(), "{:?} instead of {wanted:?}", self.docs);
        }
    }
}

async fn put(database: &Arc<dyn Database>, id: &str, fields: Document) {
    let mut document = doc! {"_id": id};
    document.extend(fields);
    let update = Update {
        upsert: Some(id.into()),
        ..update_of(id, UpdateKind::Replacement(document))
    };
    database.update("c", update, None).await.unwrap();
}

fn update_of(id: &str, kind: UpdateKind) -> Update {
    Update {
        filter: doc! {"_id": id},
        kind,
        array_filters: Vec::new(),
        many: false,
        sort: None,
        upsert: None,
        largest: None,
        returns: None,
    }
}

async fn remove(database: &Arc<dyn Database>, id: &str) {
    database.remove("c", doc! {"_id": id}, false, None).await.unwrap();
}

fn in_rooms<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work)
}

#[test]
fn a_watch_begins_with_what_there_is_and_goes_on_with_what_changes() {
    in_rooms(async {
        let database = with_collection().await;
        put(&database, "a", doc! {"n": 1}).await;
        put(&database, "b", doc! {"n": 9}).await;
        let watchers = watchers_of(&database, Permission::Level(Level::ReadOnly));
        let mut client = Client::new(
            &watchers,
            "alice",
            json!({"collName": "c", "query": "{\"n\":{\"$lt\":5}}"}),
        );
        let begun = client.next().await;
        assert_eq!(begun["msgType"], "INIT_EVENT");
        client.has(&[json!({"_id": "a", "n": 1})]).await;
        put(&database, "b", doc! {"n": 2}).await;
        client
            .has(&[json!({"_id": "a", "n": 1}), json!({"_id": "b", "n": 2})])
            .await;
        put(&database, "a", doc! {"n": 7}).await;
        client.has(&[json!({"_id": "b", "n": 2})]).await;
        // The number of the last events is answered, and of no other watch.
        client.say("CHECK_LAST", json!({}));
        let checked = client.next().await;
        assert_eq!(checked["msgData"]["currEvent"], client.event);
        remove(&database, "b").await;
        client.has(&[]).await;
        let (_, watches) = watchers.live(10);
        assert_eq!(watches.len(), 1);
        assert_eq!(
            (watches[0].owner.as_deref(), watches[0].documents),
            (Some("alice"), 0)
        );
        client.say("CLOSE_WATCH", Value::Null);
        assert_eq!(watchers.live(1), (0, vec![]));
    });
}

#[test]
fn a_watcher_is_told_of_nobody_elses_documents() {
    in_rooms(async {
        let database = with_collection().await;
        let watchers = watchers_of(&database, Permission::Level(Level::Private));
        let mut alice = Client::new(&watchers, "alice", json!({"collName": "c"}));
        let mut bob = Client::new(
            &watchers,
            "bob",
            json!({"collName": "c", "query": "{\"_openid\":\"alice\"}"}),
        );
        alice.next().await;
        bob.next().await;
        put(&database, "a", doc! {"_openid": "alice"}).await;
        put(&database, "a", doc! {"_openid": "alice", "n": 1}).await;
        alice
            .has(&[json!({"_id": "a", "_openid": "alice", "n": 1})])
            .await;
        remove(&database, "a").await;
        alice.has(&[]).await;
        put(&database, "b", doc! {"_openid": "bob"}).await;
        put(&database, "a", doc! {"_openid": "alice"}).await;
        alice.has(&[json!({"_id": "a", "_openid": "alice"})]).await;
        // Whatever alice heard, bob would have heard by now.
        bob.say("CHECK_LAST", json!({}));
        let checked = bob.next().await;
        assert_eq!(checked["msgType"], "CHECK_EVENT");
        assert_eq!(
            (bob.docs.len(), checked["msgData"]["currEvent"].clone()),
            (0, json!(1))
        );
    });
}

#[test]
fn whoever_may_not_watch_is_told_so() {
    in_rooms(async {
        let database = in_memory();
        for (permission, data, code) in [
            (
                Permission::Level(Level::AdminOnly),
                json!({"collName": "c"}),
                "COLLECTION_PERMISSION_DENIED",
            ),
            (
                rule("doc.open == true"),
                json!({"collName": "c"}),
                "COLLECTION_PERMISSION_DENIED",
            ),
            (
                Permission::Level(Level::ReadOnly),
                json!({"collName": "c", "query": "{\"$where\":\"1\"}"}),
                "COLLECTION_PERMISSION_DENIED",
            ),
            (
                Permission::Level(Level::ReadOnly),
                json!({"collName": "c", "query": "{\"a\":{\"$no\":1}}"}),
                "DATABASE_REQUEST_FAILED",
            ),
            (
                Permission::Level(Level::ReadOnly),
                json!({"collName": "c", "query": "{"}),
                "INVALID_PARAM",
            ),
        ] {
            let watchers = watchers_of(&database, permission);
            let mut client = Client::new(&watchers, "alice", data.clone());
            let refused = client.next().await;
            assert_eq!(
                (refused["msgType"].as_str(), refused["msgData"]["code"].as_str()),
                (Some("ERROR"), Some(code)),
                "{data}"
            );
            assert_eq!(watchers.live(1), (0, vec![]));
        }
    });
}

fn rule(read: &str) -> Permission {
    let rules = json!({"read": read, "write": false}).to_string();
    Permission::Rules(Box::new(rules.parse().unwrap()))
}

#[test]
fn a_watch_ends_when_the_document_says_so_by_which_it_was_let_in() {
    in_rooms(async {
        let database = in_memory();
        let watchers = room_of(&database, &["alice", "bob"]).await;
        let mut alice = Client::new(&watchers, "alice", in_room());
        let mut bob = Client::new(&watchers, "bob", in_room());
        alice.next().await;
        bob.next().await;
        put(&database, "1", doc! {"room": "r"}).await;
        for client in [&mut alice, &mut bob] {
            client.has(&[json!({"_id": "1", "room": "r"})]).await;
        }
        change_room(&database, doc! {"$pull": {"members": "bob"}}).await;
        put(&database, "2", doc! {"room": "r", "secret": true}).await;
        let both = [
            json!({"_id": "1", "room": "r"}),
            json!({"_id": "2", "room": "r", "secret": true}),
        ];
        alice.has(&both).await;
        let ended = bob.next().await;
        assert_eq!(ended["msgData"]["code"], "COLLECTION_PERMISSION_DENIED");
        assert_eq!(bob.docs.len(), 1);
        // When nobody may any more, the query is let go of.
        database
            .remove("rooms", doc! {"_id": "r"}, false, None)
            .await
            .unwrap();
        let ended = alice.next().await;
        assert_eq!(ended["msgData"]["code"], "COLLECTION_PERMISSION_DENIED");
        assert_eq!(watchers.live(1), (0, vec![]));
        assert!(!watchers.0.queries().is_leaking());
    });
}

#[test]
fn a_watch_goes_on_within_what_clients_may_by_now() {
    in_rooms(async {
        let database = in_memory();
        database.create_collection("c").await.unwrap();
        let config = config_of(&database, Permission::Level(Level::ReadOnly));
        let permissions = config.permissions.clone();
        let say = |permission| {
            permissions.store(Arc::new(Permissions {
                default: permission,
                collections: BTreeMap::new(),
            }));
        };
        let watchers = Watchers::new(config);
        let mut alice = Client::new(&watchers, "alice", json!({"collName": "c"}));
        alice.next().await;
        put(&database, "1", doc! {"_openid": "bob"}).await;
        alice.has(&[json!({"_id": "1", "_openid": "bob"})]).await;
        say(Permission::Level(Level::Private));
        watchers.judge_again();
        put(&database, "2", doc! {"_openid": "bob", "secret": true}).await;
        put(&database, "3", doc! {"_openid": "alice"}).await;
        alice.has(&[json!({"_id": "3", "_openid": "alice"})]).await;
        say(Permission::Level(Level::AdminOnly));
        watchers.judge_again();
        let ended = alice.next().await;
        assert_eq!(ended["msgData"]["code"], "COLLECTION_PERMISSION_DENIED");
        assert!(!watchers.0.queries().is_leaking());
    });
}

/// A query that is too much work ends alone, and its developer is told.
#[test]
fn a_query_that_takes_too_long_ends_and_no_other_does() {
    in_rooms(async {
        let database = with_collection().await;
        let noted = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&noted);
        let watchers = Watchers::new(WatchersConfig {
            denied: Box::new(move |caller, text| {
                let note = format!("{}: {text}", caller.owner().unwrap_or_default());
                notes.lock().unwrap().push(note);
            }),
            ..config_of(&database, Permission::Level(Level::ReadOnly))
        });
        let range = json!({"$range": [0, 100_000]});
        let heavy =
            json!({"$expr": {"$eq": [{"$size": {"$filter": {"input": range, "cond": "$$this"}}}, 1]}});
        let light =
            json!({"$expr": {"$eq": [{"$size": {"$filter": {"input": "$of", "cond": "$$this"}}}, 1]}});
        let watching = |query: &Value| json!({"collName": "c", "query": query.to_string()});
        let mut mallory = Client::new(&watchers, "mallory", watching(&heavy));
        let mut alice = Client::new(&watchers, "alice", watching(&light));
        mallory.next().await;
        alice.next().await;
        put(&database, "a", doc! {"of": [1, 0]}).await;
        alice.has(&[json!({"_id": "a", "of": [1, 0]})]).await;
        let ended = mallory.next().await;
        assert_eq!(ended["msgData"]["code"], "EXCEED_REQUEST_LIMIT", "{ended}");
        assert_eq!(watchers.live(0).0, 1);
        let noted = noted.lock().unwrap();
        assert!(
            noted.len() == 1 && noted[0].starts_with("mallory: a watch of \"c\" ended: "),
            "{noted:?}"
        );
    });
}

#[test]
fn a_watch_of_too_many_bytes_does_not_begin_or_ends() {
    in_rooms(async {
        let database = with_collection().await;
        let large = || doc! {"text": "x".repeat(5 << 20)};
        let watchers = watchers_of(&database, Permission::Level(Level::ReadOnly));
        put(&database, "a", large()).await;
        let mut client = Client::new(&watchers, "alice", json!({"collName": "c"}));
        client.next().await;
        assert_eq!(client.docs.len(), 1);
        put(&database, "b", large()).await;
        let ended = client.next().await;
        assert_eq!(ended["msgData"]["code"], "EXCEED_REQUEST_LIMIT");
        client.say("INIT_WATCH", json!({"collName": "c"}));
        let refused = client.next().await;
        assert_eq!(refused["msgData"]["code"], "EXCEED_REQUEST_LIMIT");
        assert_eq!(watchers.live(1), (0, vec![]));
    });
}

/// Has watchers whose memory is so much, and what the developer is told.
fn within(
    database: &Arc<dyn Database>,
    memory: usize,
    permission: Permission,
) -> (Watchers, Arc<Mutex<Vec<String>>>) {
    let noted = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&noted);
    let watchers = Watchers::new(WatchersConfig {
        memory,
        denied: Box::new(move |caller, text| {
            let note = format!("{}: {text}", caller.owner().unwrap_or_default());
            notes.lock().unwrap().push(note);
        }),
        ..config_of(database, permission)
    });
    (watchers, noted)
}

/// Watches that find the same document, each by a query of its own.
fn nth(query: usize) -> Value {
    json!({"collName": "c", "query": json!({"n": {"$ne": query + 1}}).to_string()})
}

#[test]
fn a_user_s_watches_have_their_share_of_the_memory_and_no_more() {
    in_rooms(async {
        let database = with_collection().await;
        put(&database, "a", doc! {"n": 0, "text": "x".repeat(200 << 10)}).await;
        // 1 MB for each.
        let (watchers, noted) = within(&database, 8 << 20, Permission::Level(Level::ReadOnly));
        let mut of_alice = Vec::new();
        let refused = loop {
            let mut client = Client::new(&watchers, "alice", nth(of_alice.len()));
            let answer = client.next().await;
            if answer["msgType"] == "ERROR" {
                break answer;
            }
            assert!(of_alice.len() < 10, "she has all of the memory");
            of_alice.push(client);
        };
        assert!(of_alice.len() > 1);
        assert_eq!(refused["msgData"]["code"], "EXCEED_REQUEST_LIMIT");
        let text = refused["msgData"]["message"].as_str().unwrap();
        assert!(
            text.contains("more than 1 MB together") && text.contains("close some"),
            "{text}"
        );
        assert!(noted.lock().unwrap()[0].starts_with("alice: a watch of \"c\" ended: "));
        assert!(watchers.0.queries().bytes("alice").1 <= 1 << 20);
        // Others have theirs, and what they watch alike is there once.
        let before = watchers.0.queries().bytes("alice").0;
        let mut bob = Client::new(&watchers, "bob", nth(0));
        bob.next().await;
        let (after, of_bob) = watchers.0.queries().bytes("bob");
        assert!(
            of_bob > 200 << 10 && after - before < of_bob,
            "{before} {after} {of_bob}"
        );
        // Whoever closes one has room for another.
        of_alice[0].say("CLOSE_WATCH", Value::Null);
        let mut another = Client::new(&watchers, "alice", nth(50));
        assert_eq!(another.next().await["msgType"], "INIT_EVENT");
        // A document that grows is too much, too.
        put(&database, "a", doc! {"n": 0, "text": "x".repeat(600 << 10)}).await;
        let mut over = 0;
        for client in of_alice[1..].iter_mut().chain([&mut another]) {
            over += usize::from(client.next().await["msgType"] == "ERROR");
        }
        assert!(over > 0);
        bob.next().await;
        assert_eq!(bob.docs[0]["text"].as_str().map(str::len), Some(600 << 10));
        drop((of_alice, another, bob));
        for payer in ["alice", "bob"] {
            assert_eq!(watchers.0.queries().bytes(payer).1, 0, "{payer}");
        }
        watchers.close();
        assert_eq!(watchers.0.queries().bytes("alice").0, 0);
    });
}

#[test]
fn where_all_of_the_memory_is_taken_the_watch_goes_that_has_most() {
    in_rooms(async {
        let database = with_collection().await;
        put(&database, "small", doc! {"n": 0}).await;
        put(&database, "a", doc! {"n": -1, "text": "x".repeat(300 << 10)}).await;
        let (watchers, _) = within(&database, 8 << 20, Permission::Level(Level::ReadOnly));
        let small = json!({"collName": "c", "query": "{\"n\":0}"});
        let mut alice = Client::new(&watchers, "alice", small);
        alice.next().await;
        // Each is another user, within the share of that one.
        let mut others = Vec::new();
        for user in 0..30 {
            let mut other = Client::new(&watchers, &format!("user{user}"), nth(user));
            other.next().await;
            others.push(other);
            assert!(watchers.0.queries().bytes("").0 <= 8 << 20);
        }
        let ended = 31 - watchers.live(0).0;
        assert!((1..30).contains(&ended), "{ended}");
        put(&database, "small", doc! {"n": 0, "more": true}).await;
        alice.has(&[json!({"_id": "small", "n": 0, "more": true})]).await;
    });
}

/// Whoever has little does not make room for those who have much in many watches, each within the share of one.
#[test]
fn where_all_of_the_memory_is_taken_whoever_has_most_of_it_makes_room() {
    in_rooms(async {
        let database = with_collection().await;
        put(&database, "a", doc! {"n": -1, "text": "x".repeat(60 << 10)}).await;
        put(&database, "b", doc! {"m": 0, "text": "x".repeat(300 << 10)}).await;
        let (watchers, _) = within(&database, 8 << 20, Permission::Level(Level::ReadOnly));
        let mine = json!({"collName": "c", "query": "{\"m\":0}"});
        let mut alice = Client::new(&watchers, "alice", mine);
        alice.next().await;
        let all = watchers.0.queries().bytes("").0;
        let mut others = Vec::new();
        for watch in 0..160 {
            let query = json!({"n": {"$gt": -2 - watch}}).to_string();
            let user = format!("user{}", watch % 8);
            let mut other = Client::new(&watchers, &user, json!({"collName": "c", "query": query}));
            other.next().await;
            others.push(other);
        }
        let (used, _) = watchers.0.queries().bytes("");
        assert!(all < used && used <= 8 << 20, "{all} {used}");
        let ended = 161 - watchers.live(0).0;
        assert!((1..100).contains(&ended), "{ended}");
        put(&database, "b", doc! {"m": 0, "more": true}).await;
        alice.has(&[json!({"_id": "b", "m": 0, "more": true})]).await;
    });
}

/// What a query may be as work does not depend on how many others there are.
#[test]
fn many_queries_of_many_users_have_all_their_steps_and_those_of_one_are_bounded() {
    in_rooms(async {
        let database = with_collection().await;
        let (watchers, noted) = within(&database, 256 << 20, Permission::Level(Level::ReadOnly));
        let heavy = |query: usize| {
            let query = json!({"text": {"$regex": "x"}, "n": {"$ne": query + 1}}).to_string();
            json!({"collName": "c", "query": query})
        };
        let mut clients = Vec::new();
        for query in 0..300 {
            let user = format!("user{}", query % 30);
            let mut client = Client::new(&watchers, &user, heavy(query));
            client.next().await;
            clients.push(client);
        }
        // Of one user, who has two dozen others.
        for query in 300..424 {
            let mut client = Client::new(&watchers, "mallory", heavy(query));
            client.next().await;
            clients.push(client);
        }
        put(&database, "a", doc! {"n": 0, "text": "y".repeat(20 << 10) + "x"}).await;
        for client in &mut clients[..300] {
            let told = client.next().await;
            assert_eq!(told["msgType"], "NEXT_EVENT", "{told}");
        }
        let mut ended = 0;
        for client in &mut clients[300..] {
            ended += usize::from(client.next().await["msgType"] == "ERROR");
        }
        assert!((1..124).contains(&ended), "{ended}");
        let noted = noted.lock().unwrap();
        assert_eq!(noted.len(), ended);
        assert!(
            noted
                .iter()
                .all(|note| note.starts_with("mallory: ") && note.contains("of one user")),
            "{noted:?}"
        );
    });
}

/// Each has numbers of its own, since the last number is what the client says.
#[test]
fn a_large_document_is_written_for_few_numberings_at_once_and_the_others_come_back() {
    in_rooms(async {
        let (database, watchers) = open_to_all().await;
        let mut clients = Vec::new();
        for number in 0..20 {
            let mut client = Client::new(&watchers, "alice", json!({"collName": "c"}));
            client.next().await;
            // Two are where the server is.
            if number > 1 {
                client.event = 1000 * number;
                client.reconnect();
                client.next().await;
            }
            clients.push(client);
        }
        let large = json!({"_id": "a", "text": "x".repeat(1 << 20)});
        put(&database, "a", doc! {"text": "x".repeat(1 << 20)}).await;
        clients[0].has(std::slice::from_ref(&large)).await;
        clients[1].has(std::slice::from_ref(&large)).await;
        let mut over = 0;
        for client in &mut clients {
            let (_, outbox) = client.connection.as_ref().unwrap();
            if outbox.over().now_or_never().is_some() {
                over += 1;
                client.reconnect();
            }
            client.has(std::slice::from_ref(&large)).await;
        }
        assert!((10..18).contains(&over), "{over}");
    });
}

#[test]
fn a_document_whose_place_is_long_ends_the_watches_of_that_order_alone() {
    in_rooms(async {
        let (database, watchers) = open_to_all().await;
        let ordered = json!({"collName": "c", "orderBy": {"t": "asc"}});
        let mut ordering = Client::new(&watchers, "alice", ordered.clone());
        let mut other = Client::new(&watchers, "alice", json!({"collName": "c"}));
        ordering.next().await;
        other.next().await;
        let text = "x".repeat(20 << 10);
        put(&database, "a", doc! {"t": &text}).await;
        other.has(&[json!({"_id": "a", "t": text})]).await;
        let mut late = Client::new(&watchers, "bob", ordered);
        for client in [&mut ordering, &mut late] {
            let ended = client.next().await;
            assert_eq!(ended["msgData"]["code"], "EXCEED_REQUEST_LIMIT");
            let text = ended["msgData"]["message"].as_str().unwrap();
            assert!(text.contains("orderBy"), "{text}");
        }
        assert_eq!(watchers.live(0).0, 1);
    });
}

/// Each query has a place of its own for a document.
#[test]
fn places_are_counted_among_the_bytes_of_what_is_matched_at_once() {
    in_rooms(async {
        let database = with_collection().await;
        let mut changes = database.changes(None).await.unwrap();
        let mut heard = Vec::new();
        for id in ["a", "b"] {
            put(&database, id, doc! {"t": "x".repeat(15 << 10)}).await;
            heard.push(changes.next().await.unwrap().unwrap());
        }
        let request = realtime::WatchRequest {
            order: Some(vec![("t".into(), true)]),
            ..realtime::WatchRequest::default()
        };
        let query = realtime::WatchQuery::new(Document::new(), &request, Dialect::Plain).unwrap();
        let query = Arc::new(query);
        let queried = (0..300).map(|number| (number, Arc::clone(&query))).collect();
        let matching = matching::Matching {
            queries: [("c".into(), Arc::new(queried))].into(),
            changes: heard,
        };
        assert_eq!(matching.run(HANGS).taken, 1);
    });
}

/// However many queries a change is for, others are served in between.
#[test]
fn a_change_of_many_watches_is_told_to_some_at_a_time() {
    in_rooms(async {
        let (database, watchers) = open_to_all().await;
        let outboxes = Arc::new(Mutex::new(Vec::new()));
        let mut sessions = Vec::new();
        for socket in 0..20 {
            let outbox = watchers.outbox();
            let user = socket.to_string();
            let mut session = watchers.session(
                Caller::of_openid(&*user),
                Dialect::Plain,
                Arc::clone(&outbox),
                &user,
            );
            for watch in 0..MOST_WATCHES {
                let message = json!({"watchId": watch.to_string(), "requestId": "r", "msgType": "INIT_WATCH",
                    "msgData": nth(socket * MOST_WATCHES + watch)});
                session.hear(ClientMessage::read(&message.to_string()));
            }
            let mut begun = 0;
            while begun < MOST_WATCHES {
                begun += tokio::time::timeout(HANGS, outbox.take())
                    .await
                    .unwrap()
                    .unwrap()
                    .len();
            }
            sessions.push(session);
            outboxes.lock().unwrap().push(outbox);
        }
        let all = 20 * MOST_WATCHES;
        assert_eq!(watchers.live(0).0, all);
        put(&database, "a", doc! {"n": 0}).await;
        // A task as any call is: it counts what was told each time that it has a turn.
        let (mut told, mut most) = (0, 0);
        let until = tokio::time::Instant::now() + HANGS;
        while told < all {
            let mut now = 0;
            for outbox in outboxes.lock().unwrap().iter() {
                now += outbox
                    .take()
                    .now_or_never()
                    .flatten()
                    .map_or(0, |frames| frames.len());
            }
            told += now;
            most = most.max(now);
            assert!(tokio::time::Instant::now() < until, "{told} were told");
            tokio::task::yield_now().await;
        }
        assert!(most < all / 2, "{most} of {all} at once");
    });
}

#[test]
fn a_rule_that_asks_for_the_time_is_asked_again() {
    in_rooms(async {
        let database = with_collection().await;
        let now = || bson::DateTime::now().timestamp_millis();
        // The machine may be slow: then once more, with more time.
        for wait in [500, 5_000, 50_000] {
            let until = now() + wait;
            let watchers = watchers_of(&database, rule(&format!("now < {until}")));
            let mut client = Client::new(&watchers, "alice", json!({"collName": "c"}));
            if client.next().await["msgType"] == "ERROR" {
                continue;
            }
            let again = || {
                let concerned = watchers.0.queries().take_those_of_time();
                assert_eq!(concerned.len(), 1);
                watchers.0.rejoin(concerned);
            };
            again();
            while now() <= until {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            client.hear_what_came();
            // It may be that it was judged after its time just now.
            if watchers.live(0).0 == 1 {
                again();
            }
            let ended = client.next().await;
            assert_eq!(ended["msgData"]["code"], "COLLECTION_PERMISSION_DENIED");
            assert_eq!(watchers.live(1), (0, vec![]));
            return;
        }
        panic!("no watch began within 50 seconds");
    });
}

/// What stands in a document is not told by the text of an error.
#[test]
fn a_query_that_fails_at_a_document_does_not_tell_of_it() {
    in_rooms(async {
        let database = with_collection().await;
        let (watchers, noted) = within(&database, 64 << 20, Permission::Level(Level::ReadOnly));
        let fails = json!({"$expr": {"$gt": [{"$toInt": "$secret"}, 1]}}).to_string();
        let data = json!({"collName": "c", "query": fails});
        let mut early = Client::new(&watchers, "alice", data.clone());
        early.next().await;
        put(&database, "a", doc! {"secret": "swordfish"}).await;
        let mut ended = vec![early.next().await];
        let mut late = Client::new(&watchers, "bob", data);
        ended.push(late.next().await);
        for ended in ended {
            assert_eq!(ended["msgData"]["code"], "DATABASE_REQUEST_FAILED");
            let text = ended.to_string();
            assert!(
                text.contains("fails at a document") && !text.contains("swordfish"),
                "{text}"
            );
        }
        // The developer is told all of it.
        let noted = noted.lock().unwrap();
        for user in ["alice: ", "bob: "] {
            let is_told = |note: &String| note.starts_with(user) && note.contains("swordfish");
            assert!(noted.iter().any(is_told), "{noted:?}");
        }
    });
}

/// A mistake of ours at one change is not the end of all watches.
#[test]
fn a_panic_ends_no_watch_of_others() {
    in_rooms(async {
        let database = with_collection().await;
        let watchers = Watchers::new(WatchersConfig {
            denied: Box::new(|_, text| panic!("on purpose: {text}")),
            ..config_of(&database, Permission::Level(Level::ReadOnly))
        });
        let range = json!({"$range": [0, 100_000]});
        let heavy =
            json!({"$expr": {"$eq": [{"$size": {"$filter": {"input": range, "cond": "$$this"}}}, 1]}});
        let heavy = json!({"collName": "c", "query": heavy.to_string()});
        let mut mallory = Client::new(&watchers, "mallory", heavy);
        let mut alice = Client::new(&watchers, "alice", json!({"collName": "c"}));
        mallory.next().await;
        alice.next().await;
        put(&database, "a", doc! {}).await;
        mallory.next().await;
        put(&database, "b", doc! {}).await;
        alice.has(&[json!({"_id": "a"}), json!({"_id": "b"})]).await;
        put(&database, "d", doc! {}).await;
        alice
            .has(&[json!({"_id": "a"}), json!({"_id": "b"}), json!({"_id": "d"})])
            .await;
    });
}

#[test]
fn whoever_is_numbered_anew_is_known_by_that_and_nobody_else_is_troubled() {
    in_rooms(async {
        let (database, watchers) = open_to_all().await;
        let mut client = Client::new(&watchers, "alice", json!({"collName": "c"}));
        let mut witness = Client::new(&watchers, "bob", json!({"collName": "c"}));
        client.next().await;
        witness.next().await;
        put(&database, "a", doc! {}).await;
        for client in [&mut client, &mut witness] {
            client.has(&[json!({"_id": "a"})]).await;
        }
        // It says that it has what there never was, and gets everything, by numbers that follow on that.
        client.event = 1000;
        client.reconnect();
        let anew = client.next().await;
        assert_eq!(anew["msgData"]["events"][0]["QueueType"], "init", "{anew}");
        // The other one goes on from where it was.
        witness.connection = None;
        put(&database, "b", doc! {}).await;
        client.has(&[json!({"_id": "a"}), json!({"_id": "b"})]).await;
        witness.reconnect();
        let missed = witness.next().await;
        assert_eq!(missed["msgData"]["events"][0]["QueueType"], "enqueue", "{missed}");
        // So does the first, by the id that it had from the beginning.
        client.connection = None;
        put(&database, "d", doc! {}).await;
        let all = ["a", "b", "d"].map(|id| json!({"_id": id}));
        witness.has(&all).await;
        client.reconnect();
        let missed = client.next().await;
        assert_eq!(
            missed["msgData"]["events"].as_array().map(Vec::len),
            Some(1),
            "{missed}"
        );
        assert_eq!(missed["msgData"]["events"][0]["QueueType"], "enqueue", "{missed}");
        client.has(&all).await;
    });
}

/// What is read may be newer than the changes that were heard: of the document by which somebody was judged, too.
#[test]
fn whoever_is_judged_by_a_document_is_judged_after_what_is_read() {
    in_rooms(async {
        let database = in_memory();
        let watchers = room_of(&database, &["bob"]).await;
        let mut bob = Client::new(&watchers, "bob", in_room());
        bob.next().await;
        // The changes are late.
        watchers.0.queries().stop_following();
        database
            .remove("rooms", doc! {"_id": "r"}, false, None)
            .await
            .unwrap();
        put(&database, "1", doc! {"room": "r", "secret": true}).await;
        let loads = watchers.0.queries().read_again();
        assert_eq!(loads.len(), 1);
        for load in loads {
            Arc::clone(&watchers.0).load(load).await;
        }
        let ended = bob.next().await;
        assert_eq!(ended["msgData"]["code"], "COLLECTION_PERMISSION_DENIED");
        assert_eq!(bob.docs, Vec::<Value>::new());
    });
}

/// Somebody begins after something was changed, and before that is heard: what was read has it.
#[test]
fn nobody_is_told_what_a_document_was_before_what_it_is() {
    in_rooms(async {
        let (remote, elsewhere) = remote().await;
        for database in [in_memory(), elsewhere] {
            database.create_collection("c").await.unwrap();
            let mut changes = database.changes(None).await.unwrap();
            put(&database, "gone", doc! {}).await;
            database.drop_collection("c").await.unwrap();
            database.create_collection("c").await.unwrap();
            for n in [1, 2] {
                put(&database, "a", doc! {"n": n}).await;
            }
            remote.tell();
            let late = so_far(&mut changes);
            assert!(late.len() >= 4, "{late:?}");
            let watchers = watchers_of(&database, Permission::Level(Level::ReadOnly));
            let mut client = Client::new(&watchers, "alice", json!({"collName": "c"}));
            client.next().await;
            assert_eq!(client.docs, [json!({"_id": "a", "n": 2})]);
            watchers.0.tell(late).await;
            put(&database, "a", doc! {"n": 3}).await;
            remote.tell();
            let told = client.next().await;
            assert_eq!(client.snapshots, 2, "{told}");
            assert_eq!(client.docs, [json!({"_id": "a", "n": 3})]);
        }
    });
}

/// Somebody is let in by the last of several changes that are heard at once.
#[test]
fn nobody_is_told_what_was_before_they_were_let_in() {
    in_rooms(async {
        let (remote, database) = remote().await;
        let watchers = room_of(&database, &["alice"]).await;
        let mut alice = Client::new(&watchers, "alice", in_room());
        alice.next().await;
        put(&database, "1", doc! {"room": "r", "secret": true}).await;
        put(&database, "1", doc! {"room": "r"}).await;
        join_room(&database, "bob").await;
        remote.tell();
        let mut bob = Client::new(&watchers, "bob", in_room());
        let open = [json!({"_id": "1", "room": "r"})];
        while bob.docs != open {
            let told = bob.next().await;
            assert!(!told.to_string().contains("secret"), "{told}");
        }
        alice.has(&open).await;
        put(&database, "2", doc! {"room": "r"}).await;
        remote.tell();
        let both = [json!({"_id": "1", "room": "r"}), json!({"_id": "2", "room": "r"})];
        bob.has(&both).await;
        alice.has(&both).await;
    });
}

/// Has a collection whose watches are for the members of a room.
async fn room_of(database: &Arc<dyn Database>, members: &[&str]) -> Watchers {
    for name in ["c", "rooms"] {
        database.create_collection(name).await.unwrap();
    }
    let room = doc! {"_id": "r", "members": members};
    database.insert("rooms", vec![room], None).await.unwrap();
    let is_member = rule("auth.openid in get(`database.rooms.${doc.room}`).members");
    watchers_of(database, is_member)
}

/// What members of it watch.
fn in_room() -> Value {
    json!({"collName": "c", "query": "{\"room\":\"r\"}"})
}

async fn change_room(database: &Arc<dyn Database>, operators: Document) {
    let change = update_of("r", UpdateKind::Operators(operators));
    database.update("rooms", change, None).await.unwrap();
}

async fn join_room(database: &Arc<dyn Database>, member: &str) {
    change_room(database, doc! {"$push": {"members": member}}).await;
}

/// What was told of the changes, and is not heard yet.
fn so_far(changes: &mut database::Changes) -> Vec<Arc<database::Change>> {
    let next = || changes.next().now_or_never().flatten()?.ok();
    std::iter::from_fn(next).collect()
}

/// A database that is elsewhere, as MongoDB is: what changes is told later, a reading does not say what it has, and it may not be reached.
struct Remote {
    inner: Arc<dyn Database>,
    changes: Mutex<database::Changes>,
    feed: database::Feed,
    /// By what readings fail, one after the other.
    faults: Mutex<Vec<DatabaseError>>,
    is_away: AtomicBool,
    /// Whether no reading ever ends.
    is_stuck: AtomicBool,
}

async fn remote() -> (Arc<Remote>, Arc<dyn Database>) {
    let inner = in_memory();
    let changes = inner.changes(None).await.unwrap();
    let remote = Arc::new(Remote {
        inner,
        feed: database::Feed::new(changes.last()),
        changes: Mutex::new(changes),
        faults: Mutex::default(),
        is_away: AtomicBool::new(false),
        is_stuck: AtomicBool::new(false),
    });
    (Arc::clone(&remote), remote)
}

impl Remote {
    /// Tells what was changed so far.
    fn tell(&self) {
        for change in so_far(&mut self.changes.lock().unwrap()) {
            self.feed.tell((*change).clone());
        }
    }
}

/// Hands on what these tests do.
macro_rules! handed_on {
    ($($name:ident($($of:ident: $kind:ty),*) -> $answer:ty;)*) => {$(
        fn $name<'a>(&'a self, $($of: $kind),*) -> database::BoxFuture<'a, database::Result<$answer>> {
            self.inner.$name($($of),*)
        }
    )*};
}

impl Database for Remote {
    fn find<'a>(
        &'a self,
        collection: &'a str,
        find: Find,
        transaction: Option<database::TransactionId>,
    ) -> database::BoxFuture<'a, database::Result<database::Found>> {
        Box::pin(async move {
            if self.is_stuck.load(Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            if let Some(fault) = self.faults.lock().unwrap().pop() {
                return Err(fault);
            }
            let found = self.inner.find(collection, find, transaction).await?;
            Ok(database::Found {
                sequence: None,
                ..found
            })
        })
    }

    fn changes(&self, after: Option<u64>) -> database::BoxFuture<'_, database::Result<database::Changes>> {
        Box::pin(async move {
            match self.is_away.load(Ordering::SeqCst) {
                true => Err(away()),
                false => Ok(self.feed.listen(after)?),
            }
        })
    }

    handed_on! {
        create_collection(name: &'a str) -> ();
        drop_collection(name: &'a str) -> bool;
        collections() -> Vec<database::CollectionStatus>;
        create_index(collection: &'a str, index: database::IndexSpec) -> ();
        drop_index(collection: &'a str, name: &'a str) -> bool;
        insert(collection: &'a str, documents: Vec<Document>, transaction: Option<database::TransactionId>) -> Vec<bson::Bson>;
        count(collection: &'a str, filter: Document, transaction: Option<database::TransactionId>) -> database::Tally;
        update(collection: &'a str, update: Update, transaction: Option<database::TransactionId>) -> database::Updated;
        remove(collection: &'a str, filter: Document, many: bool, transaction: Option<database::TransactionId>) -> database::Tally;
        aggregate(collection: &'a str, aggregate: database::Aggregate, transaction: Option<database::TransactionId>) -> database::Found;
        begin() -> database::TransactionId;
        commit(transaction: database::TransactionId) -> ();
        abort(transaction: database::TransactionId) -> ();
        health() -> ();
    }
}

fn away() -> DatabaseError {
    DatabaseError::unavailable("away")
}

#[test]
fn a_database_that_is_away_for_a_moment_ends_no_watch_that_has_documents() {
    in_rooms(async {
        let (remote, database) = remote().await;
        let watchers = room_of(&database, &["alice"]).await;
        let mut alice = Client::new(&watchers, "alice", in_room());
        alice.next().await;
        let fail = || {
            remote
                .faults
                .lock()
                .unwrap()
                .extend([DatabaseError::TimedOut, away()])
        };
        let failed = || remote.faults.lock().unwrap().is_empty();
        // She is judged anew.
        fail();
        change_room(&database, doc! {"$set": {"name": "ours"}}).await;
        put(&database, "1", doc! {"room": "r"}).await;
        remote.tell();
        alice.has(&[json!({"_id": "1", "room": "r"})]).await;
        assert!(failed());
        // She comes back to another server, where nobody watches that yet: judging her takes no reading, and so it is the query that cannot
        // be read.
        put(&database, "2", doc! {"room": "r"}).await;
        remote.tell();
        alice.watchers = watchers_of(&database, Permission::Level(Level::ReadOnly));
        fail();
        alice.reconnect();
        alice
            .has(&[json!({"_id": "1", "room": "r"}), json!({"_id": "2", "room": "r"})])
            .await;
        assert!(failed());
        // Whoever begins is told.
        fail();
        let mut bob = Client::new(&watchers, "bob", in_room());
        assert_eq!(bob.next().await["msgType"], "ERROR");
    });
}

#[test]
fn a_reading_that_does_not_end_keeps_its_place_from_others_for_a_while_only() {
    in_rooms(async {
        let (remote, database) = remote().await;
        database.create_collection("c").await.unwrap();
        let watchers = watchers_of(&database, Permission::Level(Level::ReadOnly));
        remote.is_stuck.store(true, Ordering::SeqCst);
        for name in ["alice", "bob"] {
            let mut client = Client::new(&watchers, name, json!({"collName": "c"}));
            assert_eq!(client.next().await["msgType"], "ERROR");
        }
    });
}

/// Clients ask again where they are not answered, and go.
#[test]
fn what_nobody_wants_any_more_waits_for_no_database() {
    in_rooms(async {
        let (remote, database) = remote().await;
        database.create_collection("c").await.unwrap();
        let watchers = watchers_of(&database, Permission::Level(Level::ReadOnly));
        let mut client = Client::new(&watchers, "alice", json!({"collName": "c"}));
        client.next().await;
        client.watchers = watchers_of(&database, Permission::Level(Level::ReadOnly));
        remote.is_away.store(true, Ordering::SeqCst);
        client.reconnect();
        let rebuild = |watch: usize| {
            let data = json!({"collName": "c", "queryID": client.query_id, "eventID": client.event});
            json!({"watchId": watch.to_string(), "requestId": "r", "msgType": "REBUILD_WATCH", "msgData": data})
        };
        let (session, outbox) = client.connection.as_mut().unwrap();
        session.hear(ClientMessage::read(
            r#"{"watchId":"w","requestId":"c","msgType":"CLOSE_WATCH"}"#,
        ));
        for _ in 0..3 {
            for watch in 0..MOST_WATCHES {
                session.hear(ClientMessage::read(&rebuild(watch).to_string()));
            }
            tokio::time::sleep(2 * RETRY).await;
        }
        assert!(outbox.take().now_or_never().is_none(), "each waits");
        // Once the client is gone, nothing holds what was its.
        let outbox = Arc::downgrade(outbox);
        client.connection = None;
        let gone = async {
            while outbox.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(HANGS, gone).await.unwrap();
        // Another one was told, as soon as it was back.
        client.reconnect();
        remote.is_away.store(false, Ordering::SeqCst);
        client.next().await;
        put(&database, "a", doc! {}).await;
        remote.tell();
        client.has(&[json!({"_id": "a"})]).await;
    });
}

#[test]
fn a_collection_that_is_dropped_ends_its_watches() {
    in_rooms(async {
        let (database, watchers) = open_to_all().await;
        let mut client = Client::new(&watchers, "alice", json!({"collName": "c"}));
        client.next().await;
        database.drop_collection("c").await.unwrap();
        let ended = client.next().await;
        assert_eq!(ended["msgData"]["code"], "DATABASE_COLLECTION_NOT_EXIST");
        let text = ended["msgData"]["message"].as_str().unwrap();
        assert!(text.contains("Db or Table not exist: c"), "{text}");
        assert_eq!(watchers.live(1), (0, vec![]));
    });
}

#[test]
fn more_changes_at_once_than_are_kept_are_made_good() {
    in_rooms(async {
        let (database, watchers) = open_to_all().await;
        let data = json!({"collName": "c", "orderBy": {"n": "desc"}, "limit": 3});
        let mut client = Client::new(&watchers, "alice", data);
        client.next().await;
        let many = (0..6000).map(|n| doc! {"_id": format!("{n}"), "n": n}).collect();
        database.insert("c", many, None).await.unwrap();
        let last = [5997, 5998, 5999].map(|n| json!({"_id": n.to_string(), "n": n}));
        client.has(&last).await;
    });
}

#[test]
fn whoever_comes_back_is_told_what_was_missed_and_nothing_twice() {
    in_rooms(async {
        let (database, watchers) = open_to_all().await;
        let mut client = Client::new(&watchers, "alice", json!({"collName": "c"}));
        let mut witness = Client::new(&watchers, "bob", json!({"collName": "c"}));
        client.next().await;
        witness.next().await;
        put(&database, "a", doc! {}).await;
        client.has(&[json!({"_id": "a"})]).await;
        client.connection = None;
        put(&database, "b", doc! {}).await;
        let both = [json!({"_id": "a"}), json!({"_id": "b"})];
        witness.has(&both).await;
        let before = client.snapshots;
        client.reconnect();
        let missed = client.next().await;
        assert_eq!(missed["requestId"], "REBUILD_WATCH");
        assert_eq!((client.snapshots - before, client.docs.len()), (1, 2), "{missed}");
        // Nothing new.
        client.reconnect();
        assert_eq!(client.next().await["msgData"]["events"], json!([]));
        // Another server, which has never heard of it, and where all is gone meanwhile.
        remove(&database, "a").await;
        remove(&database, "b").await;
        client.watchers = watchers_of(&database, Permission::Level(Level::ReadOnly));
        client.reconnect();
        client.next().await;
        assert_eq!(client.docs, Vec::<Value>::new());
        put(&database, "d", doc! {}).await;
        client.has(&[json!({"_id": "d"})]).await;
    });
}

#[test]
fn so_many_watches_are_on_a_socket_and_no_more() {
    in_rooms(async {
        let (_, watchers) = open_to_all().await;
        let outbox = watchers.outbox();
        let mut session = watchers.session(
            Caller::of_openid("alice"),
            Dialect::Plain,
            Arc::clone(&outbox),
            "alice",
        );
        for watch in 0..=MOST_WATCHES {
            let message = json!({"watchId": watch.to_string(), "requestId": "r", "msgType": "INIT_WATCH",
                "msgData": {"collName": "c"}});
            session.hear(ClientMessage::read(&message.to_string()));
        }
        let mut kinds = Vec::new();
        while kinds.len() <= MOST_WATCHES {
            let frames = tokio::time::timeout(HANGS, outbox.take()).await.unwrap().unwrap();
            kinds.extend(frames.iter().map(|frame| {
                let message: Value =
                    serde_json::from_slice(&[&frame.head[..], &frame.tail].concat()).unwrap();
                message["msgType"].as_str().unwrap().to_owned()
            }));
        }
        assert_eq!(kinds.iter().filter(|kind| *kind == "ERROR").count(), 1);
        assert_eq!(watchers.live(0).0, MOST_WATCHES);
        drop(session);
        assert_eq!(watchers.live(1), (0, vec![]));
    });
}

/// Numbers by chance, the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

async fn storm(seed: u64, steps: u64) {
    let mut chance = Chance(seed);
    let (database, watchers) = open_to_all().await;
    let queries = [
        json!({"collName": "c"}),
        json!({"collName": "c", "query": "{\"n\":{\"$lt\":50}}"}),
        json!({"collName": "c", "query": "{\"n\":{\"$gte\":30}}", "orderBy": {"n": "asc"}, "limit": 4}),
        json!({"collName": "c", "orderBy": {"n": "desc"}, "limit": 30}),
        json!({"collName": "c", "query": "{\"_id\":\"7\"}"}),
    ];
    let mut clients: Vec<Client> = (0..10)
        .map(|place| {
            Client::new(
                &watchers,
                &place.to_string(),
                queries[place % queries.len()].clone(),
            )
        })
        .collect();
    for _ in 0..steps {
        let id = chance.below(80).to_string();
        match chance.below(12) {
            0..=5 => put(&database, &id, doc! {"n": chance.below(100) as i64}).await,
            6..=8 => remove(&database, &id).await,
            9 => {
                let many = (0..100)
                    .map(|n| doc! {"n": n, "_id": format!("many{n}")})
                    .collect();
                let _ = database.insert("c", many, None).await;
                let some = doc! {"_id": {"$regex": "^many"}};
                database.remove("c", some, true, None).await.unwrap();
            }
            10 => {
                let client = usize::try_from(chance.below(10)).unwrap();
                clients[client].reconnect();
            }
            _ => {
                let client = usize::try_from(chance.below(10)).unwrap();
                clients[client].hear_what_came();
                // What it asks for in between is answered in the same order.
                if !clients[client].query_id.is_empty() {
                    clients[client].say("CHECK_LAST", json!({}));
                }
            }
        }
    }
    for client in &mut clients {
        let request = realtime::WatchRequest {
            collection: "c".into(),
            query: client.data["query"].as_str().unwrap_or_default().into(),
            limit: client.data["limit"].as_u64().map(|limit| limit as usize),
            order: client.data["orderBy"]["n"]
                .as_str()
                .map(|direction| vec![("n".into(), direction == "asc")]),
        };
        let query = realtime::WatchQuery::new(request.filter().unwrap(), &request, Dialect::Plain).unwrap();
        let find = Find {
            filter: query.filter().clone(),
            sort: Some(query.sort().clone()),
            limit: Some(query.limit() as u64),
            ..Find::default()
        };
        let found = database.find("c", find, None).await.unwrap();
        let wanted: Vec<Value> = found
            .documents
            .iter()
            .map(|raw| {
                let mut text = Vec::new();
                tcb::database::write_plain(&mut text, raw);
                serde_json::from_slice(&text).unwrap()
            })
            .collect();
        client.has(&wanted).await;
    }
    // Nothing is counted of what is gone.
    drop(clients);
    for user in 0..10 {
        assert_eq!(watchers.0.queries().bytes(&user.to_string()).1, 0);
    }
    watchers.close();
    assert_eq!(watchers.0.queries().bytes("").0, 0);
}

#[test]
fn whatever_happens_each_client_has_what_its_query_finds() {
    for seed in 0..20 {
        in_rooms(storm(seed, 150));
    }
}
