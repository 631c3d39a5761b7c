//! `GET /readyz`: whether the next call would be served.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use tcb::codes;

use crate::{
    Inner,
    failure::Failure,
    reply::{self, HttpReply},
};

/// Answers 200 when functions were loaded.
///
/// # Errors
/// 503 when not.
pub(crate) async fn answer(inner: &Arc<Inner>) -> Result<HttpReply, Failure> {
    match inner.calls.sites().ready() {
        true => Ok(reply::json(Bytes::from_static(b"{\"status\":\"ready\"}"))),
        false => Err(Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            codes::SYS_ERR,
            "not ready yet: functions are being loaded",
        )),
    }
}
