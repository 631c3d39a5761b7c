//! A server between the client and the object store, which hinders as many requests as it is told.

use std::sync::{Arc, Mutex};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How a request is hindered.
#[derive(Clone, Debug)]
pub enum Mode {
    /// The connection is closed.
    Close,
    /// It is answered with this.
    Answer(String),
    /// It is answered with this where it is of that method; others pass, and do not count.
    AnswerTo(&'static str, String),
    /// It is done where it is of that method, and its answer is lost; others pass, and do not count.
    LoseAnswerTo(&'static str),
    /// The answer breaks off after so many bytes.
    CutAfter(usize),
    /// The answer stops after so many bytes, and the connection stays.
    StallAfter(usize),
}

pub struct Proxy {
    pub endpoint: String,
    hindrance: Hindrance,
    heads: Heads,
}

type Hindrance = Arc<Mutex<(Option<Mode>, usize)>>;
type Heads = Arc<Mutex<Vec<String>>>;

impl Proxy {
    pub async fn start(to: &str) -> Self {
        let to = to.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let hindrance = Hindrance::default();
        let heads = Heads::default();
        let (shared, seen) = (Arc::clone(&hindrance), Arc::clone(&heads));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, to.clone(), Arc::clone(&shared), Arc::clone(&seen)));
            }
        });
        Self {
            endpoint,
            hindrance,
            heads,
        }
    }

    /// The heads of all requests of a method so far, in lower case.
    pub fn heads(&self, method: &str) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        let method = method.to_ascii_lowercase();
        heads
            .iter()
            .filter(|head| head.starts_with(&method))
            .cloned()
            .collect()
    }

    /// Hinders so many requests from now on.
    pub fn hinder(&self, mode: Mode, requests: usize) {
        *self.hindrance.lock().unwrap() = (Some(mode), requests);
    }
}

/// Passes one request on, and closes the connection after its answer, so that the next is another's.
async fn serve(mut client: TcpStream, to: String, hindrance: Hindrance, heads: Heads) -> Option<()> {
    let head = head(&mut client).await?;
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    heads.lock().unwrap().push(text);
    let mode = {
        let mut hindrance = hindrance.lock().unwrap();
        match &*hindrance {
            (_, 0) => None,
            (Some(Mode::AnswerTo(method, _) | Mode::LoseAnswerTo(method)), _)
                if !head.starts_with(method.as_bytes()) =>
            {
                None
            }
            (mode, left) => {
                let (mode, left) = (mode.clone(), left - 1);
                hindrance.1 = left;
                mode
            }
        }
    };
    let stalls = matches!(mode, Some(Mode::StallAfter(_)));
    let is_lost = matches!(mode, Some(Mode::LoseAnswerTo(_)));
    let most = match mode {
        Some(Mode::Close) => return None,
        Some(Mode::Answer(answer) | Mode::AnswerTo(_, answer)) => {
            client.write_all(answer.as_bytes()).await.ok()?;
            // Whatever is still coming is taken, so that the answer is seen.
            client.shutdown().await.ok()?;
            let mut dropped = Vec::new();
            return client.read_to_end(&mut dropped).await.ok().map(drop);
        }
        Some(Mode::CutAfter(most) | Mode::StallAfter(most)) => most,
        Some(Mode::LoseAnswerTo(_)) | None => usize::MAX,
    };
    let mut server = TcpStream::connect(to).await.ok()?;
    server.write_all(&head).await.ok()?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let sending = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut answer = (&mut from_server).take(most as u64);
    let _ = match is_lost {
        true => tokio::io::copy(&mut answer, &mut tokio::io::sink()).await,
        false => tokio::io::copy(&mut answer, &mut to_client).await,
    };
    if stalls {
        // Until the client has had enough.
        let _ = sending.await;
        to_client.shutdown().await.ok()?;
    } else {
        sending.abort();
    }
    Some(())
}

/// The head of a request, which says that the connection ends with it.
async fn head(client: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    head.truncate(head.len() - 2);
    head.extend_from_slice(b"connection: close\r\n\r\n");
    Some(head)
}

/// An answer with this body.
pub fn answer(status: u16, body: &str) -> String {
    let length = body.len();
    let reason = reqwest::StatusCode::from_u16(status).unwrap();
    format!("HTTP/1.1 {reason}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// What S3 answers where it refuses.
pub fn refusal(status: u16, code: &str, message: &str) -> String {
    let body = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    answer(status, &body)
}
