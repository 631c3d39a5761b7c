//! Built web pages, served from their folders, each at a path of its own: documents of folders, single pages, redirects, ranges, ETags, files that were
//! compressed beforehand.
//!
//! What a path leads to is decided by `look`, which leaves the folder by no way: not by `..`, however it is encoded, and not by a link.
//! Files whose names begin with a dot are not there, and no folder is listed. tower-http's `ServeDir` and `hyper-staticfile` were weighed:
//! neither judges where a link leads, and ranges and conditions stand in `files` already, for storage.

mod live;
mod look;

use std::{io, sync::Arc};

use access::{BuiltPage, RequestPath, SiteRules};
use bytes::{Bytes, BytesMut};
use files::{Entity, FileHead, Part};
use futures_util::stream;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
    header::{
        ACCEPT, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, LOCATION, RANGE, VARY, X_CONTENT_TYPE_OPTIONS,
    },
    request::Parts,
};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::look::{Coding, OpenFile, PathTarget};

/// The body of a reply. One that fails breaks the connection off: its reader sees that it is not whole.
pub type SiteBody = UnsyncBoxBody<Bytes, io::Error>;

/// How much of a file is read at a time.
const PIECE: usize = 64 << 10;
/// A larger document is not told how to reload itself: nobody writes one by hand.
const LARGEST_LIVE: u64 = 8 << 20;

/// A site. Clones share everything.
#[derive(Clone, Debug)]
pub struct Site(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rules: SiteRules,
    /// What is put into each document, so that a browser shows it anew when it has changed.
    live: Option<String>,
}

/// What a request comes to.
#[derive(Debug)]
pub enum SiteAnswer {
    /// A reply: a file, a document, a redirect.
    Reply(Response<SiteBody>),
    /// There is nothing at this path, and no document that says so.
    NotFound,
    /// It is asked for by a method that files know nothing of.
    NotAMethod,
}

impl Site {
    /// The files of the pages' folders, which need not be there yet. `live` is the path of a script that each document gets in addition.
    #[must_use]
    pub fn new(rules: SiteRules, live: Option<&str>) -> Self {
        let live = live.map(|script| format!("<script src=\"{script}\"></script>"));
        Self(Arc::new(Inner { rules, live }))
    }

    /// Of how many segments the path of the page is to which a path leads, if it leads to one: what has a longer path goes before it.
    #[must_use]
    pub fn depth(&self, path: &RequestPath<'_>) -> Option<usize> {
        let Self(inner) = self;
        inner.rules.page(path).map(|page| page.path.depth())
    }

    /// Answers a request for `path`, which `head` names too.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn answer(&self, head: &Parts, path: &RequestPath<'_>) -> io::Result<SiteAnswer> {
        if head.method != Method::GET && head.method != Method::HEAD {
            return Ok(SiteAnswer::NotAMethod);
        }
        let Self(inner) = self;
        let (raw, query) = (path.raw(), head.uri.query());
        if let Some((status, to)) = inner.rules.redirect(raw, query) {
            return Ok(redirect(status, &to));
        }
        let Some(page) = inner.rules.page(path) else {
            let moved = inner.rules.redirect_missing(raw, query);
            return Ok(moved.map_or(SiteAnswer::NotFound, |(status, to)| redirect(status, &to)));
        };
        let names = look::names(path, page.path.depth());
        match inner.look(page, names, path.is_folder(), &head.headers).await? {
            PathTarget::File(file) => inner.show(head, raw, file).await.map(SiteAnswer::Reply),
            PathTarget::Folder => {
                let names: Vec<_> = raw.split('/').filter(|name| !name.is_empty()).collect();
                let mut to = format!("/{}/", names.join("/"));
                if let Some(query) = query {
                    to = format!("{to}?{query}");
                }
                Ok(redirect(StatusCode::MOVED_PERMANENTLY, &to))
            }
            PathTarget::Nothing => inner.missing(page, head, raw).await,
        }
    }
}

impl Inner {
    /// Looks a file up, and one that was compressed beforehand where the client takes it.
    async fn look(
        &self,
        page: &BuiltPage,
        names: Option<Vec<String>>,
        is_folder: bool,
        sent: &HeaderMap,
    ) -> io::Result<PathTarget> {
        let Some(names) = names else {
            return Ok(PathTarget::Nothing);
        };
        let (folder, index) = (page.folder.clone(), page.index.clone());
        // A part is one of what is asked for, and not of what it was compressed to. A document that is changed is read as it is.
        let codings = match sent.contains_key(RANGE) {
            true => Vec::new(),
            false => Coding::accepted(sent),
        };
        let whole = self.live.is_some();
        let looked = tokio::task::spawn_blocking(move || {
            look::look(&folder, &names, is_folder, &index, &codings, whole)
        });
        looked.await.map_err(io::Error::other)?
    }

    /// What is answered where nothing is found: a redirect, the page of a SPA, the document of errors.
    async fn missing(&self, page: &BuiltPage, head: &Parts, raw: &str) -> io::Result<SiteAnswer> {
        if let Some((status, to)) = self.rules.redirect_missing(raw, head.uri.query()) {
            return Ok(redirect(status, &to));
        }
        let accept = head.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        if page.is_page(raw, accept)
            && let PathTarget::File(file) = self
                .look(page, look::names_of(&page.index), false, &head.headers)
                .await?
        {
            let address = page.address();
            return self.show(head, &address, file).await.map(SiteAnswer::Reply);
        }
        let Some(error) = &page.error else {
            return Ok(SiteAnswer::NotFound);
        };
        let plain = HeaderMap::new();
        let PathTarget::File(file) = self.look(page, look::names_of(error), false, &plain).await? else {
            return Ok(SiteAnswer::NotFound);
        };
        let mut head = head.clone();
        head.headers = plain;
        let mut reply = self.show(&head, error, file).await?;
        *reply.status_mut() = StatusCode::NOT_FOUND;
        reply
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        Ok(SiteAnswer::Reply(reply))
    }

    /// A file, or what was asked of it.
    async fn show(&self, head: &Parts, path: &str, file: OpenFile) -> io::Result<Response<SiteBody>> {
        let kind = file.kind.clone();
        let live = self
            .live
            .as_ref()
            .filter(|_| kind.starts_with("text/html") && file.length <= LARGEST_LIVE);
        let document = match live {
            Some(script) => Some(live::with_script(&read_whole(&file).await?, script)),
            None => None,
        };
        let entity = Entity {
            etag: &match &document {
                Some(_) => format!("{}-live", file.etag),
                None => file.etag.clone(),
            },
            modified: file.modified,
            length: document
                .as_ref()
                .map_or(file.length, |document| document.len() as u64),
        };
        // No part is given of a document that was changed.
        let method = if document.is_some() {
            &Method::HEAD
        } else {
            &head.method
        };
        let FileHead {
            status,
            headers,
            part,
        } = FileHead::of(method, &head.headers, entity);
        let mut reply = Response::new(SiteBody::default());
        *reply.status_mut() = status;
        *reply.headers_mut() = headers;
        let headers = reply.headers_mut();
        let mut set = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        set(CACHE_CONTROL, &self.rules.cache_control(path));
        set(X_CONTENT_TYPE_OPTIONS, "nosniff");
        if file.has_codings {
            set(VARY, "accept-encoding");
        }
        if status.is_success() {
            set(CONTENT_TYPE, &kind);
            if let Some(coding) = file.coding {
                set(CONTENT_ENCODING, coding.name());
            }
            if head.method == Method::GET {
                *reply.body_mut() = match document {
                    Some(document) => Full::new(document).map_err(|never| match never {}).boxed_unsync(),
                    None => streamed(file, part).await?,
                };
            }
        }
        Ok(reply)
    }
}

fn redirect(status: StatusCode, to: &str) -> SiteAnswer {
    let mut reply = Response::new(SiteBody::default());
    match HeaderValue::from_bytes(to.as_bytes()) {
        Ok(to) => {
            *reply.status_mut() = status;
            reply.headers_mut().insert(LOCATION, to);
            SiteAnswer::Reply(reply)
        }
        // The path came in a request's head and the rest from settings: there is no line break in either.
        Err(_) => SiteAnswer::NotFound,
    }
}

async fn read_whole(file: &OpenFile) -> io::Result<Bytes> {
    let mut reader = tokio::fs::File::from_std(file.file.try_clone()?).take(LARGEST_LIVE);
    let mut whole = Vec::with_capacity(usize::try_from(file.length).unwrap_or_default());
    reader.read_to_end(&mut whole).await?;
    Ok(whole.into())
}

/// The content, or a part of it, piece by piece. A file that becomes shorter meanwhile breaks the connection off.
async fn streamed(file: OpenFile, part: Option<Part>) -> io::Result<SiteBody> {
    let mut reader = tokio::fs::File::from_std(file.file);
    reader.set_max_buf_size(PIECE);
    if let Some(part) = part {
        reader.seek(io::SeekFrom::Start(part.first)).await?;
    }
    let left = part.map_or(file.length, Part::length);
    let frames = stream::try_unfold((reader, left), |(mut reader, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let size = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        let mut piece = BytesMut::with_capacity(size);
        let read = (&mut reader).take(size as u64).read_buf(&mut piece).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some((Frame::data(piece.freeze()), (reader, left - read as u64))))
    });
    Ok(StreamBody::new(frames).boxed_unsync())
}

#[cfg(test)]
mod tests;
