//! How a function comes to be called from the page Call: by a client, by its timer, over HTTP, or by a push of WeChat's.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use gateway::Gateway;
use maud::{Markup, html};
use project::Project;
use push::kinds;

use crate::{lang::Lang, layout::Viewer, web::Fields};

/// Methods of HTTP to choose from.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
/// Bytes of an answer over HTTP that are shown.
const SHOWN: usize = 64 << 10;
/// Longer than any function may take, waiting and loading included.
const PATIENCE: Duration = Duration::from_secs(400);

/// What calls the function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trigger {
    #[default]
    Client,
    /// The timer of this name.
    Timer(String),
    /// A request to the web listener: its method and its path with the query.
    Http { method: &'static str, path: String },
    /// A message or event of this kind, by one of its names.
    Push(String),
}

/// What was answered over HTTP.
#[derive(Debug)]
pub(crate) struct HttpAnswer {
    pub(crate) status: u16,
    /// Of the call, where the path led to a function.
    pub(crate) request_id: String,
    pub(crate) content_type: String,
    /// The body, or its beginning, which an ellipsis ends.
    pub(crate) text: String,
    /// Whether it is the beginning alone.
    pub(crate) is_cut: bool,
    pub(crate) took: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    #[error("there is no web listener")]
    NoListener,
    #[error("a path begins with a slash")]
    Path,
    #[error("the request failed: {0}")]
    Request(#[from] reqwest::Error),
}

impl HttpError {
    pub(crate) fn text(&self, lang: Lang) -> String {
        match (lang, self) {
            (Lang::Zh, Self::NoListener) => "没有 HTTP 访问的监听地址".to_owned(),
            (Lang::Zh, Self::Path) => "路径要以 / 开头".to_owned(),
            (Lang::Zh, Self::Request(error)) => format!("请求失败：{error}"),
            (Lang::En, _) => self.to_string(),
        }
    }
}

impl Trigger {
    /// The word for it in the page, which each part of the form names that belongs to it.
    pub(crate) fn way(&self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Timer(_) => "timer",
            Self::Http { .. } => "http",
            Self::Push(_) => "push",
        }
    }

    /// The fields of the form that say so, with the function that it names besides.
    pub(crate) fn fields<'a>(&'a self, function: &str) -> Vec<(&'static str, Cow<'a, str>)> {
        let by = ("by", self.way().into());
        match self {
            Self::Client => vec![by],
            Self::Timer(name) => vec![by, ("timer", format!("{function}/{name}").into())],
            Self::Http { method, path } => {
                vec![by, ("method", (*method).into()), ("path", path.into())]
            }
            Self::Push(kind) => vec![by, ("type", kind.into())],
        }
    }

    /// As the form has it, with the function that it names besides.
    pub(crate) fn of(fields: &Fields) -> (Self, Option<String>) {
        match fields.get("by") {
            "timer" => {
                // No function's name has a slash.
                let (function, timer) = fields.get("timer").split_once('/').unwrap_or_default();
                (Self::Timer(timer.to_owned()), Some(function.to_owned()))
            }
            "http" => {
                let method = METHODS.into_iter().find(|method| *method == fields.get("method"));
                let path = fields.get("path").trim().to_owned();
                let method = method.unwrap_or(METHODS[0]);
                (Self::Http { method, path }, None)
            }
            "push" => (Self::Push(fields.get("type").to_owned()), None),
            _ => (Self::Client, None),
        }
    }
}

/// The parts of the form that say what calls the function, and what that needs besides. `function` is the one that was chosen.
pub(crate) fn choice(
    viewer: &Viewer,
    gateway: &Gateway,
    project: Option<&Project>,
    function: &str,
    trigger: &Trigger,
) -> Markup {
    let lang = viewer.lang;
    let functions = || project.iter().flat_map(|project| project.functions.values());
    let timers: Vec<(&str, &str)> = functions()
        .flat_map(|listed| {
            let triggers = listed.triggers.iter();
            triggers.map(|trigger| (listed.function.name.as_str(), trigger.name.as_str()))
        })
        .collect();
    let routes = project
        .iter()
        .flat_map(|project| project.settings.web.functions.iter());
    let routes: Vec<(&str, &str)> = routes
        .map(|route| (route.path.as_str(), route.function.as_str()))
        .collect();
    let over_http = viewer.simulated && gateway.web_address().is_some() && !routes.is_empty();
    let of_function = routes.iter().find(|(_, of)| *of == function).or(routes.first());
    let (method, path) = match trigger {
        Trigger::Http { method, path } => (*method, path.as_str()),
        _ => ("POST", of_function.map_or("/", |(path, _)| path)),
    };
    let ways = [
        ("client", lang.t("a client", "小程序端调用"), true),
        ("timer", lang.t("its timer", "定时触发器"), !timers.is_empty()),
        (
            "http",
            lang.t("an HTTP request", "HTTP 请求（云接入）"),
            over_http,
        ),
        (
            "push",
            lang.t("a push of WeChat's", "微信消息推送"),
            viewer.simulated,
        ),
    ];
    let by_timer = html! {
        label {
            (lang.t("Timer", "触发器"))
            select name="timer" {
                @for (of, name) in &timers {
                    @let chosen = *of == function && !matches!(trigger, Trigger::Timer(wanted) if wanted != name);
                    option value={ (of) "/" (name) } selected[chosen] { (of) " · " (name) }
                }
            }
        }
    };
    let by_http = html! {
        label {
            (lang.t("Method", "方法"))
            select #method name="method" { @for known in METHODS { option value=(known) selected[known == method] { (known) } } }
        }
        label {
            (lang.t("Path and query", "路径与查询串"))
            input name="path" value=(path) list="paths" autocomplete="off" spellcheck="false";
            datalist #paths { @for (path, of) in &routes { option value=(path) { (of) } } }
        }
    };
    let by_push = html! {
        label {
            (lang.t("Message or event", "消息或事件"))
            select name="type" { @for kind in kinds::all() { option value=(kind.name()) selected[matches!(trigger, Trigger::Push(name) if name == kind.name())] { (kind.name()) " · " (kind.title) } } }
        }
    };
    html! {
        label {
            (lang.t("Called by", "触发方式"))
            select #by name="by" {
                @for (way, text, _) in ways.iter().filter(|(_, _, is)| *is) { option value=(way) selected[*way == trigger.way()] { (text) } }
            }
        }
        @if !timers.is_empty() { (of_ways(trigger, &["timer"], &by_timer)) }
        @if over_http { (of_ways(trigger, &["http"], &by_http)) }
        @if viewer.simulated { (of_ways(trigger, &["push"], &by_push)) }
    }
}

/// A part of the form that belongs to these ways of calling. While another is chosen it is not shown, not sent, and nothing in it is
/// required (`console.js`).
pub(crate) fn of_ways(trigger: &Trigger, ways: &[&str], inside: &Markup) -> Markup {
    html! { fieldset .way data-by=(ways.join(" ")) disabled[!ways.contains(&trigger.way())] { (inside) } }
}

/// Whether a request of this method has a body here.
pub(crate) fn has_body(method: &str) -> bool {
    method != "GET"
}

/// Where this machine reaches the web listener.
pub(crate) fn web_url(gateway: &Gateway) -> Option<String> {
    let address = gateway.web_address()?;
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    Some(format!("http://{}", SocketAddr::new(ip, address.port())))
}

/// Sends a request to the web listener, with the body as JSON where the method has one. Where the answer leads elsewhere, it is not followed.
///
/// # Errors
/// There is no listener, it does not answer, or the path is none.
pub(crate) async fn request(
    gateway: &Gateway,
    method: &'static str,
    path: &str,
    body: &str,
) -> Result<HttpAnswer, HttpError> {
    let base = web_url(gateway).ok_or(HttpError::NoListener)?;
    if !path.starts_with('/') {
        return Err(HttpError::Path);
    }
    // Both ends are on this machine: no proxy, no certificates.
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()?;
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or(reqwest::Method::GET);
    let has_body = has_body(method.as_str());
    let mut request = client.request(method, base + path);
    if has_body {
        request = request
            .header("content-type", "application/json")
            .body(body.to_owned());
    }
    let began = Instant::now();
    let mut reply = request.send().await?;
    let header = |name: &str| {
        let value = reply.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let (request_id, content_type) = (header("x-request-id"), header("content-type"));
    let mut bytes = Vec::new();
    while bytes.len() <= SHOWN
        && let Some(part) = reply.chunk().await?
    {
        bytes.extend_from_slice(&part);
    }
    let (text, is_cut) = shown(&bytes, SHOWN);
    Ok(HttpAnswer {
        status: reply.status().as_u16(),
        request_id,
        content_type,
        text,
        is_cut,
        took: began.elapsed(),
    })
}

/// A body as text, at most so many bytes of it, and whether there are more. No part of a character is left at its end.
fn shown(body: &[u8], most: usize) -> (String, bool) {
    let Some(beginning) = body.get(..most).filter(|_| body.len() > most) else {
        return (String::from_utf8_lossy(body).into_owned(), false);
    };
    let whole = match std::str::from_utf8(beginning) {
        Err(error) if error.error_len().is_none() => &beginning[..error.valid_up_to()],
        _ => beginning,
    };
    (format!("{}…", String::from_utf8_lossy(whole)), true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_is_cut_between_characters_and_says_so() {
        for (body, text, is_cut) in [
            ("{\"a\":1}", "{\"a\":1}", false),
            ("12345678", "12345678", false),
            ("123456789", "12345678…", true),
            ("1234567云", "1234567…", true),
            ("云云云", "云云…", true),
        ] {
            assert_eq!(shown(body.as_bytes(), 8), (text.to_owned(), is_cut), "{body}");
        }
        assert_eq!(shown(b"\xff234567890", 8), ("\u{fffd}2345678…".to_owned(), true));
    }

    #[test]
    fn a_form_says_what_calls() {
        let of = |query: &str| Trigger::of(&Fields::parse(query.as_bytes()));
        assert_eq!(of("function=a"), (Trigger::Client, None));
        assert_eq!(
            of("by=timer&timer=job/at%2Fnight"),
            (Trigger::Timer("at/night".to_owned()), Some("job".to_owned()))
        );
        for (method, sent) in [("PUT", "PUT"), ("CONNECT", "GET"), ("", "GET")] {
            let http = Trigger::Http {
                method: sent,
                path: "/a?b=c".to_owned(),
            };
            assert_eq!(
                of(&format!("by=http&method={method}&path=+/a?b%3Dc")),
                (http, None)
            );
        }
        assert_eq!(of("by=push&type=text"), (Trigger::Push("text".to_owned()), None));
        assert_eq!(of("by=<script>"), (Trigger::Client, None));
    }
}
