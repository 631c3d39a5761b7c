//! Field paths of expressions: `$a.b`. Unlike in a query, a number in one is never an index.

use std::borrow::Cow;

use bson::{Bson, Document};

use super::Value;
use crate::{
    Error,
    error::{Result, code},
};

/// A field path of an expression, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPath {
    parts: Vec<String>,
}

impl FieldPath {
    /// Takes `a.b` apart; refuses what is no path.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::new(
                40352,
                "FieldPath cannot be constructed with empty string",
            ));
        }
        if text.ends_with('.') {
            return Err(Error::new(
                40353,
                format!("FieldPath '{text}' must not end with a '.'."),
            ));
        }
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        if parts.len() > super::MAX_DEPTH {
            return Err(Error::new(
                code::OVERFLOW,
                format!("FieldPath '{}...' is too long", &parts[0]),
            ));
        }
        for (at, part) in parts.iter().enumerate() {
            if part.is_empty() {
                return Err(Error::new(
                    15998,
                    format!("FieldPath field names may not be empty strings: '{text}'."),
                ));
            }
            // The fields of a DBRef.
            let reference = at > 0 && matches!(part.as_str(), "$ref" | "$id" | "$db");
            if part.starts_with('$') && !reference {
                return Err(Error::new(
                    16410,
                    format!("FieldPath field names may not start with '$': '{text}'."),
                ));
            }
            if part.contains('\0') {
                return Err(Error::new(16411, "FieldPath field names may not contain '\\0'."));
            }
        }
        Ok(Self { parts })
    }

    /// The names, at least one.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.parts
    }

    /// The top-level field.
    #[must_use]
    pub fn first(&self) -> &str {
        self.parts.first().map_or("", String::as_str)
    }

    /// The path as it was written.
    #[must_use]
    pub fn text(&self) -> String {
        self.parts.join(".")
    }

    /// The value at the path. An array on the way gives an array of what its documents have there.
    #[must_use]
    pub fn get<'a>(&self, document: &'a Document) -> Value<'a> {
        in_document(document, &self.parts)
    }

    /// The value at the path behind `value`, as for a document's field of that value.
    #[must_use]
    pub fn get_in<'a>(&self, value: &'a Bson) -> Value<'a> {
        in_value(value, &self.parts)
    }
}

fn in_document<'a>(document: &'a Document, parts: &[String]) -> Value<'a> {
    let (first, rest) = parts.split_first()?;
    let value = document.get(first)?;
    if rest.is_empty() {
        Some(Cow::Borrowed(value))
    } else {
        in_value(value, rest)
    }
}

fn in_value<'a>(value: &'a Bson, parts: &[String]) -> Value<'a> {
    match value {
        Bson::Document(document) => in_document(document, parts),
        Bson::Array(elements) => {
            let found = elements.iter().filter_map(|element| match element {
                Bson::Document(document) => in_document(document, parts).map(Cow::into_owned),
                _ => None,
            });
            Some(Cow::Owned(Bson::Array(found.collect())))
        }
        _ => None,
    }
}
