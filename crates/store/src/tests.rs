//! What every store must do: each of these runs against every kind.

#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use clock::Timestamp;
use opendata::SessionKey;
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;

use crate::{AccessToken, Memory, Redb, Session, Store, TOUCH_EVERY};

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
