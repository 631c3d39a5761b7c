//! `/v1/functions`, `/v1/database/…` and `/v1/storages/…`, for those who show an access token of `/auth/v1`.

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use ::cloudbase::{
    WebFault,
    rest::{DocumentCall, StorageCall, done, download_info, upload_info},
};
use bson::DateTime;
use bytes::Bytes;
use cloud::AskingClient;
use http::{StatusCode, request::Parts};
use tcb::{CallData, Event};

use super::{ASKED_BODY, EVENT_BODY, budget, caller_of, failed, fault_of_call, result_of, reworded, sender};
use crate::{
    Inner,
    body::UnreadBody,
    failure::Failure,
    reply::{self, HttpReply},
    routes::show_bearer,
    seats::network,
};

/// Calls a function: the body is its data, and its result is the answer.
///
/// # Errors
/// What went wrong, in the words of this door.
pub(crate) async fn call(
    inner: &Arc<Inner>,
    name: &str,
    head: &Parts,
    body: &mut UnreadBody,
    client_ip: IpAddr,
    request_id: &str,
) -> Result<HttpReply, Failure> {
    let fails = |fault: WebFault| failed(&fault, request_id);
    let access = inner
        .web_clients
        .identify(show_bearer(&head.headers), inner.clock.now())
        .and_then(|access| access.ok_or_else(WebFault::no_token))
        .map_err(fails)?;
    let network = network(client_ip).to_string();
    let sender = sender(Some(&access), &network);
    let body = body.read(&EVENT_BODY, sender, budget(inner, sender)).await;
    let body = body.map_err(|failure| reworded(failure, request_id))?;
    let text = match body.bytes.trim_ascii() {
        [] => Ok("{}"),
        bytes => std::str::from_utf8(bytes),
    };
    let text = text.map_err(|_| fails(WebFault::malformed("the request body is not UTF-8")))?;
    let data = CallData::parse(text).map_err(|_| {
        fails(WebFault::malformed(
            "the data of a call is a JSON object, whose fields have different names",
        ))
    })?;
    let caller = caller_of(&access.user, client_ip);
    let site = inner.calls.find_soon(name, request_id, caller.who()).await;
    let site = site.map_err(|failure| fails(fault_of_call(&failure)))?;
    let call = inner.calls.prepare(site, caller, request_id, Event::Call(data));
    // All that the function gets is in the call.
    let permit = body.permit;
    drop(body.bytes);
    let finished = call.run().await;
    drop(permit);
    match finished.result {
        Ok(result) => Ok(reply::json(result_of(result))),
        Err(failure) => Err(fails(fault_of_call(&failure))),
    }
}

/// Answers what is asked of the database.
///
/// # Errors
/// What went wrong, in the words of this door.
pub(crate) async fn documents(
    inner: &Arc<Inner>,
    path: &str,
    head: &Parts,
    body: &mut UnreadBody,
    client_ip: IpAddr,
    request_id: &str,
) -> Result<HttpReply, Failure> {
    let fails = |fault: WebFault| failed(&fault, request_id);
    let access = inner
        .web_clients
        .identify(show_bearer(&head.headers), inner.clock.now())
        .map_err(fails)?;
    let network = network(client_ip).to_string();
    let sender = sender(access.as_ref(), &network);
    let body = body.read(&ASKED_BODY, sender, budget(inner, sender)).await;
    let body = body.map_err(|failure| reworded(failure, request_id))?;
    let call = DocumentCall::read(head.method.as_str(), path, head.uri.query(), &body.bytes, now())
        .map_err(fails)?;
    let caller = access.map(|access| access.user.caller()).unwrap_or_default();
    let client = AskingClient::web(&caller);
    let answer = inner
        .cloud
        .documents_for(request_id, client, call.request.clone())
        .await;
    let body = answer
        .map_err(WebFault::from)
        .and_then(|answer| call.write(answer))
        .map_err(fails)?;
    Ok(reply::json(Bytes::from(body)))
}

/// Answers what is asked of storage.
///
/// # Errors
/// What went wrong, in the words of this door.
pub(crate) async fn files(
    inner: &Arc<Inner>,
    path: &str,
    head: &Parts,
    body: &mut UnreadBody,
    client_ip: IpAddr,
    request_id: &str,
) -> Result<HttpReply, Failure> {
    let fails = |fault: WebFault| failed(&fault, request_id);
    let access = inner
        .web_clients
        .identify(show_bearer(&head.headers), inner.clock.now())
        .map_err(fails)?;
    let network = network(client_ip).to_string();
    let sender = sender(access.as_ref(), &network);
    let body = body.read(&ASKED_BODY, sender, budget(inner, sender)).await;
    let body = body.map_err(|failure| reworded(failure, request_id))?;
    let call = StorageCall::read(path, &body.bytes).map_err(fails)?;
    let caller = access.map(|access| access.user.caller()).unwrap_or_default();
    let client = AskingClient::web(&caller);
    let answer = match call {
        StorageCall::Upload(paths) => {
            let mut places = Vec::with_capacity(paths.len());
            for path in paths {
                let place = inner.cloud.upload_for(request_id, client, &path).await;
                places.push((path, place));
            }
            upload_info(&places)
        }
        StorageCall::Download(asked) => download_info(&inner.cloud.urls_for(request_id, client, asked).await),
        StorageCall::Delete(ids) => done(&inner.cloud.delete_for(request_id, client, ids).await),
        StorageCall::Copy(copies) => done(&inner.cloud.copy_for(request_id, client, copies).await),
    };
    Ok(reply::typed(StatusCode::OK, reply::JSON, Bytes::from(answer)))
}

/// Machine time: what a document says of when it was made is no expiry of WeChat's.
#[expect(
    clippy::disallowed_methods,
    reason = "serverDate is the server's own time, not WeChat's"
)]
fn now() -> DateTime {
    DateTime::from(SystemTime::now())
}
