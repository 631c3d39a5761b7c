//! Why open data is refused: one number and text to the client, the whole cause to the log.

use std::{fmt, time::Duration};

use thiserror::Error;

use crate::{
    SessionKeyError,
    code::{ILLEGAL_BUFFER, ILLEGAL_IV, ILLEGAL_SESSION_KEY},
};

/// Why `encryptedData` did not become a plaintext.
///
/// `Display` is for the log: it names the cause and its mend. A client is told [`code`](Self::code) and
/// [`public_text`](Self::public_text) only: whoever could tell bad padding from bad JSON could decrypt by asking.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecryptError {
    /// The session_key is not valid base64 of 16 bytes.
    #[error(transparent)]
    SessionKey(#[from] SessionKeyError),
    /// A field is not base64.
    #[error("{field} is not base64: {damage}")]
    NotBase64 {
        /// Which.
        field: EncryptedField,
        /// What seems to have happened to it.
        damage: Damage,
    },
    /// The iv is so many bytes instead of 16.
    #[error(
        "an iv is 16 bytes (24 characters of base64); this one is {0}: hand over `iv` as the client API gave it"
    )]
    IvLength(usize),
    /// The ciphertext is so many bytes.
    #[error(
        "encryptedData is {0} bytes, and must be a multiple of 16 and not empty: it was cut short, or is not what the client \
         API gave"
    )]
    CiphertextLength(usize),
    /// The first so many bytes open, and the end is missing.
    #[error(
        "encryptedData was cut: its first {0} bytes open with this session_key, and the rest is missing. Look for a database column \
         that is too short for it, or for a URL that was cut; send it in a JSON body, and store it as TEXT"
    )]
    Cut(usize),
    /// It opens with the iv as the key and the key as the iv.
    #[error("session_key and iv are swapped: encryptedData opens with each in the place of the other")]
    KeyAndIvSwapped,
    /// The one has the length of the other.
    #[error(
        "encryptedData and iv are swapped: what was given as the iv is longer, and encryptedData is 16 bytes"
    )]
    FieldsSwapped,
    /// The plaintext does not end in valid PKCS#7 padding.
    #[error(
        "encryptedData does not open with this session_key (bad padding): almost always the session_key was rotated by a \
         later login; call wx.login before the API that gives the data, not after it or at the same time"
    )]
    BadPadding,
    /// The padding is correct, but the plaintext is not UTF-8.
    #[error(
        "encryptedData does not open with this session_key (not UTF-8): almost always the session_key was rotated by a \
         later login; call wx.login before the API that gives the data, not after it or at the same time"
    )]
    NotUtf8,
    /// The plaintext is UTF-8 except for its first 16 bytes.
    #[error(
        "encryptedData opens with this session_key, but its first 16 bytes do not: the iv belongs to another response; hand \
         over the `encryptedData` and `iv` of the same one"
    )]
    WrongIv,
    /// The plaintext is text, but not a JSON object.
    #[error("the decrypted text is not a JSON object: {0}")]
    NotJson(#[from] json::JsonError),
    /// The object has no watermark.
    #[error(
        "the decrypted object has no watermark {{appid, timestamp}}, so nothing says for whom and when it was made"
    )]
    NoWatermark,
    /// The object has a watermark of a shape that WeChat does not make, or two.
    #[error("the watermark of the decrypted object is not one {{appid: string, timestamp: whole seconds}}")]
    MalformedWatermark,
    /// Made for another Mini Program.
    #[error(
        "the data was made for appid {found:?}, and this is {expected:?}: the client belongs to another Mini Program"
    )]
    OtherAppid {
        /// Whom the watermark names.
        found: String,
        /// Who we are.
        expected: String,
    },
    /// Made too long ago.
    #[error(
        "the data is {} s old, and at most {} s are allowed: fetch it anew before each call (or raise open_data.max_age)",
        .age.as_secs(), .max_age.as_secs()
    )]
    TooOld {
        /// How long ago.
        age: Duration,
        /// How long ago it may have been.
        max_age: Duration,
    },
    /// Made in a moment that is yet to come.
    #[error(
        "the data is {} s from the future, and at most {} s are allowed: this machine's clock is slow",
        .ahead.as_secs(), .future.as_secs()
    )]
    FromTheFuture {
        /// How far.
        ahead: Duration,
        /// How far it may be.
        future: Duration,
    },
    /// `signature` does not go with `rawData` and the session_key.
    #[error(
        "signature is not sha1(rawData + session_key): either rawData was changed on its way (it must be handed over as the \
         text that the client API gave, not parsed and written again), or the session_key was rotated by a later login"
    )]
    BadSignature,
}

impl DecryptError {
    /// The number of the official decryption sample: -41001 for the session_key, -41002 for the iv, -41003 for the rest.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::SessionKey(_) => ILLEGAL_SESSION_KEY,
            Self::NotBase64 {
                field: EncryptedField::Iv,
                ..
            }
            | Self::IvLength(_) => ILLEGAL_IV,
            _ => ILLEGAL_BUFFER,
        }
    }

    /// All that a client may be told beside the code: one text for each code.
    #[must_use]
    pub fn public_text(&self) -> &'static str {
        match self.code() {
            ILLEGAL_SESSION_KEY => "invalid session_key",
            ILLEGAL_IV => "invalid iv",
            _ => "invalid encryptedData",
        }
    }
}

/// A field that a client hands over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptedField {
    /// `encryptedData`
    EncryptedData,
    /// `iv`
    Iv,
}

impl fmt::Display for EncryptedField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EncryptedData => "encryptedData",
            Self::Iv => "iv",
        })
    }
}

/// What seems to have happened to base64 on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// It holds a space, as if a form or a query had been decoded once too often.
    PlusBecameSpace,
    /// It holds a percent sign, as if a form or a query had not been decoded.
    PercentEncoded,
    /// It begins with a byte order mark.
    ByteOrderMark,
    /// It stands in quotes.
    Quoted,
    /// It holds a backslash: `\n` as two characters, or `\/`.
    Escaped,
    /// It is in the alphabet for URLs, with `-` and `_`.
    UrlAlphabet,
    /// There are blanks before or behind it.
    BlanksAround,
    /// Other characters, no padding, or a character too few.
    Other,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PlusBecameSpace => {
                "it holds a space, so a `+` seems to have become one; send it in a JSON body, or percent-encode it in a form or query"
            }
            Self::PercentEncoded => "it holds a `%`, so it seems to be percent-encoded still; decode it once",
            Self::ByteOrderMark => {
                "it begins with a byte order mark, as editors on Windows put one before a file; save it without"
            }
            Self::Quoted => "it stands in quotes, so it seems to be a JSON string still; parse it once",
            Self::Escaped => {
                "it holds a backslash, so it seems to be the inside of a JSON or source string (`\\n` as two characters, `\\/`); parse it once"
            }
            Self::UrlAlphabet => {
                "it holds `-` or `_`, so something made base64 for URLs of it; hand it over as the client API gave it, with `+` and `/`"
            }
            Self::BlanksAround => "there are blanks or line ends around it; trim it",
            Self::Other => {
                "it must be the standard alphabet with its padding, as the client API gave it; a part of it may be missing"
            }
        })
    }
}
