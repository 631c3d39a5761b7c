//! The path of a call as a waterfall: what took when and how long, on an axis of time, with what was printed at its place and calls of
//! other functions below the one that made them. A row opens where it stands.

use std::{sync::Arc, time::Duration};

use gateway::{CloudCall, DatabaseCall, UNANSWERED};
use maud::{Markup, html};
use runtime::Level;

use crate::{
    calls::Filter,
    data::{advice, shown},
    lang::Lang,
    layout::span,
    recorder::{Call, LogLine, beginning},
};

/// The width of the drawing, in its own units.
const WIDE: f64 = 1000.0;
/// So that the shortest can be seen.
const NARROWEST: f64 = 4.0;
/// Rows that are shown.
const ROWS: usize = 120;
/// Rows that are shown of what was printed, as long as nobody asks for all.
const LOGS: usize = 40;
/// Bytes of a printed text that are shown at once, and bytes of all of them behind clicks.
const SHORT: usize = 400;
const LONG: usize = 16 << 10;
/// The same bytes where all is shown: as much as is kept of what a call prints.
const LONG_OF_ALL: usize = 64 << 10;
/// Bytes of a query in its row.
const QUERY: usize = 80;
/// Calls inside of calls, and rows: beyond these none is laid out, not even where all is shown.
const DEEPEST: usize = 5;
const LAID: usize = 5000;
/// Times on the axis, its end among them.
const TICKS: u32 = 4;

/// A row, from the beginning of the outermost call.
struct Row<'a> {
    depth: usize,
    kind: &'static str,
    at: Duration,
    took: Duration,
    what: What<'a>,
}

enum What<'a> {
    /// A part of the call itself.
    Own(&'a str),
    /// A cloudID that was exchanged.
    Redeemed(&'a str, i64),
    /// What the function asked of the cloud: the call, and its place there.
    Made(&'a Call, usize),
    Printed(&'a LogLine),
}

/// Finds a call by its request id.
type CallOf<'a> = &'a dyn Fn(&str) -> Option<Arc<Call>>;

/// The waterfall of a call with the calls inside of it, which [`gather`] finds; links lead to calls beside the list of `filter`. `total` is
/// how long the caller waited for the answer, where that is known; `all` shows everything that was printed.
pub(crate) fn waterfall(
    lang: Lang,
    filter: &Filter,
    call: &Call,
    inside: &[Arc<Call>],
    total: Option<Duration>,
    all: bool,
) -> Markup {
    let mut rows = Vec::new();
    let whole = Parts::of(call).whole();
    if let Some(http) = &call.http {
        rows.push(own("redeem", 0, Duration::ZERO, whole, http));
    }
    lay(lang, call, inside, 0, Duration::ZERO, &mut rows);
    if let Some(total) = total {
        let what = lang.t(
            "the rest: reading the request, sending the answer",
            "其余：解析请求、返回结果",
        );
        rows.push(own("wait", 0, whole, total.saturating_sub(whole), what));
    }
    let not_laid = rows.len() >= LAID;
    let ends = rows.iter().map(|row| row.at.saturating_add(row.took));
    let end = ends.max().unwrap_or_default().max(Duration::from_micros(1));
    let printed = |row: &&Row<'_>| matches!(row.what, What::Printed(_));
    let count = rows.iter().filter(printed).count();
    let mut hidden = if all { 0 } else { count.saturating_sub(LOGS) };
    let left_out = hidden;
    rows.retain(|row| {
        // The last ones are nearest to how it ended.
        let hides = hidden > 0 && matches!(row.what, What::Printed(_));
        hidden -= usize::from(hides);
        !hides
    });
    let (most, mut room) = if all { (LAID, LONG_OF_ALL) } else { (ROWS, LONG) };
    html! {
        div .axis aria-hidden="true" {
            @for tick in 0..=TICKS { span { (span(end * tick / TICKS)) } }
        }
        ol .path {
            @if left_out > 0 {
                li .dim {
                    (lang.t("Printed before: ", "此前的输出：")) (left_out) " · "
                    a href=(filter.of_whole_call(&call.request_id)) { (lang.t("show all", "全部显示")) }
                }
            }
            @for row in rows.iter().take(most) { (drawn(lang, filter, row, end, &mut room)) }
            @if not_laid { li .dim { (lang.t("More happened than is shown here.", "还有更多内容，未在此显示。")) } }
            @if rows.len() > most { li .dim { (lang.t("Further rows: ", "其余行数：")) (rows.len() - most) } }
        }
        @if call.more_cloud_calls > 0 {
            p .dim { (lang.t("Further cloud calls, which were not kept: ", "另有未保留的云调用：")) (call.more_cloud_calls) }
        }
        @if call.more_logs { p .dim { (lang.t("It printed more, which was not kept.", "更多输出未保留。")) } }
    }
}

/// The calls inside of a call, each once.
pub(crate) fn gather(call: &Call, find: CallOf<'_>) -> Vec<Arc<Call>> {
    fn add(call: &Call, find: CallOf<'_>, depth: usize, inside: &mut Vec<Arc<Call>>) {
        if depth == DEEPEST {
            return;
        }
        for id in call.cloud_calls.iter().filter_map(|made| made.callee.as_deref()) {
            if inside.len() < ROWS
                && !inside.iter().any(|known| known.request_id == id)
                && let Some(callee) = find(id)
            {
                inside.push(Arc::clone(&callee));
                add(&callee, find, depth + 1, inside);
            }
        }
    }
    let mut inside = Vec::new();
    add(call, find, 0, &mut inside);
    inside
}

/// How long the parts of a call took.
struct Parts {
    redeemed: Duration,
    waited: Duration,
    ran: Duration,
}

impl Parts {
    fn of(call: &Call) -> Self {
        let redeems = !call.redeemed.fields.is_empty();
        Self {
            redeemed: if redeems {
                call.redeemed.took
            } else {
                Duration::ZERO
            },
            waited: call.waited,
            ran: call.ran,
        }
    }

    fn whole(&self) -> Duration {
        self.redeemed + self.waited + self.ran
    }
}

fn own<'a>(kind: &'static str, depth: usize, at: Duration, took: Duration, what: &'a str) -> Row<'a> {
    Row {
        depth,
        kind,
        at,
        took,
        what: What::Own(what),
    }
}

/// Puts the rows of a call that began at `began`, those of the calls inside it below what made them.
fn lay<'a>(
    lang: Lang,
    call: &'a Call,
    inside: &'a [Arc<Call>],
    depth: usize,
    began: Duration,
    rows: &mut Vec<Row<'a>>,
) {
    let parts = Parts::of(call);
    if !call.redeemed.fields.is_empty() {
        let what = lang.t("redeem cloudIDs", "换取开放数据");
        rows.push(own("redeem", depth, began, parts.redeemed, what));
    }
    for (field, code) in &call.redeemed.fields {
        rows.push(Row {
            depth: depth + 1,
            kind: if *code == 0 { "redeem" } else { "cloud-bad" },
            at: began,
            took: parts.redeemed,
            what: What::Redeemed(field, *code),
        });
    }
    let before = began + parts.redeemed;
    let what = lang.t("wait for a worker", "等待实例");
    rows.push(own("wait", depth, before, parts.waited, what));
    let runs = before + parts.waited;
    rows.push(own("run", depth, runs, parts.ran, lang.t("run", "执行")));
    let made = call.cloud_calls.iter().enumerate().map(|(at, made)| Row {
        depth: depth + 1,
        kind: if made.code == 0 { "cloud" } else { "cloud-bad" },
        at: before + made.at,
        took: made.took,
        what: What::Made(call, at),
    });
    let printed = call.logs.iter().map(|line| Row {
        depth: depth + 1,
        kind: kind_of(line.level),
        at: runs + call.loaded + line.at,
        took: Duration::ZERO,
        what: What::Printed(line),
    });
    let mut happened: Vec<Row<'a>> = made.chain(printed).collect();
    happened.sort_by_key(|row| row.at);
    for row in happened {
        if rows.len() >= LAID {
            return;
        }
        let callee = match row.what {
            What::Made(call, at) => call.cloud_calls[at].callee.as_deref(),
            _ => None,
        };
        let callee = callee.and_then(|id| inside.iter().find(|call| call.request_id == id));
        let ends = row.at + row.took;
        rows.push(row);
        // A call is inside of no call that is inside of it.
        if let Some(callee) = callee.filter(|_| depth < 2 * DEEPEST) {
            let began = ends.saturating_sub(Parts::of(callee).whole());
            lay(lang, callee, inside, depth + 2, began, rows);
        }
    }
}

/// The class of what is printed.
pub(crate) fn kind_of(level: Level) -> &'static str {
    match level {
        Level::Error => "bad",
        Level::Warn => "warn",
        _ => "said",
    }
}

fn drawn(lang: Lang, filter: &Filter, row: &Row<'_>, end: Duration, room: &mut usize) -> Markup {
    let x = |time: Duration| (time.as_secs_f64() / end.as_secs_f64() * WIDE).min(WIDE);
    let (at, wide) = (x(row.at).min(WIDE - NARROWEST), x(row.took).max(NARROWEST));
    let line = html! {
        span .what .{ "in" (row.depth.min(8)) } { (label(lang, row)) }
        svg .(row.kind) viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
            rect x=(format_args!("{at:.0}")) y="0" height="10" width=(format_args!("{wide:.0}")) {}
        }
        span .took {
            @match row.what { What::Printed(_) => { "@" (span(row.at)) }, _ => (span(row.took)) }
        }
    };
    match inside(lang, row, room) {
        Inside::Nothing => html! { li .(row.kind) { div .line { (line) } (callee(lang, filter, row)) } },
        Inside::Here(more) => {
            html! { li .(row.kind) { details { summary .line { (line) } (more) } (callee(lang, filter, row)) } }
        }
        Inside::There(path) => html! {
            li .(row.kind) {
                details hx-get=(path) hx-trigger="toggle once" hx-target="find .inside" hx-swap="innerHTML" hx-push-url="false" hx-select="unset" {
                    summary .line { (line) }
                    div .inside { span .dim { "…" } }
                }
                (callee(lang, filter, row))
            }
        },
    }
}

/// The way to the call that a row made. It stands beside what opens the row, and not in it.
fn callee(lang: Lang, filter: &Filter, row: &Row<'_>) -> Markup {
    let callee = match row.what {
        What::Made(call, at) => call.cloud_calls[at].callee.as_deref(),
        _ => None,
    };
    html! {
        @if let Some(callee) = callee {
            a .callee href=(filter.of_call(callee)) aria-label=(lang.t("The call that was made", "查看被调用的云函数")) { "↗" }
        }
    }
}

/// What a row opens to.
enum Inside {
    Nothing,
    Here(Markup),
    /// Fetched when it is opened.
    There(String),
}

fn inside(lang: Lang, row: &Row<'_>, room: &mut usize) -> Inside {
    match row.what {
        What::Made(call, at) if call.cloud_calls[at].exchange.is_some() => {
            Inside::There(format!("/calls/{}/{at}", call.request_id))
        }
        What::Made(call, at) => {
            let made = &call.cloud_calls[at];
            match &made.database {
                Some(database) => Inside::Here(html! {
                    div .inside { (operation(lang, database, failed(lang, made), true)) }
                }),
                None => Inside::Nothing,
            }
        }
        What::Printed(line) if is_long(&line.text) && *room > 0 => {
            let text = beginning(&line.text, *room);
            *room -= text.len();
            let more = line.text.len() - text.len();
            Inside::Here(html! {
                div .inside {
                    pre tabindex="0" { (text) }
                    @if more > 0 { p .dim { (lang.t("… and more bytes: ", "……其余字节：")) (more) } }
                }
            })
        }
        _ => Inside::Nothing,
    }
}

/// What was sent and answered by a cloud call, to be put into its row.
pub(crate) fn exchange(lang: Lang, made: &CloudCall) -> Markup {
    let sent = made.exchange.as_ref().map(|both| both.request.as_str());
    let asked = made
        .database
        .as_ref()
        .is_some_and(|call| sent != Some(&call.query));
    html! {
        @if let Some(database) = &made.database { (operation(lang, database, failed(lang, made), asked)) }
        @else if !made.text.is_empty() { p { (made.text) } }
        @if let Some(both) = &made.exchange {
            (crate::json_tree::titled(lang, lang.t("Request", "请求"), &both.request))
            (crate::json_tree::titled(lang, lang.t("Answer", "响应"), &both.answer))
        }
    }
}

/// Why it failed; where it did not, its text says how it went, which the operation says too.
fn failed(lang: Lang, made: &CloudCall) -> &str {
    match (made.code, lang) {
        (0, _) => "",
        (UNANSWERED, Lang::Zh) => "没有等到返回；如果是写操作，可能已经生效",
        _ => &made.text,
    }
}

fn is_long(text: &str) -> bool {
    text.len() > SHORT || text.lines().count() > 6
}

fn label(lang: Lang, row: &Row<'_>) -> Markup {
    match &row.what {
        What::Own(what) => html! { (what) },
        What::Redeemed(field, code) => html! { (field) " " (self::code(*code)) },
        What::Made(call, at) => {
            let made = &call.cloud_calls[*at];
            html! {
                @match &made.database {
                    Some(database) => {
                        @if !database.collection.is_empty() { strong { (shown(&database.collection)) } " " }
                        (database.operation) " "
                        @if !database.query.is_empty() { code .dim { (beginning(&database.query, QUERY)) } " " }
                        (marked(lang, database))
                    }
                    None => (beginning(&made.what, SHORT)),
                }
                @if made.code != 0 || made.database.is_none() { " " (code(made.code)) }
                @let text = failed(lang, made);
                @if !text.is_empty() { " " span .dim { (beginning(text, SHORT)) } }
            }
        }
        What::Printed(line) => html! {
            span .level { (line.level.name()) } " "
            span .text { (brief(&line.text)) @if is_long(&line.text) { " …" } }
        },
    }
}

/// The first lines.
fn brief(text: &str) -> String {
    let lines: Vec<&str> = beginning(text, SHORT).lines().take(6).collect();
    lines.join("\n")
}

fn code(code: i64) -> Markup {
    html! { code .(if code == 0 { "good" } else { "bad" }) { (code) } }
}

/// A word that says why a query deserves a look.
fn marked(lang: Lang, call: &DatabaseCall) -> Markup {
    html! {
        @if call.slow { span .badge.bad { (lang.t("slow", "慢查询")) } }
        @else if !call.wanted.is_empty() { span .badge.warn { (lang.t("no index", "无索引")) } }
        @if let Some(found) = call.found { " " span .dim { "→ " (found) } }
    }
}

/// A database operation: what was asked of which collection, what it took, and the index that would have served it.
fn operation(lang: Lang, call: &DatabaseCall, text: &str, asked: bool) -> Markup {
    html! {
        @if !text.is_empty() { p .bad { (text) } }
        @if asked && !call.query.is_empty() { pre tabindex="0" { (call.query) } }
        p .dim {
            @if let Some(looked) = call.looked {
                (lang.t("looked at ", "扫描 ")) (looked) (lang.t(", ", " 条，"))
            }
            @match (call.operation, call.found) {
                (_, None) => {}
                ("find" | "aggregate", Some(found)) => { (lang.t("returned ", "返回 ")) (found) }
                ("insert", Some(found)) => { (lang.t("added ", "添加 ")) (found) }
                ("update", Some(found)) => { (lang.t("changed ", "修改 ")) (found) }
                ("remove", Some(found)) => { (lang.t("removed ", "删除 ")) (found) }
                (_, Some(found)) => { (lang.t("counted ", "计数 ")) (found) }
            }
            @if let Some(index) = &call.index { " · " (lang.t("by ", "索引 ")) code { (index) } }
        }
        (advice(lang, call))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;

    use super::*;

    fn call(id: &str, callee: Option<&str>, lines: usize) -> Call {
        let mut call = Call::new(id.to_owned(), id.to_owned(), Timestamp::UNIX_EPOCH);
        call.ran = Duration::from_millis(100);
        call.cloud_calls = callee
            .map(|callee| CloudCall {
                what: format!("callFunction {callee}"),
                code: 0,
                text: String::new(),
                at: Duration::from_millis(10),
                took: Duration::from_millis(50),
                exchange: None,
                database: None,
                callee: Some(callee.to_owned()),
            })
            .into_iter()
            .collect();
        call.logs = (0..lines)
            .map(|line| LogLine {
                level: Level::Log,
                at: Duration::from_millis(line as u64),
                text: format!("line {line}."),
            })
            .collect();
        call
    }

    fn drawn(outer: &Call, find: CallOf<'_>, all: bool) -> String {
        let inside = gather(outer, find);
        waterfall(Lang::En, &Filter::default(), outer, &inside, None, all).into_string()
    }

    #[test]
    fn what_is_printed_and_called_stands_in_its_place() {
        let (outer, inner) = (call("outer", Some("inner"), 30), Arc::new(call("inner", None, 1)));
        let find = |id: &str| (id == "inner").then(|| Arc::clone(&inner));
        let drawn = drawn(&outer, &find, false);
        let at = |text: &str| drawn.find(text).unwrap_or_else(|| panic!("{text} in {drawn}"));
        assert!(at("line 9.") < at("callFunction inner") && at("callFunction inner") < at("line 11."));
        // Those of the callee stand before what came after it.
        assert_eq!(drawn.matches("line 0.").count(), 2);
        assert!(drawn.rfind("line 0.").unwrap() < at("line 11."));
        assert!(drawn.contains("class=\"what in3\""), "{drawn}");
    }

    #[test]
    fn a_circle_ends_and_rows_are_bounded() {
        let circle = Arc::new(call("circle", Some("circle"), 0));
        let circling = drawn(&circle, &|_: &str| Some(Arc::clone(&circle)), false);
        assert!(
            circling.matches("callFunction circle").count() <= DEEPEST + 1,
            "{circling}"
        );
        let none = |_: &str| None;
        let loud = call("loud", None, 1000);
        let short = drawn(&loud, &none, false);
        assert!(short.contains("line 999.") && short.contains("all=1") && !short.contains("line 9."));
        let rows = |drawn: &str| drawn.matches("class=\"level\"").count();
        assert_eq!(rows(&short), LOGS);
        assert_eq!(rows(&drawn(&loud, &none, true)), 1000);
        let louder = drawn(&call("louder", None, 3 * LAID), &none, true);
        assert!(rows(&louder) <= LAID, "{}", rows(&louder));
    }

    #[test]
    fn links_keep_what_is_chosen() {
        let filter = Filter::of(&crate::web::Fields::parse(b"function=shop&paused=1"));
        let (outer, inner) = (call("outer", Some("inner"), 60), Arc::new(call("inner", None, 0)));
        let drawn = waterfall(Lang::En, &filter, &outer, &[inner], None, false).into_string();
        for link in ["call=inner\"", "call=outer&amp;all=1\""] {
            let link = format!("href=\"/calls?function=shop&amp;paused=1&amp;{link}");
            assert!(drawn.contains(&link), "{link} in {drawn}");
        }
    }
}
