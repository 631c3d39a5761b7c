//! Who may stay connected when there are more connections than a listener has places for.
//!
//! A connection *waits* while nothing is being done for anybody who is known: between two requests, before its first head
//! is there, and while a stranger's body comes. When all places are taken, the connection that has waited longest is
//! closed for a new one; and of several peers, one of the peer that has most connections waiting, so that whoever opens
//! hundreds of them closes their own. What works is never closed: if all do, new connections wait in the listen queue.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The places of one listener.
#[derive(Debug)]
pub(crate) struct Seats {
    free: Arc<Semaphore>,
    many: u32,
    /// The connections that are there, by their numbers. They are looked through only when a place is needed and none is free.
    taken: Mutex<HashMap<u64, Arc<Place>>>,
    numbers: AtomicU64,
    /// How often a connection began to wait.
    turns: AtomicU64,
    /// Is told when a connection begins to wait.
    began_waiting: Notify,
}

/// What a connection is doing, and how it learns that it has to go. A request changes no more than a number here.
#[derive(Debug)]
struct Place {
    peer: IpAddr,
    /// The turn at which it began to wait; [`WORKS`] while it works.
    since: AtomicU64,
    told: AtomicBool,
    wake: Notify,
}

/// In place of a turn.
const WORKS: u64 = u64::MAX;

/// One connection's place. Clones are the same place.
#[derive(Clone, Debug)]
pub(crate) struct Seat(Arc<SeatState>);

#[derive(Debug)]
struct SeatState {
    seats: Arc<Seats>,
    number: u64,
    place: Arc<Place>,
    /// Given back when the last that concerns the connection is gone.
    _permit: OwnedSemaphorePermit,
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
            taken: Mutex::default(),
            numbers: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            began_waiting: Notify::new(),
        })
    }

    /// A place for a connection of `peer`, which waits for its first request. Closes another connection where none is
    /// free; where all work, it takes until one does not.
    pub(crate) async fn take(self: &Arc<Self>, peer: IpAddr) -> Seat {
        let permit = loop {
            if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
                break permit;
            }
            let closed = self.close_one();
            tokio::select! {
                biased;
                Ok(permit) = Arc::clone(&self.free).acquire_owned() => break permit,
                () = self.began_waiting.notified(), if !closed => {}
            }
        };
        let place = Arc::new(Place {
            peer: network(peer),
            since: AtomicU64::new(WORKS),
            told: AtomicBool::new(false),
            wake: Notify::new(),
        });
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        self.taken().insert(number, Arc::clone(&place));
        let seat = Seat(Arc::new(SeatState {
            seats: Arc::clone(self),
            number,
            place,
            _permit: permit,
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
        let taken = self.taken();
        let mut peers: HashMap<IpAddr, (usize, u64, &Place)> = HashMap::new();
        for place in taken.values() {
            let since = place.since.load(Ordering::Relaxed);
            if since == WORKS {
                continue;
            }
            let (count, oldest, which) = peers.entry(place.peer).or_insert((0, since, place));
            *count += 1;
            if since < *oldest {
                (*oldest, *which) = (since, place);
            }
        }
        let greediest = peers
            .into_values()
            .max_by_key(|(count, oldest, _)| (*count, Reverse(*oldest)));
        let Some((.., place)) = greediest else {
            return false;
        };
        place.told.store(true, Ordering::Relaxed);
        place.since.store(WORKS, Ordering::Relaxed);
        place.wake.notify_one();
        true
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u64, Arc<Place>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
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
        self.0.place.wake.notified().await;
    }

    /// One that was told to leave is not told again.
    fn set_waiting(&self) {
        let SeatState { seats, place, .. } = &*self.0;
        if place.since.load(Ordering::Relaxed) != WORKS || place.told.load(Ordering::Relaxed) {
            return;
        }
        let turn = seats.turns.fetch_add(1, Ordering::Relaxed);
        place.since.store(turn, Ordering::Relaxed);
        seats.began_waiting.notify_one();
    }

    fn set_working(&self) {
        self.0.place.since.store(WORKS, Ordering::Relaxed);
    }
}

impl Drop for SeatState {
    fn drop(&mut self) {
        self.seats.taken().remove(&self.number);
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
        assert!(now(seats.empty()).is_some() && seats.taken().is_empty());
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
