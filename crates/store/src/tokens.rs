//! WeChat's access_token for each appid, so that a restart does not fetch another one.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use clock::Timestamp;
use secrecy::SecretString;

use crate::{BoxFuture, StoreError};

/// WeChat's access_token for one appid.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub token: SecretString,
    /// When WeChat stops taking it.
    pub expires_at: Timestamp,
}

/// Where access_tokens are kept.
pub trait Tokens: Send + Sync {
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

    /// Claims for `term` of machine time that the caller fetches the appid's access_token, so that not each node does. Gives the
    /// claim's number; `None` while another claim holds. It ends by [`end_fetch`](Self::end_fetch), or by itself.
    fn begin_fetch<'a>(
        &'a self,
        appid: &'a str,
        term: Duration,
    ) -> BoxFuture<'a, Result<Option<u64>, StoreError>>;

    /// Ends the claim of this number, if it holds still.
    fn end_fetch<'a>(&'a self, appid: &'a str, claim: u64) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// Claims of fetches in memory, for a backend all of whose handles are in one process.
#[derive(Debug, Default)]
pub struct FetchClaims(Mutex<FetchesClaimed>);

#[derive(Debug, Default)]
struct FetchesClaimed {
    last: u64,
    /// By appid: the number, and when it ends.
    claims: HashMap<String, (u64, Instant)>,
}

impl FetchClaims {
    /// What [`Tokens::begin_fetch`] answers.
    #[must_use]
    pub fn begin(&self, appid: &str, term: Duration) -> Option<u64> {
        let mut claimed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if claimed.claims.get(appid).is_some_and(|(_, ends)| *ends > now) {
            return None;
        }
        claimed.last += 1;
        let number = claimed.last;
        claimed.claims.insert(appid.to_owned(), (number, now + term));
        Some(number)
    }

    /// What [`Tokens::end_fetch`] does.
    pub fn end(&self, appid: &str, claim: u64) {
        let mut claimed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if claimed
            .claims
            .get(appid)
            .is_some_and(|(number, _)| *number == claim)
        {
            claimed.claims.remove(appid);
        }
    }
}
