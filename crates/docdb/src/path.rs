//! Dotted paths, as a query reads them.
//!
//! A part of digits is an index where it meets an array, and a field's name where it meets a document. Where a part meets
//! an array, all documents in that array are looked into, but not the arrays in it: in `[[{b: 1}]]` the path `b` finds
//! nothing.

use bson::{Bson, Document};

use crate::{error::Result, expr::FieldPath};

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

    /// Takes a path apart that has to name a field.
    ///
    /// # Errors
    /// Where a part is empty, begins with `$`, or holds a zero byte.
    pub fn checked(text: &str) -> Result<Self> {
        FieldPath::parse(text)?;
        Ok(Self::new(text))
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

/// The element of the outermost array that a walk passed through, not by its index: the positional `$` stands for it.
pub type Element = Option<usize>;

/// Who is shown what a walk meets; true ends the walk.
pub type Visit<'a, 'v> = dyn FnMut(Option<&'a Bson>, Element) -> bool + 'v;

/// Shows `visit` everything that `path` names in `document`: each value (an array at the end of the path as a whole), and
/// `None` where a document could have had the field. An array on the way in which nothing is met shows nothing: a field
/// in it is neither there nor null. Ends early when `visit` gives true, and says if it did.
pub fn walk<'a>(document: &'a Document, path: &Path, visit: &mut Visit<'a, '_>) -> bool {
    in_document(document, path.parts(), None, visit)
}

fn in_document<'a>(
    document: &'a Document,
    parts: &[Part],
    element: Element,
    visit: &mut Visit<'a, '_>,
) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return false;
    };
    let value = document.get(&part.name);
    match value {
        Some(Bson::Document(inner)) if !rest.is_empty() => in_document(inner, rest, element, visit),
        Some(Bson::Array(elements)) if !rest.is_empty() => in_array(elements, rest, element, visit),
        _ if rest.is_empty() => visit(value, element),
        // A scalar on the way: the field is not there.
        _ => visit(None, element),
    }
}

fn in_array<'a>(elements: &'a [Bson], parts: &[Part], outer: Element, visit: &mut Visit<'a, '_>) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return false;
    };
    for (at, element) in elements.iter().enumerate() {
        if let Bson::Document(document) = element
            && in_document(document, parts, outer.or(Some(at)), visit)
        {
            return true;
        }
        if part.index == Some(at) {
            let done = match element {
                _ if rest.is_empty() => visit(Some(element), outer),
                Bson::Document(document) => in_document(document, rest, outer, visit),
                Bson::Array(elements) => in_array(elements, rest, outer, visit),
                _ => false,
            };
            if done {
                return true;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests;
