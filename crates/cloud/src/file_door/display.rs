//! How a file is shown: with which head, as which type, and so that a browser runs nothing of it.

use std::error::Error;

use blobs::{Blob, BlobError, Blobs, OpenBlob, Reading};
use bytes::Bytes;
use files::{Entity, FileHead, Part, Showing, TELLING, is_text, showing, shown_type};
use futures_util::stream;
use http::{
    HeaderName, HeaderValue, Method, Response,
    header::{
        CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
    },
    request::Parts,
};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::CloudAnswerBody;

/// Of a file that a browser shows: nothing in it runs, and it has no origin.
const NOTHING_RUNS: &str =
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'";
/// What does not stand for itself in a file's name there.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'.').remove(b'-').remove(b'_');

/// A file, or what was asked of it. Its first bytes are read before anything is answered: a place that fails can still say so then.
pub(super) async fn file_response(
    blobs: &dyn Blobs,
    head: &Parts,
    blob: &Blob,
    mut content: Box<dyn Reading>,
) -> Result<Response<CloudAnswerBody>, BlobError> {
    let entity = Entity {
        etag: &blob.etag,
        modified: blob.modified,
        length: blob.size,
    };
    let FileHead {
        status,
        headers,
        part,
    } = FileHead::of(&head.method, &head.headers, entity);
    let mut response = Response::new(CloudAnswerBody::default());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    // The file at an address may be written anew: whoever keeps it asks whether it was.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(NOTHING_RUNS));
    if status.is_success() {
        let mut set = |name: HeaderName, value: &str| {
            // What a type is said to be may hold what no header can.
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                headers.insert(name, value);
            }
        };
        let gives_all = head.method == Method::GET && part.is_none();
        let mut first = match gives_all {
            true => begun(&mut *content).await?,
            false => None,
        };
        let kind_of = |begins: &[u8]| shown_type(blob.path.name(), blob.content_type.as_deref(), begins);
        let kind = match &first {
            Some(first) => kind_of(first),
            None if is_text(&kind_of(b"")) => kind_of(&beginning(blobs, blob).await?),
            None => kind_of(b""),
        };
        set(CONTENT_TYPE, &kind);
        if showing(&kind) == Showing::Attachment {
            set(CONTENT_DISPOSITION, &attachment(blob.path.name()));
        }
        if head.method == Method::GET {
            let length = part.map_or(blob.size, Part::length);
            if let Some(part) = part {
                content.seek(part);
                first = content.next().await?;
            }
            *response.body_mut() = match first {
                // All of it: whoever sends it need not ask for more.
                Some(first) if first.len() as u64 == length => whole(first),
                first => streamed(first, content),
            };
        }
    }
    Ok(response)
}

/// What a file begins with of which not that is asked for. If it was written anew meanwhile, its type goes by its name.
async fn beginning(blobs: &dyn Blobs, blob: &Blob) -> Result<Bytes, BlobError> {
    let Some(last) = blob.size.min(TELLING as u64).checked_sub(1) else {
        return Ok(Bytes::new());
    };
    let Some(OpenBlob {
        blob: there,
        mut content,
    }) = blobs.open(&blob.path).await?
    else {
        return Ok(Bytes::new());
    };
    if there != *blob {
        return Ok(Bytes::new());
    }
    content.seek(Part { first: 0, last });
    Ok(begun(&mut *content).await?.unwrap_or_default())
}

/// What content begins with, as far as its type is told by it: a network cuts where it likes, and the type is not to depend on that.
async fn begun(content: &mut dyn Reading) -> Result<Option<Bytes>, BlobError> {
    let Some(first) = content.next().await? else {
        return Ok(None);
    };
    if first.len() >= TELLING {
        return Ok(Some(first));
    }
    // A second piece is rare in a folder, where all that is asked for comes at once.
    let mut all = Vec::from(first);
    while all.len() < TELLING
        && let Some(more) = content.next().await?
    {
        all.extend_from_slice(&more);
    }
    Ok(Some(all.into()))
}

/// `attachment` with the file's name as RFC 6266 has it.
fn attachment(name: &str) -> String {
    format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, NAME))
}

/// The content, as it comes. One that breaks off breaks the connection off: its reader sees that it is not whole.
fn streamed(first: Option<Bytes>, content: Box<dyn Reading>) -> CloudAnswerBody {
    let Some(first) = first else {
        return CloudAnswerBody::default();
    };
    let frames = stream::try_unfold((Some(first), content), |(first, mut content)| async move {
        let bytes = match first {
            None => content.next().await?,
            first => first,
        };
        Ok::<_, Box<dyn Error + Send + Sync>>(bytes.map(|bytes| (Frame::data(bytes), (None, content))))
    });
    StreamBody::new(frames).boxed_unsync()
}

/// A body that is there.
pub(super) fn whole(bytes: Bytes) -> CloudAnswerBody {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Content that comes in pieces of so many bytes.
    struct Pieces(Vec<u8>, usize);

    impl Reading for Pieces {
        fn seek(&mut self, part: Part) {
            let first = usize::try_from(part.first).unwrap();
            self.0.drain(..first);
        }

        fn next(&mut self) -> blobs::BoxFuture<'_, blobs::Result<Option<Bytes>>> {
            let piece: Vec<u8> = self.0.drain(..self.1.min(self.0.len())).collect();
            Box::pin(async move { Ok(Some(piece).filter(|piece| !piece.is_empty()).map(Bytes::from)) })
        }
    }

    /// However the network cuts it: a page that begins with a Chinese character, and one whose Chinese stands late.
    #[tokio::test]
    async fn a_type_is_told_by_as_much_as_tells_it() {
        for content in [
            "云桥".repeat(3000),
            format!("{}云桥", "a".repeat(9000)),
            String::new(),
        ] {
            for size in [1, 7, 8000, TELLING, 100_000] {
                let mut reading = Pieces(content.clone().into_bytes(), size);
                let begins = begun(&mut reading).await.unwrap().unwrap_or_default();
                let telling = content.len().min(TELLING);
                assert!(begins.len() >= telling, "{size}: {}", begins.len());
                let mut all = Vec::from(begins);
                while let Some(more) = reading.next().await.unwrap() {
                    all.extend_from_slice(&more);
                }
                assert!(all == content.as_bytes(), "{size}: all of it is handed on");
            }
        }
    }
}
