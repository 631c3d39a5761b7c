//! How WeChat's API fails. A cause stands in the error's own text and is therefore not its `source()` as well: a report
//! of the whole chain would tell it twice.

use std::sync::Arc;

/// Why a request to WeChat came to nothing. Cheap to clone: requests that waited for the same answer share it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// WeChat answered, and refused.
    #[error("WeChat refused {api}: {errcode} {errmsg}")]
    Refused {
        /// WeChat's code.
        errcode: i64,
        /// WeChat's text as it came, with the `rid` by which WeChat finds the request again.
        errmsg: String,
        /// The API: the last part of its path.
        api: &'static str,
    },
    /// No answer: no connection, a broken one, or none in time.
    #[error("WeChat could not be reached for {api}: {}", causes(cause.as_ref()))]
    Unreachable {
        /// The API: the last part of its path.
        api: &'static str,
        /// What went wrong. It does not name the URL, which would hold a secret.
        cause: Arc<reqwest::Error>,
    },
    /// An answer that is not WeChat's: a proxy's page, another server at that address, or a changed API.
    #[error("WeChat's answer to {api} cannot be read: {why}")]
    Unreadable {
        /// The API: the last part of its path.
        api: &'static str,
        /// What is wrong with the answer. It does not quote it, as it may hold a secret.
        why: String,
    },
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The base URL is none.
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
        causes(cause)
    )]
    Tls {
        /// What went wrong.
        cause: reqwest::Error,
    },
}

/// The error and its causes in one line: reqwest says only "error sending request" by itself.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
