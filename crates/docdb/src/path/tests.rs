#![allow(clippy::unwrap_used, clippy::panic)]

use bson::{Bson, doc};

use super::{Path, index_of, walk};

fn seen(document: &bson::Document, path: &str) -> Vec<(Option<Bson>, Option<usize>)> {
    let mut seen = Vec::new();
    walk(document, &Path::new(path), &mut |value, element| {
        seen.push((value.cloned(), element));
        false
    });
    seen
}

#[test]
fn arrays_on_the_way_are_looked_into_once() {
    let document = doc! {"a": [{"b": 1}, {"c": 2}, 3, [{"b": 4}]], "s": 1, "e": []};
    assert_eq!(
        seen(&document, "a.b"),
        [(Some(Bson::Int32(1)), Some(0)), (None, Some(1))]
    );
    assert_eq!(
        seen(&document, "a.3.b"),
        [(None, Some(0)), (None, Some(1)), (Some(Bson::Int32(4)), Some(0))]
    );
    assert_eq!(seen(&document, "a.2.b"), [(None, Some(0)), (None, Some(1))]);
    assert_eq!(seen(&document, "s.b"), [(None, None)]);
    assert_eq!(seen(&document, "e.b"), []);
    assert_eq!(seen(&document, "x"), [(None, None)]);
}

#[test]
fn digits_are_an_index_and_a_name() {
    let document = doc! {"a": [{"0": "name"}, "x"]};
    assert_eq!(
        seen(&document, "a.0"),
        [
            (Some(Bson::String("name".into())), Some(0)),
            (Some(doc! {"0": "name"}.into()), None)
        ]
    );
    assert_eq!(index_of("0"), Some(0));
    assert_eq!(index_of("01"), None);
    assert_eq!(index_of("-1"), None);
    assert_eq!(index_of("99999999999"), None);
}
