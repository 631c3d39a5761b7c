//! The page WeChat: how the simulated WeChat behaves. What goes wrong on purpose, what its content checks say, which templates of subscribe
//! messages there are and who takes them, and what a user does by themself: writing to customer service, opening it, paying.

use gateway::ReplyBody;
use http::{Response, StatusCode};
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer, trouble},
    missing,
    simulated::{Error, Fault, Simulated, Template, User, Verdict},
    web::{self, Fields},
};

/// What can go wrong, and whether it takes a value.
const FAULTS: [(&str, &str, &str); 7] = [
    ("errcode", "an errcode (value: which)", "返回错误码（填写错误码）"),
    ("latency", "wait (value: milliseconds)", "延迟（填写毫秒数）"),
    ("cut", "closed before WeChat looks at it", "处理前断开连接"),
    (
        "half",
        "done, then closed within the answer",
        "已处理，应答中途断开",
    ),
    (
        "rotate",
        "a new session_key for the user",
        "更换用户的 session_key",
    ),
    ("duplicate", "a push is sent twice", "推送重复一次"),
    (
        "reorder",
        "a push is held back until the next",
        "推送延后到下一条之后",
    ),
];

pub(crate) async fn page(inner: &Inner, viewer: &Viewer, simulated: &Simulated) -> Response<ReplyBody> {
    let now = content(inner, viewer, simulated, None).await;
    layout::page(viewer, Page::WeChat, html! { div #wechat { (now) } })
}

/// Does what a form of the page asks for, and shows the page as it is then.
pub(crate) async fn act(
    inner: &Inner,
    viewer: &Viewer,
    simulated: &Simulated,
    what: &str,
    form: &Fields,
) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let done = match ask(what, form) {
        None => return missing(viewer),
        Some(Err(text)) => Err(text),
        Some(Ok(Ask::Post(path, body))) => simulated
            .tell(path, &body)
            .await
            .map_err(|error| error.to_string()),
        Some(Ok(Ask::Clear(path))) => simulated
            .clear(path)
            .await
            .map_err(|error| error.to_string())
            .map(|()| Value::Null),
    };
    let said = match done {
        // A client's failure is an answer.
        Ok(answer) => match answer["errMsg"].as_str() {
            Some(text) if !text.ends_with(":ok") => trouble(text),
            Some(text) => html! { p .notice role="status" { "✓ " (text) } },
            None => html! { p .notice role="status" { "✓ " (lang.t("Done.", "已完成。")) } },
        },
        Err(text) => trouble(&text),
    };
    inner.recorder.wake();
    web::html(
        StatusCode::OK,
        content(inner, viewer, simulated, Some(said)).await,
    )
}

/// What is asked of the simulator.
enum Ask {
    Post(&'static str, Value),
    Clear(&'static str),
}

/// What a form asks for; `None` where there is no such form.
fn ask(what: &str, form: &Fields) -> Option<Result<Ask, String>> {
    let client = |api: &str, more: Value| {
        let mut body = json!({ "user": form.get("user"), "api": api });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        Ok(Ask::Post("client", body))
    };
    Some(match what {
        "fault" => fault(form).map(|fault| Ask::Post("faults", fault)),
        "faults-clear" => Ok(Ask::Clear("faults")),
        "verdict" => {
            let mut rule = given(form, &["kind", "contains", "sha256", "suggest"]);
            number(form, "label", &mut rule).map(|()| Ask::Post("verdicts", rule.into()))
        }
        "verdicts-reset" => Ok(Ask::Clear("verdicts")),
        "template" => Ok(Ask::Post(
            "templates",
            given(form, &["title", "content", "priTmplId"]).into(),
        )),
        "subscribe" => client(
            "requestSubscribeMessage",
            json!({ "tmplIds": [form.get("template")], "answer": form.get("answer") }),
        ),
        "message" => client("sendMessage", json!({ "content": form.get("content") })),
        "session" => client("enterSession", json!({ "sessionFrom": form.get("sessionFrom") })),
        "payment" => client(
            "requestPayment",
            given(form, &["transactionId", "mchId", "outTradeNo"]).into(),
        ),
        _ => return None,
    })
}

fn fault(form: &Fields) -> Result<Value, String> {
    let mut fault = given(form, &["api", "kind"]);
    number(form, "value", &mut fault)?;
    number(form, "next", &mut fault)?;
    Ok(fault.into())
}

/// The fields that are not left empty.
fn given(form: &Fields, names: &[&str]) -> Map<String, Value> {
    let fields = names
        .iter()
        .map(|name| ((*name).to_owned(), form.get(name).trim()));
    let fields = fields.filter(|(_, value)| !value.is_empty());
    fields.map(|(name, value)| (name, value.into())).collect()
}

/// A field that is a whole number, or empty.
fn number(form: &Fields, name: &str, to: &mut Map<String, Value>) -> Result<(), String> {
    match form.get(name).trim() {
        "" => Ok(()),
        text => {
            let number: i64 = text
                .parse()
                .map_err(|_| format!("{name} is a whole number, not {text:?}"))?;
            to.insert(name.to_owned(), number.into());
            Ok(())
        }
    }
}

async fn content(inner: &Inner, viewer: &Viewer, simulated: &Simulated, said: Option<Markup>) -> Markup {
    let lang = viewer.lang;
    let read = async || {
        Ok::<_, Error>((
            simulated.faults().await?,
            simulated.verdicts().await?,
            simulated.templates().await?,
        ))
    };
    let users = inner.users().await;
    html! {
        @if let Some(said) = said { (said) }
        @match read().await {
            Err(error) => (trouble(&error.to_string())),
            Ok((all_faults, all_verdicts, all_templates)) => {
                div .cards.wide {
                    (faults(lang, &all_faults))
                    (templates(lang, &all_templates, &users))
                    (verdicts(lang, &all_verdicts))
                    (deeds(lang, &users))
                }
            }
        }
    }
}

fn form(what: &str, inside: &Markup) -> Markup {
    html! { form .edit hx-post={ "/wechat/" (what) } hx-target="#wechat" hx-disabled-elt="find button" { (inside) } }
}

fn field(text: &str, name: &str, hint: &str) -> Markup {
    html! { label { (text) input name=(name) placeholder=(hint) autocomplete="off" spellcheck="false"; } }
}

fn choice(text: &str, name: &str, all: &[(&str, &str)]) -> Markup {
    html! { label { (text) select name=(name) { @for (value, text) in all { option value=(value) { (text) } } } } }
}

fn people(lang: Lang, users: &[User]) -> Markup {
    let names: Vec<(&str, &str)> = users
        .iter()
        .map(|user| (user.name.as_str(), user.name.as_str()))
        .collect();
    choice(lang.t("User", "用户"), "user", &names)
}

fn faults(lang: Lang, all: &[Fault]) -> Markup {
    let kinds: Vec<(&str, &str)> = FAULTS
        .iter()
        .map(|(kind, en, zh)| (*kind, lang.t(en, zh)))
        .collect();
    html! {
        section #faults .card {
            h2 { (lang.t("Faults: what goes wrong on purpose", "故障：有意让它出错")) }
            @if all.is_empty() { p .dim { (lang.t("None is set.", "没有设定。")) } } @else {
                table {
                    thead { tr { th { "API" } th { (lang.t("Kind", "类型")) } th { (lang.t("Left", "剩余")) } th .number { (lang.t("Struck", "已触发")) } } }
                    tbody { @for fault in all {
                        tr {
                            td { code { (fault.api) } }
                            td { (fault.kind) @if let Some(value) = fault.value { " " code { (value) } } }
                            td {
                                @match (fault.next, fault.probability) {
                                    (Some(next), _) => (next),
                                    (None, Some(share)) => { (lang.t("each with ", "每次概率 ")) (share) }
                                    (None, None) => "–",
                                }
                            }
                            td .number { (fault.fired) }
                        }
                    } }
                }
                (form("faults-clear", &html! { button { (lang.t("Clear all", "全部清除")) } }))
            }
            (form("fault", &html! {
                (field("API", "api", "getopendata, cloudbase.getOpenData, /wxa/msg_sec_check, push, *"))
                (choice(lang.t("What happens", "现象"), "kind", &kinds))
                div .row {
                    (field(lang.t("Value", "值"), "value", "-1, 40001, 45009 …"))
                    label { (lang.t("Of how many calls", "接下来几次")) input name="next" value="1" inputmode="numeric" autocomplete="off"; }
                }
                button .button { (lang.t("Set", "设定")) }
            }))
        }
    }
}

fn templates(lang: Lang, all: &[Template], users: &[User]) -> Markup {
    let name = |template: &'_ Template| match template.title.as_str() {
        "" => template.pri_tmpl_id.clone(),
        title => title.to_owned(),
    };
    let names: Vec<String> = all.iter().map(name).collect();
    let ids: Vec<(&str, &str)> = all
        .iter()
        .zip(&names)
        .map(|(template, name)| (template.pri_tmpl_id.as_str(), name.as_str()))
        .collect();
    html! {
        section #templates .card {
            h2 { (lang.t("Subscribe messages", "订阅消息")) }
            @if all.is_empty() { p .dim { (lang.t("There is no template yet.", "还没有模板。")) } } @else {
                ul .chips { @for template in all { li { (template.title) " " code { (template.pri_tmpl_id) } } } }
                (form("subscribe", &html! {
                    div .row {
                        (people(lang, users))
                        (choice(lang.t("Template", "模板"), "template", &ids))
                        (choice(lang.t("Says", "选择"), "answer", &[("accept", lang.t("accepts", "同意")), ("reject", lang.t("rejects", "拒绝"))]))
                    }
                    button { (lang.t("The user is asked", "弹出订阅")) }
                }))
            }
            details {
                summary { (lang.t("Add a template", "添加模板")) }
                (form("template", &html! {
                    (field(lang.t("Title", "标题"), "title", "预约提醒"))
                    label { (lang.t("Content", "内容")) textarea name="content" rows="3" spellcheck="false" placeholder="时间:{{time1.DATA}}" {} }
                    (field(lang.t("Template id (if any)", "模板 ID（可空）"), "priTmplId", ""))
                    button .button { (lang.t("Add", "添加")) }
                }))
            }
        }
    }
}

fn verdicts(lang: Lang, all: &[Verdict]) -> Markup {
    let kinds = [
        ("text", lang.t("texts that contain", "文本包含")),
        (
            "image",
            lang.t("images (SHA-256, or all)", "图片（SHA-256，可空）"),
        ),
        ("media", lang.t("media whose address contains", "音视频地址包含")),
    ];
    let suggests = [
        ("risky", lang.t("risky", "违规 risky")),
        ("review", lang.t("review", "待审 review")),
        ("pass", lang.t("pass", "通过 pass")),
    ];
    html! {
        section #verdicts .card {
            h2 { (lang.t("Content checks", "内容安全")) }
            table {
                tbody { @for rule in all {
                    tr {
                        td { (rule.kind) }
                        td { code { (rule.contains.as_deref().or(rule.sha256.as_deref()).unwrap_or("*")) } }
                        td { span .(match rule.suggest.as_str() { "pass" => "good", "review" => "warn", _ => "bad" }) { (rule.suggest) } @if let Some(label) = rule.label { " " code { (label) } } }
                    }
                } }
            }
            (form("verdicts-reset", &html! { button { (lang.t("As at the start", "恢复初始")) } }))
            (form("verdict", &html! {
                (choice(lang.t("Of", "对象"), "kind", &kinds))
                (field(lang.t("Text", "文本"), "contains", ""))
                (field("SHA-256", "sha256", ""))
                div .row {
                    (choice(lang.t("Verdict", "结论"), "suggest", &suggests))
                    (field(lang.t("Label", "标签"), "label", "20002"))
                }
                button .button { (lang.t("Add", "添加")) }
            }))
        }
    }
}

/// What a user does that no function of `wx` does.
fn deeds(lang: Lang, users: &[User]) -> Markup {
    html! {
        section #deeds .card {
            h2 { (lang.t("What users do", "用户操作")) }
            h3 { (lang.t("Customer service", "客服")) }
            (form("message", &html! {
                div .row { (people(lang, users)) (field(lang.t("Message", "消息"), "content", lang.t("hello", "在吗"))) }
                button { (lang.t("Send to customer service", "发给客服")) }
            }))
            (form("session", &html! {
                div .row { (people(lang, users)) (field("session-from", "sessionFrom", "")) }
                button { (lang.t("Enter the conversation", "进入会话")) }
            }))
            h3 { (lang.t("Payment", "支付")) }
            (form("payment", &html! {
                (people(lang, users))
                div .row {
                    (field("transactionId", "transactionId", ""))
                    (field("mchId", "mchId", ""))
                    (field("outTradeNo", "outTradeNo", ""))
                }
                button { (lang.t("The user has paid", "用户已付款")) }
            }))
        }
    }
}
