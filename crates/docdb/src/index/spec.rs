//! An index as it is asked for, and as it is written: by `yunqiao.toml`, `yunqiao db index`, the console, and MongoDB.

use std::fmt;

use bson::{Bson, Document};
use ejson::shell::quote;
use wording::{Wording, wording};

use crate::{
    error::{Error, code},
    path::Path,
};

/// The name of the index that every collection has.
pub const ID_INDEX: &str = "_id_";

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

/// An index as it is written: what [`IndexSpec::of_fields`] reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenIndex {
    /// Its fields.
    pub fields: Vec<String>,
    /// Whether the first of them is a place, and is not marked as one: `kind = "2dsphere"`.
    pub sphere: bool,
}

/// What stands before a field that is kept from great to small.
const DESCENDING: char = '-';
/// What stands behind a field that is a place.
const PLACE: &str = ":2dsphere";

impl IndexSpec {
    /// An index over these fields, named by them.
    #[must_use]
    pub fn over(fields: Vec<IndexField>) -> Self {
        let mut index = Self {
            name: Self::named_by_fields(&fields),
            fields,
            unique: false,
            sparse: false,
        };
        if index.is_of_id() {
            index.name = ID_INDEX.to_owned();
        }
        index
    }

    /// An index over fields as `yunqiao.toml`, the command line and the console write them: `createTime`, from great to small
    /// `-createTime`, a place on the sphere `shop.location:2dsphere`. With `sphere` the first one is a place, and need not say so.
    ///
    /// # Errors
    /// What [`check`](Self::check) refuses, and a place that is to have an order.
    pub fn of_fields(fields: &[impl AsRef<str>], sphere: bool) -> Result<Self, BadIndex> {
        let read = |(at, text): (usize, &str)| {
            let unmarked = text.strip_suffix(PLACE);
            let is_place = unmarked.is_some() || sphere && at == 0;
            let path = unmarked.unwrap_or(text);
            let (path, kind) = match (path.strip_prefix(DESCENDING), is_place) {
                (Some(_), true) => return Err(BadIndex::PlaceInOrder(text.to_owned())),
                (None, true) => (path, IndexKind::Sphere),
                (Some(path), false) => (path, IndexKind::Descending),
                (None, false) => (path, IndexKind::Ascending),
            };
            if Path::checked(path).is_err() {
                return Err(BadIndex::NoField(text.to_owned()));
            }
            Ok(IndexField {
                path: path.to_owned(),
                kind,
            })
        };
        let fields = fields.iter().map(AsRef::as_ref).enumerate();
        let index = Self::over(fields.map(read).collect::<Result<_, _>>()?);
        index.check()?;
        Ok(index)
    }

    /// As [`of_fields`](Self::of_fields) reads it: the same fields come of it.
    #[must_use]
    pub fn written(&self) -> WrittenIndex {
        // Most are over one place, which leads; those are written as the platform's console shows them.
        let mut kinds = self.fields.iter().map(|field| field.kind == IndexKind::Sphere);
        let sphere = kinds.next() == Some(true) && !kinds.any(|is_place| is_place);
        let fields = self.fields.iter().map(|field| match field.kind {
            IndexKind::Descending => format!("{DESCENDING}{}", field.path),
            IndexKind::Sphere if !sphere => format!("{}{PLACE}", field.path),
            IndexKind::Ascending | IndexKind::Sphere => field.path.clone(),
        });
        WrittenIndex {
            fields: fields.collect(),
            sphere,
        }
    }

    /// Whether it can be written so. A driver may name a field `-a`, which reads as another one from great to small.
    #[must_use]
    pub fn can_be_written(&self) -> bool {
        let WrittenIndex { fields, sphere } = self.written();
        Self::of_fields(&fields, sphere).is_ok_and(|read| read.fields == self.fields)
    }

    /// Whether MongoDB makes an index over such fields.
    ///
    /// # Errors
    /// Where it names no field, one that is none, or one twice.
    pub fn check(&self) -> Result<(), BadIndex> {
        if self.fields.is_empty() {
            return Err(BadIndex::NoFields);
        }
        for (at, field) in self.fields.iter().enumerate() {
            if Path::checked(&field.path).is_err() {
                return Err(BadIndex::NoField(field.path.clone()));
            }
            if self.fields[..at].iter().any(|before| before.path == field.path) {
                return Err(BadIndex::Twice(field.path.clone()));
            }
        }
        Ok(())
    }

    /// Whether it is the index that every collection has, over `_id` alone. It is never made, and never removed.
    #[must_use]
    pub fn is_of_id(&self) -> bool {
        matches!(self.fields.as_slice(), [only] if only.path == "_id" && only.kind != IndexKind::Sphere)
    }

    /// Whether a place is among its fields.
    #[must_use]
    pub fn has_place(&self) -> bool {
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

/// Why there can be no such index. `Display` is for whoever wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadIndex {
    /// It is over nothing.
    NoFields,
    /// This names no field.
    NoField(String),
    /// This field stands in it twice.
    Twice(String),
    /// This is a place, and is to be kept from great to small.
    PlaceInOrder(String),
}

impl BadIndex {
    /// What is wrong, and what mends it.
    #[must_use]
    pub fn wording(&self) -> Wording {
        match self {
            Self::NoFields => wording!(
                "an index is over fields, and none is named: name one, such as createTime",
                "索引没有写字段：请至少写一个，例如 createTime"
            ),
            Self::NoField(text) => wording!(
                "{text:?} is no field of an index: name fields such as createTime, from great to small -address.city, as places \
                 location:2dsphere",
                "{text:?} 不是索引字段：请写字段名，例如 createTime，降序写 -address.city，地理位置写 location:2dsphere"
            ),
            Self::Twice(path) => wording!(
                "{path:?} stands twice in one index: name it once",
                "同一个索引里 {path:?} 写了两次：请只写一次"
            ),
            Self::PlaceInOrder(text) => wording!(
                "{text:?} is a place (2dsphere), and places have no order: leave out the -",
                "{text:?} 是地理位置（2dsphere），没有升序降序：请去掉 -"
            ),
        }
    }
}

impl fmt::Display for BadIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wording().fmt(f)
    }
}

impl std::error::Error for BadIndex {}

impl From<BadIndex> for Error {
    fn from(bad: BadIndex) -> Self {
        Self::new(code::CANNOT_CREATE_INDEX, bad.to_string())
    }
}

impl IndexSpec {
    /// The index as `yunqiao.toml` has it: `["status", "-createTime"]`.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let WrittenIndex { fields, sphere } = self.written();
        let fields: Vec<String> = fields.iter().map(|field| quote(field)).collect();
        let fields = format!("[{}]", fields.join(", "));
        let options: String = [
            (self.unique, ", unique = true"),
            (self.sparse, ", sparse = true"),
            (sphere, ", kind = \"2dsphere\""),
        ]
        .iter()
        .filter_map(|(is, text)| is.then_some(*text))
        .collect();
        match options.as_str() {
            "" => fields,
            options => format!("{{ fields = {fields}{options} }}"),
        }
    }
}

/// A collection's name as the head of its table in `yunqiao.toml` has it: `todos`, `"待办 x"`.
#[must_use]
pub fn toml_key(collection: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    match !collection.is_empty() && collection.bytes().all(bare) {
        true => collection.to_owned(),
        // Its escapes are among the shell's.
        false => quote(collection),
    }
}

/// What gives a collection these indexes in `yunqiao.toml`: the head of a table, and a line in it.
#[must_use]
pub fn settings_text(collection: &str, indexes: &[IndexSpec]) -> String {
    let key = toml_key(collection);
    let indexes: Vec<String> = indexes.iter().map(IndexSpec::to_toml).collect();
    format!("[database.collections.{key}]\nindexes = [{}]", indexes.join(", "))
}

/// The same in one line, to be told in a sentence.
#[must_use]
pub fn settings_line(collection: &str, indexes: &[IndexSpec]) -> String {
    settings_text(collection, indexes).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bson::doc;

    use super::*;

    #[test]
    fn the_first_field_is_the_place_and_others_say_so() {
        for (fields, sphere, pattern) in [
            (&["status", "-at"][..], false, doc! { "status": 1, "at": -1 }),
            (&["place"], true, doc! { "place": "2dsphere" }),
            (
                &["place", "status", "-at"],
                true,
                doc! { "place": "2dsphere", "status": 1, "at": -1 },
            ),
            (&["place:2dsphere"], false, doc! { "place": "2dsphere" }),
            (
                &["status", "shop.place:2dsphere"],
                false,
                doc! { "status": 1, "shop.place": "2dsphere" },
            ),
            (
                &["here", "there:2dsphere"],
                true,
                doc! { "here": "2dsphere", "there": "2dsphere" },
            ),
        ] {
            let index = IndexSpec::of_fields(fields, sphere).unwrap();
            assert_eq!(index.pattern(), pattern);
            let written = index.written();
            assert_eq!(
                IndexSpec::of_fields(&written.fields, written.sphere).as_ref(),
                Ok(&index),
                "{written:?}"
            );
        }
    }

    #[test]
    fn an_index_of_what_mongodb_takes_for_none_is_refused() {
        let bad = |fields: &[&str], sphere| IndexSpec::of_fields(fields, sphere).unwrap_err();
        assert_eq!(bad(&[], false), BadIndex::NoFields);
        for text in ["", "a..b", "$a", "a.$b", ".a", "a.", "a\0"] {
            assert_eq!(bad(&["x", text], false), BadIndex::NoField(text.to_owned()));
            let descending = format!("-{text}");
            assert_eq!(bad(&[&descending], false), BadIndex::NoField(descending));
        }
        for fields in [["a", "a"], ["a", "-a"], ["a:2dsphere", "a"]] {
            assert_eq!(bad(&fields, false), BadIndex::Twice("a".to_owned()));
        }
        assert_eq!(bad(&["-a"], true), BadIndex::PlaceInOrder("-a".to_owned()));
        let marked = "-a:2dsphere";
        assert_eq!(bad(&[marked], false), BadIndex::PlaceInOrder(marked.to_owned()));
    }

    #[test]
    fn an_index_of_the_id_alone_is_the_one_that_is_there() {
        let index = |fields: &[&str], sphere| IndexSpec::of_fields(fields, sphere).unwrap();
        assert!(index(&["_id"], false).is_of_id() && index(&["-_id"], false).is_of_id());
        assert_eq!(index(&["_id"], false).name, ID_INDEX);
        assert!(!index(&["_id"], true).is_of_id());
        assert!(!index(&["_id", "a"], false).is_of_id());
    }

    #[test]
    fn a_name_that_would_be_read_as_another_cannot_be_written() {
        for (path, can) in [
            ("a-b", true),
            ("-a", false),
            ("a:2dsphere", false),
            ("a..b", false),
        ] {
            let field = IndexField {
                path: path.to_owned(),
                kind: IndexKind::Ascending,
            };
            assert_eq!(IndexSpec::over(vec![field]).can_be_written(), can, "{path}");
        }
    }

    #[test]
    fn the_settings_have_every_option_and_quote_odd_names() {
        let line = |collection: &str, index: IndexSpec| settings_line(collection, &[index]);
        let index = |fields: &[&str], sphere| IndexSpec::of_fields(fields, sphere).unwrap();
        assert_eq!(
            line("待办 x", index(&["a\"b"], false)),
            "[database.collections.\"待办 x\"] indexes = [[\"a\\\"b\"]]"
        );
        let sparse = IndexSpec {
            unique: true,
            sparse: true,
            ..index(&["place", "-at"], true)
        };
        assert_eq!(
            line("todos", sparse),
            "[database.collections.todos] indexes = [{ fields = [\"place\", \"-at\"], unique = true, sparse = true, kind = \"2dsphere\" }]"
        );
        assert_eq!(toml_key(""), "\"\"");
    }
}
