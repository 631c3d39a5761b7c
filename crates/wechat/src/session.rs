//! `/wxa/checksession` and `/wxa/resetusersessionkey`: whether a session_key is still the user's, and a new one in its
//! place. Both prove that the caller has the key by a signature of an empty body with it.

use openapi::errcode::INVALID_SIGNATURE;
use opendata::SessionKey;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{
    WeChatClient, WeChatError,
    transport::{Answer, Request},
};

#[derive(Deserialize)]
struct ResetReply {
    session_key: String,
}

impl WeChatClient {
    /// Whether the key is the user's present session_key.
    ///
    /// # Errors
    /// Refused for any other reason: 40003 bad openid, 45011 too often, -1 busy.
    pub async fn check_session(&self, openid: &str, key: &SessionKey) -> Result<bool, WeChatError> {
        match self
            .send_signed("checksession", "/wxa/checksession", openid, key)
            .await
        {
            Ok(_) => Ok(true),
            Err(WeChatError::Refused { errcode, .. }) if errcode == i64::from(INVALID_SIGNATURE) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Replaces the user's session_key; the new one inherits the old one's end.
    ///
    /// # Errors
    /// Refused with 87009 when `key` is not the user's present session_key.
    pub async fn reset_user_session_key(
        &self,
        openid: &str,
        key: &SessionKey,
    ) -> Result<SessionKey, WeChatError> {
        let answer = self
            .send_signed("resetusersessionkey", "/wxa/resetusersessionkey", openid, key)
            .await?;
        let text = Zeroizing::new(answer.read::<ResetReply>()?.session_key);
        SessionKey::parse(&text).map_err(|error| answer.unreadable(format!("its session_key: {error}")))
    }

    async fn send_signed(
        &self,
        api: &'static str,
        path: &'static str,
        openid: &str,
        key: &SessionKey,
    ) -> Result<Answer, WeChatError> {
        let signature = key.session_signature(b"");
        let query = [
            ("openid", openid),
            ("signature", signature.as_str()),
            ("sig_method", "hmac_sha256"),
        ];
        self.send_authorized(Request::get(api, path, &query)).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::testing::{SESSION_KEY, Server, reply, token};

    #[tokio::test]
    async fn check_session_tells_the_present_key_from_others() {
        // The signature of an empty body with this key stands in WeChat's document.
        const SIGNATURE: &str = "46e043c5525c2d817c44be603d30837a808a1d930d038f6fdc3e62a201fed128";
        let server = Server::start(
            |request| match request.query.get("signature").map(String::as_str) {
                None => token("T", 7200),
                Some(SIGNATURE) if request.query["openid"] == "oABC" => {
                    reply(json!({"errcode": 0, "errmsg": "ok"}))
                }
                Some(SIGNATURE) => reply(json!({"errcode": 40003, "errmsg": "invalid openid"})),
                Some(_) => reply(json!({"errcode": 87009, "errmsg": "invalid signature"})),
            },
        )
        .await;
        let client = server.client();
        let (key, other) = (
            SessionKey::parse(SESSION_KEY).unwrap(),
            SessionKey::from_bytes([7; 16]),
        );
        assert!(client.check_session("oABC", &key).await.unwrap());
        assert!(!client.check_session("oABC", &other).await.unwrap());
        let error = client.check_session("nobody", &key).await.unwrap_err();
        assert!(
            matches!(error, WeChatError::Refused { errcode: 40003, .. }),
            "{error:?}"
        );
        let query = &server.received("checksession")[0].query;
        assert_eq!(
            (query["sig_method"].as_str(), query["access_token"].as_str()),
            ("hmac_sha256", "T")
        );
    }

    #[tokio::test]
    async fn reset_gives_the_new_key() {
        let server = Server::start(|request| match request.path.as_str() {
            "/wxa/resetusersessionkey" => {
                reply(json!({"errcode": 0, "errmsg": "ok", "openid": "oABC", "session_key": SESSION_KEY}))
            }
            _ => token("T", 7200),
        })
        .await;
        let old = SessionKey::from_bytes([7; 16]);
        let new = server
            .client()
            .reset_user_session_key("oABC", &old)
            .await
            .unwrap();
        assert_eq!(new.expose(), SESSION_KEY);
    }
}
