//! The socket of one worker. The pool owns it, never the task of a request: a caller that goes away must not take half a
//! frame with it, and its reply must find nobody, not the next caller.
//!
//! A frame is written at once, by whoever has it, when nothing is waiting to be written; else it is appended to the
//! worker's buffer, and a task of the link's own flushes that. One task per link reads.

use std::{io, sync::Arc};

use bytes::BytesMut;
use tokio::{
    io::AsyncReadExt,
    net::{
        UnixListener, UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    time::{Duration, timeout},
};

use crate::{
    frame::{FROM_WORKER_HEADER, Header, Kind},
    pool::{Pool, WorkerId},
};

/// How long a new connection may take to show its token.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// What is read at once, where a frame does not need more.
const READ_BUFFER: usize = 64 * 1024;
/// A worker's token: 16 random bytes in hex.
pub(crate) const TOKEN_LENGTH: usize = 32;

/// The writing side of a worker's socket.
#[derive(Debug)]
pub(crate) struct Link {
    socket: Arc<OwnedWriteHalf>,
    /// What is to be written after what the writer has taken.
    waiting: Vec<u8>,
    /// The writer has taken something and not yet written all of it.
    writing: bool,
    wake: Arc<Notify>,
}

impl Link {
    fn new(socket: OwnedWriteHalf) -> Self {
        Self {
            socket: Arc::new(socket),
            waiting: Vec::new(),
            writing: false,
            wake: Arc::new(Notify::new()),
        }
    }

    /// Writes a frame at once, or as much of it as the socket takes, or appends it to what waits. With `later` it waits
    /// in any case, so that several frames go out together. An error means that the worker is gone.
    pub(crate) fn push(&mut self, frame: &[u8], later: bool) -> io::Result<()> {
        let mut rest = frame;
        if !later && !self.writing && self.waiting.is_empty() {
            match self.socket.try_write(frame) {
                Ok(written) => rest = frame.get(written..).unwrap_or_default(),
                // Only a full socket means "later".
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if !rest.is_empty() {
            self.waiting.extend_from_slice(rest);
            self.wake.notify_one();
        }
        Ok(())
    }

    /// The writer takes what waits, in exchange for an empty buffer; false when there is nothing.
    fn take(&mut self, empty: &mut Vec<u8>) -> bool {
        empty.clear();
        std::mem::swap(&mut self.waiting, empty);
        self.writing = !empty.is_empty();
        self.writing
    }
}

/// Flushes what `Link::push` left, until the link is closed.
async fn write(pool: Arc<Pool>, worker: WorkerId, socket: Arc<OwnedWriteHalf>, wake: Arc<Notify>) {
    let mut taken = Vec::new();
    loop {
        wake.notified().await;
        // Let the calls that are about to come append their frames first.
        tokio::task::yield_now().await;
        loop {
            match pool.link(worker, |link| link.take(&mut taken)) {
                None => return,
                Some(false) => break,
                Some(true) => {}
            }
            let mut rest = taken.as_slice();
            while !rest.is_empty() {
                if socket.writable().await.is_err() {
                    return;
                }
                match socket.try_write(rest) {
                    Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // The reader meets the end of the stream, and says what it means.
                    Err(_) => return,
                }
            }
        }
    }
}

/// Accepts workers until the listener fails or the pool is gone.
pub(crate) async fn accept(pool: Arc<Pool>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let pool = Arc::clone(&pool);
                tokio::spawn(async move {
                    // Whoever shows no token is no worker of ours: nobody is told why the connection was closed.
                    let Ok(Some((worker, buffer, stream))) =
                        timeout(HELLO_WITHIN, hello(&pool, stream)).await
                    else {
                        return;
                    };
                    serve(pool, worker, stream, buffer).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a worker could not connect");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Reads the first frame of a connection and finds the worker that it belongs to.
async fn hello(pool: &Arc<Pool>, mut stream: UnixStream) -> Option<(WorkerId, BytesMut, UnixStream)> {
    let mut buffer = BytesMut::with_capacity(READ_BUFFER);
    while buffer.len() < FROM_WORKER_HEADER + TOKEN_LENGTH {
        if stream.read_buf(&mut buffer).await.ok()? == 0 {
            return None;
        }
    }
    let header = Header::parse(&buffer).ok()??;
    if header.kind != Kind::Hello || header.body != TOKEN_LENGTH {
        return None;
    }
    let token = buffer
        .split_to(FROM_WORKER_HEADER + TOKEN_LENGTH)
        .split_off(FROM_WORKER_HEADER);
    let worker = pool.redeem(std::str::from_utf8(&token).ok()?)?;
    Some((worker, buffer, stream))
}

/// Reads frames until the worker is gone, or sends what no worker sends.
async fn serve(pool: Arc<Pool>, worker: WorkerId, stream: UnixStream, mut buffer: BytesMut) {
    let pid = stream.peer_cred().ok().and_then(|cred| cred.pid());
    let (mut reader, writer): (OwnedReadHalf, OwnedWriteHalf) = stream.into_split();
    let link = Link::new(writer);
    let (socket, wake) = (Arc::clone(&link.socket), Arc::clone(&link.wake));
    if !pool.connected(worker, link, pid) {
        return;
    }
    tokio::spawn(write(Arc::clone(&pool), worker, socket, wake));
    loop {
        match pool.received(worker, &mut buffer) {
            // Room for the rest of a frame that began, or for the next ones.
            Ok(missing) => buffer.reserve(missing.max(READ_BUFFER / 2)),
            Err(_) => return,
        }
        match reader.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
    }
    pool.hung_up(worker);
}
