//! Accepting connections and bounding them: the same for each listener.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::watch};

pub(crate) use crate::seats::Seat;
use crate::{
    reply::{BodyError, ReplyBody},
    seats::{Seats, Working},
};

/// A client has this long to send a whole request head; the same bounds an idle kept-alive connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest request head: what Node allows, and more than any client of ours sends.
const LARGEST_HEAD: usize = 16 << 10;
/// What one connection reads ahead: two buffers of it are most of what a stranger can take.
const READ_AHEAD: usize = 32 << 10;
/// A client has this long to take some of a reply that is there: 64 KB or so.
const STALLED: Duration = Duration::from_secs(60);
/// How long running calls may go on after the server was told to stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// A reply on its way: its connection works until it is sent. One that follows events does not: its page asks again.
pub(crate) struct Sending {
    body: ReplyBody,
    seat: Seat,
    /// Of a body that does not end by itself: what ends it.
    stop: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    _working: Option<Working>,
}

/// Answers the requests of at most `connections` connections of `listener` at once until `stop` resolves, then lets
/// running ones end. What is handed to `answer` has the connection's [`Seat`] among its extensions.
pub(crate) async fn serve<Answer, Answering>(
    listener: TcpListener,
    connections: usize,
    stop: impl Future<Output = ()>,
    answer: Answer,
) where
    Answer: Fn(Request<Incoming>, SocketAddr) -> Answering + Clone + Send + Sync + 'static,
    Answering: Future<Output = Response<ReplyBody>> + Send,
{
    let seats = Seats::new(connections);
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
        tokio::spawn(async move {
            let service = service_fn(|mut request: Request<Incoming>| {
                let working = seat.clone().work();
                request.extensions_mut().insert(seat.clone());
                let reply = answer(request, peer);
                let (stopped, seat) = (&stopped, &seat);
                async move {
                    let reply = reply.await;
                    Ok::<_, Infallible>(reply.map(|body| Sending::new(body, working, stopped, seat)))
                }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .max_header_size(LARGEST_HEAD)
                .max_buf_size(READ_AHEAD)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            tokio::pin!(connection);
            let mut stopped = stopped.clone();
            tokio::select! {
                _ = &mut connection => {}
                () = seat.told_to_leave() => {}
                () = seat.took_nothing_for(STALLED) => {}
                _ = stopped.changed() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
        });
    }
    drop(listener);
    // Closing the channel wakes every connection task; all places free means that all have ended.
    drop(stopping);
    let _ = tokio::time::timeout(DRAIN, seats.empty()).await;
}

impl Sending {
    fn new(body: ReplyBody, working: Working, stopped: &watch::Receiver<()>, seat: &Seat) -> Self {
        let seat = seat.clone();
        if !body.is_endless() {
            return Self {
                body,
                seat,
                stop: None,
                _working: Some(working),
            };
        }
        let mut stopped = stopped.clone();
        Self {
            body,
            seat,
            stop: Some(Box::pin(async move { while stopped.changed().await.is_ok() {} })),
            _working: None,
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.seat.offer(false);
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
