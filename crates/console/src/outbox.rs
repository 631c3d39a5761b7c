//! The page Outbox: what would have reached somebody, as that person would have seen it.

use gateway::ReplyBody;
use http::{Response, StatusCode};
use jiff::Timestamp;
use maud::{Markup, html};
use serde_json::{Map, Value};

use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer, person, time, trouble},
    missing,
    simulated::{Error, Item, Simulated, Template, User},
    web,
};

/// Items that are shown.
const MOST: usize = 50;

pub(crate) async fn page(inner: &Inner, viewer: &Viewer, simulated: &Simulated) -> Response<ReplyBody> {
    let now = list(inner, viewer, simulated).await;
    layout::page(viewer, Page::Outbox, layout::live("/live/outbox", now))
}

/// Empties it, and shows it empty.
pub(crate) async fn empty(inner: &Inner, viewer: &Viewer, simulated: &Simulated) -> Response<ReplyBody> {
    let shown = match simulated.empty_outbox().await {
        Ok(()) => list(inner, viewer, simulated).await,
        Err(error) => trouble(&error.text(viewer.lang)),
    };
    web::html(StatusCode::OK, shown)
}

/// What was drawn.
pub(crate) async fn image(viewer: &Viewer, simulated: &Simulated, number: &str) -> Response<ReplyBody> {
    let image = match number.parse() {
        Ok(number) => simulated.image(number).await.ok().flatten(),
        Err(_) => None,
    };
    image.map_or_else(
        || missing(viewer),
        |image| web::typed(StatusCode::OK, "image/png", image),
    )
}

/// The part of the page that follows what happens.
pub(crate) async fn list(inner: &Inner, viewer: &Viewer, simulated: &Simulated) -> Markup {
    let read = async || Ok::<_, Error>((simulated.outbox().await?, simulated.templates().await?));
    let (items, templates) = match read().await {
        Ok(read) => read,
        Err(error) => return trouble(&error.text(viewer.lang)),
    };
    let users = inner.users().await;
    shown(viewer.lang, &items, &templates, &users)
}

fn shown(lang: Lang, items: &[Item], templates: &[Template], users: &[User]) -> Markup {
    html! {
        p .dim {
            (lang.t(
                "What cloud calls sent or drew. It is simulated: nobody was sent anything.",
                "云调用发出的消息、生成的码。均为模拟，没有真正发给任何人。",
            ))
        }
        @if items.is_empty() {
            p { (lang.t("Nothing yet.", "还没有内容。")) }
        } @else {
            form hx-post="/outbox/empty" hx-target="closest [sse-swap]" { button #empty { (lang.t("Empty", "清空")) } }
            @let (sent, other): (Vec<&Item>, Vec<&Item>) = items.iter().rev().partition(|item| reaches_somebody(item));
            @if sent.is_empty() { p .dim { (lang.t("Nothing was sent to anybody.", "没有发给任何人的内容。")) } }
            ol .outbox #sent { @for item in sent.iter().take(MOST) { (message(lang, item, templates, users)) } }
            @if sent.len() > MOST {
                p .dim { (lang.t("Older ones, which are not shown: ", "更早的未显示：")) (sent.len() - MOST) }
            }
            @if !other.is_empty() {
                details #checks {
                    summary { (lang.t("Checks, and other calls that reach nobody", "内容检查等不触达用户的调用")) " · " (other.len()) }
                    ol .outbox { @for item in other.iter().take(MOST) { (message(lang, item, templates, users)) } }
                    @if other.len() > MOST {
                        p .dim { (lang.t("Older ones, which are not shown: ", "更早的未显示：")) (other.len() - MOST) }
                    }
                }
            }
        }
    }
}

/// Whether a person would have seen it: what was sent, and what was drawn. A check names the person too for whom it is made.
fn reaches_somebody(item: &Item) -> bool {
    let deed = item.api.rsplit('.').next().unwrap_or_default();
    item.image.is_some() || deed.to_ascii_lowercase().contains("send")
}

fn message(lang: Lang, item: &Item, templates: &[Template], users: &[User]) -> Markup {
    let none = Map::new();
    let body = item.body.as_object().unwrap_or(&none);
    html! {
        li .message {
            p .dim {
                @if !item.to.is_empty() { (lang.t("to ", "发给 ")) strong { (person(users, lang, Some(&item.to))) } " · " }
                @if let Ok(at) = Timestamp::from_second(item.at) { (time(at)) " · " }
                code { (item.api) }
            }
            div .bubble {
                (content(lang, item, body, templates))
                @if let Some(number) = item.image {
                    img src={ "/outbox/images/" (number) } alt=(lang.t("what was drawn", "生成的图片")) width="160" loading="lazy";
                }
            }
            @if let Some(note) = item.note(lang) { p .warn { (note) } }
        }
    }
}

/// What the person sees.
fn content(lang: Lang, item: &Item, body: &Map<String, Value>, templates: &[Template]) -> Markup {
    let name = item.api.as_str();
    if name == "subscribeMessage.send" {
        subscribe_message(lang, body, templates)
    } else if name == "customerServiceMessage.send" {
        customer_service(lang, body)
    } else if name.starts_with("wxacode.") {
        html! {
            strong { (lang.t("Mini Program code", "小程序码")) }
            (fields(["scene", "page", "path", "width", "env_version"].into_iter().filter_map(|name| Some((name, body.get(name)?)))))
        }
    } else {
        html! { (fields(body.iter().map(|(name, value)| (name.as_str(), value)))) }
    }
}

/// Its lines are those of the template, with what was sent in their places.
fn subscribe_message(lang: Lang, body: &Map<String, Value>, templates: &[Template]) -> Markup {
    let template = templates
        .iter()
        .find(|template| body.get("template_id").and_then(Value::as_str) == Some(&template.pri_tmpl_id));
    let none = Map::new();
    let data = body.get("data").and_then(Value::as_object).unwrap_or(&none);
    let title = template.map_or("", |template| template.title.as_str());
    html! {
        strong { @if title.is_empty() { (lang.t("Subscribe message", "订阅消息")) } @else { (title) } }
        dl .facts.lines {
            @for (field, value) in data {
                div { dt { (template.map_or(field.as_str(), |template| label(template, field))) } dd { (text(&value["value"])) } }
            }
        }
        @if let Some(page) = body.get("page") { p .dim { (lang.t("opens ", "打开 ")) code { (text(page)) } } }
    }
}

/// What a template writes before a field: `会议时间` in `会议时间:{{date2.DATA}}`.
fn label<'a>(template: &'a Template, field: &'a str) -> &'a str {
    let place = format!("{{{{{field}.DATA}}}}");
    let mut lines = template.content.lines();
    lines
        .find_map(|line| line.split_once(&place))
        .map(|(before, _)| before.trim().trim_end_matches([':', '：']))
        .filter(|label| !label.is_empty())
        .unwrap_or(field)
}

fn customer_service(lang: Lang, body: &Map<String, Value>) -> Markup {
    let part = |kind: &str| {
        body.get(kind)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    match body.get("msgtype").and_then(Value::as_str) {
        Some("text") => html! { p .said { (part("text").get("content").map(text).unwrap_or_default()) } },
        Some("image") => html! {
            strong { (lang.t("An image", "图片")) }
            (fields(part("image").iter().map(|(name, value)| (name.as_str(), value))))
        },
        Some(kind) => html! {
            strong { (kind) }
            (fields(part(kind).iter().map(|(name, value)| (name.as_str(), value))))
        },
        None => html! { (fields(body.iter().map(|(name, value)| (name.as_str(), value)))) },
    }
}

fn fields<'a>(all: impl Iterator<Item = (&'a str, &'a Value)>) -> Markup {
    html! { dl .facts.lines { @for (name, value) in all { div { dt { (name) } dd { (text(value)) } } } } }
}

/// A text as it is, anything else as JSON.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const HOSTILE: &str = "</dd><script>alert(1)</script><img src=x onerror=alert(1)>";

    fn item(api: &str, body: Value) -> Item {
        Item {
            api: api.to_owned(),
            to: HOSTILE.to_owned(),
            body,
            at: 0,
            image: Some(7),
            note: Some(HOSTILE.to_owned()),
            note_zh: Some(HOSTILE.to_owned()),
        }
    }

    #[test]
    fn lines_are_the_templates() {
        let template = Template {
            pri_tmpl_id: "T".to_owned(),
            title: "会议提醒".to_owned(),
            content: "会议时间:{{date2.DATA}}\n地点：{{thing1.DATA}}\n{{x.DATA}}\n".to_owned(),
        };
        for (field, expected) in [("date2", "会议时间"), ("thing1", "地点"), ("x", "x"), ("y", "y")] {
            assert_eq!(label(&template, field), expected);
        }
    }

    #[test]
    fn whatever_is_sent_stays_text() {
        let items = [
            item(
                "subscribeMessage.send",
                json!({"template_id": HOSTILE, "page": HOSTILE, "data": {HOSTILE: {"value": HOSTILE}}}),
            ),
            item(
                "customerServiceMessage.send",
                json!({"msgtype": "text", "text": {"content": HOSTILE}}),
            ),
            item(
                "customerServiceMessage.send",
                json!({"msgtype": "image", "image": {"media_id": HOSTILE}}),
            ),
            item(
                "customerServiceMessage.send",
                json!({"msgtype": HOSTILE, HOSTILE: {HOSTILE: HOSTILE}}),
            ),
            item("customerServiceMessage.send", json!({HOSTILE: HOSTILE})),
            item("wxacode.getUnlimited", json!({"scene": HOSTILE})),
            item(HOSTILE, json!({HOSTILE: [HOSTILE]})),
            item(HOSTILE, json!(HOSTILE)),
        ];
        let page = shown(Lang::Zh, &items, &[], &[]).into_string();
        assert!(
            !page.contains("<script") && !page.contains("<img src=x"),
            "{page}"
        );
        assert!(page.matches("&lt;script&gt;").count() >= 3 * items.len());
    }
}
