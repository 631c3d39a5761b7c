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
use rules::Caller;

use super::{
    ASKED_BODY, EVENT_BODY, budget, failed, fault_of_call, may_ask_for, prepared, result_of, reworded, sender,
};
use crate::{
    Inner,
    body::{UnreadBody, Whole},
    failure::Failure,
    reply::{self, HttpReply},
    routes::show_bearer,
    seats::network,
};

/// Calls a function: the body is its data, and its result is the answer. Who shows no token may call what a rule lets everybody call.
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
    let access = may_ask_for(inner, name, show_bearer(&head.headers)).map_err(fails)?;
    let network = network(client_ip).to_string();
    let sender = sender(access.as_ref(), &network);
    let body = body.read(&EVENT_BODY, sender, budget(inner, sender)).await;
    let body = body.map_err(|failure| reworded(failure, request_id))?;
    let text = std::str::from_utf8(&body.bytes)
        .map_err(|_| fails(WebFault::malformed("the request body is not UTF-8")))?;
    let call = prepared(inner, name, access.as_ref(), text, client_ip, request_id);
    let call = call.await.map_err(fails)?;
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

/// Who asks for documents or files, and what. Who shows no token has what rules let everybody have.
///
/// # Errors
/// They may ask for nothing, or the body could not be read.
async fn asked<'a>(
    inner: &'a Arc<Inner>,
    head: &Parts,
    body: &mut UnreadBody,
    client_ip: IpAddr,
    request_id: &str,
) -> Result<(Caller, Whole<'a>), Failure> {
    let access = inner
        .web_clients
        .identify(show_bearer(&head.headers), inner.clock.now())
        .map_err(|fault| failed(&fault, request_id))?;
    let network = network(client_ip).to_string();
    let sender = sender(access.as_ref(), &network);
    let body = body.read(&ASKED_BODY, sender, budget(inner, sender)).await;
    let body = body.map_err(|failure| reworded(failure, request_id))?;
    Ok((
        access.map(|access| access.user.caller()).unwrap_or_default(),
        body,
    ))
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
    let (caller, body) = asked(inner, head, body, client_ip, request_id).await?;
    let call = DocumentCall::read(head.method.as_str(), path, head.uri.query(), &body.bytes, now())
        .map_err(fails)?;
    let client = AskingClient::web(&caller, network(client_ip));
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
    let (caller, body) = asked(inner, head, body, client_ip, request_id).await?;
    let call = StorageCall::read(path, &body.bytes).map_err(fails)?;
    let client = AskingClient::web(&caller, network(client_ip));
    let answer = match call {
        StorageCall::Upload(paths) => {
            let mut places = Vec::with_capacity(paths.len());
            for path in paths {
                let place = inner.cloud.upload_for(request_id, client, &path).await;
                places.push((path, place));
            }
            upload_info(&places, |path| inner.cloud.refused_upload(path))
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
