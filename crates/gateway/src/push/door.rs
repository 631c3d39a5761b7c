//! `GET|POST /v1/push`: is it WeChat, what does it say, and what is it answered.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use push::{Packet, Query, Refusal, Reply};
use rand::RngExt;
use tcb::codes;
use tokio::sync::watch;

use super::table::{Entered, Outcome, Stage};
use super::{ANSWER_WITHIN, MOST_OPEN, Pushes, count, delivery, not_set_up};
use crate::failure::Failure;
use crate::{Inner, Note, body, ids, routes};

/// Where WeChat's servers call.
pub(crate) const PATH: &str = "/v1/push";

/// Answers one request. Never fails: what goes wrong is an answer too.
pub(crate) async fn answer(inner: &Arc<Inner>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let arrived = Instant::now();
    let request_id = ids::request_id();
    let (head, incoming) = request.into_parts();
    let answered = match &inner.push {
        Some(pushes) => enter(inner, pushes, &request_id, &head, incoming, arrived).await,
        None => {
            body::discard(incoming, 0).await;
            Err(not_set_up())
        }
    };
    let mut reply = match answered {
        Ok(body) => {
            let mut reply = Response::new(Full::new(Bytes::from(body.text)));
            reply
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(body.content_type));
            reply
        }
        Err(failure) => {
            let mut reply = Response::new(Full::new(Bytes::from(failure.write(&request_id))));
            *reply.status_mut() = failure.status;
            let headers = reply.headers_mut();
            headers.insert(CONTENT_TYPE, routes::JSON);
            if let Some(method) = failure.allow {
                headers.insert(ALLOW, HeaderValue::from_static(method));
            }
            if failure.status == StatusCode::PAYLOAD_TOO_LARGE {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            reply
        }
    };
    // What is echoed is text, whatever it looks like.
    reply
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    reply
}

async fn enter(
    inner: &Arc<Inner>,
    pushes: &Pushes,
    request_id: &str,
    head: &Parts,
    incoming: Incoming,
    arrived: Instant,
) -> Result<push::Body, Failure> {
    let refused = |refusal: &Refusal| refuse(inner, pushes, request_id, refusal);
    let query = Query::parse(head.uri.query().unwrap_or_default());
    let query = match query {
        Ok(query) if head.method == Method::POST => query,
        query => {
            body::discard(incoming, 0).await;
            if !matches!(head.method, Method::GET | Method::POST) {
                return Err(Failure::method("GET, POST"));
            }
            let query = query.map_err(|error| refused(&error.into()))?;
            let echo = pushes
                .receiver
                .verify_url(&query, inner.clock.now())
                .map_err(|refusal| refused(&refusal))?;
            return Ok(push::Body {
                content_type: "text/plain; charset=utf-8",
                text: echo.to_owned(),
            });
        }
    };
    let body = body::read(incoming, &inner.large_bodies).await?;
    let packet = pushes
        .receiver
        .receive(&query, &body.bytes, inner.clock.now())
        .map_err(|refusal| refused(&refusal))?;
    drop(body);
    // XML can become longer as JSON, and what is kept must be read again.
    if packet.as_json().len() > push::MAX_BODY {
        return Err(Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            codes::INVALID_PARAM,
            "the packet is over 1 MB as JSON",
        ));
    }
    let reply = take(inner, pushes, request_id, packet, arrived).await?;
    let answer = |reply: &Reply| {
        let random = rand::rng().random();
        pushes.receiver.answer(reply, &query, inner.clock.now(), random)
    };
    answer(&reply)
        .or_else(|error| {
            inner.journal.note(&Note {
                request_id,
                openid: None,
                text: &format_args!(
                    "what a function answered to a push cannot be written in this format, and WeChat was answered success: {error}"
                ),
            });
            // The function has done its work.
            answer(&Reply::Success)
        })
        .map_err(|_| Failure::internal())
}

/// Whoever sent it is told no more than that it is refused: it may be anybody. **Choice**: 403 and the official sample's
/// number for a bad signature; no document says how a server refuses.
fn refuse(inner: &Inner, pushes: &Pushes, request_id: &str, refusal: &Refusal) -> Failure {
    count(&pushes.counts.refused);
    inner.journal.note(&Note {
        request_id,
        openid: None,
        text: &format_args!("a push was refused ({}): {refusal}", refusal.code()),
    });
    Failure::new(
        StatusCode::FORBIDDEN,
        push::codes::BAD_SIGNATURE,
        "the push is refused; the log says why",
    )
}

/// Takes a packet in, and waits for what it comes to, as long as WeChat waits.
async fn take(
    inner: &Arc<Inner>,
    pushes: &Pushes,
    request_id: &str,
    packet: Packet,
    arrived: Instant,
) -> Result<Reply, Failure> {
    if pushes.target(&packet).is_none() {
        pushes.tell_unrouted(inner, request_id, &packet);
        return Ok(Reply::Success);
    }
    let key = packet.key().to_string();
    let Some(Entered { item, is_new, lane }) = pushes.table.enter(key, packet, MOST_OPEN) else {
        inner.journal.note(&Note {
            request_id,
            openid: None,
            text: &format_args!(
                "{MOST_OPEN} pushes are waiting for their functions; a further one was not taken"
            ),
        });
        return Err(Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            codes::EXCEED_CONCURRENT,
            "too many pushes are waiting",
        ));
    };
    let mut stage = item.stage.subscribe();
    let ended = stage.borrow().ended;
    if is_new {
        // Whatever becomes of the request, the push takes its course.
        tokio::spawn(delivery::store(Arc::clone(inner), Arc::clone(&item)));
        if let Some(lane) = lane {
            tokio::spawn(delivery::walk(Arc::clone(inner), lane));
        }
    } else {
        count(&pushes.counts.duplicates);
        if stage.borrow().resting {
            item.hurry.notify_waiters();
        }
    }
    let within = ANSWER_WITHIN.saturating_sub(arrived.elapsed());
    match tokio::time::timeout(within, outcome(&mut stage, ended)).await {
        Ok(Outcome::Answer(reply)) => Ok(reply),
        Ok(Outcome::Failed) => Err(Failure::internal()),
        Err(_) if stage.borrow().stored.is_some() => Ok(Reply::Success),
        // The store has not said that it has it: WeChat keeps it, and sends it again.
        Err(_) => Err(Failure::internal()),
    }
}

/// What the next attempt comes to.
async fn outcome(stage: &mut watch::Receiver<Stage>, ended: u32) -> Outcome {
    match stage.wait_for(|stage| stage.over || stage.ended > ended).await {
        Ok(stage) => stage.outcome.clone().unwrap_or(Outcome::Failed),
        Err(_) => Outcome::Failed,
    }
}
