//! Where WeChat's access_token lies between two runs. WeChat counts how often one is asked for, so a restart should find the
//! last one. Whoever makes a client says where that is: a server gives its store, and who has none gives
//! [`MemoryTokens`].

use std::{
    collections::HashMap,
    error::Error,
    future::Future,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
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
}

/// Keeps them as long as the process lives.
#[derive(Debug, Default)]
pub struct MemoryTokens(Mutex<HashMap<String, AccessToken>>);

impl MemoryTokens {
    fn tokens(&self) -> MutexGuard<'_, HashMap<String, AccessToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccessTokens for MemoryTokens {
    fn access_token<'a>(&'a self, appid: &'a str) -> TokenFuture<'a, Option<AccessToken>> {
        Box::pin(async move { Ok(self.tokens().get(appid).cloned()) })
    }

    fn put_access_token<'a>(&'a self, appid: &'a str, token: AccessToken) -> TokenFuture<'a, ()> {
        Box::pin(async move {
            self.tokens().insert(appid.to_owned(), token);
            Ok(())
        })
    }

    fn drop_access_token<'a>(&'a self, appid: &'a str, refused: &'a SecretString) -> TokenFuture<'a, ()> {
        Box::pin(async move {
            let mut tokens = self.tokens();
            let held = tokens.get(appid).map(|kept| kept.token.expose_secret());
            if held == Some(refused.expose_secret()) {
                tokens.remove(appid);
            }
            Ok(())
        })
    }
}
