//! Reading a request's body within bounds.
//!
//! A body over the limit is read and thrown away up to a second, larger limit, so that the client sees the
//! answer instead of a broken connection. Large bodies are few at a time: memory stays bounded whatever
//! arrives.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::failure::Failure;

/// The largest body of a call: the platform's synchronous event limit (SCF: 6 MB).
const LIMIT: usize = 6 * 1024 * 1024;
/// A body beyond [`LIMIT`] is read and dropped up to here; past it the connection is closed.
const DRAIN_LIMIT: usize = 32 * 1024 * 1024;
/// From this size on a body needs a permit.
const LARGE: usize = 64 * 1024;
/// Large bodies held in memory at once.
pub(crate) const LARGE_AT_ONCE: usize = 32;
/// The longest silence within a body.
const SILENCE: Duration = Duration::from_secs(30);

/// A body that was read whole.
pub(crate) struct Whole<'a> {
    pub(crate) bytes: Bytes,
    /// To be held for as long as anything of the body's size is: the bytes, or the event made of them.
    pub(crate) permit: Option<SemaphorePermit<'a>>,
}

/// Reads a body to its end.
///
/// # Errors
/// 413 when it is over 6 MB, 400 when it ends early or falls silent.
pub(crate) async fn read<'a>(mut body: Incoming, large: &'a Semaphore) -> Result<Whole<'a>, Failure> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > LIMIT {
        discard(body, 0).await;
        return Err(Failure::too_large());
    }
    let Some(first) = next(&mut body).await? else {
        return Ok(Whole {
            bytes: Bytes::new(),
            permit: None,
        });
    };
    // The common case: the whole body came with the head, and nothing is copied.
    if body.is_end_stream() {
        return Ok(Whole {
            bytes: first,
            permit: None,
        });
    }
    let mut permit = None;
    let mut whole = BytesMut::from(first);
    while let Some(chunk) = next(&mut body).await? {
        if whole.len() + chunk.len() > LIMIT {
            let read = whole.len() + chunk.len();
            drop((whole, permit));
            discard(body, read).await;
            return Err(Failure::too_large());
        }
        if permit.is_none() && whole.len() + chunk.len() > LARGE {
            permit = large.acquire().await.ok();
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(Whole {
        bytes: whole.freeze(),
        permit,
    })
}

/// Reads what is left of a body and drops it, so that a reply given early is seen.
pub(crate) async fn discard(mut body: Incoming, already: usize) {
    let mut read = already;
    while read <= DRAIN_LIMIT {
        match next(&mut body).await {
            Ok(Some(chunk)) => read += chunk.len(),
            _ => return,
        }
    }
}

async fn next(body: &mut Incoming) -> Result<Option<Bytes>, Failure> {
    loop {
        let frame = match tokio::time::timeout(SILENCE, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) => return Err(Failure::malformed("the request body ended early")),
            Err(_) => return Err(Failure::malformed("the request body fell silent for 30 seconds")),
        };
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}
