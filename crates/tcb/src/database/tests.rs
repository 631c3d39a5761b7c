//! Requests as the SDKs send them, and the answers that they read.
#![allow(clippy::unwrap_used)]

use bson::{Bson, DateTime, Document, RawDocumentBuf, Regex, doc};
use serde_json::{Value, json};

use super::*;
use crate::{Envelope, SdkReply};

const NOW: i64 = 1_700_000_000_000;

fn read(body: &Value) -> Result<DatabaseRequest, DatabaseRefusal> {
    let text = body.to_string();
    let envelope = Envelope::parse("application/json", text.as_bytes()).unwrap();
    let action = DatabaseAction::of(envelope.action_name()).unwrap();
    DatabaseRequest::read(action, &envelope, DateTime::from_millis(NOW))
}

fn operation(body: &Value) -> DatabaseOperation {
    read(body).unwrap().operation
}

fn text(reply: &SdkReply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn a_get_of_the_modern_dialect() {
    let request = read(&json!({
        "action": "database.getDocument", "collectionName": "todos", "queryType": "WHERE",
        "query": r#"{"done":false,"name":{"$regularExpression":{"pattern":"^a","options":"i"}},"o.p":{"$numberInt":"1"},"at":{"$gt":{"$tcb_server_date":{"offset":{"$numberInt":"-1000"}}}}}"#,
        "order": r#"{"n":{"$numberInt":"-1"},"m":{"$numberInt":"1"}}"#, "offset": 5, "limit": 20,
        "projection": r#"{"z":{"$numberInt":"1"},"a":{"$numberInt":"1"}}"#, "multi": true,
    }))
    .unwrap();
    assert_eq!(
        (request.collection.as_str(), request.transaction),
        ("todos", None)
    );
    let DatabaseOperation::Find(find) = request.operation else {
        panic!()
    };
    assert_eq!(find.filter.get("done"), Some(&Bson::Boolean(false)));
    assert!(matches!(
        find.filter.get("name"),
        Some(Bson::RegularExpression(_))
    ));
    assert_eq!(find.filter.get("o.p"), Some(&Bson::Int32(1)));
    assert_eq!(
        find.filter.get_document("at").unwrap(),
        &doc! { "$gt": DateTime::from_millis(NOW - 1000) }
    );
    assert_eq!(find.sort.unwrap().keys().collect::<Vec<_>>(), ["n", "m"]);
    assert_eq!(find.projection.unwrap().keys().collect::<Vec<_>>(), ["z", "a"]);
    assert_eq!((find.skip, find.limit), (5, 20));
}

#[test]
fn a_query_of_the_legacy_dialect() {
    let DatabaseOperation::Find(find) = operation(&json!({
        "action": "database.queryDocument", "collectionName": "todos",
        "query": {"at": {"$lt": {"$date": NOW}}, "now": {"$date": {"offset": 5}}, "name": {"$regex": "ab", "$options": "i"}, "big": 9_007_199_254_740_991_i64},
        "order": [{"field": "n", "direction": "desc"}, {"field": "m", "direction": "asc"}],
        "projection": {"n": 1},
    })) else {
        panic!()
    };
    assert_eq!(
        find.filter,
        doc! {
            "at": { "$lt": DateTime::from_millis(NOW) }, "now": DateTime::from_millis(NOW + 5),
            "name": { "$regex": "ab", "$options": "i" }, "big": 9_007_199_254_740_991_i64,
        }
    );
    assert_eq!(find.sort, Some(doc! { "n": -1, "m": 1 }));
    assert_eq!((find.skip, find.limit), (0, FIND_DEFAULT));
}

#[test]
fn flags_that_decide_nothing_are_passed_over() {
    let filter = |query: Value| {
        let body = json!({"action": "database.getDocument", "collectionName": "cats", "query": query});
        let DatabaseOperation::Find(find) = operation(&body) else {
            panic!()
        };
        find.filter
    };
    let pattern = |flags: &str| json!({"$regularExpression": {"pattern": "喵", "options": flags}});
    let query =
        json!({"$or": [{"name": pattern("igs")}, {"$and": [{"tag": {"$not": pattern("gy")}}]}]}).to_string();
    let alike =
        json!({"$or": [{"name": pattern("is")}, {"$and": [{"tag": {"$not": pattern("")}}]}]}).to_string();
    assert_eq!(filter(json!(query)), filter(json!(alike)));
    // As programs write it themselves, and as the oldest SDKs send it.
    for query in [
        json!({"a": {"$regex": "喵", "$options": "ugi"}}),
        json!(r#"{"a":{"$regex":"喵","$options":"ugi"}}"#),
    ] {
        assert_eq!(filter(query), doc! {"a": {"$regex": "喵", "$options": "i"}});
    }
    // Among values it is one as well.
    for operator in ["$in", "$nin", "$all"] {
        let query = json!({"a": {operator: [{"$regex": "^喵", "$options": "mgi"}, "x", {"$regex": "y"}, {"$gt": 1}]}});
        let regex = |pattern: &str, options: &str| bson::Regex {
            pattern: pattern.try_into().unwrap(),
            options: options.try_into().unwrap(),
        };
        for query in [query.clone(), json!(query.to_string())] {
            let expected = doc! {"a": {operator: [regex("^喵", "im"), "x", regex("y", ""), {"$gt": 1}]}};
            assert_eq!(filter(query), expected, "{operator}");
        }
    }
    // What nobody knows as a flag, and what only looks like options.
    assert_eq!(
        filter(json!(r#"{"a":{"$regex":"x","$options":".iq"},"$options":"g"}"#)),
        doc! {"a": {"$regex": "x", "$options": "i"}, "$options": "g"}
    );
    let stages = json!([{"stageKey": "$match", "stageValue": json!({"name": pattern("mg")}).to_string()}]);
    let body = json!({"action": "database.aggregate", "collectionName": "cats", "stages": stages});
    let DatabaseOperation::Aggregate(pipeline) = operation(&body) else {
        panic!()
    };
    let Some(Bson::RegularExpression(regex)) = pipeline[0].get_document("$match").unwrap().get("name") else {
        panic!("{pipeline:?}")
    };
    assert_eq!(regex.options.as_str(), "m");
}

#[test]
fn a_regular_expression_that_is_kept_is_one_whatever_its_flags() {
    let regex = |flags: &str| {
        Bson::RegularExpression(Regex {
            pattern: "x".try_into().unwrap(),
            options: flags.try_into().unwrap(),
        })
    };
    let data = json!({"a": {"$regex": "x", "$options": "ig"}, "b": [{"c": {"$options": "i", "$regex": "x"}}], "d": {"$regex": "x"}});
    let kept = doc! {"a": regex("gi"), "b": [{"c": regex("i")}], "d": {"$regex": "x"}};
    for written in [json!(data.to_string()), data.clone()] {
        let added =
            operation(&json!({"action": "database.addDocument", "collectionName": "c", "data": written}));
        assert_eq!(added, DatabaseOperation::Insert(vec![kept.clone()]));
        let set = operation(&json!({
            "action": "database.updateDocument", "collectionName": "c", "query": {}, "data": {"$set": data}, "merge": true,
        }));
        let DatabaseOperation::Update {
            change: Change::Operators(operators),
            ..
        } = set
        else {
            panic!("{set:?}")
        };
        assert_eq!(operators, doc! {"$set": kept.clone()});
    }
}

#[test]
fn a_direction_that_is_none_is_refused() {
    for direction in [json!("descending"), json!("DESC"), json!(-1), Value::Null] {
        let refused = read(&json!({
            "action": "database.queryDocument", "collectionName": "c", "query": {},
            "order": [{"field": "n", "direction": direction}],
        }));
        assert!(refused.is_err(), "{direction}");
    }
}

#[test]
fn limits_are_the_platforms() {
    for (limit, given) in [
        (json!(0), 100),
        (json!(1000), 1000),
        (json!(5000), 1000),
        (Value::Null, 100),
    ] {
        let body = json!({"action": "database.getDocument", "collectionName": "c", "limit": limit});
        let DatabaseOperation::Find(find) = operation(&body) else {
            panic!()
        };
        assert_eq!(find.limit, given, "{limit}");
    }
    for limit in [json!(-1), json!(1.5), json!("x"), json!({})] {
        let body = json!({"action": "database.getDocument", "collectionName": "c", "limit": limit});
        assert!(
            matches!(read(&body), Err(DatabaseRefusal::Malformed(_))),
            "{limit}"
        );
    }
}

/// Everybody's documents are not meant by mistake, whichever door it is.
#[test]
fn what_is_no_query_is_not_all_documents() {
    for action in [
        "database.removeDocument",
        "database.deleteDocument",
        "database.modifyDocument",
        "database.updateDocument",
    ] {
        let asked = |member: &str, value: Value| {
            let mut body = json!({"action": action, "collectionName": "c", "data": r#"{"$set":{"n":1}}"#, "multi": true});
            body[member] = value;
            read(&body).map(|request| request.operation)
        };
        for (member, value) in [
            ("query", Value::Null),
            ("query", json!("null")),
            ("query", json!(" null ")),
            ("where", json!("{}")),
            ("filter", Value::Null),
            ("condition", json!({"n": 1})),
        ] {
            let refused = asked(member, value);
            assert!(
                matches!(refused, Err(DatabaseRefusal::Malformed(_))),
                "{action} {member}: {refused:?}"
            );
        }
        for (member, value) in [("query", json!("{}")), ("query", json!({})), ("env", json!("e"))] {
            let all = asked(member, value).unwrap();
            let (DatabaseOperation::Remove { filter, .. } | DatabaseOperation::Update { filter, .. }) = all
            else {
                panic!("{all:?}")
            };
            assert_eq!(filter, doc! {});
        }
    }
}

#[test]
fn updates() {
    let update = |data: &str, merge: bool, query_type: &str| {
        operation(&json!({
            "action": "database.modifyDocument", "collectionName": "c", "queryType": query_type,
            "query": r#"{"_id":"d1"}"#, "data": data, "multi": false, "merge": merge, "upsert": !merge,
        }))
    };
    let DatabaseOperation::Update {
        change, many, upsert, ..
    } = update(
        r#"{"$set":{"t":{"$tcb_server_date":{}}},"$addToSet":{"tags":{"each":["a"]},"one":{"each":["a"],"x":{"$numberInt":"1"}}}}"#,
        true,
        "DOC",
    )
    else {
        panic!()
    };
    assert!(!many && !upsert);
    assert_eq!(
        change,
        Change::Operators(doc! {
            "$set": { "t": DateTime::from_millis(NOW) },
            // What has more than `each` in it is a value like any other.
            "$addToSet": { "tags": { "$each": ["a"] }, "one": { "each": ["a"], "x": 1 } },
        })
    );
    let DatabaseOperation::Update { change, upsert, .. } =
        update(r#"{"a":{"$numberInt":"1"}}"#, false, "DOC")
    else {
        panic!()
    };
    assert!(upsert);
    assert_eq!(change, Change::Replacement(doc! { "a": 1 }));
    let DatabaseOperation::Update { change, .. } = update("{}", true, "DOC") else {
        panic!()
    };
    assert_eq!(change, Change::Nothing);
}

#[test]
fn inserts() {
    let modern = json!({
        "action": "database.insertDocument", "collectionName": "c",
        "data": [r#"{"_id":"x","at":{"$date":{"$numberLong":"5"}}}"#, r#"{"n":{"$numberDouble":"1.5"}}"#],
    });
    assert_eq!(
        operation(&modern),
        DatabaseOperation::Insert(vec![
            doc! { "_id": "x", "at": DateTime::from_millis(5) },
            doc! { "n": 1.5 }
        ])
    );
    let legacy = json!({"action": "database.addDocument", "collectionName": "c", "data": {"at": {"$date": {}}, "n": 1}});
    assert_eq!(
        operation(&legacy),
        DatabaseOperation::Insert(vec![doc! { "at": DateTime::from_millis(NOW), "n": 1 }])
    );
    for (id, expected) in [(json!("x"), Bson::from("x")), (json!(7), Bson::Int32(7))] {
        let inside = json!({
            "action": "database.insertDocInTransaction", "collectionName": "c", "transactionId": "1",
            "data": r#"{"n":{"$numberInt":"1"}}"#, "_id": id,
        });
        assert_eq!(
            operation(&inside),
            DatabaseOperation::Insert(vec![doc! { "n": 1, "_id": expected }])
        );
    }
    // `add({})`, and no collection.
    for body in [
        json!({"action": "database.insertDocument", "collectionName": "c", "data": ["null"]}),
        json!({"action": "database.addDocument", "collectionName": "c", "data": null}),
        json!({"action": "database.insertDocument", "collectionName": "", "data": []}),
        json!({"action": "database.insertDocument", "collectionName": "c", "data": ["{"]}),
        json!({"action": "database.getInTransaction", "collectionName": "c", "query": {"_id": {"$eq": "x"}}}),
    ] {
        assert!(
            matches!(read(&body), Err(DatabaseRefusal::Malformed(_))),
            "{body}"
        );
    }
}

#[test]
fn pipelines_end_in_a_limit() {
    let body = json!({
        "action": "database.aggregateDocuments", "collectionName": "c",
        "stages": [
            {"stageKey": "$match", "stageValue": r#"{"a":{"$gt":{"$numberInt":"1"}}}"#},
            {"stageKey": "$skip", "stageValue": "1"},
            {"stageKey": "$unwind", "stageValue": "\"$bs\""},
        ],
    });
    let DatabaseOperation::Aggregate(stages) = operation(&body) else {
        panic!()
    };
    assert_eq!(
        stages,
        [
            doc! { "$match": { "a": { "$gt": 1 } } },
            doc! { "$skip": 1 },
            doc! { "$unwind": "$bs" },
            doc! { "$limit": 20_i64 },
        ]
    );
    let body = json!({
        "action": "database.aggregate", "collectionName": "c",
        "stages": [{"stageKey": "$limit", "stageValue": "500"}],
    });
    let DatabaseOperation::Aggregate(stages) = operation(&body) else {
        panic!()
    };
    assert_eq!(stages, [doc! { "$limit": 500 }, doc! { "$limit": 10_000_i64 }]);
}

fn raw(document: &Document) -> RawDocumentBuf {
    RawDocumentBuf::try_from(document).unwrap()
}

#[test]
fn answers() {
    let documents = DatabaseAnswer::Documents(vec![raw(
        &doc! { "_id": "d1", "n": 7, "d": DateTime::from_millis(5) },
    )]);
    let extended = r#"{"_id":"d1","n":{"$numberInt":"7"},"d":{"$date":{"$numberLong":"5"}}}"#;
    for (answer, action, expected) in [
        (
            &documents,
            DatabaseAction::Get,
            json!({"data": {"list": [extended]}}),
        ),
        (
            &documents,
            DatabaseAction::Aggregate,
            json!({"data": {"list": [extended]}}),
        ),
        (
            &documents,
            DatabaseAction::AggregateAsText,
            json!({"data": {"list": json!([extended]).to_string()}}),
        ),
        (
            &documents,
            DatabaseAction::Query,
            json!({"data": {"list": [{"_id": "d1", "n": 7, "d": {"$date": 5}}]}}),
        ),
        (
            &documents,
            DatabaseAction::GetInTransaction,
            json!({"data": extended}),
        ),
        (
            &DatabaseAnswer::Documents(vec![]),
            DatabaseAction::GetInTransaction,
            json!({"data": "null"}),
        ),
        (
            &DatabaseAnswer::Inserted(vec!["x".into(), Bson::Int32(5)]),
            DatabaseAction::InsertDocuments,
            json!({"data": {"insertedIds": ["x", 5]}}),
        ),
        (
            &DatabaseAnswer::Inserted(vec!["x".into()]),
            DatabaseAction::AddDocument,
            json!({"data": {"_id": "x"}}),
        ),
        (
            &DatabaseAnswer::Inserted(vec!["x".into()]),
            DatabaseAction::InsertInTransaction,
            json!({"inserted": r#"{"$numberInt":"1"}"#, "ok": r#"{"$numberInt":"1"}"#, "id": "x"}),
        ),
        (
            &DatabaseAnswer::Counted(3),
            DatabaseAction::Count,
            json!({"data": {"total": 3}}),
        ),
        (
            &DatabaseAnswer::Removed(3),
            DatabaseAction::Remove,
            json!({"data": {"deleted": 3}}),
        ),
        (
            &DatabaseAnswer::Updated {
                updated: 0,
                upserted: Some("x".into()),
                document: None,
            },
            DatabaseAction::Modify,
            json!({"data": {"updated": 0, "upsert_id": "x"}}),
        ),
        (
            &DatabaseAnswer::Began("t1".to_owned()),
            DatabaseAction::Begin,
            json!({"transactionId": "t1"}),
        ),
        (&DatabaseAnswer::Done, DatabaseAction::Commit, json!({})),
    ] {
        let mut expected = expected;
        expected["requestId"] = json!("r1");
        assert_eq!(text(&answer.reply(action, "r1")), expected, "{action:?}");
    }
}

/// The substrings that public programs search for.
#[test]
fn refusals_say_what_programs_search_for() {
    for (refusal, code, parts) in [
        (
            DatabaseRefusal::CollectionMissing("todos".to_owned()),
            "DATABASE_COLLECTION_NOT_EXIST",
            &["[ResourceNotFound] Db or Table not exist: todos."][..],
        ),
        (
            DatabaseRefusal::CollectionExists("todos".to_owned()),
            "DATABASE_COLLECTION_ALREADY_EXIST",
            &[
                "ResourceExist",
                "Table exist",
                "DATABASE_COLLECTION_ALREADY_EXIST",
            ],
        ),
        (
            DatabaseRefusal::Duplicate {
                collection: "todos".to_owned(),
                index: "_id_".to_owned(),
                key: r#"{ _id: "x" }"#.to_owned(),
            },
            "DATABASE_REQUEST_FAILED",
            &[
                "E11000 duplicate key error collection: tnt-",
                ".todos index: _id_ dup key: { _id: \"x\" }",
            ],
        ),
        (
            DatabaseRefusal::Write("Cannot create field 'x' in element {parent: null}".to_owned()),
            "DATABASE_REQUEST_FAILED",
            &[
                "[FailedOperation] multiple write errors: [{write errors: [{Cannot create field 'x' in element {parent: null}}]}",
            ],
        ),
        (
            DatabaseRefusal::TransactionConflict,
            "DATABASE_TRANSACTION_CONFLICT",
            &[
                "[ResourceUnavailable.TransactionConflict] Transaction is conflict, maybe resource operated by others.",
            ],
        ),
        (
            DatabaseRefusal::TransactionMissing,
            "DATABASE_TRANSACTION_FAIL",
            &[
                "[ResourceUnavailable.TransactionNotExist] Transaction does not exist on the server, transaction must be commit or abort in 30 seconds.",
            ],
        ),
        (
            DatabaseRefusal::TransactionBusy,
            "DATABASE_TRANSACTION_FAIL",
            &["[ResourceUnavailable.TransactionBusy] Transaction is busy"],
        ),
        (
            DatabaseRefusal::PermissionDenied,
            "DATABASE_PERMISSION_DENIED",
            &["Permission denied"],
        ),
        (
            DatabaseRefusal::Malformed("x".to_owned()),
            "INVALID_PARAM",
            &["Check request parameter fail"],
        ),
    ] {
        let reply = text(&refusal.reply("r1"));
        assert_eq!(
            (reply["code"].as_str(), reply["requestId"].as_str()),
            (Some(code), Some("r1"))
        );
        for part in parts {
            assert!(reply["message"].as_str().unwrap().contains(part), "{reply}");
        }
    }
}

#[test]
fn ids_are_laid_out_as_the_platforms() {
    let id = DocumentId {
        node: 0x7955_0af2,
        seconds: 0x6043_97df,
        counter: 0x08a6_7e05,
        random: 0x3d78_4295,
    };
    assert_eq!(id.to_string(), "79550af2604397df08a67e053d784295");
}
