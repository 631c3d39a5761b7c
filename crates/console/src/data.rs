//! The page Data: the database's collections, their documents and indexes, and the queries that no index serves.
//!
//! Documents are a stranger's text: whatever they hold is escaped, cut to what a page bears, and shown with its invisible
//! characters made visible. What is typed is in the syntax of MongoDB's shell (`ejson::shell`). A document is changed or removed
//! only if it is still as it was when it was shown; what was done is kept for a while, to be undone.

mod collection;
mod collections;
mod editor;
mod indexes;
mod paging;
mod permissions;
mod transfer;
mod tree;
mod undo;

use std::{sync::Arc, time::Duration};

use bson::DateTime;
use bytes::Bytes;
use database::{IndexSpec, settings_line};
use ejson::shell::visible;
use gateway::{DatabaseCall, ReplyBody, WantedIndex};
use http::{Method, Response};
use jiff::Timestamp;
use maud::{Markup, html};
use tokio::sync::watch;
use wording::{Wording, wording};

pub(crate) use self::{
    collection::documents,
    collections::{list as collections, make as make_collection},
    paging::Look,
    undo::UndoLog,
};
use crate::{
    Inner,
    lang::Lang,
    layout::{Viewer, trouble},
    missing,
    web::Fields,
};

/// How often the page looks by itself where the database tells no changes.
const POLL: Duration = Duration::from_secs(5);

/// The event of the page upon which the shown documents are read anew.
const CHANGED: (&str, &str) = ("hx-trigger", "documents-changed");

/// Answers what is at `/data` and below it.
pub(crate) async fn answer(
    inner: &Arc<Inner>,
    viewer: &Viewer,
    method: &Method,
    at: &[&str],
    query: &Fields,
    body: &Bytes,
) -> Response<ReplyBody> {
    let form = || Fields::parse(body);
    match (method, at) {
        (&Method::GET, []) => collections::page(inner, viewer).await,
        (&Method::POST, ["create"]) => collections::create(inner, viewer, &form()).await,
        (&Method::GET, ["collection"]) => collection::page(inner, viewer, query).await,
        (&Method::GET, ["documents"]) => collection::part(inner, viewer, query).await,
        (&Method::GET, ["count"]) => collection::count(inner, viewer, query).await,
        (&Method::POST, ["filter"]) => collection::check(viewer, &form()),
        (&Method::POST, ["drop"]) => collection::remove(inner, viewer, &form()).await,
        (&Method::GET, ["document"]) => editor::page(inner, viewer, query).await,
        (&Method::GET, ["add"]) => editor::add_page(viewer, query),
        (&Method::POST, ["check"]) => editor::check(viewer, &form()),
        (&Method::POST, ["save"]) => editor::save(inner, viewer, &form()).await,
        (&Method::POST, ["insert"]) => editor::insert(inner, viewer, &form()).await,
        (&Method::POST, ["delete"]) => editor::delete(inner, viewer, &form()).await,
        (&Method::POST, ["undo"]) => undo::answer(inner, viewer, &form()).await,
        (&Method::POST, ["index"]) => indexes::add(inner, viewer, &form()).await,
        (&Method::POST, ["index", "drop"]) => indexes::remove(inner, viewer, &form()).await,
        (&Method::GET, ["permissions"]) => permissions::page(inner, viewer, query).await,
        (&Method::POST, ["permissions"]) => permissions::answer(inner, viewer, &form()).await,
        (&Method::GET, ["export"]) => transfer::export(inner, viewer, query).await,
        (&Method::POST, ["import"]) => transfer::import(inner, viewer, query, body).await,
        _ => missing(viewer),
    }
}

/// Is woken when documents of a collection have changed, or of any, or it is time to look.
pub(crate) fn changes(inner: &Inner, collection: Option<String>) -> watch::Receiver<()> {
    let (changed, watched) = watch::channel(());
    let database = Arc::clone(&inner.database);
    let mut recorded = inner.recorder.watch();
    let mut watches = inner.gateway.look_at_watches();
    tokio::spawn(async move {
        let mut feed = database.changes(None).await.ok();
        // What happened before the feed was there.
        changed.send_replace(());
        loop {
            let heard = async {
                match &mut feed {
                    Some(feed) => feed.next().await,
                    None => {
                        tokio::time::sleep(POLL).await;
                        None
                    }
                }
            };
            tokio::select! {
                () = changed.closed() => return,
                // Which queries no index served stands on the page of all collections.
                told = recorded.changed(), if collection.is_none() => match told {
                    Ok(()) => {}
                    Err(_) => return,
                },
                // So does what clients watch.
                told = watches.changed(), if collection.is_none() => match told {
                    Ok(()) => {}
                    Err(_) => return,
                },
                heard = heard => match heard {
                    Some(Ok(change)) if collection.as_deref().is_some_and(|name| *change.collection != *name) => continue,
                    // Some were missed: the page is read anew in any case.
                    Some(_) => {}
                    None => feed = None,
                },
            }
            changed.send_replace(());
        }
    });
    watched
}

/// A name as it is shown.
pub(crate) fn shown(name: &str) -> Markup {
    html! { (visible(name)) }
}

/// What an unserved query wants: the mark, and the line of `yunqiao.toml`.
pub(crate) fn advice(lang: Lang, call: &DatabaseCall) -> Markup {
    if call.wanted.is_empty() && !call.slow {
        return Markup::default();
    }
    html! {
        br;
        (unserved(lang, call))
        @if !call.wanted.is_empty() {
            " " span .dim { (lang.t("an index would serve it: ", "建议索引：")) }
            code { (settings_line(&call.collection, &specs(&call.wanted))) }
            " " a href="/data#queries" hx-boost="false" { (lang.t("Add it", "去添加")) }
        }
    }
}

/// Why a query is marked.
fn unserved(lang: Lang, call: &DatabaseCall) -> Markup {
    html! {
        @if call.slow { span .badge.bad { (lang.t("slow", "慢查询")) } }
        @else { span .badge.warn { (lang.t("no index", "无索引")) } }
    }
}

/// The indexes that a query wants. What was written is read, and so nothing is left out.
fn specs(wanted: &[WantedIndex]) -> Vec<IndexSpec> {
    let read = |index: &WantedIndex| IndexSpec::of_fields(&index.fields, index.sphere).ok();
    wanted.iter().filter_map(read).collect()
}

/// Where a text is wrong.
fn fault(lang: Lang, error: &ejson::Error, text: &str) -> String {
    let (line, column) = error.place(text);
    let reason = error.reason.wording();
    let said =
        wording!("line {line}, column {column}: {reason}", "第 {line} 行第 {column} 列：{reason}"; reason);
    lang.of_wording(&said).to_owned()
}

/// What is wrong with what was sent.
fn refused(text: impl AsRef<str>) -> Markup {
    trouble(&visible(text.as_ref()))
}

/// What the database, or a reader of a file or a text, says.
fn failed(lang: Lang, said: &Wording) -> Markup {
    refused(lang.of_wording(said))
}

fn now() -> DateTime {
    DateTime::from_millis(Timestamp::now().as_millisecond())
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// The notice that this is production, for the data of a real app.
pub(crate) fn production(viewer: &Viewer) -> Markup {
    html! {
        @if !viewer.simulated {
            p .notice { (viewer.lang.t("This is production: what is changed here is changed for everybody.", "这是生产环境：在这里的修改会影响所有用户。")) }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bson::doc;
    use database::{indexes_for, settings_text};

    use super::*;

    #[test]
    fn what_is_advised_is_what_the_settings_read() {
        let place = doc! { "place": { "$near": {} } };
        let mut wanted = indexes_for(&doc! { "a\"b": 1, "c.d": { "$gt": 5 } }, Some(&doc! { "at": -1 }));
        wanted.extend(indexes_for(&place, None));
        let index = |fields: &[&str], sphere| IndexSpec::of_fields(fields, sphere).unwrap();
        wanted.push(IndexSpec {
            unique: true,
            sparse: true,
            ..index(&["phone"], false)
        });
        wanted.push(index(&["place", "status", "-at"], true));
        wanted.push(index(&["status", "place:2dsphere"], false));
        let folder = tempfile::tempdir().unwrap();
        for name in ["todos", "待办 \"x\"", "a.b"] {
            let text = settings_text(name, &wanted);
            std::fs::write(folder.path().join("yunqiao.toml"), text).unwrap();
            let project = project::Project::open(folder.path()).unwrap();
            assert_eq!(project.settings.database.collections[name].indexes, wanted);
        }
    }

    #[test]
    fn thousands_stand_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
