//! An index as it is asked for, and as it is written: by `yunqiao.toml`, `yunqiao db index`, the console, and MongoDB.

use bson::{Bson, Document};
use ejson::shell::quote;

/// An index to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSpec {
    /// Its name; [`IndexSpec::named_by_fields`] gives MongoDB's: `status_1_createTime_-1`.
    pub name: String,
    /// What it is over, in this order.
    pub fields: Vec<IndexField>,
    /// Whether no two documents may have the same value. A missing field counts as null.
    pub unique: bool,
    /// Whether documents without any of the fields are left out.
    pub sparse: bool,
}

/// A field of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexField {
    /// Its path, with dots.
    pub path: String,
    /// How it is kept.
    pub kind: IndexKind,
}

/// How a field is kept in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexKind {
    /// From small to great.
    Ascending,
    /// From great to small.
    Descending,
    /// As places on the sphere.
    Sphere,
}

impl IndexSpec {
    /// An index over fields as they are written in `yunqiao.toml`, `createTime` or from great to small `-createTime`, named
    /// by them; with `sphere` over places.
    ///
    /// # Errors
    /// Where there is no field, or one has no path.
    pub fn of_fields(fields: &[impl AsRef<str>], sphere: bool) -> Result<Self, BadIndexField> {
        let fields: Vec<IndexField> = fields
            .iter()
            .map(|field| {
                let text = field.as_ref();
                let path = text.strip_prefix('-').unwrap_or(text);
                if path.starts_with('$') || path.split('.').any(str::is_empty) {
                    return Err(BadIndexField(text.to_owned()));
                }
                let kind = match (sphere, path.len() < text.len()) {
                    (true, _) => IndexKind::Sphere,
                    (false, true) => IndexKind::Descending,
                    (false, false) => IndexKind::Ascending,
                };
                Ok(IndexField {
                    path: path.to_owned(),
                    kind,
                })
            })
            .collect::<Result<_, _>>()?;
        if fields.is_empty() {
            return Err(BadIndexField(String::new()));
        }
        Ok(Self {
            name: Self::named_by_fields(&fields),
            fields,
            unique: false,
            sparse: false,
        })
    }

    /// Its fields as [`of_fields`](Self::of_fields) takes them.
    #[must_use]
    pub fn written_fields(&self) -> Vec<String> {
        self.fields
            .iter()
            .map(|field| match field.kind {
                IndexKind::Descending => format!("-{}", field.path),
                IndexKind::Ascending | IndexKind::Sphere => field.path.clone(),
            })
            .collect()
    }

    /// Whether it is over places.
    #[must_use]
    pub fn is_sphere(&self) -> bool {
        self.fields.iter().any(|field| field.kind == IndexKind::Sphere)
    }

    /// The name that MongoDB gives an index over these fields.
    #[must_use]
    pub fn named_by_fields(fields: &[IndexField]) -> String {
        let parts: Vec<String> = fields
            .iter()
            .map(|field| {
                let kind = match field.kind {
                    IndexKind::Ascending => "1",
                    IndexKind::Descending => "-1",
                    IndexKind::Sphere => "2dsphere",
                };
                format!("{}_{kind}", field.path)
            })
            .collect();
        parts.join("_")
    }

    /// Its fields as MongoDB writes them: `{status: 1, createTime: -1}`.
    #[must_use]
    pub fn pattern(&self) -> Document {
        self.fields
            .iter()
            .map(|field| {
                let kind = match field.kind {
                    IndexKind::Ascending => Bson::Int32(1),
                    IndexKind::Descending => Bson::Int32(-1),
                    IndexKind::Sphere => Bson::String("2dsphere".to_owned()),
                };
                (field.path.clone(), kind)
            })
            .collect()
    }
}

/// A text that names no field of an index.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no field of an index: name fields such as createTime, or from great to small -address.city"
)]
pub struct BadIndexField(pub String);

impl IndexSpec {
    /// The index as `yunqiao.toml` has it: `["status", "-createTime"]`.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let is_sphere = self.fields.iter().any(|field| field.kind == IndexKind::Sphere);
        let fields: Vec<String> = self
            .fields
            .iter()
            .map(|field| match field.kind {
                IndexKind::Descending => quote(&format!("-{}", field.path)),
                IndexKind::Ascending | IndexKind::Sphere => quote(&field.path),
            })
            .collect();
        let fields = format!("[{}]", fields.join(", "));
        if !is_sphere && !self.unique {
            return fields;
        }
        let unique = if self.unique { ", unique = true" } else { "" };
        let kind = if is_sphere { ", kind = \"2dsphere\"" } else { "" };
        format!("{{ fields = {fields}{unique}{kind} }}")
    }
}

/// What gives a collection these indexes in `yunqiao.toml`: the head of a table, and a line in it.
#[must_use]
pub fn settings_text(collection: &str, indexes: &[IndexSpec]) -> String {
    let bare = !collection.is_empty()
        && collection
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let name = if bare {
        collection.to_owned()
    } else {
        quote(collection)
    };
    let indexes: Vec<String> = indexes.iter().map(IndexSpec::to_toml).collect();
    format!(
        "[database.collections.{name}]\nindexes = [{}]",
        indexes.join(", ")
    )
}

/// The same in one line, to be told in a sentence.
#[must_use]
pub fn settings_line(collection: &str, indexes: &[IndexSpec]) -> String {
    settings_text(collection, indexes).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_names_are_quoted() {
        let index = IndexSpec::of_fields(&["a\"b"], false);
        assert_eq!(
            index.map(|index| settings_line("待办 x", &[index])),
            Ok("[database.collections.\"待办 x\"] indexes = [[\"a\\\"b\"]]".to_owned())
        );
    }
}
