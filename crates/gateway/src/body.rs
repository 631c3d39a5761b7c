//! Reading a request's body within bounds.
//!
//! Each door names a [`BodyPolicy`]: how many bytes it takes, within which time all of them have to be there, of which
//! type they are, and whether their sender is known by then. A stranger's body is small, and needs nothing that others
//! need; while it is waited for, its connection may be closed in favour of another (`listen`). A large body of somebody
//! who is known takes [`Room`] out of one budget for all, of which nobody gets more than a part; and one that comes too slowly gives
//! way when others wait for room.
//!
//! What is not wanted is read and thrown away within bounds of its own, so that the client sees the answer instead of
//! a broken connection.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_TYPE, EXPECT},
};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use crate::{failure::Failure, listen::Seat};

/// The largest body of a call: the platform's synchronous event limit (SCF: 6 MB).
pub(crate) const LARGEST_CALL: usize = 6 << 20;
/// The largest body that a stranger may send; so much needs no room in the budget.
pub(crate) const LARGEST_OF_STRANGER: usize = 16 << 10;
/// A body that is not wanted is read and dropped up to here; past it the connection is closed.
const DRAIN_LIMIT: usize = 32 << 20;
/// Nor is it read for longer than this.
const DRAIN_WITHIN: Duration = Duration::from_secs(30);
/// From this size on a body needs room in the budget.
const LARGE: usize = 64 << 10;
/// What the budget counts in.
const UNIT: usize = 64 << 10;
/// Bytes of large bodies that may be held at once: 32 of the largest calls.
pub(crate) const BUDGET: usize = 192 << 20;
/// A body that has room may come as slowly as it likes for so long while others wait for theirs...
const SLOW_FOR: Duration = Duration::from_secs(5);
/// ...and longer as far as so many bytes of it come in each second.
const LEAST: usize = 64 << 10;
/// How often those who wait look whether one is slower.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What a door takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyPolicy {
    /// Bytes at most.
    pub(crate) most: usize,
    /// The time from the head to the last byte, waiting for room in the budget included.
    pub(crate) within: Duration,
    /// What the body has to be.
    pub(crate) content: Content,
    /// How many times its size a body is held while it is made into what the door wants: as much room it takes.
    pub(crate) times: usize,
}

/// The type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// `application/json`, which no page of another origin can send without asking first.
    Json,
    /// Whatever it is.
    Any,
}

/// Who sends a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BodySender<'a> {
    /// Nobody knows: the body itself has to tell.
    Stranger,
    /// Somebody who has proved who they are; of one name, one share of the budget.
    Known(&'a str),
    /// Nobody knows, and yet the body may be large; of one name, which is a network's, one share of the budget.
    Visitor(&'a str),
}

impl BodyPolicy {
    /// # Errors
    /// 400 when the head says that the body is of another type.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Failure> {
        match self.content {
            Content::Json if !is_json(headers) => Err(Failure::malformed(
                "this path takes JSON: send the header `content-type: application/json`",
            )),
            _ => Ok(()),
        }
    }

    fn too_large(&self, bytes: usize) -> Failure {
        match self.most {
            most if most >= LARGEST_CALL => Failure::too_large(format!(
                "the request body is over {} MB; send large data to storage and pass its address",
                most >> 20
            )),
            // Too large for any door, which has a status of its own; and too large for what this one is for.
            most if bytes > LARGEST_CALL => {
                Failure::too_large(format!("the request body is over {} KB", most >> 10))
            }
            most => Failure::malformed(format!(
                "the request body is over {} KB, which is the most that this path takes",
                most >> 10
            )),
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// A body that was read whole.
pub(crate) struct Whole<'a> {
    pub(crate) bytes: Bytes,
    /// To be held for as long as anything of the body's size is: the bytes, or the event made of them.
    pub(crate) permit: Option<Room<'a>>,
}

impl<'a> Whole<'a> {
    /// Has it take room for so many bytes, if there is any now: nobody waits with a body in their hands.
    ///
    /// # Errors
    /// 429: there is none.
    pub(crate) fn hold(&mut self, bytes: usize, name: &str, budget: &'a Budget) -> Result<(), Failure> {
        let held = match &mut self.permit {
            Some(room) => room.resize(bytes),
            None if bytes <= LARGE => true,
            none => {
                *none = budget.try_room(name, bytes);
                none.is_some()
            }
        };
        match held {
            true => Ok(()),
            false => Err(no_room()),
        }
    }
}

fn no_room() -> Failure {
    Failure::too_many("too many large request bodies at a time", 1)
}

/// A body that is still to come.
pub(crate) struct UnreadBody {
    incoming: Incoming,
    /// The connection by which it comes.
    seat: Option<Seat>,
    /// Bytes of it that have come.
    read: usize,
    /// It is large, and waits for room.
    wants_room: bool,
    /// Its sender waits to be told that it is wanted (`Expect: 100-continue`), which the first read of it does.
    is_held_back: bool,
}

impl UnreadBody {
    /// The body of a request that came by this connection.
    pub(crate) fn new(incoming: Incoming, seat: Option<Seat>, headers: &HeaderMap) -> Self {
        let expected = headers.get(EXPECT).map(HeaderValue::as_bytes);
        Self {
            incoming,
            seat,
            read: 0,
            wants_room: false,
            is_held_back: expected.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue")),
        }
    }

    /// Reads the body to its end.
    ///
    /// # Errors
    /// 413 when it is over 6 MB and more than the door takes, 400 when it is more than the door takes, ends early or is
    /// not there in time, 429 when there is no room for it.
    pub(crate) async fn read<'a>(
        &mut self,
        policy: &BodyPolicy,
        sender: BodySender<'_>,
        budget: &'a Budget,
    ) -> Result<Whole<'a>, Failure> {
        // Whoever waits for a stranger lets go of the connection when it is needed.
        let _waiting = match sender {
            BodySender::Stranger | BodySender::Visitor(_) => self.seat.clone().map(Seat::wait),
            BodySender::Known(_) => None,
        };
        let whole = timeout(policy.within, self.read_whole(policy, sender, budget)).await;
        whole.unwrap_or_else(|_| {
            if self.wants_room {
                return Err(no_room());
            }
            // What is still to come is not waited for either.
            self.read = usize::MAX;
            Err(Failure::malformed(format!(
                "the request body was not there within {} seconds",
                policy.within.as_secs()
            )))
        })
    }

    async fn read_whole<'a>(
        &mut self,
        policy: &BodyPolicy,
        sender: BodySender<'_>,
        budget: &'a Budget,
    ) -> Result<Whole<'a>, Failure> {
        let announced = self.incoming.size_hint();
        let at_least = usize::try_from(announced.lower()).unwrap_or(usize::MAX);
        if at_least > policy.most {
            return Err(policy.too_large(at_least));
        }
        let Some(first) = self.next().await? else {
            return Ok(Whole {
                bytes: Bytes::new(),
                permit: None,
            });
        };
        // The common case: the whole body came with the head, and nothing is copied.
        if self.incoming.is_end_stream() && first.len() <= policy.most {
            return Ok(Whole {
                bytes: first,
                permit: None,
            });
        }
        debug_assert!(
            !matches!(sender, BodySender::Stranger) || policy.most <= LARGEST_OF_STRANGER,
            "what a stranger sends takes no room, and so is small"
        );
        let mut whole = BytesMut::from(first);
        let mut permit: Option<Room<'_>> = None;
        loop {
            let next = match &permit {
                Some(room) => tokio::select! {
                    biased;
                    next = self.next() => next,
                    () = room.gives_way() => {
                        // What is still to come is not waited for either.
                        self.read = usize::MAX;
                        return Err(Failure::too_many("the request body came too slowly, and others waited", 1));
                    }
                },
                None => self.next().await,
            };
            let Some(chunk) = next? else { break };
            let length = whole.len() + chunk.len();
            if length > policy.most {
                drop((whole, chunk, permit));
                self.discard_to(LARGEST_CALL).await;
                return Err(policy.too_large(self.read));
            }
            let share = match sender {
                BodySender::Stranger => None,
                BodySender::Known(name) => Some((name, LARGE)),
                BodySender::Visitor(name) => Some((name, LARGEST_OF_STRANGER)),
            };
            if let (None, Some((name, large))) = (&permit, share)
                && length > large
            {
                let size = announced.exact().and_then(|exact| usize::try_from(exact).ok());
                self.wants_room = true;
                let size = policy.times * size.unwrap_or(policy.most);
                permit = Some(budget.take(name, size).await?);
                self.wants_room = false;
            }
            if let Some(room) = &permit {
                room.came(chunk.len());
            }
            whole.extend_from_slice(&chunk);
        }
        if let Some(room) = &mut permit {
            room.is_whole();
        }
        Ok(Whole {
            bytes: whole.freeze(),
            permit,
        })
    }

    /// Reads what is left of the body and drops it, so that a reply given early is seen. Of a body that is held back nothing has come, and
    /// its sender waits for the reply.
    pub(crate) async fn discard(&mut self) {
        if self.is_held_back {
            return;
        }
        let _waiting = self.seat.clone().map(Seat::wait);
        let _ = timeout(DRAIN_WITHIN, self.discard_to(DRAIN_LIMIT)).await;
    }

    async fn discard_to(&mut self, limit: usize) {
        while self.read <= limit && matches!(self.next().await, Ok(Some(_))) {}
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        self.is_held_back = false;
        loop {
            let frame = match self.incoming.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => frame,
                Some(Err(_)) => return Err(Failure::malformed("the request body ended early")),
            };
            if let Ok(data) = frame.into_data() {
                self.read = self.read.saturating_add(data.len());
                return Ok(Some(data));
            }
        }
    }
}

/// As it comes, for a door that holds nothing of it.
impl Body for UnreadBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.is_held_back = false;
        let polled = Pin::new(&mut self.incoming).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let length = frame.data_ref().map_or(0, Bytes::len);
            self.read = self.read.saturating_add(length);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// The memory that large bodies may take together. Those who send them wait for it in their order.
#[derive(Debug)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    /// Bytes that one sender may have.
    of_one: usize,
    shares: Mutex<HashMap<String, Share>>,
    /// Bodies that have room and are not whole.
    coming: Mutex<Vec<Arc<ComingBody>>>,
}

/// What one sender may have of it; there as long as one of their bodies has room or waits for it.
#[derive(Debug)]
struct Share {
    units: Arc<Semaphore>,
    bodies: usize,
}

/// A body that has room, and how quickly it comes.
#[derive(Debug)]
struct ComingBody {
    /// Its sender.
    name: String,
    /// When it got its room.
    since: Instant,
    /// Bytes of it that came since.
    bytes: AtomicUsize,
    /// It is told to give way.
    is_told: AtomicBool,
    told: Notify,
}

/// What a large body takes of the [`Budget`], until it is dropped.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    of_all: OwnedSemaphorePermit,
    of_one: OwnedSemaphorePermit,
    coming: Option<Arc<ComingBody>>,
    holder: Holder<'a>,
}

/// The same for what outlives whoever asked for it: a reply on its way.
#[derive(Debug)]
pub(crate) struct ReplyRoom {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
    budget: Arc<Budget>,
    name: String,
}

/// A body in its sender's share.
#[derive(Debug)]
struct Holder<'a> {
    budget: &'a Budget,
    name: String,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(BUDGET)
    }
}

impl Budget {
    /// So many bytes for all, and a quarter of them for each sender.
    pub(crate) fn of(bytes: usize) -> Self {
        Self {
            units: Arc::new(Semaphore::new(bytes / UNIT)),
            of_one: bytes / 4,
            shares: Mutex::default(),
            coming: Mutex::default(),
        }
    }

    /// Waits for room for so many bytes: first in the sender's share, then in all. Meanwhile those give way who are slow.
    async fn take(&self, name: &str, bytes: usize) -> Result<Room<'_>, Failure> {
        let units = in_units(bytes);
        let (holder, own) = self.share(name);
        let of_one = self.wait_for(&own, units, Some(name)).await?;
        let of_all = self.wait_for(&self.units, units, None).await?;
        let coming = Arc::new(ComingBody {
            name: name.to_owned(),
            since: Instant::now(),
            bytes: AtomicUsize::new(0),
            is_told: AtomicBool::new(false),
            told: Notify::new(),
        });
        self.coming().push(Arc::clone(&coming));
        Ok(Room {
            of_all,
            of_one,
            coming: Some(coming),
            holder,
        })
    }

    /// Waits for so many of these units, which bodies of this sender have, or of any.
    async fn wait_for(
        &self,
        units: &Arc<Semaphore>,
        many: u32,
        of: Option<&str>,
    ) -> Result<OwnedSemaphorePermit, Failure> {
        let taking = Arc::clone(units).acquire_many_owned(many);
        tokio::pin!(taking);
        loop {
            tokio::select! {
                biased;
                // Nobody closes them.
                taken = &mut taking => return taken.map_err(|_| Failure::internal()),
                () = tokio::time::sleep(LOOK_EVERY) => self.let_one_give_way(of),
            }
        }
    }

    /// Tells the slowest body to give way, of this sender's or of all, if there is one that is too slow.
    fn let_one_give_way(&self, of: Option<&str>) {
        let coming = self.coming();
        let slow = coming.iter().filter(|body| {
            let is_meant = of.is_none_or(|name| body.name == name);
            is_meant && !body.is_told.load(Ordering::Relaxed)
        });
        let slowest = slow.max_by_key(|body| body.lag());
        if let Some(body) = slowest.filter(|body| body.lag() > SLOW_FOR) {
            body.is_told.store(true, Ordering::Relaxed);
            body.told.notify_one();
        }
    }

    /// Room for a body that is whole, if there is any now.
    fn try_room(&self, name: &str, bytes: usize) -> Option<Room<'_>> {
        let units = in_units(bytes);
        let (holder, own) = self.share(name);
        let of_one = own.try_acquire_many_owned(units).ok()?;
        let of_all = Arc::clone(&self.units).try_acquire_many_owned(units).ok()?;
        Some(Room {
            of_all,
            of_one,
            coming: None,
            holder,
        })
    }

    /// Room for so many bytes, if there is any now: nobody waits with a reply in their hands.
    pub(crate) fn try_take(self: &Arc<Self>, name: &str, bytes: usize) -> Option<ReplyRoom> {
        let units = in_units(bytes);
        let own = self.enter(name);
        let Some((of_one, of_all)) = own
            .try_acquire_many_owned(units)
            .ok()
            .zip(Arc::clone(&self.units).try_acquire_many_owned(units).ok())
        else {
            self.leave(name);
            return None;
        };
        Some(ReplyRoom {
            _of_all: of_all,
            _of_one: of_one,
            budget: Arc::clone(self),
            name: name.to_owned(),
        })
    }

    /// One body less in a sender's share.
    fn leave(&self, name: &str) {
        let mut shares = self.shares();
        if let Some(share) = shares.get_mut(name) {
            share.bodies -= 1;
            if share.bodies == 0 {
                shares.remove(name);
            }
        }
    }

    fn share(&self, name: &str) -> (Holder<'_>, Arc<Semaphore>) {
        let own = self.enter(name);
        let holder = Holder {
            budget: self,
            name: name.to_owned(),
        };
        (holder, own)
    }

    /// One body more in a sender's share, until it [leaves](Self::leave).
    fn enter(&self, name: &str) -> Arc<Semaphore> {
        let mut shares = self.shares();
        let share = shares.entry(name.to_owned()).or_insert_with(|| Share {
            units: Arc::new(Semaphore::new(self.of_one / UNIT)),
            bodies: 0,
        });
        share.bodies += 1;
        Arc::clone(&share.units)
    }

    fn shares(&self) -> MutexGuard<'_, HashMap<String, Share>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn coming(&self) -> MutexGuard<'_, Vec<Arc<ComingBody>>> {
        self.coming.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

impl ComingBody {
    /// By how much it is behind one that comes as quickly as is asked.
    fn lag(&self) -> Duration {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let allowed = Duration::from_secs_f64(bytes as f64 / LEAST as f64);
        self.since.elapsed().saturating_sub(allowed)
    }
}

impl Room<'_> {
    /// So many bytes more of the body are there.
    fn came(&self, bytes: usize) {
        if let Some(coming) = &self.coming {
            coming.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Resolves when the body is to give way.
    async fn gives_way(&self) {
        match &self.coming {
            Some(coming) => coming.told.notified().await,
            None => std::future::pending().await,
        }
    }

    /// All of the body is there: it is waited for no more, and gives way to nobody.
    fn is_whole(&mut self) {
        if let Some(gone) = self.coming.take() {
            let mut coming = self.holder.budget.coming();
            coming.retain(|body| !Arc::ptr_eq(body, &gone));
        }
    }

    /// Has it be so large. What it is to have more it gets now, or it stays as it is; answers whether it is so large.
    pub(crate) fn resize(&mut self, bytes: usize) -> bool {
        let (units, has) = (in_units(bytes) as usize, self.of_all.num_permits());
        if units <= has {
            drop((self.of_all.split(has - units), self.of_one.split(has - units)));
            return true;
        }
        let more = u32::try_from(units - has).unwrap_or(u32::MAX);
        let try_more = |permit: &OwnedSemaphorePermit| {
            let semaphore = Arc::clone(permit.semaphore());
            semaphore.try_acquire_many_owned(more).ok()
        };
        let Some((of_all, of_one)) = try_more(&self.of_all).zip(try_more(&self.of_one)) else {
            return false;
        };
        self.of_all.merge(of_all);
        self.of_one.merge(of_one);
        true
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.is_whole();
    }
}

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        self.budget.leave(&self.name);
    }
}

impl Drop for ReplyRoom {
    fn drop(&mut self) {
        self.budget.leave(&self.name);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::unwrap_used)]
    use super::*;

    /// What one sender may hold.
    const BUDGET_OF_ONE: usize = BUDGET / 4;

    /// What a future gives without being waited for.
    async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            value = future => Some(value),
            () = std::future::ready(()) => None,
        }
    }

    #[tokio::test]
    async fn nobody_gets_more_than_a_part_of_the_budget() {
        let budget = Budget::default();
        let mut rooms = Vec::new();
        for _ in 0..BUDGET_OF_ONE / LARGEST_CALL {
            rooms.push(budget.take("alice", LARGEST_CALL).await.unwrap());
        }
        assert!(now(budget.take("alice", LARGE)).await.is_none(), "it waits");
        drop(budget.take("bob", LARGEST_CALL).await.unwrap());
        rooms.pop();
        rooms.push(budget.take("alice", LARGEST_CALL).await.unwrap());
        drop(rooms);
        assert!(
            budget.shares().is_empty(),
            "nothing is left of those who are done"
        );
        assert_eq!(budget.units.available_permits(), BUDGET / UNIT);
    }

    #[test]
    fn replies_have_room_at_once_or_not_at_all() {
        let budget = Arc::new(Budget::of(16 * UNIT));
        let first = budget.try_take("alice", 3 * UNIT + 1).unwrap();
        assert!(budget.try_take("alice", 1).is_none(), "a quarter is one sender's");
        let second = budget.try_take("bob", UNIT).unwrap();
        drop((first, second));
        assert!(budget.shares().is_empty() && budget.units.available_permits() == 16);
    }

    /// Four senders have all there is, and nothing more comes of their bodies but of one, which is quick enough.
    #[tokio::test(start_paused = true)]
    async fn whoever_is_slow_gives_way_to_others() {
        let budget = Arc::new(Budget::default());
        let mut senders = Vec::new();
        for (name, is_quick) in [("a", false), ("b", true), ("c", false), ("d", false)] {
            let budget = Arc::clone(&budget);
            let has_room = Arc::new(Notify::new());
            let told = Arc::clone(&has_room);
            let sender = tokio::spawn(async move {
                let room = budget.take(name, BUDGET_OF_ONE).await.unwrap();
                told.notify_one();
                let comes = async {
                    loop {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        room.came(if is_quick { LEAST } else { 1 });
                    }
                };
                tokio::select! {
                    () = room.gives_way() => {}
                    () = comes => {}
                }
            });
            has_room.notified().await;
            senders.push(sender);
        }
        // Nobody waits, so nobody gives way.
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(senders.iter().all(|sender| !sender.is_finished()));
        for name in ["e", "f", "g"] {
            let patience = Duration::from_secs(10);
            let room = timeout(patience, budget.take(name, BUDGET_OF_ONE)).await;
            let mut room = room.expect("the slow give way").unwrap();
            room.is_whole();
            std::mem::forget(room);
        }
        let more = timeout(Duration::from_secs(10), budget.take("h", LARGE)).await;
        assert!(more.is_err(), "neither a quick one nor a whole one gives way");
        assert!(!senders[1].is_finished());
    }

    /// Their own is what they have to wait for; the others' is not touched.
    #[tokio::test(start_paused = true)]
    async fn nobody_gives_way_to_who_has_a_share_already() {
        let budget = Budget::default();
        let others = budget.take("other", LARGE).await.unwrap();
        let own = budget.take("own", BUDGET_OF_ONE).await.unwrap();
        tokio::select! {
            biased;
            () = others.gives_way() => panic!("the other's gave way"),
            () = own.gives_way() => {}
            _ = budget.take("own", LARGE) => panic!("there was room"),
        }
    }

    #[tokio::test]
    async fn room_becomes_as_large_as_what_is_held() {
        let budget = Budget::of(16 * UNIT);
        let mut whole = Whole {
            bytes: Bytes::new(),
            permit: None,
        };
        whole.hold(LARGE, "alice", &budget).unwrap();
        assert_eq!(budget.units.available_permits(), 16, "so little needs no room");
        whole.hold(3 * UNIT, "alice", &budget).unwrap();
        assert_eq!(budget.units.available_permits(), 13);
        assert!(
            whole.hold(5 * UNIT, "alice", &budget).is_err(),
            "a quarter is one sender's"
        );
        assert_eq!(budget.units.available_permits(), 13);
        whole.hold(UNIT + 1, "alice", &budget).unwrap();
        assert_eq!(budget.units.available_permits(), 14);
        drop(whole);
        assert!(budget.shares().is_empty() && budget.units.available_permits() == 16);
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_leaves_no_trace() {
        let budget = Budget::default();
        let mut rooms = Vec::new();
        for name in ["a", "b", "c", "d"] {
            rooms.push(budget.take(name, BUDGET_OF_ONE).await.unwrap());
        }
        assert!(now(budget.take("e", LARGE)).await.is_none());
        assert_eq!(budget.shares().len(), 4);
        rooms.pop();
        budget.take("e", BUDGET_OF_ONE).await.unwrap();
    }

    #[test]
    fn too_large_for_a_door_is_not_too_large_for_all() {
        let policy = |most| BodyPolicy {
            most,
            within: Duration::from_secs(1),
            content: Content::Any,
            times: 1,
        };
        for (most, bytes, status) in [
            (LARGEST_OF_STRANGER, 100 << 10, 400),
            (LARGEST_OF_STRANGER, LARGEST_CALL + 1, 413),
            (LARGEST_CALL, LARGEST_CALL + 1, 413),
        ] {
            assert_eq!(policy(most).too_large(bytes).status, status, "{most} {bytes}");
        }
    }

    #[test]
    fn json_is_what_says_so() {
        let judged = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            is_json(&headers)
        };
        assert!(judged("application/json") && judged("Application/JSON; charset=utf-8"));
        assert!(!judged("text/plain") && !judged("application/jsonp"));
        assert!(!is_json(&HeaderMap::new()));
    }
}
