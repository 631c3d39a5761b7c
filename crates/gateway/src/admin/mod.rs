//! `POST /admin`: what wx-server-sdk asks from inside a running function.
//!
//! Requests come over the Unix socket of one worker and by no other way. Before one is acted on it has passed four
//! doors: it is a request of the SDK's (`tcb::Envelope`), it is signed with the key pair of the worker whose socket it
//! came by, its token is that of a running call, and that call runs on that worker. HTTP's status is 200 whatever the
//! answer is: the SDK throws the body of any other away.

mod function;
mod open_api;
mod open_data;
mod voip;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use calls::{CloudCall, Exchange, Invocation, Note};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use runtime::{Connection, Peer};
use tcb::signature::{self, Head, SecretKey};
use tcb::{Action, Envelope, Reply, codes, reply};
use tokio::sync::mpsc;

use crate::{Inner, ids};

/// The text that the platform was seen to give with -501007 where a token is missing or void.
const INVALID_TOKEN: &str = "Invalid wxCloudApiToken";

/// Serves the workers' connections until there can be no more.
pub(crate) async fn serve(inner: Weak<Inner>, mut connections: mpsc::Receiver<Connection>) {
    while let Some(Connection { stream, worker }) = connections.recv().await {
        let inner = Weak::clone(&inner);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let (inner, worker) = (inner.upgrade(), worker.clone());
                async move {
                    Ok::<_, Infallible>(match inner {
                        Some(inner) => http_reply(answer(&inner, &worker, request).await),
                        // The server is gone, and the worker will be in a moment.
                        None => Response::new(Full::default()),
                    })
                }
            });
            // No limit to idleness: the SDK does not repeat a request that met a connection as it was being closed.
            let served = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "a worker's connection broke");
            }
        });
    }
}

fn http_reply(reply: Reply) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(reply.body)));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(reply.content_type));
    response
}

/// A request that passed all doors.
struct Asked<'a> {
    inner: &'a Arc<Inner>,
    /// The call that it was made from.
    invocation: &'a Invocation,
    /// How long that call may still run.
    left: Option<Duration>,
    /// Of the answer.
    request_id: &'a str,
    since: Instant,
    exchange: Mutex<Option<Exchange>>,
}

async fn answer(inner: &Arc<Inner>, worker: &Peer, request: Request<Incoming>) -> Reply {
    let request_id = ids::request_id();
    let refuse = |code, text: &str, why: &dyn std::fmt::Display| {
        let function = worker.function();
        let function = function.as_ref().map_or("a worker", |name| name.as_str());
        inner.journal.note(&Note {
            request_id: &request_id,
            openid: None,
            text: &format_args!("a request of {function} to the cloud was refused: {why}"),
        });
        reply::failure(&request_id, code, text)
    };

    let (head, body) = request.into_parts();
    let body = match Limited::new(body, tcb::MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            let text = format!(
                "the request's body could not be read, or is over {} MB",
                tcb::MAX_BODY >> 20
            );
            return refuse(codes::INVALID_PARAM, &text, &error);
        }
    };
    let content_type = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let envelope = match Envelope::parse(content_type.unwrap_or_default(), &body) {
        Ok(envelope) => envelope,
        Err(error) => return refuse(error.code(), &error.to_string(), &error),
    };
    if let Err(error) = verify(worker, &head, &envelope) {
        let text = codes::text(error.code()).unwrap_or_default();
        return refuse(error.code(), text, &error);
    }
    let action = envelope.action();
    if let Action::NotServed(what) = action {
        // Told whoever asks: the oldest SDKs send no token with these.
        return what.reply(&request_id);
    }

    let Some(token) = envelope.api_token() else {
        let why =
            "it has no wxCloudApiToken: it was made outside of a call, or the function replaced WX_API_TOKEN";
        return refuse(codes::INVALID_PARAM, INVALID_TOKEN, &why);
    };
    let invocation = inner.calls.invocations().find(token);
    let running = invocation
        .as_ref()
        .and_then(|invocation| worker.running(invocation.id));
    let (Some(invocation), Some(running)) = (invocation, running) else {
        let why = "its wxCloudApiToken is of no call that this worker runs: the call that it was made from has ended \
                   (was a promise not awaited?)";
        return refuse(codes::INVALID_PARAM, INVALID_TOKEN, &why);
    };
    let asked = Asked {
        inner,
        invocation: &invocation,
        left: running.left,
        request_id: &request_id,
        since: Instant::now(),
        exchange: Mutex::default(),
    };
    match action {
        Action::OpenApi => open_api::answer(&asked, &envelope).await,
        Action::Api => open_api::answer_text(&asked, &envelope).await,
        Action::InvokeFunction => function::call(&asked, &envelope).await,
        _ => {
            let why = format!("there is no action {:?}", envelope.action_name());
            refuse(codes::INVALID_PARAM, &why, &why)
        }
    }
}

/// Whether the request was signed with this worker's key.
fn verify(
    worker: &Peer,
    head: &http::request::Parts,
    envelope: &Envelope<'_>,
) -> Result<(), signature::SignatureError> {
    let headers: Vec<(&str, &[u8])> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let head = Head {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &headers,
    };
    let key = worker.key();
    let lookup = |id: &str| (id == key.id()).then(|| SecretKey::new(key.secret()));
    signature::verify(&head, envelope, lookup, machine_seconds()).map(drop)
}

/// Machine time: worker and server have the same clock, and it is never stepped.
#[expect(
    clippy::disallowed_methods,
    reason = "a signature's age is between two processes, not WeChat's"
)]
fn machine_seconds() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl Asked<'_> {
    /// Keeps what the request came to, for the record of the call.
    fn record(&self, what: String, code: impl Into<i64>, text: impl Into<String>) {
        let took = self.since.elapsed();
        self.invocation.made(CloudCall {
            what,
            code: code.into(),
            text: text.into(),
            at: self.invocation.age().saturating_sub(took),
            took,
            exchange: self.exchange().take(),
        });
    }

    /// Keeps what is sent and what comes back, if anybody will look.
    fn keep(&self, exchange: impl FnOnce() -> Exchange) {
        if self.inner.journal.keeps_exchanges() {
            *self.exchange() = Some(exchange());
        }
    }

    fn exchange(&self) -> MutexGuard<'_, Option<Exchange>> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps that a request was refused by the cloud itself, and tells the operator why.
    fn refused(&self, what: &str, code: i32, why: &str) {
        let text = openapi::code::text(code).unwrap_or_default();
        self.record(what.to_owned(), code, text);
        self.inner.journal.note(&Note {
            request_id: &self.invocation.request_id,
            openid: self.invocation.openid(),
            text: &format_args!("{what} in {}: {why}", self.invocation.site.name),
        });
    }
}
