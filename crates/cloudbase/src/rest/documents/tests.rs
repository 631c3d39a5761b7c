#![allow(clippy::unwrap_used)]
use bson::Document;
use tcb::database::{Change, DatabaseOperation, Find};

use super::*;

const ROOT: &str = "instances/(default)/databases/(default)";

fn read(method: &str, path: &str, query: &str, body: &str) -> Result<DocumentCall, WebFault> {
    let now = DateTime::from_millis(1_000);
    DocumentCall::read(
        method,
        &format!("{ROOT}/{path}"),
        Some(query),
        body.as_bytes(),
        now,
    )
}

fn operation(method: &str, path: &str, query: &str, body: &str) -> DatabaseOperation {
    read(method, path, query, body).unwrap().request.operation
}

#[test]
fn what_js_sdk_sends_is_understood() {
    let query = "projection=%7B%22n%22%3A1%7D&offset=2&limit=5&order=%5B%7B%22field%22%3A%22n%22%2C%22direction%22%3A%22desc%22%7D%5D\
                 &query=%7B%22n%22%3A%7B%22%24gt%22%3A%7B%22%24numberInt%22%3A%221%22%7D%7D%7D&";
    let call = read("GET", "collections/todos/documents", query, "").unwrap();
    assert_eq!(call.request.collection, "todos");
    let found = DatabaseOperation::Find(Find {
        filter: doc! {"n": {"$gt": 1}},
        sort: Some(doc! {"n": -1}),
        projection: Some(doc! {"n": 1}),
        skip: 2,
        limit: 5,
    });
    assert_eq!(call.request.operation, found);
    assert_eq!(
        operation(
            "GET",
            "collections/todos/documents",
            "count=true&query=%7B%7D&",
            ""
        ),
        DatabaseOperation::Count(Document::new())
    );
    let by_id = operation("GET", "collections/todos/documents/a%2Fb", "", "");
    assert!(
        matches!(by_id, DatabaseOperation::Find(find) if find.filter == doc! {"_id": "a/b"} && find.limit == 1)
    );
    assert_eq!(
        operation(
            "POST",
            "collections/todos/documents",
            "",
            r#"{"data":[{"at":{"$date":{"offset":5}},"n":1.5,"d":{"$date":7}}]}"#
        ),
        DatabaseOperation::Insert(vec![
            doc! {"at": DateTime::from_millis(1_005), "n": 1.5, "d": DateTime::from_millis(7)}
        ])
    );
    let body =
        r#"{"query":{"_id":"d1"},"data":{"$inc":{"n":1}},"multi":true,"upsert":false,"replaceMode":false}"#;
    assert_eq!(
        operation("PATCH", "collections/todos/documents", "", body),
        DatabaseOperation::Update {
            filter: doc! {"_id": "d1"},
            change: Change::Operators(doc! {"$inc": {"n": 1}}),
            many: true,
            upsert: false,
            returns: false,
        }
    );
    let set = r#"{"query":{"_id":"d1"},"data":{"n":1},"multi":false,"upsert":true,"replaceMode":false}"#;
    assert!(matches!(
        operation("PATCH", "collections/todos/documents", "", set),
        DatabaseOperation::Update { change: Change::Replacement(document), upsert: true, .. } if document == doc! {"n": 1}
    ));
    // A form without a change is saved: `update({})`.
    let nothing = r#"{"query":{"_id":"d1"},"data":{},"multi":false,"upsert":false,"replaceMode":false}"#;
    for (path, body) in [("documents", nothing), ("documents/d1", r#"{"data":{}}"#)] {
        let path = format!("collections/todos/{path}");
        assert!(matches!(
            operation("PATCH", &path, "", body),
            DatabaseOperation::Update {
                change: Change::Nothing,
                upsert: false,
                ..
            }
        ));
    }
    let replace = r#"{"query":{"_id":"d1"},"data":{},"replaceMode":true}"#;
    assert!(matches!(
        operation("PATCH", "collections/todos/documents", "", replace),
        DatabaseOperation::Update { change: Change::Replacement(document), .. } if document.is_empty()
    ));
    assert_eq!(
        operation(
            "POST",
            "collections/todos/documents/remove",
            "",
            r#"{"query":{"n":1},"multi":true}"#
        ),
        DatabaseOperation::Remove {
            filter: doc! {"n": 1},
            many: true
        }
    );
    let pipeline = r#"{"pipeline":[{"$match":{"n":{"$numberInt":"1"}}},{"$skip":2}]}"#;
    let DatabaseOperation::Aggregate(stages) =
        operation("POST", "collections/todos/documents/aggregations", "", pipeline)
    else {
        unreachable!()
    };
    assert_eq!(&stages[..2], [doc! {"$match": {"n": 1}}, doc! {"$skip": 2}]);
}

/// 3.x sends of `_.geoNear` what the program left out, as null.
#[test]
fn a_distance_that_was_not_given_is_none() {
    let point = doc! {"type": "Point", "coordinates": [1.0, 2.0]};
    let near = |least: &str, greatest: &str| {
        format!(
            r#"{{"p":{{"$nearSphere":{{"$geometry":{{"type":"Point","coordinates":[1.0,2.0]}},"$maxDistance":{greatest},"$minDistance":{least}}}}}}}"#
        )
    };
    let some = r#"{"$numberInt":"1000"}"#;
    for (least, greatest, distances) in [
        ("null", some, doc! {"$maxDistance": 1000}),
        (some, "null", doc! {"$minDistance": 1000}),
        ("null", "null", doc! {}),
        (some, some, doc! {"$maxDistance": 1000, "$minDistance": 1000}),
    ] {
        let mut inner = doc! {"$geometry": point.clone()};
        inner.extend(distances);
        let meant = doc! {"p": {"$nearSphere": inner}};
        let text = near(least, greatest);
        let query: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let documents = "collections/c/documents";
        assert_eq!(
            operation("GET", documents, &format!("count=true&query={query}"), ""),
            DatabaseOperation::Count(meant.clone())
        );
        let find = operation("GET", documents, &format!("query={query}"), "");
        assert!(matches!(find, DatabaseOperation::Find(find) if find.filter == meant));
        let both = format!(r#"{{"query":{{"$and":[{text},{{"n":null}}]}},"multi":true}}"#);
        assert_eq!(
            operation("POST", &format!("{documents}/remove"), "", &both),
            DatabaseOperation::Remove {
                filter: doc! {"$and": [meant, {"n": null}]},
                many: true
            }
        );
    }
}

#[test]
fn what_is_no_request_is_refused_with_its_cause() {
    for (method, path, query, body, status) in [
        ("GET", "", "", "", 404),
        ("GET", "collections/todos", "", "", 404),
        ("PUT", "collections/todos/documents", "", "", 404),
        ("GET", "collections//documents", "", "", 400),
        ("GET", "collections/todos/documents", "query={", "", 400),
        ("GET", "collections/todos/documents", "limit=-1", "", 400),
        ("GET", "collections/todos/documents", "order={", "", 400),
        ("POST", "collections/todos/documents", "", "", 400),
        ("POST", "collections/todos/documents", "", "[]", 400),
        ("POST", "collections/todos/documents", "", r#"{"data":[1]}"#, 400),
        ("PATCH", "collections/todos/documents", "", r#"{"query":{}}"#, 400),
        (
            "POST",
            "collections/todos/documents/aggregations",
            "",
            r#"{"pipeline":[{}]}"#,
            400,
        ),
        ("POST", "commands", "", r#"{"commands":[]}"#, 403),
    ] {
        let fault = read(method, path, query, body).unwrap_err();
        assert_eq!(
            fault.status, status,
            "{method} {path} {query} {body}: {}",
            fault.message
        );
    }
    let other = DocumentCall::read(
        "GET",
        "instances/i/databases/d/collections/c/documents",
        None,
        b"",
        DateTime::MIN,
    );
    assert_eq!(other.unwrap_err().status, 400);
}

#[test]
fn answers_are_extended_json_and_one_document_is_itself() {
    let document = RawDocumentBuf::try_from(&doc! {"_id": "a", "n": 1}).unwrap();
    let text = |call: &DocumentCall, answer| String::from_utf8(call.write(answer).unwrap()).unwrap();
    let list = read("GET", "collections/c/documents", "offset=1", "").unwrap();
    assert_eq!(
        text(&list, DatabaseAnswer::Documents(vec![document.clone()])),
        r#"{"list":[{"_id":"a","n":{"$numberInt":"1"}}],"offset":1,"limit":100}"#
    );
    let one = read("GET", "collections/c/documents/a", "", "").unwrap();
    assert_eq!(
        text(&one, DatabaseAnswer::Documents(vec![document])),
        r#"{"_id":"a","n":{"$numberInt":"1"}}"#
    );
    let none = one.write(DatabaseAnswer::Documents(Vec::new())).unwrap_err();
    assert_eq!((none.status, none.code.as_str()), (404, "DOCUMENT_NOT_FOUND"));
    assert_eq!(
        text(&list, DatabaseAnswer::Inserted(vec!["a".into()])),
        r#"{"insertedIds":["a"]}"#
    );
    let updated = DatabaseAnswer::Updated {
        updated: 2,
        upserted: None,
        document: None,
    };
    assert_eq!(text(&list, updated), r#"{"updated":2}"#);
    assert_eq!(text(&list, DatabaseAnswer::Done), "{}");
}

#[test]
fn who_is_to_blame_shows_in_the_status() {
    for (refusal, status, code) in [
        (DatabaseRefusal::ResultTooLarge(1), 400, "SYS_ERR"),
        (DatabaseRefusal::Malformed("x".to_owned()), 400, "INVALID_PARAM"),
        (
            DatabaseRefusal::PermissionDenied,
            401,
            "DATABASE_PERMISSION_DENIED",
        ),
        (DatabaseRefusal::Unavailable, 500, "SYS_ERR"),
    ] {
        let fault = WebFault::from(refusal);
        assert_eq!(
            (fault.status, fault.code.as_str()),
            (status, code),
            "{}",
            fault.message
        );
    }
}

/// Everybody's documents are not meant by mistake.
#[test]
fn a_query_by_another_name_is_not_all_documents() {
    let documents = "collections/c/documents";
    let remove = format!("{documents}/remove");
    for member in [
        r#""where":{"n":1}"#,
        r#""filter":"{}""#,
        r#""where":null"#,
        r#""condition":null,"query":{}"#,
        r#""query":null"#,
        r#""query":"null""#,
        r#""query":" null ""#,
    ] {
        let refused = |method, path: &str, more: &str| {
            let read = read(method, path, "", &format!("{{{member},{more}}}"));
            read.err().map(|fault| fault.code)
        };
        let expected = Some("INVALID_PARAM".to_owned());
        assert_eq!(refused("POST", &remove, r#""multi":true"#), expected, "{member}");
        let change = r#""data":{"$set":{"n":1}},"multi":true"#;
        assert_eq!(refused("PATCH", documents, change), expected, "{member}");
    }
}

/// What a proxy dropped, or a program misspelt, is not all documents either.
#[test]
fn no_query_is_all_documents_in_the_form_of_sdks_alone() {
    let documents = "collections/c/documents";
    let remove = format!("{documents}/remove");
    let refused = |method, path: &str, body: &str| {
        let read = read(method, path, "", body);
        assert_eq!(read.err().map(|fault| fault.status), Some(400), "{body}");
    };
    for body in [
        "",
        "{}",
        "[]",
        "[null]",
        r#"{"Multi":true}"#,
        r#"{"multi":true,"query":""}"#,
        r#"{"multi":true,"query":" "}"#,
        r#"{"multi":true,"q":{"k":9}}"#,
        r#"{"multi":true,"Query":{"k":9}}"#,
        r#"{"multi":true,"selector":null}"#,
    ] {
        refused("POST", &remove, body);
    }
    let change = r#""data":{"$set":{"n":1}},"multi":true"#;
    for more in [
        "",
        r#","upsert":false"#,
        r#","query":"","upsert":false,"replaceMode":false"#,
        r#","match":{},"upsert":false,"replaceMode":false"#,
    ] {
        refused("PATCH", documents, &format!("{{{change}{more}}}"));
    }
    // `collection.remove()` and `collection.update()` of js-sdk 3.7.0.
    assert_eq!(
        operation("POST", &remove, "", r#"{"multi":true,"transactionId":"t"}"#),
        DatabaseOperation::Remove {
            filter: doc! {},
            many: true
        }
    );
    let all = format!(r#"{{{change},"upsert":false,"replaceMode":false}}"#);
    assert!(matches!(
        operation("PATCH", documents, "", &all),
        DatabaseOperation::Update { filter, many: true, .. } if filter.is_empty()
    ));
}
