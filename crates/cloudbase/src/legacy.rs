//! `/web`: the envelope of the SDKs of 2019 to 2022, which newer ones still speak in a mode of theirs. Each request is one action, answered
//! with HTTP's 200 whatever came of it. Who asks stands in the body, as `access_token`. The actions of the database and of storage are
//! those that `tcb` knows; here is what is left: logging in, by 1.x alone.

use clock::Timestamp;
use serde_json::{Value, json};
use tcb::SdkReply;

use crate::{LoginType, Session, Tokens, WebUser};

/// The path.
pub const PATH: &str = "/web";

/// An action that is neither of the database nor of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegacyAction {
    /// `auth.signInAnonymously`.
    SignInAnonymously,
    /// `auth.signInWithTicket`.
    SignInWithTicket,
    /// `auth.signIn`, of which name and password are served.
    SignIn,
    /// `auth.fetchAccessTokenWithRefreshToken`.
    Refresh,
    /// `auth.getUserInfo`.
    GetUserInfo,
    /// `auth.logout`.
    LogOut,
    /// `auth.wsWebSign`.
    SignSocket,
    /// `functions.invokeFunction`.
    Invoke,
}

impl LegacyAction {
    /// The action of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "auth.signInAnonymously" => Self::SignInAnonymously,
            "auth.signInWithTicket" => Self::SignInWithTicket,
            "auth.signIn" => Self::SignIn,
            "auth.fetchAccessTokenWithRefreshToken" => Self::Refresh,
            "auth.getUserInfo" => Self::GetUserInfo,
            "auth.logout" => Self::LogOut,
            "auth.wsWebSign" => Self::SignSocket,
            "functions.invokeFunction" => Self::Invoke,
            _ => return None,
        })
    }
}

fn reply(request_id: &str, mut answer: Value) -> SdkReply {
    answer["requestId"] = request_id.into();
    SdkReply {
        content_type: "application/json; charset=utf-8",
        body: answer.to_string().into_bytes(),
    }
}

/// `auth.signInAnonymously`: the uuid is what the SDK keeps, by which it is the same user again.
#[must_use]
pub fn signed_in_anonymously(request_id: &str, uuid: &str, refresh_token: &str) -> SdkReply {
    reply(request_id, json!({"uuid": uuid, "refresh_token": refresh_token}))
}

/// Another login.
#[must_use]
pub fn signed_in(request_id: &str, tokens: &Tokens, session: &Session, now: Timestamp) -> SdkReply {
    reply(
        request_id,
        json!({
            "refresh_token": tokens.seal_session(session, now),
            "access_token": tokens.seal_access(session, now),
            "access_token_expire": milliseconds(session, now),
        }),
    )
}

/// `auth.fetchAccessTokenWithRefreshToken`.
#[must_use]
pub fn refreshed(request_id: &str, tokens: &Tokens, session: &Session, now: Timestamp) -> SdkReply {
    reply(
        request_id,
        json!({
            "access_token": tokens.seal_access(session, now),
            "access_token_expire": milliseconds(session, now),
        }),
    )
}

/// From now, as the SDK counts it.
fn milliseconds(session: &Session, now: Timestamp) -> u64 {
    Tokens::access_life(session, now).as_secs() * 1000
}

/// `auth.getUserInfo`.
#[must_use]
pub fn user_info(request_id: &str, user: &WebUser) -> SdkReply {
    let mut data = json!({
        "uid": user.uid,
        "loginType": user.login.name(),
        "nickName": user.username.as_deref().unwrap_or_default(),
        "avatarUrl": "",
        "gender": "",
        "location": {},
    });
    if let Some(openid) = &user.openid {
        data["openid"] = openid.as_str().into();
        data["wxOpenId"] = openid.as_str().into();
    }
    if let Some(unionid) = &user.unionid {
        data["unionId"] = unionid.as_str().into();
    }
    if let Some(id) = &user.custom_user_id {
        data["customUserId"] = id.as_str().into();
    }
    if user.login == LoginType::Username {
        data["username"] = user.username.as_deref().unwrap_or_default().into();
        data["hasPassword"] = true.into();
    }
    reply(request_id, json!({"data": data}))
}

/// An action that gives nothing.
#[must_use]
pub fn done(request_id: &str) -> SdkReply {
    reply(request_id, json!({}))
}

/// `functions.invokeFunction`: the result as text, or as what it is where the program wanted it `parsed`.
#[must_use]
pub fn invoked(request_id: &str, result: Option<&[u8]>, parsed: bool) -> SdkReply {
    let text = String::from_utf8_lossy(result.unwrap_or(b"null"));
    if !parsed {
        return tcb::reply::invoked(request_id, &text);
    }
    let mut body = br#"{"requestId":"#.to_vec();
    json::write_string(&mut body, request_id);
    body.extend_from_slice(br#","data":{"response_data":"#);
    body.extend_from_slice(text.as_bytes());
    body.extend_from_slice(b"}}");
    SdkReply {
        content_type: "application/json; charset=utf-8",
        body,
    }
}

/// `auth.wsWebSign`: where the socket is, and what is to be shown there.
#[must_use]
pub fn socket(request_id: &str, env: &str, url: &str, signature: &str) -> SdkReply {
    let data = json!({"signStr": signature, "wsUrl": url, "secretVersion": 1, "envId": env});
    reply(request_id, json!({"data": data}))
}
