//! A request that passed the doors, and the account that is kept of it.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use calls::{Calls, CloudCall, DatabaseCall, Exchange, Invocation, Note};
use tcb::{SdkReply, codes, reply};
use wording::{Wording, wording};

use crate::room::HeldRoom;

/// The text that the platform was seen to give with -501007 where a token is missing or void.
pub(crate) const INVALID_TOKEN: &str = "Invalid wxCloudApiToken";

/// A request that passed the doors: who asks, how long there is, and what it comes to. It is kept by whatever answers.
pub struct CloudRequest {
    calls: Calls,
    call: Option<Arc<Invocation>>,
    /// Whether that call has ended.
    over: bool,
    /// When the call that asks will have to be over.
    deadline: Option<Instant>,
    request_id: String,
    function: String,
    /// The client that asks, where it is no function.
    client: Option<String>,
    /// Whether another server of the owner's asks.
    of_server: bool,
    since: Instant,
    exchange: Option<Exchange>,
    database: Option<DatabaseCall>,
    callee: Option<String>,
    room: Option<HeldRoom>,
    under_way: Option<PendingRecord>,
}

/// What takes so little that nobody is told where it was given up.
const SHORT: Duration = Duration::from_secs(1);

/// Something that may take long, until it was [recorded](CloudRequest::record). Dropped before, it was given up: whoever asked has
/// hung up, or their call has ended.
struct PendingRecord {
    calls: Calls,
    /// The call that asks, and the number there.
    call: Option<(Arc<Invocation>, u64)>,
    what: String,
    /// Whether it changes something.
    writes: bool,
    /// The function that asks, and for whom.
    function: String,
    openid: Option<String>,
    request_id: String,
    since: tokio::time::Instant,
    is_recorded: bool,
}

impl PendingRecord {
    fn end(mut self) {
        self.is_recorded = true;
        if let Some((call, number)) = &self.call {
            call.ends(*number);
        }
    }
}

impl Drop for PendingRecord {
    fn drop(&mut self) {
        if self.is_recorded {
            return;
        }
        let took = self.since.elapsed();
        let perhaps = match self.writes {
            true => "; it may have been done",
            false => "",
        };
        if let Some((call, number)) = &self.call
            && let Some(begun) = call.ends(*number)
        {
            call.made(CloudCall {
                text: format!("nobody waited for the answer any more{perhaps}"),
                took,
                ..begun
            });
        }
        if took < SHORT {
            return;
        }
        let (function, what, seconds) = (&self.function, &self.what, took.as_secs());
        let perhaps = match self.writes {
            true => wording!("; it may have been done", "；可能已经执行"),
            false => Wording::default(),
        };
        self.calls.journal().note(&Note {
            request_id: &self.request_id,
            openid: self.openid.as_deref(),
            text: &wording!(
                "{function}: {what} was given up after {seconds} seconds: nobody waits for its answer any more{perhaps}",
                "{function}：{what} 在 {seconds} 秒后放弃：已没有人等待它的结果{perhaps}";
                perhaps
            ),
        });
    }
}

impl CloudRequest {
    pub(crate) fn new(calls: Calls, request_id: String, function: String, room: Option<HeldRoom>) -> Self {
        Self {
            calls,
            call: None,
            over: false,
            deadline: None,
            request_id,
            function,
            client: None,
            of_server: false,
            since: Instant::now(),
            exchange: None,
            database: None,
            callee: None,
            room,
            under_way: None,
        }
    }

    /// One that comes from a client by itself, and from no function.
    pub(crate) fn of_client(calls: Calls, request_id: String, caller: Option<&str>) -> Self {
        Self {
            client: caller.map(str::to_owned),
            ..Self::new(calls, request_id, "a client".to_owned(), None)
        }
    }

    /// One that another server of the owner's makes, which may do what functions may.
    pub(crate) fn of_server(calls: Calls, request_id: String) -> Self {
        Self {
            of_server: true,
            ..Self::new(calls, request_id, "another server".to_owned(), None)
        }
    }

    pub(crate) fn with_call(self, call: Arc<Invocation>, left: Option<Duration>) -> Self {
        Self {
            call: Some(call),
            deadline: left.map(|left| Instant::now() + left),
            ..self
        }
    }

    /// One that a call began which has ended since.
    pub(crate) fn after_call(self, call: Arc<Invocation>, left: Duration) -> Self {
        Self {
            over: true,
            ..self.with_call(call, Some(left))
        }
    }

    /// Whether the call that asks has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// The call that asks. There always is one where the capability wants the [proof](crate::Proof::Call) of it.
    #[must_use]
    pub fn call(&self) -> Option<&Arc<Invocation>> {
        self.call.as_ref()
    }

    /// Whether another server of the owner's asks, and no function.
    #[must_use]
    pub fn is_of_server(&self) -> bool {
        self.of_server
    }

    /// What is answered where a call is needed and there is none.
    #[must_use]
    pub fn without_call(&self) -> SdkReply {
        self.malformed(INVALID_TOKEN)
    }

    /// What is answered to a request that no SDK sends.
    #[must_use]
    pub fn malformed(&self, why: &str) -> SdkReply {
        reply::failure(&self.request_id, codes::INVALID_PARAM, why)
    }

    /// The user who asks, or for whom the function that asks was called, if for anybody.
    #[must_use]
    pub fn openid(&self) -> Option<&str> {
        let of_call = self.call.as_ref().and_then(|call| call.openid());
        of_call.or(self.client.as_deref())
    }

    /// Whom it is asked for: the openid, or the uid of one who has none.
    pub(crate) fn who(&self) -> Option<&str> {
        let of_call = self.call.as_ref().and_then(|call| call.caller.who());
        of_call.or(self.client.as_deref())
    }

    /// How much of the time of the call that asks is left; `None` where it has no end, because a debugger may be attached.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// The function that asks; what else does is told in words that are no function's name.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The answer's `requestId`.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Everything about calling functions.
    #[must_use]
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// Gives back the room that the request's body had: nothing of its size is kept any more.
    pub fn give_back_room(&mut self) {
        self.room = None;
    }

    /// Whether anybody will look at what is [kept](Self::keep).
    #[must_use]
    pub fn keeps(&self) -> bool {
        self.calls.journal().keeps_exchanges()
    }

    /// Keeps what is sent and what comes back, each as [`calls::shown`] shows it, for the record.
    pub fn keep(&mut self, request: String, answer: String) {
        self.exchange = Some(Exchange { request, answer });
    }

    /// Keeps what was asked of the database, for the record.
    pub fn keep_database(&mut self, call: DatabaseCall) {
        self.database = Some(call);
    }

    /// Keeps which call of another function it made, for the record.
    pub fn keep_callee(&mut self, request_id: &str) {
        self.callee = Some(request_id.to_owned());
    }

    /// Something begins that may take long, until it is [recorded](Self::record): where it is given up before, that is told.
    pub(crate) fn begin(&mut self, what: &str, writes: bool, database: Option<&DatabaseCall>) {
        let call = self.call.as_ref().filter(|_| !self.over);
        let call = call.map(|call| (Arc::clone(call), call.begins(what, database.cloned())));
        let request_id = self
            .call
            .as_ref()
            .map_or(&self.request_id, |call| &call.request_id);
        self.under_way = Some(PendingRecord {
            calls: self.calls.clone(),
            call,
            what: what.to_owned(),
            writes,
            function: self.function.clone(),
            openid: self.openid().map(str::to_owned),
            request_id: request_id.clone(),
            since: tokio::time::Instant::now(),
            is_recorded: false,
        });
    }

    /// What [began](Self::begin) has come to its end: it was not given up.
    pub(crate) fn end(&mut self) {
        if let Some(under_way) = self.under_way.take() {
            under_way.end();
        }
    }

    /// Enters what the request came to in the record of the call, if it was made from one.
    pub fn record(&mut self, what: impl Into<String>, code: impl Into<i64>, text: impl Into<String>) {
        let (exchange, database, callee) = (self.exchange.take(), self.database.take(), self.callee.take());
        self.end();
        let Some(call) = &self.call else { return };
        let took = self.since.elapsed();
        call.made(CloudCall {
            what: what.into(),
            code: code.into(),
            text: text.into(),
            at: call.age().saturating_sub(took),
            took,
            exchange,
            database,
            callee,
        });
    }

    /// Tells the operator something about what the function asked.
    pub fn note(&self, text: &Wording) {
        let (call, function) = (self.call.as_ref(), &self.function);
        self.calls.journal().note(&Note {
            request_id: call.map_or(self.request_id.as_str(), |call| &call.request_id),
            openid: self.openid(),
            text: &wording!("{function}: {text}", "{function}：{text}"; text),
        });
    }

    /// Enters that the request was refused by the cloud itself with a code and its text, and tells the operator why.
    pub fn refused(&mut self, what: &str, code: i32, text: &str, why: &Wording) {
        self.record(what, code, text);
        let (call, function) = (self.call.as_ref(), &self.function);
        self.calls.journal().note(&Note {
            request_id: call.map_or(self.request_id.as_str(), |call| &call.request_id),
            openid: self.openid(),
            text: &wording!("{what} in {function}: {why}", "{function} 中的 {what}：{why}"; why),
        });
    }
}
