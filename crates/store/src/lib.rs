//! What must outlive a restart: each user's session_key, the key ring that seals tokens, WeChat's access_token, and the
//! message pushes that were taken in.
//!
//! One trait, [`Store`], with two kinds behind it: [`Memory`] for `dev`, `exec` and tests, and [`Redb`], one file on
//! disk. What a method answered survives a SIGKILL of the process that answered; that is the whole promise, and every
//! kind passes the same tests. Secrets are wiped from the memory that this crate owns; the file is readable by its
//! owner alone and not encrypted.

mod error;
mod memory;
mod pushes;
mod record;
mod redb;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    pin::Pin,
    time::{Duration, SystemTime},
};

use clock::Timestamp;
use opendata::SessionKey;
use seal::KeyRing;
use secrecy::SecretString;

pub use crate::{
    error::StoreError,
    memory::Memory,
    pushes::{Bounds, Death, Ended, Pushed, Taken},
    redb::Redb,
};

/// A future on the heap, which a trait object can return.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How often a session's last use is noted at most: [`Store::touch`] within that time of the last note does nothing,
/// so that a busy user does not cost a write to disk for each call.
pub const TOUCH_EVERY: Duration = Duration::from_secs(3600);

/// What is remembered of a user's login.
#[derive(Clone, Debug)]
pub struct Session {
    /// The session_key of the latest login.
    pub key: SessionKey,
    /// The one before it, kept to explain a failure and never to decrypt for a client.
    pub previous: Option<Previous>,
    /// When the latest login was.
    pub login_at: Timestamp,
    /// When the user was last seen, to within [`TOUCH_EVERY`].
    pub seen_at: Timestamp,
}

/// A session_key that a later login replaced.
#[derive(Clone, Debug)]
pub struct Previous {
    /// The key.
    pub key: SessionKey,
    /// When it was replaced.
    pub until: Timestamp,
}

impl Session {
    /// The session after a login that gave `key`, where `before` was remembered until then.
    fn after_login(before: Option<Self>, key: SessionKey, now: Timestamp) -> Self {
        let previous = match before {
            // A login may well give the same key again.
            Some(before) if before.key == key => before.previous,
            Some(before) => Some(Previous {
                key: before.key,
                until: now,
            }),
            None => None,
        };
        Self {
            key,
            previous,
            login_at: now,
            seen_at: now,
        }
    }

    /// Whether a use at `now` is worth noting.
    fn is_stale(&self, now: Timestamp) -> bool {
        now.saturating_since(self.seen_at) >= TOUCH_EVERY
    }
}

/// WeChat's access_token for one appid.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub token: SecretString,
    /// When WeChat stops taking it.
    pub expires_at: Timestamp,
}

/// What must outlive a restart. A change is kept for good when its future has answered `Ok`.
pub trait Store: Send + Sync + 'static {
    /// What is remembered of the user's login, if anything.
    fn session<'a>(&'a self, openid: &'a str) -> BoxFuture<'a, Result<Option<Session>, StoreError>>;

    /// Remembers a login. A key that differs from the one remembered becomes the session's, and that one its
    /// previous.
    fn put_session<'a>(
        &'a self,
        openid: &'a str,
        key: SessionKey,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Session, StoreError>>;

    /// Notes that the user was seen, unless that was noted within [`TOUCH_EVERY`]. An unknown user is no error.
    fn touch<'a>(&'a self, openid: &'a str, now: Timestamp) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Forgets users who were not seen at `unseen_since` or later; answers how many.
    fn sweep(&self, unseen_since: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>>;

    /// The root keys that tokens are sealed with: made at the first call ever, the same from then on.
    fn key_ring(&self) -> BoxFuture<'_, Result<KeyRing, StoreError>>;

    /// The access_token last kept for the appid, whether it still holds or not.
    fn access_token<'a>(&'a self, appid: &'a str) -> BoxFuture<'a, Result<Option<AccessToken>, StoreError>>;

    /// Keeps an access_token for the appid in place of the one before.
    fn put_access_token<'a>(
        &'a self,
        appid: &'a str,
        token: AccessToken,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Drops the appid's access_token if it is `refused`, and leaves one that somebody fetched meanwhile.
    fn drop_access_token<'a>(
        &'a self,
        appid: &'a str,
        refused: &'a SecretString,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Takes a push in, unless one of its key is known. Pushes are numbered in the order of these calls.
    fn take_push<'a>(
        &'a self,
        key: &'a str,
        packet: &'a str,
        now: SystemTime,
    ) -> BoxFuture<'a, Result<Taken, StoreError>>;

    /// Notes that an attempt begins; answers its number, from 1, or `None` if no push of this number waits for one.
    fn begin_push(&self, id: u64) -> BoxFuture<'_, Result<Option<u32>, StoreError>>;

    /// Notes how an attempt ended. A push that is not open is no error.
    fn end_push(&self, id: u64, ended: Ended, now: SystemTime) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Makes a dead letter wait for an attempt again, and answers with it; `None` if there is no such dead letter. `afresh`
    /// gives it as many attempts as a new one has.
    fn revive_push(&self, id: u64, afresh: bool) -> BoxFuture<'_, Result<Option<Pushed>, StoreError>>;

    /// Drops a dead letter; its duplicates count as dealt with. Answers whether there was one.
    fn dismiss_push(&self, id: u64, now: SystemTime) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// All open pushes in the order in which they were taken, dead letters among them.
    fn open_pushes(&self) -> BoxFuture<'_, Result<Vec<Pushed>, StoreError>>;

    /// Forgets what is beyond the bounds; answers how many.
    fn sweep_pushes(&self, bounds: Bounds) -> BoxFuture<'_, Result<usize, StoreError>>;

    /// Up to which moment of the machine's time the ticks of timers were seen to, if that was ever kept.
    fn timers_seen(&self) -> BoxFuture<'_, Result<Option<SystemTime>, StoreError>>;

    /// Keeps it, in place of the one before.
    fn put_timers_seen(&self, seen: SystemTime) -> BoxFuture<'_, Result<(), StoreError>>;
}
