//! Who sent a request: both signatures of the SDK, verified over the fields as they came.
//!
//! From 2.1 on the SDK signs in a header, with TC3 (`Authorization: TC3-HMAC-SHA256 …`); older versions sign in the body,
//! in the field `authorization`, with HMAC-SHA1. Neither is specified in public; what is here was observed with 0.5.1 to
//! 4.0.2. A signature names what it covers, so besides being right it must cover what is read: every field that holds
//! something, but those that the older SDKs add after signing.
//!
//! What neither tells apart, because it covers what JavaScript held rather than what stands in the body: the order of
//! fields, the case of their names, how a JSON string is escaped, a string from other JSON of the same text (`"1"` and `1`),
//! the boundary of a form and the headers of its parts. TC3 does not tell apart blanks around text and empty text from
//! none, nor the case of headers. The older one leaves out the query and all headers but two, and the fields
//! `sdk_version`, `sessionToken`, `requestData` of `wx.openApi` and `wx.wxPayApi`, and `file` of `storage.uploadFile`.

mod body;
mod tc3;
#[cfg(test)]
mod tests;

use std::fmt;

use subtle::ConstantTimeEq as _;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{Envelope, codes};

/// How long after the moment named in it, in seconds, a TC3 signature is taken, and how far ahead of us that moment may be.
/// The SDK's own `X-Signature-Expires` is the same, but is not signed: it can only shorten this.
pub const MAX_AGE: u64 = 600;

/// What is signed of a request beside its body.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// `POST`, in whatever case.
    pub method: &'a str,
    /// The path, as it was sent: `/admin`.
    pub path: &'a str,
    /// The query without its `?`, as it was sent; empty if there is none. Old SDKs begin it with a `&`.
    pub query: &'a str,
    /// Names (in whatever case) and values of all headers, `Host` among them.
    pub headers: &'a [(&'a str, &'a [u8])],
}

impl<'a> Head<'a> {
    /// The one value of a header, if there is no more than one.
    fn header(&self, name: &str) -> Result<Option<&'a [u8]>, SignatureError> {
        let mut values = self
            .headers
            .iter()
            .filter(|header| header.0.eq_ignore_ascii_case(name))
            .map(|header| header.1);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(SignatureError::HeaderTwice(crate::envelope::excerpt(name))),
            (value, None) => Ok(value),
        }
    }
}

/// The id of the key pair that a request is signed with; it is no secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretId(String);

impl SecretId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The secret half of a key pair. Redacted in `Debug`, wiped when dropped.
#[derive(Clone)]
pub struct SecretKey(Zeroizing<String>);

impl SecretKey {
    /// Takes any text for a key.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text, for the environment of the worker it belongs to.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// Why a request is not believed. `Display` is for the log: a client is told [`code`](Self::code) and its text, no more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// No signature at all.
    #[error("the request has neither an Authorization header nor a field `authorization`")]
    Missing,
    /// A signature of another shape.
    #[error("the signature is malformed: {0}")]
    Malformed(&'static str),
    /// The SDK only posts.
    #[error("the request's method is {0:?}, and POST is signed")]
    Method(String),
    /// A header that is signed stands there twice: whoever checks one of them might use the other.
    #[error("the request has the header {0:?} twice")]
    HeaderTwice(String),
    /// A header is listed as signed, or needed, and is not there.
    #[error("the request has no header {0:?}, which must be signed")]
    NoHeader(String),
    /// The signature does not cover a header that it must cover.
    #[error("the signature does not cover the header {0:?}")]
    HeaderNotSigned(&'static str),
    /// The signature does not cover a field that holds something.
    #[error("the signature does not cover the field {0:?}")]
    FieldNotSigned(String),
    /// A field is listed as signed, and is not there.
    #[error("the signature covers a field {0:?} that the request does not have")]
    NoField(String),
    /// A name is listed as signed twice.
    #[error("the signature lists {0:?} twice")]
    ListedTwice(String),
    /// Too long ago, or yet to come.
    #[error(
        "the request was signed at {signed_at} and it is {now} (seconds of this machine's clock): it was held back or sent again"
    )]
    OutOfTime {
        /// The moment named in the signature.
        signed_at: u64,
        /// Now.
        now: u64,
    },
    /// The date of the key is not that of the moment.
    #[error("the signature's date is not the UTC date of its timestamp")]
    Date,
    /// No such key pair.
    #[error(
        "no key pair has the id {0:?}: the worker that it belonged to has ended, or the function replaced its credentials"
    )]
    UnknownId(String),
    /// All is in order, but the signature is another.
    #[error(
        "the signature is not that of the request: it was altered on its way, or signed with another key (a function that sets \
         TENCENTCLOUD_SECRETID or TENCENTCLOUD_SECRETKEY signs with its own). wx-server-sdk up to 2.0.1 signs a Date or a Buffer within \
         a command, as in _.set(new Date()), as if it were empty: write it without the command, or use 2.1 or later"
    )]
    Mismatch,
}

impl SignatureError {
    /// `INVALID_REQUEST_SOURCE`, whatever is wrong.
    #[must_use]
    pub fn code(&self) -> i32 {
        codes::INVALID_REQUEST_SOURCE
    }
}

/// Whose request it is: looks up the key of the id that it names, and checks that it was signed with that key within
/// [`MAX_AGE`] and covers what it must.
///
/// `now` is machine time, in seconds since the epoch: the worker signs with the clock of this machine.
pub fn verify(
    head: &Head<'_>,
    envelope: &Envelope<'_>,
    lookup: impl FnOnce(&str) -> Option<SecretKey>,
    now: u64,
) -> Result<SecretId, SignatureError> {
    if !head.method.eq_ignore_ascii_case("post") {
        return Err(SignatureError::Method(crate::envelope::excerpt(head.method)));
    }
    let key = |id: &str| lookup(id).ok_or_else(|| SignatureError::UnknownId(crate::envelope::excerpt(id)));
    let id = if let Some(authorization) = head.header("authorization")? {
        let authorization =
            std::str::from_utf8(authorization).map_err(|_| SignatureError::Malformed("it is not text"))?;
        tc3::verify(authorization, head, envelope, key, now)?
    } else if let Some(authorization) = envelope.text("authorization") {
        body::verify(authorization, head, envelope, key, now)?
    } else {
        return Err(SignatureError::Missing);
    };
    Ok(SecretId(id.to_owned()))
}

/// The names in `a;b;c`, none twice.
fn names(list: &str) -> Result<Vec<&str>, SignatureError> {
    // A request has few fields and few headers; more names than that cost time and can cover nothing.
    const MANY: usize = 2 * crate::MAX_FIELDS;
    let names: Vec<&str> = list.split(';').take(MANY + 1).collect();
    if names.len() > MANY || names.contains(&"") {
        return Err(SignatureError::Malformed(
            "its lists are too long or hold an empty name",
        ));
    }
    for (at, name) in names.iter().enumerate() {
        if names[..at].contains(name) {
            return Err(SignatureError::ListedTwice(crate::envelope::excerpt(name)));
        }
    }
    Ok(names)
}

/// Whole seconds, in digits alone.
fn seconds(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// Compares hexadecimal digests without telling by the time taken how far they agree.
fn same(ours: &[u8], theirs: &str) -> bool {
    ours.ct_eq(theirs.as_bytes()).into()
}

/// In lower case, as the SDK writes digests: `M` is twice `N`.
fn hex<const N: usize, const M: usize>(bytes: &[u8; N]) -> [u8; M] {
    const { assert!(M == 2 * N) };
    let mut digits = [0; M];
    // The length was compared when this was compiled.
    let _ = base16ct::lower::encode(bytes, &mut digits);
    digits
}
