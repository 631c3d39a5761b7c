//! `POST /v1/database` and `POST /v1/storage`: a client that asks for documents and files by itself, in the words of the modern SDK,
//! and is answered as that is. What it may is judged behind this door, by the permissions of collections and of storage.

use std::net::IpAddr;

use bytes::Bytes;
use cloud::AskingClient;
use http::{HeaderValue, StatusCode};
use rules::Caller;
use tcb::Envelope;

use crate::{
    Inner,
    bearer::Bearer,
    failure::Failure,
    reply::{self, HttpReply},
    seats::network,
};

/// Answers a request whose `action` begins with `actions`. A refusal of the action is an answer with `code` and `message`, and HTTP's 200.
///
/// # Errors
/// 400 where the body is no request of an SDK, or is one for another door.
pub(crate) async fn answer(
    inner: &Inner,
    request_id: &str,
    actions: &str,
    bearer: &Bearer,
    client_ip: IpAddr,
    body: &[u8],
) -> Result<HttpReply, Failure> {
    let envelope =
        Envelope::parse("application/json", body).map_err(|error| Failure::malformed(error.to_string()))?;
    if !envelope.action_name().starts_with(actions) {
        return Err(Failure::malformed(format!(
            "`action` is {:?}, and this path answers {actions}*",
            envelope.action_name()
        )));
    }
    let caller = Caller::of_openid(&bearer.openid);
    let client = AskingClient::mini_program(&caller, network(client_ip));
    let answer = inner.cloud.answer_client(request_id, client, &envelope).await;
    let content_type = HeaderValue::from_static(answer.content_type);
    Ok(reply::typed(
        StatusCode::OK,
        content_type,
        Bytes::from(answer.body),
    ))
}
