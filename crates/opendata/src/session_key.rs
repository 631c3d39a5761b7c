//! The session_key, and what is signed with it.

use std::fmt;

use base16ct::lower::encode_string;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{Damage, base64};

/// What WeChat and a server share about one user from one login to the next: 16 bytes, written as 24 characters of
/// base64. It must never reach the client.
///
/// Decryption uses the bytes; both signatures use the *text* (WeChat's documents "开放数据校验与解密" and
/// "checkSessionKey"). Redacted in `Debug`, wiped when dropped, compared in constant time.
#[derive(Clone)]
pub struct SessionKey {
    bytes: Zeroizing<[u8; 16]>,
    text: Zeroizing<String>,
}

impl SessionKey {
    /// Reads the text that `jscode2session` gives.
    pub fn parse(text: &str) -> Result<Self, SessionKeyError> {
        let bytes = Zeroizing::new(base64::decode_line(text).map_err(SessionKeyError::NotBase64)?);
        match <[u8; 16]>::try_from(bytes.as_slice()) {
            Ok(bytes) => Ok(Self {
                bytes: Zeroizing::new(bytes),
                text: Zeroizing::new(text.to_owned()),
            }),
            Err(_) => Err(SessionKeyError::Length(bytes.len())),
        }
    }

    /// The key of these bytes: for whoever plays WeChat and makes one.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self {
            text: Zeroizing::new(base64::encode(&bytes)),
            bytes: Zeroizing::new(bytes),
        }
    }

    /// The base64 text: for a store or for WeChat, never for a log or a client.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub(crate) fn bytes(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// The `signature` that goes with `rawData`: `sha1(rawData + session_key)` in lowercase hexadecimal.
    #[must_use]
    pub fn sign(&self, raw_data: &str) -> String {
        encode_string(
            &Sha1::new()
                .chain_update(raw_data)
                .chain_update(self.text.as_bytes())
                .finalize(),
        )
    }

    /// Whether `signature` is the one that goes with `raw_data`. In constant time.
    #[must_use]
    pub fn verify(&self, raw_data: &str, signature: &str) -> bool {
        same(&self.sign(raw_data), signature)
    }

    /// The signature of a request made in the user's session, as `wxa/checksession` and payment APIs want it:
    /// `hmac_sha256(session_key, body)` in lowercase hexadecimal; the body of a GET is empty.
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    #[must_use]
    pub fn session_signature(&self, body: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.text.as_bytes()).expect("any length");
        encode_string(&mac.chain_update(body).finalize().into_bytes())
    }

    /// Whether `signature` is the session signature of `body`. In constant time.
    #[must_use]
    pub fn verify_session_signature(&self, body: &[u8], signature: &str) -> bool {
        same(&self.session_signature(body), signature)
    }
}

impl PartialEq for SessionKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes.ct_eq(&*other.bytes).into()
    }
}

impl Eq for SessionKey {}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// Why a text is no session_key. It never quotes the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SessionKeyError {
    /// Not base64.
    #[error("the session_key is not base64: {0}")]
    NotBase64(Damage),
    /// So many bytes instead of 16.
    #[error("a session_key is 16 bytes (24 characters of base64); this one is {0}")]
    Length(usize),
}

/// Compares hexadecimal digests without telling by the time taken how far they agree.
fn same(ours: &str, theirs: &str) -> bool {
    ours.as_bytes().ct_eq(theirs.as_bytes()).into()
}
