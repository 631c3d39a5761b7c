//! The store's session_keys, for the cloud calls that are signed with them.

use std::sync::Arc;

use cloud::{KeyLookup, SessionKeys};
use store::Store;

/// Looks session_keys up in the store.
pub(crate) struct StoredKeys(pub(crate) Arc<dyn Store>);

impl SessionKeys for StoredKeys {
    fn session_key<'a>(&'a self, openid: &'a str) -> KeyLookup<'a> {
        Box::pin(async move {
            let session = self.0.session(openid).await;
            // What is shown of an error there is its text alone.
            let session = session.map_err(|error| error.report().to_string())?;
            Ok(session.map(|session| session.key))
        })
    }
}
