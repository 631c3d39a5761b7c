//! The load generator: a number of kept-open connections, each with one request at a time, on one thread over epoll.
//!
//! It shares the machine's cores with what it measures, so it does little: one write and one read for a call, no
//! allocation, and of each reply's body a comparison with the bytes it must begin with and the length it must have.
//! One reply in a thousand is read in full.

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::http;

/// What is called, and what it must answer.
pub(crate) struct Target {
    pub(crate) addr: SocketAddr,
    pub(crate) request: Vec<u8>,
    pub(crate) expected: Expected,
}

/// What every reply's body must be.
pub(crate) struct Expected {
    /// What it begins with: the function's result, whole.
    pub(crate) prefix: Vec<u8>,
    /// Its length; request ids vary, but not in length.
    pub(crate) length: usize,
    /// The check of one reply in a thousand.
    pub(crate) thorough: fn(&[u8]) -> Result<()>,
}

/// How a target is called.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    pub(crate) connections: usize,
    /// Called for so long before it counts.
    pub(crate) warm_up: Duration,
    /// Counted for so long.
    pub(crate) measure: Duration,
}

/// What came of it.
pub(crate) struct Measured {
    pub(crate) calls: usize,
    pub(crate) per_second: f64,
    /// Of every counted call, ascending.
    latencies: Vec<Duration>,
}

impl Measured {
    /// The latency that a share of the calls did not exceed: `quantile(0.5)` is the median.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get((last as f64 * share) as usize)
            .copied()
            .unwrap_or_default()
    }
}

/// A call that has waited so long at the end of a run is lost: all targets answer in milliseconds.
const LOST: Duration = Duration::from_secs(1);

struct Connection {
    stream: TcpStream,
    sent_at: Instant,
    /// How much of the request is written.
    written: usize,
    received: Vec<u8>,
    filled: usize,
    replies: u64,
}

/// Calls `target` and counts. `at_start` runs when counting begins, so that other counters can begin with it.
pub(crate) fn run(target: &Target, run: Run, at_start: impl FnOnce()) -> Result<Measured> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(run.connections.max(16));
    let mut connections = Vec::with_capacity(run.connections);
    for index in 0..run.connections {
        let mut stream = TcpStream::connect(target.addr)?;
        stream.set_nodelay(true)?;
        poll.registry()
            .register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        connections.push(Connection {
            stream,
            sent_at: Instant::now(),
            written: 0,
            received: vec![0; 64 * 1024],
            filled: 0,
            replies: 0,
        });
    }

    let start = Instant::now() + run.warm_up;
    let end = start + run.measure;
    let mut at_start = Some(at_start);
    let mut latencies = Vec::with_capacity(100_000 * (run.measure.as_secs() as usize + 1));
    loop {
        poll.poll(&mut events, Some(Duration::from_secs(1)))?;
        let mut now = Instant::now();
        if now >= start
            && let Some(at_start) = at_start.take()
        {
            at_start();
        }
        if now >= end {
            break;
        }
        for event in &events {
            let connection = &mut connections[event.token().0];
            if event.is_error() {
                let error = connection.stream.take_error()?;
                bail!("a connection to {} failed: {error:?}", target.addr);
            }
            if event.is_writable() && connection.written < target.request.len() {
                connection.send(target)?;
            }
            if event.is_readable() && connection.receive(target)? {
                now = Instant::now();
                if now >= start {
                    latencies.push(now - connection.sent_at);
                }
                connection.sent_at = now;
                connection.written = 0;
                connection.send(target)?;
            }
        }
    }
    let waiting = connections
        .iter()
        .map(|connection| connection.sent_at.elapsed())
        .max()
        .unwrap_or_default();
    ensure!(
        waiting < LOST,
        "a call to {} has had no answer for {waiting:?}",
        target.addr
    );
    ensure!(
        !latencies.is_empty(),
        "{} answered nothing in {:?}",
        target.addr,
        run.measure
    );
    latencies.sort_unstable();
    Ok(Measured {
        calls: latencies.len(),
        per_second: latencies.len() as f64 / run.measure.as_secs_f64(),
        latencies,
    })
}

impl Connection {
    fn send(&mut self, target: &Target) -> Result<()> {
        while self.written < target.request.len() {
            match self.stream.write(&target.request[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Not connected yet: the event that says so comes.
                Err(error) if error.kind() == ErrorKind::NotConnected => break,
                Err(error) => return Err(error).context("sending a request"),
            }
        }
        Ok(())
    }

    /// Reads what is there; whether the reply is whole, and right.
    fn receive(&mut self, target: &Target) -> Result<bool> {
        loop {
            let room = self.received.len() - self.filled;
            ensure!(room > 0, "a reply longer than {} bytes", self.received.len());
            let count = match self.stream.read(&mut self.received[self.filled..]) {
                Ok(0) => bail!("{} closed a connection", target.addr),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("reading a reply"),
            };
            self.filled += count;
            let bytes = &self.received[..self.filled];
            if let Some(head) = http::head(bytes)?
                && bytes.len() >= head.end
            {
                ensure!(
                    bytes.len() == head.end,
                    "{} sent more than one reply",
                    target.addr
                );
                let body = &bytes[head.body..];
                if head.status != 200
                    || body.len() != target.expected.length
                    || !body.starts_with(&target.expected.prefix)
                {
                    bail!(
                        "{} answered {}: {}",
                        target.addr,
                        head.status,
                        String::from_utf8_lossy(&body[..body.len().min(500)])
                    );
                }
                if self.replies.is_multiple_of(1000) {
                    (target.expected.thorough)(body)?;
                }
                self.replies += 1;
                self.filled = 0;
                return Ok(true);
            }
            // Less than there was room for: the socket is drained, and what comes next is an event of its own.
            if count < room {
                return Ok(false);
            }
        }
    }
}
