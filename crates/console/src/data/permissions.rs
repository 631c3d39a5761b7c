//! What clients may do with each collection, which file says so, and a place to try it: "may alice read this query?". A try is judged as
//! the same request of a client's would be, and nothing is done. The user is one of the simulated ones, or whoever is typed.

use bson::Document;
use database::{ClientDatabase, ClientError, ClientRequest, Permissions};
use ejson::shell;
use gateway::ReplyBody;
use http::{Response, StatusCode};
use jiff::Timestamp;
use maud::{Markup, html};
use rules::{Caller, Level, Operation, Permission, Rules};
use wording::{shell_word, shell_words};

use super::{failed, fault, now, paging::read_filter, shown};
use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer, trouble},
    simulated::User,
    web::{self, Fields},
};

/// Collections that are listed.
const MOST: usize = 500;
/// What the form has as the user where another is typed.
const OTHER: &str = "";
/// What it has where there is no user.
const NOBODY: &str = "-";
/// How a web page's user may have logged in, as rules see it.
const LOGIN_TYPES: [&str; 7] = [
    "ANONYMOUS",
    "CUSTOM",
    "USERNAME",
    "WECHAT",
    "EMAIL",
    "WECHAT_PUBLIC",
    "WECHAT_OPEN",
];

pub(super) async fn page(inner: &Inner, viewer: &Viewer, query: &Fields) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let stored = match inner.database.collections().await {
        Ok(stored) => stored,
        Err(error) => return layout::page(viewer, Page::Data, failed(lang, &error.wording())),
    };
    let permissions = inner.gateway.database().permissions.load();
    let mut names: Vec<&str> = stored.iter().map(|status| status.name.as_str()).collect();
    names.extend(permissions.collections.keys().map(String::as_str));
    names.sort_unstable();
    names.dedup();
    let users = inner.users().await;
    let content = html! {
        p { a href="/data" { "← " (lang.t("All collections", "全部集合")) } }
        h2 { (lang.t("What clients may do", "客户端权限")) }
        p .dim { (lang.t("Functions and the operator may do everything.", "云函数和管理端不受限制。")) }
        (kept_back(inner, lang))
        table .collections #permissions {
            thead { tr {
                th scope="col" { (lang.t("Collection", "集合")) }
                th scope="col" { (lang.t("Permission", "权限")) }
                th scope="col" { (lang.t("Where it says so", "来源")) }
            } }
            tbody {
                @for name in names.iter().take(MOST) {
                    tr {
                        td { a href=(web::link("/data/collection", &[("name", name)])) { (shown(name)) } }
                        td { (permission(lang, permissions.of(name))) }
                        td { (source(inner, lang, &permissions, name)) }
                    }
                }
                tr {
                    td .dim { (lang.t("any other", "其他集合")) }
                    td { (permission(lang, &permissions.default)) }
                    td { code { "[database] default_permission" } }
                }
            }
        }
        @if names.len() > MOST {
            p .dim { (lang.t("Further ones, which are not listed: ", "其余未列出：")) (names.len() - MOST) }
        }
        (tester(viewer, &names, &users, query.get("name")))
    };
    layout::page(viewer, Page::Data, content)
}

/// Collections of which clients found nothing though there are documents, each with the command by which all may read it. It is for a
/// person to type, one by one, since any client can ask for any collection: nothing is opened from here.
fn kept_back(inner: &Inner, lang: Lang) -> Markup {
    let names = inner.gateway.kept_back();
    if names.is_empty() {
        return html! {};
    }
    let root = inner
        .shown()
        .and_then(|shown| std::path::absolute(&shown.project.root).ok());
    let dir = root.map(|root| format!("--dir {} ", shell_word(&root.display().to_string())));
    let dir = dir.unwrap_or_default();
    html! {
        div .card #kept-back {
            p { (lang.t("Clients found nothing in these, though they have documents, because no file says who may read them. Where WeChat's console lets everybody read (所有用户可读), type:", "小程序端在这些集合里没有查到记录，而集合里有记录，因为没有文件写明权限。如果云开发控制台里是“所有用户可读，仅创建者可写”，请执行：")) }
            @for name in names.iter().take(MOST) {
                @let command = format!("yunqiao db permission --set READONLY {dir}{}", shell_words(&[name]));
                p { code { (shell::visible(&command)) } " " (layout::copy(lang, &command)) }
            }
        }
    }
}

/// A level by its name and what it means, or the rules.
fn permission(lang: Lang, permission: &Permission) -> Markup {
    html! {
        @match permission {
            Permission::Level(level) => { code { (level.name()) } " " span .dim { (meaning(lang, *level)) } }
            Permission::Rules(rules) => ul .rules { @for (key, text) in rows(rules) { li { code { (key) ": " (shell::visible(text)) } } } }
        }
    }
}

/// The rules by key, those that are alike as one.
fn rows(rules: &Rules) -> Vec<(&str, &str)> {
    let mut rows: Vec<(&str, &str)> = Vec::new();
    for operation in [
        Operation::Read,
        Operation::Create,
        Operation::Update,
        Operation::Delete,
    ] {
        let rule = rules.rule(operation);
        if !rows.iter().any(|(key, _)| *key == rule.key()) {
            rows.push((rule.key(), rule.text()));
        }
    }
    rows
}

/// As WeChat's console calls them.
fn meaning(lang: Lang, level: Level) -> &'static str {
    match level {
        Level::ReadOnly => lang.t("all read, the creator writes", "所有用户可读，仅创建者可写"),
        Level::Private => lang.t("the creator reads and writes", "仅创建者可读写"),
        Level::AdminWrite => lang.t("all read, no client writes", "所有用户可读"),
        Level::AdminOnly => lang.t("no client reads or writes", "所有用户不可读写"),
    }
}

/// Which file a permission comes from, as far as that is still what counts.
fn source(inner: &Inner, lang: Lang, permissions: &Permissions, name: &str) -> Markup {
    let project = inner.shown();
    let written = project
        .as_ref()
        .and_then(|shown| shown.project.settings.database.collections.get(name));
    let counts = permissions.collections.get(name);
    let file = written.and_then(|written| written.permission_source);
    html! {
        @match (file, counts) {
            (Some(file), _) if written.and_then(|written| written.permission.as_ref()) == counts => code { (file) },
            (None, None) => span .dim { (lang.t("nowhere: the default", "未设置：默认权限")) },
            _ => span .badge.warn { (lang.t("changed, and counts: functions are being loaded", "有改动，已生效：云函数加载中")) },
        }
    }
}

/// The form.
fn tester(viewer: &Viewer, names: &[&str], users: &[User], name: &str) -> Markup {
    let lang = viewer.lang;
    let operations = [
        ("get", lang.t("get, count, watch", "get、count、watch")),
        (
            "aggregate",
            lang.t("aggregate, by its first match", "aggregate（首个 match）"),
        ),
        ("add", "add"),
        ("update", "update"),
        ("remove", "remove"),
    ];
    html! {
        section {
            h2 #try { (lang.t("Try it", "试一试")) }
            p .dim { (lang.t("Nothing is read out or changed: this says what a client would be told.", "只作判断，不读出也不修改数据。")) }
            form #tester .query hx-post="/data/permissions" hx-target="#verdict" hx-disabled-elt="find button" {
                label .wide {
                    (lang.t("Collection", "集合"))
                    input name="name" value=(name) required list="names" autocomplete="off" spellcheck="false";
                }
                datalist #names { @for name in names.iter().take(MOST) { option value=(name) {} } }
                label {
                    (lang.t("User", "用户"))
                    select name="user" {
                        @for user in users { option value=(user.openid) { (user.name) } }
                        option value=(OTHER) { (lang.t("as typed below", "见下方填写")) }
                        option value=(NOBODY) { (lang.t("not logged in", "未登录")) }
                    }
                }
                label {
                    (lang.t("Operation", "操作"))
                    select name="operation" {
                        @for (value, text) in operations { option value=(value) { (text) } }
                    }
                }
                label .wide {
                    (lang.t("Query", "查询条件"))
                    textarea name="query" rows="2" spellcheck="false" autocapitalize="off" autocomplete="off"
                        placeholder="{done: false, _openid: \"{openid}\", age: {$gt: 5}}" {}
                }
                label .wide {
                    (lang.t("Data of add and update", "add、update 的 data"))
                    textarea name="data" rows="2" spellcheck="false" autocapitalize="off" autocomplete="off"
                        placeholder="{title: \"…\"}" {}
                }
                details .wide {
                    summary { (lang.t("Another user", "其他用户")) }
                    p .dim { (lang.t("Counts where the user is “as typed below”: an openid of a Mini Program, or the uid of a web page.", "“用户”选“见下方填写”时生效：小程序的 openid，或网页用户的 uid。")) }
                    label { "openid" input name="openid" autocomplete="off" spellcheck="false"; }
                    label { "uid" input name="uid" autocomplete="off" spellcheck="false"; }
                    label {
                        "loginType"
                        select name="login" {
                            option value="" { "–" }
                            @for kind in LOGIN_TYPES { option value=(kind) { (kind) } }
                        }
                    }
                }
                button .button title="Ctrl+Enter" { (lang.t("Judge", "判断")) }
            }
            div #verdict aria-live="polite" {}
        }
    }
}

/// Says what a client would be told.
pub(super) async fn answer(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let said = match request(lang, form) {
        Ok(request) => {
            let caller = caller(form);
            let permissions = inner.gateway.database().permissions.load();
            let client = ClientDatabase {
                database: inner.database.as_ref(),
                permissions: &permissions,
                caller: &caller,
                now: Timestamp::now().as_millisecond(),
            };
            let name = form.get("name").trim();
            let is_add = matches!(request, ClientRequest::Create(_));
            let asked = asked(&request);
            let judged = client.judge_request(name, request).await;
            verdict(lang, permissions.of(name), &asked, is_add, judged)
        }
        Err(said) => trouble(&said),
    };
    web::html(StatusCode::OK, said)
}

/// Who asks.
fn caller(form: &Fields) -> Caller {
    let typed = |name: &str| Some(form.get(name).trim().to_owned()).filter(|text| !text.is_empty());
    match form.get("user") {
        OTHER => Caller {
            openid: typed("openid"),
            uid: typed("uid"),
            login_type: typed("login"),
        },
        NOBODY => Caller::default(),
        openid => Caller::of_openid(openid),
    }
}

/// What is asked for, or what is wrong with what was typed.
fn request(lang: Lang, form: &Fields) -> Result<ClientRequest, String> {
    let field = |name: &str| form.get(name).replace("\r\n", "\n");
    let (query, data) = (field("query"), field("data"));
    let wrong = |what: &str, error: &ejson::Error, text: &str| format!("{what}{}", fault(lang, error, text));
    let filter = || {
        read_filter(query.trim())
            .map_err(|error| wrong(lang.t("Query, ", "查询条件，"), &error, query.trim()))
    };
    let document = || match data.trim() {
        "" => Ok(Document::new()),
        text => shell::read_document(text, now()).map_err(|error| wrong("data: ", &error, text)),
    };
    Ok(match form.get("operation") {
        "aggregate" => ClientRequest::Aggregate(filter()?),
        "add" => ClientRequest::Create(document()?),
        "update" => ClientRequest::Update(filter()?, document()?),
        "remove" => ClientRequest::Delete(filter()?),
        _ => ClientRequest::Read(filter()?),
    })
}

/// The query or document of a request.
fn asked(request: &ClientRequest) -> Document {
    match request {
        ClientRequest::Read(asked)
        | ClientRequest::Aggregate(asked)
        | ClientRequest::Create(asked)
        | ClientRequest::Update(asked, _)
        | ClientRequest::Delete(asked) => asked.clone(),
    }
}

fn verdict(
    lang: Lang,
    permission: &Permission,
    asked: &Document,
    is_add: bool,
    judged: Result<Document, ClientError>,
) -> Markup {
    let done = match judged {
        Ok(done) => done,
        Err(error) => return denied(lang, &error),
    };
    let (is_as_asked, text) = (done == *asked, shell::to_line(&done.into()));
    let tag = permission.tag();
    html! {
        div .card role="status" {
            p { span .badge.good { "✓ " (lang.t("allowed", "允许")) } " " code { (tag) } }
            @if is_add {
                p { (lang.t("It is added as ", "写入的记录：")) code .query { (shell::visible(&text)) } }
            } @else if is_as_asked {
                p { (lang.t("It is asked as it is.", "按原样查询。")) }
            } @else {
                p { (lang.t("It is asked as ", "实际查询：")) code .query { (shell::visible(&text)) } }
                p .dim { (lang.t("Documents that the added part leaves out are as if they were not there: found by no query, and changed by no update.", "加入的条件排除的记录对该用户如同不存在：查不到，也改不了。")) }
            }
        }
    }
}

fn denied(lang: Lang, error: &ClientError) -> Markup {
    let refusal = html! { span .badge.bad { "✗ " (lang.t("refused", "拒绝")) } };
    html! {
        div .card role="status" {
            @match error {
                ClientError::Denied(denial) => {
                    p { (refusal) " -502003 " (lang.t("by ", "依据：")) code { (shell::visible(&denial.rule)) } }
                    @if !denial.part.is_empty() && denial.part != denial.rule {
                        p { (lang.t("The part that does not hold: ", "不成立的部分：")) code #part { (shell::visible(&denial.part)) } }
                    }
                    p { (shell::visible(&denial.why)) }
                    @if let Some(mend) = &denial.mend { p .mend { (shell::visible(mend)) } }
                }
                ClientError::NotForClients(why) => {
                    p { (refusal) " -502003" }
                    p { (shell::visible(why)) }
                }
                error => {
                    p { (refusal) }
                    p { (shell::visible(&error.to_string())) }
                }
            }
        }
    }
}
