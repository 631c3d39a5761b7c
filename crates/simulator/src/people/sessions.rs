//! Who is logged in, with which session_key.
//!
//! A user has at most one session_key. A login gives a new one when there is none, when the present one is old enough
//! (`session_rotation`) or when it is told to; the one before is void at once, which is what makes decryption fail "at
//! random" for those who log in between taking open data and sending it. A key lapses when it has gone unused for longer
//! than `session_idle`. A login, an exchanged code and every piece of open data are uses; asking whether it is still good
//! (`checkSession`, `/wxa/checksession`) is not, and a reset hands the expiry on, as documented.

use std::{collections::HashMap, time::Duration};

use clock::Timestamp;
use opendata::SessionKey;

use crate::random;

/// All users' sessions, by the user's name.
#[derive(Debug)]
pub(crate) struct Sessions {
    of: HashMap<String, Session>,
    rotation: Duration,
    idle: Duration,
}

#[derive(Debug)]
struct Session {
    key: SessionKey,
    made_at: Timestamp,
    used_at: Timestamp,
}

impl Sessions {
    pub(crate) fn new(rotation: Duration, idle: Duration) -> Self {
        Self {
            of: HashMap::new(),
            rotation,
            idle,
        }
    }

    /// `wx.login`: `rotate` asks for a new key whatever the age of the present one.
    pub(crate) fn login(&mut self, user: &str, now: Timestamp, rotate: bool) {
        let keep = self
            .live(user, now)
            .is_some_and(|session| !rotate && now.saturating_since(session.made_at) < self.rotation);
        match self.of.get_mut(user) {
            Some(session) if keep => session.used_at = now,
            _ => {
                let session = Session {
                    key: new_key(),
                    made_at: now,
                    used_at: now,
                };
                self.of.insert(user.to_owned(), session);
            }
        }
    }

    /// The key that is good now, without using it.
    pub(crate) fn current(&self, user: &str, now: Timestamp) -> Option<&SessionKey> {
        self.live(user, now).map(|session| &session.key)
    }

    /// The key that is good now; its life is extended.
    pub(crate) fn take(&mut self, user: &str, now: Timestamp) -> Option<&SessionKey> {
        self.live(user, now)?;
        let session = self.of.get_mut(user)?;
        session.used_at = now;
        Some(&session.key)
    }

    /// A new key in place of the one that is good now. It lapses when that one would have.
    pub(crate) fn reset(&mut self, user: &str, now: Timestamp) -> Option<&SessionKey> {
        self.live(user, now)?;
        let session = self.of.get_mut(user)?;
        session.key = new_key();
        session.made_at = now;
        Some(&session.key)
    }

    /// A new key for everybody who has one.
    pub(crate) fn reset_all(&mut self, now: Timestamp) {
        let users: Vec<String> = self.of.keys().cloned().collect();
        for user in users {
            self.reset(&user, now);
        }
    }

    fn live(&self, user: &str, now: Timestamp) -> Option<&Session> {
        self.of
            .get(user)
            .filter(|session| now.saturating_since(session.used_at) <= self.idle)
    }
}

fn new_key() -> SessionKey {
    SessionKey::from_bytes(random::bytes())
}
