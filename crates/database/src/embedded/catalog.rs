//! Which collections and indexes there are, as they stand in the file.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bson::{Bson, Document, doc};
use docdb::{
    index::{ENTRIES_VERSION, FieldKind},
    key::Direction,
};
use redb::ReadableTable;

use crate::{IndexField, IndexKind, IndexSpec, Result, error::DatabaseError};

/// A collection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Collection {
    /// What its documents' keys begin with.
    pub(crate) id: u32,
    pub(crate) name: Arc<str>,
    pub(crate) indexes: Vec<Index>,
    /// Indexes in the making: what is written has its entries in them, and nobody looks for anything by them. An older program knows
    /// nothing of these.
    pub(crate) unfinished: Vec<Index>,
    /// The numbers of indexes whose entries are being removed.
    pub(crate) leaving: Vec<u32>,
    /// What the planner is shown: the index of `_id`, then `indexes`.
    pub(crate) plannable: Vec<docdb::index::Index>,
}

/// An index of a collection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Index {
    /// What its entries begin with.
    pub(crate) id: u32,
    pub(crate) spec: IndexSpec,
    /// Whether a document has had, or has, more than one entry in it.
    pub(crate) multikey: bool,
    /// What its entries are made by.
    pub(crate) keys: docdb::index::Index,
    /// Whether a collection has it by itself. It is shown to nobody and cannot be dropped, as that of `_id`.
    pub(crate) built_in: bool,
}

/// The version of entries that hold each value with each: what has no version is of it.
const CROSSED: i32 = 1;

impl Index {
    /// # Errors
    /// Where a path is not valid.
    pub(crate) fn new(id: u32, spec: IndexSpec, multikey: bool) -> Result<Self> {
        let fields: Vec<(&str, FieldKind)> = spec
            .fields
            .iter()
            .map(|field| {
                let kind = match field.kind {
                    IndexKind::Ascending => FieldKind::Ordered(Direction::Ascending),
                    IndexKind::Descending => FieldKind::Ordered(Direction::Descending),
                    IndexKind::Sphere => FieldKind::Sphere,
                };
                (field.path.as_str(), kind)
            })
            .collect();
        let mut keys = docdb::index::Index::new(&fields)?;
        keys.unique = spec.unique;
        keys.sparse = spec.sparse;
        keys.multikey = multikey;
        Ok(Self {
            id,
            spec,
            multikey,
            keys,
            built_in: false,
        })
    }

    /// The index of whose a document is, which permissions ask for with every query of a client's. A collection has it unless it has one
    /// of its own that does the same. Documents that are nobody's are not in it, and cost nothing.
    pub(crate) fn of_owners(id: u32) -> Result<Self> {
        let owner = IndexField {
            path: "_openid".to_owned(),
            kind: IndexKind::Ascending,
        };
        let spec = IndexSpec {
            sparse: true,
            ..IndexSpec::over(vec![owner])
        };
        Ok(Self {
            built_in: true,
            ..Self::new(id, spec, false)?
        })
    }

    /// Whether it finds whose a document is as well as that of owners does.
    pub(crate) fn finds_owners(&self) -> bool {
        match self.spec.fields.as_slice() {
            [IndexField { path, kind }] => path == "_openid" && *kind != IndexKind::Sphere,
            _ => false,
        }
    }

    fn encode(&self) -> Bson {
        Bson::Document(doc! {
            "id": i64::from(self.id),
            "name": &self.spec.name,
            "fields": self.spec.pattern(),
            "unique": self.spec.unique,
            "sparse": self.spec.sparse,
            "multikey": self.multikey,
            "builtIn": self.built_in,
            "version": match self.keys.crossed {
                true => CROSSED,
                false => ENTRIES_VERSION,
            },
        })
    }

    fn decode(id: u32, index: &Document, broken: impl Fn() -> DatabaseError) -> Result<Self> {
        let fields = index.get_document("fields").map_err(|_| broken())?;
        let fields = fields.iter().map(|(path, kind)| IndexField {
            path: path.clone(),
            kind: match kind {
                Bson::String(_) => IndexKind::Sphere,
                Bson::Int32(-1) => IndexKind::Descending,
                _ => IndexKind::Ascending,
            },
        });
        let spec = IndexSpec {
            name: index.get_str("name").map_err(|_| broken())?.to_owned(),
            fields: fields.collect(),
            unique: index.get_bool("unique").unwrap_or(false),
            sparse: index.get_bool("sparse").unwrap_or(false),
        };
        let multikey = index.get_bool("multikey").unwrap_or(true);
        let mut decoded = Self {
            built_in: index.get_bool("builtIn").unwrap_or(false),
            ..Self::new(id, spec, multikey)?
        };
        // One whose entries would be the same today is of today: made anew it would be no other.
        let version = index.get_i32("version").unwrap_or(CROSSED);
        decoded.keys.crossed = version == CROSSED && decoded.keys.differs_by_version();
        Ok(decoded)
    }

    /// It has seen a document with several entries.
    pub(crate) fn set_multikey(&mut self) {
        self.multikey = true;
        self.keys.multikey = true;
    }
}

impl Collection {
    pub(crate) fn new(id: u32, name: &str, indexes: Vec<Index>) -> Result<Self> {
        let mut by_id = docdb::index::Index::new(&[("_id", Direction::Ascending)])?;
        by_id.unique = true;
        let mut plannable = vec![by_id];
        plannable.extend(indexes.iter().map(|index| index.keys.clone()));
        Ok(Self {
            id,
            name: name.into(),
            indexes,
            unfinished: Vec::new(),
            leaving: Vec::new(),
            plannable,
        })
    }

    pub(crate) fn has_owner_index(&self) -> bool {
        self.indexes.iter().any(Index::finds_owners)
    }

    /// Whether an index was begun and is not whole, or entries are left of one that is gone.
    pub(crate) fn is_in_pieces(&self) -> bool {
        !self.unfinished.is_empty() || !self.leaving.is_empty()
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let encoded = |indexes: &[Index]| indexes.iter().map(Index::encode).collect::<Vec<_>>();
        let mut document = doc! { "id": i64::from(self.id), "indexes": encoded(&self.indexes) };
        if !self.unfinished.is_empty() {
            document.insert("unfinished", encoded(&self.unfinished));
        }
        if !self.leaving.is_empty() {
            let leaving = self.leaving.iter().copied().map(i64::from);
            document.insert("leaving", leaving.collect::<Vec<_>>());
        }
        document.to_vec().map_err(DatabaseError::unavailable)
    }

    fn decode(name: &str, bytes: &[u8]) -> Result<Self> {
        let broken =
            || DatabaseError::unavailable(format!("the entry of collection {name:?} in the file is damaged"));
        let document = Document::from_reader(bytes).map_err(DatabaseError::unavailable)?;
        let number =
            |value: Option<&Bson>| value.and_then(Bson::as_i64).and_then(|id| u32::try_from(id).ok());
        let list = |name: &str| document.get_array(name).map_or(&[][..], Vec::as_slice);
        let indexes = |name: &str| -> Result<Vec<Index>> {
            let entries = list(name).iter();
            let decoded = entries.map(|index| {
                let index = index.as_document().ok_or_else(broken)?;
                Index::decode(number(index.get("id")).ok_or_else(broken)?, index, broken)
            });
            decoded.collect()
        };
        document.get_array("indexes").map_err(|_| broken())?;
        let leaving = list("leaving").iter();
        let leaving = leaving.map(|id| number(Some(id)).ok_or_else(broken));
        Ok(Self {
            unfinished: indexes("unfinished")?,
            leaving: leaving.collect::<Result<_>>()?,
            ..Self::new(
                number(document.get("id")).ok_or_else(broken)?,
                name,
                indexes("indexes")?,
            )?
        })
    }
}

/// Collections as they were last read, so that an entry is decoded once and not for each query. What a snapshot says is compared
/// byte by byte: a reader of an older one gets what stood there.
#[derive(Debug, Default)]
pub(crate) struct CatalogCache(Mutex<HashMap<String, CachedEntry>>);

/// An entry's bytes, and what they decode to.
type CachedEntry = (Vec<u8>, Arc<Collection>);

impl CatalogCache {
    /// The collection of that name in a snapshot.
    pub(crate) fn read(
        &self,
        catalog: &impl ReadableTable<&'static str, &'static [u8]>,
        name: &str,
    ) -> Result<Option<Arc<Collection>>> {
        let Some(entry) = catalog.get(name).map_err(DatabaseError::unavailable)? else {
            return Ok(None);
        };
        let bytes = entry.value();
        let mut cached = self.entries();
        if let Some((known, collection)) = cached.get(name)
            && known == bytes
        {
            return Ok(Some(Arc::clone(collection)));
        }
        let collection = Arc::new(Collection::decode(name, bytes)?);
        cached.insert(name.to_owned(), (bytes.to_vec(), Arc::clone(&collection)));
        Ok(Some(collection))
    }

    /// Keeps nothing of a collection that is dropped; if it is not after all, it is read again.
    pub(crate) fn forget(&self, name: &str) {
        self.entries().remove(name);
    }

    pub(super) fn entries(&self) -> MutexGuard<'_, HashMap<String, CachedEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn an_index_of_an_older_program_keeps_the_entries_it_has() {
        let index = |path: &str, multikey: bool| {
            let fields = ["x", path].map(|path| IndexField {
                path: path.to_owned(),
                kind: IndexKind::Ascending,
            });
            Index::new(7, IndexSpec::over(fields.into()), multikey).unwrap()
        };
        let read = |index: &Index, with_version: bool| {
            let mut encoded = index.encode();
            if let (false, Bson::Document(encoded)) = (with_version, &mut encoded) {
                encoded.remove("version").unwrap();
            }
            let broken = || DatabaseError::unavailable("broken");
            Index::decode(7, encoded.as_document().unwrap(), broken).unwrap()
        };
        for (path, multikey, differs) in [("a.b", true, true), ("a.b", false, false), ("a", true, false)] {
            let of_today = index(path, multikey);
            assert_eq!(read(&of_today, true), of_today);
            let old = read(&of_today, false);
            assert_eq!(old.keys.crossed, differs, "{path} {multikey}");
            // It stays so, whatever else is written of it.
            assert_eq!(read(&old, true), old);
        }
    }
}
