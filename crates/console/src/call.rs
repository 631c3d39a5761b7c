//! The page Call: choose a function, a user and what calls it, write the event, hand over open data, send; then see beside it what came
//! back and what happened inside.

mod trigger;

use std::{
    borrow::Cow,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use gateway::ReplyBody;
use http::{Response, StatusCode};
use json::{JsonError, JsonReason, Member, Object};
use maud::{Markup, html};
use serde_json::Value;
use wording::wording;

pub(crate) use self::trigger::Trigger;
use self::trigger::of_ways;
use crate::{
    Inner, calls, json_tree,
    lang::Lang,
    layout::{self, Page, Viewer, outcome, span, trouble},
    pretty::pretty,
    pushes,
    recorder::{Call, beginning},
    simulated::User,
    snippet::{self, Ending, TestRunner},
    web::{self, Fields},
};

/// The kinds of open data that a client can hand over, each with the client API that gives it; as `yunqiao call` names them.
pub(crate) const KINDS: [(&str, &str); 5] = [
    ("weRunData", "getWeRunData"),
    ("userInfo", "getUserInfo"),
    ("phoneNumber", "getPhoneNumber"),
    ("shareInfo", "getShareInfo"),
    ("groupEnterInfo", "getGroupEnterInfo"),
];

/// The largest body that a client may send: what is larger, the gateway answers with 413.
const LARGEST: usize = 6 << 20;

/// A call that was made on this page, to be looked at and made again.
#[derive(Debug)]
pub(crate) struct Asked {
    form: Form,
    reply: Bytes,
    /// How long the answer took.
    pub(crate) took: Duration,
}

/// What the form holds.
#[derive(Clone, Debug)]
pub(crate) struct Form {
    pub(crate) function: String,
    /// A simulated user's name; without a simulator the openid.
    pub(crate) user: String,
    pub(crate) unionid: String,
    pub(crate) event: String,
    /// Kind and field.
    pub(crate) open_data: Vec<(String, String)>,
    pub(crate) trigger: Trigger,
    /// What is not there any more of the call that is to be made again, while nothing is written in its place.
    pub(crate) lost: Option<Lost>,
}

/// What is not there any more of a call that is to be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    Call,
    Event,
    /// The end of the event.
    Cut,
}

impl Lost {
    /// The word for it in the form.
    fn word(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Event => "event",
            Self::Cut => "cut",
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Call, Self::Event, Self::Cut]
            .into_iter()
            .find(|lost| lost.word() == word)
    }

    fn text(self, lang: Lang) -> &'static str {
        match self {
            Self::Call => lang.t(
                "This call is not kept any more: choose the function and write the event anew.",
                "这次调用已不再保存：请重新选择云函数并填写 event。",
            ),
            Self::Event => lang.t(
                "The event of this call is not kept: write it anew. Events are kept for the last calls since the start alone.",
                "这次调用的 event 未保存，请重新填写。event 只为启动以来最近的调用保留。",
            ),
            Self::Cut => lang.t(
                "The event of this call was longer than the 4 KB that are kept of one: write it anew.",
                "这次调用的 event 超过保留的 4 KB，未能完整保存，请重新填写。",
            ),
        }
    }
}

/// Why a call was not made.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Event(Fault),
    #[error("{}", .0.text(Lang::En))]
    Lost(Lost),
    #[error(transparent)]
    Simulated(#[from] crate::simulated::Error),
    #[error("there is no simulated user {0:?}")]
    NoUser(String),
    #[error("an openid is needed: whose call is it?")]
    NoOpenid,
    #[error("the event is larger than 6 MB, which no client may send: it would be answered with 413")]
    TooLarge,
    #[error("the open data {0} needs the name of a field")]
    NoField(String),
}

impl Refusal {
    fn text(&self, lang: Lang) -> String {
        match (lang, self) {
            (_, Self::Event(fault)) => fault.text(lang),
            (_, Self::Lost(lost)) => lost.text(lang).to_owned(),
            (_, Self::Simulated(error)) => error.text(lang),
            (Lang::En, _) => self.to_string(),
            (Lang::Zh, Self::NoUser(name)) => format!("没有模拟用户 {name:?}"),
            (Lang::Zh, Self::NoOpenid) => "需要 openid：以谁的身份调用？".to_owned(),
            (Lang::Zh, Self::TooLarge) => {
                "event 超过 6 MB，客户端不能发送这么大的请求：会返回 413".to_owned()
            }
            (Lang::Zh, Self::NoField(kind)) => format!("开放数据 {kind} 需要填写字段名"),
        }
    }
}

/// Where a text is not the JSON that it must be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub(crate) struct Fault {
    line: usize,
    column: usize,
    reason: JsonReason,
}

impl Fault {
    fn of(text: &str, error: JsonError) -> Self {
        let before = beginning(text, error.offset);
        let line = before.rsplit('\n').next().unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            reason: error.reason,
        }
    }

    pub(crate) fn text(&self, lang: Lang) -> String {
        let Self { line, column, reason } = self;
        let reason = reason.wording();
        let said = wording!(
            "line {line}, column {column}: {reason}",
            "第 {line} 行第 {column} 列：{reason}"; reason
        );
        lang.of_wording(&said).to_owned()
    }
}

impl Asked {
    /// What the function returned, as it wrote it.
    pub(crate) fn result(&self) -> Option<&str> {
        Object::parse(&self.reply).ok()?.get("result")
    }

    /// As the reply names it; empty where the reply has none.
    pub(crate) fn request_id(&self) -> String {
        let reply = Object::parse(&self.reply).ok();
        let raw = reply.as_ref().and_then(|reply| reply.get("requestID"));
        raw.and_then(json::unescape).unwrap_or_default().into_owned()
    }

    fn failed(&self) -> bool {
        let reply = Object::parse(&self.reply).ok();
        reply.is_some_and(|reply| reply.get("errCode").is_some())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.form.event.len() + self.reply.len()
    }
}

impl Form {
    pub(crate) fn new(function: &str, user: &str, event: &str, open_data: Vec<(String, String)>) -> Self {
        Self {
            function: function.to_owned(),
            user: user.to_owned(),
            unionid: String::new(),
            event: event.to_owned(),
            open_data,
            trigger: Trigger::Client,
            lost: None,
        }
    }

    /// As a call was made elsewhere: with its event as the function got it, but for what the platform puts there. What became of its
    /// cloudIDs stays as data. An event that is not kept whole is not there.
    fn of_call(call: &Call, users: &[User]) -> Self {
        let openid = call.openid.as_deref().unwrap_or_default();
        let user = users.iter().find(|user| user.openid == openid);
        let (event, lost) = match call
            .exchange
            .as_ref()
            .map(|both| without_platform_fields(&both.request))
        {
            Some(Some(event)) => (event, None),
            Some(None) => (String::new(), Some(Lost::Cut)),
            None => (String::new(), Some(Lost::Event)),
        };
        Self {
            function: call.function.clone(),
            user: user.map_or(openid, |user| &user.name).to_owned(),
            unionid: String::new(),
            event,
            open_data: Vec::new(),
            trigger: Trigger::Client,
            lost,
        }
    }

    fn of(fields: &Fields) -> Self {
        let given = KINDS
            .iter()
            .filter(|(kind, _)| !fields.get(&format!("with-{kind}")).is_empty());
        let (trigger, function) = Trigger::of(fields);
        let is_blank = fields.get("event").trim().is_empty();
        let lost = Lost::of(fields.get("lost")).filter(|_| is_blank && trigger == Trigger::Client);
        Self {
            trigger,
            lost,
            function: function.unwrap_or_else(|| fields.get("function").to_owned()),
            user: fields.get("user").trim().to_owned(),
            unionid: fields.get("unionid").trim().to_owned(),
            event: match is_blank {
                true => "{}".to_owned(),
                // What a form's line ends are in a browser.
                false => fields.get("event").replace("\r\n", "\n"),
            },
            open_data: given
                .map(|(kind, _)| {
                    (
                        (*kind).to_owned(),
                        fields.get(&format!("field-{kind}")).trim().to_owned(),
                    )
                })
                .collect(),
        }
    }

    /// The fields that say the same, for a form that sends it once more.
    fn fields(&self) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
        let own = [
            ("function", &self.function),
            ("user", &self.user),
            ("unionid", &self.unionid),
            ("event", &self.event),
        ];
        let own = own.map(|(name, value)| (name.into(), value.into()));
        let by = self.trigger.fields(&self.function).into_iter();
        let open_data = self.open_data.iter().flat_map(|(kind, field)| {
            [
                (format!("with-{kind}").into(), "1".into()),
                (format!("field-{kind}").into(), field.into()),
            ]
        });
        let by = by.map(|(name, value)| (name.into(), value));
        own.into_iter().chain(by).chain(open_data).collect()
    }

    /// What is wrong with what was written, as whoever is called wants it.
    fn fault(&self) -> Option<Fault> {
        match &self.trigger {
            Trigger::Timer(_) => None,
            Trigger::Http { method, .. } if !trigger::has_body(method) => None,
            Trigger::Http { .. } => {
                let json = json::validate(self.event.as_bytes());
                json.err().map(|error| Fault::of(&self.event, error))
            }
            Trigger::Client | Trigger::Push(_) => object(&self.event).err(),
        }
    }

    /// The field for which open data of this kind was asked.
    fn field(&self, kind: &str) -> Option<&str> {
        let mut all = self.open_data.iter();
        all.find(|(known, _)| known == kind)
            .map(|(_, field)| field.as_str())
    }
}

pub(crate) async fn page(inner: &Arc<Inner>, viewer: &Viewer, fields: &Fields) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let users = inner.users().await;
    let id = fields.get("again");
    let again = inner.asked(id);
    let elsewhere = match again {
        None if !id.is_empty() => calls::find(inner, id).await,
        _ => None,
    };
    let form = match (&again, elsewhere) {
        (Some(asked), _) => asked.form.clone(),
        (None, Some(call)) => Form::of_call(&call, &users),
        (None, None) if id.is_empty() => Form::of(fields),
        (None, None) => Form {
            event: String::new(),
            lost: Some(Lost::Call),
            ..Form::of(fields)
        },
    };
    let trigger = &form.trigger;
    let shown = inner.shown();
    let names: Vec<&str> = shown.iter().flat_map(|shown| shown.names()).collect();
    // Whoever is asked for is chosen or nobody: never another one in their place.
    let strange_function = !form.function.is_empty() && !names.contains(&form.function.as_str());
    let project = shown
        .as_deref()
        .map(|shown| shown.project.root.display().to_string());
    let strange_user = !form.user.is_empty() && users.iter().all(|user| user.name != form.user);
    let content = html! {
        noscript { (trouble(lang.t("Sending needs the page's scripts, which this browser does not run.", "发送需要页面脚本，当前浏览器未运行脚本。"))) }
        @if !viewer.simulated {
            p .notice { (lang.t("This is production: the function runs for a real user, with everything that it does.", "这是生产环境：云函数会以真实用户的身份执行，产生真实影响。")) }
        }
        div .ask {
        form #call .call data-project=[project.filter(|_| viewer.simulated)] hx-post="/call" hx-target="#result" hx-swap="innerHTML show:top" hx-disabled-elt="find button" hx-indicator="#busy" hx-disinherit="*" {
            @if let Some(lost) = form.lost { input type="hidden" name="lost" value=(lost.word()); }
            div .row {
                (of_ways(trigger, &["client"], &html! {
                    label {
                        (lang.t("Function", "云函数"))
                        select name="function" required {
                            @if strange_function { option value="" selected { (form.function) (lang.t(" (is not there any more)", "（已不存在）")) } }
                            @for name in &names { option value=(name) selected[*name == form.function] { (name) } }
                        }
                    }
                }))
                @if viewer.simulated {
                    (of_ways(trigger, &["client", "push"], &html! {
                        label {
                            (lang.t("User", "用户"))
                            select name="user" required {
                                @if strange_user { option value="" selected { (form.user) (lang.t(" (is nobody here)", "（不是这里的用户）")) } }
                                @for user in &users { option value=(user.name) selected[user.name == form.user] { (user.name) } }
                            }
                        }
                    }))
                } @else {
                    (of_ways(trigger, &["client"], &html! {
                        label { "openid" input name="user" value=(form.user) required autocomplete="off" spellcheck="false"; }
                        label { "unionid " (lang.t("(if any)", "（可空）")) input name="unionid" value=(form.unionid) autocomplete="off" spellcheck="false"; }
                    }))
                }
            }
            div .row { (trigger::choice(viewer, &inner.gateway, shown.as_deref().map(|shown| &shown.project), &form.function, trigger)) }
            (of_ways(trigger, &["client", "http", "push"], &event(lang, &form)))
            @if viewer.simulated { (of_ways(trigger, &["client"], &open_data(lang, &form))) }
            p .actions {
                button .button type="submit" title="Ctrl+Enter" { (lang.t("Send", "发送")) }
                span #busy .busy role="status" { (lang.t("running …", "执行中……")) }
            }
        }
        span #ended .unseen role="status" {}
        section #result aria-label=(lang.t("Result", "结果")) {
            @if let Some(asked) = &again { (answer(inner, viewer, asked).await) }
            @else { p .dim { (lang.t("What comes back stands here.", "结果显示在这里。")) } }
        }
        }
    };
    layout::page(viewer, Page::Call, content)
}

/// The part of the form in which the event is written, or what stands in its place.
fn event(lang: Lang, form: &Form) -> Markup {
    let names = [
        ("client", lang.t("Event, a JSON object", "event（JSON 对象）")),
        (
            "http",
            lang.t(
                "Body, where the method has one: JSON",
                "请求体（JSON；GET 没有请求体）",
            ),
        ),
        (
            "push",
            lang.t("Fields to set, a JSON object", "要设置的字段（JSON 对象）"),
        ),
    ];
    html! {
        div .label {
            label for="event" {
                @for (way, text) in names { span data-by=(way) hidden[way != form.trigger.way()] { (text) } }
            }
            select #remembered hidden aria-label=(lang.t("What was sent before", "用过的内容")) { option value="" { (lang.t("sent before …", "用过的……")) } }
        }
        textarea #event name="event" rows="6" spellcheck="false" autocapitalize="off" autocomplete="off" aria-describedby="check" required[form.lost.is_some()]
            hx-post="/call/check" hx-trigger="input changed delay:300ms, change from:#by, change from:#method" hx-target="#check" { (form.event) }
        div #check aria-live="polite" { (judged(lang, form)) }
    }
}

/// The part of the form that says which open data is handed over.
fn open_data(lang: Lang, form: &Form) -> Markup {
    html! {
        details #open-data open[!form.open_data.is_empty()] {
            summary { (lang.t("Open data: a fresh cloudID, at a field of the event", "开放数据：在 event 的字段里放一个新的 cloudID")) }
            @for (kind, _) in KINDS {
                div .kind {
                    label .check {
                        input type="checkbox" name={ "with-" (kind) } value="1" checked[form.field(kind).is_some()];
                        " " (kind)
                    }
                    label {
                        (lang.t("field", "字段")) " "
                        input name={ "field-" (kind) } value=(form.field(kind).unwrap_or(kind)) autocomplete="off" spellcheck="false";
                    }
                }
            }
        }
    }
}

/// Says whether the event will do, while it is being written.
pub(crate) fn check(viewer: &Viewer, fields: &Fields) -> Response<ReplyBody> {
    web::html(StatusCode::OK, judged(viewer.lang, &Form::of(fields)))
}

fn judged(lang: Lang, form: &Form) -> Markup {
    let good = |text: &str| html! { p .dim { "✓ " (text) } };
    match (form.lost, form.fault(), &form.trigger) {
        (Some(lost), ..) => trouble(lost.text(lang)),
        (_, Some(fault), _) => html! { p .trouble { (fault.text(lang)) } },
        (.., Trigger::Http { method, .. }) if !trigger::has_body(method) => {
            html! { p .dim { (lang.t("is not sent: a GET has no body", "不会发送：GET 没有请求体")) } }
        }
        (.., Trigger::Http { .. }) => good(lang.t("JSON", "是 JSON")),
        _ => good(lang.t("a JSON object", "是 JSON 对象")),
    }
}

/// Says whether a text is the JSON object that it must be.
pub(crate) fn checked(lang: Lang, event: &str) -> Markup {
    judged(lang, &Form::new("", "", event, Vec::new()))
}

/// Makes the call, and shows what came of it.
pub(crate) async fn send(inner: &Arc<Inner>, viewer: &Viewer, fields: &Fields) -> Response<ReplyBody> {
    let form = Form::of(fields);
    match (&form.trigger, &inner.simulated) {
        (Trigger::Push(_), Some(simulated)) => return pushes::send(inner, viewer, simulated, fields).await,
        (Trigger::Http { method, path }, Some(_)) => {
            let shown = over_http(inner, viewer, &form, method, path).await;
            return web::html(StatusCode::OK, shown);
        }
        _ => {}
    }
    let shown = match make(inner, viewer, form).await {
        Ok(asked) => {
            let word = match asked.failed() {
                true => viewer.lang.t("failed", "失败"),
                false => viewer.lang.t("ok", "成功"),
            };
            html! {
                (ended(&format!("{word} {} {}", asked.form.function, span(asked.took))))
                (answer(inner, viewer, &asked).await)
            }
        }
        Err(refusal) => trouble(&refusal.text(viewer.lang)),
    };
    web::html(StatusCode::OK, shown)
}

/// Tells whoever does not see it how it ended: in a place that was there before, for others are not read aloud.
fn ended(text: &str) -> Markup {
    html! { span #ended hx-swap-oob="innerHTML" { (text) } }
}

/// Sends a request to the web listener, and shows the answer, and the call where there was one.
async fn over_http(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    form: &Form,
    method: &'static str,
    path: &str,
) -> Markup {
    let lang = viewer.lang;
    if let Some(fault) = form.fault() {
        return trouble(&fault.text(lang));
    }
    let reply = match trigger::request(&inner.gateway, method, path, &form.event).await {
        Ok(reply) => reply,
        Err(error) => return trouble(&error.text(lang)),
    };
    let call = inner.recorder.call(&reply.request_id);
    html! {
        (ended(&format!("{} {method} {path}", reply.status)))
        h2 { (outcome(lang, reply.status >= 400)) " " (reply.status) " " (method) " " (path) " " span .dim { (span(reply.took)) } }
        div .actions { (repeat(lang, form)) }
        (json_tree::part(lang, &reply.content_type, &reply.text, reply.is_cut))
        @match &call {
            Some(call) => {
                p { a href=(web::link("/calls", &[("call", &call.request_id)])) { (call.function) } }
                (calls::parts(inner, viewer, call, None).await)
            }
            None => p .dim { (lang.t("No function was called for it.", "没有为它调用云函数。")) },
        }
        (elsewhere(inner, viewer, form, Ending::Status(reply.status)).await)
    }
}

async fn make(inner: &Inner, viewer: &Viewer, form: Form) -> Result<Arc<Asked>, Refusal> {
    if let Trigger::Timer(timer) = &form.trigger {
        let timer = Some(timer.as_str()).filter(|timer| !timer.is_empty());
        let began = Instant::now();
        let (_, reply) = inner.gateway.fire_timer(&form.function, timer).await;
        let took = began.elapsed();
        return Ok(inner.keep(Asked { form, reply, took }));
    }
    if let Some(lost) = form.lost {
        return Err(Refusal::Lost(lost));
    }
    object(&form.event).map_err(Refusal::Event)?;
    let (openid, unionid) = match &inner.simulated {
        Some(simulated) => {
            let user = simulated
                .users()
                .await?
                .into_iter()
                .find(|user| user.name == form.user);
            let user = user.ok_or_else(|| Refusal::NoUser(form.user.clone()))?;
            (user.openid, user.unionid)
        }
        None if form.user.is_empty() => return Err(Refusal::NoOpenid),
        None => (
            form.user.clone(),
            Some(form.unionid.clone()).filter(|id| !id.is_empty()),
        ),
    };
    let mut cloud_ids = Vec::new();
    for (kind, field) in form.open_data.iter().filter(|_| viewer.simulated) {
        if field.is_empty() {
            return Err(Refusal::NoField(kind.clone()));
        }
        let api = KINDS.iter().find(|(known, _)| known == kind);
        if let (Some(simulated), Some((_, api))) = (&inner.simulated, api) {
            cloud_ids.push((field.as_str(), simulated.cloud_id(&form.user, api).await?));
        }
    }
    let event = with_cloud_ids(&form.event, &cloud_ids).map_err(Refusal::Event)?;
    let fields: Vec<&str> = cloud_ids.iter().map(|(field, _)| *field).collect();
    let body = format!("{{\"data\":{event},\"cloudIDs\":{}}}", Value::from(fields));
    if body.len() > LARGEST {
        return Err(Refusal::TooLarge);
    }
    let began = Instant::now();
    let (_, reply) = inner
        .gateway
        .call(&form.function, &openid, unionid.as_deref(), body.into())
        .await;
    let took = began.elapsed();
    Ok(inner.keep(Asked { form, reply, took }))
}

/// What came back, and what happened inside.
async fn answer(inner: &Arc<Inner>, viewer: &Viewer, asked: &Arc<Asked>) -> Markup {
    let lang = viewer.lang;
    let reply: Value = serde_json::from_slice(&asked.reply).unwrap_or_default();
    let failed = asked.failed();
    let request_id = reply["requestID"].as_str().unwrap_or_default();
    let call = inner.recorder.call(request_id);
    html! {
        h2 { (outcome(lang, failed)) " " (asked.form.function) " " span .dim { (span(asked.took)) } }
        div .actions {
            (repeat(lang, &asked.form))
            @if call.is_some() { a href=(web::link("/calls", &[("call", request_id)])) { (lang.t("Among all calls", "在调用记录中查看")) } }
        }
        @match &call {
            Some(call) => (calls::parts(inner, viewer, call, Some(asked)).await),
            None => {
                // It was refused before any function ran.
                pre .error tabindex="0" { (reply["errCode"]) " " (reply["errMsg"].as_str().unwrap_or_default()) }
            }
        }
        @if viewer.simulated {
            (elsewhere(inner, viewer, &asked.form, reply["errCode"].as_i64().map_or(Ending::Good, Ending::Code)).await)
        }
    }
}

/// A button that does once more what it stands beside, whatever stands in the form by then.
fn repeat(lang: Lang, form: &Form) -> Markup {
    html! {
        form .inline hx-post="/call" hx-target="#result" hx-swap="innerHTML show:top" hx-disabled-elt="find button" hx-indicator="#busy" {
            @for (name, value) in form.fields() { input type="hidden" name=(name) value=(value); }
            button #repeat { (lang.t("Repeat", "再次执行")) }
        }
    }
}

/// The same call as a command, and as a test.
async fn elsewhere(inner: &Inner, viewer: &Viewer, form: &Form, ending: Ending) -> Markup {
    let lang = viewer.lang;
    let shown = inner.shown();
    let root = shown
        .as_ref()
        .map(|shown| shown.project.root.clone())
        .unwrap_or_default();
    let runner = tokio::task::spawn_blocking(move || TestRunner::of(&root));
    let runner = runner.await.unwrap_or_default();
    let web = trigger::web_url(&inner.gateway).unwrap_or_default();
    // Where the command will be typed, nobody knows.
    let dir = shown.and_then(|shown| std::path::absolute(&shown.project.root).ok());
    let dir = dir.map(|dir| dir.display().to_string());
    let dir = dir.as_deref().unwrap_or(".");
    let copy = |id: &str| {
        html! { button type="button" data-copy=(id) data-copied=(lang.t("Copied", "已复制")) { (lang.t("Copy", "复制")) } }
    };
    html! {
        h2 { (lang.t("On the command line", "命令行")) }
        pre #command .json tabindex="0" { (snippet::command(form, dir, &web)) }
        (copy("command"))
        h2 { (lang.t("As a test", "测试代码")) }
        details #as-test {
            summary { (lang.t("For ", "适用于 ")) (runner.name()) }
            pre #test .json tabindex="0" { (snippet::test(form, dir, ending, runner)) }
        }
        (copy("test"))
    }
}

/// An event without what the platform puts there; nothing where it is not kept whole.
fn without_platform_fields(event: &str) -> Option<String> {
    let object = Object::parse(event.as_bytes()).ok()?;
    let is_own = |member: &&Member<'_>| match member.key().as_ref() {
        "tcbContext" | "OPEN_DATA_INFO" => false,
        // Beside the two that are the platform's, a client may have sent its own.
        "userInfo" => Object::parse(member.value.as_bytes()).is_ok_and(|user| {
            let mut keys = user.members().iter().map(Member::key);
            keys.any(|key| key != "appId" && key != "openId")
        }),
        _ => true,
    };
    let own = object.members().iter().filter(is_own);
    let own: Vec<_> = own
        .map(|member| format!("{}:{}", member.raw_key, member.value))
        .collect();
    Some(pretty(&format!("{{{}}}", own.join(","))).0)
}

/// The event's members, if it is an object.
pub(crate) fn object(text: &str) -> Result<Object<'_>, Fault> {
    Object::parse(text.as_bytes()).map_err(|error| Fault::of(text, error))
}

/// The event with these fields set to these ids, and everything else as it was written.
fn with_cloud_ids(event: &str, cloud_ids: &[(&str, String)]) -> Result<String, Fault> {
    if cloud_ids.is_empty() {
        return Ok(event.to_owned());
    }
    let object = object(event)?;
    let stays = object.members().iter();
    let stays = stays.filter(|member| !cloud_ids.iter().any(|(field, _)| member.key_is(field)));
    let stays = stays.map(|member| format!("{}:{}", member.raw_key, member.value));
    let set = cloud_ids
        .iter()
        .map(|(field, id)| format!("{}:{}", Value::from(*field), Value::from(id.as_str())));
    Ok(format!("{{{}}}", stays.chain(set).collect::<Vec<_>>().join(",")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_fault_has_its_place() {
        for (text, line, column) in [
            ("{\"a\": 1,}", 1, 9),
            ("{\n  \"云\" 1}", 2, 7),
            ("[1]", 1, 1),
            ("{", 1, 2),
        ] {
            let fault = object(text).unwrap_err();
            assert_eq!((fault.line, fault.column), (line, column), "{text}: {fault}");
        }
        assert!(object("{\"a\": 12345678901234567890}").is_ok());
    }

    #[test]
    fn an_event_that_is_not_kept_whole_is_not_made_up() {
        let mut call = Call::new("1".to_owned(), "pay".to_owned(), jiff::Timestamp::UNIX_EPOCH);
        call.openid = Some("o-nobody".to_owned());
        let mut again = |event: Option<&str>| {
            call.exchange = event.map(|event| gateway::Exchange {
                request: event.to_owned(),
                answer: String::new(),
            });
            let form = Form::of_call(&call, &[]);
            assert_eq!((&*form.function, &*form.user), ("pay", "o-nobody"));
            (form.event, form.lost)
        };
        let whole = again(Some(r#"{"a":1,"userInfo":{"appId":"wx"},"tcbContext":{}}"#));
        assert_eq!(whole, ("{\n  \"a\": 1\n}".to_owned(), None));
        assert_eq!(again(Some("{\"a\":\"b …")), (String::new(), Some(Lost::Cut)));
        assert_eq!(again(None), (String::new(), Some(Lost::Event)));
    }

    #[test]
    fn a_form_can_be_sent_once_more_as_it_was() {
        for query in [
            "function=a&user=alice&event=%7B%22a%22%3A%0A1%7D&with-weRunData=1&field-weRunData=run",
            "function=a&user=o-1&unionid=u-1&event=%7B%7D",
            "by=timer&timer=job%2Fat%2Fnight",
            "by=http&method=PUT&path=%2Fa%3Fb%3Dc&event=%5B1%5D",
            "by=push&type=text&user=bob&event=%7B%7D",
        ] {
            let form = Form::of(&Fields::parse(query.as_bytes()));
            let mut sent = form_urlencoded::Serializer::new(String::new());
            sent.extend_pairs(form.fields());
            let again = Form::of(&Fields::parse(sent.finish().as_bytes()));
            assert_eq!(format!("{again:?}"), format!("{form:?}"), "{query}");
        }
    }

    #[test]
    fn what_is_sent_is_judged_by_how_it_is_sent() {
        for (query, judged) in [
            ("event=%5B1%5D", "line 1, column 1: expected an object"),
            ("by=http&method=POST&path=/a&event=%5B1%5D", "✓ JSON"),
            ("by=http&method=POST&path=/a&event=%22text%22", "✓ JSON"),
            (
                "by=http&method=POST&path=/a&event=text",
                "line 1, column 2: expected a value",
            ),
            ("by=http&method=GET&path=/a&event=text", "is not sent"),
            ("by=push&type=text&event=%5B1%5D", "expected an object"),
            ("event=%7B%7D", "a JSON object"),
            // It is asked for as long as nothing is written, blanks included.
            ("lost=cut&event=+%0A", "write it anew"),
            ("lost=cut&event=%7B%7D", "a JSON object"),
            ("lost=event&by=push&type=text&event=", "a JSON object"),
        ] {
            let form = Form::of(&Fields::parse(query.as_bytes()));
            let shown = super::judged(Lang::En, &form).into_string();
            assert!(shown.contains(judged), "{query}: {shown}");
        }
        let chinese = super::judged(Lang::Zh, &Form::of(&Fields::parse(b"event=%7B'a'%7D")));
        assert!(
            chinese
                .into_string()
                .contains("第 1 行第 2 列：这里应是带引号的字段名"),
            "in Chinese"
        );
    }

    #[test]
    fn a_cloud_id_takes_its_field_and_leaves_the_rest() {
        let ids = [("b\"", "79_x".to_owned())];
        let event = with_cloud_ids(
            r#" {"a": 1.0, "b\u0022": null, "c": 12345678901234567890} "#,
            &ids,
        )
        .unwrap();
        assert_eq!(event, r#"{"a":1.0,"c":12345678901234567890,"b\"":"79_x"}"#);
        assert_eq!(
            with_cloud_ids("{}", &[("f", "i".to_owned())]).unwrap(),
            r#"{"f":"i"}"#
        );
    }
}
