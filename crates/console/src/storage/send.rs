//! Sending files: where each may be put, and the part of the page by which it is done. The file itself goes to `/operator/files/content`,
//! and is never held whole.

use ejson::shell::visible;
use files::CloudPath;
use gateway::ReplyBody;
use http::{Response, StatusCode};
use maud::{Markup, html};
use serde::Serialize;

use crate::{
    Inner,
    lang::Lang,
    layout::Viewer,
    web::{self, Fields},
};

/// Where a file may be put, or why it may not.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Place {
    Url(String),
    Error(String),
}

/// The form that sends files, to a folder; they may as well be dropped on it.
pub(super) fn section(lang: Lang, folder: &str) -> Markup {
    html! {
        section #send .drop data-done=(lang.t("sent", "已上传")) data-stop=(lang.t("Stop", "取消"))
            data-stopped=(lang.t("stopped", "已取消")) data-failed=(lang.t("The server did not answer.", "服务器没有响应。")) {
            h2 { (lang.t("Upload", "上传")) }
            form .filter {
                label {
                    (lang.t("Folder", "目录")) " "
                    input name="folder" value=(folder) spellcheck="false" autocapitalize="off" autocomplete="off" placeholder="avatars/2026/";
                }
                label { span .unseen { (lang.t("Files", "文件")) } input type="file" name="files" multiple required; }
                label .check {
                    input type="checkbox" name="over" value="1";
                    " " (lang.t("replace files of the same path", "路径相同时覆盖"))
                }
                button { (lang.t("Upload", "上传")) }
            }
            p .dim { (lang.t("Or drop files and folders here. A folder that is new comes with its files.", "也可以把文件或文件夹拖到这里。新目录随文件一起出现。")) }
            ul .uploads aria-live="polite" {}
        }
    }
}

/// Answers where a file goes, before it is sent.
pub(super) async fn place(inner: &Inner, viewer: &Viewer, form: &Fields) -> Response<ReplyBody> {
    let place = match find(inner, viewer.lang, form).await {
        Ok(url) => Place::Url(url),
        Err(said) => Place::Error(visible(&said).into_owned()),
    };
    // Two texts.
    let json = serde_json::to_vec(&place).unwrap_or_default();
    web::typed(StatusCode::OK, "application/json", json.into())
}

async fn find(inner: &Inner, lang: Lang, form: &Fields) -> Result<String, String> {
    let storage = inner.gateway.storage();
    let path = CloudPath::to_write(form.get("path")).map_err(|error| error.to_string())?;
    if form.get("over").is_empty() {
        let there = storage
            .blobs
            .look(&path)
            .await
            .map_err(|error| error.to_string())?;
        if there.is_some() {
            let text = lang.t(
                "there is a file of this path: tick “replace” to write over it",
                "该路径已有文件：勾选“覆盖”后再上传",
            );
            return Err(text.to_owned());
        }
    }
    Ok(web::link("/operator/files/content", &[("path", path.as_str())]))
}
