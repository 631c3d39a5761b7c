//! Reading an object: nothing is asked for before the first bytes are wanted, and what breaks off goes on where it ended.

use std::sync::Arc;

use blobs::{BlobError, BoxFuture, Reading, Result};
use bytes::Bytes;
use files::Part;
use futures_util::{StreamExt as _, stream::BoxStream};
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore as _};

use crate::Inner;

/// How often in a row it may break off without a byte.
const FAILURES: u32 = 3;

pub(crate) struct FromS3 {
    inner: Arc<Inner>,
    meta: ObjectMeta,
    /// The next byte.
    at: u64,
    /// The byte behind the last.
    end: u64,
    stream: Option<BoxStream<'static, object_store::Result<Bytes>>>,
    begun: bool,
    failures: u32,
}

impl FromS3 {
    pub(crate) fn new(inner: Arc<Inner>, meta: ObjectMeta) -> Self {
        Self {
            inner,
            at: 0,
            end: meta.size,
            meta,
            stream: None,
            begun: false,
            failures: 0,
        }
    }

    async fn step(&mut self) -> Result<Option<Bytes>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let options = GetOptions {
                    // That of the file that was opened, and of no other.
                    if_match: self.meta.e_tag.clone(),
                    range: Some(GetRange::Bounded(self.at..self.end)),
                    ..GetOptions::default()
                };
                let got = self.inner.store.get_opts(&self.meta.location, options).await;
                let got = got.map_err(|error| self.gone(error))?;
                self.stream.insert(got.into_stream())
            }
        };
        match stream.next().await {
            Some(Ok(mut bytes)) => {
                bytes.truncate(usize::try_from(self.end - self.at).unwrap_or(usize::MAX));
                self.at += bytes.len() as u64;
                self.failures = 0;
                self.begun = true;
                Ok(Some(bytes))
            }
            broken => {
                self.stream = None;
                self.failures += 1;
                match broken {
                    Some(Err(error)) if self.failures > FAILURES => Err(self.gone(error)),
                    None if self.failures > FAILURES => {
                        Err(BlobError::failed("the content of a file is shorter than it was"))
                    }
                    _ => Ok(Some(Bytes::new())),
                }
            }
        }
    }

    /// Whoever has read nothing yet can open the file again.
    fn gone(&self, error: object_store::Error) -> BlobError {
        match &error {
            object_store::Error::NotFound { .. } | object_store::Error::Precondition { .. }
                if !self.begun =>
            {
                BlobError::Changed
            }
            _ => self.inner.error(error),
        }
    }
}

impl Reading for FromS3 {
    fn seek(&mut self, part: Part) {
        if !self.begun {
            self.at = part.first;
            self.end = part.first + part.length();
        }
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>>> {
        Box::pin(async {
            loop {
                match self.step().await? {
                    Some(bytes) if bytes.is_empty() => {}
                    next => return Ok(next),
                }
            }
        })
    }
}
