//! The form in which things are kept: JSON, so that a later version can add a member and still read what is there.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use clock::Timestamp;
use opendata::SessionKey;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{AccessToken, Death, Previous, Pushed, Session, StoreError};

/// A [`Session`]; times in milliseconds. The keys are borrowed, so that reading leaves no copy of them behind.
#[derive(Serialize, Deserialize)]
struct SessionRecord<'a> {
    key: &'a str,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    previous: Option<PreviousRecord<'a>>,
    login_at: u64,
    seen_at: u64,
}

#[derive(Serialize, Deserialize)]
struct PreviousRecord<'a> {
    key: &'a str,
    until: u64,
}

/// An [`AccessToken`].
#[derive(Serialize, Deserialize)]
struct TokenRecord<'a> {
    /// WeChat promises no alphabet, so it may need escapes.
    #[serde(borrow)]
    token: Cow<'a, str>,
    expires_at: u64,
}

/// A [`Pushed`] without its number, which is its key.
#[derive(Serialize, Deserialize)]
struct PushRecord<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow)]
    packet: Cow<'a, str>,
    taken_at: u64,
    attempts: u32,
    earlier: u32,
    failures: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead: Option<DeathRecord>,
}

#[derive(Serialize, Deserialize)]
struct DeathRecord {
    error: String,
    at: u64,
}

/// What became of the push of a key: open, or done at a time.
#[derive(Serialize, Deserialize)]
pub(crate) struct KnownPush {
    pub(crate) id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) done_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<String>,
}

const PUSH: &str = "message push";
const SESSION: &str = "session";
const TOKEN: &str = "access_token";

fn unreadable(what: &'static str, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Unreadable {
        what,
        cause: cause.into(),
    }
}

/// serde_json's own texts can quote what they could not read, which may be a secret.
fn unreadable_json(what: &'static str, error: &serde_json::Error) -> StoreError {
    unreadable(
        what,
        format!("{:?} error at byte {}", error.classify(), error.column()),
    )
}

fn write<T: Serialize>(what: &'static str, record: &T) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    // Large enough that the buffer never moves: a buffer that grows leaves a copy behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    serde_json::to_writer(&mut *bytes, record).map_err(|error| unreadable_json(what, &error))?;
    Ok(bytes)
}

/// The record of a session.
pub(crate) fn of_session(session: &Session) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let previous = session.previous.as_ref();
    write(
        SESSION,
        &SessionRecord {
            key: session.key.expose(),
            previous: previous.map(|previous| PreviousRecord {
                key: previous.key.expose(),
                until: previous.until.millis(),
            }),
            login_at: session.login_at.millis(),
            seen_at: session.seen_at.millis(),
        },
    )
}

/// The session of a record.
pub(crate) fn to_session(bytes: &[u8]) -> Result<Session, StoreError> {
    let record: SessionRecord<'_> =
        serde_json::from_slice(bytes).map_err(|error| unreadable_json(SESSION, &error))?;
    let key = |text| SessionKey::parse(text).map_err(|error| unreadable(SESSION, error));
    let previous = record.previous.map(|previous| {
        Ok(Previous {
            key: key(previous.key)?,
            until: Timestamp::from_millis(previous.until),
        })
    });
    Ok(Session {
        key: key(record.key)?,
        previous: previous.transpose()?,
        login_at: Timestamp::from_millis(record.login_at),
        seen_at: Timestamp::from_millis(record.seen_at),
    })
}

/// The record of an access_token.
pub(crate) fn of_token(token: &AccessToken) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    write(
        TOKEN,
        &TokenRecord {
            token: token.token.expose_secret().into(),
            expires_at: token.expires_at.millis(),
        },
    )
}

/// The access_token of a record.
pub(crate) fn to_token(bytes: &[u8]) -> Result<AccessToken, StoreError> {
    let record: TokenRecord<'_> =
        serde_json::from_slice(bytes).map_err(|error| unreadable_json(TOKEN, &error))?;
    Ok(AccessToken {
        token: SecretString::from(&*record.token),
        expires_at: Timestamp::from_millis(record.expires_at),
    })
}

/// Milliseconds since the epoch, 0 for what is before.
pub(crate) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(millis))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The record of an open push.
pub(crate) fn of_push(push: &Pushed) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    write(
        PUSH,
        &PushRecord {
            key: push.key.as_str().into(),
            packet: push.packet.as_str().into(),
            taken_at: millis(push.taken_at),
            attempts: push.attempts,
            earlier: push.earlier,
            failures: push.failures,
            dead: push.dead.as_ref().map(|death| DeathRecord {
                error: death.error.clone(),
                at: millis(death.at),
            }),
        },
    )
}

/// The open push of a record.
pub(crate) fn to_push(id: u64, bytes: &[u8]) -> Result<Pushed, StoreError> {
    let record: PushRecord<'_> =
        serde_json::from_slice(bytes).map_err(|error| unreadable_json(PUSH, &error))?;
    Ok(Pushed {
        id,
        key: record.key.into_owned(),
        packet: record.packet.into_owned(),
        taken_at: time(record.taken_at),
        attempts: record.attempts,
        earlier: record.earlier,
        failures: record.failures,
        dead: record.dead.map(|death| Death {
            error: death.error,
            at: time(death.at),
        }),
    })
}

/// The record of what became of a push.
pub(crate) fn of_known_push(known: &KnownPush) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    write(PUSH, known)
}

/// What became of a push, from its record.
pub(crate) fn to_known_push(bytes: &[u8]) -> Result<KnownPush, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| unreadable_json(PUSH, &error))
}
