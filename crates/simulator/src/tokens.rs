//! access_tokens, of both kinds, which do not know of each other.
//!
//! `/cgi-bin/token` makes a new one at each call; the one before works for five minutes more. `/cgi-bin/stable_token` gives
//! the same one until five minutes before its end, or, when forced, a new one at once that kills the old.

use std::time::Duration;

use clock::Timestamp;

use crate::{cloudid::ID_PREFIX, errors::Refusal, random, recent::Recent};

/// How long a token works.
const LIFE: Duration = Duration::from_secs(7200);
/// How long an old and a new one work side by side.
const OVERLAP: Duration = Duration::from_secs(300);
/// Forced refreshes closer than this refresh nothing.
const FORCE_GAP: Duration = Duration::from_secs(30);
/// Forced refreshes in one day, Beijing time.
const FORCES_A_DAY: u32 = 20;

/// Every token this WeChat has issued lately, and which are the newest.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issued: Recent<Token>,
    plain: Option<String>,
    stable: Option<String>,
    forced: Forced,
}

#[derive(Clone, Copy, Debug)]
struct Token {
    expires_at: Timestamp,
    /// When it stops working because a newer one has come.
    outdated_at: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Forced {
    last: Option<Timestamp>,
    day: u64,
    count: u32,
}

/// A token and how many seconds it has left.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Issued {
    pub(crate) token: String,
    pub(crate) expires_in: u64,
}

impl Tokens {
    /// `/cgi-bin/token`.
    pub(crate) fn plain(&mut self, now: Timestamp) -> Issued {
        if let Some(token) = self.plain.as_deref().and_then(|old| self.issued.get_mut(old)) {
            token.outdated_at = Some(now + OVERLAP);
        }
        let new = self.issue(now);
        self.plain = Some(new.token.clone());
        new
    }

    /// `/cgi-bin/stable_token`; `force` is its `force_refresh`.
    pub(crate) fn stable(&mut self, force: bool, now: Timestamp) -> Result<Issued, Refusal> {
        if force
            && self
                .forced
                .last
                .is_none_or(|last| now.saturating_since(last) >= FORCE_GAP)
        {
            self.forced.count(now)?;
            if let Some(token) = self.stable.take().and_then(|old| self.issued.get_mut(&old)) {
                token.outdated_at = Some(now);
            }
        }
        if let Some(old) = &self.stable
            && let Some(token) = self.issued.get(old)
            && token.expires_at.saturating_since(now) >= OVERLAP
        {
            return Ok(Issued {
                token: old.clone(),
                expires_in: token.expires_at.saturating_since(now).as_secs(),
            });
        }
        let new = self.issue(now);
        self.stable = Some(new.token.clone());
        Ok(new)
    }

    /// Whether a call that brings `token` may go on.
    pub(crate) fn check(&self, token: &str, now: Timestamp) -> Result<(), Refusal> {
        if token.is_empty() {
            return Err(Refusal::TokenMissing);
        }
        let known = self.issued.get(token).ok_or(Refusal::InvalidCredential)?;
        if now >= known.expires_at {
            return Err(Refusal::TokenExpired);
        }
        if known.outdated_at.is_some_and(|at| now >= at) {
            return Err(Refusal::InvalidCredential);
        }
        Ok(())
    }

    fn issue(&mut self, now: Timestamp) -> Issued {
        let token = format!("{ID_PREFIX}{}", random::url_safe(133));
        let life = Token {
            expires_at: now + LIFE,
            outdated_at: None,
        };
        self.issued.put(token.clone(), life);
        Issued {
            token,
            expires_in: LIFE.as_secs(),
        }
    }
}

impl Forced {
    fn count(&mut self, now: Timestamp) -> Result<(), Refusal> {
        let today = crate::shapes::beijing_day(now);
        if self.day != today {
            (self.day, self.count) = (today, 0);
        }
        if self.count == FORCES_A_DAY {
            return Err(Refusal::DailyQuota);
        }
        self.count += 1;
        self.last = Some(now);
        Ok(())
    }
}
