//! access_tokens, of both kinds, which do not know of each other.
//!
//! `/cgi-bin/token` makes a new one at each call; the one before works for five minutes more. `/cgi-bin/stable_token` gives
//! the same one until five minutes before its end, or, when forced, a new one at once that kills the old. Every app has its
//! own, and a token says whose it is.

use std::{collections::HashMap, time::Duration};

use clock::Timestamp;

use crate::{people::cloudid::ID_PREFIX, random, recent::Recent, server::errors::ApiRefusal};

/// How long a token works.
const LIFE: Duration = Duration::from_secs(7200);
/// How long an old and a new one work side by side.
const OVERLAP: Duration = Duration::from_secs(300);
/// Forced refreshes closer than this refresh nothing.
const FORCE_GAP: Duration = Duration::from_secs(30);
/// Forced refreshes in one day, Beijing time.
const FORCES_A_DAY: u32 = 20;

/// Every token this WeChat has issued lately, and which are the newest of each app, by appid.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    issued: Recent<Token>,
    newest: HashMap<String, Newest>,
}

/// An app's newest tokens, one of each kind.
#[derive(Debug, Default)]
struct Newest {
    plain: Option<String>,
    stable: Option<String>,
    forced: Forced,
}

#[derive(Debug)]
struct Token {
    appid: String,
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
pub(crate) struct IssuedToken {
    pub(crate) token: String,
    pub(crate) expires_in: u64,
}

impl Tokens {
    /// `/cgi-bin/token`.
    pub(crate) fn plain(&mut self, appid: &str, now: Timestamp) -> IssuedToken {
        let newest = self.newest.entry(appid.to_owned()).or_default();
        if let Some(token) = newest.plain.as_deref().and_then(|old| self.issued.get_mut(old)) {
            token.outdated_at = Some(now + OVERLAP);
        }
        let new = issue(&mut self.issued, appid, now);
        newest.plain = Some(new.token.clone());
        new
    }

    /// `/cgi-bin/stable_token`; `force` is its `force_refresh`.
    pub(crate) fn stable(
        &mut self,
        appid: &str,
        force: bool,
        now: Timestamp,
    ) -> Result<IssuedToken, ApiRefusal> {
        let newest = self.newest.entry(appid.to_owned()).or_default();
        let soon = |last| now.saturating_since(last) < FORCE_GAP;
        if force && !newest.forced.last.is_some_and(soon) {
            newest.forced.count(now)?;
            if let Some(token) = newest.stable.take().and_then(|old| self.issued.get_mut(&old)) {
                token.outdated_at = Some(now);
            }
        }
        if let Some(old) = &newest.stable
            && let Some(token) = self.issued.get(old)
            && token.expires_at.saturating_since(now) >= OVERLAP
        {
            return Ok(IssuedToken {
                token: old.clone(),
                expires_in: token.expires_at.saturating_since(now).as_secs(),
            });
        }
        let new = issue(&mut self.issued, appid, now);
        newest.stable = Some(new.token.clone());
        Ok(new)
    }

    /// Whether a call that brings `token` may go on, and as which appid.
    pub(crate) fn check(&self, token: &str, now: Timestamp) -> Result<&str, ApiRefusal> {
        if token.is_empty() {
            return Err(ApiRefusal::TokenMissing);
        }
        let known = self.issued.get(token).ok_or(ApiRefusal::InvalidCredential)?;
        if now >= known.expires_at {
            return Err(ApiRefusal::TokenExpired);
        }
        if known.outdated_at.is_some_and(|at| now >= at) {
            return Err(ApiRefusal::InvalidCredential);
        }
        Ok(&known.appid)
    }

    /// The appid of the app that `token` was issued to, be it good or not.
    pub(crate) fn owner(&self, token: &str) -> Option<&str> {
        self.issued.get(token).map(|token| token.appid.as_str())
    }
}

fn issue(issued: &mut Recent<Token>, appid: &str, now: Timestamp) -> IssuedToken {
    let token = format!("{ID_PREFIX}{}", random::url_safe(133));
    let life = Token {
        appid: appid.to_owned(),
        expires_at: now + LIFE,
        outdated_at: None,
    };
    issued.put(token.clone(), life);
    IssuedToken {
        token,
        expires_in: LIFE.as_secs(),
    }
}

impl Forced {
    fn count(&mut self, now: Timestamp) -> Result<(), ApiRefusal> {
        let today = crate::people::shapes::beijing_day(now);
        if self.day != today {
            (self.day, self.count) = (today, 0);
        }
        if self.count == FORCES_A_DAY {
            return Err(ApiRefusal::DailyQuota);
        }
        self.count += 1;
        self.last = Some(now);
        Ok(())
    }
}
