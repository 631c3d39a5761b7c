//! A request of the SDK as raw bytes: a line with the method, the path and the query, lines of headers, an empty line, and
//! the body. What a JSON body holds is judged a second time with `serde_json`; a form is written anew and read again.

use std::collections::HashMap;

use serde_json::value::RawValue;
use tcb::{
    Envelope, FieldValue,
    signature::{Head, SecretKey, verify},
};

pub(crate) fn target(data: &[u8]) {
    let mut rest = data;
    let mut line = || {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    };
    let Some(first) = line().and_then(|line| std::str::from_utf8(line).ok()) else {
        return;
    };
    let mut headers = Vec::new();
    while let Some(header) = line().filter(|line| !line.is_empty()) {
        let colon = header.iter().position(|&byte| byte == b':').unwrap_or(0);
        if let Ok(name) = std::str::from_utf8(&header[..colon]) {
            headers.push((name, header[colon + 1..].trim_ascii()));
        }
    }
    let body = rest;
    let (method, target) = first.split_once(' ').unwrap_or((first, ""));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let head = Head {
        method,
        path,
        query,
        headers: &headers,
    };
    let content_type = headers
        .iter()
        .find(|header| header.0.eq_ignore_ascii_case("content-type"))
        .and_then(|header| std::str::from_utf8(header.1).ok())
        .unwrap_or_default();

    let envelope = match Envelope::parse(content_type, body) {
        Ok(envelope) => envelope,
        Err(error) => {
            assert!(error.to_string().len() < 1000, "{error}");
            return;
        }
    };
    assert!(!envelope.action_name().is_empty());
    let names: Vec<String> = envelope
        .fields()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    for (at, name) in names.iter().enumerate() {
        assert!(!names[..at].contains(name), "{name} twice");
    }
    if content_type
        .to_ascii_lowercase()
        .trim_start()
        .starts_with("application/json")
    {
        same_as_serde(&envelope, body);
    } else {
        same_when_written_again(&envelope);
    }

    let now = headers
        .iter()
        .find(|header| header.0.eq_ignore_ascii_case("x-timestamp"))
        .and_then(|header| std::str::from_utf8(header.1).ok()?.parse().ok())
        .unwrap_or(1_700_000_000);
    let verified = verify(&head, &envelope, |_| Some(SecretKey::new("fuzz")), now);
    // No seed is signed with this key.
    assert!(verified.is_err());
}

fn same_as_serde(envelope: &Envelope<'_>, body: &[u8]) {
    // serde_json gives up on lone surrogates in keys, and on values deeper than 128.
    let Ok(theirs) = serde_json::from_slice::<HashMap<String, &RawValue>>(body) else {
        return;
    };
    assert_eq!(theirs.len(), envelope.fields().count());
    for (name, value) in envelope.fields() {
        let raw = theirs[name].get();
        match value {
            FieldValue::Text(text) => {
                if let Ok(theirs) = serde_json::from_str::<String>(raw) {
                    assert_eq!(*text, theirs);
                }
            }
            FieldValue::Json(ours) => assert_eq!(*ours, raw),
            FieldValue::Bytes(_) => panic!("bytes in JSON"),
        }
    }
}

fn same_when_written_again(envelope: &Envelope<'_>) {
    let fields: Vec<_> = envelope.fields().collect();
    let boundary = "another-boundary-that-hardly-stands-in-a-seed";
    let body = write_form(&fields, boundary);
    if body
        .windows(boundary.len())
        .filter(|window| *window == boundary.as_bytes())
        .count()
        > fields.len() + 1
    {
        return;
    }
    let content_type = format!("multipart/form-data; boundary={boundary}");
    match Envelope::parse(&content_type, &body) {
        Ok(again) => assert!(fields.iter().copied().eq(again.fields())),
        Err(error) => panic!("{error}"),
    }
}

/// A form as the SDK writes it.
pub(crate) fn write_form(fields: &[(&str, &FieldValue<'_>)], boundary: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n").as_bytes(),
        );
        let bytes = match value {
            FieldValue::Text(text) => text.as_bytes(),
            FieldValue::Json(raw) => raw.as_bytes(),
            FieldValue::Bytes(bytes) => {
                body.extend_from_slice(b"Content-Type: application/octet-stream\r\n");
                bytes
            }
        };
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    body
}
