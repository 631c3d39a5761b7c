//! The socket of one worker. It belongs to the host's table of workers, never to the task of a request: a caller that goes
//! away must not take half a frame with it, and its reply must find nobody, not the next caller.
//!
//! A frame is written at once, by whoever has it, when nothing is waiting to be written; otherwise it is appended to the
//! link's buffer, and a task of the link's own flushes that until the worker ends. What the worker says is read elsewhere
//! (`accept.rs`).

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{net::unix::OwnedWriteHalf, sync::Notify};

/// The writing side of a worker's socket.
#[derive(Debug)]
pub(crate) struct Link {
    socket: OwnedWriteHalf,
    outgoing: Mutex<Outgoing>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Outgoing {
    /// What is to be written after what the writer has taken.
    waiting: Vec<u8>,
    /// The writer has taken something and not yet written all of it.
    writing: bool,
    closed: bool,
}

impl Link {
    pub(crate) fn new(socket: OwnedWriteHalf) -> Self {
        Self {
            socket,
            outgoing: Mutex::default(),
            wake: Notify::new(),
        }
    }

    fn outgoing(&self) -> MutexGuard<'_, Outgoing> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a frame at once, or as much of it as the socket takes, or appends it to what waits. With `later` it waits
    /// in any case, so that several frames go out together. An error means that the worker is gone.
    pub(crate) fn push(&self, frame: &[u8], later: bool) -> io::Result<()> {
        let mut outgoing = self.outgoing();
        if outgoing.closed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let mut rest = frame;
        if !later && !outgoing.writing && outgoing.waiting.is_empty() {
            match self.socket.try_write(frame) {
                Ok(written) => rest = frame.get(written..).unwrap_or_default(),
                // Only a full socket means "later".
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if !rest.is_empty() {
            outgoing.waiting.extend_from_slice(rest);
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Nothing is written any more, and the writer ends.
    pub(crate) fn close(&self) {
        let mut outgoing = self.outgoing();
        outgoing.closed = true;
        outgoing.waiting = Vec::new();
        self.wake.notify_one();
    }

    /// The writer takes what waits, in exchange for an empty buffer; false when there is nothing, `None` at the end.
    fn take(&self, empty: &mut Vec<u8>) -> Option<bool> {
        empty.clear();
        let mut outgoing = self.outgoing();
        if outgoing.closed {
            return None;
        }
        std::mem::swap(&mut outgoing.waiting, empty);
        outgoing.writing = !empty.is_empty();
        Some(outgoing.writing)
    }

    /// Flushes what `push` left, until the link is closed.
    pub(crate) async fn write(self: Arc<Self>) {
        let mut taken = Vec::new();
        loop {
            self.wake.notified().await;
            // Let the calls that are about to come append their frames first.
            tokio::task::yield_now().await;
            loop {
                match self.take(&mut taken) {
                    None => return,
                    Some(false) => break,
                    Some(true) => {}
                }
                let mut rest = taken.as_slice();
                while !rest.is_empty() {
                    tokio::select! {
                        ready = self.socket.writable() => if ready.is_err() { return },
                        // It is closed, or more is to be written: `take` will tell.
                        () = self.wake.notified() => if self.outgoing().closed { return } else { continue },
                    }
                    match self.socket.try_write(rest) {
                        Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        // The reader meets the end of the stream, and says what it means.
                        Err(_) => return,
                    }
                }
            }
        }
    }
}
