//! `GET|POST /v1/push`: is it WeChat, what does it say, and what is it answered.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header::X_CONTENT_TYPE_OPTIONS, request::Parts};
use mailbox::NotTaken;
use push::{PushQuery, PushRefusal, PushReply, Vouched};
use rand::RngExt;
use tcb::codes;
use wording::wording;

use super::{ANSWER_WITHIN, Pushes, not_set_up};
use crate::{
    Inner, Note,
    body::{self, BodyPolicy, BodySender, Content, UnreadBody},
    failure::Failure,
    reply::{self, HttpReply},
};

/// Where WeChat's servers call.
pub(crate) const PATH: &str = "/v1/push";

/// A push of whoever knows the Token. WeChat waits five seconds in all for its answer.
const SIGNED_BODY: BodyPolicy = BodyPolicy {
    most: push::MAX_BODY,
    within: Duration::from_secs(10),
    content: Content::Any,
    times: 1,
};
/// A push of which only its body can say who sent it.
const UNSIGNED_BODY: BodyPolicy = BodyPolicy {
    most: body::LARGEST_OF_STRANGER,
    ..SIGNED_BODY
};
/// To whom the memory for signed pushes is counted.
const WECHAT: &str = "message push";

/// Answers one request, whose method is GET, HEAD or POST.
///
/// # Errors
/// 403 for what is not from WeChat, 404 where no push is received, and what hinders one from being taken.
pub(crate) async fn answer(
    inner: &Arc<Inner>,
    request_id: &str,
    head: &Parts,
    body: &mut UnreadBody,
) -> Result<HttpReply, Failure> {
    let arrived = Instant::now();
    let pushes = inner.push.as_ref().ok_or_else(not_set_up)?;
    let push::PushReplyBody { content_type, text } =
        enter(inner, pushes, request_id, head, body, arrived).await?;
    let content_type = HeaderValue::from_static(content_type);
    let mut reply = reply::typed(StatusCode::OK, content_type, Bytes::from(text));
    // What is echoed is text, whatever it looks like.
    let nosniff = HeaderValue::from_static("nosniff");
    reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, nosniff);
    Ok(reply)
}

async fn enter(
    inner: &Arc<Inner>,
    pushes: &Pushes,
    request_id: &str,
    head: &Parts,
    body: &mut UnreadBody,
    arrived: Instant,
) -> Result<push::PushReplyBody, Failure> {
    let refused = |refusal: PushRefusal| refuse(pushes, &refusal);
    let receiver = &pushes.receiver;
    let query =
        PushQuery::parse(head.uri.query().unwrap_or_default()).map_err(|error| refused(error.into()))?;
    if head.method != Method::POST {
        let echo = receiver.verify_url(&query, inner.clock.now()).map_err(refused)?;
        return Ok(push::PushReplyBody {
            content_type: "text/plain; charset=utf-8",
            text: echo.to_owned(),
        });
    }
    let (policy, sender) = match receiver.judge_query(&query, inner.clock.now()).map_err(refused)? {
        Vouched::BySignature => (&SIGNED_BODY, BodySender::Known(WECHAT)),
        Vouched::ByNothing => (&UNSIGNED_BODY, BodySender::Stranger),
    };
    let body = body.read(policy, sender, &inner.budget).await?;
    let packet = receiver
        .receive(&query, &body.bytes, inner.clock.now())
        .map_err(refused)?;
    drop(body);
    // XML can become longer as JSON, and what is kept must be read again.
    if packet.as_json().len() > push::MAX_BODY {
        return Err(Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            codes::INVALID_PARAM,
            "the packet is over 1 MB as JSON",
        ));
    }
    let within = ANSWER_WITHIN.saturating_sub(arrived.elapsed());
    let taken = pushes.mailbox.take(request_id, packet, within).await;
    let reply = taken.map_err(not_taken)?;
    let answer = |reply: &PushReply| {
        let random = rand::rng().random();
        pushes.receiver.answer(reply, &query, inner.clock.now(), random)
    };
    answer(&reply)
        .or_else(|error| {
            inner.journal.note(&Note {
                request_id,
                openid: None,
                text: &wording!(
                    "what a function answered to a push cannot be written in this format, and WeChat was answered success: {error}",
                    "云函数对推送的返回值无法写成该格式，已向微信应答 success：{error}"
                ),
            });
            // The function has done its work.
            answer(&PushReply::Success)
        })
        .map_err(|_| Failure::internal())
}

/// Whoever sent it is told no more than that it is refused: it may be anybody. **Choice**: 403 and the official sample's
/// number for a bad signature; no document says how a server refuses.
fn refuse(pushes: &Pushes, refusal: &PushRefusal) -> Failure {
    pushes.mailbox.count_refused();
    let code = refusal.code();
    Failure::new(
        StatusCode::FORBIDDEN,
        push::codes::BAD_SIGNATURE,
        "the push is refused; the log says why",
    )
    .because(wording!(
        "a push was refused ({code}): {refusal}",
        "一条推送被拒绝（{code}）：{refusal}"
    ))
}

fn not_taken(why: NotTaken) -> Failure {
    match why {
        NotTaken::TooMany => Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            codes::EXCEED_CONCURRENT,
            "too many pushes are waiting",
        )
        .because(why.wording()),
        // Why, the mailbox has told.
        _ => Failure::internal(),
    }
}
