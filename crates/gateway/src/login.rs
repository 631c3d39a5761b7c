//! `POST /v1/login`: a code from `wx.login` becomes a bearer token, and the session_key is kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use clock::Timestamp;
use http::StatusCode;
use openapi::errcode::SYSTEM_BUSY;
use opendata::{WECHAT_UNREACHABLE, WECHAT_UNREACHABLE_TEXT};
use serde::{Deserialize, Serialize};

use crate::bearer::Bearer;
use crate::failure::Failure;
use crate::{Inner, Note};

/// How long a bearer token lives, in WeChat's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenLife {
    /// A fixed time from the login.
    For(Duration),
    /// As long as WeChat's `checksession` says that the session_key holds, at most 30 days. WeChat is
    /// asked once in ten minutes for each user who calls.
    Session,
}

/// A token of [`TokenLife::Session`] ends after this at the latest.
const SESSION_AT_MOST: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long WeChat's word that a session holds is believed.
const CHECK_EVERY: Duration = Duration::from_secs(600);
/// Checked sessions that are remembered; past it the memory starts anew, and WeChat is asked again.
const REMEMBERED: usize = 100_000;

/// Decides whether a user's session still holds.
pub(crate) struct Sessions {
    life: TokenLife,
    checked: Mutex<HashMap<String, Timestamp>>,
}

impl Sessions {
    pub(crate) fn new(life: TokenLife) -> Sessions {
        Sessions {
            life,
            checked: Mutex::default(),
        }
    }

    fn token_life(&self) -> Duration {
        match self.life {
            TokenLife::For(life) => life,
            TokenLife::Session => SESSION_AT_MOST,
        }
    }

    /// # Errors
    /// 401 when the session has ended, 502 when WeChat cannot be asked.
    pub(crate) async fn check(
        &self,
        inner: &Inner,
        request_id: &str,
        bearer: &Bearer,
    ) -> Result<(), Failure> {
        if matches!(self.life, TokenLife::For(_)) || self.believed(&bearer.openid, inner.clock.now()) {
            return Ok(());
        }
        let session = inner.store.session(&bearer.openid).await.map_err(|error| {
            note(
                inner,
                request_id,
                Some(&bearer.openid),
                &format!("the store could not be read: {error}"),
            );
            Failure::internal()
        })?;
        let holds = match session {
            Some(session) => inner
                .wechat
                .check_session(&bearer.openid, &session.key)
                .await
                .map_err(|error| {
                    note(
                        inner,
                        request_id,
                        Some(&bearer.openid),
                        &format!("checksession failed: {error}"),
                    );
                    Failure::new(
                        StatusCode::BAD_GATEWAY,
                        WECHAT_UNREACHABLE,
                        WECHAT_UNREACHABLE_TEXT,
                    )
                })?,
            None => false,
        };
        if !holds {
            return Err(Failure::unauthorized());
        }
        self.believe(&bearer.openid, inner.clock.now());
        Ok(())
    }

    fn believed(&self, openid: &str, now: Timestamp) -> bool {
        let checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        checked
            .get(openid)
            .is_some_and(|at| now.saturating_since(*at) < CHECK_EVERY)
    }

    fn believe(&self, openid: &str, now: Timestamp) {
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if checked.len() >= REMEMBERED {
            checked.clear();
        }
        checked.insert(openid.to_owned(), now);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    code: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    token: String,
    openid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
    expires_in: u64,
}

/// Exchanges the code, keeps the session_key, and gives the reply's body.
///
/// # Errors
/// 400 when the body is not `{"code"}`, 401 with WeChat's own code and text when it refused, 502 when it
/// could not be reached.
pub(crate) async fn login(inner: &Inner, request_id: &str, body: &[u8]) -> Result<Bytes, Failure> {
    let request: Request = serde_json::from_slice(body).map_err(|error| {
        Failure::malformed(format!("the request body must be {{\"code\":\"…\"}}: {error}"))
    })?;
    let login = inner.wechat.code2session(&request.code).await.map_err(|error| {
        note(inner, request_id, None, &format!("login failed: {error}"));
        refusal(&error)
    })?;
    let now = inner.clock.now();
    inner
        .store
        .put_session(&login.openid, login.session_key, now)
        .await
        .map_err(|error| {
            note(
                inner,
                request_id,
                Some(&login.openid),
                &format!("the session could not be kept: {error}"),
            );
            Failure::internal()
        })?;
    inner.sessions.believe(&login.openid, now);
    let life = inner.sessions.token_life();
    let bearer = Bearer {
        openid: login.openid,
        unionid: login.unionid,
        expires_at: now + life,
    };
    let answer = Answer {
        token: inner.bearers.seal(&bearer),
        openid: &bearer.openid,
        unionid: bearer.unionid.as_deref(),
        expires_in: life.as_secs(),
    };
    crate::routes::to_json(&answer)
}

fn refusal(error: &wechat::Error) -> Failure {
    match error {
        // A busy WeChat has not judged the code: that is not the client's fault.
        wechat::Error::Refused { errcode, errmsg, .. } if *errcode != i64::from(SYSTEM_BUSY) => {
            Failure::new(StatusCode::UNAUTHORIZED, *errcode, errmsg.clone())
        }
        _ => Failure::new(
            StatusCode::BAD_GATEWAY,
            WECHAT_UNREACHABLE,
            WECHAT_UNREACHABLE_TEXT,
        ),
    }
}

fn note(inner: &Inner, request_id: &str, openid: Option<&str>, text: &str) {
    inner.journal.note(&Note {
        request_id,
        openid,
        text: &text,
    });
}
