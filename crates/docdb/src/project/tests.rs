#![allow(clippy::unwrap_used, clippy::panic)]

use bson::{DateTime, Document, doc};

use super::Projection;
use crate::{Context, expr::Variables, query::Filter};

/// As text, because the order of fields counts.
fn shown(document: &Document, query: &Document, projection: &Document) -> String {
    let context = Context::new(DateTime::from_millis(0), 1);
    let element = Filter::parse(query)
        .unwrap()
        .find_element(document, &Variables::none(), &context)
        .unwrap()
        .unwrap_or_else(|| panic!("{query} is not met"));
    Projection::parse(projection)
        .and_then(|projection| projection.apply(document.clone(), element, &context))
        .map_or_else(|error| error.code.to_string(), |shown| shown.to_string())
}

#[test]
fn fields_stay_or_go() {
    let document = doc! {"_id": 1, "a": {"b": 1, "c": 2}, "d": [{"e": 1, "f": 2}, 3, [{"e": 4}]], "g": 5};
    let shows = |projection: Document, wanted: Document| {
        assert_eq!(
            shown(&document, &doc! {}, &projection),
            wanted.to_string(),
            "{projection}"
        );
    };
    shows(doc! {}, document.clone());
    shows(doc! {"g": 1}, doc! {"_id": 1, "g": 5});
    shows(doc! {"g": 1, "_id": 0}, doc! {"g": 5});
    shows(doc! {"a.b": true}, doc! {"_id": 1, "a": {"b": 1}});
    shows(doc! {"a": 0, "d": 0}, doc! {"_id": 1, "g": 5});
    shows(doc! {"_id": 0, "d": 0, "a": 0}, doc! {"g": 5});
    shows(doc! {"_id": 1}, doc! {"_id": 1});
    shows(doc! {"x": {"$add": ["$g", 1]}}, doc! {"_id": 1, "x": 6});
    assert_eq!(shown(&document, &doc! {}, &doc! {"a": 1, "g": 0}), "31254");
}

#[test]
fn slices_and_elements() {
    let document = doc! {"_id": 1, "a": [1, 2, 3], "b": [{"k": 1}, {"k": 2}], "c": 7};
    let shows = |query: Document, projection: Document, wanted: Document| {
        assert_eq!(
            shown(&document, &query, &projection),
            wanted.to_string(),
            "{projection}"
        );
    };
    let all = doc! {};
    shows(
        all.clone(),
        doc! {"a": {"$slice": -1}},
        doc! {"_id": 1, "a": [3], "b": [{"k": 1}, {"k": 2}], "c": 7},
    );
    shows(
        all.clone(),
        doc! {"a": {"$slice": [1, 1]}, "c": 1},
        doc! {"_id": 1, "a": [2], "c": 7},
    );
    shows(
        all.clone(),
        doc! {"a": {"$slice": 1}, "_id": 0, "b": 0},
        doc! {"a": [1], "c": 7},
    );
    shows(
        all.clone(),
        doc! {"b": {"$elemMatch": {"k": 2}}},
        doc! {"_id": 1, "b": [{"k": 2}]},
    );
    shows(
        all.clone(),
        doc! {"b": {"$elemMatch": {"k": 9}}, "c": 1},
        doc! {"_id": 1, "c": 7},
    );
    shows(
        all,
        doc! {"a": {"$elemMatch": {"$gt": 1}}, "b": 0},
        doc! {"_id": 1, "a": [2], "c": 7},
    );
    shows(doc! {"b.k": 2}, doc! {"b.$": 1}, doc! {"_id": 1, "b": [{"k": 2}]});
    shows(
        doc! {"a": {"$gt": 2}},
        doc! {"a.$": 1, "c": 1},
        doc! {"_id": 1, "a": [3], "c": 7},
    );
    assert_eq!(shown(&document, &doc! {}, &doc! {"a.$": 1}), "51246");
    assert_eq!(shown(&document, &doc! {}, &doc! {"a.$": 0}), "31395");
    assert_eq!(shown(&document, &doc! {}, &doc! {"a": {"$slice": true}}), "28667");
    assert_eq!(
        shown(&document, &doc! {}, &doc! {"a": {"$slice": 1}, "a.$": 1}),
        "31250"
    );
}
