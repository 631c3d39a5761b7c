//! How long it takes to judge a query by each of the official rule examples. Prints; nothing fails.

use std::{hint::black_box, time::Instant};

use bson::{Document, doc};
use docdb::query::Filter;
use yunqiao_rules::{Caller, DocumentRef, Documents, Operation, Request, Rules, Subject, Verdict};

const NOW: i64 = 1_700_000_000_000;
const ROUNDS: u32 = 200_000;

fn main() {
    let caller = Caller {
        openid: Some("oAlice-0123456789abcdefghij".to_owned()),
        uid: Some("uma".to_owned()),
        login_type: None,
    };
    let openid = caller.openid.as_deref().unwrap_or_default();
    let documents = Documents::from([
        (named("test", "123"), Some(doc! {"uma": 2})),
        (named("B", "s1"), Some(doc! {"owner": [openid]})),
    ]);
    println!("| rule | query | judged in |\n|---|---|---|");
    for (rule, query) in [
        (
            "doc._openid == auth.openid",
            doc! {"_openid": openid, "done": false},
        ),
        (
            "doc.published == true || doc.author == auth.openid",
            doc! {"$or": [{"published": true}, {"author": openid}]},
        ),
        (
            "auth.uid in doc.readers || auth.uid in doc.editors || doc.owner == auth.uid",
            doc! {"owner": "uma"},
        ),
        (
            "now >= doc.startTime && now <= doc.endTime",
            doc! {"startTime": {"$lte": NOW}, "endTime": {"$gte": NOW}},
        ),
        ("get('database.test.123')[auth.uid] in [1,2,3]", doc! {"a": 1}),
        (
            "auth.openid in get(`database.B.${doc.shopId}`).owner",
            doc! {"shopId": "s1"},
        ),
        ("doc.roles[auth.uid] === 'owner'", doc! {"roles.uma": "owner"}),
        ("doc.age > 10", doc! {"age": {"$gt": 15}}),
    ] {
        judge(rule, &query, &caller, &documents);
    }
}

fn named(collection: &str, id: &str) -> DocumentRef {
    DocumentRef {
        collection: collection.to_owned(),
        id: id.to_owned(),
    }
}

fn judge(rule: &str, query: &Document, caller: &Caller, documents: &Documents) {
    let Ok(rules) = Rules::compile(&serde_json::json!({"read": rule})) else {
        println!("{rule} cannot be compiled");
        return;
    };
    let Ok(filter) = Filter::parse(query) else {
        println!("{query} is no query");
        return;
    };
    let request = Request {
        caller,
        now: NOW,
        data: None,
    };
    let began = Instant::now();
    let mut allowed = 0;
    for _ in 0..ROUNDS {
        let verdict = rules.judge(
            Operation::Read,
            Subject::Query(black_box(&filter)),
            &request,
            documents,
        );
        allowed += u32::from(matches!(black_box(verdict), Verdict::Allowed(_)));
    }
    let each = began.elapsed() / ROUNDS;
    let passed = if allowed == ROUNDS { "" } else { " (refused)" };
    println!("| `{rule}` | `{query}`{passed} | {} ns |", each.as_nanos());
}
