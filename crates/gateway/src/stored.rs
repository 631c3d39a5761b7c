//! What others read in the store through a trait of their own: the users' session_keys, for the cloud calls that are signed with
//! them, and WeChat's access_tokens, for the client of WeChat's API.

use std::{error::Error, sync::Arc, time::Duration};

use cloud::{KeyLookup, SessionKeys};
use secrecy::SecretString;
use store::{Store, StoreError};
use wechat::{AccessToken, AccessTokens, TokenFuture};

/// Looks session_keys up in the store.
pub(crate) struct StoredKeys(pub(crate) Arc<dyn Store>);

impl SessionKeys for StoredKeys {
    fn session_key<'a>(&'a self, openid: &'a str) -> KeyLookup<'a> {
        Box::pin(async move {
            let session = self.0.session(openid).await.map_err(reported)?;
            Ok(session.map(|session| session.key))
        })
    }
}

/// WeChat's access_tokens in the store, so that a restart, and another node on the same store, fetches none.
pub struct StoredTokens(Arc<dyn Store>);

impl StoredTokens {
    /// Those of this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }
}

impl AccessTokens for StoredTokens {
    fn access_token<'a>(&'a self, appid: &'a str) -> TokenFuture<'a, Option<AccessToken>> {
        Box::pin(async move {
            let kept = self.0.access_token(appid).await.map_err(reported)?;
            Ok(kept.map(|store::AccessToken { token, expires_at }| AccessToken { token, expires_at }))
        })
    }

    fn put_access_token<'a>(&'a self, appid: &'a str, token: AccessToken) -> TokenFuture<'a, ()> {
        let AccessToken { token, expires_at } = token;
        let token = store::AccessToken { token, expires_at };
        Box::pin(async move { self.0.put_access_token(appid, token).await.map_err(reported) })
    }

    fn drop_access_token<'a>(&'a self, appid: &'a str, refused: &'a SecretString) -> TokenFuture<'a, ()> {
        Box::pin(async move {
            let dropped = self.0.drop_access_token(appid, refused).await;
            dropped.map_err(reported)
        })
    }

    fn begin_fetch<'a>(&'a self, appid: &'a str, term: Duration) -> TokenFuture<'a, Option<u64>> {
        Box::pin(async move { self.0.begin_fetch(appid, term).await.map_err(reported) })
    }

    fn end_fetch<'a>(&'a self, appid: &'a str, claim: u64) -> TokenFuture<'a, ()> {
        Box::pin(async move { self.0.end_fetch(appid, claim).await.map_err(reported) })
    }
}

/// What is shown of an error on the other side is its text alone: it holds the cause, too.
fn reported(error: StoreError) -> Box<dyn Error + Send + Sync> {
    error.report().to_string().into()
}
