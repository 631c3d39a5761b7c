//! The form in which backends keep things: JSON, so that a later version can add a member and still read what is there, and
//! so that one backend can take over what another kept. Times are milliseconds since the epoch.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use clock::Timestamp;
use opendata::SessionKey;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use seal::{KeyRing, RootKey};

use crate::{
    AccessToken, Cause, Death, Lease, Owner, PreviousKey, PushState, Session, StoreError, StoredPush,
};

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

/// A [`StoredPush`] without its number, which is its key. Neither running nor dead, it waits until `due`.
#[derive(Serialize, Deserialize)]
struct PushRecord<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    /// Missing from what was written before there were lanes.
    #[serde(borrow, default)]
    lane: Option<Cow<'a, str>>,
    #[serde(default)]
    turn: u64,
    #[serde(borrow)]
    packet: Cow<'a, str>,
    taken_at: u64,
    attempts: u32,
    earlier: u32,
    failures: u32,
    #[serde(default)]
    due: u64,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    lease: Option<LeaseRecord<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    dead: Option<DeathRecord<'a>>,
}

#[derive(Serialize, Deserialize)]
struct LeaseRecord<'a> {
    #[serde(borrow)]
    owner: Cow<'a, str>,
    until: u64,
}

#[derive(Serialize, Deserialize)]
struct DeathRecord<'a> {
    #[serde(borrow)]
    error: Cow<'a, str>,
    at: u64,
}

/// What became of the push of a key: open, or done at a time.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeyRecord {
    /// The push's number.
    pub id: u64,
    /// When it was dealt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<u64>,
    /// What its duplicates are answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

const PUSH: &str = "message push";
const SESSION: &str = "session";
const TOKEN: &str = "access_token";

fn unreadable(what: &'static str, cause: impl Into<Cause>) -> StoreError {
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
///
/// # Errors
/// It cannot be written as JSON, which does not happen.
pub fn of_session(session: &Session) -> Result<Zeroizing<Vec<u8>>, StoreError> {
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
///
/// # Errors
/// The bytes are no such record.
pub fn to_session(bytes: &[u8]) -> Result<Session, StoreError> {
    let record: SessionRecord<'_> =
        serde_json::from_slice(bytes).map_err(|error| unreadable_json(SESSION, &error))?;
    let key = |text| SessionKey::parse(text).map_err(|error| unreadable(SESSION, error));
    let previous = record.previous.map(|previous| {
        Ok(PreviousKey {
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
///
/// # Errors
/// It cannot be written as JSON, which does not happen.
pub fn of_token(token: &AccessToken) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    write(
        TOKEN,
        &TokenRecord {
            token: token.token.expose_secret().into(),
            expires_at: token.expires_at.millis(),
        },
    )
}

/// The access_token of a record.
///
/// # Errors
/// The bytes are no such record.
pub fn to_token(bytes: &[u8]) -> Result<AccessToken, StoreError> {
    let record: TokenRecord<'_> =
        serde_json::from_slice(bytes).map_err(|error| unreadable_json(TOKEN, &error))?;
    Ok(AccessToken {
        token: SecretString::from(&*record.token),
        expires_at: Timestamp::from_millis(record.expires_at),
    })
}

/// The record of a key ring: its root keys in base64, newest first, one a line.
#[must_use]
pub fn of_key_ring(ring: &KeyRing) -> Zeroizing<Vec<u8>> {
    let mut record = Zeroizing::new(Vec::with_capacity(64 * ring.keys().len()));
    for key in ring.keys() {
        record.extend_from_slice(key.to_base64().as_bytes());
        record.push(b'\n');
    }
    record
}

/// The key ring of a record.
///
/// # Errors
/// The bytes are no such record.
pub fn to_key_ring(bytes: &[u8]) -> Result<KeyRing, StoreError> {
    const RING: &str = "key ring";
    let text = std::str::from_utf8(bytes).map_err(|error| unreadable(RING, error))?;
    let keys = text.lines().map(RootKey::from_base64);
    let keys = keys.collect::<Result<Vec<_>, _>>();
    KeyRing::new(keys.map_err(|error| unreadable(RING, error))?).map_err(|error| unreadable(RING, error))
}

/// Milliseconds since the epoch, 0 for what is before.
#[must_use]
pub fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The moment of so many milliseconds.
#[must_use]
pub fn time(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_millis(millis))
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The record of an open push.
///
/// # Errors
/// It cannot be written as JSON, which does not happen.
pub fn of_push(push: &StoredPush) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let (mut due, mut lease, mut dead) = (0, None, None);
    match &push.state {
        PushState::Waiting { due: at } => due = millis(*at),
        PushState::Running(Lease { owner, until }) => {
            lease = Some(LeaseRecord {
                owner: owner.as_str().into(),
                until: millis(*until),
            });
        }
        PushState::Dead(Death { error, at }) => {
            dead = Some(DeathRecord {
                error: error.as_str().into(),
                at: millis(*at),
            });
        }
    }
    write(
        PUSH,
        &PushRecord {
            key: push.key.as_str().into(),
            lane: Some(push.lane.as_str().into()),
            turn: push.turn,
            packet: push.packet.as_str().into(),
            taken_at: millis(push.taken_at),
            attempts: push.attempts,
            earlier: push.earlier,
            failures: push.failures,
            due,
            lease,
            dead,
        },
    )
}

/// The open push of a record. One that was written before there were lanes has its key for one.
///
/// # Errors
/// The bytes are no such record.
pub fn to_push(id: u64, bytes: &[u8]) -> Result<StoredPush, StoreError> {
    let record: PushRecord<'_> =
        serde_json::from_slice(bytes).map_err(|error| unreadable_json(PUSH, &error))?;
    let state = match (record.dead, record.lease) {
        (Some(death), _) => PushState::Dead(Death {
            error: death.error.into_owned(),
            at: time(death.at),
        }),
        (None, Some(lease)) => PushState::Running(Lease {
            owner: Owner::new(lease.owner),
            until: time(lease.until),
        }),
        (None, None) => PushState::Waiting {
            due: time(record.due),
        },
    };
    let key = record.key.into_owned();
    Ok(StoredPush {
        id,
        turn: if record.turn == 0 { id } else { record.turn },
        lane: record.lane.map_or_else(|| key.clone(), Cow::into_owned),
        key,
        packet: record.packet.into_owned(),
        taken_at: time(record.taken_at),
        attempts: record.attempts,
        earlier: record.earlier,
        failures: record.failures,
        state,
    })
}

/// The record of what became of a push.
///
/// # Errors
/// It cannot be written as JSON, which does not happen.
pub fn of_key(known: &KeyRecord) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    write(PUSH, known)
}

/// What became of a push, from its record.
///
/// # Errors
/// The bytes are no such record.
pub fn to_key(bytes: &[u8]) -> Result<KeyRecord, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| unreadable_json(PUSH, &error))
}
