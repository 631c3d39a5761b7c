//! The store's session_keys, for the cloud calls that are signed with them.

use std::{error::Error, future::Future, pin::Pin, sync::Arc};

use cloud::SessionKeys;
use opendata::SessionKey;
use store::Store;

/// Looks session_keys up in the store.
pub(crate) struct StoredKeys(pub(crate) Arc<dyn Store>);

impl SessionKeys for StoredKeys {
    fn session_key<'a>(
        &'a self,
        openid: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Option<SessionKey>, Box<dyn Error + Send + Sync>>> + Send + 'a>>
    {
        Box::pin(async move { Ok(self.0.session(openid).await?.map(|session| session.key)) })
    }
}
