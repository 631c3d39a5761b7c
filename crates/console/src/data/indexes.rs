//! The indexes of a collection: shown, added, removed.

use database::{DatabaseError, IndexSpec, WrittenIndex, settings_text};
use gateway::{ReplyBody, WantedIndex};
use http::{Response, StatusCode};
use maud::{Markup, html};

use super::{CHANGED, failed, refused, shown};
use crate::{
    Inner,
    lang::Lang,
    layout::Viewer,
    web::{self, Fields},
};

/// The indexes, and the form for another one.
pub(super) fn section(lang: Lang, name: &str, indexes: &[IndexSpec]) -> Markup {
    html! {
        section #indexes aria-label=(lang.t("Indexes", "索引")) {
            h2 { (lang.t("Indexes", "索引")) }
            ul .indexes {
                li { code { "_id" } " " span .dim { (lang.t("always there", "始终存在")) } }
                @for index in indexes {
                    li {
                        form .inline hx-post="/data/index/drop" hx-target="#said" {
                            input type="hidden" name="name" value=(name);
                            input type="hidden" name="index" value=(index.name);
                            code { (shown(&fields(index))) } " "
                            @if index.unique { span .tag { (lang.t("unique", "唯一")) } " " }
                            @if index.sparse { span .tag { (lang.t("sparse", "稀疏")) } " " }
                            span .dim { (shown(&index.name)) } " "
                            button .small { (lang.t("Remove", "删除")) }
                        }
                    }
                }
            }
            form .filter hx-post="/data/index" hx-target="#said" {
                input type="hidden" name="name" value=(name);
                label {
                    (lang.t("Fields", "字段")) " "
                    input name="fields" required autocomplete="off" spellcheck="false" placeholder="status, -createTime";
                }
                label {
                    (lang.t("Kind", "类型")) " "
                    select name="kind" {
                        option value="" { (lang.t("by value", "普通")) }
                        option value="2dsphere" { (lang.t("places (2dsphere)", "地理位置（2dsphere）")) }
                    }
                }
                label .check { input type="checkbox" name="unique" value="1"; " " (lang.t("unique", "唯一")) }
                label .check { input type="checkbox" name="sparse" value="1"; " " (lang.t("sparse", "稀疏")) }
                button { (lang.t("Add index", "添加索引")) }
            }
        }
    }
}

/// Its fields as they are typed; a place says so even where it leads.
fn fields(index: &IndexSpec) -> String {
    let WrittenIndex { mut fields, sphere } = index.written();
    if let Some(first) = fields.first_mut().filter(|_| sphere) {
        *first += " (2dsphere)";
    }
    fields.join(", ")
}

/// Adds an index: of the form's fields, or of those that a query wants.
pub(super) async fn add(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let (lang, name) = (viewer.lang, form.get("name"));
    let typed = form.get("fields").split([',', ' ', '，']);
    let fields: Vec<String> = form
        .all("field")
        .chain(typed)
        .filter(|field| !field.is_empty())
        .map(str::to_owned)
        .collect();
    let ticked = |name: &str| !form.get(name).is_empty();
    let index = match IndexSpec::of_fields(&fields, form.get("kind") == "2dsphere") {
        Ok(index) if index.is_of_id() => {
            let text = lang.t(
                "every collection has an index over _id already",
                "每个集合都已经有 _id 的索引",
            );
            return web::html(StatusCode::OK, refused(text));
        }
        Ok(index) => IndexSpec {
            unique: ticked("unique"),
            sparse: ticked("sparse"),
            ..index
        },
        Err(bad) => return web::html(StatusCode::OK, refused(lang.of_wording(&bad.wording()))),
    };
    let settings = settings_text(name, std::slice::from_ref(&index));
    // The list of queries stands on another page than the collection's indexes.
    let of_query = form.all("field").next().is_some();
    let WrittenIndex { fields, sphere } = index.written();
    match inner.database.create_index(name, index).await {
        Ok(()) => {
            inner
                .recorder
                .forget_unserved(name, Some(&WantedIndex { fields, sphere }));
            let said = html! {
                p .notice role="status" { (lang.t("The index is there. For good, and elsewhere, it stands in yunqiao.toml:", "索引已添加。要长期保留并用于其他环境，请写进 yunqiao.toml：")) }
                pre .json tabindex="0" { (settings) }
                @if !of_query { (again(inner, lang, name).await) }
            };
            inner.recorder.wake();
            web::part(said, CHANGED.0, CHANGED.1)
        }
        Err(DatabaseError::Duplicate { key, .. }) => {
            let text = lang.t(
                "Documents have the same value, so the index cannot be unique: ",
                "已有记录的值重复，无法建立唯一索引：",
            );
            web::html(StatusCode::OK, refused(format!("{text}{key}")))
        }
        Err(error) => web::html(StatusCode::OK, failed(lang, &error.wording())),
    }
}

/// Removes an index.
pub(super) async fn remove(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let (lang, name) = (viewer.lang, form.get("name"));
    match inner.database.drop_index(name, form.get("index")).await {
        Ok(_) => {
            let said = html! {
                p .notice role="status" { (lang.t("The index is gone: ", "索引已删除：")) code { (shown(form.get("index"))) } }
                (again(inner, lang, name).await)
            };
            web::part(said, CHANGED.0, CHANGED.1)
        }
        Err(error) => web::html(StatusCode::OK, failed(lang, &error.wording())),
    }
}

/// The section in the place of the one on the page.
async fn again(inner: &Inner, lang: Lang, name: &str) -> Markup {
    let collections = inner.database.collections().await.unwrap_or_default();
    let status = collections.into_iter().find(|status| status.name == name);
    html! {
        @if let Some(status) = status {
            div hx-swap-oob="outerHTML:#indexes" { (section(lang, name, &status.indexes)) }
        }
    }
}
