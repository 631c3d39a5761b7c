//! What the operator is told: one record per call, and notes on what went wrong and how to mend it.
//!
//! The gateway decides nothing about where these go: `dev` prints them, `serve` logs the failures, the
//! console keeps the last ones.

use std::fmt;
use std::time::Duration;

use runtime::Logs;

/// Is told what happened. Called on the serving thread: an implementation must not wait.
pub trait Journal: Send + Sync + 'static {
    /// A call has ended and its reply is on its way.
    fn call(&self, record: &CallRecord<'_>);
    /// Something that an operator or developer should know.
    fn note(&self, note: &Note<'_>);
}

/// One call of a function, as it ended.
#[derive(Debug)]
pub struct CallRecord<'a> {
    /// The reply's `requestID`, and the function's `context.request_id`.
    pub request_id: &'a str,
    /// The function's name.
    pub function: &'a str,
    /// The user who called.
    pub openid: &'a str,
    /// The HTTP status of the reply.
    pub status: u16,
    /// 0, or the code and text of the failure.
    pub error: Option<(i64, &'a str)>,
    /// How long the call waited for a worker.
    pub waited: Duration,
    /// How long the function ran.
    pub ran: Duration,
    /// What the function printed.
    pub logs: &'a Logs,
    /// Fields that were not filled in, and why: `(raw field name, text)`.
    pub warnings: &'a [(String, String)],
}

/// Something to know, with its cause and mend.
pub struct Note<'a> {
    /// The `requestID` of the reply that it belongs to.
    pub request_id: &'a str,
    /// The user concerned, where known.
    pub openid: Option<&'a str>,
    /// The whole story, in a sentence.
    pub text: &'a dyn fmt::Display,
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Journal for Silent {
    fn call(&self, _: &CallRecord<'_>) {}
    fn note(&self, _: &Note<'_>) {}
}
