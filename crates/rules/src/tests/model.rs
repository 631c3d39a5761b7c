//! The proof against a model: filter by reading every document.

use bson::{Bson, DateTime, Document, doc};
use docdb::{Context, expr::Variables, query::Filter};
use proptest::prelude::*;

use super::{NOW, alice, by, updates};
use crate::{Documents, Operation, Request, Subject, Verdict};

const FIELDS: [&str; 4] = ["a", "b", "_openid", "c.d"];

/// Values that conditions and documents share, so that they meet often.
fn scalar() -> impl Strategy<Value = Bson> {
    prop_oneof![
        4 => (0_i64..6).prop_map(Bson::Int64),
        1 => (0_i32..6).prop_map(|number| Bson::Double(f64::from(number) + 0.5)),
        2 => prop::sample::select(vec!["alice", "bob", "x"]).prop_map(|text| Bson::String(text.to_owned())),
        1 => any::<bool>().prop_map(Bson::Boolean),
        1 => Just(Bson::Null),
    ]
}

fn value() -> impl Strategy<Value = Bson> {
    prop_oneof![
        6 => scalar(),
        1 => (0_i64..6).prop_map(|at| Bson::DateTime(DateTime::from_millis(at))),
        1 => Just(Bson::Double(f64::NAN)),
        2 => prop::collection::vec(scalar(), 0..3).prop_map(Bson::Array),
        1 => scalar().prop_map(|inner| Bson::Document(doc! {"d": inner})),
        1 => prop::collection::vec(scalar().prop_map(|inner| Bson::Document(doc! {"d": inner})), 0..3)
            .prop_map(Bson::Array),
    ]
}

fn document() -> impl Strategy<Value = Document> {
    prop::collection::vec(
        (prop::sample::select(vec!["a", "b", "_openid", "c"]), value()),
        0..4,
    )
    .prop_map(|fields| {
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    })
}

fn in_rule(value: &Bson) -> String {
    match value {
        Bson::String(text) => format!("'{text}'"),
        Bson::Int64(number) => number.to_string(),
        other => other.to_string().replace("Bson", ""),
    }
}

fn comparison() -> impl Strategy<Value = String> {
    let sign = prop::sample::select(vec!["==", "!=", ">", ">=", "<", "<="]);
    let field = || prop::sample::select(FIELDS.to_vec());
    prop_oneof![
        6 => (field(), sign, scalar()).prop_map(|(field, sign, value)| format!("doc.{field} {sign} {}", in_rule(&value))),
        2 => (field(), prop::collection::vec(scalar(), 0..3)).prop_map(|(field, list)| {
            let list: Vec<String> = list.iter().map(in_rule).collect();
            format!("doc.{field} in [{}]", list.join(", "))
        }),
        1 => field().prop_map(|field| format!("auth.openid in doc.{field}")),
        1 => field().prop_map(|field| format!("doc.{field}")),
        1 => (field(), field()).prop_map(|(left, right)| format!("doc.{left} == doc.{right}")),
        1 => field().prop_map(|field| format!("doc.{field} == auth.openid")),
    ]
}

fn rule() -> impl Strategy<Value = String> {
    comparison().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(|all| format!("({})", all.join(" && "))),
            prop::collection::vec(inner.clone(), 1..3).prop_map(|any| format!("({})", any.join(" || "))),
            inner.prop_map(|inner| format!("!({inner})")),
        ]
    })
}

fn condition() -> impl Strategy<Value = Document> {
    let operator = prop::sample::select(vec!["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]);
    let field = || prop::sample::select(FIELDS.to_vec());
    prop_oneof![
        6 => (field(), operator, value()).prop_map(|(field, operator, value)| doc! {field: {operator: value}}),
        2 => (field(), any::<bool>(), prop::collection::vec(scalar(), 0..3))
            .prop_map(|(field, within, list)| doc! {field: {if within { "$in" } else { "$nin" }: list}}),
        1 => (field(), value()).prop_map(|(field, value)| doc! {field: value}),
        1 => (field(), any::<bool>()).prop_map(|(field, is)| doc! {field: {"$exists": is}}),
    ]
}

fn asked() -> impl Strategy<Value = Document> {
    condition().prop_recursive(3, 12, 3, |inner| {
        let several = || prop::collection::vec(inner.clone(), 1..4);
        prop_oneof![
            3 => several().prop_map(|all| doc! {"$and": all}),
            2 => several().prop_map(|any| doc! {"$or": any}),
            1 => several().prop_map(|none| doc! {"$nor": none}),
        ]
    })
}

/// A condition that a document must meet to meet `sign` with `bound`, by one of the documented commands.
fn narrower(field: &str, sign: &str, bound: i64, by: i64) -> Document {
    match (sign, by % 3) {
        ("==", 0) => doc! {field: {"$in": [bound]}},
        ("==", _) => doc! {field: bound},
        ("!=", 0) => doc! {field: {"$nin": [bound, bound + 7]}},
        ("!=", 1) => doc! {field: bound + 1},
        ("!=", _) => doc! {field: {"$ne": bound}},
        (">" | ">=", 0) => doc! {field: {"$gt": bound + by}},
        (">" | ">=", 1) => doc! {field: bound + by},
        (">" | ">=", _) => doc! {field: {"$in": [bound + by, bound + by + 1]}},
        (_, 0) => doc! {field: {"$lt": bound - by}},
        (_, 1) => doc! {field: bound - by},
        (_, _) => doc! {field: {"$lte": bound - by}},
    }
}

fn matches(query: &Document, document: &Document) -> bool {
    let context = Context::new(DateTime::from_millis(NOW), 1);
    Filter::parse(query)
        .unwrap()
        .matches(document, &Variables::default(), &context)
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn whatever_a_permitted_query_finds_is_within_the_rule(
        rule in rule(),
        asked in asked(),
        documents in prop::collection::vec(document(), 1..24),
    ) {
        let rules = by(&rule);
        let caller = alice();
        let request = Request { caller: &caller, now: NOW, data: None };
        let filter = Filter::parse(&asked).unwrap();
        let nothing = Documents::new();
        let verdict = rules.judge(Operation::Read, Subject::Query(&filter), &request, &nothing);
        if let Verdict::Allowed(guard) = verdict {
            let guard = guard.conditions().unwrap_or_default();
            // What one field has to be by another is known of fields with one value.
            let takes_values = rule.contains("== doc.");
            for document in documents.iter().filter(|found| matches(&asked, found)) {
                let judged = rules.judge(Operation::Read, Subject::Document(document), &request, &nothing);
                let (found, allowed) = (matches(&guard, document), matches!(judged, Verdict::Allowed(_)));
                prop_assert!(allowed || !found, "{rule} lets {asked} through, which finds {document}");
                prop_assert!(
                    found || !allowed || takes_values,
                    "{rule} lets {asked} through, which leaves out {document} by {guard}"
                );
            }
        }
    }

    #[test]
    fn a_query_within_the_rule_by_construction_passes(
        cases in prop::collection::vec(
            prop::collection::vec(
                (
                    prop::sample::select(FIELDS.to_vec()),
                    prop::sample::select(vec!["==", "!=", ">", ">=", "<", "<="]),
                    0_i64..100,
                    1_i64..9,
                ),
                1..4,
            ),
            1..4,
        ),
        taken in prop::collection::vec(any::<prop::sample::Index>(), 1..3),
        besides in asked(),
        documents in prop::collection::vec(
            prop::collection::vec((prop::sample::select(FIELDS.to_vec()), 0_i64..100), 0..4),
            1..24,
        ),
    ) {
        let written = |all: &Vec<(&str, &str, i64, i64)>| {
            let all: Vec<String> = all
                .iter()
                .map(|(field, sign, bound, _)| format!("doc.{field} {sign} {bound}"))
                .collect();
            format!("({})", all.join(" && "))
        };
        let rule = cases.iter().map(written).collect::<Vec<_>>().join(" || ");
        let of_cases: Vec<Document> = taken
            .iter()
            .map(|index| {
                let all = &cases[index.index(cases.len())];
                let all: Vec<Document> = all
                    .iter()
                    .map(|(field, sign, bound, by)| narrower(field, sign, *bound, *by))
                    .collect();
                doc! {"$and": all}
            })
            .collect();
        for asked in [
            doc! {"$or": of_cases.clone()},
            doc! {"$and": [{"$or": of_cases.clone()}, besides.clone()]},
        ] {
            let rules = by(&rule);
            let verdict = super::query(&rules, &alice(), asked.clone(), &Documents::new());
            prop_assert!(matches!(verdict, Verdict::Allowed(_)), "{rule} refuses {asked}: {verdict:?}");
            for fields in &documents {
                let document: Document = fields
                    .iter()
                    .map(|(name, value)| match *name {
                        "c.d" => ("c".to_owned(), Bson::Document(doc! {"d": value})),
                        name => (name.to_owned(), Bson::Int64(*value)),
                    })
                    .collect();
                prop_assert!(
                    !matches(&asked, &document) || updates(&rules, &alice(), &document, &Document::new()),
                    "{rule} lets {asked} through, which finds {document}"
                );
            }
        }
    }

    /// The rule as a query finds what the rule lets through.
    #[test]
    fn the_rule_as_a_query_is_the_rule(
        rule in rule(),
        documents in prop::collection::vec(document(), 1..24),
    ) {
        let rules = by(&rule);
        let caller = alice();
        let request = Request { caller: &caller, now: NOW, data: None };
        let nothing = Documents::new();
        for document in &documents {
            let judged = rules.judge(Operation::Read, Subject::Document(document), &request, &nothing);
            if let Verdict::Allowed(guard) = judged {
                let asked = guard.rule().cloned().unwrap_or_default();
                prop_assert!(matches(&asked, document), "{rule} lets {document} through, and {asked} does not");
            }
        }
        let everything = doc! {"$and": [{"a": {"$in": []}}, {"$expr": true}]};
        let filter = Filter::parse(&everything).unwrap();
        let verdict = rules.judge(Operation::Read, Subject::Query(&filter), &request, &nothing);
        let Verdict::Allowed(guard) = verdict else { return Ok(()) };
        let asked = guard.rule().cloned().unwrap_or_default();
        for document in documents.iter().filter(|document| matches(&asked, document)) {
            let judged = rules.judge(Operation::Read, Subject::Document(document), &request, &nothing);
            prop_assert!(matches!(judged, Verdict::Allowed(_)), "{rule} is not {asked}: {document}");
        }
    }
}
