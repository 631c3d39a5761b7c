//! What every backend must do, one function for each property, for the tests of backends. Each takes a maker of handles:
//! what it makes are handles of one store, which is empty when the first is made.
//!
//! [`hold_to_contract!`](crate::hold_to_contract) makes a test of each. What a backend that is killed must still know is
//! not here: every backend has its own way to be killed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a property that does not hold panics, as a test does"
)]

use std::{
    fmt::Debug,
    future::Future,
    sync::Arc,
    time::{Duration, SystemTime},
};

use clock::Timestamp;
use opendata::SessionKey;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    AccessToken, Arrival, Attempt, DeadBounds, Death, DroppedLetters, Ended, Intake, KnownPush, Memory,
    Owner, PageBounds, Session, Store, StoredPush, TOUCH_EVERY, WRONG_CLOCK,
};

/// Makes a handle of the store that is looked at.
pub type Open<'a> = &'a (dyn Fn() -> Arc<dyn Store> + Sync);

/// Makes a test of each property, for a backend. It is given an expression that is evaluated for each test, to a pair: what
/// must live as long as the store does, and a closure that makes a handle in an `Arc`. The crate needs Tokio's test macro.
#[macro_export]
macro_rules! hold_to_contract {
    ($fresh:expr) => {
        $crate::hold_to_contract! { $fresh;
            a_login_is_remembered_with_the_key_before_it
            a_use_is_noted_once_an_hour
            who_was_not_seen_for_long_is_forgotten
            an_access_token_is_kept_per_appid_and_dropped_only_if_it_is_the_refused_one
            an_access_token_is_fetched_by_one_at_a_time
            the_key_ring_is_made_once
            a_login_that_was_ended_stays_ended_until_it_would_have
            what_timers_saw_last_is_kept
            a_tick_is_claimed_once
            a_claim_of_a_wrong_clock_does_not_count
            a_push_is_taken_once_and_its_answer_kept
            a_push_that_fails_becomes_a_dead_letter_that_can_be_revived_or_dismissed
            pushes_are_numbered_in_the_order_of_the_calls
            only_the_first_of_a_lane_is_begun
            a_lane_is_its_node_s_for_a_time_and_as_long_as_it_is_renewed
            a_node_that_lost_its_lane_ends_nothing
            free_lanes_are_those_that_somebody_should_walk
            dead_letters_come_in_pages
            dead_letters_are_bounded
            what_was_dealt_with_is_forgotten_in_time
            of_many_that_begin_one_does
            it_answers_as_the_store_in_memory
        }
    };
    ($fresh:expr; $($property:ident)*) => {$(
        #[tokio::test]
        async fn $property() {
            let (_kept, open) = $fresh;
            $crate::contract::$property(&move || open()).await;
        }
    )*};
}

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const TERM: Duration = Duration::from_secs(30);

/// The `session_key` of that number.
#[must_use]
pub fn key(number: u8) -> SessionKey {
    SessionKey::from_bytes([number; 16])
}

/// What a test compares of a session.
fn seen(session: &Session) -> (u8, Option<(u8, u64)>, u64, u64) {
    let number = |of: &SessionKey| (0..=u8::MAX).find(|number| key(*number) == *of).unwrap();
    let since = |at: Timestamp| at.saturating_since(START).as_secs();
    let previous = session
        .previous
        .as_ref()
        .map(|previous| (number(&previous.key), since(previous.until)));
    (
        number(&session.key),
        previous,
        since(session.login_at),
        since(session.seen_at),
    )
}

fn after(seconds: u64) -> Timestamp {
    START + Duration::from_secs(seconds)
}

/// Machine time, so many seconds after a start.
#[must_use]
pub fn machine(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

/// See [`Sessions::put_session`](crate::Sessions::put_session).
pub async fn a_login_is_remembered_with_the_key_before_it(open: Open<'_>) {
    let (store, other) = (open(), open());
    assert!(store.session("alice").await.unwrap().is_none());
    let first = store.put_session("alice", key(1), after(0)).await.unwrap();
    assert_eq!(seen(&first), (1, None, 0, 0));
    let second = other.put_session("alice", key(2), after(10)).await.unwrap();
    assert_eq!(seen(&second), (2, Some((1, 10)), 10, 10));
    // The same key again replaces nothing.
    let again = store.put_session("alice", key(2), after(20)).await.unwrap();
    assert_eq!(seen(&again), (2, Some((1, 10)), 20, 20));
    let third = store.put_session("alice", key(3), after(30)).await.unwrap();
    assert_eq!(seen(&third), (3, Some((2, 30)), 30, 30));
    for store in [store, other] {
        let kept = store.session("alice").await.unwrap().unwrap();
        assert_eq!(seen(&kept), seen(&third));
        assert!(store.session("bob").await.unwrap().is_none());
    }
}

/// See [`Sessions::touch`](crate::Sessions::touch).
pub async fn a_use_is_noted_once_an_hour(open: Open<'_>) {
    let store = open();
    let hour = TOUCH_EVERY.as_secs();
    store.touch("nobody", after(0)).await.unwrap();
    assert!(store.session("nobody").await.unwrap().is_none());

    store.put_session("alice", key(1), after(0)).await.unwrap();
    for (at, noted) in [
        (hour - 1, 0),
        (hour, hour),
        (hour + 1, hour),
        (2 * hour - 1, hour),
        (2 * hour, 2 * hour),
    ] {
        store.touch("alice", after(at)).await.unwrap();
        let kept = store.session("alice").await.unwrap().unwrap();
        assert_eq!(seen(&kept), (1, None, 0, noted));
    }
    // A clock that was set back takes nothing back.
    store.touch("alice", after(0)).await.unwrap();
    assert_eq!(seen(&store.session("alice").await.unwrap().unwrap()).3, 2 * hour);
}

/// See [`Sessions::sweep`](crate::Sessions::sweep).
pub async fn who_was_not_seen_for_long_is_forgotten(open: Open<'_>) {
    let store = open();
    for (openid, at) in [("alice", 0), ("bob", 100), ("carol", 99)] {
        store.put_session(openid, key(1), after(at)).await.unwrap();
    }
    store.touch("alice", after(TOUCH_EVERY.as_secs())).await.unwrap();
    assert_eq!(store.sweep(after(100)).await.unwrap(), 1);
    assert_eq!(store.sweep(after(100)).await.unwrap(), 0);
    for (openid, there) in [("alice", true), ("bob", true), ("carol", false)] {
        assert_eq!(store.session(openid).await.unwrap().is_some(), there, "{openid}");
    }
}

/// See [`Revocations`](crate::Revocations).
pub async fn a_login_that_was_ended_stays_ended_until_it_would_have(open: Open<'_>) {
    let (store, other) = (open(), open());
    assert!(!store.is_revoked("one").await.unwrap());
    for (login, until) in [("one", 100), ("two", 99), ("one", 100)] {
        store.revoke(login, after(until)).await.unwrap();
    }
    assert_eq!(other.forget_revoked(after(99)).await.unwrap(), 0);
    for (login, revoked) in [("one", true), ("two", true), ("three", false)] {
        assert_eq!(other.is_revoked(login).await.unwrap(), revoked, "{login}");
    }
    for (until, expected) in [(99, &["one", "two"][..]), (100, &["one"]), (101, &[])] {
        let mut revoked = other.revoked_from(after(until)).await.unwrap();
        revoked.sort();
        assert_eq!(revoked, expected, "{until}");
    }
    assert_eq!(store.forget_revoked(after(100)).await.unwrap(), 1);
    assert!(other.is_revoked("one").await.unwrap() && !other.is_revoked("two").await.unwrap());
}

/// See [`Tokens`](crate::Tokens).
pub async fn an_access_token_is_kept_per_appid_and_dropped_only_if_it_is_the_refused_one(open: Open<'_>) {
    let (store, other) = (open(), open());
    let token = |text: &str, at| AccessToken {
        token: SecretString::from(text),
        expires_at: after(at),
    };
    assert!(store.access_token("wx1").await.unwrap().is_none());
    // WeChat promises no alphabet.
    for (appid, text) in [("wx1", "92_a\"\\b\n"), ("wx2", "other"), ("wx1", "new\"")] {
        store.put_access_token(appid, token(text, 7200)).await.unwrap();
    }
    let kept = other.access_token("wx1").await.unwrap().unwrap();
    assert_eq!(
        (kept.token.expose_secret(), kept.expires_at),
        ("new\"", after(7200))
    );
    assert!(!format!("{kept:?}").contains("new"));

    store
        .drop_access_token("wx1", &"92_a\"\\b\n".into())
        .await
        .unwrap();
    assert!(store.access_token("wx1").await.unwrap().is_some());
    other.drop_access_token("wx1", &"new\"".into()).await.unwrap();
    store.drop_access_token("wx1", &"new\"".into()).await.unwrap();
    assert!(store.access_token("wx1").await.unwrap().is_none());
    assert!(store.access_token("wx2").await.unwrap().is_some());
}

/// See [`Tokens::begin_fetch`](crate::Tokens::begin_fetch).
pub async fn an_access_token_is_fetched_by_one_at_a_time(open: Open<'_>) {
    let claims: Vec<_> = (0..8)
        .map(|_| open())
        .map(|store| tokio::spawn(async move { store.begin_fetch("wx1", TERM).await.unwrap() }))
        .collect();
    let mut won = Vec::new();
    for claim in claims {
        won.extend(claim.await.unwrap());
    }
    let [claim] = won[..] else {
        panic!("one fetches: {won:?}")
    };
    let (store, other) = (open(), open());
    // Another app's is another matter, and so is another claim.
    assert!(other.begin_fetch("wx2", TERM).await.unwrap().is_some());
    other.end_fetch("wx1", claim.wrapping_add(1)).await.unwrap();
    assert_eq!(other.begin_fetch("wx1", TERM).await.unwrap(), None);
    store.end_fetch("wx1", claim).await.unwrap();
    let short = Duration::from_millis(20);
    let next = other.begin_fetch("wx1", short).await.unwrap().unwrap();
    assert_ne!(next, claim);
    // One whose node died ends by itself, and cannot end the next.
    let last = loop {
        if let Some(last) = store.begin_fetch("wx1", TERM).await.unwrap() {
            break last;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    other.end_fetch("wx1", next).await.unwrap();
    assert_eq!(other.begin_fetch("wx1", TERM).await.unwrap(), None);
    store.end_fetch("wx1", last).await.unwrap();
}

/// See [`Keys::key_ring`](crate::Keys::key_ring).
pub async fn the_key_ring_is_made_once(open: Open<'_>) {
    let at_once: Vec<_> = (0..8)
        .map(|_| open())
        .map(|store| tokio::spawn(async move { store.key_ring().await.unwrap().keys()[0].to_base64() }))
        .collect();
    let ring = open().key_ring().await.unwrap();
    assert_eq!(ring.keys().len(), 1);
    for other in at_once {
        assert_eq!(*other.await.unwrap(), *ring.keys()[0].to_base64());
    }
}

/// See [`Ticks::timers_seen`](crate::Ticks::timers_seen).
pub async fn what_timers_saw_last_is_kept(open: Open<'_>) {
    let (store, other) = (open(), open());
    assert_eq!(store.timers_seen().await.unwrap(), None);
    for at in [100, 99] {
        store.put_timers_seen(machine(at)).await.unwrap();
        assert_eq!(other.timers_seen().await.unwrap(), Some(machine(at)));
    }
}

/// See [`Ticks::claim_tick`](crate::Ticks::claim_tick).
pub async fn a_tick_is_claimed_once(open: Open<'_>) {
    for second in 1..=5 {
        let claims = (0..8).map(|node| {
            let store = open();
            tokio::spawn(async move {
                // Clocks of nodes differ a little.
                let now = machine(second) + Duration::from_millis(node);
                store.claim_tick("f/each", machine(second), now).await.unwrap()
            })
        });
        let mut won = 0;
        for claim in claims.collect::<Vec<_>>() {
            won += usize::from(claim.await.unwrap());
        }
        assert_eq!(won, 1, "tick {second}");
    }
    let store = open();
    let claim = async |timer: &str, at| store.claim_tick(timer, machine(at), machine(5)).await.unwrap();
    // One that comes late, and another timer.
    assert!(!claim("f/each", 4).await && !claim("f/each", 5).await);
    assert!(claim("f/other", 4).await && !claim("f/other", 4).await);
}

/// See [`WRONG_CLOCK`].
pub async fn a_claim_of_a_wrong_clock_does_not_count(open: Open<'_>) {
    let store = open();
    let ahead = machine(10) + WRONG_CLOCK;
    let claim = async |at, now| store.claim_tick("f/t", at, now).await.unwrap();
    assert!(claim(ahead, ahead).await);
    assert!(!claim(machine(10), machine(10)).await);
    assert!(claim(machine(9), machine(9)).await);
    assert!(claim(machine(10), machine(10)).await);
}

/// A push of that key, which is its packet as well.
#[must_use]
pub const fn arrival<'a>(lane: &'a str, key: &'a str) -> Arrival<'a> {
    Arrival {
        lane,
        key,
        packet: key,
    }
}

fn done(answer: Option<&str>) -> Ended {
    Ended::Done {
        answer: answer.map(str::to_owned),
    }
}

fn dead(error: &str) -> Ended {
    Ended::Dead {
        error: error.to_owned(),
    }
}

/// A store with pushes, and a node.
struct Node {
    store: Arc<dyn Store>,
    owner: Owner,
}

impl Node {
    fn new(open: Open<'_>, name: &str) -> Self {
        Self {
            store: open(),
            owner: Owner::new(name),
        }
    }

    /// Takes in a push that is new.
    async fn take(&self, lane: &str, key: &str) -> u64 {
        match self
            .store
            .take_push(arrival(lane, key), machine(0))
            .await
            .unwrap()
        {
            Intake::New(id) => id,
            known => panic!("{key} is new, and yet {known:?}"),
        }
    }

    async fn known(&self, key: &str) -> KnownPush {
        let found = self.store.find_push(key).await.unwrap().unwrap();
        let taken = self
            .store
            .take_push(arrival("", key), machine(1000))
            .await
            .unwrap();
        assert_eq!(taken, Intake::Known(found.clone()));
        found
    }

    async fn begin(&self, id: u64, at: u64) -> Option<Attempt> {
        self.store
            .begin_push(id, &self.owner, machine(at), TERM)
            .await
            .unwrap()
    }

    async fn end(&self, attempt: &Attempt, ended: Ended, at: u64) -> bool {
        self.store.end_push(attempt, ended, machine(at)).await.unwrap()
    }

    /// Makes an attempt.
    async fn attempt(&self, id: u64, ended: Ended, at: u64) {
        let attempt = self.begin(id, at).await.unwrap();
        assert!(self.end(&attempt, ended, at).await);
    }

    async fn first(&self, lane: &str) -> Option<StoredPush> {
        self.store.first_push(lane).await.unwrap()
    }

    async fn first_id(&self, lane: &str) -> Option<u64> {
        self.first(lane).await.map(|push| push.id)
    }

    async fn free(&self, at: u64) -> Vec<String> {
        let mut free = self.store.free_lanes(machine(at), 10).await.unwrap();
        free.sort();
        free
    }

    /// All dead letters, the newest first.
    async fn letters(&self) -> Vec<u64> {
        let all = PageBounds {
            before: None,
            most: usize::MAX,
            most_bytes: u64::MAX,
        };
        let page = self.store.dead_pushes(all).await.unwrap();
        assert_eq!((page.letters.len() as u64, page.more), (page.total, false));
        page.letters.iter().map(|push| push.id).collect()
    }
}

/// See [`Mailbox::take_push`](crate::Mailbox::take_push).
pub async fn a_push_is_taken_once_and_its_answer_kept(open: Open<'_>) {
    let (node, other) = (Node::new(open, "n1"), Node::new(open, "n2"));
    assert_eq!(node.store.find_push("a").await.unwrap(), None);
    let packet = Arrival {
        packet: "{\"A\":\"\\u4f60\"}",
        ..arrival("alice", "a")
    };
    let taken = node.store.take_push(packet, machine(5)).await.unwrap();
    assert_eq!(taken, Intake::New(1));
    assert_eq!(other.take("bob", "b").await, 2);
    let KnownPush::Open(push) = other.known("a").await else {
        panic!("it is open")
    };
    assert_eq!(*push, StoredPush::new(1, packet, machine(5)));

    node.attempt(1, done(Some("{\"x\":1}")), 6).await;
    other.attempt(2, done(None), 6).await;
    let answer = Some("{\"x\":1}".to_owned());
    assert_eq!(other.known("a").await, KnownPush::Done { answer });
    assert_eq!(node.known("b").await, KnownPush::Done { answer: None });
    // What is through stays through, and numbers are not given twice.
    assert_eq!(node.begin(1, 7).await, None);
    assert_eq!(node.first("alice").await, None);
    assert_eq!(node.take("alice", "c").await, 3);
}

/// See [`Mailbox::revive_push`](crate::Mailbox::revive_push) and [`Mailbox::dismiss_push`](crate::Mailbox::dismiss_push).
pub async fn a_push_that_fails_becomes_a_dead_letter_that_can_be_revived_or_dismissed(open: Open<'_>) {
    let node = Node::new(open, "n1");
    let store = &node.store;
    assert_eq!(node.take("alice", "a").await, 1);
    let failed = Ended::Failed { due: machine(3) };
    node.attempt(1, failed, 1).await;
    let push = node.first("alice").await.unwrap();
    assert_eq!((push.attempts, push.failures), (1, 1));
    assert!(!push.is_due(machine(2)) && push.is_due(machine(3)));
    // One that was not made is not one that failed.
    node.attempt(1, Ended::Deferred { due: machine(2) }, 2).await;
    let push = node.first("alice").await.unwrap();
    assert_eq!(
        (push.attempts, push.failures, push.is_due(machine(2))),
        (2, 1, true)
    );
    assert_eq!(store.revive_push(1, true, machine(2)).await.unwrap(), None);
    assert!(!store.dismiss_push(1, machine(2)).await.unwrap());

    node.attempt(1, dead("it threw"), 3).await;
    assert_eq!((node.letters().await, node.first("alice").await), (vec![1], None));
    assert_eq!(node.begin(1, 4).await, None);
    let KnownPush::Open(push) = node.known("a").await else {
        panic!("it is open")
    };
    let death = Death {
        error: "it threw".to_owned(),
        at: machine(3),
    };
    assert_eq!((push.death(), push.failures), (Some(&death), 2));

    // For one attempt more, behind what came meanwhile; and then from the start.
    assert_eq!(node.take("alice", "b").await, 2);
    let revived = store.revive_push(1, false, machine(5)).await.unwrap().unwrap();
    assert_eq!((revived.attempts, revived.failures), (3, 2));
    assert!(revived.is_due(machine(5)) && revived.turn > 2);
    assert_eq!(store.revive_push(1, false, machine(5)).await.unwrap(), None);
    assert_eq!(node.first_id("alice").await, Some(2));
    node.attempt(2, done(None), 5).await;
    node.attempt(1, dead("again"), 5).await;
    let revived = store.revive_push(1, true, machine(5)).await.unwrap().unwrap();
    assert_eq!((revived.attempts, revived.earlier, revived.failures), (4, 4, 0));
    node.attempt(1, dead("for ever"), 6).await;

    assert!(store.dismiss_push(1, machine(7)).await.unwrap());
    assert!(!store.dismiss_push(1, machine(7)).await.unwrap());
    assert!(node.letters().await.is_empty());
    assert_eq!(node.known("a").await, KnownPush::Done { answer: None });
}

/// See [`Mailbox::take_push`](crate::Mailbox::take_push): many at once may share a commit, and each keeps its place.
pub async fn pushes_are_numbered_in_the_order_of_the_calls(open: Open<'_>) {
    let node = Node::new(open, "n1");
    let keys: Vec<String> = (1..=300).map(|number| format!("k{number}")).collect();
    let taken: Vec<_> = keys
        .iter()
        .map(|key| node.store.take_push(arrival(key, key), machine(0)))
        .collect();
    // The last one is waited for first.
    for (before, taken) in taken.into_iter().enumerate().rev() {
        assert_eq!(taken.await.unwrap(), Intake::New(before as u64 + 1));
    }
    let begun: Vec<_> = (1..=300)
        .map(|id| node.store.begin_push(id, &node.owner, machine(0), TERM))
        .collect();
    for begun in begun {
        assert_eq!(begun.await.unwrap().unwrap().number, 1);
    }
}

/// See [`Mailbox::begin_push`](crate::Mailbox::begin_push).
pub async fn only_the_first_of_a_lane_is_begun(open: Open<'_>) {
    let (node, other) = (Node::new(open, "n1"), Node::new(open, "n2"));
    let (first, second) = (node.take("alice", "a").await, other.take("alice", "b").await);
    let third = other.take("bob", "c").await;
    for node in [&node, &other] {
        assert_eq!(node.begin(second, 0).await, None);
    }
    let running = node.begin(first, 0).await.unwrap();
    assert_eq!(other.begin(first, 0).await, None);
    assert_eq!(node.begin(first, 0).await, None, "not even by the same node");
    assert_eq!(other.begin(second, 0).await, None);
    // Other lanes go on.
    other.attempt(third, done(None), 0).await;
    // A push that rests keeps its place.
    assert!(node.end(&running, Ended::Failed { due: machine(9) }, 1).await);
    assert_eq!(other.begin(second, 1).await, None);
    let last = other.begin(first, 1).await.unwrap();
    assert_eq!(last.number, 2);
    assert!(other.end(&last, dead(""), 2).await);
    assert_eq!(node.begin(second, 2).await.unwrap().number, 1);
}

/// See [`Mailbox::renew_push`](crate::Mailbox::renew_push).
pub async fn a_lane_is_its_node_s_for_a_time_and_as_long_as_it_is_renewed(open: Open<'_>) {
    let (node, other) = (Node::new(open, "n1"), Node::new(open, "n2"));
    let id = node.take("alice", "a").await;
    let running = node.begin(id, 0).await.unwrap();
    let lease = |push: Option<StoredPush>, at| {
        let push = push.unwrap();
        push.lease(machine(at))
            .map(|lease| lease.owner.as_str().to_owned())
    };
    assert_eq!(lease(other.first("alice").await, 29), Some("n1".to_owned()));
    assert_eq!(other.begin(id, 29).await, None);
    assert!(node.store.renew_push(&running, machine(20), TERM).await.unwrap());
    assert_eq!(other.begin(id, 49).await, None);
    assert_eq!(lease(other.first("alice").await, 50), None);
    let second = other.begin(id, 50).await.unwrap();
    assert_eq!(second.number, 2);
    assert_eq!(lease(node.first("alice").await, 50), Some("n2".to_owned()));
}

/// See [`Mailbox::end_push`](crate::Mailbox::end_push).
pub async fn a_node_that_lost_its_lane_ends_nothing(open: Open<'_>) {
    let (node, other) = (Node::new(open, "n1"), Node::new(open, "n2"));
    let id = node.take("alice", "a").await;
    let late = node.begin(id, 0).await.unwrap();
    let second = other.begin(id, 30).await.unwrap();
    for ended in [
        done(Some("late")),
        dead("late"),
        Ended::Failed { due: machine(0) },
    ] {
        assert!(!node.end(&late, ended, 31).await);
    }
    assert!(!node.store.renew_push(&late, machine(31), TERM).await.unwrap());
    let push = other.first("alice").await.unwrap();
    assert_eq!((push.attempts, push.failures), (2, 0));
    // Nobody else can end it in the other's name.
    let forged = Attempt {
        owner: node.owner.clone(),
        ..second.clone()
    };
    assert!(!node.end(&forged, done(None), 31).await);
    assert!(other.end(&second, done(Some("second")), 32).await);
    assert!(!other.end(&second, dead("twice"), 32).await);
    let answer = Some("second".to_owned());
    assert_eq!(node.known("a").await, KnownPush::Done { answer });

    // A lease that ended and that nobody took is still good.
    let id = node.take("alice", "b").await;
    let slow = node.begin(id, 0).await.unwrap();
    assert!(node.end(&slow, done(None), 1000).await);
}

/// See [`Mailbox::free_lanes`](crate::Mailbox::free_lanes).
pub async fn free_lanes_are_those_that_somebody_should_walk(open: Open<'_>) {
    let (node, other) = (Node::new(open, "n1"), Node::new(open, "n2"));
    assert!(node.free(0).await.is_empty());
    for (lane, key) in [("alice", "a"), ("alice", "b"), ("bob", "c"), ("", "d")] {
        node.take(lane, key).await;
    }
    assert_eq!(other.free(0).await, ["", "alice", "bob"]);
    assert_eq!(other.store.free_lanes(machine(0), 2).await.unwrap().len(), 2);
    node.begin(1, 0).await.unwrap();
    node.attempt(3, Ended::Failed { due: machine(10) }, 0).await;
    node.attempt(4, dead(""), 0).await;
    assert!(other.free(9).await.is_empty());
    assert_eq!(other.free(10).await, ["bob"]);
    assert_eq!(other.free(30).await, ["alice", "bob"]);
}

/// See [`Mailbox::dead_pushes`](crate::Mailbox::dead_pushes).
pub async fn dead_letters_come_in_pages(open: Open<'_>) {
    let node = Node::new(open, "n1");
    for number in 1..=7 {
        let key = format!("{number}{}", "x".repeat(9));
        let id = node.take("alice", &key).await;
        node.attempt(id, dead("10 letters"), number).await;
    }
    let page = async |before, most, most_bytes| {
        let bounds = PageBounds {
            before,
            most,
            most_bytes,
        };
        let page = node.store.dead_pushes(bounds).await.unwrap();
        assert_eq!((page.total, page.bytes), (7, 140));
        let ids: Vec<u64> = page.letters.iter().map(|push| push.id).collect();
        (ids, page.more)
    };
    assert_eq!(page(None, 3, 1000).await, (vec![7, 6, 5], true));
    assert_eq!(page(Some(5), 3, 1000).await, (vec![4, 3, 2], true));
    assert_eq!(page(Some(2), 3, 1000).await, (vec![1], false));
    assert_eq!(page(Some(1), 3, 1000).await, (vec![], false));
    assert_eq!(page(None, 3, 45).await, (vec![7, 6], true));
    assert_eq!(page(None, 3, 1).await, (vec![7], true), "one in any case");
}

/// See [`Mailbox::drop_dead_pushes`](crate::Mailbox::drop_dead_pushes).
pub async fn dead_letters_are_bounded(open: Open<'_>) {
    let node = Node::new(open, "n1");
    for number in 1..=8 {
        let id = node.take("alice", &format!("k{number}")).await;
        // The third is large.
        let error = "e".repeat(if number == 3 { 98 } else { 8 });
        node.attempt(id, dead(&error), number).await;
    }
    let waiting = node.take("alice", "waiting").await;
    let drop = async |died_before, most, most_bytes| {
        let bounds = DeadBounds {
            died_before: machine(died_before),
            most,
            most_bytes,
        };
        let dropped = node.store.drop_dead_pushes(bounds).await.unwrap();
        (dropped.old, dropped.crowded_out)
    };
    assert_eq!(drop(1, 8, 1000).await, (0, 0));
    assert_eq!(drop(2, 8, 1000).await, (1, 0));
    assert_eq!(node.letters().await, [8, 7, 6, 5, 4, 3, 2]);
    // What is older than the large one goes with it.
    assert_eq!(drop(2, 8, 100).await, (0, 2));
    assert_eq!(drop(2, 3, 100).await, (0, 2));
    assert_eq!(node.letters().await, [8, 7, 6]);
    assert_eq!(drop(8, 1, 1).await, (2, 1));
    assert_eq!(drop(8, 1, 1).await, (0, 0));
    // A duplicate of what was dropped is new, and nothing else was touched.
    assert_eq!(node.take("alice", "k8").await, waiting + 1);
    assert_eq!(node.first_id("alice").await, Some(waiting));
    assert_eq!(DroppedLetters::default().old, 0);
}

/// See [`Mailbox::forget_pushes`](crate::Mailbox::forget_pushes).
pub async fn what_was_dealt_with_is_forgotten_in_time(open: Open<'_>) {
    let node = Node::new(open, "n1");
    for (key, ended, at) in [
        ("early", done(None), 10),
        ("late", done(None), 20),
        ("dead", dead(""), 10),
        ("open", Ended::Failed { due: machine(0) }, 10),
    ] {
        let id = node.take(key, key).await;
        node.attempt(id, ended, at).await;
    }
    for (before, forgotten) in [(10, 0), (20, 1), (20, 0)] {
        assert_eq!(
            node.store.forget_pushes(machine(before)).await.unwrap(),
            forgotten
        );
    }
    for (key, known) in [("early", false), ("late", true), ("dead", true), ("open", true)] {
        assert_eq!(node.store.find_push(key).await.unwrap().is_some(), known, "{key}");
    }
}

/// Eight nodes race for each push of a lane. See [`Mailbox::begin_push`](crate::Mailbox::begin_push).
pub async fn of_many_that_begin_one_does(open: Open<'_>) {
    let node = Node::new(open, "n0");
    for number in 0..20 {
        let id = node.take("alice", &format!("k{number}")).await;
        let racing = (0..8).map(|racer| {
            let racer = Node::new(open, &format!("n{racer}"));
            tokio::spawn(async move {
                let attempt = racer.begin(id, 0).await?;
                assert!(racer.end(&attempt, done(None), 0).await);
                Some(attempt.number)
            })
        });
        let mut won = Vec::new();
        for racer in racing.collect::<Vec<_>>() {
            won.extend(racer.await.unwrap());
        }
        assert_eq!(won, [1]);
    }
}

/// Random numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// Asks two stores the same.
async fn same<'a, T: Debug + 'a, F: Future<Output = T> + 'a>(
    stores: [&'a Arc<dyn Store>; 2],
    what: &str,
    ask: impl Fn(&'a Arc<dyn Store>) -> F,
) -> T {
    let answers = [ask(stores[0]).await, ask(stores[1]).await];
    let [ours, theirs] = [&answers[0], &answers[1]].map(|answer| format!("{answer:?}"));
    assert_eq!(ours, theirs, "{what}");
    let [answer, _] = answers;
    answer
}

/// Random changes of pushes by three nodes, with clocks that go on: every answer is that of [`Memory`].
pub async fn it_answers_as_the_store_in_memory(open: Open<'_>) {
    let model: Arc<dyn Store> = Arc::new(Memory::new());
    let handles = [open(), open()];
    let owners = ["n1", "n2", "n3"].map(Owner::new);
    let mut random = Random(7);
    let mut attempts: Vec<Attempt> = Vec::new();
    for step in 0..600_u64 {
        let stores = [&handles[(step % 2) as usize], &model];
        let now = machine(step * 2);
        let id = 1 + random.below(1 + step / 8);
        let (lane, key) = (
            format!("l{}", random.below(5)),
            format!("k{}", random.below(1 + step / 4)),
        );
        match random.below(10) {
            0 | 1 => {
                let arrival = arrival(&lane, &key);
                same(stores, "take", |store| store.take_push(arrival, now))
                    .await
                    .unwrap();
            }
            2..=4 => {
                let owner = &owners[random.below(3) as usize];
                let first = same(stores, "first", |store| store.first_push(&lane))
                    .await
                    .unwrap();
                // Mostly one that can be begun.
                let id = first.filter(|_| step % 5 > 0).map_or(id, |push| push.id);
                let begun = same(stores, "begin", |store| store.begin_push(id, owner, now, TERM)).await;
                attempts.extend(begun.unwrap());
            }
            5 | 6 if !attempts.is_empty() => {
                let at = random.below(attempts.len() as u64) as usize;
                let attempt = attempts.swap_remove(at);
                let ended = match random.below(5) {
                    0 => done(Some("{}")),
                    1 => done(None),
                    2 => Ended::Failed { due: now + TERM },
                    3 => Ended::Deferred { due: now },
                    _ => dead("why"),
                };
                let renewed = same(stores, "renew", |store| store.renew_push(&attempt, now, TERM)).await;
                let ended = same(stores, "end", |store| {
                    store.end_push(&attempt, ended.clone(), now)
                })
                .await;
                assert_eq!(renewed.unwrap(), ended.unwrap());
            }
            7 => {
                same(stores, "revive", |store| {
                    store.revive_push(id, step % 2 == 0, now)
                })
                .await
                .unwrap();
            }
            8 => {
                if step % 3 == 0 {
                    same(stores, "dismiss", |store| store.dismiss_push(id, now))
                        .await
                        .unwrap();
                }
                same(stores, "find", |store| store.find_push(&key)).await.unwrap();
            }
            _ => {
                let page = PageBounds {
                    before: Some(id),
                    most: 3,
                    most_bytes: 12,
                };
                same(stores, "page", |store| store.dead_pushes(page))
                    .await
                    .unwrap();
                let free = same(stores, "free", |store| async move {
                    let mut free = store.free_lanes(now, usize::MAX).await.unwrap();
                    free.sort();
                    free
                });
                assert!(free.await.len() <= 5);
                if step % 4 == 0 {
                    let past = now - Duration::from_secs(600);
                    let bounds = DeadBounds {
                        died_before: past,
                        most: 6,
                        most_bytes: 30,
                    };
                    same(stores, "drop", |store| store.drop_dead_pushes(bounds))
                        .await
                        .unwrap();
                    same(stores, "forget", |store| store.forget_pushes(past))
                        .await
                        .unwrap();
                }
            }
        }
    }
}
