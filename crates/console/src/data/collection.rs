//! One collection: a filter, its documents by pages as they change, its indexes, import and export, and its end.

use bson::{RawDocumentBuf, doc};
use database::{Aggregate, CollectionStatus, DatabaseError};
use gateway::ReplyBody;
use http::{Response, StatusCode};
use maud::{Markup, html};

use super::{
    collections, failed, grouped, indexes,
    paging::{Look, id_text, read_filter},
    production, shown, transfer,
    tree::Tree,
    undo::{decoded, print},
};
use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer, trouble},
    web::{self, Fields},
};

/// Documents that meet a filter are counted up to this number.
const COUNTED: i64 = 10_000;
/// Characters of each document on a page of them.
const ROOM: usize = 4_000;

pub(super) async fn page(inner: &Inner, viewer: &Viewer, query: &Fields) -> Response<ReplyBody> {
    let (lang, look) = (viewer.lang, Look::of(query));
    let status = match status(inner, &look.name).await {
        Ok(Some(status)) => status,
        Ok(None) => return missing_collection(viewer, &look.name),
        Err(error) => return layout::page(viewer, Page::Data, failed(viewer.lang, &error.wording())),
    };
    let paused = query.get("paused") == "1";
    let now = documents(inner, viewer, &look).await;
    let content = html! {
        p { a href="/data" { "← " (lang.t("All collections", "全部集合")) } }
        h2 .name { (shown(&look.name)) " " span .dim { (grouped(status.documents)) (lang.t(" documents", " 条记录")) } }
        (production(viewer))
        (search(lang, &look, paused))
        p .actions {
            a #add .button href=(web::link("/data/add", &[("name", &look.name)])) { (lang.t("Add a document", "添加记录")) }
            (transfer::links(lang, &look))
            " " a #permission href=(web::link("/data/permissions", &[("name", &look.name)])) { (lang.t("Permission", "权限")) }
        }
        div #said aria-live="polite" {}
        @if !look.filter.is_empty() {
            p #count .dim hx-get=(web::link("/data/count", &[("name", &look.name), ("filter", &look.filter)]))
                hx-trigger="load, documents-changed from:body" hx-swap="innerHTML" { (lang.t("counting …", "正在统计……")) }
        }
        div #documents hx-get=(look.link("/data/documents")) hx-trigger="documents-changed from:body" {
            @if paused { (now) } @else { (layout::live(&look.link("/live/documents"), now)) }
        }
        (indexes::section(lang, &look.name, &status.indexes))
        (transfer::section(lang, &look.name))
        section {
            h2 { (lang.t("Drop the collection", "删除集合")) }
            details {
                summary { (lang.t("With all its documents and indexes, which cannot be undone", "连同全部记录和索引，无法撤销")) }
                form .filter hx-post="/data/drop" hx-target="#dropped" {
                    input type="hidden" name="name" value=(look.name);
                    label {
                        (lang.t("Its name, to be sure", "输入集合名称以确认")) " "
                        input name="sure" required autocomplete="off" spellcheck="false";
                    }
                    button .danger { (lang.t("Drop", "删除")) }
                    span #dropped role="status" {}
                }
            }
        }
    };
    layout::page(viewer, Page::Data, content)
}

/// The filter and the order.
fn search(lang: Lang, look: &Look, paused: bool) -> Markup {
    html! {
        form .query method="get" action="/data/collection" role="search" {
            input type="hidden" name="name" value=(look.name);
            label .wide {
                (lang.t("Filter", "筛选条件"))
                textarea #filter name="filter" rows=(look.filter.lines().count().clamp(1, 8)) spellcheck="false" autocapitalize="off" autocomplete="off"
                    placeholder="{done: false, age: {$gt: 5}, at: {$gte: ISODate(\"2026-01-31\")}, name: /^a/i}"
                    hx-post="/data/filter" hx-trigger="input changed delay:300ms" hx-target="#fault" hx-include="closest form" { (look.filter) }
            }
            label {
                (lang.t("Order", "排序"))
                input name="sort" value=(look.sort) spellcheck="false" autocapitalize="off" autocomplete="off" placeholder="-createTime"
                    hx-post="/data/filter" hx-trigger="input changed delay:300ms" hx-target="#fault" hx-include="closest form";
            }
            button .button title="Ctrl+Enter" { (lang.t("Show", "查询")) }
            label .check {
                input type="checkbox" name="paused" value="1" checked[paused];
                " " (lang.t("hold still", "暂停更新"))
            }
            div #fault .wide aria-live="polite" {}
        }
    }
}

/// Says whether filter and order will do, while they are being written.
pub(super) fn check(viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let look = Look::of(form);
    let wrong = look.filter().err().or_else(|| look.sort().err());
    let said = html! { @if let Some(error) = wrong { (trouble(&error.text(viewer.lang, &look))) } };
    web::html(StatusCode::OK, said)
}

/// The documents alone, for a page that reads them anew.
pub(super) async fn part(inner: &Inner, viewer: &Viewer, query: &Fields) -> Response<ReplyBody> {
    let look = Look::of(query);
    let now = documents(inner, viewer, &look).await;
    web::html(StatusCode::OK, layout::live(&look.link("/live/documents"), now))
}

/// The part of the page that follows what happens.
pub(crate) async fn documents(inner: &Inner, viewer: &Viewer, look: &Look) -> Markup {
    let lang = viewer.lang;
    let page = match look.read(&*inner.database).await {
        Ok(page) => page,
        Err(error) => return trouble(&error.text(lang, look)),
    };
    html! {
        p .dim {
            @if let Some(looked) = &page.looked {
                (lang.t("looked at ", "扫描 ")) (grouped(looked.documents)) (lang.t("", " 条"))
                @if let Some(index) = &looked.index { " · " (lang.t("by ", "索引 ")) code { (shown(index)) } }
            }
        }
        @if page.documents.is_empty() {
            p { (lang.t("No document here.", "没有记录。")) }
        }
        @for document in &page.documents { (card(lang, look, document)) }
        nav .pages aria-label=(lang.t("Pages of documents", "翻页")) {
            @if let Some(before) = &page.before { a #before href=(look.link_to("/data/collection", before)) { "← " (lang.t("Before", "上一页")) } }
            @if let Some(after) = &page.after { a #after href=(look.link_to("/data/collection", after)) { (lang.t("Next page", "下一页")) " →" } }
        }
    }
}

/// A document, with what can be done with it.
fn card(lang: Lang, look: &Look, document: &RawDocumentBuf) -> Markup {
    let (Some(id), Ok(decoded)) = (id_text(document), decoded(document)) else {
        return trouble(lang.t("This document cannot be read.", "这条记录无法读取。"));
    };
    let print = print(document);
    html! {
        article .card.doc id={ "doc-" (print) } {
            div .head {
                code .id { (id) }
                a .edit-link href=(web::link("/data/document", &[("name", &look.name), ("id", &id)])) { (lang.t("Edit", "编辑")) }
                form .inline hx-post="/data/delete" hx-target="#said" {
                    input type="hidden" name="name" value=(look.name);
                    input type="hidden" name="id" value=(id);
                    input type="hidden" name="was" value=(print);
                    button .small.delete { (lang.t("Delete", "删除")) }
                }
            }
            (Tree::new(lang, ROOM).document(&decoded))
        }
    }
}

/// How many documents meet a filter, as far as they are counted.
pub(super) async fn count(inner: &Inner, viewer: &Viewer, query: &Fields) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let counted = async {
        let filter = read_filter(query.get("filter")).ok()?;
        let aggregate = Aggregate {
            stages: vec![
                doc! { "$match": filter },
                doc! { "$limit": COUNTED + 1 },
                doc! { "$count": "n" },
            ],
        };
        let found = inner
            .database
            .aggregate(query.get("name"), aggregate, None)
            .await
            .ok()?;
        let Some(first) = found.documents.first() else {
            return Some(0);
        };
        let n = decoded(first).ok()?;
        n.get_i64("n").ok().or_else(|| n.get_i32("n").ok().map(i64::from))
    };
    let shown = match counted.await {
        Some(n) if n > COUNTED => format!(
            "{}{}",
            lang.t("more than ", "超过 "),
            grouped(COUNTED.unsigned_abs())
        ),
        Some(n) => grouped(n.unsigned_abs()),
        // `$near` cannot be counted in a pipeline.
        None => "?".to_owned(),
    };
    web::html(
        StatusCode::OK,
        html! { (shown) (lang.t(" meet the filter", " 条符合条件")) },
    )
}

/// Drops the collection, if its name was typed.
pub(super) async fn remove(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let (lang, name) = (viewer.lang, form.get("name"));
    if form.get("sure").trim() != name.trim() {
        let text = lang.t("That is not its name.", "名称不一致。");
        return web::html(StatusCode::OK, trouble(text));
    }
    match inner.database.drop_collection(name).await {
        Ok(_) => {
            inner.recorder.forget_unserved(name, None);
            web::part(Markup::default(), "hx-redirect", "/data")
        }
        Err(error) => web::html(StatusCode::OK, failed(viewer.lang, &error.wording())),
    }
}

pub(super) async fn status(inner: &Inner, name: &str) -> Result<Option<CollectionStatus>, DatabaseError> {
    let collections = inner.database.collections().await?;
    Ok(collections.into_iter().find(|status| status.name == name))
}

pub(super) fn missing_collection(viewer: &Viewer, name: &str) -> Response<ReplyBody> {
    let text = viewer.lang.t("There is no such collection: ", "没有这个集合：");
    let text = format!("{text}{}", ejson::shell::visible(name));
    layout::failed(viewer, StatusCode::NOT_FOUND, &text)
}

/// Where a look at a collection begins.
pub(super) fn link(name: &str) -> String {
    collections::link(name)
}
