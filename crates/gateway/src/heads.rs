//! The heads of requests: how large one may be, and how much memory large ones take.
//!
//! A page that asks for documents by a list of ids has them all in the address, so whoever shows a token may have a large head. But the
//! token stands behind the address, so a head is read whole before it is known whose it is. Up to [`LARGEST_HEAD`] that costs no more than
//! each connection reads ahead; for what is beyond, a connection needs room, and there is little of it: who sends a large head slowly
//! keeps other large heads waiting, of a few networks, and nobody else.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    io::{self, IoSlice},
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use http::{Request, request::Parts};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
};
use wording::wording;

use crate::{failure::Failure, routes::show_bearer, seats};

/// The largest head, in bytes, of anybody: what Node allows.
pub(crate) const LARGEST_HEAD: usize = 16 << 10;
/// The largest head of who shows a token.
pub(crate) const LARGEST_OF_KNOWN: usize = 64 << 10;
/// The largest head that is read where large ones are: one that is refused is told why up to here. So much of a reply waits to be sent, too.
pub(crate) const LARGEST_READ: usize = 80 << 10;
/// What one connection reads ahead. One byte less than hyper's step to larger buffers, which it takes after a buffer was full.
pub(crate) const READ_AHEAD: usize = (32 << 10) - 1;
/// Each network has its part of the room by chance: of so many parts...
const PARTS: usize = 16;
/// ...each for so many heads at once.
const AT_ONCE: usize = 4;

/// The room for large heads of one listener.
#[derive(Debug)]
pub(crate) struct LargeHeads {
    parts: Vec<Arc<Semaphore>>,
    by: RandomState,
}

impl LargeHeads {
    pub(crate) fn new() -> Self {
        Self {
            parts: (0..PARTS).map(|_| Arc::new(Semaphore::new(AT_ONCE))).collect(),
            by: RandomState::new(),
        }
    }

    /// The part of the room that this peer's network has.
    fn part(&self, peer: IpAddr) -> Arc<Semaphore> {
        let part = self.by.hash_one(seats::network(peer)) % PARTS as u64;
        Arc::clone(&self.parts[part as usize])
    }
}

/// Room that a large head takes. It goes with the request, whose fields lie in it.
#[derive(Clone, Debug)]
pub(crate) struct HeadRoom {
    _permit: Arc<OwnedSemaphorePermit>,
}

/// Where a connection is, as far as heads are concerned. Clones are of the same connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeadState(Arc<State>);

#[derive(Debug, Default)]
struct State {
    phase: AtomicU8,
    /// Bytes that have come of the head that is being read.
    so_far: AtomicUsize,
    room: Mutex<Option<HeadRoom>>,
}

/// A head is being read.
const HEAD: u8 = 0;
/// A request is being answered.
const REQUEST: u8 = 1;
/// No request will come any more: it speaks another protocol.
const UPGRADED: u8 = 2;

impl HeadState {
    /// The head is there. Gives the room that it took, if it took any.
    pub(crate) fn begin(&self) -> Option<HeadRoom> {
        self.0.phase.store(REQUEST, Ordering::Relaxed);
        self.room().take()
    }

    /// The request is answered, and the next head may come.
    pub(crate) fn end(&self) {
        self.0.so_far.store(0, Ordering::Relaxed);
        let _ = self
            .0
            .phase
            .compare_exchange(REQUEST, HEAD, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// No head will come any more.
    pub(crate) fn upgrade(&self) {
        self.0.phase.store(UPGRADED, Ordering::Relaxed);
    }

    fn is_reading(&self) -> bool {
        self.0.phase.load(Ordering::Relaxed) == HEAD
    }

    fn room(&self) -> std::sync::MutexGuard<'_, Option<HeadRoom>> {
        self.0.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Acquiring = Pin<Box<dyn Future<Output = Result<OwnedSemaphorePermit, AcquireError>> + Send>>;

/// A connection that reads no more than [`LARGEST_HEAD`] of a head without room for it, and little ahead of anything else.
pub(crate) struct HeadStream {
    stream: TcpStream,
    state: HeadState,
    part: Arc<Semaphore>,
    waiting: Option<Acquiring>,
}

impl HeadStream {
    pub(crate) fn new(stream: TcpStream, peer: IpAddr, heads: &LargeHeads) -> Self {
        Self {
            stream,
            state: HeadState::default(),
            part: heads.part(peer),
            waiting: None,
        }
    }

    /// Where it is.
    pub(crate) fn state(&self) -> HeadState {
        self.state.clone()
    }

    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// How many bytes may be read now.
    fn poll_bound(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.state.is_reading() {
            return Poll::Ready(Ok(READ_AHEAD));
        }
        let so_far = self.state.0.so_far.load(Ordering::Relaxed);
        if so_far < LARGEST_HEAD {
            return Poll::Ready(Ok(LARGEST_HEAD - so_far));
        }
        if self.state.room().is_none() {
            let part = &self.part;
            let waiting = self
                .waiting
                .get_or_insert_with(|| Box::pin(Arc::clone(part).acquire_owned()));
            let permit = ready!(waiting.as_mut().poll(context)).map_err(io::Error::other)?;
            self.waiting = None;
            *self.state.room() = Some(HeadRoom {
                _permit: Arc::new(permit),
            });
        }
        Poll::Ready(Ok(READ_AHEAD))
    }
}

impl AsyncRead for HeadStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let bound = ready!(self.poll_bound(context))?;
        let before = buffer.filled().len();
        if buffer.remaining() <= bound {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        } else {
            let mut bounded = ReadBuf::new(buffer.initialize_unfilled_to(bound));
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut bounded))?;
            let read = bounded.filled().len();
            buffer.advance(read);
        }
        if self.state.is_reading() {
            let read = buffer.filled().len() - before;
            self.state.0.so_far.fetch_add(read, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HeadStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

impl fmt::Debug for HeadStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeadStream")
            .field("stream", &self.stream)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Bytes of a head, as it came but for blanks.
fn size(head: &Parts) -> usize {
    let target = head
        .uri
        .path_and_query()
        .map_or(1, |target| target.as_str().len());
    // `GET`, two blanks and `HTTP/1.1`; `: ` and the ends of lines.
    let line = head.method.as_str().len() + target + 12;
    let fields = head.headers.iter();
    line + 2
        + fields
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum::<usize>()
}

/// Judges how large a head is.
///
/// # Errors
/// 431: it is larger than [`LARGEST_HEAD`], and shows no token, or larger than [`LARGEST_OF_KNOWN`].
pub(crate) fn judge(head: &Parts) -> Result<(), Failure> {
    let size = size(head);
    if size <= LARGEST_HEAD || size <= LARGEST_OF_KNOWN && show_bearer(&head.headers).is_some() {
        return Ok(());
    }
    let path = head.uri.path();
    Err(Failure::large_head().because(wording!(
        "a request of {path} has a head of {size} bytes: it may have 16 KB, and 64 KB with a token; look for long lists in its address and \
         for large cookies of other programs at the same host",
        "对 {path} 的请求头有 {size} 字节：最多 16 KB，带 token 时最多 64 KB；请检查地址里的长列表和同一主机上其他程序的大 cookie"
    )))
}

/// Puts the room of a large head to its request.
pub(crate) fn keep<B>(room: Option<HeadRoom>, request: &mut Request<B>) {
    if let Some(room) = room {
        request.extensions_mut().insert(room);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{pin::pin, task::Waker};

    use http::header::AUTHORIZATION;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;

    /// Both ends of a connection, of which the client has sent 20 KB of a head.
    async fn large(listener: &TcpListener, heads: &LargeHeads) -> (HeadStream, TcpStream) {
        let client = TcpStream::connect(listener.local_addr().unwrap());
        let (accepted, client) = tokio::join!(listener.accept(), client);
        let (stream, peer) = accepted.unwrap();
        let mut client = client.unwrap();
        client.write_all(&vec![b'x'; 20 << 10]).await.unwrap();
        let mut stream = HeadStream::new(stream, peer.ip(), heads);
        // A usual head needs no room.
        stream.read_exact(&mut vec![0; LARGEST_HEAD]).await.unwrap();
        (stream, client)
    }

    #[tokio::test]
    async fn large_heads_wait_for_each_other_and_usual_ones_for_nobody() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let heads = LargeHeads::new();
        let mut slow = Vec::new();
        for _ in 0..AT_ONCE {
            let (mut stream, client) = large(&listener, &heads).await;
            stream.read_exact(&mut [0]).await.unwrap();
            slow.push((stream, client));
        }
        let (mut stream, _client) = large(&listener, &heads).await;
        // What is beyond is there, and is not read.
        stream.stream.readable().await.unwrap();
        let mut byte = [0];
        {
            let mut read = pin!(stream.read_exact(&mut byte));
            let mut context = Context::from_waker(Waker::noop());
            assert!(read.as_mut().poll(&mut context).is_pending());
            // The head of the first is there, and the room goes with its request.
            let room = slow[0].0.state().begin().unwrap();
            assert!(read.as_mut().poll(&mut context).is_pending());
            drop(room);
            read.await.unwrap();
        }
        assert_eq!(byte, *b"x");
        // What comes of a body needs none.
        slow[1].0.state().begin().unwrap();
        let (mut stream, mut client) = large(&listener, &heads).await;
        assert!(stream.state().begin().is_none());
        let (sent, mut all) = (vec![b'y'; 200 << 10], vec![0; 204 << 10]);
        let (written, read) = tokio::join!(client.write_all(&sent), stream.read_exact(&mut all));
        written.unwrap();
        read.unwrap();
    }

    #[test]
    fn a_large_head_is_for_who_shows_a_token() {
        let judged = |target: usize, token: bool| {
            let request = Request::get(format!("/{}", "x".repeat(target)));
            let request = match token {
                true => request.header(AUTHORIZATION, "Bearer t"),
                false => request,
            };
            judge(&request.body(()).unwrap().into_parts().0).is_ok()
        };
        for (target, token, allowed) in [
            (15 << 10, false, true),
            (17 << 10, false, false),
            (17 << 10, true, true),
            (63 << 10, true, true),
        ] {
            assert_eq!(judged(target, token), allowed, "{target} {token}");
        }
        let fields = Request::get("/").header(AUTHORIZATION, format!("Bearer {}", "t".repeat(64 << 10)));
        assert!(judge(&fields.body(()).unwrap().into_parts().0).is_err());
    }
}
