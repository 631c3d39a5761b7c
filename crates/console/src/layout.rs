//! What the pages have in common: the frame around them, and how times, results and people are shown.

use std::time::Duration;

use gateway::ReplyBody;
use http::{Response, StatusCode};
use jiff::{Timestamp, tz::TimeZone};
use maud::{DOCTYPE, Markup, html};

use crate::{lang::Lang, pretty::pretty, simulated::User, web};

/// No script from a page's text, no style but ours, nothing kept of a page that was left; what is put into a page takes clicks from
/// the moment it is seen.
const HTMX: &str = r#"{"allowEval":false,"includeIndicatorStyles":false,"selfRequestsOnly":true,"historyCacheSize":0,"refreshOnHistoryMiss":true,"defaultSettleDelay":0}"#;

/// A page to go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Page {
    Functions,
    Call,
    Calls,
    Data,
    Files,
    Outbox,
    Push,
    Users,
    WeChat,
}

impl Page {
    const ALL: [Self; 9] = [
        Self::Functions,
        Self::Call,
        Self::Calls,
        Self::Data,
        Self::Files,
        Self::Outbox,
        Self::Push,
        Self::Users,
        Self::WeChat,
    ];

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Functions => "/",
            Self::Call => "/call",
            Self::Calls => "/calls",
            Self::Data => "/data",
            Self::Files => "/files",
            Self::Outbox => "/outbox",
            Self::Push => "/push",
            Self::Users => "/users",
            Self::WeChat => "/wechat",
        }
    }

    fn title(self, lang: Lang) -> &'static str {
        match self {
            Self::Functions => lang.t("Functions", "云函数"),
            Self::Call => lang.t("Call", "调用"),
            Self::Calls => lang.t("Calls", "调用记录"),
            Self::Data => lang.t("Data", "数据"),
            Self::Files => lang.t("Files", "文件"),
            Self::Outbox => lang.t("Outbox", "发件箱"),
            Self::Push => lang.t("Push", "消息推送"),
            Self::Users => lang.t("Users", "用户"),
            Self::WeChat => lang.t("WeChat", "模拟微信"),
        }
    }

    /// Whether it shows the simulated WeChat.
    fn is_simulated(self) -> bool {
        matches!(self, Self::Outbox | Self::WeChat)
    }
}

/// Who asks for a page.
#[derive(Clone, Debug)]
pub(crate) struct Viewer {
    pub(crate) lang: Lang,
    /// The path with its query, to come back to.
    pub(crate) here: String,
    /// Whether there is a simulated WeChat to show.
    pub(crate) simulated: bool,
}

/// A whole page.
pub(crate) fn page(viewer: &Viewer, at: Page, content: Markup) -> Response<ReplyBody> {
    frame(viewer, StatusCode::OK, Some(at), at.title(viewer.lang), content)
}

/// A page that says what went wrong.
pub(crate) fn failed(viewer: &Viewer, status: StatusCode, text: &str) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let title = match status {
        StatusCode::NOT_FOUND => lang.t("Not there", "页面不存在"),
        _ => lang.t("That did not work", "出错了"),
    };
    frame(
        viewer,
        status,
        None,
        title,
        html! { (trouble(text)) p { a href="/" { (Page::Functions.title(lang)) } } },
    )
}

fn frame(
    viewer: &Viewer,
    status: StatusCode,
    at: Option<Page>,
    title: &str,
    content: Markup,
) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let other = match lang {
        Lang::En => ("zh", "zh-CN", "中文"),
        Lang::Zh => ("en", "en", "English"),
    };
    let pages = Page::ALL.into_iter();
    let pages = pages.filter(|page| viewer.simulated || !page.is_simulated());
    let markup = html! {
        (DOCTYPE)
        html lang=(lang.tag()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(HTMX);
                title { (title) " · Yunqiao 云桥" }
                link rel="icon" href="/assets/icon.svg";
                link rel="stylesheet" href="/assets/console.css";
                script src="/assets/htmx.min.js" defer {}
                script src="/assets/htmx-sse.min.js" defer {}
                script src="/assets/console.js" defer {}
            }
            body {
                a .skip href="#content" { (lang.t("Skip to the content", "跳到正文")) }
                header {
                    a .brand href="/" { img src="/assets/icon.svg" alt="" width="24" height="24"; span { "Yunqiao 云桥" } }
                    nav aria-label=(lang.t("Pages", "页面")) {
                        @for page in pages {
                            a href=(page.path()) aria-current=[(at == Some(page)).then_some("page")] { (page.title(lang)) }
                        }
                    }
                    a .lang lang=(other.1) hreflang=(other.1) href=(web::link("/lang", &[("to", other.0), ("back", &viewer.here)])) { (other.2) }
                }
                p #offline .trouble hidden role="status" {
                    (lang.t("The server does not answer: what is shown may be old.", "服务器没有响应：显示的内容可能已过时。"))
                }
                p #signed-out .trouble hidden role="status" {
                    (lang.t("This browser is signed out.", "本浏览器的登录已失效。")) " "
                    a href=(viewer.here) { (lang.t("Sign in again", "重新登录")) }
                }
                p #told .unseen role="status" {}
                main #content .(if matches!(at, Some(Page::Calls | Page::Call)) { "wide" } else { "" }) tabindex="-1" {
                    h1 { (title) }
                    (content)
                }
            }
        }
    };
    web::html(status, markup)
}

/// A part of a page that follows what happens, at `path`; it is shown as it is now.
pub(crate) fn live(path: &str, now: Markup) -> Markup {
    html! { div hx-ext="sse" sse-connect=(path) sse-swap="page" { (now) } }
}

/// Says what went wrong.
pub(crate) fn trouble(text: &str) -> Markup {
    html! { p .trouble role="alert" { (text) } }
}

/// A button that copies a text.
pub(crate) fn copy(lang: Lang, text: &str) -> Markup {
    html! { button .copy type="button" data-text=(text) data-copied="✓" { (lang.t("Copy", "复制")) } }
}

/// JSON as text, laid out.
pub(crate) fn json(lang: Lang, text: &str) -> Markup {
    let (text, cut) = pretty(text);
    html! {
        pre .json tabindex="0" { (text) }
        @if cut { p .dim { (lang.t("… and more, which is not shown.", "……其余未显示。")) } }
    }
}

/// A span of time, short.
pub(crate) fn span(time: Duration) -> String {
    match time.as_micros() {
        micros @ 0..10_000 => format!("{}.{} ms", micros / 1000, micros % 1000 / 100),
        micros @ 10_000..10_000_000 => format!("{} ms", micros / 1000),
        micros => format!("{} s", micros / 1_000_000),
    }
}

/// The time of day, where this machine is.
pub(crate) fn time(at: Timestamp) -> Markup {
    let there = at.to_zoned(TimeZone::system());
    html! { time datetime=(at) title=(there.strftime("%F %T%.3f")) { (there.strftime("%T")) } }
}

/// Whether a call went well.
pub(crate) fn outcome(lang: Lang, failed: bool) -> Markup {
    if failed {
        html! { span .badge.bad { "✗ " (lang.t("failed", "失败")) } }
    } else {
        html! { span .badge.good { "✓ " (lang.t("ok", "成功")) } }
    }
}

/// A user by the name that we know, else by openid.
pub(crate) fn person(users: &[User], lang: Lang, openid: Option<&str>) -> Markup {
    let Some(openid) = openid.filter(|openid| !openid.is_empty()) else {
        return html! { span .dim { (lang.t("no user", "无用户")) } };
    };
    match users.iter().find(|user| user.openid == openid) {
        Some(user) => html! { span title=(openid) { (user.name) } },
        None => html! { code { (openid) } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        for (micros, text) in [
            (0, "0.0 ms"),
            (1_250, "1.2 ms"),
            (12_900, "12 ms"),
            (12_000_000, "12 s"),
        ] {
            assert_eq!(span(Duration::from_micros(micros)), text);
        }
    }
}
