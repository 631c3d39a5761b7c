//! What waits to be sent to one client. Whoever puts something in waits for nobody: if too much waits, all of it is dropped and
//! the socket is over. Its client comes back and is told what it has missed.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::Notify;

/// Frames that may wait.
const MOST_FRAMES: usize = 1024;
/// Bytes that may wait, beside a first frame of any size.
const MOST_BYTES: usize = 4 << 20;

/// One message: its parts are sent one behind the other. The second may be shared with other sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// What is this client's alone.
    pub head: Bytes,
    /// What others may be sent too.
    pub tail: Bytes,
}

/// What waits to be sent to one client.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    told: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    is_over: bool,
}

impl Frame {
    fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }
}

impl From<Vec<u8>> for Frame {
    fn from(message: Vec<u8>) -> Self {
        Self {
            head: message.into(),
            tail: Bytes::new(),
        }
    }
}

impl Outbox {
    /// Puts a message behind those that wait. Where too many do, the socket is over.
    pub fn put(&self, frame: impl Into<Frame>) {
        let frame = frame.into();
        let mut queue = self.queue();
        if queue.is_over {
            return;
        }
        let is_full = queue.frames.len() >= MOST_FRAMES
            || !queue.frames.is_empty() && queue.bytes + frame.len() > MOST_BYTES;
        if is_full {
            queue.is_over = true;
            queue.frames = VecDeque::new();
        } else {
            queue.bytes += frame.len();
            queue.frames.push_back(frame);
        }
        drop(queue);
        self.told.notify_one();
    }

    /// Takes all that waits; `None` once the socket is over. Only one may wait at a time.
    pub async fn take(&self) -> Option<VecDeque<Frame>> {
        loop {
            let told = self.told.notified();
            {
                let mut queue = self.queue();
                if queue.is_over {
                    return None;
                }
                if !queue.frames.is_empty() {
                    queue.bytes = 0;
                    return Some(std::mem::take(&mut queue.frames));
                }
            }
            told.await;
        }
    }

    /// Resolves once the socket is over: while something of it is being sent, which may take for ever.
    pub async fn over(&self) {
        loop {
            let told = self.told.notified();
            if self.queue().is_over {
                return;
            }
            told.await;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn whoever_takes_nothing_is_over_and_holds_nothing() {
        let outbox = Outbox::default();
        outbox.put(vec![b'x'; 8 << 20]);
        assert_eq!(outbox.take().await.unwrap().len(), 1, "a first one of any size");
        for _ in 0..MOST_FRAMES {
            outbox.put(b"{}".to_vec());
        }
        assert_eq!(outbox.take().await.unwrap().len(), MOST_FRAMES);
        outbox.put(vec![0; MOST_BYTES]);
        outbox.put(b"{}".to_vec());
        outbox.over().await;
        assert!(outbox.take().await.is_none());
        assert!(outbox.queue().frames.is_empty());
    }
}
