//! Sealed tokens: what a gateway hands out and can open again without remembering anything.
//!
//! A bearer token and one of our cloudIDs (a *ticket*) are a few bytes under AES-256-GCM. Each [`SealKind`] and each appid
//! has its own key, derived by HKDF-SHA256 from a root key, so a token never opens as another kind or for another app.
//! A [`KeyRing`] holds the root keys, newest first: the newest seals, all open. To rotate, put a new key in front,
//! and take the old one away once what it sealed has expired.
//!
//! A [`Signer`] has keys of the same ring for what its holder may read.
//!
//! Sealing keeps content secret and unaltered. Whether it is *still valid* is for whoever reads the content to judge:
//! nothing here knows the time.

mod ring;
mod sealer;
mod signer;

pub use ring::{EmptyKeyRing, KeyRing, RootKey, RootKeyError};
pub use sealer::{OpenError, SealKind, Sealer};
pub use signer::Signer;
