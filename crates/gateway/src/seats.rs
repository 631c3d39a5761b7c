//! Who may stay connected when there are more connections than a listener has places for.
//!
//! A connection *waits* while nothing is being done for anybody who is known: between two requests, before its first head
//! is there, and while a stranger's body comes. When all places are taken, the connection that has waited longest is
//! closed for a new one; and of several peers, one of the peer that has most connections waiting, so that whoever opens
//! hundreds of them closes their own. What works is not closed: if all do, new connections wait in the listen queue. A reply that is
//! there, and of which its client takes nothing for a while, is no work any more.

use std::{
    cmp::Reverse,
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

/// For how long a client may take nothing of its reply while others wait for a place. It takes some 256 KB at a time.
const SLOW_FOR: Duration = Duration::from_secs(5);
/// How often those who wait for a place look whether one is slower.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
    /// Since when a piece of its reply waits for the client to take it.
    offered: Mutex<Option<Instant>>,
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
                () = tokio::time::sleep(LOOK_EVERY), if !closed => {}
            }
        };
        let place = Arc::new(Place {
            peer: network(peer),
            since: AtomicU64::new(WORKS),
            offered: Mutex::default(),
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
        let now = Instant::now();
        let mut peers: HashMap<IpAddr, (usize, Idleness, &Place)> = HashMap::new();
        for place in taken.values() {
            let Some(idleness) = place.idleness(now) else {
                continue;
            };
            let (count, longest, which) = peers.entry(place.peer).or_insert((0, idleness, place));
            *count += 1;
            if idleness < *longest {
                (*longest, *which) = (idleness, place);
            }
        }
        let greediest = peers
            .into_values()
            .max_by_key(|(count, longest, _)| (*count, Reverse(*longest)));
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

/// Why a connection may be closed for another; the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Idleness {
    /// It waits since this turn.
    Waits(u64),
    /// Its client takes nothing since then.
    TakesNothing(Instant),
}

impl Place {
    fn idleness(&self, now: Instant) -> Option<Idleness> {
        let since = self.since.load(Ordering::Relaxed);
        if since != WORKS {
            return Some(Idleness::Waits(since));
        }
        let offered = self.offered()?;
        let is_slow = now.saturating_duration_since(offered) >= SLOW_FOR;
        (is_slow && !self.told.load(Ordering::Relaxed)).then_some(Idleness::TakesNothing(offered))
    }

    fn offered(&self) -> Option<Instant> {
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Notes whether the client has a piece of its reply to take from now on. A body that has nothing to give keeps nobody waiting.
    pub(crate) fn offer(&self, offered: bool) {
        let mut place = self
            .0
            .place
            .offered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *place = offered.then(Instant::now);
    }

    /// Resolves when the client has taken nothing for so long.
    pub(crate) async fn took_nothing_for(&self, most: Duration) {
        loop {
            match self.0.place.offered().map(|since| since + most) {
                Some(end) if end <= Instant::now() => return,
                Some(end) => tokio::time::sleep_until(end).await,
                None => tokio::time::sleep(most).await,
            }
        }
    }

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

    #[tokio::test]
    async fn whoever_waits_longest_goes_first() {
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

    #[tokio::test]
    async fn whoever_has_many_closes_their_own() {
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

    #[tokio::test]
    async fn what_works_stays() {
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

    /// Its seat goes to others, and not before it is clear that nothing is taken.
    #[tokio::test(start_paused = true)]
    async fn a_reply_that_nobody_takes_keeps_nobody_out() {
        let seats = Seats::new(2);
        let slow = now(seats.take(peer(1))).unwrap();
        let quick = now(seats.take(peer(1))).unwrap();
        let _working = [&slow, &quick].map(|seat| seat.clone().work());
        slow.offer(true);
        let asked = Instant::now();
        let taking = async {
            loop {
                quick.offer(true);
                tokio::time::sleep(SLOW_FOR / 2).await;
            }
        };
        tokio::select! {
            () = slow.told_to_leave() => {}
            () = quick.told_to_leave() => panic!("it takes what it is given"),
            _ = seats.take(peer(2)) => panic!("nobody left"),
            () = taking => {}
        }
        let waited = asked.elapsed();
        assert!(
            waited >= SLOW_FOR && waited <= SLOW_FOR + LOOK_EVERY,
            "{waited:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_takes_nothing_is_found_out() {
        let seat = now(Seats::new(1).take(peer(1))).unwrap();
        let never = Duration::from_secs(3600);
        assert!(
            now(seat.took_nothing_for(Duration::ZERO)).is_none(),
            "nothing is offered"
        );
        seat.offer(true);
        assert!(now(seat.took_nothing_for(never)).is_none());
        seat.took_nothing_for(never).await;
        seat.offer(false);
        assert!(now(seat.took_nothing_for(Duration::ZERO)).is_none());
    }

    #[test]
    fn an_ipv6_subscriber_is_one_peer() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), peer(1));
    }
}
