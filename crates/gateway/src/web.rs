//! The web listener: functions by HTTP access (云接入), and the site beside them.
//!
//! A request takes the way of a client's call: its head is judged alone, then the body is read within bounds, then `calls` calls the function,
//! with its queue, its deadline and its record. What the function is given and what its answer becomes, `access` knows; what a path of
//! the site leads to, `site`. Who asks is a stranger here, so a body waits as a stranger's does, and takes room out of a budget of
//! its own: those who are logged in at the other listener need not wait for it.

mod live;

use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use ::cloudbase::{Access, Tokens};
use access::{
    AccessRefusal, ContextUser, FunctionResponse, HttpEvent, LARGEST_RESULT, PIECE, PathFault, Proxies,
    RequestHeaders, RequestPath, RouteMatch, Routes, reply_of, user_context,
};
use arc_swap::ArcSwap;
use bytes::Bytes;
use calls::{CallFailure, Caller, FailureKind, HttpLine, User, WebRecord};
use futures_util::stream;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode,
    header::{
        ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_LENGTH, RETRY_AFTER, WWW_AUTHENTICATE,
        X_CONTENT_TYPE_OPTIONS,
    },
    request::Parts,
};
use http_body_util::StreamBody;
use hyper::body::{Body as _, Frame, Incoming};
use project::WebSection;
use runtime::CallError;
use site::{Site, SiteAnswer};
use tcb::{Event, WriteEvent};
use wording::{Wording, wording};

use self::live::Live;
use crate::{
    Gateway, Inner, Note,
    bearer::Bearer,
    body::{self, BodyPolicy, BodySender, Budget, Content, UnreadBody},
    cloudbase, cors,
    failure::Failure,
    ids,
    reply::{self, HttpReply, JSON, ReplyBody},
    routes,
    seats::network,
};

/// An event's body, whatever it is: as large as the platform takes, from a line as slow as a phone's.
const BODY: BodyPolicy = BodyPolicy {
    most: body::LARGEST_CALL,
    within: Duration::from_secs(60),
    content: Content::Any,
    // As bytes, and beside them as an event: in base64 or, where it is text, with what JSON escapes of it.
    times: 3,
};
/// Bytes of large bodies of strangers, and of the events that are made of them, that may be held at once.
const BUDGET: usize = 192 << 20;
/// Bytes of large replies that may be on their way at once.
const REPLIES: usize = 192 << 20;
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the web listener serves.
pub(crate) struct Web {
    served: ArcSwap<Served>,
    budget: Budget,
    replies: Arc<Budget>,
    live: Option<Live>,
    /// Where it listens, once it does.
    pub(crate) address: OnceLock<SocketAddr>,
}

/// As the project that was loaded last says it.
#[derive(Default)]
struct Served {
    routes: Routes,
    site: Option<Site>,
    proxies: Proxies,
}

/// Why a request is not served.
struct Refused {
    refusal: AccessRefusal,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What the log is told beyond that.
    cause: Option<Wording>,
}

impl From<AccessRefusal> for Refused {
    fn from(refusal: AccessRefusal) -> Self {
        Self {
            refusal,
            headers: Vec::new(),
            cause: None,
        }
    }
}

impl From<PathFault> for Refused {
    fn from(fault: PathFault) -> Self {
        AccessRefusal::BadRequest(fault.to_string()).into()
    }
}

/// What the parts that this listener shares with the others refuse, in the words of HTTP access.
impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        let refusal = match failure.status {
            StatusCode::FORBIDDEN => AccessRefusal::Host,
            StatusCode::UNAUTHORIZED => AccessRefusal::BadCredentials,
            StatusCode::PAYLOAD_TOO_LARGE => AccessRefusal::TooLarge,
            StatusCode::TOO_MANY_REQUESTS => AccessRefusal::TooManyBodies,
            StatusCode::BAD_REQUEST => AccessRefusal::BadRequest(failure.text.into_owned()),
            _ => AccessRefusal::Internal,
        };
        Self {
            refusal,
            headers: failure.headers,
            cause: failure.cause.map(|cause| cause.text),
        }
    }
}

impl From<CallFailure> for Refused {
    fn from(failure: CallFailure) -> Self {
        let refusal = match (failure.kind, &failure.cause) {
            (FailureKind::NotFound, _) => AccessRefusal::NoFunction,
            (FailureKind::Busy, _) => AccessRefusal::Busy,
            (FailureKind::TimedOut, _) => AccessRefusal::TimedOut,
            (FailureKind::TooLarge, _) => AccessRefusal::ReplyTooLarge,
            (FailureKind::Failed, Some(CallError::OutOfMemory { .. })) => AccessRefusal::OutOfMemory,
            (FailureKind::Failed, _) => AccessRefusal::Failed,
            _ => AccessRefusal::Internal,
        };
        // The record of the call has the cause.
        refusal.into()
    }
}

impl Refused {
    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn because(self, cause: Wording) -> Self {
        Self {
            cause: Some(cause),
            ..self
        }
    }

    fn reply(self, inner: &Inner, request_id: &str) -> HttpReply {
        if let Some(cause) = &self.cause {
            inner.journal.note(&Note {
                request_id,
                openid: None,
                text: cause,
            });
        }
        let status = StatusCode::from_u16(self.refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = Bytes::from(self.refusal.write(request_id));
        let mut reply = reply::typed(status, JSON, body);
        let headers = reply.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(seconds) = self.refusal.retry_after() {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers.extend(self.headers);
        reply
    }
}

impl Web {
    /// Nothing is served yet. `live` puts into each document of the site what makes a browser show it anew.
    pub(crate) fn new(live: bool) -> Self {
        Self {
            served: ArcSwap::default(),
            budget: Budget::of(BUDGET),
            replies: Arc::new(Budget::of(REPLIES)),
            live: live.then(Live::default),
            address: OnceLock::new(),
        }
    }

    /// Serves this from now on. Requests under way end as they began.
    pub(crate) fn put(&self, web: &WebSection) {
        let script = self.live.as_ref().map(|_| live::SCRIPT_PATH);
        let site = (!web.site.pages.is_empty()).then(|| Site::new(web.site.clone(), script));
        let served = Served {
            routes: Routes::new(web.functions.clone()),
            site,
            proxies: web.proxies.clone(),
        };
        self.served.store(Arc::new(served));
    }

    /// The site's files have changed.
    pub(crate) fn changed(&self) {
        if let Some(live) = &self.live {
            live.changed();
        }
    }

    /// Who sent a request that `peer` hands over.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        self.served.load().proxies.client(peer, headers)
    }
}

/// A request on its way.
struct Asked<'a> {
    inner: &'a Arc<Inner>,
    served: &'a Served,
    head: &'a Parts,
    client_ip: IpAddr,
    /// Whether a trusted proxy hands it over.
    by_proxy: bool,
    request_id: &'a str,
}

impl Gateway {
    /// Answers one request to the web listener. Never fails: what goes wrong is an answer too.
    pub(crate) async fn answer_web(&self, request: Request<Incoming>, peer: IpAddr) -> HttpReply {
        let began = Instant::now();
        let inner = &self.0;
        let request_id = ids::request_id();
        let (head, mut body) = routes::open(request);
        let served = inner.web.served.load_full();
        let asked = Asked {
            inner,
            served: &served,
            head: &head,
            client_ip: served.proxies.client(peer, &head.headers),
            by_proxy: served.proxies.trust(peer),
            request_id: &request_id,
        };
        let origin = inner.origins.allow(&head.headers);
        let mut function = None;
        let is_preflight =
            head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        let answer = match is_preflight && origin.is_some() {
            true => Ok(cors::preflight_for(&head.headers)),
            false => asked.answer(&mut body, &mut function).await,
        };
        let mut reply = match answer {
            Ok(reply) => reply,
            Err(refused) => {
                body.discard().await;
                refused.reply(inner, &request_id)
            }
        };
        let headers = reply.headers_mut();
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            headers.insert(X_REQUEST_ID, id);
        }
        match origin {
            Some(origin) => cors::mark_with_credentials(headers, origin),
            None => inner.origins.mark_others(headers),
        }
        inner.journal.web(&WebRecord {
            request_id: &request_id,
            method: head.method.as_str(),
            path: head.uri.path(),
            client_ip: asked.client_ip,
            function: function.as_deref(),
            status: reply.status().as_u16(),
            bytes: length(&reply),
            took: began.elapsed(),
        });
        reply
    }
}

/// The length of a body that was announced, or that is known.
fn length(reply: &HttpReply) -> Option<u64> {
    let announced = reply
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    announced.or_else(|| reply.body().size_hint().exact())
}

impl Asked<'_> {
    /// `function` learns which one is called.
    async fn answer(
        &self,
        body: &mut UnreadBody,
        function: &mut Option<String>,
    ) -> Result<HttpReply, Refused> {
        let Self {
            inner, served, head, ..
        } = self;
        routes::has_host(head)?;
        inner.hosts.check(&head.headers)?;
        if matches!(head.method, Method::CONNECT | Method::TRACE) {
            return Err(AccessRefusal::Method.into());
        }
        if let Some(live) = &inner.web.live
            && let Some(reply) = live.answer(&head.method, head.uri.path())
        {
            return Ok(reply);
        }
        let path = RequestPath::parse(head.uri.path())?;
        let page = served.site.as_ref().and_then(|site| site.depth(&path));
        // Of two with one path the function goes before the page.
        let found = served.routes.find(&path);
        if let Some(found) = found.filter(|found| page <= Some(found.route.path.depth())) {
            *function = Some(found.route.function.clone());
            return self.call(found, body).await;
        }
        let Some(site) = &served.site else {
            return Err(AccessRefusal::NoRoute.into());
        };
        let answer = site.answer(head, &path).await;
        match answer.map_err(|error| {
            Refused::from(AccessRefusal::Internal).because(wording!("the site: {error}", "静态网站：{error}"))
        })? {
            SiteAnswer::Reply(reply) => Ok(reply.map(ReplyBody::stream)),
            SiteAnswer::NotFound => Err(AccessRefusal::NoRoute.into()),
            SiteAnswer::NotAMethod => {
                Err(Refused::from(AccessRefusal::Method).with(ALLOW, HeaderValue::from_static("GET, HEAD")))
            }
        }
    }

    /// Calls the function of a route.
    async fn call(&self, found: RouteMatch<'_, '_>, body: &mut UnreadBody) -> Result<HttpReply, Refused> {
        let RouteMatch { route, seen, auth } = found;
        let Self {
            inner,
            head,
            client_ip,
            request_id,
            ..
        } = *self;
        let login = match auth {
            true => Some(self.authenticate()?),
            false => None,
        };
        let sender = network(client_ip).to_string();
        let budget = &inner.web.budget;
        let mut whole = body.read(&BODY, BodySender::Visitor(&sender), budget).await?;
        if let Some(Login::MiniProgram(bearer)) = &login {
            inner.sessions.check(inner, bearer).await?;
        }
        let user = login.as_ref().map(Login::context);
        let who = user.map(|user| user.openid.unwrap_or(user.uid));
        let site = inner.calls.find(&route.function, request_id, who)?;
        let context = user.map(|user| user_context(&inner.appid, user));
        let headers = RequestHeaders {
            request_id,
            client: client_ip,
            by_proxy: self.by_proxy,
            user: context.as_deref(),
        };
        let headers = headers.of(&head.headers);
        let bytes = std::mem::take(&mut whole.bytes);
        let event = HttpRequest(HttpEvent {
            method: head.method.as_str(),
            path: seen,
            query: head.uri.query(),
            headers: &headers,
            body: &bytes,
            request_id,
            env_id: &inner.env_id,
            appid: &inner.appid,
        });
        // Text may become six times as much.
        let length = event.0.body_length();
        whole.hold(bytes.len() + length, &sender, budget)?;
        let line = HttpLine {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            most: LARGEST_RESULT,
        };
        let caller = match login {
            None => Caller::http(None, client_ip, line),
            Some(Login::MiniProgram(bearer)) => {
                let user = User {
                    openid: bearer.openid,
                    unionid: bearer.unionid,
                };
                Caller::http(Some(user), client_ip, line)
            }
            Some(Login::Web(access)) => cloudbase::http_caller(&access.user, client_ip, line),
        };
        let call = inner.calls.prepare(site, caller, request_id, Event::Http(&event));
        // All that the function gets is in the frame: nothing else of the body's size stays while it runs.
        drop(bytes);
        whole.hold(length, &sender, budget)?;
        let finished = call.run().await;
        drop(whole);
        let answer = finished.result?;
        let response = reply_of(answer.json.as_ref()).map_err(|fault| {
            let function = &route.function;
            let cause = wording!(
                "the answer of {function} is no HTTP reply: {fault}",
                "{function} 的返回值不是 HTTP 响应：{fault}"
            );
            Refused::from(AccessRefusal::NotAReply(fault.to_string())).because(cause)
        })?;
        self.send(response, answer.json.map_or(0, |json| json.len()), &sender)
    }

    /// A function's reply on its way. What is large is decoded piece by piece, as the client takes it; the result stays in memory for as
    /// long, so it takes room, of which one network has its share.
    fn send(&self, response: FunctionResponse, held: usize, sender: &str) -> Result<HttpReply, Refused> {
        let FunctionResponse {
            status,
            headers,
            length: own,
            content,
        } = response;
        if self.head.method == Method::HEAD {
            // Without a body nobody but the function knows how long a GET's would be.
            let length = own.or_else(|| Some(content.length()).filter(|length| *length > 0));
            return Ok(sent(status, headers, length, ReplyBody::default()));
        }
        let length = content.length();
        let mut pieces = content.into_pieces();
        let body = if length <= PIECE as u64 {
            pieces.next().unwrap_or_default().into()
        } else {
            let room = self.inner.web.replies.try_take(sender, held);
            let room = room.ok_or(AccessRefusal::TooManyReplies)?;
            let frames = pieces.map(move |piece| {
                let _held = &room;
                Ok::<_, Infallible>(Frame::data(piece))
            });
            ReplyBody::stream(StreamBody::new(stream::iter(frames)))
        };
        Ok(sent(status, headers, Some(length), body))
    }

    /// By a token of `/v1/login`, or of CloudBase's own login.
    fn authenticate(&self) -> Result<Login, Refused> {
        let Self { inner, head, .. } = self;
        let token = routes::show_bearer(&head.headers).ok_or(AccessRefusal::NoCredentials)?;
        if Tokens::has_form(token) {
            let access = inner.web_clients.identify(Some(token), inner.clock.now());
            let access = access.map_err(|fault| {
                Refused::from(AccessRefusal::BadCredentials).because(Wording::as_is(fault.message))
            })?;
            return access
                .map(Login::Web)
                .ok_or_else(|| AccessRefusal::NoCredentials.into());
        }
        let opened = inner.bearers.open(token, inner.clock.now());
        let bearer = opened
            .map_err(|refused| Refused::from(AccessRefusal::BadCredentials).because(refused.wording()))?;
        Ok(Login::MiniProgram(bearer))
    }
}

/// Who logged in.
enum Login {
    /// By `wx.login`.
    MiniProgram(Bearer),
    /// By CloudBase's own login.
    Web(Access),
}

impl Login {
    fn context(&self) -> ContextUser<'_> {
        match self {
            Self::MiniProgram(bearer) => ContextUser {
                uid: &bearer.openid,
                custom_user_id: None,
                openid: Some(&bearer.openid),
            },
            Self::Web(Access { user, .. }) => ContextUser {
                uid: &user.uid,
                custom_user_id: user.custom_user_id.as_deref(),
                openid: user.openid.as_deref(),
            },
        }
    }
}

/// A reply of this length, as far as its status has one.
fn sent(status: StatusCode, headers: HeaderMap, length: Option<u64>, body: ReplyBody) -> HttpReply {
    let mut reply = Response::new(body);
    *reply.status_mut() = status;
    *reply.headers_mut() = headers;
    if let Some(length) = length
        && !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    {
        reply.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    reply
}

/// A request as `tcb` has an event written.
#[derive(Debug)]
struct HttpRequest<'a>(HttpEvent<'a>);

impl WriteEvent for HttpRequest<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
}
