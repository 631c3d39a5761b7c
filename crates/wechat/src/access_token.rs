//! Where WeChat's access_token lies between two runs. WeChat counts how often one is asked for, so a restart should find the
//! last one. Whoever makes a client says where that is: a server gives its store, and who has none gives
//! [`MemoryTokens`].

use std::{
    collections::HashMap,
    error::Error,
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use clock::Timestamp;
use secrecy::{ExposeSecret, SecretString};

/// WeChat's access_token for one appid.
#[derive(Clone, Debug)]
pub struct AccessToken {
    /// The token.
    pub token: SecretString,
    /// When WeChat stops taking it, by WeChat's time.
    pub expires_at: Timestamp,
}

/// What a request to [`AccessTokens`] comes to. Its error is for the log: a client goes on without, and fetches a token.
pub type TokenFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// Keeps access_tokens, one for each appid.
pub trait AccessTokens: Send + Sync + 'static {
    /// The access_token last kept for the appid, whether it still holds or not.
    fn access_token<'a>(&'a self, appid: &'a str) -> TokenFuture<'a, Option<AccessToken>>;

    /// Keeps an access_token for the appid in place of the one before.
    fn put_access_token<'a>(&'a self, appid: &'a str, token: AccessToken) -> TokenFuture<'a, ()>;

    /// Drops the appid's access_token if it is `refused`, and leaves one that somebody fetched meanwhile.
    fn drop_access_token<'a>(&'a self, appid: &'a str, refused: &'a SecretString) -> TokenFuture<'a, ()>;

    /// Claims for `term` of machine time that the caller fetches the appid's access_token. Gives the claim's number; `None` while
    /// somebody else's holds. It ends by [`end_fetch`](Self::end_fetch), or by itself.
    fn begin_fetch<'a>(&'a self, appid: &'a str, term: Duration) -> TokenFuture<'a, Option<u64>>;

    /// Ends the claim of this number, if it holds still.
    fn end_fetch<'a>(&'a self, appid: &'a str, claim: u64) -> TokenFuture<'a, ()>;
}

/// Keeps them as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryTokens(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    tokens: HashMap<String, AccessToken>,
    /// The number of the last claim, and which hold: by appid, the number and when it ends.
    last: u64,
    fetches: HashMap<String, (u64, Instant)>,
}

impl MemoryTokens {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccessTokens for MemoryTokens {
    fn access_token<'a>(&'a self, appid: &'a str) -> TokenFuture<'a, Option<AccessToken>> {
        Box::pin(async move { Ok(self.held().tokens.get(appid).cloned()) })
    }

    fn put_access_token<'a>(&'a self, appid: &'a str, token: AccessToken) -> TokenFuture<'a, ()> {
        Box::pin(async move {
            self.held().tokens.insert(appid.to_owned(), token);
            Ok(())
        })
    }

    fn drop_access_token<'a>(&'a self, appid: &'a str, refused: &'a SecretString) -> TokenFuture<'a, ()> {
        Box::pin(async move {
            let tokens = &mut self.held().tokens;
            let held = tokens.get(appid).map(|kept| kept.token.expose_secret());
            if held == Some(refused.expose_secret()) {
                tokens.remove(appid);
            }
            Ok(())
        })
    }

    fn begin_fetch<'a>(&'a self, appid: &'a str, term: Duration) -> TokenFuture<'a, Option<u64>> {
        Box::pin(async move {
            let (mut held, now) = (self.held(), Instant::now());
            if held.fetches.get(appid).is_some_and(|(_, ends)| *ends > now) {
                return Ok(None);
            }
            held.last += 1;
            let number = held.last;
            held.fetches.insert(appid.to_owned(), (number, now + term));
            Ok(Some(number))
        })
    }

    fn end_fetch<'a>(&'a self, appid: &'a str, claim: u64) -> TokenFuture<'a, ()> {
        Box::pin(async move {
            let fetches = &mut self.held().fetches;
            if fetches.get(appid).is_some_and(|(number, _)| *number == claim) {
                fetches.remove(appid);
            }
            Ok(())
        })
    }
}
