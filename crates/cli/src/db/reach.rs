//! The way to the database: by the operator's listener of the server that has the file open, or to the file itself.

use std::{fmt, sync::Arc};

use anyhow::Context as _;
use bson::{Document, RawDocumentBuf};
use database::{
    CollectionStatus, Database, DatabaseError, IndexSpec, WrittenIndex,
    exchange::{self, ConflictMode, DocumentPages, FileDocument, ImportReport, RefusedDocument},
};
use ejson::Style;
use project::Project;
use reqwest::{Method, RequestBuilder, Response, header::ACCEPT};
use serde_json::{Value, json};

use crate::{
    args,
    data::{self, Keeping, UnmadeIndex},
    lang::{self, say},
    operator::{self, Operator, Way},
    run_file,
};

/// Documents as they are, between the two.
const BSON: &str = "application/bson";
/// Where the listener has it.
const DATABASE: &str = "/operator/database";
/// The reply's header that says where the next page begins, and the query that asks for it.
const NEXT: &str = "x-yunqiao-next";

/// A project's database.
pub(crate) enum Reach {
    /// Opened here.
    Here(Arc<dyn Database>),
    /// Behind the operator's listener of a server that runs.
    There(DatabaseDoors),
}

/// Indexes of `yunqiao.toml` that the documents did not admit when the database was opened.
pub(crate) struct UnmadeIndexes {
    project: Project,
    indexes: Vec<UnmadeIndex>,
}

/// What went wrong, as an error that can be handed on.
#[derive(Debug)]
pub(crate) struct Failed(anyhow::Error);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&lang::error(&self.0))
    }
}

impl std::error::Error for Failed {}

impl Reach {
    /// Goes to the database to write to it, and makes it where there is none yet, with the indexes of `yunqiao.toml`.
    pub(crate) async fn open(place: &args::Place) -> anyhow::Result<(Self, UnmadeIndexes)> {
        let (project, keeping) = operator::data_of(place)?;
        let (reach, indexes) = Self::go(&project, keeping, true).await?;
        if let Self::There(_) = reach {
            run_file::warn_if_fresh(&project.root);
        }
        Ok((reach, UnmadeIndexes { project, indexes }))
    }

    /// Goes to the database of a project; what is `for_writing` has the collections and indexes of `yunqiao.toml` first.
    pub(crate) async fn of(project: &Project, keeping: Keeping, for_writing: bool) -> anyhow::Result<Self> {
        Ok(Self::go(project, keeping, for_writing).await?.0)
    }

    /// The same, with what could not be made of the indexes.
    async fn go(
        project: &Project,
        keeping: Keeping,
        for_writing: bool,
    ) -> anyhow::Result<(Self, Vec<UnmadeIndex>)> {
        let alone = async || data::alone(project, keeping, for_writing).await;
        Ok(match operator::way(project, keeping, DATABASE, alone).await? {
            Way::Here((database, unmade)) => (Self::Here(database), unmade),
            Way::There(operator) => (Self::There(DatabaseDoors(operator)), Vec::new()),
        })
    }

    /// Goes to the database; `None` where there is none yet.
    pub(crate) async fn existing(place: &args::Place) -> anyhow::Result<Option<Self>> {
        let (project, keeping) = operator::data_of(place)?;
        let runs =
            keeping == Keeping::InProject && operator::running(&project, keeping, DATABASE).await?.is_some();
        if !runs && !data::is_there(&project, keeping) {
            return Ok(None);
        }
        Self::of(&project, keeping, false).await.map(Some)
    }

    pub(crate) async fn collections(&self) -> anyhow::Result<Vec<CollectionStatus>> {
        match self {
            Self::Here(database) => Ok(database.collections().await?),
            Self::There(operator) => operator.collections().await,
        }
    }

    /// Makes a collection where it is missing.
    async fn make_collection(&self, name: &str) -> anyhow::Result<()> {
        match self {
            Self::Here(database) => match database.create_collection(name).await {
                Ok(()) | Err(DatabaseError::CollectionExists(_)) => Ok(()),
                Err(error) => Err(error.into()),
            },
            // The server makes it where it is missing.
            Self::There(_) => Ok(()),
        }
    }

    /// Removes a collection with its documents and indexes.
    pub(crate) async fn drop_collection(&self, name: &str) -> anyhow::Result<()> {
        match self {
            Self::Here(database) => Ok(database.drop_collection(name).await.map(drop)?),
            Self::There(operator) => {
                let request = operator.ask(Method::DELETE, "", &[("collection", name)]);
                operator.answer(request).await.map(drop)
            }
        }
    }

    /// Makes a collection, and puts these documents into it as they are: a dot in a name is a dot.
    pub(crate) async fn fill(
        &self,
        collection: &str,
        documents: Vec<FileDocument>,
    ) -> anyhow::Result<ImportReport> {
        match self {
            Self::Here(_) if documents.is_empty() => {
                self.make_collection(collection).await?;
                Ok(ImportReport::default())
            }
            Self::Here(database) => {
                self.make_collection(collection).await?;
                Ok(exchange::put(&**database, collection, documents, ConflictMode::Insert).await?)
            }
            Self::There(operator) => operator.put(collection, &documents, ConflictMode::Insert).await,
        }
    }

    /// Puts documents into a collection, which is made where it is missing.
    pub(crate) async fn put(
        &self,
        collection: &str,
        documents: Vec<FileDocument>,
        conflict: ConflictMode,
    ) -> Result<ImportReport, Failed> {
        match self {
            Self::Here(database) => {
                self.make_collection(collection).await.map_err(Failed)?;
                exchange::put(&**database, collection, documents, conflict)
                    .await
                    .map_err(|error| Failed(error.into()))
            }
            Self::There(operator) => operator
                .put(collection, &documents, conflict)
                .await
                .map_err(Failed),
        }
    }

    /// Makes the indexes that the documents did not admit when it was opened, behind documents that were put in, and says which of them
    /// there are still not. A server that runs said it at its start.
    pub(super) async fn furnish_again(&self, unmade: &UnmadeIndexes) -> anyhow::Result<()> {
        match self {
            Self::Here(database) => {
                let settings = &unmade.project.settings.database;
                data::furnish_again(&**database, settings, &unmade.indexes).await
            }
            Self::There(_) => Ok(()),
        }
    }

    /// The documents that match, a page at a time.
    pub(crate) fn pages(&self, filter: Document) -> PagesThrough<'_> {
        match self {
            Self::Here(database) => PagesThrough::Here(&**database, DocumentPages::new(filter)),
            Self::There(operator) => PagesThrough::There {
                operator,
                filter: ejson::to_text(&filter, Style::Canonical),
                from: None,
                ended: false,
            },
        }
    }

    pub(crate) async fn create_index(&self, collection: &str, spec: IndexSpec) -> anyhow::Result<()> {
        match self {
            Self::Here(database) => Ok(database.create_index(collection, spec).await?),
            Self::There(operator) => {
                let WrittenIndex { fields, sphere } = spec.written();
                let body = json!({
                    "fields": fields,
                    "unique": spec.unique,
                    "sparse": spec.sparse,
                    "kind": sphere.then_some("2dsphere"),
                });
                let request = operator.ask(Method::POST, "/index", &[("collection", collection)]);
                operator.answer(request.json(&body)).await.map(drop)
            }
        }
    }

    pub(crate) async fn drop_index(&self, collection: &str, name: &str) -> anyhow::Result<()> {
        match self {
            Self::Here(database) => Ok(database.drop_index(collection, name).await.map(drop)?),
            Self::There(operator) => {
                let query = [("collection", collection), ("name", name)];
                let request = operator.ask(Method::DELETE, "/index", &query);
                operator.answer(request).await.map(drop)
            }
        }
    }
}

/// Pages of an export.
pub(crate) enum PagesThrough<'a> {
    Here(&'a dyn Database, DocumentPages),
    There {
        operator: &'a DatabaseDoors,
        filter: String,
        from: Option<String>,
        ended: bool,
    },
}

impl PagesThrough<'_> {
    pub(crate) async fn next(&mut self, collection: &str) -> anyhow::Result<Option<Vec<RawDocumentBuf>>> {
        match self {
            Self::Here(database, pages) => Ok(pages.next(*database, collection).await?),
            Self::There { ended: true, .. } => Ok(None),
            Self::There {
                operator,
                filter,
                from,
                ended,
            } => {
                let mut query = vec![("collection", collection), ("where", filter.as_str())];
                if let Some(from) = from {
                    query.push(("from", from.as_str()));
                }
                let request = operator.ask(Method::GET, "/export", &query).header(ACCEPT, BSON);
                let reply = operator.send(request).await?;
                let next = reply.headers().get(NEXT).and_then(|next| next.to_str().ok());
                let next = next.map(|next| {
                    form_urlencoded::parse(next.as_bytes())
                        .map(|(text, _)| text)
                        .collect()
                });
                let broken = || say!("the answer broke off", "应答中断");
                let bytes = reply.bytes().await.with_context(broken)?;
                let page = exchange::bson_documents(&bytes).with_context(broken)?;
                match next {
                    None => *ended = true,
                    Some(next) => *from = Some(next),
                }
                Ok((!*ended || !page.is_empty()).then_some(page))
            }
        }
    }
}

/// The database's doors at the operator's listener.
pub(crate) struct DatabaseDoors(Operator);

impl DatabaseDoors {
    fn ask(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        self.0.ask(method, &format!("{DATABASE}{path}"), query)
    }

    async fn send(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        self.0.send(request).await
    }

    async fn answer(&self, request: RequestBuilder) -> anyhow::Result<Value> {
        self.0.answer(request).await
    }

    async fn collections(&self) -> anyhow::Result<Vec<CollectionStatus>> {
        let answer = self.answer(self.ask(Method::GET, "", &[])).await?;
        let listed = answer["collections"].as_array().into_iter().flatten();
        Ok(listed.map(collection_of).collect())
    }

    async fn put(
        &self,
        collection: &str,
        documents: &[FileDocument],
        conflict: ConflictMode,
    ) -> anyhow::Result<ImportReport> {
        let mut lines = Vec::new();
        for read in documents {
            ejson::write_document(&mut lines, &read.document, Style::Canonical);
            lines.push(b'\n');
        }
        let conflict = match conflict {
            ConflictMode::Insert => "insert",
            ConflictMode::Upsert => "upsert",
        };
        // What a name with a dot in it is, was decided where they were read.
        let query = [
            ("collection", collection),
            ("conflict", conflict),
            ("names", "plain"),
        ];
        let request = self.ask(Method::POST, "/import", &query);
        let request = request.body(lines);
        let answer = self.answer(request).await?;
        let number = |name: &str| answer[name].as_u64().unwrap_or_default();
        let told = answer["told"].as_array().into_iter().flatten().map(|told| {
            // Each document was sent on one line.
            let line = told["line"].as_u64().and_then(|line| usize::try_from(line).ok());
            let read = line.and_then(|line| documents.get(line.checked_sub(1)?));
            RefusedDocument {
                line: read.map_or(0, |read| read.line),
                text: told["text"].as_str().unwrap_or_default().to_owned(),
            }
        });
        Ok(ImportReport {
            added: number("added"),
            replaced: number("replaced"),
            refused: number("refused"),
            id_taken: number("idTaken"),
            with_paths: 0,
            told: told.collect(),
        })
    }
}

/// A collection as the operator's listener tells of it, and `--json` too.
pub(crate) fn collection_json(status: &CollectionStatus) -> Value {
    let indexes: Vec<Value> = status
        .indexes
        .iter()
        .map(|spec| {
            let WrittenIndex { fields, sphere } = spec.written();
            let mut index = json!({
                "name": spec.name,
                "fields": fields,
                "unique": spec.unique,
                "sparse": spec.sparse,
            });
            if sphere {
                index["kind"] = "2dsphere".into();
            }
            index
        })
        .collect();
    json!({ "name": status.name, "documents": status.documents, "indexes": indexes })
}

/// What [`collection_json`] tells of.
pub(crate) fn collection_of(listed: &Value) -> CollectionStatus {
    let indexes = listed["indexes"].as_array().into_iter().flatten();
    CollectionStatus {
        name: listed["name"].as_str().unwrap_or_default().to_owned(),
        documents: listed["documents"].as_u64().unwrap_or_default(),
        indexes: indexes.filter_map(|index| index_of(index).ok()).collect(),
    }
}

/// An index of those; one without a name is called by its fields.
///
/// # Errors
/// It cannot be.
pub(crate) fn index_of(listed: &Value) -> anyhow::Result<IndexSpec> {
    let fields = listed["fields"].as_array();
    let fields: Option<Vec<&str>> = fields.and_then(|fields| fields.iter().map(Value::as_str).collect());
    let fields = fields.with_context(|| say!("`fields` is no list of names", "`fields` 不是字段名的数组"))?;
    let spec = IndexSpec::of_fields(&fields, listed["kind"] == "2dsphere")?;
    Ok(IndexSpec {
        name: listed["name"].as_str().map_or(spec.name, str::to_owned),
        unique: listed["unique"] == true,
        sparse: listed["sparse"] == true,
        fields: spec.fields,
    })
}
