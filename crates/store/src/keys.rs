//! The root keys that tokens are sealed with, where `[keys]` in yunqiao.toml names none.

use seal::KeyRing;

use crate::{BoxFuture, StoreError};

/// Where the key ring is kept.
pub trait Keys: Send + Sync {
    /// The root keys that tokens are sealed with: made at the first call ever, by whoever calls first, and the same for
    /// everybody from then on.
    fn key_ring(&self) -> BoxFuture<'_, Result<KeyRing, StoreError>>;
}
