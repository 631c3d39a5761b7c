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
use store::{Memory, Store};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::{Client, Config};

pub(crate) const APPID: &str = "wx0123456789abcdef";
pub(crate) const SECRET: &str = "5ecre7f00dfeed5ecre7f00dfeed1234";
/// A key whose signatures stand in WeChat's document of checksession.
pub(crate) const SESSION_KEY: &str = "o0q0otL8aEzpcZL/FT9WsQ==";
pub(crate) const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// A request as the server got it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn is(&self, api: &str) -> bool {
        self.path.ends_with(api)
    }
}

/// What the server answers.
pub(crate) struct Reply {
    pub(crate) status: &'static str,
    pub(crate) body: Vec<u8>,
    pub(crate) after: Duration,
}

pub(crate) fn reply(value: Value) -> Reply {
    Reply {
        status: "200 OK",
        body: value.to_string().into_bytes(),
        after: Duration::ZERO,
    }
}

/// A token reply.
pub(crate) fn token(token: &str, expires_in: u64) -> Reply {
    reply(json!({"access_token": token, "expires_in": expires_in}))
}

pub(crate) struct Server {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Answers as `answer` says until the test ends.
    pub(crate) async fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            received: Arc::default(),
            connections: Arc::default(),
        };
        let (received, connections) = (Arc::clone(&server.received), Arc::clone(&server.connections));
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let (received, answer) = (Arc::clone(&received), Arc::clone(&answer));
                // A client that hangs up is no failure of the server's.
                tokio::spawn(async move { drop(serve(stream, &received, &*answer).await) });
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

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// A client of this server, with a clock that stands at [`START`].
    pub(crate) fn client(&self) -> Client {
        self.client_with(Arc::new(Memory::new()), Clock::fixed(START))
    }

    pub(crate) fn client_with(&self, store: Arc<dyn Store>, clock: Clock) -> Client {
        client(&self.url, store, clock)
    }
}

pub(crate) fn client(base_url: &str, store: Arc<dyn Store>, clock: Clock) -> Client {
    Client::new(Config {
        base_url: base_url.to_owned(),
        appid: APPID.to_owned(),
        secret: SecretString::from(SECRET),
        store,
        clock,
        timeout: Duration::from_millis(500),
    })
    .unwrap()
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
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).await?;
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;

        let mut words = first.split_whitespace();
        let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap());
        let url = Url::parse(&format!("http://server{target}")).unwrap();
        let request = Received {
            method,
            path: url.path().to_owned(),
            query: url.query_pairs().into_owned().collect(),
            body: String::from_utf8(body).unwrap(),
        };
        received.lock().unwrap().push(request.clone());
        let reply = answer(&request);
        tokio::time::sleep(reply.after).await;
        let head = format!(
            "HTTP/1.1 {}\r\ncontent-type: text/plain\r\nlocation: /elsewhere\r\ncontent-length: {}\r\n\r\n",
            reply.status,
            reply.body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(&reply.body).await?;
    }
}
