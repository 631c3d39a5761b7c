//! The operator's way to documents: `yunqiao db` uses it beside a running server, and a program in any language can.
//!
//! * `GET /operator/database` lists collections and their indexes.
//! * `POST /operator/database/import?collection=NAME` takes documents as JSON, one after another or in an array, or as CSV with that
//!   content type (and the secret, not the pass), and makes the collection where it is missing. `&conflict=upsert` has them take the
//!   place of those with their `_id`. With `&names=plain` a dot in a name is a dot; without it `a.b` is `b` in `a`.
//! * `GET /operator/database/export?collection=NAME` gives documents in the order of their `_id`, as canonical Extended JSON, one on
//!   each line, or, where `accept` is `application/bson`, as BSON, one behind the other: JSON of an object that looks like Extended
//!   JSON would be read as something else. `&where=` names which. The reply's header `x-yunqiao-next` is the `from` of the next page; without it there are
//!   no more.
//! * `DELETE /operator/database?collection=NAME` removes a collection with its documents and indexes.
//! * `POST /operator/database/index?collection=NAME` takes `{"fields":["status","-createTime"],"unique"?,"sparse"?,"kind"?}`, and
//!   `DELETE …/index?collection=NAME&name=status_1_createTime_-1` removes one.

use bson::Document;
use bytes::Bytes;
use database::{
    BadIndex, Database, DatabaseError, IndexSpec, WrittenIndex,
    exchange::{
        self, ConflictMode, DocumentPages, DocumentReader, DocumentWriter, FileDocument, FileFormat,
        FileLayout,
    },
};
use ejson::Style;
use http::{
    HeaderValue, Method, StatusCode,
    header::{ACCEPT, CONTENT_TYPE, HeaderName},
    request::Parts,
};
use serde::{Deserialize, Serialize};
use tcb::codes;
use wording::Wording;

use crate::{
    failure::Failure,
    reply::{self, HttpReply},
};

const PATH: &str = "/operator/database";
/// Where the next page begins.
const NEXT: HeaderName = HeaderName::from_static("x-yunqiao-next");
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson; charset=utf-8");

/// Whether this module answers there.
pub(super) fn is_at(path: &str) -> bool {
    path.strip_prefix(PATH)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a request names in its query.
#[derive(Default)]
struct Query {
    collection: Option<String>,
    conflict: ConflictMode,
    plain_names: bool,
    filter: Document,
    from: Option<String>,
    name: Option<String>,
}

#[derive(Serialize)]
struct Collections {
    collections: Vec<Collection>,
}

#[derive(Serialize)]
struct Collection {
    name: String,
    documents: u64,
    indexes: Vec<Index>,
}

/// An index as `yunqiao.toml` writes it, with its name.
#[derive(Serialize)]
struct Index {
    name: String,
    fields: Vec<String>,
    unique: bool,
    sparse: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
}

/// An index that is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WantedIndex {
    fields: Vec<String>,
    #[serde(default)]
    unique: bool,
    #[serde(default)]
    sparse: bool,
    kind: Option<IndexKind>,
}

#[derive(Deserialize)]
enum IndexKind {
    #[serde(rename = "2dsphere")]
    Sphere,
}

#[derive(Serialize)]
struct Imported {
    added: u64,
    replaced: u64,
    refused: u64,
    #[serde(rename = "idTaken")]
    id_taken: u64,
    told: Vec<Refused>,
}

#[derive(Serialize)]
struct Refused {
    line: u64,
    text: String,
}

#[derive(Serialize)]
struct Named {
    name: String,
}

const SPHERE: &str = "2dsphere";
/// Documents as they are: JSON has objects that look like something else.
const BSON: &str = "application/bson";

/// Answers a request of the operator's, who was let in.
pub(super) async fn answer(
    database: &dyn Database,
    method: &Method,
    head: &Parts,
    body: &[u8],
) -> Result<HttpReply, Failure> {
    let query = Query::read(head.uri.query().unwrap_or_default())?;
    let path = head.uri.path().strip_prefix(PATH).unwrap_or_default();
    Ok(match (path, method) {
        ("", &Method::GET) => reply::json(list(database).await?),
        ("/import", &Method::POST) => {
            let format = match header(head, &CONTENT_TYPE).starts_with(b"text/csv") {
                true => FileFormat::Csv,
                false => FileFormat::Json,
            };
            reply::json(import(database, &query, format, body).await?)
        }
        ("/export", &Method::GET) => {
            let as_bson = header(head, &ACCEPT).starts_with(BSON.as_bytes());
            export(database, query, as_bson).await?
        }
        ("/index", &Method::POST) => reply::json(create_index(database, &query, body).await?),
        ("/index", &Method::DELETE) => reply::json(drop_index(database, &query).await?),
        ("", &Method::DELETE) => reply::json(drop_collection(database, &query).await?),
        ("", _) => return Err(Failure::method("DELETE, GET")),
        ("/export", _) => return Err(Failure::method("GET")),
        ("/import", _) => return Err(Failure::method("POST")),
        ("/index", _) => return Err(Failure::method("DELETE, POST")),
        _ => return Err(Failure::not_found()),
    })
}

fn header<'h>(head: &'h Parts, name: &HeaderName) -> &'h [u8] {
    head.headers
        .get(name)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default()
}

impl Query {
    fn read(text: &str) -> Result<Self, Failure> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            match &*name {
                "collection" => query.collection = Some(value.into_owned()),
                "conflict" => {
                    query.conflict = match &*value {
                        "insert" => ConflictMode::Insert,
                        "upsert" => ConflictMode::Upsert,
                        _ => return Err(Failure::malformed("conflict is insert or upsert")),
                    }
                }
                "names" => {
                    query.plain_names = match &*value {
                        "plain" => true,
                        "paths" => false,
                        _ => return Err(Failure::malformed("names is paths or plain")),
                    }
                }
                "where" => {
                    query.filter = ejson::read_document(value.as_bytes())
                        .map_err(|error| Failure::malformed(format!("where is no JSON object: {error}")))?;
                }
                "from" => query.from = Some(value.into_owned()),
                "name" => query.name = Some(value.into_owned()),
                _ => {
                    return Err(Failure::malformed(
                        "the database is asked with collection, conflict, names, where, from and name",
                    ));
                }
            }
        }
        Ok(query)
    }

    fn collection(&self) -> Result<&str, Failure> {
        let named = self.collection.as_deref().filter(|name| !name.is_empty());
        named.ok_or_else(|| Failure::malformed("name the collection: ?collection=NAME"))
    }
}

async fn list(database: &dyn Database) -> Result<Bytes, Failure> {
    let collections = database.collections().await.map_err(failure)?;
    let collections = collections.into_iter().map(|status| Collection {
        name: status.name,
        documents: status.documents,
        indexes: status
            .indexes
            .iter()
            .map(|spec| {
                let WrittenIndex { fields, sphere } = spec.written();
                Index {
                    name: spec.name.clone(),
                    fields,
                    unique: spec.unique,
                    sparse: spec.sparse,
                    kind: sphere.then_some(SPHERE),
                }
            })
            .collect(),
    });
    reply::to_json(&Collections {
        collections: collections.collect(),
    })
}

async fn make(database: &dyn Database, collection: &str) -> Result<(), Failure> {
    match database.create_collection(collection).await {
        Ok(()) | Err(DatabaseError::CollectionExists(_)) => Ok(()),
        Err(error) => Err(failure(error)),
    }
}

async fn drop_collection(database: &dyn Database, query: &Query) -> Result<Bytes, Failure> {
    let collection = query.collection()?;
    match database.drop_collection(collection).await.map_err(failure)? {
        true => reply::to_json(&Named {
            name: collection.to_owned(),
        }),
        false => Err(Failure::new(
            StatusCode::NOT_FOUND,
            codes::INVALID_PARAM,
            format!("there is no collection {collection:?}"),
        )),
    }
}

/// The documents, each on a line, as they are.
fn plain_documents(body: &[u8]) -> Result<Vec<FileDocument>, Failure> {
    let mut documents = Vec::new();
    for (line, text) in (1..).zip(body.split(|byte| *byte == b'\n')) {
        if !text.is_empty() {
            let document = ejson::read_document(text)
                .map_err(|error| Failure::malformed(format!("line {line}: {error}")))?;
            documents.push(FileDocument {
                line,
                bytes: text.len(),
                has_paths: false,
                document,
            });
        }
    }
    Ok(documents)
}

async fn import(
    database: &dyn Database,
    query: &Query,
    format: FileFormat,
    body: &[u8],
) -> Result<Bytes, Failure> {
    let collection = query.collection()?;
    make(database, collection).await?;
    let report = if query.plain_names {
        let documents = plain_documents(body)?;
        let put = exchange::put(database, collection, documents, query.conflict).await;
        put.map_err(failure)?
    } else {
        let mut documents = DocumentReader::new(body, Some(format));
        let imported = exchange::import(database, collection, &mut documents, query.conflict, |_| {}).await;
        imported.map_err(|stopped| {
            let text = stopped.to_string();
            match stopped.cause {
                exchange::ImportCause::Put(error) => failure(error).because(Wording::as_is(text)),
                _ => Failure::malformed(text),
            }
        })?
    };
    let told = report.told.into_iter().map(|refused| Refused {
        line: refused.line,
        text: refused.text,
    });
    reply::to_json(&Imported {
        added: report.added,
        replaced: report.replaced,
        refused: report.refused,
        id_taken: report.id_taken,
        told: told.collect(),
    })
}

async fn export(database: &dyn Database, query: Query, as_bson: bool) -> Result<HttpReply, Failure> {
    let collection = query.collection()?.to_owned();
    let mut pages = match &query.from {
        None => DocumentPages::new(query.filter),
        Some(from) => DocumentPages::resumed(query.filter, from)
            .ok_or_else(|| Failure::malformed("from is what x-yunqiao-next was"))?,
    };
    let page = pages.next(database, &collection).await.map_err(failure)?;
    let there_may_be_more = page.is_some();
    let page = page.unwrap_or_default();
    let mut reply = if as_bson {
        let documents: Vec<&[u8]> = page.iter().map(|document| document.as_bytes()).collect();
        let content_type = HeaderValue::from_static(BSON);
        reply::typed(StatusCode::OK, content_type, Bytes::from(documents.concat()))
    } else {
        let mut writer = DocumentWriter::new(Vec::new(), FileLayout::Lines(Style::Canonical));
        let damaged = |error: std::io::Error| Failure::internal().because(Wording::as_is(error));
        for document in page {
            writer.write(&document).map_err(damaged)?;
        }
        let lines = Bytes::from(writer.finish().map_err(damaged)?);
        reply::typed(StatusCode::OK, LINES, lines)
    };
    if there_may_be_more {
        let next: String = form_urlencoded::byte_serialize(pages.bookmark().as_bytes()).collect();
        if let Ok(next) = HeaderValue::from_str(&next) {
            reply.headers_mut().insert(NEXT, next);
        }
    }
    Ok(reply)
}

async fn create_index(database: &dyn Database, query: &Query, body: &[u8]) -> Result<Bytes, Failure> {
    let collection = query.collection()?;
    let wanted: WantedIndex = serde_json::from_slice(body).map_err(|error| {
        Failure::malformed(format!(
            "the request body must be {{\"fields\",\"unique\"?,\"sparse\"?,\"kind\"?}}: {error}"
        ))
    })?;
    let spec = IndexSpec::of_fields(&wanted.fields, wanted.kind.is_some())
        .map_err(|error: BadIndex| Failure::malformed(error.to_string()))?;
    let spec = IndexSpec {
        unique: wanted.unique,
        sparse: wanted.sparse,
        ..spec
    };
    let name = spec.name.clone();
    database.create_index(collection, spec).await.map_err(failure)?;
    reply::to_json(&Named { name })
}

async fn drop_index(database: &dyn Database, query: &Query) -> Result<Bytes, Failure> {
    let collection = query.collection()?;
    let name = query.name.as_deref().unwrap_or_default();
    match database.drop_index(collection, name).await.map_err(failure)? {
        true => reply::to_json(&Named {
            name: name.to_owned(),
        }),
        false => Err(Failure::new(
            StatusCode::NOT_FOUND,
            codes::INVALID_PARAM,
            format!("{collection:?} has no index {name:?}"),
        )),
    }
}

fn failure(error: DatabaseError) -> Failure {
    match error {
        DatabaseError::Unavailable(_) => Failure::internal().because(Wording::as_is(error)),
        DatabaseError::CollectionMissing(_) => {
            Failure::new(StatusCode::NOT_FOUND, codes::INVALID_PARAM, error.to_string())
        }
        DatabaseError::Duplicate { .. } => Failure::new(
            StatusCode::CONFLICT,
            codes::DATABASE_REQUEST_FAIL,
            error.to_string(),
        ),
        _ => Failure::malformed(error.to_string()),
    }
}
