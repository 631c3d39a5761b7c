//! What every document that is kept has: an `_id`, which stands first.

use bson::{Bson, Document};

/// The document with its `_id` before everything else, where it has one.
#[must_use]
pub fn id_first(mut document: Document) -> Document {
    if document.keys().next().is_none_or(|name| name == "_id") {
        return document;
    }
    match document.remove("_id") {
        Some(id) => behind(id, document),
        None => document,
    }
}

/// The document with its `_id` before everything else. One that has none gets what `or` gives.
#[must_use]
pub fn with_id(document: Document, or: impl FnOnce() -> Bson) -> Document {
    match document.contains_key("_id") {
        true => id_first(document),
        false => behind(or(), document),
    }
}

fn behind(id: Bson, fields: Document) -> Document {
    let mut out = Document::new();
    out.insert("_id", id);
    out.extend(fields);
    out
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn the_id_stands_first_whether_it_was_there_or_not() {
        let line = |document: Document| ejson::to_text(&document, ejson::Style::Relaxed);
        let ours = || Bson::from("ours");
        for (given, first, complete) in [
            (doc! {}, "{}", r#"{"_id":"ours"}"#),
            (doc! { "a": 1 }, r#"{"a":1}"#, r#"{"_id":"ours","a":1}"#),
            (
                doc! { "_id": 2, "a": 1 },
                r#"{"_id":2,"a":1}"#,
                r#"{"_id":2,"a":1}"#,
            ),
            (
                doc! { "a": 1, "_id": 2, "b": 3 },
                r#"{"_id":2,"a":1,"b":3}"#,
                r#"{"_id":2,"a":1,"b":3}"#,
            ),
        ] {
            assert_eq!(line(id_first(given.clone())), first);
            assert_eq!(line(with_id(given, ours)), complete);
        }
    }
}
