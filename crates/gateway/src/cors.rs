//! Which web pages may call: `[cors] origins`, and in `dev` any page of this machine.
//!
//! A Mini Program sends no `Origin`; only browsers do. A page that is not listed gets no
//! `access-control-allow-origin`, and its browser keeps the answer from it.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::{
    HeaderMap, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderValue, ORIGIN, VARY,
    },
};

use crate::{reply::HttpReply, routes};

/// The web pages that may call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Exact origins, such as `https://example.com`.
    pub listed: Vec<String>,
    /// Any origin of this machine, whatever its port: its host is `localhost`, `127.0.0.1` or `[::1]`, or the address by which this server
    /// itself is asked. A phone that has a page from this machine asks so; and an address, unlike a name, cannot be rebound.
    pub local: bool,
}

impl Origins {
    /// The value to allow, where the request comes from a page that may call.
    pub(crate) fn allow(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(ORIGIN)?;
        let text = origin.to_str().ok()?;
        let may = self.listed.iter().any(|listed| listed == text) || self.local && is_local(text, request);
        may.then(|| origin.clone())
    }

    /// Marks the reply to a request that comes from no page that may call, or by no script: another of the same address is marked as
    /// readable, so whoever keeps replies has to tell them apart.
    pub(crate) fn mark_others(&self, reply: &mut HeaderMap) {
        if self.local || !self.listed.is_empty() {
            reply.append(VARY, HeaderValue::from_static("origin"));
        }
    }
}

fn is_local(origin: &str, request: &HeaderMap) -> bool {
    let Some(rest) = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"))
    else {
        return false;
    };
    let host = without_port(rest);
    let own = || request.get(HOST)?.to_str().ok().map(without_port);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]") || is_address(host) && own() == Some(host)
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn is_address(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.map_or_else(
        || host.parse::<Ipv4Addr>().is_ok(),
        |bare| bare.parse::<Ipv6Addr>().is_ok(),
    )
}

/// What a page may read of a file's head beside what it always may: a viewer of PDFs and a player ask for parts by it.
const OF_FILES: HeaderValue =
    HeaderValue::from_static("accept-ranges, content-disposition, content-range, etag, x-request-id");

/// Marks a reply as readable by `origin`.
pub(crate) fn mark(reply: &mut HeaderMap, origin: HeaderValue) {
    reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    reply.insert(ACCESS_CONTROL_EXPOSE_HEADERS, OF_FILES);
    reply.insert(VARY, HeaderValue::from_static("origin"));
}

/// Marks a reply as readable by `origin`, with what that has of its own (cookies, `Authorization`). What a function says of it itself gives way:
/// the origin was listed for all.
pub(crate) fn mark_with_credentials(reply: &mut HeaderMap, origin: HeaderValue) {
    reply.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    reply.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    reply.append(VARY, HeaderValue::from_static("origin"));
}

/// What a browser's preflight asks: every method and header may be, since who asks is known by what a page sends itself, never by
/// a cookie.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(origins: &Origins, origin: &'static str) -> bool {
        allowed_at("127.0.0.1:8787", origins, origin)
    }

    fn allowed_at(host: &'static str, origins: &Origins, origin: &'static str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static(host));
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        origins.allow(&headers).is_some()
    }

    #[test]
    fn a_reply_that_another_page_may_read_says_that_it_depends_on_the_page() {
        let marked = |origins: &Origins| {
            let mut reply = HeaderMap::new();
            reply.append(VARY, HeaderValue::from_static("accept-encoding"));
            origins.mark_others(&mut reply);
            reply.get_all(VARY).iter().any(|name| name == "origin")
        };
        let listed = vec!["https://a.example".to_owned()];
        for (listed, local, depends) in [
            (listed, false, true),
            (vec![], true, true),
            (vec![], false, false),
        ] {
            assert_eq!(marked(&Origins { listed, local }), depends);
        }
    }

    #[test]
    fn loopback_is_the_host_and_not_a_prefix_of_it() {
        let dev = Origins {
            listed: vec![],
            local: true,
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
    fn a_page_of_this_machine_is_one_of_its_address() {
        let dev = Origins {
            listed: vec![],
            local: true,
        };
        for (host, page, may) in [
            ("192.168.1.7:8787", "http://192.168.1.7:8786", true),
            ("192.168.1.7", "https://192.168.1.7", true),
            ("[fd00::2]:8787", "http://[fd00::2]:5173", true),
            ("192.168.1.7:8787", "http://192.168.1.8:8786", false),
            ("192.168.1.7:8787", "http://192.168.1.7.evil.com", false),
            ("evil.com:8787", "http://evil.com:80", false),
            ("[evil.com]", "http://[evil.com]", false),
            ("", "http://", false),
        ] {
            assert_eq!(allowed_at(host, &dev, page), may, "{host} {page}");
        }
        assert!(!allowed_at(
            "192.168.1.7",
            &Origins::default(),
            "http://192.168.1.7"
        ));
    }

    #[test]
    fn a_listed_origin_is_compared_whole() {
        let origins = Origins {
            listed: vec!["https://shop.example".into()],
            local: false,
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
