//! `POST /v1/functions/{name}`: take apart, redeem, run, splice. And how every call is answered over HTTP.

use std::{net::IpAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use calls::{CallFailure, Caller, FinishedCall, Note, RedeemedFields, User};
use http::StatusCode;
use json::Object;
use opendata::{CloudId, MAX_CLOUD_IDS};
use runtime::FunctionReply;
use tcb::{CallData, CallDataError, Event, MAX_NAMED, MarkedField};
use wording::{Wording, wording};

use crate::{Inner, bearer::Bearer, body::Whole, failure::Failure};

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
    let site = inner
        .calls
        .find_soon(name, request_id, Some(&bearer.openid))
        .await?;
    let client = rules::Caller::of_openid(&bearer.openid);
    may_call(inner, name, &client, request_id).await?;
    let Whole { bytes, permit } = body;
    let mut data = parse(&bytes)?;
    let redeemed = redeem_marked(inner, request_id, &bearer.openid, &mut data).await;
    let user = User {
        openid: bearer.openid.clone(),
        unionid: bearer.unionid.clone(),
    };
    let caller = Caller::client(user, client_ip);
    let call = inner.calls.prepare(site, caller, request_id, Event::Call(data));
    // All that the function gets is in the frame: nothing else of the body's size stays while it runs.
    drop(bytes);
    let finished = call.redeemed(redeemed).run().await;
    drop(permit);
    answer(finished, request_id)
}

/// Whether the rules of functions let this client call `name`, once changes of the project are loaded: the call runs what is there then,
/// and is not to be judged by what was there before. The log is told why not.
///
/// # Errors
/// They do not.
pub(crate) async fn may_call(
    inner: &Inner,
    name: &str,
    client: &rules::Caller,
    request_id: &str,
) -> Result<(), CallFailure> {
    inner.runtime.changes_loaded().await;
    inner.function_rules.load().judge(name, client).map_err(|denial| {
        inner.journal.note(&Note {
            request_id,
            openid: client.owner(),
            text: &wording!(
                "{denial}. Who may call it stands in yunqiao.toml as [functions.{name}] invoke, or of all others as [functions.\"*\"] invoke",
                "{denial}。谁可以调用由 yunqiao.toml 的 [functions.{name}] invoke 决定，其余云函数由 [functions.\"*\"] invoke 决定"
            ),
        });
        CallFailure::denied()
    })
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
    let site = inner.calls.find_soon(name, request_id, None).await?;
    let event = Event::Call(CallData::parse(data).map_err(CallFailure::from)?);
    let call = inner.calls.prepare(site, caller, request_id, event);
    answer(call.run().await, request_id)
}

/// Takes the body of a client's call apart: `data`, with the fields marked that `cloudIDs` names.
///
/// # Errors
/// 400 with the cause: not JSON, `data` not an object, a name given twice, a field in `cloudIDs` that is absent or not a string,
/// or a member that this route does not know.
fn parse(body: &[u8]) -> Result<CallData<'_>, Failure> {
    let outer = Object::parse(body)
        .map_err(|error| Failure::malformed(format!("the request body is not a JSON object: {error}")))?;
    let (mut data, mut names) = (None, None);
    for member in outer.members() {
        let slot = match () {
            () if member.key_is("data") => &mut data,
            () if member.key_is("cloudIDs") => &mut names,
            () => {
                return Err(Failure::malformed(format!(
                    "the request body has a member {}; it may have `data` and `cloudIDs`",
                    member.raw_key
                )));
            }
        };
        if slot.replace(member.value).is_some() {
            return Err(Failure::malformed(format!(
                "{} is given twice in the request body",
                member.raw_key
            )));
        }
    }
    let mut data = CallData::parse(data.unwrap_or("{}")).map_err(CallFailure::from)?;
    if let Some(names) = names {
        let names = json::array_of_strings(names, MAX_NAMED).map_err(|error| match error.reason {
            json::JsonReason::TooManyElements => CallFailure::from(CallDataError::TooManyNames).into(),
            _ => Failure::malformed("`cloudIDs` must be an array of field names of `data`"),
        })?;
        data.mark(&names, MAX_CLOUD_IDS).map_err(CallFailure::from)?;
    }
    Ok(data)
}

/// Exchanges the cloudIDs of the marked fields, and fills in what they come to.
async fn redeem_marked(
    inner: &Inner,
    request_id: &str,
    openid: &str,
    data: &mut CallData<'_>,
) -> RedeemedFields {
    if data.marked().is_empty() {
        return RedeemedFields::default();
    }
    let began = Instant::now();
    let ids: Vec<CloudId<'_>> = data.marked().iter().map(cloud_id).collect();
    let items = inner.cloud.redeemer().redeem(request_id, openid, &ids).await;
    let fields = data.marked().iter().zip(&items);
    let redeemed = RedeemedFields {
        took: began.elapsed(),
        fields: fields
            .map(|(marked, item)| (marked.raw_name.to_owned(), item.code()))
            .collect(),
    };
    data.fill(items.into_iter().map(opendata::OpenDataItem::into_json).collect());
    redeemed
}

fn cloud_id<'a>(marked: &'a MarkedField<'_>) -> CloudId<'a> {
    CloudId {
        raw: marked.raw_id,
        text: marked.id.as_deref(),
    }
}

impl From<CallFailure> for Failure {
    fn from(failure: CallFailure) -> Self {
        let status = StatusCode::from_u16(failure.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, failure.code, failure.text)
    }
}

/// What the caller is answered.
pub(crate) fn answer(finished: FinishedCall, request_id: &str) -> Result<Bytes, Failure> {
    Ok(success(&finished.result?, request_id, &finished.warnings))
}

/// The function's result, spliced in as it came; `null` where there is none, as the platform was seen to answer.
fn success(reply: &FunctionReply, request_id: &str, warnings: &[(String, Wording)]) -> Bytes {
    let result = reply.json.as_deref().unwrap_or(b"null".as_slice());
    let mut body = Vec::with_capacity(result.len() + 128);
    body.extend_from_slice(b"{\"result\":");
    body.extend_from_slice(result);
    body.extend_from_slice(b",\"errMsg\":\"cloud.callFunction:ok\",\"requestID\":\"");
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
            json::write_string(&mut body, &text.en);
            body.push(b'}');
        }
        body.push(b']');
    }
    body.push(b'}');
    Bytes::from(body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bad_requests_name_their_cause() {
        let many = format!(r#"{{"data":{{}},"cloudIDs":[{}""]}}"#, r#""a","#.repeat(120_000));
        for (body, cause) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{", "not a JSON object"),
            (r#"{"data":{},}"#, "not a JSON object"),
            ("{\"data\":{\"a\":\"\u{1}\"}}", "not a JSON object"),
            (r#"{"data":[]}"#, "`data` must be an object"),
            (r#"{"data":{},"data":{}}"#, "twice"),
            (r#"{"data":{},"cloudIds":[]}"#, "`cloudIDs`"),
            (r#"{"data":{"a":1,"a":2}}"#, "twice"),
            (r#"{"data":{},"cloudIDs":{}}"#, "`cloudIDs` must be an array"),
            (
                r#"{"data":{"a":"x"},"cloudIDs":[1]}"#,
                "`cloudIDs` must be an array",
            ),
            (r#"{"data":{"a":"x"},"cloudIDs":["b"]}"#, "does not have"),
            (r#"{"data":{"a":1},"cloudIDs":["a"]}"#, "not a string"),
            (r#"{"data":{"a":"x"},"cloudIDs":["a","\u0061"]}"#, "twice"),
            (&many, "more than 100 names"),
        ] {
            let failure = parse(body.as_bytes()).unwrap_err();
            assert_eq!((failure.status.as_u16(), failure.code), (400, -501007), "{body}");
            assert!(failure.text.contains(cause), "{body}: {}", failure.text);
        }
        for body in ["{}", r#" {"cloudIDs":[],"data":{}} "#] {
            assert!(parse(body.as_bytes()).unwrap().marked().is_empty());
        }
    }
}
