//! Signing what its holder may read: HMAC-SHA256, with a key of its own for each purpose and appid, from each root key of the ring.
//! A JSON Web Token is such a text.

use std::{fmt, sync::Arc};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::KeyRing;

/// Signs and verifies texts of one purpose for one appid. Cheap to clone.
#[derive(Clone)]
pub struct Signer {
    /// In the ring's order: the first signs.
    keys: Arc<[SigningKey]>,
}

struct SigningKey {
    id: String,
    key: Zeroizing<[u8; 32]>,
}

impl Signer {
    /// Derives the keys of this purpose and appid from every root key of the ring. Neither has a zero byte in it.
    #[must_use]
    pub fn new(ring: &KeyRing, purpose: &str, appid: &str) -> Self {
        let keys = ring.keys().iter().map(|root| SigningKey {
            id: format!("{:08x}", u32::from_be_bytes(*root.derive(&[b"id"]))),
            // No kind of sealed token has this label.
            key: root.derive(&[b"signature", &[0], purpose.as_bytes(), &[0], appid.as_bytes()]),
        });
        Self { keys: keys.collect() }
    }

    /// The name of the key that signs. It only picks the key out of the ring.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.keys[0].id
    }

    /// The signature of a text under the newest key.
    #[must_use]
    pub fn sign(&self, text: &[u8]) -> [u8; 32] {
        mac(&self.keys[0], text).finalize().into_bytes().into()
    }

    /// Whether a signature is that of the text, under the key of this name.
    #[must_use]
    pub fn verify(&self, key_id: &str, text: &[u8], signature: &[u8]) -> bool {
        let mut named = self.keys.iter().filter(|key| key.id == key_id);
        named.any(|key| mac(key, text).verify_slice(signature).is_ok())
    }
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
fn mac(key: &SigningKey, text: &[u8]) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(&*key.key);
    mac.expect("a key of any length").chain_update(text)
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::RootKey;

    fn root(text: &str) -> RootKey {
        RootKey::from_base64(text).unwrap()
    }

    #[test]
    fn a_signature_is_one_text_s_purpose_s_and_app_s() {
        let ring = KeyRing::generate();
        let signer = Signer::new(&ring, "access", "wx1");
        let signature = signer.sign(b"alice");
        let id = signer.key_id();
        assert!(signer.verify(id, b"alice", &signature));
        assert!(!signer.verify(id, b"bob", &signature));
        assert!(!signer.verify(id, b"alice", &signature[..31]));
        assert!(!signer.verify("00000000", b"alice", &signature));
        for other in [
            Signer::new(&ring, "access", "wx2"),
            Signer::new(&ring, "other", "wx1"),
        ] {
            assert!(!other.verify(id, b"alice", &signature));
        }
    }

    #[test]
    fn a_signature_holds_until_its_key_is_taken_away() {
        let (old, new) = (RootKey::generate().to_base64(), RootKey::generate().to_base64());
        let before = Signer::new(&KeyRing::new(vec![root(&old)]).unwrap(), "access", "wx1");
        let signature = before.sign(b"alice");
        let during = KeyRing::new(vec![root(&new), root(&old)]).unwrap();
        let during = Signer::new(&during, "access", "wx1");
        assert!(during.verify(before.key_id(), b"alice", &signature));
        assert_ne!(during.key_id(), before.key_id());
        let after = Signer::new(&KeyRing::new(vec![root(&new)]).unwrap(), "access", "wx1");
        assert!(!after.verify(before.key_id(), b"alice", &signature));
    }
}
