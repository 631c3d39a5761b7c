//! Dotted paths, as a query reads them.
//!
//! A part of digits is an index where it meets an array, and a field's name where it meets a document. Where a part meets
//! an array, all documents in that array are looked into, but not the arrays in it: in `[[{b: 1}]]` the path `b` finds
//! nothing.

use bson::{Bson, Document};

/// A dotted path in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: String,
    parts: Vec<Part>,
}

/// One part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The name of a field.
    pub name: String,
    /// The index of an element, where the name is one: digits without leading zeros.
    pub index: Option<usize>,
}

impl Part {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            index: index_of(name),
        }
    }
}

/// The index that a name is: digits without leading zeros.
#[must_use]
pub fn index_of(name: &str) -> Option<usize> {
    let digits = !name.is_empty() && name.len() <= 9 && name.bytes().all(|byte| byte.is_ascii_digit());
    if digits && (name.len() == 1 || !name.starts_with('0')) {
        name.parse().ok()
    } else {
        None
    }
}

impl Path {
    /// Takes a path apart. Every text is a path; who refuses empty parts looks at [`Path::parts`].
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            parts: text.split('.').map(Part::new).collect(),
        }
    }

    /// The path as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parts, at least one.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The top-level field that the path begins with.
    #[must_use]
    pub fn first(&self) -> &str {
        self.parts.first().map_or("", |part| &part.name)
    }
}

/// The value at `path` through documents alone: no array is looked into.
#[must_use]
pub fn get<'a>(document: &'a Document, path: &Path) -> Option<&'a Bson> {
    let (last, above) = path.parts().split_last()?;
    let mut document = document;
    for part in above {
        let Some(Bson::Document(inner)) = document.get(&part.name) else {
            return None;
        };
        document = inner;
    }
    document.get(&last.name)
}

/// What a walk along a path met at its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found<'a> {
    /// A value that the path names: a field's value, or an element that it names by index.
    Value(&'a Bson),
    /// Nothing, in a document that could have had it.
    Missing,
    /// Nothing, at a value that could not have had it, a scalar inside an array: it is neither there nor null.
    Nowhere,
}

/// Shows `visit` everything that `path` names in `document`, arrays on the way looked into, the one at the end not (see
/// [`Found`]); ends early when `visit` gives true, and says if it did.
pub fn walk<'a>(
    document: &'a Document,
    path: &Path,
    visit: &mut dyn FnMut(Found<'a>, Trail) -> bool,
) -> bool {
    in_document(document, path.parts(), Trail::default(), visit)
}

/// The element of the outermost array that a walk passed through implicitly; the positional `$` stands for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trail {
    /// The index of that element.
    pub element: Option<usize>,
}

fn in_document<'a>(
    document: &'a Document,
    parts: &[Part],
    trail: Trail,
    visit: &mut dyn FnMut(Found<'a>, Trail) -> bool,
) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return false;
    };
    match document.get(&part.name) {
        None => visit(Found::Missing, trail),
        Some(value) => in_value(value, rest, trail, visit),
    }
}

fn in_value<'a>(
    value: &'a Bson,
    rest: &[Part],
    trail: Trail,
    visit: &mut dyn FnMut(Found<'a>, Trail) -> bool,
) -> bool {
    let Some(part) = rest.first() else {
        return visit(Found::Value(value), trail);
    };
    match value {
        Bson::Document(document) => in_document(document, rest, trail, visit),
        Bson::Array(elements) => in_array(elements, part, rest, trail, visit),
        _ => visit(Found::Missing, trail),
    }
}

fn in_array<'a>(
    elements: &'a [Bson],
    part: &Part,
    rest: &[Part],
    trail: Trail,
    visit: &mut dyn FnMut(Found<'a>, Trail) -> bool,
) -> bool {
    let mut met = false;
    if let Some(element) = part.index.and_then(|index| elements.get(index)) {
        met = true;
        let behind = &rest[1..];
        if in_value(element, behind, trail, visit) {
            return true;
        }
    }
    for (at, element) in elements.iter().enumerate() {
        let trail = Trail {
            element: trail.element.or(Some(at)),
        };
        if let Bson::Document(document) = element {
            met = true;
            if in_document(document, rest, trail, visit) {
                return true;
            }
        }
    }
    !met && visit(Found::Nowhere, trail)
}
