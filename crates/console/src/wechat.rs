//! The page WeChat: how the simulated WeChat behaves. What goes wrong on purpose, what its content checks say, which templates of subscribe
//! messages there are and who takes them, and what a user does by themself: writing to customer service, opening it, paying.

use gateway::ReplyBody;
use http::{Response, StatusCode};
use maud::{Markup, html};
use serde_json::{Map, Value, json};
use wording::wording;

use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer, trouble},
    missing,
    simulated::{Error, Fault, Simulated, Template, User, Verdict},
    web::{self, Fields},
};

/// What can go wrong, in words. The first two take a value.
const FAULTS: [(&str, &str, &str); 7] = [
    ("errcode", "an errcode", "返回错误码"),
    ("latency", "it waits", "延迟"),
    (
        "cut",
        "the connection ends before WeChat looks at it",
        "处理前断开连接",
    ),
    (
        "half",
        "it is done, and the connection ends within the answer",
        "已处理，应答中途断开",
    ),
    (
        "rotate",
        "the user gets a new session_key",
        "更换用户的 session_key",
    ),
    ("duplicate", "a push is sent twice", "推送重复一次"),
    (
        "reorder",
        "a push is sent after the next one",
        "推送乱序（与下一条交换）",
    ),
];

/// What a content check can say.
const SUGGESTS: [(&str, &str, &str); 3] = [
    ("risky", "risky", "违规 risky"),
    ("review", "review", "待审 review"),
    ("pass", "pass", "通过 pass"),
];

/// APIs that are often made to fail. Any other of the catalogue, by name or path, may be written.
const FAILING: [&str; 8] = [
    "*",
    "push",
    "auth.code2Session",
    "auth.getAccessToken",
    "getopendata",
    "security.msgSecCheck",
    "subscribeMessage.send",
    "customerServiceMessage.send",
];

/// The event upon which a form forgets what was written into it.
const DONE: (&str, &str) = ("hx-trigger", "done");

pub(crate) async fn page(inner: &Inner, viewer: &Viewer, simulated: &Simulated) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let users = inner.users().await;
    let content = html! {
        div #said .stays {}
        @match read(simulated).await {
            Err(error) => (trouble(&error.text(lang))),
            Ok(now) => {
                div #wechat .cards {
                    (faults(lang, &now))
                    (templates(lang, &now, &users))
                    (verdicts(lang, &now))
                    (deeds(lang, &users))
                }
            }
        }
    };
    layout::page(viewer, Page::WeChat, content)
}

/// How the simulated WeChat behaves now.
struct Now {
    faults: Vec<Fault>,
    verdicts: Vec<Verdict>,
    templates: Vec<Template>,
}

async fn read(simulated: &Simulated) -> Result<Now, Error> {
    Ok(Now {
        faults: simulated.faults().await?,
        verdicts: simulated.verdicts().await?,
        templates: simulated.templates().await?,
    })
}

/// Does what a form of the page asks for, says how that went, and shows the lists as they are then. The forms stay as they are: what was
/// refused is there to be mended, and what is half written beside it is not lost.
pub(crate) async fn act(
    inner: &Inner,
    viewer: &Viewer,
    simulated: &Simulated,
    what: &str,
    form: &Fields,
) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let done = match ask(lang, what, form) {
        None => return missing(viewer),
        Some(Err(text)) => Err(text),
        Some(Ok(Ask::Post(path, body))) => simulated
            .tell(path, &body)
            .await
            .map_err(|error| error.text(lang)),
        Some(Ok(Ask::Clear(path))) => simulated
            .clear(path)
            .await
            .map_err(|error| error.text(lang))
            .map(|()| Value::Null),
    };
    // A client's failure is an answer.
    let done = done.and_then(|answer| match answer["errMsg"].as_str() {
        Some(text) if !text.ends_with(":ok") => Err(text.to_owned()),
        Some(text) => Ok(text.to_owned()),
        None => Ok(lang.t("Done.", "已完成。").to_owned()),
    });
    inner.recorder.wake();
    let said = match done {
        Ok(said) => said,
        Err(text) => return web::html(StatusCode::OK, trouble(&text)),
    };
    let users = inner.users().await;
    let lists = match read(simulated).await {
        Ok(now) => html! {
            div #faults-now hx-swap-oob="true" { (faults_now(lang, &now)) }
            div #verdicts-now hx-swap-oob="true" { (verdicts_now(lang, &now)) }
            // It has a form, which is left alone where nothing changed.
            @if what == "template" { div #templates-now hx-swap-oob="true" { (templates_now(lang, &now, &users)) } }
        },
        Err(error) => trouble(&error.text(lang)),
    };
    web::part(
        html! { p .notice role="status" { "✓ " (said) } (lists) },
        DONE.0,
        DONE.1,
    )
}

/// What is asked of the simulator.
enum Ask {
    Post(&'static str, Value),
    Clear(&'static str),
}

/// What a form asks for; `None` where there is no such form.
fn ask(lang: Lang, what: &str, form: &Fields) -> Option<Result<Ask, String>> {
    let client = |api: &str, more: Value| {
        let mut body = json!({ "user": form.get("user"), "api": api });
        if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
            body.extend(more);
        }
        Ok(Ask::Post("client", body))
    };
    Some(match what {
        "fault" => fault(lang, form).map(|fault| Ask::Post("faults", fault)),
        "faults-clear" => Ok(Ask::Clear("faults")),
        "verdict" => {
            let mut rule = given(form, &["kind", "contains", "sha256", "suggest"]);
            number(lang, form, "label", &mut rule).map(|()| Ask::Post("verdicts", rule.into()))
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

fn fault(lang: Lang, form: &Fields) -> Result<Value, String> {
    let mut fault = given(form, &["api", "kind"]);
    number(lang, form, "value", &mut fault)?;
    number(lang, form, "next", &mut fault)?;
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
fn number(lang: Lang, form: &Fields, name: &str, to: &mut Map<String, Value>) -> Result<(), String> {
    match form.get(name).trim() {
        "" => Ok(()),
        text => {
            let number: i64 = text.parse().map_err(|_| {
                let said = wording!(
                    "{name} is a whole number, not {text:?}",
                    "{name} 应为整数，而不是 {text:?}"
                );
                lang.of_wording(&said).to_owned()
            })?;
            to.insert(name.to_owned(), number.into());
            Ok(())
        }
    }
}

fn form(what: &str, inside: &Markup) -> Markup {
    html! { form .edit hx-post={ "/wechat/" (what) } hx-target="#said" hx-disabled-elt="find button" { (inside) } }
}

fn field(text: &str, name: &str, hint: &str) -> Markup {
    html! { label { (text) input name=(name) placeholder=(hint) data-once autocomplete="off" spellcheck="false"; } }
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

fn faults(lang: Lang, now: &Now) -> Markup {
    let kinds: Vec<(&str, &str)> = FAULTS
        .iter()
        .map(|(kind, en, zh)| (*kind, lang.t(en, zh)))
        .collect();
    html! {
        section #faults .card {
            h2 { (lang.t("Faults, on purpose", "故障注入")) }
            p .dim { (lang.t("So that you see what your functions do when WeChat fails.", "看看微信出错时，云函数会怎样。")) }
            div #faults-now { (faults_now(lang, now)) }
            (form("fault", &html! {
                label { "API" input name="api" list="failing" required placeholder="subscribeMessage.send" autocomplete="off" spellcheck="false"; }
                datalist #failing { @for api in FAILING { option value=(api) {} } }
                (choice(lang.t("What happens", "现象"), "kind", &kinds))
                div .row {
                    (field(lang.t("Errcode, or ms", "错误码或毫秒数"), "value", "45009"))
                    label { (lang.t("Times", "生效次数")) input name="next" value="1" inputmode="numeric" autocomplete="off"; }
                }
                button .button { (lang.t("Set", "设定")) }
            }))
        }
    }
}

fn faults_now(lang: Lang, Now { faults: all, .. }: &Now) -> Markup {
    html! {
        @if all.is_empty() { p .dim { (lang.t("None is set.", "没有设定。")) } } @else {
            table {
                thead { tr {
                    th scope="col" { "API" }
                    th scope="col" { (lang.t("What happens", "现象")) }
                    th scope="col" { (lang.t("Left", "剩余")) }
                    th scope="col" .number { (lang.t("Happened", "已触发")) }
                } }
                tbody { @for fault in all {
                    tr {
                        td { code { (fault.api) } }
                        td { (happens(lang, fault)) }
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
            (form("faults-clear", &html! { button #clear-faults { (lang.t("Clear all", "全部清除")) } }))
        }
    }
}

/// What a fault brings about.
fn happens(lang: Lang, fault: &Fault) -> Markup {
    let known = FAULTS.iter().find(|(kind, ..)| *kind == fault.kind);
    html! {
        (known.map_or(fault.kind.as_str(), |(_, en, zh)| lang.t(en, zh)))
        @if let Some(value) = fault.value {
            " " code { (value) }
            @if fault.kind == "latency" { (lang.t(" ms", " 毫秒")) }
        }
    }
}

fn templates(lang: Lang, now: &Now, users: &[User]) -> Markup {
    html! {
        section #templates .card {
            h2 { (lang.t("Subscribe messages", "订阅消息")) }
            div #templates-now { (templates_now(lang, now, users)) }
            details #add-template {
                summary { (lang.t("Add a template", "添加模板")) }
                (form("template", &html! {
                    (field(lang.t("Title", "标题"), "title", "预约提醒"))
                    label { (lang.t("Content", "内容")) textarea name="content" rows="3" data-once spellcheck="false" placeholder="时间:{{time1.DATA}}" {} }
                    (field(lang.t("Template id (if any)", "模板 ID（可空）"), "priTmplId", ""))
                    button .button { (lang.t("Add", "添加")) }
                }))
            }
        }
    }
}

fn templates_now(lang: Lang, Now { templates: all, .. }: &Now, users: &[User]) -> Markup {
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
    let answers = [
        ("accept", lang.t("accepts", "同意")),
        ("reject", lang.t("rejects", "拒绝")),
    ];
    html! {
        @if all.is_empty() { p .dim { (lang.t("There is no template yet.", "还没有模板。")) } } @else {
            ul .chips { @for template in all { li { (template.title) " " code { (template.pri_tmpl_id) } } } }
            (form("subscribe", &html! {
                div .row {
                    (people(lang, users))
                    (choice(lang.t("Template", "模板"), "template", &ids))
                    (choice(lang.t("The user", "用户选择"), "answer", &answers))
                }
                button { (lang.t("Ask the user to subscribe", "请求订阅授权")) }
            }))
        }
    }
}

fn verdicts(lang: Lang, now: &Now) -> Markup {
    let kinds = [
        ("text", lang.t("texts that contain", "文本包含")),
        (
            "image",
            lang.t("images (SHA-256, or all)", "图片（SHA-256，可空）"),
        ),
        ("media", lang.t("media whose address contains", "音视频地址包含")),
    ];
    let suggests = SUGGESTS.map(|(suggest, en, zh)| (suggest, lang.t(en, zh)));
    html! {
        section #verdicts .card {
            h2 { (lang.t("Content checks", "内容安全")) }
            p .dim { (lang.t(
                "What no rule names passes. The two of the start are samples from WeChat's document.",
                "没有规则命中的都通过。最初的两条是微信文档里的示例文本。",
            )) }
            div #verdicts-now { (verdicts_now(lang, now)) }
            h3 { (lang.t("A further rule", "添加规则")) }
            (form("verdict", &html! {
                (choice(lang.t("For", "对象"), "kind", &kinds))
                div .row {
                    (field(lang.t("Text", "文本"), "contains", ""))
                    (field(lang.t("SHA-256 of an image", "图片的 SHA-256"), "sha256", ""))
                }
                div .row {
                    (choice(lang.t("Verdict", "结论"), "suggest", &suggests))
                    (field(lang.t("Label", "命中标签 label"), "label", "20002"))
                }
                button .button { (lang.t("Add", "添加")) }
            }))
        }
    }
}

fn verdicts_now(lang: Lang, Now { verdicts: all, .. }: &Now) -> Markup {
    html! {
        table {
            thead { tr {
                th scope="col" { (lang.t("For", "对象")) }
                th scope="col" { (lang.t("Holds", "匹配")) }
                th scope="col" { (lang.t("Verdict", "结论")) }
            } }
            tbody { @for rule in all {
                tr {
                    td { (match rule.kind.as_str() {
                        "text" => lang.t("text", "文本"),
                        "image" => lang.t("image", "图片"),
                        "media" => lang.t("media", "音视频"),
                        kind => kind,
                    }) }
                    td { code { (rule.contains.as_deref().or(rule.sha256.as_deref()).unwrap_or("*")) } }
                    td { span .(match rule.suggest.as_str() { "pass" => "good", "review" => "warn", _ => "bad" }) { (suggested(lang, &rule.suggest)) } @if let Some(label) = rule.label { " " code { (label) } } }
                }
            } }
        }
        (form("verdicts-reset", &html! { button #reset-verdicts { (lang.t("Only the rules of the start", "恢复默认规则")) } }))
    }
}

/// What a verdict says.
fn suggested(lang: Lang, suggest: &str) -> &str {
    let known = SUGGESTS.iter().find(|(known, ..)| *known == suggest);
    known.map_or(suggest, |(_, en, zh)| lang.t(en, zh))
}

/// What a user does that no function of `wx` does.
fn deeds(lang: Lang, users: &[User]) -> Markup {
    html! {
        section #deeds .card {
            h2 { (lang.t("What users do", "用户操作")) }
            h3 { (lang.t("Write to customer service", "给客服发消息")) }
            (form("message", &html! {
                div .row { (people(lang, users)) (field(lang.t("Message", "消息"), "content", lang.t("hello", "在吗"))) }
                button { (lang.t("Send", "发送")) }
            }))
            h3 { (lang.t("Open customer service", "进入客服会话")) }
            (form("session", &html! {
                div .row { (people(lang, users)) (field("session-from", "sessionFrom", "")) }
                button { (lang.t("Enter the conversation", "进入会话")) }
            }))
            h3 { (lang.t("Pay", "支付")) }
            p .dim { (lang.t("Nothing is paid; getPaidUnionid finds it afterwards. By transactionId, or by outTradeNo and mchId.", "没有真的付款，之后 getPaidUnionid 能查到：按 transactionId，或按 outTradeNo 和 mchId。")) }
            (form("payment", &html! {
                div .row { (people(lang, users)) (field("transactionId", "transactionId", "")) }
                div .row { (field("outTradeNo", "outTradeNo", "")) (field("mchId", "mchId", "")) }
                button { (lang.t("The user has paid", "用户已付款")) }
            }))
        }
    }
}
