//! Which web pages may call: `[cors] origins`, or any page on loopback in `dev`.
//!
//! A Mini Program sends no `Origin`; only browsers do. A page that is not listed gets no
//! `access-control-allow-origin`, and its browser keeps the answer from it.

use http::{
    HeaderMap, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
    },
};

use crate::{reply::HttpReply, routes};

/// The web pages that may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Exact origins, such as `https://example.com`.
    pub listed: Vec<String>,
    /// Any origin whose host is `localhost`, `127.0.0.1` or `[::1]`, whatever its port.
    pub loopback: bool,
}

impl Origins {
    /// The value to allow, where the request comes from a page that may call.
    pub(crate) fn allow(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(ORIGIN)?;
        let text = origin.to_str().ok()?;
        let may = self.listed.iter().any(|listed| listed == text) || self.loopback && is_loopback(text);
        may.then(|| origin.clone())
    }
}

fn is_loopback(origin: &str) -> bool {
    let Some(rest) = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
    else {
        return false;
    };
    let host = match rest.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => rest,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// Marks a reply as readable by `origin`.
pub(crate) fn mark(reply: &mut HeaderMap, origin: HeaderValue) {
    reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    reply.insert(VARY, HeaderValue::from_static("origin"));
}

/// Marks a reply as readable by `origin`, with what that has of its own (cookies, `Authorization`). What a function says of it itself gives way:
/// the origin was listed for all.
pub(crate) fn mark_with_credentials(reply: &mut HeaderMap, origin: HeaderValue) {
    reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    reply.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    reply.append(VARY, HeaderValue::from_static("origin"));
}

/// What a browser's preflight asks of a path at which every method and header may be: what it asks for.
pub(crate) fn preflight_for(asked: &HeaderMap) -> HttpReply {
    let mut reply = routes::empty(StatusCode::NO_CONTENT);
    let headers = reply.headers_mut();
    for (wanted, allowed) in [
        (ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_ALLOW_METHODS),
        (ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_ALLOW_HEADERS),
    ] {
        if let Some(value) = asked.get(wanted) {
            headers.insert(allowed, value.clone());
        }
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    reply
}

/// What a browser's preflight asks.
pub(crate) fn preflight() -> HttpReply {
    let mut reply = routes::empty(StatusCode::NO_CONTENT);
    let headers = reply.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    headers.insert(
        ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("authorization, content-type"),
    );
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &Origins, origin: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        origins.allow(&headers).is_some()
    }

    #[test]
    fn loopback_is_the_host_and_not_a_prefix_of_it() {
        let dev = Origins {
            listed: vec![],
            loopback: true,
        };
        for page in [
            "http://localhost",
            "http://localhost:5173",
            "https://127.0.0.1:1",
            "http://[::1]:80",
        ] {
            assert!(allowed(&dev, page), "{page}");
        }
        for page in [
            "http://localhost.evil.com",
            "http://127.0.0.1.evil.com:80",
            "null",
            "http://[::2]",
            "ftp://localhost",
        ] {
            assert!(!allowed(&dev, page), "{page}");
        }
    }

    #[test]
    fn a_listed_origin_is_compared_whole() {
        let origins = Origins {
            listed: vec!["https://shop.example".into()],
            loopback: false,
        };
        assert!(allowed(&origins, "https://shop.example"));
        for page in [
            "https://shop.example.org",
            "http://shop.example",
            "http://localhost",
        ] {
            assert!(!allowed(&origins, page), "{page}");
        }
        assert!(origins.allow(&HeaderMap::new()).is_none());
    }
}
