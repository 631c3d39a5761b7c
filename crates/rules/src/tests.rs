#![allow(clippy::unwrap_used, clippy::panic)]

mod functions;
mod levels;
mod model;
mod official;
mod refused;
mod storage;

use bson::{Document, doc};
use docdb::query::Filter;

use crate::{Caller, Documents, Operation, Request, Rules, Subject, Verdict, WrittenData};

/// What `now` is here.
const NOW: i64 = 1_700_000_000_000;

fn alice() -> Caller {
    Caller::of_openid("alice")
}

/// A web page's user.
fn uma() -> Caller {
    Caller {
        uid: Some("uma".to_owned()),
        login_type: Some("CUSTOM".to_owned()),
        ..Caller::default()
    }
}

fn rules(json: &str) -> Rules {
    json.parse().unwrap_or_else(|error| panic!("{json}: {error}"))
}

/// Rules that read and write by one expression.
fn by(expression: &str) -> Rules {
    let value = serde_json::json!({"read": expression, "write": expression});
    Rules::compile(&value).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

fn query(rules: &Rules, caller: &Caller, query: Document, documents: &Documents) -> Verdict {
    let request = Request {
        caller,
        now: NOW,
        data: None,
    };
    let filter = Filter::parse(&query).unwrap();
    rules.judge(Operation::Read, Subject::Query(&filter), &request, documents)
}

fn reads(rules: &Rules, caller: &Caller, wanted: Document) -> bool {
    matches!(
        query(rules, caller, wanted, &Documents::new()),
        Verdict::Allowed(_)
    )
}

fn updates(rules: &Rules, caller: &Caller, stored: &Document, operators: &Document) -> bool {
    let data = WrittenData::operators(operators);
    let request = Request {
        caller,
        now: NOW,
        data: Some(&data),
    };
    let verdict = rules.judge(
        Operation::Update,
        Subject::Document(stored),
        &request,
        &Documents::new(),
    );
    matches!(verdict, Verdict::Allowed(_))
}

fn creates(rules: &Rules, caller: &Caller, document: &Document) -> bool {
    let data = WrittenData::document(document);
    let request = Request {
        caller,
        now: NOW,
        data: Some(&data),
    };
    let verdict = rules.judge(
        Operation::Create,
        Subject::Document(document),
        &request,
        &Documents::new(),
    );
    matches!(verdict, Verdict::Allowed(_))
}

fn denial(verdict: Verdict) -> String {
    match verdict {
        Verdict::Denied(denial) => denial.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_filter_of_nothing_finds_everything() {
    assert!(reads(&by("true"), &alice(), doc! {}));
    assert!(!reads(&by("false"), &alice(), doc! {}));
}

#[test]
fn a_name_with_a_dot_does_not_answer_for_a_field() {
    let rules = by("request.data.a.b == 'ok'");
    assert!(creates(&rules, &alice(), &doc! {"a": {"b": "ok"}}));
    assert!(creates(&rules, &alice(), &doc! {"a": {"b": "ok"}, "c.d": 1}));
    for document in [
        doc! {"a": {"b": "evil"}, "a.b": "ok"},
        doc! {"a.b": "ok", "a": {"b": "evil"}},
        doc! {"a.b": "ok"},
        doc! {"a": {"b": "evil"}, "": {"a": {"b": "ok"}}},
    ] {
        assert!(!creates(&rules, &alice(), &document), "{document}");
    }
}
