//! WeChat's access_token for each appid, so that a restart does not fetch another one.

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
}
