//! The AES envelope: how a message travels as the text of `Encrypt`.
//!
//! `16 random bytes | length of the message (u32, big-endian) | message | appid`, filled up to a multiple of 32 bytes as PKCS#7
//! does, under AES-256-CBC, in base64 (WeChat's document "消息推送"). CBC hides and does not authenticate: what was not signed with the
//! Token must not be opened, and [`Receiver`](crate::Receiver) does not.

use aes::{Aes256Dec, Aes256Enc};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _, block_padding::NoPadding};
use thiserror::Error;

use crate::{EncodingAesKey, codes, excerpt};

/// What is filled up to a multiple of this: not the 16 of the cipher.
const BLOCK: usize = 32;
/// Random bytes and length.
const HEAD: usize = 20;

/// Why an `Encrypt` does not open.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PushEnvelopeError {
    /// Not base64.
    #[error(
        "Encrypt is not base64: it must be taken as it stands in the body, whole, its `+` not turned into blanks"
    )]
    NotBase64,
    /// The ciphertext is so many bytes.
    #[error(
        "Encrypt is {0} bytes of ciphertext, and must be a multiple of 16 and not empty: a part of it is missing"
    )]
    CiphertextLength(usize),
    /// The plaintext does not end in valid padding.
    #[error(
        "Encrypt does not open with this EncodingAESKey (bad padding): the key was changed in the console; give the new one, and \
         the old one beside it until the change is through"
    )]
    BadPadding,
    /// The plaintext is shorter than the message length that it states.
    #[error(
        "Encrypt opens, but the length in it does not fit: the message would be {length} bytes, and {held} are there; \
         probably the EncodingAESKey is another one"
    )]
    Length {
        /// What it says.
        length: usize,
        /// What it has.
        held: usize,
    },
    /// Made for another app.
    #[error(
        "the message was encrypted for appid {found:?}, and this is {expected:?}: the push settings of another app point here (a \
         third-party platform's pushes carry the appid of the platform)"
    )]
    OtherAppid {
        /// Whom it names.
        found: String,
        /// Who we are.
        expected: String,
    },
    /// There is no key to open it with.
    #[error("there is no EncodingAESKey to open Encrypt with: add the console's to the settings")]
    NoKey,
}

impl PushEnvelopeError {
    /// The official sample's number.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::NotBase64 => codes::NOT_BASE64,
            Self::CiphertextLength(_) | Self::BadPadding => codes::NOT_DECRYPTED,
            Self::Length { .. } => codes::ILLEGAL_BUFFER,
            Self::OtherAppid { .. } => codes::OTHER_APPID,
            Self::NoKey => codes::ILLEGAL_AES_KEY,
        }
    }

    /// How far opening got: of several keys' failures, the one that got furthest tells most.
    fn progress(&self) -> u8 {
        match self {
            Self::NoKey => 0,
            Self::NotBase64 | Self::CiphertextLength(_) | Self::BadPadding => 1,
            Self::Length { .. } => 2,
            Self::OtherAppid { .. } => 3,
        }
    }
}

/// Makes the text of `Encrypt`. The 16 bytes must be random: with one key, the iv is always the same.
#[must_use]
#[expect(clippy::expect_used, reason = "no message is 4 GB")]
pub fn seal(key: &EncodingAesKey, random: [u8; 16], message: &[u8], appid: &str) -> String {
    let length = u32::try_from(message.len()).expect("a message is less than 4 GB");
    let filled = HEAD + message.len() + appid.len();
    let padding = BLOCK - filled % BLOCK;
    let mut plain = Vec::with_capacity(filled + padding);
    plain.extend_from_slice(&random);
    plain.extend_from_slice(&length.to_be_bytes());
    plain.extend_from_slice(message);
    plain.extend_from_slice(appid.as_bytes());
    plain.resize(filled + padding, padding as u8);
    let cipher = cbc::Encryptor::<Aes256Enc>::new(key.bytes().into(), key.iv().into());
    BASE64_STANDARD.encode(cipher.encrypt_padded_vec::<NoPadding>(&plain))
}

/// Opens the text of `Encrypt` with whichever of the keys fits, and gives the message, if it was made for `appid`.
pub fn open(keys: &[EncodingAesKey], encrypt: &str, appid: &str) -> Result<Vec<u8>, PushEnvelopeError> {
    let ciphertext = BASE64_STANDARD
        .decode(encrypt)
        .map_err(|_| PushEnvelopeError::NotBase64)?;
    if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(16) {
        return Err(PushEnvelopeError::CiphertextLength(ciphertext.len()));
    }
    let mut failure = PushEnvelopeError::NoKey;
    for key in keys {
        match open_with(key, &ciphertext, appid) {
            Ok(message) => return Ok(message),
            Err(error) if error.progress() > failure.progress() => failure = error,
            Err(_) => {}
        }
    }
    Err(failure)
}

fn open_with(key: &EncodingAesKey, ciphertext: &[u8], appid: &str) -> Result<Vec<u8>, PushEnvelopeError> {
    let mut plain = ciphertext.to_vec();
    cbc::Decryptor::<Aes256Dec>::new(key.bytes().into(), key.iv().into())
        .decrypt_padded::<NoPadding>(&mut plain)
        .map_err(|_| PushEnvelopeError::CiphertextLength(ciphertext.len()))?;
    let filled = without_padding(&plain).ok_or(PushEnvelopeError::BadPadding)?;
    let Some((head, rest)) = filled.split_first_chunk::<HEAD>() else {
        return Err(PushEnvelopeError::Length {
            length: 0,
            held: filled.len(),
        });
    };
    let length = head.last_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)) as usize;
    let Some((message, tail)) = rest.split_at_checked(length) else {
        return Err(PushEnvelopeError::Length {
            length,
            held: rest.len(),
        });
    };
    if tail != appid.as_bytes() {
        return Err(PushEnvelopeError::OtherAppid {
            found: excerpt(&String::from_utf8_lossy(tail)),
            expected: appid.to_owned(),
        });
    }
    Ok(message.to_vec())
}

/// PKCS#7 with blocks of 32 bytes. The official samples take the last byte's word for it; here all of the padding must be right.
fn without_padding(plain: &[u8]) -> Option<&[u8]> {
    let padding = usize::from(*plain.last()?);
    let (filled, end) = plain.split_at_checked(plain.len().checked_sub(padding)?)?;
    ((1..=BLOCK).contains(&padding) && end.iter().all(|&byte| usize::from(byte) == padding)).then_some(filled)
}
