//! Logins of CloudBase's SDKs that were ended before their time. What is not here holds by itself, so that a login writes nothing.

use clock::Timestamp;

use crate::{BoxFuture, StoreError};

/// Where it is kept which logins were ended.
pub trait Revocations: Send + Sync {
    /// Ends the login of this id. `until` is when it would have ended by itself: from then on it need not be remembered.
    fn revoke<'a>(&'a self, login: &'a str, until: Timestamp) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Whether the login of this id was ended.
    fn is_revoked<'a>(&'a self, login: &'a str) -> BoxFuture<'a, Result<bool, StoreError>>;

    /// The ids of those that would not have ended before `until`, in no order.
    fn revoked_from(&self, until: Timestamp) -> BoxFuture<'_, Result<Vec<String>, StoreError>>;

    /// Forgets those that would have ended before `now`; answers how many.
    fn forget_revoked(&self, now: Timestamp) -> BoxFuture<'_, Result<usize, StoreError>>;
}
