//! The seam to what deals with pushes: in the server, [`Calls`]; in a test, whatever the test wants.

use calls::{Caller, Calls, FailureKind, Note, ids};
use function::FunctionName;
use push::Packet;
use store::BoxFuture;
use tcb::Event;
use wording::Wording;

/// Calls functions for pushes, and tells the operator.
pub trait Functions: Send + Sync + 'static {
    /// Calls a function with the packet alone. `attempt` is the number of this call among those for the push, from 1.
    fn call<'a>(
        &'a self,
        function: &'a FunctionName,
        packet: &'a Packet,
        attempt: u32,
    ) -> BoxFuture<'a, FunctionAnswer>;

    /// Tells what an operator should know. Must not wait.
    fn note(&self, note: &PushNote<'_>);
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FunctionAnswer {
    /// The function returned.
    Returned {
        /// The `requestID` of the call.
        request_id: String,
        /// What, as JSON; empty for `undefined`.
        json: String,
    },
    /// It was not called: no worker was free.
    Busy(String),
    /// It did not return, or could not be called.
    Failed(String),
}

/// Something that an operator should know.
pub struct PushNote<'a> {
    /// The request or call that it is about, if it is about one.
    pub request_id: Option<&'a str>,
    /// The user, if it is about one.
    pub openid: Option<&'a str>,
    /// The text.
    pub text: &'a Wording,
}

impl Functions for Calls {
    fn call<'a>(
        &'a self,
        function: &'a FunctionName,
        packet: &'a Packet,
        attempt: u32,
    ) -> BoxFuture<'a, FunctionAnswer> {
        Box::pin(async move {
            let request_id = ids::request_id();
            let caller = Caller::push(packet.user(), attempt, packet.key().to_string());
            let event = Event::Push(packet.as_json());
            let finished = Self::call(self, function.as_str(), caller, &request_id, event).await;
            match finished.result {
                Ok(reply) => FunctionAnswer::Returned {
                    request_id,
                    json: String::from_utf8_lossy(reply.json.as_deref().unwrap_or_default()).into_owned(),
                },
                Err(failure) if failure.kind == FailureKind::Busy => {
                    FunctionAnswer::Busy(failure.to_string())
                }
                Err(failure) if failure.kind == FailureKind::NotFound => {
                    FunctionAnswer::Failed(format!("there is no function {:?}", function.as_str()))
                }
                Err(failure) => FunctionAnswer::Failed(failure.to_string()),
            }
        })
    }

    fn note(&self, note: &PushNote<'_>) {
        let made;
        let request_id = match note.request_id {
            Some(request_id) => request_id,
            None => {
                made = ids::request_id();
                &made
            }
        };
        self.journal().note(&Note {
            request_id,
            openid: note.openid,
            text: note.text,
        });
    }
}
