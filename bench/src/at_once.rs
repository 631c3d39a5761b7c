//! A server that answers at once: the peer of `/admin`. It listens on a Unix socket as the gateway does, reads a request to
//! its end, looks at nothing in it, and writes the reply that it was given, in one write.

use std::{
    io::{self, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use anyhow::{Context, Result};
use tcb::SdkReply;

/// The server; it runs as long as the bench does.
pub(crate) struct AtOnce(Arc<Mutex<Vec<u8>>>);

impl AtOnce {
    /// Listens on `socket`, with a thread for each connection.
    pub(crate) fn start(socket: &Path) -> Result<Self> {
        let listener =
            UnixListener::bind(socket).with_context(|| format!("listening on {}", socket.display()))?;
        let answer = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&answer);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = Arc::clone(&shared);
                // A connection that broke shows in the SDK, whose call fails.
                thread::spawn(move || serve(stream, &answer));
            }
        });
        Ok(Self(answer))
    }

    /// Answers every request with `reply` from now on.
    pub(crate) fn answer_with(&self, reply: &SdkReply) {
        let SdkReply { content_type, body } = reply;
        let length = body.len();
        let mut bytes =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n")
                .into_bytes();
        bytes.extend_from_slice(body);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }
}

fn serve(mut stream: UnixStream, answer: &Mutex<Vec<u8>>) -> io::Result<()> {
    let mut request = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Ok(());
        }
        request.extend_from_slice(&chunk[..read]);
        if is_whole(&request) {
            request.clear();
            let answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
            stream.write_all(&answer)?;
        }
    }
}

/// Whether a request is there to its end: the last chunk, or as many bytes as were announced. Nothing follows it before
/// it is answered.
fn is_whole(request: &[u8]) -> bool {
    let Some(blank) = request.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    match crate::http::content_length(&request[..blank]) {
        Some(length) => request.len() >= blank + 4 + length,
        None => request.ends_with(b"\r\n0\r\n\r\n"),
    }
}
