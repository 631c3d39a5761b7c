//! `cloud.callFunction` from inside a function.
//!
//! The callee sees the caller's user, and a `SOURCE` that is one word longer: both from the server's own record of the
//! call, whatever the request says. It waits for no worker that a call above it holds, and ends with the call that made it.

use tcb::{Envelope, Reply, Trigger, codes, reply};

use super::Asked;
use crate::call::{self, Prepared};
use crate::event::Request;
use crate::failure::Failure;
use crate::ids;
use crate::invocation::Caller;
use crate::journal::{Exchange, shown};

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
            // The string that stands for the code says which failure it is; codes that fit into 32 bits are all there are.
            let code = i32::try_from(failure.code).unwrap_or(codes::SYS_ERR);
            let text = failure.text.into_owned();
            (reply::failure(&request_id, code, &text), code, text)
        }
    };
    asked.record(format!("callFunction {name}"), code, text);
    result
}

/// The JSON text of what the function returned.
async fn run(asked: &Asked<'_>, name: &str, data: &str, request_id: &str) -> Result<String, Failure> {
    let Asked {
        inner, invocation, ..
    } = asked;
    let Some(known) = inner.sites.get(name) else {
        call::tell_missing(inner, name, request_id, invocation.openid());
        return Err(Failure::no_function());
    };
    let request = Request::of_server(data)?;
    let caller = Caller {
        source: invocation.caller.source.then_function(),
        trigger: Trigger::Tcb,
        attempt: None,
        ..invocation.caller.clone()
    };
    let prepared = Prepared::new(inner, known, caller, request_id, &[], |user_info, event| {
        request.write(&[], user_info, event);
    });
    let finished = prepared
        .run(inner, Some(invocation.id), request.into_warnings())
        .await;
    // What has no JSON text is null: the SDK would take a missing text for a malformed answer, or for `undefined`,
    // depending on its version.
    let text = finished.result?.json;
    Ok(text.map_or_else(
        || "null".to_owned(),
        |text| String::from_utf8_lossy(&text).into_owned(),
    ))
}
