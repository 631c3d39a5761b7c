//! Documents as BSON bytes, of which only some fields are decoded: most of what a scan costs is decoding.

use bson::Document;
use ejson::raw::{Element, Elements, Malformed};

use crate::{
    expr::Needs,
    path::{Part, Path},
};

/// The top-level fields of a document that are needed, in their order; the rest is stepped over.
///
/// # Errors
/// Where the bytes are no BSON.
pub fn decode(document: &[u8], needs: &Needs) -> Result<Document, Malformed> {
    let Needs::Fields(fields) = needs else {
        return ejson::raw::decode(document);
    };
    let mut decoded = Document::new();
    let mut left = fields.len();
    let mut elements = Elements::of(document)?;
    while left > 0
        && let Some(element) = elements.next()
    {
        let element = element?;
        // A name that is not UTF-8 is none of them.
        if let Ok(name) = element.name_text()
            && fields.contains(name)
        {
            decoded.insert(name, element.decode()?);
            left -= 1;
        }
    }
    Ok(decoded)
}

/// What a path names, where it leads through documents alone: the value, or that there is none. `None` where it leads into
/// an array, or the bytes are no BSON.
pub(crate) fn find<'a>(document: &'a [u8], path: &Path) -> Option<Option<Element<'a>>> {
    let mut document = document;
    let mut parts = path.parts();
    loop {
        let (Part { name, .. }, rest) = parts.split_first()?;
        let value = field(document, name).ok()?;
        if rest.is_empty() {
            return Some(value);
        }
        match value {
            Some(Element {
                kind: ejson::raw::kind::DOCUMENT,
                value,
                ..
            }) => document = value,
            Some(Element {
                kind: ejson::raw::kind::ARRAY,
                ..
            }) => return None,
            _ => return Some(None),
        }
        parts = rest;
    }
}

fn field<'a>(document: &'a [u8], name: &str) -> Result<Option<Element<'a>>, Malformed> {
    for element in Elements::of(document)? {
        let element = element?;
        if element.name == name.as_bytes() {
            return Ok(Some(element));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
