//! Why a request is not served, in one value: what the client is told, and what the log is told beside it.
//!
//! The codes are WeChat's own (their number spaces stand in `tcb::codes` and `opendata`); this module only
//! says which HTTP status goes with which. [`reply::settle`](crate::reply::settle) makes the reply of it, for every
//! listener alike, and hands the cause to the [`Journal`](crate::Journal).

use std::borrow::Cow;

use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CONNECTION, HeaderName, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE},
};
use tcb::codes;
use wording::{Wording, wording};

/// An answer other than success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The `errCode`.
    pub(crate) code: i64,
    /// The `errMsg`: public, so that it holds nothing of which a stranger should not know.
    pub(crate) text: Cow<'static, str>,
    /// Headers that belong to the status, such as `allow`.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// What the operator is told beyond that.
    pub(crate) cause: Option<Box<Cause>>,
    /// The whole body, where the door has words of its own for failures.
    words: Option<Box<[u8]>>,
    /// The same text in Chinese, at doors behind which a person reads it: the operator's.
    in_chinese: Option<Box<str>>,
}

/// What went wrong, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cause {
    /// The user concerned, where known.
    pub(crate) openid: Option<String>,
    /// The whole story, in a sentence.
    pub(crate) text: Wording,
}

/// That the store failed.
pub(crate) fn store_unread(error: &store::StoreError) -> Wording {
    let error = error.report();
    wording!("the store could not be read: {error}", "无法读取存储：{error}")
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: impl Into<i64>, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code: code.into(),
            text: text.into(),
            headers: Vec::new(),
            cause: None,
            words: None,
            in_chinese: None,
        }
    }

    /// A failure that is told in both languages, as the console shows it: `errMsgZh` stands beside `errMsg`.
    pub(crate) fn told(status: StatusCode, code: impl Into<i64>, text: Wording) -> Self {
        Self {
            in_chinese: Some(text.zh.into()),
            ..Self::new(status, code, text.en)
        }
    }

    /// A failure in words of its own.
    pub(crate) fn worded(status: StatusCode, body: Vec<u8>) -> Self {
        Self::new(status, codes::SYS_ERR, "").in_words(body)
    }

    /// The same, in other words.
    #[must_use]
    pub(crate) fn in_words(self, body: Vec<u8>) -> Self {
        Self {
            words: Some(body.into()),
            ..self
        }
    }

    /// Whether the door has given it words of its own.
    pub(crate) const fn is_worded(&self) -> bool {
        self.words.is_some()
    }

    /// The same, with what the log is to say of it.
    #[must_use]
    pub(crate) fn because(self, cause: Wording) -> Self {
        let cause = Cause {
            openid: None,
            text: cause,
        };
        Self {
            cause: Some(Box::new(cause)),
            ..self
        }
    }

    /// The same, with the user whom the log is to name beside its cause.
    #[must_use]
    pub(crate) fn of_user(mut self, openid: &str) -> Self {
        if let Some(cause) = &mut self.cause {
            cause.openid = Some(openid.to_owned());
        }
        self
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The request cannot be understood; `why` names the cause and the mend.
    pub(crate) fn malformed(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, codes::INVALID_PARAM, why)
    }

    /// No token, or one that is not (or no longer) ours for this app.
    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            codes::INVALID_REQUEST_SOURCE,
            "no valid token: log in with POST /v1/login and send it as `Authorization: Bearer <token>`",
        )
    }

    /// Whoever asks the operator's listener has not proved that they may.
    pub(crate) fn no_operator(why: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, codes::INVALID_REQUEST_SOURCE, why)
            .with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// The request comes from where none may come from.
    pub(crate) fn forbidden(why: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, codes::INVALID_REQUEST_SOURCE, why)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, codes::INVALID_PARAM, "no such path")
    }

    /// The same where functions are called: who asks for a path of their own expects HTTP access, or forgot the first part.
    pub(crate) fn no_door() -> Self {
        let text = "no such path: functions are called with POST /v1/functions/NAME, and none has a path of its own here";
        Self::new(StatusCode::NOT_FOUND, codes::INVALID_PARAM, text)
    }

    pub(crate) fn method(allowed: &'static str) -> Self {
        let text = format!("this path takes {allowed}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, codes::INVALID_PARAM, text)
            .with(ALLOW, HeaderValue::from_static(allowed))
    }

    pub(crate) fn too_large(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, codes::INVALID_PARAM, text)
            .with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// The head of the request is too large.
    pub(crate) fn large_head() -> Self {
        let text = "the request's address and headers are larger than 16 KB together, or than 64 KB with a token: ask in several requests";
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            codes::INVALID_PARAM,
            text,
        )
        .with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// There is too much of it at once; the same request may well be served after `seconds`.
    pub(crate) fn too_many(text: &'static str, seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, codes::EXCEED_CONCURRENT, text)
            .with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// A request of HTTP where only sockets are.
    pub(crate) fn no_socket() -> Self {
        let text = "this path takes WebSocket connections (RFC 6455, version 13)";
        Self::new(StatusCode::UPGRADE_REQUIRED, codes::INVALID_PARAM, text)
            .with(UPGRADE, HeaderValue::from_static("websocket"))
            .with(CONNECTION, HeaderValue::from_static("upgrade, close"))
    }

    /// The store, which is ours, failed: the log has the cause.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            codes::SYS_ERR,
            "internal error",
        )
    }

    /// The body of the reply.
    pub(crate) fn write(&self, request_id: &str) -> Vec<u8> {
        if let Some(words) = &self.words {
            return words.to_vec();
        }
        let mut body = Vec::with_capacity(96 + self.text.len());
        body.extend_from_slice(b"{\"errCode\":");
        body.extend_from_slice(self.code.to_string().as_bytes());
        body.extend_from_slice(b",\"errMsg\":");
        json::write_string(&mut body, &self.text);
        if let Some(text) = &self.in_chinese {
            body.extend_from_slice(b",\"errMsgZh\":");
            json::write_string(&mut body, text);
        }
        body.extend_from_slice(b",\"requestID\":");
        json::write_string(&mut body, request_id);
        body.push(b'}');
        body
    }
}
