//! The keeper of WeChat's access_token. However many ask at the same time, one request fetches it, by
//! `/cgi-bin/stable_token`, which other servers of the same owner cannot invalidate by asking too. It is kept in the
//! store, so that a restart fetches nothing, and renewed a while before its end, while callers go on with the old one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use clock::{Clock, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use store::{AccessToken, Store};
use tokio::sync::watch;

use crate::{
    Credentials, Error,
    transport::{Request, Transport, json_body},
};

const API: &str = "stable_token";

/// From so long before its end WeChat gives a new token for the asking, and takes both until then (documented).
const RENEW_AHEAD: Duration = Duration::from_secs(300);
/// So long before its end a token is not used any more: the request has to arrive before WeChat's clock says so.
const UNUSABLE_AHEAD: Duration = Duration::from_secs(10);
/// How often a token that still holds is asked for anew at most.
const RENEW_EVERY: Duration = Duration::from_secs(30);
/// How often `force_refresh` is used at most: WeChat allows 20 a day.
const FORCE_EVERY: Duration = Duration::from_secs(24 * 3600 / 20);

/// Whether an errcode of an API says that the access_token is not, or no longer, good: 40001 not the latest, 40014
/// invalid, 42001 expired.
pub(crate) fn is_refusal_of_token(errcode: i64) -> bool {
    matches!(errcode, 40001 | 40014 | 42001)
}

/// Keeps the access_token of one appid.
pub(crate) struct TokenKeeper {
    transport: Transport,
    credentials: Arc<Credentials>,
    store: Arc<dyn Store>,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    token: Option<AccessToken>,
    /// The request under way.
    flight: Option<Flight>,
    /// The token that an API refused last: if it is offered again, it must be forced out.
    refused: Option<SecretString>,
    asked_at: Option<Timestamp>,
    forced_at: Option<Timestamp>,
}

/// `None` until the request has ended.
type Flight = watch::Receiver<Option<Result<AccessToken, Error>>>;

#[derive(Serialize)]
struct Body<'a> {
    grant_type: &'static str,
    appid: &'a str,
    secret: &'a str,
    force_refresh: bool,
}

#[derive(Deserialize)]
struct Reply {
    access_token: String,
    expires_in: u64,
}

impl TokenKeeper {
    pub(crate) fn new(
        transport: Transport,
        credentials: Arc<Credentials>,
        store: Arc<dyn Store>,
        clock: Clock,
    ) -> Self {
        Self {
            transport,
            credentials,
            store,
            clock,
            state: Mutex::default(),
        }
    }

    /// A token that holds: at once if one is known, else when the one request for it has ended.
    pub(crate) async fn token(self: &Arc<Self>) -> Result<SecretString, Error> {
        let mut flight = {
            let now = self.clock.now();
            let mut state = self.state();
            if let Some(token) = state.token.clone().filter(|token| is_usable(token, now)) {
                let lately = state
                    .asked_at
                    .is_some_and(|at| now.saturating_since(at) < RENEW_EVERY);
                if token.expires_at <= now + RENEW_AHEAD && !lately {
                    self.join_flight(&mut state, now);
                }
                return Ok(token.token);
            }
            self.join_flight(&mut state, now)
        };
        let answer = flight
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|answer| answer.clone());
        match answer {
            Some(answer) => Ok(answer?.token),
            // The request's task is gone, which happens only as the process ends.
            None => Err(Error::Unreadable {
                api: API,
                why: "the request was broken off".to_owned(),
            }),
        }
    }

    /// Drops a token that an API refused, unless a newer one has taken its place already.
    pub(crate) async fn drop_refused(&self, refused: &SecretString) {
        {
            let mut state = self.state();
            if state
                .token
                .as_ref()
                .is_some_and(|token| same(&token.token, refused))
            {
                state.token = None;
                state.refused = Some(refused.clone());
            }
        }
        tracing::info!("WeChat refused the access_token; another is fetched");
        if let Err(error) = self
            .store
            .drop_access_token(&self.credentials.appid, refused)
            .await
        {
            tracing::warn!(%error, "the refused access_token stays in the store");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request under way, or a new one. It is a task of its own: a caller that goes away does not break it off
    /// for the others.
    fn join_flight(self: &Arc<Self>, state: &mut State, now: Timestamp) -> Flight {
        if let Some(flight) = &state.flight
            && flight.has_changed().is_ok()
        {
            return flight.clone();
        }
        let (sender, flight) = watch::channel(None);
        state.flight = Some(flight.clone());
        state.asked_at = Some(now);
        let keeper = Arc::clone(self);
        tokio::spawn(async move {
            let answer = keeper.obtain().await;
            let mut state = keeper.state();
            match &answer {
                Ok(token) => state.token = Some(token.clone()),
                Err(error) => tracing::warn!(%error, "no access_token"),
            }
            state.flight = None;
            drop(state);
            // Nobody may be waiting any more.
            let _ = sender.send(Some(answer));
        });
        flight
    }

    /// The store's token if it will do, else a new one.
    async fn obtain(&self) -> Result<AccessToken, Error> {
        let refused = self.state().refused.clone();
        let is_refused = |token: &AccessToken| {
            refused
                .as_ref()
                .is_some_and(|refused| same(&token.token, refused))
        };

        match self.store.access_token(&self.credentials.appid).await {
            Ok(Some(kept)) if kept.expires_at > self.clock.now() + RENEW_AHEAD && !is_refused(&kept) => {
                return Ok(kept);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the access_token in the store cannot be read; another is fetched")
            }
        }

        let mut token = self.fetch(false).await?;
        if is_refused(&token) {
            if self.may_force() {
                token = self.fetch(true).await?;
            }
        } else {
            self.state().refused = None;
        }
        if let Err(error) = self
            .store
            .put_access_token(&self.credentials.appid, token.clone())
            .await
        {
            tracing::warn!(%error, "the access_token cannot be kept in the store; it is used all the same");
        }
        Ok(token)
    }

    /// Whether `force_refresh` may be used now; if so, that counts as used.
    fn may_force(&self) -> bool {
        let now = self.clock.now();
        let mut state = self.state();
        let lately = state
            .forced_at
            .is_some_and(|at| now.saturating_since(at) < FORCE_EVERY);
        if !lately {
            state.forced_at = Some(now);
        }
        !lately
    }

    async fn fetch(&self, force_refresh: bool) -> Result<AccessToken, Error> {
        let Credentials { appid, secret } = &*self.credentials;
        let body = Body {
            grant_type: "client_credential",
            appid,
            secret: secret.expose_secret(),
            force_refresh,
        };
        let body = json_body(API, &body)?;
        let request = Request {
            api: API,
            path: "/cgi-bin/stable_token",
            query: &[],
            body,
        };

        // Its life begins when it is asked for at the latest.
        let asked_at = self.clock.now();
        let answer = self.transport.send(&request, &[]).await?;
        let Reply {
            access_token,
            expires_in,
        } = answer.read()?;
        if access_token.is_empty() {
            return Err(answer.unreadable("the access_token is empty"));
        }
        let expires_at = asked_at + Duration::from_secs(expires_in);
        Ok(AccessToken {
            token: SecretString::from(access_token),
            expires_at,
        })
    }
}

fn is_usable(token: &AccessToken, now: Timestamp) -> bool {
    token.expires_at > now + UNUSABLE_AHEAD
}

fn same(a: &SecretString, b: &SecretString) -> bool {
    a.expose_secret() == b.expose_secret()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU64, Ordering};

    use serde_json::{Value, json};
    use store::Memory;

    use super::*;
    use crate::{
        Client,
        testing::{APPID, Received, Reply, SECRET, START, Server, reply, token},
    };

    /// A WeChat that gives tokens `T1`, `T2`, … and says of every other request which token it came with.
    async fn numbered(expires_in: u64, after: Duration) -> Server {
        let count = AtomicU64::new(0);
        Server::start(move |request| match request.is("stable_token") {
            true => {
                let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                Reply {
                    after,
                    ..token(&format!("T{number}"), expires_in)
                }
            }
            false => echo(request),
        })
        .await
    }

    /// An answer of getopendata whose only item holds the token of the request.
    fn echo(request: &Received) -> Reply {
        let token = &request.query["access_token"];
        reply(json!({"data_list": [{"cloud_id": "id", "json": json!({"token": token}).to_string()}]}))
    }

    /// The token that a request was sent with.
    async fn used(client: &Client) -> Result<String, Error> {
        let items = client.get_open_data("oABC", &["id"]).await?;
        let item: Value = serde_json::from_str(&items[0].json).unwrap();
        Ok(item["token"].as_str().unwrap().to_owned())
    }

    /// Lets background work go on until `done`, and fails when it does not get there.
    async fn until(done: impl Fn() -> bool) {
        for _ in 0..500 {
            if done() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it did not happen");
    }

    #[tokio::test]
    async fn one_request_however_many_ask() {
        let server = numbered(7200, Duration::from_millis(50)).await;
        let client = server.client();
        let callers: Vec<_> = (0..20)
            .map(|_| client.clone())
            .map(|client| tokio::spawn(async move { used(&client).await }))
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap(), "T1");
        }
        let requests = server.received("stable_token");
        assert_eq!(requests.len(), 1);
        assert_eq!(
            (requests[0].method.as_str(), requests[0].path.as_str()),
            ("POST", "/cgi-bin/stable_token")
        );
        assert_eq!(
            requests[0].json(),
            json!({"grant_type": "client_credential", "appid": APPID, "secret": SECRET, "force_refresh": false})
        );
    }

    #[tokio::test]
    async fn a_caller_who_leaves_does_not_break_it_off() {
        let server = numbered(7200, Duration::from_millis(50)).await;
        let client = server.client();
        let hasty = tokio::time::timeout(Duration::from_millis(10), used(&client)).await;
        assert!(hasty.is_err());
        assert_eq!(used(&client).await.unwrap(), "T1");
        assert_eq!(server.received("stable_token").len(), 1);
    }

    #[tokio::test]
    async fn a_restart_fetches_nothing() {
        let server = numbered(7200, Duration::ZERO).await;
        let (store, clock) = (Arc::new(Memory::new()), Clock::fixed(START));
        assert_eq!(
            used(&server.client_with(store.clone(), clock.clone()))
                .await
                .unwrap(),
            "T1"
        );
        assert_eq!(
            used(&server.client_with(store.clone(), clock.clone()))
                .await
                .unwrap(),
            "T1"
        );
        assert_eq!(server.received("stable_token").len(), 1);
        // Unless what is kept is near its end.
        clock.advance(Duration::from_secs(7200) - RENEW_AHEAD);
        assert_eq!(used(&server.client_with(store, clock)).await.unwrap(), "T2");
    }

    #[tokio::test]
    async fn renewed_ahead_of_its_end_while_callers_go_on() {
        let server = numbered(7200, Duration::from_millis(100)).await;
        let (store, clock) = (Arc::new(Memory::new()), Clock::fixed(START));
        let client = server.client_with(store.clone(), clock.clone());
        assert_eq!(used(&client).await.unwrap(), "T1");
        clock.advance(Duration::from_secs(7200) - RENEW_AHEAD - Duration::from_millis(1));
        assert_eq!(used(&client).await.unwrap(), "T1");
        assert_eq!(server.received("stable_token").len(), 1);
        clock.advance(Duration::from_millis(1));
        // Nobody waits for the new one.
        assert_eq!(used(&client).await.unwrap(), "T1");
        until(|| client.0.tokens.state().flight.is_none()).await;
        assert_eq!(used(&client).await.unwrap(), "T2");
        assert_eq!(server.received("stable_token").len(), 2);
        assert_eq!(
            store
                .access_token(APPID)
                .await
                .unwrap()
                .unwrap()
                .token
                .expose_secret(),
            "T2"
        );
    }

    /// WeChat may give what is left of a token's life, which may be little: that must not become a request each call.
    #[tokio::test]
    async fn a_token_near_its_end_is_not_asked_for_at_each_call() {
        let server = Server::start(|request| match request.is("stable_token") {
            true => token("T", 300),
            false => echo(request),
        })
        .await;
        let clock = Clock::fixed(START);
        let client = server.client_with(Arc::new(Memory::new()), clock.clone());
        for _ in 0..10 {
            used(&client).await.unwrap();
        }
        assert_eq!(server.received("stable_token").len(), 1);
        clock.advance(RENEW_EVERY);
        used(&client).await.unwrap();
        until(|| server.received("stable_token").len() == 2).await;
    }

    #[tokio::test]
    async fn a_lapsed_token_is_never_used() {
        let server = numbered(7200, Duration::from_millis(20)).await;
        let clock = Clock::fixed(START);
        let client = server.client_with(Arc::new(Memory::new()), clock.clone());
        assert_eq!(used(&client).await.unwrap(), "T1");
        clock.advance(Duration::from_secs(7200) - UNUSABLE_AHEAD);
        assert_eq!(used(&client).await.unwrap(), "T2");
    }

    #[tokio::test]
    async fn a_refused_token_is_dropped_and_the_request_sent_once_more() {
        for errcode in [40001, 40014, 42001] {
            let count = AtomicU64::new(0);
            let server = Server::start(move |request| match request.is("stable_token") {
                true => token(&format!("T{}", count.fetch_add(1, Ordering::Relaxed) + 1), 7200),
                false if request.query["access_token"] == "T1" => {
                    reply(json!({"errcode": errcode, "errmsg": "no rid: 1-2-3"}))
                }
                false => echo(request),
            })
            .await;
            let store = Arc::new(Memory::new());
            let client = server.client_with(store.clone(), Clock::fixed(START));
            assert_eq!(used(&client).await.unwrap(), "T2");
            assert_eq!(server.received("getopendata").len(), 2);
            assert_eq!(
                store
                    .access_token(APPID)
                    .await
                    .unwrap()
                    .unwrap()
                    .token
                    .expose_secret(),
                "T2"
            );
        }
    }

    #[tokio::test]
    async fn the_same_token_again_is_forced_out() {
        let server = Server::start(|request| match request.is("stable_token") {
            true if request.json()["force_refresh"] == true => token("forced", 7200),
            true => token("stuck", 7200),
            false if request.query["access_token"] == "stuck" => {
                reply(json!({"errcode": 40001, "errmsg": "not latest"}))
            }
            false => echo(request),
        })
        .await;
        let client = server.client();
        assert_eq!(used(&client).await.unwrap(), "forced");
        let forced: Vec<_> = server
            .received("stable_token")
            .iter()
            .map(|request| request.json()["force_refresh"].clone())
            .collect();
        assert_eq!(forced, [false, false, true]);
    }

    #[tokio::test]
    async fn a_token_that_is_always_refused_ends_in_wechat_s_word_and_spares_the_quota() {
        let server = Server::start(|request| match request.is("stable_token") {
            true => token("stuck", 7200),
            false => reply(json!({"errcode": 40001, "errmsg": "invalid credential rid: 1-2-3"})),
        })
        .await;
        let client = server.client();
        for calls in 1..=5 {
            let error = used(&client).await.unwrap_err();
            assert!(
                matches!(&error, Error::Refused { errcode: 40001, errmsg, .. } if errmsg.ends_with("1-2-3")),
                "{error:?}"
            );
            assert_eq!(server.received("getopendata").len(), 2 * calls);
        }
        let forced = server
            .received("stable_token")
            .iter()
            .filter(|request| request.json()["force_refresh"] == true)
            .count();
        assert_eq!(forced, 1);
    }

    #[tokio::test]
    async fn a_failure_is_shared_and_the_next_asks_again() {
        let count = AtomicU64::new(0);
        let server = Server::start(move |request| match request.is("stable_token") {
            true if count.fetch_add(1, Ordering::Relaxed) == 0 => {
                let refusal = json!({"errcode": 40125, "errmsg": "invalid appsecret rid: 1-2-3"});
                Reply {
                    after: Duration::from_millis(50),
                    ..reply(refusal)
                }
            }
            true => token("T", 7200),
            false => echo(request),
        })
        .await;
        let client = server.client();
        let callers: Vec<_> = (0..10)
            .map(|_| client.clone())
            .map(|client| tokio::spawn(async move { used(&client).await }))
            .collect();
        for caller in callers {
            let error = caller.await.unwrap().unwrap_err();
            assert!(
                matches!(
                    error,
                    Error::Refused {
                        errcode: 40125,
                        api: "stable_token",
                        ..
                    }
                ),
                "{error:?}"
            );
        }
        assert_eq!(server.received("stable_token").len(), 1);
        assert_eq!(used(&client).await.unwrap(), "T");
    }
}
