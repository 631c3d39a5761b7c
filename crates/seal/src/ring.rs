//! Root keys and the ring of them: the only secrets that every node of an installation must share.

use std::{fmt, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hkdf::Hkdf;
use sha2::Sha256;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

/// 32 random bytes from which the keys of every kind and appid are derived. Wiped when dropped, never printed.
pub struct RootKey([u8; 32]);

impl RootKey {
    /// A new one from the operating system's generator.
    #[expect(
        clippy::expect_used,
        reason = "without a source of randomness there is no safe way to go on"
    )]
    #[must_use]
    pub fn generate() -> Self {
        let mut key = [0; 32];
        getrandom::fill(&mut key).expect("the operating system gives random bytes");
        Self(key)
    }

    /// Reads the standard base64 text of 32 bytes, as `openssl rand -base64 32` prints it. Blanks around it are ignored.
    pub fn from_base64(text: &str) -> Result<Self, RootKeyError> {
        // The decoder's own error would quote a byte of the secret.
        let bytes = Zeroizing::new(
            BASE64_STANDARD
                .decode(text.trim())
                .map_err(|_| RootKeyError::NotBase64)?,
        );
        match <[u8; 32]>::try_from(bytes.as_slice()) {
            Ok(key) => Ok(Self(key)),
            Err(_) => Err(RootKeyError::Length(bytes.len())),
        }
    }

    /// The text that [`from_base64`](Self::from_base64) reads. Wiped when dropped; to be written to a 0600 file or a store.
    #[must_use]
    pub fn to_base64(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64_STANDARD.encode(self.0))
    }

    /// Derives 32 bytes, or fewer, for one purpose.
    #[expect(
        clippy::expect_used,
        reason = "HKDF-SHA256 fails only beyond 8160 bytes of output"
    )]
    pub(crate) fn derive<const N: usize>(&self, purpose: &[&[u8]]) -> Zeroizing<[u8; N]> {
        const { assert!(N <= 32) };
        let mut out = Zeroizing::new([0; N]);
        Hkdf::<Sha256>::new(Some(b"yunqiao seal 1"), &self.0)
            .expand_multi_info(purpose, out.as_mut())
            .expect("at most 32 bytes");
        out
    }
}

impl Drop for RootKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(..)")
    }
}

/// Why a text is no root key. It never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RootKeyError {
    /// Other characters, or padding that is missing.
    #[error(
        "a root key is the standard base64 text of 32 bytes, and this is not base64; `openssl rand -base64 32` makes one"
    )]
    NotBase64,
    /// So many bytes instead of 32.
    #[error("a root key is 32 bytes, and this is base64 of {0}; `openssl rand -base64 32` makes one")]
    Length(usize),
}

/// The root keys of an installation, newest first. Cheap to clone; clones share the keys.
#[derive(Clone, Debug)]
pub struct KeyRing(Arc<[RootKey]>);

impl KeyRing {
    /// A ring of these keys, newest first: the first seals, all open.
    pub fn new(keys: Vec<RootKey>) -> Result<Self, EmptyKeyRing> {
        if keys.is_empty() {
            Err(EmptyKeyRing)
        } else {
            Ok(Self(keys.into()))
        }
    }

    /// A ring of one new key.
    #[must_use]
    pub fn generate() -> Self {
        Self(Arc::new([RootKey::generate()]))
    }

    /// The keys, newest first; at least one.
    #[must_use]
    pub fn keys(&self) -> &[RootKey] {
        &self.0
    }
}

/// A ring without a key could neither seal nor open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a key ring needs at least one root key")]
pub struct EmptyKeyRing;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_root_key_survives_its_text() {
        let key = RootKey::generate();
        let text = key.to_base64();
        assert_eq!(RootKey::from_base64(&text).unwrap().0, key.0);
        assert_eq!(
            RootKey::from_base64(&format!(" {}\n", *text)).unwrap().0,
            key.0,
            "a file ends with a newline"
        );
        assert_ne!(RootKey::generate().0, key.0);
    }

    #[test]
    fn what_is_no_root_key_is_refused_without_quoting_it() {
        assert_eq!(
            RootKey::from_base64("kein Schlüssel").unwrap_err(),
            RootKeyError::NotBase64
        );
        assert_eq!(
            RootKey::from_base64(&BASE64_STANDARD.encode([7; 31])).unwrap_err(),
            RootKeyError::Length(31)
        );
        assert_eq!(RootKey::from_base64("").unwrap_err(), RootKeyError::Length(0));
        assert_eq!(KeyRing::new(Vec::new()).unwrap_err(), EmptyKeyRing);
    }

    #[test]
    fn debug_shows_no_secret() {
        let ring = KeyRing::new(vec![RootKey([b'k'; 32])]).unwrap();
        assert_eq!(format!("{ring:?}"), "KeyRing([RootKey(..)])");
    }

    #[test]
    fn purposes_do_not_share_keys() {
        let key = RootKey([7; 32]);
        assert_ne!(key.derive::<32>(&[b"a"]), key.derive::<32>(&[b"b"]));
        assert_ne!(key.derive::<32>(&[b"a"]), RootKey([8; 32]).derive::<32>(&[b"a"]));
        assert_eq!(key.derive::<32>(&[b"a"]), key.derive::<32>(&[b"a"]));
    }
}
