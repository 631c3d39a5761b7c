//! `POST /v1/database` and `POST /v1/storage`: a client that asks for documents and files by itself, in the words of the modern SDK,
//! and is answered as that is. What it may is judged behind this door, by the permissions of collections and of storage.

use std::net::IpAddr;

use bytes::Bytes;
use cloud::AskingClient;
use http::{HeaderValue, StatusCode};
use rules::Caller;
use tcb::{
    Envelope, SdkReply,
    database::{DatabaseAction, DatabaseRefusal, says_query},
};

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
    // Here bodies are written by hand: what was forgotten is not taken for all documents, which SDKs mean by it.
    if DatabaseAction::of(envelope.action_name()).is_some_and(DatabaseAction::changes_what_is_found)
        && !says_query(&envelope)
    {
        return Ok(typed(DatabaseRefusal::no_query().reply(request_id)));
    }
    let caller = Caller::of_openid(&bearer.openid);
    let client = AskingClient::mini_program(&caller, network(client_ip));
    let answer = inner.cloud.answer_client(request_id, client, &envelope).await;
    Ok(typed(answer))
}

fn typed(answer: SdkReply) -> HttpReply {
    let content_type = HeaderValue::from_static(answer.content_type);
    reply::typed(StatusCode::OK, content_type, Bytes::from(answer.body))
}
