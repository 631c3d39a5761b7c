//! `/sns/jscode2session`: a login code for the user's ids and session_key. And `/sns/oauth2/access_token` (网页授权): a code with which an
//! Official Account's page was opened, for the user's ids.

use std::fmt;

use opendata::SessionKey;
use secrecy::ExposeSecret;
use serde::Deserialize;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::{
    WeChatClient, WeChatError,
    patience::Patience,
    transport::{Incoming, Request},
};

/// Who a login code stands for.
#[derive(Clone, Debug)]
pub struct LoginAnswer {
    /// The user's id within this Mini Program.
    pub openid: String,
    /// The user's id across the owner's Mini Programs, where they are bound together.
    pub unionid: Option<String>,
    /// The key of the user's open data from now on.
    pub session_key: SessionKey,
}

/// Whom an Official Account's code stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuthAnswer {
    /// The user's id within this Official Account.
    pub openid: String,
    /// The user's id across the owner's accounts, where they are bound together.
    pub unionid: Option<String>,
}

/// What `wx.login` gave the client, as far as that can be seen: WeChat's own have 32 characters. Printed nowhere: whoever has
/// it can log in as the user, once.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginCode(String);

impl LoginCode {
    /// The longest text that is passed on to WeChat, in bytes. **Choice**: no document gives a length.
    pub const LONGEST: usize = 256;

    /// Takes a text that may be a code.
    ///
    /// # Errors
    /// It is empty, longer than [`LONGEST`](Self::LONGEST), or has control characters.
    pub fn parse(text: String) -> Result<Self, LoginCodeError> {
        match text.len() {
            0 => Err(LoginCodeError::Empty),
            length if length > Self::LONGEST => Err(LoginCodeError::TooLong(length)),
            _ if text.chars().any(char::is_control) => Err(LoginCodeError::Control),
            _ => Ok(Self(text)),
        }
    }
}

impl fmt::Debug for LoginCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LoginCode(..)")
    }
}

/// Why a text is no login code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LoginCodeError {
    /// There is nothing in it.
    #[error("the code is empty: send what `wx.login` gave")]
    Empty,
    /// It has so many bytes.
    #[error("the code has {0} bytes, and a code of `wx.login` has at most {longest}", longest = LoginCode::LONGEST)]
    TooLong(usize),
    /// It has characters that no code has.
    #[error("the code has control characters: send it as `wx.login` gave it")]
    Control,
}

#[derive(Deserialize)]
struct Reply {
    openid: String,
    #[serde(default)]
    unionid: Option<String>,
    session_key: String,
}

#[derive(Deserialize)]
struct OAuthReply {
    openid: String,
    #[serde(default)]
    unionid: Option<String>,
}

impl WeChatClient {
    /// Exchanges the code that WeChat's authorize page put into the address of an Official Account's page; it is good for 5 minutes
    /// and once. The tokens that come with the answer are for the user's profile, and are dropped.
    ///
    /// # Errors
    /// Refused with 40029 invalid code, 40163 code been used, -1 busy, or one of the appid and AppSecret (40013, 40125).
    pub async fn oauth_login(&self, code: &LoginCode) -> Result<OAuthAnswer, WeChatError> {
        let query = [("code", code.0.as_str()), ("grant_type", "authorization_code")];
        let request = Request::get("oauth2.access_token", "/sns/oauth2/access_token", &query);
        let incoming = self.ask_with_secret(&request).await?;
        let answer = incoming.judged(request.api)?;
        let OAuthReply { openid, unionid } = answer.read()?;
        if openid.is_empty() {
            return Err(answer.unreadable("the openid is empty"));
        }
        Ok(OAuthAnswer {
            openid,
            unionid: unionid.filter(|unionid| !unionid.is_empty()),
        })
    }

    /// Exchanges the code of `wx.login`, which is good for 5 minutes and once.
    ///
    /// # Errors
    /// Refused with 40029 invalid code, 40163 code been used, 40226 user blocked, 45011 too often, -1 busy, or
    /// one of the appid and AppSecret (40013, 40125).
    pub async fn code2session(&self, code: &LoginCode) -> Result<LoginAnswer, WeChatError> {
        let query = [("js_code", code.0.as_str()), ("grant_type", "authorization_code")];
        let request = Request::get("jscode2session", "/sns/jscode2session", &query);
        let incoming = self.ask_with_secret(&request).await?;
        let answer = incoming.judged(request.api)?;
        let Reply {
            openid,
            unionid,
            session_key,
        } = answer.read()?;
        let session_key = Zeroizing::new(session_key);
        if openid.is_empty() {
            return Err(answer.unreadable("the openid is empty"));
        }
        let session_key = SessionKey::parse(&session_key)
            .map_err(|error| answer.unreadable(format!("its session_key: {error}")))?;
        Ok(LoginAnswer {
            openid,
            unionid: unionid.filter(|unionid| !unionid.is_empty()),
            session_key,
        })
    }

    /// Asks as whoever knows the AppSecret.
    async fn ask_with_secret(&self, request: &Request<'_>) -> Result<Incoming, WeChatError> {
        let credentials = &self.0.credentials;
        let secrets = [
            ("appid", credentials.appid.as_str()),
            ("secret", credentials.secret.expose_secret()),
        ];
        let mut patience = Patience::new();
        self.0.transport.send(request, &secrets, &mut patience).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::testing::{APPID, Received, Reply, SECRET, SESSION_KEY, Server, code, reply};

    /// Of a request, `name=value` in the order of names.
    fn query(request: &Received) -> Vec<String> {
        let pairs = request.query.iter();
        pairs.map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn a_text_that_is_no_code_is_not_sent() {
        for (text, error) in [
            (String::new(), LoginCodeError::Empty),
            ("x".repeat(257), LoginCodeError::TooLong(257)),
            ("x\ny".to_owned(), LoginCodeError::Control),
        ] {
            assert_eq!(LoginCode::parse(text).unwrap_err(), error);
        }
        assert_eq!(format!("{:?}", code(&"x".repeat(256))), "LoginCode(..)");
    }

    #[tokio::test]
    async fn a_code_becomes_a_user() {
        let server = Server::start(|_| {
            // WeChat escapes slashes, and may give an errcode of zero and an empty unionid.
            let text =
                r#"{"session_key":"o0q0otL8aEzpcZL\/FT9WsQ==","openid":"oABC","unionid":"","errcode":0}"#;
            Reply {
                body: text.into(),
                ..reply(json!(null))
            }
        })
        .await;
        let login = server.client().code2session(&code("0a&b=c")).await.unwrap();
        assert_eq!((login.openid.as_str(), login.unionid), ("oABC", None));
        assert_eq!(login.session_key.expose(), SESSION_KEY);

        let request = &server.received("/sns/jscode2session")[0];
        assert_eq!(request.method, "GET");
        let query = query(request);
        let expected = [
            "appid=".to_owned() + APPID,
            "grant_type=authorization_code".into(),
            "js_code=0a&b=c".into(),
        ];
        assert_eq!(query[..3], expected);
        assert_eq!(query[3..], ["secret=".to_owned() + SECRET]);
    }

    #[tokio::test]
    async fn a_code_of_an_official_account_becomes_a_user() {
        let server = Server::start(|_| {
            reply(json!({
                "access_token": "t", "expires_in": 7200, "refresh_token": "r", "openid": "oABC", "scope": "snsapi_base",
                "unionid": "oU",
            }))
        })
        .await;
        let login = server.client().oauth_login(&code("0a&b")).await.unwrap();
        let expected = OAuthAnswer {
            openid: "oABC".to_owned(),
            unionid: Some("oU".to_owned()),
        };
        assert_eq!(login, expected);
        let request = &server.received("/sns/oauth2/access_token")[0];
        assert_eq!(request.method, "GET");
        let query = query(request);
        let expected = [
            "appid=".to_owned() + APPID,
            "code=0a&b".into(),
            "grant_type=authorization_code".into(),
            "secret=".to_owned() + SECRET,
        ];
        assert_eq!(query, expected);
    }

    #[tokio::test]
    async fn a_refusal_is_wechat_s_own_word() {
        let text = "code been used, rid: 64e3259f-0b9f5a5b-1d6f7a3c";
        let server = Server::start(move |_| reply(json!({"errcode": 40163, "errmsg": text}))).await;
        let error = server.client().code2session(&code("used")).await.unwrap_err();
        let WeChatError::Refused {
            errcode: 40163,
            errmsg,
            api,
        } = &error
        else {
            panic!("{error:?}")
        };
        assert_eq!((errmsg.as_str(), api.as_str()), (text, "jscode2session"));
    }

    #[tokio::test]
    async fn a_session_key_that_is_none_is_not_quoted() {
        let server = Server::start(|_| reply(json!({"openid": "o", "session_key": "5h0rt+key"}))).await;
        let error = server.client().code2session(&code("c")).await.unwrap_err();
        assert!(matches!(error, WeChatError::Unreadable { .. }), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("5h0rt"), "{error}");
    }
}
