//! One way to call a function, whoever calls it: a client, another function, a timer, a message push, a server.
//!
//! A caller says which function, for whom ([`Caller`]) and with which [`Event`](tcb::Event). [`Calls`] knows which functions
//! there are ([`Sites`]), writes environment and event into one frame, enters the call in the table of those that run
//! ([`Invocations`]), has the runtime run it, and tells the [`Journal`] how it ended. Whatever goes wrong is a [`CallFailure`]:
//! a kind, a code and a text, from which others make HTTP. What an event holds and what a failure is called are rules of
//! WeChat's: they stand in `tcb`.

mod call;
mod failure;
pub mod ids;
mod invocation;
mod journal;
mod observer;
mod sites;

pub use call::{Calls, FinishedCall, PreparedCall};
pub use failure::{CallFailure, FailureKind};
pub use invocation::{Caller, CloudCalls, EndedCall, HttpLine, Invocation, Invocations, User, WebUser};
pub use journal::{
    CallRecord, CloudCall, DatabaseCall, Exchange, Journal, Note, PrintedLine, RedeemedFields, Silent,
    UNANSWERED, WantedIndex, WebRecord, shown,
};
pub use observer::TellingObserver;
pub use sites::{Site, Sites};
