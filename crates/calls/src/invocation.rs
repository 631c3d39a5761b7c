//! The calls that run now, by the token that each of them was given.
//!
//! `WX_API_TOKEN` is 128 random bits, and means something only here: which function runs, for whom, and how it came
//! to be called. A call is in the table while it runs and no longer, so a token that a function kept, printed or
//! lost is worth nothing afterwards. Of the last calls that ended the table remembers that they did: for what they began and
//! did not await, and to be able to tell whoever comes too late.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use runtime::InvocationId;
use tcb::{CallSource, CallTrigger};

use crate::{CloudCall, DatabaseCall, Site, journal::UNANSWERED};

/// Cloud calls that are remembered of one invocation; of further ones only their number.
const REMEMBERED: usize = 100;
/// Ended calls that are remembered by their token.
const ENDED: usize = 1024;

/// Who had a function called, and how.
#[derive(Clone, Debug)]
pub struct Caller {
    /// `SOURCE` of `getWXContext()`.
    pub source: CallSource,
    /// The user for whom it is called, if there is one.
    pub user: Option<User>,
    /// Who that is to CloudBase's SDKs, if they called by one; the user of a web page has no openid.
    pub web: Option<WebUser>,
    /// The client's address, if it is known.
    pub client_ip: Option<IpAddr>,
    /// What set the call off.
    pub trigger: CallTrigger,
    /// Of a message push: how often it has been tried with this call, from 1.
    pub attempt: Option<u32>,
    /// Of a message push: by what the packet is known.
    pub push: Option<String>,
    /// Of HTTP access: what was asked for.
    pub http: Option<HttpLine>,
}

/// An HTTP request, as far as its call is to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLine {
    /// The method.
    pub method: String,
    /// The path as it was sent, without the query, which may hold what is nobody's business.
    pub path: String,
    /// How many bytes of JSON the function's result may have.
    pub most: u32,
}

/// Who is logged in by one of CloudBase's SDKs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebUser {
    /// The user's id in this environment.
    pub uid: String,
    /// How they logged in: `ANONYMOUS`, `CUSTOM`, …
    pub login_type: &'static str,
    /// Who they are to the server that vouched for them.
    pub custom_user_id: Option<String>,
    /// Whether they are nobody in particular.
    pub is_anonymous: bool,
}

/// The user that a call is made for.
#[derive(Clone, Debug)]
pub struct User {
    /// The user's id within this Mini Program.
    pub openid: String,
    /// The user's id across the Mini Programs of one owner, if there is one.
    pub unionid: Option<String>,
}

impl User {
    /// A user of whom no unionid is known.
    pub fn of_openid(openid: impl Into<String>) -> Self {
        Self {
            openid: openid.into(),
            unionid: None,
        }
    }
}

impl Caller {
    /// A request, by whoever `source` says, for `user`, if for anybody.
    #[must_use]
    pub fn request(source: CallSource, user: Option<User>) -> Self {
        Self {
            source,
            user,
            web: None,
            client_ip: None,
            trigger: CallTrigger::Tcb,
            attempt: None,
            push: None,
            http: None,
        }
    }

    /// HTTP access, by whoever it is, or by a user who had to log in.
    #[must_use]
    pub fn http(user: Option<User>, client_ip: IpAddr, line: HttpLine) -> Self {
        Self {
            client_ip: Some(client_ip),
            http: Some(line),
            ..Self::request(CallSource::HTTP, user)
        }
    }

    /// HTTP access, by a user of CloudBase's own login, who has an openid where they logged in by WeChat.
    #[must_use]
    pub fn http_web(web: WebUser, user: Option<User>, client_ip: IpAddr, line: HttpLine) -> Self {
        Self {
            web: Some(web),
            ..Self::http(user, client_ip, line)
        }
    }

    /// The client of a user.
    #[must_use]
    pub fn client(user: User, client_ip: IpAddr) -> Self {
        Self {
            client_ip: Some(client_ip),
            ..Self::request(CallSource::CLIENT, Some(user))
        }
    }

    /// The client of a user of CloudBase's SDKs, who has an openid where they logged in by WeChat.
    #[must_use]
    pub fn web(web: WebUser, user: Option<User>, client_ip: IpAddr) -> Self {
        Self {
            web: Some(web),
            client_ip: Some(client_ip),
            ..Self::request(CallSource::WEB, user)
        }
    }

    /// The client of somebody who has not logged in by any of CloudBase's SDKs.
    #[must_use]
    pub fn visitor(client_ip: IpAddr) -> Self {
        Self {
            client_ip: Some(client_ip),
            ..Self::request(CallSource::WEB, None)
        }
    }

    /// A timer, which has no user.
    #[must_use]
    pub fn timer() -> Self {
        Self {
            trigger: CallTrigger::Timer,
            ..Self::request(CallSource::TIMER, None)
        }
    }

    /// A message push that a user set off, or nobody; `attempt` counts from 1, and `key` is the packet's.
    #[must_use]
    pub fn push(openid: Option<&str>, attempt: u32, key: String) -> Self {
        Self {
            attempt: Some(attempt),
            push: Some(key),
            ..Self::request(CallSource::PUSH, openid.map(User::of_openid))
        }
    }

    /// A function that was itself called by this caller, and calls another.
    #[must_use]
    pub fn then_function(&self) -> Self {
        Self {
            source: self.source.then_function(),
            trigger: CallTrigger::Tcb,
            attempt: None,
            push: None,
            http: None,
            ..self.clone()
        }
    }

    /// The openid of the user for whom the call is made.
    #[must_use]
    pub fn openid(&self) -> Option<&str> {
        self.user.as_ref().map(|user| user.openid.as_str())
    }

    /// The user for whom the call is made, for people: the openid, or the uid of one who has none.
    #[must_use]
    pub fn who(&self) -> Option<&str> {
        let web = self.web.as_ref().map(|web| web.uid.as_str());
        self.openid().or(web)
    }
}

/// One running call.
#[derive(Debug)]
pub struct Invocation {
    /// By which the runtime knows it.
    pub id: InvocationId,
    /// The reply's `requestID`.
    pub request_id: String,
    /// The function.
    pub site: Arc<Site>,
    /// Who called it.
    pub caller: Caller,
    began: Instant,
    made: Mutex<Made>,
    undo: Mutex<Undo>,
}

/// What is to be done if a call fails.
enum Undo {
    Running(Vec<Box<dyn FnOnce() + Send>>),
    Over { failed: bool },
}

impl fmt::Debug for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running(undo) => f.debug_tuple("Running").field(&undo.len()).finish(),
            Self::Over { failed } => f.debug_struct("Over").field("failed", failed).finish(),
        }
    }
}

/// What a call asked of the cloud.
#[derive(Debug, Default)]
pub struct CloudCalls {
    /// The first ones, in the order in which they ended; those last that were not answered before the call ended.
    pub first: Vec<CloudCall>,
    /// How many more there were.
    pub more: u64,
}

/// What a call asked of the cloud so far.
#[derive(Debug, Default)]
struct Made {
    answered: CloudCalls,
    /// What was not answered yet, by its number.
    under_way: Vec<(u64, CloudCall)>,
    /// How many were begun that have numbers.
    begun: u64,
}

impl CloudCalls {
    fn add(&mut self, call: CloudCall) {
        if self.first.len() < REMEMBERED {
            self.first.push(call);
        } else {
            self.more += 1;
        }
    }
}

impl Invocation {
    /// A call that is about to be made.
    pub(crate) fn new(id: InvocationId, request_id: String, site: Arc<Site>, caller: Caller) -> Self {
        Self {
            id,
            request_id,
            site,
            caller,
            began: Instant::now(),
            made: Mutex::default(),
            undo: Mutex::new(Undo::Running(Vec::new())),
        }
    }

    /// How long ago it began.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.began.elapsed()
    }

    /// The openid of the user for whom it is made.
    #[must_use]
    pub fn openid(&self) -> Option<&str> {
        self.caller.openid()
    }

    /// Keeps what a cloud call came to, for the record of this call.
    pub fn made(&self, call: CloudCall) {
        self.calls().answered.add(call);
    }

    /// Keeps that a cloud call was begun, which may take so long that this call ends before it; gives the number by which its
    /// [end](Self::ends) is told.
    pub fn begins(&self, what: &str, database: Option<DatabaseCall>) -> u64 {
        let call = CloudCall {
            what: what.to_owned(),
            code: UNANSWERED,
            text: "the call ended before it was answered".to_owned(),
            at: self.age(),
            took: Duration::ZERO,
            exchange: None,
            database,
            callee: None,
        };
        let mut made = self.calls();
        made.begun += 1;
        let number = made.begun;
        made.under_way.push((number, call));
        number
    }

    /// The cloud call of this number is no longer under way. Gives it back as it stands, if it was until now; what came of it is
    /// [told](Self::made) apart.
    pub fn ends(&self, number: u64) -> Option<CloudCall> {
        let mut made = self.calls();
        let at = made.under_way.iter().position(|(known, _)| *known == number)?;
        Some(made.under_way.swap_remove(at).1)
    }

    /// Has `undo` done as soon as the call has failed: it threw, took too long, or its process is gone. What it began nobody else can end.
    pub fn if_it_fails(&self, undo: impl FnOnce() + Send + 'static) {
        let mut state = self.undo.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *state {
            Undo::Running(list) => list.push(Box::new(undo)),
            Undo::Over { failed: true } => {
                drop(state);
                undo();
            }
            Undo::Over { failed: false } => {}
        }
    }

    /// The call is over.
    pub(crate) fn end(&self, failed: bool) {
        let mut state = self.undo.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *state, Undo::Over { failed });
        drop(state);
        if let Undo::Running(list) = before
            && failed
        {
            list.into_iter().for_each(|undo| undo());
        }
    }

    /// What it asked of the cloud; what was not answered yet, as it stands.
    pub(crate) fn take_calls(&self) -> CloudCalls {
        let now = self.age();
        let mut made = self.calls();
        let (mut answered, under_way) = (
            std::mem::take(&mut made.answered),
            std::mem::take(&mut made.under_way),
        );
        drop(made);
        for (_, call) in under_way {
            let took = now.saturating_sub(call.at);
            answered.add(CloudCall { took, ..call });
        }
        answered
    }

    fn calls(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All running calls.
#[derive(Debug, Default)]
pub struct Invocations(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    running: HashMap<InvocationId, Arc<Invocation>>,
    tokens: HashMap<String, InvocationId>,
    ended: VecDeque<EndedCall>,
}

/// A call that has ended, by the token that it had.
#[derive(Clone, Debug)]
pub struct EndedCall {
    token: String,
    /// The call.
    pub invocation: Arc<Invocation>,
    /// When it ended.
    pub at: Instant,
}

impl EndedCall {
    /// Whether this token was its own.
    #[must_use]
    pub fn had_token(&self, token: &str) -> bool {
        self.token == token
    }
}

impl Invocations {
    /// Enters a call that is about to be made. Its token holds until what is given back is dropped.
    pub(crate) fn enter(&self, token: String, invocation: Invocation) -> Entered<'_> {
        let invocation = Arc::new(invocation);
        let mut table = self.table();
        table.tokens.insert(token.clone(), invocation.id);
        table.running.insert(invocation.id, Arc::clone(&invocation));
        Entered {
            all: self,
            token,
            invocation,
        }
    }

    /// The running call that a token belongs to.
    #[must_use]
    pub fn find(&self, token: &str) -> Option<Arc<Invocation>> {
        let table = self.table();
        table
            .tokens
            .get(token)
            .and_then(|id| table.running.get(id))
            .cloned()
    }

    /// A call that ended lately.
    #[must_use]
    pub fn find_ended(&self, wanted: impl Fn(&EndedCall) -> bool) -> Option<EndedCall> {
        self.table()
            .ended
            .iter()
            .rev()
            .find(|ended| wanted(ended))
            .cloned()
    }

    /// The running call that the runtime knows by this id.
    #[must_use]
    pub fn of(&self, id: InvocationId) -> Option<Arc<Invocation>> {
        self.table().running.get(&id).cloned()
    }

    /// The running calls of a function.
    #[must_use]
    pub fn of_function(&self, name: &str) -> Vec<Arc<Invocation>> {
        let table = self.table();
        let of_function = table
            .running
            .values()
            .filter(|call| call.site.name.as_str() == name);
        of_function.cloned().collect()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call in the table.
pub(crate) struct Entered<'a> {
    all: &'a Invocations,
    token: String,
    invocation: Arc<Invocation>,
}

impl Entered<'_> {
    /// The call is over: its token is void.
    pub(crate) fn leave(self) -> Arc<Invocation> {
        Arc::clone(&self.invocation)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let mut table = self.all.table();
        table.tokens.remove(&self.token);
        table.running.remove(&self.invocation.id);
        if table.ended.len() == ENDED {
            table.ended.pop_front();
        }
        table.ended.push_back(EndedCall {
            token: std::mem::take(&mut self.token),
            invocation: Arc::clone(&self.invocation),
            at: Instant::now(),
        });
    }
}
