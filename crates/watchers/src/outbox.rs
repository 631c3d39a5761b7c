//! What waits to be sent to one client. Whoever puts something in waits for nobody: if too much waits, all of it is dropped and
//! the socket is over. Its client comes back and is told what it has missed.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::Notify;

/// Frames that may wait.
const MOST_FRAMES: usize = 1024;
/// Bytes that may wait, beside a first frame of any size.
const MOST_BYTES: usize = 4 << 20;
/// Bytes that may wait for one client where too many wait for all.
const FEW_BYTES: usize = 64 << 10;

/// One message: its parts are sent one behind the other. The second may be shared with other sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// What is this client's alone.
    pub head: Bytes,
    /// What others may be sent too.
    pub tail: Bytes,
    /// Bytes of memory that it takes, what is shared being divided among those who are sent it.
    pub weight: usize,
}

/// What waits to be sent to one client.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: Mutex<Queue>,
    told: Notify,
    all: Option<Arc<AllOutboxes>>,
}

/// What waits to be sent to all clients.
#[derive(Debug)]
pub(crate) struct AllOutboxes {
    /// Bytes of it.
    waiting: AtomicUsize,
    /// Where more wait, whoever lets more than a few wait is over.
    most: usize,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// What of that is counted among what waits for all.
    weight: usize,
    /// The same of what was taken last, and is being sent.
    sending: usize,
    is_over: bool,
}

impl Frame {
    /// How many bytes are sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Vec<u8>> for Frame {
    fn from(message: Vec<u8>) -> Self {
        Self {
            weight: message.len(),
            head: message.into(),
            tail: Bytes::new(),
        }
    }
}

impl AllOutboxes {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            waiting: AtomicUsize::new(0),
            most,
        })
    }

    fn add(&self, bytes: usize) -> bool {
        self.waiting.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.most
    }

    fn take(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Outbox {
    pub(crate) fn among(all: Arc<AllOutboxes>) -> Self {
        Self {
            queue: Mutex::default(),
            told: Notify::new(),
            all: Some(all),
        }
    }

    /// Puts a message behind those that wait. Where too many do, the socket is over.
    pub fn put(&self, frame: impl Into<Frame>) {
        let frame = frame.into();
        let mut queue = self.queue();
        if queue.is_over {
            return;
        }
        let is_first = queue.frames.is_empty();
        let has_room = self.all.as_ref().is_none_or(|all| all.add(frame.weight));
        let most = if has_room { MOST_BYTES } else { FEW_BYTES };
        queue.weight += frame.weight;
        queue.bytes += frame.len();
        queue.frames.push_back(frame);
        if queue.frames.len() > MOST_FRAMES || !is_first && queue.bytes > most {
            self.finish(&mut queue);
        }
        drop(queue);
        self.told.notify_one();
    }

    /// The socket is over.
    pub(crate) fn end(&self) {
        self.finish(&mut self.queue());
        self.told.notify_one();
    }

    fn finish(&self, queue: &mut Queue) {
        queue.is_over = true;
        queue.frames = VecDeque::new();
        self.release(std::mem::take(&mut queue.weight));
    }

    /// So much waits no more.
    fn release(&self, weight: usize) {
        if let Some(all) = &self.all {
            all.take(weight);
        }
    }

    /// Takes all that waits; `None` once the socket is over. Only one may wait at a time, and what was taken before has been sent.
    pub async fn take(&self) -> Option<VecDeque<Frame>> {
        loop {
            let told = self.told.notified();
            {
                let mut queue = self.queue();
                if queue.is_over {
                    return None;
                }
                self.release(std::mem::take(&mut queue.sending));
                if !queue.frames.is_empty() {
                    queue.bytes = 0;
                    queue.sending = std::mem::take(&mut queue.weight);
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

impl Drop for Outbox {
    fn drop(&mut self) {
        let queue = self.queue();
        self.release(queue.weight + queue.sending);
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

    #[tokio::test]
    async fn where_much_waits_for_all_whoever_lets_most_wait_is_over() {
        let all = AllOutboxes::new(1 << 20);
        let [slow, slower, other] = [(); 3].map(|()| Outbox::among(Arc::clone(&all)));
        slow.put(vec![0; FEW_BYTES / 2]);
        slower.put(vec![0; 1 << 20]);
        // One message may be of any size: a client whose documents are many begins with them.
        slow.put(b"{}".to_vec());
        other.put(vec![0; 1 << 20]);
        assert_eq!(other.take().await.unwrap().len(), 1);
        slower.put(b"{}".to_vec());
        slower.over().await;
        assert_eq!(slow.take().await.unwrap().len(), 2);
        // What is shared counts as what each has of it.
        let before = all.waiting.load(Ordering::Relaxed);
        slow.put(Frame {
            tail: vec![0; 1 << 20].into(),
            weight: 100,
            ..Frame::default()
        });
        assert_eq!(all.waiting.load(Ordering::Relaxed), before + 100);
        drop((slow, slower, other));
        assert_eq!(all.waiting.load(Ordering::Relaxed), 0);
    }
}
