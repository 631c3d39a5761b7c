//! The page Calls: calls as they happen and as they were, over time and one by one, what they printed, and beside it everything that is
//! known of one.

mod details;
mod filter;

use std::{collections::BTreeSet, sync::Arc};

use gateway::ReplyBody;
use http::{Response, StatusCode};
use jiff::{Timestamp, tz::TimeZone};
use maud::{Markup, html};

use self::filter::{Found, Lines, View, WINDOWS, after, printed_at};
pub(crate) use self::{
    details::{mend, parts, step},
    filter::Filter,
};
use crate::{
    Inner,
    layout::{self, Page, Viewer, outcome, person, span, time, trouble},
    recorder::{Call, LogLine, RunningCall, Told, beginning},
    simulated::User,
    stack::Thrown,
    waterfall::kind_of,
    web::{self, Fields},
};

/// Notes that are shown.
const NOTES: usize = 10;
/// Running calls that are shown.
const RUNNING: usize = 10;
/// Bytes of an error's text.
const ERROR: usize = 8 << 10;
/// Bytes of a line or an error in a list.
const BRIEF: usize = 240;

pub(crate) async fn page(inner: &Arc<Inner>, viewer: &Viewer, fields: &Fields) -> Response<ReplyBody> {
    let filter = Filter::of(fields);
    let paused = fields.get("paused") == "1";
    let users = inner.users().await;
    let (all, error) = known(inner).await;
    let all: Arc<[Arc<Call>]> = all.into();
    let now = found(inner, viewer, &filter, &users, &all, error.as_deref()).await;
    let chosen = fields.get("call");
    let pane = if chosen.is_empty() {
        html! { section #call {} }
    } else {
        let all_logs = !fields.get("all").is_empty();
        details::pane(inner, viewer, &filter, chosen, all_logs, &users, &all).await
    };
    let content = html! {
        (form(inner, viewer, &filter, &users, &all, paused, chosen))
        div #calls {
            @if paused || !filter.before.is_empty() { div .still { (now) } }
            @else { (layout::live(&filter.link("/live/calls", &[]), now)) }
            (pane)
        }
    };
    layout::page(viewer, Page::Calls, content)
}

/// Where one call was shown by itself, and where the charts were.
pub(crate) fn moved(request_id: &str) -> Response<ReplyBody> {
    web::lead(&web::link("/calls", &[("call", request_id)]), "")
}

/// The filter: what is chosen applies at once, and stands in the address.
fn form(
    inner: &Inner,
    viewer: &Viewer,
    filter: &Filter,
    users: &[User],
    all: &[Arc<Call>],
    paused: bool,
    chosen: &str,
) -> Markup {
    let lang = viewer.lang;
    let shown = inner.shown();
    // Those that there are, and those that were called before they were removed.
    let names: BTreeSet<&str> = all
        .iter()
        .map(|call| call.function.as_str())
        .chain(shown.iter().flat_map(|shown| shown.names()))
        .collect();
    let option = |value: &str, text: &str, chosen: &str| html! { option value=(value) selected[value == chosen] { (text) } };
    let view = |value: &str, text: &str, is: bool| {
        html! { label { input type="radio" name="view" value=(value) checked[is]; span { (text) } } }
    };
    let window = filter.window.map(|window| window.to_string()).unwrap_or_default();
    let zoom = |at: Option<i64>| at.map(|at| at.to_string()).unwrap_or_default();
    html! {
        form #wanted .filter method="get" action="/calls" role="search"
            hx-get="/calls" hx-trigger="change, input delay:250ms from:find input[type=search], submit" hx-target="#calls" hx-select="#calls"
            hx-swap="outerHTML show:none" hx-push-url="true" hx-sync="this:replace" {
            div .choice role="group" aria-label=(lang.t("View", "视图")) {
                (view("", lang.t("Calls", "调用"), filter.view == View::Calls))
                (view("logs", lang.t("Logs", "日志"), filter.view == View::Logs))
            }
            input type="search" name="q" value=(filter.text) aria-label=(lang.t("Search", "搜索")) autocomplete="off" spellcheck="false"
                placeholder=(lang.t("Search logs, errors, request IDs  ( / )", "搜索日志、错误、requestID（按 /）"));
            select name="function" aria-label=(lang.t("Function", "云函数")) {
                (option("", lang.t("all functions", "全部云函数"), &filter.function))
                @for name in &names { (option(name, name, &filter.function)) }
                @if !filter.function.is_empty() && !names.contains(filter.function.as_str()) {
                    (option(&filter.function, &filter.function, &filter.function))
                }
            }
            @if viewer.simulated {
                select name="user" aria-label=(lang.t("User", "用户")) {
                    (option("", lang.t("all users", "全部用户"), &filter.openid))
                    @for user in users { (option(&user.openid, &user.name, &filter.openid)) }
                    @if !filter.openid.is_empty() && users.iter().all(|user| user.openid != filter.openid) {
                        (option(&filter.openid, &filter.openid, &filter.openid))
                    }
                }
            } @else {
                input name="user" value=(filter.openid) placeholder="openid" aria-label=(lang.t("User", "用户"));
            }
            select name="status" aria-label=(lang.t("Status", "状态")) {
                (option("", lang.t("all results", "全部结果"), &filter.status))
                (option("ok", lang.t("ok", "成功"), &filter.status))
                (option("failed", lang.t("failed", "失败"), &filter.status))
            }
            select name="window" aria-label=(lang.t("Timeline", "时间线")) {
                (option("", lang.t("lately", "最近"), &window))
                @for (minutes, text) in WINDOWS.into_iter().zip([
                    lang.t("15 minutes", "15 分钟"), lang.t("1 hour", "1 小时"), lang.t("6 hours", "6 小时"),
                    lang.t("1 day", "1 天"), lang.t("7 days", "7 天"),
                ]) { (option(&minutes.to_string(), text, &window)) }
            }
            label .check { input type="checkbox" name="paused" value="1" checked[paused]; " " (lang.t("hold still", "暂停更新")) }
            input type="hidden" name="from" value=(zoom(filter.zoom.map(|(from, _)| from)));
            input type="hidden" name="to" value=(zoom(filter.zoom.map(|(_, to)| to)));
            input type="hidden" name="call" value=(chosen);
            noscript { button { (lang.t("Show", "显示")) } }
        }
    }
}

/// All calls that are kept, the oldest first, and why some could not be read. Not read on the thread that serves.
async fn known(inner: &Arc<Inner>) -> (Vec<Arc<Call>>, Option<String>) {
    let inner = Arc::clone(inner);
    let read = tokio::task::spawn_blocking(move || {
        let mut last = inner.recorder.calls(usize::MAX, |_| true);
        last.reverse();
        inner.archive.with(last)
    });
    match read.await {
        Ok((all, error)) => (all, error.map(|error| error.to_string())),
        Err(error) => (Vec::new(), Some(error.to_string())),
    }
}

/// The part of the page that follows what happens.
pub(crate) async fn list(inner: &Arc<Inner>, viewer: &Viewer, filter: &Filter, users: &[User]) -> Markup {
    let (all, error) = known(inner).await;
    found(inner, viewer, filter, users, &all.into(), error.as_deref()).await
}

async fn found(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    filter: &Filter,
    users: &[User],
    all: &Arc<[Arc<Call>]>,
    error: Option<&str>,
) -> Markup {
    let lang = viewer.lang;
    let looked = {
        let (inner, filter, all) = (Arc::clone(inner), filter.clone(), Arc::clone(all));
        let look = move || filter.find(&all, &inner.recorder, Timestamp::now().as_millisecond());
        tokio::task::spawn_blocking(look).await
    };
    let found = match looked {
        Ok(found) => found,
        Err(error) => return trouble(&error.to_string()),
    };
    html! {
        (found.timeline.drawn(lang, filter.zoom.is_some()))
        div .list hx-boost="true" hx-target="#call" hx-select="#call" hx-swap="outerHTML show:none" {
            @if let Some(error) = error {
                (trouble(&format!("{}{error}", lang.t("Calls of earlier runs cannot be read: ", "无法读取此前运行的调用记录："))))
            }
            @match filter.view {
                View::Calls => (rows(inner, viewer, filter, &found, users)),
                View::Logs => (lines(inner, viewer, filter, &found)),
            }
            (pages(viewer, filter, &found))
            (also_told(inner, viewer, filter, &found))
        }
    }
}

fn rows(inner: &Inner, viewer: &Viewer, filter: &Filter, found: &Found, users: &[User]) -> Markup {
    let lang = viewer.lang;
    let mut day = None;
    let mut began = Some(inner.recorder.began());
    let mut dated = |call: &Call| {
        let is = call.at.to_zoned(TimeZone::system()).date();
        let before = day.replace(is);
        (before != Some(is)
            && (before.is_some() || is != Timestamp::now().to_zoned(TimeZone::system()).date()))
        .then(|| is.to_string())
    };
    let mut earlier = |call: &Call| began.take_if(|began| call.at < *began);
    html! {
        (running(inner, viewer, filter, users))
        @if found.calls.is_empty() { (nothing(viewer, found)) } @else {
            table .calls {
                thead { tr {
                    th scope="col" { (lang.t("Time", "时间")) }
                    th scope="col" { (lang.t("Function", "云函数")) }
                    th scope="col" { (lang.t("Result", "结果")) }
                    th scope="col" .number { (lang.t("Ran", "耗时")) }
                    th scope="col" { (lang.t("User", "用户")) }
                } }
                tbody {
                    @for call in &found.calls {
                        @if let Some(began) = earlier(call) {
                            tr .mark { td colspan="5" { (lang.t("started at ", "启动于 ")) (time(began)) (lang.t(", earlier runs below", "，以下为此前的运行")) } }
                        }
                        @if let Some(day) = dated(call) { tr .mark { td colspan="5" { (day) } } }
                        (row(viewer, filter, call, users))
                    }
                }
            }
        }
    }
}

fn row(viewer: &Viewer, filter: &Filter, call: &Call, users: &[User]) -> Markup {
    let lang = viewer.lang;
    html! {
        tr .failed[call.failed()] {
            td { a href=(link(filter, &call.request_id)) { (clock(call.at)) } }
            td { (call.function) @if let Some(http) = &call.http { " " span .dim.brief { (http) } } }
            td {
                @match &call.error {
                    None => span .good title=(lang.t("ok", "成功")) { "✓" },
                    Some((code, text)) => {
                        span .bad title=(lang.t("failed", "失败")) { "✗" } " " code { (code) } " "
                        span .dim.brief { (beginning(first_line(text), BRIEF)) }
                    }
                }
            }
            td .number { (span(call.ran)) }
            td .dim { (person(users, lang, call.openid.as_deref())) " " span .source.brief { (call.source) } }
        }
    }
}

/// The address at which a call stands beside the list.
fn link(filter: &Filter, request_id: &str) -> String {
    let before = [("before", filter.before.as_str()), ("call", request_id)];
    filter.link("/calls", &before)
}

/// The time of day to the millisecond: calls come close together.
fn clock(at: Timestamp) -> Markup {
    let there = at.to_zoned(TimeZone::system());
    html! { time datetime=(at) { (there.strftime("%T%.3f")) } }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn nothing(viewer: &Viewer, found: &Found) -> Markup {
    let lang = viewer.lang;
    html! {
        @if found.known == 0 {
            p { (lang.t("No call yet. ", "还没有调用。")) a href="/call" hx-boost="false" { (lang.t("Make one", "去调用")) } }
        } @else {
            p { (lang.t("Nothing fits the filter, of calls that are kept: ", "没有符合条件的调用，已保存的调用数：")) (found.known) }
        }
    }
}

/// The logs of all functions.
fn lines(inner: &Inner, viewer: &Viewer, filter: &Filter, found: &Found) -> Markup {
    let lang = viewer.lang;
    let mut all: Vec<(Timestamp, Markup)> = Vec::new();
    for Lines { call, lines, more } in &found.lines {
        let at = |line: &LogLine| printed_at(call, line);
        let link = link(filter, &call.request_id);
        all.extend(lines.iter().map(|line| {
            (
                at(line),
                printed(at(line), Some(&link), &call.function, line.level, &line.text),
            )
        }));
        if *more > 0
            && let Some(first) = lines.last()
        {
            let text = html! { li .dim { (lang.t("before that, printed by the same call: ", "同一次调用在此之前的输出：")) (more) } };
            all.push((at(first), text));
        }
    }
    for call in inner.recorder.running(|call| filter.takes_running(call)) {
        all.extend(call.lines.iter().map(|line| {
            let at = after(call.since, line.at);
            (at, printed(at, None, &call.function, line.level, &line.text))
        }));
    }
    // Those between the calls of this page; on the first also those after them.
    let oldest = found.calls.last().map(|call| call.at);
    for line in inner.recorder.loose() {
        let fits = found.skipped == 0
            && oldest.is_none_or(|oldest| line.at >= oldest || found.count == found.calls.len());
        if fits && filter.takes_loose(&line.function, &line.text) {
            all.push((
                line.at,
                printed(line.at, None, &line.function, line.level, &line.text),
            ));
        }
    }
    // The newest first, and of one moment the last printed first.
    all.reverse();
    all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    html! {
        @if all.is_empty() {
            p { (lang.t("Nothing was printed.", "没有输出。")) }
        } @else {
            ol .lines { @for (_, line) in &all { (line) } }
        }
    }
}

fn printed(at: Timestamp, link: Option<&str>, function: &str, level: runtime::Level, text: &str) -> Markup {
    let short = beginning(text, BRIEF);
    html! {
        li .(kind_of(level)) {
            @match link { Some(link) => a href=(link) { (clock(at)) }, None => span { (clock(at)) } }
            span .function { (function) }
            span .text { (short) @if short.len() < text.len() { " …" } }
        }
    }
}

/// What functions print, while they still run.
fn running(inner: &Inner, viewer: &Viewer, filter: &Filter, users: &[User]) -> Markup {
    let lang = viewer.lang;
    let running = inner.recorder.running(|call| filter.takes_running(call));
    let last = |call: &RunningCall| {
        call.lines
            .back()
            .map(|line| beginning(&line.text, BRIEF).to_owned())
    };
    html! {
        @if !running.is_empty() {
            ul .running {
                @for call in running.iter().take(RUNNING) {
                    li {
                        span .busy-dot aria-hidden="true" { "●" } " "
                        (lang.t("Running: ", "执行中：")) strong { (call.function) } " · "
                        (person(users, lang, call.openid.as_deref())) " · " code .dim { (call.request_id) }
                        @if let Some(text) = last(call) { span .text { (text) } }
                    }
                }
                @if running.len() > RUNNING { li .dim { (lang.t("and more: ", "还有：")) (running.len() - RUNNING) } }
            }
        }
    }
}

/// Which of how many are shown, and the way to the others.
fn pages(viewer: &Viewer, filter: &Filter, found: &Found) -> Markup {
    let lang = viewer.lang;
    let (from, to) = (found.skipped + 1, found.skipped + found.calls.len());
    let older = found.calls.last().filter(|_| to < found.count);
    html! {
        @if found.count > 0 {
            p .pages hx-target="#calls" hx-select="#calls" hx-swap="outerHTML show:top" {
                span .dim { (from) "–" (to) (lang.t(" of ", " / ")) (found.count) (lang.t(" calls", " 次调用")) }
                @if found.skipped > 0 { a #newest href=(filter.link("/calls", &[])) { "« " (lang.t("Newest", "最新")) } }
                @if let Some(last) = older {
                    a #older href=(filter.link("/calls", &[("before", &last.request_id)])) { (lang.t("Older", "更早")) " »" }
                }
            }
        }
    }
}

/// Notes that stand with no call of the page.
fn also_told(inner: &Inner, viewer: &Viewer, filter: &Filter, found: &Found) -> Markup {
    let lang = viewer.lang;
    let notes = inner.recorder.notes(NOTES, |note| {
        let of_a_call = found.calls.iter().any(|call| call.concerns(note));
        !of_a_call
            && filter.takes_loose("", &note.text)
            && (filter.openid.is_empty() || note.openid.as_ref() == Some(&filter.openid))
    });
    html! {
        @if !notes.is_empty() && filter.function.is_empty() && filter.status.is_empty() {
            h2 { (lang.t("Also told", "其他消息")) }
            (told(&notes))
        }
    }
}

fn told(notes: &[Arc<Told>]) -> Markup {
    html! { ul .findings { @for note in notes { li { span .dim { (time(note.at)) } " " (note.text) } } } }
}

/// An error's code, what it says, where it was thrown, and behind a click the rest of the stack.
fn failure(viewer: &Viewer, code: i64, text: &str, root: &str) -> Markup {
    let lang = viewer.lang;
    let thrown = Thrown::parse(beginning(text, ERROR));
    let place = thrown
        .place
        .map(|place| place.strip_prefix(root).unwrap_or(place).trim_start_matches('/'));
    html! {
        div .error {
            p { strong { code { (code) } } " " span .text { (thrown.message) } }
            @if let Some(place) = place { p .place { (lang.t("at ", "位于 ")) code { (place) } } }
            @if !thrown.rest.is_empty() {
                details {
                    summary { (lang.t("Stack", "调用栈")) " · " (thrown.rest.len()) (lang.t(" lines", " 行")) }
                    pre tabindex="0" { (thrown.rest.join("\n")) }
                }
            }
        }
    }
}

/// A part of a page that could not be found.
fn gone(viewer: &Viewer) -> Response<ReplyBody> {
    let text = viewer
        .lang
        .t("This call is not kept any more.", "这次调用已不再保存。");
    web::html(StatusCode::OK, trouble(text))
}

/// Whether it went well, for a headline.
fn badge(viewer: &Viewer, call: &Call) -> Markup {
    outcome(viewer.lang, call.failed())
}
