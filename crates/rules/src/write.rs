//! What a client writes, as a rule sees it: `request.data`.

use bson::{Bson, Document};

/// The data of an add, set or update. Of an update it is what the fields are set to; a field that another operator changes has a
/// value that nobody knows, so that no rule takes it for one that is left alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WrittenData {
    /// Values by dotted path.
    known: Vec<(String, Bson)>,
    /// Paths whose value is not known.
    unknown: Vec<String>,
}

/// What a path of it is.
pub(crate) enum Written<'a> {
    Value(&'a Bson),
    Nothing,
    Unknown,
}

impl WrittenData {
    /// A whole document.
    #[must_use]
    pub fn document(document: &Document) -> Self {
        let mut written = Self::default();
        for (name, value) in document {
            // Such a name is no path: what is said of the path would be answered by another field.
            match name.is_empty() || name.contains('.') {
                true => written.unknown.push(name.clone()),
                false => written.known.push((name.clone(), value.clone())),
            }
        }
        written
    }

    /// An update by operators.
    #[must_use]
    pub fn operators(operators: &Document) -> Self {
        let mut written = Self::default();
        for (operator, fields) in operators {
            let Bson::Document(fields) = fields else { continue };
            for (path, value) in fields {
                let plain = path.split('.').take_while(|part| {
                    !part.starts_with('$') && !part.bytes().all(|byte| byte.is_ascii_digit())
                });
                let plain = plain.collect::<Vec<_>>().join(".");
                if operator == "$set" && plain == *path {
                    written.known.push((plain, value.clone()));
                    continue;
                }
                written.unknown.push(plain);
                if let (Bson::String(to), "$rename") = (value, operator.as_str()) {
                    written.unknown.push(to.clone());
                }
            }
        }
        written
    }

    pub(crate) fn get(&self, path: &str) -> Written<'_> {
        let meets = |other: &str| is_below(path, other) || is_below(other, path);
        if self.unknown.iter().any(|unknown| meets(unknown)) {
            return Written::Unknown;
        }
        let Some((at, value)) = self.known.iter().rev().find(|(known, _)| meets(known)) else {
            return Written::Nothing;
        };
        if !is_below(path, at) {
            // Only a part of it is set.
            return Written::Unknown;
        }
        let rest = path.get(at.len()..).unwrap_or_default().split('.');
        let mut value = value;
        for name in rest.filter(|name| !name.is_empty()) {
            match value {
                Bson::Document(inner) => match inner.get(name) {
                    Some(inner) => value = inner,
                    None => return Written::Nothing,
                },
                Bson::Array(_) => return Written::Unknown,
                _ => return Written::Nothing,
            }
        }
        Written::Value(value)
    }
}

/// Whether `path` is `above` or below it.
fn is_below(path: &str, above: &str) -> bool {
    above.is_empty()
        || path
            .strip_prefix(above)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}
