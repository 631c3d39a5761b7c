//! What an index is, and the keys that a document has in it.
//!
//! An entry's key is the key of each field's value, one behind the other, descending fields inverted; whoever stores it
//! appends the key of `_id`. A field that is an array has an entry for each element, an empty one an entry for
//! `undefined`; a field that is not there has one for null. Fields below one array have the values of one element together.

mod spec;

use bson::{Bson, Document};

pub use self::spec::{
    BadIndex, ID_INDEX, IndexField, IndexKind, IndexSpec, WrittenIndex, settings_line, settings_text,
    toml_key,
};
use crate::{
    error::{Error, Result, code},
    geo,
    key::{self, Direction},
    path::{Part, Path, walk},
    tuple::tuples,
};

/// More entries of one document are refused: arrays in several fields multiply.
const MOST_ENTRIES: usize = 100_000;

/// The entries of one document are not larger than this, together.
const MOST_BYTES: usize = 64 << 20;

/// An index over fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// The fields in their order.
    pub fields: Vec<KeyField>,
    /// If two documents may not have the same entry. A missing field counts as null.
    pub unique: bool,
    /// If documents that have none of the fields have no entry.
    pub sparse: bool,
    /// If some document had more than one entry, or an array in a field: [`Entries::multikey`]. The planner must know,
    /// because two conditions may then be met by different entries.
    pub multikey: bool,
    /// If entries hold each value of a field with each of the others, also where the fields stand below one array: so they were made
    /// before version 2 of [`ENTRIES_VERSION`], and are to be found and removed by the same keys.
    pub crossed: bool,
}

/// How entries are made. 1 had all fields [crossed](Index::crossed), and none for elements that are no documents.
pub const ENTRIES_VERSION: i32 = 2;

/// A field of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyField {
    /// The path of the field.
    pub path: Path,
    /// What it is kept by.
    pub kind: FieldKind,
}

/// What a field of an index is kept by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FieldKind {
    /// By its values in their order.
    Ordered(Direction),
    /// By cells of the sphere: `2dsphere`. A document without a geometry in the field has no entry.
    Sphere,
}

impl From<Direction> for FieldKind {
    fn from(direction: Direction) -> Self {
        Self::Ordered(direction)
    }
}

/// The entries of one document in one index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// The keys, in their order, each once.
    pub keys: Vec<Vec<u8>>,
    /// If an array was met on the way to a value.
    pub multikey: bool,
}

impl Index {
    /// An index over paths, neither unique nor sparse, of documents without arrays.
    ///
    /// # Errors
    /// Where a path is none.
    pub fn new<K: Into<FieldKind> + Copy>(fields: &[(&str, K)]) -> Result<Self> {
        let fields: Result<Vec<KeyField>> = fields
            .iter()
            .map(|(path, kind)| {
                Ok(KeyField {
                    path: Path::checked(path)?,
                    kind: (*kind).into(),
                })
            })
            .collect();
        Ok(Self {
            fields: fields?,
            unique: false,
            sparse: false,
            multikey: false,
            crossed: false,
        })
    }

    /// Whether entries hold each value of a field with each of the others: of old, among places as in MongoDB, and where a path may name
    /// an element by its index.
    pub(crate) fn is_crossed(&self) -> bool {
        let by_index = |field: &KeyField| field.path.parts().iter().any(|part| part.index.is_some());
        let is_sphere = |field: &KeyField| field.kind == FieldKind::Sphere;
        self.crossed
            || self
                .fields
                .iter()
                .any(|field| is_sphere(field) || by_index(field))
    }

    /// Whether entries that were made before version 2 are others than those of today, where some document had several.
    #[must_use]
    pub fn differs_by_version(&self) -> bool {
        let is_below = |field: &KeyField| field.kind != FieldKind::Sphere && field.path.parts().len() > 1;
        self.multikey && self.fields.iter().any(is_below)
    }

    /// The entries of a document.
    ///
    /// # Errors
    /// Where they would be too many.
    pub fn entries(&self, document: &Document) -> Result<Entries> {
        let mut entries = match self.is_crossed() {
            true => self.crossed_entries(document)?,
            false => self.entries_by_element(document)?,
        };
        entries.keys.sort_unstable();
        entries.keys.dedup();
        Ok(entries)
    }

    fn entries_by_element(&self, document: &Document) -> Result<Entries> {
        let mut entries = Entries::default();
        let mut bytes = 0;
        let paths = self.fields.iter().map(|field| &field.path);
        let met = tuples(document, paths, &mut |tuple, _| {
            if self.sparse && tuple.iter().all(Option::is_none) {
                return Ok(());
            }
            let key = self.key(tuple);
            bytes += key.len();
            entries.keys.push(key);
            self.check_size(entries.keys.len(), bytes)
        })?;
        entries.multikey = met.array;
        Ok(entries)
    }

    /// The key of one value of each field, in an index of values alone.
    fn key(&self, tuple: &[Option<&Bson>]) -> Vec<u8> {
        let mut key = Vec::new();
        for (field, value) in self.fields.iter().zip(tuple) {
            if let FieldKind::Ordered(direction) = field.kind {
                key::push(&mut key, value.unwrap_or(&Bson::Null), direction);
            }
        }
        key
    }

    fn check_size(&self, keys: usize, bytes: usize) -> Result<()> {
        let what = match (keys > MOST_ENTRIES, bytes > MOST_BYTES) {
            (true, _) => format!("{MOST_ENTRIES} entries"),
            (_, true) => format!("{MOST_BYTES} bytes"),
            _ => return Ok(()),
        };
        let paths: Vec<&str> = self.fields.iter().map(|field| field.path.as_str()).collect();
        let paths = paths.join(", ");
        Err(Error::bad_value(format!(
            "a document has more than {what} in an index on '{paths}'"
        )))
    }

    fn crossed_entries(&self, document: &Document) -> Result<Entries> {
        let mut entries = Entries {
            keys: vec![Vec::new()],
            multikey: false,
        };
        let mut present = false;
        for field in &self.fields {
            let direction = match field.kind {
                FieldKind::Ordered(direction) => direction,
                FieldKind::Sphere => {
                    let mut cells = Vec::new();
                    walk(document, &field.path, &mut |value, _| {
                        cells.extend(value.map(geo::stored_cells).unwrap_or_default());
                        false
                    });
                    entries.multikey |= cells.len() > 1;
                    present |= !cells.is_empty();
                    self.multiply(&mut entries.keys, &cells, |key, cell| key.extend(cell.key()))?;
                    continue;
                }
            };
            let found = Values::of(document, field);
            entries.multikey |= found.multikey;
            present |= found.present;
            self.multiply(&mut entries.keys, &found.values, |key, value| {
                key::push(key, value, direction)
            })?;
        }
        if self.sparse && !present {
            entries.keys.clear();
        }
        Ok(entries)
    }

    /// Appends to each key so far the key of each value.
    fn multiply<T>(
        &self,
        keys: &mut Vec<Vec<u8>>,
        values: &[T],
        push: impl Fn(&mut Vec<u8>, &T),
    ) -> Result<()> {
        self.check_size(values.len().saturating_mul(keys.len()), 0)?;
        let mut bytes = 0;
        let mut longer = Vec::with_capacity(values.len() * keys.len());
        for prefix in keys.iter() {
            for value in values {
                let mut key = prefix.clone();
                push(&mut key, value);
                bytes += key.len();
                self.check_size(0, bytes)?;
                longer.push(key);
            }
        }
        *keys = longer;
        Ok(())
    }

    /// Whether a document may be in it. What is in it already has entries all the same.
    ///
    /// # Errors
    /// Two of its fields are arrays beside each other, or what stands in a field over places is not a place.
    pub fn admit(&self, document: &Document) -> Result<()> {
        let is_ordered = |field: &&KeyField| matches!(field.kind, FieldKind::Ordered(_));
        let ordered: Vec<&[Part]> = self
            .fields
            .iter()
            .filter(is_ordered)
            .map(|field| field.path.parts())
            .collect();
        if ordered.len() > 1 {
            check_parallel(document, &ordered)?;
        }
        for field in self.fields.iter().filter(|field| field.kind == FieldKind::Sphere) {
            let mut checked = Ok(());
            walk(document, &field.path, &mut |value, _| {
                checked = value.map_or(Ok(()), geo::check_stored);
                checked.is_err()
            });
            checked.map_err(|error| {
                Error::new(
                    code::CANNOT_EXTRACT_GEO_KEYS,
                    format!(
                        "Can't extract geo keys from field '{}': {}",
                        field.path.as_str(),
                        error.message
                    ),
                )
            })?;
        }
        Ok(())
    }

    /// The values of which an entry of the document is made, by the paths of their fields: of an array the element that it
    /// is. `None` where the document has no such entry, or the index is one over places.
    #[must_use]
    pub fn values(&self, document: &Document, key: &[u8]) -> Option<Document> {
        match self.is_crossed() {
            true => self.crossed_values(document, key),
            false => self.values_by_element(document, key),
        }
    }

    fn values_by_element(&self, document: &Document, key: &[u8]) -> Option<Document> {
        let mut out = None;
        let paths = || self.fields.iter().map(|field| &field.path);
        tuples(document, paths(), &mut |tuple, _| {
            if out.is_none() && self.key(tuple) == key {
                let values = tuple.iter().map(|value| value.unwrap_or(&Bson::Null).clone());
                out = Some(paths().map(|path| path.as_str().to_owned()).zip(values).collect());
            }
            Ok(())
        })
        .ok()?;
        out
    }

    fn crossed_values(&self, document: &Document, mut key: &[u8]) -> Option<Document> {
        let mut out = Document::new();
        for field in &self.fields {
            let FieldKind::Ordered(direction) = field.kind else {
                return None;
            };
            let found = Values::of(document, field).values;
            // No value's key is the beginning of another's.
            let (value, rest) = found.into_iter().find_map(|value| {
                let mut own = Vec::new();
                key::push(&mut own, value, direction);
                Some((value, key.strip_prefix(own.as_slice())?))
            })?;
            out.insert(field.path.as_str(), value.clone());
            key = rest;
        }
        key.is_empty().then_some(out)
    }
}

/// Refuses parallel arrays: two fields of the index that lead through different arrays. One array that several fields share
/// is allowed.
fn check_parallel(document: &Document, fields: &[&[Part]]) -> Result<()> {
    let mut met: Option<(&Vec<Bson>, &Part)> = None;
    let mut below = Vec::new();
    for parts in fields {
        let Some((elements, part, rest)) = first_array(document, parts) else {
            continue;
        };
        match met {
            Some((other, before)) if !std::ptr::eq(other, elements) => {
                return Err(Error::new(
                    code::CANNOT_INDEX_PARALLEL_ARRAYS,
                    format!("cannot index parallel arrays [{}] [{}]", part.name, before.name),
                ));
            }
            _ => met = Some((elements, part)),
        }
        if !rest.is_empty() {
            below.push(rest);
        }
    }
    if below.len() > 1
        && let Some((elements, _)) = met
    {
        for document in elements.iter().filter_map(Bson::as_document) {
            check_parallel(document, &below)?;
        }
    }
    Ok(())
}

/// The first array on the way to a field, the part of the path that names it, and the parts behind.
fn first_array<'d, 'p>(
    mut document: &'d Document,
    mut parts: &'p [Part],
) -> Option<(&'d Vec<Bson>, &'p Part, &'p [Part])> {
    loop {
        let (part, rest) = parts.split_first()?;
        match document.get(&part.name)? {
            Bson::Array(elements) => return Some((elements, part, rest)),
            Bson::Document(inner) => document = inner,
            _ => return None,
        }
        parts = rest;
    }
}

/// What a document has in a field that is kept by its values.
struct Values<'a> {
    values: Vec<&'a Bson>,
    /// Whether an array was met on the way.
    multikey: bool,
    /// Whether there is such a field.
    present: bool,
}

impl<'a> Values<'a> {
    fn of(document: &'a Document, field: &KeyField) -> Self {
        let mut found = Self {
            values: Vec::new(),
            multikey: false,
            present: false,
        };
        walk(document, &field.path, &mut |value, element| {
            found.multikey |= element.is_some();
            found.present |= value.is_some();
            match value {
                None => found.values.push(&Bson::Null),
                Some(Bson::Array(elements)) => {
                    found.multikey = true;
                    if elements.is_empty() {
                        found.values.push(&Bson::Undefined);
                    }
                    found.values.extend(elements);
                }
                Some(value) => found.values.push(value),
            }
            false
        });
        if found.values.is_empty() {
            // An array on the way in which nothing is met.
            found.multikey = true;
            found.values.push(&Bson::Null);
        }
        found
    }
}

#[cfg(test)]
mod tests;
