#![allow(clippy::unwrap_used)]

use bson::{Bson, DateTime, Document, doc};

use super::Sort;
use crate::{Context, TOO_MUCH_WORK};

fn sorted(spec: &Document, values: &[Bson]) -> Vec<i32> {
    let mut documents: Vec<Document> = values
        .iter()
        .zip(0..)
        .map(|(value, at)| match value {
            Bson::Undefined => doc! {"at": at},
            _ => doc! {"at": at, "v": value.clone()},
        })
        .collect();
    let context = Context::new(DateTime::from_millis(0), 1);
    let sort = Sort::parse(spec).unwrap();
    sort.sort(&mut documents, |document| Some(document), &context)
        .unwrap();
    documents
        .iter()
        .map(|document| document.get_i32("at").unwrap())
        .collect()
}

#[test]
fn missing_is_null_and_arrays_count_by_an_element() {
    // Undefined stands for a field that is not there.
    let values = [
        Bson::Int32(5),
        Bson::Undefined,
        bson::bson!([1, 9]),
        Bson::Null,
        bson::bson!([]),
        Bson::Double(f64::NAN),
        Bson::String("a".into()),
    ];
    assert_eq!(sorted(&doc! {"v": 1}, &values), [4, 1, 3, 5, 2, 0, 6]);
    assert_eq!(sorted(&doc! {"v": -1}, &values), [6, 2, 0, 5, 1, 3, 4]);
}

#[test]
fn fields_below_one_array_count_by_one_element() {
    let documents = [
        bson::bson!([{"b": 1, "c": 2}, {"b": 0, "c": 9}]),
        bson::bson!({"b": 0, "c": 5}),
        bson::bson!([{"b": 0, "c": 7}]),
        bson::bson!([{"b": 3, "c": 1}, "no document"]),
    ];
    // An element that is no document has neither.
    assert_eq!(sorted(&doc! {"v.b": 1, "v.c": 1}, &documents), [3, 1, 2, 0]);
    assert_eq!(sorted(&doc! {"v.b": -1, "v.c": 1}, &documents), [3, 0, 1, 2]);
    let beside = Sort::parse(&doc! {"a": 1, "b": 1}).unwrap();
    let context = Context::new(DateTime::from_millis(0), 1);
    assert!(beside.key(&doc! {"a": [1], "b": 2}, &context).is_ok());
    // However many they are, it is known at once.
    let many: Document = ('a'..='z')
        .map(|name| (name.to_string(), vec![1; 100].into()))
        .collect();
    let by_all: Document = many.keys().map(|name| (name.clone(), 1.into())).collect();
    for (sort, document) in [
        (beside, doc! {"a": [1], "b": []}),
        (Sort::parse(&by_all).unwrap(), many),
    ] {
        let refused = sort.key(&document, &context).unwrap_err();
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (2, "cannot sort with keys that are parallel arrays")
        );
    }
}

#[test]
fn refusals() {
    for (spec, code) in [
        (doc! {}, 15976),
        (doc! {"a": 2}, 15975),
        (doc! {"a": "asc"}, 15974),
        (doc! {"$a": 1}, 16410),
        (doc! {"a.": 1}, 40353),
        (doc! {"a..b": 1}, 15998),
    ] {
        assert_eq!(Sort::parse(&spec).unwrap_err().code, code, "{spec}");
    }
}

#[test]
fn places_are_bounded() {
    let mut spec = doc! {};
    let mut inner: Bson = "x".repeat(4 << 20).into();
    for at in 0..31 {
        let path = vec!["o"; 31 - at].join(".");
        spec.insert(path, 1);
        inner = doc! {"o": inner}.into();
    }
    let document = inner.as_document().unwrap().clone();
    let sort = Sort::parse(&spec).unwrap();
    let context = Context::new(DateTime::from_millis(0), 1);
    // 31 times 4 MB.
    assert_eq!(
        sort.key(&document, &context).unwrap_err().code_name(),
        "QueryExceededMemoryLimitNoDiskUseAllowed"
    );
    // The greatest document there is has a place.
    let greatest = doc! {"t": "\0".repeat((16 << 20) - 64)};
    let by_text = Sort::parse(&doc! {"t": 1}).unwrap();
    assert!(by_text.key(&greatest, &context).is_ok());
    // Together they have too many; none is lost.
    let mut many = vec![greatest; 4];
    let refused = by_text.sort(&mut many, |document| Some(document), &context);
    assert_eq!(refused.unwrap_err().code, 292);
    assert_eq!(many.len(), 4);
}

#[test]
fn places_are_paid_for_where_each_step_counts() {
    let context = || Context::new(DateTime::from_millis(0), 1).strict(1_000);
    let by_text = Sort::parse(&doc! {"t": 1}).unwrap();
    assert!(by_text.key(&doc! {"t": "x".repeat(1_000)}, &context()).is_ok());
    let long = by_text.key(&doc! {"t": "x".repeat(100_000)}, &context());
    assert_eq!(long.unwrap_err().code, TOO_MUCH_WORK);
    let elements = by_text.key(&doc! {"t": vec![Bson::Null; 100_000]}, &context());
    assert_eq!(elements.unwrap_err().code, TOO_MUCH_WORK);
}
