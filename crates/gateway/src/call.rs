//! `POST /v1/functions/{name}`: authenticate, take apart, redeem, run, splice. And what every call of a function has
//! in common, whoever makes it.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;
use runtime::{Call, CallError, Frame, InvocationId, Outcome, Reply};
use tcb::{Source, Trigger, codes};

use crate::bearer::Bearer;
use crate::body::Whole;
use crate::event::{self, Request};
use crate::failure::Failure;
use crate::invocation::{Caller, Invocation, User};
use crate::journal::{CallRecord, Exchange, Note, Redeemed, shown};
use crate::redeem::{self, Id};
use crate::sites::Known;
use crate::{Inner, ids};

/// Runs `name` for `bearer` and gives the reply's body.
///
/// # Errors
/// What the error table of the contract says.
pub(crate) async fn call(
    inner: &Arc<Inner>,
    name: &str,
    bearer: &Bearer,
    client_ip: IpAddr,
    request_id: &str,
    body: Whole<'_>,
) -> Result<Bytes, Failure> {
    let Some(known) = inner.sites.get(name) else {
        tell_missing(inner, name, request_id, Some(&bearer.openid));
        return Err(Failure::no_function());
    };
    let Whole { bytes, permit } = body;
    let request = Request::parse(&bytes)?;
    let cloud_ids: Vec<Id<'_>> = request.marked().iter().map(event::Marked::cloud_id).collect();
    let began = Instant::now();
    let items = redeem::redeem(inner, request_id, &bearer.openid, &cloud_ids).await;
    let redeemed = Redeemed {
        took: began.elapsed(),
        fields: request.marked().iter().zip(&items).map(exchanged).collect(),
    };
    let open_data: Vec<&str> = request.marked().iter().map(|marked| marked.raw_key).collect();

    let caller = Caller {
        source: Source::CLIENT,
        user: Some(User {
            openid: bearer.openid.clone(),
            unionid: bearer.unionid.clone(),
        }),
        client_ip: Some(client_ip),
        trigger: Trigger::Tcb,
        attempt: None,
    };
    let mut prepared = Prepared::new(
        inner,
        known,
        caller,
        request_id,
        &open_data,
        |user_info, event| {
            request.write(&items, user_info, event);
        },
    );
    prepared.redeemed = redeemed;
    // All that the function gets is in the frame: nothing else of the body's size stays while it runs.
    let warnings = request.into_warnings();
    drop((items, bytes));

    let finished = prepared.run(inner, None, warnings).await;
    drop(permit);
    answer(finished, request_id)
}

/// Runs `name` for the operator, who says how it came to be called and for whom; `data` is an object's JSON text.
///
/// # Errors
/// What the error table of the contract says.
pub(crate) async fn call_as(
    inner: &Arc<Inner>,
    name: &str,
    caller: Caller,
    request_id: &str,
    data: &str,
) -> Result<Bytes, Failure> {
    let Some(known) = inner.sites.get(name) else {
        tell_missing(inner, name, request_id, None);
        return Err(Failure::no_function());
    };
    let request = Request::of_server(data)?;
    let prepared = Prepared::new(inner, known, caller, request_id, &[], |user_info, event| {
        request.write(&[], user_info, event);
    });
    let finished = prepared.run(inner, None, request.into_warnings()).await;
    answer(finished, request_id)
}

/// A field whose cloudID was exchanged, and what that came to.
fn exchanged((marked, item): (&event::Marked<'_>, &Vec<u8>)) -> (String, i64) {
    let item = json::Object::parse(item).ok();
    let code = item.as_ref().and_then(|item| item.get("errCode"));
    let code = code.and_then(|code| code.parse().ok()).unwrap_or_default();
    (marked.raw_key.to_owned(), code)
}

/// A call with its frame written.
pub(crate) struct Prepared {
    known: Arc<Known>,
    caller: Caller,
    request_id: String,
    token: String,
    frame: Frame,
    /// The event for a person to read, if anybody will.
    event: Option<String>,
    redeemed: Redeemed,
}

/// A call that is over, and was told to the journal.
pub(crate) struct Finished {
    pub(crate) result: Result<Reply, Failure>,
    /// Those that it was given.
    warnings: Vec<(String, String)>,
}

impl Prepared {
    /// Writes all that the function gets: its environment, and by `event`, which is handed the text of `userInfo`, its
    /// event. `open_data` are the names, as raw JSON, of the fields that the platform filled in.
    pub(crate) fn new(
        inner: &Inner,
        known: Arc<Known>,
        caller: Caller,
        request_id: &str,
        open_data: &[&str],
        event: impl FnOnce(&[u8], &mut Vec<u8>),
    ) -> Prepared {
        let mut frame = Frame::new();
        let token = ids::api_token();
        let user = caller.user.as_ref();
        known.environment.write(
            &tcb::Caller {
                request_id,
                source: caller.source.as_str(),
                user: user.map(|user| tcb::User {
                    openid: &user.openid,
                    unionid: user.unionid.as_deref(),
                }),
                client_ip: caller.client_ip,
                api_token: &token,
                open_data,
                trigger: caller.trigger,
                attempt: caller.attempt,
            },
            frame.head(),
        );
        let openid = user.map(|user| user.openid.as_str());
        event(&event::user_info(&inner.appid, openid), frame.event());
        let keeps = inner.journal.keeps_exchanges();
        Prepared {
            known,
            caller,
            request_id: request_id.to_owned(),
            token,
            event: keeps.then(|| shown("application/json", frame.event_bytes())),
            frame,
            redeemed: Redeemed::default(),
        }
    }

    /// Makes the call; with a `parent`, from inside that one. It is a task of its own: when whoever asked goes away, the
    /// function runs on as on the platform, may still make its cloud calls, and its end is still told to the journal.
    pub(crate) async fn run(
        self,
        inner: &Arc<Inner>,
        parent: Option<InvocationId>,
        warnings: Vec<(String, String)>,
    ) -> Finished {
        let task = tokio::spawn(self.make(Arc::clone(inner), parent, warnings));
        task.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the task of a call ended before the call");
            Finished {
                result: Err(Failure::internal()),
                warnings: Vec::new(),
            }
        })
    }

    async fn make(
        self,
        inner: Arc<Inner>,
        parent: Option<InvocationId>,
        warnings: Vec<(String, String)>,
    ) -> Finished {
        let name = self.known.name.clone();
        let call = match parent {
            Some(parent) => Call::nested(name, self.frame, parent),
            None => Call::new(name, self.frame),
        };
        let entered = inner.invocations.enter(
            self.token,
            Invocation::new(call.id(), self.request_id, self.known, self.caller),
        );
        let outcome = inner.runtime.invoke(call).await;
        let invocation = entered.leave();
        let Outcome {
            result,
            logs,
            waited,
            ran,
        } = outcome;
        let result = result.map_err(|error| failure(&error));
        let error = result.as_ref().err();
        let made = invocation.take_calls();
        let exchange = self.event.map(|event| Exchange {
            request: event,
            answer: match &result {
                Ok(Reply { json: Some(json) }) => shown("application/json", json),
                _ => String::new(),
            },
        });
        inner.journal.call(&CallRecord {
            request_id: &invocation.request_id,
            function: invocation.known.name.as_str(),
            source: invocation.caller.source.as_str(),
            openid: invocation.openid(),
            attempt: invocation.caller.attempt,
            status: error.map_or(StatusCode::OK, |failure| failure.status).as_u16(),
            error: error.map(|failure| (failure.code, failure.text.as_ref())),
            redeemed: &self.redeemed,
            waited,
            ran,
            logs: &logs,
            exchange: exchange.as_ref(),
            cloud_calls: &made.first,
            more_cloud_calls: made.more,
            warnings: &warnings,
        });
        Finished { result, warnings }
    }
}

/// Notes that a function was called that is not there, and which are.
pub(crate) fn tell_missing(inner: &Inner, name: &str, request_id: &str, openid: Option<&str>) {
    let text = format!(
        "there is no function {name:?}; there are: {}",
        inner.sites.names()
    );
    inner.journal.note(&Note {
        request_id,
        openid,
        text: &text,
    });
}

/// What the caller is answered.
pub(crate) fn answer(finished: Finished, request_id: &str) -> Result<Bytes, Failure> {
    Ok(success(&finished.result?, request_id, &finished.warnings))
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
