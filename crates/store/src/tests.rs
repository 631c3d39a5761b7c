//! What every store must do: each of these runs against every kind.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use clock::Timestamp;
use opendata::SessionKey;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;

use crate::{AccessToken, Bounds, Death, Ended, Memory, Redb, Session, Store, TOUCH_EVERY, Taken};

const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// Every kind of store, empty; with the folder that one of them needs.
fn every_kind() -> (TempDir, [Arc<dyn Store>; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let redb = Redb::open(&dir.path().join("store.redb")).unwrap();
    (dir, [Arc::new(Memory::new()), Arc::new(redb)])
}

pub(crate) fn key(number: u8) -> SessionKey {
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

#[tokio::test]
async fn a_login_is_remembered_with_the_key_before_it() {
    let (_dir, stores) = every_kind();
    for store in stores {
        assert!(store.session("alice").await.unwrap().is_none());
        let first = store.put_session("alice", key(1), after(0)).await.unwrap();
        assert_eq!(seen(&first), (1, None, 0, 0));
        let second = store.put_session("alice", key(2), after(10)).await.unwrap();
        assert_eq!(seen(&second), (2, Some((1, 10)), 10, 10));
        // The same key again replaces nothing.
        let again = store.put_session("alice", key(2), after(20)).await.unwrap();
        assert_eq!(seen(&again), (2, Some((1, 10)), 20, 20));
        let third = store.put_session("alice", key(3), after(30)).await.unwrap();
        assert_eq!(seen(&third), (3, Some((2, 30)), 30, 30));

        assert_eq!(
            seen(&store.session("alice").await.unwrap().unwrap()),
            seen(&third)
        );
        assert!(store.session("bob").await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_use_is_noted_once_an_hour() {
    let (_dir, stores) = every_kind();
    let hour = TOUCH_EVERY.as_secs();
    for store in stores {
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
            assert_eq!(
                seen(&store.session("alice").await.unwrap().unwrap()),
                (1, None, 0, noted)
            );
        }
        // A clock that was set back takes nothing back.
        store.touch("alice", after(0)).await.unwrap();
        assert_eq!(seen(&store.session("alice").await.unwrap().unwrap()).3, 2 * hour);
    }
}

#[tokio::test]
async fn who_was_not_seen_for_long_is_forgotten() {
    let (_dir, stores) = every_kind();
    for store in stores {
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
}

#[tokio::test]
async fn an_access_token_is_kept_per_appid_and_dropped_only_if_it_is_the_refused_one() {
    let (_dir, stores) = every_kind();
    let token = |text: &str, at| AccessToken {
        token: SecretString::from(text),
        expires_at: after(at),
    };
    for store in stores {
        assert!(store.access_token("wx1").await.unwrap().is_none());
        // WeChat promises no alphabet.
        for (appid, text) in [("wx1", "92_a\"\\b\n"), ("wx2", "other"), ("wx1", "new\"")] {
            store.put_access_token(appid, token(text, 7200)).await.unwrap();
        }
        let kept = store.access_token("wx1").await.unwrap().unwrap();
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
        store.drop_access_token("wx1", &"new\"".into()).await.unwrap();
        store.drop_access_token("wx1", &"new\"".into()).await.unwrap();
        assert!(store.access_token("wx1").await.unwrap().is_none());
        assert!(store.access_token("wx2").await.unwrap().is_some());
    }
}

#[tokio::test]
async fn what_timers_saw_last_is_kept() {
    let (_dir, stores) = every_kind();
    for store in stores {
        assert_eq!(store.timers_seen().await.unwrap(), None);
        for at in [100, 99] {
            store.put_timers_seen(machine(at)).await.unwrap();
            assert_eq!(store.timers_seen().await.unwrap(), Some(machine(at)));
        }
    }
}

#[tokio::test]
async fn the_key_ring_is_made_once() {
    let (_dir, stores) = every_kind();
    for store in stores {
        let at_once: Vec<_> = (0..8)
            .map(|_| Arc::clone(&store))
            .map(|store| tokio::spawn(async move { store.key_ring().await.unwrap().keys()[0].to_base64() }))
            .collect();
        let ring = store.key_ring().await.unwrap();
        assert_eq!(ring.keys().len(), 1);
        for other in at_once {
            assert_eq!(*other.await.unwrap(), *ring.keys()[0].to_base64());
        }
    }
}

/// Machine time, so many seconds after a start.
pub(crate) fn machine(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn done(answer: Option<&str>) -> Ended {
    Ended::Done {
        answer: answer.map(str::to_owned),
    }
}

/// The number, attempts and failures of each open push, and whether it is dead.
async fn open(store: &Arc<dyn Store>) -> Vec<(u64, u32, u32, bool)> {
    let pushes = store.open_pushes().await.unwrap();
    pushes
        .iter()
        .map(|push| (push.id, push.attempts, push.failures, push.dead.is_some()))
        .collect()
}

#[tokio::test]
async fn a_push_is_taken_once_and_its_answer_kept() {
    let (_dir, stores) = every_kind();
    for store in stores {
        let take = async |key, packet| store.take_push(key, packet, machine(5)).await.unwrap();
        assert_eq!(take("a", "{\"A\":\"\\u4f60\"}").await, Taken::New(1));
        assert_eq!(take("b", "B").await, Taken::New(2));
        let Taken::Open(push) = take("a", "another").await else {
            panic!("it is open")
        };
        assert_eq!(
            (push.id, push.key.as_str(), push.packet.as_str()),
            (1, "a", "{\"A\":\"\\u4f60\"}")
        );
        assert_eq!((push.taken_at, push.dead), (machine(5), None));

        assert_eq!(store.begin_push(1).await.unwrap(), Some(1));
        store
            .end_push(1, done(Some("{\"x\":1}")), machine(6))
            .await
            .unwrap();
        store.end_push(2, done(None), machine(6)).await.unwrap();
        let answer = Some("{\"x\":1}".to_owned());
        assert_eq!(take("a", "A").await, Taken::Done { answer });
        assert_eq!(take("b", "B").await, Taken::Done { answer: None });
        assert_eq!(store.open_pushes().await.unwrap(), []);
        // What is through stays through, and numbers are not given twice.
        assert_eq!(store.begin_push(1).await.unwrap(), None);
        store.end_push(1, Ended::Failed, machine(7)).await.unwrap();
        assert_eq!(take("c", "C").await, Taken::New(3));
    }
}

#[tokio::test]
async fn a_push_that_fails_becomes_a_dead_letter_that_can_be_revived_or_dismissed() {
    let (_dir, stores) = every_kind();
    for store in stores {
        for key in ["a", "b"] {
            store.take_push(key, "P", machine(0)).await.unwrap();
        }
        let dead = |error: &str| Ended::Dead {
            error: error.to_owned(),
        };
        assert_eq!(store.begin_push(1).await.unwrap(), Some(1));
        store.end_push(1, Ended::Failed, machine(1)).await.unwrap();
        // Cut off: begun, and not ended.
        assert_eq!(store.begin_push(1).await.unwrap(), Some(2));
        assert_eq!(open(&store).await, [(1, 2, 1, false), (2, 0, 0, false)]);
        assert_eq!(store.revive_push(1, true).await.unwrap(), None);
        assert!(!store.dismiss_push(1, machine(2)).await.unwrap());

        assert_eq!(store.begin_push(1).await.unwrap(), Some(3));
        store.end_push(1, dead("it threw"), machine(3)).await.unwrap();
        assert_eq!(open(&store).await, [(1, 3, 2, true), (2, 0, 0, false)]);
        assert_eq!(store.begin_push(1).await.unwrap(), None);
        let Taken::Open(push) = store.take_push("a", "P", machine(4)).await.unwrap() else {
            panic!("it is open")
        };
        let death = Death {
            error: "it threw".to_owned(),
            at: machine(3),
        };
        assert_eq!(push.dead, Some(death));

        // For one attempt more, and then from the start.
        let revived = store.revive_push(1, false).await.unwrap().unwrap();
        assert_eq!((revived.attempts, revived.failures, &revived.dead), (3, 2, &None));
        assert_eq!(store.revive_push(1, false).await.unwrap(), None);
        assert_eq!(store.begin_push(1).await.unwrap(), Some(4));
        store.end_push(1, dead("again"), machine(5)).await.unwrap();
        let revived = store.revive_push(1, true).await.unwrap().unwrap();
        assert_eq!((revived.attempts, revived.earlier, revived.failures), (4, 4, 0));
        assert_eq!(store.begin_push(1).await.unwrap(), Some(5));
        store.end_push(1, dead("for ever"), machine(6)).await.unwrap();

        assert!(store.dismiss_push(1, machine(7)).await.unwrap());
        assert!(!store.dismiss_push(1, machine(7)).await.unwrap());
        assert_eq!(open(&store).await, [(2, 0, 0, false)]);
        assert_eq!(
            store.take_push("a", "P", machine(8)).await.unwrap(),
            Taken::Done { answer: None }
        );
    }
}

#[tokio::test]
async fn only_what_nobody_waits_for_is_swept() {
    let (_dir, stores) = every_kind();
    for store in stores {
        for (key, at) in [
            ("done", 10),
            ("late", 20),
            ("dead", 10),
            ("last", 20),
            ("open", 0),
        ] {
            let Taken::New(id) = store.take_push(key, "P", machine(0)).await.unwrap() else {
                panic!("{key} is new")
            };
            let ended = match key {
                "done" | "late" => done(None),
                "open" => Ended::Failed,
                _ => Ended::Dead { error: String::new() },
            };
            store.end_push(id, ended, machine(at)).await.unwrap();
        }
        let bounds = |done_before, dead_before| Bounds {
            done_before: machine(done_before),
            dead_before: machine(dead_before),
        };
        assert_eq!(store.sweep_pushes(bounds(10, 10)).await.unwrap(), 0);
        assert_eq!(store.sweep_pushes(bounds(20, 10)).await.unwrap(), 1);
        assert_eq!(store.sweep_pushes(bounds(20, 20)).await.unwrap(), 1);
        assert_eq!(open(&store).await, [(4, 0, 1, true), (5, 0, 1, false)]);
        for (key, is_new) in [
            ("done", true),
            ("late", false),
            ("dead", true),
            ("last", false),
            ("open", false),
        ] {
            let taken = store.take_push(key, "P", machine(30)).await.unwrap();
            assert_eq!(matches!(taken, Taken::New(_)), is_new, "{key}");
        }
    }
}

/// Many at once share commits, and each keeps its place.
#[tokio::test]
async fn pushes_are_numbered_in_the_order_of_the_calls() {
    let (_dir, stores) = every_kind();
    for store in stores {
        let keys: Vec<String> = (1..=300).map(|number| format!("k{number}")).collect();
        let taken: Vec<_> = keys
            .iter()
            .map(|key| store.take_push(key, "P", machine(0)))
            .collect();
        // The last one is waited for first.
        for (before, taken) in taken.into_iter().enumerate().rev() {
            assert_eq!(taken.await.unwrap(), Taken::New(before as u64 + 1));
        }
        let begun: Vec<_> = (1..=300).map(|id| store.begin_push(id)).collect();
        for begun in begun {
            assert_eq!(begun.await.unwrap(), Some(1));
        }
        assert_eq!(open(&store).await.len(), 300);
    }
}
