//! CloudBase's own SDKs, unmodified, with their host set: `/auth/v1`, `/v1/functions|database|storages` and `/web`.
//!
//! What they say and want to hear stands in the crate `cloudbase`; here it is led to the same rooms as everything else. Who asks is known
//! by the access token alone, never by a header or a field of the request. A failure is answered in the words of the door that it was met
//! at.

mod auth;
mod lately;
mod legacy;
mod passwords;
mod rest;

use std::{path::PathBuf, sync::Mutex, time::Duration};

use ::cloudbase::{
    Access, LoginType, TicketKeys, TokenError, Tokens, WebFault, WebUser,
    auth::{AuthDoor, AuthFault},
};
use bytes::Bytes;
use calls::{Caller, HttpLine, PreparedCall, User};
use clock::Timestamp;
use http::{HeaderMap, StatusCode, request::Parts};
use lru::LruCache;
use seal::{KeyRing, Signer};
use store::{Store, StoreError};
use tcb::{CallData, Event, codes};

use crate::{
    Inner,
    body::{self, BodyPolicy, BodySender, Content},
    call::may_call,
    failure::Failure,
};

pub(crate) use self::{
    auth::answer as answer_auth,
    legacy::answer as answer_legacy,
    rest::{call, documents, files},
};
use lately::Lately;
pub use lately::WebLogin;
use passwords::Passwords;

/// Who may log in by CloudBase's SDKs, besides the users of the Mini Program.
#[derive(Clone, Debug, Default)]
pub struct WebAuth {
    /// Whether anybody may, as nobody in particular: one user for each device. Where that is so, those who have not logged in may ask for
    /// documents too, of which rules alone then let them have any.
    pub anonymous: bool,
    /// Those who may vouch for users by tickets.
    pub ticket_keys: TicketKeys,
    /// The file of those who have passwords. It is read again when it has changed.
    pub passwords: Option<PathBuf>,
}

/// What is kept for all requests.
pub(crate) struct WebClients {
    tokens: Tokens,
    anonymous: bool,
    ticket_keys: TicketKeys,
    passwords: Passwords,
    /// Room for bodies of those whom nobody knows, or who may be as many as they like.
    visitors: body::Budget,
    /// Sessions that were ended here: their access tokens end with them, and those of other nodes by themselves.
    ended: Mutex<LruCache<String, ()>>,
    /// Those of anonymous users: anybody can begin and end as many as they like, which is to push nobody else's out.
    ended_anonymous: Mutex<LruCache<String, ()>>,
    lately: Lately,
}

/// Ended sessions that are remembered.
const ENDED: usize = 100_000;
/// Those of anonymous users.
const ENDED_ANONYMOUS: usize = 10_000;

/// Bytes of visitors' bodies that may be held at once: of each network one of the largest calls, as it came and as its text.
const VISITORS: usize = 4 * 2 * body::LARGEST_CALL;

/// A login, from anybody.
const AUTH_BODY: BodyPolicy = BodyPolicy {
    most: body::LARGEST_OF_STRANGER,
    within: Duration::from_secs(10),
    // A browser's `fetch` calls a text what has no type of its own.
    content: Content::Any,
    times: 1,
};
/// What is asked of the database or of storage.
const ASKED_BODY: BodyPolicy = BodyPolicy {
    most: 2 << 20,
    within: Duration::from_secs(60),
    content: Content::Any,
    times: 1,
};
/// A call's event.
const EVENT_BODY: BodyPolicy = BodyPolicy {
    most: body::LARGEST_CALL,
    within: Duration::from_secs(120),
    content: Content::Any,
    times: 1,
};

/// A door of these SDKs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WebDoor<'a> {
    /// `/auth/v1/…`; `None` for a path that nothing is behind.
    Auth(Option<AuthDoor>),
    /// Below `/v1/database/`.
    Documents(&'a str),
    /// Below `/v1/storages/`.
    Files(&'a str),
    /// `/web`.
    Legacy,
}

impl<'a> WebDoor<'a> {
    /// The door of a path.
    pub(crate) fn of(path: &'a str) -> Option<Self> {
        if path == ::cloudbase::legacy::PATH {
            return Some(Self::Legacy);
        }
        if path.starts_with(::cloudbase::auth::PATH) {
            return Some(Self::Auth(AuthDoor::of(path)));
        }
        let documents = path
            .strip_prefix(::cloudbase::rest::DOCUMENTS)
            .map(Self::Documents);
        documents.or_else(|| path.strip_prefix(::cloudbase::rest::STORAGES).map(Self::Files))
    }

    /// The methods that it takes, as `Allow` has them.
    pub(crate) fn allow(self) -> &'static str {
        match self {
            Self::Auth(Some(door)) => door.allow(),
            Self::Auth(None) => "GET, POST, PUT, PATCH, DELETE",
            Self::Documents(_) => "GET, POST, PATCH, DELETE",
            Self::Files(_) | Self::Legacy => "POST",
        }
    }
}

impl WebClients {
    pub(crate) fn new(auth: WebAuth, keys: &KeyRing, appid: &str, env: &str) -> Self {
        Self {
            tokens: Tokens::new(keys, appid, env),
            anonymous: auth.anonymous,
            ticket_keys: auth.ticket_keys,
            passwords: Passwords::new(
                auth.passwords,
                Signer::new(keys, "names without a password", appid),
            ),
            visitors: body::Budget::of(VISITORS),
            ended: Mutex::new(LruCache::unbounded()),
            ended_anonymous: Mutex::new(LruCache::unbounded()),
            lately: Lately::default(),
        }
    }

    /// Those who have logged in lately, the last first.
    pub(crate) fn logins(&self) -> Vec<WebLogin> {
        self.lately.all()
    }

    /// The ways to log in, by the keys of `[auth]`, and whether each is open.
    pub(crate) fn ways(&self) -> [(&'static str, bool); 3] {
        [
            ("anonymous", self.anonymous),
            ("ticket_keys", !self.ticket_keys.is_empty()),
            ("passwords", self.passwords.are_there()),
        ]
    }

    /// Notes that somebody has logged in, or goes on with a session.
    #[expect(
        clippy::disallowed_methods,
        reason = "it is shown to people, and no expiry of WeChat's"
    )]
    fn note_login(&self, user: &WebUser) {
        self.lately.note(user, std::time::SystemTime::now());
    }

    /// Whether those are let in who have not logged in, and may do what rules let everybody do.
    pub(crate) fn lets_strangers_in(&self) -> bool {
        self.anonymous
    }

    /// Who shows this token; `None` where none is shown and none is needed.
    ///
    /// # Errors
    /// It is none of ours or has ended, or there is none and one is needed.
    pub(crate) fn identify(&self, token: Option<&str>, now: Timestamp) -> Result<Option<Access>, WebFault> {
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            return match self.lets_strangers_in() {
                true => Ok(None),
                false => Err(WebFault::no_token()),
            };
        };
        // A browser keeps what it got of another server of this name, or by keys that are no more: to any other answer than that it has
        // expired, the SDK would show it for as long as it says of itself.
        let access = self.tokens.open_access(token, now).map_err(|error| match error {
            TokenError::Expired => WebFault::expired(),
            _ if Tokens::has_form(token) => WebFault::expired(),
            _ => WebFault::no_token(),
        })?;
        match self.has_ended(&access.session) {
            true => Err(WebFault::expired()),
            false => Ok(Some(access)),
        }
    }

    /// Whether a session was ended at this node.
    pub(crate) fn has_ended(&self, session: &str) -> bool {
        [&self.ended, &self.ended_anonymous]
            .into_iter()
            .any(|ended| locked(ended).contains(session))
    }

    /// Learns which sessions were ended while this node did not run, or elsewhere before it ran, as long as their access tokens would
    /// last.
    pub(crate) async fn recall(&self, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
        for session in store.revoked_from(Tokens::shown_still(now)).await? {
            // Sessions of anonymous users are not in the store.
            self.end(&session, LoginType::Custom);
        }
        Ok(())
    }

    fn end(&self, session: &str, of: LoginType) {
        let (ended, most) = match of {
            LoginType::Anonymous => (&self.ended_anonymous, ENDED_ANONYMOUS),
            _ => (&self.ended, ENDED),
        };
        let mut ended = locked(ended);
        ended.put(session.to_owned(), ());
        // Bounded here and not by the cache itself, which would take the memory for all of them at once.
        if ended.len() > most {
            ended.pop_lru();
        }
    }
}

fn locked(ended: &Mutex<LruCache<String, ()>>) -> std::sync::MutexGuard<'_, LruCache<String, ()>> {
    ended.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Whose share of the budget a body has: a user's own, or, where anybody may be as many users as they like, their network's.
fn sender<'a>(access: Option<&'a Access>, network: &'a str) -> BodySender<'a> {
    match access {
        Some(access) if access.user.login != LoginType::Anonymous => BodySender::Known(&access.user.uid),
        _ => BodySender::Visitor(network),
    }
}

/// The budget for that: those whom nobody knows have one of their own, so that nobody who is known waits for them.
fn budget<'a>(inner: &'a Inner, sender: BodySender<'_>) -> &'a body::Budget {
    match sender {
        BodySender::Known(_) => &inner.budget,
        BodySender::Stranger | BodySender::Visitor(_) => &inner.web_clients.visitors,
    }
}

/// The user as the caller of a function; `None` for one that has not logged in.
fn caller_of(user: Option<&WebUser>, client_ip: std::net::IpAddr) -> Caller {
    let Some(user) = user else {
        return Caller::visitor(client_ip);
    };
    let (web, user) = in_calls(user);
    Caller::web(web, user, client_ip)
}

/// The user as the caller of a function by HTTP access.
pub(crate) fn http_caller(user: &WebUser, client_ip: std::net::IpAddr, line: HttpLine) -> Caller {
    let (web, user) = in_calls(user);
    Caller::http_web(web, user, client_ip, line)
}

/// The user as calls know them: by their uid, and by their openid where they logged in by WeChat.
fn in_calls(user: &WebUser) -> (calls::WebUser, Option<User>) {
    let web = calls::WebUser {
        uid: user.uid.clone(),
        login_type: user.login.name(),
        custom_user_id: user.custom_user_id.clone(),
        is_anonymous: user.login == LoginType::Anonymous,
    };
    let user = user.openid.clone().map(|openid| User {
        openid,
        unionid: user.unionid.clone(),
    });
    (web, user)
}

/// Who asks for a function; `None` for one who has not logged in, and need not for this one.
///
/// # Errors
/// The token is none of ours or has ended, or there is none and one is needed.
fn may_ask_for(inner: &Inner, name: &str, token: Option<&str>) -> Result<Option<Access>, WebFault> {
    let access = inner.web_clients.identify(token, inner.clock.now())?;
    match access.is_some() || inner.lets_everybody_call(name) {
        true => Ok(access),
        false => Err(WebFault::no_token()),
    }
}

/// A call of a function, of which all is in it that the function gets. `data` is its data as JSON text; empty for none.
///
/// # Errors
/// The data is malformed, there is no such function, or its rule does not let them call it.
async fn prepared(
    inner: &Inner,
    name: &str,
    access: Option<&Access>,
    data: &str,
    client_ip: std::net::IpAddr,
    request_id: &str,
) -> Result<PreparedCall, WebFault> {
    let data = match data.trim_ascii() {
        "" => "{}",
        data => data,
    };
    let data = CallData::parse(data).map_err(|_| {
        WebFault::malformed("the data of a call is a JSON object, whose fields have different names")
    })?;
    let user = access.map(|access| &access.user);
    let caller = caller_of(user, client_ip);
    let site = inner.calls.find_soon(name, request_id, caller.who()).await;
    let site = site.map_err(|failure| fault_of_call(&failure))?;
    let client = user.map(WebUser::caller).unwrap_or_default();
    let may = may_call(inner, name, &client, request_id).await;
    may.map_err(|failure| fault_of_call(&failure))?;
    Ok(inner.calls.prepare(site, caller, request_id, Event::Call(data)))
}

/// A failure in the words of the gateway's REST.
fn failed(fault: &WebFault, request_id: &str) -> Failure {
    let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Failure::worded(status, fault.body(request_id))
}

/// What a part that these doors share with the others refuses, in their words.
fn reworded(failure: Failure, request_id: &str) -> Failure {
    let code = i32::try_from(failure.code).map_or("SYS_ERR", codes::sent);
    let fault = WebFault::new(failure.status.as_u16(), code, failure.text.clone());
    failure.in_words(fault.body(request_id))
}

/// Whether one of CloudBase's SDKs says that it asks.
pub(crate) fn is_sdk(headers: &HeaderMap) -> bool {
    let sdk = headers.get("x-sdk-version").and_then(|sdk| sdk.to_str().ok());
    sdk.is_some_and(|sdk| sdk.starts_with("@cloudbase/"))
}

/// What is refused before a door of these SDKs has it, in the words that they read: whatever one of them asks, and for anybody that there is
/// nothing behind a path of theirs.
pub(crate) fn in_their_words(failure: Failure, head: &Parts, request_id: &str) -> Failure {
    let path = head.uri.path();
    let missing = failure.status == StatusCode::NOT_FOUND;
    if failure.is_worded() || !missing && !is_sdk(&head.headers) {
        failure
    } else if path.starts_with(::cloudbase::auth::ALL) {
        let fault = match missing {
            true => AuthFault::unimplemented(),
            false => AuthFault::of_status(failure.status.as_u16(), failure.text.clone()),
        };
        failure.in_words(fault.body())
    } else if is_sdk(&head.headers) || WebFault::knows_path(path) {
        match missing {
            true => failure.in_words(WebFault::no_path(path).body(request_id)),
            false => reworded(failure, request_id),
        }
    } else {
        failure
    }
}

/// What a fault of a function is here.
fn fault_of_call(failure: &calls::CallFailure) -> WebFault {
    WebFault::new(
        failure.kind.status(),
        codes::sent(failure.code),
        failure.text.clone(),
    )
}

/// The function's result as it came.
fn result_of(reply: runtime::FunctionReply) -> Bytes {
    reply.json.unwrap_or_else(|| Bytes::from_static(b"null"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ::cloudbase::{DeviceId, Session};
    use store::Revocations as _;

    use super::*;

    fn of(user: WebUser) -> Access {
        Access {
            user,
            session: "s1".to_owned(),
            until: Timestamp::from_secs(0),
        }
    }

    #[test]
    fn whoever_may_be_many_has_the_share_of_their_network() {
        let device = DeviceId::parse("0123456789abcdef").unwrap();
        let (anonymous, custom) = (of(WebUser::anonymous(&device)), of(WebUser::custom("alice")));
        for access in [None, Some(&anonymous)] {
            assert!(matches!(
                sender(access, "192.0.2.1"),
                BodySender::Visitor("192.0.2.1")
            ));
        }
        assert!(matches!(
            sender(Some(&custom), "192.0.2.1"),
            BodySender::Known(uid) if uid == custom.user.uid
        ));
    }

    #[test]
    fn logouts_of_anonymous_users_push_nobody_s_out() {
        let keys = KeyRing::generate();
        let clients = WebClients::new(WebAuth::default(), &keys, "wx1", "env");
        let session = Session::new("of alice".to_owned(), WebUser::custom("alice"));
        clients.end(&session.id, session.login());
        for number in 0..=ENDED.max(ENDED_ANONYMOUS) {
            clients.end(&number.to_string(), LoginType::Anonymous);
        }
        assert!(clients.has_ended("of alice"));
        assert!(!clients.has_ended("0"), "it is bounded");
        assert!(clients.has_ended(&ENDED.to_string()));
    }

    #[tokio::test]
    async fn a_node_that_starts_knows_who_has_logged_out() {
        let (keys, store) = (KeyRing::generate(), store::Memory::new());
        let nobody = Session::new(String::new(), WebUser::custom(""));
        let now = Timestamp::from_secs(1_000_000);
        let ago = |seconds| Tokens::session_end(&nobody, now - Duration::from_secs(seconds));
        for (session, seconds) in [("just now", 0), ("soon over", 7200), ("over", 7201)] {
            store.revoke(session, ago(seconds)).await.unwrap();
        }
        let clients = WebClients::new(WebAuth::default(), &keys, "wx1", "env");
        clients.recall(&store, now).await.unwrap();
        assert!(clients.has_ended("just now") && clients.has_ended("soon over"));
        assert!(!clients.has_ended("over"), "its tokens have ended by themselves");
    }
}
