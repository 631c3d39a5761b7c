//! The page Push: have the simulated WeChat push a message or an event and watch its attempts; what the gateway took and gave
//! up, to be tried once more.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use function::FunctionName;
use gateway::{Gateway, ReplyBody};
use http::{Method, Response, StatusCode};
use jiff::Timestamp;
use maud::{Markup, html};
use push::{Format, Packet, PacketKey, PacketKind, Routes, kinds};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use wording::wording;

use crate::{
    Inner,
    call::{checked, object},
    lang::Lang,
    layout::{self, Page, Viewer, outcome, span, time, trouble},
    missing,
    recorder::Call,
    simulated::{Attempt, Pushed, Simulated},
    web::{self, Fields},
};

/// Pushes that are shown.
const MOST: usize = 20;
/// Dead letters on a page.
const LETTERS: usize = 20;
/// Where the gateway keeps what it gave up.
const DEAD: &str = "/operator/push/dead";

/// What the gateway counted since its start.
#[derive(Deserialize)]
struct Overview {
    taken: u64,
    duplicates: u64,
    done: u64,
    failed: u64,
    dead: u64,
    open: u64,
}

#[derive(Deserialize)]
struct Letters {
    items: Vec<Letter>,
    total: u64,
    /// Where the next page begins, if there is one.
    next: Option<u64>,
}

/// A push that was given up.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Letter {
    id: u64,
    kind: String,
    from_user: String,
    died_at: i64,
    attempts: u32,
    error: String,
    packet: Option<Box<RawValue>>,
}

pub(crate) async fn page(inner: &Inner, viewer: &Viewer, query: &Fields) -> Response<ReplyBody> {
    let before = before(query);
    let composed = match &inner.simulated {
        Some(_) => compose(inner, viewer.lang).await,
        None => Markup::default(),
    };
    let now = list(inner, viewer, before).await;
    let live = match before {
        Some(before) => format!("/live/push?before={before}"),
        None => "/live/push".to_owned(),
    };
    let content = html! { (composed) (layout::live(&live, now)) };
    layout::page(viewer, Page::Push, content)
}

async fn compose(inner: &Inner, lang: Lang) -> Markup {
    let users = inner.users().await;
    let (messages, events): (Vec<&PacketKind>, Vec<&PacketKind>) =
        kinds::all().iter().partition(|kind| kind.event.is_empty());
    let group = |label: &str, all: &[&PacketKind]| {
        html! {
            optgroup label=(label) {
                @for kind in all { option value=(kind.name()) { (kind.name()) " · " (kind.title) } }
            }
        }
    };
    html! {
        form #push .call hx-post="/push" hx-target="#result" hx-disabled-elt="find button" hx-indicator="#busy" hx-disinherit="*" {
            div .row {
                label {
                    (lang.t("Message or event", "消息或事件"))
                    select name="type" required hx-get="/push/fields" hx-trigger="change" hx-target="#fields" {
                        (group(lang.t("Messages", "消息"), &messages))
                        (group(lang.t("Events", "事件"), &events))
                    }
                }
                label {
                    (lang.t("From", "来自用户"))
                    select name="user" required { @for user in &users { option value=(user.name) { (user.name) } } }
                }
            }
            label for="event" { (lang.t("Fields to set, a JSON object", "要设置的字段（JSON 对象）")) }
            div #fields .dim { (known(lang, kinds::all().first())) }
            textarea #event name="event" rows="3" spellcheck="false" autocapitalize="off" autocomplete="off" aria-describedby="check"
                hx-post="/call/check" hx-trigger="input changed delay:300ms" hx-target="#check" { "{}" }
            div #check aria-live="polite" { (checked(lang, "{}")) }
            p .actions {
                button .button type="submit" title="Ctrl+Enter" { (lang.t("Push", "推送")) }
                span #busy .busy role="status" { (lang.t("pushing …", "推送中……")) }
            }
        }
        section #result aria-label=(lang.t("Attempts", "推送结果")) {}
    }
}

/// The fields of the kind that was chosen.
pub(crate) fn fields(viewer: &Viewer, query: &Fields) -> Response<ReplyBody> {
    let chosen = kinds::named(query.get("type")).next();
    web::html(StatusCode::OK, known(viewer.lang, chosen))
}

fn known(lang: Lang, kind: Option<&PacketKind>) -> Markup {
    let names: Vec<&str> = kind
        .iter()
        .flat_map(|kind| kind.fields())
        .map(|field| field.name)
        .collect();
    html! {
        @if names.is_empty() {
            (lang.t("No document says which fields it has.", "文档未列出它的字段。"))
        } @else {
            (lang.t("Left out, they are made up: ", "不填则自动生成：")) code { (names.join(", ")) }
        }
    }
}

/// Has it pushed, and shows what became of it.
pub(crate) async fn send(
    inner: &Inner,
    viewer: &Viewer,
    simulated: &Simulated,
    form: &Fields,
) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let fields = match form.get("event") {
        blank if blank.trim().is_empty() => "{}",
        fields => fields,
    };
    let shown = match object(fields).map(|_| serde_json::from_str::<Value>(fields)) {
        Err(fault) => trouble(&fault.text(lang)),
        Ok(Err(error)) => trouble(lang.of_wording(&wording!(
            "these fields cannot be read: {error}",
            "无法读取这些字段：{error}"
        ))),
        Ok(Ok(fields)) => {
            let ask = json!({ "type": form.get("type"), "user": form.get("user"), "fields": fields });
            match simulated.push(&ask).await {
                Ok(pushed) => {
                    // The gateway told of it before the simulated WeChat had written down how it ended.
                    inner.recorder.wake();
                    html! { h2 role="status" { (lang.t("Pushed", "已推送")) } (result(lang, &Deliveries::of(inner), &pushed)) }
                }
                Err(error) => trouble(&error.text(lang)),
            }
        }
    };
    web::html(StatusCode::OK, shown)
}

/// How a push ended that was just made. It is shown once: what may still change stands in the list below, which follows what happens.
fn result(lang: Lang, deliveries: &Deliveries, pushed: &Pushed) -> Markup {
    let (fate, _) = deliveries.fate(pushed);
    html! {
        @for warning in pushed.warnings(lang) { p .warn { (warning) } }
        @if !matches!(fate, Fate::Unknown(_)) { (taken(lang, &fate)) }
        ol .attempts { @for attempt in &pushed.attempts { (tried(lang, attempt)) } }
        p { a href="/push#pushes" { (lang.t("What became of it", "处理情况")) } }
    }
}

/// Does something about a dead letter, and shows those that are left.
pub(crate) async fn letter(inner: &Inner, viewer: &Viewer, id: &str, what: &str) -> Response<ReplyBody> {
    let (method, path) = match what {
        "replay" => (Method::POST, format!("{DEAD}/{id}/replay")),
        "drop" => (Method::DELETE, format!("{DEAD}/{id}")),
        _ => return missing(viewer),
    };
    let said = ask::<Value>(&inner.gateway, viewer.lang, &method, &path)
        .await
        .err();
    let now = list(inner, viewer, None).await;
    web::html(
        StatusCode::OK,
        html! { @if let Some(said) = &said { (trouble(said)) } (now) },
    )
}

/// Which dead letters are asked for: those before this one, else the newest.
pub(crate) fn before(query: &Fields) -> Option<u64> {
    query.get("before").parse().ok()
}

/// The part of the page that follows what happens.
pub(crate) async fn list(inner: &Inner, viewer: &Viewer, before: Option<u64>) -> Markup {
    let lang = viewer.lang;
    let overview = ask::<Overview>(&inner.gateway, lang, &Method::GET, "/operator/push").await;
    let target = match before {
        Some(before) => format!("{DEAD}?limit={LETTERS}&before={before}"),
        None => format!("{DEAD}?limit={LETTERS}"),
    };
    let letters = ask::<Letters>(&inner.gateway, lang, &Method::GET, &target).await;
    let pushes = match &inner.simulated {
        Some(simulated) => simulated.pushes().await.map_err(|error| error.text(lang)),
        None => Ok(Vec::new()),
    };
    html! {
        (routes(inner, lang))
        @match &overview {
            Ok(overview) => (counts(lang, overview)),
            Err(error) => (trouble(error)),
        }
        @if let Ok(letters) = &letters && !letters.items.is_empty() {
            h2 { (lang.t("Dead letters: given up after several attempts", "死信：多次处理失败，已放弃")) }
            @if letters.total > letters.items.len() as u64 {
                p .dim { (letters.items.len()) (lang.t(" of ", " / ")) (letters.total) }
            }
            ol .outbox { @for letter in &letters.items { (dead(lang, letter)) } }
            @if let Some(next) = letters.next {
                p { a href={ "/push?before=" (next) } { (lang.t("Older ones", "更早的死信")) } }
            }
        }
        @match &pushes {
            Err(error) => (trouble(error)),
            Ok(pushes) if pushes.is_empty() => {}
            Ok(pushes) => {
                h2 #pushes { (lang.t("The last pushes", "最近的推送")) }
                @let deliveries = Deliveries::of(inner);
                ol .outbox { @for pushed in pushes.iter().rev().take(MOST) { (item(lang, &deliveries, pushed)) } }
            }
        }
    }
}

/// Which function gets what.
fn routes(inner: &Inner, lang: Lang) -> Markup {
    let shown = inner.shown();
    let mut routes: Vec<(String, &str)> = shown
        .iter()
        .flat_map(|shown| shown.project.settings.push.routes.iter())
        .map(|(pattern, function)| (pattern.to_string(), function.as_str()))
        .collect();
    routes.sort_unstable();
    html! {
        @if routes.is_empty() {
            p .notice {
                (lang.t("No function takes pushes: they are acknowledged, and nothing runs. In yunqiao.toml:", "没有云函数接收推送：只会应答，不会执行。请在 yunqiao.toml 中配置："))
                " " code { "[push.routes] text = \"…\"" }
            }
        } @else {
            h2 { (lang.t("Which function takes what", "路由：哪些推送由哪个云函数处理")) }
            ul #routes .chips {
                @for (pattern, function) in &routes {
                    li { code { (pattern) } " → " a href=(web::link("/calls", &[("function", function)])) { (function) } }
                }
            }
        }
    }
}

/// What is known of the pushes that went out here: which functions take which kinds, and the calls that were made.
struct Deliveries {
    appid: String,
    routes: Routes<FunctionName>,
    /// By the packet's key, the first attempt first.
    calls: HashMap<String, Vec<Arc<Call>>>,
}

/// What became of a push.
enum Fate<'a> {
    /// It was handed to a function, each attempt a call.
    Called(&'a [Arc<Call>]),
    /// A function takes it, and no call is known: it waits, or runs, or its call is not kept any more.
    Unknown(&'a FunctionName),
    /// No function takes its kind.
    Unrouted,
}

impl Deliveries {
    fn of(inner: &Inner) -> Self {
        let mut calls: HashMap<String, Vec<Arc<Call>>> = HashMap::new();
        for call in inner
            .recorder
            .calls(usize::MAX, |call| call.push.is_some())
            .into_iter()
            .rev()
        {
            if let Some(key) = &call.push {
                calls.entry(key.clone()).or_default().push(call);
            }
        }
        Self {
            appid: inner.gateway.appid().to_owned(),
            routes: inner
                .shown()
                .map(|shown| shown.project.settings.push.routes.clone())
                .unwrap_or_default(),
            calls,
        }
    }

    /// What became of a push, and by what its packet is known here.
    fn fate(&self, pushed: &Pushed) -> (Fate<'_>, String) {
        let packet = pushed.packet.to_string();
        let format = pushed.format.parse().unwrap_or(Format::Json);
        let key = PacketKey::as_received(&self.appid, format, &packet);
        let key = key.map(|key| key.to_string()).unwrap_or_default();
        if let Some(calls) = self.calls.get(&key) {
            return (Fate::Called(calls), key);
        }
        let packet = Packet::parse(&self.appid, Format::Json, packet.as_bytes()).ok();
        let target = packet.and_then(|packet| self.routes.find(&packet));
        (target.map_or(Fate::Unrouted, Fate::Unknown), key)
    }
}

/// Which function took it, and how that ended.
fn taken(lang: Lang, fate: &Fate<'_>) -> Markup {
    html! {
        @match fate {
            Fate::Unrouted => p .dim { (lang.t("No route takes it: it was acknowledged, and nothing ran.", "没有匹配的路由：已应答，没有云函数处理这次推送。")) },
            Fate::Unknown(function) => p .dim {
                "→ " (function.as_str()) " · "
                (lang.t("has not ended yet, or its call is not kept any more", "尚未结束，或调用记录已不再保存"))
            },
            Fate::Called(calls) => ul .last {
                @for call in *calls {
                    li {
                        (outcome(lang, call.failed())) " "
                        a href=(web::link("/calls", &[("call", &call.request_id)])) { (call.function) } " "
                        span .dim { (span(call.ran)) @if let Some(attempt @ 2..) = call.attempt { " · " (lang.t("attempt ", "第 ")) (attempt) (lang.t("", " 次")) } }
                        @if let Some((code, text)) = &call.error { " " code { (code) } " " span .dim { (text.lines().next().unwrap_or_default()) } }
                    }
                }
            },
        }
    }
}

fn counts(lang: Lang, overview: &Overview) -> Markup {
    let all = [
        (lang.t("taken for functions", "交给云函数"), overview.taken),
        (lang.t("duplicates", "重复"), overview.duplicates),
        (lang.t("done", "已处理"), overview.done),
        (lang.t("attempts that failed", "失败次数"), overview.failed),
        (lang.t("given up", "已放弃"), overview.dead),
        (lang.t("under way", "处理中"), overview.open),
    ];
    // What did not happen is said of nothing but what came in.
    let shown = all.into_iter().enumerate();
    let shown = shown.filter(|(place, (_, count))| *place == 0 || *count > 0);
    html! { dl .facts { @for (_, (name, count)) in shown { div { dt { (name) } dd { (count) } } } } }
}

fn dead(lang: Lang, letter: &Letter) -> Markup {
    html! {
        li .message {
            p .dim {
                strong { (letter.kind) } " · " code { (letter.from_user) } " · "
                @if let Ok(at) = Timestamp::from_second(letter.died_at) { (time(at)) " · " }
                (letter.attempts) (lang.t(" attempts", " 次"))
            }
            pre .error tabindex="0" { (letter.error) }
            @if let Some(packet) = &letter.packet { (layout::json(lang, packet.get())) }
            p .actions {
                button id={ "replay-" (letter.id) } hx-post={ "/push/dead/" (letter.id) "/replay" } hx-target="closest [sse-swap]" { (lang.t("Try again", "重新处理")) }
                button id={ "drop-" (letter.id) } hx-post={ "/push/dead/" (letter.id) "/drop" } hx-target="closest [sse-swap]" { (lang.t("Drop", "丢弃")) }
            }
        }
    }
}

fn item(lang: Lang, deliveries: &Deliveries, pushed: &Pushed) -> Markup {
    let (fate, key) = deliveries.fate(pushed);
    html! {
        li .message {
            p .dim { strong { (pushed.kind) } " → " code { (pushed.url) } " (" (pushed.mode) ", " (pushed.format) ")" }
            @for warning in pushed.warnings(lang) { p .warn { (warning) } }
            @if pushed.held_back { p .warn { (lang.t("Held back by a fault until the next push has gone out.", "被故障规则暂扣，待下一次推送之后发出。")) } }
            @else { (taken(lang, &fate)) }
            ol .attempts { @for attempt in &pushed.attempts { (tried(lang, attempt)) } }
            details id={ "packet-" (key) } { summary { (lang.t("Packet", "推送内容")) } (layout::json(lang, &pushed.packet.to_string())) }
        }
    }
}

fn tried(lang: Lang, attempt: &Attempt) -> Markup {
    html! {
        li .(if attempt.acknowledged { "" } else { "bad" }) {
            @if !attempt.acknowledged { "✗ " }
            @match attempt.status { Some(status) => (status), None => (lang.t("no answer", "无应答")) }
            " · " (attempt.ms) " ms · " (attempt.meaning(lang))
            @if attempt.duplicate { " · " (lang.t("sent twice, by a fault", "因设定的故障重复发送")) }
            @match (&attempt.reply, &attempt.answer) {
                (Some(reply @ Value::Object(_)), _) => (layout::json(lang, &reply.to_string())),
                (None, Some(answer)) if !answer.is_empty() => pre { (answer) },
                _ => {}
            }
        }
    }
}

/// What the gateway says of its pushes; else, why it says nothing.
async fn ask<T: for<'a> Deserialize<'a>>(
    gateway: &Gateway,
    lang: Lang,
    method: &Method,
    target: &str,
) -> Result<T, String> {
    let (status, body): (StatusCode, Bytes) = gateway.operate_push(method, target).await;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| error.to_string());
    }
    let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    Err(lang.either(text("errMsg"), text("errMsgZh")).to_owned())
}
