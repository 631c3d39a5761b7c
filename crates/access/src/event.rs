//! A request as a function's event (集成请求).
//!
//! The members are the platform's: `path`, `httpMethod`, `headers`, `queryStringParameters`, `requestContext`, `body`, `isBase64Encoded`.
//! Where a query has a name twice, `queryStringParameters` has the last value, and `multiValueQueryStringParameters` all of them: a
//! choice, in the form that API Gateway gave it and `serverless-http` reads. It is there only then.

use std::{collections::HashMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE, COOKIE},
};

/// What a function is given.
#[derive(Clone, Copy)]
pub struct HttpEvent<'a> {
    /// The method.
    pub method: &'a str,
    /// The path as the function is to see it, with whatever is percent-encoded left so.
    pub path: &'a str,
    /// What follows the question mark.
    pub query: Option<&'a str>,
    /// The headers, as [`RequestHeaders`](crate::RequestHeaders) gave them.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
    /// The call's id.
    pub request_id: &'a str,
    /// The environment.
    pub env_id: &'a str,
    /// The Mini Program. **Choice**: the platform has the number of its own account here, and of who owns it (`uin`).
    pub appid: &'a str,
}

impl fmt::Debug for HttpEvent<'_> {
    /// Without what may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpEvent")
            .field("method", &self.method)
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl HttpEvent<'_> {
    /// The body as text, where it is handed over so.
    fn text(&self) -> Option<&str> {
        let text = std::str::from_utf8(self.body).ok();
        text.filter(|_| is_text(self.headers))
    }

    /// Bytes that the body takes in the event: up to six times its own where it is text of which JSON escapes much.
    #[must_use]
    pub fn body_length(&self) -> usize {
        match self.text() {
            Some(text) => json::string_length(text),
            None => base64::encoded_len(self.body.len(), true).map_or(usize::MAX, |length| length + 2),
        }
    }

    /// Appends the event's JSON text.
    pub fn write(&self, out: &mut Vec<u8>) {
        // A large one is not copied to make room, and takes no more than it needs.
        out.reserve(self.body_length() + 1024);
        out.extend_from_slice(b"{\"path\":");
        json::write_string(out, self.path);
        out.extend_from_slice(b",\"httpMethod\":");
        json::write_string(out, self.method);
        out.extend_from_slice(b",\"headers\":");
        write_headers(out, self.headers);
        write_query(out, self.query.unwrap_or_default());
        out.extend_from_slice(b",\"requestContext\":{\"requestId\":");
        json::write_string(out, self.request_id);
        out.extend_from_slice(b",\"envId\":");
        json::write_string(out, self.env_id);
        out.extend_from_slice(b",\"appId\":");
        json::write_string(out, self.appid);
        out.extend_from_slice(b",\"uin\":\"\"},\"body\":");
        match self.text() {
            Some(text) => {
                json::write_string(out, text);
                out.extend_from_slice(b",\"isBase64Encoded\":false}");
            }
            None => {
                out.push(b'"');
                let start = out.len();
                let length = base64::encoded_len(self.body.len(), true).unwrap_or_default();
                out.resize(start + length, 0);
                // There is room for all of it.
                let _ = STANDARD.encode_slice(self.body, &mut out[start..]);
                out.extend_from_slice(b"\",\"isBase64Encoded\":true}");
            }
        }
    }
}

/// Whether a body of this type is handed over as text, if it is UTF-8. What is not text comes in base64, and so does a form with
/// files, whatever is in them.
fn is_text(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_ENCODING) {
        return false;
    }
    let Some(kind) = headers.get(CONTENT_TYPE) else {
        return true;
    };
    kind.to_str()
        .is_ok_and(|kind| is_text_type(kind) || essence(kind) == "application/x-www-form-urlencoded")
}

fn essence(kind: &str) -> String {
    let essence = kind.split(';').next().unwrap_or_default();
    essence.trim().to_ascii_lowercase()
}

/// Whether a type is one of text: these get `; charset=utf-8` in a reply.
pub(crate) fn is_text_type(kind: &str) -> bool {
    let essence = essence(kind);
    let of_kind = essence.strip_prefix("application/");
    essence.starts_with("text/")
        || of_kind.is_some_and(|kind| {
            matches!(
                kind,
                "json" | "javascript" | "x-javascript" | "xml" | "graphql" | "x-ndjson" | "ld+json"
            ) || kind.ends_with("+json")
                || kind.ends_with("+xml")
        })
}

/// One member for each name: several lines of one header become one, as Node's own server has it.
fn write_headers(out: &mut Vec<u8>, headers: &HeaderMap) {
    out.push(b'{');
    for (index, name) in headers.keys().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::write_string(out, name.as_str());
        out.push(b':');
        let between = if *name == COOKIE { "; " } else { ", " };
        let mut values = headers
            .get_all(name)
            .iter()
            .map(|value| text_of(value.as_bytes()));
        let mut value = values.next().unwrap_or_default();
        for next in values {
            value.push_str(between);
            value.push_str(&next);
        }
        json::write_string(out, &value);
    }
    out.push(b'}');
}

/// A header's value: UTF-8, as browsers and programs of today send it, else Latin 1, as HTTP once had it.
fn text_of(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => value.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// `,"queryStringParameters":{…}`, and all values of the names that are there more than once.
fn write_query(out: &mut Vec<u8>, query: &str) {
    let mut places = HashMap::new();
    let mut fields: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let place = *places.entry(name.clone().into_owned()).or_insert_with(|| {
            fields.push((name.into_owned(), Vec::new()));
            fields.len() - 1
        });
        fields[place].1.push(value.into_owned());
    }
    out.extend_from_slice(b",\"queryStringParameters\":{");
    for (index, (name, values)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::write_string(out, name);
        out.push(b':');
        json::write_string(out, values.last().map_or("", String::as_str));
    }
    out.push(b'}');
    if fields.iter().all(|(_, values)| values.len() == 1) {
        return;
    }
    out.extend_from_slice(b",\"multiValueQueryStringParameters\":{");
    for (index, (name, values)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::write_string(out, name);
        out.extend_from_slice(b":[");
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            json::write_string(out, value);
        }
        out.push(b']');
    }
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderValue;
    use serde_json::{Value, json};

    use super::*;

    fn event(query: Option<&str>, lines: &[(&'static str, &[u8])], body: &[u8]) -> Value {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let mut out = Vec::new();
        let event = HttpEvent {
            method: "POST",
            path: "/a%20b",
            query,
            headers: &headers,
            body,
            request_id: "r1",
            env_id: "env",
            appid: "wx1",
        };
        event.write(&mut out);
        let written = json::Object::parse(&out).unwrap().get("body").unwrap().len();
        assert_eq!(event.body_length(), written);
        json::validate(&out).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn an_event_has_the_members_of_the_platforms() {
        assert_eq!(
            event(
                Some("a=1&b=%E4%B8%AD+x&c"),
                &[("content-type", b"application/json")],
                b"{\"a\":\"\xe4\xb8\xad\"}"
            ),
            json!({
                "path": "/a%20b",
                "httpMethod": "POST",
                "headers": {"content-type": "application/json"},
                "queryStringParameters": {"a": "1", "b": "中 x", "c": ""},
                "requestContext": {"requestId": "r1", "envId": "env", "appId": "wx1", "uin": ""},
                "body": "{\"a\":\"中\"}",
                "isBase64Encoded": false,
            })
        );
        let bare = event(None, &[], b"");
        assert_eq!(
            (
                &bare["body"],
                &bare["isBase64Encoded"],
                &bare["queryStringParameters"]
            ),
            (&json!(""), &json!(false), &json!({}))
        );
    }

    #[test]
    fn a_name_that_is_there_twice_has_all_its_values_beside() {
        let event = event(Some("a=1&b=x&a=2&__proto__=y&a=1"), &[], b"");
        assert_eq!(
            event["queryStringParameters"],
            json!({"a": "1", "b": "x", "__proto__": "y"})
        );
        assert_eq!(
            event["multiValueQueryStringParameters"],
            json!({"a": ["1", "2", "1"], "b": ["x"], "__proto__": ["y"]})
        );
    }

    #[test]
    fn lines_of_one_header_become_one() {
        let event = event(
            None,
            &[
                ("accept", b"text/html"),
                ("cookie", b"a=1"),
                ("accept", b"*/*"),
                ("cookie", b"b=2"),
                ("x-utf-8", "中".as_bytes()),
                ("x-latin", b"caf\xe9"),
            ],
            b"",
        );
        assert_eq!(
            event["headers"],
            json!({"accept": "text/html, */*", "cookie": "a=1; b=2", "x-utf-8": "中", "x-latin": "café"})
        );
    }

    #[test]
    fn what_is_not_text_comes_in_base64() {
        for (lines, body, expected, encoded) in [
            (&[][..], &b"plain"[..], "plain", false),
            (&[], b"\xff\x00", "/wA=", true),
            (&[], b"\x00\x1f\n\"\\", "\0\u{1f}\n\"\\", false),
            (&[("content-type", &b"text/plain"[..])], b"\xff", "/w==", true),
            (&[("content-type", b"image/png")], b"text", "dGV4dA==", true),
            (
                &[(
                    "content-type",
                    b"Application/X-WWW-Form-Urlencoded; charset=utf-8",
                )],
                b"a=1",
                "a=1",
                false,
            ),
            (
                &[("content-type", b"application/vnd.api+json")],
                b"{}",
                "{}",
                false,
            ),
            (
                &[("content-type", b"multipart/form-data; boundary=x")],
                b"--x",
                "LS14",
                true,
            ),
            (
                &[
                    ("content-type", b"application/json"),
                    ("content-encoding", b"gzip"),
                ],
                b"{}",
                "e30=",
                true,
            ),
        ] {
            let event = event(None, lines, body);
            assert_eq!(
                (&event["body"], &event["isBase64Encoded"]),
                (&json!(expected), &json!(encoded)),
                "{lines:?}"
            );
        }
    }
}
