use bson::{Bson, doc};
use serde_json::{Value, json};

use crate::*;

fn read(message: Value) -> Result<ClientMessage, BadMessage> {
    ClientMessage::read(&message.to_string())
}

fn begin(data: Value) -> Result<WatchRequest, WatchRefusal> {
    let message = json!({"watchId": "w", "requestId": "r", "msgType": "INIT_WATCH", "msgData": data});
    match read(message) {
        Ok(ClientMessage {
            body: ClientBody::Begin(request),
            ..
        }) => Ok(request),
        Ok(other) => panic!("{other:?}"),
        Err(bad) => Err(bad.refusal.unwrap()),
    }
}

#[test]
fn messages_of_sdks_are_read() {
    let login = json!({"requestId": "1_0.2", "msgType": "LOGIN", "msgData": {"envId": "e", "accessToken": "", "referrer": "web",
        "sdkVersion": "", "dataVersion": ""}, "exMsgData": {"runtime": "web", "signStr": "s", "secretVersion": 1}});
    let login = read(login).unwrap();
    let shown = Login {
        signature: "s".into(),
        token: String::new(),
        env_id: "e".into(),
    };
    assert_eq!(
        (login.body, login.request_id.as_str()),
        (ClientBody::Login(shown), "1_0.2")
    );
    let data = json!({"envId": "e", "collName": "c", "query": "{\"a\":1}", "limit": 3, "orderBy": {"n": "asc", "m": "desc"}});
    let request = begin(data).unwrap();
    assert_eq!(request.order, Some(vec![("n".into(), true), ("m".into(), false)]));
    assert_eq!((request.limit, request.collection.as_str()), (Some(3), "c"));
    for (kind, body) in [
        ("CHECK_LAST", ClientBody::Check),
        ("CLOSE_WATCH", ClientBody::Close),
    ] {
        let message = json!({"watchId": "w", "requestId": "r", "msgType": kind, "msgData": null});
        assert_eq!(read(message).unwrap().body, body);
    }
    let ping = json!({"requestId": "r", "msgType": "PING", "msgData": null});
    assert_eq!(read(ping).unwrap().body, ClientBody::Ping);
}

#[test]
fn what_is_wrong_is_said_with_the_ids_that_could_be_read() {
    let bad = read(json!({"watchId": "w", "requestId": "r", "msgType": "WATCH"})).unwrap_err();
    assert_eq!((bad.watch_id.as_str(), bad.request_id.as_str()), ("w", "r"));
    assert!(
        bad.refusal
            .unwrap()
            .to_string()
            .contains("msgType \"WATCH\" is none of")
    );
    for (data, says) in [
        (json!({}), "collName"),
        (json!({"collName": ""}), "collName is missing"),
        (
            json!({"collName": "c", "limit": 0}),
            "limit must be an integer of at least 1",
        ),
        (
            json!({"collName": "c", "limit": 1.5}),
            "limit must be an integer of at least 1",
        ),
        (
            json!({"collName": "c", "orderBy": [1]}),
            "orderBy must be an object",
        ),
        (
            json!({"collName": "c", "orderBy": {"a": "up"}}),
            "orderBy must be an object",
        ),
        (json!({"collName": "c", "query": 1}), "expected a string"),
    ] {
        let refusal = begin(data.clone()).unwrap_err();
        assert!(refusal.to_string().contains(says), "{data}: {refusal}");
        assert_eq!(refusal.code(), "INVALID_PARAM");
    }
    let rebuild = json!({"watchId": "w", "requestId": "r", "msgType": "REBUILD_WATCH", "msgData": {"queryID": "x", "eventID": 1}});
    assert_eq!(
        read(rebuild).unwrap_err().refusal,
        Some(WatchRefusal::UnknownQuery)
    );
    let id = QueryId {
        request: WatchRequest::default(),
        numbering: 1,
        watcher: 0,
    };
    for event in [-1, i64::MAX] {
        let data = json!({"queryID": id.text(), "eventID": event});
        let rebuild = json!({"watchId": "w", "msgType": "REBUILD_WATCH", "msgData": data});
        let refusal = read(rebuild).unwrap_err().refusal.unwrap();
        assert!(refusal.to_string().contains("eventID"), "{refusal}");
    }
    for text in ["", "[]", "1", "{\"msgType\":1}", "{}"] {
        assert!(ClientMessage::read(text).is_err(), "{text}");
    }
    let nameless =
        json!({"watchId": "w".repeat(129), "requestId": "r", "msgType": "CHECK_LAST", "msgData": null});
    let refusal = read(nameless).unwrap_err().refusal.unwrap();
    assert!(refusal.to_string().contains("watchId"), "{refusal}");
}

#[test]
fn a_query_is_read_however_it_is_encoded() {
    let filter = |query: &str| {
        let request = WatchRequest {
            query: query.into(),
            ..WatchRequest::default()
        };
        request.filter()
    };
    assert_eq!(
        filter(r#"{"a":1,"n":{"$gt":2}}"#).unwrap(),
        doc! {"a": 1, "n": {"$gt": 2}}
    );
    assert_eq!(
        filter(r#""{\"a\":{\"$numberInt\":\"1\"}}""#).unwrap(),
        doc! {"a": 1}
    );
    for nothing in ["", "\"\"", "{}", "\"{}\""] {
        assert_eq!(filter(nothing).unwrap(), doc! {}, "{nothing:?}");
    }
    let date = Bson::DateTime(bson::DateTime::from_millis(5));
    for text in [
        r#"{"d":{"$date":5}}"#,
        r#"{"d":{"$date":{"$numberLong":"5"}}}"#,
        r#""{\"d\":{\"$date\":5}}""#,
    ] {
        assert_eq!(filter(text).unwrap().get("d"), Some(&date), "{text}");
    }
    for wrong in ["[1]", "{", "1", &format!("{{\"a\":\"{}\"}}", "x".repeat(20_000))] {
        assert_eq!(filter(wrong).unwrap_err().code(), "INVALID_PARAM", "{wrong:.40}");
    }
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let request = WatchRequest::default();
    let near = doc! {"at": {"$geoNear": {"$geometry": {"type": "Point", "coordinates": [0, 0]}}}};
    let alternatives = [
        near,
        doc! {"at": {"$nearSphere": {"$geometry": {"type": "Point", "coordinates": [0, 0]}}}},
        doc! {"a": {"$nonsense": 1}},
    ];
    for filter in alternatives {
        let refusal = WatchQuery::new(filter.clone(), &request, Dialect::Plain).unwrap_err();
        assert_eq!(refusal.code(), "INVALID_PARAM", "{filter}");
    }
}

#[test]
fn patterns_of_a_watch_are_counted_before_one_is_compiled() {
    // One that is compiled would be refused as none.
    let searches = |count: usize, pattern: &str| {
        let search = doc! {"$regexMatch": {"input": "$a", "regex": pattern}};
        doc! {"$expr": {"$or": vec![bson::Bson::from(search); count]}, "b": {"$regex": pattern}}
    };
    let watched = |filter: bson::Document| {
        let mut text = Vec::new();
        ejson::write(&mut text, &filter.into(), ejson::Style::Relaxed);
        let request = WatchRequest {
            query: String::from_utf8(text).unwrap(),
            ..WatchRequest::default()
        };
        WatchQuery::new(request.filter()?, &request, Dialect::Plain)
    };
    let many = watched(searches(16, "(")).unwrap_err().to_string();
    assert!(many.contains("a watch may have 16 regular expressions"), "{many}");
    let most = watched(searches(15, "x")).unwrap();
    // They are paid for, those of `$expr` too.
    assert!(most.memory() > 16 * (32 << 10));
}

#[test]
fn a_query_id_is_what_it_was_made_of() {
    let id = QueryId {
        request: WatchRequest {
            collection: "聊天".into(),
            query: "{\"a\":1}".into(),
            order: Some(vec![("b".into(), false)]),
            limit: Some(7),
        },
        numbering: u64::MAX,
        watcher: u64::MAX,
    };
    assert_eq!(QueryId::read(&id.text()), Ok(id));
}

#[test]
fn messages_are_json_of_the_protocol() {
    let parsed = |message: Vec<u8>| -> Value { serde_json::from_slice(&message).unwrap() };
    assert_eq!(
        parsed(logged_in("r", "e")),
        json!({"requestId": "r", "msgType": "LOGIN_RES", "msgData": {"envId": "e"}})
    );
    assert_eq!(
        parsed(pong("r")),
        json!({"requestId": "r", "msgType": "PONG", "msgData": null})
    );
    assert_eq!(
        parsed(refused("w", "r", &WatchRefusal::PermissionDenied, false)),
        json!({"watchId": "w", "requestId": "r", "msgType": "ERROR",
            "msgData": {"code": "COLLECTION_PERMISSION_DENIED", "message": "Permission denied"}})
    );
    assert_eq!(
        parsed(checked("w", "r", "q", 9)),
        json!({"watchId": "w", "requestId": "r", "msgType": "CHECK_EVENT", "msgData": {"queryID": "q", "currEvent": 9}})
    );
    let events = |begins, last, batches: &[EventBatch], offset| {
        let head = events_head("w", "r", begins, "q");
        parsed([head, events_tail(last, batches, offset)].concat())
    };
    assert_eq!(
        events(true, 4, &[], 0),
        json!({"watchId": "w", "requestId": "r", "msgType": "INIT_EVENT",
            "msgData": {"queryID": "q", "currEvent": 4, "events": []}})
    );
    let event = Event {
        data: DataType::Add,
        queue: QueueType::Enqueue,
        id: "\"x\"".into(),
        document: r#""{\"_id\":\"x\"}""#.into(),
        at: Some(2),
    };
    let batches = [1, 2].map(|number| EventBatch {
        number,
        events: vec![event.clone()],
    });
    let told = |number: i64| {
        json!({"ID": number, "DataType": "add", "QueueType": "enqueue", "DocID": "x", "Doc": "{\"_id\":\"x\"}",
            "UpdatedFields": "", "RemovedFields": "", "At": 2})
    };
    assert_eq!(
        events(false, 2, &batches, 10),
        json!({"watchId": "w", "requestId": "r", "msgType": "NEXT_EVENT",
            "msgData": {"queryID": "q", "currEvent": 12, "events": [told(11), told(12)]}})
    );
}
