//! The public listener: which path leads where, what each door takes, and what every reply has in common.
//!
//! A request is judged by its head alone first: path, method, type of the body, and the bearer token, which is opened in
//! memory. Only then is the body read, under the policy of its door.

use std::{net::IpAddr, time::Duration};

use ::cloudbase::Tokens;
use bytes::Bytes;
use cloud::FileDoor;
use http::{
    HeaderMap, Method, Request, StatusCode, Version,
    header::{ACCEPT, AUTHORIZATION, HOST},
    request::Parts,
};
use hyper::body::Incoming;

use crate::{
    Gateway, Inner,
    bearer::{Bearer, Refused},
    body::{self, BodyPolicy, BodySender, Content, UnreadBody, Whole},
    call,
    cloudbase::{self, WebDoor},
    cors, documents,
    failure::Failure,
    files, heads, ids,
    listen::Seat,
    login, open_data, push, readiness,
    reply::{self, HttpReply, ReplyBody},
    sockets,
};

/// A call's event: what a phone can send over a slow line in a minute or two.
pub(crate) const CALL_BODY: BodyPolicy = BodyPolicy {
    most: body::LARGEST_CALL,
    within: Duration::from_secs(120),
    content: Content::Json,
    times: 1,
};
/// A login code, from anybody.
const LOGIN_BODY: BodyPolicy = BodyPolicy {
    most: body::LARGEST_OF_STRANGER,
    within: Duration::from_secs(10),
    content: Content::Json,
    times: 1,
};
/// Open data: WeChat's largest, a month of steps with `rawData`, is a few kilobytes.
const OPEN_DATA_BODY: BodyPolicy = BodyPolicy {
    most: 1 << 20,
    within: Duration::from_secs(30),
    content: Content::Json,
    times: 1,
};

/// What a client asks of the database or of storage: the platform takes 512 KB of documents from a client at once, which are text within
/// text here.
const CLOUD_BODY: BodyPolicy = BodyPolicy {
    most: 2 << 20,
    within: Duration::from_secs(60),
    content: Content::Json,
    times: 1,
};

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
enum Door<'a> {
    Call(&'a str),
    Login,
    OpenData,
    /// Of the actions that begin with this.
    Cloud(&'static str),
    Push,
    Health,
    Ready,
    Files,
    /// Of CloudBase's own SDKs.
    Web(WebDoor<'a>),
    /// What this listener answers, as a text that programs read.
    OpenApi,
    Socket,
}

/// The OpenAPI text of this listener. `tests/openapi.rs` holds it against what is answered.
const OPENAPI: &str = include_str!("openapi.json");

impl<'a> Door<'a> {
    fn of(path: &'a str) -> Option<Self> {
        Some(match path {
            "/v1/login" => Self::Login,
            "/v1/open-data" => Self::OpenData,
            "/v1/database" => Self::Cloud("database."),
            "/v1/storage" => Self::Cloud("storage."),
            push::PATH => Self::Push,
            sockets::PATH => Self::Socket,
            "/healthz" => Self::Health,
            "/readyz" => Self::Ready,
            "/openapi.json" => Self::OpenApi,
            path if FileDoor::takes(path) => Self::Files,
            path if let Some(door) = WebDoor::of(path) => Self::Web(door),
            // Whatever follows is a name to look up: a legal one, or one that no function has.
            _ => Self::Call(path.strip_prefix("/v1/functions/")?),
        })
    }

    /// The methods that it takes, as `Allow` has them.
    fn allow(self) -> &'static str {
        match self {
            Self::Health | Self::Ready | Self::OpenApi => "GET, HEAD",
            Self::Socket => "GET",
            Self::Push => "GET, HEAD, POST",
            Self::Files => "GET, HEAD, PUT, POST",
            Self::Web(door) => door.allow(),
            Self::Call(_) | Self::Cloud(_) | Self::Login | Self::OpenData => "POST",
        }
    }
}

impl Gateway {
    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub(crate) async fn answer(&self, request: Request<Incoming>, client_ip: IpAddr) -> HttpReply {
        let inner = &self.0;
        let request_id = ids::request_id();
        let (head, mut body) = open(request);
        let origin = inner.origins.allow(&head.headers);
        let answer = if head.method == Method::OPTIONS && origin.is_some() {
            Ok(cors::preflight_for(&head.headers))
        } else {
            let answer = self.open_door(&head, &mut body, client_ip, &request_id).await;
            answer.map_err(|failure| cloudbase::in_their_words(failure, &head, &request_id))
        };
        if answer.is_err() {
            body.discard().await;
        }
        let mut reply = reply::settle(&*inner.journal, &request_id, answer);
        match origin {
            Some(origin) => cors::mark(reply.headers_mut(), origin),
            // Nobody keeps the others.
            None if FileDoor::takes(head.uri.path()) => inner.origins.mark_others(reply.headers_mut()),
            None => {}
        }
        reply
    }

    async fn open_door(
        &self,
        head: &Parts,
        body: &mut UnreadBody,
        client_ip: IpAddr,
        request_id: &str,
    ) -> Result<HttpReply, Failure> {
        let inner = &self.0;
        has_host(head)?;
        heads::judge(head)?;
        let door = Door::of(head.uri.path());
        // WeChat's servers are no page's, and sign what they send.
        if !matches!(door, Some(Door::Push)) {
            inner.hosts.check(&head.headers)?;
        }
        let door = door.ok_or_else(Failure::no_door)?;
        takes(&head.method, door.allow())?;
        match door {
            // The token decides which of two worlds the call is of.
            Door::Call(name) if !is_web_call(inner, name, head) => {
                let (bearer, body) = read_of_known(inner, head, body, &CALL_BODY).await?;
                let value = call::call(inner, name, &bearer, client_ip, request_id, body).await?;
                Ok(reply::json(value))
            }
            // What a request's future holds is copied several times on its way into the connection. A call's is small; those
            // of the other doors are not, and a call would copy the largest of them.
            door => Box::pin(self.open_other_door(door, head, body, client_ip, request_id)).await,
        }
    }

    /// Any door but that of a Mini Program's call.
    async fn open_other_door(
        &self,
        door: Door<'_>,
        head: &Parts,
        body: &mut UnreadBody,
        client_ip: IpAddr,
        request_id: &str,
    ) -> Result<HttpReply, Failure> {
        let inner = &self.0;
        let client_ip = inner.web.client(client_ip, &head.headers);
        Ok(match door {
            Door::Health => reply::json(Bytes::from_static(b"{\"status\":\"ok\"}")),
            Door::Ready => readiness::answer(inner).await?,
            Door::OpenApi => reply::json(Bytes::from_static(OPENAPI.as_bytes())),
            Door::Push => push::answer(inner, request_id, head, body).await?,
            Door::Files => files::answer(inner, request_id, head, body).await,
            Door::Socket => sockets::answer(self, head, client_ip).await?,
            Door::Login => {
                LOGIN_BODY.check(&head.headers)?;
                let body = body
                    .read(&LOGIN_BODY, BodySender::Stranger, &inner.budget)
                    .await?;
                reply::json(login::login(inner, &body.bytes).await?)
            }
            Door::OpenData => {
                let (bearer, body) = read_of_known(inner, head, body, &OPEN_DATA_BODY).await?;
                reply::json(open_data::exchange(inner, request_id, &bearer, &body.bytes).await?)
            }
            Door::Cloud(actions) => {
                let (bearer, body) = read_of_known(inner, head, body, &CLOUD_BODY).await?;
                documents::answer(inner, request_id, actions, &bearer, client_ip, &body.bytes).await?
            }
            Door::Web(WebDoor::Auth(door)) => {
                cloudbase::answer_auth(inner, door, head, body, client_ip, request_id).await?
            }
            Door::Web(WebDoor::Documents(path)) => {
                cloudbase::documents(inner, path, head, body, client_ip, request_id).await?
            }
            Door::Web(WebDoor::Files(path)) => {
                cloudbase::files(inner, path, head, body, client_ip, request_id).await?
            }
            Door::Web(WebDoor::Legacy) => {
                cloudbase::answer_legacy(inner, head, body, client_ip, request_id).await?
            }
            Door::Call(name) => cloudbase::call(inner, name, head, body, client_ip, request_id).await?,
        })
    }
}

/// Takes a request apart: its head, and its body, which is still to come.
pub(crate) fn open(request: Request<Incoming>) -> (Parts, UnreadBody) {
    let (mut head, incoming) = request.into_parts();
    let seat = head.extensions.remove::<Seat>();
    let body = UnreadBody::new(incoming, seat, &head.headers);
    (head, body)
}

/// Refuses what HTTP/1.1 has every server refuse (RFC 9112 §3.2).
///
/// # Errors
/// 400 for no `Host`, or two.
pub(crate) fn has_host(head: &Parts) -> Result<(), Failure> {
    let hosts = head.headers.get_all(HOST).iter().count();
    if hosts > 1 || hosts == 0 && head.version >= Version::HTTP_11 {
        return Err(Failure::malformed("HTTP/1.1 wants one Host header"));
    }
    Ok(())
}

/// # Errors
/// 405 where the method is not among those that are `allowed`.
pub(crate) fn takes(method: &Method, allowed: &'static str) -> Result<(), Failure> {
    match allowed.split(", ").any(|allowed| allowed == method.as_str()) {
        true => Ok(()),
        false => Err(Failure::method(allowed)),
    }
}

/// Whether a call is of CloudBase's SDKs, or in their words: their token says so, or where they have none yet, what they say of themselves. Who
/// needs no token is one of theirs: our own clients have one always.
fn is_web_call(inner: &Inner, name: &str, head: &Parts) -> bool {
    match show_bearer(&head.headers) {
        Some(token) if Tokens::has_form(token) => return true,
        None if inner.lets_everybody_call(name) => return true,
        _ => {}
    }
    let query = head.uri.query().unwrap_or_default();
    cloudbase::is_sdk(&head.headers)
        || query
            .split('&')
            .any(|part| part == "webfn=true" || part == "webfn")
}

/// Reads the body of a request that shows the bearer token of a login that holds; of any other, nothing is read.
async fn read_of_known<'a>(
    inner: &'a Inner,
    head: &Parts,
    body: &mut UnreadBody,
    policy: &BodyPolicy,
) -> Result<(Bearer, Whole<'a>), Failure> {
    policy.check(&head.headers)?;
    let bearer = show_bearer(&head.headers)
        .ok_or(Refused::Missing)
        .and_then(|token| inner.bearers.open(token, inner.clock.now()))
        .map_err(|refused| Failure::unauthorized().because(refused.wording()))?;
    let sender = BodySender::Known(&bearer.openid);
    let body = body.read(policy, sender, &inner.budget).await?;
    inner.sessions.check(inner, &bearer).await?;
    Ok((bearer, body))
}

/// What is shown as `Authorization: Bearer`.
pub(crate) fn show_bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Whether whoever asks is a browser that shows a page.
pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// A reply without a body.
pub(crate) fn empty(status: StatusCode) -> HttpReply {
    let mut reply = HttpReply::new(ReplyBody::default());
    *reply.status_mut() = status;
    reply
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use ::cloudbase::auth::AuthDoor;
    use serde_json::Value;

    use super::*;

    /// The size of the future that a function gives, in bytes.
    fn size_of_future<'a, F>(_: impl Fn(&'a Gateway, Request<Incoming>, IpAddr) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_call_does_not_carry_the_size_of_every_door() {
        let size = size_of_future(Gateway::answer);
        assert!(size <= 3500, "{size} bytes");
    }

    /// The paths of a door, as the OpenAPI text has them.
    fn paths(door: Door<'_>) -> &'static [&'static str] {
        match door {
            Door::Call(_) => &["/v1/functions/{name}"],
            Door::Login => &["/v1/login"],
            Door::OpenData => &["/v1/open-data"],
            Door::Cloud("database.") => &["/v1/database"],
            Door::Cloud(_) => &["/v1/storage"],
            Door::Push => &["/v1/push"],
            Door::Health => &["/healthz"],
            Door::Ready => &["/readyz"],
            Door::Files => &["/v1/files/{sealed}", "/v1/files/{sealed}/{name}"],
            Door::OpenApi => &["/openapi.json"],
            Door::Web(WebDoor::Auth(Some(door))) => match door {
                AuthDoor::Anonymously => &["/auth/v1/signin/anonymously"],
                AuthDoor::Custom => &["/auth/v1/signin/custom"],
                AuthDoor::Password => &["/auth/v1/signin"],
                AuthDoor::Token => &["/auth/v1/token"],
                AuthDoor::Revoke => &["/auth/v1/revoke"],
                AuthDoor::SignOut => &["/auth/v1/user/signout"],
                AuthDoor::ProviderToken => &["/auth/v1/provider/token"],
                AuthDoor::WithProvider => &["/auth/v1/signin/with/provider"],
                AuthDoor::Me => &["/auth/v1/user/me"],
            },
            // A client has no others: what transactions, collections and commands are asked for is refused.
            Door::Web(WebDoor::Documents(_)) => &[
                "/v1/database/instances/(default)/databases/(default)/collections/{collection}/documents",
                "/v1/database/instances/(default)/databases/(default)/collections/{collection}/documents/{id}",
                "/v1/database/instances/(default)/databases/(default)/collections/{collection}/documents/remove",
                "/v1/database/instances/(default)/databases/(default)/collections/{collection}/documents/aggregations",
            ],
            Door::Web(WebDoor::Files(_)) => &[
                "/v1/storages/get-objects-upload-info",
                "/v1/storages/get-objects-download-info",
                "/v1/storages/delete-objects",
                "/v1/storages/copy-objects",
            ],
            Door::Web(WebDoor::Legacy) => &["/web"],
            // Sockets, of which OpenAPI says nothing; and what nothing is behind.
            Door::Socket | Door::Web(WebDoor::Auth(None)) => &[],
        }
    }

    #[test]
    fn each_door_is_in_the_openapi_text_with_the_methods_that_it_takes() {
        let text: Value = serde_json::from_str(OPENAPI).unwrap();
        let documented = text["paths"].as_object().unwrap();
        let mut met = BTreeSet::new();
        for path in documented.keys() {
            let sample = path.replace(['{', '}'], "");
            let door = Door::of(&sample).unwrap();
            let paths = paths(door);
            assert!(paths.contains(&path.as_str()), "{path} leads to {door:?}");
            let mut methods = BTreeSet::new();
            for path in paths {
                met.insert((*path).to_owned());
                let operations = documented[*path].as_object().unwrap().keys();
                methods.extend(
                    operations
                        .filter(|name| *name != "parameters")
                        .map(|name| name.to_uppercase()),
                );
            }
            let mut taken: BTreeSet<_> = door.allow().split(", ").map(str::to_owned).collect();
            // HEAD is what GET is, without its body, and stands there only where it has answers of its own.
            if !methods.contains("HEAD") {
                taken.remove("HEAD");
            }
            assert_eq!(methods, taken, "{path}");
        }
        assert_eq!(met, documented.keys().cloned().collect());
    }
}
