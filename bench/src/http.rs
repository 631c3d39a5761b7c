//! As much HTTP/1.1 as the bench needs: requests as bytes, replies by `content-length`, and one blocking exchange for
//! what is not measured.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The bytes of a POST with a JSON body on a connection that is kept open.
pub(crate) fn post(addr: SocketAddr, path: &str, bearer: Option<&str>, body: &str) -> Vec<u8> {
    let bearer = bearer
        .map(|token| format!("authorization: Bearer {token}\r\n"))
        .unwrap_or_default();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: {addr}\r\n{bearer}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The status and the extent of a reply.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Where the body begins.
    pub(crate) body: usize,
    /// Where the reply ends.
    pub(crate) end: usize,
}

/// Reads the head of a reply; `None` while it is not all there.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(blank) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let body = blank + 4;
    let status = bytes
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .context("a reply without a status line")?;
    let length = content_length(&bytes[..blank]).context("a reply without a content-length")?;
    Ok(Some(Head {
        status,
        body,
        end: body + length,
    }))
}

/// The length that the head of a request or a reply announces, if it does.
pub(crate) fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let line = head
        .split(|byte| *byte == b'\n')
        .find(|line| line.len() > NAME.len() && line[..NAME.len()].eq_ignore_ascii_case(NAME))?;
    std::str::from_utf8(&line[NAME.len()..]).ok()?.trim().parse().ok()
}

/// Sends one request on a connection of its own and reads the reply.
pub(crate) fn exchange(addr: SocketAddr, request: &[u8]) -> Result<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(addr).with_context(|| format!("connecting to {addr}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request)?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        if let Some(head) = head(&bytes)?
            && bytes.len() >= head.end
        {
            return Ok((head.status, bytes[head.body..head.end].to_vec()));
        }
        let read = stream
            .read(&mut chunk)
            .with_context(|| format!("reading from {addr}"))?;
        ensure!(
            read > 0,
            "{addr} closed the connection before its reply was whole"
        );
        bytes.extend_from_slice(&chunk[..read]);
    }
}

/// Sends `body` and gives the reply's JSON, which must have come with status 200.
pub(crate) fn json(addr: SocketAddr, path: &str, bearer: Option<&str>, body: &Value) -> Result<Value> {
    let (status, reply) = exchange(addr, &post(addr, path, bearer, &body.to_string()))?;
    if status != 200 {
        bail!(
            "POST {path} answered {status}: {}",
            String::from_utf8_lossy(&reply)
        );
    }
    serde_json::from_slice(&reply).with_context(|| format!("POST {path} answered what is not JSON"))
}
