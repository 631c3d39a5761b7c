//! What a watch is: `collection.where(…).orderBy(…).limit(…).watch({ onChange, onError })` as CloudBase's SDKs and our own client speak it.
//!
//! A socket carries many watches. [`ClientMessage`] is what clients send on it, and the module `message` writes what they are sent. A
//! [`WatchQuery`] is what is watched, parsed; a [`Window`] holds the documents that its watchers have, and says, of a document that
//! has changed, by which [`Event`]s they go on having exactly what the query finds. Whole documents are told, never their parts: a
//! client that patches its own copy is wrong for good after one mistake.
//!
//! The language is that of CloudBase's realtime (protocol of 2020-01-10, as `@cloudbase/realtime` speaks it); where it says nothing, the choice
//! stands here, and in `docs/fidelity.md`. There is no clock here, no I/O and no thread.

mod event;
mod message;
mod query;
mod refusal;
#[cfg(test)]
mod tests;
mod window;

pub use event::{DataType, Event, EventBatch, QueueType};
pub use message::{
    BadMessage, ClientBody, ClientMessage, Login, checked, events_head, events_tail, logged_in, pong, refused,
};
pub use query::{Dialect, MOST_DOCUMENTS, QueryId, Shown, WatchQuery, WatchRequest};
pub use refusal::WatchRefusal;
pub use window::{MOST_BYTES, Row, Window};
