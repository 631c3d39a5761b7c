//! Room for the bodies of requests: all of them together are bounded, whatever functions send at once.
//!
//! A small body needs none. A larger one waits until there is room for the whole of it before it is read, so that what waits
//! stays in the socket, and in the memory of the function that sends it.

use std::{fmt::Display, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many bytes of large bodies are held at once: four of the largest.
const TOGETHER: usize = 4 * tcb::MAX_BODY;
/// Up to this size a body needs no room.
const SMALL: usize = 64 << 10;
/// How long a body waits for room. The SDK itself gives up after 15 s.
const PATIENCE: Duration = Duration::from_secs(15);
/// Room is counted in units of so many bytes.
const UNIT: usize = 1 << 10;

/// The room that there is.
pub(crate) struct Room(Arc<Semaphore>);

/// Room that is held for a body, or what was made of it; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct HeldRoom(#[expect(dead_code, reason = "held for its Drop")] Option<OwnedSemaphorePermit>);

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is over the limit, or came to no end.
    TooLarge,
    /// It ended early.
    Broken(String),
    /// There was no room for too long.
    Crowded,
}

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TOGETHER / UNIT)))
    }
}

impl Room {
    /// Reads a body whole, when there is room for it.
    pub(crate) async fn read<B>(&self, mut body: B) -> Result<(Bytes, HeldRoom), BodyError>
    where
        B: Body<Data = Bytes> + Unpin,
        B::Error: Display,
    {
        let hint = body.size_hint();
        if hint.lower() > tcb::MAX_BODY as u64 {
            return Err(BodyError::TooLarge);
        }
        // What does not say how long it is may be as long as allowed, once it is longer than small.
        let announced = hint.exact().and_then(|exact| usize::try_from(exact).ok());
        let mut held = match announced {
            Some(length) => self.hold(length).await?,
            None => None,
        };
        let Some(first) = next(&mut body).await? else {
            return Ok((Bytes::new(), HeldRoom(held)));
        };
        // The common case: the whole body came with the head, and nothing is copied.
        if body.is_end_stream() {
            return Ok((first, HeldRoom(held)));
        }
        let mut whole = BytesMut::with_capacity(announced.unwrap_or(first.len()));
        whole.extend_from_slice(&first);
        drop(first);
        while let Some(chunk) = next(&mut body).await? {
            let length = whole.len() + chunk.len();
            if length > tcb::MAX_BODY {
                return Err(BodyError::TooLarge);
            }
            if announced.is_none() && held.is_none() && length > SMALL {
                held = self.hold(tcb::MAX_BODY).await?;
            }
            whole.extend_from_slice(&chunk);
        }
        if announced.is_none()
            && let Some(held) = &mut held
        {
            drop(held.split(held.num_permits().saturating_sub(whole.len().div_ceil(UNIT))));
        }
        Ok((whole.freeze(), HeldRoom(held)))
    }

    async fn hold(&self, length: usize) -> Result<Option<OwnedSemaphorePermit>, BodyError> {
        if length <= SMALL {
            return Ok(None);
        }
        let units = u32::try_from(length.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let permit = Arc::clone(&self.0).acquire_many_owned(units);
        match tokio::time::timeout(PATIENCE, permit).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(BodyError::Crowded),
        }
    }
}

async fn next<B>(body: &mut B) -> Result<Option<Bytes>, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Display,
{
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{
        convert::Infallible,
        future::Future,
        pin::{Pin, pin},
        task::{Context, Poll, Waker},
    };

    use http_body_util::Full;
    use hyper::body::Frame;

    use super::*;

    /// A body that comes in pieces and does not say how long it is.
    struct Pieces(usize);

    const PIECE: usize = 50 << 10;

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.0 == 0 {
                return Poll::Ready(None);
            }
            self.0 -= 1;
            Poll::Ready(Some(Ok(Frame::data(vec![b'x'; PIECE].into()))))
        }
    }

    fn free(room: &Room) -> usize {
        room.0.available_permits() * UNIT
    }

    #[tokio::test]
    async fn large_bodies_are_bounded_together_and_small_ones_come_in() {
        let room = Room::default();
        let large = || Full::new(Bytes::from(vec![b'x'; 9 << 20]));
        let mut held = Vec::new();
        for _ in 0..7 {
            held.push(room.read(large()).await.unwrap());
        }
        assert_eq!(free(&room), 1 << 20);
        let mut eighth = pin!(room.read(large()));
        let mut context = Context::from_waker(Waker::noop());
        assert!(eighth.as_mut().poll(&mut context).is_pending());
        // What is small waits for nobody.
        let (bytes, _held) = room.read(Full::new(Bytes::from_static(b"small"))).await.unwrap();
        assert_eq!(bytes, "small");
        held.pop();
        assert_eq!(eighth.await.unwrap().0.len(), 9 << 20);
    }

    #[tokio::test]
    async fn a_body_of_unknown_length_holds_what_it_came_to() {
        let room = Room::default();
        let (bytes, held) = room.read(Pieces(1)).await.unwrap();
        assert_eq!((bytes.len(), free(&room)), (PIECE, TOGETHER));
        drop(held);
        let (bytes, held) = room.read(Pieces(10)).await.unwrap();
        assert_eq!((bytes.len(), free(&room)), (10 * PIECE, TOGETHER - 10 * PIECE));
        drop(held);
        assert_eq!(free(&room), TOGETHER);
        let endless = tcb::MAX_BODY / PIECE + 1;
        assert_eq!(room.read(Pieces(endless)).await.err(), Some(BodyError::TooLarge));
        assert_eq!(free(&room), TOGETHER);
    }

    #[tokio::test]
    async fn what_says_that_it_is_too_large_is_not_read() {
        let body = Full::new(Bytes::from(vec![b'x'; tcb::MAX_BODY + 1]));
        assert_eq!(Room::default().read(body).await.err(), Some(BodyError::TooLarge));
    }
}
