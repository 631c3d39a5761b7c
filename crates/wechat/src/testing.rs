//! A WeChat of a few lines for this crate's tests: a server on loopback that answers what a test tells it to.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use clock::{Clock, Timestamp};
use reqwest::Url;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{AccessTokens, LoginCode, MemoryTokens, WeChatClient, WeChatConfig};

pub(crate) const APPID: &str = "wx0123456789abcdef";
pub(crate) const SECRET: &str = "5ecre7f00dfeed5ecre7f00dfeed1234";
/// A key whose signatures stand in WeChat's document of checksession.
pub(crate) const SESSION_KEY: &str = "o0q0otL8aEzpcZL/FT9WsQ==";
pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A text as a login code.
pub(crate) fn code(text: &str) -> LoginCode {
    LoginCode::parse(text.to_owned()).unwrap()
}

/// A request as the server got it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// The query as it came.
    pub(crate) raw_query: String,
    pub(crate) content_type: Option<String>,
    pub(crate) content_length: Option<usize>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn is(&self, api: &str) -> bool {
        self.path.ends_with(api)
    }
}

/// What the server answers.
pub(crate) struct Reply {
    pub(crate) status: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) after: Duration,
    /// Hang up in place of an answer.
    pub(crate) hang_up: bool,
}

/// JSON, under the name that WeChat often gives it.
pub(crate) fn reply(value: Value) -> Reply {
    Reply {
        status: "200 OK",
        content_type: "text/plain",
        body: value.to_string().into_bytes(),
        after: Duration::ZERO,
        hang_up: false,
    }
}

/// A refusal.
pub(crate) fn refusal(errcode: i64, errmsg: &str) -> Reply {
    reply(json!({"errcode": errcode, "errmsg": errmsg}))
}

/// A token reply.
pub(crate) fn token(token: &str, expires_in: u64) -> Reply {
    reply(json!({"access_token": token, "expires_in": expires_in}))
}

pub(crate) struct Server {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
}

impl Server {
    /// Answers as `answer` says until the test ends.
    pub(crate) async fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    /// As [`start`](Self::start), at this address.
    pub(crate) async fn start_at(
        address: &str,
        answer: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            received: Arc::default(),
            connections: Arc::default(),
            open: Arc::default(),
        };
        let (received, connections) = (Arc::clone(&server.received), Arc::clone(&server.connections));
        let open = Arc::clone(&server.open);
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let (received, answer) = (Arc::clone(&received), Arc::clone(&answer));
                let open = Arc::clone(&open);
                open.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    // A client that hangs up is no failure of the server's.
                    drop(serve(stream, &received, &*answer).await);
                    open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        });
        server
    }

    /// The requests so far for this API.
    pub(crate) fn received(&self, api: &str) -> Vec<Received> {
        self.received
            .lock()
            .unwrap()
            .iter()
            .filter(|request| request.is(api))
            .cloned()
            .collect()
    }

    /// How many connections there ever were.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// How many connections there are.
    pub(crate) fn open_connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// A client of this server, with a clock that stands at [`START`].
    pub(crate) fn client(&self) -> WeChatClient {
        self.client_with(Arc::new(MemoryTokens::default()), Clock::fixed(START))
    }

    /// A client with time, for much at once on a machine that has other things to do.
    pub(crate) fn patient_client(&self) -> WeChatClient {
        let config = config(&self.url, Arc::new(MemoryTokens::default()), Clock::fixed(START));
        WeChatClient::new(WeChatConfig {
            timeout: Duration::from_secs(20),
            ..config
        })
        .unwrap()
    }

    pub(crate) fn client_with(&self, tokens: Arc<dyn AccessTokens>, clock: Clock) -> WeChatClient {
        client(&self.url, tokens, clock)
    }
}

pub(crate) fn client(base_url: &str, tokens: Arc<dyn AccessTokens>, clock: Clock) -> WeChatClient {
    WeChatClient::new(config(base_url, tokens, clock)).unwrap()
}

fn config(base_url: &str, tokens: Arc<dyn AccessTokens>, clock: Clock) -> WeChatConfig {
    WeChatConfig {
        base_url: base_url.to_owned(),
        appid: APPID.to_owned(),
        secret: SecretString::from(SECRET),
        tokens,
        clock,
        timeout: Duration::from_millis(500),
    }
}

/// Lets background work go on until `done`, and fails when it does not get there.
pub(crate) async fn until(done: impl Fn() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen");
}

async fn serve(
    stream: TcpStream,
    received: &Mutex<Vec<Received>>,
    answer: &(dyn Fn(&Received) -> Reply + Send + Sync),
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut first = String::new();
        if stream.read_line(&mut first).await? == 0 {
            return Ok(());
        }
        let (mut content_length, mut content_type) = (None, None);
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let Some((name, value)) = line.trim().split_once(": ") else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => content_length = Some(value.parse().unwrap()),
                "content-type" => content_type = Some(value.to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; content_length.unwrap_or_default()];
        stream.read_exact(&mut body).await?;

        let mut words = first.split_whitespace();
        let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap());
        let url = Url::parse(&format!("http://server{target}")).unwrap();
        let request = Received {
            method,
            path: url.path().to_owned(),
            query: url.query_pairs().into_owned().collect(),
            raw_query: url.query().unwrap_or_default().to_owned(),
            content_type,
            content_length,
            body,
        };
        received.lock().unwrap().push(request.clone());
        let reply = answer(&request);
        // A client that goes away is noticed while its answer is made, as servers do.
        tokio::select! {
            () = tokio::time::sleep(reply.after) => {}
            _ = stream.fill_buf() => return Ok(()),
        }
        if reply.hang_up {
            return Ok(());
        }
        let Reply {
            status, content_type, ..
        } = reply;
        let head = format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nlocation: /elsewhere\r\ncontent-length: {}\r\n\r\n",
            reply.body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&reply.body).await?;
    }
}
