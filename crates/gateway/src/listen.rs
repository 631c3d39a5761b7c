//! Accepting connections and bounding them: the same for each listener.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

pub(crate) use crate::seats::Seat;
use crate::{
    heads::{self, HeadState, HeadStream, LargeHeads, READ_AHEAD},
    reply::{BodyError, ReplyBody},
    seats::{Seats, Working},
};

/// A client has this long to send a whole request head; the same bounds an idle kept-alive connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// So much more of a head that was refused is read and dropped, for as long as a head may take: a connection that is closed with something unread
/// loses the answer.
const REFUSED_HEAD: u64 = 1 << 20;
/// A client has this long to take some of a reply that is there: 64 KB or so.
const STALLED: Duration = Duration::from_secs(60);
/// How long running calls may go on after the server was told to stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// A reply on its way: its connection works until it is sent. One that follows events does not: its page asks again.
pub(crate) struct Sending {
    body: ReplyBody,
    seat: Seat,
    head: HeadState,
    /// Of a body that does not end by itself: what ends it.
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _working: Option<Working>,
}

/// Answers the requests of at most `connections` connections of `listener` at once until `stop` resolves, then lets
/// running ones end. What is handed to `answer` has the connection's [`Seat`] among its extensions. A head of more than `largest_head` bytes
/// is answered 431.
pub(crate) async fn serve<Answer, Answering>(
    listener: TcpListener,
    connections: usize,
    largest_head: usize,
    stop: impl Future<Output = ()>,
    answer: Answer,
) where
    Answer: Fn(Request<Incoming>, SocketAddr) -> Answering + Clone + Send + Sync + 'static,
    Answering: Future<Output = Response<ReplyBody>> + Send,
{
    let seats = Seats::new(connections);
    let large_heads = LargeHeads::new();
    let (stopping, stopped) = watch::channel(());
    tokio::pin!(stop);
    loop {
        let accepted = async {
            let (stream, peer) = listener.accept().await?;
            let seat = seats.take(peer.ip()).await;
            Ok::<_, std::io::Error>((stream, peer, seat))
        };
        let (stream, peer, seat) = tokio::select! {
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                // Out of descriptors, or a client that was gone at once: the listener itself is well.
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut stop => break,
        };
        // Small replies leave at once; a failure here only costs speed.
        let _ = stream.set_nodelay(true);
        let answer = answer.clone();
        let stopped = stopped.clone();
        let stream = HeadStream::new(stream, peer.ip(), &large_heads);
        let head = stream.state();
        tokio::spawn(async move {
            let service = service_fn(|mut request: Request<Incoming>| {
                let working = seat.clone().work();
                heads::keep(head.begin(), &mut request);
                request.extensions_mut().insert(seat.clone());
                let reply = answer(request, peer);
                let (stopped, seat, head) = (&stopped, &seat, &head);
                async move {
                    let reply = reply.await;
                    if reply.status() == StatusCode::SWITCHING_PROTOCOLS {
                        head.upgrade();
                    }
                    Ok::<_, Infallible>(reply.map(|body| Sending::new(body, working, stopped, seat, head)))
                }
            });
            let mut connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_header_size(largest_head)
                .max_buf_size(largest_head.max(READ_AHEAD))
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            let mut stopped = stopped.clone();
            let ended = tokio::select! {
                ended = &mut connection => ended,
                () = seat.told_to_leave() => return,
                () = seat.took_nothing_for(STALLED) => return,
                _ = stopped.changed() => {
                    Pin::new(&mut connection).graceful_shutdown();
                    let _ = connection.await;
                    return;
                }
            };
            if ended.is_err_and(|error| error.is_parse_too_large())
                && let Some(parts) = connection.into_parts()
            {
                tell_of_large_head(peer, largest_head);
                tokio::select! {
                    () = linger(parts.io.into_inner().into_stream()) => {}
                    () = seat.told_to_leave() => {}
                    _ = stopped.changed() => {}
                }
            }
        });
    }
    drop(listener);
    // Closing the channel wakes every connection task; all places free means that all have ended.
    drop(stopping);
    let _ = tokio::time::timeout(DRAIN, seats.empty()).await;
}

/// Reads what is left of a head that was refused, until its sender has the answer.
async fn linger(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let rest = async {
        let _ = tokio::io::copy(&mut stream.take(REFUSED_HEAD), &mut tokio::io::sink()).await;
    };
    let _ = tokio::time::timeout(HEAD_TIMEOUT, rest).await;
}

/// The browser of a page says only that it failed: so it is told here, the first time.
fn tell_of_large_head(peer: SocketAddr, largest_head: usize) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            client = %peer.ip(),
            most = largest_head,
            "a request's head was too large, or had more than 100 headers, and was answered 431: look for large cookies of other programs at \
             the same host, or a token that grew"
        );
    }
}

impl Sending {
    fn new(
        body: ReplyBody,
        working: Working,
        stopped: &watch::Receiver<()>,
        seat: &Seat,
        head: &HeadState,
    ) -> Self {
        let (seat, head) = (seat.clone(), head.clone());
        if !body.is_endless() {
            return Self {
                body,
                seat,
                head,
                stop: None,
                _working: Some(working),
            };
        }
        let mut stopped = stopped.clone();
        Self {
            body,
            seat,
            head,
            stop: Some(Box::pin(async move { while stopped.changed().await.is_ok() {} })),
            _working: None,
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.seat.offer(false);
        self.head.end();
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(stop) = &mut self.stop
            && stop.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut self.body).poll_frame(context);
        self.seat.offer(matches!(polled, Poll::Ready(Some(_))));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::heads::{LARGEST_HEAD, LARGEST_READ};

    /// What a client reads that has sent a head with a cookie of so many bytes.
    async fn answered(address: SocketAddr, cookie: usize) -> String {
        let mut client = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncookie: {}\r\n\r\n",
            "x".repeat(cookie)
        );
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Serves a listener that takes heads of so many bytes, and asks it with cookies of these lengths.
    async fn served(largest_head: usize, cases: &[(usize, &str)]) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(serve(
            listener,
            8,
            largest_head,
            async { drop(stopped.await) },
            |_: Request<Incoming>, _| async { Response::new(ReplyBody::from(Bytes::from_static(b"served"))) },
        ));
        let all = async {
            for (cookie, status) in cases {
                let answer = answered(address, *cookie).await;
                assert!(answer.starts_with(status), "{cookie}: {answer:?}");
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
        drop(stop);
        serving.await.unwrap();
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_is_answered_and_the_answer_is_read() {
        let too_large = "HTTP/1.1 431 Request Header Fields Too Large";
        served(
            LARGEST_HEAD,
            &[
                (15 << 10, "HTTP/1.1 200"),
                (17 << 10, too_large),
                (40 << 10, too_large),
                (900 << 10, too_large),
            ],
        )
        .await;
        served(
            LARGEST_READ,
            &[
                (15 << 10, "HTTP/1.1 200"),
                (40 << 10, "HTTP/1.1 200"),
                (79 << 10, "HTTP/1.1 200"),
                (81 << 10, too_large),
                (900 << 10, too_large),
            ],
        )
        .await;
    }
}
