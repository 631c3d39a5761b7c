//! The path of a call as a waterfall: what took when and how long, drawn to scale.

use std::time::Duration;

use maud::{Markup, html};

use crate::{lang::Lang, layout::span, recorder::Call};

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
    };
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
                        (step.what)
                        @if let Some((code, text)) = step.code {
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
