//! `POST /v1/login`: a code from `wx.login` becomes a bearer token, and the session_key is kept. So does a code of an Official Account's
//! page, which has no session_key.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use clock::Timestamp;
use http::StatusCode;
use lru::LruCache;
use openapi::errcode::SYSTEM_BUSY;
use opendata::{WECHAT_UNREACHABLE, WECHAT_UNREACHABLE_TEXT};
use serde::{Deserialize, Serialize};
use wechat::LoginCode;
use wording::wording;

use crate::{
    Inner,
    bearer::Bearer,
    failure::{Failure, store_unread},
    reply,
};

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
/// A token of [`TokenLife::Session`] without a session_key ends after this: as long as WeChat's own access_tokens of users.
const WITHOUT_SESSION: Duration = Duration::from_secs(2 * 3600);
/// How long WeChat's word that a session holds is believed.
const CHECK_EVERY: Duration = Duration::from_secs(600);
/// Checked sessions that are remembered; past it the one that was asked for least recently is forgotten.
const REMEMBERED: usize = 100_000;

/// Decides whether a user's session still holds.
pub(crate) struct Sessions {
    life: TokenLife,
    checked: Mutex<LruCache<String, Timestamp>>,
}

impl Sessions {
    pub(crate) fn new(life: TokenLife) -> Self {
        Self {
            life,
            checked: Mutex::new(LruCache::unbounded()),
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
    pub(crate) async fn check(&self, inner: &Inner, bearer: &Bearer) -> Result<(), Failure> {
        if matches!(self.life, TokenLife::For(_))
            || !bearer.has_session
            || self.believed(&bearer.openid, inner.clock.now())
        {
            return Ok(());
        }
        let session = inner.store.session(&bearer.openid).await.map_err(|error| {
            Failure::internal()
                .because(store_unread(&error))
                .of_user(&bearer.openid)
        })?;
        let holds = match session {
            Some(session) => inner
                .wechat
                .check_session(&bearer.openid, &session.key)
                .await
                .map_err(|error| {
                    unreachable()
                        .because(wording!(
                            "checksession failed: {error}",
                            "checksession 失败：{error}"
                        ))
                        .of_user(&bearer.openid)
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
        self.checked()
            .get(openid)
            .is_some_and(|at| now.saturating_since(*at) < CHECK_EVERY)
    }

    fn believe(&self, openid: &str, now: Timestamp) {
        let mut checked = self.checked();
        checked.put(openid.to_owned(), now);
        // Bounded here and not by the cache itself, which would take the memory for all of them at once.
        if checked.len() > REMEMBERED {
            checked.pop_lru();
        }
    }

    fn checked(&self) -> MutexGuard<'_, LruCache<String, Timestamp>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoginRequest {
    code: String,
    /// Whose code it is; the Mini Program's where it is not said.
    appid: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoginAnswer<'a> {
    token: String,
    openid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unionid: Option<&'a str>,
    expires_in: u64,
}

/// Exchanges the code, keeps the session_key, and gives the reply's body.
///
/// # Errors
/// 400 when the body is not `{"code","appid"?}`, the text cannot be a code, or the appid is none of ours, 401 with WeChat's own code and
/// text when it refused, 502 when it could not be reached.
pub(crate) async fn login(inner: &Inner, body: &[u8]) -> Result<Bytes, Failure> {
    let request: LoginRequest = serde_json::from_slice(body).map_err(|error| {
        Failure::malformed(format!("the request body must be {{\"code\":\"…\"}}: {error}"))
    })?;
    if let Some(appid) = request.appid.filter(|appid| *appid != inner.appid) {
        return official_account(inner, &appid, request.code).await;
    }
    let login = exchange(inner, request.code).await?;
    let now = inner.clock.now();
    let life = inner.sessions.token_life();
    let bearer = Bearer {
        openid: login.openid,
        unionid: login.unionid,
        expires_at: now + life,
        has_session: true,
    };
    answer(inner, &bearer, life)
}

/// Logs in a user of an Official Account's page. It has to be one of the owner's.
async fn official_account(inner: &Inner, appid: &str, code: String) -> Result<Bytes, Failure> {
    let code = LoginCode::parse(code).map_err(|error| Failure::malformed(error.to_string()))?;
    let account = inner.apps.get(appid).ok_or_else(|| {
        Failure::malformed(
            "this appid is not served here: its owner names it as [apps.APPID] in yunqiao.toml",
        )
    })?;
    let login = account.oauth_login(&code).await;
    let login = login.map_err(|error| {
        refusal(&error).because(wording!(
            "login of {appid} by OAuth failed: {error}",
            "{appid} 的网页授权登录失败：{error}"
        ))
    })?;
    let life = match inner.sessions.life {
        TokenLife::For(life) => life,
        TokenLife::Session => WITHOUT_SESSION,
    };
    let bearer = Bearer {
        openid: login.openid,
        unionid: login.unionid,
        expires_at: inner.clock.now() + life,
        has_session: false,
    };
    answer(inner, &bearer, life)
}

fn answer(inner: &Inner, bearer: &Bearer, life: Duration) -> Result<Bytes, Failure> {
    reply::to_json(&LoginAnswer {
        token: inner.bearers.seal(bearer),
        openid: &bearer.openid,
        unionid: bearer.unionid.as_deref(),
        expires_in: life.as_secs(),
    })
}

/// What WeChat says of a code. The session_key is kept.
///
/// # Errors
/// As [`login`].
pub(crate) async fn exchange(inner: &Inner, code: String) -> Result<wechat::LoginAnswer, Failure> {
    let code = LoginCode::parse(code).map_err(|error| Failure::malformed(error.to_string()))?;
    let login = inner.wechat.code2session(&code).await;
    let login = login
        .map_err(|error| refusal(&error).because(wording!("login failed: {error}", "登录失败：{error}")))?;
    let now = inner.clock.now();
    inner
        .store
        .put_session(&login.openid, login.session_key.clone(), now)
        .await
        .map_err(|error| {
            let text = error.report();
            Failure::internal()
                .because(wording!(
                    "the session could not be kept: {text}",
                    "无法保存会话：{text}"
                ))
                .of_user(&login.openid)
        })?;
    inner.sessions.believe(&login.openid, now);
    Ok(login)
}

fn refusal(error: &wechat::WeChatError) -> Failure {
    match error {
        // A busy WeChat has not judged the code: that is not the client's fault.
        wechat::WeChatError::Refused { errcode, errmsg, .. } if *errcode != i64::from(SYSTEM_BUSY) => {
            Failure::new(StatusCode::UNAUTHORIZED, *errcode, errmsg.clone())
        }
        _ => unreachable(),
    }
}

fn unreachable() -> Failure {
    Failure::new(
        StatusCode::BAD_GATEWAY,
        WECHAT_UNREACHABLE,
        WECHAT_UNREACHABLE_TEXT,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_asked_for_least_recently_is_forgotten() {
        let sessions = Sessions::new(TokenLife::Session);
        let now = Timestamp::from_secs(1_000);
        for user in 0..REMEMBERED {
            sessions.believe(&user.to_string(), now);
        }
        assert!(sessions.believed("0", now), "asked for again");
        sessions.believe("one more", now);
        assert!(sessions.believed("0", now) && sessions.believed("one more", now));
        assert!(!sessions.believed("1", now) && sessions.believed("2", now));
        assert_eq!(sessions.checked().len(), REMEMBERED);
    }
}
