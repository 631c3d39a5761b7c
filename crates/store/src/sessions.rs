//! Users' logins: the `session_key` of the latest one, and the key before it.

use std::time::Duration;

use clock::Timestamp;
use opendata::SessionKey;

use crate::{BoxFuture, StoreError};

/// How often a session's last use is noted at most: [`Sessions::touch`] within that time of the last note does nothing,
/// so that a busy user does not cost a write to disk for each call.
pub const TOUCH_EVERY: Duration = Duration::from_secs(3600);

/// What is remembered of a user's login.
#[derive(Clone, Debug)]
pub struct Session {
    /// The session_key of the latest login.
    pub key: SessionKey,
    /// The one before it, kept to explain a failure and never to decrypt for a client.
    pub previous: Option<PreviousKey>,
    /// When the latest login was.
    pub login_at: Timestamp,
    /// When the user was last seen, to within [`TOUCH_EVERY`].
    pub seen_at: Timestamp,
}

/// A session_key that a later login replaced.
#[derive(Clone, Debug)]
pub struct PreviousKey {
    /// The key.
    pub key: SessionKey,
    /// When it was replaced.
    pub until: Timestamp,
}

impl Session {
    /// The session after a login that gave `key`, where `before` was remembered until then. For backends.
    #[must_use]
    pub fn after_login(before: Option<Self>, key: SessionKey, now: Timestamp) -> Self {
        let previous = match before {
            // A login may well give the same key again.
            Some(before) if before.key == key => before.previous,
            Some(before) => Some(PreviousKey {
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

    /// Whether a use at `now` is worth noting. For backends.
    #[must_use]
    pub fn is_stale(&self, now: Timestamp) -> bool {
        now.saturating_since(self.seen_at) >= TOUCH_EVERY
    }
}

/// Where logins are remembered. A change is kept for good when its future has answered `Ok`.
pub trait Sessions: Send + Sync {
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
}
