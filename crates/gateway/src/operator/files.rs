//! The storage's files, for the operator.
//!
//! * `GET /operator/files?prefix=P&after=A&folders=1&most=N` lists files in the order of their paths' bytes, those below a folder drawn
//!   together into it where `folders` is given: `{"entries":[{"path","fileID","size","etag","type"?,"owner"?,"modified"} or {"folder"}],"next"?}`.
//!   `modified` is in milliseconds, and `next` what `after` is on the next page.
//! * `DELETE /operator/files?path=P&path=…` removes files, and answers `{"removed":[…]}`: which of them there were.
//! * `GET /operator/files/usage` counts them: `{"files","bytes"}`.
//! * `GET` and `PUT /operator/files/content?path=P&owner=O` give and take the content of one, as a stream, of any size. Whatever it is, it
//!   comes as bytes to be kept. What it refuses is told in XML, as at the door of files.

use std::time::UNIX_EPOCH;

use blobs::{Blob, BlobError, ListBounds, ListEntry};
use causes::with_causes;
use cloud::FileDoor;
use files::CloudPath;
use http::{
    HeaderValue, Method, StatusCode,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    request::Parts,
};
use serde::Serialize;
use tcb::codes;

use crate::{
    body::UnreadBody,
    failure::Failure,
    reply::{self, HttpReply, ReplyBody},
    routes::takes,
};

const PATH: &str = "/operator/files";
/// Below it, the content of one file.
const CONTENT: &str = "/content";
const USAGE: &str = "/usage";
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
const KEPT: HeaderValue = HeaderValue::from_static("attachment");
/// Entries of a page where nobody says, and at most.
const PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;
/// Files that are removed by one request.
const MOST_REMOVED: usize = 1000;

/// Whether a path leads here.
pub(super) fn is_at(path: &str) -> bool {
    let below = path.strip_prefix(PATH);
    below.is_some_and(|below| matches!(below, "" | CONTENT | USAGE))
}

/// What is asked for.
#[derive(Debug, Default)]
struct Query {
    paths: Vec<CloudPath>,
    prefix: String,
    after: Option<String>,
    folders: bool,
    most: Option<usize>,
    owner: String,
}

#[derive(Serialize)]
struct Page {
    entries: Vec<PageEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum PageEntry {
    Folder {
        folder: String,
    },
    #[serde(rename_all = "camelCase")]
    File {
        path: String,
        #[serde(rename = "fileID")]
        file_id: String,
        size: u64,
        etag: String,
        #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
        content_type: Option<String>,
        #[serde(skip_serializing_if = "String::is_empty")]
        owner: String,
        modified: u64,
    },
}

#[derive(Serialize)]
struct Removals {
    removed: Vec<bool>,
}

#[derive(Serialize)]
struct StorageUsage {
    files: u64,
    bytes: u64,
}

/// Answers a request of the operator's, who was let in.
pub(super) async fn answer(
    door: &FileDoor,
    head: &Parts,
    body: &mut UnreadBody,
    request_id: &str,
) -> Result<HttpReply, Failure> {
    let mut query = Query::read(head.uri.query().unwrap_or_default())?;
    match head.uri.path().strip_prefix(PATH).unwrap_or_default() {
        CONTENT => {
            takes(&head.method, "GET, HEAD, PUT")?;
            let (Some(path), true) = (query.paths.pop(), query.paths.is_empty()) else {
                return Err(Failure::malformed("one file is asked for, as path"));
            };
            let reply = door
                .answer_operator(path, &query.owner, head, &mut *body, request_id)
                .await;
            if let Some(why) = &reply.why {
                // The rest of what it sends is taken, so that it sees why.
                body.discard().await;
                tracing::info!(why, "the operator was refused a file");
            }
            let mut reply = reply.response.map(ReplyBody::from);
            if head.method != Method::PUT && reply.status().is_success() {
                // A browser that was let in must not take it for a page or a script of ours: it is only to be kept.
                let headers = reply.headers_mut();
                headers.insert(CONTENT_TYPE, BYTES);
                headers.insert(CONTENT_DISPOSITION, KEPT);
            }
            Ok(reply)
        }
        USAGE => {
            takes(&head.method, "GET, HEAD")?;
            let used = door.blobs().usage().await.map_err(|error| failure(&error))?;
            let (files, bytes) = (used.files, used.bytes);
            Ok(reply::json(reply::to_json(&StorageUsage { files, bytes })?))
        }
        _ => {
            takes(&head.method, "GET, HEAD, DELETE")?;
            if head.method != Method::DELETE {
                return Ok(reply::json(reply::to_json(&list(door, &query).await?)?));
            }
            if query.paths.is_empty() || query.paths.len() > MOST_REMOVED {
                return Err(Failure::malformed(format!(
                    "files are removed by path, 1 to {MOST_REMOVED} of them"
                )));
            }
            let removed = door.blobs().remove(&query.paths).await;
            let removed = removed.map_err(|error| failure(&error))?;
            Ok(reply::json(reply::to_json(&Removals { removed })?))
        }
    }
}

impl Query {
    fn read(query: &str) -> Result<Self, Failure> {
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "path" => {
                    let path = value.parse::<CloudPath>();
                    read.paths
                        .push(path.map_err(|error| Failure::malformed(error.to_string()))?);
                }
                "prefix" => read.prefix = value.into_owned(),
                "after" => read.after = Some(value.into_owned()),
                "folders" => read.folders = value == "1" || value == "true",
                "most" => {
                    let most = value
                        .parse()
                        .ok()
                        .filter(|most| (1..=LARGEST_PAGE).contains(most));
                    let refuse = || Failure::malformed(format!("most is a number from 1 to {LARGEST_PAGE}"));
                    read.most = Some(most.ok_or_else(refuse)?);
                }
                "owner" => read.owner = value.into_owned(),
                _ => {
                    return Err(Failure::malformed(
                        "files are asked for with path, prefix, after, folders, most and owner",
                    ));
                }
            }
        }
        Ok(read)
    }
}

async fn list(door: &FileDoor, query: &Query) -> Result<Page, Failure> {
    let most = query.most.unwrap_or(PAGE);
    let bounds = ListBounds {
        prefix: &query.prefix,
        after: query.after.as_deref(),
        folders: query.folders,
        most,
    };
    let found = door.blobs().list(bounds).await.map_err(|error| failure(&error))?;
    let next = found
        .last()
        .filter(|_| found.len() == most)
        .map(|last| last.path().to_owned());
    let entries = found.into_iter().map(|entry| match entry {
        ListEntry::Folder(folder) => PageEntry::Folder { folder },
        ListEntry::File(blob) => page_entry(door, blob),
    });
    Ok(Page {
        entries: entries.collect(),
        next,
    })
}

fn page_entry(door: &FileDoor, blob: Blob) -> PageEntry {
    let since = blob.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    PageEntry::File {
        file_id: door.storage().id(&blob.path).to_string(),
        path: blob.path.to_string(),
        size: blob.size,
        etag: blob.etag,
        content_type: blob.content_type,
        owner: blob.owner,
        modified: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
    }
}

fn failure(error: &BlobError) -> Failure {
    Failure::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        codes::STORAGE_REQUEST_FAIL,
        with_causes(error).to_string(),
    )
}
