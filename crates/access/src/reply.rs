//! A function's answer as an HTTP reply.
//!
//! | answer | reply |
//! |---|---|
//! | a string or a number | 200, `text/plain; charset=utf-8` |
//! | an object with `statusCode` (集成响应) | as it says |
//! | another object | 200, `application/json; charset=utf-8` |
//!
//! **Choices**, where the documents are silent: nothing at all is an empty text; `true` and `false` are text, `null` and arrays JSON;
//! `multiValueHeaders` counts beside `headers` and goes before it, since `serverless-http` has several cookies there; a body that is
//! no string is JSON; an object whose `statusCode` is no status, and which has nothing else of a reply, is another object; and an answer that cannot be sent is refused whole, with the reason, instead of being sent in part.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, SET_COOKIE},
};
use json::Object;
use thiserror::Error;

use crate::{
    ReplyContent,
    client::{is_hop_by_hop, sets_console_cookie},
    event::is_text_type,
};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const BINARY: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// Bytes of headers that a function may send: what clients and proxies bear.
const MOST_HEADERS: usize = 64 << 10;

/// Names of headers that are more than [`MOST_HEADERS`] whatever they are: each has a letter, and `: ` and a line's end.
const MOST_NAMES: usize = MOST_HEADERS / 5;

/// A reply that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionResponse {
    /// 200 to 599.
    pub status: StatusCode,
    /// Without those about the connection, and without a length.
    pub headers: HeaderMap,
    /// The length that the function gave, in bytes: of what a GET would have brought, where it answers a HEAD.
    pub length: Option<u64>,
    /// The body.
    pub content: ReplyContent,
}

/// Why a function's answer is no HTTP reply. `Display` is for the function's author.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotAReply {
    /// The status is no status.
    #[error("`statusCode` is {0}: a whole number from 200 to 599 is possible")]
    Status(String),
    /// `headers` is no object.
    #[error("`{0}` is not an object of headers")]
    Headers(&'static str),
    /// A header's name or value cannot be sent.
    #[error("the header {name:?} {what}")]
    Header {
        /// Its name.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// There is too much of them.
    #[error("the headers have more than {} KB", MOST_HEADERS >> 10)]
    TooManyHeaders,
    /// The body is not what `isBase64Encoded` says.
    #[error("`isBase64Encoded` is true, and `body` is not base64: write it with Buffer.toString('base64')")]
    NotBase64,
    /// The answer itself is not JSON, which no worker of ours sends.
    #[error("the answer is not JSON")]
    NotJson,
}

/// What becomes of a function's result: its JSON text, or nothing.
///
/// # Errors
/// The result has `statusCode`, and is no reply.
pub fn reply_of(result: Option<&Bytes>) -> Result<FunctionResponse, NotAReply> {
    let plain = |kind: HeaderValue, content: ReplyContent| {
        let mut headers = HeaderMap::with_capacity(1);
        headers.insert(CONTENT_TYPE, kind);
        Ok(FunctionResponse {
            status: StatusCode::OK,
            headers,
            length: None,
            content,
        })
    };
    let Some(result) = result else {
        return plain(TEXT, ReplyContent::empty());
    };
    let text = std::str::from_utf8(result)
        .map_err(|_| NotAReply::NotJson)?
        .trim_ascii();
    match text.bytes().next() {
        Some(b'"') => plain(TEXT, ReplyContent::text(result, text)),
        Some(b'{') => {
            let object = Object::parse(text.as_bytes()).map_err(|_| NotAReply::NotJson)?;
            match object.get("statusCode") {
                Some(status) if is_integrated(&object, status) => integrated(result, &object, status),
                Some(_) => plain(JSON, ReplyContent::plain(result.clone())),
                None => plain(JSON, ReplyContent::plain(result.clone())),
            }
        }
        Some(b'[' | b'n') => plain(JSON, ReplyContent::plain(result.clone())),
        _ => plain(TEXT, ReplyContent::plain(result.clone())),
    }
}

/// Whether an object with `statusCode` is a 集成响应. A number that is no status of HTTP's, and nothing else of one, is a result that the
/// function hands on: `uploadFile` of the SDK gives `{fileID, statusCode: -1}`, and programs have `{statusCode: 0, msg, data}` of their own.
fn is_integrated(object: &Object<'_>, status: &str) -> bool {
    let others = ["headers", "multiValueHeaders", "body", "isBase64Encoded"];
    status_of(status).is_ok() || others.iter().any(|name| object.get(name).is_some())
}

/// 集成响应.
fn integrated(result: &Bytes, object: &Object<'_>, status: &str) -> Result<FunctionResponse, NotAReply> {
    let status = status_of(status)?;
    let mut headers = HeaderMap::new();
    if let Some(given) = object.get("headers") {
        read_headers("headers", given, &mut headers)?;
    }
    if let Some(given) = object.get("multiValueHeaders") {
        let mut several = HeaderMap::new();
        read_headers("multiValueHeaders", given, &mut several)?;
        for name in several.keys() {
            headers.remove(name);
        }
        headers.extend(several);
    }
    let size: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if size > MOST_HEADERS {
        return Err(NotAReply::TooManyHeaders);
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|length| {
        let digits = length.to_str().ok()?;
        digits
            .parse()
            .ok()
            .filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
    });
    let dropped: Vec<_> = headers
        .keys()
        .filter(|name| is_hop_by_hop(name) || **name == CONTENT_LENGTH)
        .cloned()
        .collect();
    for name in dropped {
        headers.remove(name);
    }
    let encoded = object
        .get("isBase64Encoded")
        .is_some_and(|value| matches!(value, "true" | "\"true\""));
    let (content, usual) = match object.get("body") {
        None | Some("null") => (ReplyContent::empty(), TEXT),
        Some(body) if json::is_string(body) && encoded => (
            ReplyContent::base64(result, body).ok_or(NotAReply::NotBase64)?,
            BINARY,
        ),
        Some(body) if json::is_string(body) => (ReplyContent::text(result, body), TEXT),
        Some(body) => (ReplyContent::plain(result.slice_ref(body.as_bytes())), JSON),
    };
    // These have no body, whatever was given (RFC 9110 §15).
    let bodyless = matches!(status.as_u16(), 204 | 205 | 304);
    let content = if bodyless { ReplyContent::empty() } else { content };
    match headers.get(CONTENT_TYPE).map(|kind| kind.to_str()) {
        None if bodyless => {}
        None => {
            headers.insert(CONTENT_TYPE, usual);
        }
        Some(Ok(kind)) if is_text_type(kind) && !kind.to_ascii_lowercase().contains("charset") => {
            if let Ok(kind) = HeaderValue::try_from(format!("{kind}; charset=utf-8")) {
                headers.insert(CONTENT_TYPE, kind);
            }
        }
        Some(_) => {}
    }
    Ok(FunctionResponse {
        status,
        headers,
        length,
        content,
    })
}

/// Some write it in quotes, and their functions run on the platform.
fn status_of(raw: &str) -> Result<StatusCode, NotAReply> {
    let digits = raw
        .strip_prefix('"')
        .and_then(|raw| raw.strip_suffix('"'))
        .unwrap_or(raw);
    let number = digits
        .parse::<u16>()
        .ok()
        .filter(|number| (200..600).contains(number));
    let status = number.and_then(|number| StatusCode::from_u16(number).ok());
    status.ok_or_else(|| NotAReply::Status(raw.chars().take(40).collect()))
}

/// Reads `{"name": "value"}`, or `["value", …]`, into `headers`. Names that differ in nothing but case are one header, and each of
/// several cookies is sent: old frameworks write `Set-Cookie` and `set-cookie` to have two.
fn read_headers(member: &'static str, raw: &str, headers: &mut HeaderMap) -> Result<(), NotAReply> {
    if raw == "null" {
        return Ok(());
    }
    let object = Object::parse(raw.as_bytes()).map_err(|_| NotAReply::Headers(member))?;
    for field in object.members() {
        // The map panics where it has more names than it can count: before that, they are too much for a reply.
        if headers.keys_len() > MOST_NAMES {
            return Err(NotAReply::TooManyHeaders);
        }
        let text = field.key();
        let name = HeaderName::from_bytes(text.as_bytes()).map_err(|_| NotAReply::Header {
            name: text.chars().take(80).collect(),
            what: "has a name that no header can have",
        })?;
        let values = match json::array(field.value) {
            Ok(values) => values,
            Err(_) => vec![field.value],
        };
        for (index, value) in values.into_iter().enumerate() {
            let Some(value) = header_value(&name, value)? else {
                continue;
            };
            if name == SET_COOKIE && sets_console_cookie(&value) {
                continue;
            }
            if index > 0 || name == SET_COOKIE {
                headers.append(&name, value);
            } else {
                headers.insert(&name, value);
            }
        }
    }
    Ok(())
}

/// A string, number or boolean; `None` for `null`.
fn header_value(name: &HeaderName, raw: &str) -> Result<Option<HeaderValue>, NotAReply> {
    let refused = |what| NotAReply::Header {
        name: name.as_str().to_owned(),
        what,
    };
    let text = match raw.bytes().next() {
        Some(b'"') => json::unescape_lossy(raw),
        Some(b'n') => return Ok(None),
        Some(b'{' | b'[') => return Err(refused("has a value that is no text")),
        _ => raw.into(),
    };
    let value = HeaderValue::from_bytes(text.trim().as_bytes());
    value
        .map(Some)
        .map_err(|_| refused("has a value with a line break or another control character in it"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Status, headers in order, body.
    fn sent(result: &str) -> (u16, Vec<String>, String) {
        let reply = reply_of(Some(&Bytes::copy_from_slice(result.as_bytes()))).unwrap();
        let headers = reply
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
        let headers = headers.collect();
        let body: Vec<u8> = reply.content.into_pieces().flatten().collect();
        (reply.status.as_u16(), headers, String::from_utf8(body).unwrap())
    }

    #[test]
    fn plain_answers_are_text_or_json() {
        for (result, kind, body) in [
            (r#""hello \u4e2d""#, "text/plain", "hello 中"),
            ("42", "text/plain", "42"),
            ("-1.5e3", "text/plain", "-1.5e3"),
            ("true", "text/plain", "true"),
            (r#"{"foo":"bar"}"#, "application/json", r#"{"foo":"bar"}"#),
            (
                r#"{"body":"x","headers":{}}"#,
                "application/json",
                r#"{"body":"x","headers":{}}"#,
            ),
            // What the SDK's uploadFile gives, and what programs have of their own.
            (
                r#"{"fileID":"cloud://a","statusCode":-1,"errMsg":"uploadFile:ok"}"#,
                "application/json",
                r#"{"fileID":"cloud://a","statusCode":-1,"errMsg":"uploadFile:ok"}"#,
            ),
            (
                r#"{"statusCode":"SUCCESS"}"#,
                "application/json",
                r#"{"statusCode":"SUCCESS"}"#,
            ),
            (
                r#"{"statusCode":0,"data":1}"#,
                "application/json",
                r#"{"statusCode":0,"data":1}"#,
            ),
            ("[1,2]", "application/json", "[1,2]"),
            ("null", "application/json", "null"),
        ] {
            let kind = format!("content-type: {kind}; charset=utf-8");
            assert_eq!(sent(result), (200, vec![kind], body.to_owned()), "{result}");
        }
        let nothing = reply_of(None).unwrap();
        assert_eq!((nothing.status, nothing.content.length()), (StatusCode::OK, 0));
    }

    #[test]
    fn an_integrated_answer_is_sent_as_it_says() {
        let (status, headers, body) = sent(
            r#"{"isBase64Encoded":false,"statusCode":201,"headers":{"Content-Type":"text/html","X-N":1,"x-b":true,"x-none":null},"body":"<h1>\u4e2d</h1>"}"#,
        );
        assert_eq!((status, &*body), (201, "<h1>中</h1>"));
        assert_eq!(
            headers,
            ["content-type: text/html; charset=utf-8", "x-n: 1", "x-b: true"]
        );
        for (given, sent_as) in [
            ("application/javascript", "application/javascript; charset=utf-8"),
            ("text/html; Charset=GBK", "text/html; Charset=GBK"),
            ("image/png", "image/png"),
            (
                "application/vnd.api+json",
                "application/vnd.api+json; charset=utf-8",
            ),
        ] {
            let (_, headers, _) = sent(&format!(
                r#"{{"statusCode":200,"headers":{{"content-type":"{given}"}},"body":""}}"#
            ));
            assert_eq!(headers, [format!("content-type: {sent_as}")]);
        }
    }

    #[test]
    fn an_answer_without_a_type_gets_one() {
        for (rest, kind, body) in [
            (r#""body":"x""#, "text/plain; charset=utf-8", "x"),
            (
                r#""body":{"a":1}"#,
                "application/json; charset=utf-8",
                r#"{"a":1}"#,
            ),
            (r#""body":12"#, "application/json; charset=utf-8", "12"),
            (
                r#""isBase64Encoded":true,"body":"aGk=""#,
                "application/octet-stream",
                "hi",
            ),
            (r#""body":null"#, "text/plain; charset=utf-8", ""),
        ] {
            let (status, headers, sent) = sent(&format!(r#"{{"statusCode":"200",{rest}}}"#));
            assert_eq!((status, &*sent), (200, body));
            assert_eq!(headers, [format!("content-type: {kind}")], "{rest}");
        }
    }

    #[test]
    fn every_cookie_is_sent() {
        let cookies = |result: &str| -> Vec<String> {
            let (_, headers, _) = sent(result);
            headers
                .into_iter()
                .filter(|line| line.starts_with("set-cookie"))
                .collect()
        };
        let both = ["set-cookie: a=1", "set-cookie: b=2"];
        for result in [
            r#"{"statusCode":200,"headers":{"set-cookie":["a=1","b=2"]}}"#,
            r#"{"statusCode":200,"headers":{"Set-Cookie":"a=1","set-cookie":"b=2"}}"#,
            r#"{"statusCode":200,"headers":{"x":"1"},"multiValueHeaders":{"set-cookie":["a=1","b=2"]}}"#,
            r#"{"statusCode":200,"headers":{"set-cookie":"a=1, b=2"},"multiValueHeaders":{"Set-Cookie":["a=1","b=2"]}}"#,
        ] {
            assert_eq!(cookies(result), both, "{result}");
        }
        // The console's is not a function's to set, nor one without a name that a browser would send as that.
        let result = r#"{"statusCode":200,"headers":{"set-cookie":
            ["a=1","yunqiao-8789=x; Path=/","=yunqiao-8789=x"," yunqiao-1 =x","b=2"]}}"#;
        assert_eq!(cookies(result), both);
    }

    #[test]
    fn headers_of_the_connection_are_the_servers() {
        let (_, headers, _) = sent(
            r#"{"statusCode":200,"headers":{"content-length":"9999","Transfer-Encoding":"chunked","connection":"close","x-a":"1"},"body":"x"}"#,
        );
        assert_eq!(headers, ["x-a: 1", "content-type: text/plain; charset=utf-8"]);
        for status in [204, 205, 304] {
            let (_, headers, body) = sent(&format!(
                r#"{{"statusCode":{status},"headers":{{"etag":"\"x\""}},"body":"x"}}"#
            ));
            assert_eq!((headers, body), (vec!["etag: \"x\"".to_owned()], String::new()));
        }
    }

    #[test]
    fn the_length_that_a_function_gives_is_kept_beside() {
        for (given, length) in [
            ("12", Some(12)),
            (r#""12""#, Some(12)),
            (r#""+12""#, None),
            (r#""x""#, None),
            ("-1", None),
            ("null", None),
        ] {
            let result = format!(r#"{{"statusCode":200,"headers":{{"Content-Length":{given}}},"body":""}}"#);
            let reply = reply_of(Some(&Bytes::from(result))).unwrap();
            assert_eq!(
                (reply.length, reply.headers.contains_key(CONTENT_LENGTH)),
                (length, false),
                "{given}"
            );
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_its_cause() {
        for (result, cause) in [
            (r#"{"statusCode":99,"body":""}"#, "`statusCode` is 99"),
            (r#"{"statusCode":101,"body":""}"#, "`statusCode` is 101"),
            (r#"{"statusCode":600,"body":""}"#, "600"),
            (r#"{"statusCode":200.5,"body":""}"#, "200.5"),
            (r#"{"statusCode":"OK","body":""}"#, "\"OK\""),
            (r#"{"statusCode":null,"body":""}"#, "null"),
            (r#"{"statusCode":{},"body":""}"#, "{}"),
            (r#"{"statusCode":200,"headers":[]}"#, "`headers`"),
            (r#"{"statusCode":200,"headers":"x"}"#, "`headers`"),
            (
                r#"{"statusCode":200,"headers":{"x\r\ny":"1"}}"#,
                "no header can have",
            ),
            (r#"{"statusCode":200,"headers":{"":"1"}}"#, "no header can have"),
            (
                r#"{"statusCode":200,"headers":{"x":"1\r\nset-cookie: a=1"}}"#,
                "line break",
            ),
            (
                r#"{"statusCode":200,"headers":{"x":"a\u0000b"}}"#,
                "control character",
            ),
            (r#"{"statusCode":200,"headers":{"x":{}}}"#, "no text"),
            (r#"{"statusCode":200,"headers":{"x":["1",["2"]]}}"#, "no text"),
            (
                r#"{"statusCode":200,"isBase64Encoded":true,"body":"not base64!"}"#,
                "base64",
            ),
        ] {
            let refused = reply_of(Some(&Bytes::copy_from_slice(result.as_bytes()))).unwrap_err();
            assert!(refused.to_string().contains(cause), "{result}: {refused}");
        }
        let many = format!(
            r#"{{"statusCode":200,"headers":{{"x":"{}"}}}}"#,
            "x".repeat(MOST_HEADERS)
        );
        assert_eq!(reply_of(Some(&Bytes::from(many))), Err(NotAReply::TooManyHeaders));
        // More names than the map of them can hold.
        let names: Vec<_> = (0..40_000).map(|name| format!(r#""x{name}":"1""#)).collect();
        for member in ["headers", "multiValueHeaders"] {
            let many = format!(r#"{{"statusCode":200,"{member}":{{{}}}}}"#, names.join(","));
            assert_eq!(reply_of(Some(&Bytes::from(many))), Err(NotAReply::TooManyHeaders));
        }
    }

    #[test]
    fn other_scripts_pass_in_headers() {
        let (_, headers, _) = sent(r#"{"statusCode":200,"headers":{"x":"中"},"body":""}"#);
        assert_eq!(headers[0], "x: 中");
    }
}
