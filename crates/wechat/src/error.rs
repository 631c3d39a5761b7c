//! How WeChat's API fails. A cause stands in the error's own text and is therefore not its `source()` as well: a report
//! of the whole chain would tell it twice.

use std::{sync::Arc, time::Duration};

use causes::with_causes;

/// Why a request to WeChat came to nothing. Cheap to clone: requests that waited for the same answer share it.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeChatError {
    /// WeChat answered, and refused.
    #[error("WeChat refused {api}: {errcode} {errmsg}")]
    Refused {
        /// WeChat's code.
        errcode: i64,
        /// WeChat's text as it came, with the `rid` by which WeChat finds the request again.
        errmsg: String,
        /// The API: what the caller calls it, or the last part of its path.
        api: String,
    },
    /// No answer: no connection, a broken one, or none in time.
    #[error("WeChat could not be reached for {api}: {}", with_causes(cause.as_ref()))]
    Unreachable {
        /// The API: what the caller calls it, or the last part of its path.
        api: String,
        /// What went wrong. It does not name the URL, which would hold a secret.
        cause: Arc<reqwest::Error>,
    },
    /// An answer that is not WeChat's: a proxy's page, another server at that address, or a changed API.
    #[error("WeChat's answer to {api} cannot be read: {why}")]
    Unreadable {
        /// The API: what the caller calls it, or the last part of its path.
        api: String,
        /// What is wrong with the answer. It does not quote it, as it may hold a secret.
        why: String,
    },
    /// The caller's time was over before WeChat answered; what WeChat did, it may have done.
    #[error("WeChat gave no answer to {api} within {after:?}")]
    TimedOut {
        /// The API: what the caller calls it.
        api: String,
        /// The time that the caller gave.
        after: Duration,
    },
    /// No request can be made of what the caller gave; nothing was sent.
    #[error("the request to {api} cannot be sent: {why}")]
    Unsendable {
        /// The API: what the caller calls it, or the last part of its path.
        api: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl WeChatError {
    /// Whether it was a matter of time: the caller's was over, or that of one attempt.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::TimedOut { .. } => true,
            Self::Unreachable { cause, .. } => cause.is_timeout(),
            Self::Refused { .. } | Self::Unreadable { .. } | Self::Unsendable { .. } => false,
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The base URL is not valid.
    #[error(
        "the base URL of WeChat's API is {url:?}, but {why} — give scheme, host and port only, such as \
         \"https://api.weixin.qq.com\""
    )]
    BaseUrl {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// TLS cannot be set up, most often because the machine has no root certificates.
    #[error(
        "TLS cannot be set up: {} — install the system's root certificates (ca-certificates)",
        with_causes(cause)
    )]
    Tls {
        /// What went wrong.
        cause: reqwest::Error,
    },
}
