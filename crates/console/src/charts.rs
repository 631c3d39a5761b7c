//! The page Charts: calls, errors and latency of the last quarter of an hour, by function, drawn here.

use std::time::Duration;

use gateway::ReplyBody;
use http::Response;
use maud::{Markup, html};

use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer, span},
    minutes::{Bucket, MINUTES},
};

/// The drawing's size, in its own units: a minute is 20 wide.
const WIDE: f64 = 20.0 * MINUTES as f64;
const HIGH: f64 = 80.0;

pub(crate) fn page(inner: &Inner, viewer: &Viewer) -> Response<ReplyBody> {
    layout::page(
        viewer,
        Page::Charts,
        layout::live("/live/charts", charts(inner, viewer)),
    )
}

/// The part of the page that follows what happens.
pub(crate) fn charts(inner: &Inner, viewer: &Viewer) -> Markup {
    let lang = viewer.lang;
    inner.recorder.minutes(|minutes, now| {
        let all = minutes.last(now);
        html! {
            p .dim { (lang.t("The last 15 minutes, a bar or a point for each.", "最近 15 分钟，每分钟一个柱或点。")) }
            @if all.is_empty() { p { (lang.t("No call in this time.", "这段时间没有调用。")) } }
            div .cards { @for (name, window) in &all { (chart(lang, name, window)) } }
        }
    })
}

fn chart(lang: Lang, name: &str, window: &[Option<&Bucket>]) -> Markup {
    let sum = |count: fn(&Bucket) -> u64| window.iter().flatten().map(|bucket| count(bucket)).sum::<u64>();
    let (calls, errors) = (sum(|bucket| bucket.calls), sum(|bucket| bucket.errors));
    let most = window
        .iter()
        .flatten()
        .map(|bucket| bucket.calls)
        .max()
        .unwrap_or(1)
        .max(1);
    let high = |count: u64| count as f64 * HIGH / most as f64;
    let slowest = window.iter().flatten().map(|bucket| bucket.quantile(0.99)).max();
    let slowest = slowest.unwrap_or_default().max(Duration::from_micros(1));
    let last = window.iter().flatten().next_back();
    html! {
        article .card {
            h2 { (name) }
            dl .facts {
                div { dt { (lang.t("calls", "调用")) } dd { (calls) } }
                div { dt { (lang.t("failed", "失败")) } dd .(if errors > 0 { "bad" } else { "" }) { (errors) } }
                @if let Some(last) = last {
                    div { dt .p50 { "p50" } dd { (span(last.quantile(0.5))) } }
                    div { dt .p99 { "p99" } dd { (span(last.quantile(0.99))) } }
                }
            }
            h3 { (lang.t("Calls and failures a minute, at most ", "每分钟调用与失败，最多 ")) (most) }
            svg .chart viewBox={ "0 0 " (WIDE) " " (HIGH) } role="img" aria-label=(lang.t("Calls and failures by the minute", "每分钟调用与失败")) {
                @for (at, bucket) in window.iter().enumerate() {
                    @if let Some(bucket) = bucket {
                        rect .count x=(at * 20 + 2) width="16" y=(HIGH - high(bucket.calls)) height=(high(bucket.calls)) {}
                        rect .fails x=(at * 20 + 2) width="16" y=(HIGH - high(bucket.errors)) height=(high(bucket.errors)) {}
                    }
                }
            }
            h3 { (lang.t("How long they ran: p50 and p99, up to ", "耗时 p50 与 p99，最高 ")) (span(slowest)) }
            svg .chart viewBox={ "0 0 " (WIDE) " " (HIGH) } role="img" aria-label=(lang.t("Latency by the minute, p50 and p99", "每分钟耗时 p50 与 p99")) {
                (line("p99", window, 0.99, slowest))
                (line("p50", window, 0.5, slowest))
            }
        }
    }
}

fn line(kind: &str, window: &[Option<&Bucket>], q: f64, slowest: Duration) -> Markup {
    let points: Vec<(f64, f64)> = window
        .iter()
        .enumerate()
        .filter_map(|(at, bucket)| Some((at, (*bucket)?)))
        .map(|(at, bucket)| {
            let share = bucket.quantile(q).as_secs_f64() / slowest.as_secs_f64();
            (at as f64 * 20.0 + 10.0, HIGH - 4.0 - share * (HIGH - 8.0))
        })
        .collect();
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    html! {
        g .(kind) {
            polyline points=(path.join(" ")) {}
            @for (x, y) in &points { circle cx=(format_args!("{x:.1}")) cy=(format_args!("{y:.1}")) r="3" {} }
        }
    }
}
