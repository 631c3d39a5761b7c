//! What `wx-server-sdk` speaks, as data. On the way in to a function: the environment and context that a call must have
//! for the unmodified SDK to know its caller, and its [`Event`]. On the way out: the SDK's requests to `POST /admin` (an [`Envelope`], its
//! [`signature`], the [`protobuf`] messages in it), what is served of them ([`Action`]), the [`reply`] to each, and the
//! [`codes`] by which the cloud names its failures. Nothing here talks to anybody.

mod action;
pub mod codes;
pub mod database;
mod envelope;
mod environment;
mod event;
mod javascript;
mod multipart;
pub mod protobuf;
#[cfg(test)]
mod recorded;
pub mod reply;
pub mod signature;
mod source;
pub mod storage;

pub use action::{
    Action, CALL_OPEN_API, INVOKE_FUNCTION, NotServed, OPEN_DATA_SERVICE, SdkRequest, SdkRequestError,
    VOIP_SERVICE,
};
pub use envelope::{Envelope, EnvelopeError, FieldValue, MAX_BODY, MAX_FIELDS};
pub use environment::{
    CallTrigger, CallVariables, Environment, KEY_VARIABLES, SiteVariables, UserVariables, WebVariables,
};
pub use event::{CallData, CallDataError, Event, MAX_NAMED, MarkedField, WriteEvent};
pub use multipart::{MultipartError, MultipartReason};
pub use reply::SdkReply;
pub use source::CallSource;
