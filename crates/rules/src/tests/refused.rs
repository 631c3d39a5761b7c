//! Rules that are not valid, and what a developer is told of requests that are denied.

use bson::{Document, doc};
use docdb::query::Filter;

use super::{NOW, alice, by, denial, query, uma};
use crate::{Caller, Documents, Operation, Request, Rules, Subject, Verdict};

#[test]
fn a_rule_that_is_wrong_says_where_and_what_to_write() {
    let long = format!("doc.a == '{}'", "x".repeat(1024));
    for (expression, at, why) in [
        ("doc._openid = auth.openid", 13, "write =="),
        ("doc.a == ", 10, "ends where a value"),
        ("doc.a == 1 doc.b", 12, "join them"),
        ("user.id == 1", 1, "there is no \"user\""),
        ("auth.openId == 'x'", 12, "openid, uid, loginType"),
        ("fetch('x')", 1, "there is no \"fetch\""),
        ("doc.a('x')", 6, "only get()"),
        (
            "get('database.a.a') == 1 || get('database.a.b') == 1 || get('database.a.c') == 1 || get('database.a.d') == 1",
            89,
            "at most 3",
        ),
        ("get(get(get('database.a.a')))", 13, "2 deep"),
        ("doc.x == get('a.b').x", 14, "get('database.COLLECTION.ID')"),
        ("get( 'database.a').x == 1", 6, "get('database.COLLECTION.ID')"),
        ("get(1).x == 1", 5, "get('database.COLLECTION.ID')"),
        (
            "get(`shops.${doc.id}`).x == 1",
            5,
            "get('database.COLLECTION.ID')",
        ),
        ("'a'", 1, "neither true nor false"),
        ("1", 1, "neither true nor false"),
        ("[doc.a]", 1, "neither true nor false"),
        ("doc.a + 1", 1, "neither true nor false"),
        ("doc.a == 'x", 12, "no end"),
        ("doc.a == `x${doc.b`", 19, "should stand }"),
        ("(doc.a == 1", 12, "should stand )"),
        ("/x/.test(doc.a)", 1, "only rules of storage"),
        ("", 1, "ends where a value"),
        ("说 == 1", 1, "there is no \"说\""),
        (&long, 1025, "at most 1024"),
    ] {
        let error = Rules::compile(&serde_json::json!({"read": expression}))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("character {at}:")),
            "{expression}: {error}"
        );
        assert!(error.contains(why), "{expression}: {error}");
    }
    let deep = format!("{}true{}", "(".repeat(400), ")".repeat(400));
    assert!(
        Rules::compile(&serde_json::json!({"read": deep}))
            .unwrap_err()
            .to_string()
            .contains("nested")
    );
    for (rules, why) in [
        (r#"[]"#, "an object such as"),
        (r#"{"reed": true}"#, "no \"reed\" among rules"),
        (r#"{"read": 1}"#, "write true, false or an expression"),
        (r#"{"#, "EOF"),
    ] {
        let error = rules.parse::<Rules>().unwrap_err().to_string();
        assert!(error.contains(why), "{rules}: {error}");
    }
}

#[test]
fn a_denial_names_rule_part_and_what_would_pass() {
    let rules = by("doc.published == true && doc._openid == auth.openid && doc.age > 10");
    let why = denial(query(
        &rules,
        &alice(),
        doc! {"published": true},
        &Documents::new(),
    ));
    assert_eq!(
        why,
        "read is denied by the rule \"read\": \"doc.published == true && doc._openid == auth.openid && doc.age > 10\": of \
         doc._openid == auth.openid, the query does not make sure of this for everything it can find. \
         where({published: true, _openid: '{openid}', age: _.gt(10)}) would pass"
    );
    let why = denial(query(
        &by("auth.openid == 'bob'"),
        &alice(),
        doc! {},
        &Documents::new(),
    ));
    assert!(why.ends_with("it is false for this caller"), "{why}");
}

/// A query of so many choices between two, behind which each case is excluded: only at its end, by a rule that wants `x` to be 1.
fn choices(many: usize) -> Document {
    let mut choices: Vec<_> = (0..many)
        .map(|at| doc! {"$or": [{format!("a{at}"): 1}, {format!("b{at}"): 1}]})
        .collect();
    choices.push(doc! {"$or": [{"x": 1, "y": 1}, {"x": 1, "y": 2}, {"x": 1, "y": 3}]});
    doc! {"$and": choices}
}

#[test]
fn too_many_cases_are_no_proof() {
    let rules = by("doc.x == 1");
    let why = denial(query(&rules, &alice(), choices(16), &Documents::new()));
    assert!(why.contains("too many cases"), "{why}");
}

/// Whoever serves others meanwhile is told that it takes long, and may have it judged elsewhere.
#[test]
fn a_long_proof_is_none_at_once() {
    let rules = by("doc.x == 1");
    let filter = Filter::parse(&choices(10)).unwrap();
    let anonymous = Caller {
        login_type: Some("ANONYMOUS".to_owned()),
        ..uma()
    };
    for (caller, may) in [(alice(), true), (anonymous, false), (Caller::default(), false)] {
        let request = Request {
            caller: &caller,
            now: NOW,
            data: None,
        };
        let (subject, nothing) = (Subject::Query(&filter), Documents::new());
        let judged = rules.judge(Operation::Read, subject, &request, &nothing);
        assert_eq!(matches!(judged, Verdict::Allowed(_)), may, "{judged:?}");
        let at_once = rules.judge_at_once(Operation::Read, subject, &request, &nothing);
        // Anybody's is refused where it takes long.
        assert_eq!(at_once.is_none(), may, "{at_once:?}");
    }
}

/// What a client can make long costs no more than what it can send: of these none may take longer than the rest of the tests together.
#[test]
fn long_queries_are_judged_or_given_up() {
    let rules = by("doc.x != 1 && doc._openid == auth.openid");
    let many: Vec<i64> = (0..20_000).collect();
    let odd: Vec<i64> = (0..20_000).map(|at| at * 2 + 1).collect();
    let atoms: Vec<_> = (0..30_000).map(|at| doc! {"x": {"$ne": at}}).collect();
    let cases: Vec<_> = (0..20_000).map(|at| doc! {"x": at, "_openid": "alice"}).collect();
    for asked in [
        doc! {"x": {"$in": many.clone(), "$nin": odd.clone()}, "_openid": "alice"},
        doc! {"x": {"$in": odd.clone()}, "$or": [{"x": {"$in": many.clone()}}, {"x": {"$nin": many.clone()}}]},
        doc! {"$and": atoms},
        doc! {"$or": cases},
    ] {
        assert!(!matches!(
            query(&rules, &alice(), asked, &Documents::new()),
            Verdict::Wanted(_)
        ));
    }
    let passes = query(
        &by("doc.x in [1, 3]"),
        &alice(),
        doc! {"x": {"$in": [3]}, "y": {"$in": many}},
        &Documents::new(),
    );
    assert!(matches!(passes, Verdict::Allowed(_)));
}

/// Comparing two values takes as long as they have bytes, and a proof compares the same ones for each of its cases.
#[test]
fn large_values_are_given_up_sooner() {
    let rules = by("!(doc.x in ['a', 'b'])");
    let asked = |text: &str| {
        let cases: Vec<_> = (0..200).map(|at| doc! {"x": at}).collect();
        let filter = doc! {"x": {"$nin": [text]}, "$or": cases};
        query(&rules, &alice(), filter, &Documents::new())
    };
    assert!(matches!(asked("y"), Verdict::Allowed(_)));
    let why = denial(asked(&"y".repeat(1 << 20)));
    assert!(why.contains("too many cases"), "{why}");
}
