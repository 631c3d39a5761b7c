//! Reading a request's body within bounds.
//!
//! Each door names a [`BodyPolicy`]: how many bytes it takes, within which time all of them have to be there, of which
//! type they are, and whether their sender is known by then. A stranger's body is small, and needs nothing that others
//! need; while it is waited for, its connection may be closed in favour of another (`listen`). A large body of somebody
//! who is known takes [`Room`] out of one budget for all, of which nobody gets more than a part.
//!
//! What is not wanted is read and thrown away within bounds of its own, so that the client sees the answer instead of
//! a broken connection.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
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

/// What a door takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyPolicy {
    /// Bytes at most.
    pub(crate) most: usize,
    /// The time from the head to the last byte, waiting for room in the budget included.
    pub(crate) within: Duration,
    /// What the body has to be.
    pub(crate) content: Content,
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
                "the request body is over {} KB, and what this path takes is far smaller",
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

/// A body that is still to come.
pub(crate) struct UnreadBody {
    incoming: Incoming,
    /// The connection by which it comes.
    seat: Option<Seat>,
    /// Bytes of it that have come.
    read: usize,
    /// It is large, and waits for room.
    wants_room: bool,
}

impl UnreadBody {
    /// The body of a request that came by this connection.
    pub(crate) fn new(incoming: Incoming, seat: Option<Seat>) -> Self {
        Self {
            incoming,
            seat,
            read: 0,
            wants_room: false,
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
                return Err(Failure::too_many("too many large request bodies at a time", 1));
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
        let mut whole = BytesMut::from(first);
        let mut permit = None;
        while let Some(chunk) = self.next().await? {
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
                permit = Some(budget.take(name, size.unwrap_or(policy.most)).await?);
                self.wants_room = false;
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(Whole {
            bytes: whole.freeze(),
            permit,
        })
    }

    /// Reads what is left of the body and drops it, so that a reply given early is seen.
    pub(crate) async fn discard(&mut self) {
        let _waiting = self.seat.clone().map(Seat::wait);
        let _ = timeout(DRAIN_WITHIN, self.discard_to(DRAIN_LIMIT)).await;
    }

    async fn discard_to(&mut self, limit: usize) {
        while self.read <= limit && matches!(self.next().await, Ok(Some(_))) {}
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
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
}

/// What one sender may have of it; there as long as one of their bodies has room or waits for it.
#[derive(Debug)]
struct Share {
    units: Arc<Semaphore>,
    bodies: usize,
}

/// What a large body takes of the [`Budget`], until it is dropped.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
    _holder: Holder<'a>,
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
        }
    }

    /// Waits for room for so many bytes: first in the sender's share, then in all.
    async fn take(&self, name: &str, bytes: usize) -> Result<Room<'_>, Failure> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let (holder, own) = self.share(name);
        // Nobody closes them.
        let of_one = own.acquire_many_owned(units).await;
        let of_all = Arc::clone(&self.units).acquire_many_owned(units).await;
        match (of_one, of_all) {
            (Ok(of_one), Ok(of_all)) => Ok(Room {
                _of_all: of_all,
                _of_one: of_one,
                _holder: holder,
            }),
            _ => Err(Failure::internal()),
        }
    }

    /// Room for so many bytes, if there is any now: nobody waits with a reply in their hands.
    pub(crate) fn try_take(self: &Arc<Self>, name: &str, bytes: usize) -> Option<ReplyRoom> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
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
    #![allow(clippy::unwrap_used)]
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
