//! Who sends a request, and which of its headers a function may believe.
//!
//! Behind a proxy the sender's address stands in `x-forwarded-for`, and anybody can write that. It is believed as far as it was
//! written by proxies that are trusted; what is not believed does not reach a function at all.

use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{AUTHORIZATION, CONNECTION, COOKIE, FORWARDED},
};
use thiserror::Error;
use wording::{Wording, wording};

/// An address, or all that share its first bits: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: u128,
    bits: u32,
}

/// The text is neither an address nor a network.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {}", self.what(), self.mend())]
pub struct NetworkError(String);

impl NetworkError {
    /// What is wrong.
    #[must_use]
    pub fn what(&self) -> Wording {
        let Self(text) = self;
        wording!(
            "{text:?} is no address and no network",
            "{text:?} 既不是地址也不是网段"
        )
    }

    /// What to write instead.
    #[must_use]
    pub fn mend(&self) -> Wording {
        wording!(
            "write \"127.0.0.1\" or \"10.0.0.0/8\"",
            "请写 \"127.0.0.1\" 或 \"10.0.0.0/8\""
        )
    }
}

/// Every address as one of IPv6.
fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl Network {
    fn mask(self) -> u128 {
        u128::MAX.checked_shl(128 - self.bits).unwrap_or(0)
    }

    fn has(self, address: IpAddr) -> bool {
        (bits_of(address) ^ self.address) & self.mask() == 0
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let refused = || NetworkError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits.parse::<u32>().map_err(|_| refused())?)),
        };
        let address: IpAddr = address.parse().map_err(|_| refused())?;
        let (most, before) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
        let bits = bits.unwrap_or(most);
        match bits <= most {
            true => Ok(Self {
                address: bits_of(address),
                bits: bits + before,
            }),
            false => Err(refused()),
        }
    }
}

/// The proxies whose word counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(pub Vec<Network>);

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Who is logged in, as the platform tells a function behind 身份认证.
const X_CLOUDBASE_CONTEXT: HeaderName = HeaderName::from_static("x-cloudbase-context");

impl Proxies {
    /// Whether this address is one of them.
    #[must_use]
    pub fn trust(&self, address: IpAddr) -> bool {
        let Self(networks) = self;
        networks.iter().any(|network| network.has(address))
    }

    /// The client for whom `peer` hands a request over: the nearest sender that is not a trusted proxy.
    #[must_use]
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        let lines = headers.get_all(X_FORWARDED_FOR);
        let lines: Vec<_> = lines.iter().map(HeaderValue::as_bytes).collect();
        // A proxy adds its piece to whatever the client wrote, in one line: each piece is read by itself, since one that is no
        // text must not hide the others.
        let mut before = lines
            .iter()
            .rev()
            .flat_map(|line| line.rsplit(|byte| *byte == b','));
        while self.trust(client)
            && let Some(next) = before
                .next()
                .and_then(|piece| std::str::from_utf8(piece).ok())
                .and_then(|text| address_of(text.trim()))
        {
            client = next;
        }
        client
    }
}

/// An address as proxies write it, some of them with a port.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let address = match bare {
        Some((address, _)) => address.parse::<Ipv6Addr>().ok().map(IpAddr::from),
        None => text.parse().ok().or_else(|| {
            text.rsplit_once(':')?
                .0
                .parse::<std::net::Ipv4Addr>()
                .ok()
                .map(IpAddr::from)
        }),
    };
    address.map(|address| address.to_canonical())
}

/// Headers about one connection and not about the request (RFC 9110 §7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// Whether a header is about one connection. `transfer-encoding` is; it says how a body came that is whole by now.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    let name = name.as_str();
    name == "transfer-encoding" || HOP_BY_HOP.contains(&name)
}

/// Whether a header is the gateway's own to write: functions believe it, so no client may have written it.
fn is_ours(name: &HeaderName) -> bool {
    const NAMES: [&str; 13] = [
        "forwarded",
        "true-client-ip",
        "x-client-ip",
        "x-original-url",
        "x-real-ip",
        "x-rewrite-url",
        "x-wx-appid",
        "x-wx-env",
        "x-wx-from-appid",
        "x-wx-from-openid",
        "x-wx-openid",
        "x-wx-source",
        "x-wx-unionid",
    ];
    const BEGINNINGS: [&str; 3] = ["x-cloudbase-", "x-forwarded-", "x-scf-"];
    let name = name.as_str();
    NAMES.contains(&name) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

/// Whether a cookie of this name is the console's: `yunqiao-8789`, by the port of its listener. Cookies know no ports, so a browser
/// in which the console is open sends it to every listener of the host.
fn is_of_console(name: &[u8]) -> bool {
    let port = name.strip_prefix(b"yunqiao-");
    port.is_some_and(|port| !port.is_empty() && port.iter().all(u8::is_ascii_digit))
}

/// The name of a cookie. Where a browser keeps one without a name, it sends what would be the value as if all of it stood in the
/// list: `=a=1` becomes `a=1`.
fn cookie_name(pair: &[u8]) -> &[u8] {
    let begin = pair.iter().position(|byte| !matches!(byte, b'=' | b' ' | b'\t'));
    let pair = &pair[begin.unwrap_or(pair.len())..];
    let name = pair.split(|byte| matches!(byte, b'=' | b';')).next();
    name.unwrap_or_default().trim_ascii_end()
}

/// Whether a `set-cookie` sets the console's cookie, which no function may.
pub(crate) fn sets_console_cookie(value: &HeaderValue) -> bool {
    is_of_console(cookie_name(value.as_bytes()))
}

/// A `cookie` without the console's; `None` where there was no other.
fn without_console_cookie(value: &HeaderValue) -> Option<HeaderValue> {
    let is_other = |pair: &&[u8]| !is_of_console(cookie_name(pair));
    let pairs = || value.as_bytes().split(|byte| *byte == b';');
    if pairs().all(|pair| is_other(&pair)) {
        return Some(value.clone());
    }
    let others: Vec<_> = pairs().filter(is_other).map(<[u8]>::trim_ascii).collect();
    let others = others.join(&b"; "[..]);
    (!others.is_empty()).then(|| HeaderValue::from_bytes(&others).ok())?
}

/// What a function is told by headers, beyond what the client wrote.
#[derive(Clone, Copy, Debug)]
pub struct RequestHeaders<'a> {
    /// The request's id.
    pub request_id: &'a str,
    /// Whose request it is.
    pub client: IpAddr,
    /// Whether a trusted proxy handed it over: it may say by which scheme, host and port the client came.
    pub by_proxy: bool,
    /// Who is logged in, where that was asked for: what [`user_context`] gave. The bearer token is of no use to the
    /// function then, and does not reach it.
    pub user: Option<&'a str>,
}

impl RequestHeaders<'_> {
    /// The headers that a function is to see.
    #[must_use]
    pub fn of(&self, sent: &HeaderMap) -> HeaderMap {
        let named: Vec<_> = sent
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        let mut headers = HeaderMap::with_capacity(sent.keys_len() + 5);
        for (name, value) in sent {
            let told_by_proxy = self.by_proxy
                && matches!(
                    name.as_str(),
                    "x-forwarded-proto" | "x-forwarded-host" | "x-forwarded-port"
                );
            let dropped = is_hop_by_hop(name)
                || is_ours(name) && !told_by_proxy
                || named.iter().any(|hop| hop == name.as_str())
                || *name == AUTHORIZATION && self.user.is_some()
                || *name == FORWARDED;
            if dropped {
                continue;
            }
            let value = match *name == COOKIE {
                true => without_console_cookie(value),
                false => Some(value.clone()),
            };
            if let Some(value) = value {
                headers.append(name, value);
            }
        }
        let mut set = |name, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        let client = self.client.to_string();
        set(X_FORWARDED_FOR, &client);
        set(X_REAL_IP, &client);
        set(X_REQUEST_ID, self.request_id);
        if let Some(user) = self.user {
            set(X_CLOUDBASE_CONTEXT, user);
        }
        if !headers.contains_key(X_FORWARDED_PROTO) {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        }
        headers
    }
}

/// Who is logged in, as a function is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContextUser<'a> {
    /// The id of CloudBase's own login; the openid of one who has logged in by `wx.login` alone.
    pub uid: &'a str,
    /// Who they are to the server that made their ticket, where one did.
    pub custom_user_id: Option<&'a str>,
    /// Where they logged in by WeChat.
    pub openid: Option<&'a str>,
}

/// Who is logged in, as `x-cloudbase-context` has it: JSON in base64. Public functions look for `uid`, `userId`, `customUserId` and
/// `TCB_UUID`. **Choice**: `userId` and `TCB_UUID` are the uid.
#[must_use]
pub fn user_context(appid: &str, user: ContextUser<'_>) -> String {
    let mut text = Vec::new();
    let mut before = b'{';
    for (name, value) in [
        ("uid", Some(user.uid)),
        ("userId", Some(user.uid)),
        ("TCB_UUID", Some(user.uid)),
        ("customUserId", user.custom_user_id),
        ("WX_OPENID", user.openid),
        ("WX_APPID", Some(appid)),
    ] {
        let Some(value) = value else {
            continue;
        };
        text.push(before);
        json::write_string(&mut text, name);
        text.push(b':');
        json::write_string(&mut text, value);
        before = b',';
    }
    text.push(b'}');
    STANDARD.encode(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    fn proxies(networks: &[&str]) -> Proxies {
        Proxies(networks.iter().map(|network| network.parse().unwrap()).collect())
    }

    #[test]
    fn the_nearest_that_is_no_proxy_is_the_client() {
        let known = proxies(&["10.0.0.0/8", "::1"]);
        let forwarded = headers(&[
            ("x-forwarded-for", "6.6.6.6, 203.0.113.7"),
            ("x-forwarded-for", "10.1.1.1:4711"),
        ]);
        for (peer, sent, client) in [
            ("203.0.113.9", &forwarded, "203.0.113.9"),
            ("10.9.9.9", &forwarded, "203.0.113.7"),
            ("::ffff:10.9.9.9", &forwarded, "203.0.113.7"),
            (
                "::1",
                &headers(&[("x-forwarded-for", "[2001:db8::1]:80")]),
                "2001:db8::1",
            ),
            ("::1", &headers(&[("x-forwarded-for", "unknown")]), "::1"),
            ("::1", &headers(&[]), "::1"),
            (
                "10.1.1.1",
                &headers(&[("x-forwarded-for", "10.2.2.2")]),
                "10.2.2.2",
            ),
        ] {
            let found = known.client(peer.parse().unwrap(), sent);
            assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer}");
        }
    }

    #[test]
    fn what_a_client_wrote_hides_nothing_that_a_proxy_did() {
        let known = proxies(&["127.0.0.1"]);
        for written in ["é, 203.0.113.7", "127.0.0.1, é, 203.0.113.7"] {
            // Raw bytes of Latin-1, and of UTF-8.
            let latin: Vec<u8> = written.chars().map(|letter| letter as u8).collect();
            for bytes in [latin, written.as_bytes().to_vec()] {
                let mut sent = HeaderMap::new();
                sent.append(X_FORWARDED_FOR, HeaderValue::from_bytes(&bytes).unwrap());
                let found = known.client("127.0.0.1".parse().unwrap(), &sent);
                assert_eq!(found.to_string(), "203.0.113.7", "{written}");
            }
        }
    }

    /// It opens the console, and a function's page may be anybody's.
    #[test]
    fn the_consoles_cookie_reaches_no_function() {
        let told = RequestHeaders {
            request_id: "r1",
            client: "203.0.113.7".parse().unwrap(),
            by_proxy: false,
            user: None,
        };
        for (sent, seen) in [
            ("a=1;b=2", Some("a=1;b=2")),
            ("a=1; yunqiao-8789=secret; b=2", Some("a=1; b=2")),
            ("yunqiao-8789=secret", None),
            ("yunqiao-1=s;yunqiao-2 =s", None),
            (
                "yunqiao-x=1; yunqiao-=2; x=yunqiao-8789",
                Some("yunqiao-x=1; yunqiao-=2; x=yunqiao-8789"),
            ),
            ("yunqiao-8789=secret; é=1", Some("é=1")),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(COOKIE, HeaderValue::from_bytes(sent.as_bytes()).unwrap());
            let headers = told.of(&headers);
            let found = headers.get(COOKIE).map(HeaderValue::as_bytes);
            assert_eq!(found, seen.map(str::as_bytes), "{sent}");
        }
    }

    #[test]
    fn networks_are_bits() {
        let all = proxies(&["0.0.0.0/0"]);
        assert!(all.trust("1.2.3.4".parse().unwrap()) && !all.trust("2001:db8::1".parse().unwrap()));
        let one = proxies(&["192.0.2.1", "2001:db8::/32"]);
        assert!(one.trust("192.0.2.1".parse().unwrap()) && !one.trust("192.0.2.2".parse().unwrap()));
        assert!(one.trust("2001:db8:ffff::1".parse().unwrap()) && !one.trust("2001:db9::1".parse().unwrap()));
        for text in ["", "x", "10.0.0.0/33", "10.0.0.0/-1", "::/129", "10.0.0/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_functions_believe_no_client_has_written() {
        let sent = headers(&[
            ("host", "a.example"),
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("proxy-authorization", "Basic x"),
            ("x-forwarded-for", "6.6.6.6"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-prefix", "/evil"),
            ("x-real-ip", "6.6.6.6"),
            ("forwarded", "for=6.6.6.6"),
            ("x-cloudbase-context", "forged"),
            ("x-wx-openid", "forged"),
            ("x-request-id", "forged"),
            ("x-wx-code", "a login code"),
            ("authorization", "Bearer t"),
            ("cookie", "a=1"),
            ("x-own", "2"),
        ]);
        let told = RequestHeaders {
            request_id: "r1",
            client: "203.0.113.7".parse().unwrap(),
            by_proxy: false,
            user: None,
        };
        let seen = told.of(&sent);
        let mut seen: Vec<_> = seen
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        seen.sort();
        assert_eq!(
            seen,
            [
                "authorization: Bearer t",
                "cookie: a=1",
                "host: a.example",
                "x-forwarded-for: 203.0.113.7",
                "x-forwarded-proto: http",
                "x-own: 2",
                "x-real-ip: 203.0.113.7",
                "x-request-id: r1",
                "x-wx-code: a login code",
            ]
        );
        let user = user_context(
            "wx1",
            ContextUser {
                uid: "o\"1",
                custom_user_id: Some("alice"),
                openid: None,
            },
        );
        let logged_in = RequestHeaders {
            by_proxy: true,
            user: Some(&user),
            ..told
        };
        let seen = logged_in.of(&sent);
        assert_eq!(seen["x-forwarded-proto"], "https");
        assert!(!seen.contains_key("authorization") && !seen.contains_key("x-forwarded-prefix"));
        let context = STANDARD.decode(&seen["x-cloudbase-context"]).unwrap();
        let context: serde_json::Value = serde_json::from_slice(&context).unwrap();
        assert_eq!(context["uid"], "o\"1");
        assert_eq!(context["WX_APPID"], "wx1");
        assert_eq!(context["customUserId"], "alice");
        assert!(context.get("WX_OPENID").is_none());
    }
}
