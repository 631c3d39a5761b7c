//! The host's socket: workers connect to it, show their token, and say what they have to say.

use std::{sync::Arc, time::Instant};

use bytes::BytesMut;
use tokio::{
    io::AsyncReadExt,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Duration, timeout},
};

use crate::{
    frame::{self, FirstFrame, WorkerMessage},
    host::Host,
    link::Link,
    workers::{Listeners, WorkerId},
};

/// How long a new connection may take to show its token.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// What is read at once, where a frame does not need more.
const READ_BUFFER: usize = 64 * 1024;
/// How long to wait when a connection cannot be accepted, which is usually for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts the workers of a host when they connect, until this is aborted.
pub async fn accept<H: Host>(host: Arc<H>, listeners: Listeners) {
    let Listeners(mut listeners) = listeners;
    let Some(mut listener) = listeners.recv().await else {
        return;
    };
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            replaced = listeners.recv() => match replaced {
                Some(replaced) => {
                    listener = replaced;
                    continue;
                }
                None => return,
            },
        };
        match accepted {
            Ok((stream, _)) => {
                let host = Arc::clone(&host);
                tokio::spawn(async move {
                    // Whoever shows no token is no worker of ours: nobody is told why the connection was closed.
                    if let Ok(Some((worker, buffer, stream))) =
                        timeout(HELLO_WITHIN, hello(&*host, stream)).await
                    {
                        serve(host, worker, stream, buffer).await;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a worker could not connect");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Reads the first frame of a connection and finds the worker that it belongs to.
async fn hello(host: &impl Host, mut stream: UnixStream) -> Option<(WorkerId, BytesMut, UnixStream)> {
    let mut buffer = BytesMut::with_capacity(READ_BUFFER);
    loop {
        if let FirstFrame::Whole(token) = frame::take_hello(&mut buffer).ok()? {
            return Some((host.workers().redeem(&token)?, buffer, stream));
        }
        if stream.read_buf(&mut buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Reads frames until the worker is gone, or sends what no worker sends.
async fn serve<H: Host>(host: Arc<H>, worker: WorkerId, stream: UnixStream, mut buffer: BytesMut) {
    let pid = stream.peer_cred().ok().and_then(|cred| cred.pid());
    let (mut reader, writer): (OwnedReadHalf, OwnedWriteHalf) = stream.into_split();
    let link = Arc::new(Link::new(writer));
    if !host.workers().connect(worker, &link, pid) {
        return;
    }
    tokio::spawn(link.write());
    host.connected(worker);
    loop {
        if !buffer.is_empty() {
            let now = Instant::now();
            loop {
                match WorkerMessage::take(&mut buffer) {
                    Ok(FirstFrame::Whole(message)) => {
                        if !host.received(worker, message, now) {
                            return;
                        }
                    }
                    // Room for the rest of a frame that began.
                    Ok(FirstFrame::Missing(bytes)) => {
                        buffer.reserve(bytes.max(READ_BUFFER / 2));
                        break;
                    }
                    Err(frame::NotAFrame) => return host.garbled(worker),
                }
            }
        } else {
            buffer.reserve(READ_BUFFER / 2);
        }
        match reader.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    host.hung_up(worker);
}
