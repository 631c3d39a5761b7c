//! What a client is told when something failed: an HTTP status and `{"errCode","errMsg","requestID"}`.
//!
//! The codes are WeChat's own (their number spaces stand in `tcb::codes` and `opendata`); this module only
//! says which HTTP status goes with which. A failure says one thing to the client; its cause goes to the
//! [`Journal`](crate::Journal).

use std::borrow::Cow;

use http::StatusCode;
use tcb::codes;

/// An answer other than success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) code: i64,
    pub(crate) text: Cow<'static, str>,
    /// The method that the path takes, where the request had another.
    pub(crate) allow: Option<&'static str>,
}

impl Failure {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<i64>,
        text: impl Into<Cow<'static, str>>,
    ) -> Failure {
        Failure {
            status,
            code: code.into(),
            text: text.into(),
            allow: None,
        }
    }

    /// The request cannot be understood; `why` names the cause and the mend.
    pub(crate) fn malformed(why: impl Into<Cow<'static, str>>) -> Failure {
        Failure::new(StatusCode::BAD_REQUEST, codes::INVALID_PARAM, why)
    }

    /// No token, or one that is not (or no longer) ours for this app.
    pub(crate) fn unauthorized() -> Failure {
        Failure::new(
            StatusCode::UNAUTHORIZED,
            codes::INVALID_REQUEST_SOURCE,
            "no valid token: log in with POST /v1/login and send it as `Authorization: Bearer <token>`",
        )
    }

    pub(crate) fn not_found() -> Failure {
        Failure::new(StatusCode::NOT_FOUND, codes::INVALID_PARAM, "no such path")
    }

    pub(crate) fn method(allowed: &'static str) -> Failure {
        let text = format!("this path takes {allowed}");
        Failure {
            allow: Some(allowed),
            ..Failure::new(StatusCode::METHOD_NOT_ALLOWED, codes::INVALID_PARAM, text)
        }
    }

    pub(crate) fn too_large() -> Failure {
        Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            codes::INVALID_PARAM,
            "the request body is over 6 MB; send large data to storage and pass its address",
        )
    }

    /// The store, which is ours, failed: the log has the cause.
    pub(crate) fn internal() -> Failure {
        Failure::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            codes::SYS_ERR,
            "internal error",
        )
    }

    /// The body of the reply.
    pub(crate) fn write(&self, request_id: &str) -> Vec<u8> {
        let mut body = Vec::with_capacity(96 + self.text.len());
        body.extend_from_slice(b"{\"errCode\":");
        body.extend_from_slice(self.code.to_string().as_bytes());
        body.extend_from_slice(b",\"errMsg\":");
        json::write_string(&mut body, &self.text);
        body.extend_from_slice(b",\"requestID\":");
        json::write_string(&mut body, request_id);
        body.push(b'}');
        body
    }
}
