//! The seam: what stands behind the doors.

use std::{error::Error, future::Future, pin::Pin};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use tcb::{Action, SdkReply, SdkRequest};

use crate::CloudRequest;

/// What must be shown before an action is answered. Every request is signed with the key pair of the worker that it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The token of a call that this worker runs: the answer may depend on who called the function.
    Call,
    /// The same; of an SDK too old to send any token (wx-server-sdk up to 0.1.4), that the worker runs one call alone, which is then the one
    /// that asks. A token that is empty or void is no missing one.
    KnownCall,
    /// That it comes from a worker is enough. The oldest SDKs send no token with some actions.
    Worker,
}

/// One thing that functions can ask for.
pub trait Capability: Send + Sync + 'static {
    /// What it wants to see before it answers this action; `None` if the action is not one of its own.
    fn proof(&self, action: &Action<'_>) -> Option<Proof>;

    /// Takes what it needs of the request, and gives what will answer it. The request's body is dropped before that is polled:
    /// what is kept of it is the capability's own, and counts as the room that `asked` holds, until that is
    /// [given back](CloudRequest::give_back_room).
    fn answer(&self, request: &SdkRequest<'_>, asked: CloudRequest) -> Answering;
}

/// What will answer a request.
pub type Answering = Pin<Box<dyn Future<Output = CloudAnswer> + Send>>;

/// The body of an answer; it may come bit by bit.
pub type CloudAnswerBody = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;

/// An answer. HTTP's status is 200 whatever it says: the SDK throws the body of any other away.
#[derive(Debug)]
pub struct CloudAnswer {
    /// The header `content-type`, by which the SDK tells a failure from a message.
    pub content_type: &'static str,
    /// The body.
    pub body: CloudAnswerBody,
}

impl From<SdkReply> for CloudAnswer {
    fn from(reply: SdkReply) -> Self {
        let body = Full::new(Bytes::from(reply.body)).map_err(|never| match never {});
        Self {
            content_type: reply.content_type,
            body: body.boxed_unsync(),
        }
    }
}

/// An answer that is known already.
pub(crate) fn at_once(reply: SdkReply) -> Answering {
    Box::pin(std::future::ready(reply.into()))
}
