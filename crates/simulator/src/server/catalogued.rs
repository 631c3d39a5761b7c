//! Every other API of WeChat's server: what the catalogue of [`openapi`] lists answers at its path, with WeChat's manners.
//!
//! Some behave: subscribe and customer-service messages, Mini Program codes, links, checks of texts, images and media, quotas
//! and rids, updatable messages. The rest is answered with the sample of its document ([`samples`]); that this is all that came of
//! it is said by its item in the outbox, and told to the developer.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::State,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use openapi::{Api, ApiBodyKind, ApiReplyKind, Standing};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use wording::{Wording, wording};

use crate::{
    Simulator, UnknownTemplates, Withdrawn,
    platform::pushes,
    random,
    server::{
        ApiCall,
        acode::CodeOptions,
        check_app, check_token, conversations,
        errors::{ApiRefusal, Family, rid},
        form, links, quotas, refuse, reply, rids,
        samples::{self, only_recorded},
        session_api,
        templates::{self, Message, NewTemplate},
        updatable,
    },
};

/// The longest body that is read: the documents let a video have 10 MB, and a form adds little to that.
pub(crate) const LONGEST_BODY: usize = 11 * 1024 * 1024;

/// Resets the quota that fetching tokens uses up, so that it takes the AppSecret instead of one.
const BY_SECRET: &str = "/cgi-bin/clear_quota/v2";

/// What the outbox says of a link.
fn opens_nothing() -> Wording {
    wording!(
        "WeChat cannot open the link: only the simulator knows it",
        "微信打不开这个链接：只有模拟器认识它"
    )
}

/// What a call is answered when all is well.
enum ApiBody {
    Json(Value),
    Png(Bytes),
}

/// A call that went well.
struct ApiOutcome {
    answer: ApiBody,
    /// Where the simulator only pretended.
    note: Option<Wording>,
}

impl ApiOutcome {
    fn json(answer: Value) -> Self {
        Self {
            answer: ApiBody::Json(answer),
            note: None,
        }
    }

    fn ok() -> Self {
        Self::json(json!({ "errcode": 0, "errmsg": "ok" }))
    }

    fn but(self, note: Wording) -> Self {
        Self {
            note: Some(note),
            ..self
        }
    }
}

/// What a call sent: params, and the SHA-256 of the file among them.
struct ApiParams {
    params: Map<String, Value>,
    file: Option<String>,
}

/// Answers at any path without a route of its own.
///
/// What WeChat answers where the catalogue has nothing is not documented; the choice is 40066 `invalid url`, and HTTP 404
/// so that a client which looks at nothing else notices too.
pub(crate) async fn answer(State(sim): State<Simulator>, uri: Uri, ask: ApiCall) -> Response {
    let path = uri.path();
    let family = Family::of(path);
    let apis = openapi::at_path(path);
    if apis.is_empty() {
        sim.tell(wording!(
            "{path} is no API that the catalogue knows",
            "接口目录里没有 {path}"
        ));
        let refused = refuse(&sim, family, &ask, &ApiRefusal::InvalidUrl);
        return (StatusCode::NOT_FOUND, refused).into_response();
    }
    match serve(&sim, apis, &ask).await {
        Ok(ApiBody::Json(body)) => reply(family, &body),
        Ok(ApiBody::Png(bytes)) => ([(header::CONTENT_TYPE, "image/png")], bytes).into_response(),
        Err(refusal) => refuse(&sim, family, &ask, &refusal),
    }
}

async fn serve(sim: &Simulator, apis: &[&'static Api], ask: &ApiCall) -> Result<ApiBody, ApiRefusal> {
    check_method(apis, &ask.method)?;
    let appid = match apis[0].path {
        BY_SECRET => None,
        _ => Some(check_token(sim, ask)?),
    };
    let mut sent = read(sim, apis[0], ask).await?;
    let appid = match appid {
        Some(appid) => appid,
        None => app_by_secret(sim, ask, &mut sent.params)?,
    };
    let api = named(apis, &sent.params);
    let done = act(sim, api, &appid, ask, &sent)?;
    if let Some(note) = &done.note {
        let name = api.name;
        sim.tell(wording!("{name}: {note}", "{name}：{note}"; note));
    }
    let to = receiver(&sent.params);
    let image = match &done.answer {
        ApiBody::Png(bytes) => Some(bytes.clone()),
        ApiBody::Json(_) => None,
    };
    sim.pretend(api.name, appid, &to, Value::Object(sent.params), image, done.note);
    Ok(done.answer)
}

/// The appid in these params, whose AppSecret is taken out of them.
fn app_by_secret(
    sim: &Simulator,
    ask: &ApiCall,
    params: &mut Map<String, Value>,
) -> Result<String, ApiRefusal> {
    let secret = params.remove("appsecret").unwrap_or_default();
    let appid = params.get("appid").and_then(Value::as_str).unwrap_or("");
    check_app(sim, ask, appid, secret.as_str().unwrap_or("")).map(str::to_owned)
}

/// 43001 where only GET is served, 43002 where only POST is. Where no document has the method, both are.
fn check_method(apis: &[&Api], method: &Method) -> Result<(), ApiRefusal> {
    let takes = |wanted| {
        apis.iter()
            .any(|api| api.method.is_none_or(|takes| takes == wanted))
    };
    match (takes(openapi::Method::Get), takes(openapi::Method::Post)) {
        (true, _) if method == Method::GET => Ok(()),
        (_, true) if method == Method::POST => Ok(()),
        (true, false) => Err(ApiRefusal::RequireGet),
        _ => Err(ApiRefusal::RequirePost),
    }
}

/// The params of a call, of query and body together, as a cloud call has them; the outbox shows them. All APIs at one path have the same kind of body.
async fn read(sim: &Simulator, api: &Api, ask: &ApiCall) -> Result<ApiParams, ApiRefusal> {
    let mut params: Map<String, Value> = ask
        .query
        .iter()
        .filter(|(name, _)| *name != "access_token")
        .map(|(name, text)| (name.clone(), Value::from(text.as_str())))
        .collect();
    let mut file = None;
    let mut no_file = "there is no part with a file";
    match api.body {
        _ if ask.method == Method::GET => {}
        ApiBodyKind::None => {}
        // One version of its document wants a form, the others JSON.
        ApiBodyKind::Json if api.path.starts_with("/wxaapi/newtmpl/") && form::is_urlencoded(ask) => {
            params.extend(form::urlencoded(&ask.body));
        }
        ApiBodyKind::Json => params.extend(ask.json::<Map<String, Value>>(sim)?),
        ApiBodyKind::Multipart(field) => match form::multipart(ask, field).await {
            Ok(form) => {
                params.extend(form.fields);
                file = form.file;
                no_file = form.no_file.unwrap_or(no_file);
            }
            // Those that take an `img_url` instead may have no body at all.
            Err(_) if ask.body.is_empty() => {}
            Err(error) => {
                let name = api.name;
                sim.tell(wording!(
                    "{name}: the body is no multipart form: {error}",
                    "{name}：请求体不是 multipart 表单：{error}"
                ));
                return Err(ApiRefusal::MediaMissing);
            }
        },
    }
    if matches!(api.body, ApiBodyKind::Multipart(_)) && file.is_none() && !params.contains_key("img_url") {
        let name = api.name;
        sim.tell(Wording::as_is(format_args!("{name}: {no_file}")));
        return Err(ApiRefusal::MediaMissing);
    }
    Ok(ApiParams { params, file })
}

/// Which of the APIs at one path it was. Two paths tell theirs by an `action`; where nothing tells, it is the first that
/// is a Mini Program's and has cloud call.
fn named(apis: &[&'static Api], params: &Map<String, Value>) -> &'static Api {
    let action = params.get("action").and_then(Value::as_str).unwrap_or("");
    let name = match (apis[0].path, action) {
        ("/wxa/plugin", "list") => "pluginManager.getPluginList",
        ("/wxa/plugin", "unbind") => "pluginManager.unbindPlugin",
        ("/wxa/plugin", _) => "pluginManager.applyPlugin",
        ("/wxa/devplugin", "dev_apply_list") => "pluginManager.getPluginDevApplyList",
        ("/wxa/devplugin", _) => "pluginManager.setDevPluginApplyStatus",
        _ => "",
    };
    apis.iter()
        .min_by_key(|api| {
            let called = api.cloud_call == openapi::CloudCallSupport::Yes;
            (api.name != name, !called, api.is_official_account())
        })
        .map_or(apis[0], |api| api)
}

/// Who is to be reached: messages say `touser`, most others `openid`.
fn receiver(params: &Map<String, Value>) -> String {
    ["touser", "openid", "to_user"]
        .iter()
        .find_map(|name| params.get(*name)?.as_str())
        .unwrap_or_default()
        .to_owned()
}

fn act(
    sim: &Simulator,
    api: &Api,
    appid: &str,
    ask: &ApiCall,
    sent: &ApiParams,
) -> Result<ApiOutcome, ApiRefusal> {
    if let Standing::Withdrawn(code) = api.standing {
        return match sim.settings().withdrawn {
            Withdrawn::Accept => {
                let (answer, _) = samples::answer(api, &sent.params);
                Ok(ApiOutcome::json(answer).but(wording!(
                    "withdrawn: {code} in production",
                    "接口已下线：正式环境会返回 {code}"
                )))
            }
            Withdrawn::Refuse => Err(ApiRefusal::Withdrawn(code)),
        };
    }
    match api.path {
        "/cgi-bin/message/subscribe/send" => send(sim, appid, &sent.params),
        "/wxaapi/newtmpl/gettemplate" => Ok(ApiOutcome::json(json!({
            "errcode": 0,
            "errmsg": "ok",
            "data": sim.world().templates.known().collect::<Vec<_>>(),
        }))),
        "/wxaapi/newtmpl/addtemplate" => add_template(sim, &sent.params),
        "/wxaapi/newtmpl/deltemplate" => {
            let id = sent.params.get("priTmplId").and_then(Value::as_str);
            if sim.world().templates.remove(id.unwrap_or("")) {
                Ok(ApiOutcome::ok())
            } else {
                Err(ApiRefusal::InvalidTemplateId)
            }
        }
        "/wxa/getwxacode" | "/cgi-bin/wxaapp/createwxaqrcode" => {
            code(sim, appid, &sent.params, CodeOptions::by_path)
        }
        "/wxa/getwxacodeunlimit" => code(sim, appid, &sent.params, CodeOptions::by_scene),
        "/cgi-bin/message/custom/send" => conversations::send(sim, &sent.params).map(|()| ApiOutcome::ok()),
        "/wxa/generatescheme" => links::scheme(sim, appid, &sent.params).map(link),
        "/wxa/generatenfcscheme" => links::nfc_scheme(sim, appid, &sent.params).map(link),
        "/wxa/queryscheme" => links::query_scheme(sim, appid, &sent.params).map(ApiOutcome::json),
        "/wxa/generate_urllink" => links::url(sim, appid, &sent.params).map(link),
        "/wxa/query_urllink" => links::query_url(sim, appid, &sent.params).map(ApiOutcome::json),
        "/wxa/genwxashortlink" => links::short(sim, appid, &sent.params).map(link),
        "/cgi-bin/openapi/quota/get" => quotas::get(sim, appid, &sent.params).map(ApiOutcome::json),
        "/cgi-bin/openapi/quota/clear" => {
            quotas::clear_one(sim, appid, &sent.params).map(|()| ApiOutcome::ok())
        }
        "/cgi-bin/clear_quota" | BY_SECRET => {
            quotas::clear(sim, appid, &sent.params).map(|()| ApiOutcome::ok())
        }
        "/cgi-bin/openapi/rid/get" => rids::get(sim, appid, &sent.params).map(ApiOutcome::json),
        "/wxa/set_user_storage" | "/wxa/remove_user_storage" | "/wxa/setuserinteractivedata" => {
            session_api::signed_user(sim, ask, &ask.body)?;
            Ok(ApiOutcome::ok().but(only_recorded()))
        }
        "/wxa/msg_sec_check" => check_text(sim, &sent.params),
        "/wxa/img_sec_check" => {
            let sha256 = sent.file.as_deref().ok_or(ApiRefusal::MediaMissing)?;
            if sim.world().verdicts.of_image(sha256).is_risky() {
                return Err(ApiRefusal::RiskyContent);
            }
            Ok(ApiOutcome::ok())
        }
        "/cgi-bin/message/wxopen/activityid/create" => {
            let note = wording!(
                "the simulator shows no message: setUpdatableMsg knows the activity_id, and changes nothing",
                "模拟器不显示动态消息：setUpdatableMsg 认识这个 activity_id，但不会改变什么"
            );
            Ok(ApiOutcome::json(updatable::create(sim)).but(note))
        }
        "/cgi-bin/message/wxopen/updatablemsg/send" => {
            updatable::change(sim, &sent.params)?;
            Ok(ApiOutcome::ok().but(only_recorded()))
        }
        "/wxa/media_check_async" => check_media(sim, appid, &sent.params),
        "/cgi-bin/media/upload" => Ok(ApiOutcome::json(json!({
            "type": ask.query("type"),
            "media_id": random::url_safe(64),
            "created_at": sim.now().secs(),
        }))
        .but(wording!(
            "only recorded: the file is not kept, and its media_id is good for nothing",
            "仅作记录：文件没有保存，media_id 不可用"
        ))),
        _ if api.reply == ApiReplyKind::Binary => {
            let name = api.name;
            sim.tell(wording!(
                "{name}: the simulator keeps no files, so that there is none to give",
                "{name}：模拟器不保存文件，没有文件可返回"
            ));
            Err(ApiRefusal::InvalidMediaId)
        }
        _ => {
            let (answer, note) = samples::answer(api, &sent.params);
            Ok(ApiOutcome::json(answer).but(note))
        }
    }
}

/// A link was made.
fn link(answer: Value) -> ApiOutcome {
    ApiOutcome::json(answer).but(opens_nothing())
}

/// The params as what the API takes: of the wrong type they are 47001.
pub(crate) fn typed<T: DeserializeOwned>(
    sim: &Simulator,
    params: &Map<String, Value>,
) -> Result<T, ApiRefusal> {
    T::deserialize(params).map_err(|error| {
        sim.tell(wording!(
            "a body was refused with 47001: {error}",
            "请求体被拒绝（47001）：{error}"
        ));
        ApiRefusal::DataFormat
    })
}

/// `subscribeMessage.send`
fn send(sim: &Simulator, appid: &str, params: &Map<String, Value>) -> Result<ApiOutcome, ApiRefusal> {
    let message: Message = typed(sim, params)?;
    let id = message.template_id.as_str();
    let (outcome, learned) = {
        let world = &mut *sim.world();
        match world.users.by_openid(&message.touser).cloned() {
            Some(user) => {
                if sim.settings().unknown_templates == UnknownTemplates::Make {
                    world.templates.make_up(id);
                }
                match world.templates.learn(&message) {
                    Ok(learned) => (world.templates.send(&message).map(|()| user), learned),
                    Err(refusal) => (Err(refusal), None),
                }
            }
            None => (Err(ApiRefusal::InvalidOpenid), None),
        }
    };
    if let Some(fields) = learned {
        let names = fields.join(", ");
        let declaration = templates::declaration(id, fields.iter().map(String::as_str));
        sim.tell(wording!(
            "template {id} is made up from its messages ({names}), since the simulated app has none of this id; if the app has none either, WeChat \
             answers 40037. Declare it in yunqiao.toml as the app has it:\n  {declaration}",
            "模板 {id} 是按收到的消息补建的（{names}）：模拟的小程序没有这个模板；如果小程序其实也没有，微信会返回 40037。\
             请按真实模板在 yunqiao.toml 声明：\n  {declaration}"
        ));
    }
    match &outcome {
        Err(ApiRefusal::InvalidTemplateId) if !templates::is_id(id) => {
            let id: String = id.chars().take(64).collect();
            sim.tell(wording!(
                "a subscribe message was refused with 40037: {id:?} is no template's id, which has 1 to 64 characters of [A-Za-z0-9_-]; \
                 write the id that the app's template has at WeChat",
                "订阅消息被拒绝（40037）：{id:?} 不是模板 ID（应为 1 到 64 个 [A-Za-z0-9_-] 字符）；请改成小程序的模板在微信的 ID"
            ));
        }
        Err(ApiRefusal::InvalidTemplateId) => {
            let declaration = templates::declaration(id, message.fields());
            let template = json!({ "priTmplId": id, "content": templates::content(message.fields()) });
            sim.tell(wording!(
                "a subscribe message was refused with 40037: the app has no template {id:?}; add it on the console's page WeChat, or by \
                 POST /sim/templates {template}, or declare it in yunqiao.toml:\n  {declaration}",
                "订阅消息被拒绝（40037）：没有模板 {id:?}；请在控制台「模拟微信」添加，或 POST /sim/templates {template}，\
                 或在 yunqiao.toml 声明：\n  {declaration}"
            ));
        }
        Err(ApiRefusal::UserRefused) => {
            let name = sim
                .world()
                .users
                .by_openid(&message.touser)
                .map(|user| user.name.clone());
            let subscribe = json!({ "user": name, "api": "requestSubscribeMessage", "tmplIds": [id] });
            sim.tell(wording!(
                "a subscribe message was refused with 43101: the user has no subscription to template {id} left; the console's page WeChat \
                 subscribes, or POST /sim/client {subscribe}",
                "订阅消息被拒绝（43101）：用户对模板 {id} 没有剩余的订阅；可在控制台「模拟微信」订阅，\
                 或 POST /sim/client {subscribe}"
            ));
        }
        _ => {}
    }
    let user = outcome?;
    if appid == sim.settings().appid {
        let item = json!({
            "TemplateId": message.template_id,
            "MsgID": random::digits(19),
            "ErrorCode": "0",
            "ErrorStatus": "success",
        });
        let fields = Map::from_iter([("List".to_owned(), item)]);
        pushes::later(sim, "subscribe_msg_sent_event", &user, fields, Duration::ZERO);
    }
    Ok(ApiOutcome::ok())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateWanted {
    /// Of WeChat's library of templates.
    tid: Value,
    kid_list: Vec<Value>,
}

/// `subscribeMessage.addTemplate`. WeChat's library of templates is not here: the keywords are `thing`s with the numbers that
/// were asked for.
fn add_template(sim: &Simulator, params: &Map<String, Value>) -> Result<ApiOutcome, ApiRefusal> {
    let wanted: TemplateWanted = typed(sim, params)?;
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let content = wanted
        .kid_list
        .iter()
        .map(|kid| {
            let kid: String = text(kid).chars().filter(char::is_ascii_digit).collect();
            format!("关键词{kid}:{{{{thing{kid}.DATA}}}}\n")
        })
        .collect();
    let given = NewTemplate {
        title: format!("模板{}", text(&wanted.tid)),
        content,
        ..NewTemplate::default()
    };
    let id = match sim.world().templates.put(given) {
        Ok(template) => template.pri_tmpl_id.clone(),
        Err(error) => {
            tracing::error!(%error, "a template that was made up is refused");
            return Err(ApiRefusal::SystemBusy);
        }
    };
    let note = wording!(
        "WeChat's library of templates is not here: each keyword is a `thing` with the number of its kid",
        "这里没有微信的模板库：每个关键词都是一个 `thing`，编号为它的 kid"
    );
    Ok(ApiOutcome::json(json!({ "errcode": 0, "errmsg": "ok", "priTmplId": id })).but(note))
}

/// How long a check of media takes, by machine time; WeChat's takes up to half an hour.
const MEDIA_CHECK: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct MediaToCheck {
    #[serde(default)]
    media_url: String,
    version: Option<Value>,
}

/// `security.mediaCheckAsync`: the verdict comes by push.
fn check_media(sim: &Simulator, appid: &str, params: &Map<String, Value>) -> Result<ApiOutcome, ApiRefusal> {
    let media: MediaToCheck = typed(sim, params)?;
    let trace_id = rid(sim.now());
    let done = ApiOutcome::json(json!({ "errcode": 0, "errmsg": "ok", "trace_id": trace_id }));
    if sim.settings().push.url.is_none() || appid != sim.settings().appid {
        return Ok(done.but(wording!(
            "only recorded: there is no URL to push the verdict to",
            "仅作记录：没有可推送检测结果的 URL"
        )));
    }
    let version = media.version.unwrap_or_default();
    let version = version.as_u64().or_else(|| version.as_str()?.parse().ok());
    let (verdict, user) = {
        let world = sim.world();
        (
            world.verdicts.of_media(&media.media_url),
            world.users.first().clone(),
        )
    };
    let event = verdict.event(appid, &trace_id, version.unwrap_or(1));
    let fields = event.as_object().cloned().unwrap_or_default();
    pushes::later(sim, "wxa_media_check", &user, fields, MEDIA_CHECK);
    Ok(done)
}

/// A Mini Program code.
fn code(
    sim: &Simulator,
    appid: &str,
    params: &Map<String, Value>,
    address: fn(&CodeOptions, &str) -> Result<String, ApiRefusal>,
) -> Result<ApiOutcome, ApiRefusal> {
    let wanted: CodeOptions = typed(sim, params)?;
    let address = address(&wanted, appid)?;
    match wanted.draw(&address) {
        Ok(png) => Ok(ApiOutcome {
            answer: ApiBody::Png(png.into()),
            note: Some(wording!(
                "WeChat cannot open the code: it is a QR code of {address}",
                "微信打不开这个码：它是 {address} 的二维码"
            )),
        }),
        Err(error) => {
            tracing::error!(%error, address, "a code cannot be drawn");
            Err(ApiRefusal::SystemBusy)
        }
    }
}

#[derive(Deserialize)]
struct TextToCheck {
    content: String,
    version: Option<Value>,
    scene: Option<Value>,
    #[serde(default)]
    openid: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    nickname: String,
    #[serde(default)]
    signature: String,
}

/// `security.msgSecCheck`: with a `version` it is the second one, which wants a user and a scene (both may be a number or
/// a text) and has its verdict in the answer; without, the first, which refuses with 87014.
fn check_text(sim: &Simulator, params: &Map<String, Value>) -> Result<ApiOutcome, ApiRefusal> {
    let text: TextToCheck = typed(sim, params)?;
    let world = sim.world();
    let verdict = world
        .verdicts
        .of_texts(&[&text.content, &text.title, &text.nickname, &text.signature]);
    if text.version.is_none() {
        return if verdict.is_risky() {
            Err(ApiRefusal::RiskyContent)
        } else {
            Ok(ApiOutcome::ok())
        };
    }
    if world.users.by_openid(&text.openid).is_none() {
        return Err(ApiRefusal::InvalidOpenid);
    }
    let scene = text.scene.unwrap_or_default();
    let scene = scene.as_u64().or_else(|| scene.as_str()?.parse().ok());
    if !scene.is_some_and(|scene| (1..=4).contains(&scene)) {
        return Err(ApiRefusal::InvalidScene);
    }
    Ok(ApiOutcome::json(verdict.answer(&rid(sim.now()))))
}
