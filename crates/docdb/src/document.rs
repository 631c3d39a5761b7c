//! What every document that is kept has: an `_id`, which stands first.

use bson::{Bson, Document};
use ejson::shell::value_in_error_text;

use crate::{
    error::{Error, Result, code},
    expr::{MAX_DEPTH, depth_within},
};

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

/// Refuses a document with an `_id` that no document may have.
///
/// # Errors
/// 53 InvalidIdField, 52 DollarPrefixedFieldName.
pub fn check_id(document: &Document) -> Result<()> {
    match document.get("_id") {
        Some(Bson::Array(_) | Bson::RegularExpression(_) | Bson::Undefined) => Err(Error::new(
            code::INVALID_ID_FIELD,
            "The '_id' value cannot be of type array, regex or undefined",
        )),
        Some(Bson::Document(id)) => match id.keys().find(|name| name.starts_with('$')) {
            Some(name) => Err(Error::new(
                code::DOLLAR_PREFIXED_FIELD_NAME,
                format!("_id fields may not contain '$'-prefixed fields: {name} is not valid for storage."),
            )),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Refuses a document that nests deeper than one may: no stage and no update could go on with it.
///
/// # Errors
/// Where it does; the text has its `_id`.
pub fn check_depth(document: &Document) -> Result<()> {
    if document.values().all(|value| depth_within(value, MAX_DEPTH - 1)) {
        return Ok(());
    }
    let id = document.get("_id").map(value_in_error_text).unwrap_or_default();
    Err(Error::new(
        code::OVERFLOW,
        format!("The document with the _id {id} exceeds the maximum nesting depth of {MAX_DEPTH}"),
    ))
}

/// How many documents and arrays stand in one another in it, itself among them.
pub(crate) fn depth(document: &Document) -> usize {
    fn of(value: &Bson) -> usize {
        match value {
            Bson::Document(inner) => depth(inner),
            Bson::Array(elements) => 1 + elements.iter().map(of).max().unwrap_or(0),
            _ => 0,
        }
    }
    1 + document.values().map(of).max().unwrap_or(0)
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
    fn ids_that_no_document_may_have() {
        for (id, number) in [
            (Bson::Array(Vec::new()), Some(code::INVALID_ID_FIELD)),
            (
                doc! { "a": 1, "$x": 1 }.into(),
                Some(code::DOLLAR_PREFIXED_FIELD_NAME),
            ),
            (doc! { "a": { "$x": 1 } }.into(), None),
            (Bson::Null, None),
        ] {
            let checked = check_id(&doc! { "_id": id.clone() });
            assert_eq!(checked.err().map(|error| error.code), number, "{id}");
        }
    }

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
