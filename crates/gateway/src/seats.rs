//! Who may stay connected when there are more connections than a listener has places for.
//!
//! A connection *waits* while nothing is being done for anybody who is known: between two requests, before its first head
//! is there, and while a stranger's body comes. When all places are taken, the connection that has waited longest is
//! closed for a new one; and of several peers, one of the peer that has most connections waiting, so that whoever opens
//! hundreds of them closes their own. What works is never closed: if all do, new connections wait in the listen queue.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The places of one listener.
#[derive(Debug)]
pub(crate) struct Seats {
    free: Arc<Semaphore>,
    many: u32,
    waiting: Mutex<WaitingSeats>,
    /// Is told when a connection begins to wait.
    began_waiting: Notify,
}

/// The connections that wait, by peer, in the order in which they began to.
#[derive(Debug, Default)]
struct WaitingSeats {
    next: u64,
    peers: HashMap<IpAddr, BTreeMap<u64, Arc<Leaving>>>,
}

/// How a connection learns that it has to go.
#[derive(Debug, Default)]
struct Leaving {
    told: AtomicBool,
    wake: Notify,
}

/// One connection's place. Clones are the same place.
#[derive(Clone, Debug)]
pub(crate) struct Seat(Arc<SeatState>);

#[derive(Debug)]
struct SeatState {
    seats: Arc<Seats>,
    peer: IpAddr,
    leaving: Arc<Leaving>,
    /// Its number among those that wait.
    number: Mutex<Option<u64>>,
    /// Given back when the last that concerns the connection is gone.
    _place: OwnedSemaphorePermit,
}

/// As long as this is there, the connection works.
#[derive(Debug)]
pub(crate) struct Working(Seat);

/// As long as this is there, the connection waits.
#[derive(Debug)]
pub(crate) struct Waiting(Seat);

impl Seats {
    /// Places for so many connections.
    pub(crate) fn new(many: usize) -> Arc<Self> {
        let many = u32::try_from(many.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        Arc::new(Self {
            free: Arc::new(Semaphore::new(many as usize)),
            many,
            waiting: Mutex::default(),
            began_waiting: Notify::new(),
        })
    }

    /// A place for a connection of `peer`, which waits for its first request. Closes another connection where none is
    /// free; where all work, it takes until one does not.
    pub(crate) async fn take(self: &Arc<Self>, peer: IpAddr) -> Seat {
        let place = loop {
            if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
                break place;
            }
            let closed = self.close_one();
            tokio::select! {
                biased;
                Ok(place) = Arc::clone(&self.free).acquire_owned() => break place,
                () = self.began_waiting.notified(), if !closed => {}
            }
        };
        let seat = Seat(Arc::new(SeatState {
            seats: Arc::clone(self),
            peer: network(peer),
            leaving: Arc::default(),
            number: Mutex::default(),
            _place: place,
        }));
        seat.set_waiting();
        seat
    }

    /// Resolves when no connection is left.
    pub(crate) async fn empty(&self) {
        let _ = self.free.acquire_many(self.many).await;
    }

    /// Tells the connection to go that has waited longest, of the peer with most that wait. Answers whether there was one.
    fn close_one(&self) -> bool {
        let mut waiting = self.waiting();
        let Some((peer, seats)) = waiting.peers.iter_mut().max_by_key(|(_, seats)| seats.len()) else {
            return false;
        };
        let (peer, oldest) = (*peer, seats.pop_first());
        if seats.is_empty() {
            waiting.peers.remove(&peer);
        }
        if let Some((_, leaving)) = oldest {
            leaving.told.store(true, Ordering::Relaxed);
            leaving.wake.notify_one();
        }
        true
    }

    fn waiting(&self) -> MutexGuard<'_, WaitingSeats> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The connection works from now on, until what is given back is dropped.
    pub(crate) fn work(self) -> Working {
        self.set_working();
        Working(self)
    }

    /// The connection, which works, waits from now on, until what is given back is dropped.
    pub(crate) fn wait(self) -> Waiting {
        self.set_waiting();
        Waiting(self)
    }

    /// Resolves when the connection has to go.
    pub(crate) async fn told_to_leave(&self) {
        self.0.leaving.wake.notified().await;
    }

    fn set_waiting(&self) {
        let state = &*self.0;
        let mut number = state.number();
        if number.is_some() || state.leaving.told.load(Ordering::Relaxed) {
            return;
        }
        let mut waiting = state.seats.waiting();
        waiting.next += 1;
        let next = waiting.next;
        let seats = waiting.peers.entry(state.peer).or_default();
        seats.insert(next, Arc::clone(&state.leaving));
        *number = Some(next);
        drop(waiting);
        state.seats.began_waiting.notify_one();
    }

    fn set_working(&self) {
        self.0.stand_up();
    }
}

impl SeatState {
    fn number(&self) -> MutexGuard<'_, Option<u64>> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is no longer among those that wait.
    fn stand_up(&self) {
        let Some(number) = self.number().take() else {
            return;
        };
        let mut waiting = self.seats.waiting();
        if let Some(seats) = waiting.peers.get_mut(&self.peer) {
            seats.remove(&number);
            if seats.is_empty() {
                waiting.peers.remove(&self.peer);
            }
        }
    }
}

impl Drop for SeatState {
    fn drop(&mut self) {
        self.stand_up();
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.set_waiting();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.set_working();
    }
}

/// Whom an address stands for: of IPv6 the network of 64 bits, all of which one subscriber has.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    /// What a future gives without being waited for.
    fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    fn peer(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn whoever_waits_longest_goes_first() {
        let seats = Seats::new(2);
        let first = now(seats.take(peer(1))).unwrap();
        let second = now(seats.take(peer(1))).unwrap();
        // It was served meanwhile, and waits for less long than the other.
        drop(first.clone().work());
        {
            let mut third = pin!(seats.take(peer(1)));
            assert!(
                third
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_pending()
            );
            assert!(now(first.told_to_leave()).is_none());
            assert!(now(second.told_to_leave()).is_some());
            drop(second);
            assert!(
                third
                    .as_mut()
                    .poll(&mut Context::from_waker(Waker::noop()))
                    .is_ready()
            );
        }
        drop(first);
        assert!(now(seats.empty()).is_some() && seats.waiting().peers.is_empty());
    }

    #[test]
    fn whoever_has_many_closes_their_own() {
        let seats = Seats::new(3);
        let quiet = now(seats.take(peer(1))).unwrap();
        let greedy = [(); 2].map(|()| now(seats.take(peer(2))).unwrap());
        assert!(now(seats.take(peer(3))).is_none());
        assert!(
            now(quiet.told_to_leave()).is_none(),
            "it waited longest, and is alone"
        );
        assert!(now(greedy[0].told_to_leave()).is_some());
    }

    #[test]
    fn what_works_stays() {
        let seats = Seats::new(1);
        let seat = now(seats.take(peer(1))).unwrap();
        let working = seat.clone().work();
        let mut next = pin!(seats.take(peer(2)));
        let mut poll = || {
            next.as_mut()
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_ready()
        };
        assert!(!poll() && now(seat.told_to_leave()).is_none());
        // A stranger's body: closed by whoever waits already.
        let waiting = seat.clone().wait();
        assert!(!poll() && now(seat.told_to_leave()).is_some());
        drop((waiting, working, seat));
        assert!(poll());
    }

    #[test]
    fn an_ipv6_subscriber_is_one_peer() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), peer(1));
    }
}
