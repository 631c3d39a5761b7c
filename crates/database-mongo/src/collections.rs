//! Collections and their indexes. MongoDB makes a collection when something is written to it; the platform does not, and so
//! whether there is one is asked before an operation, and remembered for a while.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bson::{Bson, doc};
use database::{CollectionStatus, DatabaseError, ID_INDEX, IndexField, IndexKind, IndexSpec, Result};
use docdb::error::code;
use futures_util::TryStreamExt as _;
use mongodb::{IndexModel, options::IndexOptions, results::CollectionType};

use crate::{Inner, error};

/// How long it counts that there is a collection. Within this time one that another process drops may be made anew by a write.
const REMEMBERED: Duration = Duration::from_secs(5);
/// `IndexNotFound`, and what `_id_` gets.
const NO_SUCH_INDEX: [i32; 2] = [code::INDEX_NOT_FOUND, code::INVALID_OPTIONS];

/// The collections that were there a moment ago.
#[derive(Debug, Default)]
pub(crate) struct KnownCollections(Mutex<HashMap<String, Instant>>);

impl KnownCollections {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, name: &str, now: Instant) -> bool {
        self.all()
            .get(name)
            .is_some_and(|at| now.saturating_duration_since(*at) < REMEMBERED)
    }

    fn add(&self, name: &str, now: Instant) {
        let mut all = self.all();
        all.retain(|_, at| now.saturating_duration_since(*at) < REMEMBERED);
        all.insert(name.to_owned(), now);
    }

    fn remove(&self, name: &str) {
        self.all().remove(name);
    }
}

impl Inner {
    /// # Errors
    /// Where there is no such collection.
    pub(crate) async fn must_have(&self, name: &str) -> Result<()> {
        if self.known.has(name, Instant::now()) || self.has(name).await? {
            return Ok(());
        }
        Err(DatabaseError::CollectionMissing(name.to_owned()))
    }

    async fn has(&self, name: &str) -> Result<bool> {
        let names = self
            .database
            .list_collection_names()
            .filter(doc! { "name": name })
            .await;
        let has = !names.map_err(|error| self.failures.of(error))?.is_empty();
        match has {
            true => self.known.add(name, Instant::now()),
            false => self.known.remove(name),
        }
        Ok(has)
    }

    pub(crate) async fn create_collection(&self, name: &str) -> Result<()> {
        // A server may answer that all is well when the same collection is made again.
        if self.has(name).await? {
            return Err(DatabaseError::CollectionExists(name.to_owned()));
        }
        docdb::collection::check_name(name)?;
        let created = self.database.create_collection(name).await;
        created.map_err(|error| match self.failures.of(error) {
            DatabaseError::CollectionExists(_) => DatabaseError::CollectionExists(name.to_owned()),
            error => error,
        })?;
        self.known.add(name, Instant::now());
        Ok(())
    }

    pub(crate) async fn drop_collection(&self, name: &str) -> Result<bool> {
        let had = self.has(name).await?;
        self.known.remove(name);
        if had {
            self.collection(name)
                .drop()
                .await
                .map_err(|error| self.failures.of(error))?;
        }
        Ok(had)
    }

    pub(crate) async fn list_collections(&self) -> Result<Vec<CollectionStatus>> {
        let failed = |error| self.failures.of(error);
        let listed = self.database.list_collections().await.map_err(failed)?;
        let mut out = Vec::new();
        for listed in listed.try_collect::<Vec<_>>().await.map_err(failed)? {
            let name = listed.name;
            if listed.collection_type != CollectionType::Collection || name.starts_with("system.") {
                continue;
            }
            let collection = self.collection(&name);
            let documents = collection.estimated_document_count().await.map_err(failed)?;
            let indexes = match collection.list_indexes().await {
                Ok(indexes) => indexes.try_collect::<Vec<_>>().await.map_err(failed)?,
                // It was dropped in this moment.
                Err(error) if error::code(&error) == Some(code::NAMESPACE_NOT_FOUND) => continue,
                Err(error) => return Err(failed(error)),
            };
            out.push(CollectionStatus {
                name,
                documents,
                indexes: indexes.into_iter().filter_map(spec).collect(),
            });
        }
        out.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(out)
    }

    pub(crate) async fn create_index(&self, collection: &str, index: IndexSpec) -> Result<()> {
        self.must_have(collection).await?;
        if index.is_of_id() {
            return Ok(());
        }
        index.check().map_err(docdb::Error::from)?;
        let options = IndexOptions::builder()
            .name(index.name.clone())
            .unique(index.unique.then_some(true))
            .sparse(index.sparse.then_some(true))
            .build();
        let model = IndexModel::builder()
            .keys(index.pattern())
            .options(options)
            .build();
        let made = self.collection(collection).create_index(model).await;
        made.map(drop).map_err(|error| self.failures.of(error))
    }

    pub(crate) async fn drop_index(&self, collection: &str, name: &str) -> Result<bool> {
        self.must_have(collection).await?;
        if name == ID_INDEX {
            return Ok(false);
        }
        match self.collection(collection).drop_index(name).await {
            Ok(()) => Ok(true),
            Err(error) if error::code(&error).is_some_and(|code| NO_SUCH_INDEX.contains(&code)) => Ok(false),
            Err(error) => Err(self.failures.of(error)),
        }
    }
}

/// An index as this project knows indexes; `None` for that of `_id`, and for kinds that it has no name for.
fn spec(model: IndexModel) -> Option<IndexSpec> {
    let options = model.options.unwrap_or_default();
    let name = options.name?;
    if name == ID_INDEX {
        return None;
    }
    let fields = model
        .keys
        .into_iter()
        .map(|(path, kind)| {
            let kind = match kind {
                Bson::String(kind) if kind == "2dsphere" => IndexKind::Sphere,
                Bson::Int32(n) => direction(n >= 0),
                Bson::Int64(n) => direction(n >= 0),
                Bson::Double(n) => direction(n >= 0.0),
                _ => return None,
            };
            Some(IndexField { path, kind })
        })
        .collect::<Option<Vec<_>>>()?;
    Some(IndexSpec {
        name,
        fields,
        unique: options.unique.unwrap_or(false),
        sparse: options.sparse.unwrap_or(false),
    })
}

const fn direction(ascending: bool) -> IndexKind {
    if ascending {
        IndexKind::Ascending
    } else {
        IndexKind::Descending
    }
}

#[cfg(test)]
mod tests {
    use bson::Document;

    use super::*;

    #[test]
    fn a_collection_is_remembered_for_a_while() {
        let known = KnownCollections::default();
        let now = Instant::now();
        known.add("c", now);
        assert!(known.has("c", now) && !known.has("d", now));
        assert!(!known.has("c", now + REMEMBERED));
        known.remove("c");
        assert!(!known.has("c", now));
    }

    #[test]
    fn indexes_of_other_kinds_are_left_out() {
        let model = |keys: Document, name: &str| {
            let options = IndexOptions::builder().name(name.to_owned()).build();
            spec(IndexModel::builder().keys(keys).options(options).build())
        };
        assert!(model(doc! { "_id": 1 }, "_id_").is_none());
        assert!(model(doc! { "t": "text" }, "t_text").is_none());
        let kept = model(doc! { "a": -1.0, "b": 1_i64, "c": "2dsphere" }, "x");
        let kinds: Option<Vec<_>> =
            kept.map(|spec| spec.fields.into_iter().map(|field| field.kind).collect());
        let expected = vec![IndexKind::Descending, IndexKind::Ascending, IndexKind::Sphere];
        assert_eq!(kinds, Some(expected));
    }
}
