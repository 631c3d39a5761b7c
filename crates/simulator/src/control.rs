//! `/sim/`: the simulator's own API, for tests, the console and the command line.
//!
//! It is as open as the machine it runs on, so that it must be out of reach of web pages: it is served at known `Host`
//! names only (a page's own name, pointed at this machine, is refused), a body must say that it is JSON (which a page may
//! not send elsewhere without asking first), and nobody is ever told that another origin may read.
//!
//! ```text
//! GET  /sim/templates -> {"templates":[{"priTmplId","title","content","example","type"}]}    POST one to add or replace it
//! POST /sim/client    {"user":"alice","api":"requestSubscribeMessage","tmplIds":[…]} subscribes; "answer":"reject" does not
//!                     "sendMessage" writes to customer service, "enterSession" enters the conversation; "requestPayment",
//!                     with "transactionId", or "mchId" and "outTradeNo", says that the user has paid. Ours, not WeChat's
//! GET  /sim/verdicts  -> {"verdicts":[{"kind":"text","contains","suggest","label"}, {"kind":"image","sha256",…}]}
//!                     POST one to add it, the newest decides; DELETE leaves the ones of the start
//! GET  /sim/faults    -> {"faults":[{"api","kind","value","next","fired"}]}    POST one to add it; DELETE clears all
//!      "api":  a name (cloudbase.getOpenData), a path (/wxa/getopendata), the last part of one (getopendata), or *
//!      "kind": "latency" ("value": milliseconds), "cut" (closed before WeChat looks at the call), "half" (done, and closed
//!              in the middle of the answer), "errcode" ("value": -1, 40001, 42001, 45009 or any other), "rotate" (a new
//!              session_key for the user whom the call is about, or for all)
//!              and with "api":"push": "latency", "duplicate" (sent once more though acknowledged), "reorder" (held back until
//!              the next push has gone out)
//!      and "next": of how many calls, or "probability": 0 to 1, with a "seed" for the same sequence again
//! GET  /sim/outbox    -> {"items":[{"api","to","body","at","simulated":true,"image"?}]}    DELETE empties it
//! GET  /sim/outbox/images/N    the PNG that an item names as "image": N
//! POST /sim/push      {"type":"text","user":"alice","fields":{…},"url"?} pushes a message or event of any known kind
//!                     -> {"type","url","mode","format","packet","attempts":[{"at","ms","status","answer","reply","acknowledged",
//!                     "meaning"}]}; GET shows the last hundred pushes, those that happened of themselves among them
//! GET  /sim/state     -> {"appid","users","templates","subscriptions","outbox","clockAhead"?}: all of it but sessions and tokens
//!                     POST puts one in the place of what is there, or changes nothing
//! POST /sim/push/verify {"url"?} asks the URL for an echostr, as WeChat does before it pushes there -> {"verified","meaning",…}
//! ```

pub(crate) mod declared;
pub(crate) mod faults;
pub(crate) mod outbox;
pub(crate) mod snapshot;
pub(crate) mod state;

use std::{net::IpAddr, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request, State, rejection::BytesRejection},
    http::{StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodRouter, get, post},
};
use clock::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use thiserror::Error;
use wording::Wording;

use crate::{
    Simulator, WeChatState,
    client::{self, ClientAnswer, ClientCall},
    control::faults::{FaultError, Faults, NewFault},
    people::users::{User, UserChange, UserError},
    platform::{
        packets,
        pushes::{self, PushError, PushOrder, PushRecord},
        verification::{self, Verification, VerifyOrder},
    },
    server::{
        is_json,
        templates::{NewTemplate, Template, TemplateError},
        verdicts::{Rule, Verdicts},
    },
};

/// Bytes of a state that is put in the place of another: an outbox and its images, in base64, and all else.
const LARGEST_STATE: usize = 64 * 1024 * 1024;

/// The furthest that one step can take the clock: ten years.
const LONGEST_STEP: u64 = 3650 * 24 * 3600;

const PATHS: &str = "/sim/app, /sim/users, /sim/client, /sim/clock, /sim/templates, /sim/verdicts, /sim/faults, \
                     /sim/outbox, /sim/push, /sim/push/verify, /sim/state";

pub(crate) fn routes(sim: &Simulator) -> Router<Simulator> {
    Router::new()
        .route("/app", only("GET", get(app)))
        .route("/users", only("GET or POST", get(users).post(change_user)))
        .route("/client", only("POST", post(client)))
        .route("/clock", only("GET or POST", get(clock).post(step_clock)))
        .route(
            "/templates",
            only("GET or POST", get(templates).post(put_template)),
        )
        .route(
            "/verdicts",
            only(
                "GET, POST or DELETE",
                get(verdicts).post(put_verdict).delete(reset_verdicts),
            ),
        )
        .route(
            "/faults",
            only(
                "GET, POST or DELETE",
                get(faults).post(put_fault).delete(clear_faults),
            ),
        )
        .route("/push", only("GET or POST", get(pushes).post(push)))
        .route("/push/verify", only("POST", post(verify)))
        .route(
            "/state",
            only("GET or POST", get(state_now).post(replace_state))
                .layer(DefaultBodyLimit::max(LARGEST_STATE)),
        )
        .route("/outbox", only("GET or DELETE", get(outbox).delete(empty_outbox)))
        .route("/outbox/images/{number}", only("GET", get(outbox_image)))
        .fallback(|uri: Uri| async move { SimError::NoSuchPath(uri.path().to_owned()) })
        .layer(middleware::from_fn_with_state(sim.clone(), known_host))
}

/// Answers every other method with which ones there are.
fn only(methods: &'static str, route: MethodRouter<Simulator>) -> MethodRouter<Simulator> {
    route.fallback(move || async move { SimError::Method(methods) })
}

/// What `/sim/` refuses, said so that it can be mended.
#[derive(Debug, Error)]
pub(crate) enum SimError {
    #[error(
        "/sim/ is not served to {0:?}: use localhost, 127.0.0.1 or [::1], or start the simulator with --host"
    )]
    Host(String),
    #[error("there is no /sim{0}: there are {PATHS}")]
    NoSuchPath(String),
    #[error("use {0} here")]
    Method(&'static str),
    #[error("the body must be JSON and say so: content-type: application/json")]
    ContentType,
    #[error("{}", .0.body_text())]
    Unread(BytesRejection),
    #[error("the body is not what this wants: {0}")]
    Body(#[source] serde_json::Error),
    #[error(
        "there is no user {user:?}: there are {known}; the console's page Users, [sim.users.NAME] in yunqiao.toml, or POST /sim/users adds one"
    )]
    UnknownUser { user: String, known: String },
    #[error("there is no api {api:?}: there are {known}")]
    UnknownApi { api: String, known: String },
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Fault(#[from] FaultError),
    #[error(transparent)]
    Push(#[from] PushError),
    #[error("{0}")]
    State(Wording),
    #[error("advance is 0 to {LONGEST_STEP} seconds, not {0}: WeChat's time only goes forward")]
    Step(u64),
}

impl SimError {
    fn in_chinese(&self) -> String {
        match self {
            Self::Host(host) => {
                format!("/sim/ 不接受 {host:?}：请用 localhost、127.0.0.1 或 [::1]，或启动模拟器时加 --host")
            }
            Self::NoSuchPath(path) => format!("没有 /sim{path}；现有：{PATHS}"),
            Self::Method(methods) => format!("这里请用 {methods}"),
            Self::ContentType => "请求体应为 JSON，并带上 content-type: application/json".to_owned(),
            Self::Unread(why) => why.body_text(),
            Self::Body(why) => format!("请求体不符合要求：{why}"),
            Self::UnknownUser { user, known } => {
                format!(
                    "没有用户 {user:?}；现有：{known}；可在控制台的「用户」页、yunqiao.toml 的 [sim.users.NAME] 或用 POST /sim/users 添加"
                )
            }
            Self::UnknownApi { api, known } => format!("没有接口 {api:?}；现有：{known}"),
            Self::User(why) => why.in_chinese(),
            Self::Template(why) => why.in_chinese(),
            Self::Fault(why) => why.in_chinese(),
            Self::Push(why) => why.in_chinese(),
            Self::State(why) => why.zh.clone(),
            Self::Step(given) => {
                format!("advance 应为 0 到 {LONGEST_STEP} 秒，而不是 {given}：微信时间只能向前")
            }
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Host(_) => StatusCode::FORBIDDEN,
            Self::NoSuchPath(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unread(why) => why.status(),
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Push(PushError::Ended(_) | PushError::Client(_)) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Body(_)
            | Self::UnknownUser { .. }
            | Self::UnknownApi { .. }
            | Self::User(_)
            | Self::Template(_)
            | Self::Fault(_)
            | Self::Push(_)
            | Self::State(_)
            | Self::Step(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl IntoResponse for SimError {
    fn into_response(self) -> Response {
        let said = json!({ "errMsg": self.to_string(), "errMsgZh": self.in_chinese() });
        (self.status(), Json(said)).into_response()
    }
}

/// A body that says it is JSON and is what is wanted.
struct Body<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = SimError;

    async fn from_request(request: Request, state: &S) -> Result<Self, SimError> {
        if !is_json(request.headers()) {
            return Err(SimError::ContentType);
        }
        let bytes = Bytes::from_request(request, state)
            .await
            .map_err(SimError::Unread)?;
        serde_json::from_slice(&bytes).map(Self).map_err(SimError::Body)
    }
}

async fn known_host(State(sim): State<Simulator>, request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or("");
    if is_known(host_name(host), &sim.settings().allowed_hosts) {
        next.run(request).await
    } else {
        SimError::Host(host.to_owned()).into_response()
    }
}

/// Loopback's names, and the allowed ones. A listener on every address is known by every address: only a *name* can be
/// pointed here by somebody else.
fn is_known(name: &str, allowed: &[String]) -> bool {
    let address = || {
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        bare.unwrap_or(name).parse::<IpAddr>().is_ok()
    };
    ["localhost", "127.0.0.1", "[::1]"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(name))
        || allowed.iter().any(|known| match known.as_str() {
            "0.0.0.0" | "[::]" | "::" => address(),
            known => known.eq_ignore_ascii_case(name),
        })
}

/// A `Host` without its port. Any port will do: it is the name that a foreign page cannot have, and a forwarded port is
/// another than the listener's.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

async fn app(State(sim): State<Simulator>) -> Json<Value> {
    let settings = sim.settings();
    Json(json!({
        "appid": settings.appid,
        "secret": settings.secret.expose(),
        "originalID": packets::original_id(&settings.appid),
        "token": settings.push.token.expose(),
        "encodingAESKey": settings.push.aes_key.expose(),
    }))
}

async fn users(State(sim): State<Simulator>) -> Json<Value> {
    Json(json!({ "users": sim.world().users.all() }))
}

async fn change_user(
    State(sim): State<Simulator>,
    Body(change): Body<UserChange>,
) -> Result<Json<User>, SimError> {
    Ok(Json(sim.world().users.change(change)?.clone()))
}

async fn client(
    State(sim): State<Simulator>,
    Body(call): Body<ClientCall>,
) -> Result<Json<ClientAnswer>, SimError> {
    client::call(&sim, &call).map(Json)
}

fn shown(now: Timestamp) -> Json<Value> {
    Json(json!({ "now": now.secs() }))
}

async fn clock(State(sim): State<Simulator>) -> Json<Value> {
    shown(sim.now())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// Seconds.
    advance: u64,
}

async fn step_clock(State(sim): State<Simulator>, Body(step): Body<Step>) -> Result<Json<Value>, SimError> {
    if step.advance > LONGEST_STEP {
        return Err(SimError::Step(step.advance));
    }
    Ok(shown(sim.clock().advance(Duration::from_secs(step.advance))))
}

async fn templates(State(sim): State<Simulator>) -> Json<Value> {
    let templates: Vec<_> = sim.world().templates.known().cloned().collect();
    Json(json!({ "templates": templates }))
}

async fn put_template(
    State(sim): State<Simulator>,
    Body(given): Body<NewTemplate>,
) -> Result<Json<Template>, SimError> {
    Ok(Json(sim.world().templates.put(given)?.clone()))
}

async fn verdicts(State(sim): State<Simulator>) -> Json<Value> {
    Json(json!({ "verdicts": sim.world().verdicts.rules() }))
}

async fn put_verdict(state: State<Simulator>, Body(rule): Body<Rule>) -> Json<Value> {
    state.world().verdicts.put(rule);
    verdicts(state).await
}

async fn reset_verdicts(state: State<Simulator>) -> Json<Value> {
    state.world().verdicts = Verdicts::default();
    verdicts(state).await
}

async fn faults(State(sim): State<Simulator>) -> Json<Value> {
    Json(json!({ "faults": sim.world().faults.all() }))
}

async fn put_fault(state: State<Simulator>, Body(given): Body<NewFault>) -> Result<Json<Value>, SimError> {
    state.world().faults.put(given)?;
    Ok(faults(state).await)
}

async fn clear_faults(state: State<Simulator>) -> Json<Value> {
    state.world().faults = Faults::default();
    faults(state).await
}

async fn push(
    State(sim): State<Simulator>,
    Body(given): Body<PushOrder>,
) -> Result<Json<PushRecord>, SimError> {
    Ok(Json(pushes::push(&sim, given).await?))
}

async fn verify(
    State(sim): State<Simulator>,
    Body(given): Body<VerifyOrder>,
) -> Result<Json<Verification>, SimError> {
    Ok(Json(verification::verify(&sim, given).await?))
}

async fn pushes(State(sim): State<Simulator>) -> Json<Value> {
    Json(json!({ "pushes": sim.world().pushes.all() }))
}

async fn outbox(State(sim): State<Simulator>) -> Json<Value> {
    Json(json!({ "items": sim.world().outbox.items() }))
}

async fn outbox_image(State(sim): State<Simulator>, uri: Uri) -> Result<Response, SimError> {
    let number = uri
        .path()
        .rsplit('/')
        .next()
        .and_then(|number| number.parse().ok());
    let image = number.and_then(|number| sim.world().outbox.image(number));
    let image = image.ok_or_else(|| SimError::NoSuchPath(uri.path().to_owned()))?;
    Ok(([(header::CONTENT_TYPE, "image/png")], image).into_response())
}

async fn empty_outbox(State(sim): State<Simulator>) -> Json<Value> {
    sim.world().outbox.empty();
    Json(json!({ "items": [] }))
}

async fn state_now(State(sim): State<Simulator>) -> Json<WeChatState> {
    Json(sim.state())
}

async fn replace_state(
    State(sim): State<Simulator>,
    Body(given): Body<WeChatState>,
) -> Result<Json<Value>, SimError> {
    sim.put_state(given).map_err(SimError::State)?;
    Ok(shown(sim.now()))
}
