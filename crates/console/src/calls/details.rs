//! One call: why it failed and how to mend that, what happened inside, what it was given and what it returned.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use gateway::ReplyBody;
use http::{Response, StatusCode};
use maud::{Markup, html};

use super::{Filter, badge, clock, failure, filter::after, find, gone, look, printed};
use crate::{
    Inner,
    call::Asked,
    data::production,
    json_tree::titled,
    lang::Lang,
    layout::{Viewer, copy, person, span, trouble},
    mend::Mend,
    recorder::{Call, RunningCall},
    simulated::User,
    waterfall::{self, waterfall},
    web::{self, Fields},
};

/// What a function is answered where a collection is missing.
const COLLECTION_MISSING: i64 = -502_005;
/// What WeChat answers where a template of subscribe messages is not there.
const TEMPLATE_MISSING: i64 = 40_037;

/// The call that somebody wants to see beside the list.
pub(super) struct Chosen {
    pub(super) request_id: String,
    /// The call as it was made on the page Call.
    pub(super) asked: Option<Arc<Asked>>,
    /// Whether everything that it printed is shown.
    pub(super) all_logs: bool,
}

/// What is known of it.
pub(super) enum OpenCall {
    Ended {
        call: Arc<Call>,
        /// The call that made it.
        caller: Option<Arc<Call>>,
        by_form: bool,
        /// What happened inside, drawn.
        inside: Markup,
    },
    Running(Arc<RunningCall>),
    Unknown,
}

/// Finds the call among all, and draws what happened inside. It takes its time where there are many.
pub(super) fn open(
    inner: &Inner,
    lang: Lang,
    filter: &Filter,
    all: &[Arc<Call>],
    chosen: &Chosen,
) -> OpenCall {
    let id = chosen.request_id.as_str();
    let known = all.iter().rfind(|call| call.request_id == id).cloned();
    let call = match (known, inner.recorder.running_call(id)) {
        (Some(call), _) => call,
        (None, Some(running)) => return OpenCall::Running(running),
        // It may have ended a moment ago.
        (None, None) => match inner.recorder.call(id) {
            Some(call) => call,
            None => return OpenCall::Unknown,
        },
    };
    let caller = all.iter().rev().find(|caller| {
        let mut made = caller.cloud_calls.iter();
        made.any(|made| made.callee.as_deref() == Some(id))
    });
    let asked = chosen.asked.as_deref();
    OpenCall::Ended {
        caller: caller.cloned(),
        by_form: asked.is_some(),
        inside: inside(lang, filter, &call, all, asked, chosen.all_logs),
        call,
    }
}

/// What happened inside a call, what it was given and what it returned.
fn inside(
    lang: Lang,
    filter: &Filter,
    call: &Call,
    all: &[Arc<Call>],
    asked: Option<&Asked>,
    all_logs: bool,
) -> Markup {
    let by_id: HashMap<&str, &Arc<Call>> = match call.cloud_calls.iter().any(|made| made.callee.is_some()) {
        true => all.iter().map(|call| (call.request_id.as_str(), call)).collect(),
        false => HashMap::new(),
    };
    let callees = waterfall::gather(call, &|id| by_id.get(id).map(|call| Arc::clone(call)));
    let event = call.exchange.as_ref().map(|both| both.request.as_str());
    let result = asked.and_then(Asked::result);
    let answer = call.exchange.as_ref().map(|both| both.answer.as_str());
    let result = result.or(answer).filter(|result| !result.is_empty());
    html! {
        h3 { (lang.t("What happened inside", "调用过程")) }
        (waterfall(lang, filter, call, &callees, asked.map(|asked| asked.took), all_logs))
        @if event.is_some() || result.is_some() {
            div .values {
                @if let Some(event) = event { (titled(lang, "event", event)) }
                @if let Some(result) = result { (titled(lang, lang.t("Result", "返回值"), result)) }
            }
        } @else {
            p .dim { (lang.t(
                "Event and result are kept for the last calls since the start alone: they may hold what should not lie on a disk.",
                "event 与返回值只为启动以来最近的调用保留，不写入磁盘（其中可能有不宜落盘的数据）。",
            )) }
        }
    }
}

/// The call beside the list.
pub(super) async fn pane(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    filter: &Filter,
    users: &[User],
    open: &OpenCall,
) -> Markup {
    let (label, contents) = drawn(inner, viewer, filter, users, open).await;
    html! {
        section #call .open tabindex="-1" hx-boost="true" hx-target="#call" hx-select="#call" hx-swap="outerHTML show:none" hx-sync="#calls:replace" aria-label=(label) {
            (contents)
        }
    }
}

/// What the pane of a running call asks for: what stands in it now, or nothing while that is what is `seen`.
pub(crate) async fn now(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    request_id: &str,
    query: &Fields,
) -> Response<ReplyBody> {
    let running = inner.recorder.running_call(request_id);
    if running.is_some_and(|call| call.printed.to_string() == query.get("seen")) {
        return web::nothing();
    }
    let filter = Filter::of(query);
    let chosen = Chosen {
        request_id: request_id.to_owned(),
        asked: inner.asked(request_id),
        all_logs: false,
    };
    let open = match look(inner, viewer.lang, &filter, Some(chosen)).await {
        Ok(sight) => sight.open.unwrap_or(OpenCall::Unknown),
        Err(error) => return web::html(StatusCode::OK, trouble(&error)),
    };
    let users = inner.users().await;
    let (_, contents) = drawn(inner, viewer, &filter, &users, &open).await;
    web::html(StatusCode::OK, contents)
}

/// What the pane is called, and what stands in it.
async fn drawn(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    filter: &Filter,
    users: &[User],
    open: &OpenCall,
) -> (String, Markup) {
    let lang = viewer.lang;
    let close = filter.link("/calls", &[("before", &filter.before)]);
    let close = html! { a .close href=(close) hx-boost="false" aria-label=(lang.t("Close", "关闭")) { "×" } };
    let label = |function: &str| format!("{} {function}", lang.t("Call", "调用详情"));
    match open {
        OpenCall::Unknown => {
            let text = lang.t(
                "This call is not kept any more; or it still runs, and has printed nothing yet.",
                "这次调用已不再保存；也可能仍在执行，且尚无输出。",
            );
            (label(""), html! { p .head { (close) } (trouble(text)) })
        }
        OpenCall::Running(call) => (
            label(&call.function),
            running(viewer, filter, users, call, &close),
        ),
        OpenCall::Ended {
            call,
            caller,
            by_form,
            inside,
        } => {
            let caller = caller.as_deref();
            let contents = html! {
                header .head {
                    (badge(viewer, call)) " " h2 { (call.function) } " "
                    span .dim { (clock(call.at)) " · " (span(call.ran)) }
                    (again(viewer, call, *by_form))
                    (close)
                }
                p .dim {
                    (person(users, lang, call.openid.as_deref())) " · " (call.source) " · HTTP " (call.status)
                    @if let Some(http) = &call.http { " · " code { (http) } }
                    @if let Some(attempt) = call.attempt { " · " (lang.t("attempt ", "第 ")) (attempt) (lang.t("", " 次")) }
                    @if let Some(caller) = caller {
                        " · " (lang.t("called by ", "调用方 ")) a href=(filter.of_call(&caller.request_id)) { (caller.function) }
                    }
                    " · requestID " code { (call.request_id) } " " (copy(lang, &call.request_id))
                }
                (cause(inner, viewer, call).await)
                (inside)
            };
            (label(&call.function), contents)
        }
    }
}

/// A call that has not ended: what it printed last, until its end can be shown.
fn running(viewer: &Viewer, filter: &Filter, users: &[User], call: &RunningCall, close: &Markup) -> Markup {
    let lang = viewer.lang;
    let seen = call.printed.to_string();
    let again = filter.link(
        &format!("/calls/{}/now", call.request_id),
        &[("before", &filter.before), ("seen", &seen)],
    );
    html! {
        header .head {
            span .busy-dot aria-hidden="true" { "●" } " " h2 { (call.function) } " "
            span .dim { (lang.t("still runs, since ", "仍在执行，开始于 ")) (clock(call.since)) }
            (close)
        }
        p .dim { (person(users, lang, call.openid.as_deref())) " · requestID " code { (call.request_id) } " " (copy(lang, &call.request_id)) }
        ol .lines {
            @for line in &call.lines { (printed(after(call.since, line.at), None, "", line.level, &line.text)) }
        }
        // Nobody has clicked for it: it changes neither the address nor what somebody is about to do, and gives way to what somebody asks for.
        div data-follows hx-get=(again) hx-trigger="every 1s" hx-select="unset" hx-push-url="false" hx-sync="#calls:abort" {}
    }
}

/// The button that makes the call once more.
fn again(viewer: &Viewer, call: &Call, by_form: bool) -> Markup {
    let lang = viewer.lang;
    let by_client = call.source.starts_with("wx_client") && !call.source.contains(',');
    html! {
        @if by_form || (by_client && call.http.is_none()) {
            a .button.small href=(web::link("/call", &[("again", &call.request_id)])) hx-boost="false" { (lang.t("Call again", "再次调用")) }
        }
    }
}

/// What happened inside a call that was made on the page Call.
pub(crate) async fn parts(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    call: &Arc<Call>,
    asked: Option<&Arc<Asked>>,
) -> Markup {
    let drawn = {
        let (inner, lang) = (Arc::clone(inner), viewer.lang);
        let (call, asked) = (Arc::clone(call), asked.cloned());
        tokio::task::spawn_blocking(move || {
            let all = inner.recorder.calls(usize::MAX, |_| true);
            inside(lang, &Filter::default(), &call, &all, asked.as_deref(), false)
        })
    };
    html! {
        (cause(inner, viewer, call).await)
        @match drawn.await { Ok(drawn) => (drawn), Err(error) => (trouble(&error.to_string())) }
    }
}

/// Why it failed, and what to do; the button where something can be done from here.
async fn cause(inner: &Inner, viewer: &Viewer, call: &Call) -> Markup {
    let lang = viewer.lang;
    let shown = inner.shown();
    let root = shown
        .as_ref()
        .and_then(|shown| std::path::absolute(&shown.project.root).ok());
    let curable = match (&shown, call.failed() && viewer.simulated) {
        (Some(shown), true) => shown.curable(&call.function, viewer.lang).await,
        _ => Vec::new(),
    };
    let missing: BTreeSet<&str> = call
        .cloud_calls
        .iter()
        .filter(|made| made.code == COLLECTION_MISSING)
        .filter_map(|made| made.database.as_ref())
        .map(|made| made.collection.as_str())
        .filter(|name| !name.is_empty())
        .collect();
    let wants_template =
        viewer.simulated && call.cloud_calls.iter().any(|made| made.code == TEMPLATE_MISSING);
    html! {
        @if let Some((code, text)) = &call.error { (failure(viewer, *code, text, root.as_deref())) }
        @if !call.notes.is_empty() || !call.warnings.is_empty() || !curable.is_empty() || !missing.is_empty() || wants_template {
            div .why {
                @for note in &call.notes { p { (lang.of_wording(note)) } }
                @for (field, text) in &call.warnings { p { code { (field) } " " (lang.of_wording(text)) } }
                @for what in &curable { p { (lang.t("In this function: ", "这个云函数里：")) (what) } }
                div .actions {
                    @if !curable.is_empty() { (mending(lang, Mend::Files(&call.function))) }
                    @for name in &missing { (mending(lang, Mend::Collection(name))) }
                    @if wants_template {
                        a .button.small href="/wechat#add-template" hx-boost="false" { (lang.t("Add the template", "添加订阅消息模板")) }
                    }
                }
                @if !missing.is_empty() { (production(viewer)) }
            }
        }
    }
}

/// A button that mends, in whose place stands what was done once it was.
fn mending(lang: Lang, mend: Mend<'_>) -> Markup {
    html! { div .mending { (mend.button(lang, "next .said")) div .said {} } }
}

/// What was sent and answered by one of a call's cloud calls.
pub(crate) async fn step(inner: &Arc<Inner>, viewer: &Viewer, id: &str, number: &str) -> Response<ReplyBody> {
    let call = find(inner, id).await;
    let made = number
        .parse()
        .ok()
        .and_then(|number: usize| call.as_ref()?.cloud_calls.get(number));
    match made {
        Some(made) => web::html(StatusCode::OK, waterfall::exchange(viewer.lang, made)),
        None => gone(viewer),
    }
}
