//! `/auth/v1`: how SDKs since 2.0 log in. Requests are JSON whatever their content type says, because a browser's `fetch` calls a text
//! what has none.

use clock::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Session, Tokens, WebUser};

/// What every path begins with.
pub const PATH: &str = "/auth/v1/";
/// What the paths of every version begin with.
pub const ALL: &str = "/auth/";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthDoor {
    /// `signin/anonymously`.
    Anonymously,
    /// `signin/custom`, by a ticket.
    Custom,
    /// `signin`, by name and password.
    Password,
    /// `token`: another access token for a refresh token.
    Token,
    /// `revoke`, by the refresh token.
    Revoke,
    /// `user/signout`, by the access token.
    SignOut,
    /// `provider/token`: what WeChat says of a login code.
    ProviderToken,
    /// `signin/with/provider`, by that.
    WithProvider,
    /// `user/me`.
    Me,
}

impl AuthDoor {
    /// The door of a path; `None` for one that nothing is behind.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        Some(match path.strip_prefix(PATH)? {
            "signin/anonymously" => Self::Anonymously,
            "signin/custom" => Self::Custom,
            "signin" => Self::Password,
            "token" => Self::Token,
            "revoke" => Self::Revoke,
            "user/signout" => Self::SignOut,
            "provider/token" => Self::ProviderToken,
            "signin/with/provider" => Self::WithProvider,
            "user/me" => Self::Me,
            _ => return None,
        })
    }

    /// The methods that it takes, as `Allow` has them.
    #[must_use]
    pub fn allow(self) -> &'static str {
        match self {
            Self::Me => "GET",
            _ => "POST",
        }
    }
}

/// What a request says, whichever door it comes to: each reads what it needs.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct AuthRequest {
    /// `signin/custom`.
    pub ticket: Option<String>,
    /// `signin`.
    pub username: Option<String>,
    /// `signin`.
    pub password: Option<String>,
    /// `token`: `refresh_token`.
    pub grant_type: Option<String>,
    /// `token`.
    pub refresh_token: Option<String>,
    /// `revoke`: a refresh token.
    pub token: Option<String>,
    /// `provider/token`: the appid.
    pub provider_id: Option<String>,
    /// `provider/token`: the login code.
    pub provider_code: Option<String>,
    /// `provider/token`: what kind of code it is.
    pub provider_params: Option<ProviderParams>,
    /// `signin/with/provider`.
    pub provider_token: Option<String>,
}

/// What a login code comes with, as far as it counts.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ProviderParams {
    /// `open_id` or `union_id` for one of `wx.login`, by what SDKs are to log in with.
    pub provider_code_type: Option<String>,
}

impl AuthRequest {
    /// Whether the code of `provider/token` is one of `wx.login`: 3.x sends one of `getPhoneNumber` by the same path, of which no openid
    /// comes.
    #[must_use]
    pub fn is_login_code(&self) -> bool {
        let kind = self
            .provider_params
            .as_ref()
            .and_then(|params| params.provider_code_type.as_deref());
        kind.is_none_or(|kind| matches!(kind, "" | "open_id" | "union_id"))
    }

    /// Reads a body; an empty one says nothing.
    ///
    /// # Errors
    /// It is no JSON object, or a member is no text.
    pub fn read(body: &[u8]) -> Result<Self, AuthFault> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        serde_json::from_slice(body)
            .map_err(|_| AuthFault::argument("the request body is no JSON object of texts"))
    }
}

/// Why a login or what follows it is refused: the error's name, its number and a text, as SDKs sort them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthFault {
    /// HTTP's status.
    pub status: u16,
    /// The name that SDKs know it by.
    pub error: &'static str,
    /// Its number, where it has one.
    pub number: Option<u16>,
    /// The text.
    pub description: String,
}

impl AuthFault {
    fn new(status: u16, error: &'static str, number: Option<u16>, description: impl Into<String>) -> Self {
        Self {
            status,
            error,
            number,
            description: description.into(),
        }
    }

    /// The request is not of its form.
    pub fn argument(description: impl Into<String>) -> Self {
        Self::new(400, "invalid_argument", Some(3), description)
    }

    /// The session is over: SDKs log out.
    #[must_use]
    pub fn grant() -> Self {
        Self::new(
            400,
            "invalid_grant",
            None,
            "the refresh token is invalid or has expired",
        )
    }

    /// Name and password do not go together, or there is no such name.
    #[must_use]
    pub fn password() -> Self {
        Self::new(
            400,
            "invalid_username_or_password",
            None,
            "the user name or the password is not right",
        )
    }

    /// A ticket, a provider token or a login code is refused.
    pub fn credentials(description: impl Into<String>) -> Self {
        Self::new(400, "invalid_credentials", None, description)
    }

    /// Nobody may log in this way here.
    #[must_use]
    pub fn disabled(what: &str) -> Self {
        Self::new(
            403,
            "login_type_disabled",
            Some(4045),
            format!("{what} is not enabled here"),
        )
    }

    /// There is no access token, or it is none of ours, or has expired.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(
            401,
            "unauthenticated",
            Some(16),
            "the access token is missing, invalid or has expired",
        )
    }

    /// There is nothing behind the path.
    #[must_use]
    pub fn unimplemented() -> Self {
        Self::new(
            404,
            "unimplemented",
            Some(12),
            "this is not served here: one logs in anonymously, by a ticket, by a password or by WeChat",
        )
    }

    /// Too many tries: the same may be answered later.
    #[must_use]
    pub fn exhausted() -> Self {
        Self::new(429, "resource_exhausted", Some(8), "too many tries: wait a while")
    }

    /// WeChat cannot be reached.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::new(
            502,
            "temporarily_unavailable",
            Some(14),
            "WeChat could not be reached",
        )
    }

    /// Something failed here; the cause is for the log.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(500, "server_error", Some(13), "internal error")
    }

    /// What another room refused, by its status and text.
    pub fn of_status(status: u16, description: impl Into<String>) -> Self {
        match status {
            429 => Self::exhausted(),
            500.. => Self::internal(),
            status => Self {
                status,
                ..Self::argument(description)
            },
        }
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let mut body = json!({"error": self.error, "error_description": self.description});
        if let Some(number) = self.number {
            body["error_code"] = number.into();
        }
        body.to_string().into_bytes()
    }
}

/// What every login and every refresh is answered with.
#[must_use]
pub fn token_answer(tokens: &Tokens, session: &Session, now: Timestamp) -> Value {
    json!({
        "token_type": "Bearer",
        "access_token": tokens.seal_access(session, now),
        "refresh_token": tokens.seal_session(session, now),
        "expires_in": Tokens::access_life(session, now).as_secs(),
        "scope": if session.user.is_anonymous() { "anonymous" } else { "user" },
        "sub": session.user.uid,
        "groups": [],
    })
}

/// `user/me`. In a Mini Program the SDK takes the openid from the provider whose id is the appid; in 3.x a user is anonymous whose name
/// says so.
#[must_use]
pub fn me(user: &WebUser, appid: &str) -> Value {
    let mut providers = Vec::new();
    if let Some(openid) = &user.openid {
        providers.push(json!({"id": appid, "provider_user_id": openid}));
    }
    if let Some(id) = &user.custom_user_id {
        providers.push(json!({"id": "custom", "provider_user_id": id}));
    }
    let mut me = json!({"sub": user.uid, "uid": user.uid, "providers": providers, "groups": []});
    if let Some(name) = &user.username {
        me["name"] = name.as_str().into();
        me["username"] = name.as_str().into();
        me["password"] = "SET".into();
    } else if user.is_anonymous() {
        me["name"] = "anonymous".into();
    }
    me
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// `signInWithOpenId` and `signInWithUnionId` of js-sdk both send a code of `wx.login`.
    #[test]
    fn what_logs_in_by_a_login_code() {
        for (params, is_one) in [
            ("{}", true),
            (r#"{"provider_params": {}}"#, true),
            (r#"{"provider_params": {"provider_code_type": ""}}"#, true),
            (r#"{"provider_params": {"provider_code_type": "open_id"}}"#, true),
            (r#"{"provider_params": {"provider_code_type": "union_id"}}"#, true),
            (r#"{"provider_params": {"provider_code_type": "phone"}}"#, false),
        ] {
            let asked = AuthRequest::read(params.as_bytes()).unwrap();
            assert_eq!(asked.is_login_code(), is_one, "{params}");
        }
    }
}
