//! The front over the embedded engine in memory, asked as a client asks, without and with a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{net::SocketAddr, sync::Arc};

use bson::{Bson, Document, doc};
use database::{Aggregate, Asker, Database, Embedded, Options};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{WireClient, WireFront, WireSettings, message::HEADER};

fn front(password: Option<&str>) -> WireFront {
    let database = Embedded::in_memory(Options::default()).unwrap();
    let settings = WireSettings {
        name: "yunqiao".to_owned(),
        password: password.map(Into::into),
        connections: 2,
    };
    WireFront::new(Arc::new(database), settings)
}

fn client(front: &WireFront) -> WireClient {
    let here: SocketAddr = "127.0.0.1:27017".parse().unwrap();
    front.client(here, here)
}

async fn ask(client: &mut WireClient, command: Document) -> Document {
    let mut command = command;
    if !command.contains_key("$db") {
        command.insert("$db", "yunqiao");
    }
    Document::try_from(client.command(command).await.as_ref()).unwrap()
}

/// What is done.
async fn does(client: &mut WireClient, command: Document) -> Document {
    let shown = command.to_string();
    let answer = ask(client, command).await;
    assert_eq!(answer.get("ok"), Some(&Bson::Double(1.0)), "{shown}: {answer}");
    answer
}

/// What is refused, with MongoDB's number.
async fn refused(client: &mut WireClient, command: Document, code: i32) -> Document {
    let shown = command.to_string();
    let answer = ask(client, command).await;
    assert_eq!(answer.get("ok"), Some(&Bson::Double(0.0)), "{shown}: {answer}");
    assert_eq!(answer.get_i32("code").ok(), Some(code), "{shown}: {answer}");
    answer
}

fn batch(answer: &Document) -> &[Bson] {
    let cursor = answer.get_document("cursor").unwrap();
    cursor
        .get_array("firstBatch")
        .or_else(|_| cursor.get_array("nextBatch"))
        .unwrap()
}

#[tokio::test]
async fn hello_names_what_drivers_ask_for() {
    let front = front(None);
    let mut client = client(&front);
    for name in ["hello", "isMaster", "ismaster"] {
        let hello = does(
            &mut client,
            doc! { name: 1, "helloOk": true, "client": {}, "$db": "admin" },
        )
        .await;
        assert_eq!(hello.get_str("setName").unwrap(), "yunqiao");
        assert_eq!(hello.get_array("hosts").unwrap(), &["127.0.0.1:27017".into()]);
        assert_eq!(hello.get_i32("logicalSessionTimeoutMinutes").unwrap(), 30);
        assert!(hello.get_bool("isWritablePrimary").unwrap() && hello.get_bool("helloOk").unwrap());
        assert!(!hello.contains_key("compression") && !hello.contains_key("saslSupportedMechs"));
    }
}

#[tokio::test]
async fn a_field_that_is_unknown_is_refused_and_none_is_passed_over_in_silence() {
    let front = front(None);
    let mut client = client(&front);
    refused(&mut client, doc! { "find": "a", "filtre": {} }, 40415).await;
    refused(&mut client, doc! { "find": "a", "filter": "x" }, 14).await;
    refused(&mut client, doc! { "find": 1 }, 73).await;
    refused(&mut client, doc! { "find": "a$b" }, 73).await;
    refused(&mut client, doc! { "insert": "a" }, 40414).await;
    refused(
        &mut client,
        doc! { "update": "a", "updates": [{ "q": {}, "u": [] }], "let": { "a": 1 } },
        2,
    )
    .await;
    refused(&mut client, doc! { "find": "a", "maxTimeMS": -1 }, 2).await;
    refused(&mut client, doc! { "nonsense": 1 }, 59).await;
    refused(&mut client, doc! { "find": "a", "$db": "other" }, 73).await;
    // Fields with values that ask for nothing are not refused.
    does(
        &mut client,
        doc! { "find": "a", "collation": { "locale": "simple" }, "let": {}, "min": Bson::Null },
    )
    .await;
}

#[tokio::test]
async fn what_is_asked_of_other_servers_is_told() {
    let front = front(None);
    let mut client = client(&front);
    let insert = |concern: Document| doc! { "insert": "a", "documents": [{}], "writeConcern": concern };
    for (concern, code) in [(doc! { "w": 5 }, 100), (doc! { "w": "foo" }, 79)] {
        let done = does(&mut client, insert(concern)).await;
        let error = done.get_document("writeConcernError").unwrap();
        assert_eq!(
            (done.get_i32("n").unwrap(), error.get_i32("code").unwrap()),
            (1, code)
        );
    }
    for concern in [
        doc! { "w": "majority", "wtimeout": 10 },
        doc! { "w": 1, "j": true },
        doc! {},
    ] {
        assert!(
            !does(&mut client, insert(concern))
                .await
                .contains_key("writeConcernError")
        );
    }
    refused(&mut client, insert(doc! { "w": -1 }), 9).await;
    refused(
        &mut client,
        doc! { "insert": "a", "documents": [{}], "writeConcern": 1 },
        14,
    )
    .await;
    does(
        &mut client,
        doc! { "find": "a", "readConcern": { "level": "majority" } },
    )
    .await;
    refused(
        &mut client,
        doc! { "find": "a", "readConcern": { "level": "zzz" } },
        9,
    )
    .await;
}

/// No answer has a document that drivers take for damaged.
#[tokio::test]
async fn what_does_not_go_into_one_document_is_refused() {
    let front = front(None);
    let mut client = client(&front);
    for n in 0..17 {
        let one = doc! { "_id": n, "s": format!("{n:02}").repeat(1 << 19) };
        does(&mut client, doc! { "insert": "a", "documents": [one] }).await;
    }
    let all = doc! { "$group": { "_id": Bson::Null, "all": { "$push": "$s" } } };
    let aggregate = |stages: Vec<Document>| doc! { "aggregate": "a", "pipeline": stages, "cursor": {} };
    refused(&mut client, aggregate(vec![all.clone()]), 10334).await;
    refused(&mut client, doc! { "distinct": "a", "key": "s" }, 17217).await;
    does(&mut client, aggregate(vec![doc! { "$limit": 15 }, all])).await;
    does(
        &mut client,
        doc! { "distinct": "a", "key": "s", "query": { "_id": { "$lt": 15 } } },
    )
    .await;
}

#[tokio::test]
async fn a_cursor_goes_on_where_its_batch_ended() {
    let front = front(None);
    let mut client = client(&front);
    let documents: Vec<Document> = (0..250).map(|n| doc! { "_id": n }).collect();
    does(&mut client, doc! { "insert": "a", "documents": documents }).await;
    for filter in [doc! {}, doc! { "_id": { "$gte": 0 } }] {
        let first = does(&mut client, doc! { "find": "a", "filter": filter }).await;
        assert_eq!(batch(&first).len(), 101);
        let id = first.get_document("cursor").unwrap().get_i64("id").unwrap();
        let more = doc! { "getMore": id, "collection": "a", "batchSize": 49 };
        let next = does(&mut client, more.clone()).await;
        assert_eq!(batch(&next)[0], doc! { "_id": 101 }.into());
        refused(&mut client, doc! { "getMore": id, "collection": "b" }, 13).await;
        let last = does(&mut client, doc! { "getMore": id, "collection": "a" }).await;
        assert_eq!(batch(&last).len(), 100);
        assert_eq!(
            last.get_document("cursor").unwrap().get("id"),
            Some(&Bson::Int64(0))
        );
        refused(&mut client, more, 43).await;
    }
    let none = does(&mut client, doc! { "find": "a", "batchSize": 0 }).await;
    assert!(batch(&none).is_empty());
    let one = does(&mut client, doc! { "find": "a", "limit": -1 }).await;
    assert_eq!(
        (
            batch(&one).len(),
            one.get_document("cursor").unwrap().get_i64("id").unwrap()
        ),
        (1, 0)
    );
}

#[tokio::test]
async fn a_write_that_is_sent_again_is_done_once_and_answered_as_before() {
    let front = front(None);
    let mut client = client(&front);
    let session = doc! { "id": bson::Uuid::new() };
    let write = |number: i64| {
        let updates = [doc! { "q": { "_id": 1 }, "u": { "$inc": { "n": 1 } }, "upsert": true }];
        doc! { "update": "a", "updates": updates.to_vec(), "lsid": session.clone(), "txnNumber": number }
    };
    let first = does(&mut client, write(3)).await;
    assert_eq!(does(&mut client, write(3)).await, first);
    assert_ne!(does(&mut client, write(4)).await, first);
    refused(&mut client, write(3), 225).await;
    let found = does(&mut client, doc! { "find": "a" }).await;
    assert_eq!(batch(&found), [doc! { "_id": 1, "n": 2 }.into()]);
    // What was refused whole was not done, and is tried again.
    let bad = doc! { "insert": "a", "documents": [], "lsid": session.clone(), "txnNumber": 5i64 };
    refused(&mut client, bad, 16).await;
    does(&mut client, write(5)).await;
    refused(
        &mut client,
        doc! { "insert": "a", "documents": [{}], "txnNumber": 1i64 },
        72,
    )
    .await;
    refused(
        &mut client,
        doc! { "find": "a", "lsid": session.clone(), "txnNumber": 6i64 },
        50768,
    )
    .await;
}

#[tokio::test]
async fn transactions_begin_and_end_where_the_session_says() {
    let front = front(None);
    let mut client = client(&front);
    does(&mut client, doc! { "create": "a" }).await;
    let session = doc! { "id": bson::Uuid::new() };
    let part = |mut command: Document, number: i64, begins: bool| {
        command.extend(doc! { "lsid": session.clone(), "txnNumber": number, "autocommit": false });
        if begins {
            command.insert("startTransaction", true);
        }
        command
    };
    let insert = |id: i32| doc! { "insert": "a", "documents": [{ "_id": id }] };
    does(&mut client, part(insert(1), 1, true)).await;
    refused(&mut client, part(insert(1), 1, true), 117).await;
    does(&mut client, part(insert(2), 1, false)).await;
    assert_eq!(
        does(&mut client, doc! { "count": "a" })
            .await
            .get_i32("n")
            .unwrap(),
        0
    );
    does(
        &mut client,
        part(doc! { "commitTransaction": 1, "$db": "admin" }, 1, false),
    )
    .await;
    // The answer may have been lost.
    does(
        &mut client,
        part(doc! { "commitTransaction": 1, "$db": "admin" }, 1, false),
    )
    .await;
    refused(
        &mut client,
        part(doc! { "abortTransaction": 1, "$db": "admin" }, 1, false),
        256,
    )
    .await;
    assert_eq!(
        does(&mut client, doc! { "count": "a" })
            .await
            .get_i32("n")
            .unwrap(),
        2
    );

    // One that begins ends the one before.
    does(&mut client, part(insert(3), 2, true)).await;
    does(&mut client, part(insert(4), 3, true)).await;
    refused(&mut client, part(doc! { "commitTransaction": 1 }, 2, false), 225).await;
    refused(&mut client, part(doc! { "drop": "a" }, 3, false), 263).await;
    let gone = refused(&mut client, part(doc! { "commitTransaction": 1 }, 3, false), 251).await;
    assert_eq!(
        gone.get_array("errorLabels").unwrap(),
        &["TransientTransactionError".into()]
    );
    refused(&mut client, part(insert(5), 9, false), 251).await;
    refused(&mut client, doc! { "commitTransaction": 1 }, 72).await;

    does(&mut client, part(insert(6), 10, true)).await;
    does(&mut client, doc! { "endSessions": [session.clone()] }).await;
    refused(&mut client, part(doc! { "commitTransaction": 1 }, 10, false), 251).await;
    assert_eq!(
        does(&mut client, doc! { "count": "a" })
            .await
            .get_i32("n")
            .unwrap(),
        2
    );
}

#[tokio::test]
async fn what_does_not_exist_reads_as_empty_and_is_made_by_what_adds() {
    let front = front(None);
    let mut client = client(&front);
    let group = doc! { "$group": { "_id": Bson::Null, "n": { "$sum": 1 } } };
    for command in [
        doc! { "find": "a" },
        doc! { "find": "a", "filter": { "b": 1 } },
        doc! { "aggregate": "a", "pipeline": [group.clone()], "cursor": {} },
        doc! { "aggregate": "a", "pipeline": [{ "$unionWith": "b" }], "cursor": {} },
        doc! { "find": "a", "$db": "admin" },
        doc! { "listCollections": 1 },
    ] {
        assert!(batch(&does(&mut client, command).await).is_empty());
    }
    let counted = does(&mut client, doc! { "count": "a" }).await;
    assert_eq!(counted, doc! { "n": 0, "ok": 1.0 });
    let nothing = doc! { "update": "a", "updates": [{ "q": {}, "u": { "$set": { "b": 1 } } }] };
    assert_eq!(does(&mut client, nothing).await.get_i32("n").unwrap(), 0);
    refused(&mut client, doc! { "listIndexes": "a" }, 26).await;
    assert!(batch(&does(&mut client, doc! { "listCollections": 1 }).await).is_empty());
    // Each of these makes what it adds to.
    does(
        &mut client,
        doc! { "insert": "a", "documents": [{ "_id": 1 }], "$db": "test" },
    )
    .await;
    let upsert = doc! { "update": "b", "updates": [{ "q": { "_id": 2 }, "u": { "c": 1 }, "upsert": true }] };
    does(&mut client, upsert).await;
    let made = doc! { "findAndModify": "c", "query": { "_id": 3 }, "update": { "$set": { "d": 1 } }, "upsert": true };
    does(&mut client, made).await;
    does(
        &mut client,
        doc! { "createIndexes": "d", "indexes": [{ "key": { "a": 1 }, "name": "a_1" }] },
    )
    .await;
    assert_eq!(
        batch(&does(&mut client, doc! { "listCollections": 1 }).await).len(),
        4
    );
    // What a pipeline reads beside its own collection it reads all the same.
    let beside = doc! { "aggregate": "no", "pipeline": [{ "$unionWith": "b" }], "cursor": {} };
    assert_eq!(
        batch(&does(&mut client, beside).await),
        [doc! { "_id": 2, "c": 1 }.into()]
    );
    refused(
        &mut client,
        doc! { "insert": "a", "documents": [{}], "$db": "admin" },
        13,
    )
    .await;
}

#[tokio::test]
async fn changes_are_told_behind_a_token_and_end_with_their_collection() {
    let front = front(None);
    let mut client = client(&front);
    does(&mut client, doc! { "create": "a" }).await;
    let watch = |token: Option<Bson>| {
        let mut options = doc! { "fullDocument": "updateLookup" };
        options.extend(token.map(|token| ("resumeAfter".to_owned(), token)));
        let stages = [
            doc! { "$changeStream": options },
            doc! { "$project": { "wallTime": 0, "clusterTime": 0 } },
        ];
        doc! { "aggregate": "a", "pipeline": stages.to_vec(), "cursor": {} }
    };
    let opened = does(&mut client, watch(None)).await;
    let id = opened.get_document("cursor").unwrap().get_i64("id").unwrap();
    let more = doc! { "getMore": id, "collection": "a", "maxTimeMS": 1 };
    assert!(batch(&does(&mut client, more.clone()).await).is_empty());
    does(&mut client, doc! { "insert": "a", "documents": [{ "_id": 1 }] }).await;
    does(&mut client, doc! { "insert": "b", "documents": [{ "_id": 9 }] }).await;
    let set = doc! { "q": { "_id": 1 }, "u": { "$set": { "n": 1 } } };
    does(&mut client, doc! { "update": "a", "updates": [set] }).await;
    let more = doc! { "getMore": id, "collection": "a", "maxTimeMS": 60_000 };
    let told = does(&mut client, more.clone()).await;
    let kinds: Vec<_> = batch(&told)
        .iter()
        .map(|event| {
            event
                .as_document()
                .unwrap()
                .get_str("operationType")
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(kinds, ["insert", "update"]);
    let first = batch(&told)[0].as_document().unwrap().clone();
    let ns = doc! { "db": "yunqiao", "coll": "a" };
    let expected = doc! {
        "_id": first.get_document("_id").unwrap().clone(), "operationType": "insert", "ns": ns, "documentKey": { "_id": 1 },
        "fullDocument": { "_id": 1 },
    };
    assert_eq!(first, expected);
    let token = told
        .get_document("cursor")
        .unwrap()
        .get_document("postBatchResumeToken")
        .unwrap();
    assert_eq!(
        batch(&told)[1]
            .as_document()
            .unwrap()
            .get_document("_id")
            .unwrap(),
        token
    );

    does(&mut client, doc! { "drop": "a" }).await;
    let last = does(&mut client, more.clone()).await;
    assert_eq!(batch(&last).len(), 2, "drop, invalidate: {last}");
    assert_eq!(last.get_document("cursor").unwrap().get_i64("id").unwrap(), 0);
    refused(&mut client, more, 43).await;
    let resumed = does(&mut client, watch(first.get("_id").cloned())).await;
    let id = resumed.get_document("cursor").unwrap().get_i64("id").unwrap();
    let behind = does(&mut client, doc! { "getMore": id, "collection": "a" }).await;
    assert_eq!(batch(&behind).len(), 3, "{behind}");
    refused(
        &mut client,
        watch(Some(doc! { "_data": "FFFFFFFFFFFFFFFF" }.into())),
        286,
    )
    .await;
    refused(&mut client, watch(Some(doc! { "_data": "x" }.into())), 260).await;
}

#[tokio::test]
async fn without_the_password_nothing_is_read_and_few_guesses_are_heard() {
    let front = front(Some("correct horse battery staple"));
    let mut client = client(&front);
    does(&mut client, doc! { "ping": 1 }).await;
    let hello = does(
        &mut client,
        doc! { "hello": 1, "saslSupportedMechs": "admin.yunqiao" },
    )
    .await;
    assert_eq!(
        hello.get_array("saslSupportedMechs").unwrap(),
        &["SCRAM-SHA-256".into()]
    );
    for command in [
        doc! { "find": "a" },
        doc! { "insert": "a", "documents": [{}] },
        doc! { "listDatabases": 1 },
        doc! { "serverStatus": 1 },
        doc! { "getParameter": "*" },
        doc! { "endSessions": [] },
        doc! { "nonsense": 1 },
    ] {
        refused(&mut client, command, 13).await;
    }
    let start =
        |mechanism: &str| doc! { "saslStart": 1, "mechanism": mechanism, "payload": "n,,n=yunqiao,r=abc" };
    refused(&mut client, start("PLAIN"), 334).await;
    refused(
        &mut client,
        doc! { "saslContinue": 1, "conversationId": 1, "payload": "" },
        18,
    )
    .await;
    for _ in 0..10 {
        let begun = does(&mut client, start("SCRAM-SHA-256")).await;
        let payload = match begun.get("payload") {
            Some(Bson::Binary(binary)) => String::from_utf8(binary.bytes.clone()).unwrap(),
            other => panic!("{other:?}"),
        };
        let nonce = payload.split(',').next().unwrap().to_owned();
        let proof = format!("c=biws,{nonce},p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        refused(
            &mut client,
            doc! { "saslContinue": 1, "conversationId": 1, "payload": proof },
            18,
        )
        .await;
        // A proof is heard once.
        refused(
            &mut client,
            doc! { "saslContinue": 1, "conversationId": 1, "payload": "" },
            18,
        )
        .await;
    }
    let late = refused(&mut client, start("SCRAM-SHA-256"), 18).await;
    assert!(late.get_str("errmsg").unwrap().contains("too many"), "{late}");
    assert!(!client.is_trusted());
}

#[test]
fn without_a_password_only_this_machine_is_listened_to() {
    let settings = |password: Option<&str>| WireSettings {
        name: "a".to_owned(),
        password: password.map(Into::into),
        connections: 1,
    };
    for (address, open) in [
        ("127.0.0.1:0", true),
        ("[::1]:5", true),
        ("0.0.0.0:0", false),
        ("[::]:0", false),
    ] {
        let address: SocketAddr = address.parse().unwrap();
        assert_eq!(settings(None).check(address).is_ok(), open, "{address}");
        assert!(settings(Some("0123456789abcdef")).check(address).is_ok());
    }
}

async fn served(front: WireFront) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(front.serve(listener, std::future::pending()));
    address
}

fn bytes(command: &Document) -> Vec<u8> {
    let document = command.to_vec().unwrap();
    let length = i32::try_from(16 + 5 + document.len()).unwrap();
    [
        &length.to_le_bytes()[..],
        &7i32.to_le_bytes(),
        &[0; 4],
        &2013i32.to_le_bytes(),
        &[0; 5],
        &document,
    ]
    .concat()
}

async fn said(stream: &mut TcpStream) -> Document {
    let mut head = [0; 16];
    stream.read_exact(&mut head).await.unwrap();
    let length = usize::try_from(i32::from_le_bytes(*head.first_chunk().unwrap())).unwrap();
    let mut body = vec![0; length - 16];
    stream.read_exact(&mut body).await.unwrap();
    Document::from_reader(&body[5..]).unwrap()
}

#[tokio::test]
async fn a_web_page_is_cut_off_at_its_first_bytes() {
    let address = served(front(None)).await;
    for foreign in [
        &b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"[..],
        b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\x00\x00\x00\x00",
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(foreign).await.unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        assert_eq!(answer, b"", "{foreign:?}");
    }
}

#[tokio::test]
async fn connections_are_bounded_and_a_place_is_free_again() {
    let address = served(front(None)).await;
    let connect = || async { TcpStream::connect(address).await.unwrap() };
    let ping = bytes(&doc! { "ping": 1, "$db": "admin" });
    let (mut one, mut two) = (connect().await, connect().await);
    for stream in [&mut one, &mut two] {
        stream.write_all(&ping).await.unwrap();
        assert_eq!(said(stream).await, doc! { "ok": 1.0 });
    }
    let mut three = connect().await;
    let _ = three.write_all(&ping).await;
    let mut answer = Vec::new();
    let _ = three.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
    drop(one);
    loop {
        let mut stream = connect().await;
        let _ = stream.write_all(&ping).await;
        let mut answer = vec![0; 16];
        if stream.read_exact(&mut answer).await.is_ok() {
            break;
        }
    }
}

/// What takes minutes.
fn endless() -> Document {
    let many = doc! { "$range": [0, 1000] };
    doc! {
        "aggregate": "one",
        "pipeline": [
            { "$project": { "a": many.clone(), "b": many.clone(), "c": many } },
            { "$unwind": "$a" },
            { "$unwind": "$b" },
            { "$unwind": "$c" },
            { "$count": "n" },
        ],
        "cursor": {},
        "$db": "yunqiao",
    }
}

#[tokio::test]
async fn what_a_connection_asked_for_ends_with_it() {
    let front = front(None);
    let insert = doc! { "insert": "one", "documents": [{ "_id": 1 }] };
    does(&mut client(&front), insert).await;
    let address = served(front).await;
    let mut asking = [
        TcpStream::connect(address).await.unwrap(),
        TcpStream::connect(address).await.unwrap(),
    ];
    let ping = bytes(&doc! { "ping": 1, "$db": "admin" });
    let mut in_transaction = endless();
    let session = doc! { "id": bson::Uuid::new() };
    in_transaction
        .extend(doc! { "lsid": session, "txnNumber": 1i64, "autocommit": false, "startTransaction": true });
    let asked = [endless(), in_transaction];
    for (stream, asked) in asking.iter_mut().zip(&asked) {
        stream.write_all(&ping).await.unwrap();
        assert_eq!(said(stream).await, doc! { "ok": 1.0 });
        stream.write_all(&bytes(asked)).await.unwrap();
    }
    drop(asking);
    // There are two seats, and each is free when its work has ended.
    let free = async {
        let mut seated = Vec::new();
        while seated.len() < 2 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ = stream.write_all(&ping).await;
            if stream.read_exact(&mut [0; 16]).await.is_ok() {
                seated.push(stream);
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), free)
        .await
        .expect("it went on for nobody");
}

#[tokio::test]
async fn other_programs_leave_places_to_functions() {
    let database: Arc<dyn Database> = Arc::new(Embedded::in_memory(Options::default()).unwrap());
    let settings = WireSettings {
        name: "yunqiao".to_owned(),
        password: None,
        connections: 2,
    };
    let front = WireFront::new(Arc::clone(&database), settings);
    let insert = doc! { "insert": "one", "documents": [{ "_id": 1 }] };
    does(&mut client(&front), insert).await;
    let asked: Vec<_> = (0..64)
        .map(|_| {
            let mut client = client(&front);
            tokio::spawn(async move { ask(&mut client, endless()).await })
        })
        .collect();
    // Each has come to its place, or waits for one.
    tokio::task::yield_now().await;
    let function = database.for_asker(Asker::function("list", None)).unwrap();
    let counted = function.aggregate(
        "one",
        Aggregate {
            stages: vec![
                doc! { "$match": { "a": { "$exists": false } } },
                doc! { "$count": "n" },
            ],
        },
        None,
    );
    let counted = tokio::time::timeout(std::time::Duration::from_secs(30), counted).await;
    assert!(counted.expect("all places are taken").is_ok());
    assert!(asked.iter().all(|asked| !asked.is_finished()));
    for asked in asked {
        asked.abort();
    }
}

#[tokio::test]
async fn who_has_proved_nothing_sends_little() {
    let address = served(front(Some("correct horse battery staple"))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let large = bytes(&doc! { "hello": 1, "pad": "x".repeat(100 << 10), "$db": "admin" });
    let _ = stream.write_all(&large).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_eq!(answer, b"");
}

/// However many strangers wait, who knows the password gets in and keeps the seat.
#[tokio::test]
async fn strangers_take_no_seat_from_who_knows_the_password() {
    const PASSWORD: &str = "correct horse battery staple";
    let address = served(front(Some(PASSWORD))).await;
    let connect = || async { TcpStream::connect(address).await.unwrap() };
    let mut strangers = Vec::new();
    for _ in 0..20 {
        strangers.push(connect().await);
    }
    let mut client = connect().await;
    prove(&mut client, PASSWORD).await;
    // All strangers that came before were sent away for it, as two clients may be connected.
    for stranger in &mut strangers {
        assert_eq!(stranger.read(&mut [0]).await.unwrap_or(0), 0);
    }
    for _ in 0..20 {
        strangers.push(connect().await);
    }
    let count = bytes(&doc! { "count": "a", "$db": "yunqiao" });
    client.write_all(&count).await.unwrap();
    assert_eq!(said(&mut client).await, doc! { "n": 0, "ok": 1.0 });
}

/// SCRAM-SHA-256 as a client does it.
async fn prove(stream: &mut TcpStream, password: &str) {
    let payload = |answer: &Document| match answer.get("payload") {
        Some(Bson::Binary(binary)) => String::from_utf8(binary.bytes.clone()).unwrap(),
        other => panic!("{other:?} {answer}"),
    };
    let mut ask = async |command: Document| {
        stream.write_all(&bytes(&command)).await.unwrap();
        said(stream).await
    };
    let bare = "n=yunqiao,r=abc";
    let begun = ask(doc! {
        "saslStart": 1, "mechanism": "SCRAM-SHA-256", "payload": format!("n,,{bare}"), "$db": "admin",
    })
    .await;
    let proof = crate::scram::prove(password, bare, &payload(&begun));
    let done = ask(doc! {
        "saslContinue": 1, "conversationId": 1, "payload": proof, "$db": "admin",
    })
    .await;
    assert!(done.get_bool("done").unwrap(), "{done}");
}

/// The client is told, and can go on.
#[tokio::test]
async fn a_message_that_would_take_too_much_memory_is_refused_in_words() {
    let address = served(front(None)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let nulls = vec![Bson::Null; 4_000_000];
    let heavy = bytes(&doc! { "insert": "a", "documents": [{ "_id": 1, "nulls": nulls }], "$db": "yunqiao" });
    stream.write_all(&heavy).await.unwrap();
    let answer = said(&mut stream).await;
    let message = answer.get_str("errmsg").unwrap();
    assert!(message.contains("send fewer documents"), "{answer}");
    stream
        .write_all(&bytes(&doc! { "ping": 1, "$db": "admin" }))
        .await
        .unwrap();
    assert_eq!(said(&mut stream).await, doc! { "ok": 1.0 });
}

/// A message of which these bytes stand in the place of others of that length.
fn bytes_with(command: &Document, from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut bytes = bytes(command);
    let at = bytes.windows(from.len()).position(|part| part == from).unwrap();
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

#[tokio::test]
async fn a_document_that_is_none_is_refused_in_words_and_the_connection_goes_on() {
    let address = served(front(None)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let insert = |document: Document| doc! { "insert": "a", "documents": [document], "$db": "yunqiao" };
    let mut deep = doc! {};
    for _ in 0..220 {
        deep = doc! { "d": deep };
    }
    for (message, code) in [
        (bytes(&insert(deep)), 15),
        (bytes_with(&insert(doc! { "text": "XYZ" }), b"XYZ", b"X\xffZ"), 22),
    ] {
        stream.write_all(&message).await.unwrap();
        let answer = said(&mut stream).await;
        assert_eq!(answer.get_i32("code").unwrap(), code, "{answer}");
        // Whoever wants no answer gets none, and the next one is that of the next command.
        let mut silent = message.clone();
        silent[HEADER] |= 2;
        stream.write_all(&silent).await.unwrap();
        stream
            .write_all(&bytes(&doc! { "ping": 1, "$db": "admin" }))
            .await
            .unwrap();
        assert_eq!(said(&mut stream).await, doc! { "ok": 1.0 });
    }
    let count = bytes(&doc! { "count": "a", "$db": "yunqiao" });
    stream.write_all(&count).await.unwrap();
    assert_eq!(said(&mut stream).await.get("n"), Some(&Bson::Int32(0)));
}

/// One of several documents that are to be added has two `_id`s, another has an array for one: each is told by itself.
#[tokio::test]
async fn a_document_whose_id_cannot_be_keeps_no_other_from_being_added() {
    let address = served(front(None)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let documents = vec![
        doc! { "_id": 1 },
        doc! { "_id": [2] },
        doc! { "_id": 3, "_iX": 3 },
        doc! { "_id": 1 },
        doc! { "_id": 5 },
    ];
    for (ordered, places, left) in [
        (false, &[(1, 53), (2, 2), (3, 11000)][..], 2),
        (true, &[(1, 53)], 1),
    ] {
        let collection = format!("c{ordered}");
        let insert =
            doc! { "insert": &collection, "documents": &documents, "ordered": ordered, "$db": "yunqiao" };
        stream
            .write_all(&bytes_with(&insert, b"_iX", b"_id"))
            .await
            .unwrap();
        let answer = said(&mut stream).await;
        let errors = answer.get_array("writeErrors").unwrap();
        let told: Vec<(i32, i32)> = errors
            .iter()
            .map(|error| {
                let error = error.as_document().unwrap();
                (error.get_i32("index").unwrap(), error.get_i32("code").unwrap())
            })
            .collect();
        assert_eq!(told, places, "{answer}");
        assert_eq!(answer.get_i32("n").unwrap(), left, "{answer}");
        let count = bytes(&doc! { "count": &collection, "$db": "yunqiao" });
        stream.write_all(&count).await.unwrap();
        assert_eq!(said(&mut stream).await.get_i32("n").unwrap(), left);
    }
}

/// A MongoDB whose database has a short name keeps longer ones than are made here.
#[tokio::test]
async fn a_name_is_as_long_as_what_is_there_has_it_and_bounded_where_one_is_made() {
    let mut client = client(&front(None));
    let name = "n".repeat(240);
    does(&mut client, doc! { "find": &name }).await;
    does(&mut client, doc! { "drop": &name }).await;
    refused(&mut client, doc! { "create": &name }, 73).await;
    refused(&mut client, doc! { "insert": &name, "documents": [{}] }, 73).await;
    refused(&mut client, doc! { "find": format!("{name}$") }, 73).await;
}

#[tokio::test]
async fn an_index_needs_a_name_that_is_not_empty() {
    let mut client = client(&front(None));
    let indexes = vec![doc! { "key": { "a": 1 }, "name": "" }];
    let create = doc! { "createIndexes": "a", "indexes": indexes, "$db": "yunqiao" };
    refused(&mut client, create, 67).await;
}

#[tokio::test]
async fn the_same_index_by_another_name_is_refused() {
    let mut client = client(&front(None));
    let create = |name: &str, unique: bool| {
        let indexes = vec![doc! { "key": { "a": 1 }, "name": name, "unique": unique }];
        doc! { "createIndexes": "a", "indexes": indexes, "$db": "yunqiao" }
    };
    does(&mut client, create("one", false)).await;
    let answer = refused(&mut client, create("other", false), 85).await;
    let message = "Index already exists with a different name: one";
    assert_eq!(answer.get_str("errmsg").unwrap(), message);
    // It is there already; and one that differs is another.
    does(&mut client, create("one", false)).await;
    does(&mut client, create("other", true)).await;
}

#[tokio::test]
async fn a_large_message_is_taken_whole() {
    let address = served(front(None)).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let documents: Vec<Document> = (0..4)
        .map(|n| doc! { "_id": n, "pad": "x".repeat(5 << 20) })
        .collect();
    let insert = bytes(&doc! { "insert": "a", "documents": documents, "$db": "yunqiao" });
    stream.write_all(&insert).await.unwrap();
    assert_eq!(said(&mut stream).await, doc! { "n": 4, "ok": 1.0 });
    let find = bytes(&doc! { "find": "a", "$db": "yunqiao" });
    stream.write_all(&find).await.unwrap();
    let answer = said(&mut stream).await;
    assert_eq!(
        batch(&answer).len(),
        3,
        "a batch is no larger than a document may be"
    );
}
