//! One file: what is known of it, its addresses, and what it looks like.

use blobs::Blob;
use ejson::shell::visible;
use files::{CloudPath, Showing, showing};
use gateway::ReplyBody;
use http::{HeaderValue, Response, StatusCode, Uri, header::CONTENT_SECURITY_POLICY};
use maud::{Markup, html};

use super::{folder_of, kind, moment, name, owner, refused, size};
use crate::{
    Inner,
    data::{grouped, production},
    lang::Lang,
    layout::{self, Page, Viewer},
    web::{self, Fields},
};

/// Bytes of a text that are shown.
const TEXT: usize = 64 << 10;

/// The page of a file.
pub(super) fn link(path: &CloudPath) -> String {
    web::link("/files/file", &[("path", path.as_str())])
}

pub(super) async fn page(inner: &Inner, viewer: &Viewer, query: &Fields) -> Response<ReplyBody> {
    let lang = viewer.lang;
    let storage = inner.gateway.storage();
    let none = || {
        let text = lang.t("There is no such file: ", "没有这个文件：");
        let text = format!("{text}{}", visible(query.get("path")));
        layout::failed(viewer, StatusCode::NOT_FOUND, &text)
    };
    let Ok(path) = query.get("path").parse::<CloudPath>() else {
        return none();
    };
    let blob = match storage.blobs.look(&path).await {
        Ok(Some(blob)) => blob,
        Ok(None) => return none(),
        Err(error) => return layout::page(viewer, Page::Files, refused(&error)),
    };
    let (address, age) = match storage.address(&path, None, None).await {
        Ok(address) => address,
        Err(error) => return layout::page(viewer, Page::Files, refused(&error)),
    };
    let users = inner.users().await;
    let how = match storage.permission.load().lets_all_read() {
        true => lang
            .t(
                "everybody may read it, and it does not expire",
                "所有人可读，长期有效",
            )
            .to_owned(),
        false => expiry(lang, age),
    };
    let preview = Preview::of(&blob);
    let content = html! {
        p { a href=(super::link(folder_of(path.as_str()))) { "← " (lang.t("The folder", "所在目录")) } }
        h2 .name { (name(path.as_str())) }
        (production(viewer))
        div #said aria-live="polite" {}
        dl .facts.file {
            div { dt { (lang.t("Path", "路径")) } dd { code { (visible(path.as_str())) } } }
            div { dt { (lang.t("Size", "大小")) } dd { (size(blob.size)) @if blob.size >= 1024 { " (" (grouped(blob.size)) " B)" } } }
            div { dt { (lang.t("Type", "类型")) } dd { (visible(&kind(&blob))) } }
            div { dt { (lang.t("Owner", "所有者")) } dd { (owner(lang, &users, &blob)) } }
            div { dt { (lang.t("Modified", "修改时间")) } dd { (moment(&blob)) } }
            // What came in parts has a sum of their sums.
            div { dt { (if blob.etag.contains('-') { "ETag" } else { "MD5 · ETag" }) } dd { code { (blob.etag) } } }
        }
        (copied(lang, "file-id", lang.t("File ID", "文件 ID"), &storage.storage.id(&path).to_string(), Markup::default()))
        (copied(lang, "address", lang.t("Address", "访问链接"), &address, html! {
            " " span .dim { "(" (how) ")" }
        }))
        section {
            h2 { (lang.t("Preview", "预览")) }
            (preview.show(inner, lang, &blob, &address).await)
            p { a .download href=(address) target="_blank" rel="noreferrer" { (lang.t("Open it at its address", "打开访问链接")) } }
        }
        form .actions hx-post="/files/delete" hx-target="#said" {
            input type="hidden" name="path" value=(path);
            input type="hidden" name="back" value=(path);
            button .danger { (lang.t("Delete …", "删除……")) }
        }
    };
    let mut reply = layout::page(viewer, Page::Files, content);
    if let Some(policy) = policy(&address) {
        reply.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    reply
}

/// When an address ends that is good for so many seconds.
fn expiry(lang: Lang, seconds: u64) -> String {
    let (number, unit) = match seconds {
        seconds if seconds.is_multiple_of(3600) => (seconds / 3600, lang.t("h", "小时")),
        seconds if seconds.is_multiple_of(60) => (seconds / 60, lang.t("min", "分钟")),
        seconds => (seconds, lang.t("s", "秒")),
    };
    match lang {
        Lang::En => format!("expires in {number} {unit}"),
        Lang::Zh => format!("{number} {unit}后失效"),
    }
}

/// The policy of a page that shows what lies at an address: as every page's, and pictures, sound and films from there.
fn policy(address: &str) -> Option<HeaderValue> {
    // What follows the host may be in characters that only a browser takes as they are.
    let host = address.find("://")? + 3;
    let end = address[host..]
        .find(['/', '?', '#'])
        .map_or(address.len(), |end| host + end);
    let uri: Uri = address[..end].parse().ok()?;
    let (scheme, host) = (uri.scheme_str()?, uri.authority()?);
    let policy = format!(
        "default-src 'self'; img-src 'self' {scheme}://{host}; media-src {scheme}://{host}; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).ok()
}

/// A text with a button that copies it.
fn copied(lang: Lang, id: &str, told: &str, text: &str, more: Markup) -> Markup {
    html! {
        h3 { (told) (more) }
        p .copied {
            code id=(id) { (text) } " "
            button .small type="button" data-copy=(id) data-copied=(lang.t("Copied", "已复制")) { (lang.t("Copy", "复制")) }
        }
    }
}

/// How a file is shown on its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preview {
    Image,
    Audio,
    Video,
    Text,
    Nothing,
}

impl Preview {
    fn of(blob: &Blob) -> Self {
        let essence = kind(blob).to_ascii_lowercase();
        let (of, _) = essence.split_once('/').unwrap_or((&essence, ""));
        match (of, showing(&essence)) {
            _ if blob.size == 0 => Self::Nothing,
            ("image", Showing::Inline) => Self::Image,
            ("audio", Showing::Inline) => Self::Audio,
            ("video", Showing::Inline) => Self::Video,
            ("text", _) => Self::Text,
            _ if ["json", "xml", "javascript", "x-sh", "yaml", "toml"]
                .iter()
                .any(|text| essence.ends_with(text)) =>
            {
                Self::Text
            }
            _ => Self::Nothing,
        }
    }

    async fn show(self, inner: &Inner, lang: Lang, blob: &Blob, address: &str) -> Markup {
        let name = name(blob.path.as_str());
        match self {
            Self::Image => html! { img .preview src=(address) alt=(name); },
            Self::Audio => {
                html! { audio .preview controls preload="metadata" src=(address) aria-label=(name) {} }
            }
            Self::Video => {
                html! { video .preview controls preload="metadata" src=(address) aria-label=(name) {} }
            }
            Self::Text => match text(inner, &blob.path).await {
                Ok((text, cut)) => html! {
                    pre .preview tabindex="0" { (text) }
                    @if cut { p .dim { (lang.t("… and more, which is not shown.", "……其余未显示。")) } }
                },
                Err(error) => refused(&error),
            },
            Self::Nothing => html! {
                p .dim { (lang.t("A file of this type is not shown here.", "这种类型的文件不能预览。")) }
            },
        }
    }
}

/// The beginning of a file as text, and whether there is more of it.
async fn text(inner: &Inner, path: &CloudPath) -> Result<(String, bool), blobs::BlobError> {
    let mut bytes = Vec::new();
    let mut size = 0;
    if let Some(mut opened) = inner.gateway.storage().blobs.open(path).await? {
        size = opened.blob.size;
        while bytes.len() < TEXT
            && let Some(piece) = opened.content.next().await?
        {
            bytes.extend_from_slice(&piece);
        }
    }
    bytes.truncate(TEXT);
    let cut = size > bytes.len() as u64;
    let mut text = String::from_utf8_lossy(&bytes);
    // Where it was cut, a character may have been.
    if cut && let Some(whole) = text.strip_suffix('\u{fffd}') {
        text = whole.to_owned().into();
    }
    let lines: Vec<_> = text.lines().map(visible).collect();
    Ok((lines.join("\n"), cut))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn only_what_nothing_runs_in_is_shown_as_what_it_is() {
        for (name, given, preview) in [
            ("a.png", None, Preview::Image),
            ("a.mp3", None, Preview::Audio),
            ("a.mp4", None, Preview::Video),
            ("a.svg", None, Preview::Text),
            ("a.html", Some("image/png"), Preview::Text),
            ("a.js", None, Preview::Text),
            ("a.json", None, Preview::Text),
            ("a", Some("image/svg+xml"), Preview::Text),
            ("a", Some("image/png, text/html"), Preview::Nothing),
            ("a", Some("IMAGE/PNG"), Preview::Image),
            ("a.pdf", None, Preview::Nothing),
            ("a", None, Preview::Nothing),
        ] {
            let blob = Blob {
                path: name.parse().unwrap(),
                size: 1,
                etag: String::new(),
                content_type: given.map(str::to_owned),
                owner: String::new(),
                modified: SystemTime::UNIX_EPOCH,
            };
            assert_eq!(Preview::of(&blob), preview, "{name} {given:?}");
        }
    }

    #[test]
    fn the_policy_names_the_address_and_nothing_else() {
        let policy = policy("http://127.0.0.1:8787/v1/files/public/头像;script-src *.png").unwrap();
        assert_eq!(
            policy,
            "default-src 'self'; img-src 'self' http://127.0.0.1:8787; media-src http://127.0.0.1:8787; base-uri 'none'; \
             form-action 'self'; frame-ancestors 'none'"
        );
    }
}
