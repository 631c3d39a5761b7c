//! The page Calls: calls as they happen and as they were, over time and one by one, what they printed, and beside it everything that is
//! known of one.

mod details;
mod filter;

use std::{collections::BTreeSet, path::Path, sync::Arc};

use gateway::ReplyBody;
use http::{Response, StatusCode};
use jiff::{Timestamp, tz::TimeZone};
use maud::{Markup, html};

use self::{
    details::{Chosen, OpenCall},
    filter::{Found, View, WINDOWS, after, printed_at},
};
pub(crate) use self::{
    details::{now, parts, step},
    filter::Filter,
};
use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer, outcome, person, span, time, trouble},
    recorder::{Call, Told, beginning},
    simulated::User,
    stack::Thrown,
    waterfall::kind_of,
    web::{self, Fields},
};

/// Running calls that are shown.
const RUNNING: usize = 10;
/// Bytes of a line or an error in a list.
const BRIEF: usize = 240;

pub(crate) async fn page(inner: &Arc<Inner>, viewer: &Viewer, fields: &Fields) -> Response<ReplyBody> {
    let filter = Filter::of(fields);
    let users = inner.users().await;
    let id = fields.get("call");
    let chosen = (!id.is_empty()).then(|| Chosen {
        request_id: id.to_owned(),
        asked: inner.asked(id),
        all_logs: !fields.get("all").is_empty(),
    });
    let sight = match look(inner, viewer.lang, &filter, chosen).await {
        Ok(sight) => sight,
        Err(error) => return layout::page(viewer, Page::Calls, trouble(&error)),
    };
    let now = shown(inner, viewer, &filter, &users, &sight);
    let pane = match &sight.open {
        Some(open) => details::pane(inner, viewer, &filter, &users, open).await,
        None => html! { section #call {} },
    };
    let content = html! {
        (form(inner, viewer, &filter, &users, &sight.names, id))
        div #calls {
            @if filter.paused || !filter.before.is_empty() { div .still { (now) } }
            @else { (layout::live(&filter.link("/live/calls", &[]), now)) }
            (pane)
        }
    };
    layout::page(viewer, Page::Calls, content)
}

/// What a page shows of all calls that are kept.
struct Sight {
    found: Found,
    /// The functions that were called.
    names: BTreeSet<String>,
    /// The call beside the list, if one is asked for.
    open: Option<OpenCall>,
    /// Why calls that are on disk could not be read.
    error: Option<String>,
}

/// Looks through all calls, and draws the chosen one: on a thread that may take its time, which the one that serves may not.
async fn look(
    inner: &Arc<Inner>,
    lang: Lang,
    filter: &Filter,
    chosen: Option<Chosen>,
) -> Result<Sight, String> {
    let (inner, filter) = (Arc::clone(inner), filter.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let mut last = inner.recorder.calls(usize::MAX, |_| true);
        last.reverse();
        let (all, error) = inner.archive.with(last);
        let mut names = BTreeSet::new();
        for call in &all {
            if !names.contains(&call.function) {
                names.insert(call.function.clone());
            }
        }
        Sight {
            found: filter.find(&all, &inner.recorder, Timestamp::now().as_millisecond()),
            names,
            open: chosen.map(|chosen| details::open(&inner, lang, &filter, &all, &chosen)),
            error: error.map(|error| error.to_string()),
        }
    });
    looked.await.map_err(|error| error.to_string())
}

/// A call that is kept, or on disk.
pub(crate) async fn find(inner: &Arc<Inner>, request_id: &str) -> Option<Arc<Call>> {
    if let Some(call) = inner.recorder.call(request_id) {
        return Some(call);
    }
    let (inner, request_id) = (Arc::clone(inner), request_id.to_owned());
    let found = tokio::task::spawn_blocking(move || inner.archive.find(&request_id));
    found.await.ok().flatten()
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
    called: &BTreeSet<String>,
    chosen: &str,
) -> Markup {
    let lang = viewer.lang;
    let shown = inner.shown();
    // Those that there are, and those that were called before they were removed.
    let names: BTreeSet<&str> = called
        .iter()
        .map(String::as_str)
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
                (option("", lang.t("time: automatic", "时间：自动"), &window))
                @for (minutes, text) in WINDOWS.into_iter().zip([
                    lang.t("15 minutes", "15 分钟"), lang.t("1 hour", "1 小时"), lang.t("6 hours", "6 小时"),
                    lang.t("1 day", "1 天"), lang.t("7 days", "7 天"),
                ]) { (option(&minutes.to_string(), text, &window)) }
            }
            label .check { input type="checkbox" name="paused" value="1" checked[filter.paused]; " " (lang.t("pause updates", "暂停更新")) }
            input type="hidden" name="from" value=(zoom(filter.zoom.map(|(from, _)| from)));
            input type="hidden" name="to" value=(zoom(filter.zoom.map(|(_, to)| to)));
            input type="hidden" name="call" value=(chosen);
            noscript { button { (lang.t("Show", "显示")) } }
        }
    }
}

/// The part of the page that follows what happens.
pub(crate) async fn list(inner: &Arc<Inner>, viewer: &Viewer, filter: &Filter, users: &[User]) -> Markup {
    match look(inner, viewer.lang, filter, None).await {
        Ok(sight) => shown(inner, viewer, filter, users, &sight),
        Err(error) => trouble(&error),
    }
}

fn shown(inner: &Inner, viewer: &Viewer, filter: &Filter, users: &[User], sight: &Sight) -> Markup {
    let (lang, found) = (viewer.lang, &sight.found);
    html! {
        (found.timeline.drawn(lang, filter.zoom.is_some()))
        // Of two calls that are opened one after the other the last one is shown.
        div .list hx-boost="true" hx-target="#call" hx-select="#call" hx-swap="outerHTML show:none" hx-sync="#calls:replace" {
            @if let Some(error) = &sight.error {
                (trouble(&format!("{}{error}", lang.t("Calls of earlier runs cannot be read: ", "无法读取此前运行的调用记录："))))
            }
            @match filter.view {
                View::Calls => (rows(inner, viewer, filter, found, users)),
                View::Logs => (lines(viewer, filter, found)),
            }
            (pages(viewer, filter, found))
            @if !found.notes.is_empty() {
                h2 { (lang.t("Other messages", "其他消息")) }
                (told(lang, &found.notes))
            }
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
        (running(viewer, filter, found, users))
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
                            tr .mark { td colspan="5" { (lang.t("started at ", "启动于 ")) (time(began)) (lang.t(", earlier runs below", "，以下为此前运行的记录")) } }
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
            td { a id=[anchor("call", &call.request_id)] href=(filter.of_call(&call.request_id)) { (clock(call.at)) } }
            td { span .called { (call.function) } @if let Some(http) = &call.http { " " span .dim.brief { (http) } } }
            td {
                @match &call.error {
                    None => (mark(lang, false)),
                    Some((code, text)) => {
                        (mark(lang, true)) " " code { (code) } " "
                        span .dim.brief { (beginning(first_line(text), BRIEF)) }
                    }
                }
            }
            td .number { (span(call.ran)) }
            td .dim { (person(users, lang, call.openid.as_deref())) " " span .source.brief { (call.source) } }
        }
    }
}

/// Whether a call went well: a sign, and a word for whoever does not see it.
fn mark(lang: Lang, failed: bool) -> Markup {
    let (class, sign, word) = match failed {
        true => ("bad", "✗", lang.t("failed", "失败")),
        false => ("good", "✓", lang.t("ok", "成功")),
    };
    html! { span .(class) title=(word) { span aria-hidden="true" { (sign) } span .unseen { (word) } } }
}

/// The id of what stands for a call on the page: who is at it stays at it when the list is drawn anew. A name that somebody else may
/// have written to the disk is none.
fn anchor(kind: &str, request_id: &str) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    request_id
        .bytes()
        .all(plain)
        .then(|| format!("{kind}-{request_id}"))
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
fn lines(viewer: &Viewer, filter: &Filter, found: &Found) -> Markup {
    let lang = viewer.lang;
    // Of one moment the last printed first.
    let mut all: Vec<(Timestamp, Markup)> = Vec::new();
    for line in &found.loose {
        let text = printed(line.at, None, &line.function, line.level, &line.text);
        all.push((line.at, text));
    }
    for call in &found.running {
        let link = filter.of_call(&call.request_id);
        all.extend(call.lines.iter().rev().map(|line| {
            let at = after(call.since, line.at);
            (
                at,
                printed(at, Some((&link, None)), &call.function, line.level, &line.text),
            )
        }));
    }
    for of_call in &found.lines {
        let call = &of_call.call;
        let link = filter.of_call(&call.request_id);
        all.extend(of_call.lines().map(|(place, line)| {
            let at = printed_at(call, line);
            let id = anchor(&format!("line-{place}"), &call.request_id);
            (
                at,
                printed(at, Some((&link, id)), &call.function, line.level, &line.text),
            )
        }));
        if of_call.more > 0
            && let Some((_, first)) = of_call.lines().last()
        {
            let text = html! { li .dim { (lang.t("before that, printed by the same call: ", "同一次调用在此之前的输出：")) (of_call.more) } };
            all.push((printed_at(call, first), text));
        }
    }
    all.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    html! {
        @if all.is_empty() {
            p { (lang.t("Nothing was printed.", "没有输出。")) }
        } @else {
            ol .lines { @for (_, line) in &all { (line) } }
        }
    }
}

/// A line; with the address of the call that printed it, and an id of its own.
fn printed(
    at: Timestamp,
    link: Option<(&str, Option<String>)>,
    function: &str,
    level: runtime::Level,
    text: &str,
) -> Markup {
    let short = beginning(text, BRIEF);
    html! {
        li .(kind_of(level)) {
            @match link { Some((link, id)) => a id=[id] href=(link) { (clock(at)) }, None => span { (clock(at)) } }
            span .function { (function) }
            span .text { (short) @if short.len() < text.len() { " …" } }
        }
    }
}

/// What functions print, while they still run.
fn running(viewer: &Viewer, filter: &Filter, found: &Found, users: &[User]) -> Markup {
    let (lang, running) = (viewer.lang, &found.running);
    html! {
        @if !running.is_empty() {
            ul .running {
                @for call in running.iter().take(RUNNING) {
                    li {
                        span .busy-dot aria-hidden="true" { "●" } " "
                        (lang.t("Running: ", "执行中：")) strong { (call.function) } " · "
                        (person(users, lang, call.openid.as_deref())) " · "
                        a id=[anchor("call", &call.request_id)] href=(filter.of_call(&call.request_id)) { code { (call.request_id) } }
                        @if let Some(line) = call.lines.back() { span .text { (beginning(&line.text, BRIEF)) } }
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
                span .dim { (from) "–" (to) (lang.t(" of ", " / ")) (found.count) @if filter.view == View::Logs { (lang.t(" calls that printed something", " 次有输出的调用")) } @else { (lang.t(" calls", " 次调用")) } }
                @if found.skipped > 0 { a #newest href=(filter.link("/calls", &[])) { "« " (lang.t("Newest", "最新")) } }
                @if let Some(last) = older {
                    a #older href=(filter.link("/calls", &[("before", &last.request_id)])) { (lang.t("Older", "更早")) " »" }
                }
            }
        }
    }
}

fn told(lang: Lang, notes: &[Arc<Told>]) -> Markup {
    html! { ul .findings { @for note in notes { li { span .dim { (time(note.at)) } " " (lang.of_wording(&note.text)) } } } }
}

/// An error's code, what it says, where it was thrown, and behind a click the rest of the stack.
fn failure(viewer: &Viewer, code: i64, text: &str, root: Option<&Path>) -> Markup {
    let lang = viewer.lang;
    let thrown = Thrown::parse(text);
    let place = thrown.place.map(|place| within(place, root));
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

/// A place in the project, as seen from its folder; any other as it is.
fn within<'a>(place: &'a str, root: Option<&Path>) -> &'a str {
    let inside = root.and_then(|root| Path::new(place).strip_prefix(root).ok());
    inside.and_then(Path::to_str).unwrap_or(place)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shortened_where_it_lies_in_the_project() {
        let place = "/p/cloudfunctions/a/index.js:3:9";
        for (root, shown) in [
            (Some("/p"), "cloudfunctions/a/index.js:3:9"),
            (Some("/p/"), "cloudfunctions/a/index.js:3:9"),
            (Some("/p/cloud"), place),
            (Some("/elsewhere"), place),
            (None, place),
        ] {
            assert_eq!(within(place, root.map(Path::new)), shown, "{root:?}");
        }
    }

    #[test]
    fn an_id_is_one_word() {
        assert_eq!(anchor("call", "a-1").as_deref(), Some("call-a-1"));
        for hostile in ["a b", "'", "\\", "\"", "云", "a\n"] {
            assert_eq!(anchor("call", hostile), None, "{hostile:?}");
        }
    }
}
