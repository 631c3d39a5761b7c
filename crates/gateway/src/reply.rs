//! What every listener answers: one type of reply, and the one place where a failure becomes one.
//!
//! A reply is an `http::Response` whose body is a [`ReplyBody`]: bytes, a stream that ends, or events that do not.
//! A door gives it, or a [`Failure`]; [`settle`] turns the latter into the reply that programs test for, and tells the
//! journal the cause, which no client sees.

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use calls::{Journal, Note};
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame, SizeHint};
use serde::Serialize;

use crate::failure::Failure;

/// What JSON is sent as.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// What a door answers.
pub(crate) type HttpReply = Response<ReplyBody>;

/// Why a body did not come to its end.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// The body of a reply of any listener.
#[derive(Default)]
pub struct ReplyBody(Content);

#[derive(Default)]
enum Content {
    /// Nothing, or nothing any more.
    #[default]
    Empty,
    Bytes(Bytes),
    Stream(UnsyncBoxBody<Bytes, BodyError>),
    Events(UnsyncBoxBody<Bytes, BodyError>),
}

impl ReplyBody {
    /// A body that comes piece by piece, and ends. When the server is told to stop it is waited for, as a call is. One that
    /// fails breaks the connection off.
    pub fn stream<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        Self(Content::Stream(body.map_err(Into::into).boxed_unsync()))
    }

    /// Events that go on for as long as somebody listens. They end when the server is told to stop.
    pub fn events(body: impl Body<Data = Bytes, Error = Infallible> + Send + 'static) -> Self {
        Self(Content::Events(
            body.map_err(|never| match never {}).boxed_unsync(),
        ))
    }

    /// Whether it does not end by itself.
    pub(crate) fn is_endless(&self) -> bool {
        matches!(self.0, Content::Events(_))
    }
}

impl From<Bytes> for ReplyBody {
    fn from(bytes: Bytes) -> Self {
        match bytes.is_empty() {
            true => Self(Content::Empty),
            false => Self(Content::Bytes(bytes)),
        }
    }
}

/// One that comes piece by piece, and is on the heap already.
impl From<UnsyncBoxBody<Bytes, BodyError>> for ReplyBody {
    fn from(body: UnsyncBoxBody<Bytes, BodyError>) -> Self {
        Self(Content::Stream(body))
    }
}

impl fmt::Debug for ReplyBody {
    /// Without what is in it, which may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Content::Empty => "ReplyBody(empty)",
            Content::Bytes(_) => "ReplyBody(bytes)",
            Content::Stream(_) => "ReplyBody(stream)",
            Content::Events(_) => "ReplyBody(events)",
        })
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Content::Stream(body) | Content::Events(body) => Pin::new(body).poll_frame(context),
            content => Poll::Ready(match std::mem::take(content) {
                Content::Bytes(bytes) => Some(Ok(Frame::data(bytes))),
                _ => None,
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Empty => true,
            Content::Bytes(_) => false,
            Content::Stream(body) | Content::Events(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Empty => SizeHint::with_exact(0),
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(body) | Content::Events(body) => body.size_hint(),
        }
    }
}

/// A reply of this type.
pub(crate) fn typed(status: StatusCode, content_type: HeaderValue, body: impl Into<ReplyBody>) -> HttpReply {
    let mut reply = Response::new(body.into());
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

/// A success with JSON.
pub(crate) fn json(body: Bytes) -> HttpReply {
    typed(StatusCode::OK, JSON, body)
}

/// The JSON text of a successful reply.
pub(crate) fn to_json(answer: &impl Serialize) -> Result<Bytes, Failure> {
    serde_json::to_vec(answer)
        .map(Bytes::from)
        .map_err(|_| Failure::internal())
}

/// What goes back: the reply as it is, or the failure as JSON. The cause of a failure goes to the journal, and nowhere else.
pub(crate) fn settle(
    journal: &dyn Journal,
    request_id: &str,
    answer: Result<HttpReply, Failure>,
) -> HttpReply {
    answer.unwrap_or_else(|failure| {
        let body = tell(journal, request_id, &failure);
        let mut reply = typed(failure.status, JSON, body);
        reply.headers_mut().extend(failure.headers);
        reply
    })
}

/// As [`settle`], for whoever shows the answer instead of sending it: its status and its JSON.
pub(crate) fn settle_json(
    journal: &dyn Journal,
    request_id: &str,
    answer: Result<Bytes, Failure>,
) -> (StatusCode, Bytes) {
    match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(failure) => (failure.status, tell(journal, request_id, &failure)),
    }
}

/// Tells the journal the cause of a failure, and gives the JSON that the client is told.
fn tell(journal: &dyn Journal, request_id: &str, failure: &Failure) -> Bytes {
    if let Some(cause) = &failure.cause {
        journal.note(&Note {
            request_id,
            openid: cause.openid.as_deref(),
            text: &cause.text,
        });
    }
    failure.write(request_id).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Mutex;

    use calls::CallRecord;
    use http_body_util::Full;
    use wording::wording;

    use super::*;

    /// Keeps the notes as text.
    #[derive(Default)]
    struct Notes(Mutex<Vec<String>>);

    impl Journal for Notes {
        fn call(&self, _: &CallRecord<'_>) {}

        fn note(&self, note: &Note<'_>) {
            let text = format!("{} {:?} {}", note.request_id, note.openid, note.text);
            self.0.lock().unwrap().push(text);
        }
    }

    async fn read(reply: HttpReply) -> String {
        let bytes = reply.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn the_client_reads_one_text_and_the_log_the_other() {
        let notes = Notes::default();
        let failure = Failure::internal()
            .because(wording!("the disk is full", "磁盘已满"))
            .of_user("alice");
        let reply = settle(&notes, "r", Err(failure));
        assert_eq!(reply.status(), 500);
        assert_eq!(reply.headers()[CONTENT_TYPE], "application/json; charset=utf-8");
        assert_eq!(
            read(reply).await,
            r#"{"errCode":-501001,"errMsg":"internal error","requestID":"r"}"#
        );
        assert_eq!(*notes.0.lock().unwrap(), ["r Some(\"alice\") the disk is full"]);
    }

    #[tokio::test]
    async fn headers_go_with_the_status_that_wants_them() {
        let notes = Notes::default();
        for (failure, name, value) in [
            (Failure::method("GET, HEAD"), "allow", "GET, HEAD"),
            (Failure::too_large("x"), "connection", "close"),
            (Failure::too_many("x", 3), "retry-after", "3"),
            (Failure::no_operator("x"), "www-authenticate", "Bearer"),
        ] {
            let reply = settle(&notes, "r", Err(failure));
            assert_eq!(reply.headers()[name], value);
        }
        assert!(notes.0.lock().unwrap().is_empty(), "none of them has a cause");
    }

    #[tokio::test]
    async fn a_body_is_what_it_was_made_of() {
        let empty = json(Bytes::new());
        assert!(empty.body().is_end_stream() && empty.body().size_hint().exact() == Some(0));
        let bytes = json(Bytes::from_static(b"{}"));
        assert_eq!(bytes.body().size_hint().exact(), Some(2));
        assert_eq!(read(bytes).await, "{}");
        let stream = ReplyBody::stream(Full::new(Bytes::from("ab")));
        assert!(!stream.is_endless());
        assert_eq!(read(Response::new(stream)).await, "ab");
        assert!(ReplyBody::events(Full::new(Bytes::from("x"))).is_endless());
    }
}
