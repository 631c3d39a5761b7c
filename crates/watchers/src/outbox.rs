//! What waits to be sent to each client. Whoever puts something in waits for nobody: if too much waits for a client, all of it is dropped and
//! its socket is over. The client comes back and is told what it has missed.
//!
//! What waits has a bound for the clients of one payer together, and for all of them. Beyond it, sockets end for which most waits: those of that
//! payer, or of the payer that has most. So nobody who takes what comes makes room for those who do not.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;
use tokio::sync::Notify;

/// Frames that may wait for one client.
const MOST_FRAMES: usize = 1024;
/// Bytes that may wait for one client, beside a first frame of any size.
const MOST_BYTES: usize = 4 << 20;

/// One message: its parts are sent one behind the other.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// What is this client's alone.
    pub head: Bytes,
    /// What others may be sent too: theirs is the same memory, then.
    pub tail: Bytes,
}

/// All outboxes.
#[derive(Debug)]
pub(crate) struct Outboxes {
    unsent: Arc<Unsent>,
    /// Those that are there. Whoever makes room holds it, so that nobody else makes the same room.
    open: Mutex<Vec<Weak<Outbox>>>,
}

/// What waits to be sent to one client.
#[derive(Debug)]
pub struct Outbox {
    queue: Mutex<Queue>,
    told: Notify,
    outboxes: Arc<Outboxes>,
}

/// Counts what waits to be sent to some clients, or is being sent: to all, or to those of one payer.
#[derive(Debug)]
pub(crate) struct Unsent {
    most: usize,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    bytes: usize,
    /// In how many frames each tail is. It is known by its address, where nothing else is as long as one of these frames is.
    tails: HashMap<usize, usize>,
}

#[derive(Debug)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// What was taken last.
    sending: Arc<VecDeque<Frame>>,
    is_over: bool,
    /// Where both are counted.
    all: Arc<Unsent>,
    payer: Option<Arc<Unsent>>,
}

/// What waits for a payer: the bytes of each of its outboxes.
#[derive(Default)]
struct Holding {
    bytes: usize,
    outboxes: Vec<(usize, Arc<Outbox>)>,
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
            head: message.into(),
            tail: Bytes::new(),
        }
    }
}

impl Unsent {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            counted: Mutex::default(),
        })
    }

    /// One text is half of all at most, so that it can be sent however large it is.
    fn size(&self, tail: &Bytes) -> usize {
        tail.len().min(self.most / 2)
    }

    /// Counts a frame; answers whether that is too much.
    fn add(&self, frame: &Frame) -> bool {
        let mut counted = self.counted();
        counted.bytes += frame.head.len();
        if !frame.tail.is_empty() {
            let frames = counted.tails.entry(address(&frame.tail)).or_default();
            *frames += 1;
            if *frames == 1 {
                counted.bytes += self.size(&frame.tail);
            }
        }
        counted.bytes > self.most
    }

    fn remove(&self, frame: &Frame) {
        let mut counted = self.counted();
        counted.bytes -= frame.head.len();
        if frame.tail.is_empty() {
            return;
        }
        let tail = address(&frame.tail);
        if let Some(frames) = counted.tails.get_mut(&tail) {
            *frames -= 1;
            if *frames == 0 {
                counted.tails.remove(&tail);
                counted.bytes -= self.size(&frame.tail);
            }
        }
    }

    fn is_too_much(&self) -> bool {
        self.counted().bytes > self.most
    }

    /// Whether there is no room for some more: to look for room takes time, and is not done for each message.
    fn is_nearly_too_much(&self) -> bool {
        self.counted().bytes > self.most - self.most / 8
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address(tail: &Bytes) -> usize {
    tail.as_ptr().addr()
}

impl Outboxes {
    /// Those for which so many bytes may wait.
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            unsent: Unsent::new(most),
            open: Mutex::default(),
        })
    }

    /// An outbox for a socket.
    pub(crate) fn open(self: &Arc<Self>) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox {
            queue: Mutex::new(Queue {
                frames: VecDeque::new(),
                bytes: 0,
                sending: Arc::default(),
                is_over: false,
                all: Arc::clone(&self.unsent),
                payer: None,
            }),
            told: Notify::new(),
            outboxes: Arc::clone(self),
        });
        let mut open = self.all();
        open.retain(|other| other.strong_count() > 0);
        open.push(Arc::downgrade(&outbox));
        drop(open);
        outbox
    }

    /// Ends outboxes until some more may wait again there: of those that are counted there, and of their payers, those with most.
    fn make_room(&self, unsent: &Arc<Unsent>) {
        let open = self.all();
        if !unsent.is_too_much() {
            return;
        }
        let mut payers: HashMap<Option<*const Unsent>, Holding> = HashMap::new();
        for outbox in open.iter().filter_map(Weak::upgrade) {
            let queue = outbox.queue();
            if queue.counts().any(|other| Arc::ptr_eq(other, unsent)) {
                let (payer, bytes) = (queue.payer.as_ref().map(Arc::as_ptr), queue.part_of(unsent));
                drop(queue);
                let holding = payers.entry(payer).or_default();
                holding.bytes += bytes;
                holding.outboxes.push((bytes, outbox));
            }
        }
        for holding in payers.values_mut() {
            holding.outboxes.sort_unstable_by_key(|(bytes, _)| *bytes);
        }
        while unsent.is_nearly_too_much()
            && let Some(holding) = payers.values_mut().max_by_key(|holding| holding.bytes)
            && let Some((bytes, outbox)) = holding.outboxes.pop()
        {
            holding.bytes -= bytes;
            outbox.end();
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Weak<Outbox>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn counts(&self) -> impl Iterator<Item = &Arc<Unsent>> {
        [&self.all].into_iter().chain(&self.payer)
    }

    fn all_frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().chain(self.sending.iter())
    }

    /// What would be counted there no more without this one; of a text that others have too, as much as each of them has.
    fn part_of(&self, unsent: &Unsent) -> usize {
        let counted = unsent.counted();
        let part = |frame: &Frame| {
            let frames = counted.tails.get(&address(&frame.tail));
            frame.head.len() + frames.map_or(0, |frames| unsent.size(&frame.tail) / frames)
        };
        self.all_frames().map(part).sum()
    }

    /// Takes a frame; answers where too much waits by it.
    fn push(&mut self, frame: Frame) -> Vec<Arc<Unsent>> {
        let is_first = self.frames.is_empty();
        let crowded = self
            .counts()
            .filter(|unsent| unsent.add(&frame))
            .cloned()
            .collect();
        self.bytes += frame.len();
        self.frames.push_back(frame);
        if self.frames.len() > MOST_FRAMES || self.bytes > MOST_BYTES && !is_first {
            self.finish();
        }
        crowded
    }

    /// What was taken last has been sent.
    fn sent(&mut self) {
        for frame in std::mem::take(&mut self.sending).iter() {
            self.counts().for_each(|unsent| unsent.remove(frame));
        }
    }

    fn finish(&mut self) {
        self.is_over = true;
        self.sent();
        self.sending = Arc::new(std::mem::take(&mut self.frames));
        self.sent();
    }
}

impl Outbox {
    /// What waits here is counted as that payer's, too.
    pub(crate) fn count_among(&self, payer: Arc<Unsent>) {
        let mut queue = self.queue();
        for frame in queue.all_frames() {
            payer.add(frame);
        }
        if let Some(before) = queue.payer.replace(payer) {
            queue.all_frames().for_each(|frame| before.remove(frame));
        }
    }

    /// Puts a message behind those that wait.
    pub fn put(&self, frame: impl Into<Frame>) {
        let mut queue = self.queue();
        if queue.is_over {
            return;
        }
        let crowded = queue.push(frame.into());
        drop(queue);
        self.told.notify_one();
        for unsent in crowded {
            self.outboxes.make_room(&unsent);
        }
    }

    /// The socket is over, or is to be: whatever waits for it is dropped.
    pub fn end(&self) {
        self.queue().finish();
        self.told.notify_one();
    }

    /// Takes all that waits; `None` once the socket is over. Only one may wait at a time, and what was taken before has been sent.
    pub async fn take(&self) -> Option<Arc<VecDeque<Frame>>> {
        loop {
            let told = self.told.notified();
            {
                let mut queue = self.queue();
                if queue.is_over {
                    return None;
                }
                queue.sent();
                if !queue.frames.is_empty() {
                    queue.bytes = 0;
                    queue.sending = Arc::new(std::mem::take(&mut queue.frames));
                    return Some(Arc::clone(&queue.sending));
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

    /// What was taken has been sent, and nothing else is asked for yet.
    #[cfg(test)]
    pub(crate) fn has_sent(&self) {
        self.queue().sent();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.queue().finish();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use futures_util::FutureExt as _;

    use super::*;

    /// What is there already.
    fn taken(outbox: &Outbox) -> Option<Arc<VecDeque<Frame>>> {
        outbox.take().now_or_never().flatten()
    }

    fn is_over(outbox: &Outbox) -> bool {
        outbox.over().now_or_never().is_some()
    }

    fn bytes(unsent: &Unsent) -> usize {
        unsent.counted().bytes
    }

    fn shared(tail: &Bytes) -> Frame {
        Frame {
            head: Bytes::from_static(b"{}"),
            tail: tail.clone(),
        }
    }

    #[test]
    fn whoever_takes_nothing_is_over_and_holds_nothing() {
        let outboxes = Outboxes::new(64 << 20);
        let outbox = outboxes.open();
        outbox.put(vec![b'x'; 8 << 20]);
        assert_eq!(taken(&outbox).unwrap().len(), 1, "a first one of any size");
        for _ in 0..MOST_FRAMES {
            outbox.put(b"{}".to_vec());
        }
        assert_eq!(taken(&outbox).unwrap().len(), MOST_FRAMES);
        outbox.put(vec![0; MOST_BYTES]);
        assert!(!is_over(&outbox));
        outbox.put(b"{}".to_vec());
        assert!(is_over(&outbox) && taken(&outbox).is_none());
        assert!(outbox.queue().frames.is_empty());
        assert_eq!(bytes(&outboxes.unsent), 0);
    }

    #[test]
    fn what_is_sent_is_counted_until_something_else_is_asked_for() {
        let outboxes = Outboxes::new(1 << 20);
        let outbox = outboxes.open();
        outbox.put(vec![0; 1000]);
        assert!(taken(&outbox).is_some());
        outbox.put(vec![0; 10]);
        assert_eq!(bytes(&outboxes.unsent), 1010);
        // Another user logs in on the socket.
        let [payer, other] = [(); 2].map(|()| Unsent::new(1 << 20));
        outbox.count_among(Arc::clone(&payer));
        outbox.count_among(Arc::clone(&other));
        assert_eq!([&payer, &other].map(|payer| bytes(payer)), [0, 1010]);
        assert!(taken(&outbox).is_some());
        assert_eq!([&outboxes.unsent, &other].map(|unsent| bytes(unsent)), [10, 10]);
        assert!(taken(&outbox).is_none());
        assert_eq!([&outboxes.unsent, &other].map(|unsent| bytes(unsent)), [0, 0]);
    }

    #[test]
    fn where_too_much_waits_for_all_whoever_has_most_makes_room_and_nobody_else() {
        let outboxes = Outboxes::new(1 << 20);
        let of = |payer: &Arc<Unsent>| {
            let outbox = outboxes.open();
            outbox.count_among(Arc::clone(payer));
            outbox
        };
        let [many, more, few] = [(); 3].map(|()| Unsent::new(1 << 20));
        let (first, second) = ([of(&many), of(&many)], [of(&more), of(&more)]);
        for (outbox, kilobytes) in first.iter().chain(&second).zip([200, 210, 250, 300]) {
            outbox.put(vec![0; kilobytes << 10]);
            assert!(taken(outbox).is_some(), "it is taken, and never sent");
        }
        let mine = of(&few);
        mine.put(vec![0; 100 << 10]);
        assert!(!is_over(&mine) && is_over(&second[1]));
        assert_eq!(taken(&mine).unwrap().len(), 1);
        assert!(first.iter().chain(&second[..1]).all(|outbox| !is_over(outbox)));
        // By now the other one has most.
        mine.put(vec![0; 300 << 10]);
        assert!(!is_over(&mine) && is_over(&first[1]));
        assert!(!is_over(&first[0]) && !is_over(&second[0]));
        drop((first, second, mine));
        assert_eq!(
            [&outboxes.unsent, &many, &more, &few].map(|unsent| bytes(unsent)),
            [0; 4]
        );
    }

    #[test]
    fn what_waits_for_one_payer_is_bounded_and_its_largest_ends() {
        let outboxes = Outboxes::new(64 << 20);
        let payer = Unsent::new(1 << 20);
        let of_payer = [(); 40].map(|()| {
            let outbox = outboxes.open();
            outbox.count_among(Arc::clone(&payer));
            outbox
        });
        let other = outboxes.open();
        other.put(vec![0; 2 << 20]);
        for outbox in &of_payer {
            // Some of it is being sent.
            outbox.put(vec![0; 40 << 10]);
            assert!(taken(outbox).is_some() || is_over(outbox));
            outbox.put(vec![0; 20 << 10]);
            assert!(bytes(&payer) <= 1 << 20);
        }
        let over = of_payer.iter().filter(|outbox| is_over(outbox)).count();
        assert!((20..30).contains(&over), "{over}");
        assert!(!is_over(&other));
    }

    #[test]
    fn what_is_shared_counts_once_until_the_last_has_it_no_more() {
        let outboxes = Outboxes::new(10 << 20);
        let payers = [(); 2].map(|()| Unsent::new(1 << 20));
        let of = |payer: usize| {
            let outbox = outboxes.open();
            outbox.count_among(Arc::clone(&payers[payer]));
            outbox
        };
        let count = || [&outboxes.unsent, &payers[0], &payers[1]].map(|unsent| bytes(unsent));
        let [first, second, third] = [0, 0, 1].map(of);
        let tail = Bytes::from(vec![0; 1000]);
        for outbox in [&first, &second, &third] {
            outbox.put(shared(&tail));
        }
        assert_eq!(count(), [1006, 1004, 1002]);
        let sent = taken(&first);
        drop(second);
        assert_eq!(count(), [1004, 1002, 1002], "it is being sent");
        drop((first, third, sent));
        assert_eq!(count(), [0, 0, 0]);
        assert!(outboxes.unsent.counted().tails.is_empty() && payers[0].counted().tails.is_empty());
        // One text may be larger than all that a payer may have, and those who have it in common make no room for another of their payer.
        let sharing = [0; 3].map(of);
        let tail = Bytes::from(vec![0; 3 << 20]);
        sharing.iter().for_each(|outbox| outbox.put(shared(&tail)));
        let greedy = of(0);
        greedy.put(vec![0; 600 << 10]);
        assert!(is_over(&greedy));
        assert!(sharing.iter().all(|outbox| !is_over(outbox)));
    }
}
