//! The keeper of WeChat's access_token. However many ask at the same time, one request fetches it, by
//! `/cgi-bin/stable_token`, which other servers of the same owner cannot invalidate by asking too. It is kept between runs
//! ([`AccessTokens`]), so that a restart fetches nothing; of several nodes that keep it together one fetches it, and the others wait. It is renewed a while before its end, while callers go on with
//! the old one.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use clock::{Clock, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    AccessToken, AccessTokens, Credentials, WeChatClient, WeChatError,
    patience::Patience,
    transport::{Request, Transport},
};

const API: &str = "stable_token";

/// From so long before its end WeChat gives a new token for the asking, and takes both until then (documented).
const RENEW_AHEAD: Duration = Duration::from_secs(300);
/// So long before its end a token is not used any more: the request has to arrive before WeChat's clock says so.
const UNUSABLE_AHEAD: Duration = Duration::from_secs(10);
/// How often a token that still holds is asked for anew at most.
const RENEW_EVERY: Duration = Duration::from_secs(30);
/// How long the others who keep the token together wait for the one that fetches it.
const FETCH_TERM: Duration = Duration::from_secs(10);
/// How often they look.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How often `force_refresh` is used at most: WeChat allows 20 a day.
const FORCE_EVERY: Duration = Duration::from_secs(24 * 3600 / 20);

/// Keeps the access_token of one appid.
pub(crate) struct TokenKeeper {
    transport: Transport,
    credentials: Arc<Credentials>,
    kept: Arc<dyn AccessTokens>,
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
type Flight = watch::Receiver<Option<Result<AccessToken, WeChatError>>>;

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
        kept: Arc<dyn AccessTokens>,
        clock: Clock,
    ) -> Self {
        Self {
            transport,
            credentials,
            kept,
            clock,
            state: Mutex::default(),
        }
    }

    /// A token that holds: at once if one is known, else when the one request for it has ended.
    pub(crate) async fn token(self: &Arc<Self>) -> Result<AccessToken, WeChatError> {
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
                return Ok(token);
            }
            self.join_flight(&mut state, now)
        };
        let answer = flight
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|answer| answer.clone());
        match answer {
            Some(answer) => answer,
            // The request's task is gone, which happens only as the process ends.
            None => Err(WeChatError::Unreadable {
                api: API.to_owned(),
                why: "the request was broken off".to_owned(),
            }),
        }
    }

    /// Drops a token that an API refused, unless it was dropped already, and perhaps replaced.
    pub(crate) async fn drop_refused(&self, refused: &SecretString) {
        {
            let mut state = self.state();
            let is_kept = |token: &AccessToken| same(&token.token, refused);
            if !state.token.as_ref().is_some_and(is_kept) {
                return;
            }
            state.token = None;
            state.refused = Some(refused.clone());
        }
        tracing::info!("WeChat refused the access_token; another is fetched");
        if let Err(error) = self
            .kept
            .drop_access_token(&self.credentials.appid, refused)
            .await
        {
            tracing::warn!(%error, "the refused access_token stays where it is kept");
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

    /// The token that was kept if it will do, else a new one, which one of those who keep it together fetches.
    async fn obtain(&self) -> Result<AccessToken, WeChatError> {
        let (appid, began) = (&self.credentials.appid, Instant::now());
        loop {
            if let Some(kept) = self.kept().await {
                return Ok(kept);
            }
            match self.kept.begin_fetch(appid, FETCH_TERM).await {
                Ok(Some(claim)) => {
                    // It may have been fetched between the look and the claim.
                    let token = match self.kept().await {
                        Some(kept) => Ok(kept),
                        None => self.fetch_and_keep().await,
                    };
                    if let Err(error) = self.kept.end_fetch(appid, claim).await {
                        tracing::warn!(%error, "others wait until the claim of this fetch ends by itself");
                    }
                    return token;
                }
                Ok(None) if began.elapsed() < FETCH_TERM => tokio::time::sleep(LOOK_AGAIN).await,
                // Who has the claim takes too long, or it cannot be known.
                Ok(None) | Err(_) => return self.fetch_and_keep().await,
            }
        }
    }

    /// Whether it is the token that an API refused last. Asked anew each time: one may while a request is under way.
    fn is_refused(&self, token: &AccessToken) -> bool {
        let state = self.state();
        let refused = state.refused.as_ref();
        refused.is_some_and(|refused| same(&token.token, refused))
    }

    /// The token that was kept, if it will do.
    async fn kept(&self) -> Option<AccessToken> {
        match self.kept.access_token(&self.credentials.appid).await {
            Ok(kept) => {
                let ends_late = |kept: &AccessToken| kept.expires_at > self.clock.now() + RENEW_AHEAD;
                kept.filter(|kept| ends_late(kept) && !self.is_refused(kept))
            }
            Err(error) => {
                tracing::warn!(%error, "the access_token that was kept cannot be read; another is fetched");
                None
            }
        }
    }

    async fn fetch_and_keep(&self) -> Result<AccessToken, WeChatError> {
        let mut token = self.fetch(false).await?;
        if self.is_refused(&token) {
            if self.may_force() {
                token = self.fetch(true).await?;
            }
        } else {
            self.state().refused = None;
        }
        if let Err(error) = self
            .kept
            .put_access_token(&self.credentials.appid, token.clone())
            .await
        {
            tracing::warn!(%error, "the access_token cannot be kept for the next run; it is used all the same");
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

    async fn fetch(&self, force_refresh: bool) -> Result<AccessToken, WeChatError> {
        let Credentials { appid, secret } = &*self.credentials;
        let body = Body {
            grant_type: "client_credential",
            appid,
            secret: secret.expose_secret(),
            force_refresh,
        };
        let request = Request::post(API, "/cgi-bin/stable_token", &[], &body)?;

        // Its life begins when it is asked for at the latest.
        let asked_at = self.clock.now();
        let mut patience = Patience::new();
        let answer = self
            .transport
            .send(&request, &[], &mut patience)
            .await?
            .judged(API)?;
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

impl WeChatClient {
    /// The access_token, and how long WeChat takes it still, in WeChat's time: for other servers of the same app. It is the
    /// one that this client itself uses, fetched if there is none; they keep it for a minute or so, and ask again.
    ///
    /// # Errors
    /// None is to be had: WeChat refuses appid, AppSecret or this machine's address (40013, 40125, 40164, 40243), or cannot
    /// be reached.
    pub async fn access_token(&self) -> Result<(SecretString, Duration), WeChatError> {
        let tokens = &self.0.tokens;
        let AccessToken { token, expires_at } = tokens.token().await?;
        Ok((token, expires_at.saturating_since(tokens.clock.now())))
    }
}

fn is_usable(token: &AccessToken, now: Timestamp) -> bool {
    token.expires_at > now + UNUSABLE_AHEAD
}

fn same(a: &SecretString, b: &SecretString) -> bool {
    a.expose_secret() == b.expose_secret()
}

#[cfg(test)]
mod tests;
