#![allow(clippy::unwrap_used, clippy::panic)]

use bson::{Bson, DateTime, Document, doc};

use super::Filter;
use crate::{
    Context,
    expr::{Needs, Variables},
};

fn matches(document: &Document, query: &Document) -> bool {
    let context = Context::new(DateTime::from_millis(0), 1);
    Filter::parse(query)
        .unwrap_or_else(|error| panic!("{query}: {error}"))
        .matches(document, &Variables::none(), &context)
        .unwrap()
}

fn code(query: &Document) -> i32 {
    Filter::parse(query).unwrap_err().code
}

#[test]
fn paths_and_arrays() {
    let array = doc! {"a": [1, 2, [3, 4]]};
    assert!(matches(&array, &doc! {"a": 2}));
    assert!(matches(&array, &doc! {"a": [3, 4]}));
    assert!(matches(&array, &doc! {"a": [1, 2, [3, 4]]}));
    assert!(!matches(&array, &doc! {"a": 3}));
    assert!(matches(&array, &doc! {"a.0": 1}));
    assert!(!matches(&doc! {"a": [[{"b": 1}]]}, &doc! {"a.b": 1}));
    // Two conditions may be met by different elements, `$elemMatch` wants one.
    let numbers = doc! {"a": [1, 10]};
    assert!(matches(&numbers, &doc! {"a": {"$gt": 5, "$lt": 5}}));
    assert!(!matches(
        &numbers,
        &doc! {"a": {"$elemMatch": {"$gt": 5, "$lt": 5}}}
    ));
    // `$size` and `$elemMatch` want the whole array.
    assert!(!matches(&doc! {"a": [[1, 2]]}, &doc! {"a": {"$size": 2}}));
    assert!(matches(&doc! {"a": [[1, 2]]}, &doc! {"a.0": {"$size": 2}}));
    assert!(matches(
        &doc! {"a": [[1, 2]]},
        &doc! {"a": {"$elemMatch": {"$elemMatch": {"$eq": 1}}}}
    ));
    assert!(matches(&doc! {"a": [[7]]}, &doc! {"a": {"$elemMatch": {"0": 7}}}));
}

#[test]
fn null_and_missing() {
    assert!(matches(&doc! {"a": 1}, &doc! {"a.b": null}));
    assert!(!matches(&doc! {"a": []}, &doc! {"a.b": null}));
    assert!(!matches(&doc! {"a": [1]}, &doc! {"a.b": null}));
    assert!(matches(&doc! {"a": [{"c": 1}]}, &doc! {"a.b": null}));
    assert!(matches(&doc! {}, &doc! {"a": {"$gte": null}}));
    assert!(!matches(&doc! {}, &doc! {"a": {"$gt": null}}));
    assert!(matches(&doc! {}, &doc! {"a": {"$in": [1, null]}}));
    assert!(!matches(&doc! {}, &doc! {"a": {"$nin": [1, null]}}));
    assert!(!matches(&doc! {"a": null}, &doc! {"a": {"$exists": false}}));
    assert!(matches(&doc! {"a": null}, &doc! {"a": {"$exists": true}}));
}

#[test]
fn ranges_stay_within_a_type() {
    assert!(!matches(&doc! {"a": "6"}, &doc! {"a": {"$gt": 5}}));
    assert!(!matches(&doc! {"a": f64::NAN}, &doc! {"a": {"$lt": 5}}));
    assert!(matches(&doc! {"a": f64::NAN}, &doc! {"a": {"$gte": f64::NAN}}));
    assert!(matches(
        &doc! {"a": 9_007_199_254_740_993_i64},
        &doc! {"a": {"$gt": 9_007_199_254_740_992.0}}
    ));
    assert!(matches(&doc! {"a": 1}, &doc! {"a": {"$gt": Bson::MinKey}}));
}

#[test]
fn negation_is_of_the_whole() {
    assert!(!matches(&doc! {"a": [1, 2]}, &doc! {"a": {"$ne": 1}}));
    assert!(!matches(&doc! {"a": [1, 2]}, &doc! {"a": {"$nin": [2]}}));
    assert!(!matches(&doc! {"a": [1, 9]}, &doc! {"a": {"$not": {"$gt": 5}}}));
    assert!(matches(&doc! {"a": "x"}, &doc! {"a": {"$not": {"$gt": 5}}}));
    assert!(matches(&doc! {"b": 1}, &doc! {"a": {"$not": {"$regex": "x"}}}));
}

#[test]
fn all_and_in() {
    assert!(matches(&doc! {"a": [1, 2, 3]}, &doc! {"a": {"$all": [3, 1]}}));
    assert!(matches(&doc! {"a": 1}, &doc! {"a": {"$all": [1]}}));
    assert!(!matches(&doc! {"a": []}, &doc! {"a": {"$all": []}}));
    assert!(matches(&doc! {"a": [[1, 2]]}, &doc! {"a": {"$all": [[1, 2]]}}));
    let items = doc! {"a": [{"n": 1, "c": 5}, {"n": 2, "c": 7}]};
    assert!(matches(
        &items,
        &doc! {"a": {"$all": [{"$elemMatch": {"n": 1, "c": 5}}, {"$elemMatch": {"n": 2}}]}}
    ));
    assert!(!matches(
        &items,
        &doc! {"a": {"$all": [{"$elemMatch": {"n": 1, "c": 7}}]}}
    ));
    assert!(matches(
        &doc! {"a": {"b": 1, "c": 2}},
        &doc! {"a": {"$in": [{"b": 1, "c": 2}]}}
    ));
    assert!(!matches(
        &doc! {"a": {"b": 1, "c": 2}},
        &doc! {"a": {"$in": [{"c": 2, "b": 1}]}}
    ));
    let regex = Bson::RegularExpression(bson::Regex {
        pattern: "^x".try_into().unwrap(),
        options: "i".try_into().unwrap(),
    });
    assert!(matches(
        &doc! {"a": ["Xy"]},
        &doc! {"a": {"$in": [regex.clone(), 1]}}
    ));
    assert!(matches(&doc! {"a": regex.clone()}, &doc! {"a": regex}));
}

#[test]
fn refused_before_a_document_is_seen() {
    for query in [
        doc! {"$or": []},
        doc! {"$or": [1]},
        doc! {"$gt": 1},
        doc! {"a": {"$gtt": 1}},
        doc! {"a": {"$gt": 1, "b": 2}},
        doc! {"a": {"$in": "x"}},
        doc! {"a": {"$size": -1}},
        doc! {"a": {"$size": 1.5}},
        doc! {"a": {"$mod": [0, 1]}},
        doc! {"a": {"$mod": [1]}},
        doc! {"a": {"$not": {}}},
        doc! {"a": {"$options": "i"}},
        doc! {"a": {"$all": 1}},
        doc! {"a": {"$elemMatch": 1}},
        doc! {"a": {"$maxDistance": 1}},
    ] {
        assert_eq!(code(&query), 2, "{query}");
    }
    let message = Filter::parse(&doc! {"age": {"$gtt": 1}}).unwrap_err().message;
    assert!(message.contains("$gtt") && message.contains("age"), "{message}");
    let mut deep = doc! {"a": 1};
    for _ in 0..150 {
        deep = doc! {"$and": [deep]};
    }
    assert_eq!(code(&deep), crate::error::code::OVERFLOW);
}

#[test]
fn what_the_positional_operator_stands_for() {
    let element = |document: &Document, query: &Document| {
        let context = Context::new(DateTime::from_millis(0), 1);
        Filter::parse(query)
            .unwrap()
            .find_element(document, &Variables::none(), &context)
            .unwrap()
    };
    let document = doc! {"a": [{"b": 1}, {"b": 2}], "c": [5, 6]};
    assert_eq!(element(&document, &doc! {"a.b": 2}), Some(Some(1)));
    assert_eq!(element(&document, &doc! {"c": 6}), Some(Some(1)));
    assert_eq!(
        element(&document, &doc! {"a": {"$elemMatch": {"b": 1}}}),
        Some(Some(0))
    );
    assert_eq!(element(&document, &doc! {"a.0.b": 1}), Some(None));
    assert_eq!(element(&document, &doc! {"c": 7}), None);
}

#[test]
fn fields_that_a_query_reads() {
    let filter =
        Filter::parse(&doc! {"a.b": 1, "$or": [{"c": 1}, {"d.e": {"$exists": false}}], "$expr": "$f.g"})
            .unwrap();
    let mut needs = Needs::default();
    filter.needs(&mut needs);
    assert_eq!(
        needs,
        Needs::Fields(["a", "c", "d", "f"].map(str::to_owned).into())
    );
}

#[test]
fn bytes_tell_where_no_array_is_on_the_way() {
    let document = doc! {"_id": 1, "s": "abc", "n": {"x": 5}, "t": ["a", "b"], "z": null};
    let raw = bson::RawDocumentBuf::try_from(&document).unwrap();
    let context = Context::new(DateTime::from_millis(0), 1);
    for (query, wanted) in [
        (doc! {"s": "abc", "n.x": {"$gt": 4}}, Some(true)),
        (doc! {"s": {"$in": ["x", 1, "abc"]}}, Some(true)),
        (doc! {"s": {"$regex": "^ab"}, "m": null}, Some(true)),
        (doc! {"s": {"$gt": 5}}, Some(false)),
        (doc! {"t": "b"}, Some(true)),
        (doc! {"t": {"$size": 1}}, Some(false)),
        (doc! {"t.x": 1}, None),
        (doc! {"t.x": 1, "s": "other"}, Some(false)),
        (doc! {"$or": [{"t.x": 1}, {"_id": 1}]}, Some(true)),
        (doc! {"$expr": {"$eq": ["$_id", 1]}}, None),
        (
            doc! {"z": {"$exists": true}, "s.q": {"$exists": false}},
            Some(true),
        ),
    ] {
        let filter = Filter::parse(&query).unwrap();
        assert_eq!(filter.matches_raw(raw.as_bytes(), &context), wanted, "{query}");
        if let Some(wanted) = wanted {
            assert_eq!(matches(&document, &query), wanted, "{query}");
        }
    }
}
