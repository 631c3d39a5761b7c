//! Keys that a client and its server share to encrypt what they tell each other, one pair of key and iv after another:
//! `wx.getUserCryptoManager().getLatestUserKey` on one side, `getuserencryptkey` on the other (WeChat's document
//! "获取用户encryptKey").
//!
//! A key lives for an hour. When WeChat makes the next is not documented; here it is when either side asks and there is none.

use std::{collections::HashMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use clock::Timestamp;
use serde::Serialize;

use crate::random;

const LIFE: Duration = Duration::from_secs(3600);
/// How many of a user's the server is told.
const SHOWN: usize = 3;

/// All users' keys, by the user's name, the newest first.
#[derive(Debug, Default)]
pub(crate) struct UserKeys(HashMap<String, Vec<UserKey>>);

/// One of them. Both sides are told all of it.
#[derive(Clone)]
pub(crate) struct UserKey {
    pub(crate) encrypt_key: String,
    pub(crate) iv: String,
    /// 1 for the first.
    pub(crate) version: u64,
    created: Timestamp,
}

/// What the server is told of one.
#[derive(Serialize)]
pub(crate) struct KeyInfo {
    encrypt_key: String,
    version: u64,
    /// Seconds that are left.
    expire_in: u64,
    iv: String,
    create_time: u64,
}

impl std::fmt::Debug for UserKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "UserKey(version {})", self.version)
    }
}

impl UserKey {
    pub(crate) fn expires(&self) -> Timestamp {
        self.created + LIFE
    }
}

impl UserKeys {
    /// The key that is good now, made if there is none.
    pub(crate) fn latest(&mut self, user: &str, now: Timestamp) -> &UserKey {
        let keys = self.0.entry(user.to_owned()).or_default();
        if keys.first().is_none_or(|key| key.expires() <= now) {
            let version = keys.first().map_or(1, |key| key.version + 1);
            keys.truncate(SHOWN - 1);
            keys.insert(
                0,
                UserKey {
                    encrypt_key: STANDARD.encode(random::bytes::<16>()),
                    iv: random::hex::<8>(),
                    version,
                    created: now,
                },
            );
        }
        &keys[0]
    }

    /// The last three, of which the first is good now.
    pub(crate) fn infos(&mut self, user: &str, now: Timestamp) -> Vec<KeyInfo> {
        self.latest(user, now);
        let info = |key: &UserKey| KeyInfo {
            encrypt_key: key.encrypt_key.clone(),
            version: key.version,
            expire_in: key.expires().saturating_since(now).as_secs(),
            iv: key.iv.clone(),
            create_time: key.created.secs(),
        };
        self.0[user].iter().map(info).collect()
    }
}
