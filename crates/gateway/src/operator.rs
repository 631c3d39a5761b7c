//! The operator's listener: what only the owner of the service may reach, behind a secret.
//!
//! * `/operator/access-token` gives WeChat's access_token to the other servers of the same app, so that one place fetches it.
//! * `/operator/wx/<path>` calls any API of WeChat's in the app's name, with no token in the caller's hands.
//! * `POST /operator/functions/{name}` takes `{"data","source"?,"openid"?}` and calls a function as anybody, from anywhere
//!   (`source` is the first word of its `SOURCE`, by default `wx_http`), and answers as the public route does.
//! * `POST /operator/functions/{name}/timer` takes `{"trigger"?}` and fires a timer of the function's now.
//! * `/operator/database` and below: collections, indexes, and documents in and out (`database`).
//! * `/operator/files` and below: the storage's files, listed, in and out (`files`).
//! * `POST /operator/console-link` gives the path of a further link that opens the console in a browser, once, within ten minutes:
//!   `{"path"}`.
//! * Below `/operator/push` are the message pushes that were given up.
//! * `POST /admin` is what node-sdk asks of the cloud outside of functions, signed with a key pair of `[operator.keys]`.
//! * Whatever else is asked for is a page of the console's.
//!
//! Nobody passes without the secret (`guard`), but to WeChat's own HTTP API (`http_api`), which asks for WeChat's
//! credentials, and to `/admin`, which asks for a signature. And a web page does not get in even with a browser that would send one along: the `Host` must be one by
//! which this listener is known (a name that was rebound to it is not), a foreign `Origin` is refused, and no answer allows
//! another origin to read it.

mod database;
mod files;
mod guard;
mod sign_in;

use std::{
    borrow::Cow,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use calls::{Caller, User};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFRESH, SET_COOKIE,
        X_CONTENT_TYPE_OPTIONS,
    },
    request::Parts,
};
use hyper::body::Incoming;
use openapi::invoke::InvokePath;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tcb::{CallSource, codes};
use wechat::{ApiAnswer, OutgoingRequest};
use wording::wording;

use self::guard::{Guard, NO_SECRET, Shown, is_from_elsewhere};
pub use self::{guard::Admission, sign_in::SignIns};
use crate::{
    Gateway, Inner,
    body::{self, BodyPolicy, BodySender, Budget, Content, UnreadBody},
    call,
    failure::Failure,
    http_api::HttpApi,
    ids, push,
    reply::{self, HttpReply, ReplyBody},
    routes::{self, takes},
    seats::network,
    timers,
};

/// What is forwarded to WeChat: these paths follow `/operator/wx`.
const FORWARD: &str = "/operator/wx/";
const ACCESS_TOKEN: &str = "/operator/access-token";
const FUNCTIONS: &str = "/operator/functions/";
/// Where node-sdk sends what it asks of the cloud.
const ADMIN: &str = "/admin";
/// What follows the name of a function whose timer is to fire.
const TIMER: &str = "/timer";
/// Where the page that asks for the secret sends it.
const ENTER_AT: &str = "/operator/enter";
/// That page. It needs no script, and none would run.
const ENTER: [&str; 2] = [
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=width=device-width>\
    <title>云桥 Yunqiao</title><h1>云桥 Yunqiao</h1>",
    "<form method=post action=/operator/enter>\
    <p><label>The operator's secret · 运维密钥 <input type=password name=secret autofocus required></label> \
    <button>Enter · 进入</button></p></form>\
    <p>Beside a running <code>yunqiao dev</code>, <code>yunqiao console</code> in the project's folder prints a link that needs none. · \
    在运行着 <code>yunqiao dev</code> 的项目目录里输入 <code>yunqiao console</code>，打印的链接不需要它。</p></html>",
];
/// What stands in it for somebody with a one-time link that opens nothing any more.
const USED: &str = "<p role=alert>This link has been used, is older than ten minutes, or is of an earlier run: a link opens one browser, once. \
    For another one, type <code>yunqiao console</code> in the project's folder. · \
    这个链接已经用过、超过了十分钟，或者属于上一次运行：每个链接只能用一次。在项目目录里输入 <code>yunqiao console</code> 可以得到新的链接。</p>";
/// Where a further one-time link is made.
const LINK_AT: &str = "/operator/console-link";
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
/// The secret, from anybody.
const ENTER_BODY: BodyPolicy = BodyPolicy {
    most: body::LARGEST_OF_STRANGER,
    within: Duration::from_secs(10),
    content: Content::Any,
    times: 1,
};
/// What is forwarded to WeChat, whose largest media are 10 MB, and what the console's own pages send: an event as a form, in
/// which a byte may take three.
const LARGEST_BODY: BodyPolicy = BodyPolicy {
    most: 18 << 20,
    within: Duration::from_secs(120),
    content: Content::Any,
    times: 1,
};
/// What a function is called with.
const FUNCTION_BODY: BodyPolicy = BodyPolicy {
    content: Content::Any,
    ..routes::CALL_BODY
};
/// To whom the memory for large bodies is counted.
const OPERATOR: &str = "the operator";
/// How long WeChat may take over a forwarded request.
const WITHIN: Duration = Duration::from_secs(15);

/// Who may come in, and what there is to see.
pub struct Operator {
    /// Who may come in.
    pub admission: Admission,
    /// The app's AppSecret, which callers of WeChat's HTTP API show.
    pub app_secret: SecretString,
    /// The key pairs of other servers of the owner's, for node-sdk.
    pub server_keys: cloud::ServerKeys,
    /// Whatever is at no door of the listener's own: the console.
    pub pages: Option<Arc<dyn Pages>>,
    /// How many connections the listener has at once.
    pub connections: usize,
}

/// Pages behind the listener's guards.
pub trait Pages: Send + Sync + 'static {
    /// Answers a request that was let in, its body read whole.
    fn answer(
        &self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Response<ReplyBody>> + Send + '_>>;
}

/// Where a request goes.
#[derive(Clone, Copy, Debug)]
enum Door<'a> {
    /// WeChat's HTTP API, which asks for WeChat's credentials.
    HttpApi(InvokePath),
    /// What node-sdk asks of the cloud, which is signed with a key pair.
    Admin,
    /// Where the page that asks for the secret sends it.
    Enter,
    /// What is behind the guard.
    Guarded(Guarded<'a>),
}

/// What is there for those who were let in.
#[derive(Clone, Copy, Debug)]
enum Guarded<'a> {
    AccessToken,
    Forward,
    Function(&'a str),
    Timer(&'a str),
    Push,
    Database,
    Files,
    Link,
    Page,
}

impl<'a> Door<'a> {
    fn of(path: &'a str) -> Self {
        match (InvokePath::of(path), path) {
            (Some(door), _) => Self::HttpApi(door),
            (None, ENTER_AT) => Self::Enter,
            (None, ADMIN) => Self::Admin,
            (None, path) => Self::Guarded(Guarded::of(path)),
        }
    }
}

impl<'a> Guarded<'a> {
    fn of(path: &'a str) -> Self {
        match path {
            ACCESS_TOKEN => Self::AccessToken,
            LINK_AT => Self::Link,
            _ if path.starts_with(FORWARD) => Self::Forward,
            _ if path == push::OPERATOR || path.starts_with(push::BELOW_OPERATOR) => Self::Push,
            _ if database::is_at(path) => Self::Database,
            _ if files::is_at(path) => Self::Files,
            _ => match path.strip_prefix(FUNCTIONS) {
                Some(name) => match name.strip_suffix(TIMER) {
                    Some(name) => Self::Timer(name),
                    None => Self::Function(name),
                },
                None => Self::Page,
            },
        }
    }

    /// The methods that it takes, as `Allow` has them. Where there is none, what is behind it has its own word on it.
    fn allow(self) -> Option<&'static str> {
        match self {
            Self::AccessToken | Self::Forward => Some("GET, HEAD, POST"),
            Self::Function(_) | Self::Timer(_) | Self::Link => Some("POST"),
            Self::Push | Self::Database | Self::Files | Self::Page => None,
        }
    }

    /// Whether it opens to what somebody showed.
    ///
    /// # Errors
    /// 401.
    fn opens_to(self, shown: Shown) -> Result<(), Failure> {
        match (self, shown) {
            // A token is behind them.
            (Self::AccessToken | Self::Forward, Shown::Pass | Shown::Cookie) => Err(Failure::no_operator(
                "here the secret itself is asked for, as `Authorization: Bearer <secret>`",
            )),
            // With a further link a cookie would outlive its own end.
            (Self::Link, Shown::Cookie) => Err(Failure::no_operator(NO_SECRET)),
            _ => Ok(()),
        }
    }
}

/// The doors of the listener.
pub(crate) struct Doors {
    gateway: Gateway,
    http_api: HttpApi,
    server_keys: cloud::ServerKeys,
    /// Room for what is sent to `/admin`, of which the body itself has to prove who sends it: nobody else waits for that.
    admin: Budget,
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

/// The path of a one-time link.
#[derive(Serialize)]
struct Link<'a> {
    path: &'a str,
}

#[derive(Serialize)]
struct Token<'a> {
    access_token: &'a str,
    expires_in: u64,
}

impl Doors {
    pub(crate) fn new(gateway: Gateway, operator: Operator) -> Self {
        Self {
            http_api: HttpApi::new(&gateway.0.keys, &gateway.0.appid, operator.app_secret),
            gateway,
            server_keys: operator.server_keys,
            admin: Budget::of(4 * LARGEST_BODY.most),
            guard: Guard::new(operator.admission),
            pages: operator.pages,
        }
    }

    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub(crate) async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> HttpReply {
        let request_id = ids::request_id();
        let (head, mut body) = routes::open(request);
        let answer = self.open_door(&head, &mut body, peer, &request_id).await;
        if answer.is_err() {
            body.discard().await;
        }
        let mut reply = reply::settle(&*self.inner().journal, &request_id, answer);
        if reply.status() == StatusCode::UNAUTHORIZED && routes::accepts_html(&head.headers) {
            reply.headers_mut().insert(CONTENT_TYPE, HTML);
            let used = if once(&head).is_some() { USED } else { "" };
            *reply.body_mut() = Bytes::from(ENTER.join(used)).into();
        }
        guard_reply(reply.headers_mut());
        reply
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.gateway.0
    }

    async fn open_door(
        &self,
        head: &Parts,
        body: &mut UnreadBody,
        peer: IpAddr,
        request_id: &str,
    ) -> Result<HttpReply, Failure> {
        routes::has_host(head)?;
        self.guard.host(&head.headers)?;
        // Whoever made the browser ask: only its owner knows the link. `yunqiao console --open` leads there from a file.
        if let Some(reply) = self.let_in(head) {
            return Ok(reply);
        }
        if let Err(failure) = Guard::origin(&head.headers) {
            // That file, looked at again.
            let failure = once(head).map_or(failure, |_| Failure::no_operator(NO_SECRET));
            return Err(failure);
        }
        let door = Door::of(head.uri.path());
        if let Door::HttpApi(door) = door {
            let answer = self
                .http_api
                .answer(&self.gateway, door, head, body, peer, request_id);
            let answer = answer.await;
            // It answers 200 whatever it is, and may not have read all.
            body.discard().await;
            return Ok(reply::json(answer));
        }
        if let Door::Admin = door {
            takes(&head.method, "POST")?;
            let network = network(peer).to_string();
            let sender = BodySender::Visitor(&network);
            let body = body.read(&LARGEST_BODY, sender, &self.admin).await?;
            let cloud = &self.inner().cloud;
            let answer = cloud
                .answer_server(&self.server_keys, head, &body.bytes, request_id)
                .await;
            let content_type = HeaderValue::from_static(answer.content_type);
            return Ok(reply::typed(
                StatusCode::OK,
                content_type,
                ReplyBody::stream(answer.body),
            ));
        }
        match door {
            Door::Guarded(door) => self.open_guarded(door, head, body, peer, request_id).await,
            _ => {
                takes(&head.method, "POST")?;
                self.guard.may_guess(peer)?;
                let budget = &self.inner().budget;
                let body = body.read(&ENTER_BODY, BodySender::Stranger, budget).await?;
                self.ask_secret(&body.bytes, peer)
            }
        }
    }

    async fn open_guarded(
        &self,
        door: Guarded<'_>,
        head: &Parts,
        body: &mut UnreadBody,
        peer: IpAddr,
        request_id: &str,
    ) -> Result<HttpReply, Failure> {
        if let Some(allowed) = door.allow() {
            takes(&head.method, allowed)?;
        }
        let shown = self.guard.admit(head, peer)?;
        door.opens_to(shown)?;
        let inner = self.inner();
        let sender = BodySender::Known(OPERATOR);
        // What is answered to a GET is answered to a HEAD; the body is left out on its way.
        let method = match head.method {
            Method::HEAD => Method::GET,
            ref method => method.clone(),
        };
        Ok(match door {
            Guarded::AccessToken => reply::json(self.access_token().await?),
            Guarded::Forward => {
                let body = body.read(&LARGEST_BODY, sender, &inner.budget).await?;
                self.forward(&method, &head.uri, &head.headers, &body.bytes)
                    .await?
            }
            Guarded::Function(name) => {
                let body = body.read(&FUNCTION_BODY, sender, &inner.budget).await?;
                reply::json(self.invoke(name, &body.bytes, request_id).await?)
            }
            Guarded::Timer(name) => {
                let body = body.read(&FUNCTION_BODY, sender, &inner.budget).await?;
                reply::json(self.fire(name, &body.bytes, request_id).await?)
            }
            Guarded::Push => {
                let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
                reply::json(push::answer_operator(inner, &method, path, query).await?)
            }
            Guarded::Database => {
                let body = body.read(&LARGEST_BODY, sender, &inner.budget).await?;
                database::answer(&*inner.database.database, &method, head, &body.bytes).await?
            }
            Guarded::Files => files::answer(inner.cloud.files(), head, body, request_id).await?,
            Guarded::Link => {
                // Where there is no console, a link leads nowhere.
                self.pages.as_ref().ok_or_else(Failure::not_found)?;
                body.discard().await;
                let path = format!("/?once={}", self.guard.new_link(Instant::now()));
                reply::json(reply::to_json(&Link { path: &path })?)
            }
            Guarded::Page => {
                let pages = self.pages.as_ref().ok_or_else(Failure::not_found)?;
                let body = body.read(&LARGEST_BODY, sender, &inner.budget).await?;
                let mut request = Request::new(body.bytes);
                *request.method_mut() = method;
                *request.uri_mut() = head.uri.clone();
                *request.headers_mut() = head.headers.clone();
                pages.answer(request).await
            }
        })
    }

    /// Answers the one-time link with a cookie, and leads on to the page without it.
    fn let_in(&self, head: &Parts) -> Option<HttpReply> {
        if head.method != Method::GET {
            return None;
        }
        let once = once(head)?;
        let path = head.uri.path();
        self.guard.take_once(&once, Instant::now()).then(|| {
            let mut reply = self.lead_in(path);
            // A browser does not send the cookie along on a redirect that another site's page led to. A page of our own may ask anew.
            if is_from_elsewhere(&head.headers) {
                *reply.status_mut() = StatusCode::OK;
                let headers = reply.headers_mut();
                headers.remove(LOCATION);
                headers.insert(REFRESH, HeaderValue::from_static("0; url=/"));
            }
            reply
        })
    }

    /// The page that asks for the secret has it.
    fn ask_secret(&self, body: &[u8], peer: IpAddr) -> Result<HttpReply, Failure> {
        let shown = form_urlencoded::parse(body).find(|(name, _)| name == "secret");
        let shown = shown.map(|(_, secret)| secret).unwrap_or_default();
        self.guard.guess(shown.trim(), peer, "that is not the secret")?;
        Ok(self.lead_in("/"))
    }

    fn lead_in(&self, path: &str) -> HttpReply {
        let mut reply = reply::typed(StatusCode::SEE_OTHER, HTML, Bytes::new());
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

    async fn access_token(&self) -> Result<Bytes, Failure> {
        let answer = self.inner().wechat.access_token().await;
        let (token, left) = answer.map_err(|error| unreachable(&error))?;
        reply::to_json(&Token {
            access_token: token.expose_secret(),
            expires_in: left.as_secs(),
        })
    }

    async fn invoke(&self, name: &str, body: &[u8], request_id: &str) -> Result<Bytes, Failure> {
        let Invoke { data, source, openid } = serde_json::from_slice(body).map_err(|error| {
            Failure::malformed(format!(
                "the request body must be {{\"data\",\"source\"?,\"openid\"?}}: {error}"
            ))
        })?;
        let source = source.map_or(CallSource::HTTP, CallSource::new);
        let caller = Caller::request(source, openid.map(User::of_openid));
        let data = data.map_or("{}", RawValue::get);
        call::call_as(self.inner(), name, caller, request_id, data).await
    }

    async fn fire(&self, name: &str, body: &[u8], request_id: &str) -> Result<Bytes, Failure> {
        let Fire { trigger } = serde_json::from_slice(body).map_err(|error| {
            Failure::malformed(format!("the request body must be {{\"trigger\"?}}: {error}"))
        })?;
        timers::fire_now(self.inner(), name, trigger.as_deref(), request_id).await
    }

    /// Sends a request on, less what would be a credential, and gives WeChat's answer as it came.
    async fn forward(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<HttpReply, Failure> {
        let method = match *method {
            Method::GET => openapi::Method::Get,
            _ => openapi::Method::Post,
        };
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
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
        let outgoing = OutgoingRequest {
            api: path,
            method,
            path,
            query: &query,
            content_type,
            body: Bytes::copy_from_slice(body),
        };
        let ApiAnswer {
            status,
            content_type,
            body,
            ..
        } = self
            .inner()
            .wechat
            .call(&outgoing, WITHIN)
            .await
            .map_err(|error| unreachable(&error))?;
        Ok(reply::typed(
            StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY),
            content_type
                .and_then(|value| HeaderValue::from_str(&value).ok())
                .unwrap_or(HeaderValue::from_static("application/octet-stream")),
            body,
        ))
    }
}

/// What a one-time link holds, where the request is one.
fn once(head: &Parts) -> Option<Cow<'_, str>> {
    let query = head.uri.query()?;
    let (_, once) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "once")?;
    Some(once)
}

fn unreachable(error: &wechat::WeChatError) -> Failure {
    let (status, code) = match error.is_timeout() {
        true => (StatusCode::GATEWAY_TIMEOUT, openapi::code::TIMEOUT),
        false => (StatusCode::BAD_GATEWAY, openapi::code::SYSTEM_ERROR),
    };
    Failure::new(status, code, error.to_string()).because(wording!(
        "a request of the operator's to WeChat failed: {error}",
        "运维接口转发给微信的请求失败：{error}"
    ))
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

/// What each answer carries: nothing of it is kept, guessed at, or run. A page that shows what lies elsewhere says so itself.
fn guard_reply(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ));
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
