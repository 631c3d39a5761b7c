//! The doors that every request passes before anything acts on it.
//!
//! It is a request of the SDK's (`tcb::Envelope`), and it is signed with the key pair of the worker whose socket it came by. Where
//! its action wants that, its token is that of a running call, and that call runs on that worker. What the function says of
//! itself counts for nothing from there on.
//!
//! A function may end before what it began has left: many call `db.collection('a').add(…)` and do not await it. On the platform
//! that is done all the same, as long as the process lives, and so it is here: the token of a call that ended a moment ago
//! still leads to it, where its function's worker does nothing else. Whoever runs it is told to await it.

use std::{
    convert::Infallible,
    fmt::Display,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use calls::{Invocation, Note, ids};
use http::{HeaderValue, Request, Response, header::CONTENT_TYPE, request::Parts};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use runtime::{Connection, Peer};
use tcb::{
    Action, Envelope, SdkReply, SdkRequest, codes, reply,
    signature::{self, Head, SecretKey, SignatureError},
};
use tokio::sync::mpsc;
use wording::{Wording, wording};

use crate::{
    Capability, CloudAnswer, CloudAnswerBody, CloudRequest, FileDoor, Inner, Proof, ServerKeys, WeakCloud,
    request::INVALID_TOKEN,
    room::{BodyError, HeldRoom},
};

/// How long after its end a call may still ask the cloud for what it did not await: a choice, for no page says it.
const AFTERWARDS: Duration = Duration::from_secs(10);
/// How long the rest of a body that is not wanted is read, and dropped as it comes, before the answer is given. A file of 20 GB comes
/// from a worker in this time.
const REST_WITHIN: Duration = Duration::from_secs(30);

/// Serves the workers' connections until there can be no more.
pub(crate) async fn serve(cloud: WeakCloud, mut connections: mpsc::Receiver<Connection>) {
    while let Some(Connection { stream, worker }) = connections.recv().await {
        let cloud = WeakCloud::clone(&cloud);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let (cloud, worker) = (cloud.upgrade(), worker.clone());
                async move {
                    Ok::<_, Infallible>(match cloud {
                        Some(cloud) => answer(&cloud, &worker, request).await,
                        // The server is gone, and the worker will be in a moment.
                        None => Response::new(CloudAnswerBody::default()),
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

fn http_reply(answer: CloudAnswer) -> Response<CloudAnswerBody> {
    let mut response = Response::new(answer.body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    response
}

/// Why a request was not let in: what the function is told, and what the operator is.
struct AdminRefusal {
    code: i32,
    text: String,
    why: Wording,
}

impl AdminRefusal {
    fn new(code: i32, text: impl Into<String>, why: Wording) -> Self {
        Self {
            code,
            text: text.into(),
            why,
        }
    }

    /// The function and the operator are told the same.
    fn openly(code: i32, why: impl Display) -> Self {
        let text = why.to_string();
        Self::new(code, text, Wording::as_is(why))
    }
}

/// Answers a request, once its body has come: whoever is answered sooner may not see it. Node goes on to write, meets a socket that
/// is closed, and that ends the process of the function, with every call in it.
async fn answer(cloud: &Arc<Inner>, worker: &Peer, request: Request<Incoming>) -> Response<CloudAnswerBody> {
    let (head, mut body) = request.into_parts();
    let response = judge(cloud, worker, &head, &mut body).await;
    // What was wanted of it was read.
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    if tokio::time::timeout(REST_WITHIN, rest).await.is_err() {
        tracing::debug!("a request of a worker came to no end");
    }
    response
}

async fn judge(
    cloud: &Arc<Inner>,
    worker: &Peer,
    head: &Parts,
    body: &mut Incoming,
) -> Response<CloudAnswerBody> {
    let request_id = ids::request_id();
    if FileDoor::takes(head.uri.path()) {
        return transfer(cloud, worker, head, body, &request_id).await;
    }
    let answering = match cloud.room.read(body).await {
        Ok((body, room)) => let_in(cloud, worker, head, &body, room, &request_id),
        Err(unread) => Err(not_read(unread)),
    };
    // The body is gone by now; what is kept of it is the capability's own.
    http_reply(match answering {
        Ok(answering) => answering.await,
        Err(refused) => refuse(cloud, worker, &request_id, &refused).into(),
    })
}

/// A file that comes or goes by itself, at an address that was given out before. Such a request has no fields and no
/// signature: that it comes from a worker's own process is all that is known of it, and what it may do stands in the address.
async fn transfer(
    cloud: &Inner,
    worker: &Peer,
    head: &Parts,
    body: &mut Incoming,
    request_id: &str,
) -> Response<CloudAnswerBody> {
    let mut asked = CloudRequest::new(cloud.calls.clone(), request_id.to_owned(), name_of(worker), None);
    if let Some((call, left)) = only_call(cloud, worker) {
        asked = asked.with_call(call, left);
    }
    let reply = cloud.door.answer(head, body, request_id).await;
    if let Some(why) = reply.why {
        let what = format!("{} of a file", head.method);
        asked.refused(&what, codes::STORAGE_REQUEST_FAIL, &why, &Wording::as_is(&why));
    }
    reply.response
}

/// Answers another server of the owner's, whose request came by no worker's socket: it is signed with one of the key pairs that such
/// servers have, and may do what functions may.
pub(crate) async fn answer_server(
    cloud: &Arc<Inner>,
    keys: &ServerKeys,
    head: &Parts,
    body: &[u8],
    request_id: &str,
) -> CloudAnswer {
    match let_server_in(cloud, keys, head, body, request_id) {
        Ok(answering) => answering.await,
        Err(refused) => {
            let why = &refused.why;
            cloud.calls.journal().note(&Note {
                request_id,
                openid: None,
                text: &wording!("a request of another server was refused: {why}", "另一台服务器的请求被拒绝：{why}"; why),
            });
            reply::failure(request_id, refused.code, &refused.text).into()
        }
    }
}

fn let_server_in(
    cloud: &Arc<Inner>,
    keys: &ServerKeys,
    head: &Parts,
    body: &[u8],
    request_id: &str,
) -> Result<crate::Answering, AdminRefusal> {
    let content_type = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let envelope = Envelope::parse(content_type.unwrap_or_default(), body)
        .map_err(|error| AdminRefusal::openly(error.code(), error))?;
    let verified = verify(head, &envelope, |id| keys.0.get(id).cloned());
    verified.map_err(|error| {
        let text = codes::text(error.code()).unwrap_or_default();
        AdminRefusal::new(error.code(), text, Wording::as_is(error))
    })?;
    let request = SdkRequest::read(&envelope).map_err(|error| AdminRefusal::openly(error.code(), error))?;
    let (capability, _) = capability_for(cloud, &request)?;
    let asked = CloudRequest::of_server(cloud.calls.clone(), request_id.to_owned());
    Ok(capability.answer(&request, asked))
}

fn not_read(unread: BodyError) -> AdminRefusal {
    match unread {
        BodyError::TooLarge => AdminRefusal::openly(
            codes::INVALID_PARAM,
            format_args!(
                "Check request parameter fail: the request's body is over {} MB",
                tcb::MAX_BODY >> 20
            ),
        ),
        BodyError::Broken(error) => AdminRefusal::openly(
            codes::INVALID_PARAM,
            format_args!("the request's body could not be read: {error}"),
        ),
        BodyError::Crowded => AdminRefusal::openly(
            codes::EXCEED_CONCURRENT,
            "too many large requests of functions to the cloud at once: send fewer side by side",
        ),
    }
}

fn refuse(cloud: &Inner, worker: &Peer, request_id: &str, refused: &AdminRefusal) -> SdkReply {
    let (name, why) = (name_of(worker), &refused.why);
    cloud.calls.journal().note(&Note {
        request_id,
        openid: None,
        text: &wording!("a request of {name} to the cloud was refused: {why}", "{name} 对云端的请求被拒绝：{why}"; why),
    });
    reply::failure(request_id, refused.code, &refused.text)
}

fn name_of(worker: &Peer) -> String {
    let function = worker.function();
    function.map_or_else(|| "a worker".to_owned(), |name| name.to_string())
}

/// Judges a request, and hands it to the capability whose action it is.
fn let_in(
    cloud: &Arc<Inner>,
    worker: &Peer,
    head: &Parts,
    body: &[u8],
    room: HeldRoom,
    request_id: &str,
) -> Result<crate::Answering, AdminRefusal> {
    let content_type = head
        .headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let envelope = Envelope::parse(content_type.unwrap_or_default(), body)
        .map_err(|error| AdminRefusal::openly(error.code(), error))?;
    let key = worker.key();
    let lookup = |id: &str| (id == key.id()).then(|| SecretKey::new(key.secret()));
    verify(head, &envelope, lookup).map_err(|error| {
        // Outside of a call the SDK signs what it does not have then.
        let too_late = late_call(cloud, head, envelope.api_token());
        too_late.unwrap_or_else(|| {
            let text = codes::text(error.code()).unwrap_or_default();
            AdminRefusal::new(error.code(), text, Wording::as_is(error))
        })
    })?;
    let request = SdkRequest::read(&envelope).map_err(|error| AdminRefusal::openly(error.code(), error))?;
    let (capability, proof) = capability_for(cloud, &request)?;
    let asked = CloudRequest::new(
        cloud.calls.clone(),
        request_id.to_owned(),
        name_of(worker),
        Some(room),
    );
    let asked = match (proof, call_of(cloud, worker, head, &envelope)) {
        (_, Ok((call, left))) => asked.with_call(call, left),
        (proof, Err(refused)) => match (not_awaited(cloud, worker, head, &envelope), proof) {
            (Some((call, left)), _) => asked.after_call(call, left),
            (None, Proof::Call) => return Err(refused),
            (None, Proof::KnownCall) => match only_call(cloud, worker) {
                Some((call, left)) if !envelope.has_token_field() => asked.with_call(call, left),
                _ => return Err(refused),
            },
            (None, Proof::Worker) => match only_call(cloud, worker) {
                Some((call, left)) => asked.with_call(call, left),
                None => asked,
            },
        },
    };
    Ok(capability.answer(&request, asked))
}

fn capability_for<'a>(
    cloud: &'a Inner,
    request: &SdkRequest<'_>,
) -> Result<(&'a dyn Capability, Proof), AdminRefusal> {
    let action = request.action();
    let mut capabilities = cloud.capabilities.iter();
    let found = capabilities.find_map(|capability| Some((&**capability, capability.proof(&action)?)));
    found.ok_or_else(|| {
        let why = match action {
            Action::Named(name) => format!("there is no action {name:?}"),
            Action::Service(name) => format!("there is no service {name:?}"),
            other => format!("nothing answers {other:?}"),
        };
        AdminRefusal::openly(codes::INVALID_PARAM, why)
    })
}

type RunningCall = (Arc<Invocation>, Option<Duration>);

/// The call that a request was made from, by its token, if this worker runs it; and how much of its time is left.
fn call_of(
    cloud: &Inner,
    worker: &Peer,
    head: &Parts,
    envelope: &Envelope<'_>,
) -> Result<RunningCall, AdminRefusal> {
    let invocations = cloud.calls.invocations();
    let token = envelope.api_token();
    if let Some(call) = token.and_then(|token| invocations.find(token))
        && let Some(running) = worker.running(call.id)
    {
        return Ok((call, running.left));
    }
    Err(late_call(cloud, head, token).unwrap_or_else(|| {
        of_no_call(match token {
            None => wording!(
                "it has no wxCloudApiToken: it was begun outside of a call, or the function replaced WX_API_TOKEN",
                "它没有 wxCloudApiToken：请求在调用之外发起，或云函数改写了 WX_API_TOKEN"
            ),
            Some(_) => wording!(
                "its wxCloudApiToken is of no call that this worker runs",
                "它的 wxCloudApiToken 不属于这个实例正在执行的调用"
            ),
        })
    }))
}

/// The call that began a request and did not await it, by its token, if this worker's function ran it until a moment ago and
/// the worker runs nothing now; and how much longer it may go on.
fn not_awaited(
    cloud: &Inner,
    worker: &Peer,
    head: &Parts,
    envelope: &Envelope<'_>,
) -> Option<(Arc<Invocation>, Duration)> {
    let token = envelope.api_token()?;
    let invocations = cloud.calls.invocations();
    let ended = invocations.find_ended(|ended| ended.had_token(token))?;
    let since = Instant::now().saturating_duration_since(ended.at);
    let left = AFTERWARDS.checked_sub(since)?;
    let name = worker.function()?;
    let works = |call: &Arc<Invocation>| worker.running(call.id).is_some();
    if name != ended.invocation.site.name || invocations.of_function(name.as_str()).iter().any(works) {
        return None;
    }
    let place = LateRequest::read(head).place;
    if cloud.tells_first(format!("{name} {place}")) {
        let place = match place.as_str() {
            "" => Wording::default(),
            place => wording!(" at {place:?}", "（位于 {place:?}）"),
        };
        cloud.calls.journal().note(&Note {
            request_id: &ended.invocation.request_id,
            openid: ended.invocation.openid(),
            text: &wording!(
                "{name} began a request to the cloud{place} and did not await it: it is made after the call has ended. Await it, or it may \
                 get lost on the platform, and whoever called cannot know when it is done",
                "{name} 发起了对云端的请求{place}却没有 await：它在调用结束之后才执行。请加上 await，否则在平台上可能丢失，调用方也不知道何时完成";
                place
            ),
        });
    }
    Some((ended.invocation, left))
}

/// What is said of a request that was begun in a call and not awaited, if it is one.
fn late_call(cloud: &Inner, head: &Parts, token: Option<&str>) -> Option<AdminRefusal> {
    let late = LateRequest::read(head);
    let invocations = cloud.calls.invocations();
    let ended = invocations.find_ended(|ended| {
        token.is_some_and(|token| ended.had_token(token)) || ended.invocation.request_id == late.request_id
    })?;
    let since = Instant::now().saturating_duration_since(ended.at).as_millis();
    let place = match late.place.as_str() {
        "" => wording!(
            " (call it again, and the line is told)",
            "（再调用一次即可得知在哪一行）"
        ),
        place => wording!(" at {place:?}", "（位于 {place:?}）"),
    };
    let (id, name) = (&ended.invocation.request_id, &ended.invocation.site.name);
    Some(of_no_call(wording!(
        "it was begun{place} in call {id} of {name}, which had ended {since} ms before: await it",
        "它在 {name} 的调用 {id} 中发起{place}，而该调用已在 {since} 毫秒前结束：请加上 await";
        place
    )))
}

fn of_no_call(why: Wording) -> AdminRefusal {
    AdminRefusal::new(codes::INVALID_PARAM, format!("{INVALID_TOKEN}: {why}"), why)
}

/// What the worker says of a request that no running call makes. The function can say so too: it decides nothing.
#[derive(Default)]
struct LateRequest {
    /// Of the call that ended last there, or of the one that began the request.
    request_id: String,
    /// The line of the function that makes it, if it is known.
    place: String,
}

impl LateRequest {
    fn read(head: &Parts) -> Self {
        let mut late = Self::default();
        let said = head
            .headers
            .get("x-yunqiao-late")
            .map_or(&[][..], HeaderValue::as_bytes);
        for (name, value) in form_urlencoded::parse(said) {
            match &*name {
                "id" => late.request_id = value.into_owned(),
                "at" => late.place = value.into_owned(),
                _ => {}
            }
        }
        late
    }
}

/// The call that a request without token must have been made from, where the worker runs one alone.
fn only_call(cloud: &Inner, worker: &Peer) -> Option<RunningCall> {
    let function = worker.function()?;
    let calls = cloud.calls.invocations().of_function(function.as_str());
    let mut running = calls.into_iter().filter_map(|call| {
        let left = worker.running(call.id)?.left;
        Some((call, left))
    });
    let only = running.next()?;
    running.next().is_none().then_some(only)
}

/// Whether the request was signed with the key that `lookup` finds by its id.
fn verify(
    head: &Parts,
    envelope: &Envelope<'_>,
    lookup: impl Fn(&str) -> Option<SecretKey>,
) -> Result<(), SignatureError> {
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
