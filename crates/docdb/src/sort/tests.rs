#![allow(clippy::unwrap_used)]

use bson::{Bson, DateTime, Document, doc};

use super::Sort;
use crate::Context;

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
    Sort::parse(spec).unwrap().sort(&mut documents, &context);
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
