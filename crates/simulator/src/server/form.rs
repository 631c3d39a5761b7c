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
}

/// Reads the body as multipart, where a part with a file name, or the one called `file_field`, is a file.
///
/// # Errors
/// If it is none, or is cut off.
pub(crate) async fn multipart(ask: &ApiCall, file_field: Option<&str>) -> Result<Multipart, multer::Error> {
    let boundary = multer::parse_boundary(content_type(ask).unwrap_or(""))?;
    let body = ask.body.clone();
    let bytes = futures_util::stream::once(async move { Ok::<Bytes, Infallible>(body) });
    let mut parts = multer::Multipart::new(bytes, boundary);
    let mut form = Multipart {
        fields: Map::new(),
        file: None,
    };
    while let Some(part) = parts.next_field().await? {
        let name = part.name().unwrap_or("").to_owned();
        let file_name = part.file_name().map(str::to_owned);
        let kind = part.content_type().map(ToString::to_string);
        let bytes = part.bytes().await?;
        let what = if file_name.is_some() || file_field == Some(&name) {
            let digest = base16ct::lower::encode_string(&Sha256::digest(&bytes));
            form.file.get_or_insert_with(|| digest.clone());
            json!({ "fileName": file_name, "contentType": kind, "bytes": bytes.len(), "sha256": digest })
        } else {
            Value::from(String::from_utf8_lossy(&bytes))
        };
        form.fields.insert(name, what);
    }
    Ok(form)
}

fn content_type(ask: &ApiCall) -> Option<&str> {
    ask.headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
