//! The operator's listener: what only the owner of the service may reach, behind a secret.
//!
//! `/operator/access-token` gives WeChat's access_token to the other servers of the same app, so that one place fetches it;
//! `/operator/wx/<path>` calls any API of WeChat's in the app's name, with no token in the caller's hands;
//! `POST /operator/functions/{name}` takes `{"data","source"?,"openid"?}` and calls a function as anybody, from anywhere
//! (`source` is the first word of its `SOURCE`, by default `wx_http`), and answers as the public route does. Nobody passes
//! without the secret, and a web page does not get in even with a browser that would send one along: the `Host` must be one
//! by which this listener is known (a name that was rebound to it is not), a foreign `Origin` is refused, and no answer
//! allows another origin to read it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName, ORIGIN,
    WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use subtle::ConstantTimeEq;
use tcb::{Source, Trigger, codes};
use wechat::{Called, Outgoing};

use crate::failure::Failure;
use crate::invocation::{Caller, User};
use crate::{Gateway, Note, call, ids, routes};

/// What is forwarded to WeChat: these paths follow `/operator/wx`.
const FORWARD: &str = "/operator/wx/";
const ACCESS_TOKEN: &str = "/operator/access-token";
const FUNCTIONS: &str = "/operator/functions/";
/// The largest body that is forwarded: WeChat's largest media are 10 MB.
const LARGEST_BODY: usize = 16 << 20;
/// How long WeChat may take over a forwarded request.
const WITHIN: Duration = Duration::from_secs(15);

/// Who may come in, and under which names.
#[derive(Debug)]
pub struct Operator {
    /// What is to be shown as `Authorization: Bearer`. Without one, nobody comes in.
    pub secret: Option<SecretString>,
    /// The address that is listened on: it, and `localhost` with its port if it is this machine's own, are its names.
    pub address: SocketAddr,
}

/// The doors of the listener.
pub(crate) struct Doors {
    gateway: Gateway,
    secret: Option<SecretString>,
    hosts: Vec<String>,
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
        let Operator { secret, address } = operator;
        let port = address.port();
        let mut hosts = vec![address.to_string()];
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            hosts.extend([
                format!("localhost:{port}"),
                format!("127.0.0.1:{port}"),
                format!("[::1]:{port}"),
            ]);
        }
        Doors {
            gateway,
            secret,
            hosts,
        }
    }

    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let request_id = ids::request_id();
        let mut reply = match self.enter(request, &request_id).await {
            Ok(Good {
                status,
                content_type,
                body,
            }) => {
                let mut reply = Response::new(Full::new(body));
                *reply.status_mut() = status;
                reply.headers_mut().insert(CONTENT_TYPE, content_type);
                reply
            }
            Err(failure) => {
                let mut reply = Response::new(Full::new(Bytes::from(failure.write(&request_id))));
                *reply.status_mut() = failure.status;
                let headers = reply.headers_mut();
                headers.insert(CONTENT_TYPE, routes::JSON);
                if failure.status == StatusCode::UNAUTHORIZED {
                    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                }
                reply
            }
        };
        guard(reply.headers_mut());
        reply
    }

    async fn enter(&self, request: Request<Incoming>, request_id: &str) -> Result<Good, Failure> {
        let (head, body) = request.into_parts();
        self.admit(&head.headers)?;
        match head.uri.path() {
            ACCESS_TOKEN if matches!(head.method, Method::GET | Method::POST) => {
                self.access_token(request_id).await
            }
            ACCESS_TOKEN => Err(Failure::method("GET, POST")),
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
                    .await
            }
            path if path.starts_with(FUNCTIONS) => {
                if head.method != Method::POST {
                    return Err(Failure::method("POST"));
                }
                let name = path.get(FUNCTIONS.len()..).unwrap_or_default();
                self.invoke(name, &read(body).await?, request_id).await
            }
            _ => Err(Failure::not_found()),
        }
    }

    /// The guards, in the order of what they cost to get past.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let forbidden =
            |text: &'static str| Failure::new(StatusCode::FORBIDDEN, codes::INVALID_REQUEST_SOURCE, text);
        let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let host = text(HOST).unwrap_or_default();
        if !self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            return Err(forbidden(
                "this listener is not known by the name in the Host header: use its address",
            ));
        }
        if let Some(origin) = text(ORIGIN)
            && origin
                .strip_prefix("http://")
                .is_none_or(|origin| !origin.eq_ignore_ascii_case(host))
        {
            return Err(forbidden("pages of another origin have no business here"));
        }
        if text(HeaderName::from_static("sec-fetch-site"))
            .is_some_and(|site| !matches!(site, "same-origin" | "none"))
        {
            return Err(forbidden("pages of another origin have no business here"));
        }
        let Some(secret) = &self.secret else {
            return Err(Failure::new(
                StatusCode::UNAUTHORIZED,
                codes::INVALID_REQUEST_SOURCE,
                "no secret is configured, so nobody comes in: name the file that holds it, as `secret_file` in [operator] \
                 of yunqiao.toml",
            ));
        };
        let shown = text(AUTHORIZATION).unwrap_or_default();
        let shown = match shown.split_once(' ') {
            Some((scheme, shown)) if scheme.eq_ignore_ascii_case("bearer") => shown.trim(),
            _ => "",
        };
        // The lengths may be compared in the open: that of ours is no secret worth guessing.
        if bool::from(shown.as_bytes().ct_eq(secret.expose_secret().as_bytes())) {
            Ok(())
        } else {
            Err(Failure::new(
                StatusCode::UNAUTHORIZED,
                codes::INVALID_REQUEST_SOURCE,
                "send the operator's secret as `Authorization: Bearer <secret>`",
            ))
        }
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
        let caller = Caller {
            source: Source::new(source.map_or(Cow::Borrowed("wx_http"), Cow::Owned)),
            user: openid.map(|openid| User {
                openid,
                unionid: None,
            }),
            client_ip: None,
            trigger: Trigger::Tcb,
            attempt: None,
        };
        let data = data.map_or("{}", RawValue::get);
        let body = call::call_as(&self.gateway.0, name, caller, request_id, data).await?;
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

/// What each answer carries: nothing of it is kept, guessed at, or run.
fn guard(headers: &mut HeaderMap) {
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
