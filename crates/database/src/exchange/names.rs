//! Names as paths: `a.b` is `b` in `a`.

use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use ejson::{Style, shell::in_error_text};

use super::read::FileErrorReason;

/// A name of a field that cannot stand, and why.
pub(super) type BadFieldName = (String, FileErrorReason);

/// How deep paths may nest a document: more than that would not be read back.
const DEEPEST: usize = 100;

/// A document whose names have no dots: what they lead to is nested.
pub(super) fn nest(document: Document) -> Result<Document, BadFieldName> {
    nest_at(document, 0)
}

/// The same, of a document that lies so deep.
fn nest_at(document: Document, depth: usize) -> Result<Document, BadFieldName> {
    if !has_paths(&document) {
        return Ok(document);
    }
    let mut nested = Document::new();
    for (name, value) in document {
        let depth = depth + parts(&name);
        if depth > DEEPEST {
            return Err((name, FileErrorReason::TooDeep));
        }
        put(&mut nested, &name, in_value(value, depth)?)?;
    }
    Ok(nested)
}

fn in_value(value: Bson, depth: usize) -> Result<Bson, BadFieldName> {
    Ok(match value {
        Bson::Document(inner) => Bson::Document(nest_at(inner, depth)?),
        Bson::Array(elements) => {
            let elements = elements.into_iter().map(|element| in_value(element, depth));
            Bson::Array(elements.collect::<Result<_, _>>()?)
        }
        leaf => leaf,
    })
}

fn parts(path: &str) -> usize {
    path.split('.').count()
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains('.') && !name.starts_with('$')
}

/// Whether any name in it wants a look.
pub(super) fn has_paths(document: &Document) -> bool {
    document
        .iter()
        .any(|(name, value)| !is_plain(name) || value_has_paths(value))
}

fn value_has_paths(value: &Bson) -> bool {
    match value {
        Bson::Document(inner) => has_paths(inner),
        Bson::Array(elements) => elements.iter().any(value_has_paths),
        _ => false,
    }
}

/// The same of a document's bytes.
pub(super) fn raw_has_paths(document: &RawDocument) -> bool {
    document
        .iter()
        .flatten()
        .any(|(name, value)| !is_plain(name.as_str()) || raw_value_has_paths(value))
}

fn raw_value_has_paths(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Document(inner) => raw_has_paths(inner),
        RawBsonRef::Array(elements) => elements.into_iter().flatten().any(raw_value_has_paths),
        _ => false,
    }
}

/// The documents whose text is read as another one: in each is an object such as `{"$numberInt": "5"}`, which to every reader of Extended JSON
/// is a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Misread {
    /// How many they are.
    pub count: u64,
    /// The `_id` of the first, as MongoDB shows it: `{ _id: "1" }`.
    pub first: String,
}

impl Misread {
    /// Looks whether a document is one of them.
    pub fn note(&mut self, document: &RawDocument) {
        if !is_misread(document) {
            return;
        }
        if self.count == 0 {
            let id = document.get("_id").ok().flatten();
            let id = id.and_then(|id| Bson::try_from(id).ok());
            self.first = in_error_text(&doc! { "_id": id });
        }
        self.count += 1;
    }
}

fn is_misread(document: &RawDocument) -> bool {
    if !has_dollars(document) {
        return false;
    }
    let mut text = Vec::new();
    // Bytes that are not BSON are reported when the document is written.
    if ejson::write_raw(&mut text, document, Style::Canonical).is_err() {
        return false;
    }
    let again = ejson::read_document(&text).ok();
    let again = again.and_then(|read| RawDocumentBuf::try_from(&read).ok());
    again.is_none_or(|again| again.as_bytes() != document.as_bytes())
}

fn has_dollars(document: &RawDocument) -> bool {
    let mut members = document.iter().flatten();
    members.any(|(name, value)| name.as_str().starts_with('$') || has_dollars_within(value))
}

fn has_dollars_within(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Document(inner) => has_dollars(inner),
        RawBsonRef::Array(elements) => elements.into_iter().flatten().any(has_dollars_within),
        _ => false,
    }
}

/// Sets what a path leads to.
pub(super) fn put(document: &mut Document, path: &str, value: Bson) -> Result<(), BadFieldName> {
    if !is_path(path) {
        return Err((path.to_owned(), FileErrorReason::Name(path.to_owned())));
    }
    if parts(path) > DEEPEST {
        return Err((path.to_owned(), FileErrorReason::TooDeep));
    }
    // The parts of a reference to a document are the only names of fields that begin so.
    if path.starts_with('$') && !matches!(path, "$ref" | "$id" | "$db") {
        return Err((path.to_owned(), FileErrorReason::Dollar(path.to_owned())));
    }
    if set(document, path, value) {
        return Ok(());
    }
    Err((path.to_owned(), FileErrorReason::Ambiguous(path.to_owned())))
}

/// Whether a name is one that WeChat's import takes.
pub(super) fn is_path(path: &str) -> bool {
    path.split('.').all(|part| !part.is_empty())
}

/// Answers whether the way is free.
fn set(document: &mut Document, path: &str, value: Bson) -> bool {
    let Some((first, rest)) = path.split_once('.') else {
        return match (document.get_mut(path), value) {
            (None, value) => document.insert(path, value).is_none(),
            // `{"a.b": 1, "a": {"c": 2}}`
            (Some(Bson::Document(there)), Bson::Document(more)) => {
                more.into_iter().all(|(name, value)| set(there, &name, value))
            }
            _ => false,
        };
    };
    if !document.contains_key(first) {
        document.insert(first, Document::new());
    }
    match document.get_mut(first) {
        Some(Bson::Document(inner)) => set(inner, rest, value),
        _ => false,
    }
}
