//! The path of a call as a waterfall: what took when and how long, drawn to scale.

use std::time::Duration;

use gateway::DatabaseCall;
use maud::{Markup, html};

use crate::{
    data::{advice, shown},
    lang::Lang,
    layout::span,
    recorder::Call,
};

/// The width of the drawing, in its own units.
const WIDE: f64 = 1000.0;
/// So that the shortest can be seen.
const NARROWEST: f64 = 3.0;

/// One bar.
struct Step<'a> {
    what: &'a str,
    kind: &'static str,
    at: Duration,
    took: Duration,
    /// A cloud call's code, and the text that goes with it.
    code: Option<(i64, &'a str)>,
    /// What it asked of the database, and what that took.
    database: Option<&'a DatabaseCall>,
}

/// The waterfall of a call. `total` is how long the caller waited for the answer, where that is known.
pub(crate) fn waterfall(lang: Lang, call: &Call, total: Option<Duration>) -> Markup {
    let redeemed = &call.redeemed;
    let before = if redeemed.fields.is_empty() {
        Duration::ZERO
    } else {
        redeemed.took
    };
    let inside = before + call.waited + call.ran;
    let mut steps = Vec::new();
    let own = |what, kind, at, took| Step {
        what,
        kind,
        at,
        took,
        code: None,
        database: None,
    };
    if let Some(http) = &call.http {
        steps.push(own(http, "redeem", Duration::ZERO, inside));
    }
    if !redeemed.fields.is_empty() {
        let what = lang.t("redeem cloudIDs", "兑换 cloudID");
        steps.push(own(what, "redeem", Duration::ZERO, before));
    }
    for (field, code) in &redeemed.fields {
        steps.push(Step {
            what: field,
            kind: if *code == 0 { "redeem" } else { "cloud-bad" },
            at: Duration::ZERO,
            took: before,
            code: Some((*code, "")),
            database: None,
        });
    }
    steps.push(own(
        lang.t("wait for a worker", "等待实例"),
        "wait",
        before,
        call.waited,
    ));
    steps.push(own(lang.t("run", "执行"), "run", before + call.waited, call.ran));
    steps.extend(call.cloud_calls.iter().map(|made| Step {
        what: &made.what,
        kind: if made.code == 0 { "cloud" } else { "cloud-bad" },
        at: before + made.at,
        took: made.took,
        code: Some((made.code, &made.text)),
        database: made.database.as_ref(),
    }));
    if let Some(total) = total {
        let what = lang.t("the rest: take apart, splice, answer", "其余：解析、拼接、返回");
        steps.push(own(what, "wait", inside, total.saturating_sub(inside)));
    }
    let ends = steps.iter().map(|step| step.at + step.took);
    let whole = ends.max().unwrap_or_default().as_secs_f64().max(1e-6);
    let x = |time: Duration| time.as_secs_f64() / whole * WIDE;
    html! {
        ol .path {
            @for step in &steps {
                li {
                    span .what {
                        @match step.database {
                            Some(call) => (operation(lang, call)),
                            None => (step.what),
                        }
                        @if let Some((code, text)) = step.code.filter(|(code, _)| step.database.is_none() || *code != 0) {
                            " " code .(if code == 0 { "good" } else { "bad" }) { (code) }
                            @if !text.is_empty() && code != 0 { " " span .dim { (text) } }
                        }
                    }
                    svg .(step.kind) viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true" {
                        rect x=(x(step.at).min(WIDE - NARROWEST)) y="0" height="10" width=(x(step.took).max(NARROWEST)) {}
                    }
                    span .took { (span(step.took)) }
                }
            }
        }
        @if call.more_cloud_calls > 0 {
            p .dim { (lang.t("Further cloud calls, which were not kept: ", "另有未保留的云调用：")) (call.more_cloud_calls) }
        }
    }
}

/// A database operation: what was asked of which collection, what it took, and the index that would have served it.
fn operation(lang: Lang, call: &DatabaseCall) -> Markup {
    html! {
        @if !call.collection.is_empty() { strong { (shown(&call.collection)) } " " }
        (call.operation)
        @if !call.query.is_empty() { " " code .query { (call.query) } }
        @if call.looked.is_some() || call.found.is_some() {
            br;
            span .dim {
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
        }
        (advice(lang, call))
    }
}
