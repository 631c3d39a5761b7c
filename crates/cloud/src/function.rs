//! `cloud.callFunction` from inside a function.
//!
//! The callee sees the caller's user, and a `SOURCE` that is one word longer: both from the server's own record of the
//! call, whatever the request says. It waits for no worker that a call above it holds, and ends with the call that made it.

use calls::{CallFailure, Caller, ids, shown};
use tcb::{Action, CallData, CallSource, Event, INVOKE_FUNCTION, SdkRequest, reply};

use crate::{Answering, Capability, CloudRequest, Proof, capability::at_once};

/// Runs the function that the request names.
pub(crate) struct CallFunction;

impl Capability for CallFunction {
    fn proof(&self, action: &Action<'_>) -> Option<Proof> {
        (*action == Action::Named(INVOKE_FUNCTION)).then_some(Proof::KnownCall)
    }

    fn answer(&self, request: &SdkRequest<'_>, mut asked: CloudRequest) -> Answering {
        let (caller, parent) = match asked.call() {
            // What was begun and not awaited has nobody left to end with.
            Some(call) => (call.caller.then_function(), (!asked.is_over()).then_some(call.id)),
            // As by WeChat's HTTP API: a server calls, for nobody.
            None if asked.is_of_server() => (Caller::request(CallSource::HTTP, None), None),
            None => return at_once(asked.without_call()),
        };
        let name = request.envelope.function_name().unwrap_or_default().to_owned();
        let data = request.envelope.function_data().unwrap_or("{}");
        let request_id = ids::request_id();
        let calls = asked.calls();
        let prepared = calls.find(&name, &request_id, caller.who()).and_then(|site| {
            let event = Event::Call(CallData::parse(data)?);
            let call = calls.prepare(site, caller, &request_id, event);
            Ok(match parent {
                Some(parent) => call.inside(parent),
                None => call,
            })
        });
        if prepared.is_ok() {
            asked.keep_callee(&request_id);
        }
        let sent = asked.keeps().then(|| shown("", data.as_bytes()));
        // The event is in the callee's frame. Who held room here while the callee runs would wait for room that its own callers
        // hold.
        asked.give_back_room();
        Box::pin(async move {
            let result = match prepared {
                Ok(call) => call.run().await.result,
                Err(failure) => Err(failure),
            };
            let what = format!("callFunction {name}");
            let reply = match result {
                Ok(returned) => {
                    // What has no JSON text is null: the SDK would take a missing text for a malformed answer, or for `undefined`,
                    // depending on its version.
                    let text = returned.json.as_deref().unwrap_or(b"null");
                    let text = String::from_utf8_lossy(text);
                    if let Some(sent) = sent {
                        asked.keep(sent, shown("", text.as_bytes()));
                    }
                    asked.record(what, 0, "");
                    reply::invoked(&request_id, &text)
                }
                Err(CallFailure { code, text, .. }) => {
                    asked.record(what, code, text.as_ref());
                    // The string that stands for the code says which failure it is.
                    reply::failure(&request_id, code, &text)
                }
            };
            reply.into()
        })
    }
}
