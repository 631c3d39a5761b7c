//! All collections, and the queries that no index serves.

use database::{CollectionStatus, DatabaseError, settings_text};
use gateway::{LiveWatch, ReplyBody};
use http::{Response, StatusCode};
use maud::{Markup, html};

use super::{failed, grouped, production, shown, specs, unserved};
use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer, span},
    recorder::UnservedQuery,
    web::{self, Fields},
};

/// Collections that are listed.
const MOST: usize = 500;
/// Queries that are listed.
const QUERIES: usize = 30;
/// Watches that are listed.
const WATCHES: usize = 100;
/// Characters of a query that are shown.
const QUERY: usize = 200;

pub(super) async fn page(inner: &Inner, viewer: &Viewer) -> Response<ReplyBody> {
    let content = content(inner, viewer, None).await;
    layout::page(viewer, Page::Data, html! { div #data { (content) } })
}

/// Makes a collection.
pub(super) async fn create(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let said = make(inner, viewer.lang, form.get("name").trim()).await;
    web::html(StatusCode::OK, content(inner, viewer, Some(said)).await)
}

/// Makes a collection of this name, and says so; that there is one already is as well.
pub(crate) async fn make(inner: &Inner, lang: Lang, name: &str) -> Markup {
    match inner.database.create_collection(name).await {
        Ok(()) => html! {
            p .notice role="status" { (lang.t("Made: ", "已创建：")) a href=(link(name)) { (shown(name)) } }
        },
        Err(DatabaseError::CollectionExists(_)) => html! {
            p .notice role="status" { (lang.t("There is one of this name: ", "已有同名集合：")) a href=(link(name)) { (shown(name)) } }
        },
        Err(error) => failed(lang, &error.wording()),
    }
}

/// What is shown, below what is said of what was just done.
pub(super) async fn content(inner: &Inner, viewer: &Viewer, said: Option<Markup>) -> Markup {
    let lang = viewer.lang;
    let now = list(inner, viewer).await;
    html! {
        (production(viewer))
        div #said { (said.unwrap_or_default()) }
        p { a #permissions href="/data/permissions" { (lang.t("What clients may do with each collection", "各集合的客户端权限")) " →" } }
        (layout::live("/live/data", now))
        h2 { (lang.t("A new collection", "新建集合")) }
        form .filter hx-post="/data/create" hx-target="#data" {
            label { (lang.t("Name", "名称")) " " input name="name" required autocomplete="off" spellcheck="false" maxlength="200"; }
            button { (lang.t("Create", "创建")) }
        }
    }
}

/// The part of the page that follows what happens.
pub(crate) async fn list(inner: &Inner, viewer: &Viewer) -> Markup {
    let lang = viewer.lang;
    let collections = match inner.database.collections().await {
        Ok(collections) => collections,
        Err(error) => return failed(lang, &error.wording()),
    };
    html! {
        @if collections.is_empty() {
            p { (lang.t("There is no collection yet. A function that writes to one makes it; or make one below.", "还没有集合。云函数写入时会自动创建，也可以在下方新建。")) }
        } @else {
            table .collections {
                thead { tr {
                    th scope="col" { (lang.t("Collection", "集合")) }
                    th scope="col" .number { (lang.t("Documents", "记录数")) }
                    th scope="col" { (lang.t("Indexes", "索引")) }
                } }
                tbody { @for status in collections.iter().take(MOST) { (row(status)) } }
            }
            @if collections.len() > MOST {
                p .dim { (lang.t("Further ones, which are not listed: ", "其余未列出：")) (collections.len() - MOST) }
            }
        }
        (watches(inner, viewer))
        (queries(inner, viewer))
    }
}

/// What clients watch at this moment.
fn watches(inner: &Inner, viewer: &Viewer) -> Markup {
    let lang = viewer.lang;
    let (count, mut watches) = inner.gateway.live_watches(WATCHES);
    watches.sort_by(|one, other| (&one.collection, &one.owner).cmp(&(&other.collection, &other.owner)));
    html! {
        h2 #watches { (lang.t("Watched by clients", "客户端实时监听")) }
        @if watches.is_empty() {
            p .dim { (lang.t("Nothing at the moment.", "目前没有。")) }
        } @else {
            table .watches {
                thead { tr {
                    th scope="col" { (lang.t("Collection", "集合")) }
                    th scope="col" { (lang.t("Query", "条件")) }
                    th scope="col" { (lang.t("User", "用户")) }
                    th scope="col" .number { (lang.t("Documents", "记录数")) }
                    th scope="col" .number { (lang.t("Events sent", "已推送")) }
                } }
                tbody { @for watch in &watches { (watched(viewer, watch)) } }
            }
            @if count > watches.len() {
                p .dim { (lang.t("Further ones, which are not listed: ", "其余未列出：")) (count - watches.len()) }
            }
        }
    }
}

fn watched(viewer: &Viewer, watch: &LiveWatch) -> Markup {
    let lang = viewer.lang;
    let query: String = watch.query.chars().take(QUERY).collect();
    html! {
        tr {
            td { a href=(link(&watch.collection)) { (shown(&watch.collection)) } }
            td {
                @if query.is_empty() { span .dim { (lang.t("everything", "全部")) } } @else { code .query { (shown(&query)) } }
                @if !watch.order.is_empty() { " · " code { (shown(&watch.order.join(", "))) } }
                @if let Some(limit) = watch.limit { " · " (lang.t("at most ", "最多 ")) (limit) (lang.t("", " 条")) }
            }
            td { @match &watch.owner {
                Some(owner) => { code { (shown(owner)) } },
                None => { span .dim { (lang.t("not logged in", "未登录")) } },
            } }
            td .number { (grouped(watch.documents as u64)) }
            td .number { (grouped(watch.told)) }
        }
    }
}

fn row(status: &CollectionStatus) -> Markup {
    html! {
        tr {
            td { a href=(link(&status.name)) { (shown(&status.name)) } }
            td .number { (grouped(status.documents)) }
            td {
                ul .chips {
                    li { code { "_id" } }
                    @for index in &status.indexes { li { code { (shown(&index.name)) } } }
                }
            }
        }
    }
}

fn queries(inner: &Inner, viewer: &Viewer) -> Markup {
    let lang = viewer.lang;
    let unserved = inner.recorder.unserved();
    html! {
        h2 #queries { (lang.t("Queries without an index", "缺少索引的查询")) }
        @if unserved.is_empty() {
            p .dim { (lang.t("None since the start.", "启动以来没有。")) }
        } @else {
            ul .findings.queries { @for query in unserved.iter().take(QUERIES) { (finding(viewer, query)) } }
        }
    }
}

fn finding(viewer: &Viewer, query: &UnservedQuery) -> Markup {
    let lang = viewer.lang;
    let call = &query.worst;
    let indexes = specs(&call.wanted);
    html! {
        li {
            p {
                (unserved(lang, call)) " " strong { (shown(&call.collection)) } " " (call.operation) " "
                code .query { (call.query) }
            }
            p .dim {
                (lang.t("looked at ", "扫描 ")) (grouped(call.looked.unwrap_or_default()))
                (lang.t(" documents for ", " 条，得到 ")) (grouped(call.found.unwrap_or_default()))
                (lang.t("", " 条")) " · " (span(query.took)) " · "
                (lang.t("times: ", "次数：")) (grouped(query.times)) " · "
                a href=(web::link("/calls", &[("call", &query.request_id)])) { (query.function) }
            }
            @for (wanted, index) in call.wanted.iter().zip(&indexes) {
                form .actions hx-post="/data/index" hx-target="#said" {
                    input type="hidden" name="name" value=(call.collection);
                    @for field in &wanted.fields { input type="hidden" name="field" value=(field); }
                    @if wanted.sphere { input type="hidden" name="kind" value="2dsphere"; }
                    button { (lang.t("Add the index", "添加索引")) " " code { (index.to_toml()) } }
                }
            }
            @if !indexes.is_empty() {
                p .dim { (lang.t("For good, in yunqiao.toml:", "写进 yunqiao.toml 长期生效：")) }
                pre .json tabindex="0" { (settings_text(&call.collection, &indexes)) }
            } @else {
                p .dim { (lang.t("No index serves what it asks: ask by equality, a range, or the beginning of a text.", "没有索引能加速这种条件：请改用相等、范围或前缀匹配。")) }
            }
        }
    }
}

/// The page of a collection.
pub(super) fn link(name: &str) -> String {
    web::link("/data/collection", &[("name", name)])
}
