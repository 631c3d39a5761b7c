//! Which path leads where, and what every reply has in common.

use std::net::IpAddr;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use serde::Serialize;

use crate::bearer::{Bearer, Refused};
use crate::failure::Failure;
use crate::{Gateway, Inner, Note, body, call, cors, ids, login, open_data, push};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// Where a request goes.
enum Door<'a> {
    Call(&'a str),
    Login,
    OpenData,
    Health,
    Ready,
}

impl<'a> Door<'a> {
    fn of(path: &'a str) -> Option<Door<'a>> {
        Some(match path {
            "/v1/login" => Door::Login,
            "/v1/open-data" => Door::OpenData,
            "/healthz" => Door::Health,
            "/readyz" => Door::Ready,
            // Whatever follows is a name to look up: a legal one, or one that no function has.
            _ => Door::Call(path.strip_prefix("/v1/functions/")?),
        })
    }

    fn method(&self) -> (Method, &'static str) {
        match self {
            Door::Health | Door::Ready => (Method::GET, "GET"),
            _ => (Method::POST, "POST"),
        }
    }
}

impl Gateway {
    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
        client_ip: IpAddr,
    ) -> Response<Full<Bytes>> {
        let inner = &self.0;
        // WeChat's servers are no page's: nothing of what follows is theirs.
        if request.uri().path() == push::PATH {
            return push::answer(inner, request).await;
        }
        let origin = inner.origins.allow(request.headers());
        let request_id = ids::request_id();
        let mut reply = if request.method() == Method::OPTIONS && origin.is_some() {
            let mut reply = Response::new(Full::default());
            *reply.status_mut() = StatusCode::NO_CONTENT;
            cors::preflight(reply.headers_mut());
            reply
        } else {
            match self.open_door(request, client_ip, &request_id).await {
                Ok(body) => json_reply(StatusCode::OK, body),
                Err(failure) => {
                    let mut reply = json_reply(failure.status, failure.write(&request_id).into());
                    if let Some(method) = failure.allow {
                        reply
                            .headers_mut()
                            .insert(ALLOW, HeaderValue::from_static(method));
                    }
                    if failure.status == StatusCode::PAYLOAD_TOO_LARGE {
                        reply
                            .headers_mut()
                            .insert(CONNECTION, HeaderValue::from_static("close"));
                    }
                    reply
                }
            }
        };
        if let Some(origin) = origin {
            cors::mark(reply.headers_mut(), origin);
        }
        reply
    }

    async fn open_door(
        &self,
        request: Request<Incoming>,
        client_ip: IpAddr,
        request_id: &str,
    ) -> Result<Bytes, Failure> {
        let inner = &self.0;
        let (head, incoming) = request.into_parts();
        let admitted = match admit(inner, request_id, &head) {
            Ok(admitted) => admitted,
            Err(failure) => {
                body::discard(incoming, 0).await;
                return Err(failure);
            }
        };
        match admitted {
            Admitted::Health => Ok(Bytes::from_static(b"{\"status\":\"ok\"}")),
            Admitted::Ready if inner.calls.sites().ready() => {
                Ok(Bytes::from_static(b"{\"status\":\"ready\"}"))
            }
            Admitted::Ready => Err(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                tcb::codes::SYS_ERR,
                "not ready yet: functions are being loaded",
            )),
            Admitted::Login => {
                let body = body::read(incoming, &inner.large_bodies).await?;
                login::login(inner, request_id, &body.bytes).await
            }
            Admitted::OpenData(bearer) => {
                let body = body::read(incoming, &inner.large_bodies).await?;
                inner.sessions.check(inner, request_id, &bearer).await?;
                open_data::exchange(inner, request_id, &bearer, &body.bytes).await
            }
            Admitted::Call(name, bearer) => {
                let body = body::read(incoming, &inner.large_bodies).await?;
                inner.sessions.check(inner, request_id, &bearer).await?;
                call::call(inner, name, &bearer, client_ip, request_id, body).await
            }
        }
    }
}

/// A request whose head is in order.
enum Admitted<'a> {
    Call(&'a str, Bearer),
    Login,
    OpenData(Bearer),
    Health,
    Ready,
}

/// Judges a request by its head alone, before its body is read.
fn admit<'a>(
    inner: &Inner,
    request_id: &str,
    head: &'a http::request::Parts,
) -> Result<Admitted<'a>, Failure> {
    let door = Door::of(head.uri.path()).ok_or_else(Failure::not_found)?;
    let (method, name) = door.method();
    if head.method != method {
        return Err(Failure::method(name));
    }
    if method == Method::POST && !is_json(&head.headers) {
        return Err(Failure::malformed(
            "this path takes JSON: send the header `content-type: application/json`",
        ));
    }
    let bearer = || {
        authenticate(inner, &head.headers).map_err(|refused| {
            inner.journal.note(&Note {
                request_id,
                openid: None,
                text: &refused,
            });
            Failure::unauthorized()
        })
    };
    Ok(match door {
        Door::Call(name) => Admitted::Call(name, bearer()?),
        Door::OpenData => Admitted::OpenData(bearer()?),
        Door::Login => Admitted::Login,
        Door::Health => Admitted::Health,
        Door::Ready => Admitted::Ready,
    })
}

fn authenticate(inner: &Inner, headers: &HeaderMap) -> Result<Bearer, Refused> {
    let value = headers
        .get(AUTHORIZATION)
        .ok_or(Refused::Missing)?
        .to_str()
        .map_err(|_| Refused::Missing)?;
    let (scheme, token) = value.split_once(' ').ok_or(Refused::Missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refused::Missing);
    }
    inner.bearers.open(token.trim(), inner.clock.now())
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

/// Whether whoever asks is a browser that shows a page.
pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn json_reply(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, JSON);
    reply
}

/// The body of a successful reply.
pub(crate) fn to_json(answer: &impl Serialize) -> Result<Bytes, Failure> {
    serde_json::to_vec(answer)
        .map(Bytes::from)
        .map_err(|_| Failure::internal())
}
