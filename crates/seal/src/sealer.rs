//! Sealing and opening. A token is base64url, without padding, of
//!
//! ```text
//! version 1 B | root key id 4 B | nonce 12 B | ciphertext | tag 16 B
//! ```
//!
//! and the associated data is the version, the kind and the root key id. The id only picks the key out of the ring; it
//! says nothing about the key. Nonces are random: a thousand tokens a second for a year under one root key, kind and
//! appid meet a repeated nonce with a probability of six in a thousand million.

use std::{
    fmt,
    sync::{Arc, LazyLock},
};

use aes_gcm::{
    Aes256Gcm, KeyInit as _, Nonce, Tag,
    aead::{AeadInOut as _, inout::InOutBuf},
};
// base64 has its SIMD engine for these machines only.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::GeneralPurpose as Base64;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::Simd as Base64;
use base64::{Engine as _, engine::general_purpose::NO_PAD};
use thiserror::Error;

use crate::KeyRing;

const VERSION: u8 = 1;
const ID: usize = 4;
const NONCE: usize = 12;
const TAG: usize = 16;
const HEAD: usize = 1 + ID + NONCE;

/// What a token is for. It is authenticated, and each has keys of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealKind {
    /// What a client shows to be let in.
    Bearer,
    /// Open data that was decrypted for a client, in the shape of a cloudID.
    Ticket,
    /// What another server shows to WeChat's HTTP API, where we answer it.
    HttpApi,
    /// What the operator's browser shows after it was let in.
    SignIn,
    /// What the address of a file allows whoever reads it.
    Download,
    /// What an address allows whoever sends a file there.
    Upload,
    /// By which a user of CloudBase's SDKs gets their next access token.
    Refresh,
    /// Who WeChat says that somebody is, until they sign in with it.
    Provider,
    /// What a client shows to be let in at a socket of realtime.
    Socket,
}

impl SealKind {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Bearer => b"bearer",
            Self::Ticket => b"ticket",
            Self::HttpApi => b"http-api",
            Self::SignIn => b"sign-in",
            Self::Download => b"download",
            Self::Upload => b"upload",
            Self::Refresh => b"refresh",
            Self::Provider => b"provider",
            Self::Socket => b"socket",
        }
    }

    fn byte(self) -> u8 {
        match self {
            Self::Bearer => 1,
            Self::Ticket => 2,
            Self::HttpApi => 3,
            Self::SignIn => 4,
            Self::Download => 5,
            Self::Upload => 6,
            Self::Refresh => 7,
            Self::Provider => 8,
            Self::Socket => 9,
        }
    }
}

/// Seals and opens tokens of one kind for one appid. Cheap to clone.
#[derive(Clone)]
pub struct Sealer {
    kind: SealKind,
    /// In the ring's order: the first seals.
    keys: Arc<[Key]>,
}

struct Key {
    id: [u8; ID],
    cipher: Aes256Gcm,
}

impl Sealer {
    /// Derives the keys of this kind and appid from every root key of the ring.
    #[must_use]
    pub fn new(ring: &KeyRing, kind: SealKind, appid: &str) -> Self {
        let keys = ring
            .keys()
            .iter()
            .map(|root| Key {
                id: *root.derive(&[b"id"]),
                // The label holds no zero byte, so label and appid cannot run into one another.
                cipher: Aes256Gcm::new(&(*root.derive::<32>(&[kind.label(), &[0], appid.as_bytes()])).into()),
            })
            .collect();
        Self { kind, keys }
    }

    /// Seals `plain` under the newest key; two calls never give the same token. The token is ASCII, URL-safe, and four
    /// thirds of the plain text plus 44 characters long.
    #[expect(
        clippy::expect_used,
        reason = "randomness and AES-GCM's 64 GB limit: neither can be met with less"
    )]
    pub fn seal(&self, plain: &[u8]) -> String {
        let Key { id, cipher } = &self.keys[0];
        let mut bytes = Vec::with_capacity(HEAD + plain.len() + TAG);
        bytes.push(VERSION);
        bytes.extend_from_slice(id);
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).expect("the operating system gives random bytes");
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(plain);
        let tag = cipher
            .encrypt_inout_detached(
                &Nonce::from(nonce),
                &self.associated(id),
                InOutBuf::from(&mut bytes[HEAD..]),
            )
            .expect("a token is far below 64 GB");
        bytes.extend_from_slice(&tag);
        BASE64URL.encode(bytes)
    }

    /// Opens what [`seal`](Self::seal) gave, under any key of the ring. Every character counts: there is exactly one
    /// text for a token.
    pub fn open(&self, token: &str) -> Result<Vec<u8>, OpenError> {
        let mut bytes = BASE64URL.decode(token).map_err(|_| OpenError::Malformed)?;
        if bytes.len() < HEAD + TAG || bytes[0] != VERSION {
            return Err(OpenError::Malformed);
        }
        let body = bytes.len() - TAG;
        let (head, rest) = bytes.split_at_mut(HEAD);
        let (text, tag) = rest.split_at_mut(body - HEAD);
        let (id, nonce) = head[1..].split_at(ID);
        // Bound by the length check above.
        let (Ok(id), Ok(nonce), Ok(tag)) = (
            <[u8; ID]>::try_from(id),
            Nonce::try_from(nonce),
            Tag::try_from(&*tag),
        ) else {
            return Err(OpenError::Malformed);
        };

        let mut known = self.keys.iter().filter(|key| key.id == id).peekable();
        if known.peek().is_none() {
            return Err(OpenError::UnknownKey);
        }
        // AES-GCM checks the tag before it touches the text, so a second key that shares the id finds it whole.
        let associated = self.associated(&id);
        let opened = known.any(|key| {
            key.cipher
                .decrypt_inout_detached(&nonce, &associated, InOutBuf::from(&mut *text), &tag)
                .is_ok()
        });
        if !opened {
            return Err(OpenError::Forged);
        }
        bytes.truncate(body);
        bytes.drain(..HEAD);
        Ok(bytes)
    }

    fn associated(&self, id: &[u8; ID]) -> [u8; 2 + ID] {
        let mut data = [VERSION, self.kind.byte(), 0, 0, 0, 0];
        data[2..].copy_from_slice(id);
        data
    }
}

/// Strict: no padding, and no second text for the same bytes through non-zero trailing bits. Kept, because making an
/// engine means making its tables.
static BASE64URL: LazyLock<Base64> = LazyLock::new(|| {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    return Base64::url_safe(NO_PAD);
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return Base64::new(&base64::alphabet::URL_SAFE, NO_PAD);
});

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// Why a token does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Not base64url, too short, or of a version this build does not know: nothing that we made.
    #[error("this is not the text of a sealed token")]
    Malformed,
    /// Sealed with a root key that is not in the ring: another installation's, or one that was retired.
    #[error(
        "the token was sealed with a root key that is not in the key ring (retired, or another installation's)"
    )]
    UnknownKey,
    /// The key is ours and the content does not agree with it: altered, or of another kind or appid.
    #[error("the token was altered, or it was sealed for another kind or appid")]
    Forged,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::RootKey;

    const APPID: &str = "wx4f4bc4dec97d474b";

    fn key(text: &str) -> RootKey {
        RootKey::from_base64(text).unwrap()
    }

    #[test]
    fn a_token_survives_rotation_until_its_key_is_taken_away() {
        let (old, new) = (RootKey::generate().to_base64(), RootKey::generate().to_base64());
        let before = Sealer::new(&KeyRing::new(vec![key(&old)]).unwrap(), SealKind::Bearer, APPID);
        let during = Sealer::new(
            &KeyRing::new(vec![key(&new), key(&old)]).unwrap(),
            SealKind::Bearer,
            APPID,
        );
        let after = Sealer::new(&KeyRing::new(vec![key(&new)]).unwrap(), SealKind::Bearer, APPID);

        let early = before.seal(b"alice");
        assert_eq!(during.open(&early).unwrap(), b"alice");
        assert_eq!(after.open(&early).unwrap_err(), OpenError::UnknownKey);
        let late = during.seal(b"alice");
        assert_eq!(after.open(&late).unwrap(), b"alice", "the newest key seals");
        assert_eq!(before.open(&late).unwrap_err(), OpenError::UnknownKey);
    }

    #[test]
    fn another_kind_or_appid_does_not_open() {
        let ring = KeyRing::generate();
        let token = Sealer::new(&ring, SealKind::Bearer, APPID).seal(b"alice");
        assert_eq!(
            Sealer::new(&ring, SealKind::Ticket, APPID)
                .open(&token)
                .unwrap_err(),
            OpenError::Forged
        );
        assert_eq!(
            Sealer::new(&ring, SealKind::Bearer, "wx0")
                .open(&token)
                .unwrap_err(),
            OpenError::Forged
        );
        assert_eq!(
            Sealer::new(&ring, SealKind::Bearer, APPID).open(&token).unwrap(),
            b"alice"
        );
    }

    #[test]
    fn the_kind_is_authenticated_beside_having_keys_of_its_own() {
        let bearer = Sealer::new(&KeyRing::generate(), SealKind::Bearer, APPID);
        let same_keys = Sealer {
            kind: SealKind::Ticket,
            keys: bearer.keys.clone(),
        };
        assert_eq!(
            same_keys.open(&bearer.seal(b"alice")).unwrap_err(),
            OpenError::Forged
        );
    }

    #[test]
    fn two_keys_that_share_an_id_are_both_tried() {
        let ring = || KeyRing::generate();
        let (one, two) = (
            Sealer::new(&ring(), SealKind::Ticket, APPID),
            Sealer::new(&ring(), SealKind::Ticket, APPID),
        );
        let id = one.keys[0].id;
        let twin = |sealer: &Sealer| Key {
            id,
            cipher: sealer.keys[0].cipher.clone(),
        };
        let both = Sealer {
            kind: SealKind::Ticket,
            keys: Arc::new([twin(&one), twin(&two)]),
        };
        let second = Sealer {
            kind: SealKind::Ticket,
            keys: Arc::new([twin(&two)]),
        };
        assert_eq!(both.open(&second.seal(b"alice")).unwrap(), b"alice");
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        let sealer = Sealer::new(&KeyRing::generate(), SealKind::Ticket, APPID);
        let token = sealer.seal(b"");
        assert_eq!(sealer.open(&token).unwrap(), b"");
        let shorter = BASE64URL.encode(&BASE64URL.decode(&token).unwrap()[..HEAD + TAG - 1]);
        for text in [
            "",
            "=",
            "yq_",
            "深圳",
            "AAAA",
            &shorter,
            &format!("{token}="),
            &format!(" {token}"),
        ] {
            assert_eq!(sealer.open(text).unwrap_err(), OpenError::Malformed, "{text}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let sealer = Sealer::new(&KeyRing::generate(), SealKind::Ticket, APPID);
        assert_eq!(format!("{sealer:?}"), "Sealer { kind: Ticket, .. }");
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(plain in proptest::collection::vec(any::<u8>(), 0..300)) {
            let sealer = Sealer::new(&KeyRing::generate(), SealKind::Ticket, APPID);
            let token = sealer.seal(&plain);
            prop_assert!(token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
            prop_assert_ne!(&sealer.seal(&plain), &token);
            prop_assert_eq!(sealer.open(&token).unwrap(), plain);
        }

        #[test]
        fn any_other_character_anywhere_is_noticed(
            plain in proptest::collection::vec(any::<u8>(), 0..100),
            at in any::<prop::sample::Index>(),
            put in proptest::char::range('\0', '\u{ff}'),
        ) {
            let sealer = Sealer::new(&KeyRing::generate(), SealKind::Ticket, APPID);
            let token = sealer.seal(&plain);
            let at = at.index(token.len());
            let altered: String = token.chars().enumerate().map(|(i, c)| if i == at { put } else { c }).collect();
            prop_assert_eq!(sealer.open(&altered).is_ok(), altered == token);
        }
    }
}
