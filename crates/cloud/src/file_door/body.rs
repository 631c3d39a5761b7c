//! The body of an upload, and how long it may take to come.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use files::StorageRefusal;
use futures_util::{Stream, stream};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::Instant;

use super::refusal::FileRefusal;

/// How long a file may take to come, whatever its size...
const UPLOAD_BASE: Duration = Duration::from_secs(60);
/// ...and so many bytes of it more in each second beyond that.
const UPLOAD_LEAST: u64 = 16 << 10;
/// Bytes of a form that are read at a time, at least.
const FORM_PIECE: usize = 64 << 10;
/// Bytes of a form that may go by before a part of it begins.
const FORM_HEAD: usize = 1 << 20;

/// A body on its way, within its time.
pub(super) struct UploadBody<B> {
    body: B,
    since: Instant,
    read: u64,
}

impl<B> UploadBody<B>
where
    B: Body<Data = Bytes> + Send + Unpin,
    B::Error: Error + Send + Sync,
{
    pub(super) fn new(body: B) -> Self {
        Self {
            body,
            since: Instant::now(),
            read: 0,
        }
    }

    /// The next bytes; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, FileRefusal> {
        let within = UPLOAD_BASE + Duration::from_secs(self.read / UPLOAD_LEAST);
        let until = self.since + within;
        loop {
            let frame = tokio::time::timeout_at(until, self.body.frame()).await;
            let frame = frame.map_err(|_| {
                FileRefusal::new(
                    StorageRefusal::Incomplete,
                    format_args!(
                        "{} bytes came in {} seconds, and then no more",
                        self.read,
                        within.as_secs()
                    ),
                )
            })?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(FileRefusal::new(StorageRefusal::Incomplete, error)),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.read += bytes.len() as u64;
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }

    /// The same as a stream, which breaks off when more than a form's head has gone by with nothing come of it.
    pub(super) fn stream(
        &mut self,
        unread: Arc<AtomicUsize>,
    ) -> impl Stream<Item = Result<Bytes, FormError>> + Send {
        stream::try_unfold((self, unread), |(coming, unread)| async move {
            // It takes whatever is there, before it looks at any of it.
            if unread.load(Ordering::Relaxed) > FORM_PIECE {
                tokio::task::yield_now().await;
            }
            let bytes = coming.next().await.map_err(|refused| FormError(refused.why))?;
            let length = bytes.as_ref().map_or(0, Bytes::len);
            if unread.fetch_add(length, Ordering::Relaxed) > FORM_HEAD {
                return Err(FormError(format!(
                    "no part of the form begins within {FORM_HEAD} bytes"
                )));
            }
            Ok(bytes.map(|bytes| (bytes, (coming, unread))))
        })
    }
}

/// A body that broke off inside a form.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct FormError(String);
