//! `POST /v1/functions/{name}`: authenticate, take apart, redeem, run, splice.

use std::borrow::Cow;
use std::net::IpAddr;

use bytes::Bytes;
use http::StatusCode;
use runtime::{Call, CallError, Frame, Logs, Outcome, Reply};
use tcb::{Caller, Trigger, User, codes};

use crate::bearer::Bearer;
use crate::body::Whole;
use crate::event::{self, Request};
use crate::failure::Failure;
use crate::journal::{CallRecord, Note};
use crate::{Inner, ids, redeem};

/// `SOURCE` of a call that a client made.
const SOURCE: &str = "wx_client";

/// Runs `name` for `bearer` and gives the reply's body.
///
/// # Errors
/// What the error table of the contract says.
pub(crate) async fn call(
    inner: &Inner,
    name: &str,
    bearer: &Bearer,
    client_ip: IpAddr,
    request_id: &str,
    body: Whole<'_>,
) -> Result<Bytes, Failure> {
    let Some(known) = inner.sites.get(name) else {
        let text = format!(
            "there is no function {name:?}; there are: {}",
            inner.sites.names()
        );
        inner.journal.note(&Note {
            request_id,
            openid: Some(&bearer.openid),
            text: &text,
        });
        return Err(Failure::no_function());
    };
    let Whole { bytes, permit } = body;
    let request = Request::parse(&bytes)?;
    let items = redeem::redeem(inner, request_id, &bearer.openid, request.marked()).await;

    let mut frame = Frame::new();
    let open_data: Vec<&str> = request.marked().iter().map(|marked| marked.raw_key).collect();
    let caller = Caller {
        request_id,
        source: SOURCE,
        user: Some(User {
            openid: &bearer.openid,
            unionid: bearer.unionid.as_deref(),
        }),
        client_ip: Some(client_ip),
        api_token: &ids::api_token(),
        open_data: &open_data,
        trigger: Trigger::Tcb,
    };
    known.environment.write(&caller, frame.head());
    request.write(
        &items,
        &event::user_info(&inner.appid, &bearer.openid),
        frame.event(),
    );

    // All that the function gets is in the frame: nothing else of the body's size stays while it runs.
    let warnings = request.into_warnings();
    drop((items, bytes));

    let outcome = inner.runtime.invoke(Call::new(known.name.clone(), frame)).await;
    let reply = match &outcome.result {
        Ok(reply) => Ok(success(reply, request_id, &warnings)),
        Err(error) => Err(failure(error)),
    };
    let record = record(
        &outcome,
        reply.as_ref().err(),
        name,
        bearer,
        request_id,
        &warnings,
    );
    drop(permit);
    inner.journal.call(&record);
    reply
}

/// The function's result, spliced in as it came.
fn success(reply: &Reply, request_id: &str, warnings: &[(String, String)]) -> Bytes {
    let result = reply.json.as_deref().unwrap_or_default();
    let mut body = Vec::with_capacity(result.len() + 128);
    body.push(b'{');
    if reply.json.is_some() {
        body.extend_from_slice(b"\"result\":");
        body.extend_from_slice(result);
        body.push(b',');
    }
    body.extend_from_slice(b"\"errMsg\":\"cloud.callFunction:ok\",\"requestID\":\"");
    body.extend_from_slice(request_id.as_bytes());
    body.push(b'"');
    if !warnings.is_empty() {
        body.extend_from_slice(b",\"warnings\":[");
        for (index, (raw_name, text)) in warnings.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(b"{\"field\":");
            body.extend_from_slice(raw_name.as_bytes());
            body.extend_from_slice(b",\"errMsg\":");
            json::write_string(&mut body, text);
            body.push(b'}');
        }
        body.push(b']');
    }
    body.push(b'}');
    Bytes::from(body)
}

/// Which status and code each way of failing has.
fn failure(error: &CallError) -> Failure {
    let text = || Cow::Owned(error.to_string());
    let (status, code) = match error {
        CallError::NotFound => return Failure::no_function(),
        CallError::QueueFull => (StatusCode::TOO_MANY_REQUESTS, codes::EXCEED_CONCURRENT),
        CallError::TimedOut { .. } => (StatusCode::GATEWAY_TIMEOUT, codes::EXECUTE_FAIL),
        CallError::TooLarge { .. } => (StatusCode::INTERNAL_SERVER_ERROR, codes::RESULT_TOO_LARGE),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, codes::EXECUTE_FAIL),
    };
    Failure::new(status, code, text())
}

fn record<'a>(
    outcome: &'a Outcome,
    failure: Option<&'a Failure>,
    function: &'a str,
    bearer: &'a Bearer,
    request_id: &'a str,
    warnings: &'a [(String, String)],
) -> CallRecord<'a> {
    let logs: &Logs = &outcome.logs;
    CallRecord {
        request_id,
        function,
        openid: &bearer.openid,
        status: failure.map_or(StatusCode::OK, |failure| failure.status).as_u16(),
        error: failure.map(|failure| (failure.code, failure.text.as_ref())),
        waited: outcome.waited,
        ran: outcome.ran,
        logs,
        warnings,
    }
}
