//! The files of a server that runs, by its operator's listener: a place like any other.

use std::{
    io,
    time::{Duration, UNIX_EPOCH},
};

use blobs::{
    Blob, BlobError, Blobs, BoxFuture, ListBounds, ListEntry, MayReplace, NewBlob, OpenBlob, Reading, Result,
    Usage, Writing,
};
use bytes::Bytes;
use files::{CloudPath, Part};
use futures_util::stream;
use reqwest::{Body, Method, RequestBuilder, Response, header::CONTENT_TYPE, header::RANGE};
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::operator::Operator;

/// Where the listener has them.
pub(super) const FILES: &str = "/operator/files";
/// Longer than any file may take that moves at all.
const WITHIN: Duration = Duration::from_secs(24 * 60 * 60);
/// Bytes of the paths that are removed by one request: they stand in its address, where a byte may take three, and a head has 16 KB.
const AT_ONCE: usize = 4 << 10;

/// The files behind an operator's listener.
pub(super) struct Remote(pub(super) Operator);

fn failed(error: anyhow::Error) -> BlobError {
    BlobError::Failed(error.into())
}

/// Paths in parts that one request can have; each of at least one path.
fn chunks(mut paths: &[CloudPath]) -> impl Iterator<Item = &[CloudPath]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |path: &&CloudPath| {
            bytes += path.as_str().len() + "&path=".len();
            bytes <= AT_ONCE
        };
        let most = paths.iter().take_while(fits).count().max(1);
        let (first, rest) = paths.split_at_checked(most)?;
        paths = rest;
        Some(first)
    })
}

impl Remote {
    fn ask(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        self.0.ask(method, &format!("{FILES}{path}"), query)
    }

    async fn page(&self, bounds: &ListBounds<'_>) -> Result<Vec<ListEntry>> {
        let most = bounds.most.min(1000).to_string();
        let mut query = vec![("prefix", bounds.prefix), ("most", &most)];
        if let Some(after) = bounds.after {
            query.push(("after", after));
        }
        if bounds.folders {
            query.push(("folders", "1"));
        }
        let answer = self.0.answer(self.ask(Method::GET, "", &query)).await;
        let answer = answer.map_err(failed)?;
        let entries = answer["entries"].as_array().into_iter().flatten();
        entries.map(entry_of).collect()
    }
}

fn entry_of(listed: &Value) -> Result<ListEntry> {
    if let Some(folder) = listed["folder"].as_str() {
        return Ok(ListEntry::Folder(folder.to_owned()));
    }
    let text = |name: &str| listed[name].as_str().unwrap_or_default().to_owned();
    let modified = listed["modified"].as_u64().unwrap_or_default();
    Ok(ListEntry::File(Blob {
        path: text("path").parse().map_err(BlobError::failed)?,
        size: listed["size"].as_u64().unwrap_or_default(),
        etag: text("etag"),
        content_type: listed["type"].as_str().map(str::to_owned),
        owner: text("owner"),
        modified: UNIX_EPOCH + Duration::from_millis(modified),
    }))
}

/// An answer that is no success says in XML why.
async fn sound(reply: Result<Response, reqwest::Error>) -> Result<Response> {
    let reply = reply.map_err(|error| BlobError::Failed(error.without_url().into()))?;
    if reply.status().is_success() {
        return Ok(reply);
    }
    let status = reply.status();
    let text = reply.text().await.unwrap_or_default();
    let message = text
        .split_once("<Message>")
        .and_then(|(_, rest)| rest.split_once("</Message>"));
    Err(BlobError::failed(match message {
        Some((message, _)) => message.to_owned(),
        None => format!("the operator's listener answered {status}"),
    }))
}

impl Blobs for Remote {
    fn write(&self, new: NewBlob) -> BoxFuture<'_, Result<Box<dyn Writing>>> {
        let (pieces, mut coming) = mpsc::channel::<io::Result<Bytes>>(1);
        let query = [("path", new.path.as_str()), ("owner", &new.owner)];
        // The type is the file's, and so it has to be the only one.
        let request = self
            .0
            .ask_untyped(Method::PUT, &format!("{FILES}/content"), &query);
        // In place of the type this says that no page of another origin sends it, as what the console sends does.
        let mut request = request.timeout(WITHIN).header("hx-request", "true");
        if let Some(kind) = &new.content_type {
            request = request.header(CONTENT_TYPE, kind.as_str());
        }
        let body = Body::wrap_stream(stream::poll_fn(move |context| coming.poll_recv(context)));
        let sending = tokio::spawn(request.body(body).send());
        let writing = ToRemote {
            new,
            pieces: Some(pieces),
            sending: Some(sending),
            size: 0,
        };
        Box::pin(async { Ok(Box::new(writing) as Box<dyn Writing>) })
    }

    fn open<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, Result<Option<OpenBlob>>> {
        Box::pin(async move {
            let Some(blob) = self.look(path).await? else {
                return Ok(None);
            };
            let request = self.ask(Method::GET, "/content", &[("path", path.as_str())]);
            Ok(Some(OpenBlob {
                blob,
                content: Box::new(FromRemote::Asked(request.timeout(WITHIN))),
            }))
        })
    }

    fn look<'a>(&'a self, path: &'a CloudPath) -> BoxFuture<'a, Result<Option<Blob>>> {
        Box::pin(async move {
            let bounds = ListBounds {
                prefix: path.as_str(),
                most: 1,
                ..ListBounds::default()
            };
            let first = self.page(&bounds).await?.pop();
            Ok(first.and_then(|entry| match entry {
                ListEntry::File(blob) if blob.path == *path => Some(blob),
                _ => None,
            }))
        })
    }

    fn remove<'a>(&'a self, paths: &'a [CloudPath]) -> BoxFuture<'a, Result<Vec<bool>>> {
        Box::pin(async move {
            let mut removed = Vec::with_capacity(paths.len());
            for paths in chunks(paths) {
                let query: Vec<_> = paths.iter().map(|path| ("path", path.as_str())).collect();
                let answer = self.0.answer(self.ask(Method::DELETE, "", &query)).await;
                let answer = answer.map_err(failed)?;
                let were = answer["removed"].as_array().into_iter().flatten();
                removed.extend(were.map(|was| was == true));
            }
            Ok(removed)
        })
    }

    fn list<'a>(&'a self, bounds: ListBounds<'a>) -> BoxFuture<'a, Result<Vec<ListEntry>>> {
        Box::pin(async move { self.page(&bounds).await })
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage>> {
        Box::pin(async {
            let answer = self.0.answer(self.ask(Method::GET, "/usage", &[])).await;
            let answer = answer.map_err(failed)?;
            let number = |name: &str| answer[name].as_u64().unwrap_or_default();
            Ok(Usage {
                files: number("files"),
                bytes: number("bytes"),
            })
        })
    }

    fn check(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async {
            let bounds = ListBounds {
                most: 1,
                ..ListBounds::default()
            };
            self.page(&bounds).await.map(drop)
        })
    }
}

struct ToRemote {
    new: NewBlob,
    /// `None` once it is whole.
    pieces: Option<mpsc::Sender<io::Result<Bytes>>>,
    sending: Option<JoinHandle<Result<Response, reqwest::Error>>>,
    size: u64,
}

impl ToRemote {
    /// What was answered.
    async fn answer(&mut self) -> Result<()> {
        match self.sending.take() {
            Some(sending) => sound(sending.await.map_err(BlobError::failed)?).await.map(drop),
            None => Err(BlobError::failed("a file was written on after an error")),
        }
    }
}

impl Writing for ToRemote {
    fn push(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            self.size += bytes.len() as u64;
            if let Some(pieces) = &self.pieces
                && pieces.send(Ok(bytes)).await.is_ok()
            {
                return Ok(());
            }
            // Nobody takes it any more: there is an answer already.
            self.answer().await?;
            Err(BlobError::failed("the server did not wait for the whole file"))
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<Blob>> {
        Box::pin(async move {
            self.pieces = None;
            self.answer().await?;
            Ok(Blob {
                path: self.new.path.clone(),
                size: self.size,
                etag: String::new(),
                content_type: self.new.content_type.clone(),
                owner: self.new.owner.clone(),
                modified: blobs::now(),
            })
        })
    }

    fn finish_if(self: Box<Self>, _: MayReplace) -> BoxFuture<'static, Result<Option<Blob>>> {
        Box::pin(async {
            Err(BlobError::failed(
                "the operator's listener judges nothing of what it replaces",
            ))
        })
    }
}

impl Drop for ToRemote {
    fn drop(&mut self) {
        // The end of a body would make a file of what has been sent.
        if let (Some(_), Some(sending)) = (&self.pieces, &self.sending) {
            sending.abort();
        }
    }
}

enum FromRemote {
    Asked(RequestBuilder),
    Coming(Response),
    Ended,
}

impl Reading for FromRemote {
    fn seek(&mut self, part: Part) {
        *self = match std::mem::replace(self, Self::Ended) {
            Self::Asked(request) => {
                Self::Asked(request.header(RANGE, format!("bytes={}-{}", part.first, part.last)))
            }
            other => other,
        };
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(async {
            let mut reply = match std::mem::replace(self, Self::Ended) {
                Self::Asked(request) => sound(request.send().await).await?,
                Self::Coming(reply) => reply,
                Self::Ended => return Ok(None),
            };
            let piece = reply.chunk().await;
            let piece = piece.map_err(|error| BlobError::Failed(error.without_url().into()))?;
            if piece.is_some() {
                *self = Self::Coming(reply);
            }
            Ok(piece)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn paths_go_into_requests_whose_heads_have_room_for_them() {
        let paths = |many: usize, letters: usize| -> Vec<CloudPath> {
            let path = |number: usize| format!("{number:04}{}", "长".repeat(letters)).parse().unwrap();
            (0..many).map(path).collect()
        };
        for (many, letters) in [(0, 1), (1, 280), (20, 280), (420, 133), (1000, 1)] {
            let all = paths(many, letters);
            let parts: Vec<_> = chunks(&all).collect();
            assert_eq!(parts.concat(), all, "{many} of {letters}");
            for part in parts {
                let query: Vec<_> = part.iter().map(|path| ("path", path.as_str())).collect();
                let query = form_urlencoded::Serializer::new(String::new())
                    .extend_pairs(query)
                    .finish();
                assert!(query.len() < 15 << 10, "{}", query.len());
            }
        }
    }
}
