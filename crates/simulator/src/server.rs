//! WeChat's server API, as `api.weixin.qq.com` speaks it: HTTP 200 whatever happens, the outcome in `errcode`. Here are the
//! APIs that give out tokens, sessions, open data and phone numbers; `session_api` has those that lean on a user's
//! session_key, and `catalogued` the rest.
//!
//! Where the documents leave it open, what is checked first is: method, then the app's or the token's credentials, then
//! the body, then what it asks for.

pub(crate) mod acode;
pub(crate) mod callbacks;
pub(crate) mod catalogued;
pub(crate) mod conversations;
pub(crate) mod errors;
pub(crate) mod form;
pub(crate) mod links;
pub(crate) mod oauth;
pub(crate) mod quotas;
pub(crate) mod rids;
pub(crate) mod samples;
pub(crate) mod session_api;
pub(crate) mod templates;
pub(crate) mod tokens;
pub(crate) mod updatable;
pub(crate) mod verdicts;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use axum::{
    Router,
    body::Bytes,
    extract::{ConnectInfo, FromRequest, Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use opendata::CloudIdError;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use wording::{Wording, wording};

use crate::{
    ForeignCodes, Simulator,
    people::{
        codes::CodeError,
        payments::get_paid_unionid,
        shapes::{PhoneInfo, Watermark},
    },
    server::{
        errors::{ApiRefusal, Family},
        rids::Trace,
        tokens::IssuedToken,
    },
};

/// The header by which the workers of a server that has this simulator for its WeChat mark what functions ask of
/// `api.weixin.qq.com` by themselves. It opens nothing: appid and AppSecret of a simulated app are nobody's secret.
const OF_FUNCTION: &str = "x-yunqiao-function";

/// The paths that are served.
pub(crate) fn routes() -> Router<Simulator> {
    Router::new()
        .route("/sns/jscode2session", api(Family::Sns, code2session))
        .route("/cgi-bin/token", api(Family::Cgi, token))
        .route("/cgi-bin/stable_token", api(Family::Cgi, stable_token))
        .route("/wxa/getopendata", api(Family::Wxa, get_open_data))
        .route(
            "/wxa/business/getuserphonenumber",
            api(Family::Wxa, get_user_phone_number),
        )
        .route("/wxa/getpaidunionid", api(Family::Wxa, get_paid_unionid))
}

/// One call, before anybody has looked at it.
pub(crate) struct ApiCall {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// Where it came from, if a listener told.
    pub(crate) from: Option<IpAddr>,
    /// When it was read, by machine time.
    pub(crate) began: Instant,
    pub(crate) query: HashMap<String, String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for ApiCall {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts.clone(), body);
        let body = Bytes::from_request(request, state)
            .await
            .map_err(IntoResponse::into_response)?;
        Self::new(&parts, body).map_err(IntoResponse::into_response)
    }
}

impl ApiCall {
    /// The call of this head and this body.
    pub(crate) fn new(head: &Parts, body: Bytes) -> Result<Self, QueryRejection> {
        let query = Query::try_from_uri(&head.uri)?;
        let from = head.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            from: from.map(|ConnectInfo(address)| address.ip()),
            began: Instant::now(),
            query: query.0,
            headers: head.headers.clone(),
            body,
        })
    }

    /// A parameter of the query; one that is left out is empty.
    pub(crate) fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// Whether a cloud function asks that runs beside this simulator, by its own request to `api.weixin.qq.com`.
    fn is_of_function(&self) -> bool {
        self.headers.contains_key(OF_FUNCTION)
    }

    pub(crate) fn is_get(&self) -> Result<(), ApiRefusal> {
        if self.method == Method::GET {
            Ok(())
        } else {
            Err(ApiRefusal::RequireGet)
        }
    }

    pub(crate) fn is_post(&self) -> Result<(), ApiRefusal> {
        if self.method == Method::POST {
            Ok(())
        } else {
            Err(ApiRefusal::RequirePost)
        }
    }

    /// The JSON body. WeChat reads it whatever its content type says; `strict` behaves like those of its servers that were
    /// seen not to.
    pub(crate) fn json<T: DeserializeOwned>(&self, sim: &Simulator) -> Result<T, ApiRefusal> {
        if self.body.is_empty() {
            return Err(ApiRefusal::EmptyPostData);
        }
        if sim.settings().strict && !is_json(&self.headers) {
            sim.tell(wording!(
                "strict: a JSON body came without content-type application/json and was refused with 47001",
                "strict：JSON 请求体没有 content-type application/json，已拒绝（47001）"
            ));
            return Err(ApiRefusal::DataFormat);
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            sim.tell(wording!(
                "a body was refused with 47001: {error}",
                "请求体被拒绝（47001）：{error}"
            ));
            ApiRefusal::DataFormat
        })
    }
}

/// Whether a request says that its body is JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// The route of an API that `serve` answers.
pub(crate) fn api<T: Serialize + 'static>(
    family: Family,
    serve: fn(&Simulator, &ApiCall) -> Result<T, ApiRefusal>,
) -> MethodRouter<Simulator> {
    any(move |State(sim): State<Simulator>, ask: ApiCall| async move {
        match serve(&sim, &ask) {
            Ok(answer) => reply(family, &answer),
            Err(refusal) => refuse(&sim, family, &ask, &refusal),
        }
    })
}

/// The answer to a call that is refused. What was asked can be looked up by its rid from now on.
pub(crate) fn refuse(sim: &Simulator, family: Family, ask: &ApiCall, refusal: &ApiRefusal) -> Response {
    let now = sim.now();
    let rid = errors::rid(now);
    let body = refusal.body(family, &rid);
    let world = &mut *sim.world();
    // Whoever called without a token that was issued here can only have meant the main app.
    let appid = world
        .tokens
        .owner(ask.query("access_token"))
        .unwrap_or(&sim.settings().appid);
    world.rids.put(rid, Trace::new(appid, ask, &body, now));
    reply(family, &body)
}

/// `/sns/` says `text/plain` and escapes slashes, the others do neither (observed).
pub(crate) fn reply(family: Family, body: &impl Serialize) -> Response {
    let text = match serde_json::to_string(body) {
        Ok(text) => text,
        Err(error) => {
            tracing::error!(%error, "an answer cannot be written as JSON");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    match family {
        Family::Sns => ([(header::CONTENT_TYPE, "text/plain")], escape_slashes(&text)).into_response(),
        Family::Cgi | Family::Wxa => {
            ([(header::CONTENT_TYPE, "application/json; encoding=utf-8")], text).into_response()
        }
    }
}

/// `/` as `\/` in a JSON text that has none escaped yet; outside strings there are none.
fn escape_slashes(json: &str) -> String {
    json.replace('/', "\\/")
}

/// Of the app itself: appid first, as WeChat was seen to do. What comes back is the appid.
///
/// A function has the AppSecret of the real app in its code, or the appid of whoever wrote it first: both are taken for those
/// of the app that is simulated, and the developer is told.
pub(crate) fn check_app<'a>(
    sim: &'a Simulator,
    ask: &ApiCall,
    appid: &str,
    secret: &str,
) -> Result<&'a str, ApiRefusal> {
    let settings = sim.settings();
    if appid.is_empty() {
        return Err(ApiRefusal::AppidMissing);
    }
    let app = settings.app(appid).or_else(|| {
        let own = ask.is_of_function().then(|| settings.app(&settings.appid))?;
        let (path, ours) = (ask.uri.path(), &settings.appid);
        sim.tell(wording!(
            "a function asks {path} as the appid {appid:?}: answered as {ours}; WeChat asks that app's own AppSecret",
            "云函数以 appid {appid:?} 请求 {path}：按 {ours} 应答；微信会校验那个 appid 自己的 AppSecret"
        ));
        own
    });
    let Some((appid, known)) = app else {
        let known = settings.appids();
        sim.tell(wording!(
            "the appid {appid:?} is refused with 40013: this simulator knows {known} alone (GET /sim/app)",
            "appid {appid:?} 被拒绝（40013）：这个模拟器只认识 {known}（GET /sim/app）"
        ));
        return Err(ApiRefusal::InvalidAppid);
    };
    if secret.is_empty() {
        return Err(ApiRefusal::AppsecretMissing);
    }
    if !known.is(secret) && !ask.is_of_function() {
        sim.tell(wording!(
            "an AppSecret is refused with 40125: GET /sim/app tells the one to configure",
            "AppSecret 被拒绝（40125）：应配置的值见 GET /sim/app"
        ));
        return Err(ApiRefusal::InvalidAppsecret);
    }
    Ok(appid)
}

/// Whether the call's access_token is good, and the appid of the app that it was issued to; the call counts for its quota.
pub(crate) fn check_token(sim: &Simulator, ask: &ApiCall) -> Result<String, ApiRefusal> {
    let now = sim.now();
    let world = &mut *sim.world();
    let appid = world.tokens.check(ask.query("access_token"), now)?;
    world.quotas.count(appid, ask.uri.path(), now);
    Ok(appid.to_owned())
}

/// `GET /sns/jscode2session`. A success has neither errcode nor errmsg (observed; the documents list them).
#[derive(Debug, Serialize)]
struct Code2Session {
    session_key: String,
    openid: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<String>,
}

fn code2session(sim: &Simulator, ask: &ApiCall) -> Result<Code2Session, ApiRefusal> {
    ask.is_get()?;
    let appid = check_app(sim, ask, ask.query("appid"), ask.query("secret"))?;
    let code = ask.query("js_code");
    if code.is_empty() {
        return Err(ApiRefusal::CodeMissing);
    }
    if ask.query("grant_type") != "authorization_code" {
        return Err(ApiRefusal::InvalidGrantType);
    }
    if appid != sim.settings().appid {
        let main = &sim.settings().appid;
        sim.tell(wording!(
            "a login code came with the appid {appid} and was refused: users log in to {main} alone",
            "登录 code 带着 appid {appid}，已拒绝：用户只登录 {main}"
        ));
        return Err(ApiRefusal::InvalidCode);
    }
    let now = sim.now();
    let name = redeem(sim, CodeKind::Login, code)?;
    let world = &mut *sim.world();
    // The key is the one that is good at the exchange: of two logins whose codes are exchanged late, both get the second's.
    if world.sessions.take(&name, now).is_none() {
        world.sessions.login(&name, now, false);
    }
    let user = world.users.named(&name).ok_or(ApiRefusal::InvalidCode)?;
    let key = world
        .sessions
        .current(&name, now)
        .ok_or(ApiRefusal::InvalidCode)?;
    Ok(Code2Session {
        session_key: key.expose().to_owned(),
        openid: user.openid.clone(),
        unionid: user.unionid.clone(),
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CodeKind {
    Login,
    Phone,
}

fn login_code() -> Wording {
    wording!("login code", "登录 code ")
}

fn phone_code() -> Wording {
    wording!("phone number code", "手机号 code ")
}

/// The name of the user that `code` stands for; the developer learns why where there is none.
fn redeem(sim: &Simulator, kind: CodeKind, code: &str) -> Result<String, ApiRefusal> {
    let now = sim.now();
    let (redeemed, mixed_up, first) = {
        let world = &mut *sim.world();
        let (codes, others) = match kind {
            CodeKind::Login => (&mut world.login_codes, &world.phone_codes),
            CodeKind::Phone => (&mut world.phone_codes, &world.login_codes),
        };
        let redeemed = codes.redeem(code, now).map(str::to_owned);
        (redeemed, others.knows(code), world.users.first().name.clone())
    };
    let (what, other) = match kind {
        CodeKind::Login => (login_code(), phone_code()),
        CodeKind::Phone => (phone_code(), login_code()),
    };
    match redeemed {
        Ok(name) => Ok(name),
        Err(CodeError::Used) => {
            sim.tell(wording!(
                "a {what} came a second time and was refused: each is good for one exchange",
                "{what}第二次使用，已拒绝：每个只能用一次";
                what
            ));
            Err(match kind {
                CodeKind::Login => ApiRefusal::CodeBeenUsed,
                CodeKind::Phone => ApiRefusal::InvalidCode,
            })
        }
        Err(CodeError::Expired) => {
            sim.tell(wording!(
                "a {what} was refused because it is older than five minutes",
                "{what}已超过五分钟，已拒绝";
                what
            ));
            Err(ApiRefusal::InvalidCode)
        }
        Err(CodeError::Foreign) if mixed_up => {
            sim.tell(wording!(
                "a {other} was sent where a {what} belongs and was refused: they are two kinds",
                "应传{what}却传了{other}，已拒绝：两者不同";
                other, what
            ));
            Err(ApiRefusal::InvalidCode)
        }
        Err(CodeError::Foreign) => match sim.settings().foreign_codes {
            ForeignCodes::FirstUser => {
                sim.tell(wording!(
                    "a {what} that the simulator did not issue: answered as {first}",
                    "{what}不是模拟器签发的：按用户 {first} 应答";
                    what
                ));
                Ok(first)
            }
            ForeignCodes::Refuse => {
                sim.tell(wording!(
                    "a {what} that the simulator did not issue was refused (foreign_codes = \"refuse\")",
                    "{what}不是模拟器签发的，已拒绝（foreign_codes = \"refuse\"）";
                    what
                ));
                Err(ApiRefusal::InvalidCode)
            }
        },
    }
}

/// What both token APIs answer.
#[derive(Debug, Serialize)]
struct AccessToken {
    access_token: String,
    expires_in: u64,
}

impl From<IssuedToken> for AccessToken {
    fn from(issued: IssuedToken) -> Self {
        Self {
            access_token: issued.token,
            expires_in: issued.expires_in,
        }
    }
}

/// `/cgi-bin/token`: GET as documented; POST is taken too, with the same query or with a form that says the same.
fn token(sim: &Simulator, ask: &ApiCall) -> Result<AccessToken, ApiRefusal> {
    if ask.method != Method::POST {
        ask.is_get()?;
    }
    let given = form::urlencoded(&ask.body);
    let param = |name: &str| match ask.query(name) {
        "" => given.get(name).and_then(Value::as_str).unwrap_or(""),
        text => text,
    };
    let appid = check_app(sim, ask, param("appid"), param("secret"))?;
    if param("grant_type") != "client_credential" {
        return Err(ApiRefusal::InvalidGrantType);
    }
    Ok(sim.world().tokens.plain(appid, sim.now()).into())
}

#[derive(Deserialize)]
struct StableTokenParams {
    #[serde(default)]
    grant_type: String,
    #[serde(default)]
    appid: String,
    #[serde(default)]
    secret: String,
    #[serde(default)]
    force_refresh: bool,
}

/// `POST /cgi-bin/stable_token`
fn stable_token(sim: &Simulator, ask: &ApiCall) -> Result<AccessToken, ApiRefusal> {
    ask.is_post()?;
    let asked: StableTokenParams = ask.json(sim)?;
    let appid = check_app(sim, ask, &asked.appid, &asked.secret)?;
    if asked.grant_type != "client_credential" {
        return Err(ApiRefusal::InvalidGrantType);
    }
    let issued = sim.world().tokens.stable(appid, asked.force_refresh, sim.now())?;
    Ok(issued.into())
}

#[derive(Deserialize)]
struct OpenDataParams {
    cloudid_list: Vec<String>,
}

#[derive(Debug, Serialize)]
struct OpenDataList {
    errcode: i32,
    errmsg: &'static str,
    data_list: Vec<OpenDataItem>,
}

/// `json` is text, although the documents print an object (observed).
#[derive(Debug, Serialize)]
struct OpenDataItem {
    cloud_id: String,
    json: String,
}

/// `POST /wxa/getopendata?openid=…`: a bad cloudID fails alone, inside a list that succeeds.
fn get_open_data(sim: &Simulator, ask: &ApiCall) -> Result<OpenDataList, ApiRefusal> {
    ask.is_post()?;
    check_token(sim, ask)?;
    let asked: OpenDataParams = ask.json(sim)?;
    let openid = ask.query("openid");
    let now = sim.now();
    let world = sim.world();
    if world.users.by_openid(openid).is_none() {
        return Err(ApiRefusal::InvalidOpenid);
    }
    let data_list = asked
        .cloudid_list
        .into_iter()
        .map(|id| OpenDataItem {
            json: item(&id, world.cloud_ids.redeem(&id, openid, now)),
            cloud_id: id,
        })
        .collect();
    Ok(OpenDataList {
        errcode: 0,
        errmsg: "ok",
        data_list,
    })
}

/// The text of one item, spaced and escaped as observed: `{ "cloudID":"97_…", "data":{…} }`.
fn item(id: &str, data: Result<&str, CloudIdError>) -> String {
    let id = serde_json::Value::from(id);
    let text = match data {
        Ok(data) => format!(r#"{{ "cloudID":{id}, "data":{data} }}"#),
        Err(error) => format!(
            r#"{{ "cloudID":{id}, "errCode":{}, "errMsg":"{}" }}"#,
            error.code(),
            error.text()
        ),
    };
    escape_slashes(&text)
}

#[derive(Deserialize)]
struct PhoneNumberParams {
    code: String,
    #[serde(default)]
    openid: Option<String>,
}

#[derive(Debug, Serialize)]
struct PhoneNumber {
    errcode: i32,
    errmsg: &'static str,
    phone_info: PhoneInfo,
}

/// `POST /wxa/business/getuserphonenumber`: its code is another kind than `wx.login`'s. An `openid`, where given, must be
/// the user's; otherwise the choice is 40003, and the code is spent.
fn get_user_phone_number(sim: &Simulator, ask: &ApiCall) -> Result<PhoneNumber, ApiRefusal> {
    ask.is_post()?;
    check_token(sim, ask)?;
    let asked: PhoneNumberParams = ask.json(sim)?;
    let name = redeem(sim, CodeKind::Phone, &asked.code)?;
    let world = sim.world();
    let user = world.users.named(&name).ok_or(ApiRefusal::InvalidCode)?;
    if asked.openid.is_some_and(|openid| openid != user.openid) {
        return Err(ApiRefusal::InvalidOpenid);
    }
    let watermark = Watermark::new(&sim.settings().appid, sim.now());
    Ok(PhoneNumber {
        errcode: 0,
        errmsg: "ok",
        phone_info: PhoneInfo::new(user, watermark),
    })
}
