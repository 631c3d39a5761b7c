//! Commands about what there is: databases, collections, indexes, and how large they are.

use bson::{Bson, Document, RawDocumentBuf, doc};
use database::{CollectionStatus, DatabaseError, Find, ID_INDEX, IndexField, IndexKind, IndexSpec};
use docdb::{Context, expr::Variables, order::Number, query::Filter};

use crate::{
    command::{Command, Fields, Namespace},
    cursor::{self, Batch, Cursor},
    failure::{Failure, Result, code},
    front::{Inner, Space, done, raw},
    read::{there, whole_number},
};

/// Documents by which the size of a collection is estimated.
const SAMPLE: u64 = 100;

impl Inner {
    pub(crate) async fn create(&self, mut command: Command) -> Result<RawDocumentBuf> {
        let namespace = command.collection()?;
        let fields = &mut command.fields;
        fields.not_served(&[
            "capped",
            "changeStreamPreAndPostImages",
            "clusteredIndex",
            "collation",
            "encryptedFields",
            "expireAfterSeconds",
            "pipeline",
            "timeseries",
            "validator",
            "viewOn",
        ])?;
        fields.pass_over(&[
            "autoIndexId",
            "flags",
            "idIndex",
            "indexOptionDefaults",
            "max",
            "size",
            "storageEngine",
            "temp",
            "validationAction",
            "validationLevel",
        ]);
        fields.finish()?;
        self.writable(&namespace)?;
        let created = self.database.create_collection(&namespace.collection).await;
        self.engine(&namespace.database, created)?;
        done()
    }

    pub(crate) async fn drop_collection(&self, mut command: Command) -> Result<RawDocumentBuf> {
        let namespace = command.collection()?;
        command.fields.finish()?;
        self.writable(&namespace)?;
        let dropped = self.database.drop_collection(&namespace.collection).await;
        if self.engine(&namespace.database, dropped)? {
            return raw(&doc! { "nIndexesWas": 1, "ns": namespace.full(), "ok": 1.0 });
        }
        // As MongoDB since 7.0: what is to be gone is gone.
        done()
    }

    pub(crate) async fn drop_database(&self, mut command: Command) -> Result<RawDocumentBuf> {
        command.skip_name();
        command.fields.finish()?;
        if self.space(&command.database)? == Space::Ours {
            for collection in self.statuses(&command.database).await? {
                let dropped = self.database.drop_collection(&collection.name).await;
                self.engine(&command.database, dropped)?;
            }
        }
        raw(&doc! { "dropped": command.database, "ok": 1.0 })
    }

    pub(crate) async fn create_indexes(&self, mut command: Command) -> Result<RawDocumentBuf> {
        let namespace = command.collection()?;
        let specs = command.fields.needed_documents("indexes")?;
        command.fields.pass_over(&["commitQuorum"]);
        command.fields.finish()?;
        let specs = specs.into_iter().map(read_spec).collect::<Result<Vec<_>>>()?;
        if specs.is_empty() {
            return Err(Failure::bad_value("Must specify at least one index to create"));
        }
        self.writable(&namespace)?;
        let existing = self.indexes(&namespace).await?;
        if existing.is_none() {
            let created = self.database.create_collection(&namespace.collection).await;
            created.or_else(there)?;
        }
        let made = existing.is_none();
        let mut known = existing.unwrap_or_default();
        let before = known.len() + 1;
        for spec in specs {
            // The one of `_id` is there.
            let Some(spec) = spec else { continue };
            is_no_other_by_name(&known, &spec)?;
            let created = self
                .database
                .create_index(&namespace.collection, spec.clone())
                .await;
            self.engine(&namespace.database, created)?;
            known.push(spec);
        }
        let after = self.indexes(&namespace).await?.unwrap_or_default().len() + 1;
        let mut answer = doc! {
            "numIndexesBefore": whole_number(before as u64),
            "numIndexesAfter": whole_number(after as u64),
            "createdCollectionAutomatically": made,
        };
        if before == after {
            answer.insert("note", "all indexes already exist");
        }
        answer.insert("ok", 1.0);
        raw(&answer)
    }

    pub(crate) async fn drop_indexes(&self, mut command: Command) -> Result<RawDocumentBuf> {
        let namespace = command.collection()?;
        let which = command.fields.value("index").unwrap_or(Bson::Null);
        command.fields.finish()?;
        self.writable(&namespace)?;
        let Some(indexes) = self.indexes(&namespace).await? else {
            return Err(Failure::of(
                DatabaseError::CollectionMissing(namespace.collection.clone()),
                &namespace.database,
            ));
        };
        let all = which.as_str() == Some("*");
        let named = match which {
            Bson::Array(names) => names,
            other => vec![other],
        };
        let mut names = Vec::new();
        for index in named {
            let found: Vec<&IndexSpec> = indexes
                .iter()
                .filter(|spec| match &index {
                    Bson::String(name) => all || spec.name == *name,
                    Bson::Document(pattern) => {
                        docdb::order::equal(&spec.pattern().into(), &pattern.clone().into())
                    }
                    _ => false,
                })
                .collect();
            if matches!(&index, Bson::String(name) if name == ID_INDEX) {
                return Err(Failure::new(code::INVALID_OPTIONS, "cannot drop _id index"));
            }
            if found.is_empty() && !all {
                return Err(Failure::new(
                    code::INDEX_NOT_FOUND,
                    format!("index not found with name [{}]", index.as_str().unwrap_or("?")),
                ));
            }
            names.extend(found.into_iter().map(|spec| spec.name.clone()));
        }
        for name in names {
            let dropped = self.database.drop_index(&namespace.collection, &name).await;
            self.engine(&namespace.database, dropped)?;
        }
        raw(&doc! { "nIndexesWas": whole_number(indexes.len() as u64 + 1), "ok": 1.0 })
    }

    pub(crate) async fn list_indexes(&self, mut command: Command) -> Result<RawDocumentBuf> {
        let namespace = command.collection()?;
        command
            .fields
            .pass_over(&["cursor", "includeBuildUUIDs", "includeIndexBuildInfo"]);
        command.fields.finish()?;
        let Some(indexes) = self.indexes(&namespace).await? else {
            return Err(Failure::of(
                DatabaseError::CollectionMissing(namespace.collection.clone()),
                &namespace.database,
            ));
        };
        let shown = std::iter::once(id_index())
            .chain(indexes.iter().map(show_spec))
            .collect();
        self.listed(
            &command.database,
            &format!("$cmd.listIndexes.{}", namespace.collection),
            shown,
        )
        .await
    }

    pub(crate) async fn list_collections(&self, mut command: Command) -> Result<RawDocumentBuf> {
        command.skip_name();
        let fields = &mut command.fields;
        let filter = Filter::parse(&fields.document("filter")?.unwrap_or_default())?;
        let names_only = fields.boolean("nameOnly")?.unwrap_or(false);
        fields.pass_over(&["cursor", "authorizedCollections"]);
        fields.finish()?;
        let mut statuses = match self.space(&command.database)? {
            Space::Ours => self.statuses(&command.database).await?,
            Space::System => Vec::new(),
        };
        statuses.sort_by(|left, right| left.name.cmp(&right.name));
        let context = Context::new(bson::DateTime::now(), 0);
        let mut shown = Vec::new();
        for status in statuses {
            let mut document = doc! { "name": status.name, "type": "collection" };
            if !names_only {
                document.extend(doc! { "options": {}, "info": { "readOnly": false }, "idIndex": id_index() });
            }
            if filter.matches(&document, &Variables::none(), &context)? {
                shown.push(document);
            }
        }
        self.listed(&command.database, "$cmd.listCollections", shown)
            .await
    }

    /// A list as the one batch of a cursor.
    async fn listed(&self, database: &str, name: &str, shown: Vec<Document>) -> Result<RawDocumentBuf> {
        let namespace = Namespace {
            database: database.to_owned(),
            collection: name.to_owned(),
        };
        let documents = shown.iter().map(raw).collect::<Result<_>>()?;
        let mut open = Cursor::of(namespace.clone(), documents);
        let batch = open.batch(&*self.database, None, None).await?;
        let id = self.cursors.keep(open, None);
        Ok(cursor::answer(Batch::First, batch, id, &namespace.full()))
    }

    pub(crate) async fn list_databases(&self, mut command: Command) -> Result<RawDocumentBuf> {
        command.skip_name();
        let fields = &mut command.fields;
        let filter = Filter::parse(&fields.document("filter")?.unwrap_or_default())?;
        let names_only = fields.boolean("nameOnly")?.unwrap_or(false);
        fields.pass_over(&["authorizedDatabases"]);
        fields.finish()?;
        let mut document = doc! { "name": &self.name };
        let mut size = 0;
        if !names_only {
            for status in self.statuses(&self.name).await? {
                size += self.estimated(&status).await?.0;
            }
            document.extend(doc! { "sizeOnDisk": count(size), "empty": size == 0 });
        }
        let context = Context::new(bson::DateTime::now(), 0);
        let shown = filter.matches(&document, &Variables::none(), &context)?;
        let shown: Vec<Bson> = shown.then(|| document.into()).into_iter().collect();
        let mut answer = doc! { "databases": shown };
        if !names_only {
            answer.extend(doc! { "totalSize": count(size), "totalSizeMb": count(size >> 20) });
        }
        answer.insert("ok", 1.0);
        raw(&answer)
    }

    pub(crate) async fn collection_statistics(&self, mut command: Command) -> Result<RawDocumentBuf> {
        let namespace = command.collection()?;
        command.fields.pass_over(&["scale", "freeStorage"]);
        command.fields.finish()?;
        let mut answer = doc! { "ns": namespace.full() };
        answer.extend(self.sizes(&namespace).await?);
        answer.insert("ok", 1.0);
        raw(&answer)
    }

    /// The document of `$collStats`.
    pub(crate) async fn statistics_stage(&self, namespace: &Namespace) -> Result<Document> {
        let sizes = self.sizes(namespace).await?;
        Ok(doc! {
            "ns": namespace.full(),
            "localTime": bson::DateTime::now(),
            "count": sizes.get("count").cloned().unwrap_or(Bson::Int32(0)),
            "storageStats": sizes,
        })
    }

    /// The documents of `$indexStats`; how often each was used is not counted.
    pub(crate) async fn index_statistics(&self, namespace: &Namespace) -> Result<Vec<Document>> {
        let indexes = self.indexes(namespace).await?.unwrap_or_default();
        let all = std::iter::once(id_index()).chain(indexes.iter().map(show_spec));
        Ok(all
            .map(|spec| {
                let (name, key) = (spec.get("name").cloned(), spec.get("key").cloned());
                doc! { "name": name, "key": key, "accesses": { "ops": 0i64, "since": bson::DateTime::now() }, "spec": spec }
            })
            .collect())
    }

    pub(crate) async fn database_statistics(&self, mut command: Command) -> Result<RawDocumentBuf> {
        command.skip_name();
        command.fields.pass_over(&["scale", "freeStorage"]);
        command.fields.finish()?;
        let statuses = match self.space(&command.database)? {
            Space::Ours => self.statuses(&command.database).await?,
            Space::System => Vec::new(),
        };
        let (mut documents, mut size, mut indexes) = (0, 0, 0);
        for status in &statuses {
            documents += status.documents;
            size += self.estimated(status).await?.0;
            indexes += status.indexes.len() as u64 + 1;
        }
        raw(&doc! {
            "db": command.database,
            "collections": whole_number(statuses.len() as u64),
            "views": 0,
            "objects": whole_number(documents),
            "avgObjSize": if documents == 0 { 0.0 } else { size as f64 / documents as f64 },
            "dataSize": count(size),
            "storageSize": count(size),
            "indexes": whole_number(indexes),
            "indexSize": 0i64,
            "totalSize": count(size),
            "scaleFactor": 1,
            "ok": 1.0,
        })
    }

    /// How large a collection is; one that does not exist is empty.
    async fn sizes(&self, namespace: &Namespace) -> Result<Document> {
        let status = match self.is_ours(namespace)? {
            true => self.statuses(&namespace.database).await?,
            false => Vec::new(),
        };
        let status = status
            .into_iter()
            .find(|status| status.name == namespace.collection);
        let (size, average) = match &status {
            Some(status) => self.estimated(status).await?,
            None => (0, 0),
        };
        let indexes = status.as_ref().map_or(&[][..], |status| &status.indexes);
        let names = indexes.iter().map(|index| index.name.clone());
        let sizes: Document = std::iter::once(ID_INDEX.to_owned())
            .chain(names)
            .map(|name| (name, Bson::Int64(0)))
            .collect();
        Ok(doc! {
            "size": count(size),
            "count": whole_number(status.as_ref().map_or(0, |status| status.documents)),
            "avgObjSize": count(average),
            "storageSize": count(size),
            "nindexes": whole_number(indexes.len() as u64 + 1),
            "totalIndexSize": 0i64,
            "totalSize": count(size),
            "indexSizes": sizes,
            "capped": false,
            "scaleFactor": 1,
        })
    }

    /// The bytes of a collection's documents, and of one, by some of them.
    async fn estimated(&self, status: &CollectionStatus) -> Result<(u64, u64)> {
        let find = Find {
            limit: Some(SAMPLE),
            ..Find::default()
        };
        let sample = match self.database.find(&status.name, find, None).await {
            Ok(found) => found.documents,
            Err(_) => Vec::new(),
        };
        let bytes: u64 = sample
            .iter()
            .map(|document| document.as_bytes().len() as u64)
            .sum();
        let average = bytes.checked_div(sample.len() as u64).unwrap_or(0);
        Ok((average * status.documents, average))
    }

    pub(crate) async fn statuses(&self, database: &str) -> Result<Vec<CollectionStatus>> {
        let statuses = self.database.collections().await;
        self.engine(database, statuses)
    }

    /// The indexes of a collection without that of `_id`; `None` where it does not exist.
    async fn indexes(&self, namespace: &Namespace) -> Result<Option<Vec<IndexSpec>>> {
        if !self.is_ours(namespace)? {
            return Ok(None);
        }
        let statuses = self.statuses(&namespace.database).await?;
        let status = statuses
            .into_iter()
            .find(|status| status.name == namespace.collection);
        Ok(status.map(|status| status.indexes))
    }
}

/// Refuses a second index over the same fields with the same options, as MongoDB does; the engine has both, as the platform has.
fn is_no_other_by_name(known: &[IndexSpec], new: &IndexSpec) -> Result<()> {
    let same = known.iter().find(|known| {
        let named_as_new = IndexSpec {
            name: new.name.clone(),
            ..(*known).clone()
        };
        known.name != new.name && named_as_new == *new
    });
    match same {
        Some(same) => Err(Failure::new(
            code::INDEX_OPTIONS_CONFLICT,
            format!("Index already exists with a different name: {}", same.name),
        )),
        None => Ok(()),
    }
}

fn count(bytes: u64) -> Bson {
    Bson::Int64(i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn id_index() -> Document {
    doc! { "v": 2, "key": { "_id": 1 }, "name": ID_INDEX }
}

fn show_spec(spec: &IndexSpec) -> Document {
    let mut shown = doc! { "v": 2, "key": spec.pattern(), "name": &spec.name };
    if spec.unique {
        shown.insert("unique", true);
    }
    if spec.sparse {
        shown.insert("sparse", true);
    }
    if spec.has_place() {
        shown.insert("2dsphereIndexVersion", 3);
    }
    shown
}

/// An index to be made; `None` for that of `_id`.
fn read_spec(document: Document) -> Result<Option<IndexSpec>> {
    let mut fields = Fields::new("createIndexes.indexes", document);
    let key = fields.needed_document("key")?;
    let name = fields.text("name")?;
    if name.as_deref() == Some("") {
        return Err(Failure::new(
            code::CANNOT_CREATE_INDEX,
            "index name cannot be empty",
        ));
    }
    let unique = fields.boolean("unique")?.unwrap_or(false);
    let sparse = fields.boolean("sparse")?.unwrap_or(false);
    fields.not_served(&[
        "clustered",
        "collation",
        "expireAfterSeconds",
        "hidden",
        "partialFilterExpression",
        "prepareUnique",
        "weights",
        "wildcardProjection",
    ])?;
    fields.pass_over(&[
        "2dsphereIndexVersion",
        "background",
        "bits",
        "max",
        "min",
        "ns",
        "storageEngine",
        "v",
    ]);
    fields.finish()?;
    if key.is_empty() {
        return Err(Failure::new(
            code::CANNOT_CREATE_INDEX,
            "Index keys cannot be empty.",
        ));
    }
    let index_fields = key
        .iter()
        .map(|(path, kind)| {
            let kind = match kind {
                Bson::String(kind) if kind == "2dsphere" => IndexKind::Sphere,
                Bson::String(other) => {
                    return Err(Failure::new(
                        code::CANNOT_CREATE_INDEX,
                        format!("an index of kind '{other}' is not served by this database: 1, -1 and \"2dsphere\" are"),
                    ));
                }
                number => match Number::of(number).and_then(Number::to_i64_exact) {
                    Some(1..) => IndexKind::Ascending,
                    Some(..=-1) => IndexKind::Descending,
                    _ => {
                        return Err(Failure::new(
                            code::CANNOT_CREATE_INDEX,
                            "Values in the index key pattern must be 1, -1 or \"2dsphere\"",
                        ));
                    }
                },
            };
            Ok(IndexField {
                path: path.clone(),
                kind,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let spec = IndexSpec::over(index_fields);
    spec.check().map_err(docdb::Error::from)?;
    if spec.is_of_id() {
        return match spec.fields.as_slice() {
            [only] if only.kind == IndexKind::Ascending => Ok(None),
            _ => Err(Failure::bad_value(
                "The field 'key' for an _id index must be {_id: 1}, but got {_id: -1}",
            )),
        };
    }
    Ok(Some(IndexSpec {
        name: name.unwrap_or_else(|| spec.name.clone()),
        unique,
        sparse,
        ..spec
    }))
}
