//! The page Calls: the last calls as they happen, filtered, and everything that is known of one.

use std::sync::Arc;

use gateway::{Exchange, ReplyBody};
use http::{Response, StatusCode};
use maud::{Markup, html};
use runtime::Level;

use crate::{
    Inner, call,
    call::Asked,
    layout::{self, Page, Viewer, outcome, person, span, time},
    recorder::{Call, Line, RunningCall, Told},
    simulated::User,
    waterfall::waterfall,
    web::{self, Fields},
};

/// Calls that are shown at once.
const MOST: usize = 50;
/// Notes that are shown below them.
const NOTES: usize = 10;

/// Which calls somebody wants to see; an empty text is any.
#[derive(Clone, Debug)]
pub(crate) struct Filter {
    function: String,
    openid: String,
    status: String,
}

impl Filter {
    pub(crate) fn of(fields: &Fields) -> Self {
        Self {
            function: fields.get("function").to_owned(),
            openid: fields.get("user").trim().to_owned(),
            status: fields.get("status").to_owned(),
        }
    }

    fn is_of(&self, function: &str, openid: Option<&str>) -> bool {
        let any_or = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        any_or(&self.function, function) && any_or(&self.openid, openid.unwrap_or_default())
    }

    fn takes(&self, call: &Call) -> bool {
        self.is_of(&call.function, call.openid.as_deref())
            && match self.status.as_str() {
                "ok" => !call.failed(),
                "failed" => call.failed(),
                _ => true,
            }
    }

    fn link(&self, path: &str) -> String {
        let fields = [
            ("function", self.function.as_str()),
            ("user", &self.openid),
            ("status", &self.status),
        ];
        web::link(path, &fields)
    }
}

pub(crate) async fn page(inner: &Inner, viewer: &Viewer, fields: &Fields) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let filter = Filter::of(fields);
    let users = inner.users().await;
    let shown = inner.shown();
    let names: Vec<&str> = shown.iter().flat_map(|shown| shown.names()).collect();
    let paused = fields.get("paused") == "1";
    let option = |value: &str, text: &str, chosen: &str| html! { option value=(value) selected[value == chosen] { (text) } };
    let now = rows(inner, viewer, &filter, &users);
    let content = html! {
        form .filter method="get" action="/calls" role="search" {
            label {
                (lang.t("Function", "云函数")) " "
                select name="function" {
                    (option("", lang.t("all", "全部"), &filter.function))
                    @for name in &names { (option(name, name, &filter.function)) }
                    @if !filter.function.is_empty() && !names.contains(&filter.function.as_str()) {
                        (option(&filter.function, &filter.function, &filter.function))
                    }
                }
            }
            label {
                (lang.t("User", "用户")) " "
                @if viewer.simulated {
                    select name="user" {
                        (option("", lang.t("all", "全部"), &filter.openid))
                        @for user in &users { (option(&user.openid, &user.name, &filter.openid)) }
                    }
                } @else {
                    input name="user" value=(filter.openid) placeholder="openid";
                }
            }
            label {
                (lang.t("Status", "状态")) " "
                select name="status" {
                    (option("", lang.t("all", "全部"), &filter.status))
                    (option("ok", lang.t("ok", "成功"), &filter.status))
                    (option("failed", lang.t("failed", "失败"), &filter.status))
                }
            }
            label .check {
                input type="checkbox" name="paused" value="1" checked[paused];
                " " (lang.t("hold still", "暂停更新"))
            }
            button { (lang.t("Show", "显示")) }
        }
        @if paused { (now) } @else { (layout::live(&filter.link("/live/calls"), now)) }
    };
    layout::page(viewer, Page::Calls, content)
}

/// The part of the page that follows what happens.
pub(crate) fn rows(inner: &Inner, viewer: &Viewer, filter: &Filter, users: &[User]) -> Markup {
    let lang = viewer.lang;
    let calls = inner.recorder.calls(MOST, |call| filter.takes(call));
    let notes = inner.recorder.notes(NOTES, |note| {
        let of_a_call = calls.iter().any(|call| call.concerns(note));
        !of_a_call && (filter.openid.is_empty() || note.openid.as_ref() == Some(&filter.openid))
    });
    html! {
        p .dim { (lang.t("Calls since the start: ", "启动以来的调用次数：")) (inner.recorder.count()) }
        (running(inner, viewer, filter, users))
        @if calls.is_empty() {
            p { (lang.t("No call yet. ", "还没有调用。")) a href="/call" { (lang.t("Make one", "去调用")) } }
        } @else {
            table .calls {
                thead { tr {
                    th scope="col" { (lang.t("Time", "时间")) }
                    th scope="col" { (lang.t("Function", "云函数")) }
                    th scope="col" { (lang.t("Result", "结果")) }
                    th scope="col" { (lang.t("Ran", "耗时")) }
                    th scope="col" { (lang.t("User", "用户")) }
                    th scope="col" { (lang.t("Source", "来源")) }
                } }
                tbody { @for call in &calls { (row(viewer, call, users)) } }
            }
        }
        @if !notes.is_empty() {
            h2 { (lang.t("Also told", "其他消息")) }
            (told(&notes))
        }
    }
}

/// What functions print, while they still run.
fn running(inner: &Inner, viewer: &Viewer, filter: &Filter, users: &[User]) -> Markup {
    let lang = viewer.lang;
    let wanted =
        |call: &RunningCall| filter.status.is_empty() && filter.is_of(&call.function, call.openid.as_deref());
    html! {
        @for call in inner.recorder.running(wanted) {
            section .running {
                p {
                    (lang.t("Running: ", "执行中：")) strong { (call.function) } " · "
                    (person(users, lang, call.openid.as_deref())) " · " code .dim { (call.request_id) }
                }
                ol .logs { @for line in &call.lines { (printed(line)) } }
            }
        }
    }
}

fn row(viewer: &Viewer, call: &Call, users: &[User]) -> Markup {
    let lang = viewer.lang;
    html! {
        tr {
            td { a id={ "row-" (call.number) } href={ "/calls/" (call.request_id) } { (time(call.at)) } }
            td { (call.function) @if let Some(http) = &call.http { " " span .dim.brief { (http) } } }
            td {
                (outcome(lang, call.failed()))
                @if let Some((code, text)) = &call.error {
                    " " code { (code) } " " span .dim.brief { (text.lines().next().unwrap_or_default()) }
                }
            }
            td .number { (span(call.ran)) }
            td { (person(users, lang, call.openid.as_deref())) }
            td .dim { (call.source) }
        }
    }
}

/// Everything that is known of a call.
pub(crate) async fn details(inner: &Inner, viewer: &Viewer, request_id: &str) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let Some(call) = inner.recorder.call(request_id) else {
        let text = lang.t(
            "This call is not, or no longer, among the last ones.",
            "最近的调用里没有这一次（或已被淘汰）。",
        );
        return layout::failed(viewer, StatusCode::NOT_FOUND, text);
    };
    let users = inner.users().await;
    let asked = inner.asked(request_id);
    let content = html! {
        p {
            (outcome(lang, call.failed())) " " strong { (call.function) } " · " (time(call.at)) " · "
            (person(&users, lang, call.openid.as_deref())) " · " span .dim { (call.source) }
            @if let Some(http) = &call.http { " · " code { (http) } }
            @if let Some(attempt) = call.attempt { " · " (lang.t("attempt ", "第 ")) (attempt) (lang.t("", " 次")) }
        }
        p .dim { "requestID " code { (call.request_id) } " · HTTP " (call.status) }
        @if let Some(asked) = &asked { (call::again(viewer, request_id, asked)) }
        (parts(inner, viewer, &call, asked.as_deref()))
    };
    layout::page(viewer, Page::Calls, content)
}

/// What happened inside a call.
pub(crate) fn parts(inner: &Inner, viewer: &Viewer, call: &Call, asked: Option<&Asked>) -> Markup {
    let lang = viewer.lang;
    let notes = inner.recorder.notes(NOTES, |note| call.concerns(note));
    html! {
        @if let Some((code, text)) = &call.error {
            h2 { (lang.t("Error", "错误")) " " code { (code) } }
            pre .error tabindex="0" { (text) }
        }
        @if !notes.is_empty() {
            h2 { (lang.t("Why, and what to do", "原因与处理")) }
            (told(&notes))
        }
        @if !call.warnings.is_empty() {
            h2 { (lang.t("Warnings", "警告")) }
            ul .findings { @for (field, text) in &call.warnings { li { code { (field) } " " (text) } } }
        }
        @if let Some(result) = asked.and_then(Asked::result) {
            h2 { (lang.t("Result", "返回值")) }
            (layout::json(lang, result))
        }
        h2 { (lang.t("What happened inside", "调用过程")) }
        (waterfall(lang, call, asked.map(|asked| asked.took)))
        @for made in &call.cloud_calls {
            @if let Some(Exchange { request, answer }) = &made.exchange {
                details {
                    summary { (made.what) " " code .(if made.code == 0 { "good" } else { "bad" }) { (made.code) } }
                    h3 { (lang.t("Sent", "发送的内容")) }
                    pre .json tabindex="0" { (request) }
                    h3 { (lang.t("Answered", "返回的内容")) }
                    pre .json tabindex="0" { (answer) }
                }
            }
        }
        h2 { (lang.t("Logs", "日志")) }
        (logs(viewer, call))
        @if let Some(asked) = asked {
            h2 { (lang.t("Sent", "发送的内容")) }
            (layout::json(lang, &asked.event))
        }
        @if let Some(Exchange { request, answer }) = &call.exchange {
            h2 { (lang.t("Event", "event")) }
            (layout::json(lang, request))
            @if asked.is_none() && !answer.is_empty() {
                h2 { (lang.t("Result", "结果")) }
                (layout::json(lang, answer))
            }
        }
    }
}

fn printed(line: &Line) -> Markup {
    let kind = match line.level {
        Level::Error => "bad",
        Level::Warn => "warn",
        _ => "",
    };
    html! { li .(kind) { span .dim { (span(line.at)) " " (line.level.name()) } pre { (line.text) } } }
}

fn logs(viewer: &Viewer, call: &Call) -> Markup {
    let lang = viewer.lang;
    html! {
        @if call.logs.is_empty() && !call.more_logs {
            p .dim { (lang.t("It printed nothing.", "没有输出。")) }
        }
        @if !call.logs.is_empty() { ol .logs { @for line in &call.logs { (printed(line)) } } }
        @if call.more_logs { p .dim { (lang.t("It printed more, which was not kept.", "更多输出未保留。")) } }
    }
}

fn told(notes: &[Arc<Told>]) -> Markup {
    html! { ul .findings { @for note in notes { li { span .dim { (time(note.at)) } " " (note.text) } } } }
}
