//! One HTTPS request and its answer, for every API alike: where it goes, how much of an answer is read, and what
//! becomes of an `errcode`.

use std::{net::IpAddr, sync::Arc, time::Duration};

use reqwest::{Method, Url, redirect};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::{ConfigError, Error};

/// The largest answer that is read. The APIs used here answer with a few kilobytes.
const LARGEST_ANSWER: usize = 4 << 20;
/// Shorter than any server's own limit, so that a request is seldom sent into a connection that is being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(15);

/// Connections to one WeChat.
#[derive(Clone)]
pub(crate) struct Transport {
    http: reqwest::Client,
    base: Arc<Url>,
}

/// A request, less its credentials.
pub(crate) struct Request<'a> {
    /// The API's name in messages: the last part of its path.
    pub(crate) api: &'static str,
    /// Its path, with a slash at the start.
    pub(crate) path: &'static str,
    pub(crate) query: &'a [(&'static str, &'a str)],
    /// The JSON body of a POST; without one it is a GET.
    pub(crate) body: Option<Vec<u8>>,
}

/// An answer whose `errcode` was zero or absent.
pub(crate) struct Answer {
    api: &'static str,
    body: Zeroizing<Vec<u8>>,
}

/// What every answer may hold.
#[derive(Deserialize)]
struct Status {
    errcode: Option<i64>,
    errmsg: Option<String>,
}

/// The JSON body of a request.
pub(crate) fn json_body<T: Serialize>(api: &'static str, body: &T) -> Result<Option<Vec<u8>>, Error> {
    let written = serde_json::to_vec(body);
    written.map(Some).map_err(|_| Error::Unreadable {
        api,
        why: "the request cannot be written".to_owned(),
    })
}

impl Transport {
    pub(crate) fn new(base_url: &str, timeout: Duration) -> Result<Self, ConfigError> {
        let base = parse_base(base_url)?;
        // Fails only where one is installed already, which will do.
        let _ = rustls::crypto::ring::default_provider().install_default();

        let mut http = reqwest::Client::builder()
            .timeout(timeout)
            .pool_idle_timeout(IDLE_CONNECTION)
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
        })
    }

    /// Sends a request with `credentials` in its query.
    pub(crate) async fn send(
        &self,
        request: &Request<'_>,
        credentials: &[(&str, &str)],
    ) -> Result<Answer, Error> {
        let api = request.api;
        let unreachable = |error: reqwest::Error| Error::Unreachable {
            api,
            cause: Arc::new(error.without_url()),
        };

        let mut url = Url::clone(&self.base);
        url.set_path(request.path);
        let method = if request.body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let mut outgoing = self
            .http
            .request(method, url)
            .query(credentials)
            .query(request.query);
        if let Some(body) = &request.body {
            outgoing = outgoing
                .header("content-type", "application/json")
                .body(body.clone());
        }

        let mut incoming = outgoing.send().await.map_err(unreachable)?;
        let status = incoming.status();
        let mut body = Zeroizing::new(Vec::with_capacity(1024));
        while let Some(chunk) = incoming.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(Error::Unreadable {
                    api,
                    why: format!("it is over {} MB", LARGEST_ANSWER >> 20),
                });
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(Error::Unreadable {
                api,
                why: format!("its HTTP status is {status}, where WeChat's is always 200"),
            });
        }

        let answer = Answer { api, body };
        let Status { errcode, errmsg } = answer.read()?;
        match errcode {
            None | Some(0) => Ok(answer),
            Some(errcode) => {
                tracing::debug!(api, errcode, "WeChat refused");
                Err(Error::Refused {
                    errcode,
                    errmsg: errmsg.unwrap_or_default(),
                    api,
                })
            }
        }
    }
}

impl Answer {
    /// The answer as what the API is documented to answer.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
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

    pub(crate) fn unreadable(&self, why: impl Into<String>) -> Error {
        Error::Unreadable {
            api: self.api,
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
            let error = client.code2session(code).await.unwrap_err();
            let text = format!("{error} / {error:?}");
            assert!(text.contains(expected), "{code}: {text}");
            assert!(text.contains("jscode2session"), "{code}: {text}");
            for secret in [SECRET, "S3SS10N", "secret="] {
                assert!(!text.contains(secret), "{code}: {text}");
            }
        }
        assert!(server.received("/elsewhere").is_empty());

        let nobody = client_of_nobody().await;
        let error = nobody.code2session("c").await.unwrap_err();
        let text = format!("{error} / {error:?}");
        assert!(
            matches!(error, Error::Unreachable { .. }) && text.contains("refused"),
            "{text}"
        );
        assert!(!text.contains(SECRET), "{text}");
    }

    /// A client of an address where nothing listens.
    async fn client_of_nobody() -> crate::Client {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        crate::testing::client(
            &url,
            Arc::new(store::Memory::new()),
            clock::Clock::fixed(crate::testing::START),
        )
    }

    #[tokio::test]
    async fn connections_are_reused() {
        let server =
            Server::start(|_| reply(serde_json::json!({"errcode": 40029, "errmsg": "invalid code"}))).await;
        let client = server.client();
        for _ in 0..5 {
            client.clone().code2session("c").await.unwrap_err();
        }
        assert_eq!(
            (server.received("jscode2session").len(), server.connections()),
            (5, 1)
        );
    }
}
