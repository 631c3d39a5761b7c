//! Accepting connections and bounding them: the same for each listener.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// A client has this long to send a whole request head; the same bounds an idle kept-alive connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections served at once; further ones wait in the listen queue.
const MAX_CONNECTIONS: usize = 4096;
/// How long running calls may go on after the server was told to stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(10);

/// Answers the requests of `listener`'s connections until `stop` resolves, then lets running ones end.
pub(crate) async fn serve<Answer, Reply, Content>(
    listener: TcpListener,
    stop: impl Future<Output = ()>,
    answer: Answer,
) where
    Answer: Fn(Request<Incoming>, SocketAddr) -> Reply + Clone + Send + 'static,
    Reply: Future<Output = Response<Content>> + Send,
    Content: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let (stopping, stopped) = watch::channel(());
    tokio::pin!(stop);
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            break;
        };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
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
        let mut stopped = stopped.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let reply = answer(request, peer);
                async move { Ok::<_, Infallible>(reply.await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            tokio::select! {
                _ = &mut connection => {}
                _ = stopped.changed() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = connection.await;
                }
            }
            drop(slot);
        });
    }
    drop(listener);
    // Closing the channel wakes every connection task; all slots back means that all have ended.
    drop(stopping);
    let all = u32::try_from(MAX_CONNECTIONS).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(DRAIN, slots.acquire_many(all)).await;
}
