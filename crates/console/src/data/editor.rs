//! One document: added; changed or removed, if it is still as it was shown.

use bson::{Bson, Document, RawDocumentBuf};
use database::{DatabaseError, with_id};
use ejson::shell;
use gateway::ReplyBody;
use http::{Response, StatusCode};
use maud::{Markup, html};
use wording::Wording;

use super::{
    CHANGED, collection, failed, fault, now, production, refused, shown,
    undo::{self, Deed, decoded, print},
};
use crate::{
    Inner,
    lang::Lang,
    layout::{self, Page, Viewer, trouble},
    web::{self, Fields},
};

/// Bytes of text that can be edited: as a form it may have three times as many, and a request has a bound.
const EDITABLE: usize = 5 << 20;
/// Bytes of text that are checked while they are typed.
const CHECKED: usize = 256 << 10;

/// What is typed for a document is not one.
#[derive(Debug, thiserror::Error)]
enum TextError {
    #[error(transparent)]
    Shell(#[from] ejson::Error),
    #[error("the _id is another one")]
    OtherId,
}

/// The page of a document.
pub(super) async fn page(inner: &Inner, viewer: &Viewer, query: &Fields) -> Response<ReplyBody> {
    let (lang, name) = (viewer.lang, query.get("name"));
    let id = match shell::read(query.get("id"), now()) {
        Ok(id) => id,
        Err(error) => return layout::page(viewer, Page::Data, failed(lang, &error.wording())),
    };
    let document = match undo::find(&*inner.database, name, &id).await {
        Ok(Some(document)) => document,
        Ok(None) => {
            let text = lang.t("There is no document of this _id any more.", "已没有这条记录。");
            return layout::failed(viewer, StatusCode::NOT_FOUND, text);
        }
        Err(error) => return layout::page(viewer, Page::Data, failed(lang, &error.wording())),
    };
    let content = html! {
        (back(lang, name))
        h2 .name { (shown(name)) " " code { (shell::to_line(&id)) } }
        (production(viewer))
        div #said aria-live="polite" {}
        @match text_of(&document) {
            Ok(text) if text.len() <= EDITABLE => (form(lang, name, &text, Some((&shell::to_line(&id), &print(&document))))),
            Ok(_) => (trouble(lang.t("This document is too large to be edited here: export it, change it in the file, and import it.", "这条记录过大，无法在此编辑：请导出到文件，修改后再导入。"))),
            Err(error) => (failed(lang, &error.wording())),
        }
    };
    layout::page(viewer, Page::Data, content)
}

/// The page for a document that is to be added.
pub(super) fn add_page(viewer: &Viewer, query: &Fields) -> Response<ReplyBody> {
    let (lang, name) = (viewer.lang, query.get("name"));
    let content = html! {
        (back(lang, name))
        h2 .name { (shown(name)) " · " (lang.t("a document to add", "新记录")) }
        (production(viewer))
        div #said aria-live="polite" {}
        (form(lang, name, "{\n  \n}", None))
        p .dim { (lang.t("Without an _id it gets one.", "不写 _id 时自动生成。")) }
    };
    layout::page(viewer, Page::Data, content)
}

fn back(lang: Lang, name: &str) -> Markup {
    html! { p { a #back href=(collection::link(name)) { "← " (lang.t("All documents", "全部记录")) } } }
}

/// The form; `known` is the `_id` of a document that is there, and what tells its state.
fn form(lang: Lang, name: &str, text: &str, known: Option<(&str, &str)>) -> Markup {
    let at = if known.is_some() {
        "/data/save"
    } else {
        "/data/insert"
    };
    let rows = (text.lines().count() + 1).clamp(8, 40);
    let checked = text.len() <= CHECKED;
    html! {
        form #edit hx-post=(at) hx-target="#said" hx-swap="innerHTML show:window:top" hx-disabled-elt="find button" hx-disinherit="*" {
            input type="hidden" name="name" value=(name);
            @if let Some((id, was)) = known {
                input type="hidden" name="id" value=(id);
                (was_field(was, false))
            }
            label for="text" { (lang.t("JSON, or as the shell writes it", "JSON 或 shell 语法")) }
            textarea #text name="text" rows=(rows) spellcheck="false" autocapitalize="off" autocomplete="off" aria-describedby="check"
                hx-post=[checked.then_some("/data/check")] hx-trigger="input changed delay:300ms" hx-target="#check" hx-swap="innerHTML" { (text) }
            div #check aria-live="polite" { (says(lang, text)) }
            p .dim { "ISODate(\"2026-01-31T08:00:00Z\") · ObjectId(\"…\") · NumberLong(5) · 5.0 · /^a/i" }
            p .actions {
                button .button type="submit" title="Ctrl+Enter" {
                    @if known.is_some() { (lang.t("Save", "保存")) } @else { (lang.t("Add", "添加")) }
                }
            }
        }
    }
}

/// Which state of the document is looked at.
fn was_field(was: &str, again: bool) -> Markup {
    html! { input #was type="hidden" name="was" value=(was) hx-swap-oob=[again.then_some("true")]; }
}

/// Says whether the text will do, while it is being written.
pub(super) fn check(viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    web::html(StatusCode::OK, says(viewer.lang, &typed(form)))
}

fn says(lang: Lang, text: &str) -> Markup {
    match shell::read_document(text, now()) {
        Ok(_) => html! { p .dim { "✓ " (lang.t("a document", "是一条记录")) } },
        Err(error) => html! { p .trouble { (fault(lang, &error, text)) } },
    }
}

/// A form's line ends are those of its browser.
fn typed(form: &Fields) -> String {
    form.get("text").replace("\r\n", "\n")
}

/// The document of the form. `_id` stands first, and is that of `id` where one is given.
fn read(text: &str, id: Option<&Bson>) -> Result<Document, TextError> {
    let mut typed = shell::read_document(text, now())?;
    let Some(id) = id else { return Ok(typed) };
    match typed.remove("_id") {
        Some(other) if shell::to_line(&other) != shell::to_line(id) => Err(TextError::OtherId),
        _ => Ok(with_id(typed, || id.clone())),
    }
}

impl TextError {
    fn text(&self, lang: Lang, text: &str) -> String {
        match self {
            Self::Shell(error) => fault(lang, error, text),
            Self::OtherId => lang
                .t(
                    "The _id of a document stays as it is: add another document, and delete this one.",
                    "_id 不能修改：请添加一条新记录，再删除这一条。",
                )
                .to_owned(),
        }
    }
}

/// Puts what was typed in the document's place, if that is still as it was.
pub(super) async fn save(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let (lang, name, text) = (viewer.lang, form.get("name"), typed(form));
    // Whoever saw what came between may save over it.
    let was = match form.get("over") {
        "" => form.get("was"),
        over => over,
    };
    let said = match saved(inner, lang, name, form.get("id"), was, &text).await {
        Ok(Saved::Done(undo, print)) => html! {
            div .notice role="status" { (lang.t("Saved.", "已保存。")) " " (undo) }
            (was_field(&print, true))
        },
        Ok(Saved::Same) => {
            html! { p .notice role="status" { (lang.t("Nothing is different.", "没有改动。")) } }
        }
        Ok(Saved::Changed(present)) => changed(lang, &present),
        Ok(Saved::Gone) => html! {
            (trouble(lang.t("The document was removed meanwhile.", "这条记录已被删除。")))
            p { button type="button" hx-post="/data/insert" hx-include="#edit" hx-target="#said" { (lang.t("Add it again", "重新添加")) } }
        },
        Err(said) => trouble(&said),
    };
    web::html(StatusCode::OK, said)
}

/// What came of saving.
enum Saved {
    /// With the button that undoes it, and what tells the new state.
    Done(Markup, String),
    Same,
    /// Somebody else changed it to this.
    Changed(RawDocumentBuf),
    Gone,
}

async fn saved(
    inner: &Inner,
    lang: Lang,
    name: &str,
    id: &str,
    was: &str,
    text: &str,
) -> Result<Saved, String> {
    let failed = |error: DatabaseError| shell::visible(lang.of_wording(&error.wording())).into_owned();
    let id = shell::read(id, now()).map_err(|error| lang.of_wording(&error.wording()).to_owned())?;
    let document = read(text, Some(&id)).map_err(|error| error.text(lang, text))?;
    let database = &*inner.database;
    let Some(present) = undo::find(database, name, &id).await.map_err(failed)? else {
        return Ok(Saved::Gone);
    };
    if print(&present) != was {
        return Ok(Saved::Changed(present));
    }
    if RawDocumentBuf::try_from(&document).is_ok_and(|document| document == present) {
        return Ok(Saved::Same);
    }
    match undo::replace(database, name, &present, document)
        .await
        .map_err(failed)?
    {
        Some(became) => {
            let print = print(&became);
            let undo = inner.undo.keep(lang, name, Deed::Changed(present, became));
            Ok(Saved::Done(undo, print))
        }
        None => match undo::find(database, name, &id).await.map_err(failed)? {
            Some(present) => Ok(Saved::Changed(present)),
            None => Ok(Saved::Gone),
        },
    }
}

/// Says that somebody was quicker, shows what the document has become, and offers to save over it.
fn changed(lang: Lang, present: &RawDocumentBuf) -> Markup {
    html! {
        (trouble(lang.t("The document has changed meanwhile; nothing was saved. It is now:", "这条记录已被修改，未保存。当前内容：")))
        pre .json tabindex="0" { (text_of(present).unwrap_or_default()) }
        p .actions {
            button type="button" hx-post="/data/save" hx-include="#edit" hx-target="#said" name="over" value=(print(present)) {
                (lang.t("Save mine over it", "仍用我的内容覆盖"))
            }
            a href="" { (lang.t("Take what is there now", "改用当前内容")) }
        }
    }
}

/// Adds what was typed.
pub(super) async fn insert(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let (lang, name, text) = (viewer.lang, form.get("name"), typed(form));
    let document = match read(&text, None) {
        Ok(document) => inner.ids.complete(document),
        Err(error) => return web::html(StatusCode::OK, trouble(&error.text(lang, &text))),
    };
    let said = match inner.database.insert(name, vec![document.clone()], None).await {
        Ok(ids) => {
            let id = ids.first().map(shell::to_line).unwrap_or_default();
            let link = web::link("/data/document", &[("name", name), ("id", &id)]);
            let raw = RawDocumentBuf::try_from(&document).ok();
            html! {
                div .notice role="status" {
                    (lang.t("Added: ", "已添加：")) a href=(link) { code { (id) } } " "
                    @if let Some(raw) = raw { (inner.undo.keep(lang, name, Deed::Added(raw))) }
                }
            }
        }
        Err(DatabaseError::Duplicate { index, key, .. }) => {
            let text = lang.t(
                "Another document has the same value in the index ",
                "已有记录在索引中的值相同：",
            );
            refused(format!("{text}{index}: {key}"))
        }
        Err(error) => failed(lang, &error.wording()),
    };
    web::html(StatusCode::OK, said)
}

/// Removes a document, if it is still as it was shown.
pub(super) async fn delete(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let (lang, name, was) = (viewer.lang, form.get("name"), form.get("was"));
    let deleting = async || -> Result<Option<(RawDocumentBuf, bool)>, String> {
        let said = |said: &Wording| lang.of_wording(said).to_owned();
        let id = shell::read(form.get("id"), now()).map_err(|error| said(&error.wording()))?;
        let failed = |error: DatabaseError| said(&error.wording());
        let Some(present) = undo::find(&*inner.database, name, &id).await.map_err(failed)? else {
            return Ok(None);
        };
        let same = print(&present) == was;
        let removed = same
            && undo::remove(&*inner.database, name, &present)
                .await
                .map_err(failed)?;
        Ok(Some((present, removed)))
    };
    match deleting().await {
        Ok(Some((present, true))) => {
            let id = form.get("id");
            let undo = inner.undo.keep(lang, name, Deed::Removed(present));
            let said = html! {
                div .notice role="status" { (lang.t("Deleted: ", "已删除：")) code { (id) } " " (undo) }
                // The list may hold still.
                div hx-swap-oob={ "delete:#doc-" (was) } {}
            };
            web::html(StatusCode::OK, said)
        }
        Ok(Some((_, false))) => {
            let text = lang.t(
                "The document has changed meanwhile and was not deleted: look at it again.",
                "这条记录已被修改，未删除：请先查看最新内容。",
            );
            web::part(trouble(text), CHANGED.0, CHANGED.1)
        }
        Ok(None) => {
            let text = lang.t("The document is gone already.", "这条记录已经不在了。");
            web::part(html! { p .notice role="status" { (text) } }, CHANGED.0, CHANGED.1)
        }
        Err(error) => web::html(StatusCode::OK, refused(error)),
    }
}

fn text_of(document: &RawDocumentBuf) -> Result<String, DatabaseError> {
    Ok(shell::to_text(&decoded(document)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bson::doc;

    use super::*;

    #[test]
    fn an_id_stays_and_stands_first() {
        let id = Bson::String("a".to_owned());
        for text in ["{n: 1}", "{n: 1, _id: 'a'}", "{\"_id\": \"a\", \"n\": 1}"] {
            assert_eq!(read(text, Some(&id)).unwrap(), doc! { "_id": "a", "n": 1 });
        }
        for text in ["{_id: 'b'}", "{_id: null}"] {
            assert!(matches!(read(text, Some(&id)), Err(TextError::OtherId)));
        }
        assert_eq!(read("{n: 1}", None).unwrap(), doc! { "n": 1 });
    }

    #[test]
    fn whatever_a_document_holds_is_text_in_its_form() {
        let hostile = "</textarea><script>alert(1)</script>\u{202e}";
        let text = shell::to_text(&doc! { hostile: hostile });
        let page = form(Lang::Zh, hostile, &text, Some((hostile, hostile))).into_string();
        assert!(
            !page.contains("<script") && !page.contains("</textarea><s"),
            "{page}"
        );
        let raw = RawDocumentBuf::try_from(&doc! { hostile: hostile }).unwrap();
        let page = changed(Lang::En, &raw).into_string();
        assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
    }
}
