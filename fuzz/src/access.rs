//! A function's answer becomes a reply that can be sent, or is refused in words; the reply's body has the length that it says. And a
//! request becomes an event that is JSON, whatever its path, query and body are.

use access::{HttpEvent, RequestHeaders, RequestPath, Route, RouteMatch, Routes, reply_of};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

pub(crate) fn target(data: &[u8]) {
    if let Ok(text) = json::validate(data) {
        answer(text);
    }
    request(data);
}

fn answer(text: &str) {
    let result = Bytes::copy_from_slice(text.as_bytes());
    match reply_of(Some(&result)) {
        Err(fault) => assert!(!fault.to_string().is_empty()),
        Ok(reply) => {
            assert!((200..600).contains(&reply.status.as_u16()));
            for (name, value) in &reply.headers {
                assert!(
                    !value.as_bytes().contains(&b'\n') && !value.as_bytes().contains(&b'\r'),
                    "{name}"
                );
                assert!(!matches!(
                    name.as_str(),
                    "connection" | "content-length" | "transfer-encoding"
                ));
            }
            let length = reply.content.length();
            let sent: u64 = reply.content.into_pieces().map(|piece| piece.len() as u64).sum();
            assert_eq!(sent, length);
        }
    }
}

/// The first lines are headers, the one after an empty one is the target, the rest is the body.
fn request(data: &[u8]) {
    let mut headers = HeaderMap::new();
    let mut lines = data.splitn(16, |byte| *byte == b'\n');
    let mut target = "/";
    for line in lines.by_ref() {
        let Some(at) = line.iter().position(|byte| *byte == b':') else {
            target = std::str::from_utf8(line).unwrap_or("/");
            break;
        };
        let (name, value) = line.split_at(at);
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(&value[1..])) {
            headers.append(name, value);
        }
    }
    let body = lines.next().unwrap_or_default();
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let Ok(parsed) = RequestPath::parse(path) else {
        return;
    };
    let routes = ["/", "/a", "/a/b"].into_iter().filter_map(|path| {
        Some(Route {
            path: path.parse().ok()?,
            function: path.to_owned(),
            auth: false,
            passthrough: false,
        })
    });
    let routes = Routes::new(routes.collect());
    let Some(RouteMatch { seen, .. }) = routes.find(&parsed) else {
        panic!("`/` is for every path");
    };
    assert!(seen.starts_with('/') && path.ends_with(seen) || seen == "/");
    let told = RequestHeaders {
        request_id: "r",
        client: std::net::Ipv4Addr::LOCALHOST.into(),
        by_proxy: false,
        user: None,
    };
    let headers = told.of(&headers);
    assert!(!headers.contains_key("x-cloudbase-context") && headers["x-forwarded-for"] == "127.0.0.1");
    let mut out = Vec::new();
    HttpEvent {
        method: "POST",
        path: seen,
        query,
        headers: &headers,
        body,
        request_id: "r",
        env_id: "e",
        appid: "a",
    }
    .write(&mut out);
    let event: serde_json::Value = match serde_json::from_slice(&out) {
        Ok(event) => event,
        Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&out)),
    };
    assert_eq!(event["path"], seen);
}
