//! `cloud.callFunction` from inside a function.
//!
//! The callee sees the caller's user, and a `SOURCE` that is one word longer: both from the server's own record of the
//! call, whatever the request says. It waits for no worker that a call above it holds, and ends with the call that made it.

use calls::{CallFailure, Exchange, shown};
use tcb::{Data, Envelope, Event, Reply, reply};

use super::Asked;
use crate::ids;

/// Runs the function that the request names.
pub(super) async fn call(asked: &Asked<'_>, envelope: &Envelope<'_>) -> Reply {
    let name = envelope.function_name().unwrap_or_default();
    let request_id = ids::request_id();
    let data = envelope.function_data().unwrap_or("{}");
    let (result, code, text) = match run(asked, name, data, &request_id).await {
        Ok(result) => {
            asked.keep(|| Exchange {
                request: shown("", data.as_bytes()),
                answer: shown("", result.as_bytes()),
            });
            (reply::invoked(&request_id, &result), 0, String::new())
        }
        Err(failure) => {
            // The string that stands for the code says which failure it is.
            let CallFailure { code, text, .. } = failure;
            (reply::failure(&request_id, code, &text), code, text.into_owned())
        }
    };
    asked.record(format!("callFunction {name}"), code, text);
    result
}

/// The JSON text of what the function returned.
async fn run(asked: &Asked<'_>, name: &str, data: &str, request_id: &str) -> Result<String, CallFailure> {
    let Asked {
        inner, invocation, ..
    } = asked;
    let site = inner.calls.find(name, request_id, invocation.openid())?;
    let event = Event::Call(Data::parse(data)?);
    let caller = invocation.caller.then_function();
    let call = inner.calls.prepare(site, caller, request_id, event);
    let finished = call.inside(invocation.id).run().await;
    // What has no JSON text is null: the SDK would take a missing text for a malformed answer, or for `undefined`,
    // depending on its version.
    let text = finished.result?.json;
    Ok(text.map_or_else(
        || "null".to_owned(),
        |text| String::from_utf8_lossy(&text).into_owned(),
    ))
}
