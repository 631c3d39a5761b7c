//! Who may come in to the operator's listener.
//!
//! A program shows the secret, as `Authorization: Bearer`. A person opens the one-time link that `yunqiao dev` prints, or
//! gives the secret to the page that asks for it, and has a cookie from then on: one that no other site's request carries
//! along (`SameSite=Strict`) and no script reads. The cookie opens the console and not the doors that hand out tokens; so
//! does the pass that `dev` leaves for other commands in a file that functions could read. A cookie makes no further link either:
//! whoever stole it would otherwise never lose it.

use std::{
    collections::VecDeque,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::{
    HeaderMap, HeaderValue, Method,
    header::{CONTENT_TYPE, COOKIE, HOST, HeaderName, ORIGIN},
    request::Parts,
};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use wording::wording;

use super::sign_in::SignIns;
use crate::{failure::Failure, guesses::Guesses, routes::show_bearer, seats::network};

/// Cookies of our name that are looked at in one request; a browser sends one.
const COOKIES: usize = 4;
/// One-time links that are good at the same time; with a further one, the oldest is void.
const LINKS: usize = 8;
/// How long one is good that was asked for.
const LINK_LIFE: Duration = Duration::from_secs(10 * 60);

/// What somebody showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// The secret itself.
    Secret,
    /// The pass.
    Pass,
    /// The cookie of a browser that was let in.
    Cookie,
}

/// Who may come in, and under which names the listener is known.
pub struct Admission {
    /// What is to be shown as `Authorization: Bearer`. Without one, nobody comes in.
    pub secret: Option<SecretString>,
    /// What opens as much as a cookie does, shown in the same way.
    pub pass: Option<SecretString>,
    /// The address that is listened on: it, and `localhost` with its port if it is this machine's own, are its names.
    pub address: SocketAddr,
    /// Further names, as they stand in a `Host` header.
    pub hosts: Vec<String>,
    /// What a browser shows as `?once=` to be let in, once, however late.
    pub once: Option<SecretString>,
    /// What it has from then on.
    pub sign_ins: SignIns,
}

/// A one-time link.
struct OnceLink {
    /// What it holds.
    once: SecretString,
    /// When it is good no more, if ever.
    end: Option<Instant>,
}

/// Judges requests by their heads.
pub(super) struct Guard {
    secret: Option<SecretString>,
    pass: Option<SecretString>,
    /// The names by which the listener is known.
    hosts: Vec<String>,
    /// One-time links that nobody has used yet.
    links: Mutex<VecDeque<OnceLink>>,
    sign_ins: SignIns,
    /// The cookie's name. A cookie knows no port: without one in its name, two listeners on one machine would take each
    /// other's place.
    cookie: String,
    guesses: Guesses<IpAddr>,
}

impl Guard {
    pub(super) fn new(operator: Admission) -> Self {
        let Admission {
            secret,
            pass,
            address,
            mut hosts,
            once,
            sign_ins,
        } = operator;
        let port = address.port();
        hosts.push(address.to_string());
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            hosts.extend([
                format!("localhost:{port}"),
                format!("127.0.0.1:{port}"),
                format!("[::1]:{port}"),
            ]);
        }
        Self {
            secret,
            pass,
            hosts,
            links: Mutex::new(
                once.into_iter()
                    .map(|once| OnceLink { once, end: None })
                    .collect(),
            ),
            sign_ins,
            cookie: format!("yunqiao-{port}"),
            guesses: Guesses::new(),
        }
    }

    /// Whether the request names this listener.
    ///
    /// # Errors
    /// 403.
    pub(super) fn host(&self, headers: &HeaderMap) -> Result<(), Failure> {
        let host = text(headers, HOST).unwrap_or_default();
        if !self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)) {
            return Err(Failure::forbidden(
                "this listener is not known by the name in the Host header: use its address, or add the name to [operator] \
                 hosts in yunqiao.toml",
            ));
        }
        Ok(())
    }

    /// Whether no other site's page made the request.
    ///
    /// # Errors
    /// 403.
    pub(super) fn origin(headers: &HeaderMap) -> Result<(), Failure> {
        let host = text(headers, HOST).unwrap_or_default();
        let foreign = text(headers, ORIGIN).is_some_and(|origin| {
            // Behind a proxy that terminates TLS the scheme is the proxy's.
            let origin = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
            origin.is_none_or(|origin| !origin.eq_ignore_ascii_case(host))
        });
        if foreign || is_from_elsewhere(headers) {
            return Err(Failure::forbidden(
                "pages of another origin have no business here",
            ));
        }
        Ok(())
    }

    /// What the request of `peer` shows of itself.
    ///
    /// # Errors
    /// 401 for nothing, or nothing good; 403 for what a form of another site's could have sent; 429 for a guess too many.
    pub(super) fn admit(&self, head: &Parts, peer: IpAddr) -> Result<Shown, Failure> {
        let headers = &head.headers;
        if self.secret.is_none() {
            return Err(Failure::no_operator(
                "no secret is configured, so nobody comes in: name the file that holds it, as `secret_file` in [operator] \
                 of yunqiao.toml",
            ));
        }
        let bearer = show_bearer(headers).filter(|shown| !shown.is_empty());
        let is_pass = bearer.is_some_and(|bearer| same(self.pass.as_ref(), bearer));
        let known = is_pass || self.cookies(headers).any(|cookie| self.sign_ins.holds(cookie));
        if let Some(bearer) = bearer.filter(|_| !is_pass) {
            match self.guess(bearer, peer, NO_SECRET) {
                Ok(()) => return Ok(Shown::Secret),
                Err(failure) if !known => return Err(failure),
                Err(_) => {}
            }
        }
        if !known {
            return Err(Failure::no_operator(NO_SECRET));
        }
        // No form of another site's can say either; that the cookie is strict should be enough.
        let says = headers.contains_key("hx-request")
            || text(headers, CONTENT_TYPE).is_some_and(|value| value.starts_with("application/json"));
        if matches!(head.method, Method::GET | Method::HEAD) || says {
            Ok(if is_pass { Shown::Pass } else { Shown::Cookie })
        } else {
            Err(Failure::forbidden(
                "what changes something is sent as JSON, or with the console's own header",
            ))
        }
    }

    /// Compares what `peer` shows with the secret.
    ///
    /// # Errors
    /// 401, with the text given, when it is another; 429 when there were too many of those.
    pub(super) fn guess(&self, shown: &str, peer: IpAddr, otherwise: &'static str) -> Result<(), Failure> {
        let now = Instant::now();
        self.may_guess(peer)?;
        if same(self.secret.as_ref(), shown) {
            return Ok(());
        }
        let failure = Failure::no_operator(otherwise);
        Err(match self.guesses.wrong(&network(peer), now) {
            0 => failure.because(wording!(
                "{peer} showed a wrong operator's secret",
                "{peer} 的运维密钥不对"
            )),
            refused => failure.because(wording!(
                "{peer} showed a wrong operator's secret, after {refused} requests that were refused unlooked at",
                "{peer} 的运维密钥不对，此前已有 {refused} 个请求未经查看即被拒绝"
            )),
        })
    }

    /// # Errors
    /// 429 when the peer guessed wrong too often.
    pub(super) fn may_guess(&self, peer: IpAddr) -> Result<(), Failure> {
        self.guesses
            .check(&network(peer), Instant::now())
            .map_err(|none| {
                let failure = Failure::too_many("too many wrong secrets: wait a moment", 1);
                match none.is_first {
                true => failure.because(wording!(
                    "{peer} showed wrong operator's secrets too often, and is refused unlooked at for a while",
                    "{peer} 试错运维密钥的次数太多，一段时间内不再受理"
                )),
                false => failure,
            }
            })
    }

    /// Whether this is what a one-time link holds; it holds nothing afterwards.
    pub(super) fn take_once(&self, shown: &str, now: Instant) -> bool {
        let mut links = self.links_at(now);
        let good = links.iter().position(|link| same(Some(&link.once), shown));
        good.and_then(|at| links.remove(at)).is_some()
    }

    /// What a further one-time link holds, for ten minutes: for another browser, or one that has lost its cookie.
    pub(super) fn new_link(&self, now: Instant) -> String {
        let once = format!("{:032x}", rand::random::<u128>());
        let mut links = self.links_at(now);
        if links.len() == LINKS {
            links.pop_front();
        }
        links.push_back(OnceLink {
            once: once.clone().into(),
            end: Some(now + LINK_LIFE),
        });
        once
    }

    /// The links that are good now.
    fn links_at(&self, now: Instant) -> MutexGuard<'_, VecDeque<OnceLink>> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.end.is_none_or(|end| now < end));
        links
    }

    /// Lets a browser in: the `Set-Cookie` to answer it with.
    pub(super) fn let_in(&self) -> Option<HeaderValue> {
        let (name, value) = (&self.cookie, self.sign_ins.seal());
        HeaderValue::from_str(&format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/")).ok()
    }

    fn cookies<'a>(&'a self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
        headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|cookie| cookie.trim().split_once('='))
            .filter(|(name, _)| *name == self.cookie)
            .map(|(_, value)| value)
            .take(COOKIES)
    }
}

/// Whether a browser says that what made it ask was nothing of this listener's: a page of another site, or a file.
pub(super) fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    text(headers, HeaderName::from_static("sec-fetch-site"))
        .is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

/// What whoever shows nothing good is told.
pub(super) const NO_SECRET: &str = "send the operator's secret as `Authorization: Bearer <secret>`";

/// Whether it is what is kept, if anything is. In constant time; the lengths may be compared in the open: that of ours is no
/// secret worth guessing.
fn same(kept: Option<&SecretString>, shown: &str) -> bool {
    kept.is_some_and(|kept| shown.as_bytes().ct_eq(kept.expose_secret().as_bytes()).into())
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    // What is no text is nothing that anybody here expects, and must not pass for absent.
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::Request;
    use seal::KeyRing;

    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn admission() -> Admission {
        let secret = |text: &str| Some(SecretString::from(text.to_owned()));
        Admission {
            secret: secret("the secret of the operator"),
            pass: secret("pass"),
            address: "127.0.0.1:8789".parse().unwrap(),
            hosts: vec!["ops.example.com".to_owned()],
            once: secret("once"),
            sign_ins: SignIns::new(&KeyRing::generate()),
        }
    }

    fn guard() -> Guard {
        Guard::new(admission())
    }

    fn head(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).header("host", "127.0.0.1:8789");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_link_is_good_once_and_gives_a_cookie() {
        let (guard, now) = (guard(), Instant::now());
        assert!(!guard.take_once("", now) && !guard.take_once("twice", now));
        assert!(guard.take_once("once", now) && !guard.take_once("once", now));
        let cookie = guard.let_in().unwrap();
        let cookie = cookie.to_str().unwrap();
        assert!(
            cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"),
            "{cookie}"
        );
        let pair = cookie.split(';').next().unwrap();
        let others = format!("a=b; {pair}; c=d");
        assert_eq!(
            guard.admit(&head("GET", &[("cookie", &others)]), PEER).unwrap(),
            Shown::Cookie
        );
        for (headers, status) in [
            (vec![("cookie", pair)], Some(403)),
            (vec![("cookie", pair), ("content-type", "text/plain")], Some(403)),
            (vec![("cookie", pair), ("hx-request", "true")], None),
            (vec![("cookie", pair), ("content-type", "application/json")], None),
            (
                vec![("cookie", "yunqiao-8789=x"), ("hx-request", "true")],
                Some(401),
            ),
        ] {
            let refused = guard.admit(&head("POST", &headers), PEER).err();
            assert_eq!(
                refused.map(|refused| refused.status.as_u16()),
                status,
                "{headers:?}"
            );
        }
    }

    #[test]
    fn each_link_is_good_once_and_few_are_at_the_same_time() {
        let (guard, now) = (guard(), Instant::now());
        let links: Vec<_> = (0..LINKS).map(|_| guard.new_link(now)).collect();
        assert!(!guard.take_once("once", now), "the oldest made room for the last");
        for link in &links {
            assert!(guard.take_once(link, now) && !guard.take_once(link, now));
        }
    }

    #[test]
    fn a_link_that_was_asked_for_ends_and_the_printed_one_stays() {
        let (guard, now) = (guard(), Instant::now());
        let end = now + LINK_LIFE;
        let links: Vec<_> = (0..LINKS - 1).map(|_| guard.new_link(now)).collect();
        assert!(guard.take_once(&links[0], end - Duration::from_nanos(1)));
        assert!(!guard.take_once(&links[1], end));
        // Those that ended take nobody's place.
        for _ in 1..LINKS {
            guard.new_link(end);
        }
        assert!(guard.take_once("once", end));
    }

    #[test]
    fn it_is_known_by_its_names_alone() {
        let guard = guard();
        let judged = |host: &str, origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, host.parse().unwrap());
            headers.insert(ORIGIN, origin.parse().unwrap());
            guard
                .host(&headers)
                .and_then(|()| Guard::origin(&headers))
                .is_ok()
        };
        assert!(judged("127.0.0.1:8789", "http://127.0.0.1:8789"));
        assert!(judged("LOCALHOST:8789", "http://localhost:8789"));
        assert!(judged("ops.example.com", "https://ops.example.com"));
        for (host, origin) in [
            ("ops.example.com", "https://evil.example"),
            ("ops.example.com", "null"),
            ("ops.example.com:8789", "http://ops.example.com:8789"),
            ("evil.example", "http://evil.example"),
            ("127.0.0.1", "http://127.0.0.1"),
        ] {
            assert!(!judged(host, origin), "{host} {origin}");
        }
    }

    #[test]
    fn without_a_secret_nobody_comes_in() {
        let guard = Guard::new(Admission {
            secret: None,
            ..admission()
        });
        for shown in ["Bearer ", "Bearer pass"] {
            let shown = head("GET", &[("authorization", shown)]);
            assert_eq!(guard.admit(&shown, PEER).unwrap_err().status, 401);
        }
        assert!(guard.guess("", PEER, "").is_err() && !guard.take_once("", Instant::now()));
    }

    #[test]
    fn a_pass_opens_less_than_the_secret() {
        let guard = guard();
        for (shown, opens) in [
            ("Bearer the secret of the operator", Some(Shown::Secret)),
            ("bearer pass", Some(Shown::Pass)),
            ("Bearer once", None),
            ("Basic pass", None),
            ("Bearer ", None),
        ] {
            let head = head("GET", &[("authorization", shown)]);
            assert_eq!(guard.admit(&head, PEER).ok(), opens, "{shown}");
        }
    }

    #[test]
    fn guesses_are_limited_and_told_and_a_cookie_still_opens() {
        let guard = guard();
        let cookie = guard.let_in().unwrap();
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
        let with = |shown: &str| guard.admit(&head("GET", &[("authorization", shown)]), PEER);
        let (mut wrong, mut refused, mut told) = (0, 0, 0);
        for _ in 0..2000 {
            let failure = with("Bearer a guess").unwrap_err();
            match failure.status.as_u16() {
                401 => wrong += 1,
                429 => refused += 1,
                status => panic!("{status}"),
            }
            told += usize::from(failure.cause.is_some());
        }
        assert_eq!(wrong + refused, 2000);
        assert!(wrong < 100 && told < 200, "{wrong} were looked at, {told} told");
        assert_eq!(with("Bearer the secret of the operator").unwrap_err().status, 429);
        assert_eq!(
            with("Bearer pass").ok(),
            Some(Shown::Pass),
            "it is no word of a person's"
        );
        let browser = head("GET", &[("cookie", cookie)]);
        assert_eq!(guard.admit(&browser, PEER).ok(), Some(Shown::Cookie));
        // Somebody else is not concerned.
        let other = IpAddr::from([192, 0, 2, 1]);
        let owner = head("GET", &[("authorization", "Bearer the secret of the operator")]);
        assert_eq!(guard.admit(&owner, other).ok(), Some(Shown::Secret));
    }

    #[test]
    fn a_cookie_is_of_one_port() {
        let other = Guard::new(Admission {
            address: "127.0.0.1:9999".parse().unwrap(),
            ..admission()
        });
        let cookie = other.let_in().unwrap();
        assert!(cookie.to_str().unwrap().starts_with("yunqiao-9999="));
    }
}
