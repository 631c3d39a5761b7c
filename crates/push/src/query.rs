//! The query parameters of a verification or a push.

use std::borrow::Cow;

use form_urlencoded::{Serializer, parse};
use thiserror::Error;

/// The parameters that WeChat adds to the configured URL, decoded. Others are the URL's own, and are left alone.
///
/// `openid`, which WeChat adds too, is not read: nothing signs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushQuery {
    /// `timestamp`, in seconds.
    pub timestamp: Option<String>,
    /// `nonce`
    pub nonce: Option<String>,
    /// `signature`: of Token, timestamp and nonce.
    pub signature: Option<String>,
    /// `msg_signature`: of these and `Encrypt`.
    pub msg_signature: Option<String>,
    /// `encrypt_type`: `aes`, or `raw`, or absent, which means the same as `raw`.
    pub encrypt_type: Option<String>,
    /// `echostr`: in a verification only.
    pub echostr: Option<String>,
}

impl PushQuery {
    /// Reads a URL's query, without its `?`.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        let mut read = Self::default();
        for (name, value) in parse(query.as_bytes()) {
            let (name, place) = match &*name {
                "timestamp" => ("timestamp", &mut read.timestamp),
                "nonce" => ("nonce", &mut read.nonce),
                "signature" => ("signature", &mut read.signature),
                "msg_signature" => ("msg_signature", &mut read.msg_signature),
                "encrypt_type" => ("encrypt_type", &mut read.encrypt_type),
                "echostr" => ("echostr", &mut read.echostr),
                _ => continue,
            };
            if place.replace(value.into_owned()).is_some() {
                return Err(QueryError::Twice(name));
            }
        }
        Ok(read)
    }

    /// Whether the URL says that the body is encrypted.
    pub(crate) fn says_encrypted(&self) -> bool {
        self.msg_signature.is_some() || self.encrypt_type.as_deref() == Some("aes")
    }
}

/// Why a query is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// Two parameters of one name: whoever checks one of them might use the other.
    #[error(
        "the URL has the parameter {0} twice: the URL in the console's push settings must not have one of that name"
    )]
    Twice(&'static str),
}

/// Writes a query.
pub(crate) fn write<'a>(pairs: impl IntoIterator<Item = (&'static str, Cow<'a, str>)>) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}
