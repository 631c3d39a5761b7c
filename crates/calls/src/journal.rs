//! What the operator is told: one record per call, and notes on what went wrong and how to mend it.
//!
//! Nothing here decides about where these go: `dev` prints them, `serve` logs the failures, the
//! console keeps the last ones.

use std::{net::IpAddr, time::Duration};

use runtime::{Level, Logs};
use wording::Wording;

use crate::HttpLine;

/// Is told what happened. Called on the serving thread: an implementation must not wait.
pub trait Journal: Send + Sync + 'static {
    /// A call has ended and its reply is on its way.
    fn call(&self, record: &CallRecord<'_>);
    /// Something that an operator or developer should know.
    fn note(&self, note: &Note<'_>);
    /// A function prints something. It is told as it comes, while the call still runs; the record of the call has it once
    /// more, together with the rest. Nothing is done with it by default.
    fn line(&self, _line: &PrintedLine<'_>) {}
    /// A request to the web listener was answered. Nothing is done with it by default.
    fn web(&self, _record: &WebRecord<'_>) {}
    /// Whether it makes use of [`CallRecord::exchange`] and [`CloudCall::exchange`], which cost a copy.
    fn keeps_exchanges(&self) -> bool {
        false
    }
}

/// One call of a function, as it ended.
#[derive(Debug)]
pub struct CallRecord<'a> {
    /// The reply's `requestID`, and the function's `context.request_id`.
    pub request_id: &'a str,
    /// The function's name.
    pub function: &'a str,
    /// How it came to be called: `SOURCE` of `getWXContext()`.
    pub source: &'a str,
    /// The user for whom it was called, if there is one.
    pub openid: Option<&'a str>,
    /// Of a message push: how often it has been tried with this call, from 1.
    pub attempt: Option<u32>,
    /// Of a message push: by what the packet is known, `push::PacketKey` as text.
    pub push: Option<&'a str>,
    /// Of HTTP access: what was asked for.
    pub http: Option<&'a HttpLine>,
    /// The HTTP status of the reply; of a call that another function made, the one that a client would have got.
    pub status: u16,
    /// 0, or the code and text of the failure.
    pub error: Option<(i64, &'a str)>,
    /// The cloudIDs that were exchanged before.
    pub redeemed: &'a RedeemedFields,
    /// How long the call waited for a worker.
    pub waited: Duration,
    /// How long the function ran.
    pub ran: Duration,
    /// What the function printed.
    pub logs: &'a Logs,
    /// Its event and its result as JSON, where the journal [keeps them](Journal::keeps_exchanges).
    pub exchange: Option<&'a Exchange>,
    /// What it asked of the cloud, in the order in which the answers came.
    pub cloud_calls: &'a [CloudCall],
    /// How many cloud calls it made beyond those that are kept.
    pub more_cloud_calls: u64,
    /// Fields that were not filled in, and why: `(raw field name, text)`.
    pub warnings: &'a [(String, Wording)],
}

/// A request to the web listener, as it was answered: a line of the access log.
#[derive(Clone, Copy, Debug)]
pub struct WebRecord<'a> {
    /// The reply's `x-request-id`; where a function was called, that call's.
    pub request_id: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path as it was sent, without the query.
    pub path: &'a str,
    /// Who asked.
    pub client_ip: IpAddr,
    /// The function that it led to, if it led to one.
    pub function: Option<&'a str>,
    /// The reply's status.
    pub status: u16,
    /// The length of its body in bytes, where that is known before it is sent.
    pub bytes: Option<u64>,
    /// From the head to the beginning of the answer.
    pub took: Duration,
}

/// The exchange of a call's cloudIDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedeemedFields {
    /// How long it took, all of them together.
    pub took: Duration,
    /// The fields in the order of `data`: the name as a JSON string, and 0 or the code with which the id was refused.
    pub fields: Vec<(String, i64)>,
}

/// The code of what was not answered, as nobody waited for it any more: the platform's `SERVER_TIMEOUT`, which nothing is answered here.
pub const UNANSWERED: i64 = tcb::codes::SERVER_TIMEOUT as i64;

/// One request of a function to the cloud, as it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudCall {
    /// What was asked: `openapi.subscribeMessage.send`, `getOpenData`, `callFunction login`.
    pub what: String,
    /// 0, or the code that the function was answered: the cloud's own, or WeChat's errcode; [`UNANSWERED`] where it was not.
    pub code: i64,
    /// The text that goes with the code; empty where there is none.
    pub text: String,
    /// When it was asked, from the beginning of the call.
    pub at: Duration,
    /// How long the answer took.
    pub took: Duration,
    /// What was sent and what came back, where the journal [keeps it](Journal::keeps_exchanges).
    pub exchange: Option<Exchange>,
    /// The database operation, if the call was one and the journal [keeps it](Journal::keeps_exchanges).
    pub database: Option<DatabaseCall>,
    /// Of `callFunction`: the `request_id` of the call that was made.
    pub callee: Option<String>,
}

/// A database operation as it was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatabaseCall {
    /// The collection; empty where a transaction begins or ends.
    pub collection: String,
    /// What was done with it: `find`, `update`, `commit`.
    pub operation: &'static str,
    /// Filter, order and whatever else was asked, in the syntax of MongoDB's shell; cut to a line.
    pub query: String,
    /// How many documents were looked at, where that is known.
    pub looked: Option<u64>,
    /// How many documents were given, changed, added or removed, where that is known.
    pub found: Option<u64>,
    /// The index that led to them; `None` where the whole collection was read, or nothing is known of it.
    pub index: Option<String>,
    /// Whether it looked at many documents for few.
    pub slow: bool,
    /// The indexes that would serve it, where none did or it was slow.
    pub wanted: Vec<WantedIndex>,
}

/// An index that a query wants.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WantedIndex {
    /// Its fields as `yunqiao.toml` writes them: `-createTime` is from great to small.
    pub fields: Vec<String>,
    /// Whether the first of them is a place on the sphere: `kind = "2dsphere"`.
    pub sphere: bool,
}

/// What was sent and what came back, for a person to read: cut to a few kilobytes, and a file told by its type and size. An
/// access_token is in neither.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Of WeChat's APIs: method, path, query, and on the next line the body.
    pub request: String,
    /// The body, or the result.
    pub answer: String,
}

/// Something to know, with its cause and mend.
pub struct Note<'a> {
    /// The `requestID` of the reply that it belongs to.
    pub request_id: &'a str,
    /// The user concerned, where known.
    pub openid: Option<&'a str>,
    /// The whole story, in a sentence.
    pub text: &'a Wording,
}

/// Something that a function prints, at the moment when it does.
#[derive(Clone, Copy, Debug)]
pub struct PrintedLine<'a> {
    /// The function's name.
    pub function: &'a str,
    /// The `requestID` of the call that prints it; `None` outside of any call, as while the function is loaded.
    pub request_id: Option<&'a str>,
    /// The user for whom that call was made, if there is one.
    pub openid: Option<&'a str>,
    /// How important it is, as the console method says.
    pub level: Level,
    /// When, after the function began to run; zero outside of any call.
    pub at: Duration,
    /// What was printed, without the last line end. It may have several lines, and is as the function gave it: whoever shows
    /// it on a terminal escapes it.
    pub text: &'a str,
}

/// Tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Journal for Silent {
    fn call(&self, _: &CallRecord<'_>) {}
    fn note(&self, _: &Note<'_>) {}
}

/// So much of a request or an answer is kept for a person to read.
const SHOWN: usize = 4 * 1024;

/// Text as it is, within bounds; anything else by its type and size.
#[must_use]
pub fn shown(content_type: &str, body: &[u8]) -> String {
    match std::str::from_utf8(body) {
        Ok(text) if !content_type.starts_with("multipart/") => {
            // A character takes up to four bytes.
            let end = (0..=SHOWN.min(text.len()))
                .rev()
                .find(|end| text.is_char_boundary(*end));
            let (beginning, rest) = text.split_at(end.unwrap_or_default());
            let more = if rest.is_empty() { "" } else { " …" };
            format!("{beginning}{more}")
        }
        _ => format!("({content_type}, {} bytes)", body.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_bounded_and_text() {
        assert_eq!(shown("application/json", "{\"中\":1}".as_bytes()), "{\"中\":1}");
        let long = shown("text/plain", "中".repeat(SHOWN).as_bytes());
        assert_eq!(long, format!("{} …", "中".repeat(SHOWN / 3)));
        assert_eq!(shown("image/png", b"\x89PNG"), "(image/png, 4 bytes)");
        assert_eq!(
            shown("multipart/form-data; boundary=x", b"--x"),
            "(multipart/form-data; boundary=x, 3 bytes)"
        );
        assert_eq!(shown("", b""), "");
    }
}
