//! One call: why it failed and how to mend that, what happened inside, what it was given and what it returned.

use std::sync::Arc;

use gateway::ReplyBody;
use http::{Response, StatusCode};
use maud::{Markup, html};

use super::{Filter, NOTES, badge, clock, failure, gone, known};
use crate::{
    Inner,
    call::Asked,
    functions,
    json_tree::titled,
    layout::{Viewer, copy, person, span, trouble},
    recorder::Call,
    simulated::User,
    waterfall::{self, waterfall},
    web::{self, Fields},
};

/// What a function is answered where a collection is missing.
const COLLECTION_MISSING: i64 = -502_005;

/// The call beside the list.
pub(super) async fn pane(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    filter: &Filter,
    request_id: &str,
    all_logs: bool,
    users: &[User],
    all: &[Arc<Call>],
) -> Markup {
    let lang = viewer.lang;
    let find = |id: &str| all.iter().rfind(|call| call.request_id == id).cloned();
    let close = filter.link("/calls", &[("before", &filter.before)]);
    let Some(call) = find(request_id) else {
        return html! {
            section #call .open hx-boost="true" hx-target="#call" hx-select="#call" hx-swap="outerHTML show:none" aria-label=(lang.t("Call", "调用详情")) {
                p .head { a .close href=(close) hx-boost="false" aria-label=(lang.t("Close", "关闭")) { "×" } }
                (trouble(lang.t(
                    "This call still runs, or is not kept any more.",
                    "这次调用仍在执行，或已不再保存。",
                )))
            }
        };
    };
    let asked = inner.asked(request_id);
    let caller = all.iter().rev().find(|caller| {
        let mut made = caller.cloud_calls.iter();
        made.any(|made| made.callee.as_deref() == Some(request_id))
    });
    let ask = Ask {
        asked: asked.as_deref(),
        all_logs,
        find: &find,
    };
    html! {
        section #call .open hx-boost="true" hx-target="#call" hx-select="#call" hx-swap="outerHTML show:none" aria-label=(lang.t("Call", "调用详情")) {
            header .head {
                (badge(viewer, &call)) " " strong { (call.function) } " "
                span .dim { (clock(call.at)) " · " (span(call.ran)) }
                (again(viewer, &call, asked.as_deref()))
                a .close href=(close) hx-boost="false" aria-label=(lang.t("Close", "关闭")) { "×" }
            }
            p .dim {
                (person(users, lang, call.openid.as_deref())) " · " (call.source) " · HTTP " (call.status)
                @if let Some(http) = &call.http { " · " code { (http) } }
                @if let Some(attempt) = call.attempt { " · " (lang.t("attempt ", "第 ")) (attempt) (lang.t("", " 次")) }
                @if let Some(caller) = caller {
                    " · " (lang.t("called by ", "调用方 ")) a href=(web::link("/calls", &[("call", &caller.request_id)])) { (caller.function) }
                }
                " · requestID " code { (call.request_id) } " " (copy(lang, &call.request_id))
            }
            (contents(inner, viewer, &call, &ask).await)
        }
    }
}

/// The button that makes the call once more.
fn again(viewer: &Viewer, call: &Call, asked: Option<&Asked>) -> Markup {
    let lang = viewer.lang;
    let by_client = call.source.starts_with("wx_client") && !call.source.contains(',');
    html! {
        @if asked.is_some() || (by_client && call.http.is_none()) {
            a .button.small href=(web::link("/call", &[("again", &call.request_id)])) hx-boost="false" { (lang.t("Call again", "再次调用")) }
        }
    }
}

/// How a call is shown.
struct Ask<'a> {
    /// The call as it was made on the page Call.
    asked: Option<&'a Asked>,
    all_logs: bool,
    find: waterfall::CallOf<'a>,
}

/// What happened inside a call that was made on the page Call.
pub(crate) async fn parts(inner: &Inner, viewer: &Viewer, call: &Call, asked: &Asked) -> Markup {
    let find = |id: &str| inner.recorder.call(id);
    let ask = Ask {
        asked: Some(asked),
        all_logs: false,
        find: &find,
    };
    contents(inner, viewer, call, &ask).await
}

async fn contents(inner: &Inner, viewer: &Viewer, call: &Call, ask: &Ask<'_>) -> Markup {
    let lang = viewer.lang;
    let total = ask.asked.map(|asked| asked.took);
    let event = call.exchange.as_ref().map(|both| both.request.as_str());
    let result = ask.asked.and_then(Asked::result);
    let answer = call.exchange.as_ref().map(|both| both.answer.as_str());
    let result = result.or(answer).filter(|result| !result.is_empty());
    html! {
        (cause(inner, viewer, call).await)
        h3 { (lang.t("What happened inside", "调用过程")) }
        (waterfall(lang, call, total, ask.find, ask.all_logs))
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

/// Why it failed, and what to do; the button where something can be done from here.
async fn cause(inner: &Inner, viewer: &Viewer, call: &Call) -> Markup {
    let lang = viewer.lang;
    let notes = inner.recorder.notes(NOTES, |note| call.concerns(note));
    let notes: Vec<&str> = match notes.is_empty() {
        true => call.notes.iter().map(String::as_str).collect(),
        false => notes.iter().map(|note| note.text.as_str()).collect(),
    };
    let shown = inner.shown();
    let root = shown
        .as_ref()
        .and_then(|shown| std::path::absolute(&shown.project.root).ok());
    let root = root.map(|root| root.display().to_string()).unwrap_or_default();
    let curable = match (&shown, call.failed() && viewer.simulated) {
        (Some(shown), true) => shown.curable(&call.function, viewer.lang).await,
        _ => Vec::new(),
    };
    let missing: Vec<&str> = call
        .cloud_calls
        .iter()
        .filter(|made| made.code == COLLECTION_MISSING)
        .filter_map(|made| made.database.as_ref())
        .map(|made| made.collection.as_str())
        .filter(|name| !name.is_empty())
        .collect();
    html! {
        @if let Some((code, text)) = &call.error { (failure(viewer, *code, text, &root)) }
        @if !notes.is_empty() || !call.warnings.is_empty() || !curable.is_empty() || !missing.is_empty() {
            div .why {
                @for note in &notes { p { (note) } }
                @for (field, text) in &call.warnings { p { code { (field) } " " (text) } }
                @for what in &curable { p { (what) } }
                div #mended .actions {
                    @if !curable.is_empty() {
                        (button(lang.t("Mend it in the files", "修改文件"), "doctor", &call.function))
                    }
                    @if let Some(name) = missing.first() {
                        (button(lang.t("Make the collection", "新建集合"), "collection", name))
                    }
                }
            }
        }
    }
}

fn button(text: &str, what: &str, name: &str) -> Markup {
    html! {
        form hx-post="/calls/mend" hx-target="#mended" hx-swap="innerHTML" hx-select="unset" hx-push-url="false" {
            input type="hidden" name="what" value=(what);
            input type="hidden" name="name" value=(name);
            button .button.small { (text) @if what == "collection" { " " (name) } }
        }
    }
}

/// Does what a button below a cause says, and says what was done.
pub(crate) async fn mend(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let (lang, name) = (viewer.lang, form.get("name"));
    let done = match form.get("what") {
        "doctor" if viewer.simulated => functions::cure(inner, name, viewer.lang).await,
        "collection" => {
            let made = inner.database.create_collection(name).await;
            made.map(|()| vec![lang.t("The collection is there: ", "集合已新建：").to_owned() + name])
                .map_err(|error| error.to_string())
        }
        _ => return crate::missing(viewer),
    };
    let said = match done {
        Ok(done) => html! {
            div role="status" { @for line in &done { p .good { "✓ " (line) } } }
            p .dim { (lang.t("Call again to see whether it goes well now.", "请再次调用，看看是否已正常。")) }
        },
        Err(error) => trouble(&error),
    };
    web::html(StatusCode::OK, said)
}

/// What was sent and answered by one of a call's cloud calls.
pub(crate) async fn step(inner: &Arc<Inner>, viewer: &Viewer, id: &str, number: &str) -> Response<ReplyBody> {
    let call = match inner.recorder.call(id) {
        Some(call) => Some(call),
        None => known(inner)
            .await
            .0
            .into_iter()
            .rfind(|call| call.request_id == id),
    };
    let made = number
        .parse()
        .ok()
        .and_then(|number: usize| call.as_ref()?.cloud_calls.get(number));
    match made {
        Some(made) => web::html(StatusCode::OK, waterfall::exchange(viewer.lang, made)),
        None => gone(viewer),
    }
}
