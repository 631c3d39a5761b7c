//! Bodies that are forms: `application/x-www-form-urlencoded`, and `multipart/form-data` with a file.

use std::convert::Infallible;

use axum::{body::Bytes, http::header};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::server::ApiCall;

/// The fields of a urlencoded form, as texts; of a name that is given more than once, the array of them.
pub(crate) fn urlencoded(body: &[u8]) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, text) in form_urlencoded::parse(body) {
        let text = Value::from(text);
        match fields.get_mut(&*name) {
            None => {
                fields.insert(name.into_owned(), text);
            }
            Some(Value::Array(all)) => all.push(text),
            Some(first) => *first = json!([first.take(), text]),
        }
    }
    fields
}

/// Whether a request says that its body is a urlencoded form.
pub(crate) fn is_urlencoded(ask: &ApiCall) -> bool {
    content_type(ask).is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"))
}

/// A multipart form.
#[derive(Debug)]
pub(crate) struct Multipart {
    /// Its text fields, and for each file what it is: name, content type, length and SHA-256, not the bytes.
    pub(crate) fields: Map<String, Value>,
    /// The SHA-256 of the first file, in hex, if there is a file.
    pub(crate) file: Option<String>,
    /// Why a part that was meant to be the file is not taken for one.
    pub(crate) no_file: Option<&'static str>,
}

/// Reads the body as multipart. A part is the file if it has a `filename`, is called `file_field` where the document says so,
/// and holds what can be a file: here most uploads fail at WeChat, with 41005, and the caller sees no reason.
///
/// # Errors
/// If it is not multipart, or is cut off.
pub(crate) async fn multipart(ask: &ApiCall, file_field: Option<&str>) -> Result<Multipart, multer::Error> {
    let boundary = multer::parse_boundary(content_type(ask).unwrap_or(""))?;
    let body = ask.body.clone();
    let bytes = futures_util::stream::once(async move { Ok::<Bytes, Infallible>(body) });
    let mut parts = multer::Multipart::new(bytes, boundary);
    let mut form = Multipart {
        fields: Map::new(),
        file: None,
        no_file: None,
    };
    while let Some(part) = parts.next_field().await? {
        let name = part.name().unwrap_or("").to_owned();
        let file_name = part.file_name().map(str::to_owned);
        let has_file_name = part
            .headers()
            .get(header::CONTENT_DISPOSITION)
            .is_some_and(|disposition| has_plain_file_name(disposition.as_bytes()));
        let kind = part.content_type().map(ToString::to_string);
        let bytes = part.bytes().await?;
        let what = if file_name.is_some() || file_field == Some(&name) {
            let digest = base16ct::lower::encode_string(&Sha256::digest(&bytes));
            let fault = match file_field {
                Some(field) if field != name => Some("the file is in a part of another name"),
                _ if !has_file_name && file_name.is_some() => {
                    Some("the part has `filename*`, which WeChat does not read, and no `filename`")
                }
                _ if !has_file_name => Some("the part has no `filename`"),
                _ if bytes.is_empty() => Some("the file is empty"),
                _ if is_base64_text(&bytes) => {
                    Some("the file is base64 text, not the bytes that it stands for")
                }
                _ => None,
            };
            match fault {
                Some(fault) => _ = form.no_file.get_or_insert(fault),
                None => _ = form.file.get_or_insert_with(|| digest.clone()),
            }
            json!({ "fileName": file_name, "contentType": kind, "bytes": bytes.len(), "sha256": digest })
        } else {
            Value::from(String::from_utf8_lossy(&bytes))
        };
        form.fields.insert(name, what);
    }
    Ok(form)
}

/// Whether a part's disposition has a `filename` that is not empty; `filename*` (RFC 5987) is another parameter.
fn has_plain_file_name(disposition: &[u8]) -> bool {
    let text = String::from_utf8_lossy(disposition);
    let parameters = text.split(';').skip(1).map(str::trim);
    let mut values = parameters.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("filename").then_some(value)
    });
    values.any(|value| !value.trim().trim_matches('"').is_empty())
}

/// Whether this is an image written in base64, perhaps as a data URL, in the place of its bytes.
fn is_base64_text(bytes: &[u8]) -> bool {
    // PNG, JPEG, GIF, WebP in base64.
    const IMAGES: [&[u8]; 4] = [b"iVBORw0KGgo", b"/9j/", b"R0lGOD", b"UklGR"];
    let text = bytes.trim_ascii();
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=\r\n".contains(byte);
    text.starts_with(b"data:")
        || (IMAGES.iter().any(|image| text.starts_with(image)) && text.iter().all(is_base64))
}

fn content_type(ask: &ApiCall) -> Option<&str> {
    ask.headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_what_wechat_reads_as_one() {
        for (disposition, has) in [
            (r#"form-data; name="media"; filename="a.png""#, true),
            ("form-data; name=media; filename=a.png", true),
            (r#"form-data; filename="a.png"; name="media""#, true),
            (r#"form-data; name="media"; filename*=UTF-8''a.png"#, false),
            (r#"form-data; name="media"; filename="""#, false),
            (r#"form-data; name="filename=x""#, false),
            (r#"form-data; name="media""#, false),
        ] {
            assert_eq!(has_plain_file_name(disposition.as_bytes()), has, "{disposition}");
        }
    }

    #[test]
    fn base64_is_told_from_what_it_stands_for() {
        for (bytes, is) in [
            (&b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB\n"[..], true),
            (b"data:image/png;base64,iVBOR", true),
            (b"/9j/4AAQSkZJRg==", true),
            (b"\x89PNG\r\n", false),
            (b"\xff\xd8\xff", false),
            (b"hello", false),
            (b"/9j/ is how a JPEG begins", false),
        ] {
            assert_eq!(is_base64_text(bytes), is, "{bytes:?}");
        }
    }

    #[test]
    fn a_name_given_twice_is_a_list() {
        assert_eq!(
            Value::from(urlencoded(
                b"tid=99&kidList=1&kidList=2&kidList=3&sceneDesc=%E6%B5%8B"
            )),
            json!({ "tid": "99", "kidList": ["1", "2", "3"], "sceneDesc": "测" })
        );
    }
}
