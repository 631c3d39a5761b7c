//! The page Files: what lies in storage, folder by folder; sending files there, and removing them.
//!
//! Names are a stranger's text, as documents are (`data`). Content is more than that: it may be a page with scripts. So none of it
//! comes from this listener: pictures, sound and films are shown from the file door's own address, which is another origin and lets
//! nothing run, and text is shown as text. What is sent goes by this listener, since the browser is known here.

mod file;
mod send;

use std::{sync::Arc, time::Duration};

use blobs::{Blob, BlobError, ListBounds, ListEntry};
use bytes::Bytes;
use ejson::shell::visible;
use files::{CloudPath, shown_type};
use gateway::ReplyBody;
use http::{HeaderValue, Method, Response, StatusCode, header::HeaderName};
use jiff::{Timestamp, tz::TimeZone};
use maud::{Markup, html};
use tokio::sync::watch;

use crate::{
    Inner,
    data::{grouped, production},
    lang::Lang,
    layout::{self, Page, Viewer, person, trouble},
    missing,
    simulated::User,
    web::{self, Fields},
};

/// Files and folders on a page.
const PAGE: usize = 100;
/// Files that are removed in one go.
const MOST_REMOVED: usize = 1000;
/// How often the page looks by itself: storage tells no changes.
const POLL: Duration = Duration::from_secs(5);
/// The event of the page upon which the list is read anew.
const CHANGED: (&str, &str) = ("hx-trigger", "files-changed");

/// Answers what is at `/files` and below it.
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
        (&Method::GET, []) => page(inner, viewer, query).await,
        (&Method::GET, ["list"]) => part(inner, viewer, query).await,
        (&Method::GET, ["file"]) => file::page(inner, viewer, query).await,
        (&Method::POST, ["place"]) => send::place(inner, viewer, &form()).await,
        (&Method::POST, ["delete"]) => remove(inner, viewer, &form()).await,
        _ => missing(viewer),
    }
}

/// Which files somebody looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    /// What their paths begin with: a folder with its `/`, and the beginning of a name where one was typed.
    prefix: String,
    /// The path behind which the page begins.
    after: String,
}

impl Shelf {
    pub(crate) fn of(query: &Fields) -> Self {
        Self {
            prefix: query.get("prefix").to_owned(),
            after: query.get("after").to_owned(),
        }
    }

    /// The folder, with `/` at its end; empty for the uppermost one.
    fn folder(&self) -> &str {
        folder_of(&self.prefix)
    }

    fn link(&self, path: &str) -> String {
        web::link(path, &[("prefix", &self.prefix), ("after", &self.after)])
    }
}

/// The folder in which a path lies.
fn folder_of(path: &str) -> &str {
    path.rfind('/').map_or("", |end| &path[..=end])
}

/// The page of a folder.
fn link(folder: &str) -> String {
    web::link("/files", &[("prefix", folder)])
}

/// Is woken when files may have changed, or it is time to look.
pub(crate) fn changes(inner: &Inner) -> watch::Receiver<()> {
    let (changed, watched) = watch::channel(());
    let mut recorded = inner.recorder.watch();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = changed.closed() => return,
                told = recorded.changed() => if told.is_err() { return },
                () = tokio::time::sleep(POLL) => {}
            }
            changed.send_replace(());
        }
    });
    watched
}

async fn page(inner: &Inner, viewer: &Viewer, query: &Fields) -> Response<ReplyBody> {
    let (lang, shelf) = (viewer.lang, Shelf::of(query));
    let now = list(inner, viewer, &shelf).await;
    let storage = inner.gateway.storage();
    let usage = storage.blobs.usage().await;
    let content = html! {
        (production(viewer))
        @if let Ok(usage) = usage {
            p .dim {
                (lang.t("Total: ", "共 ")) (grouped(usage.files)) (lang.t(" files, ", " 个文件，")) (size(usage.bytes))
                @if let Some(quota) = storage.quota {
                    (lang.t("; with 4 KB more for each, ", "；每个另计 4 KB，合计 ")) (size(usage.of_quota(None)))
                    (lang.t(" of the quota of ", "，配额为 ")) (size(quota))
                }
            }
        }
        (crumbs(lang, shelf.folder()))
        form .filter method="get" action="/files" role="search" {
            label {
                (lang.t("Path begins with", "路径前缀")) " "
                input #prefix name="prefix" value=(shelf.prefix) spellcheck="false" autocapitalize="off" autocomplete="off" placeholder="avatars/al";
            }
            button .button { (lang.t("Show", "查询")) }
        }
        div #said aria-live="polite" {}
        div #files hx-get=(shelf.link("/files/list")) hx-trigger="files-changed from:body" {
            (layout::live(&shelf.link("/live/files"), now))
        }
        form #chosen .actions hx-post="/files/delete" hx-target="#said" {
            button .danger { (lang.t("Delete the ticked files …", "删除勾选的文件……")) }
        }
        (send::section(lang, shelf.folder()))
    };
    layout::page(viewer, Page::Files, content)
}

/// The list alone, for a page that reads it anew.
async fn part(inner: &Inner, viewer: &Viewer, query: &Fields) -> Response<ReplyBody> {
    let shelf = Shelf::of(query);
    let now = list(inner, viewer, &shelf).await;
    web::html(StatusCode::OK, layout::live(&shelf.link("/live/files"), now))
}

/// The folders above, each a link.
fn crumbs(lang: Lang, folder: &str) -> Markup {
    let ends = folder.match_indices('/').map(|(at, _)| at + 1);
    html! {
        nav .crumbs aria-label=(lang.t("Folders", "所在目录")) {
            a href="/files" { (lang.t("All files", "全部文件")) }
            @for end in ends {
                " / " a href=(link(&folder[..end])) { (name(&folder[..end])) }
            }
        }
    }
}

/// The last name of a path, visibly.
fn name(path: &str) -> String {
    let last = path.trim_end_matches('/').rsplit('/').next();
    visible(last.unwrap_or_default()).into_owned()
}

/// The part of the page that follows what happens.
pub(crate) async fn list(inner: &Inner, viewer: &Viewer, shelf: &Shelf) -> Markup {
    let lang = viewer.lang;
    let bounds = ListBounds {
        prefix: &shelf.prefix,
        after: Some(&*shelf.after).filter(|after| !after.is_empty()),
        folders: true,
        most: PAGE + 1,
    };
    let mut entries = match inner.gateway.storage().blobs.list(bounds).await {
        Ok(entries) => entries,
        Err(error) => return refused(&error),
    };
    let more = entries.len() > PAGE;
    entries.truncate(PAGE);
    let users = inner.users().await;
    html! {
        @if entries.is_empty() {
            p { (lang.t("No file here.", "没有文件。")) }
        } @else {
            table .files {
                thead { tr {
                    th scope="col" { span .unseen { (lang.t("Ticked", "勾选")) } }
                    th scope="col" { (lang.t("Name", "名称")) }
                    th scope="col" .number { (lang.t("Size", "大小")) }
                    th scope="col" { (lang.t("Type", "类型")) }
                    th scope="col" { (lang.t("Owner", "所有者")) }
                    th scope="col" { (lang.t("Modified", "修改时间")) }
                    th scope="col" { span .unseen { (lang.t("Copy", "复制")) } }
                } }
                tbody { @for entry in &entries { (row(inner, lang, &users, entry)) } }
            }
        }
        nav .pages aria-label=(lang.t("Pages of files", "翻页")) {
            @if !shelf.after.is_empty() { a #first href=(link(&shelf.prefix)) { "← " (lang.t("First page", "第一页")) } }
            @if let (true, Some(last)) = (more, entries.last()) {
                a #after href=(web::link("/files", &[("prefix", &shelf.prefix), ("after", last.path())])) { (lang.t("Next page", "下一页")) " →" }
            }
        }
    }
}

fn row(inner: &Inner, lang: Lang, users: &[User], entry: &ListEntry) -> Markup {
    match entry {
        ListEntry::Folder(folder) => html! {
            tr .folder { td {} td colspan="6" { a href=(link(folder)) { (name(folder)) "/" } } }
        },
        ListEntry::File(blob) => html! {
            tr {
                td {
                    input type="checkbox" form="chosen" name="path" value=(blob.path)
                        aria-label={ (lang.t("Tick ", "勾选 ")) (name(blob.path.as_str())) };
                }
                td { a href=(file::link(&blob.path)) { (name(blob.path.as_str())) } }
                td .number { (size(blob.size)) }
                td .type { (visible(&kind(blob))) }
                td .owner { (owner(lang, users, blob)) }
                td .written { (moment(blob)) }
                td {
                    button .small type="button" data-text=(inner.gateway.storage().storage.id(&blob.path))
                        data-copied=(lang.t("Copied", "已复制")) { (lang.t("Copy the ID", "复制 ID")) }
                }
            }
        },
    }
}

/// The type without what follows it.
fn kind(blob: &Blob) -> String {
    let kind = shown_type(blob.path.name(), blob.content_type.as_deref(), b"");
    kind.split(';').next().unwrap_or_default().trim().to_owned()
}

fn owner(lang: Lang, users: &[User], blob: &Blob) -> Markup {
    match blob.owner.as_str() {
        "" => html! { span .dim { (lang.t("none", "无")) } },
        owner => person(users, lang, Some(owner)),
    }
}

fn moment(blob: &Blob) -> Markup {
    let Ok(at) = Timestamp::try_from(blob.modified) else {
        return html! { "?" };
    };
    let there = at.to_zoned(TimeZone::system());
    html! { time datetime=(at) title=(there.strftime("%F %T%.3f")) { (there.strftime("%F %R")) } }
}

/// A number of bytes, short.
fn size(bytes: u64) -> String {
    let mut unit = "B";
    let mut number = bytes as f64;
    for larger in ["KB", "MB", "GB", "TB"] {
        if number < 1024.0 {
            break;
        }
        number /= 1024.0;
        unit = larger;
    }
    match unit {
        "B" => format!("{bytes} B"),
        _ => format!("{number:.1} {unit}"),
    }
}

fn refused(error: &BlobError) -> Markup {
    trouble(&visible(&error.to_string()))
}

/// Removes files, once it was asked whether they really should go.
async fn remove(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let lang = viewer.lang;
    // One that is no path is of no file.
    let paths: Vec<CloudPath> = form.all("path").filter_map(|path| path.parse().ok()).collect();
    let say = |said| web::html(StatusCode::OK, said);
    if paths.is_empty() {
        return say(trouble(lang.t("No file is ticked.", "没有勾选文件。")));
    }
    if paths.len() > MOST_REMOVED {
        return say(trouble(lang.t("Too many at once.", "一次删除的文件太多。")));
    }
    if form.get("sure").is_empty() {
        return say(sure(lang, &paths, form.get("back")));
    }
    match inner.gateway.storage().blobs.remove(&paths).await {
        Ok(were) => {
            let removed = were.iter().filter(|was| **was).count() as u64;
            let back = form.get("back");
            if !back.is_empty() {
                let mut reply = web::html(StatusCode::OK, Markup::default());
                if let Ok(to) = HeaderValue::from_str(&link(folder_of(back))) {
                    reply
                        .headers_mut()
                        .insert(HeaderName::from_static("hx-redirect"), to);
                }
                return reply;
            }
            let said = html! {
                p .notice role="status" { (lang.t("Deleted: ", "已删除：")) (grouped(removed)) }
            };
            web::part(said, CHANGED.0, CHANGED.1)
        }
        Err(error) => web::part(refused(&error), CHANGED.0, CHANGED.1),
    }
}

/// Asks whether these files should go. `back` is the file whose page asks.
fn sure(lang: Lang, paths: &[CloudPath], back: &str) -> Markup {
    const NAMED: usize = 5;
    html! {
        form #sure .notice role="alertdialog" aria-label=(lang.t("Delete?", "删除？")) hx-post="/files/delete" hx-target="#said" {
            p {
                (lang.t("Delete for good: ", "彻底删除：")) (grouped(paths.len() as u64)) " — "
                @for path in paths.iter().take(NAMED) { code { (visible(path.as_str())) } " " }
                @if paths.len() > NAMED { "…" }
            }
            @for path in paths { input type="hidden" name="path" value=(path); }
            input type="hidden" name="sure" value="1";
            input type="hidden" name="back" value=(back);
            p .actions {
                button .danger autofocus { (lang.t("Delete", "删除")) }
                button type="button" data-dismiss="sure" { (lang.t("Keep", "保留")) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KB"),
            (1_500_000, "1.4 MB"),
            (5 << 40, "5.0 TB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_folder_is_what_ends_with_a_slash() {
        for (path, folder) in [
            ("", ""),
            ("a", ""),
            ("a/", "a/"),
            ("a/b", "a/"),
            ("a/b/c", "a/b/"),
        ] {
            assert_eq!(folder_of(path), folder);
        }
    }
}
