//! One HTTPS request and its answer, for every API alike: where it goes, how often it is sent, how much of an answer is
//! read, and what becomes of an `errcode`.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use openapi::{Method, errcode::SYSTEM_BUSY};
use reqwest::{
    StatusCode, Url,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
    redirect,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::{ConfigError, WeChatError, patience::Patience};

/// The largest answer that is read to this crate's own requests, which have a few kilobytes.
const LARGEST_ANSWER: usize = 4 << 20;
/// Shorter than any server's own limit, so that a request is seldom sent into a connection that is being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(15);

/// Connections to one WeChat.
#[derive(Clone)]
pub(crate) struct Transport {
    http: reqwest::Client,
    base: Arc<Url>,
    last: Arc<Mutex<Option<LastAttempt>>>,
}

/// How the last attempt to ask WeChat for something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAttempt {
    /// When, by the machine.
    pub at: Instant,
    /// Whether an answer came that may be WeChat's own, whatever it said.
    pub answered: bool,
}

/// A request, less its credentials.
pub(crate) struct Request<'a> {
    /// The API's name in messages.
    pub(crate) api: &'a str,
    pub(crate) method: Method,
    /// Its path, with a slash at the start.
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) content_type: Option<&'a str>,
    /// Its body. An attempt more costs no copy of it.
    pub(crate) body: Bytes,
    /// How many bytes of an answer are read at most.
    pub(crate) largest_answer: usize,
}

/// An answer as it came.
pub(crate) struct Incoming {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<String>,
    pub(crate) body: Zeroizing<Vec<u8>>,
    /// The `errcode` in it, if it is an object that has one.
    pub(crate) errcode: Option<i64>,
}

/// An answer whose `errcode` was zero or absent.
pub(crate) struct Answer {
    api: String,
    body: Zeroizing<Vec<u8>>,
}

/// What every answer may hold.
#[derive(Deserialize)]
struct Status {
    errcode: Option<i64>,
    errmsg: Option<String>,
}

impl<'a> Request<'a> {
    /// A GET.
    pub(crate) fn get(api: &'a str, path: &'a str, query: &'a [(&'a str, &'a str)]) -> Self {
        Self {
            api,
            method: Method::Get,
            path,
            query,
            content_type: None,
            body: Bytes::new(),
            largest_answer: LARGEST_ANSWER,
        }
    }

    /// A POST of JSON.
    pub(crate) fn post<T: Serialize>(
        api: &'a str,
        path: &'a str,
        query: &'a [(&'a str, &'a str)],
        body: &T,
    ) -> Result<Self, WeChatError> {
        let body =
            serde_json::to_vec(body).map_err(|_| unsendable(api, "its body cannot be written as JSON"))?;
        Ok(Self {
            method: Method::Post,
            content_type: Some("application/json"),
            body: body.into(),
            ..Self::get(api, path, query)
        })
    }
}

impl Transport {
    pub(crate) fn new(base_url: &str, timeout: Duration) -> Result<Self, ConfigError> {
        let base = parse_base(base_url)?;
        // Fails only where one is installed already, which will do.
        let _ = rustls::crypto::ring::default_provider().install_default();

        let mut http = reqwest::Client::builder()
            .timeout(timeout)
            .pool_idle_timeout(IDLE_CONNECTION)
            // Whatever another crate enables: every request has its own connection, and what goes wrong concerns one of them.
            .http1_only()
            // A redirect would carry the secrets in the query to whoever is named in it.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("yunqiao/", env!("CARGO_PKG_VERSION")));
        if base.scheme() == "http" {
            // Root certificates are not used then, and need not be there.
            http = http.tls_certs_only([]);
            if !is_loopback(&base) {
                tracing::warn!(url = %base, "secrets go to WeChat's API unencrypted: the base URL is not https");
            }
        }
        if is_loopback(&base) {
            // A proxy that is set for the machine cannot reach what runs here.
            http = http.no_proxy();
        }
        let http = http.build().map_err(|cause| ConfigError::Tls { cause })?;
        Ok(Self {
            http,
            base: Arc::new(base),
            last: Arc::default(),
        })
    }

    /// How the last attempt ended, if there was one.
    pub(crate) fn last_attempt(&self) -> Option<LastAttempt> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_attempt(&self, outcome: &Result<Incoming, WeChatError>) {
        let answered = match outcome {
            Ok(incoming) => !incoming.status.is_server_error(),
            // That one says nothing about WeChat.
            Err(WeChatError::Unsendable { .. }) => return,
            Err(_) => false,
        };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(LastAttempt {
            at: Instant::now(),
            answered,
        });
    }

    /// Sends a request with `credentials` in its query, again while WeChat is busy or no connection comes about, as
    /// long as there is `patience`.
    pub(crate) async fn send(
        &self,
        request: &Request<'_>,
        credentials: &[(&str, &str)],
        patience: &mut Patience,
    ) -> Result<Incoming, WeChatError> {
        loop {
            patience.begin();
            let outcome = self.attempt(request, credentials).await;
            self.note_attempt(&outcome);
            let may_repeat = match &outcome {
                Ok(incoming) => incoming.errcode == Some(SYSTEM_BUSY.into()),
                Err(WeChatError::Unreachable { cause, .. }) => cause.is_connect(),
                Err(_) => false,
            };
            if !may_repeat || !patience.pause().await {
                return outcome;
            }
        }
    }

    async fn attempt(
        &self,
        request: &Request<'_>,
        credentials: &[(&str, &str)],
    ) -> Result<Incoming, WeChatError> {
        let api = request.api;
        let unreachable = |error: reqwest::Error| WeChatError::Unreachable {
            api: api.to_owned(),
            cause: Arc::new(error.without_url()),
        };

        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
        };
        let mut outgoing = self
            .http
            .request(method, self.url(request)?)
            .query(credentials)
            .query(request.query);
        if let Some(content_type) = request.content_type {
            let value = HeaderValue::from_str(content_type)
                .map_err(|_| unsendable(api, "its content type has characters that no header can carry"))?;
            outgoing = outgoing.header(CONTENT_TYPE, value);
        }
        if !request.body.is_empty() {
            outgoing = outgoing.body(request.body.clone());
        } else if request.method == Method::Post {
            // Left out otherwise, and a server may want it of a POST (411).
            outgoing = outgoing.header(CONTENT_LENGTH, 0);
        }

        let mut incoming = outgoing.send().await.map_err(unreachable)?;
        let status = incoming.status();
        let content_type = incoming.headers().get(CONTENT_TYPE);
        let content_type = content_type
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let mut body = Zeroizing::new(Vec::with_capacity(1024));
        while let Some(chunk) = incoming.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > request.largest_answer {
                return Err(WeChatError::Unreadable {
                    api: api.to_owned(),
                    why: format!("it is over {} MB", request.largest_answer >> 20),
                });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Incoming {
            errcode: status.is_success().then(|| errcode(&body)).flatten(),
            status,
            content_type,
            body,
        })
    }

    fn url(&self, request: &Request<'_>) -> Result<Url, WeChatError> {
        let mut url = Url::clone(&self.base);
        url.set_path(request.path);
        // `/wxa/../cgi-bin/token` would go where its caller may not know that it goes.
        if url.path() != request.path {
            return Err(unsendable(
                request.api,
                "its path would not stay as it is in a URL: it lacks a slash at the start, has `.`, `..` or `\\` in it, \
                 or is not percent-encoded",
            ));
        }
        Ok(url)
    }
}

fn unsendable(api: &str, why: &'static str) -> WeChatError {
    WeChatError::Unsendable {
        api: api.to_owned(),
        why,
    }
}

/// The `errcode` of an answer that is a JSON object. The content type is not asked: what WeChat calls its refusals
/// varies, and no picture begins with a brace and is JSON to its last byte.
fn errcode(body: &[u8]) -> Option<i64> {
    #[derive(Deserialize)]
    struct Code {
        errcode: Option<i64>,
    }
    if !body.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    serde_json::from_slice::<Code>(body).ok()?.errcode
}

impl Incoming {
    /// The answer to one of this crate's own requests: JSON, and no refusal.
    pub(crate) fn judged(self, api: &str) -> Result<Answer, WeChatError> {
        let answer = Answer {
            api: api.to_owned(),
            body: self.body,
        };
        if !self.status.is_success() {
            let why = format!("its HTTP status is {}, where WeChat's is always 200", self.status);
            return Err(answer.unreadable(why));
        }
        let Status { errcode, errmsg } = answer.read()?;
        match errcode {
            None | Some(0) => Ok(answer),
            Some(errcode) => {
                tracing::debug!(api, errcode, "WeChat refused");
                Err(WeChatError::Refused {
                    errcode,
                    errmsg: errmsg.unwrap_or_default(),
                    api: answer.api,
                })
            }
        }
    }
}

impl Answer {
    /// The answer as what the API is documented to answer.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, WeChatError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            use serde_json::error::Category;
            let why = match error.classify() {
                // Texts of this kind name a missing member or the kind of a value; they can quote a value.
                Category::Data => "it lacks what the API is documented to answer".to_owned(),
                Category::Syntax | Category::Eof | Category::Io => {
                    format!("it is no JSON (line {}, column {})", error.line(), error.column())
                }
            };
            self.unreadable(why)
        })
    }

    pub(crate) fn unreadable(&self, why: impl Into<String>) -> WeChatError {
        WeChatError::Unreadable {
            api: self.api.clone(),
            why: why.into(),
        }
    }
}

fn parse_base(base_url: &str) -> Result<Url, ConfigError> {
    let refuse = |why| ConfigError::BaseUrl {
        url: base_url.to_owned(),
        why,
    };
    let url = Url::parse(base_url).map_err(|_| refuse("that is no URL"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("its scheme is neither http nor https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // The URL is not repeated: what stands there may be a secret.
        let url = "(withheld)".to_owned();
        return Err(ConfigError::BaseUrl {
            url,
            why: "it names a user or a password",
        });
    }
    if url.path() != "/" {
        return Err(refuse("it has a path"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has a query or a fragment"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ip = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .parse::<IpAddr>();
    ip.map_or(host == "localhost", |ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::{Reply, SECRET, Server, reply};

    #[test]
    fn a_base_url_is_scheme_host_and_port() {
        for good in [
            "https://api.weixin.qq.com",
            "https://api.weixin.qq.com/",
            "http://[::1]:8788",
            "http://sim:80",
        ] {
            assert!(parse_base(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("api.weixin.qq.com", "no URL"),
            ("ftp://api.weixin.qq.com", "scheme"),
            ("https://api.weixin.qq.com/cgi-bin", "path"),
            ("https://api.weixin.qq.com?x=1", "query"),
            ("https://api.weixin.qq.com#x", "fragment"),
        ] {
            assert!(parse_base(bad).unwrap_err().to_string().contains(why), "{bad}");
        }
        let text = parse_base("https://user:hunter2@api.weixin.qq.com")
            .unwrap_err()
            .to_string();
        assert!(text.contains("password") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn loopback_in_every_spelling() {
        for (url, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://127.9.9.9", true),
            ("http://[::1]", true),
            ("http://LOCALHOST", true),
            ("http://localhost.example.com", false),
            ("https://api.weixin.qq.com", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    /// Each way in which an answer can fail, and that none of them tells a secret.
    #[tokio::test]
    async fn no_error_tells_a_secret() {
        let server = Server::start(|request| {
            let (status, body, after) = match request.query.get("js_code").map(String::as_str) {
                Some("page") => ("200 OK", b"<html>".to_vec(), 0),
                Some("status") => ("502 Bad Gateway", b"{}".to_vec(), 0),
                Some("redirect") => ("302 Found", b"{}".to_vec(), 0),
                Some("lacking") => (
                    "200 OK",
                    b"{\"openid\":1,\"session_key\":\"S3SS10N\"}".to_vec(),
                    0,
                ),
                Some("huge") => ("200 OK", vec![b' '; LARGEST_ANSWER + 1], 0),
                _ => ("200 OK", b"{}".to_vec(), 5000),
            };
            Reply {
                status,
                body,
                after: Duration::from_millis(after),
                ..reply(serde_json::json!(null))
            }
        })
        .await;
        let client = server.client();
        for (code, expected) in [
            ("page", "no JSON (line 1, column 1)"),
            ("status", "502"),
            ("redirect", "302"),
            ("lacking", "lacks"),
            ("huge", "over 4 MB"),
            ("slow", "timed out"),
        ] {
            let error = client
                .code2session(&crate::testing::code(code))
                .await
                .unwrap_err();
            let text = format!("{error} / {error:?}");
            assert!(text.contains(expected), "{code}: {text}");
            assert!(text.contains("jscode2session"), "{code}: {text}");
            for secret in [SECRET, "S3SS10N", "secret="] {
                assert!(!text.contains(secret), "{code}: {text}");
            }
        }
        assert!(server.received("/elsewhere").is_empty());

        let nobody = client_of_nobody().await;
        assert_eq!(nobody.last_attempt(), None);
        let error = nobody.code2session(&crate::testing::code("c")).await.unwrap_err();
        assert!(!nobody.last_attempt().unwrap().answered);
        let text = format!("{error} / {error:?}");
        assert!(
            matches!(error, WeChatError::Unreachable { .. }) && text.contains("refused"),
            "{text}"
        );
        assert!(!text.contains(SECRET), "{text}");
    }

    /// A client of an address where nothing listens.
    async fn client_of_nobody() -> crate::WeChatClient {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        crate::testing::client(
            &url,
            Arc::new(crate::MemoryTokens::default()),
            clock::Clock::fixed(crate::testing::START),
        )
    }

    #[tokio::test]
    async fn connections_are_reused() {
        let server =
            Server::start(|_| reply(serde_json::json!({"errcode": 40029, "errmsg": "invalid code"}))).await;
        let client = server.client();
        for _ in 0..5 {
            client
                .clone()
                .code2session(&crate::testing::code("c"))
                .await
                .unwrap_err();
        }
        assert!(client.last_attempt().unwrap().answered, "a refusal is an answer");
        assert_eq!(
            (server.received("jscode2session").len(), server.connections()),
            (5, 1)
        );
    }
}
