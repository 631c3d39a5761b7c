//! The operator's listener: what only the owner of the service may reach, behind a secret.
//!
//! * `/operator/access-token` gives WeChat's access_token to the other servers of the same app, so that one place fetches it.
//! * `/operator/wx/<path>` calls any API of WeChat's in the app's name, with no token in the caller's hands.
//! * `POST /operator/functions/{name}` takes `{"data","source"?,"openid"?}` and calls a function as anybody, from anywhere
//!   (`source` is the first word of its `SOURCE`, by default `wx_http`), and answers as the public route does.
//! * `POST /operator/functions/{name}/timer` takes `{"trigger"?}` and fires a timer of the function's now.
//! * Below `/operator/push` are the message pushes that were given up.
//! * Whatever else is asked for is a page of the console's.
//!
//! Nobody passes without the secret (`guard`), but to WeChat's own HTTP API (`http_api`), which asks for WeChat's
//! credentials. And a web page does not get in even with a browser that would send one along: the `Host` must be one by
//! which this listener is known (a name that was rebound to it is not), a foreign `Origin` is refused, and no answer allows
//! another origin to read it.

mod guard;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use calls::{Caller, User};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, SET_COOKIE, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tcb::{Source, codes};
use wechat::{Called, Outgoing};

pub use self::guard::Admission;
use self::guard::{Guard, Shown};
use crate::failure::Failure;
use crate::http_api::{Door, HttpApi};
use crate::{Gateway, Note, call, ids, push, routes, timers};

/// What is forwarded to WeChat: these paths follow `/operator/wx`.
const FORWARD: &str = "/operator/wx/";
const ACCESS_TOKEN: &str = "/operator/access-token";
const FUNCTIONS: &str = "/operator/functions/";
/// What follows the name of a function whose timer is to fire.
const TIMER: &str = "/timer";
/// Where the page that asks for the secret sends it.
const ENTER_AT: &str = "/operator/enter";
/// That page. It needs no script, and none would run.
const ENTER: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=width=device-width>\
    <title>云桥 Yunqiao</title><h1>云桥 Yunqiao</h1><form method=post action=/operator/enter>\
    <p><label>The operator's secret · 运维密钥 <input type=password name=secret autofocus required></label> \
    <button>Enter · 进入</button></p></form>\
    <p><code>yunqiao dev</code> prints a link that needs none. · <code>yunqiao dev</code> 打印的链接不需要它。</p></html>";
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const BEARER: HeaderValue = HeaderValue::from_static("Bearer");
/// The largest body that is forwarded: WeChat's largest media are 10 MB.
const LARGEST_BODY: usize = 16 << 20;
/// How long WeChat may take over a forwarded request.
const WITHIN: Duration = Duration::from_secs(15);

/// Who may come in, and what there is to see.
pub struct Operator {
    /// Who may come in.
    pub admission: Admission,
    /// The app's AppSecret, which callers of WeChat's HTTP API show.
    pub app_secret: SecretString,
    /// Whatever is at no door of the listener's own: the console.
    pub pages: Option<Arc<dyn Pages>>,
}

/// The body of an answer; one that does not end is a stream of events.
pub type PageBody = UnsyncBoxBody<Bytes, Infallible>;

/// Pages behind the listener's guards.
pub trait Pages: Send + Sync + 'static {
    /// Answers a request that was let in, its body read whole.
    fn answer(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Response<PageBody>> + Send + '_>>;
}

/// The doors of the listener.
pub(crate) struct Doors {
    gateway: Gateway,
    http_api: HttpApi,
    guard: Guard,
    pages: Option<Arc<dyn Pages>>,
}

/// The body of a call of a function.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invoke<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    source: Option<String>,
    openid: Option<String>,
}

/// The body of a request to fire a timer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fire {
    trigger: Option<String>,
}

#[derive(Serialize)]
struct Token<'a> {
    access_token: &'a str,
    expires_in: u64,
}

/// A body with its type, and the status that goes with it.
struct Good {
    status: StatusCode,
    content_type: HeaderValue,
    body: Bytes,
}

impl Doors {
    pub(crate) fn new(gateway: Gateway, operator: Operator) -> Doors {
        Doors {
            http_api: HttpApi::new(&gateway.0.keys, &gateway.0.appid, operator.app_secret),
            gateway,
            guard: Guard::new(operator.admission),
            pages: operator.pages,
        }
    }

    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<PageBody> {
        let request_id = ids::request_id();
        let wants_page = routes::accepts_html(request.headers());
        let mut reply = match self.enter(request, &request_id).await {
            Ok(reply) => reply,
            Err(failure) if failure.status == StatusCode::UNAUTHORIZED && wants_page => {
                let mut reply = reply(StatusCode::UNAUTHORIZED, HTML, ENTER.into());
                reply.headers_mut().insert(WWW_AUTHENTICATE, BEARER);
                reply
            }
            Err(failure) => {
                let mut reply = reply(failure.status, routes::JSON, failure.write(&request_id).into());
                if failure.status == StatusCode::UNAUTHORIZED {
                    reply.headers_mut().insert(WWW_AUTHENTICATE, BEARER);
                }
                reply
            }
        };
        guard_reply(reply.headers_mut());
        reply
    }

    async fn enter(
        &self,
        request: Request<Incoming>,
        request_id: &str,
    ) -> Result<Response<PageBody>, Failure> {
        let (head, body) = request.into_parts();
        self.guard.origin(&head.headers)?;
        if let Some(door) = Door::of(head.uri.path()) {
            let answer = self.http_api.answer(&self.gateway, door, &head, body, request_id);
            return Ok(reply(StatusCode::OK, routes::JSON, answer.await));
        }
        if let Some(reply) = self.let_in(&head) {
            return Ok(reply);
        }
        if head.uri.path() == ENTER_AT && head.method == Method::POST {
            return self.ask_secret(&read(body).await?);
        }
        let shown = self.guard.admit(&head)?;
        let path = head.uri.path();
        if shown != Shown::Secret && (path == ACCESS_TOKEN || path.starts_with(FORWARD)) {
            return Err(Failure::new(
                StatusCode::UNAUTHORIZED,
                codes::INVALID_REQUEST_SOURCE,
                "here the secret itself is asked for, as `Authorization: Bearer <secret>`",
            ));
        }
        let good = match path {
            ACCESS_TOKEN if matches!(head.method, Method::GET | Method::POST) => {
                self.access_token(request_id).await?
            }
            ACCESS_TOKEN => return Err(Failure::method("GET, POST")),
            path if path.starts_with(FORWARD) => {
                let method = match head.method {
                    Method::GET => openapi::Method::Get,
                    Method::POST => openapi::Method::Post,
                    _ => return Err(Failure::method("GET, POST")),
                };
                let content_type = head
                    .headers
                    .get(CONTENT_TYPE)
                    .and_then(|value| value.to_str().ok());
                let body = read(body).await?;
                self.forward(method, &head.uri, content_type, &body, request_id)
                    .await?
            }
            path if path.starts_with(FUNCTIONS) => {
                if head.method != Method::POST {
                    return Err(Failure::method("POST"));
                }
                let name = path.get(FUNCTIONS.len()..).unwrap_or_default();
                let body = read(body).await?;
                match name.strip_suffix(TIMER) {
                    Some(name) => self.fire(name, &body, request_id).await?,
                    None => self.invoke(name, &body, request_id).await?,
                }
            }
            path if path == push::OPERATOR || path.starts_with(push::BELOW_OPERATOR) => Good {
                status: StatusCode::OK,
                content_type: routes::JSON,
                body: push::answer_operator(&self.gateway.0, &head.method, path, request_id).await?,
            },
            _ => {
                let pages = self.pages.as_ref().ok_or_else(Failure::not_found)?;
                let body = read(body).await?;
                return Ok(pages.answer(Request::from_parts(head, body)).await);
            }
        };
        Ok(reply(good.status, good.content_type, good.body))
    }

    /// Answers the one-time link with a cookie, and leads on to the page without it.
    fn let_in(&self, head: &Parts) -> Option<Response<PageBody>> {
        if head.method != Method::GET {
            return None;
        }
        let query = head.uri.query()?;
        let (_, once) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "once")?;
        self.guard.take_once(&once).then(|| self.lead_in(head.uri.path()))
    }

    /// The page that asks for the secret has it.
    fn ask_secret(&self, body: &[u8]) -> Result<Response<PageBody>, Failure> {
        let shown = form_urlencoded::parse(body).find(|(name, _)| name == "secret");
        if shown.is_some_and(|(_, secret)| self.guard.is_secret(secret.trim())) {
            return Ok(self.lead_in("/"));
        }
        Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            codes::INVALID_REQUEST_SOURCE,
            "that is not the secret",
        ))
    }

    fn lead_in(&self, path: &str) -> Response<PageBody> {
        let mut reply = reply(StatusCode::SEE_OTHER, HTML, Bytes::new());
        let headers = reply.headers_mut();
        if let Some(cookie) = self.guard.let_in() {
            headers.insert(SET_COOKIE, cookie);
        }
        headers.insert(
            LOCATION,
            HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/")),
        );
        reply
    }

    async fn access_token(&self, request_id: &str) -> Result<Good, Failure> {
        let answer = self.gateway.0.wechat.access_token().await;
        let (token, left) = answer.map_err(|error| self.unreachable(request_id, &error))?;
        let body = routes::to_json(&Token {
            access_token: token.expose_secret(),
            expires_in: left.as_secs(),
        })?;
        Ok(Good {
            status: StatusCode::OK,
            content_type: routes::JSON,
            body,
        })
    }

    async fn invoke(&self, name: &str, body: &[u8], request_id: &str) -> Result<Good, Failure> {
        let Invoke { data, source, openid } = serde_json::from_slice(body).map_err(|error| {
            Failure::malformed(format!(
                "the request body must be {{\"data\",\"source\"?,\"openid\"?}}: {error}"
            ))
        })?;
        let source = source.map_or(Source::HTTP, Source::new);
        let caller = Caller::request(source, openid.map(User::of_openid));
        let data = data.map_or("{}", RawValue::get);
        let body = call::call_as(&self.gateway.0, name, caller, request_id, data).await?;
        Ok(Good {
            status: StatusCode::OK,
            content_type: routes::JSON,
            body,
        })
    }

    async fn fire(&self, name: &str, body: &[u8], request_id: &str) -> Result<Good, Failure> {
        let Fire { trigger } = serde_json::from_slice(body).map_err(|error| {
            Failure::malformed(format!("the request body must be {{\"trigger\"?}}: {error}"))
        })?;
        let body = timers::fire_now(&self.gateway.0, name, trigger.as_deref(), request_id).await?;
        Ok(Good {
            status: StatusCode::OK,
            content_type: routes::JSON,
            body,
        })
    }

    /// Sends a request on, less what would be a credential, and gives WeChat's answer as it came.
    async fn forward(
        &self,
        method: openapi::Method,
        uri: &Uri,
        content_type: Option<&str>,
        body: &[u8],
        request_id: &str,
    ) -> Result<Good, Failure> {
        // With the slash at its start.
        let path = uri.path().get(FORWARD.len() - 1..).unwrap_or_default();
        if !is_plain(path) {
            return Err(Failure::malformed(
                "a path of WeChat's is made of letters, digits, `_`, `-`, `.` and single slashes",
            ));
        }
        if openapi::hands_out_credentials(path) {
            return Err(Failure::new(
                StatusCode::FORBIDDEN,
                codes::INVALID_PARAM,
                format!(
                    "{path} gives out credentials, and is not forwarded; GET {ACCESS_TOKEN} gives the access_token"
                ),
            ));
        }
        let query: Vec<(String, String)> = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
            .filter(|(name, _)| !openapi::is_credential(name))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let outgoing = Outgoing {
            api: path,
            method,
            path,
            query: &query,
            content_type,
            body,
        };
        let Called {
            status,
            content_type,
            body,
            ..
        } = self
            .gateway
            .0
            .wechat
            .call(&outgoing, WITHIN)
            .await
            .map_err(|error| self.unreachable(request_id, &error))?;
        Ok(Good {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
            content_type: content_type
                .and_then(|value| HeaderValue::from_str(&value).ok())
                .unwrap_or(HeaderValue::from_static("application/octet-stream")),
            body,
        })
    }

    fn unreachable(&self, request_id: &str, error: &wechat::Error) -> Failure {
        self.gateway.0.journal.note(&Note {
            request_id,
            openid: None,
            text: &format_args!("a request of the operator's to WeChat failed: {error}"),
        });
        let (status, code) = match error.is_timeout() {
            true => (StatusCode::GATEWAY_TIMEOUT, openapi::code::TIMEOUT),
            false => (StatusCode::BAD_GATEWAY, openapi::code::SYSTEM_ERROR),
        };
        Failure::new(status, code, error.to_string())
    }
}

async fn read(body: Incoming) -> Result<Bytes, Failure> {
    let body = Limited::new(body, LARGEST_BODY)
        .collect()
        .await
        .map_err(|error| {
            Failure::malformed(format!(
                "the request's body could not be read, or is over {} MB: {error}",
                LARGEST_BODY >> 20
            ))
        })?;
    Ok(body.to_bytes())
}

/// Whether a path is what it seems: nothing in it is undone or resolved on the way.
fn is_plain(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
    path.bytes().all(plain)
        && path
            .split('/')
            .skip(1)
            .all(|part| !matches!(part, "" | "." | ".."))
}

fn reply(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response<PageBody> {
    let mut reply = Response::new(Full::new(body).boxed_unsync());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// What each answer carries: nothing of it is kept, guessed at, or run.
fn guard_reply(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'self'"),
    );
    headers.insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_paths_are_forwarded() {
        for plain in [
            "/wxa/getwxacodeunlimit",
            "/cgi-bin/message/custom/send",
            "/a.b-c_d/1",
        ] {
            assert!(is_plain(plain), "{plain}");
        }
        for odd in [
            "/",
            "//cgi-bin/token",
            "/wxa/../cgi-bin/token",
            "/wxa/./x",
            "/cgi-bin/%74oken",
            "/cgi-bin/token/",
            "/wxa/x y",
            "/wxa\\x",
        ] {
            assert!(!is_plain(odd), "{odd}");
        }
    }
}
