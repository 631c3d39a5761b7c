//! `/web`: each request is one action of 1.x, or of a newer SDK in a mode of its own; HTTP's answer is 200 whatever comes of it.

use std::{net::IpAddr, sync::Arc, time::Duration};

use ::cloudbase::{
    Access, DeviceId, WebFault,
    auth::AuthFault,
    legacy::{self, LegacyAction},
};
use bytes::Bytes;
use calls::PreparedCall;
use cloud::AskingClient;
use http::{HeaderValue, StatusCode, request::Parts};
use tcb::{
    Envelope, FieldValue, SdkReply,
    database::{DatabaseAction, DatabaseRefusal, says_query},
    reply as words,
};
use wording::Wording;

use super::{ASKED_BODY, EVENT_BODY, auth, fault_of_call, may_ask_for, prepared, reworded};
use crate::{
    Inner,
    body::{BodyPolicy, BodySender, UnreadBody},
    failure::Failure,
    reply::{self, HttpReply},
    seats::network,
    sockets,
};

/// How long a socket of somebody lasts who has not logged in.
const STRANGERS_SOCKET: Duration = Duration::from_secs(2 * 3600);

/// Answers a request.
///
/// # Errors
/// The body could not be read.
pub(crate) async fn answer(
    inner: &Arc<Inner>,
    head: &Parts,
    body: &mut UnreadBody,
    client_ip: IpAddr,
    request_id: &str,
) -> Result<HttpReply, Failure> {
    // Who asks stands in the body: until it is read, they are a visitor, of whose network the room is.
    let network = crate::seats::network(client_ip).to_string();
    let body = body
        .read(
            &policy(),
            BodySender::Visitor(&network),
            &inner.web_clients.visitors,
        )
        .await
        .map_err(|failure| {
            let mut failure = reworded(failure, request_id);
            failure.status = StatusCode::OK;
            failure
        })?;
    let acted = match Envelope::parse("application/json", &body.bytes) {
        Ok(envelope) => act(inner, head, &envelope, client_ip, request_id).await,
        Err(error) => Err(Told::fault(WebFault::malformed(error.to_string()))),
    };
    let answer = match acted {
        Ok(Acted::Answered(answer)) => Ok(answer),
        Ok(Acted::Calls { call, parsed }) => {
            // All that the function gets is in the call.
            drop(body.bytes);
            let result = call.run().await.result;
            drop(body.permit);
            result
                .map(|result| legacy::invoked(request_id, result.json.as_deref(), parsed))
                .map_err(|failure| fault_of_call(&failure).into())
        }
        Err(told) => Err(told),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(told) => {
            if let Some(why) = told.why {
                inner.journal.note(&calls::Note {
                    request_id,
                    openid: None,
                    text: &why,
                });
            }
            words::refused(request_id, &told.fault.code, &told.fault.message)
        }
    };
    let content_type = HeaderValue::from_static(answer.content_type);
    Ok(reply::typed(
        StatusCode::OK,
        content_type,
        Bytes::from(answer.body),
    ))
}

/// An event, or anything smaller.
fn policy() -> BodyPolicy {
    BodyPolicy {
        most: EVENT_BODY.most.max(ASKED_BODY.most),
        // As it came, and as the text that it has in it.
        times: 2,
        ..EVENT_BODY
    }
}

/// A fault, and what the log is told of it.
struct Told {
    fault: WebFault,
    why: Option<Wording>,
}

impl Told {
    fn fault(fault: WebFault) -> Self {
        Self { fault, why: None }
    }

    /// What a login was refused for, by the codes of the older SDKs.
    fn login(refused: auth::Refused, code: &str) -> Self {
        // A code that ends the session is for a session that has ended: what failed here may go on later.
        let code = match refused.fault.status {
            403 => "LOGIN_TYPE_DISABLED",
            429 => "EXCEED_REQUEST_LIMIT",
            500.. => "SYS_ERR",
            _ => code,
        };
        let fault = WebFault::new(200, code, refused.fault.description);
        Self {
            fault,
            why: refused.why,
        }
    }
}

impl From<WebFault> for Told {
    fn from(fault: WebFault) -> Self {
        Self::fault(fault)
    }
}

/// What came of a request.
enum Acted {
    Answered(SdkReply),
    /// It calls a function, and takes nothing more of the request for that.
    Calls {
        call: Box<PreparedCall>,
        /// Whether the SDK wants the result as what it is, or parses its text.
        parsed: bool,
    },
}

impl From<SdkReply> for Acted {
    fn from(answer: SdkReply) -> Self {
        Self::Answered(answer)
    }
}

/// Whether documents would be changed or removed of which nothing says that they are meant. `collection.remove()` and `collection.update()` of
/// SDKs leave the query out where all are, and send a `queryType` beside it, as ever.
fn has_lost_its_query(envelope: &Envelope<'_>) -> bool {
    DatabaseAction::of(envelope.action_name()).is_some_and(DatabaseAction::changes_what_is_found)
        && !says_query(envelope)
        && envelope.text("queryType").is_none()
}

async fn act(
    inner: &Arc<Inner>,
    head: &Parts,
    envelope: &Envelope<'_>,
    client_ip: IpAddr,
    request_id: &str,
) -> Result<Acted, Told> {
    let name = envelope.action_name();
    let now = inner.clock.now();
    let clients = &inner.web_clients;
    let text = |field| envelope.text(field).unwrap_or_default();
    let identify = || clients.identify(envelope.text("access_token"), now);
    let Some(action) = LegacyAction::of(name) else {
        if !name.starts_with("database.") && !name.starts_with("storage.") {
            return Err(WebFault::malformed(format!("there is no action {name:?}")).into());
        }
        if has_lost_its_query(envelope) {
            return Ok(DatabaseRefusal::no_query().reply(request_id).into());
        }
        let caller = identify()?.map(|access| access.user.caller()).unwrap_or_default();
        let client = AskingClient::web(&caller, network(client_ip));
        let answer = inner.cloud.answer_client(request_id, client, envelope).await;
        return Ok(answer.into());
    };
    let logged_in = || -> Result<Access, WebFault> { identify()?.ok_or_else(WebFault::no_token) };
    match action {
        LegacyAction::SignInAnonymously => {
            // Whoever has the uuid is that user.
            let device = match text("anonymous_uuid") {
                "" => auth::new_device(),
                uuid => DeviceId::parse(uuid)
                    .ok_or_else(|| AuthFault::argument("anonymous_uuid is none that was given out").into()),
            };
            let device = device.map_err(|refused| Told::login(refused, "INVALID_PARAM"))?;
            let uuid = device.as_str().to_owned();
            let session = auth::anonymously(inner, device);
            let session = session.map_err(|refused| Told::login(refused, "LOGIN_TYPE_DISABLED"))?;
            clients.note_login(&session.user);
            let token = clients.tokens.seal_session(&session, now);
            Ok(legacy::signed_in_anonymously(request_id, &uuid, &token).into())
        }
        LegacyAction::SignInWithTicket => {
            let session = auth::by_ticket(inner, text("ticket"));
            let session = session.map_err(|refused| Told::login(refused, "INVALID_TICKET"))?;
            clients.note_login(&session.user);
            Ok(legacy::signed_in(request_id, &clients.tokens, &session, now).into())
        }
        LegacyAction::SignIn => {
            if text("loginType") != "USERNAME" {
                let other = format!("login by {:?} is not served here", text("loginType"));
                return Err(WebFault::new(200, "LOGIN_TYPE_DISABLED", other).into());
            }
            let session =
                auth::by_password(inner, request_id, text("username"), text("password"), client_ip).await;
            let session = session.map_err(|refused| Told::login(refused, "INVALID_USERNAME_OR_PASSWORD"))?;
            clients.note_login(&session.user);
            Ok(legacy::signed_in(request_id, &clients.tokens, &session, now).into())
        }
        LegacyAction::Refresh => {
            let session = auth::continued(inner, text("refresh_token")).await;
            let session = session.map_err(|refused| Told::login(refused, "INVALID_REFRESH_TOKEN"))?;
            clients.note_login(&session.user);
            Ok(legacy::refreshed(request_id, &clients.tokens, &session, now).into())
        }
        LegacyAction::GetUserInfo => Ok(legacy::user_info(request_id, &logged_in()?.user).into()),
        LegacyAction::LogOut => {
            if let Ok(session) = clients.tokens.open_session(text("refresh_token"), now) {
                let ended = auth::end(inner, &session.id, session.login()).await;
                ended.map_err(|refused| Told::login(refused, "SYS_ERR"))?;
            }
            if let Ok(Some(access)) = identify() {
                let ended = auth::end(inner, &access.session, access.user.login).await;
                ended.map_err(|refused| Told::login(refused, "SYS_ERR"))?;
            }
            Ok(legacy::done(request_id).into())
        }
        LegacyAction::SignSocket => {
            let access = identify()?;
            // Who has not logged in has no token that ends.
            let until = access
                .as_ref()
                .map_or(now + STRANGERS_SOCKET, |access| access.until);
            let session = access.as_ref().map(|access| access.session.as_str());
            let caller = access.as_ref().map(|access| access.user.caller());
            let caller = caller.unwrap_or_default();
            let grant = sockets::grant(inner, &head.headers, &caller, session, until);
            let env = clients.tokens.env();
            Ok(legacy::socket(request_id, env, &grant.ws_url, &grant.sign_str).into())
        }
        LegacyAction::Invoke => {
            let name = text("function_name");
            let access = may_ask_for(inner, name, envelope.text("access_token"))?;
            let access = access.as_ref();
            // Its SDKs send a text; who writes the object itself means that.
            let data = match envelope.get("request_data") {
                Some(FieldValue::Json("null")) | None => "",
                Some(FieldValue::Json(data)) => *data,
                Some(FieldValue::Text(data)) => data,
                Some(_) => return Err(WebFault::malformed("request_data is a text, or an object").into()),
            };
            let call = Box::new(prepared(inner, name, access, data, client_ip, request_id).await?);
            let query = head.uri.query().unwrap_or_default();
            let parsed = query.split('&').any(|part| part == "parse=true");
            Ok(Acted::Calls { call, parsed })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn no_query_is_all_documents_in_the_form_of_sdks_alone() {
        let has_lost = |action: &str, fields: &str| {
            let body =
                format!(r#"{{"action":"database.{action}","collectionName":"c","multi":true{fields}}}"#);
            has_lost_its_query(&Envelope::parse("application/json", body.as_bytes()).unwrap())
        };
        for action in [
            "deleteDocument",
            "removeDocument",
            "updateDocument",
            "modifyDocument",
        ] {
            for fields in ["", r#","query":"""#, r#","query":" ""#, r#","q":{"k":9}"#] {
                assert!(has_lost(action, fields), "{action} {fields}");
            }
            // The last two as `collection.remove()` of @cloudbase/database 0.9.22 and 1.4.3 has it.
            for fields in [
                r#","query":{}"#,
                r#","query":"{}""#,
                r#","queryType":"WHERE""#,
                r#","query":"","queryType":"WHERE""#,
            ] {
                assert!(!has_lost(action, fields), "{action} {fields}");
            }
        }
        assert!(!has_lost("queryDocument", ""));
    }
}
